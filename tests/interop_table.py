"""The table of docs/interop.md. Run as a program, it writes the table anew from what it finds."""

import re
from importlib.metadata import version
from pathlib import Path

from interop_cases import CASES, FRAMEWORKS, Verdict, is_loss, verdict

DOCUMENT = Path(__file__).parents[1] / "docs" / "interop.md"
UNREAD = re.compile(r"\b(has no|takes one) [A-Z]")
BEGIN, END = "<!-- table: python tests/interop_table.py -->\n", "<!-- end of table -->\n"


def table() -> str:
    """Return the table in Markdown."""
    heads = [f"{name} {version(f.package)}" for name, f in FRAMEWORKS.items()]
    rows = [["network", *heads], ["---"] * (len(heads) + 1)]
    rows += [[case, *(_cell(verdict(case, name)) for name in FRAMEWORKS)] for case in CASES]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def committed() -> str:
    """Return the table in the document."""
    return DOCUMENT.read_text().split(BEGIN)[1].split(END)[0]


def _cell(found: Verdict) -> str:
    if found.kind == "same":
        return "same"
    if found.kind == "refused":
        return f"refused: `{found.detail}`"
    reasons = "; ".join(_reason(t) for t in found.told if is_loss(t))
    if found.kind == "differs" and not UNREAD.search(reasons):
        return f"differs {found.detail}: {reasons}"
    # What is left of a network without some of its nodes depends on Python's hashes.
    return f"{'hangs' if found.kind == 'hangs' else 'differs or crashes'}: {reasons}"


def _reason(told: str) -> str:
    """Return what a finding says, without place, code and what all of them say."""
    text = told.split(": ", 1)[1].rsplit(". [SPK", 1)[0]
    for name in FRAMEWORKS:
        text = text.removeprefix(f"the NIR importer of {name} ").removeprefix("1.0.0 ")
        text = text.removeprefix("1.1.0 ")
    return text.split(": NIR does not hold it")[0]


if __name__ == "__main__":
    before, after = DOCUMENT.read_text().split(committed())
    DOCUMENT.write_text(before + table() + after)
