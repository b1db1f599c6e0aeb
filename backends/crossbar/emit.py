"""What a programmer of arrays needs: the level of every cell, and what a level is written to.

tiles.json   figures, a row for every tile, and for every level its conductance and the window in
             which a write is accepted: half a step to either side
levels.npz   tile_<n>: levels (rows, columns); plus_<n>, minus_<n>: the columns of every sum,
             (slices, sums), where sum = sum_s base^s (column plus_s - column minus_s)
"""

from pathlib import Path
from typing import Any

import numpy as np

from spikec.backends.crossbar.devices import Devices
from spikec.backends.crossbar.explain import explained, figures
from spikec.backends.crossbar.plan import Plan
from spikec.backends.crossbar.spice import netlist
from spikec.compiler.artifact import json_text
from spikec.compiler.errors import SpikecError
from spikec.compiler.npz import write_npz
from spikec.compiler.types import Array


def emit(plan: Plan, folder: Path) -> tuple[str, ...]:
    """Write both files."""
    data = {**figures(plan)[0], **explained(plan).data, "levels": write_table(plan)}
    (folder / "tiles.json").write_text(json_text(data), encoding="utf-8")
    arrays: dict[str, Array] = {}
    for n, tile in enumerate(t for s in plan.stored for t in s.tiles):
        arrays[f"tile_{n}"] = tile.level
        arrays[f"plus_{n}"] = tile.plus.astype(np.int32)
        arrays[f"minus_{n}"] = tile.minus.astype(np.int32)
    write_npz(folder / "levels.npz", arrays)
    return ("levels.npz", "tiles.json")


def write_table(plan: Plan) -> list[dict[str, Any]]:
    """Return for every level the conductance to write and the window to verify, siemens."""
    cells = plan.cells
    return [
        {
            "level": k,
            "siemens": float(cells.conductance(np.asarray(k))),
            "accept_from": max(0.0, cells.g_min + (k - 0.5) * cells.step),
            "accept_to": cells.g_min + (k + 0.5) * cells.step,
        }
        for k in range(cells.levels)
    ]


def tile_netlist(plan: Plan, number: int) -> str:
    """Return the netlist of a tile with ideal cells, the target's wires and every row driven.

    Raises:
        SpikecError: SPK2121 where there is no such tile.
    """
    tiles = [(s, t) for s in plan.stored for t in s.tiles]
    if not 0 <= number < len(tiles):
        raise SpikecError(
            "SPK2121", "--tile", f"there is no tile {number}", f"Give 0 to {len(tiles) - 1}"
        )
    stored, tile = tiles[number]
    volts = np.full(tile.rows, plan.cells.v_read)
    title = f"tile {number} of {plan.program.graph.name}: {stored.projection}"
    wires = Devices.parse("wire").wires(plan.cells)
    return netlist(plan.cells.conductance(tile.level), volts, *wires, title)
