"""Fit the coefficients of the FPGA estimate to Yosys: writes hw/fpga_estimate.toml.

    python tools/fit_fpga.py

Runs Yosys on the networks of ``fpga_networks`` (about ten minutes on one core; results are kept in
the user's cache), fits on those below 100, and prints the errors on those, and on the others,
which are never fitted.
"""

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from fpga_networks import FITTED, TESTED, case
from spikec.backends.fpga.build import texts
from spikec.backends.fpga.plan import plan
from spikec.backends.fpga.sizes import terms
from spikec.backends.fpga.sizes.netlist import Resources
from spikec.backends.fpga.sizes.synth import synthesise
from spikec.compiler.types import Array

PLACE = Path(__file__).parents[1] / "hw" / "fpga_estimate.toml"
HEAD = """# LUTs and flip-flops for each bit of logic, fitted to {tool} by tools/fit_fpga.py
# on {count} networks; do not edit. Terms are those of backends/fpga/sizes/terms.py.
"""

# How strongly a coefficient is held to the prior; chosen on the fitted networks, leaving one out.
PULL = 0.05
# What a bit of each kind should take: one LUT where it has a carry, less where logic is shared.
LUTS = {
    "added": 1.0,
    "compared": 0.5,
    "selected": 0.5,
    "multiplied": 1.5,
    "sums": 1.0,
    "states": 0.3,
    "weights": 0.5,
    "lanes": 5.0,
    "hits": 2.0,
    "chosen": 1.0,
    "tables": 1.0,
    "rows": 0.7,
    "queues": 3.0,
    "queue_words": 0.5,
    "values": 1.0,
    "addresses": 3.0,
    "windows": 3.0,
    "engine": 350.0,
    "channels": 10.0,
}
AROUND = {
    "design": 70.0,
    "engines": 25.0,
    "words": 1.0,
    "outputs": 1.0,
    "written": 15.0,
    "loaded": 0.3,
    "bounded": 0.2,
}


@dataclass(frozen=True, slots=True)
class Row:
    """An engine, or what is around the engines, of one network."""

    number: int
    part: str
    logic: dict[str, float]
    registers: dict[str, float]
    found: Resources


def rows(numbers: Sequence[int], tell: Callable[[str], None]) -> list[Row]:
    """Return terms and resources of all parts of some networks."""
    made: list[Row] = []
    for number in numbers:
        of = case(number)
        planned = plan(of.program(), of.lanes)
        found = synthesise(planned, texts(planned))
        tell(f"network {number}: {found.total}")
        for e in planned.engines:
            part = found.parts[e.population.name]
            made.append(Row(number, e.population.name, terms.logic(e), terms.registers(e), part))
        around = terms.around(planned)
        made.append(Row(number, "", around, around, found.parts[""]))
    return made


def fit(rows: Sequence[tuple[dict[str, float], int]], prior: dict[str, float]) -> dict[str, float]:
    """Return a coefficient of at least zero for every term.

    Least squares of relative errors. Where the networks do not tell terms apart, ``PULL`` keeps
    coefficients near the prior, so that the fit holds beyond their sizes.
    """
    names = list(rows[0][0])
    expected: Array = np.array([prior[n] for n in names], float)
    matrix: Array = np.array([[amounts[n] for n in names] for amounts, _ in rows], float)
    wanted: Array = np.array([y for _, y in rows], float)
    relative = matrix * expected / wanted[:, None]
    pull = PULL**0.5
    stacked = np.vstack([relative, pull * np.eye(len(names))])
    ones = np.concatenate([np.ones(len(rows)), np.full(len(names), pull)])
    optimize: Any = import_module("scipy.optimize")
    found = expected * optimize.nnls(stacked, ones)[0]
    return {n: round(float(v), 4) for n, v in zip(names, found, strict=True) if v >= 5e-5}


def main() -> None:
    """Fit, write and print."""
    measured = rows((*FITTED, *TESTED), print)
    fitted = [r for r in measured if r.number in FITTED]
    sections = {
        "engine_lut": [(r.logic, r.found.lut) for r in fitted if r.part],
        "engine_ff": [(r.registers, r.found.ff) for r in fitted if r.part],
        "around_lut": [(r.logic, r.found.lut) for r in fitted if not r.part],
        "around_ff": [(r.registers, r.found.ff) for r in fitted if not r.part],
    }
    ones = dict.fromkeys(fitted[0].registers, 1.0)
    priors = {"engine_lut": LUTS, "engine_ff": ones, "around_lut": AROUND, "around_ff": AROUND}
    found = {name: fit(held, priors[name]) for name, held in sections.items()}
    tool = f"Yosys (pyosys {importlib.metadata.version('pyosys')})"
    text = HEAD.format(tool=tool, count=len(FITTED))
    for name, row in found.items():
        text += f"\n[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in row.items())
    PLACE.write_text(text, encoding="utf-8")
    from spikec.backends.fpga.sizes.estimate import coefficients, estimate

    coefficients.cache_clear()
    for title, numbers in (("fitted", FITTED), ("tested", TESTED)):
        for number in numbers:
            of = case(number)
            planned = plan(of.program(), of.lanes)
            ours, theirs = estimate(planned).total, synthesise(planned, texts(planned)).total
            print(
                f"{title} {number}: LUT {ours.luts} of {theirs.luts} "
                f"({ours.luts / theirs.luts - 1:+.1%}), FF {ours.ff} of {theirs.ff} "
                f"({ours.ff / theirs.ff - 1:+.1%}), DSP {ours.dsp} of {theirs.dsp}, "
                f"BRAM36 {ours.bram36} of {theirs.bram36}"
            )


if __name__ == "__main__":
    main()
