"""What a command tells: data on stdout as text or JSON; findings, progress, errors on stderr."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self, TextIO

from spikec.compiler.artifact import json_text
from spikec.compiler.errors import Finding, SpikecError, one_line


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a header; names come first, columns of numbers go to the right."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def right(self, column: int) -> bool:
        """Return whether a column holds numbers."""
        cells = [row[column] for row in self.rows]
        return column > 0 and bool(cells) and all(c[:1].isdigit() or c[:1] == "-" for c in cells)


Block = str | Table


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a command.

    Attributes:
        data: What ``--json`` prints.
        blocks: What people read.
        findings: What they have been told on the way; it is in the JSON too.
        code: Exit code.
    """

    data: Mapping[str, Any]
    blocks: Sequence[Block]
    findings: "Findings | None" = None
    code: int = 0


class Findings:
    """What has come up so far. Each is told at once, so that an error cannot hide it."""

    def __init__(self) -> None:
        """Begin with none."""
        self.told: list[Finding] = []

    def tell(self, *findings: Finding) -> None:
        """Print findings on stderr, each once."""
        for finding in findings:
            if finding not in self.told:
                self.told.append(finding)
                print(finding, file=sys.stderr)


def write(report: Report, as_json: bool) -> None:
    """Print a report."""
    if as_json:
        told = report.findings.told if report.findings else []
        sys.stdout.write(json_text({**report.data, "findings": [asdict(f) for f in told]}))
    elif sys.stdout.isatty():
        _write_rich(report.blocks)
    else:
        for block in report.blocks:
            print(plain(block) if isinstance(block, Table) else block)


def plain(table: Table) -> str:
    """Return aligned text, however wide."""
    lines = [table.header, *table.rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(table.header))]
    right = [table.right(k) for k in range(len(widths))]

    def cell(text: str, k: int) -> str:
        return text.rjust(widths[k]) if right[k] else text.ljust(widths[k])

    return "\n".join("  ".join(cell(t, k) for k, t in enumerate(line)).rstrip() for line in lines)


def _write_rich(blocks: Sequence[Block]) -> None:
    """Print to a terminal; what does not fit its width is folded, never cut."""
    from rich.console import Console
    from rich.table import Table as RichTable

    console = Console(highlight=False, markup=False, emoji=False)
    for block in blocks:
        if isinstance(block, str):
            console.print(block, soft_wrap=True)
            continue
        drawn = RichTable(box=None, pad_edge=False, header_style="bold")
        for k, name in enumerate(block.header):
            drawn.add_column(name, justify="right" if block.right(k) else "left", overflow="fold")
        for row in block.rows:
            drawn.add_row(*row)
        console.print(drawn)


def write_error(error: SpikecError, as_json: bool, code: str) -> None:
    """Print an error as its line on stderr, and with ``--json`` as an object on stdout too.

    Args:
        error: What went wrong.
        as_json: Whether an object is wanted.
        code: The error's own code, or what stands for it where its line shows none.
    """
    line = str(error)
    if code != error.code:
        stop = "" if error.remedy.endswith("?") else "."
        line = f"{error.where}: {error.problem}. {error.remedy}{stop}"
    print(one_line(line), file=sys.stderr)
    if as_json:
        parts = {"where": error.where, "problem": error.problem, "remedy": error.remedy}
        sys.stdout.write(json_text({"error": {"code": code, **parts}}))


class Bar:
    """A progress bar on stderr while long work goes on; nothing where stderr is no terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Keep the stream."""
        self._stream = sys.stderr if stream is None else stream
        self._shown: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Begin."""
        if self._stream.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._shown = Progress(console=Console(file=self._stream), transient=True)
            self._shown.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Clear the line."""
        if self._shown is not None:
            self._shown.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` is done."""
        if self._shown is not None:
            if what not in self._tasks:
                self._tasks[what] = self._shown.add_task(what, total=total)
            self._shown.update(self._tasks[what], completed=done, total=total)
