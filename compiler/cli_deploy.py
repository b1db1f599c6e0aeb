"""What ``spikec deploy`` does: Lava on the chip, or Vivado for an FPGA and what its reports say."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from spikec.compiler.artifact import open_folder
from spikec.compiler.cli_report import Block, Report, Table
from spikec.compiler.cli_tasks import Lava
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Program
from spikec.compiler.simulator import find_backend
from spikec.compiler.target import load_target

LAVA, LAVA_LIMIT = "python3.10", 600.0
VIVADO, VIVADO_LIMIT = "vivado", 4 * 3600.0


def deploy(
    build: Path, lava: str | None, vivado: str | None, output: Path | None, limit: float | None
) -> Report:
    """Run the golden inputs of a build on a chip, or build it for an FPGA.

    Raises:
        SpikecError: SPK1909 on an option that is for something else; errors of the tools.
    """
    program = open_folder(build)
    fpga = load_target(program.target).backend == "fpga"
    for name, value in (
        {"--lava": lava} if fpga else {"--vivado": vivado, "--output": output}
    ).items():
        if value is not None:
            raise SpikecError(
                "SPK1909", name, f"it has no effect on a build for {program.target}", "Leave it out"
            )
    if fpga:
        return _fpga(build, program, output, vivado or VIVADO, limit or VIVADO_LIMIT)
    return _loihi(build, program, Lava(lava or LAVA, limit or LAVA_LIMIT))


def _loihi(build: Path, program: Program, lava: Lava) -> Report:
    """Run the golden inputs of a build on the chip."""
    verdict: str = lava.runner(build, program).deploy()
    equal = verdict.startswith("equal")
    lines: list[Block] = [f"{program.graph.name} on Loihi 2: {verdict}"]
    return Report({"equal": equal, "verdict": verdict}, lines, code=0 if equal else 1)


def _fpga(build: Path, program: Program, output: Path | None, vivado: str, limit: float) -> Report:
    """Build a design with Vivado and show resources, timing and power.

    Args:
        build: A folder written by ``spikec compile``.
        program: What is in it.
        output: Where Vivado writes; beside the build, with ``.vivado`` to its name, if not given.
        vivado: The program.
        limit: Seconds that it may take.
    """
    folder = build.parent / f"{build.resolve().name}.vivado" if output is None else output
    target = load_target(program.target)
    found: Any = find_backend(target.backend).deploy(program, build, folder, vivado, limit)
    rows = tuple(
        (name, f"{u.used:,g}", f"{u.available:,g}", f"{100 * u.used / u.available:.1f} %")
        for name, u in found.resources.items()
        if u.available
    )
    met = "met" if found.wns_ns >= 0 else "NOT met"
    blocks: list[Block] = [
        f"{program.graph.name} on {target.device['part']}, by Vivado, placed and routed alone",
        "",
        Table(("resource", "used", "of", ""), rows),
        "",
        f"clock  {1e3 / found.period_ns:,.1f} MHz {met}: slack {found.wns_ns:g} ns, "
        f"hold {found.whs_ns:g} ns; at most {found.clock_hz / 1e6:,.1f} MHz by this run",
        f"power  {found.watts['total']:g} W ({found.watts['dynamic']:g} dynamic, "
        f"{found.watts['static']:g} static), vectorless, confidence {found.confidence}",
        f"files  {folder}",
    ]
    shown = {"build": str(build), "output": str(folder), **asdict(found)}
    shown["clock_hz"] = found.clock_hz
    return Report(shown, blocks, code=0 if found.wns_ns >= 0 else 1)
