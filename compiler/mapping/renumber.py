"""Neurons renumbered so that those that share sources stand near each other in memory.

Of a large network most of the time goes into waiting for memory: with numbers that say nothing,
every source of a neuron is somewhere else. The assignment found does not depend on the numbers.
"""

# An element of an array is a number in compiled code; the type checker sees an array.
# pyright: reportArgumentType=false, reportReturnType=false

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.mapping.level import Level
from spikec.compiler.types import Array

RUN = 512  # neighbours that a shuffled order visits one after the other


def renumbered(level: Level, order: Array) -> Level:
    """Return the finest level with its vertices, and the sources in them, in another order.

    Args:
        level: Whose vertices are neurons. Input channels and nets keep their numbers, but where
            each source has one net of its own number.
        order: Old number of each new vertex, int32 (vertices,).
    """
    inputs = level.rate.size - level.vertices
    channels = np.arange(inputs, dtype=np.int32)
    sources = np.concatenate([channels, order + np.int32(inputs)])
    vertex, source = _inverse(order), _inverse(sources)
    by_source = _reordered(level.in_start, level.in_source, level.in_count, order, source)
    by_net, net_bits = by_source, level.net_bits
    if level.net is level.in_source:
        net_bits = level.net_bits[sources]
    else:
        same = np.arange(net_bits.size, dtype=np.int32)
        by_net = _reordered(level.net_start, level.net, level.net_count, order, same)
    pin_start, pin, _ = _reordered(level.pin_start, level.pin, level.pin, sources, vertex)
    return level._replace(
        kinds=np.ascontiguousarray(level.kinds[:, order]),
        room=level.room[order],
        in_start=by_source[0],
        in_source=by_source[1],
        in_count=by_source[2],
        net_start=by_net[0],
        net=by_net[1],
        net_count=by_net[2],
        net_bits=net_bits,
        pin_start=pin_start,
        pin=pin,
        rate=level.rate[sources],
    )


def shuffled(random: np.random.Generator, n: int) -> Array:
    """Return the numbers below ``n`` in a random order, int32, in runs where there are many."""
    if n <= RUN * RUN // 4:
        return random.permutation(n).astype(np.int32)
    first = random.permutation(np.arange(0, n, RUN))
    runs = [random.permutation(np.arange(k, min(k + RUN, n), dtype=np.int32)) for k in first]
    return np.concatenate(runs)


def _inverse(order: Array) -> Array:
    place = np.empty(order.size, np.int32)
    place[order] = np.arange(order.size, dtype=np.int32)
    return place


def _reordered(
    start: Array, item: Array, count: Array, order: Array, name: Array
) -> tuple[Array, Array, Array]:
    """Return lists in another order, with new names of what they hold."""
    begin = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.diff(start)[order])])
    items, counts = np.empty_like(item), np.empty_like(count)
    _copy(start, item, count, order, name, begin, items, counts)
    return begin, items, counts


@compiled
def _copy(
    start: Array,
    item: Array,
    count: Array,
    order: Array,
    name: Array,
    begin: Array,
    items: Array,
    counts: Array,
) -> None:
    for i in range(order.size):
        at = begin[i]
        for k in range(start[order[i]], start[order[i] + 1]):
            items[at], counts[at] = name[item[k]], count[k]
            at += 1
