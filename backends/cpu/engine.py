"""Runs a program: per step, events are delivered to the populations and their updates called.

The batch is split over threads; the kernels release the interpreter lock.
"""

import os
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from spikec.backends import tally
from spikec.backends.cpu.delivery import Delivery, delayed_delivery, delivery, list_events, narrow
from spikec.backends.cpu.update import Update, update
from spikec.compiler.equation import Lane
from spikec.compiler.errors import Finding
from spikec.compiler.ir import Population, Program, Projection, Trace
from spikec.compiler.tracing import Recorder
from spikec.compiler.types import Array, Bool, Exact, Float
from spikec.compiler.wiring import lanes, port_frac, product_frac, source_types

# Samples that one thread carries through the steps together: enough to make the calls into
# compiled code cheap, few enough that states stay in the cache.
CHUNK = 16


class Engine:
    """The backend."""

    def supports(self, program: Program) -> tuple[Finding, ...]:
        """Return nothing: every discrete program runs here."""
        return ()

    def prepare(self, program: Program) -> "Machine":
        """Return the program compiled."""
        return Machine(program)

    def emit(self, program: Program, folder: Path) -> tuple[str, ...]:
        """Write nothing: kernels live in the user's cache folder."""
        return ()


class Machine:
    """A program as kernels and the constant arrays they read."""

    def __init__(self, program: Program) -> None:
        """Compile every population and lay out every synapse."""
        self.program = program
        graph = program.graph
        self.lanes = lanes(graph)
        self.signals = source_types(graph, self.lanes)
        self.units = [self._unit(p) for p in graph.order()]
        self.reach = {
            name: 1 + max((p.delay for p in graph.projections if p.source == name), default=0)
            for name in self.signals
        }

    def _unit(self, population: Population) -> "_Unit":
        return _Unit(population, self.lanes[population.name], self)

    def run(self, inputs: Mapping[str, Array], record: Collection[str] = ()) -> Trace:
        """Run a batch; see ``Runner``."""
        samples, steps = next(iter(inputs.values())).shape[:2]
        recorder = Recorder(self.program, self.signals, samples, steps, record)
        chunk = max(1, min(CHUNK, -(-samples // (os.cpu_count() or 1))))
        slices = [slice(k, min(k + chunk, samples)) for k in range(0, samples, chunk)]
        if len(slices) <= 1:
            counts = [_Run(self, inputs, s, steps, recorder).counts for s in slices]
        else:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                runs = [pool.submit(_Run, self, inputs, s, steps, recorder) for s in slices]
                counts = [r.result().counts for r in runs]
        for part in counts:
            recorder.count(part)
        return recorder.trace()


class _Unit:
    """One population: its update, its deliveries, and its constants."""

    def __init__(self, population: Population, lane: Lane, machine: Machine) -> None:
        self.population = population
        self.name, self.start = population.name, population.start
        self.lane = lane
        self.update: Update = update(lane)
        graph, model = machine.program.graph, population.model()
        self.deliveries: list[tuple[int, Projection, Delivery]] = []
        self.delayed: list[tuple[int, Projection, Delivery]] = []
        self.bias: list[Array] = []
        for k, port in enumerate(self.update.ports):
            arriving = [p for p in graph.into(population.name) if p.port == port]
            floating = isinstance(lane.ports[port], Float)
            frac = 0 if floating or not arriving else port_frac(arriving, machine.signals)
            self.bias.append(_bias(arriving, population.size, lane.ports[port], frac))
            for p in arriving:
                shift = 0 if floating else frac - product_frac(p, machine.signals)
                if p.delays is None:
                    self.deliveries.append((k, p, delivery(p.synapse, shift, floating)))
                else:
                    self.delayed.append((k, p, delayed_delivery(p, shift, floating)))
        values = model.parameters()
        self.parameters = [
            values[n].data if values[n].is_float else narrow(values[n].data)
            for n in self.update.parameters
        ]
        self.initial = [model.initial(s).data for s in self.update.states]
        self.state_types = [_storage(lane.states[s].dtype, self._form(s)) for s in lane.states]
        self.output_type = _storage(machine.signals[population.name], None)

    def _form(self, state: str) -> Exact | None:
        form = self.population.formats.get(state)
        return None if form is None else Exact(form.type.lo, form.type.hi, form.type.frac)


class _Run:
    """One slice of a batch carried through all steps."""

    def __init__(
        self,
        machine: Machine,
        inputs: Mapping[str, Array],
        samples: slice,
        steps: int,
        recorder: Recorder,
    ) -> None:
        self.machine, self.inputs, self.samples, self.steps = machine, inputs, samples, steps
        self.last = steps + max((u.start for u in machine.units), default=0)
        self.batch = samples.stop - samples.start
        self.counts = {u.name: {"spikes": 0, "saturations": 0} for u in machine.units}
        self.sent: dict[str, list[tuple[Array, Array, Array]]] = {}
        for source in machine.program.graph.inputs:
            kind = _storage(machine.signals[source.name], None)
            self.sent[source.name] = self._ring(source.name, source.size, kind)
        for unit in machine.units:
            self.sent[unit.name] = self._ring(unit.name, unit.population.size, unit.output_type)
        self.totals = {u.name: [np.tile(b, (self.batch, 1)) for b in u.bias] for u in machine.units}
        self.later = {
            u.name: [
                np.zeros((p.longest - p.delay + 1, *self.totals[u.name][k].shape), u.bias[k].dtype)
                for k, p, _ in u.delayed
            ]
            for u in machine.units
        }
        self.states = {
            u.name: [
                np.array(np.broadcast_to(v, (self.batch, u.population.size)), dtype=t)
                for v, t in zip(u.initial, u.state_types, strict=True)
            ]
            for u in machine.units
        }
        for step in range(self.last):
            self._step(step, recorder)

    def _ring(self, name: str, size: int, dtype: Any) -> list[tuple[Array, Array, Array]]:
        """Return (value, index, count) for as many steps of the run as a delay can reach back."""
        return [
            (
                np.zeros((self.batch, size), dtype),
                np.zeros((self.batch, size), np.int32),
                np.zeros(self.batch, np.int64),
            )
            for _ in range(min(self.machine.reach[name], self.last))
        ]

    def _step(self, step: int, recorder: Recorder) -> None:
        for source in self.machine.program.graph.inputs:
            value, index, count = self._slot(source.name, step)
            value[:] = self.inputs[source.name][self.samples, step] if step < self.steps else 0
            list_events(value, index, count)
        for unit in self.machine.units:
            totals, states = self.totals[unit.name], self.states[unit.name]
            self._deliver_later(unit, step)
            if step < unit.start:
                continue
            for port, projection, to in unit.deliveries:
                if projection.delay <= step:
                    value, index, count = self._slot(projection.source, step - projection.delay)
                    to.kernel(index, count, value, totals[port], *to.arrays)
            value, index, count = self._slot(unit.name, step)
            constants = unit.update.constants
            hits = unit.update.function(value, *totals, *states, *unit.parameters, *constants)
            for total, bias in zip(totals, unit.bias, strict=True):
                total[:] = bias
            list_events(value, index, count)
            self._record(unit, step, hits, recorder)

    def _deliver_later(self, unit: _Unit, step: int) -> None:
        """Send what goes over synapses with delays of their own; take what arrives in this step."""
        for sums, (port, projection, to) in zip(self.later[unit.name], unit.delayed, strict=True):
            slot = step % len(sums)
            if projection.delay <= step:
                value, index, count = self._slot(projection.source, step - projection.delay)
                to.kernel(index, count, value, sums, *to.arrays, slot)
            if step >= unit.start:
                self.totals[unit.name][port] += sums[slot]
            sums[slot] = 0

    def _slot(self, name: str, step: int) -> tuple[Array, Array, Array]:
        ring = self.sent[name]
        return ring[step % len(ring)]

    def _record(self, unit: _Unit, step: int, hits: int, recorder: Recorder) -> None:
        if not recorder.in_window(unit.population, step):
            return
        value, _, count = self._slot(unit.name, step)
        model = unit.population.model()
        counts = self.counts[unit.name]
        counts["saturations"] += int(hits)
        if model.emits != "values":
            counts["spikes"] += tally(unit.name, count if model.emits == "spikes" else value)
        held = dict(zip(unit.update.states, self.states[unit.name], strict=True))
        recorder.keep(unit.population, step, value, held, self.samples)


def _bias(arriving: list[Projection], size: int, port: Exact | Float, frac: int) -> Array:
    """Return the constant part of a port's input, in the type of its sum."""
    total: Array = np.zeros(size, np.float64 if isinstance(port, Float) else np.int64)
    for p in arriving:
        bias, vector = p.synapse.bias, p.synapse.bias_vector()
        if bias is not None and vector is not None:
            total = total + (vector if isinstance(port, Float) else vector << (frac - bias.frac))
    return total.astype(_storage(port, None) if isinstance(port, Float) else _total_type(port))


def _total_type(port: Exact) -> Any:
    """Return int32 or int64 for a sum whose every partial sum stays inside the interval.

    The fan-in bound is reached by the positive weights alone, so no partial sum exceeds it.
    """
    return np.int32 if port.width <= 32 else np.int64


def _storage(signal: Bool | Exact | Float, form: Exact | None) -> Any:
    """Return the numpy type in which a signal or state is kept."""
    if isinstance(signal, Bool):
        return np.uint8
    if isinstance(signal, Float):
        return np.float64
    widest = max(signal.width, form.width if form else 0)
    return next(
        t for w, t in ((8, np.int8), (16, np.int16), (32, np.int32), (64, np.int64)) if widest <= w
    )
