"""Run every test at full size and write docs/evidence.md: commit, date, and the figures measured.

Run by ``make test-full``. Tests hand in figures through ``sizes.evidence``; a failed run writes
nothing.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("numpy", "scipy", "numba", "networkx", "nir", "h5py", "torch", "snntorch", "norse")


def run_tests(folder: Path, arguments: list[str]) -> str:
    """Run pytest at full size; return its summary line.

    Raises:
        SystemExit: With pytest's exit code when a test fails.
    """
    environment = {**os.environ, "SPIKEC_FULL": "1", "SPIKEC_EVIDENCE": str(folder)}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    print(done.stdout, done.stderr, sep="\n")
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout.strip().splitlines()[-1].strip("= ")


def commit() -> str:
    """Return the commit, marked where the working tree differs from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()

    changed = "" if not git("status", "--porcelain", "--untracked-files=no") else " with changes"
    return git("rev-parse", "--short=12", "HEAD") + changed


def shown(value: Any) -> str:
    """Return a figure as Markdown text."""
    if isinstance(value, dict):
        pairs = cast(dict[str, Any], value)
        return ", ".join(f"{k}: {shown(v)}" for k, v in pairs.items())
    if isinstance(value, list):
        listed: list[Any] = list(value)  # pyright: ignore[reportUnknownArgumentType]
        return ", ".join(shown(v) for v in listed)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def page(folder: Path, summary: str) -> str:
    """Return the page."""
    lines = [
        "# Evidence",
        "",
        "Written by `make test-full`: every test at the counts that the issues name.",
        "",
        f"- commit {commit()}, {datetime.now(UTC):%Y-%m-%d}",
        f"- Python {platform.python_version()}, "
        + ", ".join(f"{p} {version(p)}" for p in PACKAGES),
        f"- {os.cpu_count()} cores, {platform.machine()}",
        f"- {summary}",
        "",
        "| test | figure | value |",
        "|---|---|---|",
    ]
    for path in sorted(folder.glob("*.json")):
        for name, value in json.loads(path.read_text()).items():
            lines.append(f"| {path.stem.replace('_', ' ')} | {name} | {shown(value)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run and write."""
    with tempfile.TemporaryDirectory() as name:
        summary = run_tests(Path(name), sys.argv[1:])
        (ROOT / "docs" / "evidence.md").write_text(page(Path(name), summary))
    print("wrote docs/evidence.md")


if __name__ == "__main__":
    main()
