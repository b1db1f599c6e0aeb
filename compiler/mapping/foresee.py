"""By how much limits would be exceeded after a move, found without making it."""

# An element of an array is a number in compiled code; the type checker sees an array.
# pyright: reportArgumentType=false, reportReturnType=false

from typing import NamedTuple

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.mapping.level import Level
from spikec.compiler.mapping.state import (
    BITS,
    IN,
    KINDS,
    NEURONS,
    OUT,
    State,
    Table,
    neurons_excess,
)
from spikec.compiler.mapping.usage import list_bits
from spikec.compiler.types import Array


class Foresight(NamedTuple):
    """What is written into.

    Attributes:
        out: Change of the out axons of each core, int32 (cores,); 0 between calls.
        touched: Cores whose out axons change, each once.
        listed: Whether a core stands there.
        after: Excess after the move, as ``State.excess``.
    """

    out: Array
    touched: Array
    listed: Array
    after: Array


def foresight(cores: int) -> Foresight:
    """Return empty work space."""
    return Foresight(
        np.zeros(cores, np.int32),
        np.empty(cores, np.int32),
        np.zeros(cores, np.bool_),
        np.zeros(5, np.int64),
    )


@compiled
def excess_of(level: Level, excess: Array) -> float:
    """Return by how much limits are exceeded, each excess as a part of its limit."""
    total = float(excess[KINDS])
    for r in range(KINDS):
        total += excess[r] / level.cap[r]
    return total


@compiled
def foresee(level: Level, s: State, v: int, b: int, f: Foresight) -> float:
    """Return ``excess_of`` after a move of vertex ``v`` to core ``b``; see also ``f.after``."""
    a = s.seat[v]
    f.after[:] = s.excess
    f.after[NEURONS] += _neurons(level, s, v, a, -1) + _neurons(level, s, v, b, 1)
    f.after[KINDS] += _kinds(level, s, v, a, -1) + _kinds(level, s, v, b, 1)
    touched, own, come, go, bits_a, bits_b = 0, 0, 0, 0, 0, 0
    layout = level.cap[4:]
    for i in range(level.in_start[v], level.in_start[v + 1]):
        k, m = level.in_source[i], level.in_count[i]
        at_a, at_b = _synapses(s.sources, k, a, b)
        if s.same:
            bits_a += _growth(at_a, -m, level.net_bits[k], layout)
            bits_b += _growth(at_b, m, level.net_bits[k], layout)
        by = (1 if at_b == 0 else 0) - (1 if at_a == m else 0)
        come += at_b == 0
        go += at_a == m
        home = level.home[k]
        if by == 0 or home < 0:
            continue
        if home == v:
            own += by
        else:
            touched = _touch(f, s.seat[home], by, touched)
    if not s.same:
        for i in range(level.net_start[v], level.net_start[v + 1]):
            k, m = level.net[i], level.net_count[i]
            at_a, at_b = _synapses(s.nets, k, a, b)
            bits_a += _growth(at_a, -m, level.net_bits[k], layout)
            bits_b += _growth(at_b, m, level.net_bits[k], layout)
    held = 0
    for i in range(level.own_start[v], level.own_start[v + 1]):
        held += s.sources.used[level.own[i]]
    touched = _touch(f, a, -held, touched)
    touched = _touch(f, b, held + own, touched)
    for i in range(touched):
        c = f.touched[i]
        f.after[OUT] += _over(level, s, OUT, c, f.out[c])
        f.out[c] = 0
        f.listed[c] = False
    f.after[IN] += _over(level, s, IN, a, -go) + _over(level, s, IN, b, come)
    f.after[BITS] += _over(level, s, BITS, a, bits_a) + _over(level, s, BITS, b, bits_b)
    return excess_of(level, f.after)


@compiled
def _synapses(table: Table, k: int, a: int, b: int) -> tuple[int, int]:
    """Return the synapses of list ``k`` in two cores."""
    at_a, at_b = 0, 0
    for j in range(table.start[k], table.start[k] + table.used[k]):
        if table.core[j] == a:
            at_a = table.synapses[j]
        elif table.core[j] == b:
            at_b = table.synapses[j]
        if at_a and at_b:
            break
    return at_a, at_b


@compiled
def _growth(n: int, by: int, bits: int, layout: Array) -> int:
    """Return by how much the memory of a list of ``n`` synapses grows with ``by`` more."""
    return list_bits(n + by, bits, layout) - list_bits(n, bits, layout)


@compiled
def _touch(f: Foresight, c: int, by: int, touched: int) -> int:
    """Change the out axons of a core; return how many cores are listed."""
    if not f.listed[c]:
        f.listed[c] = True
        f.touched[touched] = c
        touched += 1
    f.out[c] += by
    return touched


@compiled
def _over(level: Level, s: State, row: int, c: int, by: int) -> int:
    """Return by how much the excess of core ``c`` grows when it uses ``by`` more."""
    old, cap = s.use[row, c], level.cap[row]
    return max(old + by - cap, 0) - max(old - cap, 0)  # type: ignore[no-any-return]


@compiled
def _neurons(level: Level, s: State, v: int, c: int, sign: int) -> int:
    """Return by how much the excess of neurons of core ``c`` grows with (1) or without (-1) v."""
    most = level.cap[NEURONS]
    for r in range(s.room_value.size):
        if s.rooms[c, r] + (sign if r == s.room_of[v] else 0) > 0:
            most = min(most, s.room_value[r])
            break
    after = max(s.use[NEURONS, c] + sign * level.size[v] - most, 0)
    return after - neurons_excess(level, s, c)  # type: ignore[no-any-return]


@compiled
def _kinds(level: Level, s: State, v: int, c: int, sign: int) -> int:
    """Return by how much the excess of kinds of core ``c`` grows with or without vertex ``v``."""
    grows = 0
    for k in range(level.most.size):
        count, value, used, here = s.kinds[k, c], s.kind[k, c], 0, 0
        for i in range(count.size):
            if count[i] == 0:
                break
            used += 1
            if value[i] == level.kinds[k, v]:
                here = count[i]
        by = 0
        if sign > 0 and here == 0:
            by = 1
        elif sign < 0 and here == 1:
            by = -1
        grows += max(used + by - level.most[k], 0) - max(used - level.most[k], 0)
    return grows
