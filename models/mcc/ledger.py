"""Synaptic events of a two-stream network, and what they cost at the paper's constant.

Reading A of specs/two_point_cells.md section 7: every value that is not zero is one event at each
of its sender's synapses. Feed-forward synapses and those of context (P, D, U, and those into the
universal context) are told apart; R reaches the cell that holds it without a synapse, and no cell
is context of its own. The constant, 80 pJ per synapse, is the paper's; that it is per event is a
reading.
"""

from dataclasses import dataclass

from spikec.compiler.counts import Counts
from spikec.compiler.ir import Input, Program

PICOJOULES = 80.0
# The paper's saving in each of 50,000 iterations, by the reading of section 7.
PAPER_EVENTS, PAPER_MICROJOULES = 3_071_987_500, 245_759.0


@dataclass(frozen=True, slots=True)
class Ledger:
    """Events of a run.

    Attributes:
        samples: Frames.
        inputs: Events of the inputs at feed-forward synapses; they are dense in every network.
        cells: Events of the cells there.
        context: Events at synapses of context.
        synapses: Feed-forward and context synapses.
    """

    samples: int
    inputs: int
    cells: int
    context: int
    synapses: tuple[int, int]

    def per_sample(self) -> tuple[float, float, float]:
        """Return events of inputs, cells and context per frame."""
        parts = (self.inputs, self.cells, self.context)
        return (parts[0] / self.samples, parts[1] / self.samples, parts[2] / self.samples)


def ledger(program: Program, counts: Counts) -> Ledger:
    """Return the events of a run of ``network.two_stream``.

    Args:
        program: What was run, in integers or floating point.
        counts: Of the run.
    """
    entering = {n.name for n in program.graph.nodes if isinstance(n, Input)}
    sums = {"inputs": 0, "cells": 0, "context": 0}
    synapses = [0, 0]
    rows = zip(program.graph.projections, counts.projections.values(), strict=True)
    for projection, row in rows:
        if projection.port == "basal":
            continue
        # Dense storage holds the diagonal of P, which is no synapse.
        own = projection.context == "P"
        kind = "inputs" if projection.source in entering else "cells"
        sums["context" if projection.context else kind] += row.total - own * row.events
        size = program.graph.source_size(projection.source)
        synapses[bool(projection.context)] += row.synapses - own * size
    return Ledger(counts.steps, **sums, synapses=(synapses[0], synapses[1]))


def microjoules(events: float) -> float:
    """Return events times the paper's constant."""
    return events * PICOJOULES * 1e-6
