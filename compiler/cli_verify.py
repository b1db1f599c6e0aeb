"""What ``spikec verify`` does with a build."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spikec.compiler.artifact import open_folder
from spikec.compiler.cli_report import Bar, Block, Findings, Report, Table
from spikec.compiler.cli_tasks import Data, Lava, verify_inputs
from spikec.compiler.compare import Comparison, compare
from spikec.compiler.disk import whole_file
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Program
from spikec.compiler.signals import quiet
from spikec.compiler.simulator import Simulator, find_backend, stored_inputs
from spikec.compiler.target import load_target
from spikec.compiler.types import Array


@dataclass(frozen=True, slots=True)
class Others:
    """What a build is compared with, as the command line names it.

    Attributes:
        backend: A backend; that or those of the target if not given.
        lava: An interpreter with Lava instead.
        waves: A file for a waveform.
    """

    backend: str | None = None
    lava: Lava | None = None
    waves: Path | None = None

    def simulators(self, build: Path, program: Program) -> list[Simulator]:
        """Return what runs the program elsewhere."""
        if self.lava is not None:
            runner = self.lava.runner(build, program)
            return [Simulator(program, "Lava 0.10.0", quiet, runner)]
        names = (self.backend,) if self.backend else verified_by(program)
        return [_simulator(name, build, program) for name in names]


def verified_by(program: Program) -> tuple[str, ...]:
    """Return the backends that a build is compared with unless the user names one."""
    if not program.target:
        return ("cpu",)
    backend = find_backend(load_target(program.target).backend)
    return getattr(backend, "verified_by", ("cpu",))


def _simulator(name: str, build: Path, program: Program) -> Simulator:
    backend = find_backend(name)
    if not hasattr(backend, "prepare_build"):
        return Simulator(program, name, quiet)
    # What lies in the build is run, not what would be made from the program now.
    return Simulator(program, name, quiet, backend.prepare_build(program, build))


def verify(build: Path, data: Data, against: str, others: Others) -> Report:
    """Run a build on two backends, or on one and in Lava, and compare.

    Raises:
        SpikecError: SPK1931 where a waveform is wanted and nothing gives one.
    """
    find_backend(against)
    program = open_folder(build)
    runs = others.simulators(build, program)
    showing = [r for r in runs if getattr(r.runner, "waves", False)]
    if others.waves is not None and not showing:
        raise SpikecError(
            "SPK1931",
            "--waves",
            f"{runs[0].backend} has no clock cycles to show",
            "Use --backend fpga, on a build for an FPGA",
        )
    findings = Findings()
    inputs, origin = verify_inputs(program.graph, data, findings)
    found: list[Comparison] = []
    lines = [f"input  {origin}"]
    for run in runs:
        given = program, inputs, run, others.waves if run in showing else None
        with Bar() as bar:
            made = _compared(against, bar, findings, *given)
        found.append(made[0])
        lines += made[1]
    equal = all(f.equal for f in found)
    worst = next((f for f in found if not f.equal), found[0])
    shown = {"equal": equal, "input": origin, **asdict(worst)}
    if len(found) > 1:
        shown["runs"] = [{"equal": f.equal, **asdict(f)} for f in found]
    return Report(shown, lines, findings, code=0 if equal else 1)


def _compared(
    against: str,
    bar: Any,
    findings: Findings,
    program: Program,
    inputs: Mapping[str, Array],
    run: Simulator,
    waves: Path | None,
) -> tuple[Comparison, list[str]]:
    """Compare with one other, and write its waveform if that is wanted."""
    try:
        found = compare(program, inputs, against, run, progress=bar, report=findings.tell)
    except SpikecError as error:
        if waves is None:
            raise
        said = _show(program, inputs, run, waves, 0, None, failing=True)
        raise SpikecError(
            error.code, error.where, f"{error.problem}; waveform {said}", error.remedy
        ) from error
    if waves is None:
        return found, [str(found)]
    d = found.difference
    place = None if d is None else (d.population, d.step)
    said = _show(program, inputs, run, waves, 0 if d is None else d.sample, place)
    return found, [str(found), f"waves  {said}"]


def _show(
    program: Program,
    inputs: Mapping[str, Array],
    run: Simulator,
    waves: Path,
    sample: int,
    place: tuple[str, int] | None,
    failing: bool = False,
) -> str:
    """Write the waveform of a sample, and return what it shows.

    A run that is ``failing`` may fail again, as long as it leaves a waveform.
    """
    stored = stored_inputs(program.graph, {n: a[: sample + 1] for n, a in inputs.items()})
    what = "its beginning"
    with whole_file(waves) as temporary:
        try:
            what = run.runner.show(stored, temporary, place)
        except SpikecError:
            if not failing or not temporary.exists():
                raise
    return f"{waves}: sample {sample}, {what}"


def prove(build: Path) -> Report:
    """Prove what can be proved of a build.

    Raises:
        SpikecError: SPK1990 where its backend proves nothing.
    """
    program = open_folder(build)
    backend: Any = find_backend(load_target(program.target).backend if program.target else "cpu")
    if not hasattr(backend, "prove"):
        raise SpikecError(
            "SPK1990", "--prove", "nothing of this build can be proved", "Compile for an FPGA"
        )
    found = backend.prove(program, build)
    rows = tuple(
        (c.module, c.claim, ", ".join(f"{n} {status}" for status, n in sorted(c.outcomes.items())))
        for c in found
    )
    lines: list[Block] = [Table(("module", "what", "obligations"), rows)]
    lines += [f"{c.module}  {example}" for c in found for example in c.examples]
    proved = all(c.proved for c in found)
    lines.append("proved" if proved else "not everything is proved")
    shown = {"proved": proved, "claims": [asdict(c) for c in found]}
    return Report(shown, lines, code=0 if proved else 1)
