"""Runs an emitted Lava program in the interpreter that has Lava: a child that never outlives us.

The program is emitted anew and compared with the one in the build, which is never executed: a build
may come from anywhere.
"""

import os
import signal
import subprocess
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from spikec.backends.loihi.emitters.lava import FOLDER, emitter, input_ids, population_ids
from spikec.backends.loihi.image import CoreImage, core_image
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Program, Trace
from spikec.compiler.npz import read_npz, write_npz
from spikec.compiler.types import Array

GRACE = 5.0  # seconds beyond the limit, in which the program ends itself
NO_LAVA, OTHER_LAVA, FAILED, TOO_LONG, NO_HARDWARE = 3, 4, 5, 6, 7
INSTALL = "Install lava-nc==0.10.0 in a Python 3.10 environment and name its python"


class LavaRunner:
    """The Lava program of a build, ready to be run many times; see ``Runner``."""

    def __init__(self, program: Program, build: Path, python: str, limit: float) -> None:
        """Check that the build holds the Lava program that belongs to it.

        Args:
            program: The program of the build.
            build: The folder.
            python: Interpreter that has Lava.
            limit: Seconds after which a run is given up.

        Raises:
            SpikecError: SPK1610 when no core runs the program, SPK1640 when Lava cannot express it,
                SPK1649 when the build holds another Lava program.
        """
        self.program, self.python, self.limit = program, python, limit
        self.image = checked_image(program)
        with TemporaryDirectory(prefix="spikec-") as scratch:
            _same_files(self._emitted(Path(scratch)), build / FOLDER)

    def run(self, inputs: Mapping[str, Array], record: Collection[str] = ()) -> Trace:
        """Run a batch in Lava's simulator.

        Raises:
            SpikecError: SPK1641 to SPK1648, what went wrong outside.
        """
        samples, steps = next(iter(inputs.values())).shape[:2]
        with TemporaryDirectory(prefix="spikec-") as scratch:
            folder = self._emitted(Path(scratch))
            given, made = Path(scratch) / "inputs.npz", Path(scratch) / "outputs.npz"
            ids = input_ids(self.image)
            write_npz(given, {ids[n]: np.asarray(a, dtype=np.uint8) for n, a in inputs.items()})
            options = ["--inputs", str(given), "--output", str(made)]
            call(self.python, folder, options, self.limit)
            found = _read(made, self.python)
        return self._trace(found, samples, steps)

    def deploy(self) -> str:
        """Run the golden inputs on the chip and return the verdict.

        Raises:
            SpikecError: SPK1641 to SPK1648, what is missing or went wrong.
        """
        with TemporaryDirectory(prefix="spikec-") as scratch:
            folder = self._emitted(Path(scratch))
            return call(self.python, folder, ["--hardware"], self.limit)

    def _emitted(self, scratch: Path) -> Path:
        folder = scratch / FOLDER
        emitter.emit(self.image, self.program, folder)
        return folder

    def _trace(self, found: Mapping[str, Array], samples: int, steps: int) -> Trace:
        """Return what Lava recorded, by population.

        Raises:
            SpikecError: SPK1647 when something is missing.
        """
        spikes: dict[str, Array] = {}
        state: dict[str, dict[str, Array]] = {}
        for p in self.program.graph.populations:
            identifier = population_ids(self.image)[p.name]

            def part(key: str, at: str = identifier, size: int = p.size) -> Array:
                array = found.get(f"{at}.{key}")
                if array is None or array.shape != (samples, steps, size):
                    raise _nothing(self.python)
                return array

            shape = samples, steps, *p.shape
            spikes[p.name] = part("spikes").reshape(shape).astype(bool)
            states = p.model().states
            state[p.name] = {s: part(s).reshape(shape).astype(np.int64) for s in states}
        outputs = {o.name: spikes[o.source] for o in self.program.graph.outputs}
        counts = {name: {"spikes": int(a.sum())} for name, a in spikes.items()}
        return Trace(outputs, spikes, state, counts)


def checked_image(program: Program) -> CoreImage:
    """Return the image of a program that Lava can express.

    Raises:
        SpikecError: SPK1610, SPK1640.
    """
    image = core_image(program)
    for finding in emitter.refuses(image):
        raise SpikecError(
            "SPK1640",
            finding.where,
            f"{finding.message} ({finding.code})",
            "Run it on the backends cpu or loihi, or change the model",
        )
    return image


def _same_files(made: Path, kept: Path) -> None:
    """Refuse a build whose Lava program is not the one that this spikec writes."""
    for path in sorted(made.rglob("*.*")):
        other = kept / path.relative_to(made)
        if not other.is_file() or other.read_bytes() != path.read_bytes():
            raise SpikecError(
                "SPK1649",
                str(other),
                "the Lava program in the build is missing or not what this spikec writes",
                "Compile again",
            )


# ---------------------------------------------------------------- the child


def call(python: str, folder: Path, options: list[str], limit: float) -> str:
    """Run ``run.py`` of an emitted program and return what it printed.

    No process of it is left when this returns or raises.

    Raises:
        SpikecError: SPK1641 to SPK1646 and SPK1648, each way in which it can fail.
    """
    said, told = folder.parent / "stdout", folder.parent / "stderr"
    command = [python, "-I", str(folder / "run.py"), "--watch", "--limit", f"{limit:g}", *options]
    environment = {**os.environ, "TMPDIR": str(folder.parent)}
    with said.open("wb") as out, told.open("wb") as err:
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # its end tells the program that we are gone
                stdout=out,
                stderr=err,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise SpikecError(
                "SPK1641",
                "--lava",
                f"'{python}' cannot be started ({error.strerror})",
                INSTALL,
            ) from None
        try:
            code: int | None = child.wait(limit + GRACE)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(child)
    _check(code, python, limit, told.read_text(errors="replace"))
    return said.read_text(errors="replace").strip()


def _end(child: "subprocess.Popen[bytes]") -> None:
    """End every process of the child's group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        # Terminated first: Python's tracker of shared memory ignores that, cleans up, and ends.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
            for _ in range(40):
                child.poll()
                os.killpg(child.pid, 0)
                time.sleep(0.05)
    child.wait()
    if child.stdin is not None:
        child.stdin.close()


def _check(code: int | None, python: str, limit: float, told: str) -> None:
    """Turn the exit code of ``run.py`` into an error, unless all is well."""
    lines = [line for line in told.strip().splitlines() if line.strip()]
    last = lines[-1].strip(" .")[:200] if lines else "it said nothing"
    if code in (0, 1) and lines and lines[-1] == "done":
        return
    if code == NO_LAVA:
        raise SpikecError("SPK1642", "--lava", f"{python}: {last}", INSTALL)
    if code == OTHER_LAVA:
        raise SpikecError("SPK1643", "--lava", f"{python}: {last}", INSTALL)
    if code == FAILED:
        cause = lines[-2].strip(" .")[:200] if len(lines) > 1 else last
        raise SpikecError(
            "SPK1644", "Lava", f"it failed: {cause}", "Run the run.py of the build to see it all"
        )
    if code is None or code == TOO_LONG:
        raise SpikecError(
            "SPK1645",
            "Lava",
            f"it did not end within {limit:g} s and was stopped",
            "Give more time with --limit, or fewer samples and steps",
        )
    if code == NO_HARDWARE:
        raise SpikecError(
            "SPK1648", "deploy", last, "Install it, or use spikec verify BUILD --lava PYTHON"
        )
    if code == 0:
        raise _nothing(python)
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    raise SpikecError(
        "SPK1646", "Lava", f"{python} ended with {how}: {last}", "Run the run.py of the build"
    )


def _nothing(python: str) -> SpikecError:
    return SpikecError(
        "SPK1647",
        "Lava",
        f"{python} ended well but wrote no spikes and states",
        "Check that it is the python of the Lava environment",
    )


def _read(path: Path, python: str) -> dict[str, Any]:
    """Return the arrays of a file that the child wrote."""
    if not path.is_file():
        raise _nothing(python)
    with path.open("rb") as stream:
        return read_npz(stream, "results of Lava")
