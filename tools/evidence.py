"""Run tests at full size, file by file, and write docs/evidence.md: what each measured, and when.

    python tools/evidence.py [--missing] [tests/test_x.py ...]

Run by ``make test-full``. After every file its figures go into docs/evidence.json and the page, so
that a run that is ended loses nothing; ``--missing`` leaves out what has passed on this code.
Tests hand in figures through ``sizes.evidence``. A file that fails leaves no figures.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).resolve().parent.parent
PAGE, DATA = ROOT / "docs" / "evidence.md", ROOT / "docs" / "evidence.json"
PACKAGES = ("numpy", "scipy", "numba", "networkx", "nir", "h5py", "torch", "snntorch", "norse")
# What figures depend on.
CODE = ("compiler", "backends", "models", "hw", "src", "tests", "benchmarks", "pyproject.toml")


def git(*arguments: str) -> str:
    """Return what git prints."""
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def code() -> str:
    """Return a hash of the code as it is."""
    names = git("ls-files", "--cached", "--others", "--exclude-standard", *CODE).splitlines()
    found = hashlib.sha256()
    for name in sorted(n for n in names if (ROOT / n).is_file() and not n.endswith(".md")):
        found.update(f"{name}\0".encode())
        found.update((ROOT / name).read_bytes())
    return found.hexdigest()[:12]


def run(file: str, arguments: list[str]) -> dict[str, Any] | None:
    """Run a file at full size; return its entry, or None where a test fails."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        environment = {**os.environ, "SPIKEC_FULL": "1", "SPIKEC_EVIDENCE": place}
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", file, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        figures = {p.stem: json.loads(p.read_text()) for p in sorted(Path(place).glob("*.json"))}
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n")
        return None
    return {
        "commit": git("rev-parse", "--short=12", "HEAD"),
        "code": code(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "summary": done.stdout.strip().splitlines()[-1].strip("= ").split(" in ")[0],
        "seconds": round(time.monotonic() - started),
        "figures": figures,
    }


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


def page(entries: dict[str, dict[str, Any]]) -> str:
    """Return the page."""
    now = code()
    lines = [
        "# Evidence",
        "",
        "Written by `make test-full`: every test at the counts that the issues name, file by file.",
        "Where the code has changed since a file ran, its row says so: its figures are older.",
        "Files that are not listed ran last as [evidence_before.md](evidence_before.md) says.",
        "",
        f"- Python {platform.python_version()}, "
        + ", ".join(f"{p} {version(p)}" for p in PACKAGES),
        f"- {os.cpu_count()} cores, {platform.machine()}; seconds are of a noisy machine",
        "",
        "| file | result | seconds | commit | |",
        "|---|---|---|---|---|",
    ]
    for file, e in sorted(entries.items()):
        old = "" if e["code"] == now else "code has changed since"
        where = f"{e['commit']}, {e['date']}"
        lines.append(f"| {Path(file).stem} | {e['summary']} | {e['seconds']} | {where} | {old} |")
    lines += ["", "| test | figure | value |", "|---|---|---|"]
    figures = {k: v for _, e in sorted(entries.items()) for k, v in e["figures"].items()}
    for item, values in sorted(figures.items()):
        for name, value in values.items():
            lines.append(f"| {item.replace('_', ' ')} | {name} | {shown(value)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--missing", action="store_true", help="leave out what passed on this code")
    parser.add_argument("files", nargs="*", metavar="FILE")
    given, arguments = parser.parse_known_args()
    entries: dict[str, dict[str, Any]] = json.loads(DATA.read_text()) if DATA.exists() else {}
    every = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "tests").glob("test_*.py"))
    entries = {file: e for file, e in entries.items() if file in every}
    failed: list[str] = []
    for file in given.files or every:
        if given.missing and file in entries and entries[file]["code"] == code():
            continue
        found = run(file, arguments)
        entries.pop(file, None)
        if found is None:
            failed.append(file)
        else:
            entries[file] = found
        print(f"{file}: {'failed' if found is None else found['summary']}", flush=True)
        DATA.write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n")
        PAGE.write_text(page(entries))
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
