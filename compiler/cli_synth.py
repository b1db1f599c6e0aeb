"""What ``spikec profile --synth`` does: Yosys on a build for an FPGA, against the part."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spikec.compiler.artifact import open_folder
from spikec.compiler.cli_report import Block, Report, Table
from spikec.compiler.errors import SpikecError
from spikec.compiler.target import load_target

LIMIT = 3600.0
CELLS = ("LUT", "of them RAM", "FF", "DSP48E2", "RAMB36", "RAMB18", "URAM288", "CARRY8")


@dataclass(frozen=True, slots=True)
class Size:
    """What the command line asks of engines; None and False where it says nothing."""

    clock: float | None = None
    lanes: str | None = None
    fit: bool = False
    fast: bool = False
    steps_per_second: float | None = None
    latency: float | None = None

    @property
    def goals(self) -> tuple[str, ...]:
        """Options by which lanes are chosen."""
        given = {
            "--fit": self.fit,
            "--fast": self.fast,
            "--steps-per-second": self.steps_per_second,
        }
        given |= {"--latency": self.latency}
        return tuple(name for name, value in given.items() if value)


def pipeline(target: str, text: str | None, size: Size) -> str | None:
    """Return the passes with what is asked of engines.

    Args:
        target: Name of a target.
        text: Passes that the user gave, or None for those of the target.
        size: What is asked.

    Raises:
        SpikecError: SPK1962 where the target has no engines, SPK1963 where the passes say it too,
            SPK1964 on options that exclude each other.
    """
    if size == Size():
        return text
    chosen = load_target(target)
    if chosen.backend != "fpga":
        raise SpikecError(
            "SPK1962",
            "--target",
            f"{target} is no FPGA, so that clock and lanes have no effect",
            "Leave them out, or compile for zcu102, zcu104 or kv260",
        )
    passes = (text or chosen.pipeline).removesuffix(",engines")
    if "engines" in passes:
        raise SpikecError(
            "SPK1963",
            "--pipeline",
            "it says what engines are to be, and so do other options",
            "Say it in one place",
        )
    number = size.lanes not in (None, "auto")
    if (number and size.goals) or (size.fast and len(size.goals) > 1):
        given = ("--lanes", *size.goals) if number else size.goals
        raise SpikecError(
            "SPK1964",
            "compile",
            f"{' and '.join(given)} exclude each other",
            "Give one of them; --fit goes with --steps-per-second and --latency",
        )
    if number and not str(size.lanes).isdecimal():
        raise SpikecError("SPK1968", "--lanes", f"'{size.lanes}' is no number", "Give auto or one")
    choose = "fast" if size.fast or (size.lanes == "auto" and not size.goals) else "fit"
    said = {
        "lanes": size.lanes if number else None,
        "choose": choose if size.goals or size.lanes == "auto" else None,
        "steps_per_second": size.steps_per_second,
        "latency": size.latency,
        "clock": size.clock,
    }
    options = ",".join(f"{name}={value}" for name, value in said.items() if value is not None)
    return f"{passes},engines{{{options}}}"


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
    from spikec.backends.fpga.sizes.estimate import estimate, shown
    from spikec.backends.fpga.sizes.synth import synthesise

    planned = plan(program)
    found = synthesise(planned, files.read(planned, build), limit)
    guessed = estimate(planned)
    rows: list[tuple[str, ...]] = []
    for name, part in found.parts.items():
        rows += _rows(name or "around the engines", part, guessed.parts[name])
    rows += _rows("total", found.total, guessed.total)
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
    data: dict[str, Any] = {
        "build": str(build),
        "target": target.name,
        "tool": found.tool,
        "parts": {name: asdict(r) for name, r in found.parts.items()},
        "total": asdict(found.total),
        "estimate": shown(guessed.total),
        "device": dict(target.device),
        "utilisation_percent": shares,
        "stages": [asdict(s) for s in found.stages],
        "clock": "target, unverified",
    }
    return Report(data, blocks)


def _rows(name: str, found: Any, guessed: Any) -> list[tuple[str, ...]]:
    """Return a row, and one with the estimate, which knows no carries."""
    kinds = ("luts", "lutram", "ff", "dsp", "ramb36", "ramb18", "uram")
    mapped, wanted = ([f"{getattr(r, k):,}" for k in kinds] for r in (found, guessed))
    return [(name, *mapped, f"{found.carry8:,}"), ("  estimate", *wanted, "-")]


def _worst(found: Any) -> list[Any]:
    """Return for every part of the design the two worst stages by levels, and the one by carry."""
    picked: list[Any] = []
    for part in found.parts:
        mine = [s for s in found.stages if s.part == part]
        for s in [*mine[:2], *sorted(mine, key=lambda s: -s.carry)[:1]]:
            if s not in picked:
                picked.append(s)
    return picked
