"""The hypergraph at one level of coarsening: neurons merged into vertices, and every count exact.

The sources stay as they are at every level, so that axons and synapse memory of a set of vertices
are those of its neurons.
"""

# An element of an array is a number in compiled code; the type checker sees an array.
# pyright: reportArgumentType=false, reportReturnType=false

from typing import NamedTuple

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.mapping.hypergraph import Hypergraph, Limits
from spikec.compiler.types import Array


class Level(NamedTuple):
    """Vertices and what they touch. A plain tuple of arrays, as compiled code takes it.

    Attributes:
        size: Neurons of each vertex, int32 (vertices,).
        kinds: Configurations of each vertex, int32 (sorts, vertices); all its neurons have them.
        room: Neurons that a core may have which holds it, int32.
        in_start, in_source, in_count: Sources of each vertex and how many synapses of each.
        net_start, net, net_count: Likewise the nets (one for each source and projection); the same
            arrays where each source has one net of its own number.
        net_bits: Bits of one synapse, int32 (nets,).
        pin_start, pin: Vertices that each source reaches.
        own_start, own: Sources inside each vertex.
        home: Vertex of each source, -1 for input channels.
        rate: Spikes per step of each source.
        cap: Limits of neurons, in axons, out axons and synapse bits of a core, then the layout of
            synapse memory: block, bits of a block, word; int64 (7,).
        most: Limit of each sort of kinds, int64 (sorts,).
    """

    size: Array
    kinds: Array
    room: Array
    in_start: Array
    in_source: Array
    in_count: Array
    net_start: Array
    net: Array
    net_count: Array
    net_bits: Array
    pin_start: Array
    pin: Array
    own_start: Array
    own: Array
    home: Array
    rate: Array
    cap: Array
    most: Array

    @property
    def vertices(self) -> int:
        """Number of vertices."""
        return int(self.size.size)


def finest(h: Hypergraph, limits: Limits) -> Level:
    """Return the level whose vertices are the neurons.

    Sorts of kinds of which the whole network has few enough are left out.
    """
    cap = [limits.neurons, limits.in_axons, limits.out_axons, limits.synapse_bits]
    cap += [limits.block, limits.block_bits, limits.word]
    tight = [
        i
        for i, most in enumerate(limits.kinds[: len(h.kinds)])
        if np.unique(h.kinds[i]).size > most
    ]
    nets = h.nets
    # Then net s is all that source s has.
    single = np.array_equal(nets.source, np.arange(h.sources))
    by_net = _transposed(nets.start, nets.target, h.neurons)
    if single:
        by_source, pin_start, pin = by_net, nets.start, nets.target
    else:
        first = np.searchsorted(nets.source, np.arange(h.sources + 1))
        pin_start, pin = nets.start[first], nets.target
        by_source = _transposed(pin_start, pin, h.neurons)
    home = np.arange(-h.inputs, h.neurons, dtype=np.int32)
    home[: h.inputs] = -1
    return Level(
        np.ones(h.neurons, np.int32),
        np.array([h.kinds[i] for i in tight], np.int32).reshape(-1, h.neurons),
        np.full(h.neurons, 1 << 30, np.int32) if h.room is None else h.room.astype(np.int32),
        *by_source,
        *by_net,
        nets.bits,
        pin_start,
        pin,
        np.arange(h.neurons + 1, dtype=np.int64),
        np.arange(h.inputs, h.sources, dtype=np.int32),
        home,
        np.ascontiguousarray(h.rates, np.float64),
        np.array(cap, np.int64),
        np.array([limits.kinds[i] for i in tight], np.int64),
    )


def contracted(level: Level, cluster: Array, clusters: int) -> Level:
    """Return the level whose vertices are clusters of this one's vertices.

    Args:
        level: The finer level.
        cluster: Cluster of each vertex, int32; those of one cluster have equal kinds.
        clusters: How many there are.
    """
    start, member = members(cluster, clusters)
    by_source = _merged(level.in_start, level.in_source, level.in_count, start, member)
    by_net = by_source
    if level.net is not level.in_source:
        by_net = _merged(level.net_start, level.net, level.net_count, start, member)
    held = level.home >= 0
    home = np.where(held, cluster[level.home], np.int32(-1))
    order = np.argsort(home[held], kind="stable").astype(np.int32)
    own_start = np.searchsorted(home[held][order], np.arange(clusters + 1)).astype(np.int64)
    room = np.full(clusters, 1 << 30, np.int32)
    np.minimum.at(room, cluster, level.room)
    return Level(
        np.bincount(cluster, level.size, clusters).astype(np.int32),
        np.ascontiguousarray(level.kinds[:, member[start[:-1]]]),
        room,
        *by_source,
        *by_net,
        level.net_bits,
        *_transposed(by_source[0], by_source[1], level.rate.size)[:2],
        own_start,
        np.flatnonzero(held).astype(np.int32)[order],
        home,
        level.rate,
        level.cap,
        level.most,
    )


def members(part: Array, parts: int) -> tuple[Array, Array]:
    """Return where the members of each part begin, int64 (parts + 1,), and the members in order."""
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.bincount(part, minlength=parts))])
    return start, np.argsort(part, kind="stable").astype(np.int32)


def _transposed(start: Array, item: Array, items: int) -> tuple[Array, Array, Array]:
    """Return for each item the lists that hold it, ascending, and how often each does."""
    size = np.zeros(items + 1, np.int64)
    _list_sizes(start, item, size)
    begin = np.cumsum(size)
    lists = np.empty(int(begin[-1]), np.int32)
    count = np.empty(lists.size, np.int32)
    _fill_lists(start, item, begin[:-1].copy(), lists, count)
    return begin, lists, count


@compiled
def _list_sizes(start: Array, item: Array, size: Array) -> None:
    last = np.full(size.size - 1, -1, np.int64)
    for k in range(start.size - 1):
        for i in range(start[k], start[k + 1]):
            if last[item[i]] != k:
                last[item[i]] = k
                size[item[i] + 1] += 1


@compiled
def _fill_lists(start: Array, item: Array, at: Array, lists: Array, count: Array) -> None:
    last = np.full(at.size, -1, np.int64)
    for k in range(start.size - 1):
        for i in range(start[k], start[k + 1]):
            v = item[i]
            if last[v] != k:
                last[v] = k
                lists[at[v]] = k
                count[at[v]] = 0
                at[v] += 1
            count[at[v] - 1] += 1


def _merged(
    start: Array, item: Array, count: Array, begin: Array, member: Array
) -> tuple[Array, Array, Array]:
    """Return the united lists of the members of each cluster, counts added."""
    items = int(item.max(initial=-1)) + 1
    total = _merge(start, item, count, begin, member, items, *_nothing(0))
    out = _nothing(total)
    sizes = np.zeros(begin.size, np.int64)
    _merge(start, item, count, begin, member, items, out[0], out[1], sizes)
    return np.cumsum(sizes), out[0], out[1]


def _nothing(size: int) -> tuple[Array, Array, Array]:
    return np.empty(size, np.int32), np.empty(size, np.int32), np.zeros(0, np.int64)


@compiled
def _merge(
    start: Array,
    item: Array,
    count: Array,
    begin: Array,
    member: Array,
    items: int,
    out: Array,
    out_count: Array,
    sizes: Array,
) -> int:
    """Write the united lists where ``sizes`` has room; return their total length."""
    place = np.full(items, -1, np.int64)
    n = 0
    for c in range(begin.size - 1):
        first = n
        for m in range(begin[c], begin[c + 1]):
            v = member[m]
            for i in range(start[v], start[v + 1]):
                k = item[i]
                if place[k] < first:
                    place[k] = n
                    if sizes.size:
                        out[n] = k
                        out_count[n] = 0
                    n += 1
                if sizes.size:
                    out_count[place[k]] += count[i]
        if sizes.size:
            sizes[c + 1] = n - first
    return n
