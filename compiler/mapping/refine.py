"""Move vertices between cores, and swap them, for less traffic; no limit is ever broken further.

One sweep visits every vertex once. At temperature 0 it takes the best move there is. Above, it
draws from the Boltzmann distribution over the cores that the vertex is connected to (heat bath),
which carries an assignment over the small hills where plain descent ends.
"""

from typing import NamedTuple

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.mapping.fill import uniform
from spikec.compiler.mapping.level import Level
from spikec.compiler.mapping.state import IN, NEURONS, State, enter, leave
from spikec.compiler.types import Array

CHOICES = 3  # cores a vertex tries before it stays where it is
WISHES = 1 << 20


class Scratch(NamedTuple):
    """What sweeps write into.

    Attributes:
        gain: Traffic saved by going to each core, float64 (cores,); 0 between calls.
        shared: Sources of the vertex that reach each core already, int32 (cores,); likewise.
        seen: Whether a core stands in ``near``.
        near: Cores that a source of the vertex reaches or lies in, or that the vertex reaches.
        wish: For pairs of cores the last vertex that found no room, hashed.
        random: State of the generator, uint64 (1,).
    """

    gain: Array
    shared: Array
    seen: Array
    near: Array
    wish: Array
    random: Array


def scratch(s: State, seed: int) -> Scratch:
    """Return empty work space."""
    return Scratch(
        np.zeros(s.cores, np.float64),
        np.zeros(s.cores, np.int32),
        np.zeros(s.cores, np.bool_),
        np.empty(s.cores, np.int32),
        np.full(WISHES, -1, np.int32),
        np.array([seed * 2 + 1], np.uint64),
    )


def anneal(level: Level, s: State, seed: int, hot: float, sweeps: int, settle: int) -> None:
    """Refine in place: ``sweeps`` from temperature ``hot`` down, then descend until it settles.

    Args:
        level: The network.
        s: The assignment.
        seed: Of the order and of the draws.
        hot: First temperature, as a part of a vertex's mean incoming rate.
        sweeps: How many are annealed.
        settle: Most sweeps of plain descent; fewer where nothing changes.
    """
    random = np.random.default_rng(seed)
    work = scratch(s, seed)
    scale = float(level.rate[level.in_source].sum()) / max(level.vertices, 1)
    for i in range(sweeps):
        t = hot * scale * (0.03 ** (i / max(sweeps - 1, 1)))
        sweep(level, s, random.permutation(level.vertices).astype(np.int32), t, work)
    for _ in range(settle):
        order = random.permutation(level.vertices).astype(np.int32)
        if sweep(level, s, order, 0.0, work) < max(1, level.vertices // 1000):
            break


@compiled
def look(level: Level, s: State, v: int, w: Scratch) -> tuple[float, int]:
    """Find where vertex ``v`` could go: return the cost of leaving, and how many cores are near.

    Going to core c then changes the traffic by that cost less ``gain[c]``.
    """
    a, cost, n = s.seat[v], 0.0, 0
    gain, shared, near, table = w.gain, w.shared, w.near, s.sources
    for i in range(level.in_start[v], level.in_start[v + 1]):
        k = level.in_source[i]
        rate, home = level.rate[k], level.home[k]
        inside = home == v
        own = s.seat[home] if home >= 0 else -1
        if not inside:
            cost += rate
        saw_own = False
        for j in range(table.start[k], table.start[k] + table.used[k]):
            c = table.core[j]
            if c == a:
                if table.count[j] == level.in_count[i] and (inside or own != a):
                    cost -= rate
                continue
            if not w.seen[c]:
                w.seen[c] = True
                near[n] = c
                n += 1
            shared[c] += 1
            if c == own:
                saw_own = True
            if not inside:
                gain[c] += rate
        if own >= 0 and own != a and not saw_own:
            if not w.seen[own]:
                w.seen[own] = True
                near[n] = own
                n += 1
            gain[own] += rate
    for i in range(level.own_start[v], level.own_start[v + 1]):
        k = level.own[i]
        rate = level.rate[k]
        for j in range(table.start[k], table.start[k] + table.used[k]):
            c = table.core[j]
            if c == a:
                cost += rate
                continue
            if not w.seen[c]:
                w.seen[c] = True
                near[n] = c
                n += 1
            gain[c] += rate
    return cost, n


@compiled
def clear(w: Scratch, n: int) -> None:
    """Forget what ``look`` found."""
    for i in range(n):
        w.gain[w.near[i]] = 0.0
        w.shared[w.near[i]] = 0
        w.seen[w.near[i]] = False


@compiled
def _choose(w: Scratch, n: int, cost: float, temperature: float) -> int:
    """Return the place in ``near`` of the core to go to, or -1 to stay."""
    best, chosen = 0.0, -1
    if temperature > 0.0:
        best = -np.log(-np.log(uniform(w.random)))  # Gumbel noise: the maximum is a Boltzmann draw
    for i in range(n):
        value = w.gain[w.near[i]] - cost
        if temperature > 0.0:
            if value < -20.0 * temperature:
                continue
            value = value / temperature - np.log(-np.log(uniform(w.random)))
        elif value < 1e-9 * cost:
            continue
        if value > best:
            best, chosen = value, i
    return chosen


@compiled
def worse(s: State, before: Array) -> bool:
    """Return whether a limit is broken further than before."""
    return (s.excess > before).any()  # type: ignore[no-any-return]


@compiled
def move(level: Level, s: State, v: int, b: int, before: Array) -> bool:
    """Move vertex ``v`` to core ``b`` unless that breaks a limit; return whether it went."""
    a = s.seat[v]
    leave(level, s, v)
    enter(level, s, v, b)
    if worse(s, before):
        leave(level, s, v)
        enter(level, s, v, a)
        return False
    return True


@compiled
def _swap(
    level: Level, s: State, v: int, b: int, change: float, t: float, w: Scratch, before: Array
) -> bool:
    """Exchange ``v`` with a vertex of core ``b`` that wished to go the other way, if that pays."""
    a = s.seat[v]
    back = (b * 1_000_003 + a) % WISHES
    u = w.wish[back]
    if u < 0 or s.seat[u] != b:
        w.wish[(a * 1_000_003 + b) % WISHES] = v
        return False
    w.wish[back] = -1
    leave(level, s, v)
    enter(level, s, v, b)
    cost, n = look(level, s, u, w)
    change += cost - w.gain[a]
    clear(w, n)
    leave(level, s, u)
    enter(level, s, u, a)
    pays = change < 0.0 if t == 0.0 else np.log(uniform(w.random)) * t < -change
    if pays and not worse(s, before):
        return True
    leave(level, s, u)
    enter(level, s, u, b)
    leave(level, s, v)
    enter(level, s, v, a)
    return False


@compiled
def _has_room(level: Level, s: State, v: int, b: int, w: Scratch) -> bool:
    """Return whether core ``b`` has room for the neurons and axons of ``v``: a quick look."""
    axons = level.in_start[v + 1] - level.in_start[v] - w.shared[b]
    return (  # type: ignore[no-any-return]
        s.use[NEURONS, b] + level.size[v] <= level.cap[NEURONS]
        and s.use[IN, b] + axons <= level.cap[IN]
    )


@compiled
def sweep(level: Level, s: State, order: Array, temperature: float, w: Scratch) -> int:
    """Visit the vertices in the given order; return how many moved."""
    moved = 0
    before = s.excess.copy()
    for v in order:
        cost, n = look(level, s, v, w)
        kept, went, wanted, change = n, False, -1, 0.0
        for _ in range(CHOICES):
            i = _choose(w, n, cost, temperature)
            if i < 0:
                break
            b = w.near[i]
            before[:] = s.excess
            if _has_room(level, s, v, b, w) and move(level, s, v, b, before):
                went = True
                break
            if wanted < 0:
                wanted, change = b, cost - w.gain[b]
            n -= 1
            w.near[i], w.near[n] = w.near[n], b  # not again
        clear(w, kept)
        if went:
            moved += 1
        elif wanted >= 0 and _swap(level, s, v, wanted, change, temperature, w, before):
            moved += 2
    return moved
