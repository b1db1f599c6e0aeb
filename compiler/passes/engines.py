"""Choose the size of FPGA engines; the program stays as it is.

The choice stands in the reports of the program, where the FPGA backend reads it.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Program
from spikec.compiler.pipeline import Context

MOST_LANES = 1024


@dataclass(frozen=True, slots=True)
class Engines:
    """Choose engines.

    Attributes:
        lanes: Neurons that an engine updates at once, at most; smaller ones have fewer.
        thresholds: Thresholds can be set at run time, from this part to this multiple of their
            value; 0 for never.
        lesions: Neurons can be silenced at run time.
        upload: Weights can be replaced at run time.
    """

    name: ClassVar[str] = "engines"
    lanes: int = 16
    thresholds: int = 0
    lesions: bool = False
    upload: bool = False

    def run(self, program: Program, context: Context) -> Program:
        """Return the program with the choice in its reports.

        Raises:
            SpikecError: SPK1863 on a number of lanes that cannot be.
        """
        if not 1 <= self.lanes <= MOST_LANES:
            raise SpikecError(
                "SPK1863",
                "engines",
                f"{self.lanes} lanes are not 1 to {MOST_LANES}",
                "Give a number in that range",
            )
        asked = {n: getattr(self, n) for n in ("thresholds", "lesions", "upload")}
        said = {"lanes": self.lanes, **{n: value for n, value in asked.items() if value}}
        return replace(program, reports={**program.reports, "engines": said})
