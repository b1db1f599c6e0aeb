"""Whole networks as Vitis HLS C++, compiled by g++: every event, state and counter is exact."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import small
import spikec
from networks import Style, graphs, spikes_for
from rtl_networks import (
    ASKED,
    assert_exact,
    every_kind,
    images,
    late,
    quantized,
    random_spikes,
    storm,
)
from sizes import evidence, examples, size
from spikec.backends.fpga import tools
from spikec.backends.fpga.build import header, texts
from spikec.backends.fpga.hls.links import Links
from spikec.backends.fpga.hls.network import hls_texts
from spikec.backends.fpga.plan import plan
from spikec.backends.fpga.simulation import cosim
from spikec.backends.fpga.simulation.simulators import HLS_WARNINGS, NEEDS
from spikec.compiler.cli import run
from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array, Bool, Float

FULL = size(0, 1) == 1
pytestmark = pytest.mark.skipif(
    not tools.have(*NEEDS["hls"]), reason="needs hls4ml (spikec[fpga]) and g++"
)


def test_digits(digits: tuple[Array, Array]) -> None:
    """The bundled network on all held-out digits."""
    data = digits[0][: size(60, 540)]
    runner = assert_exact(quantized(spikec.load("digits"), data), data, "hls")
    assert runner.last is not None
    assert runner.last.counters[0]["events_out"] > 50 * len(data)
    evidence("fpga_digits_hls", samples=len(data), counters=runner.last.counters)


@pytest.mark.parametrize("name", ["braille_noDelay_bias_zero", "braille_noDelay_noBias_subtract"])
@pytest.mark.skipif(not FULL, reason="at full sizes only")
def test_braille(name: str, data: Path) -> None:
    """Trained recurrent networks."""
    graph = spikec.load(data / "nir" / "03_rnn" / f"{name}.nir", semantics="snntorch")
    given = random_spikes(graph, 20, 256, 0)
    runner = assert_exact(quantized(graph, given), given, "hls", 8)
    assert runner.last is not None
    evidence(f"fpga_{name}_hls", counters=runner.last.counters)


def test_loops_delays_and_late_starts() -> None:
    """Queues between steps, those of a later engine, of itself, and of one that starts late."""
    program = late(storm(5, 3), {"a": 2, "b": 3})
    data = random_spikes(program.graph, 3, 12, 4)
    assert_exact(program, data, "hls", 2)
    links = Links(plan(program, 2))
    a, b = links.plan.engines
    assert links.feedback
    assert [links.loops(a, k) for k, _ in links.weighted(a)] == [False, True, True]
    assert [links.loops(b, k) for k, _ in links.weighted(b)] == [False, False]


@pytest.mark.parametrize("lanes", [4] if not FULL else [1, 2, 3, 4, 6, 16])
def test_images(lanes: int) -> None:
    """Windows, tables of pixels, values and counts."""
    data = random_spikes(images(), 2, 12, 1)
    runner = assert_exact(quantized(images(), data), data, "hls", lanes)
    assert runner.last is not None
    assert all(c["events_out"] > 10 for c in runner.last.counters)


@pytest.mark.parametrize("seed", range(size(1, 8)))
def test_every_neuron_kind(seed: int) -> None:
    """With biases, parameters and states per neuron, and saturations."""
    program = every_kind(seed)
    runner = assert_exact(program, random_spikes(program.graph, 2, 20, seed), "hls", 1 + seed % 5)
    assert runner.last is not None
    assert sum(c["saturations"] for c in runner.last.counters) > 50


def test_what_a_host_may_change_in_the_rtl() -> None:
    """Stays as it is compiled."""
    program = quantized(small.network(recurrent=1), small.data(), ASKED % 2)
    assert any(e.registers for e in plan(program).engines)
    assert_exact(program, small.data(), "hls")


@given(graph=graphs(Style(on_grid=False, value_sources=True)), lanes=st.integers(1, 32))
@settings(examples(1, 100), phases=[Phase.generate])
def test_generated_networks(graph: spikec.Graph, lanes: int) -> None:
    """Every synapse kind, recurrence, delays, skips, sums, values."""
    data = spikes_for(graph, 2, 12, 1)
    pipeline = "discretize,quantize{weight_bits=6,state_bits=20}"
    assert_exact(spikec.compile(graph, pipeline=pipeline, calibration=data), data, "hls", lanes)


@pytest.mark.skipif(not FULL, reason="at full sizes only")
def test_values_of_64_bits() -> None:
    """Inputs of values, and a wide output stream of counts and values."""
    counting = spikec.LIF(decay=0.9, max_spikes=0, reset="subtract")
    nodes = (
        spikec.Input("in", (6,), Float()),
        spikec.Input("more", (2,), Bool()),
        spikec.Population("counts", (4,), counting),
        spikec.Population("values", (5,), spikec.LeakyIntegrator(decay=0.9)),
        spikec.Output("n", "counts"),
        spikec.Output("x", "values"),
    )
    projections = (
        spikec.Projection("in", "counts", small.weights(4, 6, 2.0), delay=1),
        spikec.Projection("more", "values", small.weights(5, 2)),
        spikec.Projection("counts", "values", small.weights(5, 4)),
        spikec.Projection("values", "counts", small.weights(4, 5, -0.1), delay=1),
    )
    graph = spikec.Graph("graded", nodes, projections, 1e-3)
    random = np.random.default_rng(0)
    data = {"in": random.normal(size=(2, 20, 6)), "more": random.random((2, 20, 2)) < 0.3}
    pipeline = "discretize,quantize{state_bits=44}"
    wide = spikec.compile(graph, pipeline=pipeline, calibration=data)
    assert plan(wide).outputs[1].value_bits > 32
    assert_exact(wide, data, "hls", 3)


# ---------------------------------------------------------------- text


def test_text_has_no_warning(tmp_path: Path) -> None:
    """Of -Wall and -Wextra, with and without the trace."""
    programs = [(every_kind(2), 3), (quantized(images(), random_spikes(images(), 1, 8, 0)), 4)]
    headers = tools.package_folder("hls4ml") / "templates" / "vivado" / "ap_types"
    for k, (program, lanes) in enumerate(programs[-size(1, 2) :]):
        planned, folder = plan(program, lanes), tmp_path / str(k)
        folder.mkdir()
        for name, text in hls_texts(planned, header(planned)).items():
            (folder / Path(name).name).write_text(text)
        options = ["-std=c++14", "-O0", "-Werror", "-c", *HLS_WARNINGS, "-isystem", str(headers)]
        tools.command(["g++", *options, f"{planned.label}.cpp"], folder)
        tools.command(["g++", *options, "-DSPIKEC_TRACE", "tb.cpp"], folder)


def test_engines_work_at_the_same_time_where_they_can() -> None:
    """DATAFLOW needs that none hears of a later one; a loop of its own is no matter."""
    chain, looped = small.network(), small.network(recurrent=1)
    own = spikec.Projection("hidden", "hidden", small.weights(4, 4), delay=1)
    for graph, wanted in (
        (chain, True),
        (replace(chain, projections=(*chain.projections, own)), True),
        (looped, False),
    ):
        planned = plan(quantized(graph, small.data()))
        text = texts(planned)[f"hls/{planned.label}.cpp"]
        assert ("#pragma HLS DATAFLOW" in text) == wanted
        assert "#pragma HLS INTERFACE axis port=s_axis" in text
        assert "#pragma HLS PIPELINE II=1" in text


def test_the_bench_of_a_build(tmp_path: Path) -> None:
    """It passes on the golden vectors, and fails on others."""
    program = spikec.compile(small.network(recurrent=1), "zcu104", small.data())
    spikec.emit(program, tmp_path / "b")
    headers = tools.package_folder("hls4ml") / "templates" / "vivado" / "ap_types"
    options = ["-std=c++14", "-O0", "-DSPIKEC_TRACE", *HLS_WARNINGS, "-isystem", str(headers)]
    command = ["g++", *options, "hls/small_top.cpp", "hls/tb.cpp", "-o", "tb/bench"]
    tools.command(command, tmp_path / "b")
    assert b"PASS" in tools.command(["tb/bench"], tmp_path / "b")
    expected = tmp_path / "b" / "tb" / "expected.hex"
    first, *others = expected.read_text().splitlines()
    for lines in ([f"{int(first, 16) ^ 1:x}", *others], others, []):
        expected.write_text("\n".join(lines) + "\n")
        done = subprocess.run(
            [str(tmp_path / "b" / "tb" / "bench")],
            cwd=tmp_path / "b",
            capture_output=True,
            check=False,
        )
        assert done.returncode == 1
        assert b"FAIL" in done.stdout


def test_verify_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The C++ that lies in the build is run."""
    np.save(tmp_path / "data.npy", small.data())
    place = tmp_path / "build"
    options = ["-t", "kv260", "--calibration", str(tmp_path / "data.npy")]
    assert run(["compile", "small:spiking", "-o", str(place), *options]) == 0
    capsys.readouterr()
    assert run(["verify", str(place), "--backend", "hls", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["equal"] is True


# ---------------------------------------------------------------- the test can fail

FAULTS = [
    ("spikec_hls.h", "sums[k] += SUM", "sums[k] -= SUM"),
    ("spikec_hls.h", "walking = group != GROUPS;", "walking = group < GROUPS - 1;"),
    ("spikec_hls.h", "place_group -= steps", "place_group += steps"),
    ("spikec_hls.h", "walking = !ended && !discard;", "walking = !ended;"),
    ("spikec_hls.h", "used += weight != 0", "used += 1"),
    ("images_top.cpp", "fired[g][k] = present && out", "fired[g][k] = present && !out"),
    ("images_top.cpp", "queue_first_ch1.restart();", ""),
    ("images_top.cpp", ", bad = false;", ", bad = true;"),
]


@pytest.mark.parametrize(("name", "old", "new"), FAULTS[: size(1, len(FAULTS))])
def test_a_fault_is_found(name: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the comparison, by the checks of stream and counters, or because it never ends."""
    monkeypatch.setattr(cosim, "LIMIT", 20.0)
    program = quantized(images(), random_spikes(images(), 1, 10, 0))
    program = late(program, {"third": 1, "dense": 6})
    made = dict(texts(plan(program, 2)))
    assert old in made[f"hls/{name}"]
    made[f"hls/{name}"] = made[f"hls/{name}"].replace(old, new, 1)
    with pytest.raises((AssertionError, SpikecError)):
        assert_exact(program, random_spikes(images(), 2, 10, 0), "hls", 2, 0, made)
