"""The cache of simulations stays small, and no tool runs for ever."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spikec.backends.fpga import tools
from spikec.backends.fpga.simulation import cache
from spikec.compiler.errors import SpikecError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache of three thousand bytes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(cache, "MOST_BYTES", 3000)
    return cache.cache()


def make(_: Path, done: Path) -> None:
    (done / "bench").write_bytes(b"x" * 1000)


def age(place: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(place, (then, then))


def test_what_was_used_longest_ago_goes(folder: Path) -> None:
    """But nothing that is in use; a use makes it young; what a killed process left goes too."""
    for k in range(5):
        assert (cache.kept(f"b{k}", make) / "bench").is_file()
    assert len(list(folder.iterdir())) == 5  # all of the last hour
    for k in range(5):
        age(folder / f"b{k}", 10_000 + 100 * k)
    cache.kept("b4", make)
    (folder / ".build-left").mkdir()
    (folder / ".build-now").mkdir()
    age(folder / ".build-left", 100_000)
    cache.kept("b5", make)
    assert sorted(p.name for p in folder.iterdir()) == [".build-now", "b0", "b4", "b5"]


def test_many_at_the_same_time(folder: Path) -> None:
    """All make the same folders and remove the same old ones, and get what they ask for."""
    for k in range(20):
        cache.kept(f"old{k}", make)
    for k in range(20):
        age(folder / f"old{k}", 10_000)

    def use(k: int) -> bool:
        return (cache.kept(f"b{k % 8}", make) / "bench").is_file()

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(use, range(80)))
    assert sorted(p.name for p in folder.iterdir()) == [f"b{k}" for k in range(8)]


def test_a_tool_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is ended with all its children, in one line."""
    monkeypatch.setattr(tools, "LIMIT", 1.0)
    child = f"exec {sys.executable} -c 'import time; time.sleep(60)'"
    script = f"echo $$ > pid; ({child}) & wait"
    with pytest.raises(SpikecError) as caught:
        tools.command(["sh", "-c", script], tmp_path)
    assert caught.value.code == "SPK1930"
    assert str(caught.value).startswith("sh: it ran for more than 1 s")
    group = int((tmp_path / "pid").read_text())
    for _ in range(50):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("its child still runs")
