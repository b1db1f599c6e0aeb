"""What ``spikec simulate --monte-carlo`` does: accuracy over many draws of the devices."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spikec.compiler.artifact import open_folder
from spikec.compiler.cli_report import Bar, Block, Findings, Report, Table
from spikec.compiler.cli_tasks import Data
from spikec.compiler.errors import SpikecError
from spikec.compiler.simulator import find_backend


@dataclass(frozen=True, slots=True)
class Draws:
    """How often devices are drawn, and what is wanted of it.

    Attributes:
        devices: Stages.
        runs: Draws of each case.
        seed: Of the first.
        workers: Processes; None: as many as there are cores.
        attribute: What single stages and projections cost, too.
        bound: Accuracy that a drawn array must reach; None: no yield.
        journal: File that keeps each run, from which an interrupted one goes on.
    """

    devices: str
    runs: int
    seed: int = 0
    workers: int | None = None
    attribute: bool = False
    bound: float | None = None
    journal: Path | None = None


def monte_carlo(build: Path, data: Data, draws: Draws, readout: str | None) -> Report:
    """Run a build on many draws of its devices.

    Raises:
        SpikecError: SPK2120 without labels.
    """
    program, findings = open_folder(build), Findings()
    inputs = data.read(program.graph, findings)
    labels = data.read_labels(inputs)
    if labels is None:
        raise SpikecError(
            "SPK2120", "--monte-carlo", "without labels there is no accuracy", "Give --labels"
        )
    study = find_backend("crossbar").study(
        program, draws.devices, inputs, labels, readout or "count", draws
    )
    workers = draws.workers or os.cpu_count() or 1
    with Bar() as bar:

        def progress(done: int, total: int) -> None:
            bar("runs", done, total)

        made = study.made(workers, draws.journal, progress)
    best, spreads = study.result(made)
    of = len(labels)
    header = ("devices", "runs", "accuracy %", "95 % of the mean", "deviation", "least", "costs")
    rows = tuple(
        (
            s.name,
            f"{s.runs:,}",
            f"{100 * s.mean:.2f}",
            f"{100 * s.low:.2f} to {100 * s.high:.2f}",
            f"{100 * s.deviation:.2f}",
            f"{100 * s.least:.2f}",
            f"{100 * s.cost:.2f}",
        )
        for s in spreads
    )
    blocks: list[Block] = [
        f"{program.graph.name}: {draws.runs} draws of {study.devices}, {of} samples each",
        f"ideal  {100 * best:.2f} %",
        Table(header, rows),
    ]
    shown: dict[str, Any] = {"ideal": best, "cases": [asdict(s) for s in spreads]}
    shown |= {"right": made, "samples": of, "seed": draws.seed, "devices": str(study.devices)}
    if draws.bound is not None:
        found = study.reached(made, draws.bound)
        shown["yield"] = asdict(found)
        blocks.append(
            f"yield  {found.reached} of {found.runs} reach {100 * draws.bound:g} %: "
            f"{100 * found.reached / found.runs:.1f} %, "
            f"95 % from {100 * found.low:.1f} to {100 * found.high:.1f}"
        )
    return Report(shown, blocks, findings)
