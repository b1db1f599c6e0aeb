"""A network as a hypergraph: one directed hyperedge per source, and what a core can hold.

Vertices are the neurons of all populations. The hyperedge of a source (a neuron or an input
channel) holds the neurons it reaches.
"""

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array

UNLIMITED = 1 << 40


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """The synapses of one projection.

    Attributes:
        first_source: Source whose targets stand first.
        indptr: Where the targets of each source begin and end, int64 (sources of it + 1,).
        targets: Target neuron of every synapse, int32.
        bits: That a core stores for one synapse: weight, delay and tag, and the target's index
            where the list is sparse.
    """

    first_source: int
    indptr: Array
    targets: Array
    bits: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What one core holds at most. Where a number is not known, leave UNLIMITED and say so.

    Attributes:
        neurons: Compartments.
        in_axons: Distinct sources that reach the core, its own neurons included.
        out_axons: Pairs of a neuron of the core and a core that it reaches, its own included.
        synapse_bits: Synapse memory.
        kinds: Distinct configurations of each sort (see ``Hypergraph.kinds``).
        block: Synapses of a source that are stored together.
        block_bits: Stored with each block.
        word: Each block is rounded up to so many bits.
    """

    neurons: int = UNLIMITED
    in_axons: int = UNLIMITED
    out_axons: int = UNLIMITED
    synapse_bits: int = UNLIMITED
    kinds: tuple[int, ...] = ()
    block: int = 64
    block_bits: int = 10
    word: int = 64

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            SpikecError: SPK1730 on one that is no positive whole number up to ``UNLIMITED``.
        """
        for f in fields(self):
            value: Any = getattr(self, f.name)
            lowest = 0 if f.name == "block_bits" else 1
            each: tuple[Any, ...] = value if f.name == "kinds" else (value,)
            for n in each:
                if type(n) is not int or not lowest <= n <= UNLIMITED:
                    raise SpikecError(
                        "SPK1730",
                        f"limit {f.name}",
                        f"{n!r} is no whole number from {lowest} to {UNLIMITED}",
                        "Correct the description of the core",
                    )


@dataclass(frozen=True, slots=True, eq=False)
class Nets:
    """All synapses, those of one source next to each other; one net per source and projection.

    Attributes:
        source: Source of each net, ascending.
        start: Where the targets of each net begin and end, int64 (nets + 1,).
        target: Neuron of each synapse.
        bits: Of one synapse of each net.
    """

    source: Array
    start: Array
    target: Array
    bits: Array


@dataclass(frozen=True, eq=False)
class Hypergraph:
    """A network.

    Attributes:
        neurons: Of all populations, numbered through.
        inputs: Input channels. Sources are these and then the neurons.
        edges: The projections.
        rate: Spikes per step of each source, float64 (inputs + neurons,); None means 1 each.
        kinds: Which configuration each neuron uses, of each sort that a core has few of (such as
            compartment and threshold configurations), int32 (sorts, neurons).
        room: How many neurons a core may have that holds this one, int32 (neurons,), where delays
            take the place of neurons; None sets no such limit.
    """

    neurons: int
    inputs: int
    edges: tuple[Edges, ...]
    rate: Array | None = None
    kinds: Array = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    room: Array | None = None

    def __post_init__(self) -> None:
        """Check that the arrays fit together.

        Raises:
            SpikecError: SPK1731.
        """
        problem = _mismatch(self)
        if problem:
            raise SpikecError(
                "SPK1731", "hypergraph", problem, "Give arrays of the sizes that its fields name"
            )

    @property
    def sources(self) -> int:
        """Number of sources."""
        return self.inputs + self.neurons

    @property
    def synapses(self) -> int:
        """Number of synapses."""
        return sum(e.targets.size for e in self.edges)

    @cached_property
    def rates(self) -> Array:
        """Spikes per step of each source."""
        return np.ones(self.sources) if self.rate is None else self.rate

    @cached_property
    def nets(self) -> Nets:
        """All synapses; no copy where there is one projection that begins at source 0."""
        if len(self.edges) == 1 and self.edges[0].indptr.size == self.sources + 1:
            e = self.edges[0]
            bits = np.full(self.sources, e.bits, np.int32)
            return Nets(np.arange(self.sources, dtype=np.int32), e.indptr, e.targets, bits)
        return _joined(self)


def _mismatch(h: Hypergraph) -> str | None:
    if h.neurons < 1 or h.inputs < 0 or h.sources >= 1 << 31:
        return f"{h.neurons} neurons and {h.inputs} input channels"
    for i, e in enumerate(h.edges):
        last = e.first_source + e.indptr.size - 1
        if e.first_source < 0 or e.indptr.size < 1 or last > h.sources:
            return f"edges {i}: sources {e.first_source} to {last} of {h.sources}"
        if e.indptr[0] != 0 or e.indptr[-1] != e.targets.size or (np.diff(e.indptr) < 0).any():
            return f"edges {i}: indptr does not ascend from 0 to {e.targets.size}"
        if e.targets.size and not 0 <= e.targets.min() <= e.targets.max() < h.neurons:
            return f"edges {i}: a target is outside 0 to {h.neurons - 1}"
        if not 0 <= e.bits <= 64:
            return f"edges {i}: {e.bits} bits for one synapse"
        if e.indptr.dtype != np.int64 or e.targets.dtype != np.int32:
            return f"edges {i}: indptr is {e.indptr.dtype} and targets {e.targets.dtype}"
    if h.rate is not None and (
        h.rate.shape != (h.sources,) or not (np.isfinite(h.rate) & (h.rate >= 0)).all()
    ):
        return f"rates {h.rate.shape} are not {h.sources} finite numbers from 0"
    if h.kinds.shape[0] and h.kinds.shape[1] != h.neurons:
        return f"kinds {h.kinds.shape} of {h.neurons} neurons"
    if h.room is not None and (h.room.shape != (h.neurons,) or h.room.min() < 1):
        return f"room {h.room.shape} is not {h.neurons} numbers from 1"
    return None


def _joined(h: Hypergraph) -> Nets:
    """Return the nets of several projections, sorted by source; none for lists without synapses."""
    source = [e.first_source + np.flatnonzero(np.diff(e.indptr)) for e in h.edges]
    owner = np.concatenate([np.full(s.size, i) for i, s in enumerate(source)] or [np.zeros(0, int)])
    flat = np.concatenate([*source, np.zeros(0, np.int64)])
    order = np.argsort(flat, kind="stable")
    flat, owner = flat[order], owner[order]
    size = np.zeros(flat.size, np.int64)
    for i, e in enumerate(h.edges):
        size[owner == i] = np.diff(e.indptr)[source[i] - e.first_source]
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(size)])
    target = np.empty(int(start[-1]), np.int32)
    for i, e in enumerate(h.edges):
        _copy_lists(start[:-1][owner == i], size[owner == i], e.targets, target)
    bits = np.array([e.bits for e in h.edges], np.int32)[owner]
    return Nets(flat.astype(np.int32), start, target, bits)


@compiled
def _copy_lists(begin: Array, size: Array, targets: Array, out: Array) -> None:
    """Copy the lists of one projection, which stand behind each other, to their places."""
    at = 0
    for i in range(begin.size):
        for k in range(size[i]):
            out[begin[i] + k] = targets[at + k]
        at += size[i]
