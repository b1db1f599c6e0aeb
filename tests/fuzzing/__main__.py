"""``python -m fuzzing``: a campaign, its table, and exit code 1 on any finding."""

import argparse
import os
import sys
from pathlib import Path

from fuzzing import mutation
from fuzzing.farm import campaign, folder_to_work_in, keep

SHOWN = 30


def main() -> int:
    """Run a campaign, or one case of it."""
    parser = argparse.ArgumentParser(prog="fuzzing", description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0, help="of the campaign")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, help="stop after so long")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="for findings")
    parser.add_argument("--replay", type=int, metavar="CASE", help="run one case only")
    given = parser.parse_args()
    cases = range(given.first, given.first + given.cases)
    if given.replay is not None:
        cases = range(given.replay, given.replay + 1)
    with folder_to_work_in() as name:
        home = Path(name)
        table = campaign(given.seed, cases, given.workers, home, given.seconds)
        keep(table, given.seed, home, given.keep)
    print(table)
    for number, found in sorted(table.findings.items())[:SHOWN]:
        print(f"\ncase {number} of seed {given.seed}:", *(t[-1500:] for t in found[:3]), sep="\n")
    tried = table.count("tried")
    structured = table.count("tried", mutation.STRUCTURED)
    semantic = table.count("semantic")
    print(
        f"\n{tried:,} cases, {structured / tried:.0%} aware of the structure, "
        f"{semantic / tried:.0%} reached the semantic checks, {len(table.findings)} findings"
    )
    whole = given.replay is None
    return int(
        bool(table.findings) or (whole and (2 * structured < tried or semantic < 0.3 * tried))
    )


if __name__ == "__main__":
    sys.exit(main())
