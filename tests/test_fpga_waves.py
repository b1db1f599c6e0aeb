"""Waveforms of the first difference, and ``spikec verify`` on a build for an FPGA."""

import importlib
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small
import spikec
from sizes import size
from spikec.backends.fpga import build, tools
from spikec.backends.fpga.plan import plan
from spikec.backends.fpga.simulation.runner import CosimRunner
from spikec.backends.fpga.simulation.simulators import NEEDS
from spikec.compiler.artifact import open_folder
from spikec.compiler.cli import run

TOOLS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            not tools.have(*NEEDS[name]), reason=f"needs {', '.join(NEEDS[name])} (spikec[fpga])"
        ),
    )
    for name in ("verilator", "cxxrtl")
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a build with two populations, and data beside it."""
    folder = tmp_path_factory.mktemp("waves")
    np.save(folder / "data.npy", small.data())
    spikec.emit(spikec.compile(small.spiking(), "kv260", small.data()), folder / "b")
    return folder


def changes(path: Path, name: str) -> list[tuple[int, int]]:
    """Return time and value of every change of a signal in a VCD file."""
    lines = path.read_text().splitlines()
    listed = [w for w in map(str.split, lines) if w[:1] == ["$var"] and w[4] == name]
    code = max(listed, key=lambda w: int(w[2]))[3]  # that of the top module is the widest
    found: list[tuple[int, int]] = []
    time = 0
    for line in lines[lines.index("$enddefinitions $end") + 1 :]:
        if line.startswith("#"):
            time = int(line[1:])
        elif line.startswith("b") and line.split()[1] == code:
            found.append((time, int(line.split()[0][1:], 2)))
        elif line[1:] == code and line[0] in "01":
            found.append((time, int(line[0])))
    return found


@pytest.mark.parametrize("simulator", TOOLS)
def test_the_window_of_a_step(built: Path, tmp_path: Path, simulator: str) -> None:
    """It holds the updates of that step of that engine; the beginning holds those of the first."""
    made = plan(open_folder(built / "b"))
    runner = CosimRunner(made, build.texts(made), simulator)
    stored = {"in": small.data()[:2].reshape(2, -1, 6)}
    path = tmp_path / "w.vcd"
    assert "step 3 of 'last'" in runner.show(stored, path, ("last", 3))
    clock = changes(path, "aclk")
    assert 5 < len(clock) < 400
    assert {now - before for (before, _), (now, _) in itertools.pairwise(clock)} == {5}
    # The end of step 2, the update of step 3, and the first of step 4.
    shown = [value >> 1 & 1 for _, value in changes(path, "trace_valid")]
    assert 2 <= sum(now > before for before, now in itertools.pairwise(shown)) <= 3
    runner.show(stored, path, None)
    assert len(changes(path, "aclk")) > len(clock)


@pytest.mark.parametrize("simulator", TOOLS[: size(1, 2)])
def test_verify_writes_it_and_names_it(
    built: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    simulator: str,
) -> None:
    """On agreement of the first sample; on a difference at its place; on a failure too."""
    if not tools.have(*NEEDS["hls"]):
        pytest.skip("needs hls4ml (spikec[fpga])")
    waves = tmp_path / "waves.vcd"
    command = ["verify", str(built / "b"), "-i", str(built / "data.npy"), "--waves", str(waves)]
    backend: Any = importlib.import_module("spikec.backends.fpga").backend
    monkeypatch.setattr(backend, "simulator", simulator)
    assert run(command) == 0
    said = capsys.readouterr().out
    assert f"waves {waves}: sample 0, its first 10,000 clock cycles" in " ".join(said.split())
    assert "reference and fpga agree" in said
    assert "reference and hls agree" in said
    assert waves.stat().st_size > 1000
    read = build.read
    old, new = "", ""

    def faulty(made: Any, folder: Path) -> Mapping[str, str]:
        parts = dict(read(made, folder))
        name = next(n for n, text in parts.items() if n.startswith("rtl/") and old in text)
        return {**parts, name: parts[name].replace(old, new, 1)}

    monkeypatch.setattr(build, "read", faulty)
    old, new = "WIDTH] + kept", "WIDTH] - kept"
    waves.unlink()
    assert run([*command, "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["equal"] is False
    assert [r["equal"] for r in answer["runs"]] == [False, True]
    assert waves.stat().st_size > 1000
    old, new = "WIDTH'(grown[k*SB +: SB])", "WIDTH'(grown[k*SB +: SB] != '0)"
    waves.unlink()
    assert run(command) == 1
    assert f"waveform {waves}: sample 0" in " ".join(capsys.readouterr().err.split())
    assert waves.stat().st_size > 1000


def test_what_has_no_clock_has_no_waveform(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing is written."""
    for name in ("cpu", "hls"):
        command = ["verify", str(built / "b"), "--backend", name, "--waves", str(tmp_path / "w")]
        assert run(command) == 1
        assert "SPK1931" in capsys.readouterr().err
        assert not (tmp_path / "w").exists()
