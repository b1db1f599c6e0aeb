"""What a program asks of cores, and the program as the hypergraph that is split over them."""

from dataclasses import dataclass, replace

import numpy as np

from spikec.compiler.ir import Mapping, Program
from spikec.compiler.mapping.hypergraph import Edges, Hypergraph, Limits
from spikec.compiler.mapping.reach import reach
from spikec.compiler.types import Array


@dataclass(frozen=True, slots=True)
class Formats:
    """The formats of synapses, of which a core has few.

    Attributes:
        name: Of the limit.
        of: The format of each projection.
        most: Different ones in a core.
    """

    name: str
    of: tuple[int, ...]
    most: int


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """What a target's backend says about a program.

    Attributes:
        limits: Of a core.
        bits: That a core stores for one synapse of each projection, in their order.
        kinds: Which configuration each neuron uses, (sorts, neurons); see ``Hypergraph``.
        room: How many neurons fit beside each one's delay buffer, or None.
        sorts: Name of each sort of configuration. A further row of ``kinds`` has no name: it keeps
            the search within ``formats``, which are counted themselves.
        formats: Of the synapses, or None.
    """

    limits: Limits
    bits: tuple[int, ...]
    kinds: Array
    room: Array | None
    sorts: tuple[str, ...] = ()
    formats: Formats | None = None


def first_neurons(program: Program) -> dict[str, int]:
    """Return the first source of every input and population; neurons follow input channels."""
    first: dict[str, int] = {}
    at = 0
    for node in program.graph.sources:
        first[node.name] = at
        at += node.size
    return first


def seated(program: Program, seat: Array, places: Array) -> Program:
    """Return the program with a mapping.

    Args:
        program: Any.
        seat: Core of every neuron, of all populations in their order.
        places: Of the cores, (cores, 4).
    """
    seats: dict[str, Array] = {}
    at = 0
    for population in program.graph.populations:
        seats[population.name] = seat[at : at + population.size]
        at += population.size
    return replace(program, mapping=Mapping(places, seats))


def network(program: Program, demand: Demand, rate: Array | None) -> Hypergraph:
    """Return the program as neurons, sources and synapses; convolutions are unrolled.

    Args:
        program: Any.
        demand: Of the program.
        rate: Spikes per step of each source, or None where nothing was measured.
    """
    graph, first = program.graph, first_neurons(program)
    inputs = sum(i.size for i in graph.inputs)
    edges: list[Edges] = []
    for p, bits in zip(graph.projections, demand.bits, strict=True):
        size = p.synapse.out_size
        pairs = reach(p, np.arange(size, dtype=np.int32), size)
        targets = pairs.indices + np.int32(first[p.target] - inputs)
        pointers = pairs.indptr
        if pairs.data.max(initial=1) > 1:
            targets = np.repeat(targets, pairs.data)
            pointers = np.concatenate([[0], np.cumsum(pairs.data)])[pointers]
        edges.append(
            Edges(first[p.source], pointers.astype(np.int64), targets.astype(np.int32), bits)
        )
    return Hypergraph(
        neurons=sum(p.size for p in graph.populations),
        inputs=inputs,
        edges=tuple(edges),
        rate=rate,
        kinds=demand.kinds,
        room=demand.room,
    )
