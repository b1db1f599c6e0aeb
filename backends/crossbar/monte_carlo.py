"""Accuracy over many draws of the devices: spread, yield, and which stage costs how much.

A run is one case (which stages are on, and where) and one seed, and depends on nothing else, so
that runs may go on in any order, on any number of processes, and be taken up again. A journal keeps
each run as soon as it is done: a line of JSON, behind a first line that says what was run.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from spikec.backends.crossbar.arrays import Estimates
from spikec.backends.crossbar.devices import Devices
from spikec.backends.crossbar.plan import Plan, plan
from spikec.backends.crossbar.runner import TileRunner
from spikec.backends.crossbar.spread import Spread, Yield, reached, spread
from spikec.compiler.compare import batches
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Program
from spikec.compiler.signals import quiet, read_out
from spikec.compiler.simulator import Simulator
from spikec.compiler.text import print_program
from spikec.compiler.types import Array
from spikec.compiler.untyped import joblib

SEEDS = 10  # runs that a process is given at once
ALL = "all"


@dataclass(frozen=True, slots=True)
class Case:
    """Which stages are on, and in which projection: all of them if None."""

    name: str
    stages: tuple[str, ...]
    projection: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """What is run.

    Attributes:
        program: Integers.
        devices: All stages.
        inputs: By input name, (samples, steps, *shape).
        labels: One class per sample.
        readout: How an output is a class.
        runs: Seeds of a case, from ``seed`` on.
        seed: The first.
        attribute: Cases for single stages and projections, too.
    """

    program: Program
    devices: Devices
    inputs: Mapping[str, Array]
    labels: Array
    readout: str
    runs: int
    seed: int = 0
    attribute: bool = False

    def cases(self) -> list[Case]:
        """Return the cases: ideal, all stages, each alone, the first so many, each projection."""
        names = tuple(self.devices.on)
        made = [Case(ALL, names)]
        if self.attribute:
            made += [Case(f"only {n}", (n,)) for n in names]
            made += [Case(f"up to {n}", names[: k + 1]) for k, n in enumerate(names)]
            made += [
                Case(f"only in {s.projection} (delay {s.projection.delay})", names, k)
                for k, s in enumerate(plan(self.program).stored)
            ]
        return made

    def right(self, made: Plan, case: Case, seed: int, estimates: Estimates | None = None) -> int:
        """Return how many samples are classified right in a run."""
        where = None if case.projection is None else {case.projection}
        runner = TileRunner(made, self.devices.only(case.stages), seed, where, estimates)
        simulator = Simulator(self.program, "crossbar", quiet, runner)
        found: list[Array] = []
        for part, _ in batches(self.program, self.inputs, ()):
            trace = simulator.run({n: np.asarray(a)[part] for n, a in self.inputs.items()})
            found.append(read_out(trace.output, self.readout))
        return int((np.concatenate(found) == self.labels).sum())

    def made(
        self,
        workers: int,
        journal: Path | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> dict[str, list[int]]:
        """Return by case the samples that are right in every run; see ``run``."""
        return run(self, workers, journal, progress)

    def result(self, made: Mapping[str, Sequence[int]]) -> tuple[float, list[Spread]]:
        """Return the accuracy of ideal cells, and what the runs of every case say."""
        samples = len(self.labels)
        best = self.right(plan(self.program), Case("ideal", ()), 0) / samples
        return best, [spread(name, right, samples, best) for name, right in made.items()]

    def reached(self, made: Mapping[str, Sequence[int]], bound: float) -> Yield:
        """Return how many arrays with all stages have at least an accuracy."""
        return reached(made[ALL], len(self.labels), bound)

    def fingerprint(self) -> str:
        """Return a hash of everything that the numbers depend on but case and seed."""
        said = hashlib.sha256(version("spikec").encode())
        tiles = json.dumps(self.program.reports.get("tiles", {}), sort_keys=True)
        for text in (print_program(self.program), tiles, str(self.devices), self.readout):
            said.update(text.encode() + b"\0")
        for name, data in sorted(self.inputs.items()):
            array = np.ascontiguousarray(data)
            said.update(f"{name} {array.dtype} {array.shape}\0".encode())
            said.update(array.data)
        said.update(np.ascontiguousarray(self.labels, dtype=np.int64).data)
        return said.hexdigest()


def run(
    study: Study,
    workers: int,
    journal: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, list[int]]:
    """Return by case the samples that are right in every run, in the order of seeds.

    Args:
        study: What is run.
        workers: Processes.
        journal: Where runs are kept and taken up from; None keeps nothing.
        progress: Called with the runs that are done, and of how many.

    Raises:
        SpikecError: Errors of ``_Journal``, of ``plan`` and of the runs.
    """
    plan(study.program)  # what does not fit is told before anything is begun
    book = _Journal(journal, study.fingerprint())
    seeds = range(study.seed, study.seed + study.runs)
    wanted = [(c, s) for c in study.cases() for s in seeds]
    missing = [(c, s) for c, s in wanted if (c.name, s) not in book.done]
    if progress:
        progress(len(wanted) - len(missing), len(wanted))
    for case, seed, right in _results(study, missing, workers):
        book.add(case, seed, right)
        if progress:
            progress(sum((c.name, s) in book.done for c, s in wanted), len(wanted))
    return {c.name: [book.done[c.name, s] for s in seeds] for c in study.cases()}


def _results(
    study: Study, missing: list[tuple[Case, int]], workers: int
) -> Iterator[tuple[str, int, int]]:
    """Give every run as soon as it is done."""
    if workers == 1:
        made, known = plan(study.program), Estimates()
        for case, seed in missing:
            yield case.name, seed, study.right(made, case, seed, known)
        return
    parts = [missing[k : k + SEEDS] for k in range(0, len(missing), SEEDS)]
    pool = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")
    for part in pool(joblib.delayed(_some)(study, p) for p in parts):
        yield from part


def _some(study: Study, runs: list[tuple[Case, int]]) -> list[tuple[str, int, int]]:
    """Return some runs; in a process of its own."""
    made, known = plan(study.program), Estimates()
    return [(case.name, seed, study.right(made, case, seed, known)) for case, seed in runs]


class _Journal:
    """Runs that are done, by case and seed."""

    def __init__(self, path: Path | None, fingerprint: str) -> None:
        """Read what there is, dropping a last line that was not finished.

        Raises:
            SpikecError: SPK2118 where the file is of something else, SPK2119 where it cannot be
                read or written.
        """
        self.path = path
        self.done: dict[tuple[str, int], int] = {}
        if path is None:
            return
        try:
            text = path.read_text("utf-8") if path.exists() else ""
            whole = text[: text.rfind("\n") + 1]
            lines = [json.loads(line) for line in whole.splitlines()]
            if lines and lines[0] != {"study": fingerprint}:
                raise SpikecError(
                    "SPK2118",
                    str(path),
                    "it is the journal of another study: other build, devices, data or version",
                    "Give another file, or remove that one",
                )
            self.done = {(str(r["case"]), int(r["seed"])): int(r["right"]) for r in lines[1:]}
            if whole != text or not lines:
                path.write_text(whole or json.dumps({"study": fingerprint}) + "\n", "utf-8")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _unusable(path, error) from error

    def add(self, case: str, seed: int, right: int) -> None:
        """Keep a run."""
        self.done[case, seed] = right
        if self.path is not None:
            line = json.dumps({"case": case, "seed": seed, "right": right}) + "\n"
            try:
                with self.path.open("a", encoding="utf-8") as stream:
                    stream.write(line)
            except OSError as error:
                raise _unusable(self.path, error) from error


def _unusable(path: Path, error: Exception) -> SpikecError:
    problem = f"it is no journal that can be read and written ({error})"
    return SpikecError("SPK2119", str(path), problem, "Give another path")
