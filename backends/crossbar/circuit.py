"""Exact node voltages of a crossbar array whose wires have a resistance.

Word line i is driven at its left end through one segment, bit line j is grounded at its bottom
through one; between two cells lies one segment of each. Kirchhoff's current law at both nodes of
every cell gives a symmetric positive definite system, factored once for all inputs (SuperLU). As an
array is linear, its output is V @ G_eff; one solve for each column gives that map.

Convention and closed forms: crossbar.md sections 4.1 and 4.2, those of badcrossbar (Joksas and
Mehonic, SoftwareX 12, 2020).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from spikec.backends.crossbar.effective import effective
from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array
from spikec.compiler.untyped import linalg
from spikec.compiler.untyped import sparse as sp


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """What flows in an array, for p inputs.

    Attributes:
        output: Current out of every bit line, ampere (p, n), positive into ground.
        driver: Current out of every driver, ampere (p, m).
        word: Voltage of the node of every cell on its word line, (p, m, n).
        bit: On its bit line.
        device: Current through every cell, ampere (p, m, n).
        power: Drawn from the drivers, watt (p,).
    """

    output: Array
    driver: Array
    word: Array
    bit: Array
    device: Array
    power: Array


def checked(conductance: Array, word_ohm: float, bit_ohm: float) -> Array:
    """Return conductances as float64 (m, n).

    Raises:
        SpikecError: SPK2100 to SPK2102 for what is no array, no conductance or no resistance.
    """
    g = np.asarray(conductance, dtype=np.float64)
    if g.ndim != 2 or g.size == 0:
        raise SpikecError(
            "SPK2100", "conductance", f"its shape is {g.shape}", "Give rows and columns"
        )
    bad = ~(np.isfinite(g) & (g >= 0))
    if bad.any():
        row, column = (int(k) for k in np.argwhere(bad)[0])
        raise SpikecError(
            "SPK2101",
            f"conductance[{row}, {column}]",
            f"{g[row, column]} S is no conductance",
            "Give finite numbers of 0 or more",
        )
    for name, ohm in (("word_ohm", word_ohm), ("bit_ohm", bit_ohm)):
        if not (np.isfinite(ohm) and ohm >= 0):
            raise SpikecError(
                "SPK2102", name, f"{ohm} ohm is no resistance", "Give a finite number of 0 or more"
            )
    return g


def voltages(voltage: Array, rows: int) -> Array:
    """Return voltages as float64 (p, m).

    Raises:
        SpikecError: SPK2103 when they are not one finite number for each row.
    """
    v = np.atleast_2d(np.asarray(voltage, dtype=np.float64))
    if v.ndim != 2 or v.shape[1] != rows or not np.isfinite(v).all():
        raise SpikecError(
            "SPK2103",
            "voltage",
            f"{v.shape} numbers, all finite: {bool(np.isfinite(v).all())}",
            f"Give (inputs, {rows}) finite numbers",
        )
    return v


class Circuit:
    """An array with given conductances; ``solve`` and ``effective`` share one factorisation."""

    def __init__(self, conductance: Array, word_ohm: float, bit_ohm: float) -> None:
        """Keep the array.

        Args:
            conductance: Of every cell, siemens (m, n); 0 is an open device.
            word_ohm: Of a segment of a word line.
            bit_ohm: Of a segment of a bit line.

        Raises:
            SpikecError: As ``checked``.
        """
        self.conductance = checked(conductance, word_ohm, bit_ohm)
        self.word_ohm, self.bit_ohm = float(word_ohm), float(bit_ohm)

    @property
    def rows(self) -> int:
        """Number of word lines."""
        return len(self.conductance)

    @property
    def columns(self) -> int:
        """Number of bit lines."""
        return len(self.conductance[0])

    def effective(self) -> Array:
        """Return G_eff, siemens (m, n): with it the outputs are ``voltage @ G_eff``."""
        return effective(self.conductance, self.word_ohm, self.bit_ohm)

    def solve(self, voltage: Array) -> Solution:
        """Return what flows for inputs (p, m) in volt; an undriven row is held at 0 V.

        Raises:
            SpikecError: As ``voltages``.
        """
        v = voltages(voltage, self.rows)
        shape = (len(v), self.rows, self.columns)
        x = self._factor.solve(self._drive @ v.T).T if self._nodes else np.empty((len(v), 0))
        cells = self.rows * self.columns
        word, bit = np.broadcast_to(v[:, :, None], shape), np.zeros(shape)
        if self.word_ohm:
            word, x = x[:, :cells].reshape(shape), x[:, cells:]
        if self.bit_ohm:
            bit = x.reshape(shape)
        device = (word - bit) * self.conductance
        output = bit[:, -1] / self.bit_ohm if self.bit_ohm else device.sum(axis=1)
        driver = (v - word[:, :, 0]) / self.word_ohm if self.word_ohm else device.sum(axis=2)
        return Solution(output, driver, word, bit, device, (v * driver).sum(axis=1))

    @property
    def _nodes(self) -> int:
        """Number of unknown voltages: those of the word lines, then those of the bit lines."""
        return self.conductance.size * ((self.word_ohm > 0) + (self.bit_ohm > 0))

    @cached_property
    def _factor(self) -> Any:
        g = self.conductance
        blocks: list[Any] = []
        if self.word_ohm:
            line = _line(self.columns, self.word_ohm)
            blocks.append(sp.kron(sp.eye_array(self.rows), line) + sp.diags_array(g.ravel()))
        if self.bit_ohm:
            line = _line(self.rows, self.bit_ohm)[::-1, ::-1]
            blocks.append(sp.kron(line, sp.eye_array(self.columns)) + sp.diags_array(g.ravel()))
        matrix = blocks[0]
        if len(blocks) == 2:
            between = sp.diags_array(-g.ravel())
            matrix = sp.block_array([[blocks[0], between], [between, blocks[1]]])
        # Symmetric positive definite: the diagonal is pivot enough.
        return linalg.splu(
            matrix.tocsc(),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )

    @cached_property
    def _drive(self) -> Any:
        """Current into every node per volt at every row, csr (nodes, m)."""
        rows, columns = np.indices(self.conductance.shape).reshape(2, -1)
        if self.word_ohm:
            at, row = np.arange(self.rows) * self.columns, np.arange(self.rows)
            value = np.full(self.rows, 1 / self.word_ohm)
        else:
            at, row, value = rows * self.columns + columns, rows, self.conductance.ravel()
        return sp.csr_array((value, (at, row)), shape=(self._nodes, self.rows))


def _line(length: int, ohm: float) -> Any:
    """Return the conductances of a line of nodes with a segment before the first, open behind."""
    diagonal = np.full(length, 2.0)
    diagonal[-1] = 1.0
    beside = np.full(length - 1, -1.0)
    return sp.diags_array([beside, diagonal, beside], offsets=[-1, 0, 1]).tocsr() / ohm
