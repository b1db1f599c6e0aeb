"""Choose how the weights of a program lie on resistive arrays; the program stays as it is.

The choice stands in the reports of the program, where the crossbar backend reads it.
"""

from dataclasses import asdict, dataclass, replace
from typing import ClassVar, Literal

from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Program
from spikec.compiler.pipeline import Context

# An array beyond it takes more than a minute to solve; a cell of more levels was never made.
MOST_SIDE, MOST_LEVELS, MOST_MACROS, MOST_MICRO = 1024, 256, 1 << 20, 1e6
_LIMITS = {
    "rows": (0, MOST_SIDE),
    "columns": (0, MOST_SIDE),
    "levels": (0, MOST_LEVELS),
    "g_min": (0, MOST_MICRO),
    "g_max": (0, MOST_MICRO),
    "parallel": (0, MOST_SIDE),
    "macros": (0, MOST_MACROS),
}


@dataclass(frozen=True, slots=True)
class Tiles:
    """Choose tiles. Where a number is 0, that of the target holds.

    Attributes:
        rows: Word lines of a tile, at most.
        columns: Bit lines of a tile, at most.
        levels: Conductances that a cell can be programmed to.
        g_min: Of level 0, in uS.
        g_max: Of the highest level, in uS.
        encoding: differential: a weight is the difference of two cells; offset: a cell holds the
            weight plus a constant, which one column of the tile takes away again.
        loss: Part of the current that the wires may lose, for all rows at once; tiles are no
            larger than that. 0: any.
        partial: Sums of tiles that share columns: digital, each converted, or analogue, added as
            currents before one conversion; none: a neuron's rows must fit one tile.
        parallel: Rows that are read at once, at most; the others follow in turns. 0: all.
        coding: How values become inputs: pulses, so many as the value says, or serial, bit by bit.
        macros: Macros there are; 0: as many as it takes.
    """

    name: ClassVar[str] = "tiles"
    rows: int = 0
    columns: int = 0
    levels: int = 0
    g_min: float = 0.0
    g_max: float = 0.0
    encoding: Literal["differential", "offset"] = "differential"
    loss: float = 0.0
    partial: Literal["digital", "analogue", "none"] = "digital"
    parallel: int = 0
    coding: Literal["pulses", "serial"] = "serial"
    macros: int = 0

    def __post_init__(self) -> None:
        """Check the ranges of the options.

        Raises:
            SpikecError: SPK2106.
        """
        problems = [
            f"{option} {getattr(self, option)} is outside {lo} to {hi}"
            for option, (lo, hi) in _LIMITS.items()
            if not lo <= getattr(self, option) <= hi
        ]
        if self.levels == 1:
            problems.append("levels 1 tell nothing apart")
        if not 0 <= self.loss < 1:
            problems.append(f"loss {self.loss:g} is not a part from 0 to 1")
        if problems:
            raise SpikecError("SPK2106", "tiles", problems[0], "Choose a value in that range")

    def run(self, program: Program, context: Context) -> Program:
        """Return the program with the choice in its reports."""
        return replace(program, reports={**program.reports, "tiles": asdict(self)})
