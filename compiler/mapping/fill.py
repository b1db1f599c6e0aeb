"""Fill one core after the other, never beyond a limit: in a given order, or by connectivity.

What a core uses grows with every vertex it takes, all but its out axons: those depend on where
everything else lies. They are estimated here and made exact by the refinement that follows.
"""

from typing import NamedTuple

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.mapping.hypergraph import Limits
from spikec.compiler.mapping.level import Level
from spikec.compiler.mapping.usage import list_bits
from spikec.compiler.types import Array

TRIES = 16  # vertices that growth tries before it takes a core as full


class Open(NamedTuple):
    """The core that is being filled.

    Attributes:
        used: Neurons, in axons, out axons (estimated), synapse bits, room, vertices: int64 (6,).
        sources: Synapses of each source in it.
        nets: Synapses of each net in it.
        kinds: Configurations in it of each sort; -1 where there is none yet.
        member: Vertices in it, the first ``used[5]``.
    """

    used: Array
    sources: Array
    nets: Array
    kinds: Array
    member: Array


def caps(limits: Limits, level: Level) -> tuple[Array, Array]:
    """Return the limits as compiled code takes them.

    Those of neurons, in axons, out axons and synapse bits, then the layout of lists; and those of
    kinds, one for each sort that the network has.
    """
    numbers = [limits.neurons, limits.in_axons, limits.out_axons, limits.synapse_bits]
    numbers += [limits.block, limits.block_bits, limits.word]
    most = [min(k, level.vertices) for k in limits.kinds] + [level.vertices] * len(level.kinds)
    return np.array(numbers, np.int64), np.array(most[: len(level.kinds)], np.int64)


def opened(level: Level, most: Array) -> Open:
    """Return an empty core."""
    return Open(
        np.array([0, 0, 0, 0, 1 << 40, 0], np.int64),
        np.zeros(level.rate.size, np.int32),
        np.zeros(level.net_bits.size, np.int32),
        np.full((most.size, int(most.max(initial=0))), -1, np.int32),
        np.empty(level.vertices, np.int32),
    )


def in_order(level: Level, limits: Limits, order: Array, out: Array) -> Array:
    """Return the core of each vertex, int32, filled in the given order; the next opens when full.

    Args:
        level: The network.
        limits: Of a core.
        order: Vertices, each once; no two vertices of different ``group`` share a core.
        out: Estimate of the out axons of each vertex, int64.
    """
    cap, most = caps(limits, level)
    seat = np.full(level.vertices, -1, np.int32)
    _in_order(level, cap, most, order.astype(np.int32), out, opened(level, most), seat)
    return seat


def by_connectivity(level: Level, limits: Limits, out: Array, first: int = 0) -> Array:
    """Return the core of each vertex; each core grows by what shares most axons with it.

    Args:
        level: The network.
        limits: Of a core.
        out: Estimate of the out axons of each vertex, int64.
        first: Where the first core begins.
    """
    cap, most = caps(limits, level)
    seat = np.full(level.vertices, -1, np.int32)
    _grow(level, cap, most, out, first, opened(level, most), seat)
    return seat


@compiled
def fits(level: Level, cap: Array, out: Array, v: int, core: Open) -> bool:
    """Return whether vertex ``v`` fits the open core."""
    used = core.used
    if used[0] + level.size[v] > min(cap[0], used[4], level.room[v]):
        return False
    if used[2] + out[v] > cap[2]:
        return False
    axons = used[1]
    for i in range(level.in_start[v], level.in_start[v + 1]):
        if core.sources[level.in_source[i]] == 0:
            axons += 1
    if axons > cap[1]:
        return False
    bits, layout = used[3], cap[4:]
    for i in range(level.net_start[v], level.net_start[v + 1]):
        e = level.net[i]
        n, b = core.nets[e], level.net_bits[e]
        bits += list_bits(n + level.net_count[i], b, layout) - list_bits(n, b, layout)
    if bits > cap[3]:
        return False
    for k in range(level.kinds.shape[0]):
        if _kind_place(core.kinds[k], level.kinds[k, v]) < 0:
            return False
    return True


@compiled
def _kind_place(values: Array, value: int) -> int:
    """Return where a configuration stands or can stand; -1 where the core has too many."""
    for i in range(values.size):
        if values[i] == value or values[i] == -1:
            return i
    return -1


@compiled
def take(level: Level, cap: Array, most: Array, out: Array, v: int, core: Open) -> None:
    """Put vertex ``v`` into the open core."""
    used, layout = core.used, cap[4:]
    used[0] += level.size[v]
    used[2] += out[v]
    used[4] = min(used[4], level.room[v])
    for i in range(level.in_start[v], level.in_start[v + 1]):
        s = level.in_source[i]
        if core.sources[s] == 0:
            used[1] += 1
        core.sources[s] += level.in_count[i]
    for i in range(level.net_start[v], level.net_start[v + 1]):
        e = level.net[i]
        n, b = core.nets[e], level.net_bits[e]
        core.nets[e] += level.net_count[i]
        used[3] += list_bits(core.nets[e], b, layout) - list_bits(n, b, layout)
    for k in range(most.size):
        values = core.kinds[k, : most[k]]
        values[_kind_place(values, level.kinds[k, v])] = level.kinds[k, v]
    core.member[used[5]] = v
    used[5] += 1


@compiled
def close(level: Level, core: Open) -> None:
    """Empty the open core, to begin the next."""
    for m in range(core.used[5]):
        v = core.member[m]
        for i in range(level.in_start[v], level.in_start[v + 1]):
            core.sources[level.in_source[i]] = 0
        for i in range(level.net_start[v], level.net_start[v + 1]):
            core.nets[level.net[i]] = 0
    core.kinds[:] = -1
    core.used[:] = 0
    core.used[4] = 1 << 40


@compiled
def _in_order(
    level: Level, cap: Array, most: Array, order: Array, out: Array, core: Open, seat: Array
) -> None:
    c = 0
    for v in order:
        if core.used[5] and not fits(level, cap, out, v, core):
            close(level, core)
            c += 1
        take(level, cap, most, out, v, core)
        seat[v] = c


@compiled
def _grow(
    level: Level, cap: Array, most: Array, out: Array, first: int, core: Open, seat: Array
) -> None:
    score = np.zeros(seat.size, np.float64)  # rate of the axons that a vertex shares with the core
    heap = np.empty(seat.size, np.int32)
    place = np.full(seat.size, -1, np.int64)
    touched = np.zeros(level.rate.size, np.int32)  # last core that each source touched, plus one
    tried = np.empty(TRIES, np.int32)
    c, n, unseated, left = 0, 0, 0, seat.size
    v = first
    while True:
        take(level, cap, most, out, v, core)
        seat[v] = c
        left -= 1
        if left == 0:
            return
        if place[v] >= 0:
            n = _remove(heap, place, score, n, v)
        n = _spread(level, v, c, seat, touched, heap, place, score, n)
        tries, v = 0, -1
        while tries < TRIES and n > 0:
            u = heap[0]
            if fits(level, cap, out, u, core):
                v = u
                break
            n = _remove(heap, place, score, n, u)
            tried[tries] = u
            tries += 1
        while v < 0 and n == 0 and tries < TRIES:  # nothing shares an axon: any that fits
            while unseated < seat.size and seat[unseated] >= 0:
                unseated += 1
            if unseated < seat.size and fits(level, cap, out, unseated, core):
                v = unseated
            break
        if v < 0:
            v = _begin(tried, tries, heap, n, unseated, seat)
            for k in range(n):
                place[heap[k]] = -1
                score[heap[k]] = 0.0
            for k in range(tries):
                score[tried[k]] = 0.0
            n = 0
            close(level, core)
            c += 1
        else:
            for k in range(tries):  # too large now: not tried again for this core
                score[tried[k]] = 0.0


@compiled
def _begin(tried: Array, tries: int, heap: Array, n: int, unseated: int, seat: Array) -> int:
    """Return where the next core begins: at what the last one shared most axons with."""
    if tries:
        return tried[0]  # type: ignore[no-any-return]
    if n:
        return heap[0]  # type: ignore[no-any-return]
    while seat[unseated] >= 0:
        unseated += 1
    return unseated


@compiled
def _spread(
    level: Level,
    v: int,
    c: int,
    seat: Array,
    touched: Array,
    heap: Array,
    place: Array,
    score: Array,
    n: int,
) -> int:
    """Add to the scores what vertex ``v`` brings into core ``c``; return the size of the heap."""
    for i in range(level.in_start[v], level.in_start[v + 1]):
        n = _touch(level, level.in_source[i], c, seat, touched, heap, place, score, n)
    for i in range(level.own_start[v], level.own_start[v + 1]):
        n = _touch(level, level.own[i], c, seat, touched, heap, place, score, n)
    return n


@compiled
def _touch(
    level: Level,
    s: int,
    c: int,
    seat: Array,
    touched: Array,
    heap: Array,
    place: Array,
    score: Array,
    n: int,
) -> int:
    """Source ``s`` lies in core ``c`` or reaches it: what else it reaches belongs there too."""
    if touched[s] == c + 1:
        return n
    touched[s] = c + 1
    first, last = level.pin_start[s], level.pin_start[s + 1]
    gain = level.rate[s] / max(last - first, 1)
    for i in range(first - 1, last):
        u = level.home[s] if i < first else level.pin[i]
        if u >= 0 and seat[u] < 0:
            score[u] += gain
            if place[u] < 0:
                heap[n], place[u] = u, n
                n += 1
            _rise(heap, place, score, place[u])
    return n


@compiled
def _rise(heap: Array, place: Array, score: Array, at: int) -> None:
    v = heap[at]
    while at > 0:
        parent = (at - 1) // 2
        if score[heap[parent]] >= score[v]:
            break
        heap[at] = heap[parent]
        place[heap[at]] = at
        at = parent
    heap[at], place[v] = v, at


@compiled
def _remove(heap: Array, place: Array, score: Array, n: int, v: int) -> int:
    """Take ``v`` out of the heap; return its size."""
    at, last, n = place[v], heap[n - 1], n - 1
    place[v] = -1
    if last == v:
        return n
    heap[at], place[last] = last, at
    _rise(heap, place, score, at)
    at = place[last]
    while True:
        child = 2 * at + 1
        if child >= n:
            break
        if child + 1 < n and score[heap[child + 1]] > score[heap[child]]:
            child += 1
        if score[heap[child]] <= score[last]:
            break
        heap[at] = heap[child]
        place[heap[at]] = at
        at = child
    heap[at], place[last] = last, at
    return n
