"""Chooses the lanes of every engine: the smallest, or the fastest that fits, for what is asked.

Cycles are those of measured activity: the mean over the steps of the calibration data, and for what
must be kept to, three standard deviations more. Without data every source sends in every step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikec.backends.fpga.plan import Engine, plan
from spikec.backends.fpga.simulation.expected import step_cycles
from spikec.backends.fpga.sizes.estimate import engine_resources, estimate, reads, utilisation
from spikec.backends.fpga.sizes.netlist import Resources
from spikec.compiler.agreement import chunks
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Program
from spikec.compiler.signals import quiet
from spikec.compiler.simulator import Simulator
from spikec.compiler.target import Target, load_target
from spikec.compiler.types import Array

TRIED = tuple(1 << k for k in range(11))
SPREAD = 3.0
ENDS = 2


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for.

    Attributes:
        choose: most, as few lanes as keep the groups of ``lanes``; fit, the smallest; fast, the
            fastest that fits.
        lanes: With ``most``.
        steps_per_second: Throughput, or 0.
        latency: Seconds of a step through all engines, or 0.
        clock_hz: Clock that is aimed at.
    """

    choose: str
    lanes: int
    steps_per_second: float
    latency: float
    clock_hz: float


@dataclass(frozen=True, slots=True, eq=False)
class Option:
    """An engine with so many lanes.

    Attributes:
        engine: The engine.
        resources: What it takes.
        reading: Mean cycles of a step in which it reads.
        mean: Cycles of a step at the mean.
        peak: At the mean and three standard deviations.
    """

    engine: Engine
    resources: Resources
    reading: float
    mean: float
    peak: float


def choose(program: Program, data: Mapping[str, Array], wish: Wish) -> dict[str, Any]:
    """Return the report of the pass ``engines``: lanes and what was measured, by population.

    Args:
        program: In integers.
        data: Calibration data; may be empty.
        wish: What is asked for.

    Raises:
        SpikecError: SPK1966 when it is not reached however many lanes there are.
    """
    sent = _activity(program, data)
    if wish.choose == "most" and not (wish.steps_per_second or wish.latency):
        picked = [_option(e, sent) for e in plan(program, wish.lanes).engines]
    else:
        picked = _Choice(program, sent, wish).made()
    return {
        "lanes": {o.engine.population.name: o.engine.lanes for o in picked},
        "clock_hz": wish.clock_hz,
        "reading": None
        if sent is None
        else {o.engine.population.name: round(o.reading, 4) for o in picked},
    }


def _activity(program: Program, data: Mapping[str, Array]) -> Mapping[str, Array] | None:
    """Return what every source sends, (samples * steps, size), or None without data."""
    if not data:
        return None
    simulator, found = Simulator(program, "cpu", quiet), dict[str, list[Array]]()
    for part in chunks(program, data):
        trace = simulator.run({n: a[part] for n, a in data.items()}, ("spikes",))
        for name, sent in {**trace.inputs, **trace.spikes}.items():
            flat = (sent != 0).reshape(sent.shape[0] * sent.shape[1], -1)
            found.setdefault(name, []).append(flat)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _option(engine: Engine, sent: Mapping[str, Array] | None) -> Option:
    idle = step_cycles(engine) + ENDS
    taken = engine_resources(engine)
    if sent is None:
        reading = float(sum(int(words.sum()) for _, words in reads(engine)))
        return Option(engine, taken, reading, idle + reading, idle + reading)
    totals = [np.asarray(sent[name] @ words, float) for name, words in reads(engine)]
    per_step: Array = np.sum(totals, axis=0) if totals else np.zeros(1)
    mean, spread = float(per_step.mean()), float(per_step.std())
    return Option(engine, taken, mean, idle + mean, idle + mean + SPREAD * spread)


class _Choice:
    """Options of every engine, and those that are picked."""

    def __init__(self, program: Program, sent: Mapping[str, Array] | None, wish: Wish) -> None:
        self.wish, self.target = wish, load_target(program.target)
        smallest = plan(program, 1)
        self.around = estimate(smallest).parts[""]
        self.options: list[list[Option]] = [[_option(e, sent)] for e in smallest.engines]
        largest = max(p.size for p in program.graph.populations)
        for most in TRIED[1:]:
            if most >= 2 * largest:
                break
            for held, engine in zip(self.options, plan(program, most).engines, strict=True):
                option = _option(engine, sent)
                if option.mean < held[-1].mean:  # more lanes that gain nothing are no option
                    held.append(option)
        self.at = [0] * len(self.options)

    def made(self) -> list[Option]:
        """Return what is picked."""
        if self.wish.choose == "fast":
            self._fast()
        else:
            self._small()
        return self._picked()

    def _picked(self) -> list[Option]:
        return [held[k] for held, k in zip(self.options, self.at, strict=True)]

    def _fits(self) -> bool:
        total = sum((o.resources for o in self._picked()), self.around)
        return not beyond(total, self.target)

    def _raise(self, k: int) -> bool:
        """Give an engine its next option; return False where there is none, or it is too large."""
        if self.at[k] + 1 == len(self.options[k]):
            return False
        self.at[k] += 1
        if self.wish.choose == "fast" and not self._fits():
            self.at[k] -= 1
            return False
        return True

    def _fast(self) -> None:
        """Give lanes to the slowest engine until that is not possible."""
        while True:
            means = [o.mean for o in self._picked()]
            if not self._raise(int(np.argmax(means))):
                return

    def _small(self) -> None:
        """Give as few lanes as reach throughput and latency."""
        clock = self.wish.clock_hz
        if self.wish.steps_per_second:
            budget = clock / self.wish.steps_per_second
            for k in range(len(self.at)):
                while self._picked()[k].peak > budget:
                    if not self._raise(k):
                        self._unreached(self._picked()[k].peak, budget)
        if self.wish.latency:
            budget = clock * self.wish.latency
            while (total := sum(o.peak for o in self._picked())) > budget:
                gains = [self._gain(k) for k in range(len(self.at))]
                best = int(np.argmax(gains))
                if gains[best] <= 0:
                    self._unreached(total, budget)
                self._raise(best)

    def _gain(self, k: int) -> float:
        """Return the cycles that an engine's next option saves for each LUT."""
        if self.at[k] + 1 == len(self.options[k]):
            return 0.0
        now, then = self.options[k][self.at[k]], self.options[k][self.at[k] + 1]
        return (now.peak - then.peak) / max(then.resources.luts - now.resources.luts, 1)

    def _unreached(self, cycles: float, budget: float) -> None:
        raise SpikecError(
            "SPK1966",
            "engines",
            f"a step takes {cycles:,.0f} cycles with all the lanes that help, not {budget:,.0f}",
            f"Ask for less, or for a faster clock than {self.wish.clock_hz:g} Hz",
        )


def beyond(total: Resources, target: Target) -> dict[str, float]:
    """Return by resource what is taken of the part, in percent, where it is more than may be."""
    if not target.device:
        return {}
    shares = utilisation(total, target)
    return {n: s for n, s in shares.items() if s > float(target.device[f"most_{n}"])}
