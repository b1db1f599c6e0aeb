"""A compile killed at any moment leaves the old build or the new one, and no litter for long."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import small
import spikec
from sizes import evidence, size
from spikec.compiler import disk

KILLS = size(20, 200)
COMMANDS = size(4, 60)
PIPELINES = ("discretize", "discretize,quantize")

# A process with everything imported, whose children write a build and are killed on the way. Half
# of the moments lie anywhere in the run, half in the time in which the two names are exchanged.
NURSERY = """
import json, os, random, signal, sys, time
import small, spikec
from spikec.compiler import disk
place, kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
passes = "discretize", "discretize,quantize"
programs = [spikec.compile(small.spiking(), pipeline=p) for p in passes]
draw = random.Random(seed)

def write(k):
    child = os.fork()
    if child == 0:
        try:
            spikec.emit(programs[k % 2], place)
        finally:
            os._exit(0)
    return child

whole = []
for k in range(8):
    began = time.perf_counter()
    os.waitpid(write(k), 0)
    whole.append(time.perf_counter() - began)
typical = sorted(whole)[4]
for k in range(kills):
    child = write(k)
    share = draw.uniform(0, 1.1) if draw.random() < 0.5 else draw.uniform(0.6, 1.05)
    time.sleep(share * typical)
    os.kill(child, signal.SIGKILL)
    killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    print(json.dumps({"killed": killed, "share": share}), flush=True)
    sys.stdin.readline()
"""


def fingerprint(place: Path) -> str:
    """Return a hash of all names and bytes of a build."""
    parts = [(p.name, p.read_bytes()) for p in sorted(place.iterdir())]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def litter(place: Path) -> list[Path]:
    return [p for p in place.parent.iterdir() if p != place]


@pytest.fixture
def wholes(tmp_path: Path) -> dict[str, str]:
    """Return the two builds that a killed compile may leave, by their pipelines."""
    found: dict[str, str] = {}
    for pipeline in PIPELINES:
        place = tmp_path / "whole" / pipeline
        spikec.emit(spikec.compile(small.spiking(), pipeline=pipeline), place)
        found[pipeline] = fingerprint(place)
    return found


def test_killed_while_it_writes(tmp_path: Path, wholes: dict[str, str]) -> None:
    """Children of one process, killed from before they begin to after they end."""
    place = tmp_path / "here" / "build"
    seen = {pipeline: 0 for pipeline in PIPELINES}
    killed = littered = 0
    nursery = subprocess.Popen(
        [sys.executable, "-c", NURSERY, str(place), str(KILLS), "0"],
        env={**os.environ, "PYTHONPATH": small.PATH},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with nursery:
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        for line in nursery.stdout:
            killed += json.loads(line)["killed"]
            littered += bool(litter(place))
            passes = spikec.open(place).passes
            assert fingerprint(place) == wholes[passes]
            seen[passes] += 1
            nursery.stdin.write("\n")
            nursery.stdin.flush()
    assert nursery.returncode == 0
    assert sum(seen.values()) == KILLS
    assert killed >= KILLS // 4
    spikec.emit(spikec.compile(small.spiking(), pipeline=PIPELINES[0]), place)
    assert litter(place) == []
    evidence(
        "killed_while_writing",
        kills=KILLS,
        killed_in_time=killed,
        left_litter=littered,
        builds_left=seen,
    )


def test_killed_commands(tmp_path: Path, wholes: dict[str, str]) -> None:
    """The command line as a user starts it, killed at moments spread over the whole run."""
    place = tmp_path / "here" / "build"
    draw = random.Random(0)
    environment = {**os.environ, "PYTHONPATH": small.PATH}

    def start(pipeline: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "spikec", "compile", "small:spiking", "-o", str(place)]
        return subprocess.Popen(
            [*command, "--pipeline", pipeline],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    began = time.perf_counter()
    assert start(PIPELINES[0]).wait() == 0
    whole = time.perf_counter() - began
    killed = 0
    for k in range(COMMANDS):
        with start(PIPELINES[k % 2]) as process:
            time.sleep(whole * draw.uniform(0.3, 1.05))
            process.send_signal(signal.SIGKILL)
        killed += process.returncode == -signal.SIGKILL
        assert fingerprint(place) == wholes[spikec.open(place).passes]
    assert killed > 0
    assert start(PIPELINES[1]).wait() == 0
    assert litter(place) == []
    evidence("killed_commands", kills=COMMANDS, killed_in_time=killed)


# ---------------------------------------------------------------- what is left over

HOLDER = """
import sys, time
from pathlib import Path
from spikec.compiler.disk import whole_folder
with whole_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("written")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_leftovers_are_removed_only_when_nobody_works_on_them(tmp_path: Path) -> None:
    """A folder that another process is filling stays; after its death the next one removes it."""
    place, program = tmp_path / "build", spikec.compile(small.spiking())
    environment = {**os.environ, "PYTHONPATH": small.PATH}
    command = [sys.executable, "-c", HOLDER, str(place)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        folder = Path(other.stdout.readline().strip())
        spikec.emit(program, place)
        assert (folder / "half").read_text() == "written"
        other.kill()
    assert folder.exists()
    spikec.emit(program, place)
    assert litter(place) == []


def test_leftovers_of_other_builds_stay(tmp_path: Path) -> None:
    """Only what was meant for the same place is removed."""
    mine: Any = getattr(disk, "_prefix")(tmp_path / "build")  # noqa: B009
    others: Any = getattr(disk, "_prefix")(tmp_path / "other")  # noqa: B009
    for name in (f"{mine}0", f"{others}0", ".spikec-0"):
        (tmp_path / name).mkdir()
    spikec.emit(spikec.compile(small.spiking()), tmp_path / "build")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [".spikec-0", f"{others}0", "build"]
    )
