"""Gives every core a place, so that messages have short ways.

What is short: the sum over all messages of the weight of their way (``Mesh``). As few chips as hold
the cores are used. Starts: the cores as they are numbered; in spectral and in breadth order along a
Hilbert curve of tiles; and spread over the plane by two eigenvectors. From each, or from the best
where there are many cores, cores are exchanged between chips to keep messages inside, then between
tiles, by simulated annealing with a fixed number of moves and a descent to where no exchange in
reach gains. The best of all is returned, so that no start is better.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.mapping.anneal import FEW, anneal, descend
from spikec.compiler.mapping.congestion import relieved
from spikec.compiler.mapping.mesh import Mesh
from spikec.compiler.mapping.orders import breadth_order, hilbert_order, spectral_order
from spikec.compiler.types import Array
from spikec.compiler.untyped import sparse as sp

# Exchanges that are tried per core and start, at least and at most.
MOVES, LEAST_MOVES, MOST_MOVES = 4000, 200_000, 25_000_000
# Of few cores every start is refined, hot, and every exchange is looked at.
HOT, WARM = 1.0, 0.2
PASSES, NEAR, EVERYWHERE = 50, 1, 1 << 20
# Seats that the descent may look at in a pass: for chips, of few cores only.
MOST_LOOKS = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Slots in a grid: tiles, or chips.

    Attributes:
        px: Position of each column.
        py: Position of each row.
        capacity: Cores a slot holds.
        there: Which slots there are, (rows * columns).
    """

    px: Array
    py: Array
    capacity: int
    there: Array


def place(traffic: Any, mesh: Mesh, seed: int = 0, congestion: float = 0.0) -> Array:
    """Return a place for every core; the same for the same arguments.

    Args:
        traffic: csr (cores, cores), messages per step from core to core.
        mesh: With enough chips; the first ones are used.
        seed: Of the annealing.
        congestion: Weight of a message over the busiest link, in the unit of the mesh's weights;
            with 0 it is left out.

    Returns:
        Chip, column and row of the tile, and number within the tile, (cores, 4) int32.

    Raises:
        SpikecError: SPK1754 when the cores are too many, SPK1755 and SPK1756 on the traffic,
            SPK1762 on the weight.
    """
    both = _symmetric(traffic)
    cores = both.shape[0]
    mesh = _fitting(cores, mesh)
    if not 0 <= congestion < np.inf:
        raise SpikecError(
            "SPK1762", "placement", f"congestion is {congestion}", "Give a finite weight from 0"
        )
    if not both.nnz:
        return sequential(cores, mesh)
    along, across = spectral_order(both)
    found = [sequential(cores, mesh), _spread(along, across, mesh)]
    found += [_along_curve(order, mesh) for order in (along, breadth_order(both))]
    found.sort(key=lambda p: way_weight(both, p, mesh))
    starts = found if cores <= FEW else found[:1]
    found += [_refined(both, start, mesh, seed + k) for k, start in enumerate(starts)]
    best = min(found, key=lambda p: way_weight(both, p, mesh))
    if not congestion:
        return best
    grid = _tiles(mesh, mesh.holding(cores).chips)
    x, y = mesh.plane(best)
    tiles = relieved(traffic, y * grid.px.size + x, grid.there, mesh, congestion, seed)
    return _places(tiles, mesh)


def sequential(cores: int, mesh: Mesh) -> Array:
    """Return the places of cores as they are numbered: tile after tile, column by column.

    Raises:
        SpikecError: SPK1754 when the cores are too many.
    """
    mesh = _fitting(cores, mesh)
    number = np.arange(cores)
    chip, rest = np.divmod(number, mesh.cores_per_chip)
    tile, index = np.divmod(rest, mesh.cores_per_tile)
    places = (chip, tile // mesh.rows, tile % mesh.rows, index)
    return np.column_stack(places).astype(np.int32)


def way_weight(traffic: Any, places: Array, mesh: Mesh) -> float:
    """Return the sum over all messages of the weight of their way.

    Args:
        traffic: csr (cores, cores), messages per step.
        places: (cores, 4).
        mesh: Where they are.
    """
    px, py = mesh.stretched()
    x, y = mesh.plane(places)
    pairs = traffic.tocoo()
    apart = np.abs(px[x[pairs.row]] - px[x[pairs.col]]) + np.abs(
        py[y[pairs.row]] - py[y[pairs.col]]
    )
    return float(pairs.data @ apart)


def _symmetric(traffic: Any) -> Any:
    """Return the traffic of both ways without that inside a core, as float64 csr."""
    if traffic.ndim != 2 or traffic.shape[0] != traffic.shape[1] or traffic.shape[0] == 0:
        raise SpikecError(
            "SPK1755", "traffic", f"it has shape {traffic.shape}", "Give (cores, cores)"
        )
    made = sp.csr_array(traffic, dtype=np.float64)
    wrong = made.data[~((made.data >= 0) & (made.data < 1e18))]
    if wrong.size:
        raise SpikecError(
            "SPK1756",
            "traffic",
            f"it holds {wrong[0]} messages",
            "Give finite numbers of messages per step, from 0",
        )
    both = made + made.T
    both.setdiag(0)
    both.eliminate_zeros()
    both.sort_indices()
    return both


def _fitting(cores: int, mesh: Mesh) -> Mesh:
    """Return the mesh, if the cores fit into it."""
    if cores > mesh.cores:
        raise SpikecError(
            "SPK1754",
            "placement",
            f"{cores} cores exceed the {mesh.cores} of {mesh.chips} chips",
            f"Give {mesh.holding(cores).chips} chips, or make fewer cores",
        )
    return mesh


def _along_curve(order: Array, mesh: Mesh) -> Array:
    """Return places for cores in an order, chip by chip along a curve, and so within each."""
    used = mesh.holding(order.size).chips
    chips = hilbert_order(mesh.width, mesh.height)
    number = chips[:, 1] * mesh.width + chips[:, 0]
    tiles = hilbert_order(mesh.columns, mesh.rows)
    nth = np.arange(order.size)
    chip, rest = np.divmod(nth, mesh.cores_per_chip)
    tile, index = np.divmod(rest, mesh.cores_per_tile)
    places = np.empty((order.size, 4), dtype=np.int32)
    places[order] = np.column_stack((number[number < used][chip], tiles[tile], index))
    return places


def _spread(along: Array, across: Array, mesh: Mesh) -> Array:
    """Return places by two orders: the first deals cores to columns, the second to rows."""
    cores = along.size
    grid = _tiles(mesh, mesh.holding(cores).chips)
    there = grid.there.reshape(grid.py.size, grid.px.size)
    # Spare seats are left evenly in all columns.
    room = np.cumsum(there.sum(axis=0)) * grid.capacity
    ends = np.concatenate(([0], room * cores // room[-1]))
    rank = np.empty_like(across)
    rank[across] = np.arange(cores)
    slots = np.empty(cores, dtype=np.int64)
    for column in range(grid.px.size):
        held = along[ends[column] : ends[column + 1]]
        rows = np.flatnonzero(there[:, column])
        turn = np.arange(held.size) * rows.size // max(held.size, 1)
        slots[held[np.argsort(rank[held])]] = rows[turn] * grid.px.size + column
    return _places(slots, mesh)


def _refined(traffic: Any, places: Array, mesh: Mesh, seed: int) -> Array:
    """Return better places: exchanges between chips, then between all tiles."""
    used = mesh.holding(len(places)).chips
    if used > 1:
        number = np.arange(mesh.width * mesh.height)
        steps = [np.arange(n, dtype=np.float64) for n in (mesh.width, mesh.height)]
        chips = _Grid(steps[0], steps[1], mesh.cores_per_chip, number < used)
        places = _within(_exchanged(traffic, places[:, 0], chips, seed), places, mesh)
    grid = _tiles(mesh, used)
    x, y = mesh.plane(places)
    return _places(_exchanged(traffic, y * grid.px.size + x, grid, seed), mesh)


def _tiles(mesh: Mesh, used: int) -> _Grid:
    """Return the plane of tiles, of which those of used chips are there."""
    px, py = mesh.stretched()
    across, down = np.arange(px.size) // mesh.columns, np.arange(py.size) // mesh.rows
    chip = down[:, None] * mesh.width + across
    return _Grid(px, py, mesh.cores_per_tile, (chip < used).ravel())


def _exchanged(traffic: Any, slots: Array, grid: _Grid, seed: int) -> Array:
    """Return the slot of every core after exchanges."""
    cores = slots.size
    who = np.repeat(np.where(grid.there, -1, -2), grid.capacity).astype(np.int64)
    seat = slots.astype(np.int64) * grid.capacity + _ranks(slots)
    who[seat] = np.arange(cores)
    links = (traffic.indptr.astype(np.int64), traffic.indices.astype(np.int64), traffic.data)
    moves = int(np.clip(MOVES * cores, LEAST_MOVES, MOST_MOVES))
    place = (grid.px, grid.py, grid.capacity)
    anneal(*links, seat, who, *place, moves, HOT if cores <= FEW else WARM, seed)
    if 9 * grid.capacity * cores <= MOST_LOOKS:
        descend(*links, seat, who, *place, EVERYWHERE if cores <= FEW else NEAR, PASSES)
    return seat // grid.capacity


def _ranks(slots: Array) -> Array:
    """Return the number of each core among those of its slot."""
    order = np.argsort(slots, kind="stable")
    held = slots[order]
    first = np.searchsorted(held, held)
    ranks = np.empty_like(order)
    ranks[order] = np.arange(slots.size) - first
    return ranks


def _within(chips: Array, before: Array, mesh: Mesh) -> Array:
    """Return places on new chips: who stays keeps its own, who comes takes a free one."""
    tiles = hilbert_order(mesh.columns, mesh.rows)
    nth = np.empty((mesh.columns, mesh.rows), dtype=np.int64)
    nth[tiles[:, 0], tiles[:, 1]] = np.arange(len(tiles))
    seat = nth[before[:, 1], before[:, 2]] * mesh.cores_per_tile + before[:, 3]
    comes = np.flatnonzero(chips != before[:, 0])
    comes = comes[np.lexsort((seat[comes], chips[comes]))]
    stays = chips == before[:, 0]
    taken = np.zeros((mesh.width * mesh.height, mesh.cores_per_chip), dtype=np.bool_)
    taken[chips[stays], seat[stays]] = True
    free = np.flatnonzero(~taken.ravel())
    first = np.searchsorted(free // mesh.cores_per_chip, chips[comes])
    seat[comes] = free[first + _ranks(chips[comes])] % mesh.cores_per_chip
    tile, index = np.divmod(seat, mesh.cores_per_tile)
    return np.column_stack((chips, tiles[tile], index)).astype(np.int32)


def _places(slots: Array, mesh: Mesh) -> Array:
    """Return places from tiles of the plane; within a tile, cores keep their order."""
    row, column = np.divmod(slots, mesh.width * mesh.columns)
    across, x = np.divmod(column, mesh.columns)
    down, y = np.divmod(row, mesh.rows)
    chip = down * mesh.width + across
    return np.column_stack((chip, x, y, _ranks(slots))).astype(np.int32)
