"""What ``spikec verify --against FRAMEWORK`` does."""

import os
import sys
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from spikec.compiler.against import verify_against
from spikec.compiler.artifact import MANIFEST, open_folder
from spikec.compiler.cli_report import Bar, Findings, Report
from spikec.compiler.cli_tasks import Data, verify_inputs
from spikec.compiler.disk import restore
from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.frontends.framework_run import FRAMEWORKS, FrameworkRun, open_run
from spikec.compiler.ir import Program
from spikec.compiler.pipeline import compile_graph

__all__ = ["FRAMEWORKS", "Place", "verify"]


@dataclass(frozen=True, slots=True)
class Place:
    """A model, or a build and the model that it was made of, as the command line names them."""

    path: str
    model: str | None
    dt: float | None
    semantics: str | None

    def open(self, framework: str) -> tuple[FrameworkRun, Program]:
        """Return the model in its framework, and the program to compare.

        Raises:
            SpikecError: SPK1484 on a build without its model, SPK1485 on a model of a model.
        """
        restore(Path(self.path))
        is_build = os.path.lexists(os.path.join(self.path, MANIFEST))
        if is_build and self.model is None:
            raise SpikecError(
                "SPK1484",
                self.path,
                "a build does not hold the model that it was made of",
                "Give --model",
            )
        if self.model is not None and not is_build:
            raise SpikecError(
                "SPK1485", self.path, "it is no build, so --model has no effect", "Leave it out"
            )
        run = open_run(self.model or self.path, framework, self.dt, self.semantics)
        if is_build:
            return run, open_folder(self.path)
        return run, compile_graph(run.graph, pipeline="discretize")


def verify(place: Place, data: Data, framework: str, backend: str, double: bool) -> Report:
    """Run a model in its framework and in spikec, and compare."""
    findings = Findings()
    with redirect_stdout(sys.stderr):  # what the user's own module prints is no data of ours
        run, program = place.open(framework)
        if double and run.single(True):
            raise SpikecError(
                "SPK1486",
                "--float64",
                f"{run.name(True)} computes in the type that the file says",
                "Leave it out",
            )
        findings.tell(*run.graph.findings)
        inputs, origin = verify_inputs(program.graph, data, findings, run.fixed_steps())
        if data.path is None:
            for name in run.whole():
                inputs[name] = np.broadcast_to(inputs[name][:, :1], inputs[name].shape)
                origin += f", {name} the same in every step"
        with Bar() as bar:
            found = verify_against(run, program, inputs, backend, double, bar, findings.tell)
    if not found.spikes:
        text = "the framework sends no spike on this input, so little is compared"
        findings.tell(Finding("SPK1487", program.graph.name, text))
    shown = {"equal": found.equal, "input": origin, **asdict(found)}
    return Report(shown, [f"input  {origin}", str(found)], findings, code=0 if found.equal else 1)
