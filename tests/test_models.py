"""NALSM's liquid and LENS against loops in the order of their authors' code; what is refused.

LENS's weights are on a binary grid, so that their sums are exact. NALSM's kernels are powers of e:
there the distance of every membrane from the threshold is measured against the difference between
the engines.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import more_oracles as oracles
import spikec
from more_oracles import Liquid
from sizes import FULL, evidence, size
from spikec.compiler.compare import compare
from spikec.compiler.types import Array
from spikec.models import diehl_cook, lens, nalsm

BACKENDS = ("reference", "cpu")
FULL_GRID, SMALL_GRID = (10, 10, 10), (5, 5, 4)


def program_of(graph: spikec.Graph) -> spikec.Program:
    return spikec.compile(graph, pipeline="")


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
    excites = np.arange(1000) < 800
    rules = {(True, True): 0.2, (True, False): 0.1, (False, True): 0.3, (False, False): 0.05}
    for seed in range(seeds):
        net = liquid_matrices(nalsm.liquid(seed))
        places = places_of(nalsm.liquid(seed, stored=False))
        assert sorted(places.tolist()) == list(range(1000))
        at = np.stack(np.unravel_index(places, FULL_GRID))
        squared: Array = np.square(at[:, :, None] - at[:, None]).sum(axis=0)
        chance: Array = np.exp(-squared / 9.0) * (squared > 0)
        for (source, target), peak in rules.items():
            pairs = np.ix_(excites == target, excites == source)
            p: Array = peak * chance[pairs]
            count = np.count_nonzero(net.w[pairs])
            expected, spread = float(p.sum()), float((p * (1 - p)).sum()) ** 0.5
            assert abs(count - expected) < 5 * spread
            assert set(np.unique(net.w[pairs]).tolist()) == {0.0, 3.0 if source else -3.0}
            expected_total += expected / seeds
        incoming = np.count_nonzero(net.w_in)
        assert abs(incoming - 117_600) < 5 * np.sqrt(784_000 * 0.15 * 0.85)
        assert abs(np.count_nonzero(net.w_in > 0) - incoming / 2) < 5 * np.sqrt(incoming / 4)
    # The specification counts 16,720 over all placements of the two kinds.
    assert abs(expected_total - 16_720) < 0.02 * 16_720
    evidence("nalsm_synapses", expected=expected_total, specified=16_720, liquids=seeds)


def places_of(graph: spikec.Graph) -> Array:
    """Return the cell of every neuron, excitatory first; sources and targets must agree."""
    found: dict[str, Array] = {}
    for p in graph.projections:
        if isinstance(p.synapse, spikec.DistanceDependent):
            for end, cells in (
                (p.source.removesuffix("_kernel"), p.synapse.source_cells),
                (p.target, p.synapse.target_cells),
            ):
                np.testing.assert_array_equal(found.setdefault(end, cells), cells)
    return np.concatenate([found[kind] for kind in nalsm.KINDS])


def test_liquid_rates_on_mnist(data: Path) -> None:
    """Static weights spike as often as measured in liquid_state_machines.md section 2.7."""
    with np.load(data / "mnist" / "mnist.npz") as file:
        images = file["test_x"]
    flat = images.reshape(len(images), -1)
    scale = float((flat / flat.sum(axis=1, keepdims=True, dtype=np.float64)).max())
    events = nalsm.draw_events(images[: size(8, 100)], 1, scale=scale)
    rates: dict[str, float] = {}
    for weight, measured in ((1.0, 30.7), (3.0, 256.7)):
        trace = spikec.simulate(program_of(nalsm.liquid(1, weight=weight)), events)
        spikes = sum(trace.counts[kind]["spikes"] for kind in nalsm.KINDS)
        rates[str(weight)] = spikes / len(events) / 1000 / 0.25
        assert abs(rates[str(weight)] - measured) < 0.15 * measured
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
        lambda: diehl_cook.show(np.ones((1, 4)), dt=0.0),
        "diehl_cook.show: steps of 0 ms and times of 500, 350 and 150 ms are not possible. "
        "Give a positive step and times of at least 0, shown at least one step. [SPK1256]",
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
        lambda: nalsm.draw_events(np.ones((2, 5)), scale=-1.0),
        "nalsm.draw_events: 250 steps and scale -1 are not possible. "
        "Give at least one step and a scale above 0, or 0. [SPK1257]",
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
