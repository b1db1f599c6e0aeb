"""Event-driven delivery: every spike or value that a source sends adds one column of W.

One compiled loop per synapse kind. ``index[b, :count[b]]`` lists the sources of sample b that sent
something in this step, in ascending order, ``value[b, source]`` what they sent.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Projection
from spikec.compiler.synapses import (
    AllButSelf,
    Conv2d,
    Dense,
    DistanceDependent,
    FixedProbability,
    OneToOne,
    Pool2d,
    Sparse,
    Synapse,
)
from spikec.compiler.synapses.procedural import GOLDEN, MIX_1, MIX_2, gap_table
from spikec.compiler.types import Array, narrowest

_GOLDEN, _MIX_1, _MIX_2 = np.uint64(GOLDEN), np.uint64(MIX_1), np.uint64(MIX_2)


@compiled
def list_events(value: Array, index: Array, count: Array) -> None:
    """List the sources that sent something."""
    for b in range(value.shape[0]):
        m = 0
        for j in range(value.shape[1]):
            index[b, m] = j  # without a branch: one that is seldom taken costs more
            m += value[b, j] != 0
        count[b] = m


@compiled
def take_input(data: Array, value: Array, index: Array, count: Array, step: int) -> None:
    """Take what an input sends in a step, nothing after its end; ``data`` is (b, steps, j)."""
    for b in range(value.shape[0]):
        m = 0
        for j in range(value.shape[1]):
            value[b, j] = data[b, step, j] if step < data.shape[1] else 0
            index[b, m] = j
            m += value[b, j] != 0
        count[b] = m


@compiled
def take_later(total: Array, sums: Array, slot: int, starts: int, step: int) -> None:
    """Add the sums of a step to the total, once the population has started, and empty them."""
    if step >= starts:
        total += sums[slot]
    sums[slot] = 0


@compiled
def refill(total: Array, bias: Array) -> None:
    """Set every sum to its constant part."""
    for b in range(total.shape[0]):
        for k in range(total.shape[1]):
            total[b, k] = bias[k]


@compiled
def keep(value: Array, kept: Array, start: int, step: int) -> None:
    """Keep what is there after a step; ``kept`` is (b, steps, j)."""
    for b in range(value.shape[0]):
        for j in range(value.shape[1]):
            kept[b, step - start, j] = value[b, j]


@compiled
def add_all(numbers: Array, total: Array) -> None:
    """Add all numbers to a total."""
    total[0] += numbers.sum()


@compiled
def deliver_dense(index: Array, count: Array, value: Array, total: Array, columns: Array) -> None:
    """Add W[:, source] * value; ``columns`` is W transposed.

    Four events at a time, one after the other into one sum: it is loaded and stored a quarter as
    often, and floating-point sums keep their order.
    """
    for b in range(count.shape[0]):
        sums, last = total[b], count[b] - count[b] % 4
        for e in range(0, last, 4):
            j0, j1, j2, j3 = index[b, e], index[b, e + 1], index[b, e + 2], index[b, e + 3]
            w0, w1, w2, w3 = columns[j0], columns[j1], columns[j2], columns[j3]
            v0, v1, v2, v3 = value[b, j0], value[b, j1], value[b, j2], value[b, j3]
            for k in range(columns.shape[1]):
                s = sums[k] + w0[k] * v0
                s += w1[k] * v1
                s += w2[k] * v2
                sums[k] = s + w3[k] * v3
        for e in range(last, count[b]):
            j = index[b, e]
            column, v = columns[j], value[b, j]
            for k in range(columns.shape[1]):
                sums[k] += column[k] * v


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
    n0, n1, m0, m1, s0, s1 = (
        geometry[0],
        geometry[1],
        geometry[2],
        geometry[3],
        geometry[4],
        geometry[5],
    )
    p0, p1, d0, d1, per_group = geometry[6], geometry[7], geometry[8], geometry[9], geometry[10]
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


@compiled
def deliver_all_but_self(
    index: Array, count: Array, value: Array, total: Array, weight: Array
) -> None:
    """Add weight[target] times what the other sources sent."""
    for b in range(count.shape[0]):
        if count[b] == 0:
            continue
        every = total[b, 0] * 0
        for e in range(count[b]):
            every += value[b, index[b, e]]
        for k in range(total.shape[1]):
            total[b, k] += weight[k] * (every - value[b, k])


@compiled
def deliver_delayed(
    index: Array,
    count: Array,
    value: Array,
    total: Array,
    start: Array,
    target: Array,
    later: Array,
    weight: Array,
    slot: int,
) -> None:
    """Add each synapse to the sum of the step in which it arrives; ``total`` is (slots, b, k)."""
    slots = total.shape[0]
    for b in range(count.shape[0]):
        for e in range(count[b]):
            j = index[b, e]
            v = value[b, j]
            for k in range(start[j], start[j + 1]):
                at = slot + later[k]
                total[at - slots if at >= slots else at, b, target[k]] += weight[k] * v


@compiled
def mixed(seed: np.uint64, key: np.uint64) -> np.uint64:
    """Return splitmix64 of seed and key, as ``synapses.procedural`` defines it."""
    z = seed + (key + np.uint64(1)) * _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    z = z ^ (z >> np.uint64(31))
    return z if z != np.uint64(0) else _GOLDEN


@compiled
def stepped(s: np.uint64) -> np.uint64:
    """Return the next state of xorshift64."""
    s ^= s << np.uint64(13)
    s ^= s >> np.uint64(7)
    return s ^ (s << np.uint64(17))


@compiled
def deliver_fixed_probability(
    index: Array,
    count: Array,
    value: Array,
    total: Array,
    table: Array,
    weight: Array,
    seed: np.uint64,
    others: bool,
) -> None:
    """Draw the synapses of each source again and add them; ``table`` is of gaps."""
    choices = np.uint64(weight.shape[0])
    for b in range(count.shape[0]):
        for e in range(count[b]):
            j = index[b, e]
            v = value[b, j]
            state = mixed(seed, np.uint64(j))
            at = -1
            while True:
                state = stepped(state)
                gap = int(np.searchsorted(table, state >> np.uint64(32), side="right"))
                if gap == table.shape[0]:
                    at += gap
                    continue
                at += gap + 1
                if at >= total.shape[1]:
                    break
                if others and at == j:
                    continue
                chosen = np.uint64(0)
                if choices > np.uint64(1):
                    state = stepped(state)
                    chosen = ((state >> np.uint64(32)) * choices) >> np.uint64(32)
                total[b, at] += weight[chosen] * v


@compiled
def deliver_distance_dependent(
    index: Array,
    count: Array,
    value: Array,
    total: Array,
    cells: Array,
    occupants: Array,
    chance: Array,
    weight: Array,
    seed: np.uint64,
    radius: Array,
) -> None:
    """Draw the pairs round each source again and add those that are connected."""
    n0, n1, n2 = occupants.shape
    targets, choices = np.uint64(total.shape[1]), np.uint64(weight.shape[0])
    r0, r1, r2 = radius[0], radius[1], radius[2]
    for b in range(count.shape[0]):
        for e in range(count[b]):
            j = index[b, e]
            v = value[b, j]
            z, y, x = cells[j] // (n1 * n2), (cells[j] // n2) % n1, cells[j] % n2
            for z1 in range(max(z - r0, 0), min(z + r0 + 1, n0)):
                for y1 in range(max(y - r1, 0), min(y + r1 + 1, n1)):
                    for x1 in range(max(x - r2, 0), min(x + r2 + 1, n2)):
                        k = occupants[z1, y1, x1]
                        apart = (z1 - z) ** 2 + (y1 - y) ** 2 + (x1 - x) ** 2
                        if k < 0 or apart >= chance.shape[0]:
                            continue
                        drawn = mixed(seed, np.uint64(j) * targets + np.uint64(k))
                        if drawn >> np.uint64(32) < chance[apart]:
                            low = drawn & np.uint64(0xFFFFFFFF)
                            total[b, k] += weight[(low * choices) >> np.uint64(32)] * v


Kernel = Callable[..., None]


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """A kernel and the arrays it needs behind (index, count, value, total)."""

    kernel: Kernel
    arrays: tuple[Array, ...]


def delivery(synapse: Synapse, shift: int, floating: bool) -> Delivery:
    """Return how to deliver through a synapse; integer weights are aligned by ``shift`` bits.

    Raises:
        SpikecError: SPK0702 on a kind this engine does not know.
    """
    numbers = _aligned(synapse.weight.data, shift, floating)
    match synapse:
        case Dense():
            return Delivery(deliver_dense, (np.ascontiguousarray(numbers.T),))
        case OneToOne():
            weights = np.ascontiguousarray(np.broadcast_to(numbers, synapse.size))
            return Delivery(deliver_one_to_one, (weights,))
        case Sparse():
            by_source = synapse.to_sparse().tocsc()
            weights = _aligned(by_source.data, shift, floating)
            start = by_source.indptr.astype(np.int64)
            return Delivery(deliver_sparse, (start, by_source.indices.astype(np.int32), weights))
        case AllButSelf():
            weights = np.ascontiguousarray(np.broadcast_to(numbers, synapse.size))
            return Delivery(deliver_all_but_self, (weights,))
        case FixedProbability():
            table, others = gap_table(synapse.chance), synapse.pairs == "others"
            seed, flag = np.array(synapse.seed, np.uint64), np.array(others, np.uint8)
            arrays = (table, np.atleast_1d(numbers), seed, flag)
            return Delivery(deliver_fixed_probability, arrays)
        case DistanceDependent():
            return _distance_dependent(synapse, np.atleast_1d(numbers))
        case Conv2d():
            return _convolution(synapse, numbers)
        case Pool2d():
            # A window sum is a convolution with one group per channel and equal weights.
            kernel = np.full((synapse.in_shape[0], *synapse.kernel, 1), numbers)
            return Delivery(deliver_conv2d, (kernel, _geometry(synapse, (1, 1), 1)))
        case _ if synapse.plain() is not synapse:
            return delivery(synapse.plain(), shift, floating)
        case _:
            raise SpikecError(
                "SPK0702",
                synapse.kind,
                "the cpu engine has no delivery for this synapse kind",
                "Run it with --backend reference",
            )


def delayed_delivery(projection: Projection, shift: int, floating: bool) -> Delivery:
    """Return how to deliver synapses that each have a delay; the kernel takes the slot too."""
    listed = projection.synapse.listed()
    assert listed is not None
    assert projection.delays is not None
    order = np.argsort(listed.indices, kind="stable")
    counts = np.bincount(listed.indices, minlength=listed.in_size)
    start = np.concatenate([[0], np.cumsum(counts)])
    target = np.repeat(np.arange(listed.out_size, dtype=np.int32), np.diff(listed.indptr))
    later = projection.delays.reshape(-1)[order]
    weights = _aligned(listed.weight.data, shift, floating)[order]
    return Delivery(deliver_delayed, (start, target[order], later, weights))


def _distance_dependent(synapse: DistanceDependent, numbers: Array) -> Delivery:
    arrays = (
        synapse.source_cells,
        synapse.occupants(),
        synapse.chance.astype(np.uint64),
        numbers,
        np.array(synapse.seed, np.uint64),
        np.array(synapse.radius(), np.int64),
    )
    return Delivery(deliver_distance_dependent, arrays)


def _aligned(data: Array, shift: int, floating: bool) -> Array:
    return data if floating else narrow(data.astype(np.int64) << shift if shift else data)


def _convolution(synapse: Conv2d, numbers: Array) -> Delivery:
    out, per_group, k0, k1 = numbers.shape
    share = out // synapse.groups
    by_group = numbers.reshape(synapse.groups, share, per_group, k0, k1)
    kernel = np.ascontiguousarray(by_group.transpose(0, 2, 3, 4, 1))
    geometry = _geometry(synapse, synapse.dilation, per_group)
    return Delivery(deliver_conv2d, (kernel.reshape(-1, k0, k1, share), geometry))


def _geometry(synapse: Conv2d | Pool2d, dilation: tuple[int, int], per_group: int) -> Array:
    sizes = (*synapse.in_shape[1:], *synapse.out_shape[1:])
    listed = (*sizes, *synapse.stride, *synapse.padding, *dilation, per_group)
    return np.array(listed, np.int64)


def narrow(data: Array) -> Array:
    """Return integers in the smallest of int8, int16, int32, int64 that holds them."""
    lo, hi = (int(data.min()), int(data.max())) if data.size else (0, 0)
    return np.ascontiguousarray(data, dtype=narrowest(lo, hi))
