"""Fill cores so that sources that spike often spare some of them, for networks without structure.

Where every core is reached by every source, no single move saves anything, and nothing leads
downhill. Here a core first chooses the sources that shall not reach it, then takes neurons that
none of them reaches.
"""

# An element of an array is a number in compiled code; the type checker sees an array.
# pyright: reportArgumentType=false, reportReturnType=false

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.mapping.level import Level
from spikec.compiler.types import Array


@compiled
def by_sparing(level: Level, size: int) -> Array:
    """Return the core of each vertex, int32, each of ``size`` vertices and the last of the rest.

    Only the number of vertices is kept, no other limit.
    """
    seat = np.full(level.size.size, -1, np.int32)
    left, core = seat.size, 0
    while left >= 2 * size:
        free = seat < 0
        _spare(level, free, size)
        seat[np.flatnonzero(free)[:size]] = core
        left -= size
        core += 1
    seat[seat < 0] = core
    return seat


@compiled
def _spare(level: Level, free: Array, size: int) -> None:
    """Give up vertices source by source, most spikes a vertex first, while ``size`` are left."""
    left = int(free.sum())
    reached = np.zeros(level.rate.size, np.int64)  # vertices that each source would cost
    for s in range(reached.size):
        for i in range(level.pin_start[s], level.pin_start[s + 1]):
            reached[s] += free[level.pin[i]]
    while True:
        best, chosen = 0.0, -1
        for s in range(reached.size):
            if 0 < reached[s] <= left - size and level.rate[s] > best * reached[s]:
                best, chosen = level.rate[s] / reached[s], s
        if chosen < 0:
            return
        left -= reached[chosen]
        for i in range(level.pin_start[chosen], level.pin_start[chosen + 1]):
            v = level.pin[i]
            if free[v]:
                free[v] = False
                for k in range(level.in_start[v], level.in_start[v + 1]):
                    reached[level.in_source[k]] -= 1
