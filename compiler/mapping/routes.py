"""The ways of messages: along x first, then along y, on the plane of all chips' tiles.

A link goes from a tile to one of its four neighbours. Between tiles of one chip a message makes a
hop, between tiles of two chips a crossing. Messages inside a tile use no link.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.errors import SpikecError
from spikec.compiler.mapping.mesh import Mesh
from spikec.compiler.types import Array
from spikec.compiler.untyped import sparse as sp

EAST, WEST, NORTH, SOUTH = range(4)  # column + 1, column - 1, row + 1, row - 1


@dataclass(frozen=True, slots=True, eq=False)
class Routes:
    """What the messages of a step, or of a run, do on the mesh.

    Attributes:
        messages: All of them, those inside a core included.
        hops_x: Hops east and west of all messages.
        hops_y: Hops north and south.
        crossings: Steps from chip to chip.
        ways: The ways there are: hops along x, along y and crossings of a message, (n, 3).
        load: Messages over every link, (direction, row, column of the tile it leaves).
        crosses: Which links leave a chip, likewise.
    """

    messages: float
    hops_x: float
    hops_y: float
    crossings: float
    ways: Array
    load: Array
    crosses: Array

    @property
    def mean_hops(self) -> float:
        """Hops and crossings of a message, on average."""
        total = self.hops_x + self.hops_y + self.crossings
        return total / self.messages if self.messages else 0.0

    @property
    def max_hops(self) -> int:
        """Hops and crossings of the message with the most."""
        return int(self.ways.sum(axis=1).max(initial=0))

    @property
    def max_load(self) -> float:
        """Messages over the busiest link."""
        return float(self.load.max())

    @property
    def links(self) -> int:
        """Links that are used."""
        return int(np.count_nonzero(self.load))


def routes(traffic: Any, places: Array, mesh: Mesh) -> Routes:
    """Return the ways of all messages.

    Args:
        traffic: csr (cores, cores), messages from core to core; those to itself too.
        places: Chip, column, row and number within the tile, (cores, 4).
        mesh: Where they are.

    Raises:
        SpikecError: SPK1760 on traffic of other cores; errors of ``Mesh.check``.
    """
    mesh.check(places)
    if traffic.shape != (len(places), len(places)):
        raise SpikecError(
            "SPK1760",
            "traffic",
            f"it has shape {traffic.shape} for {len(places)} cores",
            "Give messages from core to core",
        )
    pairs = sp.coo_array(traffic)
    used = pairs.data != 0
    source, target, amount = pairs.row[used], pairs.col[used], pairs.data[used]
    hops_x, hops_y, crossings = distances(places[source], places[target], mesh)
    x, y = mesh.plane(places)
    load = np.zeros(shape(mesh), dtype=np.result_type(amount.dtype, np.int64))
    carry(x[source], y[source], x[target], y[target], amount, load)
    ways = np.unique(np.column_stack((hops_x, hops_y, crossings)), axis=0)
    return Routes(
        messages=float(amount.sum()),
        hops_x=float(amount @ hops_x),
        hops_y=float(amount @ hops_y),
        crossings=float(amount @ crossings),
        ways=ways,
        load=load,
        crosses=crossing_links(mesh),
    )


def distances(source: Array, target: Array, mesh: Mesh) -> tuple[Array, Array, Array]:
    """Return hops along x, hops along y and crossings between places.

    Args:
        source: Chip, column, row and number within the tile, (n, 4).
        target: Likewise.
        mesh: Where they are.
    """
    (x, y), (to_x, to_y) = mesh.plane(source), mesh.plane(target)
    across = np.abs(to_x // mesh.columns - x // mesh.columns)
    down = np.abs(to_y // mesh.rows - y // mesh.rows)
    return np.abs(to_x - x) - across, np.abs(to_y - y) - down, across + down


def shape(mesh: Mesh) -> tuple[int, int, int]:
    """Return directions, rows and columns of the links."""
    return 4, mesh.height * mesh.rows, mesh.width * mesh.columns


def crossing_links(mesh: Mesh) -> Array:
    """Return which links leave a chip, shaped as ``shape``."""
    _, rows, columns = shape(mesh)
    row, column = np.arange(rows)[:, None], np.arange(columns)
    made = np.zeros(shape(mesh), dtype=np.bool_)
    made[EAST] = ((column + 1) % mesh.columns == 0) & (column + 1 < columns)
    made[WEST] = (column % mesh.columns == 0) & (column > 0)
    made[NORTH] = ((row + 1) % mesh.rows == 0) & (row + 1 < rows)
    made[SOUTH] = (row % mesh.rows == 0) & (row > 0)
    return made


@compiled
def carry(x: Array, y: Array, to_x: Array, to_y: Array, amount: Array, load: Array) -> None:
    """Add amounts to every link on their ways; changes ``load``."""
    for m in range(amount.size):
        carry_one(x[m], y[m], to_x[m], to_y[m], amount[m], load)


@compiled
def carry_one(x: Any, y: Any, to_x: Any, to_y: Any, amount: Any, load: Array) -> None:
    """Add an amount to every link on its way; changes ``load``."""
    for column in range(x, to_x):
        load[EAST, y, column] += amount
    for column in range(to_x, x):
        load[WEST, y, column + 1] += amount
    for row in range(y, to_y):
        load[NORTH, row, to_x] += amount
    for row in range(to_y, y):
        load[SOUTH, row + 1, to_x] += amount
