"""Runs a program: per step, events are delivered to the populations and their updates called.

The batch is split over threads; the kernels release the interpreter lock.
"""

import os
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from spikec.backends import tally
from spikec.backends.cpu.delivery import (
    Delivery,
    add_all,
    delayed_delivery,
    delivery,
    keep,
    list_events,
    narrow,
    refill,
    take_input,
    take_later,
)
from spikec.backends.cpu.steps import ALWAYS, Argument, Calls, Later, Slot, Turn
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
# Of so many kinds of runs arrays are kept for the next of the same kind.
KINDS = 4


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
        self.idle: dict[tuple[Any, ...], list[_Run]] = {}  # runs that are over, to be used again

    def _unit(self, population: Population) -> "_Unit":
        return _Unit(population, self.lanes[population.name], self)

    def run(self, inputs: Mapping[str, Array], record: Collection[str] = ()) -> Trace:
        """Run a batch; see ``Runner``."""
        samples, steps = next(iter(inputs.values())).shape[:2]
        recorder = Recorder(self.program, self.signals, samples, steps, record)
        chunk = max(1, min(CHUNK, -(-samples // (os.cpu_count() or 1)))) if samples > 1 else 1
        slices = [slice(k, min(k + chunk, samples)) for k in range(0, samples, chunk)]
        if len(slices) <= 1:
            counts = [self._go(inputs, recorder, s) for s in slices]
        else:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                going = [pool.submit(self._go, inputs, recorder, s) for s in slices]
                counts = [g.result() for g in going]
        for part in counts:
            recorder.count(part)
        return recorder.trace()

    def _go(
        self, inputs: Mapping[str, Array], recorder: Recorder, samples: slice
    ) -> Mapping[str, Mapping[str, int]]:
        """Run a slice of a batch with arrays of a run like it, where there was one."""
        batch = samples.stop - samples.start
        types = tuple(inputs[name].dtype for name in sorted(inputs))
        like = batch, recorder.steps, types, tuple(recorder.spikes), tuple(recorder.state)
        try:
            run = self.idle[like].pop()
        except (KeyError, IndexError):
            run = _Run(self, batch, inputs, recorder)
        found = run.go(inputs, recorder, samples)
        if len(self.idle) >= KINDS and like not in self.idle:
            self.idle = {}
        self.idle.setdefault(like, []).append(run)
        return found


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
            _plain(values[n].data) if values[n].is_float else narrow(values[n].data)
            for n in self.update.parameters
        ]
        self.initial = [model.initial(s).data for s in self.update.states]
        self.state_types = [_storage(lane.states[s].dtype, self._form(s)) for s in lane.states]
        self.output_type = _storage(machine.signals[population.name], None)

    def _form(self, state: str) -> Exact | None:
        form = self.population.formats.get(state)
        return None if form is None else Exact(form.type.lo, form.type.hi, form.type.frac)


class _Run:
    """A slice of a batch: its arrays, and the calls that carry it through all steps."""

    def __init__(
        self, machine: Machine, batch: int, inputs: Mapping[str, Array], recorder: Recorder
    ) -> None:
        """Allocate, and list the calls of a step."""
        self.machine, self.batch, self.steps = machine, batch, recorder.steps
        self.last = self.steps + max((u.start for u in machine.units), default=0)
        self.calls = Calls()
        self.given: dict[str, Later] = {}
        self.kept: list[tuple[Later, Callable[[Recorder], Array]]] = []
        self.fresh: list[tuple[Array, Any]] = []  # arrays and what they hold before a run
        self.sent: dict[str, tuple[Array, Array, Array]] = {}
        for source in machine.program.graph.inputs:
            self.sent[source.name] = self._ring(source.name, source.size)
            self._take(source.name, inputs[source.name])
        for unit in machine.units:
            self.sent[unit.name] = self._ring(unit.name, unit.population.size)
        self.found = {
            u.name: (np.zeros(1, _counter(machine.signals[u.name])), np.zeros(1, np.int64))
            for u in machine.units
        }
        for unit in machine.units:
            self._unit(unit, recorder)
        self.fresh += [(total, 0) for totals in self.found.values() for total in totals]

    def go(
        self, inputs: Mapping[str, Array], recorder: Recorder, samples: slice
    ) -> dict[str, dict[str, int]]:
        """Run samples from the initial states, and return the counts."""
        for array, value in self.fresh:
            array[...] = value
        for name, later in self.given.items():
            self.calls.give(later, _plain(inputs[name][samples]))
        for later, kept in self.kept:
            self.calls.give(later, _plain(kept(recorder)[samples]))
        self.calls.run(self.last)
        return {
            name: {"spikes": tally(name, spikes), "saturations": int(hits[0])}
            for name, (spikes, hits) in self.found.items()
        }

    def _array(self, shape: tuple[int, ...], dtype: Any, value: Any = 0) -> Array:
        array: Array = np.zeros(shape, dtype)
        self.fresh.append((array, value))
        return array

    def _ring(self, name: str, size: int) -> tuple[Array, Array, Array]:
        """Return (value, index, count) of as many steps of the run as a delay can reach back."""
        length = min(self.machine.reach[name], self.last)
        kind = _storage(self.machine.signals[name], None)
        return (
            self._array((length, self.batch, size), kind),
            np.zeros((length, self.batch, size), np.int32),
            self._array((length, self.batch), np.int64),
        )

    def _slots(self, name: str, delay: int = 0) -> tuple[Slot, Slot, Slot]:
        value, index, count = self.sent[name]
        return Slot(value, delay), Slot(index, delay), Slot(count, delay)

    def _take(self, name: str, data: Array) -> None:
        self.given[name] = Later(_plain(data))
        value, index, count = self._slots(name)
        self.calls.add(take_input, (self.given[name], value, index, count, STEP))

    def _unit(self, unit: _Unit, recorder: Recorder) -> None:
        shape, add = (self.batch, unit.population.size), self.calls.add
        totals = [self._array(shape, b.dtype, b) for b in unit.bias]
        states = [
            self._array(shape, t, v) for v, t in zip(unit.initial, unit.state_types, strict=True)
        ]
        for port, projection, to in unit.delayed:
            length = projection.longest - projection.delay + 1
            sums, turn = self._array((length, *shape), totals[port].dtype), Turn(length)
            value, index, count = self._slots(projection.source, projection.delay)
            add(to.kernel, (index, count, value, sums, *to.arrays, turn), projection.delay)
            add(take_later, (totals[port], sums, turn, _scalar(unit.start), STEP))
        for port, projection, to in unit.deliveries:
            value, index, count = self._slots(projection.source, projection.delay)
            first = max(projection.delay, unit.start)
            add(to.kernel, (index, count, value, totals[port], *to.arrays), first)
        value, index, count = self._slots(unit.name)
        hits = np.zeros(1, np.int64)
        constants = [c if isinstance(c, np.ndarray) else _scalar(c) for c in unit.update.constants]
        given: list[Argument] = [value, *totals, *states, *unit.parameters, *constants]
        add(unit.update.function, given, unit.start, result=hits)
        for total, bias in zip(totals, unit.bias, strict=True):
            add(refill, (total, bias), unit.start)
        add(list_events, (value, index, count), unit.start)
        self._record(unit, states, hits, recorder)

    def _record(self, unit: _Unit, states: list[Array], hits: Array, recorder: Recorder) -> None:
        """Add the calls that count and keep, in the steps that are part of the trace."""
        name, add = unit.name, self.calls.add
        window = unit.start, unit.start + self.steps
        value, _, count = self._slots(name)
        spikes, saturations = self.found[name]
        emits = unit.population.model().emits
        add(add_all, (hits, saturations), *window)
        if emits != "values":
            add(add_all, (count if emits == "spikes" else value, spikes), *window)
        kept: list[tuple[Array | Slot, Callable[[Recorder], Array]]] = []
        if name in recorder.spikes:
            kept.append((value, lambda r: r.spikes[name]))
        for key, state in zip(unit.update.states, states, strict=True):
            if name in recorder.state:
                kept.append((state, _state(name, key)))
        for held, of in kept:
            later = Later(_plain(of(recorder)))
            add(keep, (held, later, _scalar(unit.start), STEP), *window)
            self.kept.append((later, of))


STEP = Turn(ALWAYS)


def _state(name: str, key: str) -> Callable[[Recorder], Array]:
    return lambda recorder: recorder.state[name][key]


def _scalar(value: int | float) -> Array:
    return np.array(value, np.int64 if isinstance(value, int) else np.float64)


def _plain(array: Array) -> Array:
    """Return an array as compiled code reads it: contiguous, flags as bytes."""
    array = np.ascontiguousarray(array)
    return array.view(np.uint8) if array.dtype == np.bool_ else array


def _counter(signal: Bool | Exact | Float) -> Any:
    return np.float64 if isinstance(signal, Float) else np.int64


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
