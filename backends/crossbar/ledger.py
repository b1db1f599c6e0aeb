"""What a run does on arrays, for its energy: power of every read, drivers, converters, adders.

The power of a read is sum V I of its drivers in the solved circuit, with the target's wires and
nominal cells: V' G_in V, where G_in is what each driver gives for one volt at each. Rows without an
input are held at 0 V. Both cells of a pair count. A tile that no input reaches is not read.
"""

import numpy as np

from spikec.backends.crossbar.circuit import Circuit
from spikec.backends.crossbar.devices import Devices
from spikec.backends.crossbar.plan import Held, Plan, Stored, bits, turns
from spikec.backends.crossbar.runner import GATHERED
from spikec.backends.crossbar.threads import one_thread
from spikec.backends.crossbar.tiles import Tile
from spikec.compiler.ir import Trace
from spikec.compiler.types import Array

COUNTED = ("reads", "array_nanowatt", "word_line", "adc_conversion", "partial_sum")
DRIVEN = 32  # drivers solved at once


class Ledger:
    """Adds up over traces, which need ``spikes``.

    Attributes:
        cells: By population, how often each of ``COUNTED`` but reads happened; power in nW.
        counters: By population, reads of a tile.
    """

    def __init__(self, plan: Plan) -> None:
        """Begin with nothing counted."""
        self.plan = plan
        wires = Devices.parse("wire").wires(plan.cells)
        names = [p.name for p in plan.program.graph.populations]
        self.cells = {n: dict.fromkeys(COUNTED[1:], 0) for n in names}
        self.counters = {n: {"reads": 0} for n in names}
        self.watts = {n: 0.0 for n in names}
        self.inside = {
            id(t): drivers(plan.cells.conductance(t.level), *wires)
            for s in plan.stored
            for t in s.tiles
        }

    def add(self, trace: Trace) -> None:
        """Count a run."""
        sent = {**trace.inputs, **trace.spikes}
        with one_thread():
            for stored in self.plan.stored:
                data = sent[stored.projection.source]
                flat = data.reshape(data.shape[0] * data.shape[1], -1)
                for _, x in bits(flat, stored.planes):
                    for held in stored.held:
                        self._add(stored, held, x)
        for name, watts in self.watts.items():
            self.cells[name]["array_nanowatt"] = round(1e9 * watts)

    def _add(self, stored: Stored, held: Held, x: Array) -> None:
        """Count the reads of a matrix for inputs (reads, size)."""
        busy = x[x.any(axis=1)]
        padded = np.concatenate([busy, np.zeros((len(busy), 1))], axis=1)
        step = max(1, GATHERED // max(held.matrix.gather.size, 1))
        for first in range(0, len(padded), step):
            shown = padded[first : first + step][:, held.matrix.gather]
            shown = shown.reshape(-1, shown.shape[2])
            rows = shown[shown.any(axis=1)]
            for tile in held.tiles:
                self._tile(stored, tile, rows[:, tile.first : tile.first + tile.rows])

    def _tile(self, stored: Stored, tile: Tile, x: Array) -> None:
        name = stored.projection.target
        for turn in turns(tile.rows, self.plan.chosen.parallel):
            here = x[:, turn]
            here = self.plan.cells.v_read * here[here.any(axis=1)]
            inside = self.inside[id(tile)][turn, turn]
            self.watts[name] += float(((here @ inside) * here).sum())
            # Currents that are added before the converter share it: the first tile counts it.
            shared = self.plan.chosen.partial == "analogue" and (tile.first or turn.start)
            converted = 0 if shared else len(here) * tile.plus.size
            self.counters[name]["reads"] += len(here)
            self.cells[name]["word_line"] += int(np.count_nonzero(here))
            self.cells[name]["adc_conversion"] += converted
            self.cells[name]["partial_sum"] += converted


def drivers(conductance: Array, word_ohm: float, bit_ohm: float) -> Array:
    """Return what each driver gives for one volt at each, siemens (rows, rows)."""
    circuit, rows = Circuit(conductance, word_ohm, bit_ohm), len(conductance)
    parts = [circuit.solve(np.eye(rows)[k : k + DRIVEN]).driver for k in range(0, rows, DRIVEN)]
    return np.concatenate(parts).T
