"""The same file read under several conventions, run on the same input: do the spikes differ?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.nir import load_nir
from spikec.compiler.frontends.nir_file import NirSource
from spikec.compiler.ir import Graph
from spikec.compiler.pipeline import compile_graph
from spikec.compiler.semantics import Semantics
from spikec.compiler.simulator import Simulator
from spikec.compiler.types import Array

Feed = Callable[[Graph], Mapping[str, Array]]


@dataclass(frozen=True, slots=True)
class Choice:
    """A convention, and the step where it brings none of its own."""

    semantics: Semantics
    dt: float | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What the file does under one convention.

    Attributes:
        semantics: The convention.
        dt: Step in seconds.
        spikes: Spikes of all populations, all samples; None where it cannot be run.
        difference: Where its spikes first differ from those of the first reading, or empty.
        problem: Why it cannot be run, or empty.
    """

    semantics: str
    dt: float | None
    spikes: int | None
    difference: str
    problem: str


def read_under(source: NirSource, choices: Sequence[Choice], feed: Feed) -> list[Reading]:
    """Run the file under every convention.

    Args:
        source: The file.
        choices: Conventions; the others are compared with the first.
        feed: Gives the inputs of the graph, (samples, steps, *shape) by name.
    """
    readings: list[Reading] = []
    first: Mapping[str, Array] | None = None
    for choice in choices:
        name = str(choice.semantics)
        try:
            graph = load_nir(source, choice.semantics, choice.dt)
            sent = _spikes(graph, feed(graph))
        except SpikecError as error:
            readings.append(Reading(name, choice.dt, None, "", str(error)))
            continue
        total = sum(int(a.sum()) for a in sent.values())
        difference = "" if first is None else _difference(first, sent)
        first = sent if first is None else first
        readings.append(Reading(name, graph.dt, total, difference, ""))
    return readings


def _spikes(graph: Graph, data: Mapping[str, Array]) -> dict[str, Array]:
    """Return what spikes or counts each population sends, in the order of a step."""
    # The reference needs no kernels, of which every convention would have its own.
    program = compile_graph(graph, pipeline="discretize")
    firing = [p.name for p in program.graph.order() if p.model().emits != "values"]
    # A convention that does not suit the file may leave the range of numbers.
    with np.errstate(all="ignore"):
        trace = Simulator(program, "reference").run(data, ("spikes",))
        return {name: trace.spikes[name].astype(np.int64) for name in firing}


def _difference(first: Mapping[str, Array], other: Mapping[str, Array]) -> str:
    """Return the first step, then population, sample and neuron, where two runs differ."""
    found: tuple[int, int, str] | None = None
    for rank, (name, sent) in enumerate(first.items()):
        a, b = sent.reshape(*sent.shape[:2], -1), other[name].reshape(*sent.shape[:2], -1)
        apart = (a != b).any(axis=2)
        if not apart.any():
            continue
        step = int(np.flatnonzero(apart.any(axis=0))[0])
        sample = int(np.flatnonzero(apart[:, step])[0])
        neuron = int(np.flatnonzero(a[sample, step] != b[sample, step])[0])
        values = f"{a[sample, step, neuron]} and {b[sample, step, neuron]}"
        text = f"step {step}, {name}[{neuron}]: {values}"
        found = min(filter(None, (found, (step, rank, text))))
    return "" if found is None else found[2]
