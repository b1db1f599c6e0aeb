"""What arrays do and what it costs: power of the solved circuit, drivers, converters, adders."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikec
from sizes import evidence, size
from spikec.backends.crossbar import Circuit
from spikec.backends.crossbar.ledger import Ledger, drivers
from spikec.backends.crossbar.plan import bits, plan
from spikec.compiler import cli
from spikec.compiler.types import Array

PASSES = "discretize,fuse,quantize{weight_bits=5},tiles"


def counted(options: str, data: Array) -> tuple[Ledger, spikec.Trace]:
    passes = f"{PASSES}{{{options}}}"
    program = spikec.compile(spikec.load("digits"), "rram_40nm", data[:20], pipeline=passes)
    trace = spikec.simulate(program, data, ("spikes", "state"), "crossbar")
    ledger = Ledger(plan(program))
    ledger.add(trace)
    return ledger, trace


def test_power_is_that_of_the_circuit(digits: tuple[Array, Array]) -> None:
    """The sum over reads of what a plain solution of each says, within a nanowatt."""
    ledger, trace = counted("", digits[0][: size(4, 40)])
    total = ideal = 0.0
    for stored in ledger.plan.stored:
        (tile,), source = stored.tiles, stored.projection.source
        sent = {**trace.inputs, **trace.spikes}[source].reshape(-1, tile.rows)
        volts = 0.2 * sent[sent.any(axis=1)]
        g = ledger.plan.cells.conductance(tile.level)
        power = Circuit(g, 1.0, 1.0).solve(volts).power.sum()
        name = stored.projection.target
        assert ledger.cells[name]["array_nanowatt"] == pytest.approx(1e9 * power, abs=1)
        assert ledger.counters[name]["reads"] == len(volts)
        assert ledger.cells[name]["word_line"] == sent.sum()
        assert (
            ledger.cells[name]["adc_conversion"] == len(volts) * stored.projection.synapse.out_size
        )
        total, ideal = total + float(power), ideal + float((volts**2 @ g.sum(axis=1)).sum())
    evidence("crossbar_power", solved_watt=total, ideal_watt=ideal)
    assert 0.8 * ideal < total < ideal


def test_drivers() -> None:
    """G_in is symmetric (reciprocity), and of ideal wires the sums of rows alone."""
    g = np.random.default_rng(0).uniform(1e-6, 40e-6, (40, 30))
    made = drivers(g, 5.0, 7.0)
    np.testing.assert_allclose(made, made.T, atol=1e-16)
    volts = np.random.default_rng(1).random((6, 40))
    solved = Circuit(g, 5.0, 7.0).solve(volts)
    np.testing.assert_allclose(volts @ made.T, solved.driver, rtol=1e-10)
    np.testing.assert_allclose(drivers(g, 0.0, 0.0), np.diag(g.sum(axis=1)), atol=1e-20)


def test_turns_slices_and_shared_converters(digits: tuple[Array, Array]) -> None:
    """Digital sums convert every tile and turn, analogue ones the sum of tiles once a read."""
    data = digits[0][:5]
    whole, _ = counted("", data)
    digital, _ = counted("rows=16", data)
    analogue, _ = counted("rows=16,partial=analogue", data)
    sliced, _ = counted("levels=4", data)
    name = "lif2"
    conversions = [x.cells[name]["adc_conversion"] for x in (whole, digital, analogue, sliced)]
    assert conversions[1] > conversions[0]
    assert conversions[2] <= conversions[0]
    assert conversions[3] == 2 * conversions[0]
    for ledger in (digital, analogue, sliced):
        assert ledger.cells[name]["word_line"] == whole.cells[name]["word_line"]
    # Two traces add up.
    twice, trace = counted("", data)
    twice.add(trace)
    assert twice.counters["lif1"]["reads"] == 2 * whole.counters["lif1"]["reads"]


def test_values_bit_by_bit() -> None:
    """A plane of a value drives the rows whose bit is set."""
    x = np.array([[5, -3, 0]])
    planes = bits(x, (1, 2, 4, -8))
    assert [int(p.sum()) for _, p in planes] == [2, 0, 2, 1]
    np.testing.assert_array_equal(sum(w * p for w, p in planes), x)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], digits: Any) -> None:
    """Joules by terms; the drivers, whose price is unknown, make it a lower bound."""
    build, file = str(tmp_path / "build"), str(tmp_path / "x.npy")
    np.save(file, digits[0][:20])
    assert cli.run(["compile", "digits", "--target", "rram_40nm", "-o", build]) == 0
    capsys.readouterr()
    assert cli.run(["profile", build, "-i", file, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    (report,) = shown["reports"]
    assert {"word_line", "update"} <= set(report["unpriced"])
    assert shown["hardware"]["accesses"]["lif2"]["adc_conversion"] > 0
    assert report["total_j"]["typical"] > 0
