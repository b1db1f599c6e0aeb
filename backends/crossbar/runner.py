"""Whole networks with their tiles in the loop: sums are currents, neurons are digital.

A read gives the currents of all columns of a tile. Column minus column, over volts and siemens of
a level, is a number of levels, which a converter makes a whole one; slices are shifted, tiles and
bits added up. Biases and neurons are the integers of the reference.

Of ideal cells that is the integer sum bit for bit: a conductance, a product and a sum in double
precision are off by parts of 2^-53, which for every tile that ``plan`` allows is less than a
quarter of a level, so that rounding gives the whole number that the currents stand for.
"""

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from spikec.backends.crossbar.arrays import Converters, DeviceTile, Estimates, Method
from spikec.backends.crossbar.devices import Devices
from spikec.backends.crossbar.plan import Held, Plan, Stored, bits, turns
from spikec.backends.crossbar.threads import one_thread
from spikec.backends.crossbar.tiles import Tile
from spikec.backends.reference import Interpreter
from spikec.compiler.ir import Projection, Trace
from spikec.compiler.types import Array

CALIBRATED = 16  # samples of the first run, for the ranges of converters
GATHERED = 1 << 22  # numbers that are copied out of a signal at once


class TileRunner(Interpreter):
    """A program on tiles, ready to be run many times.

    Args:
        plan: The program on tiles.
        devices: What is not ideal.
        seed: Of everything that is drawn. The noise of reads begins anew with every run.
        where: Numbers of the projections that are not ideal; all if None.
        estimates: Those of runners with other seeds, which need not be made again.
    """

    def __init__(
        self,
        plan: Plan,
        devices: Devices | None = None,
        seed: int = 0,
        where: Collection[int] | None = None,
        estimates: Estimates | None = None,
    ) -> None:
        """Draw the devices and make the arrays ready."""
        super().__init__(plan.program)
        self.plan, self.devices, self.seed = plan, devices or Devices(), seed
        here = [
            self.devices if where is None or k in where else Devices()
            for k in range(len(plan.stored))
        ]
        self.calibrated = False
        known: Estimates = {} if estimates is None else estimates
        self.arrays = [Arrays(s, plan, here[k], seed, k, known) for k, s in enumerate(plan.stored)]
        self.number = {id(p): k for k, p in enumerate(self.projections)}

    @property
    def methods(self) -> list[Method]:
        """How every tile is read."""
        return [t.method for a in self.arrays for t in a.tiles.values()]

    def remarks(self) -> tuple[str, ...]:
        """Return lines on how the tiles are read, and on what the last run did to converters."""
        names = [m.name for m in self.methods]
        errors = {n: max(m.error for m in self.methods if m.name == n) for n in set(names)}
        ways = ", ".join(f"{names.count(n)} by {n} (error {errors[n]:.2g})" for n in sorted(errors))
        lines = [f"devices  {self.devices or 'ideal'}, seed {self.seed}", f"tiles  {ways}"]
        made = [c for a in self.arrays for c in a.converters.values()]
        if "adc" in self.devices.on:
            part = sum(c.clipped for c in made) / max(sum(c.conversions for c in made), 1)
            lines.append(f"converters  {100 * part:.3g} % of conversions clipped in the last batch")
        return tuple(lines)

    def run(self, inputs: Mapping[str, Array], record: Collection[str] = ()) -> Trace:
        """Run a batch; see ``Runner``."""
        with one_thread():
            if not self.calibrated:
                self._calibrate({n: a[:CALIBRATED] for n, a in inputs.items()})
            for arrays in self.arrays:
                arrays.restart()
            return super().run(inputs, record)

    def _calibrate(self, inputs: Mapping[str, Array]) -> None:
        """Set the ranges of the converters by what they are to convert."""
        made = [c for a in self.arrays for c in a.converters.values()]
        asked = [c for c in made if c.adc is not None and c.adc.percentile]
        for converter in asked:
            converter.watch()
        if asked:
            super().run(inputs)
        for converter in asked:
            converter.calibrate()
        self.calibrated = True

    def product(self, projection: Projection, sent: Array) -> Array:
        """Return W x as the tiles of the projection give it."""
        return self.arrays[self.number[id(projection)]].product(sent)


class Arrays:
    """The tiles of one projection.

    Attributes:
        stored: What lies on them.
        tiles: Their devices.
    """

    def __init__(
        self,
        stored: Stored,
        plan: Plan,
        devices: Devices,
        seed: int,
        number: int,
        estimates: Estimates,
    ) -> None:
        """Draw the devices of all tiles."""
        self.stored, self.plan = stored, plan
        self.tiles = {
            id(t): DeviceTile(t, stored, plan, devices, seed, (number, k), estimates)
            for k, t in enumerate(stored.tiles)
        }
        together = [g for h in stored.held for g in _beside(h.tiles)]
        if plan.chosen.partial != "analogue":
            together = [[t] for t in stored.tiles]
        self.converters = {
            id(g[0]): Converters(g, stored.largest, devices, seed, (number, k))
            for k, g in enumerate(together)
        }

    def restart(self) -> None:
        """Begin with all noise anew."""
        for tile in self.tiles.values():
            tile.restart()
        for converter in self.converters.values():
            converter.restart()

    def product(self, sent: Array) -> Array:
        """Return W x, (samples, out), of x (samples, in)."""
        found = np.zeros((len(sent), self.stored.projection.synapse.out_size), np.int64)
        for weight, x in bits(sent, self.stored.planes):
            if x.any():
                padded = np.concatenate([x, np.zeros((len(x), 1))], axis=1)
                for held in self.stored.held:
                    self._add(held, padded, weight, found)
        return found

    def _add(self, held: Held, padded: Array, weight: int, found: Array) -> None:
        """Add what a matrix gives for one bit of the inputs, ``padded`` by a zero at the end."""
        matrix = held.matrix
        step = max(1, GATHERED // max(matrix.gather.size, 1))
        for first in range(0, len(padded), step):
            some = slice(first, first + step)
            shown = padded[some][:, matrix.gather]
            sample, place = np.nonzero(shown.any(axis=2))
            if sample.size:
                sums = self._read(held, shown[sample, place])
                found[first + sample[:, None], matrix.scatter[place]] += weight * sums

    def _read(self, held: Held, x: Array) -> Array:
        """Return the sums of reads with inputs (reads, rows): (reads, outputs)."""
        found = np.zeros((len(x), held.matrix.weight.shape[1]), np.int64)
        slices = self.stored.layout.slices
        powers = self.stored.layout.base ** np.arange(slices, dtype=np.int64)
        for tiles in _beside(held.tiles):
            start, outputs = tiles[0].start, tiles[0].outputs
            turns_of = [(t, list(self._turns(t, x))) for t in tiles]
            if self.plan.chosen.partial == "analogue":
                together = np.sum([levels for _, made in turns_of for levels in made], axis=0)
                whole = self.converters[id(tiles[0])](together)
            else:
                convert = self.converters
                parts = [convert[id(t)](levels) for t, made in turns_of for levels in made]
                whole = np.sum(parts, axis=0)
            by_slice = whole.reshape(len(x), slices, outputs)
            found[:, start : start + outputs] = (powers[:, None] * by_slice).sum(axis=1)
        return found

    def _turns(self, tile: Tile, x: Array) -> Iterator[Array]:
        """Return the differences of currents in levels, (reads, slices * outputs), turn by turn."""
        cells = self.plan.cells
        for turn in turns(tile.rows, self.plan.chosen.parallel):
            here = cells.v_read * x[:, tile.first + turn.start : tile.first + turn.stop]
            yield self.tiles[id(tile)].currents(here, turn) / (cells.v_read * cells.step)


def _beside(tiles: list[Tile]) -> Iterator[list[Tile]]:
    """Return the tiles of the same outputs together."""
    for start in dict.fromkeys(t.start for t in tiles):
        yield [t for t in tiles if t.start == start]
