"""A bar chart of an energy report: a bar per place, coloured by what the energy is spent on."""

from pathlib import Path
from typing import Any

from spikec.compiler.energy import GROUPS, EnergyReport, Place
from spikec.compiler.energy_table import joules
from spikec.compiler.errors import SpikecError, one_line
from spikec.compiler.plot import FAINT, INK, matplotlib_part, picture_format, save, style

COLOURS = {"synapse": "#1f2a44", "neuron": "#c8553d", "network": "#5b8e7d", "static": "#c9ccd3"}


def bars(report: EnergyReport, path: str | Path) -> None:
    """Write the chart.

    Args:
        report: With a book.
        path: .png, .pdf or .svg.

    Raises:
        SpikecError: SPK1140 when nothing has a price; errors of ``plot``.
    """
    form = picture_format(path)
    if report.total is None:
        raise SpikecError("SPK1140", "--plot", "no energy is known", "Give a price book")
    save(_figure(report), path, form)


def _figure(report: EnergyReport) -> Any:
    samples = report.counts.samples
    places = [p for p, band in report.places.items() if band is not None]
    spent = {g: [_spent(report, p, g) / samples for p in places] for g in GROUPS}
    sums = [sum(spent[g][k] for g in GROUPS) for k in range(len(places))]
    size, unit = _unit(max(sums))
    tall = 1.5 + 0.32 * len(places)
    figure: Any = matplotlib_part("figure").Figure(figsize=(9, tall), layout="constrained")
    axes = figure.add_subplot()
    style(axes)
    start = [0.0] * len(places)
    for group in GROUPS:
        if any(spent[group]):
            width = [v / size for v in spent[group]]
            axes.barh(range(len(places)), width, 0.7, start, color=COLOURS[group], label=group)
            start = [a + b for a, b in zip(start, width, strict=True)]
    for k, total in enumerate(sums):
        axes.text(start[k], k, f" {joules(total)}", va="center", fontsize=8, color=INK)
    axes.set_yticks(range(len(places)), [name for _, name in places])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(start) or 1)
    axes.set_xlabel(f"{unit} per inference (typical prices)", fontsize=8, color=INK)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="best")
    _titles(figure, axes, report)
    return figure


def _spent(report: EnergyReport, place: Place, group: str) -> float:
    return sum(t.joules for t in report.terms if t.place == place and t.group == group)


def _unit(largest: float) -> tuple[float, str]:
    """Return the size and name of the unit in which the longest bar has one to three digits."""
    text = joules(largest).split()[1]
    sizes = {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "nJ": 1e-9, "pJ": 1e-12, "fJ": 1e-15}
    return sizes[text], text


def _titles(figure: Any, axes: Any, report: EnergyReport) -> None:
    total = report.ratios()["inference"][1]
    if total is None or report.book is None:
        return
    band = "" if total.low == total.high else f" ({joules(total.low)} to {joules(total.high)})"
    bound = "at least " if report.lower_bound else ""
    head = f"{report.counts.network}: {bound}{joules(total.typical)} per inference{band}"
    figure.suptitle(one_line(head), color=INK, fontsize=11, x=0.01, ha="left", parse_math=False)
    lines = [one_line(f"{report.book.title}; grade {report.grade}")]
    if report.unpriced:
        lines.append(f"not in the sum: {', '.join(report.unpriced)}")
    axes.set_title("\n".join(lines), fontsize=8, color=FAINT, loc="left", parse_math=False)
