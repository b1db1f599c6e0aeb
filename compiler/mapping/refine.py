"""Move vertices between cores, and swap them, for less traffic under the limits.

One sweep visits every vertex once. At temperature 0 it takes the best move there is. Above, it
draws from the Boltzmann distribution over the cores that the vertex is connected to (heat bath),
which carries an assignment over the small hills where plain descent ends.
"""

# An element of an array is a number in compiled code; the type checker sees an array.
# pyright: reportArgumentType=false, reportReturnType=false

from typing import NamedTuple

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.mapping.fill import uniform
from spikec.compiler.mapping.foresee import Foresight, excess_of, foresee, foresight
from spikec.compiler.mapping.level import Level
from spikec.compiler.mapping.renumber import shuffled
from spikec.compiler.mapping.state import IN, KINDS, NEURONS, State, enter, leave, neurons_excess
from spikec.compiler.types import Array

CHOICES = 3  # cores a vertex tries before it stays where it is
REPAIRS = 8  # likewise, before it goes to an empty core
WISHES = 1 << 20


class Heat(NamedTuple):
    """How freely a sweep moves.

    Attributes:
        temperature: Of the draws, in spikes per step.
        soft: Pins at which a source costs half its rate for a core, see ``look``.
        price: Of exceeding a limit by its whole amount, in spikes per step; 0 forbids it.
    """

    temperature: float
    soft: float
    price: float


class Scratch(NamedTuple):
    """What sweeps write into.

    Attributes:
        gain: Traffic saved by going to each core, float64 (cores,); 0 between calls.
        shared: Sources of the vertex that reach each core already, int32 (cores,); likewise.
        seen: Whether a core stands in ``near``.
        near: Cores that a source of the vertex reaches or lies in, or that the vertex reaches.
        wish: For pairs of cores the last vertex that found no room, hashed.
        random: State of the generator, uint64 (1,).
        inner: Synapses that a source of the vertex has in the vertex itself, int32 (sources,).
        foresight: Of moves.
    """

    gain: Array
    shared: Array
    seen: Array
    near: Array
    wish: Array
    random: Array
    inner: Array
    foresight: Foresight


def scratch(level: Level, s: State, seed: int) -> Scratch:
    """Return empty work space."""
    return Scratch(
        np.zeros(s.cores, np.float64),
        np.zeros(s.cores, np.int32),
        np.zeros(s.cores, np.bool_),
        np.empty(s.cores, np.int32),
        np.full(WISHES, -1, np.int32),
        np.array([seed * 2 + 1], np.uint64),
        np.zeros(level.rate.size, np.int32),
        foresight(s.cores),
    )


def anneal(
    level: Level, s: State, seed: int, hot: float, soft: float, sweeps: int, settle: int
) -> None:
    """Refine in place: ``sweeps`` from temperature ``hot`` down, then descend until it settles.

    Limits have a price while the temperature falls, and are kept from then on.

    Args:
        level: The network.
        s: The assignment.
        seed: Of the order and of the draws.
        hot: First temperature, as a part of a vertex's mean incoming rate.
        soft: How much less than its rate a source costs for cores with few of its pins, in the
            first half of the sweeps: a multiple of the mean number of pins in a core.
        sweeps: How many are annealed.
        settle: Most sweeps of plain descent; fewer where nothing changes.
    """
    random = np.random.default_rng(seed)
    work = scratch(level, s, seed)
    scale = float(level.rate[level.in_source].sum()) / max(level.vertices, 1)
    pins = float(level.in_count.sum()) / max(int(s.sources.used.sum()), 1)
    price = 2 * hot * scale * level.vertices / max(np.unique(s.seat).size, 1)

    def order() -> Array:
        return shuffled(random, level.vertices)

    for i in range(sweeps):
        x = i / max(sweeps - 1, 1)
        few = pins * soft * max(0.0, 1 - 2 * x)
        t = hot * scale * 0.03**x / (1 + few)  # a single pin then costs less as well
        heat = Heat(t, few, price)
        sweep(level, s, order(), heat, work)
    for _ in range(settle):
        repair(level, s, order(), work)
        if sweep(level, s, order(), Heat(0.0, 0.0, 0.0), work) < max(1, level.vertices // 1000):
            break


@compiled
def _spread(n: int, soft: float) -> float:
    """Return what ``n`` pins of a source in a core cost: 1, or less where ``soft`` is positive."""
    if soft == 0.0:
        return 1.0 if n > 0 else 0.0
    return n / (n + soft)


@compiled
def look(level: Level, s: State, v: int, w: Scratch, soft: float) -> tuple[float, int]:
    """Find where vertex ``v`` could go: return the cost of leaving, and how many cores are near.

    Going to core c then changes the traffic by that cost less ``gain[c]``. A source costs its rate
    for each core that holds a pin of it, itself or a target; with ``soft`` it costs less for cores
    with few pins, so that moves that only begin to clear a core are seen to lead somewhere.
    """
    # Half of all time is spent here: arrays are taken out of their tuples, and nothing is called
    # that takes a tuple, since to pass one takes longer than the work on a source.
    a, cost, n, rates = s.seat[v], 0.0, 0, level.rate
    start, used = s.sources.start, s.sources.used
    core, synapses = s.sources.core, s.sources.synapses
    gain, shared, seen, near, inner = w.gain, w.shared, w.seen, w.near, w.inner
    source, count, home, seat = level.in_source, level.in_count, level.home, s.seat
    first, last = level.in_start[v], level.in_start[v + 1]
    own, mine = level.own, level.own_start[v]
    for i in range(first, last + level.own_start[v + 1] - mine):
        if i < last:
            k, m, targets = source[i], count[i], 1
            lies = home[k]
            if lies == v:
                inner[k] = m
                continue
            lies = seat[lies] if lies >= 0 else -1
        else:
            k, lies = own[mine + i - last], a
            m, targets = inner[k] + 1, min(inner[k], 1)
            inner[k] = 0
        rate, alone = rates[k], _spread(m, soft)
        here, counted = (1 if lies == a else 0), lies < 0 or lies == a
        for j in range(start[k], start[k] + used[k]):
            c, pins = core[j], synapses[j]
            if c == a:
                here += pins
                continue
            if not seen[c]:
                seen[c] = True
                near[n] = c
                n += 1
            shared[c] += targets
            if c == lies:
                counted = True
                pins += 1
            gain[c] += rate * (alone - _spread(pins + m, soft) + _spread(pins, soft))
        if not counted:
            if not seen[lies]:
                seen[lies] = True
                near[n] = lies
                n += 1
            gain[lies] += rate * (alone - _spread(1 + m, soft) + _spread(1, soft))
        cost += rate * (alone - _spread(here, soft) + _spread(here - m, soft))
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
def excess(level: Level, s: State) -> float:
    """Return by how much limits are exceeded, each excess as a part of its limit."""
    return excess_of(level, s.excess)


@compiled
def shift(level: Level, s: State, v: int, b: int) -> None:
    """Move vertex ``v`` to core ``b``."""
    leave(level, s, v)
    enter(level, s, v, b)


@compiled
def move(level: Level, s: State, v: int, b: int, allowed: float, w: Scratch) -> bool:
    """Move vertex ``v`` to core ``b`` unless the excess rises above what is allowed."""
    after = foresee(level, s, v, b, w.foresight)
    if after > allowed or w.foresight.after[KINDS] > s.excess[KINDS]:
        return False
    shift(level, s, v, b)
    return True


@compiled
def _beyond(level: Level, s: State, v: int, b: int, w: Scratch) -> float:
    """Return by how much core ``b`` exceeds its neurons and in axons with ``v``, as ``excess``."""
    neurons = s.use[NEURONS, b] + level.size[v] - level.cap[NEURONS]
    axons = s.use[IN, b] + level.in_start[v + 1] - level.in_start[v] - w.shared[b] - level.cap[IN]
    total = max(neurons, 0) / level.cap[NEURONS] + max(axons, 0) / level.cap[IN]
    return total  # type: ignore[no-any-return]


@compiled
def _swap(
    level: Level, s: State, v: int, b: int, change: float, heat: Heat, allowed: float, w: Scratch
) -> bool:
    """Exchange ``v`` with a vertex of core ``b`` that wished to go the other way, if that pays."""
    a, kinds = s.seat[v], s.excess[KINDS]
    back = (b * 1_000_003 + a) % WISHES
    u = w.wish[back]
    if u < 0 or s.seat[u] != b:
        w.wish[(a * 1_000_003 + b) % WISHES] = v
        return False
    w.wish[back] = -1
    t = heat.temperature
    most = 0.0 if t == 0.0 else -np.log(uniform(w.random)) * t
    # Both moves at once never save more than the two alone: what cannot pay is not tried.
    if change + _alone(level, s, u, a, heat.soft, w) >= most:
        return False
    shift(level, s, v, b)
    change += _alone(level, s, u, a, heat.soft, w)
    shift(level, s, u, a)
    if change < most and excess(level, s) <= allowed and s.excess[KINDS] <= kinds:
        return True
    shift(level, s, u, b)
    shift(level, s, v, a)
    return False


@compiled
def _alone(level: Level, s: State, v: int, c: int, soft: float, w: Scratch) -> float:
    """Return by how much the traffic grows when vertex ``v`` goes to core ``c``."""
    cost, n = look(level, s, v, w, soft)
    change = cost - w.gain[c]
    clear(w, n)
    return change  # type: ignore[no-any-return]


@compiled
def sweep(level: Level, s: State, order: Array, heat: Heat, w: Scratch) -> int:
    """Visit the vertices in the given order; return how many moved."""
    moved = 0
    for v in order:
        cost, n = look(level, s, v, w, heat.soft)
        kept, went, wanted, change = n, False, -1, 0.0
        before = excess(level, s)
        allowed = before
        if heat.price > 0.0:  # a draw of Metropolis: how much worse it may become
            allowed -= np.log(uniform(w.random)) * heat.temperature / heat.price
        for _ in range(CHOICES):
            i = _choose(w, n, cost, heat.temperature)
            if i < 0:
                break
            b = w.near[i]
            # What is refused without a try would be refused after it: nothing else can shrink.
            if (before > 0.0 or _beyond(level, s, v, b, w) <= allowed) and move(
                level, s, v, b, allowed, w
            ):
                went = True
                break
            if wanted < 0:
                wanted, change = b, cost - w.gain[b]
            n -= 1
            w.near[i], w.near[n] = w.near[n], b  # not again
        clear(w, kept)
        if went:
            moved += 1
        elif wanted >= 0 and _swap(level, s, v, wanted, change, heat, allowed, w):
            moved += 2
    return moved


@compiled
def repair(level: Level, s: State, order: Array, w: Scratch) -> None:
    """Let vertices leave cores that exceed a limit, for the nearest core or an empty one."""
    for v in order:
        before, a = excess(level, s), s.seat[v]
        if before == 0.0:
            return
        if not _exceeds(level, s, a):
            continue
        _, n = look(level, s, v, w, 0.0)
        kept, went = n, False
        while n > 0 and not went and kept - n < REPAIRS:
            best = 0
            for i in range(1, n):
                if w.gain[w.near[i]] > w.gain[w.near[best]]:
                    best = i
            b = w.near[best]
            went = move(level, s, v, b, before * (1 - 1e-9), w)
            n -= 1
            w.near[best], w.near[n] = w.near[n], b
        clear(w, kept)
        empty = int(np.argmin(s.use[NEURONS]))
        if not went and s.use[NEURONS, empty] == 0:
            move(level, s, v, empty, before * (1 - 1e-9), w)


@compiled
def _exceeds(level: Level, s: State, a: int) -> bool:
    for r in range(KINDS):
        if s.use[r, a] > level.cap[r]:
            return True
    return neurons_excess(level, s, a) > 0 or s.excess[KINDS] > 0
