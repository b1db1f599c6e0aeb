"""Event-driven delivery: every spike or value that a source sends adds one column of W.

One compiled loop per synapse kind. ``index[b, :count[b]]`` lists the sources of sample b that sent
something in this step, in ascending order, ``value[b, source]`` what they sent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikec.backends.cpu.compiled import compiled
from spikec.compiler.errors import SpikecError
from spikec.compiler.synapses import Conv2d, Dense, OneToOne, Pool2d, Sparse, Synapse
from spikec.compiler.types import Array


@compiled
def list_events(value: Array, index: Array, count: Array) -> None:
    """List the sources that sent something."""
    for b in range(value.shape[0]):
        m = 0
        for j in range(value.shape[1]):
            if value[b, j] != 0:
                index[b, m] = j
                m += 1
        count[b] = m


@compiled
def deliver_dense(index: Array, count: Array, value: Array, total: Array, columns: Array) -> None:
    """Add W[:, source] * value; ``columns`` is W transposed."""
    for b in range(count.shape[0]):
        for e in range(count[b]):
            j = index[b, e]
            v = value[b, j]
            for k in range(columns.shape[1]):
                total[b, k] += columns[j, k] * v


@compiled
def deliver_sparse(
    index: Array,
    count: Array,
    value: Array,
    total: Array,
    start: Array,
    target: Array,
    weight: Array,
) -> None:
    """Add the synapses of each source: entries start[j] to start[j + 1]."""
    for b in range(count.shape[0]):
        for e in range(count[b]):
            j = index[b, e]
            v = value[b, j]
            for k in range(start[j], start[j + 1]):
                total[b, target[k]] += weight[k] * v


@compiled
def deliver_one_to_one(
    index: Array, count: Array, value: Array, total: Array, weight: Array
) -> None:
    """Add weight[source] * value."""
    for b in range(count.shape[0]):
        for e in range(count[b]):
            j = index[b, e]
            total[b, j] += weight[j] * value[b, j]


@compiled
def deliver_conv2d(
    index: Array, count: Array, value: Array, total: Array, kernel: Array, geometry: Array
) -> None:
    """Add the kernel round each source; ``kernel`` is (in channel, k0, k1, out per group).

    ``geometry``: n0, n1, m0, m1, stride (2), padding (2), dilation (2), in channels per group.
    """
    n0, n1, m0, m1, s0, s1, p0, p1, d0, d1, per_group = geometry
    share = kernel.shape[3]
    for b in range(count.shape[0]):
        for e in range(count[b]):
            j = index[b, e]
            v = value[b, j]
            c = j // (n0 * n1)
            y = (j // n1) % n0 + p0
            x = j % n1 + p1
            first = (c // per_group) * share
            for k0 in range(kernel.shape[1]):
                t0 = y - k0 * d0
                if t0 < 0 or t0 % s0 != 0 or t0 // s0 >= m0:
                    continue
                for k1 in range(kernel.shape[2]):
                    t1 = x - k1 * d1
                    if t1 < 0 or t1 % s1 != 0 or t1 // s1 >= m1:
                        continue
                    at = (first * m0 + t0 // s0) * m1 + t1 // s1
                    for o in range(share):
                        total[b, at + o * m0 * m1] += kernel[c, k0, k1, o] * v


Kernel = Callable[..., None]


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """A kernel and the arrays it needs behind (index, count, value, total)."""

    kernel: Kernel
    arrays: tuple[Any, ...]


def delivery(synapse: Synapse, shift: int, floating: bool) -> Delivery:
    """Return how to deliver through a synapse; integer weights are aligned by ``shift`` bits.

    Raises:
        SpikecError: SPK0702 on a kind this engine does not know.
    """
    numbers = synapse.weight.data if floating else narrow(synapse.weight.data << shift)
    match synapse:
        case Dense():
            return Delivery(deliver_dense, (np.ascontiguousarray(numbers.T),))
        case OneToOne():
            weights = np.ascontiguousarray(np.broadcast_to(numbers, synapse.size))
            return Delivery(deliver_one_to_one, (weights,))
        case Sparse():
            by_source = synapse.to_sparse().tocsc()
            weights = by_source.data if floating else narrow(by_source.data << shift)
            start = by_source.indptr.astype(np.int64)
            return Delivery(deliver_sparse, (start, by_source.indices.astype(np.int32), weights))
        case Conv2d():
            return _convolution(synapse, numbers)
        case Pool2d():
            # A window sum is a convolution with one group per channel and equal weights.
            kernel = np.full((synapse.in_shape[0], *synapse.kernel, 1), numbers)
            return Delivery(deliver_conv2d, (kernel, _geometry(synapse, (1, 1), 1)))
        case _:
            raise SpikecError(
                "SPK0702",
                synapse.kind,
                "the cpu engine has no delivery for this synapse kind",
                "Run it with --backend reference",
            )


def _convolution(synapse: Conv2d, numbers: Array) -> Delivery:
    out, per_group, k0, k1 = numbers.shape
    share = out // synapse.groups
    by_group = numbers.reshape(synapse.groups, share, per_group, k0, k1)
    kernel = np.ascontiguousarray(by_group.transpose(0, 2, 3, 4, 1))
    geometry = _geometry(synapse, synapse.dilation, per_group)
    return Delivery(deliver_conv2d, (kernel.reshape(-1, k0, k1, share), geometry))


def _geometry(synapse: Conv2d | Pool2d, dilation: tuple[int, int], per_group: int) -> Any:
    sizes = (*synapse.in_shape[1:], *synapse.out_shape[1:])
    listed = (*sizes, *synapse.stride, *synapse.padding, *dilation, per_group)
    return tuple(np.int64(v) for v in listed)


def narrow(data: Array) -> Array:
    """Return integers in the smallest of int8, int16, int32, int64 that holds them."""
    for dtype in (np.int8, np.int16, np.int32):
        info = np.iinfo(dtype)
        if data.size == 0 or (data.min() >= info.min and data.max() <= info.max):
            return np.ascontiguousarray(data, dtype=dtype)
    return np.ascontiguousarray(data, dtype=np.int64)
