"""What ``spikec profile --synth`` does: Yosys on a build for an FPGA, against the part."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from spikec.compiler.artifact import open_folder
from spikec.compiler.cli_report import Block, Report, Table
from spikec.compiler.errors import SpikecError
from spikec.compiler.target import load_target

LIMIT = 3600.0
CELLS = ("LUT", "of them RAM", "FF", "DSP48E2", "RAMB36", "RAMB18", "URAM288", "CARRY8")


def synthesis(build: Path, limit: float) -> Report:
    """Synthesise a build and tell what it takes, what the part has, and what is between registers.

    Args:
        build: A folder written by ``spikec compile`` for an FPGA.
        limit: Seconds that Yosys may take.

    Raises:
        SpikecError: SPK1961 on a build for something else; errors of ``synthesise``.
    """
    program = open_folder(build)
    target = load_target(program.target)
    if target.backend != "fpga":
        raise SpikecError(
            "SPK1961",
            str(build),
            f"it was compiled for {target.name}, which is no FPGA",
            "Compile for zcu102, zcu104 or kv260",
        )
    from spikec.backends.fpga import build as files
    from spikec.backends.fpga.plan import plan
    from spikec.backends.fpga.synth import synthesise

    planned = plan(program)
    found = synthesise(planned, files.read(planned, build), limit)
    rows = [_row(name or "around the engines", r) for name, r in found.parts.items()]
    rows.append(_row("total", found.total))
    used = found.total.limited
    shares = {k: 100 * n / int(target.device[k]) for k, n in used.items() if target.device.get(k)}
    blocks: list[Block] = [
        f"{program.graph.name} for {target.name}, mapped by {found.tool}",
        "",
        Table(("part of the design", *CELLS), tuple(rows)),
        "",
        f"of {target.device['part']}  "
        + ", ".join(f"{k} {n:.1f} %" for k, n in shares.items())
        + f"  ({target.device['source']})",
        "",
        Table(
            ("logic in front of a register", "population", "LUT levels", "carry bits"),
            tuple((s.register, s.part or "-", str(s.levels), str(s.carry)) for s in _worst(found)),
        ),
        "",
        "clock  a target, unverified: delays are known only after place and route",
    ]
    shown: dict[str, Any] = {
        "build": str(build),
        "target": target.name,
        "tool": found.tool,
        "parts": {name: asdict(r) for name, r in found.parts.items()},
        "total": asdict(found.total),
        "device": dict(target.device),
        "utilisation_percent": shares,
        "stages": [asdict(s) for s in found.stages],
        "clock": "target, unverified",
    }
    return Report(shown, blocks)


def _row(name: str, r: Any) -> tuple[str, ...]:
    figures = (r.luts, r.lutram, r.ff, r.dsp, r.ramb36, r.ramb18, r.uram, r.carry8)
    return (name, *(f"{n:,}" for n in figures))


def _worst(found: Any) -> list[Any]:
    """Return for every part of the design the two worst stages by levels, and the one by carry."""
    picked: list[Any] = []
    for part in found.parts:
        mine = [s for s in found.stages if s.part == part]
        for s in [*mine[:2], *sorted(mine, key=lambda s: -s.carry)[:1]]:
            if s not in picked:
                picked.append(s)
    return picked
