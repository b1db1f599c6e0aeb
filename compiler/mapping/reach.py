"""Which core each source reaches, and with how many synapses, without unrolling a convolution."""

from typing import Any

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.ir import Projection
from spikec.compiler.synapses import AllButSelf, Conv2d, Dense, Pool2d, Synapse
from spikec.compiler.types import Array
from spikec.compiler.untyped import sparse as sp


def reach(projection: Projection, seats: Array, cores: int) -> Any:
    """Return how many stored synapses each source has in each core, sparse (sources, cores).

    Args:
        projection: Its synapses of weight zero count too, as they are stored.
        seats: Core of each target neuron; one of -1 sits nowhere.
        cores: How many there are.
    """
    synapse = projection.synapse
    held = np.bincount(seats[seats >= 0], minlength=cores)
    if projection.storage == "dense" or isinstance(synapse, Dense):
        return sp.csr_array(np.broadcast_to(held.astype(np.int32), (synapse.in_size, cores)))
    if isinstance(synapse, AllButSelf):
        counts = np.tile(held.astype(np.int32), (synapse.size, 1))
        seated = np.flatnonzero(seats >= 0)
        counts[seated, seats[seated]] -= 1
        return sp.csr_array(counts)
    synapse = synapse.plain()
    order, starts = by_core(seats, cores)
    if isinstance(synapse, Conv2d | Pool2d):
        found = _windows(*_geometry(synapse), order, starts, synapse.in_size)
    else:
        indptr, indices = _rows(synapse)
        found = _listed(indptr, indices, order, starts, synapse.in_size)
    pointers, sources, counts = found
    shape = (synapse.in_size, cores)
    return sp.csc_array((counts, sources, pointers), shape=shape).tocsr()


def by_core(seats: Array, cores: int) -> tuple[Array, Array]:
    """Return the neurons core by core, and where those of each core begin."""
    order = np.argsort(seats, kind="stable").astype(np.int32)
    starts = np.searchsorted(seats[order], np.arange(cores + 1))
    return order, starts.astype(np.int64)


def _rows(synapse: Synapse) -> tuple[Array, Array]:
    """Return the sources of each target in compressed rows."""
    listed = synapse.listed()
    if listed is not None:
        return listed.indptr, listed.indices
    matrix = synapse.to_sparse().tocsr()
    return matrix.indptr, matrix.indices


def _geometry(synapse: Conv2d | Pool2d) -> tuple[Array, Array]:
    """Return in and out shape, and per axis stride, padding, dilation; channels each one sees."""
    if isinstance(synapse, Conv2d):
        out, seen, k0, k1 = synapse.weight.shape
        groups, dilation = synapse.groups, synapse.dilation
    else:
        out, seen, (k0, k1) = synapse.in_shape[0], 1, synapse.kernel
        groups, dilation = out, (1, 1)
    shapes = [*synapse.in_shape, *synapse.out_shape]
    steps = [*synapse.stride, *synapse.padding, *dilation]
    return np.array(shapes, np.int64), np.array([seen, k0, k1, out // groups, *steps], np.int64)


@compiled
def _listed(
    indptr: Array, indices: Array, order: Array, starts: Array, sources: int
) -> tuple[Array, Array, Array]:
    counts = np.zeros(sources, np.int32)
    touched = np.empty(sources, np.int32)
    pointers = np.zeros(starts.size, np.int64)
    which = np.empty(1024, np.int32)
    many = np.empty(1024, np.int32)
    at = 0
    for core in range(starts.size - 1):
        found = 0
        for k in range(starts[core], starts[core + 1]):
            for j in range(indptr[order[k]], indptr[order[k] + 1]):
                source = indices[j]
                if counts[source] == 0:
                    touched[found] = source
                    found += 1
                counts[source] += 1
        which, many = _room(which, many, at + found)
        at = _collect(counts, touched, found, which, many, at)
        pointers[core + 1] = at
    return pointers, which[:at], many[:at]


@compiled
def _windows(
    shapes: Array, steps: Array, order: Array, starts: Array, sources: int
) -> tuple[Array, Array, Array]:
    _, n0, n1, _, m0, m1 = shapes
    seen, k0, k1, share, s0, s1, p0, p1, d0, d1 = steps
    counts = np.zeros(sources, np.int32)
    touched = np.empty(sources, np.int32)
    pointers = np.zeros(starts.size, np.int64)
    which = np.empty(1024, np.int32)
    many = np.empty(1024, np.int32)
    at = 0
    for core in range(starts.size - 1):
        found = 0
        for k in range(starts[core], starts[core + 1]):
            out, place = divmod(order[k], m0 * m1)
            y, x = divmod(place, m1)
            first = out // share * seen
            for c in range(first, first + seen):
                for a in range(k0):
                    row = y * s0 + a * d0 - p0
                    if row < 0 or row >= n0:
                        continue
                    for b in range(k1):
                        column = x * s1 + b * d1 - p1
                        if column < 0 or column >= n1:
                            continue
                        source = (c * n0 + row) * n1 + column
                        if counts[source] == 0:
                            touched[found] = source
                            found += 1
                        counts[source] += 1
        which, many = _room(which, many, at + found)
        at = _collect(counts, touched, found, which, many, at)
        pointers[core + 1] = at
    return pointers, which[:at], many[:at]


@compiled
def _room(which: Array, many: Array, needed: int) -> tuple[Array, Array]:
    if needed <= which.size:
        return which, many
    size = max(needed, 2 * which.size)
    wider = np.empty(size, np.int32)
    wider[: which.size] = which
    more = np.empty(size, np.int32)
    more[: many.size] = many
    return wider, more


@compiled
def _collect(counts: Array, touched: Array, found: int, which: Array, many: Array, at: int) -> int:
    """Move the counts of a core to their lists, in order of the sources, and clear them."""
    touched[:found].sort()
    for k in range(found):
        which[at] = touched[k]
        many[at] = counts[touched[k]]
        counts[touched[k]] = 0
        at += 1
    return at
