"""The networks of ``spikec.models`` against loops in the order of their authors' code.

Sums of weights on a binary grid are exact, so a Diehl-Cook module and LENS have one right answer to
the last bit. NALSM's kernels are powers of e: there the distance of every membrane from the
threshold is measured against the difference between the engines.
"""

import math
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import more_oracles as oracles
import spikec
from more_oracles import Liquid, Module, ModuleTrace
from sizes import FULL, evidence, size
from spikec.compiler import plot
from spikec.compiler.compare import compare
from spikec.compiler.types import Array, Bool
from spikec.models import diehl_cook, lens, nalsm

BACKENDS = ("reference", "cpu")
FULL_GRID, SMALL_GRID = (10, 10, 10), (5, 5, 4)


def digit_images(count: int) -> Array:
    """Return scikit-learn's 8 x 8 digits with pixels of 0 to 255, enlarged to 28 x 28."""
    from sklearn.datasets import load_digits

    pixels = np.asarray(load_digits().images[:count]) * (255 / 16)
    near = np.arange(28) * 8 // 28
    return np.asarray(pixels[:, near][:, :, near])


def program_of(graph: spikec.Graph) -> spikec.Program:
    return spikec.compile(graph, pipeline="")


# Diehl and Cook ----------------------------------------------------------------------------------


def module_numbers(graph: spikec.Graph) -> Module:
    """Return what a module is made of, with the constants of its step by their definition."""
    synapses, cells = graph.projections[0], graph.population("excitatory").neuron
    dt = round((graph.dt or 0) * 1e3, 9)
    threshold = cells.parameters()["threshold"].data
    delays = np.zeros((1, 1), np.int64) if synapses.delays is None else synapses.delays
    return Module(
        synapses.synapse.weight.data, delays + synapses.delay - 1, threshold, dt,
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


def test_a_trained_module_spikes_as_often_as_the_authors_report() -> None:
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


# NALSM -------------------------------------------------------------------------------------------


def liquid_matrices(graph: spikec.Graph) -> Liquid:
    """Return the weights of a liquid as matrices, excitatory neurons first."""
    weights = {
        (p.source.removesuffix("_kernel"), p.target): p.synapse.to_sparse().toarray()
        for p in graph.projections
        if p.source.endswith("_kernel")
    }
    assert len(weights) == 6
    return Liquid(
        np.vstack([weights["input", t] for t in nalsm.KINDS]),
        np.block([[weights[s, t] for s in nalsm.KINDS] for t in nalsm.KINDS]),
    )


def both(named: Any) -> Array:
    """Return what excitatory and inhibitory neurons did, side by side."""
    return np.concatenate([named[kind][0] for kind in nalsm.KINDS], axis=1)


def mnist_like(inputs: int, seed: int, samples: int = 1) -> Array:
    """Return events (samples, 250, inputs) at the 25.7 Hz a line of section 2.7."""
    return np.random.default_rng(seed).random((samples, 250, inputs)) < 0.0257


def test_nalsm_liquid() -> None:
    """A frozen liquid gives the spikes of the authors' order, in both engines.

    Engines add powers of e in different orders, so membranes differ in their last bits; the
    membrane that comes closest to the threshold stays a million times as far from it.
    """
    data = mnist_like(784, 2)
    graph = nalsm.liquid(1, shape=FULL_GRID if FULL else SMALL_GRID)
    net = liquid_matrices(graph)
    first, second, membranes = oracles.nalsm(net, data[0])
    off, margin = 0.0, float(np.abs(membranes - 20.0).min())
    for backend in BACKENDS:
        trace = spikec.simulate(program_of(graph), data, ("spikes", "state"), backend)
        np.testing.assert_array_equal(trace.spikes["input"][0], first, backend)
        np.testing.assert_array_equal(both(trace.spikes), second, backend)
        # The authors keep the membrane until the next step resets it.
        after_reset = np.where(second[1:], 0.0, membranes[:-1])
        mine = both({kind: states["v"] for kind, states in trace.state.items()})
        off = max(off, float(np.abs(mine[1:] - after_reset).max()))
    assert off < 1e-10
    assert off * 1e6 < margin
    rate = second.sum() / second.shape[1] / 0.25
    assert 10 < rate < 330
    evidence(
        "nalsm_liquid", cells=second.shape[1], synapses=int(np.count_nonzero(net.w)),
        rate_hz=float(rate), input_spikes=int(first.sum()), spikes=int(second.sum()),
        closest_to_threshold=margin, largest_difference=off,
    )  # fmt: skip


def test_a_liquid_drawn_again_is_the_liquid_written_down() -> None:
    """Stored and procedural, floating point and 8 bits: every spike and state is the same."""
    shape, data = FULL_GRID if FULL else SMALL_GRID, mnist_like(784, 3)[:, : size(120, 250)]
    compared = 0
    for pipeline in ("", "discretize,quantize{weight_bits=8}"):
        traces: list[spikec.Trace] = []
        for stored in (True, False):
            graph = nalsm.liquid(5, shape=shape, weight=1.5, stored=stored)
            program = spikec.compile(graph, pipeline=pipeline, calibration=data)
            kinds = {p.storage for p in program.graph.projections if "kernel" in p.source}
            assert kinds == ({"sparse"} if stored else {"procedural"})
            traces.append(spikec.simulate(program, data, ("spikes", "state")))
        assert traces[0].counts == traces[1].counts
        for kind in nalsm.KINDS:
            for name in ("spikes", "state"):
                a, b = (getattr(t, name)[kind] for t in traces)
                a, b = (v["v"] if name == "state" else v for v in (a, b))
                np.testing.assert_array_equal(a, b)
        compared += traces[0].counts["excitatory"]["spikes"]
    assert compared > 100


def test_synapses_of_a_liquid() -> None:
    """Numbers of synapses against the probabilities of section 2.1, for every pair of kinds."""
    seeds, expected_total = size(2, 10), 0.0
    for seed in range(seeds):
        graph = nalsm.liquid(seed)
        net = liquid_matrices(graph)
        cells = {p.synapse.source_cells.tobytes() for p in procedural(seed)}
        assert len(cells) == 2
        places = np.concatenate([by_kind(seed)[kind] for kind in nalsm.KINDS])
        assert sorted(places) == list(range(1000))
        x, y, z = (v.astype(float) for v in np.unravel_index(places, FULL_GRID))
        distance = sum((a[:, None] - a) ** 2 for a in (x, y, z))
        chance = np.exp(-np.asarray(distance) / 9.0)
        excites = np.arange(1000) < 800
        rules = {(True, True): 0.2, (True, False): 0.1, (False, True): 0.3, (False, False): 0.05}
        for (source, target), peak in rules.items():
            pairs = np.ix_(excites == target, excites == source)
            p = peak * chance[pairs] * (distance[pairs] > 0)
            count = np.count_nonzero(net.w[pairs])
            assert abs(count - p.sum()) < 5 * np.sqrt((p * (1 - p)).sum())
            assert set(np.unique(net.w[pairs])) == {0.0, 3.0 if source else -3.0}
            expected_total += p.sum() / seeds
        incoming = np.count_nonzero(net.w_in)
        assert abs(incoming - 117_600) < 5 * np.sqrt(784_000 * 0.15 * 0.85)
        assert abs(np.count_nonzero(net.w_in > 0) - incoming / 2) < 5 * np.sqrt(incoming / 4)
    # The specification counts 16,720 over all placements of the two kinds.
    assert abs(expected_total - 16_720) < 0.02 * 16_720
    evidence("nalsm_synapses", expected=expected_total, published=16_720, liquids=seeds)


def procedural(seed: int) -> list[spikec.Projection]:
    """Return the four projections within a liquid, with the places of their neurons."""
    graph = nalsm.liquid(seed, stored=False)
    return [p for p in graph.projections if isinstance(p.synapse, spikec.DistanceDependent)]


def by_kind(seed: int) -> dict[str, Array]:
    """Return the cell of every neuron, by kind."""
    found: dict[str, Array] = {}
    for p in procedural(seed):
        assert isinstance(p.synapse, spikec.DistanceDependent)
        found[p.target] = p.synapse.target_cells
    return found


def test_liquid_rates_on_mnist(data: Path) -> None:
    """Static weights spike as often as measured in liquid_state_machines.md section 2.7."""
    with np.load(data / "mnist" / "mnist.npz") as file:
        images = file["test_x"]
    flat = images.reshape(len(images), -1)
    scale = float((flat / flat.sum(axis=1, keepdims=True, dtype=np.float64)).max())
    events = nalsm.draw_events(images[: size(8, 100)], 1, scale=scale)
    rates: dict[str, float] = {}
    for weight, published in ((1.0, 30.7), (3.0, 256.7)):
        trace = spikec.simulate(program_of(nalsm.liquid(1, weight=weight)), events)
        spikes = sum(trace.counts[kind]["spikes"] for kind in nalsm.KINDS)
        rates[str(weight)] = spikes / len(events) / 1000 / 0.25
        assert abs(rates[str(weight)] - published) < 0.15 * published
    evidence("nalsm_rates", images=len(events), hz_by_weight=rates)


# LENS --------------------------------------------------------------------------------------------


def lens_frames(samples: int, steps: int, side: int, seed: int) -> Array:
    """Return events (samples, steps, 1, 8 side, 8 side); a pixel's rate as in the authors' data."""
    random = np.random.default_rng(seed)
    rates = np.minimum(random.exponential(0.034, (samples, 1, 1, 8 * side, 8 * side)), 1)
    return np.asarray(random.random((samples, steps, 1, 8 * side, 8 * side)) < rates)


def test_lens_chain() -> None:
    """A chain with weights on a grid gives the oracle's counts in both engines."""
    side, places, steps = size(4, 10), size(12, 100), size(120, 250)
    weights = lens.random_weights(3, side * side, 2 * side * side, places)
    frames = lens_frames(1, steps, side, 4)
    most: list[int] = []
    for thresholds in ((1.0, 1.0, 1.0), (1.0, 0.25, 0.125)):
        graph = lens.network(3, side=side, places=places, thresholds=thresholds)
        wanted = oracles.lens(weights, thresholds, frames[0, :, 0])
        for backend in BACKENDS:
            trace = spikec.simulate(program_of(graph), frames, ("spikes",), backend)
            for name, counts in zip(("tile", "feature", "place"), wanted, strict=True):
                mine = trace.spikes[name].reshape(counts.shape)
                np.testing.assert_array_equal(mine, counts, f"{backend} {name}")
        totals = [int(counts.sum()) for counts in wanted]
        assert min(totals) > 20
        most.append(int(wanted[2].max()))
        evidence(f"lens_chain_{thresholds[2]}", spikes=totals, most_in_a_step=most[-1])
    assert most[1] > 1


def authors_lens(data: Path) -> tuple[spikec.Graph, Array]:
    """Return the shipped network, and the 100 queries as events (100, 250, 1, 80, 80)."""
    folder = data / "lens"
    if not folder.is_dir():
        pytest.skip(f"no LENS data at {folder}")
    stem = "example-reference_LENS_IN100_FN200_DB100"
    with zipfile.ZipFile(folder / f"{stem}.pth") as raw:
        first, second = (
            np.frombuffer(raw.read(f"{stem}/data/{k}"), "<f4").reshape(shape)
            for k, shape in ((1, (200, 100)), (3, (100, 200)))
        )
    with np.load(folder / "lens_frames.npz") as file:
        chosen = file["example_query"][:, 3::8, 3::8]
    drawn = np.random.default_rng(50).random((250, 10, 10), dtype=np.float32)
    events = np.zeros((100, 250, 1, 80, 80), dtype=np.bool_)
    events[:, :, 0, 3::8, 3::8] = drawn[None] < chosen[:, None] / 255.0
    return lens.network(weights=(first, second)), events


def test_lens_model_of_the_authors(data: Path) -> None:
    """The shipped network gives the spikes and recalls of place_recognition.md section 4.4."""
    graph, events = authors_lens(data)
    totals, recalls = {}, {}
    for name, given in (("kept", events.reshape(1, -1, 1, 80, 80)), ("reset", events)):
        trace = spikec.simulate(program_of(graph), given)
        totals[name] = [
            round(trace.counts[p]["spikes"] / 100) for p in ("tile", "feature", "place")
        ]
        counted = trace.output.reshape(100, 250, 100).sum(axis=1)
        recalls[name] = recall(counted)
    assert totals == {"kept": [841, 1971, 126], "reset": [841, 1965, 116]}
    assert recalls["kept"] == [0.52, 0.88, 0.93, 0.97, 0.99, 0.99]
    assert recalls["reset"][0] == 0.57
    evidence("lens_authors_model", spikes=totals, recalls=recalls)


def recall(counted: Array) -> list[float]:
    """Return the share of 100 queries whose place is among the first 1, 5, 10, 15, 20, 25."""
    ranks = np.argsort(-counted, axis=1, kind="stable")
    # The truth is the identity, dilated by 3 in both axes.
    right = np.abs(ranks - np.arange(100)[:, None]) <= 6
    return [float(right[:, :n].any(axis=1).mean()) for n in (1, 5, 10, 15, 20, 25)]


# In integers -------------------------------------------------------------------------------------


def moved(graph: spikec.Graph, data: Array, names: tuple[str, ...], options: str) -> dict[str, Any]:
    """Quantise a network, compare the engines on it, and return spikes before and after."""
    pipeline = f"discretize,quantize{{{options}}}"
    program = spikec.compile(graph, pipeline=pipeline, calibration=data)
    found = compare(program, {graph.inputs[0].name: data})
    assert found.equal, str(found)
    real, whole = (spikec.simulate(p, data, ("spikes",)) for p in (program_of(graph), program))
    sent = [sum(trace.counts[n]["spikes"] for n in names) for trace in (real, whole)]
    same = sum(int(np.minimum(real.spikes[n], whole.spikes[n]).sum()) for n in names)
    return {
        "spikes_float": sent[0], "spikes": sent[1], "change": sent[1] / sent[0] - 1,
        "in_the_same_step": same / sent[0], "numbers_compared": found.numbers,
    }  # fmt: skip


@pytest.mark.parametrize(("weights", "states"), [(8, 24), (16, 24), (8, 16)])
def test_a_liquid_in_integers(weights: int, states: int) -> None:
    """Engines are equal to the bit, and spike totals stay within 3 % (section 2.8, item 3).

    All weights have one magnitude, which any width holds; states and constants move spikes.
    """
    shape = FULL_GRID if FULL else SMALL_GRID
    for weight in (1.0, 3.0):
        graph = nalsm.liquid(1, shape=shape, weight=weight)
        options = f"weight_bits={weights},state_bits={states}"
        figures = moved(graph, mnist_like(784, 2, 4), nalsm.KINDS, options)
        assert figures["spikes_float"] > 400
        assert abs(figures["change"]) <= 0.03
        evidence(f"nalsm_weight_{weight:g}_at_{weights}_bits_states_{states}", **figures)


@pytest.mark.parametrize(("bits", "allowed"), [(8, 0.05), (16, 0.01)])
def test_a_lens_chain_in_integers(bits: int, allowed: float) -> None:
    """Engines are equal to the bit; 16 bits keep nearly every spike."""
    side = size(4, 10)
    graph = lens.network(3, side=side, places=size(12, 100), thresholds=(1.0, 0.5, 0.25))
    frames = lens_frames(size(2, 4), size(120, 250), side, 4)
    for name in ("feature", "place"):
        figures = moved(graph, frames, (name,), f"weight_bits={bits}")
        assert figures["spikes_float"] > 50
        assert abs(figures["change"]) <= allowed
        evidence(f"lens_{name}_{bits}_bits", **figures)


def test_the_authors_lens_in_8_bits_finds_as_many_places(data: Path) -> None:
    """Recalls within 0.03 of floating point (section 4.4, acceptance ii)."""
    graph, events = authors_lens(data)
    pipeline = "discretize,quantize{weight_bits=8}"
    program = spikec.compile(graph, pipeline=pipeline, calibration=events[: size(10, 100)])
    real, whole = (
        recall(spikec.simulate(p, events).output.sum(axis=1)) for p in (program_of(graph), program)
    )
    assert max(abs(a - b) for a, b in zip(real, whole, strict=True)) <= 0.03
    evidence("lens_authors_model_8_bits", recalls_float=real, recalls=whole)


# What is refused ---------------------------------------------------------------------------------

REFUSED: list[tuple[Callable[[], object], str]] = [
    (
        lambda: diehl_cook.module(cells=0),
        "diehl_cook: 784 inputs, 0 cells and seed 0 are not possible. "
        "Give sizes of at least 1 and a seed of at least 0. [SPK1250]",
    ),
    (
        lambda: diehl_cook.module(dt=1.0),
        "diehl_cook: a step of 1 ms does not fit conductances of 1 and 0.5 ms and a gate of 50 ms. "
        "Use a step below the time constants and a gate from 5 ms. [SPK1251]",
    ),
    (
        lambda: diehl_cook.show(np.full((1, 4), 256)),
        "diehl_cook.show: an array of shape (1, 4) is not images with pixels of 0 to 255. "
        "Give (images, pixels), or (images, height, width). [SPK1252]",
    ),
    (
        lambda: nalsm.liquid(shape=(10, 10, 0)),
        "nalsm.liquid: 784 inputs, grid (10, 10, 0), weight 3 and seed 0 are not possible. "
        "Give inputs, at least 3 cells, a positive weight and a seed of at least 0. [SPK1253]",
    ),
    (
        lambda: nalsm.draw_events(np.zeros((2, 5))),
        "nalsm.draw_events: an array of shape (2, 5) is not images with a sum above 0. "
        "Give (images, pixels) of numbers from 0, no image all 0. [SPK1254]",
    ),
    (
        lambda: lens.network(places=0),
        "lens.network: 10 x 10 tiles, 0 places and seed 0 are not possible. "
        "Give sizes of at least 1 and a seed of at least 0. [SPK1255]",
    ),
]


@pytest.mark.parametrize(("make", "line"), REFUSED)
def test_errors_are_pinned(make: Callable[[], object], line: str) -> None:
    """One line each."""
    with pytest.raises(spikec.SpikecError) as caught:
        make()
    assert str(caught.value) == line


@pytest.mark.parametrize("name", ["diehl_cook:module", "nalsm:liquid", "lens:network"])
def test_models_load_by_name(name: str) -> None:
    """As on the command line."""
    assert spikec.load(f"spikec.models.{name}").populations
