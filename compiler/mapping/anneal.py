"""Compiled loops that exchange the seats of cores to shorten their ways.

A grid of slots, tiles or chips, has ``capacity`` seats a slot, numbered (row * columns + column) *
capacity + k. ``seat[i]`` is where core i sits; ``who[seat]`` is its core, -1 for an empty seat, -2
for one that is not there. The weight of a way is the difference of the positions ``px`` of its
columns and ``py`` of its rows. ``start``, ``other`` and ``weight`` are the symmetric traffic in
csr form, without a diagonal.
"""

import math
from typing import Any

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.types import Array

FEW = 600  # cores, up to which copies of all seats cost little
EPSILON = 1e-9  # of the traffic of two cores: less is rounding, not a gain
_A, _B = np.uint64(6364136223846793005), np.uint64(1442695040888963407)
_SHIFT = np.uint64(33)


@compiled
def draw(state: Array) -> Any:
    """Return 31 random bits: a linear congruence modulo 2^64 (Knuth's MMIX), its upper half."""
    state[0] = state[0] * _A + _B
    return np.int64(state[0] >> _SHIFT)


@compiled
def seeded(seed: int) -> Array:
    """Return the state that ``draw`` starts from."""
    state = np.empty(1, dtype=np.uint64)
    state[0] = np.uint64(seed) * _A + _B
    return state


@compiled
def _change(
    core: int,
    partner: Any,
    place: tuple[float, float],
    goal: Any,
    start: Array,
    other: Array,
    weight: Array,
    at: Array,
) -> float:
    """Return by how much the ways of a core grow when it goes to another place.

    The partner comes the other way, so that the way between the two stays as long.
    """
    total = 0.0
    for e in range(start[core], start[core + 1]):
        j = other[e]
        if j != partner:
            x, y = at[j, 0], at[j, 1]
            total += weight[e] * (
                abs(goal[0] - x) + abs(goal[1] - y) - abs(place[0] - x) - abs(place[1] - y)
            )
    return total


@compiled
def _exchange_cost(
    core: int,
    partner: Any,
    place: tuple[float, float],
    goal: Any,
    start: Array,
    other: Array,
    weight: Array,
    at: Array,
) -> float:
    """Return by how much all ways grow when a core and the one at its goal, if any, exchange."""
    total = _change(core, partner, place, goal, start, other, weight, at)
    if partner >= 0:
        total += _change(partner, core, goal, place, start, other, weight, at)
    return total


@compiled
def exchange(core: int, goal: Any, seat: Array, who: Array, at: Array) -> None:
    """Let a core and whoever is at its goal exchange seats."""
    partner, old = who[goal], seat[core]
    who[old], who[goal] = partner, core
    seat[core] = goal
    if partner >= 0:
        seat[partner] = old
        for axis in range(2):
            at[core, axis], at[partner, axis] = at[partner, axis], at[core, axis]


@compiled
def positions(seat: Array, px: Array, py: Array, capacity: int) -> Array:
    """Return where every core is, (cores, 2)."""
    at = np.empty((seat.size, 2))
    for i in range(seat.size):
        slot = seat[i] // capacity
        at[i, 0], at[i, 1] = px[slot % px.size], py[slot // px.size]
    return at


@compiled
def anneal(
    start: Array,
    other: Array,
    weight: Array,
    seat: Array,
    who: Array,
    px: Array,
    py: Array,
    capacity: int,
    moves: int,
    heat: float,
    seed: int,
) -> None:
    """Try so many exchanges, each accepted by the rule of Metropolis; changes ``seat``, ``who``.

    Half of the goals are near a core one talks to, half in a window that narrows. The temperature
    starts at ``heat`` times the mean change of the first goals and falls by a thousand. The last
    seats are kept, of few cores the best that were seen.
    """
    n, columns, rows = seat.size, px.size, py.size
    at = positions(seat, px, py, capacity)
    state = seeded(seed)
    sample = min(moves // 10, 1000)
    seen, size = 0, 0.0
    total, least, kept = 0.0, 0.0, seat.copy()
    hot, temperature = 0.0, 0.0
    for move in range(moves):
        done = move / moves
        if move == sample:
            hot = heat * size / max(seen, 1)
        if move >= sample and move % 64 == 0:
            temperature = hot * math.exp(-6.9 * done)
        core = draw(state) % n
        links = start[core + 1] - start[core]
        reach = 1
        slot = seat[core] // capacity
        if links > 0 and draw(state) & 1:
            slot = seat[other[start[core] + draw(state) % links]] // capacity
        else:
            reach = 1 + int((1.0 - done) * max(columns, rows))
        x = slot % columns + draw(state) % (2 * reach + 1) - reach
        y = slot // columns + draw(state) % (2 * reach + 1) - reach
        if x < 0 or x >= columns or y < 0 or y >= rows:
            continue
        goal = (y * columns + x) * capacity + draw(state) % capacity
        partner = who[goal]
        if partner == -2 or goal // capacity == seat[core] // capacity:
            continue
        place = (at[core, 0], at[core, 1])
        change = _exchange_cost(core, partner, place, (px[x], py[y]), start, other, weight, at)
        if move < sample:
            size += abs(change)
            seen += 1
        if change <= 0.0 or (
            temperature > 0.0 and math.exp(-change / temperature) * 2147483648.0 > draw(state)
        ):
            exchange(core, goal, seat, who, at)
            at[core, 0], at[core, 1] = px[x], py[y]
            total += change
            if n <= FEW and total < least:
                least = total
                kept[:] = seat
    if n <= FEW:
        who[seat] = -1
        seat[:] = kept
        who[seat] = np.arange(n)


@compiled
def _median(core: int, start: Array, other: Array, weight: Array, at: Array, axis: int) -> float:
    """Return the position on an axis from which a core's ways are shortest: a weighted median."""
    first, last = start[core], start[core + 1]
    order = np.argsort(at[other[first:last], axis])
    half = weight[first:last].sum() / 2
    total, found = 0.0, 0.0
    for k in order:
        total += weight[first + k]
        found = at[other[first + k], axis]
        if total >= half:
            break
    return found


@compiled
def descend(
    start: Array,
    other: Array,
    weight: Array,
    seat: Array,
    who: Array,
    px: Array,
    py: Array,
    capacity: int,
    reach: int,
    passes: int,
) -> None:
    """Give core after core its best exchange within reach of where its ways are shortest.

    Ends after a pass without a gain; changes ``seat`` and ``who``.
    """
    columns, rows = px.size, py.size
    at = positions(seat, px, py, capacity)
    for _ in range(passes):
        gained = False
        for core in range(seat.size):
            if start[core] == start[core + 1]:
                continue
            x: Any = np.searchsorted(px, _median(core, start, other, weight, at, 0))
            y: Any = np.searchsorted(py, _median(core, start, other, weight, at, 1))
            place = (at[core, 0], at[core, 1])
            best, best_goal = -EPSILON * weight[start[core] : start[core + 1]].sum(), -1
            for row in range(max(0, y - reach), min(rows, y + reach + 1)):
                for column in range(max(0, x - reach), min(columns, x + reach + 1)):
                    slot = row * columns + column
                    if slot == seat[core] // capacity:
                        continue
                    for goal in range(slot * capacity, (slot + 1) * capacity):
                        partner = who[goal]
                        if partner == -2:
                            continue
                        target = (px[column], py[row])
                        change = _exchange_cost(
                            core, partner, place, target, start, other, weight, at
                        )
                        if change < best:
                            best, best_goal = change, goal
            if best_goal >= 0:
                exchange(core, best_goal, seat, who, at)
                slot = best_goal // capacity
                at[core, 0], at[core, 1] = px[slot % columns], py[slot // columns]
                gained = True
        if not gained:
            break
