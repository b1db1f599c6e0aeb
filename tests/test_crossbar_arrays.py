"""Networks on tiles that are not ideal, against plain solutions of every read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikec
from sizes import evidence, size
from spikec.backends.crossbar import Circuit, read
from spikec.backends.crossbar.arrays import Converters, DeviceTile, difference
from spikec.backends.crossbar.devices import Devices
from spikec.backends.crossbar.plan import Plan, plan
from spikec.backends.crossbar.runner import TileRunner
from spikec.backends.crossbar.threads import one_thread
from spikec.compiler import cli
from spikec.compiler.simulator import Simulator
from spikec.compiler.types import Array

PASSES = "discretize,fuse,quantize{weight_bits=5},tiles"
QUIET = "program{sigma=0},stuck{off=0,on=0},read{c=0},wire{ohm=0},adc{bits=24}"


@pytest.fixture(scope="module")
def planned(digits: tuple[Array, Array]) -> Callable[[str], Plan]:
    def made(options: str = "") -> Plan:
        graph, passes = spikec.load("digits"), f"{PASSES}{{{options}}}"
        return plan(spikec.compile(graph, "rram_40nm", digits[0][:100], pipeline=passes))

    return made


def run(made: Plan, devices: str, data: Array, seed: int = 0) -> spikec.Trace:
    runner = TileRunner(made, Devices.parse(devices), seed)
    return Simulator(made.program, "crossbar", runner=runner).run(data, ("spikes", "state"))


def one(made: Plan, devices: str, seed: int = 0) -> DeviceTile:
    stored = made.stored[0]
    return DeviceTile(stored.tiles[0], stored, made, Devices.parse(devices), seed, (0, 0), {})


def active(rows: int, reads: int, part: float = 0.2) -> Array:
    return 0.2 * (np.random.default_rng(5).random((reads, rows)) < part)


@pytest.mark.parametrize("options", ["", "rows=20,partial=analogue,encoding=offset", "parallel=9"])
def test_stages_of_no_effect(
    options: str, planned: Callable[[str], Plan], digits: tuple[Array, Array]
) -> None:
    """Noise of 0, wires of 0 ohm and a converter of 24 bits give the integers, bit for bit."""
    data = digits[0][: size(10, 540)]
    made = planned(options)
    wanted = spikec.simulate(made.program, data, ("spikes", "state"), "reference")
    found = run(made, QUIET, data)
    for name, states in wanted.state.items():
        np.testing.assert_array_equal(found.spikes[name], wanted.spikes[name])
        for state, held in states.items():
            np.testing.assert_array_equal(found.state[name][state], held)


def test_wires_in_the_loop(planned: Callable[[str], Plan]) -> None:
    """Sums of a projection are those of the solved circuit, column minus column, rounded."""
    made = planned("")
    stages = "program,stuck{off=0.01,on=0.01},wire{ohm=3,bit_ohm=2}"
    tile = one(made, stages, 4)
    assert tile.method.name == "map"
    volts = active(64, 20)
    solved = Circuit(tile.conductance, 3, 2).solve(volts).output
    wanted = difference(solved, tile.tile)
    found = tile.currents(volts, slice(0, 64))
    np.testing.assert_allclose(found, wanted, atol=1e-11 * np.abs(wanted).max())
    runner = TileRunner(made, Devices.parse(stages), 4)
    projection = made.program.graph.projections[0]
    with one_thread():
        got = runner.product(runner.projections[0], volts > 0)
    assert projection.synapse.out_size == got.shape[1]
    np.testing.assert_array_equal(got, np.rint(wanted / (0.2 * made.cells.step)))


def test_noise_of_each_read(planned: Callable[[str], Plan]) -> None:
    """The deviation of every sum is that of noise in every cell, without wires exactly."""
    made = planned("")
    tile = one(made, "read{c=0.1,redraw=each}")
    assert (tile.method.name, tile.method.error) == ("noise", 0.0)
    volts = np.repeat(active(64, 1), size(4000, 40_000), axis=0)
    found = tile.currents(volts, slice(0, 64))
    noise = 0.1 * tile.conductance
    wanted = np.sqrt(volts[0] ** 2 @ (noise[:, 0::2] ** 2 + noise[:, 1::2] ** 2))
    ratio = found.std(axis=0) / wanted
    assert ratio.mean() == pytest.approx(1, abs=0.01)
    assert abs(ratio - 1).max() < 5 / np.sqrt(2 * len(volts))
    ideal = one(made, "").currents(volts[:1], slice(0, 64))[0]
    assert (abs(found.mean(axis=0) - ideal) < 5 * wanted / np.sqrt(len(volts))).all()


def test_noise_with_wires(planned: Callable[[str], Plan]) -> None:
    """The estimate of the error holds against solved reads that draw noise in every cell."""
    made = planned("rows=32,columns=32")
    tile = one(made, "wire{ohm=20},read{c=0.05,redraw=each}")
    assert tile.method.name == "noise"
    assert 0.001 < tile.method.error < 0.1
    g, reads = tile.conductance, size(400, 4000)
    volts = np.repeat(active(32, 1), reads, axis=0)
    noise = 0.05 * g * np.random.default_rng(1).standard_normal((reads, *g.shape))
    solved = difference(read(g, volts, 20, 20, None, noise).output, tile.tile).std(axis=0)
    drawn = tile.currents(volts, slice(0, 32)).std(axis=0)
    error = abs((drawn / solved).mean() - 1)
    evidence("crossbar_noise_with_wires", error=float(error), estimated=tile.method.error)
    assert error < tile.method.error + 4 / np.sqrt(2 * reads * len(drawn) / 2)
    # Wires that lose most of the current: the first order is rough, and reads are solved.
    rough = one(made, "wire{ohm=3000},read{c=0.05,redraw=each}")
    assert rough.method.name == "read"


def test_gated_rows(planned: Callable[[str], Plan]) -> None:
    """Rows without a spike are open: each read is an array of its own."""
    tile = one(planned(""), "wire{ohm=30,gated=true}")
    assert tile.method.name == "read"
    volts = active(64, 5)
    found = tile.currents(volts, slice(0, 64))
    for k in range(5):
        g = tile.conductance * (volts[k] > 0)[:, None]
        wanted = difference(Circuit(g, 30, 30).solve(volts[k]).output, tile.tile)[0]
        np.testing.assert_allclose(found[k], wanted, atol=1e-7 * np.abs(wanted).max())
    held = one(planned(""), "wire{ohm=30}").currents(volts, slice(0, 64))
    assert np.abs(held - found).max() > 1e-3 * np.abs(found).max()


def test_converters(planned: Callable[[str], Plan]) -> None:
    """Codes over the largest difference of a column; a narrow span clips, and that is counted."""
    stored = planned("").stored[0]
    pairs = stored.held[0].matrix.weight
    most = max(np.maximum(pairs, 0).sum(axis=0).max(), np.maximum(-pairs, 0).sum(axis=0).max())
    made = Converters(stored.tiles, 1, Devices.parse("adc{bits=5,span=0.5}"), 0, (0, 0))
    assert made.full == 0.5 * most
    levels = np.random.default_rng(0).uniform(-most, most, (500, 128))
    found = made(levels)
    assert len(np.unique(found)) == 32
    assert made.conversions == levels.size
    assert made.clipped == (np.abs(levels) > 0.5 * most).sum()


def test_calibrated_converters(planned: Callable[[str], Plan], digits: tuple[Array, Array]) -> None:
    """The range is the percentile of what the first samples give, here counted apart."""
    made, data, labels = planned(""), digits[0], digits[1]
    runner = TileRunner(made, Devices.parse("adc{bits=6,percentile=99,span=1.5}"))
    accuracy = Simulator(made.program, "crossbar", runner=runner)
    right = (accuracy.run(data).output.sum(axis=1).argmax(axis=1) == labels).mean()
    stored = made.stored[0]
    rows = data[:16].reshape(-1, 64)
    sums = np.abs(rows[rows.any(axis=1)].astype(np.int64) @ stored.held[0].matrix.weight).ravel()
    converter = runner.arrays[0].converters[id(stored.tiles[0])]
    assert converter.full == 1.5 * np.sort(sums)[int(np.ceil(0.99 * sums.size)) - 1]
    assert right > 0.97
    # The whole range of a column wastes the codes.
    wide = (run(made, "adc{bits=4}", data).output.sum(axis=1).argmax(axis=1) == labels).mean()
    text = "adc{bits=4,percentile=99.5}"
    narrow = (run(made, text, data).output.sum(axis=1).argmax(axis=1) == labels).mean()
    evidence("crossbar_converters", whole=float(wide), calibrated=float(narrow))
    assert narrow > wide + 0.02


def test_seeds(planned: Callable[[str], Plan], digits: tuple[Array, Array]) -> None:
    """A seed gives the same spikes, run after run; another seed others; coarser codes cost."""
    made, data, labels = planned(""), digits[0], digits[1]
    text = "program,wire,read{redraw=each},adc{bits=8,span=0.4,noise=0.3}"
    runner = TileRunner(made, Devices.parse(text), 1)
    simulator = Simulator(made.program, "crossbar", runner=runner)
    first, again = (simulator.run(data[:30]).output for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, run(made, text, data[:30], 2).output)

    def right(devices: str) -> float:
        return float((run(made, devices, data).output.sum(axis=1).argmax(axis=1) == labels).mean())

    accuracies = {d: right(d) for d in ("", "program", "program,wire{ohm=10}", "adc{bits=3}")}
    evidence("crossbar_digits_accuracy", **accuracies)
    assert accuracies[""] > 0.98
    assert 0.9 < accuracies["program"] < accuracies[""]
    assert accuracies["adc{bits=3}"] < 0.8


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], digits: Any) -> None:
    """Devices from the command line, with how the tiles were read; and mistakes."""
    build, file, labels = (str(tmp_path / n) for n in ("build", "x.npy", "y.npy"))
    np.save(file, digits[0][:50])
    np.save(labels, digits[1][:50])
    assert cli.run(["compile", "digits", "--target", "rram_40nm", "-o", build]) == 0
    capsys.readouterr()
    command = ["simulate", build, "-i", file, "--labels", labels]
    text = "program,wire{ohm=1},adc{bits=8}"
    assert cli.run([*command, "--devices", text, "--device-seed", "3", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["accuracy"]["correct"] > 40
    assert shown["remarks"][0].startswith("devices  program{kind=neurram_1s")
    assert shown["remarks"][0].endswith("seed 3")
    assert shown["remarks"][1] == "tiles  2 by map (error 0)"
    for options, code in (
        (["--devices", "gold"], 1),
        (["--devices", "read", "--backend", "fpga"], 2),
        (["--device-seed", "1"], 2),
    ):
        assert cli.run([*command, *options]) == code
        assert len(capsys.readouterr().err.strip().splitlines()) <= 3
