"""Emitted engines in simulators: every event, state and counter equals the reference."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import small
import spikec
from networks import Style, graphs, spikes_for
from rtl_networks import (
    assert_exact,
    every_kind,
    images,
    late,
    overtaken,
    quantized,
    random_spikes,
    storm,
)
from sizes import evidence, examples, size
from spikec.backends.fpga import tools
from spikec.backends.fpga.build import texts
from spikec.backends.fpga.plan import plan
from spikec.backends.fpga.simulation import simulators
from spikec.backends.fpga.simulation.expected import free_cycles
from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array, Bool, Float, Tensor


def needs(*packages: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not tools.have(*packages), reason=f"needs {', '.join(packages)} (spikec[fpga])"
    )


VERILATOR, CXXRTL = (
    pytest.param(name, marks=needs(*simulators.NEEDS[name])) for name in ("verilator", "cxxrtl")
)
BOTH = [VERILATOR, CXXRTL]
FULL = size(0, 1) == 1


# ---------------------------------------------------------------- trained networks


@pytest.mark.parametrize("simulator", BOTH)
def test_digits(digits: tuple[Array, Array], simulator: str) -> None:
    """The bundled network on held-out digits."""
    data = digits[0][: size(8, 540)]
    program = quantized(spikec.load("digits"), data)
    runner = assert_exact(program, data, simulator)
    assert runner.last is not None
    assert runner.last.counters[0]["events_out"] > 50 * len(data)
    evidence(f"fpga_digits_{simulator}", samples=len(data), counters=runner.last.counters)


@pytest.mark.parametrize(
    ("name", "lanes", "seed"),
    [("braille_noDelay_bias_zero", 8, 0), ("braille_noDelay_noBias_subtract", 32, 3)],
)
@pytest.mark.parametrize("simulator", BOTH if FULL else [VERILATOR])
def test_braille(name: str, lanes: int, seed: int, simulator: str, data: Path) -> None:
    """Trained recurrent networks; the second under back-pressure."""
    graph = spikec.load(data / "nir" / "03_rnn" / f"{name}.nir", semantics="snntorch")
    given = random_spikes(graph, size(2, 20), size(40, 256), 0)
    program = quantized(graph, given)
    runner = assert_exact(program, given, simulator, lanes, seed)
    assert runner.last is not None
    assert any(c.delay for e in runner.plan.engines for c in e.channels)
    evidence(f"fpga_{name}_{simulator}", counters=runner.last.counters)


# ---------------------------------------------------------------- generated networks


@pytest.mark.parametrize("simulator", BOTH if FULL else [VERILATOR])
@given(
    graph=graphs(Style(on_grid=False, value_sources=True)),
    lanes=st.integers(1, 32),
    seed=st.integers(0, 3),
)
@settings(examples(3, 100), phases=[Phase.generate])  # shrinking would build hundreds
def test_generated_networks(simulator: str, graph: spikec.Graph, lanes: int, seed: int) -> None:
    """Every synapse kind, recurrence, delays, skips, sums, values; some under back-pressure."""
    data = spikes_for(graph, 2, 12, 1)
    pipeline = "discretize,quantize{weight_bits=6,state_bits=20}"
    program = spikec.compile(graph, pipeline=pipeline, calibration=data)
    assert_exact(program, data, simulator, lanes, seed)


EVERY_KIND = [
    *(pytest.param(*VERILATOR.values, k, marks=VERILATOR.marks) for k in range(size(1, 8))),
    *(pytest.param(*CXXRTL.values, k, marks=CXXRTL.marks) for k in range(size(0, 8))),
]


@pytest.mark.parametrize(("simulator", "seed"), EVERY_KIND)
def test_every_neuron_kind(simulator: str, seed: int) -> None:
    """In one network, with biases, parameters per neuron, states per neuron, and saturations."""
    program = every_kind(seed)
    data = random_spikes(program.graph, 2, 20, seed)
    runner = assert_exact(program, data, simulator, 1 + seed % 5, seed)
    assert runner.last is not None
    assert sum(c["saturations"] for c in runner.last.counters) > 50


@pytest.mark.parametrize("lanes", [4] if not FULL else [1, 2, 3, 4, 6, 16])
@pytest.mark.parametrize("simulator", BOTH if FULL else [VERILATOR])
def test_images(lanes: int, simulator: str) -> None:
    """Kernels are stored once; addresses and groups are generated from the source pixel."""
    graph = images()
    data = random_spikes(graph, 2, 12, 1)
    program = quantized(graph, data)
    runner = assert_exact(program, data, simulator, lanes, lanes % 3)
    assert runner.last is not None
    assert all(c["events_out"] > 10 for c in runner.last.counters)
    stored = [c for e in runner.plan.engines for c in e.channels if c.rows and c.rows.window]
    assert len(stored) == {1: 0, 2: 3}.get(lanes, 4)


# ---------------------------------------------------------------- time


@pytest.mark.parametrize("delay", [1] if not FULL else [1, 2, 5, 40])
@pytest.mark.parametrize("simulator", [CXXRTL])
def test_all_neurons_fire_round_a_cycle(delay: int, simulator: str) -> None:
    """The queues hold exactly what a delay needs: nothing waits for ever."""
    program = storm(7, delay)
    data = np.ones((1, 2 * delay + 6, 7))
    for lanes, seed in ((3, 0), (7, 2)) if FULL else ((3, 2),):
        runner = assert_exact(program, data, simulator, lanes, seed)
        assert runner.last is not None
        assert runner.last.counters[0]["events_out"] == 7 * data.shape[1]


@needs(*simulators.NEEDS["verilator"])
def test_a_queue_that_is_too_short_is_found() -> None:
    """The bench tells a design that hangs from one that is slow."""
    program = overtaken(9)
    assert_exact(program, np.ones((1, 6, 9)), "verilator", 9)
    made = dict(texts(plan(program, 9)))
    name, wanted = "rtl/engine_c.sv", ".DEPTH(11), .PRELOAD(1)"
    assert wanted in made[name]
    made[name] = made[name].replace(wanted, ".DEPTH(4), .PRELOAD(1)")
    with pytest.raises(SpikecError, match="no event moved") as caught:
        assert_exact(program, np.ones((1, 6, 9)), "verilator", 9, 0, made)
    assert caught.value.code == "SPK1855"


@pytest.mark.parametrize("simulator", [VERILATOR])
def test_populations_that_start_later(simulator: str) -> None:
    """They hold their state and discard what arrives before; the inputs run on without events."""
    program = late(storm(5, 3), {"a": 2, "b": 3})
    assert_exact(program, random_spikes(program.graph, 2, 10, 4), simulator, 2, 1)


@pytest.mark.parametrize("simulator", [CXXRTL])
def test_a_population_without_input_runs_with_the_steps_of_the_host(simulator: str) -> None:
    """So does one that only hears of the past."""
    lif = spikec.LIF(decay=0.5, offset=0.6)
    nodes = (
        spikec.Input("in", (3,), Bool()),
        spikec.Population("alone", (3,), lif),
        spikec.Population("fed", (3,), lif),
        spikec.Output("a", "alone"),
        spikec.Output("b", "fed"),
    )
    one = spikec.OneToOne(3, spikec.Tensor.floats(0.5))
    projections = (
        spikec.Projection("in", "fed", one, delay=2),
        spikec.Projection("alone", "alone", one, delay=1),
    )
    graph = spikec.Graph("host", nodes, projections, 1e-3)
    data = random_spikes(graph, 2, 15, 0)
    assert_exact(quantized(graph, data), data, simulator, None, 1)


@pytest.mark.parametrize("simulator", [VERILATOR])
def test_values_and_counts(simulator: str) -> None:
    """Inputs of values, sources that send counts and values, two outputs on one stream."""
    counting = spikec.LIF(decay=0.9, max_spikes=0, reset="subtract")
    nodes = (
        spikec.Input("in", (6,), Float()),
        spikec.Population("counts", (4,), counting),
        spikec.Population("values", (5,), spikec.LeakyIntegrator(decay=0.9)),
        spikec.Output("n", "counts"),
        spikec.Output("x", "values"),
    )
    projections = (
        spikec.Projection("in", "counts", small.weights(4, 6, 2.0)),
        spikec.Projection("counts", "values", small.weights(5, 4)),
        spikec.Projection("values", "counts", small.weights(4, 5, -0.1), delay=1),
    )
    graph = spikec.Graph("graded", nodes, projections, 1e-3)
    data = {"in": np.random.default_rng(0).normal(size=(2, 20, 6))}
    assert_exact(quantized(graph, data), data, simulator, 3, 1)
    if FULL:  # words of 64 bits
        pipeline = "discretize,quantize{state_bits=44}"
        wide = spikec.compile(graph, pipeline=pipeline, calibration=data)
        assert plan(wide).outputs[1].value_bits > 32
        assert_exact(wide, data, simulator, 2, 1)


@pytest.mark.parametrize("simulator", [VERILATOR])
def test_a_value_that_is_always_zero_beside_spikes(simulator: str) -> None:
    """Its values would take one bit; a spike is a 1, with a sign."""
    nodes = (
        spikec.Input("in", (3,), Bool()),
        spikec.Population("spikes", (3,), spikec.IntegrateAndFire(threshold=0.5)),
        spikec.Population("zero", (1,), spikec.Relay()),
        spikec.Output("a", "zero"),
        spikec.Output("b", "spikes"),
    )
    projections = (
        spikec.Projection("in", "spikes", spikec.OneToOne(3, Tensor.floats(1.0))),
        spikec.Projection("in", "zero", spikec.Dense(Tensor.floats(np.zeros((1, 3))))),
    )
    graph = spikec.Graph("zero", nodes, projections, 1e-3)
    data = random_spikes(graph, 2, 10, 0)
    runner = assert_exact(quantized(graph, data), data, simulator)
    assert runner.last is not None
    assert runner.last.counters[0]["events_out"] > 10


@pytest.mark.parametrize("kind", ["dense"] if not FULL else ["dense", "sparse", "window"])
@needs(*simulators.NEEDS["verilator"])
def test_cycles_of_an_engine_that_never_waits(kind: str) -> None:
    """Computed cycles equal simulated ones, step by step: two samples differ by just that."""
    random = np.random.default_rng(0)
    synapses = {
        "dense": spikec.Dense(Tensor.floats(random.normal(size=(12, 9)))),
        "sparse": spikec.Sparse.of(random.normal(size=(40, 9)) * (random.random((40, 9)) < 0.2)),
        "window": spikec.Conv2d((1, 3, 3), Tensor.floats(random.normal(size=(4, 1, 2, 2)))),
    }
    synapse = synapses[kind]
    nodes = (
        spikec.Input("in", (1, 3, 3), Bool()),
        spikec.Population("p", tuple(synapse.out_shape), spikec.LIF(decay=0.5, threshold=1e3)),
        spikec.Output("out", "p"),
    )
    graph = spikec.Graph("one", nodes, (spikec.Projection("in", "p", synapse),), 1e-3)
    data = random.random((6, 10, 1, 3, 3)) < np.linspace(0, 1, 6)[:, None, None, None, None]
    data[..., 1, :] = True  # long steps, in which the events of the step before are sent
    data[:, 8:] = True  # so that all samples end alike
    runner = assert_exact(quantized(graph, data), data, "verilator", 4)
    assert runner.last is not None
    assert runner.last.counters[0]["cycles_stall_send"] == 0
    (engine,) = runner.plan.engines
    events = data.reshape(6, 10, 9).sum(axis=1)
    computed = [free_cycles(engine, [e], 10) for e in events]
    simulated = np.array(runner.last.cycles)
    assert simulated[0] > computed[0]
    np.testing.assert_array_equal(simulated - simulated[0], np.array(computed) - computed[0])
    form = {"dense": (True, None), "sparse": (False, None)}.get(kind)
    rows_used = engine.channels[0].rows
    assert rows_used is not None
    assert form is None or form == (rows_used.pointers is None, rows_used.window)


# ---------------------------------------------------------------- the test can fail


MUTANTS = [
    ("spikec_accumulator", "data[k*WIDTH +: WIDTH] + kept", "data[k*WIDTH +: WIDTH] - kept"),
    ("spikec_sender", "base + IB'(LANES * STRIDE)", "base + IB'(LANES * STRIDE + 1)"),
    ("spikec_fifo", "preloaded <= PB'(PRELOAD);", "preloaded <= '0;"),
    ("spikec_walker", "left <= row_words - CB'(1);", "left <= '0;"),
    ("spikec_control", "if (skip) early <= early - SB'(1);", "if (skip) early <= '0;"),
    ("spikec_merge", "done <= done | ends;", "done <= done | ends | in_valid;"),
    ("spikec_counters", "WIDTH'(grown[k*SB +: SB])", "WIDTH'(grown[k*SB +: SB] != '0)"),
    ("spikec_pointers", "= ~row_valid | row_ready;", "= 1'b1;"),
    ("spikec_memory", "read_data <= memory[read_address]", "read_data <= memory[write_address]"),
    ("spikec_registers", "COUNTER_HIGH: rdata <= counted[63:32]", "COUNTER_HIGH: rdata <= '1"),
    ("spikec_window_walker", "place_group - GB'(PLACE_GROUPS)", "place_group + GB'(PLACE_GROUPS)"),
    ("spikec_window_rows", "column_b <= XB'", "column_b <= XB'(1) + XB'"),
]
FOUND = {"SPK1855", "SPK1857", "SPK1858", "SPK1859", "SPK1860"}


@pytest.mark.parametrize(("module", "old", "new"), MUTANTS[: size(1, len(MUTANTS))])
@needs(*simulators.NEEDS["verilator"])
def test_a_fault_in_a_module_is_found(module: str, old: str, new: str) -> None:
    """By the comparison, by the checks of stream and counters, or because the design hangs."""
    program = late(storm(5, 1), {"b": 2})
    if "window" in module or module == "spikec_memory":  # the neurons of a storm keep nothing
        program = quantized(images(), random_spikes(images(), 1, 10, 0))
    made = dict(texts(plan(program, 2)))
    name = f"rtl/{module}.sv"
    assert made[name].count(old) >= 1
    made[name] = made[name].replace(old, new)
    data = random_spikes(program.graph, 2, 10, 0)
    with pytest.raises((AssertionError, SpikecError)) as caught:
        assert_exact(program, data, "verilator", 2, 0, made)
    if isinstance(caught.value, SpikecError):
        assert caught.value.code in FOUND
