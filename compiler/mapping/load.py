"""What every core of a mapped program holds and sends, and which limits that breaks.

Counted from the synapses themselves, apart from the search that made the mapping.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikec.compiler.counting import projection_names
from spikec.compiler.ir import Program
from spikec.compiler.mapping.demand import Demand, first_neurons
from spikec.compiler.mapping.hypergraph import Limits
from spikec.compiler.mapping.reach import reach
from spikec.compiler.types import Array
from spikec.compiler.untyped import sparse as sp


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """What each core uses; arrays are int64, one number per core.

    Attributes:
        used: By resource: compartments, in_axons, out_axons, synapse_bits, each sort of
            configuration, and the formats of synapses.
        limits: By the same names; those that depend on the core, as with delays, per core.
        origins: Axons into each core by projection. A source of several projections is counted at
            each of them, but takes one axon.
        traffic: Spikes per step from core to core, sparse (cores, cores).
        entering: Spikes per step from inputs that have no core.
    """

    used: Mapping[str, Array]
    limits: Mapping[str, Array]
    origins: Mapping[str, Array]
    traffic: Any
    entering: float

    @property
    def cores(self) -> int:
        """Number of cores."""
        return int(self.used["compartments"].size)

    def shares(self) -> dict[str, Array]:
        """Return by resource the used part of the limit."""
        return {name: used / self.limits[name] for name, used in self.used.items()}

    def binding(self) -> list[str]:
        """Return which resource of each core is used most."""
        shares = self.shares()
        names = list(shares)
        return [names[k] for k in np.argmax(np.stack(list(shares.values())), axis=0)]

    def between_cores(self) -> float:
        """Return the spikes per step that go to another core, those from inputs included."""
        return float(self.traffic.sum() - self.traffic.diagonal().sum() + self.entering)

    def over(self) -> Iterator[tuple[int, str, int, int]]:
        """Give core, resource, used and limit wherever a limit is broken."""
        for name, used in self.used.items():
            for core in np.flatnonzero(used > self.limits[name]):
                yield int(core), name, int(used[core]), int(self.limits[name][core])


def load(program: Program, demand: Demand, rate: Array | None) -> Load:
    """Return what the cores of a mapped program use.

    Args:
        program: With a mapping.
        demand: Of the program.
        rate: Events per step of each source; None counts each source once.
    """
    graph, mapping = program.graph, program.mapping
    assert mapping is not None
    cores, first = mapping.size, first_neurons(program)
    neurons = np.concatenate([mapping.seats[p.name] for p in graph.populations])
    held = np.bincount(neurons, minlength=cores)
    used = {"compartments": held, "in_axons": np.zeros(cores, np.int64)}
    used |= {name: np.zeros(cores, np.int64) for name in ("out_axons", "synapse_bits")}
    reached: dict[str, Any] = {}
    origins: dict[str, Array] = {}
    names = projection_names(program)
    stored = demand.formats.of if demand.formats else [0] * len(names)
    formats = np.zeros((max(stored, default=0) + 1, cores), np.bool_)
    for name, p, bits, how in zip(names, graph.projections, demand.bits, stored, strict=True):
        counts = reach(p, mapping.seats[p.target], cores)
        used["synapse_bits"] += _by_core(counts, list_bits(counts.data, bits, demand.limits))
        origins[name] = _by_core(counts, np.ones_like(counts.data))
        formats[how, counts.indices] = True
        counts.data[:] = 1
        reached[p.source] = counts if p.source not in reached else reached[p.source].maximum(counts)
    traffic = sp.csr_array((cores, cores))
    entering = 0.0
    for source, pairs in reached.items():
        size = graph.source_size(source)
        seats = mapping.core_of(source, size)
        rates = np.ones(size) if rate is None else rate[first[source] : first[source] + size]
        used["in_axons"] += _by_core(pairs, pairs.data)
        away = np.diff(pairs.indptr)
        placed = seats >= 0
        used["out_axons"] += np.bincount(seats[placed], away[placed], cores).astype(np.int64)
        entering += float((rates * away)[~placed].sum())
        rows = sp.csr_array(
            (rates[placed], (seats[placed], np.flatnonzero(placed))), shape=(cores, size)
        )
        traffic = traffic + rows @ pairs
    if demand.formats:
        used[demand.formats.name] = formats.sum(axis=0)
    for sort, kind in zip(demand.sorts, demand.kinds, strict=False):
        pairs_seen = np.unique(np.stack([neurons, kind]), axis=1)[0]
        used[sort] = np.bincount(pairs_seen, minlength=cores)
    return Load(used, _limits(demand, neurons, cores), origins, traffic, entering)


def list_bits(counts: Array, bits: int, limits: Limits) -> Array:
    """Return the memory of lists of so many synapses of ``bits`` each."""
    whole, rest = np.divmod(counts.astype(np.int64), limits.block)

    def block(synapses: Any) -> Any:
        needed = synapses * bits + limits.block_bits
        return (needed + limits.word - 1) // limits.word * limits.word

    return np.asarray(whole * block(limits.block) + np.where(rest > 0, block(rest), 0))


def _by_core(pairs: Any, values: Array) -> Array:
    """Return the sum of the values of sparse (sources, cores) by core."""
    return np.bincount(pairs.indices, values, pairs.shape[1]).astype(np.int64)


def _limits(demand: Demand, neurons: Array, cores: int) -> dict[str, Array]:
    most = demand.limits
    values = {
        "compartments": most.neurons,
        "in_axons": most.in_axons,
        "out_axons": most.out_axons,
        "synapse_bits": most.synapse_bits,
        **dict(zip(demand.sorts, most.kinds, strict=False)),
    }
    if demand.formats:
        values[demand.formats.name] = demand.formats.most
    limits = {name: np.full(cores, value, dtype=np.int64) for name, value in values.items()}
    if demand.room is not None:
        np.minimum.at(limits["compartments"], neurons, demand.room)
    return limits
