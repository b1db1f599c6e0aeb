"""Why two runs differ in a step: which change of our side makes it agree with the framework's.

Each change is tried by experiment. The population where the first difference is runs once more,
from the states that the framework had before each step and on what the framework's populations
sent, with one thing changed: a choice of its neurons, the delay of a connection into it, or
nothing, where what lies within rounding of its threshold is let pass. A change explains the
difference when all of the population agrees in every step up to that one; where some explain all
later steps too, only they are named. Two choices of the reset together, then several of the
framework's convention, are tried where no single change explains all.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spikec.compiler.changes import (
    Cause,
    Subject,
    convention_change,
    differing,
    reset_changes,
    single_changes,
)
from spikec.compiler.compare import Difference
from spikec.compiler.equation import Dynamics, Neuron, lower
from spikec.compiler.evaluate import evaluate
from spikec.compiler.ir import Graph, Population, Program, Projection, Trace
from spikec.compiler.recording import Recording
from spikec.compiler.semantics import Semantics
from spikec.compiler.types import Array, Float

# A change, and where the population still differs with it: (samples, steps, neurons).
Tried = tuple[Cause, Array]

# Samples, and steps after the difference, on which changes are tried.
SAMPLES, AFTER = 8, 100
# What float64 itself rounds.
EXACT = 1e-13


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A difference, and what it was found in.

    Attributes:
        program: Ours, in floating point.
        origin: The graph as it was loaded, in continuous time perhaps.
        inputs: By input, (samples, steps, *shape).
        ours: Our run, with spikes.
        theirs: The framework's.
        difference: The first difference; its sample counts within this batch.
        tolerance: Of states.
        convention: How the framework reads what leaves it open, or None.
        exact: Runs the framework in float64 and returns whether the difference is still there; None
            where it cannot.
    """

    program: Program
    origin: Graph
    inputs: Mapping[str, Array]
    ours: Trace
    theirs: Recording
    difference: Difference
    tolerance: float
    convention: Semantics | None
    exact: Callable[[], bool] | None


def causes(case: Case) -> tuple[Cause, ...]:
    """Return every change that explains a difference; empty where none does."""
    trial = _Trial(case)
    unchanged = trial.wrong(trial.subject.model)
    strict = trial.agrees(unchanged)
    let_pass = unchanged & ~trial.near(case.tolerance)
    rounded = trial.agrees(let_pass) and not (case.exact and case.exact())
    if strict or (rounded and case.exact):
        return (_rounding(case, strict),) if rounded else ()
    rounding = [(_rounding(case, strict), let_pass)] if rounded else []
    partly: list[Cause] = []
    for tried in _stages(trial, rounding):
        agreeing = [(cause, bool(wrong.any())) for cause, wrong in tried if trial.agrees(wrong)]
        whole = [cause for cause, wrong in agreeing if not wrong]
        if whole:
            return tuple(dict.fromkeys(whole))
        partly = partly or [cause for cause, _ in agreeing]
    return tuple(dict.fromkeys(partly))


def _stages(trial: "_Trial", rounding: Iterable[Tried]) -> Iterator[Iterable[Tried]]:
    """Yield what is tried, the simplest first."""
    yield (*rounding, *trial.tried(single_changes(trial.subject)), *trial.delays())
    yield trial.tried(reset_changes(trial.subject))
    yield _convention(trial)


def _rounding(case: Case, strict: bool) -> Cause:
    if strict:
        return Cause("rounding", "the step agrees from the framework's own states before it")
    return Cause("rounding", f"the membrane lies within {case.tolerance:g} of the threshold")


def _convention(trial: "_Trial") -> list[Tried]:
    """Return the choices of the framework's convention that are needed together."""
    convention = trial.case.convention
    needed = [] if convention is None else differing(trial.subject, convention)
    if convention is None or not needed:
        return []

    def tried(names: Sequence[str]) -> list[Tried]:
        made = trial.tried(convention_change(trial.subject, convention, names))
        return [(cause, wrong) for cause, wrong in made if trial.agrees(wrong)]

    found = tried(needed)
    for name in tuple(needed) if found else ():
        without = tried([n for n in needed if n != name])
        if without and without[0][1].sum() <= found[0][1].sum():
            needed.remove(name)
            found = without
    return found


class _Trial:
    """The population of a difference, ready to run again."""

    def __init__(self, case: Case) -> None:
        graph, name = case.program.graph, case.difference.population
        self.case, self.population = case, graph.population(name)
        self.step = case.difference.step
        self.arriving = [q for p in graph.into(name) for q in p.by_delay()]
        starting = {p.name: p.neuron for p in case.origin.populations}.get(name)
        origin = starting if isinstance(starting, Dynamics) else None
        self.subject = Subject(self.population.model(), origin, graph.dt)
        self.samples = _chosen(case.difference.sample, len(case.theirs.sent[name]))
        # What our own relays send is right only until something differs.
        known = all(p.source in case.theirs.sent or p.source in case.inputs for p in self.arriving)
        steps = case.theirs.sent[name].shape[1]
        self.steps = min(steps, self.step + (AFTER if known else 1))
        self.sent = _flat(case.theirs.sent[name][self.samples, : self.steps])
        self.ports = self._ports(self.arriving)

    def tried(self, changed: Iterable[tuple[Cause, Neuron]]) -> Iterator[Tried]:
        """Yield each change with where it still differs."""
        return ((cause, self.wrong(model)) for cause, model in changed)

    def delays(self) -> Iterator[Tried]:
        """Yield each delay changed by a step, with where that still differs."""
        for k, p in enumerate(self.arriving):
            for delay in (p.delay - 1, p.delay + 1):
                if delay < 0:
                    continue
                changed = [*self.arriving]
                changed[k] = replace(p, delay=delay)
                cause = Cause("delay", f"{p}: {delay} in place of {p.delay}")
                yield cause, self.wrong(self.subject.model, self._ports(changed))

    def agrees(self, wrong: Array) -> bool:
        """Return whether nothing differs up to the step in question."""
        return not wrong[:, : self.step + 1].any()

    # ------------------------------------------------------------ running

    def wrong(self, model: Neuron, ports: Mapping[str, Array] | None = None) -> Array:
        """Return where the population with a model differs, (samples, steps, neurons)."""
        held = self._held(model)
        sent, states = self._run(model, self.ports if ports is None else ports, held)
        tolerance = self.case.tolerance if model.emits == "values" else 0.0
        wrong = _apart(self.sent, sent, tolerance)
        for name, theirs in held.items():
            wrong |= _apart(theirs, states[name], self.case.tolerance)
        return wrong

    def near(self, tolerance: float) -> Array:
        """Return where rounding of the numbers of a step may change what is sent.

        A membrane that is exactly at the threshold is there by rule, not by rounding.
        """
        if self.subject.model.emits == "values":
            return np.zeros(self.sent.shape, dtype=np.bool_)
        return self._may_change(tolerance) & ~self._may_change(EXACT)

    def _may_change(self, tolerance: float) -> Array:
        """Return where membrane, input and threshold, moved so far, decide what is sent."""
        model, sent = self.subject.model, list[Array]()
        for off in (tolerance, -tolerance):
            ports = {n: a + off * np.maximum(1.0, np.abs(a)) for n, a in self.ports.items()}
            threshold, shifted = model.parameters().get("threshold"), model
            if threshold is not None:
                moved = threshold.data - off * np.maximum(1.0, np.abs(threshold.data))
                shifted = model.with_parameters({"threshold": replace(threshold, data=moved)})
            held = {n: a + off * (n == "v") for n, a in self._held(model).items()}
            sent.append(self._run(shifted, ports, held)[0])
        return np.asarray(sent[0] != sent[1])

    def _held(self, model: Neuron) -> dict[str, Array]:
        known = self.case.theirs.held(replace(self.population, neuron=model))
        return {n: _flat(a[self.samples, : self.steps]) for n, a in known.items()}

    def _run(
        self, model: Neuron, ports: Mapping[str, Array], held: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        """Return what is sent and the states; a step begins with ``held`` as far as it is known."""
        lane = lower(model, {}, {port: Float() for port in model.ports})
        shape = len(self.samples), self.population.size
        states = {s: np.broadcast_to(model.initial(s).data, shape) for s in model.states}
        parameters: dict[Any, Array] = {("param", n): t.data for n, t in model.parameters().items()}
        sent = np.zeros(self.sent.shape)
        after = {s: np.zeros(self.sent.shape) for s in model.states}
        for t in range(self.steps):
            leaves = parameters | {("input", n): a[:, t] for n, a in ports.items()}
            leaves |= {("state", s): a for s, a in states.items()}
            with np.errstate(all="ignore"):
                sent[:, t], *made = evaluate(lane.roots(), leaves)
            for name, array in zip(lane.states, made, strict=True):
                after[name][:, t] = array
                states[name] = held[name][:, t] if name in held else after[name][:, t]
        return sent, after

    def _ports(self, arriving: Iterable[Projection]) -> dict[str, Array]:
        """Return the summed input of each port, (samples, steps, neurons)."""
        shape = len(self.samples), self.steps, self.population.size
        made = {port: np.zeros(shape) for port in self.population.model().ports}
        for p in arriving:
            total, bias = made[p.port], p.synapse.bias_vector()
            if bias is not None:
                total += bias
            sent, begins = self._source(p.source)
            late = p.delay + begins - self.population.start
            moved = p.synapse.apply(sent.reshape(-1, sent.shape[2])).reshape(shape)
            total[:, late:] += moved[:, : self.steps - late]
        return made

    def _source(self, name: str) -> tuple[Array, int]:
        """Return what a source sent, (samples, steps, size), and its first step."""
        case = self.case
        source: Mapping[str, Array] = next(
            s for s in (case.inputs, case.theirs.sent, case.ours.spikes) if name in s
        )
        found: list[Population] = [p for p in case.program.graph.populations if p.name == name]
        sent = np.asarray(source[name])[self.samples, : self.steps]
        return _flat(sent).astype(np.float64), found[0].start if found else 0


def _chosen(sample: int, samples: int) -> list[int]:
    """Return the sample in question and a few others."""
    return [sample, *(k for k in range(samples) if k != sample)][:SAMPLES]


def _flat(array: Array) -> Array:
    return array.reshape(*array.shape[:2], -1)


def _apart(theirs: Array, ours: Array, tolerance: float) -> Array:
    with np.errstate(invalid="ignore"):
        near = np.abs(theirs - ours) <= tolerance * np.maximum(1.0, np.abs(theirs))
    return np.asarray((theirs != ours) & ~near)
