"""Run a model in its own framework and in spikec on the same inputs; name where they differ first.

Spikes must be equal. States and values that are sent must agree within ``tolerance * max(1, |a|)``:
1e-5 where the framework computes in float32, 1e-9 in float64. Of an integer program only spikes are
compared: its states are rounded on purpose.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spikec.compiler.causes import Case, causes
from spikec.compiler.changes import Cause
from spikec.compiler.compare import RECORD, TOLERANCE, Difference, Tally, batches, counted
from spikec.compiler.errors import SpikecError
from spikec.compiler.events import Report
from spikec.compiler.frontends.framework_run import FrameworkRun
from spikec.compiler.ir import Graph, Population, Program, Trace
from spikec.compiler.pipeline import Progress, compile_graph, silent
from spikec.compiler.recording import Recording
from spikec.compiler.signals import quiet
from spikec.compiler.simulator import Simulator
from spikec.compiler.synapses import Shape
from spikec.compiler.types import Array

SINGLE = 1e-5


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was compared, and what came out.

    Attributes:
        framework: Name, version and type of numbers.
        backend: Where spikec ran.
        samples: Samples.
        steps: Steps of each.
        populations: Populations that were compared.
        neurons: Their neurons.
        spikes: Spikes that the framework sent.
        numbers: Pairs of numbers compared.
        tolerance: Allowed relative difference of states; None where only spikes are compared.
        difference: The first difference, or None; ``first`` is the framework's value.
        causes: Every change of spikec's side that explains it; empty where none that is known does.
    """

    framework: str
    backend: str
    samples: int
    steps: int
    populations: int
    neurons: int
    spikes: int
    numbers: int
    tolerance: float | None
    difference: Difference | None
    causes: tuple[Cause, ...]

    @property
    def equal(self) -> bool:
        """Whether there is no difference."""
        return self.difference is None

    def __str__(self) -> str:
        """Return the one line that says what was compared and what came out."""
        what = "every spike" if self.tolerance is None else "every spike and state"
        how = "" if self.tolerance is None else f", states within {self.tolerance:g} max(1, |a|)"
        extent = (
            f"compared {counted(self.samples, 'sample')} x {counted(self.steps, 'step')}, "
            f"{counted(self.neurons, 'neuron')} of {counted(self.populations, 'population')}, "
            f"{counted(self.spikes, 'spike')}, spikes exactly{how}"
        )
        if self.difference is None:
            return f"{self.framework} and {self.backend} agree in {what}: {extent}"
        first, second = repr(self.difference.first), repr(self.difference.second)
        cause = " or ".join(str(c) for c in self.causes) or "unknown"
        return (
            f"{self.framework} and {self.backend} differ first at {self.difference} is {first} and "
            f"{second}; cause: {cause}; {extent}"
        )


def verify_against(
    run: FrameworkRun,
    program: Program,
    inputs: Mapping[str, Array],
    backend: str = "cpu",
    double: bool = False,
    progress: Progress = silent,
    report: Report = quiet,
) -> Verdict:
    """Compare a program with the framework of the model that it was made of.

    Args:
        run: The model in its framework.
        program: Discretised at least.
        inputs: (samples, steps, *shape) by input name.
        backend: Where the program runs.
        double: The framework computes in float64.
        progress: Called with the samples done.
        report: Takes findings on the inputs.

    Raises:
        SpikecError: SPK1482 when the program is not one of the model, SPK1483 when there is nothing
            to compare; errors of the framework's run and of ``Simulator.run``.
    """
    pair = _Pair(run, program, Simulator(program, backend, report), double)
    samples = 0
    for part, samples in batches(program, inputs, RECORD):
        pair.add(part.start, {name: np.asarray(a)[part] for name, a in inputs.items()})
        progress("compare", part.stop, samples)
    steps = next(iter(inputs.values())).shape[1]
    tally, exact = pair.tally, program.stage == "integer"
    return Verdict(
        run.name(double),
        backend,
        samples,
        steps,
        len(tally.order),
        sum(p.size for p in tally.order),
        tally.spikes,
        tally.numbers,
        None if exact else pair.tolerance,
        tally.difference,
        pair.causes() if tally.difference else (),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Both runs of some samples, of which ``start`` is the first."""

    start: int
    inputs: Mapping[str, Array]
    theirs: Recording
    ours: Trace


class _Pair:
    """A framework and a program, and what has been compared of them."""

    def __init__(
        self, run: FrameworkRun, program: Program, simulator: Simulator, double: bool
    ) -> None:
        self.run, self.program, self.simulator, self.double = run, program, simulator, double
        _check_nodes(program, "input", {i.name: i.shape for i in run.graph.inputs})
        single = run.rounded or run.single(double)
        self.tolerance = SINGLE if single else TOLERANCE
        self.tally = Tally((), 0.0)
        self.worst: _Batch | None = None

    def add(self, start: int, inputs: Mapping[str, Array]) -> None:
        """Run a batch on both sides and compare."""
        theirs = self.run.run(inputs, self.double)
        trace, ours = theirs.trace(self.program), self.simulator.run(inputs, RECORD)
        if not self.tally.order:
            _check_nodes(
                self.program, "population", {n: a.shape[2:] for n, a in theirs.sent.items()}
            )
            self._check(trace)
            order = tuple(p for p in self.program.graph.order() if p.name in trace.spikes)
            exact = self.program.stage == "integer"
            self.tally = Tally(order, 0.0 if exact else self.tolerance)
        before = self.tally.difference
        self.tally.add(start, trace, ours)
        if self.tally.difference is not before:
            self.worst = _Batch(start, inputs, theirs, ours)

    def _check(self, trace: Trace) -> None:
        """Refuse what leaves nothing to compare."""
        if not trace.spikes:
            raise SpikecError(
                "SPK1483",
                self.program.graph.name,
                "no population of it sends what could be compared",
                "Compare the model in floating point",
            )

    def causes(self) -> tuple[Cause, ...]:
        """Return what explains the first difference."""
        found, batch = self.tally.difference, self.worst
        assert found is not None
        assert batch is not None
        if self.program.stage == "integer":
            return self._of_integers(batch)
        graph = self.run.graph
        again = self._still if self.run.exact and self.run.single(self.double) else None
        case = Case(
            self.program,
            graph,
            {name: np.asarray(a, dtype=np.float64) for name, a in batch.inputs.items()},
            batch.ours,
            batch.theirs,
            replace(found, sample=found.sample - batch.start),
            self.tolerance,
            self.run.convention,
            again,
        )
        return causes(case)

    def _still(self) -> bool:
        """Return whether the difference, or an earlier one, is there in float64 too."""
        batch = self.worst
        assert batch is not None
        exact = _Pair(self.run, self.program, self.simulator, True)
        exact.add(batch.start, batch.inputs)
        return exact.tally.difference is not None and exact.tally.place <= self.tally.place

    def _of_integers(self, batch: _Batch) -> tuple[Cause, ...]:
        """Return rounding where the program agrees in floating point, else why that differs."""
        real = _in_floating_point(self.program, self.run.graph)
        other = _Pair(self.run, real, Simulator(real, "cpu", quiet), self.double)
        other.add(batch.start, batch.inputs)
        if other.tally.difference is None or other.tally.place[0] > self.tally.place[0]:
            return (Cause("rounding", "to integers: in floating point this step agrees"),)
        return other.causes()


def _check_nodes(program: Program, kind: str, wanted: Mapping[str, Shape]) -> None:
    """Refuse a program of another model.

    Raises:
        SpikecError: SPK1482.
    """
    nodes = program.graph.inputs if kind == "input" else program.graph.populations
    shapes = {n.name: n.shape for n in nodes}
    for name, shape in wanted.items():
        if shapes.get(name) != shape:
            raise SpikecError(
                "SPK1482",
                program.graph.name,
                f"it has no {kind} '{name}' of shape {shape}, as the model has",
                "Give the model that the build was made of",
            )


def _in_floating_point(program: Program, graph: Graph) -> Program:
    """Return the numbers of a model with the choices and delays of a program made of it."""
    real = compile_graph(graph, pipeline="discretize")
    built = {p.name: p for p in program.graph.populations}
    made: list[Population] = []
    for population in real.graph.populations:
        if population.name in built:
            model: Any = population.model()
            chosen = built[population.name].model().options()
            same = {n: chosen[n] for n in model.options() if n in chosen}
            made.append(replace(population, neuron=replace(model, **same)))
    start = {p.name: p.start for p in program.graph.populations}
    late: dict[str, list[int]] = {}
    for p in program.graph.projections:
        late.setdefault(str(p), []).append(p.delay + start.get(p.source, 0) - start[p.target])
    # Of several between the same ends it is not known which is which.
    known = {ends: delays[0] for ends, delays in late.items() if len(delays) == 1}
    projections = (replace(p, delay=known.get(str(p), p.delay)) for p in real.graph.projections)
    return replace(real, graph=replace(real.graph.with_nodes(made), projections=tuple(projections)))
