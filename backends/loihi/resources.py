"""What a program takes of the memories of cores, for the partition into them.

Synapse memory as nengo-loihi counts it (``SynapseConfig.bits_per_axon``): the synapses of an axon
stand in blocks of 64, each with a header, rounded up to words of 64 bits; a synapse holds its
weight, its delay, and the index of its compartment unless the projection is dense.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from spikec.backends.loihi.arithmetic import Mode, least_bits, mode_of
from spikec.backends.loihi.image import Compartments, compartments
from spikec.compiler.errors import Finding
from spikec.compiler.ir import Program, Projection
from spikec.compiler.mapping.demand import Demand, Formats
from spikec.compiler.mapping.hypergraph import Limits
from spikec.compiler.mapping.load import load
from spikec.compiler.target import load_target
from spikec.compiler.types import Array

# The registers that make a configuration, of which a core has few.
SORTS = {"configurations": ("du", "dv", "refractory"), "thresholds": ("threshold",)}
FORMATS = "synapse_formats"
INDEX_BITS = (6, 7, 8, 9, 10, 11, 12)
LEAST_BUFFER = 8  # steps; delay buffers are powers of two, and two of their places are lost


class Format(NamedTuple):
    """How a core stores the synapses of a projection; it has few different ones.

    Attributes:
        weight_bits: Of a weight.
        delay_bits: Of a delay beside the hop.
        index_bits: Of the index of a compartment; 0 for dense projections.
        mode: Sign mode.
        exponent: Of the weights.
    """

    weight_bits: int
    delay_bits: int
    index_bits: int
    mode: Mode
    exponent: int

    @property
    def bits(self) -> int:
        """Of one synapse."""
        return self.weight_bits + self.delay_bits + self.index_bits


def synapse_format(projection: Projection, compartments: int) -> Format:
    """Return how a core stores a projection of integers.

    Args:
        projection: Of integers.
        compartments: Most that a core holds.
    """
    weight = projection.synapse.weight
    mode = mode_of(weight.data)
    index, needed = 0, (compartments - 1).bit_length()
    if projection.storage != "dense":
        index = next((b for b in INDEX_BITS if b >= needed), INDEX_BITS[-1])
    delay = max(projection.longest - 1, 0).bit_length()
    return Format(least_bits(weight.data, mode), delay, index, mode, -weight.frac - 6)


def demand(program: Program, changed: Mapping[str, int]) -> Demand:
    """Return what an integer program asks of cores.

    Args:
        program: One that fits but for its size.
        changed: Limits in place of those of the target, by name.
    """
    values = {name: limit.value for name, limit in load_target(program.target).limits.items()}
    values |= changed
    sorts = tuple(name for name in SORTS if name in values)
    most = [values[name] for name in sorts]
    held = [compartments(p) for p in program.graph.populations]
    kinds = [_kinds(held, SORTS[name]) for name in sorts]
    stored = [synapse_format(p, values["compartments"]) for p in program.graph.projections]
    if FORMATS in values:
        kind, sets = _format_sets(program, stored, values[FORMATS])
        kinds.append(kind)
        most.append(sets)
    limits = Limits(
        values["compartments"],
        values["in_axons"],
        values["out_axons"],
        values["synapse_bits"],
        tuple(most),
    )
    return Demand(
        limits,
        tuple(s.bits for s in stored),
        np.array(kinds, np.int32) if kinds else np.zeros((0, 0), np.int32),
        _room(program, values),
        sorts,
        Formats(FORMATS, tuple(map(stored.index, stored)), values[FORMATS])
        if FORMATS in values
        else None,
    )


def _format_sets(program: Program, stored: list[Format], most: int) -> tuple[Array, int]:
    """Return which set of formats reaches each neuron, and how many sets a core may hold.

    So many sets that any of them together have no more than ``most`` formats. Counting the formats
    themselves would sometimes allow more sets, but few networks have more formats than one core.
    """
    graph = program.graph
    reaching: dict[str, set[Format]] = {p.name: set() for p in graph.populations}
    for projection, how in zip(graph.projections, stored, strict=True):
        reaching[projection.target].add(how)
    sets = [frozenset(reaching[p.name]) for p in graph.populations]
    kind = np.repeat([sets.index(s) for s in sets], [p.size for p in graph.populations])
    if len(set(stored)) <= most:
        return kind, max(len(sets), 1)
    total = np.cumsum(sorted(map(len, set(sets)), reverse=True))
    return kind, max(int(np.count_nonzero(total <= most)), 1)


def _kinds(held: list[Compartments], registers: tuple[str, ...]) -> Array:
    """Return which combination of registers each neuron uses."""
    each = [np.stack([getattr(c, name) for name in registers], axis=1) for c in held]
    return np.unique(np.concatenate(each), axis=0, return_inverse=True)[1].reshape(-1)


def _room(program: Program, values: Mapping[str, int]) -> Array | None:
    """Return how many compartments fit beside the delay buffer of each neuron."""
    if "delayed_compartments" not in values:
        return None
    rooms: list[Array] = []
    for population in program.graph.populations:
        longest = max((p.longest - 1 for p in program.graph.into(population.name)), default=0)
        buffer = LEAST_BUFFER
        while longest > buffer - 2:
            buffer *= 2
        rooms.append(np.full(population.size, values["delayed_compartments"] // buffer, np.int32))
    return np.concatenate(rooms)


# What each resource is called, the code of its finding, and what helps.
RESOURCES = {
    "compartments": ("compartments", "SPK1780", "split its populations"),
    "in_axons": ("input axons", "SPK1781", "split it by target, or prune synapses"),
    "out_axons": ("output axons", "SPK1782", "put targets of the same sources together"),
    "synapse_bits": ("bits of synapses", "SPK1783", "split it, prune, or use fewer weight bits"),
    "configurations": ("different decays", "SPK1784", "put neurons with equal decays together"),
    "thresholds": ("different thresholds", "SPK1785", "put neurons with equal thresholds together"),
    FORMATS: ("formats of synapses", "SPK0964", "put populations with equal formats together"),
}


def overloads(program: Program) -> Iterator[Finding]:
    """Give every limit of a core that a mapped program breaks."""
    mapping = program.mapping
    if mapping is None:
        return
    changed: Mapping[str, int] = program.reports.get("partition", {}).get("limits", {})
    held = load(program, demand(program, changed), None)
    known = load_target(program.target).limits
    cores = mapping.cores
    for core, name, used, limit in held.over():
        what, code, remedy = RESOURCES[name]
        source = "as given" if name in changed else known[name].source
        shares = {p: int(axons[core]) for p, axons in held.origins.items() if axons[core]}
        detail = ""
        if name == "in_axons":
            detail = "; they come from " + ", ".join(f"{p}: {n}" for p, n in shares.items())
        yield Finding(
            code, str(cores[core]), f"{used} {what} exceed {limit} ({source}){detail}: {remedy}"
        )
