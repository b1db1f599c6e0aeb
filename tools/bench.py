"""Run every benchmark in a process of its own and write docs/benchmarks.md.

Run by ``make bench``. A benchmark is a file of ``benchmarks`` that prints a JSON list of rows:
``what``, ``figure``, and ``limit`` where an issue names one (at most so much). Machines differ and
are shared: quote ratios and limits, not single times.
"""

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("numpy", "scipy", "numba")


def run(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a benchmark.

    Raises:
        SystemExit: With its exit code when it fails.
    """
    done = subprocess.run([sys.executable, str(path)], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(done.returncode)
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def title(path: Path) -> str:
    """Return the first line of a benchmark's docstring."""
    return path.read_text().split('"""')[1].strip().splitlines()[0]


def shown(value: float | None) -> str:
    """Return a figure with four digits."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def main() -> None:
    """Run what is named, or everything, and write the page where everything ran."""
    names = sys.argv[1:]
    found = sorted((ROOT / "benchmarks").glob("*.py"))
    if unknown := set(names) - {p.stem for p in found}:
        raise SystemExit(f"no benchmark {', '.join(sorted(unknown))}")
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`.",
        "",
        f"- {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, "
        + ", ".join(f"{p} {version(p)}" for p in PACKAGES),
        f"- {os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}",
    ]
    missed = False
    for path in found:
        if names and path.stem not in names:
            continue
        lines += ["", f"## {title(path)}", "", "| what | figure | at most |", "|---|---|---|"]
        for row in run(path):
            limit = row.get("limit")
            over = limit is not None and row["figure"] > limit
            missed |= over
            mark = " (missed)" if over else ""
            lines.append(f"| {row['what']} | {shown(row['figure'])} | {shown(limit)}{mark} |")
    page = "\n".join(lines) + "\n"
    print(page)
    if not names:
        (ROOT / "docs" / "benchmarks.md").write_text(page)
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
