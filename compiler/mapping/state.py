"""An assignment of vertices to cores with all its counters, kept exact move by move."""

# An element of an array is a number in compiled code; the type checker sees an array.
# pyright: reportArgumentType=false, reportReturnType=false

from typing import NamedTuple

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.mapping.level import Level
from spikec.compiler.mapping.usage import list_bits
from spikec.compiler.types import Array

# Rows of ``State.use`` and entries of ``State.excess``.
NEURONS, IN, OUT, BITS, KINDS = range(5)


class Table(NamedTuple):
    """For each list (a source or a net) the cores that it reaches, and its synapses in each.

    Attributes:
        start: Where the places of each list begin, int64 (lists + 1,).
        used: How many of them are taken.
        core: Cores, in no order.
        synapses: In each of them.
    """

    start: Array
    used: Array
    core: Array
    synapses: Array


class State(NamedTuple):
    """Where every vertex is, and what every core uses.

    Attributes:
        seat: Core of each vertex.
        use: Neurons, in axons, out axons and synapse bits of each core, int64 (4, cores).
        excess: By how much limits are exceeded, summed over cores: neurons, in axons, out axons,
            synapse bits, kinds. All 0 for a feasible assignment.
        sources, nets: Cores that each source and net reaches; one table where the two are the same.
        kinds: Vertices of each kind: int32 (sorts, cores, places), with their values.
        kind: See ``kinds``.
        rooms: Vertices of each room, int32 (cores, rooms).
        room_value: The rooms there are, ascending.
        room_of: Which of them each vertex has.
        same: Whether ``sources`` and ``nets`` are the same table.
    """

    seat: Array
    use: Array
    excess: Array
    sources: Table
    nets: Table
    kinds: Array
    kind: Array
    rooms: Array
    room_value: Array
    room_of: Array
    same: bool

    @property
    def cores(self) -> int:
        """Number of cores, empty ones included."""
        return int(self.use.shape[1])


def state(level: Level, seat: Array, cores: int) -> State:
    """Return the counters of an assignment that keeps the limits of kinds."""
    room_value, room_of = np.unique(level.room, return_inverse=True)
    sources = _table(level.in_start, level.in_source, level.rate.size, cores)
    same = level.net is level.in_source
    nets = sources if same else _table(level.net_start, level.net, level.net_bits.size, cores)
    places = int(level.most.max(initial=0)) + 1  # one more, for the middle of a swap
    s = State(
        np.full(level.vertices, -1, np.int32),
        np.zeros((4, cores), np.int64),
        np.zeros(5, np.int64),
        sources,
        nets,
        np.zeros((level.most.size, cores, places), np.int32),
        np.zeros((level.most.size, cores, places), np.int32),
        np.zeros((cores, room_value.size), np.int32),
        room_value.astype(np.int64),
        room_of.astype(np.int32),
        same,
    )
    _seat_all(level, s, seat.astype(np.int32))
    return s


def _table(start: Array, item: Array, items: int, cores: int) -> Table:
    size = np.minimum(np.bincount(item, minlength=items), cores)
    begin = np.concatenate([np.zeros(1, np.int64), np.cumsum(size)])
    places = int(begin[-1])
    return Table(
        begin, np.zeros(items, np.int32), np.empty(places, np.int32), np.empty(places, np.int32)
    )


@compiled
def find(table: Table, k: int, c: int) -> int:
    """Return the place of core ``c`` in list ``k``, or -1."""
    first = table.start[k]
    for i in range(first, first + table.used[k]):
        if table.core[i] == c:
            return i
    return -1


@compiled
def _put(table: Table, k: int, c: int, count: int) -> int:
    """Add synapses of list ``k`` in core ``c``; return how many there were."""
    i = find(table, k, c)
    if i < 0:
        i = table.start[k] + table.used[k]
        table.used[k] += 1
        table.core[i], table.synapses[i] = c, count
        return 0
    table.synapses[i] += count
    return table.synapses[i] - count  # type: ignore[no-any-return]


@compiled
def _drop(table: Table, k: int, c: int, count: int) -> int:
    """Take synapses of list ``k`` away from core ``c``; return how many are left."""
    i = find(table, k, c)
    table.synapses[i] -= count
    left = table.synapses[i]
    if left == 0:
        table.used[k] -= 1
        last = table.start[k] + table.used[k]
        table.core[i], table.synapses[i] = table.core[last], table.synapses[last]
    return left  # type: ignore[no-any-return]


@compiled
def _change(level: Level, s: State, row: int, c: int, by: int) -> None:
    """Change what a core uses, and the excess with it."""
    cap, old = level.cap[row], s.use[row, c]
    s.use[row, c] = old + by
    s.excess[row] += max(old + by - cap, 0) - max(old - cap, 0)


@compiled
def neurons_excess(level: Level, s: State, c: int) -> int:
    """Return how many neurons core ``c`` has too many."""
    most = level.cap[NEURONS]
    for r in range(s.room_value.size):
        if s.rooms[c, r]:
            most = min(most, s.room_value[r])
            break
    return max(s.use[NEURONS, c] - most, 0)  # type: ignore[no-any-return]


@compiled
def _resize(level: Level, s: State, v: int, c: int, sign: int) -> None:
    """Count vertex ``v`` into (1) or out of (-1) core ``c``: neurons, room and kinds."""
    s.excess[NEURONS] -= neurons_excess(level, s, c)
    s.use[NEURONS, c] += sign * level.size[v]
    s.rooms[c, s.room_of[v]] += sign
    s.excess[NEURONS] += neurons_excess(level, s, c)
    for k in range(level.most.size):
        count, value, used, at = s.kinds[k, c], s.kind[k, c], 0, -1
        for i in range(count.size):
            if count[i] == 0:
                break
            used += 1
            if value[i] == level.kinds[k, v]:
                at = i
        before = max(used - level.most[k], 0)
        if at < 0:
            at = used
            used += 1
            value[at] = level.kinds[k, v]
        count[at] += sign
        if count[at] == 0:
            used -= 1
            count[at], value[at] = count[used], value[used]
            count[used] = 0
        s.excess[KINDS] += max(used - level.most[k], 0) - before


@compiled
def enter(level: Level, s: State, v: int, c: int) -> None:
    """Put vertex ``v``, which is nowhere, into core ``c``."""
    s.seat[v] = c
    _resize(level, s, v, c, 1)
    for i in range(level.own_start[v], level.own_start[v + 1]):
        _change(level, s, OUT, c, s.sources.used[level.own[i]])
    bits, layout = 0, level.cap[4:]
    for i in range(level.in_start[v], level.in_start[v + 1]):
        k, n = level.in_source[i], level.in_count[i]
        old = _put(s.sources, k, c, n)
        if s.same:
            b = level.net_bits[k]
            bits += list_bits(old + n, b, layout) - list_bits(old, b, layout)
        if old == 0:
            _change(level, s, IN, c, 1)
            home = level.home[k]
            if home >= 0 and s.seat[home] >= 0:
                _change(level, s, OUT, s.seat[home], 1)
    if not s.same:
        for i in range(level.net_start[v], level.net_start[v + 1]):
            k, n = level.net[i], level.net_count[i]
            old, b = _put(s.nets, k, c, n), level.net_bits[k]
            bits += list_bits(old + n, b, layout) - list_bits(old, b, layout)
    _change(level, s, BITS, c, bits)


@compiled
def leave(level: Level, s: State, v: int) -> None:
    """Take vertex ``v`` out of its core."""
    c = s.seat[v]
    bits, layout = 0, level.cap[4:]
    for i in range(level.in_start[v], level.in_start[v + 1]):
        k, n = level.in_source[i], level.in_count[i]
        left = _drop(s.sources, k, c, n)
        if s.same:
            b = level.net_bits[k]
            bits += list_bits(left, b, layout) - list_bits(left + n, b, layout)
        if left == 0:
            _change(level, s, IN, c, -1)
            home = level.home[k]
            if home >= 0 and s.seat[home] >= 0:
                _change(level, s, OUT, s.seat[home], -1)
    if not s.same:
        for i in range(level.net_start[v], level.net_start[v + 1]):
            k, n = level.net[i], level.net_count[i]
            left, b = _drop(s.nets, k, c, n), level.net_bits[k]
            bits += list_bits(left, b, layout) - list_bits(left + n, b, layout)
    _change(level, s, BITS, c, bits)
    for i in range(level.own_start[v], level.own_start[v + 1]):
        _change(level, s, OUT, c, -s.sources.used[level.own[i]])
    _resize(level, s, v, c, -1)
    s.seat[v] = -1


@compiled
def _seat_all(level: Level, s: State, seat: Array) -> None:
    for v in range(seat.size):
        enter(level, s, v, seat[v])
