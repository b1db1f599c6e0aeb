"""Orders of cores in which neighbours talk to each other, and of tiles in which they are near."""

from typing import Any

import numpy as np

from spikec.compiler.types import Array
from spikec.compiler.untyped import csgraph, linalg
from spikec.compiler.untyped import sparse as sp

DENSE = 300  # cores, up to which all eigenvectors are computed
TOLERANCE, RESTARTS = 1e-3, 60


def spectral_order(traffic: Any) -> Array:
    """Return the cores in the order of the Fiedler vector, one connected part after the other.

    Args:
        traffic: Symmetric csr (cores, cores) without a diagonal, messages per step.
    """
    parts, label = csgraph.connected_components(traffic, directed=False)
    members = np.argsort(label, kind="stable")
    cuts = np.searchsorted(label[members], np.arange(1, parts))
    pieces = [_by_fiedler(traffic, part) for part in np.split(members, cuts)]
    return np.concatenate(pieces).astype(np.int64)


def breadth_order(traffic: Any) -> Array:
    """Return the cores in reverse Cuthill-McKee order, for long thin networks."""
    found: Array = csgraph.reverse_cuthill_mckee(traffic.tocsr(), symmetric_mode=True)
    return found.astype(np.int64)


def _by_fiedler(traffic: Any, part: Array) -> Array:
    """Return a connected part in the order of the second eigenvector, or as it was."""
    if part.size < 3:
        return part
    inside = traffic[part][:, part]
    root = np.sqrt(np.asarray(inside.sum(axis=1), dtype=np.float64).ravel())
    scaled = sp.diags_array(1 / root) @ inside @ sp.diags_array(1 / root)
    if part.size <= DENSE:
        vector = np.linalg.eigh(scaled.toarray())[1][:, -2]
    else:
        found = _second(scaled.tocsr())
        if found is None:
            return part
        vector = found
    return part[np.argsort(vector / root, kind="stable")]


def _second(scaled: Any) -> Array | None:
    """Return the eigenvector of the second largest eigenvalue, or None if it is not found soon.

    Regular networks have few distinct eigenvalues, on which ARPACK stops early and goes on with a
    random vector; a small diagonal, always the same, sets them apart.
    """
    random = np.random.default_rng(0)
    size = scaled.shape[0]
    apart = scaled + sp.diags_array(1e-4 * random.random(size))
    try:
        _, vectors = linalg.eigsh(
            apart, 2, which="LA", v0=random.random(size), tol=TOLERANCE, maxiter=RESTARTS
        )
    except linalg.ArpackNoConvergence:
        return None
    return np.asarray(vectors[:, 0])


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
