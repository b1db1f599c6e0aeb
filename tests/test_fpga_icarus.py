"""Icarus Verilog: it reads all that is emitted, and the bench of a build passes in it."""

import shutil
import subprocess
from pathlib import Path

import pytest

import small
import spikec
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
from sizes import evidence, size
from spikec.backends.fpga.build import texts, write
from spikec.backends.fpga.plan import plan
from spikec.backends.fpga.simulation.golden import golden

FULL = size(0, 1) == 1
pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog")


def selftest(program: spikec.Program, lanes: int, folder: Path) -> str:
    """Return what the bench of a build prints."""
    planned = plan(program, lanes)
    write({**texts(planned), **golden(planned)}, folder)
    sources = sorted(f"rtl/{p.name}" for p in (folder / "rtl").iterdir())
    options = ["-g2012", "-Wall", "-Wno-timescale", "-s", "selftest", "-o", "selftest"]
    read = subprocess.run(
        ["iverilog", *options, *sources, "tb/selftest.sv"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert read.stdout + read.stderr == ""
    return simulated(folder)


def simulated(folder: Path) -> str:
    done = subprocess.run(
        ["vvp", "-n", "selftest"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    return done.stdout


PROGRAMS = {
    "late": lambda: late(storm(5, 2), {"b": 2}),
    "images": lambda: quantized(images(), random_spikes(images(), 1, 8, 0)),
    "kinds": lambda: every_kind(1),
    "counts": lambda: quantized(small.counting(), small.data()),
    "controls": lambda: quantized(mixed(), random_spikes(mixed(), 1, 8, 0), ASKED % 4),
    "digits": lambda: spikec.compile(spikec.load("digits"), "zcu102"),
}


@pytest.mark.parametrize("name", PROGRAMS if FULL else ["late", "images"])
def test_a_build_tests_itself(name: str, tmp_path: Path) -> None:
    """Without a word of the compiler; and it fails with another weight."""
    said = selftest(PROGRAMS[name](), 3, tmp_path)
    assert "PASS" in said
    assert "FAIL" not in said
    evidence(f"fpga_icarus_{name}", said=said.strip())
    for path in sorted((tmp_path / "mem").glob("*weights*")):
        path.write_text("".join("0" * len(line) + "\n" for line in path.read_text().split()))
    assert "FAIL" in simulated(tmp_path)
