"""What the backend offers: whether a program fits tiles, running it on them, what it takes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikec.backends.crossbar.devices import Devices
from spikec.backends.crossbar.emit import emit, tile_netlist
from spikec.backends.crossbar.explain import explained, figures
from spikec.backends.crossbar.monte_carlo import Study
from spikec.backends.crossbar.plan import plan, supports
from spikec.backends.crossbar.runner import TileRunner
from spikec.compiler.cli_report import Block, Report
from spikec.compiler.errors import Finding
from spikec.compiler.ir import Program
from spikec.compiler.types import Array


class Crossbar:
    """The backend.

    Attributes:
        verified_by: Backends that a build is compared with.
    """

    verified_by = ("crossbar",)

    def supports(self, program: Program) -> tuple[Finding, ...]:
        """Return everything that tiles cannot do."""
        return supports(program)

    def prepare(self, program: Program) -> TileRunner:
        """Return the program on tiles of ideal cells."""
        return TileRunner(plan(program))

    def prepare_devices(self, program: Program, devices: str, seed: int) -> TileRunner:
        """Return the program on tiles of drawn devices; see ``Devices.parse``."""
        return TileRunner(plan(program), Devices.parse(devices), seed)

    def study(
        self,
        program: Program,
        devices: str,
        inputs: Mapping[str, Array],
        labels: Array,
        readout: str,
        draws: Any,
    ) -> Study:
        """Return what is run to see how the draws of devices change an accuracy.

        ``draws`` has ``runs``, ``seed`` and ``attribute``; see ``Study``.
        """
        stages = Devices.parse(devices)
        chosen = draws.runs, draws.seed, draws.attribute
        return Study(program, stages, inputs, labels, readout, *chosen)

    def figures(self, program: Program) -> tuple[Mapping[str, Any], list[Block]]:
        """Return what a program takes, as data and as text; nothing where it does not fit."""
        return ({}, []) if supports(program) else figures(plan(program))

    def explain(self, program: Program) -> Report:
        """Return why it takes the tiles that it takes."""
        return Report({}, []) if supports(program) else explained(plan(program))

    def emit(self, program: Program, folder: Path) -> tuple[str, ...]:
        """Write where every weight lies, and the level of every cell; see ``emit``."""
        return emit(plan(program), folder)

    def netlist(self, program: Program, tile: int) -> str:
        """Return the SPICE netlist of a tile with every row driven; see ``emit.tile_netlist``."""
        return tile_netlist(plan(program), tile)
