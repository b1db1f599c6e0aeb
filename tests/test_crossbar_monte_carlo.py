"""Monte Carlo over devices: the same numbers whatever the processes, interrupted or not."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikec
from sizes import FULL, evidence, size
from spikec.backends.crossbar.devices import Devices
from spikec.backends.crossbar.monte_carlo import ALL, Study, run
from spikec.backends.crossbar.plan import plan
from spikec.backends.crossbar.runner import TileRunner
from spikec.backends.crossbar.spread import reached, spread
from spikec.compiler import cli
from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array

PASSES = "discretize,fuse,quantize{weight_bits=5},tiles{rows=128,columns=128}"
STAGES = "program{kind=neurram_1d},wire{ohm=3},read{c=0.02,redraw=each}"
Make = Callable[..., Study]


@pytest.fixture(scope="module")
def study(digits: tuple[Array, Array]) -> Make:
    program = spikec.compile(spikec.load("digits"), "rram_40nm", digits[0][:100], pipeline=PASSES)
    name = program.graph.inputs[0].name

    def made(samples: int, runs: int, seed: int = 0, attribute: bool = False) -> Study:
        data = {name: digits[0][:samples]}
        stages = Devices.parse(STAGES)
        return Study(program, stages, data, digits[1][:samples], "count", runs, seed, attribute)

    return made


def test_processes_and_seeds(study: Make) -> None:
    """Two processes give what one gives; a later seed is the same run wherever it begins."""
    one = run(study(40, 6), 1)[ALL]
    assert run(study(40, 6), 2)[ALL] == one
    assert run(study(40, 3, 3), 1)[ALL] == one[3:]
    assert len(set(one)) > 1


def test_interrupted_and_taken_up(study: Make, tmp_path: Path) -> None:
    """Killed in mid-run, with half a line written: the same numbers, and no run twice."""
    given, path = study(40, 6), tmp_path / "journal"

    class StopError(Exception):
        pass

    def stop(done: int, of: int) -> None:
        if done == 3:
            raise StopError

    with pytest.raises(StopError):
        run(given, 1, path, stop)
    lines = path.read_text().splitlines()
    assert len(lines) == 1 + 3
    path.write_text(path.read_text() + '{"case": "all", "se')
    begun: list[int] = []
    found = run(given, 1, path, lambda done, of: begun.append(done))
    assert begun == [3, 4, 5, 6]
    assert found == run(given, 1)
    assert path.read_text().splitlines()[:4] == lines
    assert len(path.read_text().splitlines()) == 1 + 6


def test_killed(tmp_path: Path, digits: Any) -> None:
    """The command killed in mid-run, and given again: the numbers of one that was left alone."""
    build, file, labels = (str(tmp_path / n) for n in ("build", "x.npy", "y.npy"))
    np.save(file, digits[0][:40])
    np.save(labels, digits[1][:40])
    assert cli.run(["compile", "digits", "--target", "rram_40nm", "-o", build]) == 0
    command = [sys.executable, "-m", "spikec", "simulate", build, "-i", file, "--labels", labels]
    command += ["--devices", STAGES, "--monte-carlo", "30", "--workers", "1", "--json"]
    journal = tmp_path / "journal"
    with subprocess.Popen([*command, "--journal", str(journal)], stdout=subprocess.PIPE) as first:
        while first.poll() is None:
            if journal.exists() and journal.read_text().count("\n") > 3:
                first.kill()
                break
            time.sleep(0.01)
        first.communicate()
    assert 3 < journal.read_text().count("\n") < 31
    outputs = [
        subprocess.run(c, check=True, stdout=subprocess.PIPE).stdout
        for c in ([*command, "--journal", str(journal)], command)
    ]
    assert outputs[0] == outputs[1]


def test_journals_of_something_else(study: Make, tmp_path: Path) -> None:
    """Other data; no journal; a folder."""
    path = tmp_path / "journal"
    run(study(10, 1), 1, path)
    for given, place, code in (
        (study(11, 1), path, "SPK2118"),
        (study(10, 1), tmp_path, "SPK2119"),
        (study(10, 1), tmp_path / "no" / "folder", "SPK2119"),
    ):
        with pytest.raises(SpikecError) as caught:
            run(given, 1, place)
        assert caught.value.code == code
        assert "\n" not in str(caught.value)
    path.write_text("hello\n")
    with pytest.raises(SpikecError, match="SPK2119"):
        run(study(10, 1), 1, path)


def test_attribution(study: Make) -> None:
    """Single stages, the first so many, and single projections; the last sum is everything."""
    given = study(40, 2, attribute=True)
    found = run(given, 1)
    assert list(found) == [
        "all",
        *(f"only {n}" for n in ("program", "read", "wire")),
        *(f"up to {n}" for n in ("program", "read", "wire")),
        "only in input -> lif1 (delay 0)",
        "only in lif1 -> lif2 (delay 0)",
    ]
    assert found["up to wire"] == found["all"]
    assert found["up to program"] == found["only program"]
    best, spreads = given.result(found)
    assert [s.name for s in spreads] == list(found)
    for s in spreads:
        assert s.cost == pytest.approx(best - s.mean)
    # A projection that is left out is ideal.
    first = TileRunner(plan(given.program), given.devices, 0, {1})
    assert [m.name for m in first.methods] == ["map", "map", "noise"]


def test_statistics() -> None:
    """The interval of a mean by Student's t, and of a part by Wilson, against tables."""
    found = spread("x", [8, 9, 10, 9], 10, 1.0)
    assert (found.mean, found.least, found.runs) == (0.9, 0.8, 4)
    deviation = np.sqrt(0.02 / 3)
    assert found.deviation == pytest.approx(deviation)
    assert found.high - found.mean == pytest.approx(min(0.1, 3.182446 * deviation / 2))
    assert found.mean - found.low == pytest.approx(3.182446 * deviation / 2)
    assert found.cost == pytest.approx(0.1)
    part = reached([9, 9, 10, 8, 10, 10, 9, 9, 9, 10], 10, 0.9)
    assert (part.reached, part.runs) == (9, 10)
    assert part.low == pytest.approx(0.5958, abs=1e-4)
    assert part.high == pytest.approx(0.9821, abs=1e-4)
    assert spread("x", [5], 10, 1.0).deviation == 0


def test_interval_holds() -> None:
    """Of 2,000 drawn samples of 10, 95 % of the intervals hold the mean."""
    random = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        right = random.normal(500, 20, 10)
        made = spread("x", list(right), 1000, 1.0)
        held += made.low <= 0.5 <= made.high
    assert held / 2000 == pytest.approx(0.95, abs=0.015)


def test_200_runs(study: Make) -> None:
    """200 draws of the digits on tiles of 128 x 128, with wires and noise: under 5 minutes."""
    given = study(size(60, 540), size(20, 200))
    begun = time.perf_counter()
    found = run(given, 2)
    took = time.perf_counter() - begun
    best, (made,) = given.result(found)
    evidence(
        "crossbar_monte_carlo",
        runs=made.runs,
        samples=len(given.labels),
        seconds=took,
        ideal=best,
        mean=made.mean,
        low=made.low,
        high=made.high,
        least=made.least,
    )
    assert took < 300
    assert 0.85 < made.mean < best
    if FULL:
        assert made.high - made.low < 0.01


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], digits: Any) -> None:
    """A table, JSON, a yield; and mistakes as one line."""
    build, file, labels = (str(tmp_path / n) for n in ("build", "x.npy", "y.npy"))
    np.save(file, digits[0][:40])
    np.save(labels, digits[1][:40])
    assert cli.run(["compile", "digits", "--target", "rram_40nm", "-o", build]) == 0
    capsys.readouterr()
    command = ["simulate", build, "-i", file, "--devices", "program,wire"]
    several = ["--monte-carlo", "3", "--workers", "1", "--attribute", "--bound", "0.9"]
    assert cli.run([*command, "--labels", labels, *several]) == 0
    told = capsys.readouterr().out
    assert "digits: 3 draws of program{kind=neurram_1s" in told
    assert "only in lif1 -> lif2" in told
    assert "yield  3 of 3 reach 90 %" in told
    assert cli.run([*command, "--labels", labels, *several, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert len(shown["right"]["all"]) == 3
    assert shown["yield"]["reached"] == 3
    assert cli.run([*command, *several]) == 1
    assert "[SPK2120]" in capsys.readouterr().err
    assert cli.run([*command, "--labels", labels, "--bound", "0.9"]) == 2
    assert cli.run([*command, "--labels", labels, *several, "-o", "x.npz"]) == 2
