"""Empty cores that others have room for: whole, or scattered over the cores near them.

Two cores in one never send more spikes than apart, since each source counts a core once.
"""

# An element of an array is a number in compiled code; the type checker sees an array.
# pyright: reportArgumentType=false, reportReturnType=false

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.mapping.level import Level, members
from spikec.compiler.mapping.refine import Scratch, clear, excess, look, move, scratch
from spikec.compiler.mapping.state import NEURONS, State
from spikec.compiler.types import Array

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
        if not found:
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
        if _into_one(level, s, a, inside, order[i + 1 :], pull, fresh, w) or _scattered(
            level, s, a, inside, fresh, w
        ):
            emptied += 1
            fresh[a] = False
    return emptied


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
    for v in inside:
        _, n = look(level, s, v, w, 0.0)
        for i in range(n):
            pull[w.near[i]] += w.gain[w.near[i]]
        clear(w, n)
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
        if s.use[NEURONS, b] and s.use[NEURONS, a] + s.use[NEURONS, b] <= level.cap[NEURONS]:
            done = _all_to(level, s, a, inside, b)
            if done:
                fresh[b] = False
        tried += 1
    pull[:] = 0.0
    return done


@compiled
def _all_to(level: Level, s: State, a: int, inside: Array, b: int) -> bool:
    before = excess(level, s)
    for i in range(inside.size):
        if not move(level, s, inside[i], b, before):
            for k in range(i):
                move(level, s, inside[k], a, np.inf)
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
        while n > 0:
            best = 0
            for i in range(1, n):
                if w.gain[w.near[i]] > w.gain[w.near[best]]:
                    best = i
            b = w.near[best]
            if move(level, s, v, b, before):
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
        move(level, s, inside[went - 1 - i], a, np.inf)
    return False
