"""What ``spikec profile`` does: run a build on data, count, and price the counts."""

from pathlib import Path
from typing import Any

from spikec.compiler.artifact import open_folder
from spikec.compiler.cli_report import Bar, Block, Findings, Report
from spikec.compiler.cli_tasks import Data
from spikec.compiler.counting import count_inputs
from spikec.compiler.energy import EnergyReport, Options, price
from spikec.compiler.energy_plot import bars, check_place
from spikec.compiler.energy_table import comparison, counts_text, energy_text, neurobench_text
from spikec.compiler.errors import SpikecError
from spikec.compiler.prices import PriceBook, book_names, load_prices
from spikec.compiler.target import load_target

# Options that change an energy only through a price of this event.
NEEDED = {"clock_hz": "cycle", "chips": "chip"}
# This one is of the encoding too.
ALWAYS = "seed"


def profile(
    build: Path,
    data: Data,
    names: list[str],
    given: dict[str, Any],
    plot: Path | None,
    backend: str,
) -> Report:
    """Count a run and price it by every book; without a book the counts are all there is.

    Args:
        build: A folder written by ``spikec compile``.
        data: What to run it on.
        names: Price books; those of the build's target if empty.
        given: Fields of ``Options`` that the user has set.
        plot: Picture to write, or None.
        backend: What runs it.

    Raises:
        SpikecError: SPK1134 on an option without effect; errors of the steps.
    """
    program = open_folder(build)
    options = Options(**given)
    chosen = names or load_target(program.target).prices
    books = [load_prices(name) for name in dict.fromkeys(chosen)]
    _check_effect(given, books)
    if plot is not None:
        check_place(plot, books)
    findings = Findings()
    inputs = data.read(program.graph, findings)
    with Bar() as bar:
        counts = count_inputs(program, inputs, backend, progress=bar)
    reports = [price(counts, book, options) for book in books] or [price(counts, None, options)]
    blocks: list[Block] = [counts_text(counts), "", neurobench_text(counts)]
    shown: dict[str, Any] = {
        "build": str(build),
        "target": program.target,
        "backend": backend,
        "reports": [r.as_json() for r in reports],
    }
    blocks += _energies(reports, program.target)
    if plot is not None:
        bars(reports, plot)
        shown["picture"] = str(plot)
        blocks += ["", f"picture  {plot}"]
    return Report(shown, blocks, findings)


def _check_effect(given: dict[str, Any], books: list[PriceBook]) -> None:
    """Refuse options that would change nothing.

    Raises:
        SpikecError: SPK1134.
    """
    events = {p.event for book in books for p in book.prices}
    for name in given:
        needed = NEEDED.get(name)
        if name != ALWAYS and (not books or (needed is not None and needed not in events)):
            what = f"a price per {needed}" if books else "a price book"
            raise SpikecError(
                "SPK1134",
                f"--{name.replace('_', '-')}",
                f"it has no effect without {what}",
                "Leave it out, or name a book with --prices",
            )


def _energies(reports: list[EnergyReport], target: str) -> list[Block]:
    if reports[0].book is None:
        return [
            "",
            f"energy unknown: the target {target} has no price book; counts are all there is",
            "  for prices of another chip, or your own, give --prices a .toml file or one of",
            f"  {', '.join(book_names())}",
        ]
    blocks: list[Block] = []
    for report in reports:
        blocks += ["", energy_text(report)]
    if len(reports) > 1:
        blocks += ["", comparison(reports)]
    return blocks
