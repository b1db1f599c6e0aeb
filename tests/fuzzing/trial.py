"""One case: load the mutant, verify, compile, simulate, and note everything that is not allowed."""

import importlib
import io
import traceback
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import spikec
from fuzzing.hostile import CANARY
from fuzzing.mutation import Case, generator
from fuzzing.watch import Watch, tree
from spikec.compiler import artifact, cli
from spikec.compiler.compare import compare
from spikec.compiler.ir import Graph, Program
from spikec.compiler.semantics import PRESETS
from spikec.compiler.signals import random_inputs
from spikec.compiler.simulator import simulate
from spikec.compiler.text import print_program

STAGES = ("tried", "opened", "semantic", "loaded", "compiled", "simulated")
# Errors of a file that is no HDF5, or of which nothing can be read.
_UNREAD = ("SPK1001", "SPK1002", "SPK1018", "SPK1060")
PIPELINES = (
    *("discretize", "discretize", "discretize,quantize", "discretize,quantize{weight_bits=4}"),
    *("discretize,retime", "discretize,fuse,prune,quantize,retime", "discretize,quantize_loihi"),
)
STEPS = 3
# Shares of cases that also go through the command line, or through the fast engine.
COMMAND, ENGINE, EMIT = 0.05, 0.12, 0.05
# Networks that are only large are not run: that they load in time and memory is what is tested.
MOST_NUMBERS = 3_000_000


@dataclass
class Outcome:
    """What happened to a case.

    Attributes:
        stage: How far it came, of ``STAGES``.
        code: Code of the error that stopped it, or empty.
        findings: What must not happen.
    """

    stage: str = "tried"
    code: str = ""
    findings: list[str] = field(default_factory=list[str])

    def reach(self, stage: str) -> None:
        """Note that a stage was reached."""
        if STAGES.index(stage) > STAGES.index(self.stage):
            self.stage = stage


class Trial:
    """Runs cases in this process."""

    def __init__(self, campaign: int, work: Path, watch: Watch) -> None:
        """Note when semantic checks begin."""
        self.campaign, self.work, self.watch = campaign, work, watch
        self.outcome = Outcome()
        # ``frontends.nir`` is the library of that name.
        frontend = importlib.import_module("spikec.compiler.frontends.nir")
        self._mark(frontend, "flatten", "semantic")
        self._mark(artifact, "parse_program", "opened")
        self._mark(artifact, "verify", "semantic")

    def _mark(self, module: Any, name: str, stage: str) -> None:
        call: Callable[..., Any] = getattr(module, name)

        def marked(*arguments: Any) -> Any:
            self.outcome.reach(stage)
            return call(*arguments)

        setattr(module, name, marked)

    def run(self, case: Case) -> Outcome:
        """Return what happened."""
        self.outcome = outcome = Outcome()
        before = tree(case.path.parent)
        rnd = generator(self.campaign, case.number, "trial")
        with warnings.catch_warnings(record=True) as warned, self.watch.watching() as seen:
            warnings.simplefilter("always")
            try:
                self._steps(case, rnd)
            except spikec.SpikecError as error:
                self._refused(case, error)
            except Exception:
                outcome.findings.append(traceback.format_exc())
        outcome.findings += [f"not allowed: {s}" for s in seen]
        wrong = [w for w in warned if not issubclass(w.category, UserWarning)]
        outcome.findings += [f"warning: {w.filename}:{w.lineno} {w.message}" for w in wrong]
        if tree(case.path.parent) != before:
            outcome.findings.append("the mutant was changed")
        if any(Path(p, CANARY).exists() for p in (self.work, ".", case.path.parent, case.path)):
            outcome.findings.append("code of the mutant was run")
        if case.refused and outcome.stage in STAGES[3:]:
            outcome.findings.append("it should have been refused")
        return outcome

    def _refused(self, case: Case, error: spikec.SpikecError) -> None:
        self.outcome.code = error.code
        text = str(error)
        if not text.isprintable() or len(text) > 2000:
            self.outcome.findings.append(f"the error is no line to print: {text[:200]!r}")
        if case.path.is_file() and error.code not in _UNREAD:
            self.outcome.reach("opened")

    def _steps(self, case: Case, rnd: Random) -> None:
        if rnd.random() < COMMAND:
            self._command(case, rnd)
        folder = case.path.is_dir()
        program = spikec.open(case.path) if folder else self._compiled(case.path, rnd)
        self.outcome.reach("loaded")
        self.outcome.reach("compiled")
        if program.stage == "continuous" or _size(program.graph) > MOST_NUMBERS:
            return
        self._simulate(program, rnd)
        if rnd.random() < EMIT:
            self._emit(program)

    def _compiled(self, path: Path, rnd: Random) -> Program:
        semantics = rnd.choice(["nir", "nir", *PRESETS])
        dt = rnd.choice([1e-3, 1e-3, 1e-3, 1e-4, None])
        graph = spikec.load(path, dt=dt, semantics=semantics)
        self.outcome.reach("loaded")
        print_program(Program(graph))
        pipeline = rnd.choice(PIPELINES)
        data = None
        if "quantize" in pipeline and _size(graph) < MOST_NUMBERS:
            data = random_inputs(graph, 2, STEPS, 0.3, rnd.randrange(100))
        return spikec.compile(graph, pipeline=pipeline, calibration=data)

    def _simulate(self, program: Program, rnd: Random) -> None:
        inputs = random_inputs(program.graph, 1, STEPS, 0.3, rnd.randrange(100))
        if rnd.random() < ENGINE:
            found = compare(program, inputs)
            # Floating point that overflows, or lies on a threshold, may differ in the last bit.
            if not found.equal and program.stage == "integer":
                self.outcome.findings.append(str(found))
        else:
            simulate(program, inputs, ("spikes", "state"), "reference")
        self.outcome.reach("simulated")

    def _emit(self, program: Program) -> None:
        """What was accepted can be written and read again."""
        place = self.work / "emitted"
        spikec.emit(program, place)
        if print_program(spikec.open(place)) != print_program(program):
            self.outcome.findings.append("it changes when it is written and read again")

    # ------------------------------------------------------------ command line

    def _command(self, case: Case, rnd: Random) -> None:
        out, err = io.StringIO(), io.StringIO()
        line = command(case, rnd, self.work)
        with redirect_stdout(out), redirect_stderr(err):
            code = cli.run(line)
        self.outcome.findings += judge(line, code, out.getvalue(), err.getvalue())


def command(case: Case, rnd: Random, work: Path) -> list[str]:
    """Return a command line on a mutant."""
    path, out = str(case.path), str(work / "out")
    if case.path.is_dir():
        data = str(work / "data.npy")
        np.save(data, np.zeros((1, 2, *rnd.choice([(2, 3), (6,), (3,)]))))
        lines = [["show", path], ["show", path, "--equations"], ["verify", path, "--steps", "3"]]
        lines += [["simulate", path, "-i", data, "-o", f"{out}.npz", "--record", "spikes,state"]]
    else:
        lines = [["check", path], ["show", path], ["compile", path, "-o", out]]
        lines += [["check", path, "--semantics", "snntorch", "--pipeline", "discretize,quantize"]]
        lines = [[*line, *rnd.choice([[], ["--dt", "1e-3"]])] for line in lines]
    return [*rnd.choice(lines), *rnd.choice([[], ["--json"]])]


def judge(line: list[str], code: int, out: str, err: str) -> list[str]:
    """Return what is wrong with how a command ended."""
    found: list[str] = []
    told = f"{' '.join(line)} ended with {code}: {err[-1500:]}"
    if code not in (0, 1):
        found.append(told)
    if any(word in err + out for word in ("Traceback", "internal error", "Warning:")):
        found.append(told)
    if code == 1 and not err.strip() and "--json" not in line and line[0] != "verify":
        found.append(f"nothing is said: {told}")
    bare = (out + err).replace("\n", "").replace("\t", "")
    if "\x1b" in bare or "\x00" in bare:
        found.append(f"control characters are printed: {told!r}")
    return found


def _size(graph: Graph) -> int:
    """Return about how many numbers a step of one sample touches."""
    sizes = [n.size for n in graph.inputs] + [n.size for n in graph.populations]
    return sum(sizes) + sum(p.synapse.weight.data.size for p in graph.projections)
