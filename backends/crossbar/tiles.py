"""Weights on tiles: which level every cell has, and how its columns make a sum again.

A weight w is one or more digits to the base of the number of levels L, least first (bit slices).
Differential: a digit of a positive weight lies in a cell of a ``plus`` column, that of a negative
one in the ``minus`` column beside it. Offset: the cells of ``plus`` hold the digits of w + c, and
one ``minus`` column for each slice holds those of c in every row. Either way

    sum_i x_i w_i = sum_s L^s (column plus_s - column minus_s),

and what a cell of level 0 conducts, g_min, cancels in the difference.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from spikec.backends.crossbar.matrices import Matrix
from spikec.compiler.passes.tiles import Tiles
from spikec.compiler.target import Target
from spikec.compiler.types import Array


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of a target.

    Attributes:
        levels: Conductances that a cell can have, equally far apart.
        g_min: Of level 0, siemens.
        g_max: Of the highest level.
        v_read: Of a spike, volt.
        wire_ohm: Of a segment of a word or bit line.
    """

    levels: int
    g_min: float
    g_max: float
    v_read: float
    wire_ohm: float

    @staticmethod
    def of(target: Target, chosen: Tiles) -> "Cells":
        """Return those of a target, with the levels and the window that were chosen."""
        held = {name: quantity.value for name, quantity in target.array.items()}
        levels = chosen.levels or int(held["levels"])
        low = chosen.g_min / 1e6 or held["g_min"]
        high = chosen.g_max / 1e6 or held["g_max"]
        return Cells(levels, low, high, held["v_read"], held["wire_ohm"])

    @property
    def step(self) -> float:
        """Siemens from one level to the next."""
        return (self.g_max - self.g_min) / (self.levels - 1)

    def conductance(self, level: Array) -> Array:
        """Return G = g_min + level (g_max - g_min) / (L - 1), siemens."""
        return self.g_min + level * self.step

    def side(self, loss: float, mean: float) -> int:
        """Return the largest N so that an N x N tile of a mean conductance loses so much at most.

        alpha = r G N^2 and loss = (2 alpha / 3) / (1 + 2 alpha / 3), so that
        N <= sqrt(1.5 e / ((1 - e) r G)): crossbar.md 4.4, for all rows at once, within 0.025.
        """
        return max(1, int(sqrt(1.5 * loss / ((1 - loss) * self.wire_ohm * mean))))

    def predicted(self, rows: int, columns: int, mean: float) -> float:
        """Return the loss by the same rule; a tile that is not square counts as one of its area."""
        linear = 2 * self.wire_ohm * mean * rows * columns / 3
        return linear / (1 + linear)


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One array.

    Attributes:
        first: First row of the matrix that it holds.
        start: First output of the matrix that it holds.
        level: Of every cell, (rows, columns).
        plus: Column of every slice and output, (slices, outputs).
        minus: The column that is taken away from it, the same shape.
    """

    first: int
    start: int
    level: Array
    plus: Array
    minus: Array

    @property
    def rows(self) -> int:
        """Word lines in use."""
        return len(self.level)

    @property
    def columns(self) -> int:
        """Bit lines in use."""
        return len(self.level[0])

    @property
    def outputs(self) -> int:
        """Sums it makes."""
        return len(self.plus[0])


@dataclass(frozen=True, slots=True)
class Layout:
    """How matrices are cut into tiles.

    Attributes:
        rows: Of a tile, at most.
        columns: Of a tile, at most.
        base: Levels of a cell.
        slices: Cells of a weight, one after the other.
        offset: The constant of the offset encoding; None: differential.
    """

    rows: int
    columns: int
    base: int
    slices: int
    offset: int | None

    @property
    def outputs(self) -> int:
        """Sums that a tile makes, at most; 0 where not even one fits."""
        if self.offset is None:
            return self.columns // (2 * self.slices)
        return max(0, self.columns // self.slices - 1)

    def tiles(self, matrix: Matrix) -> list[Tile]:
        """Return the tiles of a matrix, columns of tiles together."""
        rows, outputs = matrix.weight.shape
        return [
            self._tile(matrix.weight[i : i + self.rows, k : k + self.outputs], i, k)
            for k in range(0, outputs, self.outputs)
            for i in range(0, rows, self.rows)
        ]

    def _tile(self, weight: Array, first: int, start: int) -> Tile:
        if self.offset is None:
            return self._differential(weight, first, start)
        return self._offset(weight, self.offset, first, start)

    def _differential(self, weight: Array, first: int, start: int) -> Tile:
        """Pairs stand side by side, so that their wires lose about the same."""
        rows, outputs = weight.shape
        pairs = np.stack([self._digits(np.maximum(s * weight, 0)) for s in (1, -1)], axis=-1)
        # (slices, rows, outputs, 2) to (rows, outputs, slices, 2)
        level = pairs.transpose(1, 2, 0, 3).reshape(rows, -1)
        at = 2 * (count(outputs) * self.slices + count(self.slices)[:, None])
        return Tile(first, start, level, at, at + 1)

    def _offset(self, weight: Array, offset: int, first: int, start: int) -> Tile:
        """The columns that are taken away stand in the middle, nearest to all."""
        rows, outputs = weight.shape
        middle = outputs // 2
        shifted = np.insert(weight + offset, middle, offset, axis=1)
        level = self._digits(shifted).transpose(1, 2, 0).reshape(rows, -1)
        slices = count(self.slices)[:, None]
        plus = np.delete(count(outputs + 1), middle) * self.slices + slices
        minus = np.broadcast_to(middle * self.slices + slices, plus.shape)
        return Tile(first, start, level, plus, minus)

    def _digits(self, number: Array) -> Array:
        """Return the digits of numbers of 0 or more, (slices, ...), least first."""
        powers = self.base ** count(self.slices)
        digit = number[None] // powers.reshape(-1, *[1] * number.ndim) % self.base
        return np.asarray(digit, dtype=np.uint8)


def count(number: int) -> Array:
    """Return 0 to ``number`` - 1."""
    return np.arange(number, dtype=np.int64)


def slices(largest: int, base: int) -> int:
    """Return how many digits to a base hold the numbers from 0 to the largest."""
    digits = 1
    while base**digits <= largest:
        digits += 1
    return digits
