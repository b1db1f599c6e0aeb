"""A picture of one sample: who spiked when, and how often each output did.

A panel per population, in the order of a step: spikes as marks, values as an image. Where there are
more neurons than rows of pixels, neighbours share a row, the darker the more of them spiked. Where
there are more steps than columns of pixels too, neighbours share a column and their strongest one
is shown, so that no spike is lost.
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from spikec.compiler.disk import whole_file
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Population, Program, Trace
from spikec.compiler.types import Array

INK, ACCENT, FAINT = "#1f2a44", "#c8553d", "#8a8f99"
ROWS = 300  # at most, per panel
COLUMNS = 1000  # at most, of an image
PANELS = 24  # at most
TALLEST = 30.0  # inches
FORMATS = ("png", "pdf", "svg")


def raster(
    trace: Trace, program: Program, path: str | Path, sample: int = 0, title: str = ""
) -> None:
    """Write the picture of one sample.

    Args:
        trace: Of a run that recorded ``spikes``.
        program: What was run.
        path: .png, .pdf or .svg.
        sample: Index in the batch.
        title: Heading; the network's name if empty.

    Raises:
        SpikecError: SPK0961 without matplotlib, SPK0962 on another ending, SPK0963 without spikes.
    """
    form = picture_format(path)
    order = program.graph.order()
    if any(p.name not in trace.spikes for p in order):
        raise SpikecError("SPK0963", "plot", "the trace holds no spikes", "Record spikes")
    save(_figure(trace, program, sample, title or program.graph.name), path, form)


def picture_format(path: str | Path) -> str:
    """Return png, pdf or svg by the ending of a path.

    Raises:
        SpikecError: SPK0962 on another ending.
    """
    place = Path(path)
    form = place.suffix.lstrip(".").lower()
    if form not in FORMATS:
        raise SpikecError(
            "SPK0962", "--plot", f"'{place.name}' is no picture", f"Use .{', .'.join(FORMATS)}"
        )
    return form


def save(figure: Any, path: str | Path, form: str) -> None:
    """Write a figure; the same one gives the same bytes: no date is kept, no name is random."""
    metadata = {"png": None, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[form]
    names = matplotlib_part("style").context({"svg.hashsalt": "spikec"})
    with whole_file(Path(path)) as temporary, names:
        figure.savefig(temporary, format=form, dpi=150, metadata=metadata)


def matplotlib_part(name: str) -> Any:
    """Import a part of matplotlib, which is an extra."""
    try:
        return importlib.import_module(f"matplotlib.{name}")
    except ImportError:
        raise SpikecError(
            "SPK0961",
            "--plot",
            "matplotlib is not installed",
            "Install it with pip install 'spikec[report]'",
        ) from None


def _figure(trace: Trace, program: Program, sample: int, title: str) -> Any:
    # Figure without pyplot draws with Agg and leaves no global state behind.
    figure_module, ticker = matplotlib_part("figure"), matplotlib_part("ticker")
    order, left_out = _panels(program)
    heights = [_height(p.size) for p in order]
    shrink = min(1.0, (TALLEST - 0.9 - 0.45 * len(order)) / sum(heights))
    heights = [shrink * h for h in heights]
    tall = sum(heights) + 0.45 * len(order) + 0.9
    figure: Any = figure_module.Figure(figsize=(9, tall), layout="constrained")
    grid = figure.add_gridspec(len(order), 2, width_ratios=(6, 1.3), height_ratios=heights)
    first: Any = None
    outputs = {o.source: o.name for o in program.graph.outputs}
    for k, population in enumerate(order):
        axes = figure.add_subplot(grid[k, 0], sharex=first)
        first = first or axes
        sent = trace.spikes[population.name][sample]
        flat = np.asarray(sent).reshape(len(sent), -1).T
        _panel(axes, population, flat, outputs.get(population.name))
        axes.tick_params(labelbottom=k == len(order) - 1)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        beside = figure.add_subplot(grid[k, 1], sharey=axes)
        _profile(beside, population, flat)
    first.set_xlim(-0.5, next(iter(trace.spikes.values())).shape[1] - 0.5)
    figure.axes[-2].set_xlabel("step", fontsize=8, color=INK)
    heading = f"{title}, sample {sample}"
    if left_out:
        heading += f"; {left_out} populations in the middle are not drawn"
    figure.suptitle(heading, color=INK, fontsize=11, x=0.01, ha="left")
    return figure


def _panels(program: Program) -> tuple[tuple[Population, ...], int]:
    """Return the populations to draw, the first and the last, and how many are left out."""
    order = program.graph.order()
    left_out = max(len(order) - PANELS, 0)
    half = PANELS // 2
    return ((*order[:half], *order[-half:]) if left_out else order), left_out


def _height(neurons: int) -> float:
    """Return inches: a few rows need little, thousands no more than a screen shows."""
    return float(np.clip(0.16 * neurons, 0.9, 2.2))


def style(axes: Any) -> None:
    """Leave two thin axes and small labels."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set(color=FAINT, linewidth=0.6)
    axes.tick_params(colors=FAINT, labelcolor=INK, labelsize=7, width=0.6, length=3)


def _panel(axes: Any, population: Population, flat: Array, output: str | None) -> None:
    """Draw what a population sent, (neurons, steps)."""
    style(axes)
    per_row = -(-len(flat) // ROWS)
    rows = [flat[k : k + per_row].mean(axis=0) for k in range(0, len(flat), per_row)]
    image = np.stack(rows)
    if population.model().emits == "values":
        top = float(np.abs(image).max()) or 1.0
        _image(axes, image, len(flat), cmap="RdBu_r", vmin=-top, vmax=top)
        what = f"values from {flat.min():.3g} to {flat.max():.3g} (blue below 0, red above)"
    elif per_row > 1:
        _image(axes, np.sqrt(image), len(flat), cmap="Greys", vmin=0)
        what = f"{int(flat.sum()):,} spikes"
    else:
        axes.set_ylim(len(flat) - 0.5, -0.5)
        _marks(axes, image, ACCENT if output else INK)
        what = f"{int(flat.sum()):,} spikes"
    axes.set_ylabel("neuron", fontsize=8, color=INK)
    shape = "x".join(str(n) for n in population.shape)
    name = population.name + (f", output '{output}'" if output else "")
    shared = f", {per_row} neurons a row" if per_row > 1 else ""
    axes.set_title(
        f"{name}   {shape} neurons, {what}{shared}", fontsize=8.5, color=INK, loc="left", pad=3
    )


def _image(axes: Any, image: Array, neurons: int, **colours: Any) -> None:
    """Draw rows of neurons as an image whose axis counts neurons."""
    extent = (-0.5, image.shape[1] - 0.5, neurons - 0.5, -0.5)
    axes.imshow(strongest(image), aspect="auto", interpolation="nearest", extent=extent, **colours)


def strongest(image: Array) -> Array:
    """Return an image of at most ``COLUMNS`` columns: of neighbours, the value farthest from 0."""
    steps = image.shape[1]
    columns = min(steps, COLUMNS)
    starts = np.array([k * steps // columns for k in range(columns)])
    high: Array = np.maximum.reduceat(image, starts, axis=1)
    low: Array = np.minimum.reduceat(image, starts, axis=1)
    return np.asarray(np.where(high >= -low, high, low))


def _marks(axes: Any, image: Array, colour: str) -> None:
    """Draw one vertical tick for each spike."""
    row, step = np.nonzero(image)
    width = float(np.clip(400 / image.shape[1], 0.5, 3.0))
    axes.vlines(step, row - 0.42, row + 0.42, colors=colour, linewidth=width)


def _profile(axes: Any, population: Population, flat: Array) -> None:
    """Draw the number of spikes, or the mean value, of each neuron beside its row."""
    style(axes)
    values = population.model().emits == "values"
    total = flat.mean(axis=1) if values else flat.sum(axis=1)
    few = len(flat) <= 40
    axes.barh(np.arange(len(flat)), total, height=0.7 if few else 1.0, color=FAINT, linewidth=0)
    best = int(np.argmax(total))
    if few and total[best] > 0:
        axes.barh([best], [total[best]], height=0.7, color=ACCENT, linewidth=0)
    axes.tick_params(labelleft=False)
    axes.set_title("mean value" if values else "spikes", fontsize=8.5, color=INK, loc="left", pad=3)


def line_plot(
    path: str | Path,
    title: str,
    across: str,
    up: str,
    places: list[int],
    lines: dict[str, list[float]],
    level: tuple[str, float] | None = None,
) -> None:
    """Write lines over places that double, and a level to compare them with.

    Args:
        path: .png, .pdf or .svg.
        title: Heading.
        across: What ``places`` are.
        up: What the lines show.
        places: Positive numbers, in order.
        lines: One value per place, by name; the last one is drawn in the accent colour.
        level: Name and value of a horizontal line, or None.

    Raises:
        SpikecError: SPK0961 without matplotlib, SPK0962 on another ending.
    """
    form = picture_format(path)
    figure: Any = matplotlib_part("figure").Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    style(axes)
    for k, (name, values) in enumerate(lines.items()):
        colour = ACCENT if k == len(lines) - 1 else INK
        axes.plot(places, values, color=colour, marker="o", markersize=3, linewidth=1.2, label=name)
    if level is not None:
        axes.axhline(level[1], color=FAINT, linewidth=0.8, linestyle="--", label=level[0])
    axes.set_xscale("log", base=2)
    axes.set_xticks(places, [str(n) for n in places])
    axes.set_xlabel(across, fontsize=8, color=INK)
    axes.set_ylabel(up, fontsize=8, color=INK)
    axes.legend(fontsize=7, frameon=False, labelcolor=INK)
    figure.suptitle(title, color=INK, fontsize=11, x=0.01, ha="left")
    save(figure, path, form)
