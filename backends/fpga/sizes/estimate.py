"""What a plan takes of a part, without synthesis: LUTs, registers, memories, products, cycles.

Memories, products and shift registers are counted, the rest is bits of logic times coefficients in
hw/fpga_estimate.toml, which ``tools/fit_fpga.py`` fits to what Yosys makes of other networks.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from spikec.backends.fpga.plan import Engine, Plan
from spikec.backends.fpga.simulation.expected import step_cycles
from spikec.backends.fpga.sizes import terms
from spikec.backends.fpga.sizes.netlist import Resources
from spikec.compiler.target import Target, load_target
from spikec.compiler.types import Array

COEFFICIENTS = "fpga_estimate.toml"
# Cycles to take the first event of a step and to see its last.
ENDS = 2


@dataclass(frozen=True, slots=True)
class Cycles:
    """Clock cycles of a step of an engine that waits for nobody.

    Attributes:
        idle: Without any event.
        most: When every source neuron sends.
        measured: At the mean of measured activity; None without.
    """

    idle: int
    most: int
    measured: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a plan takes.

    Attributes:
        parts: By population; "" is what stands around the engines. Carries are not estimated.
        cycles: By population.
    """

    parts: Mapping[str, Resources]
    cycles: Mapping[str, Cycles]

    @property
    def total(self) -> Resources:
        """All parts."""
        return sum(self.parts.values(), Resources())


@cache
def coefficients() -> Mapping[str, Mapping[str, float]]:
    """Return LUTs and flip-flops for each bit of logic, of engines and of what is around them."""
    text = files("spikec.hw").joinpath(COEFFICIENTS).read_text("utf-8")
    data: dict[str, dict[str, float]] = tomllib.loads(text)
    return data


def estimate(plan: Plan) -> Estimate:
    """Return what a plan takes."""
    parts = {e.population.name: engine_resources(e) for e in plan.engines}
    lut, ff = (weighted(terms.around(plan), f"around_{kind}") for kind in ("lut", "ff"))
    held = terms.around_memories(plan)
    parts[""] = _memories(held) + Resources(lut=lut, ff=ff)
    return Estimate(parts, {e.population.name: cycles(e, _reading(plan, e)) for e in plan.engines})


def engine_resources(engine: Engine) -> Resources:
    """Return what an engine takes."""
    shifted = engine.lanes * terms.lane_registers(engine)[1]
    return _memories(terms.memories(engine)) + Resources(
        lut=weighted(terms.logic(engine), "engine_lut"),
        lutram=shifted,
        ff=weighted(terms.registers(engine), "engine_ff"),
        dsp=terms.multipliers(engine),
    )


def weighted(amounts: Mapping[str, float], name: str) -> int:
    """Return the sum of amounts times their coefficients; what has none takes nothing."""
    row = coefficients()[name]
    return round(sum(row.get(term, 0.0) * amount for term, amount in amounts.items()))


def _memories(held: list[terms.Memory]) -> Resources:
    return Resources(
        lutram=sum(m.cells.lutram for m in held),
        ramb36=sum(m.cells.ramb36 for m in held),
        ramb18=sum(m.cells.ramb18 for m in held),
        uram=sum(m.cells.uram for m in held),
    )


def cycles(engine: Engine, reading: float | None) -> Cycles:
    """Return the cycles of a step.

    Args:
        engine: The engine.
        reading: Mean cycles of a step that it reads weights in, where that was measured.
    """
    idle = step_cycles(engine) + ENDS
    most = sum(int(taken.sum()) for _, taken in reads(engine))
    return Cycles(idle, idle + most, None if reading is None else round(idle + reading, 2))


def reads(engine: Engine) -> list[tuple[str, Array]]:
    """Return by channel its source, and the cycles that an event of each source neuron takes.

    A cycle for every word; an event without words takes one too.
    """
    return [
        (c.source.name, np.maximum(c.rows.walked, 1))
        for c in engine.channels
        if c.rows is not None and c.source is not None
    ]


def _reading(plan: Plan, engine: Engine) -> float | None:
    """Return what the pass ``engines`` measured, if it is of so many lanes."""
    name = engine.population.name
    mean = chosen(plan, "reading", name)
    return mean if chosen(plan, "lanes", name) == engine.lanes else None


def chosen(plan: Plan, what: str, population: str) -> float | None:
    """Return what the pass ``engines`` found for a population, or None."""
    said: Any = plan.program.reports.get("engines") or {}
    row: Any = said.get(what)
    return row.get(population) if hasattr(row, "get") else None


def utilisation(total: Resources, target: Target) -> dict[str, float]:
    """Return how much of the part is taken, in percent; more than that where it has none."""
    return {
        name: 100 * amount / limit if (limit := int(target.device[name])) else 100.0 * bool(amount)
        for name, amount in total.limited.items()
    }


def resources_data(plan: Plan) -> Mapping[str, Any]:
    """Return what stands in resources.json."""
    found, target = estimate(plan), load_target(plan.program.target)
    return {
        "estimate": "before synthesis; LUT and FF are fitted to Yosys",
        "part": dict(target.device),
        "clock_hz": clock(plan),
        "clock": "target, unverified",
        "engines": [
            {
                "population": e.population.name,
                "lanes": e.lanes,
                "groups": e.groups,
                **shown(found.parts[e.population.name]),
                "cycles_per_step": asdict(found.cycles[e.population.name]),
            }
            for e in plan.engines
        ],
        "around_the_engines": shown(found.parts[""]),
        "total": shown(found.total),
        "utilisation_percent": utilisation(found.total, target) if target.device else {},
    }


def shown(r: Resources) -> dict[str, int]:
    """Return what is estimated of resources."""
    figures = asdict(r)
    del figures["carry8"]
    return {"luts": r.luts, **figures}


def clock(plan: Plan) -> float:
    """Return the clock that is aimed at, in Hz."""
    said: Any = plan.program.reports.get("engines") or {}
    wanted = said.get("clock_hz")
    return float(wanted or load_target(plan.program.target).device.get("clock_hz", 200e6))
