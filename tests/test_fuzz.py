"""Hostile input: thousands of mutants, and that the watch over them sees what it must."""

import os
import pickle
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fuzzing import builds, hdf5, mutation
from fuzzing.farm import MEMORY, SECONDS, campaign, plant
from fuzzing.hostile import CANARY
from fuzzing.seeds import NETWORKS
from fuzzing.trial import command, judge
from sizes import evidence, size
from spikec.compiler.frontends.nir_raw import FIELDS

CASES = size(80, 20_000)


def test_hostile_input(tmp_path: Path) -> None:
    """No mutant of a file or a build does harm; enough of them come far enough."""
    table = campaign(0, range(CASES), size(1, 2), tmp_path)
    print(table)
    evidence("hostile_input", **table.figures())
    assert not table.findings
    assert table.count("tried") == CASES
    assert table.count("tried", mutation.STRUCTURED) >= CASES / 2
    assert table.count("semantic") >= 0.3 * CASES
    assert table.count("simulated") >= 0.1 * CASES
    assert table.largest[0] < MEMORY
    assert table.slowest[0] < SECONDS
    if CASES >= 20_000:
        used = {name.removesuffix("?") for _, name in table.stages}
        assert used >= {*hdf5.EDITS, *builds.EDITS}


def test_the_seeds_hold_every_kind_of_node() -> None:
    """A new kind needs a seed; ``add_node`` alone hardly ever makes one that fits."""
    held = {str(n["type"]) for make in NETWORKS.values() for n in make()["nodes"].values()}
    assert held >= set(FIELDS)


def test_a_case_is_the_same_every_time(tmp_path: Path) -> None:
    """The bytes of a mutant depend on its number alone."""
    plant(tmp_path)
    for number in range(30):
        made: list[Any] = []
        for name in ("a", "b"):
            folder = tmp_path / name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            case = mutation.make(7, number, tmp_path / "seeds", folder)
            # The builds' arrays are packed with the time of day.
            content = case.path.read_bytes() if case.path.is_file() else b""
            made.append((case.kind, case.seed, case.edits, case.refused, content))
        assert made[0] == made[1]


def test_the_command_line(tmp_path: Path) -> None:
    """In processes as a user starts them: an exit code, one line, never a traceback."""
    plant(tmp_path)
    (tmp_path / "work").mkdir()
    paths = [str(Path(__file__).parents[1] / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    ended: Counter[int] = Counter()
    for number in range(size(4, 200)):
        folder = tmp_path / "mutant"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        case = mutation.make(1, number, tmp_path / "seeds", folder)
        line = command(case, mutation.generator(1, number, "command"), tmp_path / "work")
        done = subprocess.run(
            [sys.executable, "-m", "spikec", *line],
            cwd=tmp_path / "work",
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert not judge(line, done.returncode, done.stdout, done.stderr)
        ended[done.returncode] += 1
    assert not (tmp_path / "work" / CANARY).exists()
    evidence("hostile_command_lines", done=ended[0], refused=ended[1])


# ---------------------------------------------------------------- the watch sees

SCRIPT = """
import os, sys
from pathlib import Path
from fuzzing.watch import Watch
work = Path(sys.argv[1])
watch = Watch([work])
with watch.watching() as seen:
    try:
        {action}
    except Exception:
        pass
print(len(seen), *seen)
"""


@pytest.mark.parametrize(
    ("action", "sees"),
    [
        ("open(work / 'x', 'w')", False),
        ("open(work.parent / 'x', 'w')", True),
        ("open(work.parent / 'y')", False),
        ("os.open(work.parent / 'x', os.O_CREAT)", True),
        ("os.rename(work, work.parent / 'z')", True),
        ("os.mkdir(work.parent / 'z')", True),
        ("os.symlink('/', work.parent / 'z')", True),
        ("os.system('true')", True),
        ("__import__('subprocess').run(['true'])", True),
        (f"exec('{CANARY} = 1')", True),
        ("exec('x = 1')", False),
        (f"__import__('{CANARY}')", True),
        ("__import__('socket').create_connection(('localhost', 9))", True),
        ("__import__('pickle').loads(b'cposix\\nsystem\\n(S\"true\"\\ntR.')", True),
    ],
)
def test_the_watch(tmp_path: Path, action: str, sees: bool) -> None:
    """Writing outside, running code, reaching out; and nothing else."""
    (tmp_path / "work").mkdir()
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(action=action), str(tmp_path / "work")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*paths, *sys.path])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (int(done.stdout.split()[0]) > 0) == sees, done.stdout


def test_the_bomb_goes_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pickle inside the arrays would run a command: it is no dud."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(builds.Bomb()))
    assert (tmp_path / CANARY).exists()
