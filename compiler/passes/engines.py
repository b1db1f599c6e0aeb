"""Choose the size of FPGA engines; the program stays as it is.

The choice stands in the reports of the program, where the FPGA backend reads it.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Program
from spikec.compiler.pipeline import Context
from spikec.compiler.target import load_target

MOST_LANES = 1024
CLOCK = 200e6


@dataclass(frozen=True, slots=True)
class Engines:
    """Choose engines.

    Attributes:
        lanes: Neurons that an engine updates at once, at most; smaller ones have fewer.
        choose: most, by ``lanes``; fit, the smallest; fast, the fastest that fits the part.
        steps_per_second: Throughput to reach with as few lanes as possible; 0: none is asked for.
        latency: Seconds of a step through all engines, the same.
        clock: Hz, a target; 0: that of the target.
        thresholds: Thresholds can be set at run time, from this part to this multiple of their
            value; 0 for never.
        lesions: Neurons can be silenced at run time.
        upload: Weights can be replaced at run time.
        ultra: Deep memories of weights are in ultra RAM. It has no contents at first: the host
            writes them, and so ``upload`` is included.
    """

    name: ClassVar[str] = "engines"
    lanes: int = 16
    choose: Literal["most", "fit", "fast"] = "most"
    steps_per_second: float = 0.0
    latency: float = 0.0
    clock: float = 0.0
    thresholds: int = 0
    lesions: bool = False
    upload: bool = False
    ultra: bool = False

    def run(self, program: Program, context: Context) -> Program:
        """Return the program with the choice in its reports.

        Raises:
            SpikecError: SPK1863 on a number of lanes that cannot be, SPK1967 on another number;
                errors of the choice.
        """
        if not 1 <= self.lanes <= MOST_LANES:
            raise SpikecError(
                "SPK1863",
                "engines",
                f"{self.lanes} lanes are not 1 to {MOST_LANES}",
                "Give a number in that range",
            )
        for option in ("steps_per_second", "latency", "clock"):
            if not 0 <= getattr(self, option) < float("inf"):
                raise SpikecError(
                    "SPK1967",
                    f"engines {option}",
                    f"{getattr(self, option)} is not a positive number",
                    "Give a positive number",
                )
        if program.stage != "integer":
            return program  # the backend says that it needs integers
        # Compiled kernels are behind it, which most commands start without.
        from spikec.backends.fpga.sizes.choice import Wish, choose

        clock = self.clock or float(load_target(program.target).device.get("clock_hz", CLOCK))
        wish = Wish(self.choose, self.lanes, self.steps_per_second, self.latency, clock)
        asked = {n: getattr(self, n) for n in ("thresholds", "lesions", "upload", "ultra")}
        asked = {n: value for n, value in asked.items() if value}
        # What may be changed at run time is part of what the lanes are chosen for.
        wished = {"lanes": self.lanes, **asked}
        program = replace(program, reports={**program.reports, "engines": wished})
        found = choose(program, context.calibration, wish)
        return replace(program, reports={**program.reports, "engines": {**found, **asked}})
