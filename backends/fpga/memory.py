"""Contents of the memories, and their text for ``$readmemh``.

A word is a row of numbers, lowest bits first; a file holds one word a line in hexadecimal.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spikec.compiler.types import Array, Exact

if TYPE_CHECKING:
    from spikec.backends.fpga.window import Window

# Words of a table of which each bit takes one LUT.
LUT_WORDS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Contents of a memory.

    Attributes:
        fields: Integers (words, numbers) and the bits that each number takes, lowest field first.
    """

    fields: tuple[tuple[Array, int], ...]

    @property
    def depth(self) -> int:
        """Number of words."""
        return len(self.fields[0][0])

    @property
    def width(self) -> int:
        """Bits of a word."""
        return sum(numbers.shape[1] * bits for numbers, bits in self.fields)

    @property
    def style(self) -> str:
        """What weights are stored in: logic where each bit takes one LUT, else block RAM."""
        return "block" if self.depth > LUT_WORDS else "auto"

    def columns(self) -> int:
        """Return how many bits of a word differ from each other and from word to word."""
        bits = np.concatenate([_bits(numbers, wide) for numbers, wide in self.fields], axis=1)
        moving = bits[:, bits.min(axis=0) != bits.max(axis=0)]
        return len(np.unique(moving, axis=1).T)

    def text(self) -> str:
        """Return one word a line."""
        bits = [_bits(numbers, wide) for numbers, wide in self.fields]
        packed = np.packbits(np.concatenate(bits, axis=1), axis=1, bitorder="little")
        digits = (self.width + 3) // 4
        return "".join(f"{row[::-1].tobytes().hex()[-digits:]}\n" for row in packed)


def _bits(numbers: Array, bits: int) -> Array:
    """Return the two's complement bits of numbers (words, n), as (words, n * bits)."""
    shifted = numbers.astype(np.int64)[:, :, None] >> np.arange(bits)
    return (shifted & 1).astype(np.uint8).reshape(len(numbers), -1)


def bits_of(numbers: Array) -> int:
    """Return the bits that signed numbers need."""
    lo, hi = (int(numbers.min()), int(numbers.max())) if numbers.size else (0, 0)
    return Exact(lo, hi).width


@dataclass(frozen=True, slots=True)
class Layout:
    """Where neurons sit: neuron = place + (column * lanes + lane) * places.

    Attributes:
        size: Neurons.
        lanes: Lanes.
        places: Pixels of an image whose channels share a group, else 1.
    """

    size: int
    lanes: int
    places: int = 1

    @property
    def columns(self) -> int:
        """Groups of a place."""
        return -(-self.size // (self.lanes * self.places))

    @property
    def groups(self) -> int:
        """Groups in all: by place, then by column."""
        return self.places * self.columns

    @property
    def seats(self) -> Array:
        """For each neuron group * lanes + lane."""
        neuron = np.arange(self.size)
        place, channel = neuron % self.places, neuron // self.places
        group = place * self.columns + channel // self.lanes
        return np.asarray(group * self.lanes + channel % self.lanes)

    def grouped(self, values: Array) -> Array:
        """Return one number per neuron as (groups, lanes); the last one fills up the rest."""
        seated = np.full(self.groups * self.lanes, values[-1])
        seated[self.seats] = values
        return seated.reshape(self.groups, self.lanes)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The weight words of a projection.

    Attributes:
        words: {weights of the lanes} of every word; with ``pointers`` the group above them.
        weight_bits: Bits of a weight.
        pointers: {start, words} per source, or None where every source has all groups in order.
        walked: Words per source.
        used: Weights per source that are not zero.
        window: How addresses are generated from a pixel, or None.
    """

    words: Words
    weight_bits: int
    pointers: Words | None
    walked: Array
    used: Array
    window: "Window | None" = None

    @property
    def form(self) -> str:
        """How words are found: dense, sparse, or window."""
        if self.window is not None:
            return "window"
        return "dense" if self.pointers is None else "sparse"


def rows(matrix: Any, layout: Layout) -> Rows:
    """Lay out a sparse matrix of integers (targets, sources) in words of a weight per lane.

    Groups in which a source has no weight are left out, with a table of pointers, where that takes
    fewer bits.
    """
    entries = matrix.tocoo()
    sources, groups, lanes = int(matrix.shape[1]), layout.groups, layout.lanes
    keep = entries.data != 0
    source, target = entries.col[keep].astype(np.int64), layout.seats[entries.row[keep]]
    weight = entries.data[keep].astype(np.int64)
    bits = bits_of(weight)
    place, at = np.unique(source * groups + target // lanes, return_inverse=True)
    used = np.bincount(source, minlength=sources)
    listed = max(place.size, 1)  # a memory holds a word at least
    start_bits, count_bits = address_bits(listed), groups.bit_length()
    group_bits = address_bits(groups)
    sparse = listed * (lanes * bits + group_bits) + sources * (start_bits + count_bits)
    if sparse >= sources * groups * lanes * bits:
        dense: Array = np.zeros((sources * groups, lanes), np.int64)
        dense[source * groups + target // lanes, target % lanes] = weight
        return Rows(Words(((dense, bits),)), bits, None, np.full(sources, groups), used)
    packed: Array = np.zeros((listed, lanes), np.int64)
    packed[at, target % lanes] = weight
    group: Array = np.zeros((listed, 1), np.int64)
    group[: place.size, 0] = place % groups
    walked = np.bincount(place // groups, minlength=sources)
    # A source without words points at some word too, so that no address is outside.
    starts = np.minimum(np.concatenate([[0], np.cumsum(walked)[:-1]]), listed - 1)
    pointers = Words(((starts[:, None], start_bits), (walked[:, None], count_bits)))
    return Rows(Words(((packed, bits), (group, group_bits))), bits, pointers, walked, used)


def address_bits(depth: int) -> int:
    """Return the bits of an address; one at least."""
    return max((depth - 1).bit_length(), 1)
