"""Runs Vivado on a build where it is installed, and reads its reports."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from spikec.compiler.errors import SpikecError

SCRIPT = "vivado.tcl"
# Bytes of a report at most; those of whole devices have some megabytes.
LARGEST = 1 << 26
# Rows of report_utilization for UltraScale+; a star marks numbers before placement.
ROWS = {
    "lut": "CLB LUTs",
    "ff": "CLB Registers",
    "bram36": "Block RAM Tile",
    "uram": "URAM",
    "dsp": "DSPs",
}
POWER = {
    "total": "Total On-Chip Power (W)",
    "dynamic": "Dynamic (W)",
    "static": "Device Static (W)",
}


@dataclass(frozen=True, slots=True)
class Used:
    """How much of a resource a design takes.

    Attributes:
        used: Of the design; block RAM in halves of 36 kb.
        available: Of the part.
    """

    used: float
    available: float


@dataclass(frozen=True, slots=True)
class Built:
    """What the reports say.

    Attributes:
        resources: By the names of a target's device.
        period_ns: Of the clock that was asked for.
        wns_ns: Worst negative slack; below zero the clock is too fast.
        whs_ns: Worst hold slack.
        watts: total, dynamic and static.
        confidence: What Vivado says of its power.
    """

    resources: dict[str, Used]
    period_ns: float
    wns_ns: float
    whs_ns: float
    watts: dict[str, float]
    confidence: str

    @property
    def clock_hz(self) -> float:
        """The fastest clock that the slack allows, by this one run."""
        return 1e9 / (self.period_ns - self.wns_ns)


def build(folder: Path, output: Path, vivado: str, limit: float) -> Built:
    """Run ``vivado.tcl`` of a build in ``output`` and return what its reports say.

    No process of it is left when this returns or raises.

    Args:
        folder: The build; it stays as it is.
        output: Where Vivado runs and writes.
        vivado: The program.
        limit: Seconds that it may take.

    Raises:
        SpikecError: SPK1902 without Vivado, SPK1903 without a script, SPK1904 when the folder
            cannot be made, SPK1905 when it takes too long, SPK1906 when it fails; errors of
            ``read_reports``.
    """
    script = (folder / SCRIPT).resolve()
    program = shutil.which(vivado)
    if program is None:
        raise SpikecError(
            "SPK1902",
            "deploy",
            f"Vivado is missing: no program '{vivado}' was found",
            f"Install Vivado for the part, name it with --vivado, or run {script} where it is",
        )
    if not script.is_file():
        raise SpikecError("SPK1903", str(script), "there is no such script", "Compile again")
    try:
        output.mkdir(parents=True, exist_ok=True)
        log = (output / "spikec.log").open("wb")
    except OSError as error:
        raise SpikecError(
            "SPK1904", str(output), f"it cannot be written ({error.strerror})", "Use --output"
        ) from None
    with log:
        code = _run(
            [program, "-mode", "batch", "-nojournal", "-source", str(script)], output, limit, log
        )
    if code is None:
        raise SpikecError(
            "SPK1905", "vivado", f"it was not done in {limit:g} s", "Give a longer --limit"
        )
    if code != 0:
        raise SpikecError(
            "SPK1906",
            "vivado",
            f"it ended with code {code}: {_first_error(output / 'spikec.log')}",
            f"See {output / 'spikec.log'}",
        )
    return read_reports(output)


def _run(command: list[str], folder: Path, limit: float, log: object) -> int | None:
    """Return the exit code, or None when it took too long; its children end with it."""
    child = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=log,  # type: ignore[call-overload]
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        return int(child.wait(limit))
    except subprocess.TimeoutExpired:
        return None
    finally:
        # Also those that it left behind.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _first_error(path: Path) -> str:
    text = _text(path)
    found = [line for line in text.splitlines() if line.startswith(("ERROR", "CRITICAL"))]
    lines = found or text.splitlines()[-1:]
    return lines[0].strip()[:200] if lines else "it said nothing"


def read_reports(folder: Path) -> Built:
    """Return what utilization.rpt, timing.rpt and power.rpt say.

    Raises:
        SpikecError: SPK1907 on a report that is missing, SPK1908 on one that lacks a figure.
    """
    used, timing, power = (
        _text(folder / f"{name}.rpt") for name in ("utilization", "timing", "power")
    )
    resources = {name: _used(used, row) for name, row in ROWS.items()}
    slack = _slack(timing)
    watts = {name: _number(_cell(power, row, "power.rpt"), row) for name, row in POWER.items()}
    period = _period(timing)
    if period <= slack[0]:
        raise _lacks("timing.rpt", "a period above the slack")
    confidence = _cell(power, "Confidence Level", "power.rpt")
    return Built(resources, period, *slack, watts, confidence)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST).decode(errors="replace")
    except OSError as error:
        raise SpikecError(
            "SPK1907", str(path), f"the report cannot be read ({error.strerror})", "Run it again"
        ) from None


def _lacks(report: str, what: str) -> SpikecError:
    return SpikecError(
        "SPK1908", report, f"it holds no {what}", "Report this as a bug, with the report"
    )


def _rows(text: str, name: str) -> list[list[str]]:
    """Return the cells of the rows of any table whose first cell is ``name``."""
    found: list[list[str]] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.lstrip().startswith("|") and cells[0].rstrip("*") == name:
            found.append(cells[1:])
    return found


def _used(text: str, name: str) -> Used:
    """Return two cells of {Site Type, Used, Fixed, [Prohibited,] Available, Util%}."""
    rows = [row for row in _rows(text, name) if len(row) >= 4]
    if not rows:
        raise _lacks("utilization.rpt", f"row '{name}'")
    return Used(_number(rows[0][0], name), _number(rows[0][-2], name))


def _cell(text: str, name: str, report: str) -> str:
    rows = _rows(text, name)
    if not rows or not rows[0]:
        raise _lacks(report, f"row '{name}'")
    return rows[0][0]


def _number(text: str, what: str) -> float:
    # A power below what is shown is given as <0.001.
    if not re.fullmatch(r"<?-?\d+(\.\d+)?", text):
        raise _lacks("report", f"number for '{what}' but '{text[:40]}'")
    return float(text.lstrip("<"))


def _slack(text: str) -> tuple[float, float]:
    """Return WNS and WHS of the table Design Timing Summary."""
    _, found, rest = text.partition("| Design Timing Summary")
    lines = [line.split() for line in rest.splitlines()[:12]]
    for k, words in enumerate(lines[:-2]):
        if words[:2] == ["WNS(ns)", "TNS(ns)"] and len(lines[k + 2]) >= 5:
            return _number(lines[k + 2][0], "WNS"), _number(lines[k + 2][4], "WHS")
    raise _lacks("timing.rpt", "Design Timing Summary" if not found else "slack")


def _period(text: str) -> float:
    """Return the period of the first clock of the table Clock Summary."""
    _, _, rest = text.partition("| Clock Summary")
    for line in rest.splitlines()[:20]:
        match = re.match(r"\s*\S+\s+\{[^}]*\}\s+(\d+\.\d+)\s+\d", line)
        if match:
            return float(match[1])
    raise _lacks("timing.rpt", "clock")
