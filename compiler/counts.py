"""Exact event counts of a run: what a price book is multiplied with.

An event is anything but zero that a source sends in a step. It counts in the step of its sending,
whatever its delay, and arrives over every stored synapse, those of weight zero included.

Per population: accesses (neurons times steps), updates (a state was not zero before the step, or an
event arrived, or the neuron fired), spikes (events sent). Per projection: synaptic operations
(synops), one per event and stored synapse; the effective ones are those of non-zero weight. From a
mapping: messages, one per event and core that holds a target synapse, the source's own core
included; hops, the Manhattan distance between the tiles of its two ends, each message on its own
way, and crossings from chip to chip, which are no hops. An input that is not placed sends no
messages. Without a mapping messages and their ways are unknown: None, never 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, ClassVar, cast

from spikec.compiler.errors import SpikecError
from spikec.compiler.neurobench import Activity, Footprint, Operations


@dataclass(frozen=True, slots=True)
class SourceCounts:
    """What an input or a population sends; messages and their ways are None without a mapping."""

    events: int
    messages: int | None
    hops_x: int | None
    hops_y: int | None
    crossings: int | None = None


@dataclass(frozen=True, slots=True)
class PopulationCounts:
    """What the neurons of a population do.

    Attributes:
        neurons: How many there are.
        accesses: Neurons times steps.
        updates: Accesses in which something had to be computed.
        spikes: Events sent.
        spike_sum: Sum of the spike counts sent, or None where values are sent.
        activity: NeuroBench's activations.
    """

    fixed: ClassVar[frozenset[str]] = frozenset({"neurons"})
    neurons: int
    accesses: int
    updates: int
    spikes: int
    spike_sum: int | None
    activity: Activity


@dataclass(frozen=True, slots=True)
class ProjectionCounts:
    """What the synapses of a projection do.

    Attributes:
        storage: dense, sparse, conv or procedural.
        synapses: Stored synapses; a shared weight counts at each of its places.
        nonzero: Those of them whose weight is not zero.
        events: Events of the source.
        total: Synops, one per event and stored synapse.
        effective: Synops of non-zero weight.
        operations: NeuroBench's operations.
    """

    fixed: ClassVar[frozenset[str]] = frozenset({"storage", "synapses", "nonzero"})
    storage: str
    synapses: int
    nonzero: int
    events: int
    total: int
    effective: int
    operations: Operations


@dataclass(frozen=True, slots=True)
class Counts:
    """All counts of a run.

    Attributes:
        network: Name of the network.
        dt: Seconds per step, or None.
        cores: Cores of the mapping, or None.
        footprint: NeuroBench's size of the program.
        samples: Inferences.
        steps: Steps, over all samples.
        sources: By name, inputs and populations.
        populations: By name.
        projections: By ``source -> target``.
        hardware: By population, what its hardware does: see the ledger of a backend.
    """

    fixed: ClassVar[frozenset[str]] = frozenset({"network", "dt", "cores", "footprint"})
    network: str
    dt: float | None
    cores: int | None
    footprint: Footprint
    samples: int
    steps: int
    sources: Mapping[str, SourceCounts]
    populations: Mapping[str, PopulationCounts]
    projections: Mapping[str, ProjectionCounts]
    hardware: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])

    def __add__(self, other: "Counts") -> "Counts":
        """Return the counts of two runs of one program; errors of ``_sum``."""
        added: Counts = _sum(self, other)
        return added

    @property
    def synapses(self) -> int:
        """Stored synapses."""
        return sum(p.synapses for p in self.projections.values())

    @property
    def synops(self) -> int:
        """Synaptic operations."""
        return sum(p.total for p in self.projections.values())

    @property
    def effective(self) -> int:
        """Synaptic operations of non-zero weight."""
        return sum(p.effective for p in self.projections.values())

    def neurobench(self) -> dict[str, float]:
        """Return NeuroBench's metrics, operations per sample."""
        done = [p.operations for p in self.projections.values()]
        active = [p.activity for p in self.populations.values()]
        activations = sum(a.activations for a in active)
        return {
            "effective_acs": sum(o.acs for o in done) / self.samples,
            "effective_macs": sum(o.macs for o in done) / self.samples,
            "dense_operations": sum(o.dense for o in done) / self.samples,
            "activation_sparsity": sum(a.zeros for a in active) / max(activations, 1),
            "connection_sparsity": self.footprint.zeros / max(self.footprint.weights, 1),
            "footprint_bytes": self.footprint.bytes,
        }


def _sum(a: Any, b: Any) -> Any:
    """Return the sum of two records, field by field; ``fixed`` ones belong to the program.

    Raises:
        SpikecError: SPK1101 when a fixed field or a name differs.
    """
    if isinstance(a, Mapping):
        return _summed(cast(Any, a), b)
    if is_dataclass(a):
        fixed = getattr(a, "fixed", ())
        pairs = {f.name: (getattr(a, f.name), getattr(b, f.name)) for f in fields(a)}
        summed = {n: _same(*p) if n in fixed else _sum(*p) for n, p in pairs.items()}
        return replace(a, **summed)  # type: ignore[type-var]
    return a + b if isinstance(a, int) and isinstance(b, int) else _same(a, b)


def _summed(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    _same(set(a), set(b))
    return {name: _sum(value, b[name]) for name, value in a.items()}


def _same(a: Any, b: Any) -> Any:
    if a != b:
        raise SpikecError(
            "SPK1101",
            "counts",
            "counts of two different programs are added",
            "Add those of one program on several inputs",
        )
    return a
