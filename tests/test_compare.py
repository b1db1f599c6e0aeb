"""Two backends compared: equality with how much was compared, or the first difference."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import pytest

import small
import spikec
from spikec.compiler import simulator
from spikec.compiler.compare import Comparison, batches, compare
from spikec.compiler.types import Array

Change = Callable[[spikec.Trace, int], object]


def program(integer: bool = True) -> spikec.Program:
    pipeline = "discretize,quantize" if integer else "discretize"
    return spikec.compile(small.spiking(), pipeline=pipeline)


class Wrong:
    """The engine, with a trace changed afterwards; it knows at which sample each batch begins."""

    def __init__(self, backend: Any, change: Change) -> None:
        self.backend, self.change, self.start = backend, change, 0

    def prepare(self, program: spikec.Program) -> "Wrong":
        self.runner = self.backend.prepare(program)
        return self

    def run(self, inputs: Mapping[str, Array], record: Collection[str] = ()) -> spikec.Trace:
        trace: spikec.Trace = self.runner.run(inputs, record)
        self.change(trace, self.start)
        self.start += len(next(iter(inputs.values())))
        return trace


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Comparison]:
    """Compare with an engine whose traces are changed."""

    def run(change: Change, made: spikec.Program, data: Array, **options: Any) -> Comparison:
        find = simulator.find_backend

        def found(name: str) -> Any:
            return Wrong(find(name), change) if name == "cpu" else find(name)

        with monkeypatch.context() as patched:
            patched.setattr(simulator, "find_backend", found)
            return compare(made, data, **options)

    return run


@pytest.mark.parametrize("integer", [True, False])
@pytest.mark.parametrize("build", [small.spiking, small.values, small.counting])
def test_equal(build: Callable[[], spikec.Graph], integer: bool) -> None:
    """Everything recorded is counted: two populations, spikes and one state each."""
    pipeline = "discretize,quantize" if integer else "discretize"
    made = spikec.compile(build(), pipeline=pipeline)
    found = compare(made, small.data(5))
    assert found.equal
    assert found.numbers == 5 * 20 * (4 + 2) * 2
    assert found.spikes == sum(
        c["spikes"] for c in spikec.simulate(made, small.data(5)).counts.values()
    )
    assert found.spikes > 0
    assert (found.samples, found.steps, found.populations) == (5, 20, 2)
    assert found.tolerance == (None if integer else 1e-9)


def test_small_batches_compare_the_same() -> None:
    """Memory does not change what is compared; progress ends at the last sample."""
    made, seen = program(), list[tuple[str, int, int]]()
    data = small.data(7)
    whole = compare(made, data)

    def progress(what: str, done: int, total: int) -> None:
        seen.append((what, done, total))

    parts = compare(made, data, limit_bytes=10_000, progress=progress)
    assert parts == whole
    assert len(seen) > 2
    assert seen[-1] == ("compare", 7, 7)


def test_the_first_difference_is_the_earliest_step(broken: Callable[..., Comparison]) -> None:
    """Over all batches, then in the order of a step, then spikes before states."""
    made, data = program(), small.data(8)

    def change(trace: spikec.Trace, start: int) -> None:
        places = ((1, 9, "hidden", 0), (6, 4, "last", 1), (7, 4, "hidden", 3))
        for sample, step, name, neuron in places:
            if start <= sample < start + len(trace.spikes[name]):
                trace.state[name]["v"][sample - start, step, neuron] += 1
                flipped = ~trace.spikes[name][sample - start, step, neuron]
                trace.spikes[name][sample - start, step, neuron] = flipped

    for limit in (1 << 30, 8_000):
        found = broken(change, made, data, limit_bytes=limit).difference
        assert found is not None
        assert (found.step, found.population, found.what) == (4, "hidden", "spikes")
        assert (found.sample, found.neuron) == (7, (3,))
        right = spikec.simulate(made, data, ("spikes",), "reference").spikes["hidden"][7, 4, 3]
        assert (found.first, found.second) == (bool(right), not right)


def test_one_unit_of_one_state(broken: Callable[..., Comparison]) -> None:
    """In integers is a difference, with both values."""
    made, data = program(), small.data()

    def change(trace: spikec.Trace, start: int) -> None:
        trace.state["last"]["v"][2, 19, 1] += 1

    found = broken(change, made, data)
    value = spikec.simulate(made, data, ("state",)).state["last"]["v"][2, 19, 1]
    assert str(found) == (
        "reference and cpu differ first at step 19, population 'last', neuron [1], sample 2: v is "
        f"{value} and {value + 1}; compared 3 samples x 20 steps, {found.spikes:,} spikes, 720 "
        "numbers of 2 populations, exactly"
    )


@pytest.mark.parametrize(("error", "equal"), [(1e-12, True), (1e-6, False)])
def test_floating_point_states_have_a_tolerance(
    broken: Callable[..., Comparison], error: float, equal: bool
) -> None:
    """Spikes have none; the tolerance is printed."""
    made, data = program(integer=False), small.data()

    def change(trace: spikec.Trace, start: int) -> None:
        trace.state["hidden"]["v"][:] += error

    found = broken(change, made, data)
    assert found.equal == equal
    assert "spikes exactly, states within 1e-09 max(1, |a|)" in str(found)
    assert broken(change, made, data, tolerance=1e-5).equal

    def flip(trace: spikec.Trace, start: int) -> None:
        trace.spikes["hidden"][0, 0, 0] ^= True

    assert not broken(flip, made, data, tolerance=1e9).equal


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_values_that_are_sent_have_the_tolerance_too(broken: Callable[..., Comparison]) -> None:
    """They are sums as states are; infinities and NaN that both backends reach are equal."""
    made = spikec.compile(small.values())

    def change(trace: spikec.Trace, start: int) -> None:
        trace.spikes["last"][:] += 1e-12

    assert broken(change, made, small.data()).equal
    last = spikec.LeakyIntegrator(decay=-1.0, gain=1e308)
    exploding = spikec.compile(small.network(last=last))
    assert compare(exploding, small.data()).equal
    states = spikec.simulate(exploding, small.data(), ("state",)).state["last"]["v"]
    assert np.isinf(states).any()
    assert np.isnan(states).any()


def test_a_wrong_delay_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that delivers recurrent spikes a step early."""
    made = program()
    find = simulator.find_backend

    other = spikec.compile(small.network(recurrent=1), pipeline="discretize,quantize")

    class Other:
        def prepare(self, program: spikec.Program) -> Any:
            return find("cpu").prepare(other)

    def found_backend(name: str) -> Any:
        return Other() if name == "cpu" else find(name)

    monkeypatch.setattr(simulator, "find_backend", found_backend)
    found = compare(made, small.data(20)).difference
    assert found is not None
    assert found.population == "hidden"


def test_nothing_to_compare_is_an_error() -> None:
    """Equality of nothing would be a verdict without evidence."""
    made = program()
    cases: list[tuple[Any, str]] = [
        ({}, "inputs: there are no samples. Give at least one. [SPK0951]"),
        (small.data(0), "inputs: there are no samples. Give at least one. [SPK0951]"),
        ({"im": small.data()}, "input 'im': the network has no such input. Use in. [SPK0643]"),
    ]
    for data, line in cases:
        with pytest.raises(spikec.SpikecError) as caught:
            compare(made, data)
        assert str(caught.value) == line
    two = spikec.compile(small.two_inputs())
    with pytest.raises(spikec.SpikecError) as caught:
        compare(two, {"in": small.data(2), "other": np.zeros((3, 20, 5))})
    assert str(caught.value) == (
        "inputs: samples and steps differ: in [2, 20], other [3, 20]. Give equally many of each. "
        "[SPK0952]"
    )


def test_batches_cover_every_sample_once() -> None:
    """And none is larger than the memory allows, unless one sample is."""
    made = program()
    data = {"in": small.data(1000, 5)}
    for limit in (1, 20_000, 1 << 30):
        parts = [part for part, _ in batches(made, data, ("spikes", "state"), limit)]
        assert [k for part in parts for k in range(part.start, part.stop)] == list(range(1000))
        largest = max(part.stop - part.start for part in parts)
        assert largest == 1 or largest * 5 * (6 + 12) * 8 <= limit
