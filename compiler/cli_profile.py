"""What ``spikec profile`` does: run a build on data, count, and price the counts."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikec.compiler.artifact import open_folder
from spikec.compiler.cli_report import Bar, Block, Findings, Report, Table
from spikec.compiler.cli_tasks import Data
from spikec.compiler.counting import count_inputs
from spikec.compiler.energy import EnergyReport, Options, price
from spikec.compiler.energy_plot import bars, check_place
from spikec.compiler.energy_table import comparison, counts_text, energy_text, neurobench_text
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Program
from spikec.compiler.prices import PriceBook, book_names, load_prices
from spikec.compiler.target import load_target

if TYPE_CHECKING:
    from spikec.backends.crossbar.ledger import Ledger as Arrays
    from spikec.backends.fpga.sizes.ledger import Ledger
    from spikec.compiler.mapping.work import Work

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
    work, ledger = _work(program), _ledger(program)
    observe = work.add if work is not None else ledger.add if ledger is not None else None
    with Bar() as bar:
        counts = count_inputs(program, inputs, backend, progress=bar, observe=observe)
    if ledger is not None:
        counts = replace(counts, hardware=ledger.cells)
    reports = [price(counts, book, options) for book in books] or [price(counts, None, options)]
    blocks: list[Block] = [counts_text(counts), "", neurobench_text(counts)]
    shown: dict[str, Any] = {
        "build": str(build),
        "target": program.target,
        "backend": backend,
        "reports": [r.as_json() for r in reports],
    }
    blocks += _energies(reports, program.target)
    if ledger is not None:
        blocks += _hardware(ledger, shown)
    if work is not None:
        blocks += _moves(work, shown)
        blocks += _step_times(work, books, shown)
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


def _work(program: Program) -> "Work | None":
    """Return what counts the work of each core, if there are cores."""
    if program.mapping is None:
        return None
    # Compiled kernels are behind it, which other commands start without.
    from spikec.compiler.mapping.work import Work

    return Work(program)


def _ledger(program: Program) -> "Ledger | Arrays | None":
    """Return what counts what an FPGA or resistive arrays do, if it is one."""
    kind = load_target(program.target).backend
    if kind == "crossbar":
        from spikec.backends.crossbar.ledger import Ledger as Arrays
        from spikec.backends.crossbar.plan import plan as tiles

        return Arrays(tiles(program))
    if kind != "fpga":
        return None
    from spikec.backends.fpga.plan import plan
    from spikec.backends.fpga.sizes.ledger import Ledger

    planned = plan(program)
    return Ledger(planned) if Ledger.covers(planned) else None


def _hardware(ledger: "Ledger | Arrays", shown: dict[str, Any]) -> list[Block]:
    """Return the counters of the engines, or of the arrays that feed a population."""
    shown["hardware"] = {"counters": ledger.counters, "accesses": ledger.cells}
    columns = (*next(iter(ledger.counters.values())), *next(iter(ledger.cells.values())))
    rows = tuple(
        (name, *(f"{n:,}" for n in (*row.values(), *ledger.cells[name].values())))
        for name, row in ledger.counters.items()
    )
    return ["", Table(("engine", *(c.replace("_", " ") for c in columns)), rows)]


def _moves(work: "Work", shown: dict[str, Any]) -> list[Block]:
    """Return what messages did on the mesh."""
    ways = work.routes()
    shown["mesh"] = {
        "messages": ways.messages,
        "mean_hops": ways.mean_hops,
        "max_hops": ways.max_hops,
        "busiest_link_messages": ways.max_load,
        "links_used": ways.links,
    }
    text = (
        f"mesh  {ways.messages:,.0f} messages, {ways.mean_hops:.2f} hops on average, at most "
        f"{ways.max_hops}; busiest link {ways.max_load:,.0f}"
    )
    return ["", text]


def _step_times(work: "Work", books: list[PriceBook], shown: dict[str, Any]) -> list[Block]:
    """Return how long a step takes by each book that knows."""
    assert work.mapping is not None
    blocks: list[Block] = []
    found = {book.name: work.time(book) for book in books}
    cores = work.mapping.cores
    for name, time in found.items():
        if time is None:
            blocks.append(f"step time unknown by {name}: it holds no times")
            continue
        text = f"step time by {name}  {_seconds(time.overlapped)}"
        if time.serial is not None:
            text += f" if cores overlap their work, {_seconds(time.serial)} if not"
        else:
            text += f" at least: no time is known for {', '.join(time.unknown)}"
        text += f"; longest part {time.bottleneck}, busiest {cores[time.slowest]}"
        if not work.complete:
            text += f"; over the first {work.steps:,} steps"
        blocks.append(text)
    shown["step_times"] = {n: None if t is None else asdict(t) for n, t in found.items()}
    return blocks


def _seconds(value: float) -> str:
    return f"{value * 1e9:,.0f} ns" if value < 1e-6 else f"{value * 1e6:,.2f} us"
