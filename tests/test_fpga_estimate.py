"""The estimate of resources against Yosys, on networks that it was not fitted on."""

import json
from pathlib import Path

import numpy as np
import pytest

import spikec
from fpga_networks import FEW, FITTED, TESTED, case
from rtl_networks import quantized
from sizes import evidence, size
from spikec.backends.fpga import tools
from spikec.backends.fpga.build import library, texts
from spikec.backends.fpga.plan import plan
from spikec.backends.fpga.simulation.expected import free_cycles
from spikec.backends.fpga.sizes.estimate import cycles, estimate, resources_data
from spikec.backends.fpga.sizes.memory import cells
from spikec.backends.fpga.sizes.netlist import resources
from spikec.backends.fpga.sizes.synth import synthesise
from spikec.backends.fpga.sizes.terms import dsps
from spikec.compiler.artifact import json_text

YOSYS = pytest.mark.skipif(not tools.have("pyosys"), reason="needs pyosys (spikec[fpga])")
WIDTHS = (3, 8, 16, 24, 40, 64, 80, 128, 160, 384)
DEPTHS = (1, 2, 8, 31, 40, 65, 128, 300, 512, 784, 1000, 2048, 3000, 6272)


def test_networks_are_disjoint() -> None:
    """No network is fitted and tested."""
    assert not set(FITTED) & set(TESTED)
    assert len(FITTED) >= 18
    assert len(TESTED) >= 12
    assert set(FEW) <= set(TESTED)
    fitted = {texts_of(n) for n in FITTED[:6]}
    assert not fitted & {texts_of(n) for n in TESTED[:6]}


def texts_of(number: int) -> tuple[object, ...]:
    of = case(number)
    shapes = tuple((p.model().kind, p.size) for p in of.graph.populations)
    return (of.lanes, of.pipeline, shapes)


@YOSYS
@pytest.mark.parametrize("number", FEW if size(0, 1) == 0 else TESTED)
def test_against_yosys(number: int) -> None:
    """DSP and URAM exactly, block RAM within one, LUT and FF within 15 %."""
    of = case(number)
    planned = plan(of.program(), of.lanes)
    ours, theirs = estimate(planned).total, synthesise(planned, texts(planned)).total
    evidence(f"fpga_estimate_{number}", ours=str(ours), yosys=str(theirs))
    assert (ours.dsp, ours.uram) == (theirs.dsp, theirs.uram)
    assert abs(ours.bram36 - theirs.bram36) <= 1
    assert abs(ours.luts / theirs.luts - 1) <= 0.15
    assert abs(ours.ff / theirs.ff - 1) <= 0.15


@YOSYS
def test_memories_against_yosys(tmp_path: Path) -> None:
    """Every cell of single memories, written ones and tables."""
    random = np.random.default_rng(0)
    drawn = [
        (int(random.choice(WIDTHS)), int(random.choice(DEPTHS)), bool(random.random() < 0.5))
        for _ in range(size(8, 60))
    ]
    parts = [library()["spikec_memory.sv"], library()["spikec_rom.sv"]]
    top = ["module top(input logic clk, input logic we, input logic [31:0] a, b,"]
    top.append("input logic [383:0] d")
    inside: list[str] = []
    for k, (width, depth, writes) in enumerate(drawn):
        bits = max((depth - 1).bit_length(), 1)
        sizes = f".WIDTH({width}), .DEPTH({depth}), .AB({bits})"
        ports = (
            f"input logic clk, we, input logic [{bits - 1}:0] r, w, input logic [{width - 1}:0] d"
        )
        if writes:
            made = f"spikec_memory #({sizes}) m(.clk, .write(we), .write_address(w),"
            made += ".write_data(d), .read_address(r), .read_data(q));"
        else:
            words = [int.from_bytes(random.bytes(48), "little") for _ in range(depth)]
            lines = "".join(f"{n & ((1 << width) - 1):x}\n" for n in words)
            (tmp_path / f"m{k}.hex").write_text(lines)
            made = f'spikec_rom #({sizes}, .INIT("m{k}.hex")) m(.clk, .address(r), .data(q));'
        parts.append(f"module m{k}({ports}, output logic [{width - 1}:0] q); {made} endmodule")
        top.append(f", output logic [{width - 1}:0] q{k}")
        wires = f".clk, .we, .r(a[{bits - 1}:0]), .w(b[{bits - 1}:0]), .d(d[{width - 1}:0])"
        inside.append(f"m{k} x{k}({wires}, .q(q{k}));")
    (tmp_path / "t.sv").write_text("\n".join([*parts, *top, ");", *inside, "endmodule\n"]))
    script = ["read_verilog -sv -defer t.sv", "hierarchy -check -top top"]
    script += ["setattr -mod -set keep_hierarchy 1 m*"]
    script += ["synth_xilinx -family xcup -noiopad -flatten -run begin:map_ffram"]
    tools.yosys([*script, "select m*", "write_json -selected o.json"], tmp_path)
    modules = json.loads((tmp_path / "o.json").read_text())["modules"]
    for k, (width, depth, writes) in enumerate(drawn):
        found, ours = resources(modules[f"m{k}"], [])[""], cells(width, depth, writes)
        kinds = (found.lutram, found.ramb36, found.ramb18, found.uram)
        assert kinds == (ours.lutram, ours.ramb36, ours.ramb18, ours.uram), drawn[k]


def test_geometry() -> None:
    """Known cells (UG573), and the larger URAM where it is asked for."""
    assert cells(128, 6272, False).ramb36 == 25
    assert cells(72, 512, True).ramb36 + cells(72, 512, True).ramb18 / 2 == 1
    assert cells(144, 8192, True, "ultra").uram == 4
    assert cells(240, 1, True).ff == 240
    assert cells(14, 32, True).lutram == 8


@pytest.mark.parametrize(
    ("a", "b", "product", "count"),
    [
        (27, 18, 45, 1),
        (18, 27, 45, 1),
        (28, 18, 46, 2),
        (30, 30, 60, 4),
        (4, 4, 8, 0),
        (1, 9, 10, 0),
    ],
)
def test_multipliers(a: int, b: int, product: int, count: int) -> None:
    """A DSP48E2 multiplies 27 by 18 bits."""
    assert dsps(a, b, product) == count


def test_cycles_are_the_formula() -> None:
    """Idle, and every source at once, as ``free_cycles`` has them."""
    planned = plan(quantized(spikec.load("digits"), np.ones((1, 2, 64))), 5)
    for engine in planned.engines:
        channels = [c for c in engine.channels if c.rows is not None and c.source is not None]
        sizes = [c.source.size for c in channels if c.source is not None]
        found = cycles(engine, 2.5)
        assert found.idle == free_cycles(engine, [np.zeros(n, int) for n in sizes], 1)
        assert found.most == free_cycles(engine, [np.ones(n, int) for n in sizes], 1)
        assert found.measured == found.idle + 2.5


def test_no_dsp_for_lif_and_same_bytes() -> None:
    """A decay is shift-adds; the estimate is a function of the program."""
    program = quantized(spikec.load("digits"), np.ones((1, 2, 64)))
    assert estimate(plan(program, 16)).total.dsp == 0
    assert json_text(resources_data(plan(program))) == json_text(resources_data(plan(program)))
