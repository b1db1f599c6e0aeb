"""The estimate for people: what a program takes of its part, and what does not fit."""

from collections.abc import Mapping
from typing import Any

from spikec.backends.fpga.plan import Plan
from spikec.backends.fpga.sizes.choice import beyond
from spikec.backends.fpga.sizes.estimate import (
    Estimate,
    clock,
    estimate,
    resources_data,
    utilisation,
)
from spikec.backends.fpga.sizes.netlist import Resources
from spikec.compiler.cli_report import Block, Table
from spikec.compiler.errors import Finding
from spikec.compiler.target import load_target

NAMES = {
    "lut": "LUT",
    "ff": "flip-flops",
    "dsp": "DSP48E2",
    "bram36": "RAMB36",
    "uram": "URAM288",
}
HEADER = ("estimate", "lanes", "groups", "LUT", "FF", "DSP48E2", "RAMB36", "URAM288")
CYCLES = ("cycles idle", "mean", "most")


def misfits(plan: Plan) -> tuple[Finding, ...]:
    """Return what the part has too little of: SPK1965."""
    target = load_target(plan.program.target)
    total = estimate(plan).total
    return tuple(
        Finding(
            "SPK1965",
            plan.program.graph.name,
            f"an estimated {total.limited[name]:,.0f} {NAMES[name]} are {share:.0f} % of the "
            f"{target.device[name]:,} of {target.device['part']}, and "
            f"{target.device[f'most_{name}']} % may be taken; {_remedy(plan, name)}",
        )
        for name, share in beyond(total, target).items()
    )


def _remedy(plan: Plan, name: str) -> str:
    """Return what would help."""
    if name in ("lut", "ff", "dsp") and any(e.lanes > 1 for e in plan.engines):
        return "give fewer lanes (--fit), or a larger part"
    if name == "dsp":
        return "let sources send spikes, not values, or give a larger part"
    free = name == "bram36" and load_target(plan.program.target).device["uram"]
    if free and not any(e.controls.ultra for e in plan.engines):
        return "put weights in ultra RAM, engines{ultra=true}, give fewer bits, or a larger part"
    return "give fewer bits (quantize{weight_bits=...}), a smaller network, or a larger part"


def figures(plan: Plan) -> tuple[Mapping[str, Any], list[Block]]:
    """Return the estimate as data and as text."""
    found, target = estimate(plan), load_target(plan.program.target)
    blocks: list[Block] = [Table((*HEADER, *CYCLES), tuple(_rows(plan, found)))]
    if target.device:
        shares = utilisation(found.total, target)
        of = ", ".join(f"{NAMES[n]} {s:.1f} %" for n, s in shares.items())
        blocks.append(f"part  {target.device['part']}: {of}")
    blocks.append(_speed(found, clock(plan)))
    return {"resources": resources_data(plan)}, blocks


def _speed(found: Estimate, hz: float) -> str:
    means = [c.measured for c in found.cycles.values() if c.measured is not None]
    slowest = max(means) if len(means) == len(found.cycles) else None
    text = f"clock  {hz / 1e6:g} MHz, a target, unverified"
    if slowest is None:
        most = max(c.most for c in found.cycles.values())
        return f"{text}; the slowest engine takes up to {most:,} cycles a step (no calibration)"
    return (
        f"{text}; at measured activity the slowest engine takes {slowest:,.0f} cycles a step, "
        f"{hz / slowest:,.0f} steps a second"
    )


def _rows(plan: Plan, found: Estimate) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for e in plan.engines:
        name = e.population.name
        c = found.cycles[name]
        mean = "-" if c.measured is None else f"{c.measured:,.0f}"
        cells = _cells(found.parts[name])
        rows.append((name, str(e.lanes), str(e.groups), *cells, f"{c.idle:,}", mean, f"{c.most:,}"))
    rows.append(("around the engines", "-", "-", *_cells(found.parts[""]), "-", "-", "-"))
    rows.append(("total", "-", "-", *_cells(found.total), "-", "-", "-"))
    return rows


def _cells(r: Resources) -> tuple[str, ...]:
    return (f"{r.luts:,}", f"{r.ff:,}", f"{r.dsp:,}", f"{r.bram36:g}", f"{r.uram:,}")
