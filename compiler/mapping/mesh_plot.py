"""A picture of a placement: chips, their tiles and cores, and what goes over the links.

Cores are coloured by how much they are used, links by the messages over them; each direction of a
link is a line of its own, on the right hand of its way. Row 0 is at the bottom.
"""

from pathlib import Path
from typing import Any

import numpy as np

from spikec.compiler.errors import SpikecError, one_line
from spikec.compiler.mapping.mesh import Mesh
from spikec.compiler.mapping.routes import EAST, NORTH, SOUTH, WEST, Routes, routes
from spikec.compiler.plot import FAINT, INK, matplotlib_part, picture_format, save
from spikec.compiler.types import Array

# In widths of a tile and the way to the next.
TILE, CHIP_GAP, LANE, MARGIN = 0.66, 1.1, 0.1, 0.32
WIDEST, LARGEST_TILE = 14.0, 0.62  # inches
USED = ("#e9edf4", "#7d93b5", "#1f2a44")
BUSY = ("#f3d9c9", "#dd8b62", "#c8553d", "#7a1f12")
STEPS = {EAST: (1, 0), WEST: (-1, 0), NORTH: (0, 1), SOUTH: (0, -1)}


def mesh_plot(
    places: Array,
    usage: Array,
    traffic: Any,
    mesh: Mesh,
    path: str | Path,
    title: str = "placement",
    of: str = "utilisation",
) -> None:
    """Write the picture.

    Args:
        places: Chip, column and row of the tile, and number within the tile, (cores, 4).
        usage: What colours each core, (cores,), from 0.
        traffic: csr (cores, cores), messages per step from core to core.
        mesh: Where the cores are; rows of chips above the last used one are left out.
        path: .png, .pdf or .svg.
        title: Heading.
        of: What ``usage`` is.

    Raises:
        SpikecError: SPK1761 on other usage; errors of ``routes`` and ``plot``.
    """
    form = picture_format(path)
    if usage.shape != (len(places),) or not np.all(np.isfinite(usage) & (usage >= 0)):
        raise SpikecError(
            "SPK1761",
            "usage",
            f"shape {usage.shape}, for {len(places)} cores, or a value below 0 or not finite",
            "Give a finite number from 0 for every core",
        )
    ways = routes(traffic, places, mesh)
    save(_figure(places, usage, ways, mesh, title, of), path, form)


def _figure(places: Array, usage: Array, ways: Routes, mesh: Mesh, title: str, of: str) -> Any:
    chips = int(places[:, 0].max()) + 1
    across, down = min(mesh.width, chips), -(-chips // mesh.width)
    units = (across * (mesh.columns + CHIP_GAP), down * (mesh.rows + CHIP_GAP))
    tile = min(LARGEST_TILE, WIDEST / units[0])
    wide, tall = max(units[0] * tile, 5.0), units[1] * tile
    figure: Any = matplotlib_part("figure").Figure(figsize=(wide + 0.3, tall + 1.45))
    # Inches of head and legend stay the same, however large the mesh is.
    height = tall + 1.45
    axes = figure.add_axes((0.15 / (wide + 0.3), 0.75 / height, wide / (wide + 0.3), tall / height))
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(-0.5 - CHIP_GAP / 2, units[0] - 0.5 - CHIP_GAP / 2)
    axes.set_ylim(-0.5 - CHIP_GAP / 2, units[1] - 0.5 - CHIP_GAP / 2)
    points = 72 * tile
    _chips(axes, places, mesh, across * down, points)
    lines = _links(axes, ways, mesh, points)
    squares = _cores(axes, places, usage, mesh, points)
    _bar(figure, squares, (0.06, 0.32), of)
    if lines is not None:
        _bar(figure, lines, (0.56, 0.32), "messages per step over a link, each way on its right")
    left = 0.15 / (wide + 0.3)
    heading = {"color": INK, "ha": "left", "va": "top", "parse_math": False}
    figure.text(left, 1 - 0.12 / height, one_line(title), fontsize=11, **heading)
    figure.text(left, 1 - 0.36 / height, _summary(places, ways), fontsize=8, **heading)
    return figure


def _summary(places: Array, ways: Routes) -> str:
    """Return a line of figures."""
    chips = np.unique(places[:, 0]).size
    text = f"{len(places):,} cores on {chips} chip{'s' * (chips > 1)}; "
    text += f"{_number(ways.messages)} messages per step, {ways.mean_hops:.2f} hops each"
    text += f" ({ways.max_hops} at most), {_number(ways.max_load)} over the busiest link"
    return text + (f", {_number(ways.crossings)} crossings between chips" if chips > 1 else "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _centres(chip: Array, x: Array, y: Array, mesh: Mesh) -> tuple[Array, Array]:
    """Return where the middle of a tile is drawn."""
    return (
        chip % mesh.width * (mesh.columns + CHIP_GAP) + x,
        chip // mesh.width * (mesh.rows + CHIP_GAP) + y,
    )


def _rectangles(x: Array, y: Array, side: float) -> Array:
    """Return the corners of squares around points, (n, 4, 2)."""
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * side / 2
    return np.column_stack((x, y))[:, None, :] + corners


def _chips(axes: Any, places: Array, mesh: Mesh, drawn: int, points: float) -> None:
    """Draw the frame of every chip, its empty tiles and how many of its cores are used."""
    patches, collections = matplotlib_part("patches"), matplotlib_part("collections")
    held = np.bincount(places[:, 0], minlength=drawn)
    for chip in range(drawn):
        x, y = _centres(np.array(chip), np.array(0), np.array(0), mesh)
        frame = patches.FancyBboxPatch(
            (float(x) - 0.5 + 0.08, float(y) - 0.5 + 0.08),
            mesh.columns - 0.16,
            mesh.rows - 0.16,
            boxstyle=f"round,pad={MARGIN},rounding_size=0.3",
            facecolor="#fafbfc",
            edgecolor="#c9ced6",
            linewidth=0.8,
        )
        axes.add_patch(frame)
        if points > 9:
            axes.text(
                float(x) - 0.4,
                float(y) + mesh.rows - 0.5 + CHIP_GAP / 2,
                f"chip {chip}: {held[chip]} of {mesh.cores_per_chip} cores",
                fontsize=min(8.0, points / 3.2),
                color=INK,
                va="center",
                zorder=5,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": points / 40},
            )
    chip, x, y = (a.ravel() for a in np.mgrid[:drawn, : mesh.columns, : mesh.rows])
    tiles = _rectangles(*_centres(chip, x, y, mesh), TILE)
    axes.add_collection(
        collections.PolyCollection(
            tiles, facecolors="white", edgecolors="#d5dae2", linewidths=points / 60
        )
    )


def _cores(axes: Any, places: Array, usage: Array, mesh: Mesh, points: float) -> Any:
    """Draw every core as a square within its tile; return what a legend needs."""
    side = int(np.ceil(np.sqrt(mesh.cores_per_tile)))
    pitch = TILE / side
    chip, x, y, index = places.T.astype(np.int64)
    column, row = _centres(chip, x, y, mesh)
    column = column + (index % side - (side - 1) / 2) * pitch
    row = row - (index // side - (side - 1) / 2) * pitch
    squares = matplotlib_part("collections").PolyCollection(
        _rectangles(column, row, 0.84 * pitch),
        array=np.asarray(usage, dtype=np.float64),
        cmap=_colours(USED),
        edgecolors="none",
        zorder=3,
    )
    squares.set_clim(0, _top(usage))
    axes.add_collection(squares)
    return squares


def _links(axes: Any, ways: Routes, mesh: Mesh, points: float) -> Any:
    """Draw every used link; return what a legend needs, or None."""
    direction, row, column = np.nonzero(ways.load)
    if not direction.size:
        return None
    load = ways.load[direction, row, column].astype(np.float64)
    order = np.argsort(load, kind="stable")  # the busiest on top
    direction, row, column, load = direction[order], row[order], column[order], load[order]
    ends: list[Array] = []
    step = np.array([STEPS[k] for k in range(4)])[direction]
    for along in (0, 1):
        x, y = column + along * step[:, 0], row + along * step[:, 1]
        chip = y // mesh.rows * mesh.width + x // mesh.columns
        ends.append(np.column_stack(_centres(chip, x % mesh.columns, y % mesh.rows, mesh)))
    start, end = ends
    aside = LANE * np.column_stack((step[:, 1], -step[:, 0]))
    inset = step * (TILE / 2 + 0.02)
    lines = matplotlib_part("collections").LineCollection(
        np.stack((start + inset + aside, end - inset + aside), axis=1),
        array=load,
        cmap=_colours(BUSY),
        linewidths=points * (0.015 + 0.135 * load / load.max()),
        capstyle="butt",
        zorder=2,
    )
    lines.set_clim(0, load.max())
    axes.add_collection(lines)
    return lines


def _top(usage: Array) -> float:
    """Return the end of the colours of cores: whole where nothing is more than full."""
    most = float(np.max(usage, initial=0.0))
    return 1.0 if most <= 1.0 else most


def _colours(names: tuple[str, ...]) -> Any:
    return matplotlib_part("colors").LinearSegmentedColormap.from_list("", list(names))


def _bar(figure: Any, shown: Any, span: tuple[float, float], label: str) -> None:
    """Draw a legend of colours at the foot."""
    height = figure.get_figheight()
    axes = figure.add_axes((span[0], 0.42 / height, span[1], 0.09 / height))
    bar = figure.colorbar(shown, cax=axes, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.set_label(label, fontsize=8, color=INK)
    bar.ax.tick_params(colors=FAINT, labelcolor=INK, labelsize=7, width=0.6, length=2)
