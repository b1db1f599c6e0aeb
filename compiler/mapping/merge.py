"""Empty cores that others have room for: whole, or scattered over the cores near them.

Two cores in one never send more spikes than apart, since each source counts a core once.
"""

# An element of an array is a number in compiled code; the type checker sees an array.
# pyright: reportArgumentType=false, reportReturnType=false

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.mapping.level import Level, members
from spikec.compiler.mapping.refine import Scratch, clear, excess, look, move, scratch, shift
from spikec.compiler.mapping.state import BITS, IN, NEURONS, State, find
from spikec.compiler.mapping.usage import list_bits
from spikec.compiler.types import Array

FEW = 100  # merging ends where a round empties at most this part of the cores
CORES = 16  # tried for each vertex of a core that is scattered
PARTNERS = 6  # cores tried as a whole: half of them the best connected, half the emptiest


def merge(level: Level, s: State) -> int:
    """Empty as many cores as can be without more traffic; return how many were emptied."""
    emptied = 0
    work = scratch(level, s, 0)
    while True:
        start, member = members(s.seat, s.cores)
        order = np.argsort(s.use[NEURONS], kind="stable").astype(np.int32)
        found = _merge_once(level, s, start, member, order, work)
        emptied += found
        if found <= s.cores // FEW:
            return emptied


@compiled
def _merge_once(
    level: Level, s: State, start: Array, member: Array, order: Array, w: Scratch
) -> int:
    emptied = 0
    fresh = np.ones(s.use.shape[1], np.bool_)  # its members are those listed
    pull = np.zeros(s.use.shape[1], np.float64)
    for i in range(order.size):
        a = order[i]
        if start[a] == start[a + 1] or not fresh[a]:
            continue
        inside = member[start[a] : start[a + 1]]
        free = _near(level, s, inside, pull, w)
        if _into_one(level, s, a, inside, order[i + 1 :], pull, fresh, w) or (
            free and _scattered(level, s, a, inside, fresh, w)
        ):
            emptied += 1
            fresh[a] = False
    return emptied


@compiled
def _near(level: Level, s: State, inside: Array, pull: Array, w: Scratch) -> bool:
    """Add up how strongly cores pull those inside one; return whether they have as much free."""
    for v in inside:
        _, n = look(level, s, v, w, 0.0)
        for i in range(n):
            pull[w.near[i]] += w.gain[w.near[i]]
        clear(w, n)
    a, neurons, bits = s.seat[inside[0]], 0, 0
    for b in np.flatnonzero(pull > 0.0):
        neurons += max(level.cap[NEURONS] - s.use[NEURONS, b], 0)
        bits += max(level.cap[BITS] - s.use[BITS, b], 0)
    return neurons >= s.use[NEURONS, a] and bits >= s.use[BITS, a]  # type: ignore[no-any-return]


@compiled
def _into_one(
    level: Level,
    s: State,
    a: int,
    inside: Array,
    larger: Array,
    pull: Array,
    fresh: Array,
    w: Scratch,
) -> bool:
    """Move all of core ``a`` to one other core, if one can take it."""
    source = _sum_up(level, s, a, inside, w)
    tried, emptiest, done = 0, 0, False
    while tried < PARTNERS and not done:
        if tried < PARTNERS // 2:
            b = int(np.argmax(pull))
            if pull[b] <= 0.0:
                tried = PARTNERS // 2
                continue
            pull[b] = 0.0
        elif emptiest < larger.size:
            b = larger[emptiest]
            emptiest += 1
        else:
            break
        if s.use[NEURONS, b] and _could_join(level, s, a, b, source, w):
            done = _all_to(level, s, a, inside, b, w)
            if done:
                fresh[b] = False
        tried += 1
    pull[:] = 0.0
    w.inner[source] = 0
    return done


@compiled
def _sum_up(level: Level, s: State, a: int, inside: Array, w: Scratch) -> Array:
    """Return the sources that reach core ``a``; their synapses in it go into ``w.inner``."""
    source, found = np.empty(s.use[IN, a], np.int32), 0
    for v in inside:
        for i in range(level.in_start[v], level.in_start[v + 1]):
            k = level.in_source[i]
            if w.inner[k] == 0:
                source[found] = k
                found += 1
            w.inner[k] += level.in_count[i]
    return source


@compiled
def _could_join(level: Level, s: State, a: int, b: int, source: Array, w: Scratch) -> bool:
    """Return whether neurons, in axons and, of one net a source, memory of two cores fit one."""
    if s.use[NEURONS, a] + s.use[NEURONS, b] > level.cap[NEURONS]:
        return False
    axons, bits, layout = s.use[IN, b], s.use[BITS, b], level.cap[4:]
    for k in source:
        at = find(s.sources, k, b)
        n = s.sources.synapses[at] if at >= 0 else 0
        axons += n == 0
        if s.same:
            width = level.net_bits[k]
            bits += list_bits(n + w.inner[k], width, layout) - list_bits(n, width, layout)
    return axons <= level.cap[IN] and bits <= level.cap[BITS]  # type: ignore[no-any-return]


@compiled
def _all_to(level: Level, s: State, a: int, inside: Array, b: int, w: Scratch) -> bool:
    before = excess(level, s)
    for i in range(inside.size):
        if not move(level, s, inside[i], b, before, w):
            for k in range(i):
                shift(level, s, inside[k], a)
            return False
    return True


@compiled
def _scattered(level: Level, s: State, a: int, inside: Array, fresh: Array, w: Scratch) -> bool:
    """Move each vertex of core ``a`` to the best core near it, if that pays."""
    before = excess(level, s)
    change, went = 0.0, 0
    touched = np.empty(inside.size, np.int32)
    for v in inside:
        cost, n = look(level, s, v, w, 0.0)
        kept, b = n, -1
        while n > 0 and kept - n < CORES:
            best = 0
            for i in range(1, n):
                if w.gain[w.near[i]] > w.gain[w.near[best]]:
                    best = i
            b = w.near[best]
            if move(level, s, v, b, before, w):
                change += cost - w.gain[b]
                break
            n -= 1
            w.near[best], w.near[n] = w.near[n], b
            b = -1
        clear(w, kept)
        if b < 0:
            break
        touched[went] = b
        went += 1
    if went == inside.size and change <= 0.0:
        for taker in touched:
            fresh[taker] = False
        return True
    for i in range(went):
        shift(level, s, inside[went - 1 - i], a)
    return False
