"""Which cells a memory becomes: the cheapest geometry, with the costs by which Yosys chooses.

A block RAM of 36 kbit costs 257, half of one 129, eight LUTs of memory 16, a bit in flip-flops 1, a
bit of a table in logic 1/64, and half a bit of multiplexer for every bit of output and further row
of cells. Block and ultra RAM geometries are those of UG573, LUTs those of UG574.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

BLOCK36 = {1: 32768, 2: 16384, 4: 8192, 9: 4096, 18: 2048, 36: 1024, 72: 512}
BLOCK18 = {1: 16384, 2: 8192, 4: 4096, 9: 2048, 18: 1024, 36: 512}
# One port to write, one to read; bits and words of eight LUTs.
DISTRIBUTED = {14: 32, 7: 64}
ULTRA = (72, 4096)
LOGIC_ROM = 1 / 64
STYLES = ("auto", "distributed", "block", "ultra")


@dataclass(frozen=True, slots=True)
class Cells:
    """What holds a memory.

    Attributes:
        kind: ff, logic, distributed, block or ultra.
        cost: By which kinds are compared.
        lutram: LUTs of memory.
        ff: Flip-flops that hold words.
        ramb36: RAMB36E2.
        ramb18: RAMB18E2.
        uram: URAM288.
        table: LUTs with six inputs of a table in logic.
        rows: Cells in a row of which the address chooses one.
    """

    kind: str
    cost: float
    lutram: int = 0
    ff: int = 0
    ramb36: int = 0
    ramb18: int = 0
    uram: int = 0
    table: int = 0
    rows: int = 1


def cells(width: int, depth: int, writes: bool, style: str = "auto") -> Cells:
    """Return the cells of a memory that is read behind a clock edge.

    Args:
        width: Bits of a word.
        depth: Words.
        writes: Whether it is written, by one port; else it is a table.
        style: One of ``STYLES``.
    """
    found = list(_options(width, depth, writes))
    if style != "auto":
        found = [c for c in found if c.kind == style] or found
    return min(found, key=lambda c: c.cost)


def _options(width: int, depth: int, writes: bool) -> Iterator[Cells]:
    bits = width * depth
    if writes:
        yield Cells("ff", bits, ff=bits)
        for wide, words in DISTRIBUTED.items():
            rows = ceil(depth / words)
            # Only whole LUTs of the last cell are paid for.
            cost = 16 * rows * width / wide + _choice(rows, width, writes)
            yield Cells("distributed", cost, lutram=8 * rows * ceil(width / wide), rows=rows)
    else:
        yield Cells("logic", bits * LOGIC_ROM, table=width * ceil(depth / 64))
    for wide, words in BLOCK36.items():
        rows = ceil(depth / words)
        count = ceil(rows * _whole(width, wide, writes) / wide)
        cost = 257 * count + _choice(rows, width, writes)
        yield Cells("block", cost, ramb36=count, rows=rows)
    for wide, words in BLOCK18.items():
        rows = ceil(depth / words)
        count = ceil(rows * _whole(width, wide, writes) / wide)
        cost = 129 * count + _choice(rows, width, writes)
        yield Cells("block", cost, ramb18=count, rows=rows)
    if writes:
        rows = ceil(depth / ULTRA[1])
        count = ceil(rows * _whole(width, ULTRA[0], writes) / ULTRA[0])
        yield Cells("ultra", float("inf"), uram=count, rows=rows)


def _whole(width: int, wide: int, writes: bool) -> int:
    """Return the bits of a word in whole units of what can be written by itself."""
    unit = min(wide, 9)
    return -(-width // unit) * unit if writes else width


def _choice(rows: int, width: int, writes: bool) -> float:
    """Return the cost of choosing between rows."""
    return 0.5 * ((rows - 1) * width + (rows if writes and rows > 1 else 0))
