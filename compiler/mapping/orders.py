"""Orders of cores in which neighbours talk to each other, and of tiles in which they are near."""

from typing import Any

import numpy as np

from spikec.compiler.types import Array
from spikec.compiler.untyped import csgraph, linalg
from spikec.compiler.untyped import sparse as sp

DENSE = 300  # cores, up to which all eigenvectors are computed
TOLERANCE, RESTARTS = 1e-3, 60


def spectral_order(traffic: Any) -> tuple[Array, Array]:
    """Return two orders of the cores: along and across, by the second and third eigenvector.

    Connected parts come one after the other in both.

    Args:
        traffic: Symmetric csr (cores, cores) without a diagonal, messages per step.
    """
    found = csgraph.connected_components(traffic, directed=False)
    parts: int = found[0]
    label: Array = found[1]
    members = np.argsort(label, kind="stable")
    cuts: Array = np.searchsorted(label[members], np.arange(1, parts))
    pieces = [_by_eigenvectors(traffic, part) for part in np.split(members, cuts)]
    along, across = (np.concatenate(axis).astype(np.int64) for axis in zip(*pieces, strict=True))
    return along, across


def breadth_order(traffic: Any) -> Array:
    """Return the cores in reverse Cuthill-McKee order, for long thin networks."""
    found: Array = csgraph.reverse_cuthill_mckee(traffic.tocsr(), symmetric_mode=True)
    return found.astype(np.int64)


def _by_eigenvectors(traffic: Any, part: Array) -> tuple[Array, Array]:
    """Return a connected part in the orders of two eigenvectors, or as it was."""
    if part.size < 4:
        return part, part
    inside = traffic[part][:, part]
    root = np.sqrt(np.asarray(inside.sum(axis=1), dtype=np.float64).ravel())
    scaled = sp.diags_array(1 / root) @ inside @ sp.diags_array(1 / root)
    if part.size <= DENSE:
        vectors = np.linalg.eigh(scaled.toarray())[1][:, -3:]
    else:
        found = _largest(scaled.tocsr())
        if found is None:
            return part, part
        vectors = found
    orders = np.argsort(vectors / root[:, None], axis=0, kind="stable")
    return part[orders[:, 1]], part[orders[:, 0]]


def _largest(scaled: Any) -> Array | None:
    """Return the eigenvectors of the three largest eigenvalues, or None if not found soon.

    Regular networks have few distinct eigenvalues, on which ARPACK stops early and goes on with a
    random vector; a small diagonal, always the same, sets them apart.
    """
    random = np.random.default_rng(0)
    size = scaled.shape[0]
    apart = scaled + sp.diags_array(1e-4 * random.random(size))
    try:
        values, vectors = linalg.eigsh(
            apart, 3, which="LA", v0=random.random(size), tol=TOLERANCE, maxiter=RESTARTS
        )
    except linalg.ArpackNoConvergence:
        return None
    return np.asarray(vectors[:, np.argsort(values)])


def hilbert_order(width: int, height: int) -> Array:
    """Return the cells of a grid along a Hilbert curve, (width * height, 2): column, row.

    The curve is that of the smallest square of a power of two; where it leaves the grid, it jumps.
    On 8 x 4 it does not.
    """
    side = 1
    while side < max(width, height):
        side *= 2
    step = np.arange(side * side, dtype=np.int64)
    x, y = np.zeros_like(step), np.zeros_like(step)
    scale, rest = 1, step.copy()
    while scale < side:
        right = (rest // 2) & 1
        up = (rest ^ right) & 1
        mirrored = (up == 0) & (right == 1)
        x, y = np.where(mirrored, scale - 1 - x, x), np.where(mirrored, scale - 1 - y, y)
        x, y = np.where(up == 0, y, x), np.where(up == 0, x, y)
        x, y = x + scale * right, y + scale * up
        rest, scale = rest // 4, scale * 2
    # The first half of the curve covers half of the square: let it lie along the longer side.
    cells = np.column_stack((y, x) if width >= height else (x, y))
    inside = (cells[:, 0] < width) & (cells[:, 1] < height)
    return np.asarray(cells[inside])
