"""Takes messages off the busiest link, where that is worth longer ways."""

from typing import Any, NamedTuple

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.mapping.anneal import draw, exchange, seeded
from spikec.compiler.mapping.mesh import Mesh
from spikec.compiler.mapping.routes import EAST, NORTH, SOUTH, WEST, carry_one, shape
from spikec.compiler.types import Array
from spikec.compiler.untyped import sparse as sp

TRIES, LEAST_TRIES, MOST_TRIES = 200, 2000, 50_000
REACH = 3  # tiles, within which another place is tried


class _Messages(NamedTuple):
    """Messages between different cores, and by core those that it sends or gets."""

    source: Array
    target: Array
    amount: Array
    first: Array
    listed: Array


def relieved(
    traffic: Any, tiles: Array, there: Array, mesh: Mesh, congestion: float, seed: int
) -> Array:
    """Return tiles with a lower sum of ways and ``congestion`` times the busiest link.

    Args:
        traffic: csr (cores, cores), messages per step.
        tiles: Number of the tile on the plane, row by row, (cores,).
        there: Which tiles there are.
        mesh: Where they are.
        congestion: Weight of a message over the busiest link.
        seed: Of what is tried.
    """
    messages = _messages(traffic)
    px, py = mesh.stretched()
    cores = tiles.size
    who = np.repeat(np.where(there, -1, -2), mesh.cores_per_tile).astype(np.int64)
    seat = np.empty(cores, dtype=np.int64)
    for core, tile in enumerate(tiles):
        free = tile * mesh.cores_per_tile
        seat[core] = free + int(np.argmax(who[free : free + mesh.cores_per_tile] == -1))
        who[seat[core]] = core
    at = np.column_stack((tiles % px.size, tiles // px.size)).astype(np.int64)
    load = np.zeros(shape(mesh))
    tries = int(np.clip(TRIES * cores, LEAST_TRIES, MOST_TRIES))
    _relieve(messages, seat, who, at, load, px, py, mesh.cores_per_tile, congestion, tries, seed)
    return np.asarray(seat // mesh.cores_per_tile)


def _messages(traffic: Any) -> _Messages:
    pairs = sp.coo_array(traffic)
    kept = (pairs.row != pairs.col) & (pairs.data != 0)
    source, target = (a[kept].astype(np.int64) for a in (pairs.row, pairs.col))
    ends = np.concatenate((source, target))
    listed = np.argsort(ends, kind="stable")
    cores: int = traffic.shape[0]
    first: Array = np.searchsorted(ends[listed], np.arange(cores + 1))
    amount = pairs.data[kept].astype(np.float64)
    return _Messages(source, target, amount, first, listed % max(source.size, 1))


@compiled
def _passes(link: Any, columns: int, rows: int, x: Any, y: Any, to_x: Any, to_y: Any) -> bool:
    """Return whether a way goes over a link."""
    direction, row, column = link // (rows * columns), link // columns % rows, link % columns
    if direction == EAST:
        return bool(row == y and x <= column < to_x)
    if direction == WEST:
        return bool(row == y and to_x < column <= x)
    if direction == NORTH:
        return bool(column == to_x and y <= row < to_y)
    return bool(direction == SOUTH and column == to_x and to_y < row <= y)


@compiled
def _put(
    core: Any,
    without: Any,
    sign: float,
    messages: _Messages,
    at: Array,
    load: Array,
    px: Array,
    py: Array,
) -> Any:
    """Add the messages of a core, but those with another, to the links; return their ways."""
    total = 0.0
    for k in range(messages.first[core], messages.first[core + 1]):
        m = messages.listed[k]
        i, j = messages.source[m], messages.target[m]
        if without not in (i, j):
            x, y, to_x, to_y = at[i, 0], at[i, 1], at[j, 0], at[j, 1]
            carry_one(x, y, to_x, to_y, sign * messages.amount[m], load)
            way = abs(px[x] - px[to_x]) + abs(py[y] - py[to_y])
            total += sign * messages.amount[m] * way
    return total


@compiled
def _put_both(
    core: Any,
    partner: Any,
    sign: float,
    messages: _Messages,
    at: Array,
    load: Array,
    px: Array,
    py: Array,
) -> Any:
    """Add the messages of two cores, or of one where the other is no core."""
    total = _put(core, -1, sign, messages, at, load, px, py)
    if partner >= 0:
        total += _put(partner, core, sign, messages, at, load, px, py)
    return total


@compiled
def _relieve(
    messages: _Messages,
    seat: Array,
    who: Array,
    at: Array,
    load: Array,
    px: Array,
    py: Array,
    capacity: int,
    congestion: float,
    tries: int,
    seed: int,
) -> None:
    """Try exchanges of cores whose messages use the busiest link; keep those that gain."""
    count, columns, rows = messages.amount.size, px.size, py.size
    for m in range(count):
        i, j = messages.source[m], messages.target[m]
        carry_one(at[i, 0], at[i, 1], at[j, 0], at[j, 1], messages.amount[m], load)
    state = seeded(seed)
    busiest = np.argmax(load)
    peak = load.ravel()[busiest]
    least = 1e-9 * messages.amount.sum()
    for _ in range(tries):
        if peak <= least:
            break
        m = draw(state) % count
        i, j = messages.source[m], messages.target[m]
        for _again in range(count):
            if _passes(busiest, columns, rows, at[i, 0], at[i, 1], at[j, 0], at[j, 1]):
                break
            m = (m + 1) % count
            i, j = messages.source[m], messages.target[m]
        core: Any = i if draw(state) & 1 else j
        x = at[core, 0] + draw(state) % (2 * REACH + 1) - REACH
        y = at[core, 1] + draw(state) % (2 * REACH + 1) - REACH
        if x < 0 or x >= columns or y < 0 or y >= rows:
            continue
        goal = (y * columns + x) * capacity + draw(state) % capacity
        partner, old = who[goal], seat[core]
        if partner == -2 or goal // capacity == old // capacity:
            continue
        back = (at[core, 0], at[core, 1])
        change = _put_both(core, partner, -1.0, messages, at, load, px, py)
        exchange(core, goal, seat, who, at)
        at[core, 0], at[core, 1] = x, y
        change += _put_both(core, partner, 1.0, messages, at, load, px, py)
        new = load.max()
        if change + congestion * (new - peak) < -least:
            busiest, peak = np.argmax(load), new
            continue
        _put_both(core, partner, -1.0, messages, at, load, px, py)
        exchange(core, old, seat, who, at)
        at[core, 0], at[core, 1] = back
        _put_both(core, partner, 1.0, messages, at, load, px, py)
