"""Cut an order of vertices into cores, with the least traffic that cuts of this order can have."""

# An element of an array is a number in compiled code; the type checker sees an array.
# pyright: reportArgumentType=false, reportReturnType=false

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.mapping.fill import Open, close, fits, opened, take
from spikec.compiler.mapping.level import Level
from spikec.compiler.types import Array


def best_cuts(level: Level, order: Array) -> Array:
    """Return the core of each vertex, int32: pieces of the order within all limits but out axons.

    The traffic is a sum over the pieces, of the sources outside that reach each, so that the best
    cuts follow from the best cuts of everything before (dynamic programming).

    Args:
        level: The network; every piece that fits a core is looked at, so it should be coarse.
        order: Vertices, each once.
    """
    free = np.zeros(level.vertices, np.int64)
    begin = _begins(level, order.astype(np.int32), free, opened(level))
    seat = np.empty(level.vertices, np.int32)
    core, end = 0, level.vertices
    while end > 0:
        seat[order[begin[end] : end]] = core
        core, end = core + 1, int(begin[end])
    return seat


@compiled
def _begins(level: Level, order: Array, free: Array, core: Open) -> Array:
    """Return where the last piece of the best cuts begins, of the order up to each place."""
    n = order.size
    at = np.empty(n, np.int64)
    at[order] = np.arange(n)
    least = np.full(n + 1, np.inf)
    least[0] = 0.0
    begin = np.zeros(n + 1, np.int64)
    for first in range(n):
        cost = least[first]
        for i in range(first, n):
            v = order[i]
            if i > first and not fits(level, free, v, core):
                break
            cost += _cost(level, v, core, at, first, i)
            take(level, free, v, core)
            if cost < least[i + 1]:
                least[i + 1], begin[i + 1] = cost, first
        close(level, core)
    return begin


@compiled
def _cost(level: Level, v: int, core: Open, at: Array, first: int, last: int) -> float:
    """Return the traffic that vertex ``v`` adds to a piece of the order that it ends."""
    cost = 0.0
    for k in range(level.own_start[v], level.own_start[v + 1]):
        s = level.own[k]
        if core.sources[s] > 0:
            cost -= level.rate[s]
    for k in range(level.in_start[v], level.in_start[v + 1]):
        s = level.in_source[k]
        home = level.home[s]
        inside = home >= 0 and first <= at[home] <= last
        if core.sources[s] == 0 and not inside:
            cost += level.rate[s]
    return cost
