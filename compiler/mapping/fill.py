"""Fill one core after the other, never beyond a limit: in a given order, or by connectivity.

What a core uses grows with every vertex it takes, all but its out axons: those depend on where
everything else lies. They are estimated here and made exact by the refinement that follows.
"""

# An element of an array is a number in compiled code; the type checker sees an array.
# pyright: reportArgumentType=false, reportReturnType=false

from typing import NamedTuple

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.mapping.level import Level
from spikec.compiler.mapping.usage import list_bits
from spikec.compiler.types import Array

TRIES = 16  # vertices that growth tries before it takes a core as full
BUDGET = 8192  # pins that one vertex looks at; of more a sample is taken


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


class Growth(NamedTuple):
    """What growth by connectivity keeps.

    Attributes:
        score: How strongly the open core pulls each vertex.
        pulled: Likewise all cores so far.
        heap: Vertices that the open core pulls, the strongest first.
        place: Of each vertex in it, or -1.
        random: State of the generator.
    """

    score: Array
    pulled: Array
    heap: Array
    place: Array
    random: Array


def opened(level: Level) -> Open:
    """Return an empty core."""
    return Open(
        np.array([0, 0, 0, 0, 1 << 40, 0], np.int64),
        np.zeros(level.rate.size, np.int32),
        np.zeros(level.net_bits.size, np.int32),
        np.full((level.most.size, int(level.most.max(initial=0))), -1, np.int32),
        np.empty(level.vertices, np.int32),
    )


def in_order(level: Level, order: Array, out: Array) -> Array:
    """Return the core of each vertex, int32, filled in the given order; the next opens when full.

    Args:
        level: The network.
        order: Vertices, each once.
        out: Estimate of the out axons of each vertex, int64.
    """
    seat = np.full(level.vertices, -1, np.int32)
    _in_order(level, order.astype(np.int32), out, opened(level), seat)
    return seat


def by_connectivity(level: Level, out: Array, cores: int = 1 << 30, budget: int = BUDGET) -> Array:
    """Return the core of each vertex; each core grows by what shares most axons with it.

    Args:
        level: The network.
        out: Estimate of the out axons of each vertex, int64.
        cores: Only so many are filled; what is left over has core -1.
        budget: Pins that one vertex looks at.
    """
    seat = np.full(level.vertices, -1, np.int32)
    _grow(level, out, cores, budget, opened(level), seat)
    return seat


@compiled
def bits_alone(level: Level) -> Array:
    """Return the synapse memory of each vertex in a core of its own, int64."""
    bits = np.zeros(level.size.size, np.int64)
    for v in range(bits.size):
        for i in range(level.net_start[v], level.net_start[v + 1]):
            bits[v] += list_bits(level.net_count[i], level.net_bits[level.net[i]], level.cap[4:])
    return bits


@compiled
def uniform(random: Array) -> float:
    """Return a number in (0, 1): splitmix64."""
    random[0] += np.uint64(0x9E3779B97F4A7C15)
    z = random[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (np.float64(z >> np.uint64(11)) + 0.5) / 9007199254740992.0


@compiled
def fits(level: Level, out: Array, v: int, core: Open) -> bool:
    """Return whether vertex ``v`` fits the open core."""
    used, cap = core.used, level.cap
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
        if _kind_place(core.kinds[k, : level.most[k]], level.kinds[k, v]) < 0:
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
def take(level: Level, out: Array, v: int, core: Open) -> None:
    """Put vertex ``v`` into the open core."""
    used, layout = core.used, level.cap[4:]
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
    for k in range(level.most.size):
        values = core.kinds[k, : level.most[k]]
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
def _in_order(level: Level, order: Array, out: Array, core: Open, seat: Array) -> None:
    c = 0
    for v in order:
        if core.used[5] and not fits(level, out, v, core):
            close(level, core)
            c += 1
        take(level, out, v, core)
        seat[v] = c


@compiled
def _grow(level: Level, out: Array, cores: int, budget: int, core: Open, seat: Array) -> None:
    g = Growth(
        np.zeros(seat.size, np.float64),
        np.zeros(seat.size, np.float64),
        np.empty(seat.size, np.int32),
        np.full(seat.size, -1, np.int64),
        np.array([0x5EED], np.uint64),
    )
    tried = np.empty(TRIES, np.int32)
    c, n, unseated, v = 0, 0, 0, 0
    for _ in range(seat.size - 1):
        take(level, out, v, core)
        seat[v] = c
        if g.place[v] >= 0:
            n = _remove(g.heap, g.place, g.score, n, v)
        n = _spread(level, v, seat, g, n, budget)
        v, tries = -1, 0
        while n > 0 and tries < TRIES and v < 0:
            u = g.heap[0]
            if fits(level, out, u, core):
                v = u
            else:  # too large now; it may come back when more of the core pulls it
                n = _remove(g.heap, g.place, g.score, n, u)
                tried[tries] = u
                tries += 1
        while seat[unseated] >= 0:
            unseated += 1
        if v < 0 and n == 0 and tries == 0 and fits(level, out, unseated, core):
            v = unseated  # nothing shares an axon with the core
        if v < 0:
            v = _begin(tried, tries, g, n, unseated)
            n = _forget(g, n)
            close(level, core)
            c += 1
            if c == cores:
                return
        for k in range(tries):
            g.score[tried[k]] = 0.0
    seat[v] = c


@compiled
def _begin(tried: Array, tries: int, g: Growth, n: int, unseated: int) -> int:
    """Return where the next core begins: at what the full cores surround most."""
    best = unseated
    for k in range(n + tries):
        u = g.heap[k] if k < n else tried[k - n]
        if g.pulled[u] > g.pulled[best]:
            best = u
    return best


@compiled
def _forget(g: Growth, n: int) -> int:
    """Empty the heap."""
    for k in range(n):
        g.place[g.heap[k]] = -1
        g.score[g.heap[k]] = 0.0
    return 0


@compiled
def _spread(level: Level, v: int, seat: Array, g: Growth, n: int, budget: int) -> int:
    """Let vertex ``v`` pull all that it shares a source with; return the size of the heap."""
    total = 0
    first, last = level.in_start[v], level.in_start[v + 1]
    for i in range(first, last):
        s = level.in_source[i]
        total += level.pin_start[s + 1] - level.pin_start[s]
    keep = budget / total if total > budget else 1.0
    for i in range(first, last + level.own_start[v + 1] - level.own_start[v]):
        if keep < 1.0 and uniform(g.random) > keep:
            continue
        s = level.in_source[i] if i < last else level.own[level.own_start[v] + i - last]
        begin, end = level.pin_start[s], level.pin_start[s + 1]
        pull = level.rate[s] / max(end - begin, 1)
        for j in range(begin - 1, end):
            u = level.home[s] if j < begin else level.pin[j]
            if u < 0 or seat[u] >= 0:
                continue
            g.score[u] += pull
            g.pulled[u] += pull
            if g.place[u] < 0:
                g.heap[n], g.place[u] = u, n
                n += 1
            _rise(g.heap, g.place, g.score, g.place[u])
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
