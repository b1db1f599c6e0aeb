"""Whole networks with their tiles in the loop: sums are currents, neurons are digital.

A read gives the currents of all columns of a tile. Column minus column, over volts and siemens of a
level, is a number of levels, rounded to a whole one; slices are shifted, tiles and bits added up.
Biases and neurons are the integers of the reference.

Of ideal cells that is the integer sum bit for bit: a conductance, a product and a sum in double
precision are off by parts of 2^-53, which for every tile that ``plan`` allows is less than a
quarter of a level, so that rounding gives the whole number that the currents stand for.
"""

from collections.abc import Iterator

import numpy as np

from spikec.backends.crossbar.plan import Held, Plan, Stored, bits, turns
from spikec.backends.crossbar.tiles import Cells, Tile
from spikec.backends.reference import Interpreter
from spikec.compiler.ir import Projection
from spikec.compiler.types import Array

GATHERED = 1 << 22  # numbers that are copied out of a signal at once


class TileRunner(Interpreter):
    """A program on tiles, ready to be run many times."""

    def __init__(self, plan: Plan) -> None:
        """Make the arrays ready."""
        super().__init__(plan.program)
        self.plan = plan
        self.arrays = {str(k): Arrays(s, plan) for k, s in enumerate(plan.stored)}
        self.number = {id(p): str(k) for k, p in enumerate(self.projections)}

    def product(self, projection: Projection, sent: Array) -> Array:
        """Return W x as the tiles of the projection give it."""
        return self.arrays[self.number[id(projection)]].product(sent)


class Arrays:
    """The tiles of one projection.

    Attributes:
        stored: What lies on them.
        maps: Of every tile, siemens of each sum: (rows, slices * outputs).
    """

    def __init__(self, stored: Stored, plan: Plan) -> None:
        """Keep what the columns of every tile give together."""
        self.stored, self.plan = stored, plan
        self.maps = {id(t): difference(plan.cells.conductance(t.level), t) for t in stored.tiles}

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
            sample, read = np.nonzero(shown.any(axis=2))
            sums = self._read(held, shown[sample, read])
            found[first + sample[:, None], matrix.scatter[read]] += weight * sums

    def _read(self, held: Held, x: Array) -> Array:
        """Return the sums of reads with inputs (reads, rows): (reads, outputs)."""
        found = np.zeros((len(x), held.matrix.weight.shape[1]), np.int64)
        slices = self.stored.layout.slices
        for tiles in _beside(held.tiles):
            start, outputs = tiles[0].start, tiles[0].outputs
            levels = np.zeros((len(x), slices * outputs))
            whole = np.zeros(levels.shape, np.int64)
            for tile in tiles:
                for turn in turns(tile.rows, self.plan.chosen.parallel):
                    here = x[:, tile.first + turn.start : tile.first + turn.stop]
                    got = self._levels(tile, turn, here)
                    if self.plan.chosen.partial == "analogue":
                        levels += got
                    else:
                        whole += rounded(got)
            whole += rounded(levels)
            by_slice = whole.reshape(len(x), slices, outputs)
            powers = self.stored.layout.base ** np.arange(slices, dtype=np.int64)
            found[:, start : start + outputs] = (powers[:, None] * by_slice).sum(axis=1)
        return found

    def _levels(self, tile: Tile, turn: slice, x: Array) -> Array:
        """Return the differences of currents in levels, of some rows of a tile."""
        cells: Cells = self.plan.cells
        current = (cells.v_read * x) @ self.maps[id(tile)][turn]
        return current / (cells.v_read * cells.step)


def difference(conductance: Array, tile: Tile) -> Array:
    """Return plus minus minus of every slice and output, (rows, slices * outputs)."""
    return conductance[:, tile.plus.ravel()] - conductance[:, tile.minus.ravel()]


def rounded(levels: Array) -> Array:
    """Return the nearest whole numbers."""
    return np.rint(levels).astype(np.int64)


def _beside(tiles: list[Tile]) -> Iterator[list[Tile]]:
    """Return the tiles of the same outputs together."""
    for start in dict.fromkeys(t.start for t in tiles):
        yield [t for t in tiles if t.start == start]
