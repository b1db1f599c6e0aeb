"""Text of engines, what is refused, and the contents of memories."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import small
import spikec
from networks import Style, graphs, spikes_for
from rtl_networks import (
    ASKED,
    every_kind,
    images,
    late,
    mixed,
    quantized,
    random_spikes,
    storm,
)
from sizes import evidence, examples, size
from spikec.backends.fpga import tools
from spikec.backends.fpga.build import texts
from spikec.backends.fpga.memory import Layout, Rows, Words, rows
from spikec.backends.fpga.plan import chosen_lanes, plan, supports
from spikec.backends.fpga.simulation import cosim, simulators
from spikec.backends.fpga.window import quotient, window_rows
from spikec.compiler.artifact import open_folder
from spikec.compiler.cli import run
from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array, Bool, FixedPoint, Tensor
from spikec.compiler.untyped import sparse as sp


def needs(*packages: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not tools.have(*packages), reason=f"needs {', '.join(packages)} (spikec[fpga])"
    )


FULL = size(0, 1) == 1


# ---------------------------------------------------------------- text


def emitted(folder: Path) -> list[tuple[str, dict[str, str]]]:
    """Return designs that hold every form of text: top module and files."""
    programs = [
        (late(storm(5, 1), {"b": 2}), 2),
        (every_kind(1), 3),
        (quantized(images(), random_spikes(images(), 1, 8, 0)), 4),
        (quantized(images(), random_spikes(images(), 1, 8, 0)), 1),
        (every_kind(2), 1),
        (quantized(small.counting(), small.data()), 16),
        (quantized(mixed(), random_spikes(mixed(), 1, 8, 0), ASKED % 4), 4),
    ]
    made: list[tuple[str, dict[str, str]]] = []
    for program, lanes in programs:
        planned = plan(program, lanes)
        made.append((planned.label, texts(planned)))
    for k, (_, files) in enumerate(made):
        for name, text in files.items():
            path = folder / str(k) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return made


@needs("verilator", "perl")
def test_verilator_has_no_warning(tmp_path: Path) -> None:
    """With -Wall, with and without the trace."""
    for k, (top, files) in enumerate(emitted(tmp_path)):
        sources = sorted(name for name in files if name.startswith("rtl/"))
        for define in ([], ["-DSPIKEC_TRACE"]):
            command = ["verilator", "--lint-only", "-Wall", *define, "--top-module", top, *sources]
            tools.command(command, tmp_path / str(k))


@needs("pyosys")
def test_yosys_finds_no_problem(tmp_path: Path) -> None:
    """No undriven wire, no loop, no latch."""
    for k, (top, files) in enumerate(emitted(tmp_path)):
        sources = sorted(name for name in files if name.startswith("rtl/"))
        script = [f"read_verilog -defer -sv {name}" for name in sources]
        script += [
            f"hierarchy -check -top {top}",
            "proc",
            "check -assert",
            "select -assert-none t:$dlatch",
        ]
        tools.yosys(script, tmp_path / str(k))


@needs("pyosys")
@pytest.mark.skipif(not FULL, reason="takes half a minute; at full sizes only")
def test_digits_in_cells_of_the_device(tmp_path: Path) -> None:
    """Yosys maps the design to UltraScale+: weights in block RAM, no multiplier for spikes."""
    made = plan(spikec.compile(spikec.load("digits"), "zcu102"))
    for name, text in texts(made).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    script = [f"read_verilog -defer -sv rtl/{p.name}" for p in sorted((tmp_path / "rtl").iterdir())]
    script.append(f"synth_xilinx -family xcup -noiopad -flatten -top {made.label}")
    tools.yosys([*script, "tee -q -o cells.json stat -json"], tmp_path)
    cells = json.loads((tmp_path / "cells.json").read_text())["design"]["num_cells_by_type"]
    assert cells["RAMB36E2"] == 2
    assert not [name for name in cells if name.startswith(("DSP", "LD"))]
    evidence("fpga_digits_cells", cells=cells)


@needs("pyslang")
def test_slang_has_no_warning(tmp_path: Path) -> None:
    """Errors and all default and extra warnings but one.

    A cast to the width that a wire happens to have is no mistake in a module with parameters.
    """
    slang: Any = importlib.import_module("pyslang")
    ast: Any = importlib.import_module("pyslang.ast")
    syntax: Any = importlib.import_module("pyslang.syntax")
    for top, files in emitted(tmp_path):
        compilation = ast.Compilation()
        for name, text in files.items():
            if name.startswith("rtl/"):
                compilation.addSyntaxTree(syntax.SyntaxTree.fromText(text))
        engine = slang.DiagnosticEngine(syntax.SyntaxTree.getDefaultSourceManager())
        engine.setWarningOptions(["none", "default", "extra", "no-useless-cast"])
        found = [
            str(d.code)
            for d in compilation.getAllDiagnostics()
            if engine.getSeverity(d.code, d.location) != slang.DiagnosticSeverity.Ignored
        ]
        assert not found, (top, found)


@needs("verilator", "perl", "pyosys")
@given(graph=graphs(Style(on_grid=False, value_sources=True)), lanes=st.integers(1, 32))
@settings(examples(2, 60), phases=[Phase.generate])
def test_text_of_generated_networks(graph: spikec.Graph, lanes: int) -> None:
    """Without a warning of Verilator or a problem of Yosys."""
    pipeline = "discretize,quantize{weight_bits=6,state_bits=20}"
    data = spikes_for(graph, 2, 12, 1)
    planned = plan(spikec.compile(graph, pipeline=pipeline, calibration=data), lanes)
    made = texts(planned)
    sources = sorted(name for name in made if name.startswith("rtl/"))
    with tempfile.TemporaryDirectory() as folder:
        for name, text in made.items():
            (Path(folder) / name).parent.mkdir(exist_ok=True)
            (Path(folder) / name).write_text(text)
        command = ["verilator", "--lint-only", "-Wall", "--top-module", planned.label, *sources]
        tools.command(command, Path(folder))
        script = [f"read_verilog -defer -sv {name}" for name in sources]
        script += [f"hierarchy -check -top {planned.label}", "proc", "check -assert"]
        tools.yosys(script, Path(folder))


def test_the_same_program_gives_the_same_bytes(tmp_path: Path) -> None:
    """All files of two builds are equal; no path is in them."""
    program = spikec.compile(small.spiking(), "zcu102", calibration=small.data())
    first, second = (spikec.emit(program, tmp_path / name) for name in "ab")
    assert first.files == second.files
    for name in first.files:
        content = (tmp_path / "a" / name).read_bytes()
        assert content == (tmp_path / "b" / name).read_bytes()
        assert str(tmp_path).encode() not in content
    script = "import small, spikec, sys; d = small.data(); "
    script += "p = spikec.compile(small.spiking(), 'zcu102', d); spikec.emit(p, sys.argv[1])"
    environment = {**os.environ, "PYTHONPATH": small.PATH, "PYTHONHASHSEED": "7", "LC_ALL": "C"}
    command = [sys.executable, "-O", "-c", script, str(tmp_path / "c")]
    subprocess.run(command, env=environment, check=True, cwd=tmp_path)
    for name in first.files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "c" / name).read_bytes()
    assert {"rtl/small_top.sv", "mem/hidden_weights0.hex", "tb/expected.hex"} <= set(first.files)


@needs("verilator", "perl")
def test_names_that_differ_only_in_what_is_dropped_stay_apart(tmp_path: Path) -> None:
    """Also names of modules that are written by hand, keywords, and long ones."""
    names = ["A.b", "a_b", "a", "a_ch0", "a_out", "n_top", "engine_n", "top", "host", "clk"]
    names += ["module", "spikec_fifo", "x" * 128, "x" * 127 + "y"]
    lif = spikec.LIF(decay=0.5)
    nodes = [spikec.Input("in", (1,), Bool())]
    graph = spikec.Graph(
        "n",
        (
            *nodes,
            *(spikec.Population(n, (1,), lif) for n in names),
            *(spikec.Output(n, n) for n in names),
        ),
        tuple(spikec.Projection("in", n, small.weights(1, 1)) for n in names),
        1e-3,
    )
    planned = plan(quantized(graph, np.ones((1, 4, 1))))
    assert len({e.label for e in planned.engines}) == len(names)
    made = texts(planned)
    for name, text in made.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    sources = sorted(name for name in made if name.startswith("rtl/"))
    command = ["verilator", "--lint-only", "-Wall", "--top-module", planned.label, *sources]
    tools.command(command, tmp_path)


# ---------------------------------------------------------------- what does not fit


def test_a_program_in_floating_point_is_refused(tmp_path: Path) -> None:
    """By check and by compile, with nothing written."""
    place = tmp_path / "build"
    arguments = ["compile", "small:spiking", "-t", "zcu102", "-o", str(place)]
    assert run([*arguments, "--pipeline", "discretize"]) == 1
    assert not place.exists()
    program = spikec.compile(small.spiking(), pipeline="discretize")
    with pytest.raises(SpikecError) as caught:
        spikec.Simulator(program, "fpga")
    assert caught.value.code == "SPK1861"


def test_a_memory_or_queue_beyond_any_device_is_refused() -> None:
    """With the name of what is too large."""
    graph = small.network(recurrent=2)
    *others, loop = graph.projections
    far = replace(graph, projections=(*others, replace(loop, delay=1 << 20)))
    program = quantized(far, small.data())
    assert not plan(program).engines[0].channels[0].delay
    found = importlib.import_module("spikec.backends.fpga.plan")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(found, "MOST_BITS", 100)
        patch.setattr(found, "MOST_WORD", 31)
        codes = [f.code for f in found.supports(program)]
    assert {"SPK1851", "SPK1852", "SPK1864"} == set(codes)


def test_lanes() -> None:
    """As few as keep the number of groups; none is refused."""
    assert [chosen_lanes(n, 16) for n in (1, 16, 17, 33, 100)] == [1, 16, 9, 11, 15]
    assert [chosen_lanes(10, n) for n in (1, 3, 4, 10, 99)] == [1, 3, 4, 10, 10]
    program = quantized(small.spiking(), small.data())
    with pytest.raises(SpikecError) as caught:
        plan(program, 0)
    assert caught.value.code == "SPK1853"
    assert [e.lanes for e in plan(program).engines] == [4, 2]
    narrow = quantized(small.spiking(), small.data(), ",engines{lanes=3}")
    assert [e.lanes for e in plan(narrow).engines] == [2, 2]
    for said in (None, {}, {"lanes": "many"}, {"lanes": -1}):
        damaged = replace(narrow, reports={"engines": said})
        codes = [f.code for f in supports(damaged)]
        assert codes == ["SPK1853"]
    with pytest.raises(SpikecError) as caught:
        quantized(small.spiking(), small.data(), ",engines{lanes=0}")
    assert caught.value.code == "SPK1863"


def test_lanes_stay_with_a_build(tmp_path: Path) -> None:
    """What the pass chose is what an opened build has."""
    program = spikec.compile(
        small.spiking(), "zcu102", small.data(), pipeline="discretize,quantize,engines{lanes=1}"
    )
    spikec.emit(program, tmp_path / "b")
    again = open_folder(tmp_path / "b")
    assert [e.lanes for e in plan(again).engines] == [1, 1]
    backend = importlib.import_module("spikec.backends.fpga").backend
    assert backend.prepare_build(again, tmp_path / "b").plan.engines[0].groups == 4


def test_without_a_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""

    def none(*_: str) -> bool:
        return False

    monkeypatch.setattr(tools, "have", none)
    with pytest.raises(SpikecError, match=r"Install spikec\[fpga\]") as caught:
        simulators.available()
    assert caught.value.code == "SPK1854"


def test_a_run_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is stopped."""

    def slow(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("bench", 1)

    def bench(*_: Any) -> Path:
        return Path("nowhere")

    monkeypatch.setattr(cosim, "bench", bench)
    monkeypatch.setattr(subprocess, "run", slow)
    program = quantized(small.spiking(), small.data())
    planned = plan(program)
    with pytest.raises(SpikecError) as caught:
        cosim.run(planned, {}, "verilator", [cosim.Sample([1], 1)], 0)
    assert caught.value.code == "SPK1856"


def test_a_run_that_writes_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is ended by the system: a design that is wrong may send for ever."""
    script = tmp_path / "bench"
    script.write_text("#!/bin/sh\nexec cat /dev/zero > result\n")
    script.chmod(0o755)

    def bench(*_: Any) -> Path:
        return tmp_path

    monkeypatch.setattr(cosim, "bench", bench)
    monkeypatch.setattr(cosim, "MOST_BYTES", 1 << 20)
    planned = plan(quantized(small.spiking(), small.data()))
    with pytest.raises(SpikecError, match="more than 1,048,576 bytes") as caught:
        cosim.run(planned, {}, "verilator", [cosim.Sample([1], 1)], 0)
    assert caught.value.code == "SPK1855"


@needs(*simulators.NEEDS["verilator"])
def test_compile_and_verify_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The RTL that lies in the build is run; another one is refused."""
    np.save(tmp_path / "data.npy", small.data())
    place = tmp_path / "build"
    options = ["-t", "kv260", "--calibration", str(tmp_path / "data.npy")]
    assert run(["compile", "small:spiking", "-o", str(place), *options]) == 0
    capsys.readouterr()
    assert run(["verify", str(place), "--backend", "fpga", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["equal"] is True
    backend = importlib.import_module("spikec.backends.fpga").backend
    (place / "rtl" / "engine_hidden.sv").write_text("module engine_hidden; endmodule\n")
    (place / "manifest.json").write_text((place / "manifest.json").read_text())
    program = quantized(small.spiking(), small.data())
    with pytest.raises(SpikecError) as caught:
        backend.prepare_build(program, place)
    assert caught.value.code == "SPK1862"
    with pytest.raises(SpikecError):
        open_folder(place)


@needs(*simulators.NEEDS["verilator"])
@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_the_design_tests_itself(tmp_path: Path) -> None:
    """The bench in SystemVerilog passes on the golden vectors, and fails on another weight."""
    graph = small.network(recurrent=1)
    taps = (*graph.nodes, spikec.Output("more", "hidden"))
    program = spikec.compile(replace(graph, nodes=taps), "zcu104", small.data())
    spikec.emit(program, tmp_path / "b")
    folder = tmp_path / "b"
    sources = sorted(f"rtl/{p.name}" for p in (folder / "rtl").iterdir())
    options = [
        "--binary",
        "--timing",
        "-Wno-fatal",
        "-Mdir",
        "obj",
        "--top-module",
        "selftest",
        "-o",
        "selftest",
    ]
    options += [
        "-CFLAGS",
        "-std=c++20 -fcoroutines -O0",
        "-MAKEFLAGS",
        "CFG_CXXFLAGS_PCH_I=-include",
    ]
    tools.command(["verilator", *options, *sources, "tb/selftest.sv"], folder)
    said = tools.command([str(folder / "obj" / "selftest")], folder).decode()
    assert "PASS" in said
    assert "FAIL" not in said
    weights = folder / "mem" / "hidden_weights0.hex"
    weights.write_text(weights.read_text().replace("0", "f"))
    assert "FAIL" in tools.command([str(folder / "obj" / "selftest")], folder).decode()


# ---------------------------------------------------------------- memories


def test_words() -> None:
    """Numbers in two's complement, lowest field and lane first."""
    words = Words(((np.array([[1, -2]]), 4), (np.array([[5]]), 3)))
    assert (words.depth, words.width) == (1, 11)
    assert words.text() == f"{5 << 8 | 14 << 4 | 1:03x}\n"


def test_rows_hold_the_matrix() -> None:
    """Dense and group-sparse layouts give every weight back; the smaller one is taken."""
    random = np.random.default_rng(0)
    kinds: set[bool] = set()
    for density, lanes in ((1.0, 4), (0.02, 4), (0.02, 1), (0.0, 3), (0.3, 16)):
        matrix = random.integers(-9, 9, (37, 50)) * (random.random((37, 50)) < density)
        made = rows(sp.csr_array(matrix), Layout(37, lanes))
        kinds.add(made.pointers is None)
        groups = -(-37 // lanes)
        back: Array = np.zeros((50, groups, lanes), np.int64)
        weights = made.words.fields[0][0]
        if made.pointers is None:
            back[:] = weights.reshape(50, groups, lanes)
        else:
            group = made.words.fields[1][0][:, 0]
            starts, counts = (f[0][:, 0] for f in made.pointers.fields)
            for k in range(50):
                here = slice(starts[k], starts[k] + counts[k])
                back[k, group[here]] = weights[here]
        np.testing.assert_array_equal(back.reshape(50, -1)[:, :37].T, matrix)
        assert made.used.sum() == np.count_nonzero(matrix)
    assert kinds == {True, False}


def test_layout() -> None:
    """In order, the last neuron filling up the last group; or channels in the lanes."""
    np.testing.assert_array_equal(Layout(3, 2).grouped(np.array([1, 2, 3])), [[1, 2], [3, 3]])
    image = Layout(12, 2, 3)  # 4 channels of 3 pixels
    wanted = [[0, 3], [6, 9], [1, 4], [7, 10], [2, 5], [8, 11]]
    np.testing.assert_array_equal(image.grouped(np.arange(12)), wanted)


@pytest.mark.parametrize("largest", [1, 5, 999, 70000])
@pytest.mark.parametrize("divisor", [1, 2, 3, 7, 28, 64, 784, 1156])
def test_quotients(largest: int, divisor: int) -> None:
    """A product and a shift give the quotient of every number."""
    factor, shift = quotient(divisor, largest)
    n = np.arange(largest + 1)
    np.testing.assert_array_equal((n * factor) >> shift, n // divisor)
    assert largest * factor < 1 << 63


@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    taps=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    parts=st.sampled_from([(1, 1, 4), (1, 3, 6), (3, 3, 6), (2, 4, 6), (4, 4, 4)]),
    lanes=st.sampled_from([2, 1]),
)
@examples(200, 5000)
def test_windows_hold_the_matrix(
    size: Any, taps: Any, stride: Any, padding: Any, dilation: Any, parts: Any, lanes: int
) -> None:
    """The tables and steps that the walker follows give every weight of the convolution."""
    groups, channels, out = parts
    random = np.random.default_rng(sum(size) + sum(taps))
    drawn = random.integers(-3, 4, (out, channels // groups, *taps))
    weight = Tensor.integers(drawn, FixedPoint(4))
    try:
        conv = spikec.Conv2d((channels, *size), weight, None, stride, padding, dilation, groups)
    except SpikecError:
        return  # the kernel does not fit
    made = window_rows(conv, lanes)
    assert made.window is not None
    matrix = conv.to_sparse().toarray()
    layout = Layout(conv.out_size, lanes, int(np.prod(conv.out_shape[1:])))
    for source in range(conv.in_size):
        found = walked(made, source, layout)
        np.testing.assert_array_equal(found.reshape(-1)[layout.seats], matrix[:, source])
    np.testing.assert_array_equal(made.used, (matrix != 0).sum(axis=0))


def walked(made: Rows, source: int, layout: Layout) -> Array:
    """Return what the walker of a window adds, (groups, lanes)."""
    window = made.window
    assert window is not None
    _, rows, columns = window.shape
    at = (source // (rows * columns), source // columns % rows, source % columns)
    entries = [
        [int(f[0][k, 0]) for f in window.tables[name].fields]
        for name, k in zip(("channels", "rows", "columns"), at, strict=True)
    ]
    word, group = (sum(e[k] for e in entries) for k in (0, 1))
    found: Array = np.zeros((layout.groups, layout.lanes), np.int64)
    count = 0
    for line in range(entries[1][2]):
        for place in range(entries[2][2]):
            for k in range(window.groups):
                here = word + line * window.steps[0] + place * window.steps[2] + k
                there = group - line * window.steps[1] - place * window.steps[3] + k
                found[there] += made.words.fields[0][0][here]
                count += 1
    assert count == made.walked[source]
    return found
