"""Counts the events of a trace; ``counts`` defines what they are."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from spikec.compiler import neurobench
from spikec.compiler.agreement import chunks
from spikec.compiler.counts import Counts, PopulationCounts, ProjectionCounts, SourceCounts
from spikec.compiler.errors import SpikecError
from spikec.compiler.fan_out import FanOut, fan_out
from spikec.compiler.ir import Output, Population, Program, Projection, Trace
from spikec.compiler.mapping.mesh import Mesh
from spikec.compiler.pipeline import Progress, by_input, silent
from spikec.compiler.simulator import Simulator
from spikec.compiler.target import load_target
from spikec.compiler.types import Array, Exact, FixedPoint
from spikec.compiler.untyped import sparse as sp
from spikec.compiler.wiring import lanes, source_types

RECORD = ("spikes", "state")


def count(program: Program, trace: Trace) -> Counts:
    """Return the counts of a run.

    Args:
        program: What was run.
        trace: Of a run that recorded ``spikes`` and ``state``.

    Raises:
        SpikecError: SPK1102 when the trace does not hold them, SPK1103 on a source that starts
            too late.
    """
    return Counter(program).count(trace)


def count_inputs(
    program: Program,
    inputs: Array | Mapping[str, Array],
    backend: str = "cpu",
    progress: Progress = silent,
    observe: Callable[[Trace], None] | None = None,
) -> Counts:
    """Run a program on inputs, a few samples at a time, and return the counts.

    Args:
        program: Discretised at least.
        inputs: (samples, steps, *shape), or a dict of such arrays by input name.
        backend: What runs it.
        progress: Called after every few samples.
        observe: Called with every trace that is counted.

    Raises:
        SpikecError: Errors of ``Simulator`` and ``count``.
    """
    data = by_input(program.graph, inputs)
    simulator, counter = Simulator(program, backend), Counter(program)
    total = None
    for part in chunks(program, data) if data else ():
        trace = simulator.run({n: a[part] for n, a in data.items()}, RECORD)
        if observe is not None:
            observe(trace)
        counted = counter.count(trace)
        total = counted if total is None else total + counted
        progress("count", part.stop, next(iter(data.values())).shape[0])
    # Without data the simulator says which is missing.
    return counter.count(simulator.run(data, RECORD)) if total is None else total


class Counter:
    """A program with the fan-out of its synapses, to count several traces."""

    def __init__(self, program: Program) -> None:
        """Lay out every synapse."""
        self.program = program
        self.graph = program.graph
        self.fans = [fan_out(p) for p in self.graph.projections]
        # Which event arrives when: a projection with a delay per synapse is one for each delay.
        self.waves = [(p, fan_out(p)) for q in self.graph.projections for p in q.by_delay()]
        self.starts = {p.name: p.start for p in self.graph.populations}
        self.units = _units(program)
        self.footprint = neurobench.footprint(self.graph)
        self.routes = {
            n.name: self._route(n.name) for n in self.graph.nodes if not isinstance(n, Output)
        }

    def count(self, trace: Trace) -> Counts:
        """Return the counts of a run; see ``count``."""
        sent = self.sent(trace)
        samples, steps, _ = next(iter(sent.values())).shape
        mapping = self.program.mapping
        return Counts(
            network=self.graph.name,
            dt=self.graph.dt,
            cores=None if mapping is None else mapping.size,
            footprint=self.footprint,
            samples=samples,
            steps=samples * steps,
            sources={name: self._source(name, a) for name, a in sent.items()},
            populations={p.name: self._population(p, sent, trace) for p in self.graph.populations},
            projections=dict(
                zip(projection_names(self.program), self._projections(sent), strict=True)
            ),
        )

    def sent(self, trace: Trace) -> dict[str, Array]:
        """Return what every input and population sent, (samples, steps, size)."""
        held = {i.name: trace.inputs.get(i.name) for i in self.graph.inputs}
        held |= {p.name: trace.spikes.get(p.name) for p in self.graph.populations}
        states = {p.name: p.model().states for p in self.graph.populations}
        missing = [name for name, a in held.items() if a is None]
        missing += [n for n, s in states.items() if not set(s) <= set(trace.state.get(n, {}))]
        if missing:
            raise SpikecError(
                "SPK1102",
                missing[0],
                "the trace does not hold what it sent and its states",
                "Simulate with record=('spikes', 'state')",
            )
        return {n: a.reshape(*a.shape[:2], -1) for n, a in held.items() if a is not None}

    def _source(self, name: str, sent: Array) -> SourceCounts:
        events = _per_neuron(sent)
        route = self.routes[name]
        moved = (None,) * 4 if route is None else (int(events @ r) for r in route)
        return SourceCounts(int(events.sum()), *moved)

    def _population(
        self, population: Population, sent: Mapping[str, Array], trace: Trace
    ) -> PopulationCounts:
        out = sent[population.name]
        values = population.model().emits == "values"
        return PopulationCounts(
            neurons=population.size,
            accesses=out.size,
            updates=sum(
                int(np.count_nonzero(self.updates(population, sent, trace, k)))
                for k in range(len(out))
            ),
            spikes=int(np.count_nonzero(out)),
            spike_sum=None if values else int(out.sum()),
            activity=neurobench.activity(population, out),
        )

    def updates(
        self, population: Population, sent: Mapping[str, Array], trace: Trace, sample: int
    ) -> Array:
        """Return which neurons are updated in which step of a sample, (steps, size)."""
        active: Array = sent[population.name][sample] != 0
        for name in population.model().states:
            held = trace.state[population.name][name][sample].reshape(active.shape)
            active[1:] |= held[:-1] != 0
            active[0] |= np.broadcast_to(
                population.model().initial(name).data != 0, active[0].shape
            )
        for projection, fan in self.waves:
            if projection.target == population.name:
                lag = self._lag(projection)
                arriving = fan.arrivals(sent[projection.source][sample] != 0)
                active[lag:] |= arriving[: max(len(arriving) - lag, 0)]
        return active

    def _lag(self, projection: Projection) -> int:
        """Return after how many steps of the trace, aligned to source time, an event arrives."""
        begun = self.starts.get(projection.source, 0)
        lag = projection.delay + begun - self.starts[projection.target]
        if lag < 0:
            raise SpikecError(
                "SPK1103",
                str(projection),
                f"the target starts {-lag} steps later than the delay makes up for, so that what "
                "arrives is not in the trace",
                "Let retime set the starts",
            )
        return lag

    def _projections(self, sent: Mapping[str, Array]) -> list[ProjectionCounts]:
        return [
            self._projection(p, f, sent[p.source])
            for p, f in zip(self.graph.projections, self.fans, strict=True)
        ]

    def _projection(self, projection: Projection, fan: FanOut, sent: Array) -> ProjectionCounts:
        events = _per_neuron(sent)
        unit = self.units[projection.source]
        return ProjectionCounts(
            storage=projection.storage,
            synapses=fan.synapses,
            nonzero=int(fan.effective.sum()),
            events=int(events.sum()),
            total=int(events @ fan.total),
            effective=int(events @ fan.effective),
            operations=neurobench.operations(projection, fan, sent, unit),
        )

    def _route(self, name: str) -> Array | None:
        """Return messages, hops in x and y and crossings of one event of each source neuron.

        None without a mapping; else int64 (4, neurons).
        """
        mapping = self.program.mapping
        if mapping is None:
            return None
        # Their kernels need the compiler, which light commands start without.
        from spikec.compiler.mapping.reach import reach
        from spikec.compiler.mapping.routes import distances

        size = self.graph.source_size(name)
        seats, cores = mapping.core_of(name, size), mapping.size
        reached: Any = sp.csr_array((size, cores), dtype=np.bool_)
        for projection in self.graph.projections:
            if projection.source == name:
                reached = reached + (reach(projection, mapping.seats[projection.target], cores) > 0)
        pairs = reached.tocoo()
        placed = seats[pairs.row] >= 0
        source, core = pairs.row[placed], pairs.col[placed]
        ways = distances(
            mapping.places[seats[source]], mapping.places[core], mesh_under(self.program)
        )
        sums = np.zeros((4, size), dtype=np.int64)
        for row, values in zip(sums, (np.ones_like(source), *ways), strict=True):
            np.add.at(row, source, values)
        return sums


def mesh_under(program: Program) -> Mesh:
    """Return the mesh of a mapped program: the target's, or one as large as its places need."""
    assert program.mapping is not None
    chips, columns, rows, cores = (
        int(n) + 1 for n in program.mapping.places.max(axis=0, initial=0)
    )
    mesh = load_target(program.target).mesh or Mesh(columns, rows, cores)
    return replace(mesh, chips=chips)


def _per_neuron(sent: Array) -> Array:
    """Return the events of each neuron, over samples and steps."""
    return np.asarray(np.count_nonzero(sent, axis=(0, 1)))


def _units(program: Program) -> dict[str, float]:
    """Return the real value of one stored unit of what each source sends."""
    signals = source_types(program.graph, lanes(program.graph))
    units = dict.fromkeys(signals, 1.0)
    for i in program.graph.inputs:
        if isinstance(i.signal, FixedPoint):
            units[i.name] = 2.0**-i.signal.frac * i.scale
    for p in program.graph.populations:
        signal = signals[p.name]
        if p.model().emits == "values" and isinstance(signal, Exact):
            units[p.name] = 2.0**-signal.frac * p.scale
    return units


def projection_names(program: Program) -> list[str]:
    """Return a name for each projection; those with equal ends are numbered."""
    names: list[str] = []
    for projection in program.graph.projections:
        text, twin = str(projection), 2
        while text in names:
            text, twin = f"{projection} #{twin}", twin + 1
        names.append(text)
    return names
