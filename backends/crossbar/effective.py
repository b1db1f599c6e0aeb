"""The effective conductances of an array: what each driver alone gives at each output.

Row by row. The voltages of a word line are eliminated (one tridiagonal system), which leaves for
the bit-line nodes of row i the dense matrix S_i = D - D W^-1 D, coupled to the rows beside it by
the segments of the bit lines alone. So block elimination from the top,

    M_i = S_i + 2 g_b - g_b^2 M_{i-1}^-1,    Y_i = [g_b M_{i-1}^-1 Y_{i-1}, r_i],

with r_i = D W^-1 e_0 g_w, ends with g_b M_m^-1 Y_m: m inverses of n x n by LAPACK, in place of a
sparse factorisation and n solves. As an array turned by reciprocity is one too (crossbar.md 4.2,
6), n is the shorter side.
"""

# An element of an array is a number in compiled code; the type checker sees an array.
# pyright: reportArgumentType=false, reportReturnType=false

import numpy as np

from spikec.backends.crossbar.threads import one_thread
from spikec.compiler.compiled import compiled
from spikec.compiler.types import Array
from spikec.compiler.untyped import lapack


def effective(g: Array, word_ohm: float, bit_ohm: float) -> Array:
    """Return G_eff, siemens (m, n).

    Args:
        g: Conductances, siemens (m, n); checked.
        word_ohm: Of a segment of a word line, 0 or more.
        bit_ohm: Of a segment of a bit line, 0 or more.
    """
    if not word_ohm and not bit_ohm:
        return g.copy()
    rows, columns = g.shape
    turned = not word_ohm if not (word_ohm and bit_ohm) else columns > rows
    with one_thread():
        if turned:
            found = _upright(g.T[::-1, ::-1], bit_ohm, word_ohm)
            return np.ascontiguousarray(found.T[::-1, ::-1])
        return _upright(g, word_ohm, bit_ohm)


def _upright(g: Array, word_ohm: float, bit_ohm: float) -> Array:
    g = np.ascontiguousarray(g)
    rows, columns = g.shape
    gw = 1 / word_ohm
    schur, drive = np.empty((columns, columns)), np.empty(columns)
    if not bit_ohm:
        found = np.empty_like(g)
        for i in range(rows):
            _word(g[i], gw, schur, found[i])
        return found
    gb = 1 / bit_ohm
    inverse = np.zeros((columns, columns))
    ahead = np.empty((columns, 0))
    diagonal = np.arange(columns, dtype=np.int64)
    for i in range(rows):
        _word(g[i], gw, schur, drive)
        schur -= gb * gb * inverse
        schur[diagonal, diagonal] += gb if i == 0 else 2 * gb
        ahead = np.concatenate([gb * (inverse @ ahead), drive[:, None]], axis=1)
        inverse = _inverse(schur)
    return np.ascontiguousarray((gb * (inverse @ ahead)).T)


def _inverse(matrix: Array) -> Array:
    """Return the inverse of a symmetric positive definite matrix."""
    factor, _ = lapack.dpotrf(matrix.T, lower=1)
    lower, _ = lapack.dpotri(factor, lower=1)
    return np.asarray(np.tril(lower) + np.tril(lower, -1).T)


@compiled
def _word(g: Array, gw: float, schur: Array, drive: Array) -> None:
    """Put D - D W^-1 D of one word line into ``schur`` and D W^-1 e_0 g_w into ``drive``."""
    n = g.shape[0]
    pivot = np.empty(n)
    for j in range(n):
        value = g[j] + (2 * gw if j < n - 1 else gw)
        pivot[j] = 1 / (value - (gw * gw * pivot[j - 1] if j > 0 else 0.0))
    # W^-1 D: forward from the diagonal, then back over all columns.
    schur[:] = 0.0
    for j in range(n):
        schur[j, j] = g[j]
        if j > 0:
            for k in range(j):
                schur[j, k] = gw * pivot[j - 1] * schur[j - 1, k]
    for k in range(n):
        schur[n - 1, k] *= pivot[n - 1]
    for j in range(n - 2, -1, -1):
        for k in range(n):
            schur[j, k] = (schur[j, k] + gw * schur[j + 1, k]) * pivot[j]
    drive[:] = gw * schur[0]
    for j in range(n):
        for k in range(n):
            schur[j, k] *= -g[j]
        schur[j, j] += g[j]
