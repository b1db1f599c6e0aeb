"""A bar chart of energy reports: a panel per price book, a bar per place, all on one axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikec.compiler.energy import Band, EnergyReport
from spikec.compiler.energy_table import joules
from spikec.compiler.errors import SpikecError, one_line
from spikec.compiler.plot import FAINT, INK, matplotlib_part, picture_format, save, style
from spikec.compiler.prices import PriceBook

COLOURS = {
    "input": "#5b8e7d",
    "population": "#c8553d",
    "projection": "#1f2a44",
    "machine": "#9aa0ab",
    "others": "#9aa0ab",
}
LEGEND = {"population": "population", "projection": "projection (synapses)"}
BARS = 40  # at most, per book; what is beyond is summed
LETTERS = 44  # at most, per name
SPREAD = 100  # between longest and shortest bar, from which the axis is logarithmic


def bars(reports: Sequence[EnergyReport], path: str | Path) -> None:
    """Write the chart.

    Args:
        reports: At least one, of the same counts, one per book.
        path: .png, .pdf or .svg.

    Raises:
        SpikecError: SPK1140 when nothing has a price; errors of ``plot``.
    """
    form = picture_format(path)
    known = [r for r in reports if r.total is not None]
    if not known:
        raise SpikecError("SPK1140", "--plot", "no energy is known", "Give a price book")
    save(_figure(known), path, form)


def check_place(path: str | Path, books: Sequence[PriceBook]) -> None:
    """Refuse a chart that could not be drawn, before a long run.

    Raises:
        SpikecError: SPK1135 without a book; errors of ``plot``.
    """
    picture_format(path)
    matplotlib_part("figure")
    if not books:
        raise SpikecError("SPK1135", "--plot", "without prices there are no bars", "Give --prices")


@dataclass(frozen=True, slots=True)
class _Bar:
    """One place, or the sum of several; ``bound``: something that happened there has no price."""

    kind: str
    name: str
    band: Band | None
    bound: bool

    @property
    def typical(self) -> float:
        return 0.0 if self.band is None else self.band.typical


def _bars(report: EnergyReport) -> list[_Bar]:
    """Return the bars of a report, per inference, in its order."""
    listed = [
        _Bar(kind, name, report.per_sample(band), bool(report.lacking[kind, name]))
        for (kind, name), band in report.places.items()
        if band is not None or report.lacking[kind, name]
    ]
    if len(listed) <= BARS:
        return listed
    ranked = sorted(listed, key=lambda b: b.typical, reverse=True)
    rest = ranked[BARS - 1 :]
    total = sum(b.typical for b in rest)
    # Bands of places share draws, so they do not simply add up.
    others = _Bar(
        "others",
        f"{len(rest)} others, typical",
        Band(total, total, total),
        any(b.bound for b in rest),
    )
    return [b for b in listed if b not in rest] + [others]


def _figure(reports: Sequence[EnergyReport]) -> Any:
    made = [_bars(r) for r in reports]
    heights = [0.26 * len(listed) + 1.1 for listed in made]
    figure: Any = matplotlib_part("figure").Figure(
        figsize=(9, sum(heights) + 0.6), layout="constrained"
    )
    grid = figure.add_gridspec(len(made), 1, height_ratios=heights)
    limits, scale = _axis([b for listed in made for b in listed])
    for k, (report, listed) in enumerate(zip(reports, made, strict=True)):
        axes = figure.add_subplot(grid[k, 0])
        style(axes)
        axes.set_xscale(scale)
        axes.set_xlim(*limits)
        _panel(axes, listed, limits[0])
        _title(axes, report)
    _ticks(figure.axes, scale)
    name = one_line(reports[0].counts.network)
    figure.suptitle(
        f"{_short(name)}: energy per inference", color=INK, fontsize=11, x=0.01, ha="left"
    )
    _legend(figure, [b for listed in made for b in listed])
    return figure


def _axis(listed: Sequence[_Bar]) -> tuple[tuple[float, float], str]:
    """Return the limits and the scale that all panels share, with room for the figures."""
    sizes = [b.typical for b in listed if b.typical > 0]
    ends = [b.band.high for b in listed if b.band is not None]
    if not sizes:
        return (0.0, 1e-12), "linear"
    least, most = min(sizes), max(ends)
    if most / least < SPREAD:
        return (0.0, 1.25 * most), "linear"
    least /= 2
    return (least, most * (most / least) ** 0.18), "log"


def _panel(axes: Any, listed: Sequence[_Bar], start: float) -> None:
    """Draw typical prices as bars, low to high as lines, with the figure beside them."""
    for k, bar in enumerate(listed):
        band, end = bar.band, bar.typical
        if band is not None and end > 0:
            axes.barh(k, end - start, 0.7, start, color=COLOURS[bar.kind])
            if band.low < band.high:
                ends = [[end - band.low], [band.high - end]]
                axes.errorbar(
                    [end], [k], xerr=ends, color=INK, ecolor=FAINT, elinewidth=1.2, capsize=2.5
                )
                end = band.high
        text = "unknown" if band is None else joules(band.typical)
        text = f">= {text}" if bar.bound and band is not None else text
        axes.annotate(
            text,
            (max(end, start), k),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=FAINT if band is None else INK,
            fontstyle="italic" if band is None else "normal",
        )
    axes.set_yticks(range(len(listed)), [_short(one_line(b.name)) for b in listed])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.set_ylim(len(listed) - 0.4, -0.6)


def _short(name: str) -> str:
    """Return a name without its middle, or its ends' middles, where it is too long."""
    parts = name.split(" -> ")
    half = LETTERS // len(parts) // 2 - 2
    cut = (p if len(p) <= 2 * half + 3 else f"{p[:half]}...{p[-half:]}" for p in parts)
    return name if len(name) <= LETTERS else " -> ".join(cut)


def _title(axes: Any, report: EnergyReport) -> None:
    total = report.per_sample(report.total)
    if total is None or report.book is None:
        return
    band = "" if total.low == total.high else f" ({joules(total.low)} to {joules(total.high)})"
    bound = ">= " if report.lower_bound else ""
    lines = [
        f"{report.book.name}: {bound}{joules(total.typical)}{band}, grade {report.grade}",
    ]
    if report.unpriced:
        lines.append(f"not in the sum: {', '.join(report.unpriced)}")
    text = "\n".join(one_line(line) for line in lines)
    axes.set_title(text, fontsize=8.5, color=INK, loc="left", parse_math=False)


def _ticks(panels: Sequence[Any], scale: str) -> None:
    """Write every tick with its own unit."""
    ticker = matplotlib_part("ticker")
    for axes in panels:
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(_tick))
        if scale == "log":
            axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    note = "logarithmic axis; " if scale == "log" else ""
    panels[-1].set_xlabel(f"{note}bars: typical prices, lines: low to high", fontsize=8, color=INK)


def _tick(value: float, position: int) -> str:
    return joules(float(value))


def _legend(figure: Any, listed: Sequence[_Bar]) -> None:
    """Name the colours of populations and projections; other bars are named by themselves."""
    patches = matplotlib_part("patches")
    kinds = [k for k in LEGEND if any(b.kind == k and b.typical > 0 for b in listed)]
    figure.legend(
        handles=[patches.Patch(color=COLOURS[k], label=LEGEND[k]) for k in kinds],
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        loc="outside upper right",
        ncols=2,
    )
