"""Programs on tiles of ideal cells: equal to the integer reference, bit for bit, however cut."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spikec
from networks import Style, graphs, spikes_for
from sizes import evidence, examples, size
from spikec.backends.crossbar import plan as module
from spikec.backends.crossbar.plan import Plan, plan, supports
from spikec.backends.crossbar.tiles import Cells
from spikec.compiler import cli
from spikec.compiler.errors import SpikecError
from spikec.compiler.passes.tiles import Tiles
from spikec.compiler.target import load_target
from spikec.compiler.types import Array, Bool, Tensor

RECORD = ("spikes", "state")


def compiled(graph: Any, options: str = "", bits: int = 5, data: Any = None) -> spikec.Program:
    passes = f"discretize,fuse,quantize{{weight_bits={bits}}},tiles{{{options}}}"
    return spikec.compile(graph, "rram_40nm", pipeline=passes, calibration=data)


def same(program: spikec.Program, data: Any) -> int:
    """Assert that tiles and the reference agree in every number; return the spikes."""
    wanted = spikec.simulate(program, data, RECORD, "reference")
    found = spikec.simulate(program, data, RECORD, "crossbar")
    for name, sent in wanted.spikes.items():
        np.testing.assert_array_equal(found.spikes[name], sent, err_msg=name)
        for state, held in wanted.state[name].items():
            np.testing.assert_array_equal(found.state[name][state], held, f"{name}.{state}")
    assert found.counts == wanted.counts
    return sum(c["spikes"] for c in wanted.counts.values())


CUTS = [
    "",
    "encoding=offset",
    "rows=30,columns=17",
    "rows=30,columns=17,encoding=offset",
    "rows=20,columns=20,partial=analogue",
    "parallel=7",
    "parallel=7,partial=analogue,encoding=offset,rows=50",
    "loss=0.02",
    "levels=2,encoding=offset",
    "levels=3",
    "levels=256",
    "g_min=20,g_max=21",
]


@pytest.mark.parametrize("options", CUTS)
def test_digits(options: str, digits: tuple[Array, Array]) -> None:
    """The digits network, cut in many ways, at 5 and 8 bits."""
    data = digits[0][: size(6, 540)]
    for bits in (5, 8):
        assert same(compiled(spikec.load("digits"), options, bits), data) > 100


@given(
    graph=graphs(Style(on_grid=False, value_sources=True)),
    rows=st.integers(1, 9),
    columns=st.integers(6, 12),
    encoding=st.sampled_from(["differential", "offset"]),
    partial=st.sampled_from(["digital", "analogue"]),
    coding=st.sampled_from(["pulses", "serial"]),
)
@examples(8, 300)
def test_generated_networks(
    graph: spikec.Graph, rows: int, columns: int, encoding: str, partial: str, coding: str
) -> None:
    """Every synapse and neuron kind, recurrent and delayed, with values between populations."""
    data = spikes_for(graph, 2, 10, 0)
    options = f"rows={rows},columns={columns},encoding={encoding},partial={partial},coding={coding}"
    same(compiled(graph, options, 6, data), data)


def test_real_valued_inputs() -> None:
    """Signed values, bit by bit and as pulses."""
    random = np.random.default_rng(0)
    nodes = (
        spikec.Input("x", (20,)),
        spikec.Population("p", (15,), spikec.LIF(decay=0.9, threshold=0.5)),
        spikec.Output("y", "p"),
    )
    weight = spikec.Dense(Tensor.floats(random.normal(0, 0.3, (15, 20))))
    graph = spikec.Graph("values", nodes, (spikec.Projection("x", "p", weight),))
    data = random.normal(0, 1, (4, 12, 20))
    for coding in ("serial", "pulses"):
        program = compiled(graph, f"coding={coding}", 5, data)
        planes = plan(program).stored[0].planes
        assert planes == ((1, 2, 4, 8, 16, 32, 64, -128) if coding == "serial" else (1,))
        assert same(program, data) > 20


def test_cnn_on_recordings(data: Path, recordings: tuple[Array, Array]) -> None:
    """The CNN of the NIR paper on N-MNIST recordings, kernels reused at every place."""
    graph = spikec.load(data / "nir" / "02_cnn" / "cnn_sinabs.nir", semantics="sinabs")
    shown = recordings[0][: size(1, 10), : size(40, 350)]
    program = compiled(graph, "", 8, shown[:2])
    spikes = same(program, shown)
    assert spikes > 100
    tiles = sum(len(s.tiles) for s in plan(program).stored)
    evidence("crossbar_cnn_sinabs", samples=len(shown), spikes=spikes, tiles=tiles)


def liquid(neurons: int = 200) -> spikec.Graph:
    """Return a liquid of dense random weights with a recurrence of one step."""
    random = np.random.default_rng(3)
    scale = 0.07 * 6.6
    nodes = (
        spikec.Input("in", (256,), Bool()),
        spikec.Population("liquid", (neurons,), spikec.LIF(decay=0.9, threshold=5.0)),
        spikec.Output("out", "liquid"),
    )
    edges = [
        spikec.Projection(
            source,
            "liquid",
            spikec.Dense(Tensor.floats(random.normal(0, scale, (neurons, rows)))),
            delay=delay,
        )
        for source, rows, delay in (("in", 256, 0), ("liquid", neurons, 1))
    ]
    return spikec.Graph("liquid", nodes, tuple(edges))


def test_recurrent_liquid() -> None:
    """A recurrent liquid of 200 neurons, over tiles of 128 x 128."""
    data = np.random.default_rng(0).random((size(2, 20), 50, 256)) < 0.08
    program = compiled(liquid(), "rows=128,columns=128", 5, data[:2])
    spikes = same(program, data)
    evidence("crossbar_liquid", samples=len(data), spikes=spikes)
    assert spikes > 1000 * len(data) / 2


def weights(made: Plan) -> list[Array]:
    """Return the matrices that the levels of tiles stand for."""
    found: list[Array] = []
    for stored in made.stored:
        for held in stored.held:
            total = np.zeros(held.matrix.weight.shape, np.int64)
            for t in held.tiles:
                level = t.level.astype(np.int64)
                for s, (plus, minus) in enumerate(zip(t.plus, t.minus, strict=True)):
                    part = made.cells.levels**s * (level[:, plus] - level[:, minus])
                    total[t.first : t.first + t.rows, t.start : t.start + t.outputs] += part
            found.append(total)
    return found


@pytest.mark.parametrize("options", CUTS)
def test_levels_stand_for_the_weights(options: str) -> None:
    """And no tile is larger than it may be, no level higher than a cell has."""
    for bits in (5, 8):
        made = plan(compiled(spikec.load("digits"), options, bits))
        matrices = [h.matrix.weight for s in made.stored for h in s.held]
        for found, wanted in zip(weights(made), matrices, strict=True):
            np.testing.assert_array_equal(found, wanted)
        for stored in made.stored:
            assert max(t.rows for t in stored.tiles) <= stored.layout.rows <= made.rows
            assert max(t.columns for t in stored.tiles) <= stored.layout.columns <= made.columns
            assert max(int(t.level.max()) for t in stored.tiles) < made.cells.levels


def test_slices_and_encodings() -> None:
    """8 bits take two cells of 16 levels, 7 of 2; an offset halves the cells."""
    graph = spikec.load("digits")

    def cells(options: str) -> tuple[int, int]:
        first = plan(compiled(graph, options, 8)).stored[0]
        return first.layout.slices, first.cells

    assert cells("") == (2, 64 * 128 * 4)
    assert cells("levels=2") == (7, 64 * 128 * 14)
    assert cells("encoding=offset") == (2, 64 * (128 + 2) * 2)  # two tiles, a column more each
    assert cells("levels=256,encoding=offset") == (1, 64 * 129)


def test_sparse_rows_are_left_out() -> None:
    """A projection one to one takes the diagonal blocks only."""
    nodes = (
        spikec.Input("x", (100,), Bool()),
        spikec.Population("p", (100,), spikec.LIF(decay=0.5, threshold=0.9)),
        spikec.Output("y", "p"),
    )
    synapse = spikec.OneToOne(100, Tensor.floats(np.linspace(-1, 1, 100)))
    graph = spikec.Graph("diagonal", nodes, (spikec.Projection("x", "p", synapse),))
    stored = plan(compiled(graph, "columns=20")).stored[0]
    # Weights under half a step are zero, and their rows are left out.
    nonzero = np.count_nonzero(stored.projection.synapse.weight.data)
    assert 90 < nonzero < 100
    assert sum(t.rows for t in stored.tiles) == nonzero
    assert {t.columns for t in stored.tiles} == {20}
    data = np.random.default_rng(0).random((2, 20, 100)) < 0.5
    assert same(compiled(graph, "columns=20"), data) > 100


def test_accuracy_budget() -> None:
    """N <= sqrt(1.5 e / ((1 - e) r G)): 81 at 5 % and 35 at 1 %, of 12 uS and 1 ohm."""
    cells = Cells.of(load_target("rram_40nm"), Tiles())
    assert cells.wire_ohm == 1.0
    assert (cells.side(0.05, 12e-6), cells.side(0.01, 12e-6)) == (81, 35)
    assert cells.predicted(81, 81, 12e-6) == pytest.approx(0.05, abs=1e-3)
    made = plan(compiled(spikec.load("digits"), "loss=0.01"))
    for stored in made.stored:
        for t in stored.tiles:
            mean = float(made.cells.conductance(t.level).mean())
            assert made.cells.predicted(t.rows, t.columns, mean) < 0.02


# ---------------------------------------------------------------- what does not fit


def finding(options: str, bits: int = 5) -> str:
    """Return the finding of the digits network under some options, and that it is an error."""
    program = compiled(spikec.load("digits"), options, bits)
    (*_, told) = supports(program)
    with pytest.raises(SpikecError) as caught:
        plan(program)
    assert caught.value.code == "SPK2113"
    assert "\n" not in str(caught.value)
    return str(told)


def test_what_does_not_fit() -> None:
    """One line each."""
    text = "a tile of 3 columns is narrower than one weight of 2 slices, differential"
    assert text in finding("columns=3", 8)
    assert "[SPK2108]" in finding("columns=3", 8)
    assert "a neuron takes 128 rows and a tile has 100" in finding("rows=100,partial=none")
    assert "[SPK2109]" in finding("rows=100,partial=none")
    # 456 rows and 800 columns.
    program = compiled(liquid(), "rows=128,columns=128,macros=1", 8)
    text = "liquid: its tiles take 2 macros of 512 x 512 cells, and there are 1. [SPK2112]"
    assert [str(f) for f in supports(program)] == [text]
    assert not supports(compiled(liquid(), "rows=128,columns=128,macros=1", 5))


def test_a_narrow_window() -> None:
    """No room for levels is an error, a millionth of a uS enough, 1e-11 uS too little."""
    text = "tiles: cells from 40 to 40 uS have no two levels. [SPK2122]"
    assert finding("g_min=40") == text
    data = np.random.default_rng(0).random((2, 10, 64)) < 0.3
    assert same(compiled(spikec.load("digits"), "g_min=39.999999"), data) > 10
    assert "[SPK2110]" in finding("g_min=39.99999999999")


def test_too_large_and_too_rough(monkeypatch: pytest.MonkeyPatch) -> None:
    """More cells than can be laid out, and sums that double precision does not hold."""
    program = compiled(spikec.load("digits"))
    monkeypatch.setattr(module, "MOST_CELLS", 1000)
    assert [f.code for f in supports(program)] == ["SPK2111", "SPK2111"]
    monkeypatch.undo()
    cells = Cells.of(load_target("rram_40nm"), Tiles())
    rounding: Any = module._rounding  # pyright: ignore[reportPrivateUsage]
    assert rounding(512, 1, cells) < 1e-8
    assert rounding(512, 1 << 40, cells) > 0.25


def test_floating_point_does_not_fit() -> None:
    """A cell has a level."""
    program = spikec.compile(spikec.load("digits"), "rram_40nm", pipeline="discretize,tiles")
    assert [f.code for f in supports(program)] == ["SPK2107"]


@pytest.mark.parametrize(
    "options",
    ["rows=-1", "columns=1025", "levels=1", "levels=300", "loss=1", "loss=-0.1", "macros=-2"],
)
def test_options_out_of_range(options: str) -> None:
    """One line."""
    with pytest.raises(SpikecError) as caught:
        compiled(spikec.load("digits"), options)
    assert caught.value.code == "SPK2106"


def test_another_target_on_its_arrays() -> None:
    """A program for another target runs on the arrays of this one."""
    program = spikec.compile(spikec.load("digits"), pipeline="discretize,quantize")
    data = np.random.default_rng(0).random((2, 10, 64)) < 0.3
    assert same(program, data) > 10
    assert same(replace(program, target="loihi1"), data) > 10


def test_explain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every tile with its likely loss; what decided; a build that verifies; the JSON has all."""
    build = str(tmp_path / "build")
    options = "discretize,fuse,quantize{weight_bits=5},tiles{loss=0.01,parallel=16}"
    arguments = ["compile", "digits", "--target", "rram_40nm", "-o", build, "--explain"]
    assert cli.run([*arguments, "--pipeline", options]) == 0
    told = capsys.readouterr().out
    assert "wires may lose 1 %: at most " in told
    assert "read 16 rows at a time" in told
    assert "digital partial sums" in told
    assert cli.run(["verify", build, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["equal"]
    assert cli.run([*arguments, "--pipeline", options, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert len(shown["tiles"]) == shown["arrays"]["tiles"]
    written = json.loads((tmp_path / "build" / "tiles.json").read_text())
    assert written["arrays"] == shown["arrays"]
    assert all(0 < t["predicted_loss"] < 0.02 for t in shown["tiles"])
