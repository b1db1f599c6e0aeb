"""Run a program on two backends and compare every spike and every state, bit for bit.

Integers must be equal. In floating point spikes must be equal, and states and sent values within
``tolerance * max(1, |a|)``, since backends may sum synapses in another order. The first difference
is the earliest step, then the first population in the order of a step, then spikes before states,
then sample, then neuron.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.events import Report
from spikec.compiler.ir import Population, Program, Trace
from spikec.compiler.pipeline import Progress, by_input, silent
from spikec.compiler.signals import quiet, warn
from spikec.compiler.simulator import Simulator, stored_inputs
from spikec.compiler.types import Array

LIMIT_BYTES = 256 << 20
TOLERANCE = 1e-9
RECORD = ("spikes", "state")
# Enough samples for a backend to work well, few enough for a progress bar to move.
FEWEST, SHARES = 64, 50

Value = int | float | bool


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two runs differ first.

    Attributes:
        step: Step, from 0.
        population: Name.
        what: ``spikes``, or the name of a state.
        sample: Index in the batch.
        neuron: Index in the population's shape.
        first: Value on the first backend, in stored units.
        second: Value on the second.
    """

    step: int
    population: str
    what: str
    sample: int
    neuron: tuple[int, ...]
    first: Value
    second: Value

    def __str__(self) -> str:
        """Return where it is."""
        return (
            f"step {self.step}, population '{self.population}', neuron {list(self.neuron)}, "
            f"sample {self.sample}: {self.what}"
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared, and the first difference if there is one.

    Attributes:
        backends: Both names.
        samples: Samples.
        steps: Steps of each.
        populations: Populations.
        spikes: Spikes sent on the first backend, over all populations.
        numbers: Pairs of numbers compared: what was sent, and every state, in every step.
        tolerance: Allowed relative difference of states, or None where they must be equal.
        difference: The first difference, or None.
    """

    backends: tuple[str, str]
    samples: int
    steps: int
    populations: int
    spikes: int
    numbers: int
    tolerance: float | None
    difference: Difference | None

    @property
    def equal(self) -> bool:
        """Whether there is no difference."""
        return self.difference is None

    def __str__(self) -> str:
        """Return the one line that says what was compared and what came out."""
        a, b = self.backends
        how = "exactly"
        if self.tolerance is not None:
            how = f"spikes exactly, states within {self.tolerance:g} max(1, |a|)"
        extent = (
            f"compared {counted(self.samples, 'sample')} x {counted(self.steps, 'step')}, "
            f"{counted(self.spikes, 'spike')}, {counted(self.numbers, 'number')} of "
            f"{counted(self.populations, 'population')}, {how}"
        )
        if self.difference is None:
            return f"{a} and {b} agree in every spike and state: {extent}"
        first, second = repr(self.difference.first), repr(self.difference.second)
        return f"{a} and {b} differ first at {self.difference} is {first} and {second}; {extent}"


def counted(number: int, noun: str) -> str:
    """Return for instance ``1 spike`` or ``2,000 spikes``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def compare(
    program: Program,
    inputs: Array | Mapping[str, Array],
    first: str = "reference",
    second: str | Simulator = "cpu",
    limit_bytes: int = LIMIT_BYTES,
    progress: Progress = silent,
    tolerance: float = TOLERANCE,
    report: Report = warn,
) -> Comparison:
    """Run ``program`` on both backends and compare.

    Args:
        program: Discretised at least.
        inputs: (samples, steps, *shape), or a dict of such arrays by input name.
        first: One backend.
        second: The other, or what runs the program elsewhere.
        limit_bytes: About how much recorded data to hold at once.
        progress: Called with the samples done.
        tolerance: For states in floating point.
        report: Takes findings on the inputs.

    Raises:
        SpikecError: Errors of the backends and of ``Simulator.run``.
    """
    data = by_input(program.graph, inputs)
    other = second if isinstance(second, Simulator) else Simulator(program, second, quiet)
    runs = Simulator(program, first, report), other
    exact = program.stage == "integer"
    tally = Tally(program.graph.order(), 0.0 if exact else tolerance)
    samples = steps = 0
    for part, samples in batches(program, data, RECORD, limit_bytes // 2):
        batch = {name: np.asarray(a)[part] for name, a in data.items()}
        steps = next(iter(batch.values())).shape[1]
        tally.add(part.start, *(run.run(batch, RECORD) for run in runs))
        progress("compare", part.stop, samples)
    return Comparison(
        (first, other.backend),
        samples,
        steps,
        len(tally.order),
        tally.spikes,
        tally.numbers,
        None if exact else tolerance,
        tally.difference,
    )


class Tally:
    """What has been compared so far, and the earliest difference.

    Args:
        order: The populations to compare, in the order of a step.
        tolerance: Of states and values.
    """

    def __init__(self, order: tuple[Population, ...], tolerance: float) -> None:
        """Begin with nothing."""
        self.order, self.tolerance = order, tolerance
        self.spikes = self.numbers = 0
        self.difference: Difference | None = None
        self.place: tuple[int, ...] = ()

    def add(self, start: int, a: Trace, b: Trace) -> None:
        """Compare one batch, which begins at sample ``start``; states as far as ``a`` has them."""
        self.spikes += sum(counts["spikes"] for counts in a.counts.values())
        for k, population in enumerate(self.order):
            name = population.name
            values = population.model().emits == "values"
            sent = a.spikes[name], b.spikes[name]
            self._compare((name, "spikes", k, 0), start, sent, self.tolerance * values)
            for rank, state in enumerate(population.model().states, start=1):
                if state in a.state[name]:
                    held = a.state[name][state], b.state[name][state]
                    self._compare((name, state, k, rank), start, held, self.tolerance)

    def _compare(
        self,
        what: tuple[str, str, int, int],
        start: int,
        pair: tuple[Array, Array],
        tolerance: float,
    ) -> None:
        x, y = pair
        self.numbers += x.size
        found = _first(x, y, tolerance)
        if found is None:
            return
        step, sample, *neuron = found
        population, name, *rank = what
        place = (step, *rank, start + sample, *neuron)
        if self.difference is None or place < self.place:
            at = (sample, step, *neuron)
            values = x[at].item(), y[at].item()
            self.place = place
            self.difference = Difference(
                step, population, name, start + sample, tuple(neuron), *values
            )


def batches(
    program: Program,
    inputs: Mapping[str, Array],
    record: Collection[str],
    limit_bytes: int = LIMIT_BYTES,
) -> Iterator[tuple[slice, int]]:
    """Give slices of the samples, such that what is recorded of one takes about ``limit_bytes``.

    With each slice comes the total number of samples.

    Raises:
        SpikecError: SPK0951 where there is nothing to run on, SPK0952 where inputs differ in
            length; errors of ``stored_inputs``.
    """
    lengths = {name: np.shape(a)[:2] for name, a in inputs.items()}
    if not lengths or any(0 in length for length in lengths.values()):
        raise SpikecError("SPK0951", "inputs", "there are no samples", "Give at least one")
    stored_inputs(program.graph, {name: np.asarray(a)[:1] for name, a in inputs.items()})
    if len(set(lengths.values())) > 1:
        sizes = ", ".join(f"{name} {list(length)}" for name, length in lengths.items())
        raise SpikecError(
            "SPK0952", "inputs", f"samples and steps differ: {sizes}", "Give equally many of each"
        )
    samples, steps = next(iter(lengths.values()))
    populations = program.graph.populations
    numbers = sum(i.size for i in program.graph.inputs)
    for population in populations:
        states = len(population.model().states) if "state" in record else 0
        numbers += population.size * (states + ("spikes" in record))
    fitting = limit_bytes // max(steps * numbers * 8, 1)
    size = max(1, min(fitting, max(FEWEST, samples // SHARES)))
    return ((slice(k, min(k + size, samples)), samples) for k in range(0, samples, size))


def _first(x: Array, y: Array, tolerance: float) -> tuple[int, ...] | None:
    """Return (step, sample, *neuron) of the first difference, or None."""
    differ = x != y
    if tolerance and bool(differ.any()):
        with np.errstate(invalid="ignore"):  # infinities of the same sign
            differ &= ~(np.abs(x - y) <= tolerance * np.maximum(1.0, np.abs(x)))
    if x.dtype.kind == "f":
        differ &= ~(np.isnan(x) & np.isnan(y))
    if not bool(differ.any()):
        return None
    by_step = np.moveaxis(differ, 1, 0)
    index = np.unravel_index(int(np.argmax(by_step)), by_step.shape)
    return tuple(int(k) for k in index)
