# pyright: basic, reportMissingImports=false
"""Train the multisensory cooperative network and its rivals, deploy them, and print what came out.

    python tools/train_mcc.py -o mcc            5 seeds, all clips of GRID
    python tools/train_mcc.py --smoke           in under a minute

Networks and features are kept in the user's cache folder; what was stopped goes on from there.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import joblib
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import spikec
from spikec.models.mcc import experiment as ex
from spikec.models.mcc import report
from spikec.models.mcc.deploy import deploy
from spikec.models.mcc.features import load_features

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def parsed() -> Any:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description="Train and compare two-point cells on GRID.")
    parser.add_argument("--data", type=Path, default=os.environ.get("SPIKEC_DATA", DATA))
    parser.add_argument("--smoke", action="store_true", help="40 clips, 16 cells, 30 steps, 1 seed")
    parser.add_argument("--seeds", type=int, help="how many; 5 by default")
    parser.add_argument("--steps", type=int, help="batches of training; 400 by default")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("-o", dest="out", type=Path, help="folder for mcc.md and mcc.svg")
    args = parser.parse_args()
    for name, least in (("seeds", 1), ("steps", 2), ("jobs", 1)):
        value = getattr(args, name)
        if value is not None and value < least:
            parser.error(f"--{name}: {value} is not {least} or more")
    return args


def main() -> None:
    """Train, deploy and report."""
    args = parsed()
    plan = ex.smaller(ex.SMOKE if args.smoke else ex.FULL, args.seeds, args.steps)
    try:
        rows, hurt = measured(plan, args)
        if args.out:
            tables = [report.markdown(t) for t in every_table(rows, hurt).values()]
            args.out.mkdir(parents=True, exist_ok=True)
            (args.out / "mcc.md").write_text("\n\n".join(tables) + "\n")
            report.plot(args.out / "mcc.svg", rows, hurt)
    except spikec.SpikecError as error:
        raise SystemExit(str(error)) from None
    console = Console()
    for title, (head, *lines) in every_table(rows, hurt).items():
        table = Table(*head, title=title)
        for line in lines:
            table.add_row(*line)
        console.print(table)


def measured(plan: ex.Plan, args: Any) -> Any:
    """Return the rows, and the figures of trainings with a lesion by network and share."""
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("train", total=None)
        results = ex.experiment(
            plan, args.data, args.jobs, lambda n, total: bar.update(task, completed=n, total=total)
        )
        features = load_features(args.data, plan.clips)
        kinds = [(n, p, s) for s in (False, True) for p in (False, True) for n in plan.shapes()]
        rows: list[report.Row] = []
        pool = joblib.Parallel(args.jobs)
        for network, penalty, semi in bar.track(kinds, description="deploy"):
            found = ex.selected(results, network, penalty, semi)
            made: Any = pool(joblib.delayed(deploy)(r.weights, network, features) for r in found)
            rows.append(report.Row(network, penalty, semi, [r.figures for r in found], made))
    hurt = {
        (network, share): [
            r.figures for r in results if (r.run.network, r.run.lesion) == (network, share)
        ]
        for network in plan.shapes()
        for share in ex.SHARES
    }
    return rows, hurt


def every_table(rows: Any, hurt: Any) -> dict[str, Any]:
    """Return the tables by title."""
    plain = [r for r in rows if not r.penalty and not r.semi]
    return {
        "error and activity, mean and deviation over seeds": report.training_table(rows),
        "events per frame, and at 80 pJ (the paper's constant)": report.energy_table(rows),
        "ratios": report.ratio_table(rows),
        "resilience, relative to the undamaged network": report.resilience_table(plain, hurt),
    }


if __name__ == "__main__":
    main()
