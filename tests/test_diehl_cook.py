"""A Diehl-Cook module against a loop in the order of its authors' schedule.

Weights are on a binary grid, so that their sums are exact: there is one right answer to the last
bit, in floating point too.
"""

import importlib
import math
from dataclasses import replace
from typing import Any

import numpy as np

import more_oracles as oracles
import spikec
from more_oracles import Module, ModuleTrace
from sizes import evidence, size
from spikec.compiler import plot
from spikec.compiler.compare import compare
from spikec.compiler.types import Array, Bool
from spikec.models import diehl_cook

BACKENDS = ("reference", "cpu")


def digit_images(count: int) -> Array:
    """Return scikit-learn's 8 x 8 digits with pixels of 0 to 255, enlarged to 28 x 28."""
    datasets: Any = importlib.import_module("sklearn.datasets")
    pixels = np.asarray(datasets.load_digits().images[:count]) * (255 / 16)
    near = np.arange(28) * 8 // 28
    return np.asarray(pixels[:, near][:, :, near])


def program_of(graph: spikec.Graph) -> spikec.Program:
    return spikec.compile(graph, pipeline="")


def module_numbers(graph: spikec.Graph) -> Module:
    """Return what a module is made of, with the constants of its step by their definition."""
    synapses, cells = graph.projections[0], graph.population("excitatory").neuron
    dt = round((graph.dt or 0) * 1e3, 9)
    threshold = cells.parameters()["threshold"].data
    # Some delay is 0, so that none is kept for all synapses together but the step of the schedule.
    delays = np.asarray(synapses.delays)
    assert delays.min() == 0
    return Module(
        synapses.synapse.weight.data, delays, threshold, dt,
        rates=(dt / 100, dt / 10), decays=(1 - dt / 1.0, 1 - dt / 0.5),
    )  # fmt: skip


def check_module(graph: spikec.Graph, net: Module, spikes: Array) -> ModuleTrace:
    """Compare a module in both engines with its oracle: all spikes, membranes, conductances."""
    wanted = oracles.diehl_cook(net, spikes[0])
    fractions = net.fractions or (0, 0)
    for backend in BACKENDS:
        mine = spikec.simulate(program_of(graph), spikes, ("spikes", "state"), backend)
        np.testing.assert_array_equal(mine.spikes["excitatory"][0], wanted.excitatory, backend)
        np.testing.assert_array_equal(mine.spikes["inhibitory"][0], wanted.inhibitory, backend)
        held = mine.state["excitatory"]
        np.testing.assert_array_equal(held["v"][0], wanted.v * 2.0 ** fractions[0], backend)
        # What arrives is added at the end of a step there, at the beginning of the next one here.
        for state, values in (("ge", wanted.ge), ("gi", wanted.gi)):
            stored_values = values[:-1] * 2.0 ** fractions[1]
            np.testing.assert_array_equal(held[state][0, 1:], stored_values, f"{backend} {state}")
    return wanted


def module_case() -> tuple[spikec.Graph, Array]:
    """Return a module with the thresholds of training, and an image with rest before and after.

    In full, it is the authors' step of 0.1 ms and their times.
    """
    cells, dt = size(60, 400), size(25, 10) / 100
    theta = np.random.default_rng(3).uniform(28, 34, cells)
    graph = diehl_cook.module(1, cells=cells, dt=dt, theta=np.round(theta * 1024) / 1024)
    image = np.random.default_rng(4).uniform(0, 220, (1, 28, 28))
    before, shown, rest = size(50, 500), size(200, 350), size(50, 150)
    return graph, diehl_cook.show(image, 5, dt=dt, before=before, shown=shown, rest=rest)


def test_diehl_cook_module() -> None:
    """A module gives the spikes and states of the authors' schedule, bit for bit, in float64."""
    graph, spikes = module_case()
    delays = graph.projections[0].delays
    assert delays is not None
    assert (delays.min(), delays.max()) == (0, size(39, 99))
    np.testing.assert_allclose(graph.projections[0].synapse.weight.data.sum(axis=1), 78, atol=1e-6)
    wanted = check_module(graph, module_numbers(graph), spikes)
    counts = int(wanted.excitatory.sum()), int(wanted.inhibitory.sum())
    assert counts[0] > 15
    # Place recognition 2.8: each cell's own inhibitory cell answers once.
    assert counts[1] == counts[0]
    cells = wanted.excitatory.shape[1]
    evidence(
        "diehl_cook", cells=cells, steps=spikes.shape[1], input_spikes=int(spikes.sum()),
        spikes=counts[0], inhibitory_spikes=counts[1],
        most_of_a_cell=int(wanted.excitatory.sum(axis=0).max()),
        synapses=delays.size + cells + cells * (cells - 1),
    )  # fmt: skip


def test_trained_thresholds_give_the_rates_of_a_trained_module() -> None:
    """Rates as in place_recognition.md 2.8: 7.5 k input spikes, 90 to 100 of each kind an image.

    The thresholds are those after training, 31 mV above the base; weights and images are random.
    Untrained thresholds give twice as many.
    """
    images = np.random.default_rng(0).uniform(0, 222, (size(4, 40), 784))
    spikes = diehl_cook.show(images, 0)
    after = spikes[:, 5000:].reshape(len(images), 5000, 784)
    assert abs(after.sum() / len(images) - 7500) < 250
    found: dict[float, list[int]] = {}
    for theta in (31.0, 20.0):
        trace = spikec.simulate(program_of(diehl_cook.module(0, theta=theta)), spikes)
        sent = trace.outputs["excitatory"][0, 5000:].reshape(len(images), 5000, -1)
        found[theta] = sent.sum(axis=(1, 2)).tolist()
        # The gate of 50 ms allows 7 in the 350 ms of an image (section 2.3).
        assert sent.sum(axis=1).max() <= 7
        assert trace.counts["inhibitory"] == trace.counts["excitatory"]
    trained, untrained = (float(np.mean(found[theta])) for theta in (31.0, 20.0))
    assert 75 < trained < 115
    assert untrained > 1.5 * trained
    evidence(
        "diehl_cook_rates", images=len(images), spikes_an_image=trained,
        spikes_an_image_untrained=untrained,
    )  # fmt: skip


def test_a_digit_spikes_at_a_quarter_of_its_pixels() -> None:
    """Counts of the encoding, and silence before and after."""
    images = digit_images(3)
    spikes = diehl_cook.show(images, 7, before=100, shown=2000, rest=50)
    assert spikes.shape == (1, 1000 + 3 * 20500, 784)
    each = spikes[0, 1000:].reshape(3, 20500, 28, 28)
    assert not spikes[0, :1000].any()
    assert not each[:, 20000:].any()
    expected = images / 4 * 2.0
    assert np.abs(each.sum(axis=1) - expected).max() <= 6 * np.sqrt(expected.max())
    assert abs(each.sum() - expected.sum()) <= 5 * np.sqrt(expected.sum())


def test_a_module_reads_digits() -> None:
    """Digits shown one after another: both engines agree in every spike and bit of state."""
    dt = size(25, 10) / 100
    graph = diehl_cook.module(2, cells=size(50, 400), dt=dt)
    images = digit_images(size(2, 4))
    times: dict[str, float] = {"before": 0, "shown": size(120, 350), "rest": size(30, 150)}
    spikes = diehl_cook.show(images, 1, dt=dt, **times)
    found = compare(program_of(graph), {"pixels": spikes}, tolerance=0.0)
    assert found.equal, str(found)
    assert found.spikes > 40
    evidence("diehl_cook_digits", comparison=str(found))


def module_formats(fractions: tuple[int, int]) -> dict[str, spikec.Format]:
    """Return the formats of expr.md section 12: s18 and u16, and a counter of 500 steps."""
    g = spikec.Format(spikec.FixedPoint(16, fractions[1], signed=False))
    v = spikec.Format(spikec.FixedPoint(18, fractions[0]))
    r = spikec.Format(spikec.FixedPoint(9, 0, signed=False), "floor", "never")
    return {"v": v, "ge": g, "gi": g, "r": r}


def significant(x: float, bits: int = 12) -> float:
    """Round to so many significant bits (expr.md section 9)."""
    mantissa, exponent = math.frexp(x)
    return math.ldexp(round(mantissa * 2**bits), exponent - bits)


def integer_module(graph: spikec.Graph, net: Module) -> spikec.Graph:
    """Return a module in hand-written integers with the rates, decays and fractions of ``net``."""
    assert net.fractions is not None
    (v_bits, g_bits), made = net.fractions, list[spikec.Population]()
    for name, rate in zip(("excitatory", "inhibitory"), net.rates, strict=True):
        population = graph.population(name)
        parameters = population.neuron.parameters()
        changed: dict[str, spikec.Tensor] = {
            n: spikec.Tensor.floats(value)
            for n, value in (
                ("rate", rate), ("ge_decay", net.decays[0]), ("gi_decay", net.decays[1]),
            )
        }  # fmt: skip
        for n in ("threshold", "v_init"):
            numbers = parameters[n].data * 2**v_bits
            changed[n] = spikec.Tensor.integers(numbers, spikec.FixedPoint(18, v_bits))
        neuron = population.neuron.with_parameters(changed)
        made.append(replace(population, neuron=neuron, formats=module_formats(net.fractions)))

    def stored(projection: spikec.Projection) -> spikec.Projection:
        numbers = np.rint(projection.synapse.weight.data * 2**g_bits).astype(np.int64)
        weight = spikec.Tensor.integers(numbers, spikec.FixedPoint(16, g_bits))
        return replace(projection, synapse=projection.synapse.with_numbers(weight, None))

    whole = tuple(stored(p) for p in graph.projections)
    return replace(graph.with_nodes(made), projections=whole)


def test_diehl_cook_module_in_integers() -> None:
    """The same module in s18.10 and u16.8 with constants of 12 bits equals its integer oracle."""
    graph, spikes = module_case()
    exact = module_numbers(graph)
    net = replace(
        exact,
        weights=np.rint(exact.weights * 256) / 256,
        rates=(significant(exact.rates[0]), significant(exact.rates[1])),
        decays=(significant(exact.decays[0]), significant(exact.decays[1])),
        to_inhibitory=round(10.4 * 256) / 256,
        fractions=(10, 8),
    )
    wanted = check_module(integer_module(graph, net), net, spikes)
    rounded = oracles.diehl_cook(replace(net, fractions=None), spikes[0])
    real = oracles.diehl_cook(exact, spikes[0])
    counts = [int(trace.excitatory.sum()) for trace in (wanted, rounded, real)]
    assert counts[0] > 15
    assert abs(counts[0] - counts[2]) <= 0.2 * counts[2]
    evidence(
        "diehl_cook_integer", cells=len(net.weights), steps=spikes.shape[1], spikes=counts[0],
        spikes_float_of_rounded_weights=counts[1], spikes_float=counts[2],
        rms_mv=float(np.sqrt(np.square(wanted.v - rounded.v).mean())),
    )  # fmt: skip


def cells_graph(level: Array, integer: bool) -> spikec.Graph:
    """Return separate cells at 0.5 ms, each with an excitatory and an inhibitory spike train."""
    cells, fractions = len(level), (10, 8)

    def stored_at(value: Any, frac: int) -> Any:
        if not integer:
            return spikec.Tensor.floats(value)
        return spikec.Tensor.integers(np.asarray(value) * 2**frac, spikec.FixedPoint(18, frac))

    cell = spikec.ConductanceLIF(
        rate=significant(0.005), ge_decay=0.5, gi_decay=0.5, gate=100, frozen=10,
        threshold=stored_at(level, 10), v_init=stored_at(-65.0, 10),
    )  # fmt: skip
    signal: Any = Bool() if integer else spikec.Input("x", (1,)).signal
    nodes: tuple[spikec.Input | spikec.Population | spikec.Output, ...] = (
        *(spikec.Input(port, (cells,), signal) for port in cell.ports),
        spikec.Population("n", (cells,), cell, module_formats(fractions) if integer else {}),
        spikec.Output("y", "n"),
    )
    projections = tuple(
        spikec.Projection(port, "n", spikec.OneToOne(cells, stored_at(weight, 8)), port=port)
        for port, weight in zip(cell.ports, (0.75, 0.5), strict=True)
    )
    return spikec.Graph("cells", nodes, projections, 5e-4)


def test_conductances_in_integers_stay_close_to_floating_point() -> None:
    """The formats of expr.md section 12 at 0.5 ms: nearly all spikes fall into the same step."""
    cells, steps = size(100, 400), size(1000, 3000)
    random = np.random.default_rng(6)
    level = np.round(random.uniform(-55.0, -48.0, cells) * 1024) / 1024
    data = {
        port: (random.random((1, steps, cells)) < p).astype(np.float64)
        for port, p in (("excitatory", 0.5), ("inhibitory", 0.1))
    }
    real, integer = (
        spikec.simulate(
            spikec.compile(cells_graph(level, whole), pipeline=""), data, ("spikes", "state")
        )
        for whole in (False, True)
    )
    spikes = int(real.output.sum()), int(integer.output.sum())
    same = int((real.output & integer.output).sum())
    gap = integer.state["n"]["v"] / 1024 - real.state["n"]["v"]
    assert abs(spikes[1] - spikes[0]) <= 0.01 * spikes[0]
    assert same >= 0.9 * spikes[0]
    evidence(
        "conductance_precision", cells=cells, steps=steps, spikes_float=spikes[0],
        spikes=spikes[1], same_step=same, rms_mv=float(np.sqrt(np.square(gap).mean())),
    )  # fmt: skip


def test_a_picture_of_many_steps_shows_every_spike() -> None:
    """Neighbouring steps share a column; what is strongest in it is seen, of either sign."""
    values = np.zeros((3, 16001))
    values[0, [0, 7000, 16000]] = 0.25, 1.0, 0.5
    values[1, 40:44] = 0.5, -2.0, 1.0, 0.0
    seen = plot.strongest(values)
    assert seen.shape == (3, plot.COLUMNS)
    assert seen[0][seen[0] != 0].tolist() == [0.25, 1.0, 0.5]
    assert seen[1].min() == -2.0
    assert not seen[2].any()
    assert np.array_equal(plot.strongest(values[:, :80]), values[:, :80])
