"""What a run does in the hardware, for its energy: counters of the engines, and accesses of cells.

Everything follows from the events of a run; the RTL's own counters are compared with the same
numbers after every simulation (``runner``).
"""

from dataclasses import replace

import numpy as np

from spikec.backends.fpga.plan import Engine, Plan
from spikec.backends.fpga.simulation.expected import counters
from spikec.backends.fpga.sizes.memory import Cells
from spikec.backends.fpga.sizes.terms import dsps, memories, multipliers
from spikec.compiler.ir import Trace
from spikec.compiler.types import Array

COUNTED = ("events_in", "words", "synops", "updates", "events_out", "steps", "cycles_busy")


class Ledger:
    """Adds up the counters of every engine over traces, which need ``spikes``.

    Attributes:
        counters: By population, the counters that events determine.
        cells: By population, accesses: ``bram_access`` and ``uram_access``, one for each block that
            holds a part of the word; ``dsp_product``.
    """

    def __init__(self, plan: Plan) -> None:
        """Begin with nothing counted."""
        self.plan = plan
        names = [e.population.name for e in plan.engines]
        self.counters = {name: dict.fromkeys(COUNTED, 0) for name in names}
        self.cells = {name: dict[str, int]() for name in names}

    @staticmethod
    def covers(plan: Plan) -> bool:
        """Return whether a trace says all that hardware does: not where populations start later."""
        return plan.warm_up == 0

    def add(self, trace: Trace) -> None:
        """Count a run."""
        sent = {
            e.population.name: _flat(trace.spikes[e.population.name]) for e in self.plan.engines
        }
        inputs = {s.name: _flat(trace.inputs[s.name]) for s in self.plan.inputs}
        nothing = {name: np.zeros_like(a, np.int64) for name, a in sent.items()}
        found = counters(self.plan, inputs, sent, nothing)
        for engine, row in zip(self.plan.engines, found, strict=True):
            name = engine.population.name
            for counter in COUNTED:
                self.counters[name][counter] += row[counter]
            alone = [replace(engine, channels=(c,)) for c in engine.channels]
            apart = counters(replace(self.plan, engines=tuple(alone)), inputs, sent, nothing)
            words = [one["words"] for one in apart]
            assert sum(words) == row["words"]
            groups = engine.groups * sent[name].shape[0] * sent[name].shape[1]
            for kind, amount in _accesses(engine, words, groups).items():
                self.cells[name][kind] = self.cells[name].get(kind, 0) + amount


def _flat(sent: Array) -> Array:
    return sent.reshape(*sent.shape[:2], -1)


def _accesses(engine: Engine, words: list[int], groups: int) -> dict[str, int]:
    """Return accesses of blocks and products of a run.

    Args:
        engine: The engine.
        words: Weight words read, by channel.
        groups: Groups updated.
    """
    made = {"bram_access": 0, "uram_access": 0, "dsp_product": 0}
    for memory in memories(engine):
        kind = f"{'uram' if memory.cells.kind == 'ultra' else 'bram'}_access"
        if memory.name.startswith("weights"):
            made[kind] += _blocks(memory.cells) * words[int(memory.name.removeprefix("weights"))]
        elif memory.name.startswith("state"):  # read and written
            made[kind] += 2 * _blocks(memory.cells) * groups
        elif memory.name == "neurons":
            made[kind] += _blocks(memory.cells) * groups
    in_channels = 0
    for channel, count in zip(engine.channels, words, strict=True):
        if channel.rows is not None and channel.source is not None and channel.source.value_bits:
            a, b = channel.rows.weight_bits, channel.source.value_bits
            used = engine.lanes * dsps(a, b, a + b)
            made["dsp_product"] += count * used
            in_channels += used
    made["dsp_product"] += groups * (multipliers(engine) - in_channels)
    return made


def _blocks(cells: Cells) -> int:
    """Return the blocks that hold a part of one word; of two halves each counts."""
    return -(-(cells.ramb36 + cells.ramb18 + cells.uram) // cells.rows)
