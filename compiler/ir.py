"""The intermediate representation: graphs of populations and projections, and programs.

In step t the populations run in topological order of the projections without delay:
i[t] = sum over projections of W out_source[t - delay] + b;  state, out[t] = step(i[t], state).
What a source sent before its first step is zero. A population with ``start`` k holds its initial
state and sends nothing before step k; ``retime`` uses it to shift a population by k steps.

Every value is immutable; a pass returns a new one.
"""

import re
from collections.abc import Iterable
from collections.abc import Mapping as Dict
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from spikec.compiler.equation import Dynamics, Neuron
from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.synapses import Shape, Sparse, Synapse
from spikec.compiler.types import Array, Bool, FixedPoint, Float, Format, Tensor
from spikec.compiler.untyped import networkx as nx

# Steps; every step of the longest delay is kept in memory.
MOST_DELAY = 1 << 20
# Neurons of a node that a written mapping may name.
MOST_SEATS = 1 << 26

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")


def check_name(name: str, what: str) -> None:
    """Refuse names that could not stand in text or generated code.

    Raises:
        SpikecError: SPK0501 on any character but letters, digits, ``_ . -``.
    """
    if _NAME.fullmatch(name) is None:
        raise SpikecError(
            "SPK0501",
            what,
            f"name {name[:60]!r} is not 1 to 128 of A-Z a-z 0-9 _ . -",
            "Rename it",
        )


@dataclass(frozen=True, slots=True)
class Input:
    """Where data enters.

    Attributes:
        name: Name.
        shape: Shape of one step of one sample.
        signal: Float (any number), Bool (spikes), or the stored format of a quantised value.
        scale: Real value of one unit of a quantised value.
    """

    name: str
    shape: Shape
    signal: Float | Bool | FixedPoint = Float()
    scale: float = 1.0

    @property
    def size(self) -> int:
        """Number of channels."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Output:
    """A name under which the output of a population leaves."""

    name: str
    source: str


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Neurons of one model.

    Attributes:
        name: Name.
        shape: Shape; neurons are ordered in C order.
        neuron: Model and parameters, each a scalar or one number per neuron.
        formats: Integer format of each rounding site; empty in floating point.
        scale: Real value of one unit of the membrane.
        start: First step in which it runs.
        stream: Which of several senses it belongs to, where contexts must know.
    """

    name: str
    shape: Shape
    neuron: Neuron | Dynamics
    formats: Dict[str, Format] = field(default_factory=dict[str, Format])
    scale: float = 1.0
    start: int = 0
    stream: str = ""

    def __post_init__(self) -> None:
        """Flatten per-neuron parameters.

        Raises:
            SpikecError: SPK0502 when a parameter fits neither a scalar nor the shape.
        """
        flat: dict[str, Tensor] = {}
        for name, value in self.neuron.parameters().items():
            if value.shape in ((), (self.size,)):
                continue
            if value.shape != self.shape:
                raise SpikecError(
                    "SPK0502",
                    f"{self.name}.{name}",
                    f"shape {value.shape} does not fit the population's {self.shape}",
                    "Give a scalar or one number per neuron",
                )
            flat[name] = replace(value, data=value.data.reshape(-1))
        if flat:
            object.__setattr__(self, "neuron", self.neuron.with_parameters(flat))

    @property
    def size(self) -> int:
        """Number of neurons."""
        return prod(self.shape)

    def model(self) -> Neuron:
        """Return the per-step model.

        Raises:
            SpikecError: SPK0503 when the population is still continuous.
        """
        if isinstance(self.neuron, Neuron):
            return self.neuron
        raise SpikecError(
            "SPK0503", self.name, f"{self.neuron.kind} is continuous", "Run discretize first"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Synapses from a source to a port of a target.

    Attributes:
        source: Input or population.
        target: Population.
        synapse: The linear map.
        port: Input of the target's model.
        delay: Steps between sending and arrival, of all synapses.
        storage: dense, sparse, conv or procedural: how a target stores it; decides memory and
            price.
        delays: Further steps of each synapse, shaped as the weight, or None.
        context: P, D or U where it carries proximal, distal or universal context, else empty.
    """

    source: str
    target: str
    synapse: Synapse
    port: str = "input"
    delay: int = 0
    storage: str = ""
    delays: Array | None = None
    context: str = ""

    def __post_init__(self) -> None:
        """Fill in the storage that is natural for the kind, and move what all delays share."""
        if not self.storage:
            object.__setattr__(self, "storage", self.synapse.storage)
        if self.delays is not None:
            self._set_delays(np.asarray(self.delays))

    def _set_delays(self, delays: Array) -> None:
        """Keep the delays read-only, the least of them in ``delay``.

        Raises:
            SpikecError: SPK0532 on what is not one number of steps per weight.
        """
        whole = delays.dtype.kind in "iu" and delays.size > 0
        if not whole or delays.min() < 0 or delays.max() > MOST_DELAY:
            problem = f"they are not whole numbers of steps from 0 to {MOST_DELAY}"
        elif self.synapse.listed() is None:
            problem = f"a synapse of kind {self.synapse.kind} has no single weights"
        elif delays.shape != self.synapse.weight.shape:
            problem = f"they have shape {delays.shape}, the weight {self.synapse.weight.shape}"
        else:
            least = int(delays.min())
            spread = (delays - least).astype(np.int32)
            spread.setflags(write=False)
            object.__setattr__(self, "delay", self.delay + least)
            object.__setattr__(self, "delays", spread if spread.any() else None)
            return
        raise SpikecError("SPK0532", f"{self} delays", problem, "Give one per weight, in steps")

    @property
    def longest(self) -> int:
        """Steps of the slowest synapse."""
        return self.delay + (0 if self.delays is None else int(self.delays.max()))

    def by_delay(self) -> "tuple[Projection, ...]":
        """Return projections of one delay each that together do the same; bias in the first."""
        listed = self.synapse.listed()
        if self.delays is None or listed is None:
            return (self,)
        rows = np.repeat(np.arange(listed.out_size), np.diff(listed.indptr))
        delays, bias = self.delays.reshape(-1), listed.bias
        parts: list[Projection] = []
        for steps in np.unique(delays):
            here = delays == steps
            counts = np.bincount(rows[here], minlength=listed.out_size)
            weight = replace(listed.weight, data=listed.weight.data[here])
            starts = np.concatenate([[0], np.cumsum(counts)])
            synapse = Sparse(listed.columns, starts, listed.indices[here], weight, bias)
            delay = self.delay + int(steps)
            parts.append(
                replace(self, synapse=synapse, delay=delay, delays=None, storage=synapse.storage)
            )
            bias = None
        return tuple(parts)

    def __str__(self) -> str:
        """Return ``source -> target``, with the port where it is not the usual one."""
        port = "" if self.port == "input" else f".{self.port}"
        return f"{self.source} -> {self.target}{port}"


Node = Input | Population | Output


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A network.

    Attributes:
        name: Name.
        nodes: Inputs, populations and outputs.
        projections: Edges.
        dt: Step in seconds, or None where none is known.
        metadata: Origin: framework, version, file hash, semantics.
        findings: What the user should know about how it was read.
    """

    name: str
    nodes: tuple[Node, ...]
    projections: tuple[Projection, ...]
    dt: float | None = None
    metadata: Dict[str, str] = field(default_factory=dict[str, str])
    findings: tuple[Finding, ...] = ()

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs, in order."""
        return tuple(n for n in self.nodes if isinstance(n, Input))

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The outputs, in order."""
        return tuple(n for n in self.nodes if isinstance(n, Output))

    @property
    def populations(self) -> tuple[Population, ...]:
        """The populations, in order."""
        return tuple(n for n in self.nodes if isinstance(n, Population))

    @property
    def sources(self) -> "tuple[Input | Population, ...]":
        """Inputs, then populations."""
        return (*self.inputs, *self.populations)

    def population(self, name: str) -> Population:
        """Return a population by name.

        Raises:
            SpikecError: SPK0504 when there is none.
        """
        for p in self.populations:
            if p.name == name:
                return p
        raise SpikecError(
            "SPK0504",
            name,
            "there is no population of that name",
            f"Use one of {', '.join(p.name for p in self.populations)}",
        )

    def source_size(self, name: str) -> int:
        """Return the number of channels or neurons of a source."""
        return next(n.size for n in self.nodes if not isinstance(n, Output) and n.name == name)

    def into(self, target: str) -> tuple[Projection, ...]:
        """Return the projections into a population, in order."""
        return tuple(p for p in self.projections if p.target == target)

    def with_nodes(self, changed: Iterable[Node]) -> "Graph":
        """Return the graph with nodes replaced by those of the same name and type."""
        new = {(type(n), n.name): n for n in changed}
        return replace(self, nodes=tuple(new.get((type(n), n.name), n) for n in self.nodes))

    def order(self) -> tuple[Population, ...]:
        """Return the populations in the order in which they run within a step.

        Outside cycles a source stands before its target, whatever the delay between them.

        Raises:
            SpikecError: SPK0505 when projections without delay form a cycle.
        """
        flow = nx.DiGraph()
        position = {p.name: k for k, p in enumerate(self.populations)}
        flow.add_nodes_from(position)
        flow.add_edges_from(
            (p.source, p.target)
            for p in self.projections
            if p.delay == 0 and p.source in position and p.target in position
        )
        try:
            names = list(nx.lexicographical_topological_sort(flow, key=position.__getitem__))
        except nx.NetworkXUnfeasible:
            cycle = [a for a, _ in nx.find_cycle(flow)]
            path = " -> ".join([*cycle, cycle[0]])
            raise SpikecError(
                "SPK0505",
                f"{cycle[-1]} -> {cycle[0]}",
                f"cycle without delay: {path}",
                "Give one projection a delay of at least 1",
            ) from None
        rank = {name: k for k, name in enumerate(names)}
        flow.add_edges_from((p.source, p.target) for p in self.projections if p.source in position)
        cycles = nx.condensation(flow)
        members = {c: sorted(cycles.nodes[c]["members"], key=rank.__getitem__) for c in cycles}
        first = {c: rank[listed[0]] for c, listed in members.items()}
        sorting = nx.lexicographical_topological_sort(cycles, key=first.__getitem__)
        by_name = {p.name: p for p in self.populations}
        return tuple(by_name[n] for c in sorting for n in members[c])


@dataclass(frozen=True, slots=True)
class Slice:
    """Neurons ``start`` to ``stop`` - 1 of a population, or channels of an input."""

    node: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Core:
    """One core, the tile it sits on, and what it holds; a mapping is written down with it.

    Attributes:
        x: Column of the tile.
        y: Row of the tile.
        index: Number of the core within the tile.
        slices: What it holds.
        chip: Number of the chip.
    """

    x: int
    y: int
    index: int
    slices: tuple[Slice, ...]
    chip: int = 0

    def __str__(self) -> str:
        """Return where it is."""
        chip = f"chip {self.chip} " if self.chip else ""
        return f"{chip}core ({self.x}, {self.y}) {self.index}"


@dataclass(frozen=True, slots=True, eq=False)
class Mapping:
    """Where every neuron sits. Inputs may be placed too; a placed input sends messages.

    Attributes:
        places: Chip, column and row of the tile, and number within the tile, (cores, 4).
        seats: Core of each neuron as its row in ``places``, by node; an input may be left out.
    """

    places: Array
    seats: Dict[str, Array]

    def __post_init__(self) -> None:
        """Make the arrays narrow and read-only."""
        object.__setattr__(self, "places", _indices(self.places))
        object.__setattr__(self, "seats", {n: _indices(a) for n, a in self.seats.items()})

    @staticmethod
    def of(cores: Iterable[Core]) -> "Mapping":
        """Return the mapping of cores and what each holds.

        Raises:
            SpikecError: SPK0525 on a slice without neurons, SPK0526 on a neuron in two cores.
        """
        cores = tuple(cores)
        sizes: dict[str, int] = {}
        for core in cores:
            for part in core.slices:
                if not 0 <= part.start < part.stop <= MOST_SEATS:
                    raise SpikecError(
                        "SPK0525",
                        str(core),
                        f"it holds {part.node}[{part.start}:{part.stop}], which is not there",
                        "Correct the mapping",
                    )
                sizes[part.node] = max(sizes.get(part.node, 0), part.stop)
        seats = {name: np.full(size, -1, dtype=np.int32) for name, size in sizes.items()}
        for k, core in enumerate(cores):
            for part in core.slices:
                held = seats[part.node][part.start : part.stop]
                twice = np.flatnonzero(held >= 0)
                if twice.size:
                    raise seat_error(part.node, part.start + int(twice[0]), 2)
                held[:] = k
        places = [(c.chip, c.x, c.y, c.index) for c in cores]
        return Mapping(np.array(places, dtype=np.int32).reshape(-1, 4), seats)

    @property
    def size(self) -> int:
        """Number of cores."""
        return len(self.places)

    @property
    def cores(self) -> tuple[Core, ...]:
        """The cores, each with what it holds in runs."""
        held: list[list[Slice]] = [[] for _ in range(self.size)]
        for name, seats in self.seats.items():
            cuts = np.flatnonzero(np.diff(seats)) + 1
            starts, stops = [0, *cuts.tolist()], [*cuts.tolist(), seats.size]
            for start, stop in zip(starts, stops, strict=True):
                core = int(seats[start]) if stop > start else -1
                if core >= 0:
                    held[core].append(Slice(name, start, stop))
        rows = zip(self.places.tolist(), held, strict=True)
        return tuple(Core(x, y, k, tuple(slices), chip) for (chip, x, y, k), slices in rows)

    def core_of(self, node: str, size: int) -> Array:
        """Return for each neuron of a node the position of its core in ``places``, or -1."""
        found = self.seats.get(node)
        return np.full(size, -1, dtype=np.int32) if found is None else found


def seat_error(node: str, neuron: int, times: int) -> SpikecError:
    """Return the error of a neuron that does not sit in one core."""
    return SpikecError(
        "SPK0526",
        node,
        f"neuron {neuron} sits in {times} cores",
        "Put every neuron into exactly one",
    )


def _indices(given: Array) -> Array:
    # What int32 does not hold becomes a core that is not there, which ``verify`` refuses.
    data = np.clip(given, -1, np.iinfo(np.int32).max).astype(np.int32)
    data.setflags(write=False)
    return data


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A graph for a target.

    Attributes:
        graph: The network.
        target: Name of the target.
        mapping: Where every neuron sits, or None where the target has no places.
        passes: Text of the pipeline that made it.
        reports: What passes found out, by pass, as JSON values; not part of the text form.
    """

    graph: Graph
    target: str = "cpu"
    passes: str = ""
    mapping: Mapping | None = None
    reports: Dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def latency(self) -> int:
        """Steps by which the outputs lag behind the inputs; ``Trace.output`` is aligned again."""
        sources = {o.source for o in self.graph.outputs}
        return max((p.start for p in self.graph.populations if p.name in sources), default=0)

    @property
    def stage(self) -> str:
        """continuous, discrete or integer."""
        models = [p.neuron for p in self.graph.populations]
        if any(isinstance(m, Dynamics) for m in models):
            return "continuous"
        floats = any(p.synapse.weight.is_float for p in self.graph.projections)
        floats = floats or any(isinstance(i.signal, Float) for i in self.graph.inputs)
        typed = self.graph.projections or any(p.formats for p in self.graph.populations)
        return "discrete" if floats or not typed else "integer"


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What a run produced, aligned to source time.

    Attributes:
        outputs: By output name, (samples, steps, *shape): bool spikes, int64 counts, or float64
            values in real units.
        spikes: On request, what each population sent, by name, in stored units.
        state: On request, the states after each step, by population and state, in stored units.
        counts: By population, spikes sent and saturations met, over the whole batch.
        inputs: With ``spikes``, what each input sent, (samples, steps, size), in stored units.
    """

    outputs: Dict[str, Array]
    spikes: Dict[str, Array]
    state: Dict[str, Dict[str, Array]]
    counts: Dict[str, Dict[str, int]]
    inputs: Dict[str, Array] = field(default_factory=dict[str, Array])

    @property
    def output(self) -> Array:
        """The only output.

        Raises:
            SpikecError: SPK0506 when there are several.
        """
        if len(self.outputs) != 1:
            raise SpikecError(
                "SPK0506",
                "Trace.output",
                f"there are {len(self.outputs)} outputs",
                f"Use Trace.outputs[name] with one of {', '.join(self.outputs)}",
            )
        return next(iter(self.outputs.values()))
