"""Outputs of arrays that change with every read: gated rows, or noise in every conductance.

A factorisation would serve one read only. Without it: the voltages of the word lines are
eliminated, line by line, which leaves a system S for those of the bit lines,

    S = B - D W^-1 D,    W, B: word and bit lines with their cells, D: conductances,

solved by conjugate gradients with the bit lines B as preconditioner. Both W and B are one
tridiagonal system for each line (Thomas), so an iteration takes O(m n). Alternating line sweeps, as
others use, are the same iteration without the conjugation, so they need more (crossbar.md 4.3).
"""

# An element of an array is a number in compiled code; the type checker sees an array.
# pyright: reportArgumentType=false, reportReturnType=false

from dataclasses import dataclass

import numpy as np

from spikec.backends.crossbar.circuit import checked, voltages
from spikec.compiler.compiled import compiled
from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array

MOST = 500  # iterations


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What reads gave.

    Attributes:
        output: Current out of every bit line, ampere (p, n).
        iterations: Of every read, int64 (p,).
        residual: Of every read, relative to its right-hand side in the norm of the preconditioner.
    """

    output: Array
    iterations: Array
    residual: Array


def read(
    conductance: Array,
    voltage: Array,
    word_ohm: float,
    bit_ohm: float,
    gate: Array | None = None,
    noise: Array | None = None,
    tolerance: float = 1e-10,
) -> Reading:
    """Return the outputs of reads, each with an array of its own.

    Args:
        conductance: Of every cell, siemens (m, n).
        voltage: Of every row, volt (p, m).
        word_ohm: Of a segment of a word line, more than 0.
        bit_ohm: Of a segment of a bit line, more than 0.
        gate: Which rows conduct in a read, bool (p, m); all if not given.
        noise: Added to the conductances in a read, siemens (p, m, n); sums below 0 are 0.
        tolerance: Residual at which a read has converged.

    Raises:
        SpikecError: SPK2104 for wires without resistance, SPK2105 when a read does not converge;
            as ``circuit.checked`` and ``circuit.voltages``.
    """
    g = checked(conductance, word_ohm, bit_ohm)
    v = voltages(voltage, len(g))
    if not word_ohm or not bit_ohm:
        raise SpikecError(
            "SPK2104", "wires", "one has no resistance", "Use Circuit, which is exact and fast then"
        )
    output = np.empty((len(v), g.shape[1]))
    iterations = np.empty(len(v), np.int64)
    residual = np.empty(len(v))
    for k in range(len(v)):
        now = g if noise is None else np.maximum(g + noise[k], 0.0)
        if gate is not None:
            now = now * np.asarray(gate[k], dtype=np.float64)[:, None]
        iterations[k], residual[k] = _read(
            now, v[k], 1 / word_ohm, 1 / bit_ohm, tolerance, MOST, output[k]
        )
        if not residual[k] <= tolerance:
            raise SpikecError(
                "SPK2105",
                f"read {k}",
                f"its residual is {residual[k]:.3g} after {MOST} iterations",
                f"Allow more than {tolerance:g}, or use Circuit",
            )
    return Reading(output, iterations, residual)


@compiled
def _pivots(g: Array, gw: float, gb: float) -> tuple[Array, Array]:
    """Return the reciprocal pivots of all word lines and of all bit lines, (m, n) each."""
    m, n = g.shape
    word, bit = np.empty((m, n)), np.empty((m, n))
    for i in range(m):
        for j in range(n):
            pivot = g[i, j] + (2 * gw if j < n - 1 else gw)
            word[i, j] = 1 / (pivot - (gw * gw * word[i, j - 1] if j > 0 else 0.0))
    for i in range(m):
        for j in range(n):
            pivot = g[i, j] + (2 * gb if i > 0 else gb)
            bit[i, j] = 1 / (pivot - (gb * gb * bit[i - 1, j] if i > 0 else 0.0))
    return word, bit


@compiled
def _words(x: Array, pivot: Array, gw: float) -> None:
    """Solve all word lines in place."""
    m, n = x.shape
    for i in range(m):
        for j in range(1, n):
            x[i, j] += gw * pivot[i, j - 1] * x[i, j - 1]
        x[i, n - 1] *= pivot[i, n - 1]
        for j in range(n - 2, -1, -1):
            x[i, j] = (x[i, j] + gw * x[i, j + 1]) * pivot[i, j]


@compiled
def _bits(x: Array, pivot: Array, gb: float) -> None:
    """Solve all bit lines in place."""
    m, n = x.shape
    for i in range(1, m):
        for j in range(n):
            x[i, j] += gb * pivot[i - 1, j] * x[i - 1, j]
    for j in range(n):
        x[m - 1, j] *= pivot[m - 1, j]
    for i in range(m - 2, -1, -1):
        for j in range(n):
            x[i, j] = (x[i, j] + gb * x[i + 1, j]) * pivot[i, j]


@compiled
def _times(g: Array, x: Array, pivot: Array, gw: float, gb: float, out: Array, work: Array) -> None:
    """Put S x into ``out``."""
    m, n = x.shape
    for i in range(m):
        for j in range(n):
            work[i, j] = g[i, j] * x[i, j]
    _words(work, pivot, gw)
    for i in range(m):
        for j in range(n):
            value = (g[i, j] + (2 * gb if i > 0 else gb)) * x[i, j] - g[i, j] * work[i, j]
            if i > 0:
                value -= gb * x[i - 1, j]
            if i < m - 1:
                value -= gb * x[i + 1, j]
            out[i, j] = value


@compiled
def _read(
    g: Array, v: Array, gw: float, gb: float, tolerance: float, most: int, output: Array
) -> tuple[int, float]:
    """Put the currents of one read into ``output``; return iterations and residual."""
    m, n = g.shape
    word, bit = _pivots(g, gw, gb)
    r = np.zeros((m, n))
    r[:, 0] = gw * v
    _words(r, word, gw)
    r *= g
    x, work, product = np.zeros((m, n)), np.empty((m, n)), np.empty((m, n))
    z = r.copy()
    _bits(z, bit, gb)
    p = z.copy()
    first = (r * z).sum()
    now, done = first, 0
    while now > tolerance * tolerance * first and done < most:
        _times(g, p, word, gw, gb, product, work)
        step = now / (p * product).sum()
        x += step * p
        r -= step * product
        z[:] = r
        _bits(z, bit, gb)
        before, now = now, (r * z).sum()
        p *= now / before
        p += z
        done += 1
    output[:] = x[m - 1] * gb
    return done, (max(now, 0.0) / first) ** 0.5 if first > 0 else 0.0
