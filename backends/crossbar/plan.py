"""A program on tiles: every projection cut into arrays, or everything that does not allow it."""

from dataclasses import dataclass, replace

import numpy as np

from spikec.backends.crossbar.matrices import Matrix, matrices
from spikec.backends.crossbar.tiles import Cells, Layout, Tile, slices
from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.ir import Program, Projection
from spikec.compiler.passes.tiles import Tiles
from spikec.compiler.target import load_target
from spikec.compiler.types import Array, Bool
from spikec.compiler.wiring import Signal, lanes, source_types

TARGET = "rram_40nm"  # whose arrays a program for another target gets
MOST_CELLS = 1 << 28  # that are laid out in memory


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A matrix and the tiles that hold it."""

    matrix: Matrix
    tiles: list[Tile]


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A projection on tiles.

    Attributes:
        projection: Of one delay.
        layout: How it was cut.
        held: Its matrices.
        planes: Weight of every bit that a value is sent in, least first; (1,): sent as it is.
        largest: Largest magnitude that a row gets in one read.
        mean: Mean conductance of the cells, siemens.
    """

    projection: Projection
    layout: Layout
    held: list[Held]
    planes: tuple[int, ...]
    largest: int
    mean: float

    @property
    def tiles(self) -> list[Tile]:
        """All its tiles."""
        return [t for h in self.held for t in h.tiles]

    @property
    def cells(self) -> int:
        """Devices in use."""
        return sum(t.level.size for t in self.tiles)

    @property
    def reads(self) -> int:
        """Reads of a tile in a step, at most."""
        return len(self.planes) * sum(h.matrix.reads * len(h.tiles) for h in self.held)

    @property
    def largest_tile(self) -> tuple[int, int]:
        """Rows and columns of the tile of most cells."""
        return max(((t.rows, t.columns) for t in self.tiles), key=lambda s: s[0] * s[1])


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A program on tiles.

    Attributes:
        program: The program.
        chosen: By which options.
        cells: What a cell is.
        rows: Of an array, at most.
        columns: Of an array, at most.
        macro: Rows and columns of a macro.
        stored: The projections, by delay, in order.
    """

    program: Program
    chosen: Tiles
    cells: Cells
    rows: int
    columns: int
    macro: tuple[int, int]
    stored: list[Stored]

    @property
    def macros(self) -> int:
        """Macros that hold all tiles, each tile in a place of full size."""
        places = max(1, self.macro[0] // self.rows) * max(1, self.macro[1] // self.columns)
        return -(-sum(len(s.tiles) for s in self.stored) // places)


def supports(program: Program) -> tuple[Finding, ...]:
    """Return everything about a program that tiles cannot do."""
    if program.stage != "integer":
        return (
            Finding("SPK2107", "program", "a cell has a level, so it needs integers: quantize"),
        )
    cells = options(program)[1]
    if cells.g_max <= cells.g_min:
        text = f"cells from {1e6 * cells.g_min:g} to {1e6 * cells.g_max:g} uS have no two levels"
        return (Finding("SPK2122", "tiles", text),)
    found = [f for s in _drafts(program) for f in _misfits(*s)]
    if found:
        return tuple(found)
    made = _plan(program)
    most = made.chosen.macros
    if most and made.macros > most:
        text = f"its tiles take {made.macros} macros of {made.macro[0]} x {made.macro[1]} cells"
        return (Finding("SPK2112", program.graph.name, f"{text}, and there are {most}"),)
    return ()


def plan(program: Program) -> Plan:
    """Return a program on tiles.

    Raises:
        SpikecError: SPK2113 with the first thing that does not fit.
    """
    misfits = supports(program)
    if misfits:
        raise SpikecError(
            "SPK2113", misfits[0].where, misfits[0].message, "Change the options of tiles"
        )
    return _plan(program)


def options(program: Program) -> tuple[Tiles, Cells, dict[str, float]]:
    """Return the choice in a program, its cells, and the numbers of its arrays."""
    target = load_target(program.target or TARGET)
    target = target if target.array else load_target(TARGET)
    chosen = Tiles(**program.reports.get("tiles", {}))
    return chosen, Cells.of(target, chosen), {n: q.value for n, q in target.array.items()}


def _plan(program: Program) -> Plan:
    chosen, cells, numbers = options(program)
    rows, columns = _size(chosen, numbers)
    macro = int(numbers["macro_rows"]), int(numbers["macro_columns"])
    stored = [_stored(p, d, signal, chosen, cells) for p, d, signal, _, _ in _drafts(program)]
    return Plan(program, chosen, cells, rows, columns, macro, stored)


Draft = tuple[Projection, Layout, Signal, Tiles, Cells]


def _drafts(program: Program) -> list[Draft]:
    """Return every projection with the layout that its numbers ask for."""
    chosen, cells, numbers = options(program)
    signals = source_types(program.graph, lanes(program.graph))
    return [
        (p, _layout(p, chosen, cells, _size(chosen, numbers)), signals[p.source], chosen, cells)
        for whole in program.graph.projections
        for p in whole.by_delay()
    ]


def _size(chosen: Tiles, numbers: dict[str, float]) -> tuple[int, int]:
    return chosen.rows or int(numbers["rows"]), chosen.columns or int(numbers["columns"])


def _layout(projection: Projection, chosen: Tiles, cells: Cells, size: tuple[int, int]) -> Layout:
    """Return how a projection is cut: by its largest weight, and by the loss that is allowed."""
    weight = projection.synapse.weight.data.astype(np.int64)
    low, high = int(weight.min(initial=0)), int(weight.max(initial=0))
    offset = -low if chosen.encoding == "offset" else None
    largest = max(high, -low) if offset is None else high + offset
    made = Layout(*size, cells.levels, slices(largest, cells.levels), offset)
    if chosen.loss and made.outputs and _cells(projection, made) <= MOST_CELLS:
        mean = _mean([t for h in _held(projection, made) for t in h.tiles], cells)
        side = cells.side(chosen.loss, mean)
        made = replace(made, rows=min(made.rows, side), columns=min(made.columns, side))
    return made


def _cells(projection: Projection, layout: Layout) -> int:
    """Return at most how many cells a projection takes."""
    synapse = projection.synapse.plain()
    each = layout.slices * 2
    if synapse.storage == "conv" or synapse.kind == "dense":
        return each * max(synapse.weight.data.size, 1)
    # Every target in a block may ask for all sources.
    return each * synapse.in_size * synapse.out_size


def _misfits(
    projection: Projection, layout: Layout, signal: Signal, chosen: Tiles, cells: Cells
) -> list[Finding]:
    """Return what keeps a projection from lying on tiles."""
    where, found = str(projection), list[Finding]()
    if not layout.outputs:
        text = f"a tile of {layout.columns} columns is narrower than one weight of {layout.slices}"
        text += f" slices, {chosen.encoding}; use more columns or levels, or a larger loss"
        return [Finding("SPK2108", where, text)]
    cells_needed = _cells(projection, layout)
    if cells_needed > MOST_CELLS:
        text = f"it may take {cells_needed} cells, more than the {MOST_CELLS} that are laid out"
        return [Finding("SPK2111", where, text)]
    fan_in = max((len(m.weight) for m in matrices(projection.synapse, layout.outputs)), default=0)
    if chosen.partial == "none" and fan_in > layout.rows:
        text = f"a neuron takes {fan_in} rows and a tile has {layout.rows}; allow partial sums"
        found.append(Finding("SPK2109", where, text))
    _, largest = _coding(signal, chosen)
    worst = _rounding(fan_in, largest, cells)
    if worst >= 0.25:
        text = f"its currents may be {worst:.2g} of a level away in double precision"
        text += "; use a wider window of conductances, or serial inputs"
        found.append(Finding("SPK2110", where, text))
    return found


def _rounding(rows: int, largest: int, cells: Cells) -> float:
    """Return the largest error of a difference of two columns in double precision, in levels.

    A sum of n products, each factor rounded once, is off by (n + 2) 2^-53 of the sum of magnitudes
    at most, here n times the largest input times g_max; the difference has two of them.
    """
    return 2.0 * (rows + 4) * rows * largest * (cells.g_max / cells.step) * 2.0**-53


def _stored(
    projection: Projection, layout: Layout, signal: Signal, chosen: Tiles, cells: Cells
) -> Stored:
    held = _held(projection, layout)
    planes, largest = _coding(signal, chosen)
    mean = _mean([t for h in held for t in h.tiles], cells)
    return Stored(projection, layout, held, planes, largest, mean)


def _held(projection: Projection, layout: Layout) -> list[Held]:
    made = matrices(projection.synapse, layout.outputs)
    return [Held(m, layout.tiles(m)) for m in made]


def _mean(tiles: list[Tile], cells: Cells) -> float:
    """Return the mean conductance of the cells of tiles; that of level 0 where there are none."""
    total = sum(int(t.level.sum(dtype=np.int64)) for t in tiles)
    return float(cells.conductance(np.asarray(total / max(sum(t.level.size for t in tiles), 1))))


def _coding(signal: Signal, chosen: Tiles) -> tuple[tuple[int, ...], int]:
    """Return the weight of every bit that a signal is sent in, and the largest input of a read."""
    if isinstance(signal, Bool):
        return (1,), 1
    lo, hi = (int(getattr(signal, "lo", 0)), int(getattr(signal, "hi", 1)))
    if chosen.coding == "pulses":
        return (1,), max(abs(lo), abs(hi), 1)
    width = max(hi, -lo - 1, 1).bit_length()
    planes = tuple(1 << b for b in range(width))
    return ((*planes, -(1 << width)) if lo < 0 else planes), 1


def turns(rows: int, parallel: int) -> list[slice]:
    """Return the groups of rows that are read together."""
    step = parallel or max(rows, 1)
    return [slice(k, min(k + step, rows)) for k in range(0, rows, step)]


def bits(sent: Array, planes: tuple[int, ...]) -> list[tuple[int, Array]]:
    """Return what is sent in every plane and what it counts; float64, (samples, size)."""
    if planes == (1,):
        return [(1, sent.astype(np.float64))]
    # The bits of two's complement; the last plane of a signed value is its sign.
    return [(w, (sent >> k & 1).astype(np.float64)) for k, w in enumerate(planes)]
