"""Assign neurons to cores: as few spikes between cores as possible, every limit kept exactly."""

from dataclasses import replace
from typing import Literal, NoReturn

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.errors import SpikecError
from spikec.compiler.mapping.fill import by_connectivity, caps, in_order
from spikec.compiler.mapping.hypergraph import Hypergraph, Limits
from spikec.compiler.mapping.level import Level, finest
from spikec.compiler.mapping.usage import exceeded, list_bits, traffic, usage
from spikec.compiler.types import Array

Method = Literal["best", "sequential", "greedy"]
MARGINS = (1.0, 0.97, 0.9, 0.75, 0.5)  # of the out axons that an estimate may use


def partition(h: Hypergraph, limits: Limits, seed: int = 0, method: Method = "best") -> Array:
    """Return the core of every neuron, int32 (neurons,), cores numbered from 0 without gaps.

    Args:
        h: The network.
        limits: Of one core.
        seed: The same seed gives the same assignment.
        method: ``sequential`` fills cores in the order of the neurons; ``greedy`` by connectivity.

    Raises:
        SpikecError: SPK1732 or SPK1733 when a neuron fits no core even alone, SPK1734 when its targets
            lie in more cores than it has output axons for.
    """
    level = finest(h)
    _check_alone(level, limits)
    candidates = ["sequential", "greedy"] if method == "best" else [method]
    found = [_filled(h, level, limits, name) for name in candidates]
    seats = [f for f in found if f is not None]
    if not seats:
        _no_out_axons(level, limits)
    return min(seats, key=lambda seat: (traffic(h, seat), int(seat.max())))


def _filled(h: Hypergraph, level: Level, limits: Limits, how: str) -> Array | None:
    """Return cores filled one after the other; None where out axons do not fit."""
    out = np.zeros(level.vertices, np.int64)
    for margin in (1.0, *MARGINS, 1.0):
        tight = replace(limits, out_axons=max(int(limits.out_axons * margin), 1))
        if how == "sequential":
            seat = in_order(level, tight, np.arange(level.vertices), out)
        else:
            seat = by_connectivity(level, tight, out)
        if not exceeded(usage(h, seat, int(seat.max()) + 1, limits), limits):
            return seat
        out = reach(level, seat)
        if margin == MARGINS[-1]:  # no estimate any more: at most one core for each target
            out = np.minimum(_own_sum(level, np.diff(level.pin_start)), limits.out_axons)
    return None


def reach(level: Level, seat: Array) -> Array:
    """Return how many cores the sources inside each vertex reach, int64."""
    return _own_sum(level, _reached(level.pin_start, level.pin, seat))


def _own_sum(level: Level, number: Array) -> Array:
    """Return the sum over the sources inside each vertex."""
    total = np.concatenate([np.zeros(1, np.int64), np.cumsum(number[level.own])])
    return np.diff(total[level.own_start])


@compiled
def _reached(start: Array, pin: Array, seat: Array) -> Array:
    last = np.full(seat.max() + 1, -1, np.int64)
    reached = np.zeros(start.size - 1, np.int64)
    for s in range(start.size - 1):
        for i in range(start[s], start[s + 1]):
            c = seat[pin[i]]
            if last[c] != s:
                last[c] = s
                reached[s] += 1
    return reached


def _check_alone(level: Level, limits: Limits) -> None:
    """Refuse a neuron that fits no core even alone."""
    axons = np.diff(level.in_start)
    v = int(axons.argmax())
    if axons[v] > limits.in_axons:
        raise SpikecError(
            "SPK1732",
            f"neuron {v}",
            f"{axons[v]} sources reach it, a core takes {limits.in_axons} input axons",
            "Prune its synapses, or make it a tree of neurons",
        )
    bits = _bits_alone(level, caps(limits, level)[0])
    v = int(bits.argmax())
    if bits[v] > limits.synapse_bits:
        raise SpikecError(
            "SPK1733",
            f"neuron {v}",
            f"its synapses take {bits[v]} bits, a core holds {limits.synapse_bits}",
            "Prune its synapses, or store them with fewer bits",
        )


@compiled
def _bits_alone(level: Level, cap: Array) -> Array:
    bits = np.zeros(level.size.size, np.int64)
    for v in range(bits.size):
        for i in range(level.net_start[v], level.net_start[v + 1]):
            bits[v] += list_bits(level.net_count[i], level.net_bits[level.net[i]], cap[4:])
    return bits


def _no_out_axons(level: Level, limits: Limits) -> NoReturn:
    """Report that neurons reach more cores than a core has output axons."""
    out = reach(
        level, in_order(level, limits, np.arange(level.vertices), np.zeros(level.vertices, int))
    )
    v = int(out.argmax())
    raise SpikecError(
        "SPK1734",
        f"neuron {v}",
        f"its targets lie in {out[v]} cores, a core has {limits.out_axons} output axons",
        "Prune synapses, so that fewer cores hold the network",
    )
