"""The same program gives the same bytes, whatever process, machine load or locale made it."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import small
from fuzzing.seeds import BUILDS

SCRIPT = """
import os, sys
from pathlib import Path

cores, umask, place = int(sys.argv[1]), int(sys.argv[2], 8), Path(sys.argv[3])
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
os.cpu_count = lambda: cores
os.umask(umask)
import numpy as np
import spikec
from fuzzing import seeds

for name in seeds.BUILDS:
    spikec.emit(seeds.program(name), place / name)
spikec.emit(seeds.placed(), place / "placed")
digits = spikec.load("digits")
data = np.random.default_rng(0).random((40, 6, 64)) < 0.2
for name, passes in (("digits", "discretize"), ("digits8", "discretize,quantize")):
    program = spikec.compile(digits, pipeline=passes, calibration=data)
    spikec.emit(program, place / name)
"""
MADE = (*BUILDS, "placed", "digits", "digits8")
# Hash seed, thread counts of every library, language, time zone, home, temporary folder.
PLAIN = {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "UTC"}
ODD = {
    "PYTHONHASHSEED": "2",
    "NUMBA_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "LC_ALL": "C.UTF-8",
    "LANG": "de_DE.UTF-8",
    "PYTHONUTF8": "0",
    "TZ": "Asia/Kathmandu",
}


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Compile everything in two processes that have as little as possible in common."""
    base = tmp_path_factory.mktemp("twice")
    made: list[Path] = []
    for name, odd in (("a", False), ("else/where", True)):
        place = base / name
        (base / f"home-{odd}").mkdir()
        environment = {**os.environ, **(ODD if odd else PLAIN), "PYTHONPATH": small.PATH}
        environment["TMPDIR"] = str(base / f"home-{odd}")
        options = ["1" if odd else "2", "077" if odd else "022", str(place)]
        command = [sys.executable, *(["-O"] if odd else []), "-c", SCRIPT, *options]
        subprocess.run(command, env=environment, check=True, cwd=base / f"home-{odd}")
        made.append(place)
    return made[0], made[1]


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*"))}


@pytest.mark.parametrize("name", MADE)
def test_the_same_program_gives_the_same_bytes(twice: tuple[Path, Path], name: str) -> None:
    """In two processes; and neither folder's place is in any file."""
    first, second = (content(place / name) for place in twice)
    assert first == second
    assert len(first) == 4
    assert not any(str(place).encode() in data for place in twice for data in first.values())


def test_the_builds_differ(twice: tuple[Path, Path]) -> None:
    """What is compared above is not one build again and again."""
    kinds = {hashlib.sha256(content(twice[0] / n)["program.txt"]).digest() for n in MADE}
    assert len(kinds) == len(MADE)
