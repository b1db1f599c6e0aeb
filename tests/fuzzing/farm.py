"""Runs a campaign: worker processes, the limits on time and memory, the table, the verdict."""

import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from fuzzing import mutation, seeds
from fuzzing.trial import STAGES

SECONDS, MEMORY = 10.0, 2 << 30
# A machine that does other things is given more time to do ten seconds of work.
PATIENCE = 6.0
# A worker is replaced after so many cases, so that what it holds is not taken for a leak.
TURN = 400
TESTS = Path(__file__).resolve().parent.parent


@dataclass
class Table:
    """What a campaign counted.

    Attributes:
        stages: By kind and first mutation, how many cases reached each stage.
        codes: By error code, how many cases ended with it.
        findings: By case number, what must not happen.
        slowest: Seconds of work that the slowest case took, and its number.
        largest: Bytes at the largest peak, and the case after which it was seen.
    """

    stages: dict[tuple[str, str], Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter[str])
    )
    codes: Counter[str] = field(default_factory=Counter[str])
    findings: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    slowest: tuple[float, int] = (0.0, -1)
    largest: tuple[int, int] = (0, -1)

    def add(self, number: int, said: dict[str, Any], seconds: float) -> None:
        """Count a case."""
        name = said["edits"][0] if said["edits"] else "nothing"
        reached = STAGES[: STAGES.index(said["stage"]) + 1]
        self.stages[said["kind"], name].update(reached)
        self.codes[said["code"] or "none"] += 1
        self.slowest = max(self.slowest, (seconds, number))
        self.largest = max(self.largest, (said["peak"], number))
        found = list(said["findings"])
        if said["peak"] > MEMORY:
            found.append(f"memory: {said['peak'] / 2**30:.2f} GiB")
        if found:
            self.findings[number] = found

    def count(self, stage: str, kinds: tuple[str, ...] = tuple(mutation.KINDS)) -> int:
        """Return how many cases of some kinds reached a stage."""
        return sum(c[stage] for (kind, _), c in self.stages.items() if kind in kinds)

    def __str__(self) -> str:
        """Return the table as text."""
        rows: list[tuple[str, ...]] = [("", "", *STAGES)]
        for (kind, name), counts in sorted(self.stages.items()):
            rows.append((kind, name, *(f"{counts[s]:,}" for s in STAGES)))
        rows.append(("all", "", *(f"{self.count(s):,}" for s in STAGES)))
        widths = [max(len(r[k]) for r in rows) for k in range(len(rows[0]))]
        lines: list[str] = []
        for row in rows:
            cells = enumerate(zip(row, widths, strict=True))
            lines.append("  ".join(c.rjust(w) if k > 1 else c.ljust(w) for k, (c, w) in cells))
        lines += ["", ", ".join(f"{c}: {n}" for c, n in sorted(self.codes.items()))]
        lines += [f"slowest {self.slowest[0]:.2f} s (case {self.slowest[1]})"]
        lines += [f"largest {self.largest[0] / 2**20:.0f} MiB (case {self.largest[1]})"]
        return "\n".join(lines)

    def figures(self) -> dict[str, Any]:
        """Return what is worth keeping."""
        return {
            **{stage: self.count(stage) for stage in STAGES},
            "structure-aware": self.count("tried", mutation.STRUCTURED),
            "different error codes": len(self.codes) - 1,
            "HDF5 library killed": self.codes["SPK1060"],
            "findings": len(self.findings),
            "slowest s": round(self.slowest[0], 2),
            "largest MiB": self.largest[0] >> 20,
        }


class Worker:
    """A worker process and what it is doing."""

    def __init__(self, campaign: int, home: Path, name: str) -> None:
        """Start it."""
        work = home / name
        shutil.rmtree(work, ignore_errors=True)
        (work / "tmp").mkdir(parents=True)
        paths = [str(TESTS), str(TESTS.parent / "src"), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "TMPDIR": str(work / "tmp"),
            "OPENBLAS_NUM_THREADS": "1",
        }
        command = [sys.executable, "-m", "fuzzing.worker", str(campaign), str(home / "seeds")]
        self.errors = (work / "stderr").open("w+")
        self.process = subprocess.Popen(
            [*command, str(work)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            start_new_session=True,
            bufsize=0,  # or a line could wait in a buffer, unseen by the selector
        )
        self.number = -1
        self.done = 0
        self.edits: list[str] = []
        self.began = self.worked = 0.0

    @property
    def pipe(self) -> IO[bytes]:
        """Where it reports."""
        assert self.process.stdout is not None
        return self.process.stdout

    def give(self, number: int) -> None:
        """Hand it a case."""
        assert self.process.stdin is not None
        self.number, self.edits = number, []
        self.began, self.worked = time.monotonic(), self.work()
        self.process.stdin.write(f"{number}\n".encode())
        self.process.stdin.flush()

    def work(self) -> float:
        """Return the seconds that it and its children have worked."""
        try:
            text = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2]
        except OSError:
            return 0.0
        return sum(int(n) for n in text.split()[11:15]) / os.sysconf("SC_CLK_TCK")

    def overdue(self) -> bool:
        """Return whether it works too long, or waits too long for anything."""
        waited = time.monotonic() - self.began
        return waited > SECONDS and (
            self.work() - self.worked > SECONDS or waited > SECONDS * PATIENCE
        )

    def end(self) -> str:
        """End it and return what it printed last."""
        self.process.kill()
        self.process.wait()
        self.errors.seek(0)
        said = self.errors.read()[-3000:]
        self.errors.close()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        return said


def plant(home: Path) -> None:
    """Write the seeds and the decoys outside."""
    for name in ("networks", "builds", "outside"):
        (home / "seeds" / name).mkdir(parents=True)
    seeds.write_networks(home / "seeds" / "networks")
    seeds.write_builds(home / "seeds" / "builds")
    outside = home / "seeds" / "outside"
    shutil.copy(home / "seeds" / "networks" / "recurrent.nir", outside / "good.nir")
    shutil.copy(home / "seeds" / "builds" / "sparse8" / "program.txt", outside / "text")
    (outside / "zeros").write_bytes(bytes(1 << 16))


def campaign(
    seed: int, cases: range, workers: int, home: Path, seconds: float | None = None
) -> Table:
    """Run cases; stop after so many seconds if that is given.

    Args:
        seed: Of the campaign; a case is the same wherever and whenever it runs.
        cases: Their numbers.
        workers: Number of processes.
        home: A folder to work in.
        seconds: Time limit, for a look.
    """
    plant(home)
    return _Farm(seed, workers, home).run(cases, seconds)


class _Farm:
    def __init__(self, seed: int, workers: int, home: Path) -> None:
        self.seed, self.home = seed, home
        self.table = Table()
        self.selector = selectors.DefaultSelector()
        self.workers = [self._start(f"worker{k}") for k in range(workers)]

    def _start(self, name: str) -> Worker:
        worker = Worker(self.seed, self.home, name)
        self.selector.register(worker.pipe, selectors.EVENT_READ, name)
        return worker

    def run(self, cases: range, seconds: float | None) -> Table:
        waiting = iter(cases)
        end = time.monotonic() + (seconds or 1e9)
        busy = 0
        for worker in self.workers:
            busy += self._next(worker, waiting, end)
        while busy:
            for key, _ in self.selector.select(timeout=0.5):
                k = int(key.data.removeprefix("worker"))
                if not self._read(k):
                    continue
                if self.workers[k].done >= TURN:
                    self._replace(k)
                busy -= not self._next(self.workers[k], waiting, end)
            for k, worker in enumerate(self.workers):
                if worker.number >= 0 and worker.overdue():
                    self._fail(k, f"it takes longer than {SECONDS:g} s")
                    busy -= not self._next(self.workers[k], waiting, end)
        for worker in self.workers:
            worker.end()
        return self.table

    def _next(self, worker: Worker, waiting: Any, end: float) -> bool:
        number = next(waiting, None) if time.monotonic() < end else None
        if number is None:
            worker.number = -1
            return False
        worker.give(number)
        return True

    def _read(self, k: int) -> bool:
        """Take a line of a worker; return whether it is ready for another case."""
        worker = self.workers[k]
        line = worker.pipe.readline()
        if not line:
            self._fail(k, f"the process died ({worker.process.wait()})")
            return True
        said = json.loads(line)
        if "stage" not in said:
            worker.edits = said["edits"] or ["nothing"]
            worker.began, worker.worked = time.monotonic(), worker.work()
            return False
        worker.done += 1
        self.table.add(worker.number, said, worker.work() - worker.worked)
        if said["peak"] > MEMORY:
            self._replace(k)
        return True

    def _replace(self, k: int) -> str:
        old = self.workers[k]
        self.selector.unregister(old.pipe)
        said = old.end()
        self.workers[k] = self._start(f"worker{k}")
        return said

    def _fail(self, k: int, problem: str) -> None:
        number, edits = self.workers[k].number, self.workers[k].edits
        said = self._replace(k)
        if not edits:
            raise RuntimeError(f"case {number} could not be made: {problem}\n{said}")
        self.table.stages["killed", edits[0]]["tried"] += 1
        self.table.findings[number] = [f"{problem}\n{said}"]


def keep(table: Table, seed: int, home: Path, folder: Path) -> None:
    """Save every mutant that led to a finding, with what happened."""
    for number, found in sorted(table.findings.items()):
        place = folder / f"{seed}-{number}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        mutation.make(seed, number, home / "seeds", place)
        (place / "findings.txt").write_text("\n\n".join(found) + "\n", errors="replace")


def folder_to_work_in() -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder."""
    return tempfile.TemporaryDirectory(prefix="spikec-fuzz-")
