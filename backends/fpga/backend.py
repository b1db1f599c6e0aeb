"""What the backend offers: whether a program fits, running its RTL in a simulator, emitting it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikec.backends.fpga import build
from spikec.backends.fpga.board.vivado import Built
from spikec.backends.fpga.board.vivado import build as run_vivado
from spikec.backends.fpga.plan import plan, supports
from spikec.backends.fpga.proofs.claims import Claim, claims
from spikec.backends.fpga.simulation.golden import golden
from spikec.backends.fpga.simulation.runner import CosimRunner
from spikec.backends.fpga.sizes.estimate import resources_data
from spikec.backends.fpga.sizes.table import figures, misfits
from spikec.compiler.artifact import json_text
from spikec.compiler.cli_report import Block
from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.ir import Program


class Fpga:
    """The backend.

    Attributes:
        simulator: What runs programs; the first simulator of RTL that is installed if None.
        verified_by: Backends that a build is compared with.
    """

    verified_by = ("fpga", "hls")

    def __init__(self, simulator: str | None = None) -> None:
        """Keep the simulator."""
        self.simulator = simulator

    def supports(self, program: Program) -> tuple[Finding, ...]:
        """Return everything that engines cannot do."""
        return supports(program) or misfits(plan(program))

    def figures(self, program: Program) -> tuple[Mapping[str, Any], list[Block]]:
        """Return what a program takes of the part, by estimate, as data and as text."""
        return figures(plan(program))

    def prepare(self, program: Program) -> CosimRunner:
        """Return the RTL of a program, or its HLS C++, to be run.

        Raises:
            SpikecError: SPK1861 with the first thing that does not fit.
        """
        misfits = supports(program)
        if misfits:
            raise SpikecError(
                "SPK1861", misfits[0].where, misfits[0].message, "Compile for an FPGA target"
            )
        made = plan(program)
        return CosimRunner(made, build.texts(made), self.simulator)

    def prepare_build(self, program: Program, folder: Path) -> CosimRunner:
        """Return the RTL, or the HLS C++, that lies in a build."""
        made = plan(program)
        return CosimRunner(made, build.read(made, folder), self.simulator)

    def emit(self, program: Program, folder: Path) -> tuple[str, ...]:
        """Write RTL, HLS C++, memories, golden vectors and a description."""
        made = plan(program)
        resources = {"resources.json": json_text(resources_data(made))}
        return build.write({**build.texts(made), **golden(made), **resources}, folder)

    def prove(self, program: Program, folder: Path) -> list[Claim]:
        """Prove what can be proved of a build, which must be what is written now."""
        made = plan(program)
        return claims(made, build.read(made, folder))

    def deploy(
        self, program: Program, folder: Path, output: Path, vivado: str, limit: float
    ) -> Built:
        """Build with Vivado; see ``vivado.build``. The build must be what is written now."""
        build.read(plan(program), folder)
        return run_vivado(folder, output, vivado, limit)
