"""What a given assignment of neurons to cores uses, counted exactly, and which limits it breaks."""

# An element of an array is a number in compiled code; the type checker sees an array.
# pyright: reportArgumentType=false, reportReturnType=false

from dataclasses import dataclass

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.mapping.hypergraph import Hypergraph, Limits
from spikec.compiler.types import Array


@dataclass(frozen=True, slots=True, eq=False)
class Usage:
    """What each core uses.

    Attributes:
        neurons: Of each core, int64 (cores,) as all others.
        in_axons: Distinct sources that reach it. A source counts once, whatever the number of
            projections or synapses; neurons of the core itself count where they reach it.
        out_axons: Sum over its neurons of how many cores each reaches, its own core included, as
            nengo-loihi counts them: a spike to the own core takes an axon too.
        synapse_bits: Memory of all its synapses.
        kinds: Distinct configurations, int64 (sorts, cores).
        room: Most neurons it may have for the sake of delays; UNLIMITED where nothing is set.
        traffic: Spikes per step from core to core: sum over sources of the rate times the number
            of cores it reaches other than its own. Every core an input channel reaches counts.
    """

    neurons: Array
    in_axons: Array
    out_axons: Array
    synapse_bits: Array
    kinds: Array
    room: Array
    traffic: float


def usage(h: Hypergraph, seat: Array, cores: int, limits: Limits) -> Usage:
    """Return what every core uses.

    Args:
        h: The network.
        seat: Core of every neuron, whole numbers below ``cores`` (neurons,).
        cores: How many there are.
        limits: For the layout of synapse memory.
    """
    seat = seat.astype(np.int32)
    neurons = np.bincount(seat, minlength=cores).astype(np.int64)
    counts = np.zeros((3, cores), np.int64)
    n = h.nets
    layout = np.array([limits.block, limits.block_bits, limits.word], np.int64)
    traffic = _count(n.source, n.start, n.target, n.bits, h.rates, h.inputs, seat, layout, counts)
    kinds = np.array([_distinct(row, seat, cores) for row in h.kinds], np.int64)
    room = np.full(cores, np.iinfo(np.int64).max)
    if h.room is not None:
        np.minimum.at(room, seat, h.room)
    return Usage(
        neurons, counts[0], counts[1], counts[2], kinds.reshape(-1, cores), room, float(traffic)
    )


def traffic(h: Hypergraph, seat: Array) -> float:
    """Return the spikes per step that go from core to core."""
    return usage(h, seat, int(seat.max()) + 1, Limits()).traffic


def exceeded(used: Usage, limits: Limits) -> dict[str, Array]:
    """Return by name of limit which cores break it; limits that hold everywhere are left out."""
    over = {
        "neurons": used.neurons > limits.neurons,
        "in_axons": used.in_axons > limits.in_axons,
        "out_axons": used.out_axons > limits.out_axons,
        "synapse_bits": used.synapse_bits > limits.synapse_bits,
        "room": used.neurons > used.room,
    }
    for i, most in enumerate(limits.kinds[: len(used.kinds)]):
        over[f"kinds {i}"] = used.kinds[i] > most
    return {name: np.flatnonzero(broken) for name, broken in over.items() if broken.any()}


def _distinct(kind: Array, seat: Array, cores: int) -> Array:
    pairs = np.unique(np.stack([seat, kind]), axis=1)
    return np.bincount(pairs[0], minlength=cores)


@compiled
def list_bits(n: int, bits: int, layout: Array) -> int:
    """Return the memory of a list of ``n`` synapses of ``bits`` each."""
    block, overhead, word = layout[0], layout[1], layout[2]
    whole = (block * bits + overhead + word - 1) // word * word
    rest = n % block
    last = (rest * bits + overhead + word - 1) // word * word if rest else 0
    return n // block * whole + last  # type: ignore[no-any-return]


@compiled
def _count(
    source: Array,
    start: Array,
    target: Array,
    bits: Array,
    rate: Array,
    inputs: int,
    seat: Array,
    layout: Array,
    counts: Array,
) -> float:
    """Add up in axons, out axons and synapse bits (rows of ``counts``); return the traffic."""
    cores = counts.shape[1]
    reached = np.full(cores, -1, np.int64)  # the last source that reached each core
    held = np.zeros(cores, np.int64)  # synapses of the present net in each core
    touched = np.empty(cores, np.int64)
    traffic = 0.0
    for e in range(source.size):
        s, n = source[e], 0
        own = seat[s - inputs] if s >= inputs else -1
        for i in range(start[e], start[e + 1]):
            c = seat[target[i]]
            if held[c] == 0:
                touched[n] = c
                n += 1
            held[c] += 1
        for k in range(n):
            c = touched[k]
            counts[2, c] += list_bits(held[c], bits[e], layout)
            held[c] = 0
            if reached[c] != s:
                reached[c] = s
                counts[0, c] += 1
                if own >= 0:
                    counts[1, own] += 1
                if c != own:
                    traffic += rate[s]
    return traffic
