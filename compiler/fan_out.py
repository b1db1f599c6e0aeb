"""Which targets a source neuron reaches, as its synapses are stored.

``dense`` storage holds a weight for every pair, so every source reaches every target. ``sparse``
and ``conv`` hold what the synapse kind holds: the entries of a sparse matrix, those of weight zero
included, or the taps of a kernel that fall inside the image. A dense matrix holds every pair under
any storage; write ``Sparse`` to leave zeros out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikec.compiler.ir import Projection
from spikec.compiler.synapses import (
    AllButSelf,
    Conv2d,
    Dense,
    OneToOne,
    Pool2d,
    Sparse,
    Synapse,
    replace_data,
)
from spikec.compiler.types import Array
from spikec.compiler.untyped import sparse as sp


@dataclass(frozen=True, slots=True, eq=False)
class FanOut:
    """The synapses of each source neuron.

    Attributes:
        total: Stored synapses per source neuron.
        effective: Those of them whose weight is not zero.
        targets: Number of target neurons.
        reached: Boolean sparse matrix (sources, targets), or None where each reaches every one.
    """

    total: Array
    effective: Array
    targets: int
    reached: Any

    @property
    def synapses(self) -> int:
        """Number of stored synapses."""
        return int(self.total.sum())

    def arrivals(self, sent: Array) -> Array:
        """Return for events (steps, sources) whether one arrives, (steps, targets)."""
        if self.reached is None:
            some = np.asarray(sent.any(axis=1, keepdims=True))
            return np.broadcast_to(some, (len(sent), self.targets))
        return np.asarray((sp.csr_array(sent) @ self.reached).toarray())


@dataclass(frozen=True, slots=True, eq=False)
class OthersFanOut(FanOut):
    """The synapses of each neuron onto all others, without a matrix."""

    def arrivals(self, sent: Array) -> Array:
        """Return for events (steps, sources) whether one arrives, (steps, targets)."""
        return np.asarray(sent.sum(axis=1, keepdims=True, dtype=np.int64) > sent)


def fan_out(projection: Projection) -> FanOut:
    """Return the fan-out of a projection."""
    synapse = projection.synapse
    if isinstance(synapse, AllButSelf) and projection.storage != "dense":
        return _others(synapse)
    synapse = synapse.plain()
    if isinstance(synapse, Dense):
        effective = np.count_nonzero(synapse.weight.data, axis=0)
        return _everything(synapse, effective)
    source, target, nonzero = entries(synapse)
    effective = np.bincount(source[nonzero], minlength=synapse.in_size)
    if projection.storage == "dense":
        return _everything(synapse, effective)
    total = np.bincount(source, minlength=synapse.in_size)
    reached = sp.csr_array(
        (np.ones(source.size, np.bool_), (source, target)),
        shape=(synapse.in_size, synapse.out_size),
    )
    return FanOut(total, effective, synapse.out_size, reached)


def _others(synapse: AllButSelf) -> FanOut:
    used = np.broadcast_to(synapse.weight.data != 0, synapse.size)
    total = np.full(synapse.size, synapse.size - 1, dtype=np.int64)
    return OthersFanOut(total, np.count_nonzero(used) - used, synapse.size, None)


def _everything(synapse: Synapse, effective: Array) -> FanOut:
    total = np.full(synapse.in_size, synapse.out_size, dtype=np.int64)
    return FanOut(total, effective, synapse.out_size, None)


def entries(synapse: Synapse) -> tuple[Array, Array, Array]:
    """Return source, target and whether the weight is not zero, for every synapse of a kind."""
    match synapse:
        case Sparse():
            target = np.repeat(np.arange(synapse.out_size), np.diff(synapse.indptr))
            return synapse.indices, target, synapse.weight.data != 0
        case OneToOne():
            every = np.arange(synapse.size)
            return every, every, np.broadcast_to(synapse.weight.data != 0, synapse.size)
        case Conv2d():
            return _taps(synapse, synapse.weight.data, synapse.dilation, synapse.groups)
        case Pool2d():
            channels = synapse.in_shape[0]
            weight = np.broadcast_to(synapse.weight.data, (channels, 1, *synapse.kernel))
            return _taps(synapse, weight, (1, 1), channels)
        case _:
            ones = replace_data(synapse, np.ones_like(synapse.weight.data)).to_sparse().tocoo()
            held = sp.csr_array(synapse.to_sparse())
            if ones.nnz == 0:  # of no entries scipy returns a sparse array
                return ones.col, ones.row, np.zeros(0, np.bool_)
            return ones.col, ones.row, np.asarray(held[ones.row, ones.col]) != 0


def _taps(
    synapse: Conv2d | Pool2d, weight: Array, dilation: tuple[int, int], groups: int
) -> tuple[Array, Array, Array]:
    """Return the entries of a kernel (out, in / groups, k0, k1) that fall inside the image."""
    _, n0, n1 = synapse.in_shape
    shape: tuple[int, ...] = weight.shape
    out, per_group, k0, k1 = shape
    _, m0, m1 = synapse.out_shape
    rows = _axis(n0, m0, k0, synapse.stride[0], synapse.padding[0], dilation[0])
    columns = _axis(n1, m1, k1, synapse.stride[1], synapse.padding[1], dilation[1])
    o = np.arange(out).reshape(-1, 1, 1, 1)
    c = np.arange(per_group).reshape(-1, 1, 1)
    (t0, w0, s0), (t1, w1, s1) = (a[:, None] for a in rows), columns
    source = ((o // (out // groups) * per_group + c) * n0 + s0) * n1 + s1
    target = np.broadcast_to((o * m0 + t0) * m1 + t1, source.shape)
    nonzero = np.asarray(weight[o, c, w0, w1] != 0)
    return source.reshape(-1), target.reshape(-1), nonzero.reshape(-1)


def _axis(
    size: int, targets: int, taps: int, stride: int, padding: int, dilation: int
) -> tuple[Array, Array, Array]:
    """Return target, tap and source along one axis, for every tap inside the image."""
    target, tap = np.indices((targets, taps)).reshape(2, -1)
    source = target * stride + tap * dilation - padding
    inside = (source >= 0) & (source < size)
    return target[inside], tap[inside], source[inside]
