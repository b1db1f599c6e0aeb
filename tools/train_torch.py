# pyright: basic, reportMissingImports=false
"""Train a network of snnTorch or Norse, and compare it with what spikec makes of it.

    python tools/train_torch.py mnist --compare
    python tools/train_torch.py recurrent -o recurrent.pt
    python tools/train_torch.py norse --small --compare

mnist: snnTorch Leaky 784-256-10 on rate-coded MNIST. recurrent: snnTorch RLeaky 128-128-10 on
spoken digits. norse: Norse LIF 578-200-10 on N-MNIST; norse_li: the same with the membranes of LI
as output. --small: scikit-learn's digits and 32 hidden neurons, in seconds.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import spikec
from training.compare import compare
from training.train import FULL, SMALL, Trained, load_task, save, train

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def parsed() -> Any:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description="Train a network of snnTorch or Norse.")
    parser.add_argument("network", choices=FULL)
    parser.add_argument("--data", type=Path, default=os.environ.get("SPIKEC_DATA", DATA))
    parser.add_argument("--small", action="store_true", help="scikit-learn's digits instead")
    parser.add_argument("--epochs", type=int, help="passes through the data")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bits", type=int, help="of the weights in training; 0: not rounded")
    parser.add_argument("--compare", action="store_true", help="run spikec on all test samples")
    parser.add_argument("-o", dest="out", type=Path, help="write the state_dict here")
    args = parser.parse_args()
    if args.epochs is not None and args.epochs < 1:
        parser.error(f"--epochs: {args.epochs} is not 1 or more")
    if args.bits is not None and args.bits != 0 and not 2 <= args.bits <= 16:
        parser.error(f"--bits: {args.bits} is not 0, or 2 to 16")
    if not 0 <= args.seed < 2**63:
        parser.error(f"--seed: {args.seed} is not 0 to 2^63 - 1")
    if not args.small and not args.data.is_dir():
        parser.error(f"--data: there is no folder {args.data}; give one, or --small")
    return args


def main() -> None:
    """Train and report."""
    args = parsed()
    recipe = (SMALL if args.small else FULL)[args.network].with_options(
        args.epochs, args.seed, args.bits
    )
    try:
        task = load_task(args.network, None if args.small else args.data)
    except FileNotFoundError as error:
        raise SystemExit(f"--data: there is no {error.filename}") from None
    try:
        trained = train(recipe, task)
        if args.out:
            save(trained.net, args.out)
    except spikec.SpikecError as error:
        raise SystemExit(str(error)) from None
    show(trained, args.compare)


def show(trained: Trained, everything: bool) -> None:
    """Print how it was trained and, if asked for, what the comparison found."""
    console, task = Console(), trained.task
    took = "from the cache" if trained.seconds is None else f"{trained.seconds:.0f} s"
    console.print(f"{trained.recipe.name}: {len(task.labels)} training samples, {took}")
    if not everything:
        return
    found = compare(trained)
    table = Table("what ran", "right", "%", "seconds", title=f"{found.samples} test samples")
    for name, right in found.right.items():
        table.add_row(name, f"{right}", f"{found.points(name):.2f}", f"{found.seconds[name]:.1f}")
    console.print(table)
    for precision, samples in found.differing.items():
        more = f"{found.hidden[precision]} in a hidden spike"
        console.print(f"{precision}: {samples} samples differ in an output, {more}")
    for precision, gap in found.largest.items():
        console.print(f"{precision}: largest difference of an output membrane {gap:.1e}")
    for name, reason in found.refused.items():
        console.print(f"{name}: refused: {reason}", soft_wrap=True)
    console.print("spikes:", ", ".join(f"{n} {k}" for n, k in found.spikes.items()))


if __name__ == "__main__":
    main()
