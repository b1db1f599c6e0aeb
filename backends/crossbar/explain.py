"""What a program takes of arrays, and what its tiles are: tables for people, and as data."""

from collections.abc import Mapping
from typing import Any

from spikec.backends.crossbar.plan import Plan, Stored
from spikec.backends.crossbar.tiles import Tile
from spikec.compiler.cli_report import Block, Report, Table

SHOWN = 24  # tiles in the table for people; the JSON has all
HEADER = ("projection", "matrices", "slices", "tiles", "largest", "cells", "used", "reads a step")


def figures(plan: Plan) -> tuple[Mapping[str, Any], list[Block]]:
    """Return what a program takes, as data and as text."""
    rows = [_row(s, plan) for s in plan.stored]
    tiles = sum(len(s.tiles) for s in plan.stored)
    cells = sum(s.cells for s in plan.stored)
    used = cells / max(tiles * plan.rows * plan.columns, 1)
    line = (
        f"arrays  {tiles:,} tiles of {plan.rows} x {plan.columns}, {cells:,} cells, "
        f"{100 * used:.1f} % of them; macros of {plan.macro[0]} x {plan.macro[1]}: {plan.macros:,}"
    )
    data = {
        "rows": plan.rows,
        "columns": plan.columns,
        "levels": plan.cells.levels,
        "encoding": plan.chosen.encoding,
        "tiles": tiles,
        "cells": cells,
        "utilisation": used,
        "macros": plan.macros,
        "projections": [_data(s, plan) for s in plan.stored],
    }
    return {"arrays": data}, [Table(HEADER, tuple(rows)), line]


def explained(plan: Plan) -> Report:
    """Return every tile, what its wires are likely to lose, and what decided its size."""
    listed = [(s, t) for s in plan.stored for t in s.tiles]
    rows = [
        (
            str(s.projection),
            f"{t.first}..{t.first + t.rows - 1}",
            f"{t.start}..{t.start + t.outputs - 1}",
            f"{t.rows} x {t.columns}",
            f"{100 * _used(t, plan):.1f} %",
            f"{1e6 * _mean(t, plan):.2f}",
            f"{100 * _loss(t, plan):.1f} %",
        )
        for s, t in listed[:SHOWN]
    ]
    header = ("projection", "rows", "sums", "cells", "used", "mean uS", "wires lose, about")
    blocks: list[Block] = ["", Table(header, tuple(rows))]
    if len(listed) > SHOWN:
        blocks.append(f"the first {SHOWN} of {len(listed):,} tiles; --json has all")
    blocks += [*(_reason(s, plan) for s in plan.stored), ""]
    data = [
        {
            "projection": str(s.projection),
            "first_row": t.first,
            "first_sum": t.start,
            "rows": t.rows,
            "columns": t.columns,
            "sums": t.outputs,
            "utilisation": _used(t, plan),
            "mean_siemens": _mean(t, plan),
            "alpha": plan.cells.wire_ohm * _mean(t, plan) * t.rows * t.columns,
            "predicted_loss": _loss(t, plan),
        }
        for s, t in listed
    ]
    return Report({"tiles": data}, blocks)


def _reason(stored: Stored, plan: Plan) -> str:
    """Return in a line what decides the tiles of a projection."""
    layout, chosen = stored.layout, plan.chosen
    rows = max(len(h.matrix.weight) for h in stored.held) if stored.held else 0
    parts = [
        f"{rows:,} rows and {layout.outputs} sums a tile",
        f"{layout.slices} of {layout.base} levels, {chosen.encoding}",
    ]
    if chosen.loss:
        side = plan.cells.side(chosen.loss, stored.mean)
        parts.append(f"wires may lose {100 * chosen.loss:g} %: at most {side} x {side}")
    if chosen.parallel and rows > chosen.parallel:
        parts.append(f"read {chosen.parallel} rows at a time")
    if rows > layout.rows:
        parts.append(f"{chosen.partial} partial sums")
    if len(stored.planes) > 1:
        parts.append(f"values bit by bit, {len(stored.planes)} reads")
    return f"{stored.projection}: {'; '.join(parts)}"


def _row(stored: Stored, plan: Plan) -> tuple[str, ...]:
    size = "-" if not stored.held else "{} x {}".format(*stored.largest_tile)
    used = stored.cells / max(len(stored.tiles) * plan.rows * plan.columns, 1)
    return (
        str(stored.projection),
        f"{len(stored.held):,}",
        str(stored.layout.slices),
        f"{len(stored.tiles):,}",
        size,
        f"{stored.cells:,}",
        f"{100 * used:.1f} %",
        f"{stored.reads:,}",
    )


def _data(stored: Stored, plan: Plan) -> dict[str, Any]:
    return {
        "projection": str(stored.projection),
        "delay": stored.projection.delay,
        "matrices": len(stored.held),
        "slices": stored.layout.slices,
        "tiles": len(stored.tiles),
        "cells": stored.cells,
        "reads_per_step": stored.reads,
        "mean_siemens": stored.mean,
    }


def _used(tile: Tile, plan: Plan) -> float:
    return tile.level.size / (plan.rows * plan.columns)


def _mean(tile: Tile, plan: Plan) -> float:
    return float(plan.cells.conductance(tile.level).mean())


def _loss(tile: Tile, plan: Plan) -> float:
    return plan.cells.predicted(tile.rows, tile.columns, _mean(tile, plan))
