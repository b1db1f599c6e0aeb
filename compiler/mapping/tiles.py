"""Cut populations into blocks of their shape, where a network is too large to be unrolled.

A neuron of a convolution shares its sources with its neighbours and with the other channels at its
place, so the blocks of channels, rows and columns with the least sources per neuron send least. One
block in the middle of the image stands for all; blocks at the edges have fewer sources.
"""

from collections.abc import Iterator
from math import ceil, prod

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Population, Program, Projection
from spikec.compiler.mapping.demand import Demand, seated
from spikec.compiler.mapping.load import list_bits, load
from spikec.compiler.mapping.reach import reach
from spikec.compiler.types import Array

# Synapses beyond which a network is not unrolled into a list of them.
MOST_UNROLLED = 1 << 28

Block = tuple[int, int, int]


def too_many(program: Program) -> bool:
    """Return whether a program has more synapses than are unrolled."""
    return sum(_stored(p) for p in program.graph.projections) > MOST_UNROLLED


def _stored(projection: Projection) -> int:
    """Return about how many synapses a projection has, windows at the edges counted whole."""
    synapse = projection.synapse.plain()
    listed = None if projection.storage in ("dense", "conv") else synapse.listed()
    if listed is not None:
        return int(listed.indices.size)
    if projection.storage == "dense":
        return synapse.in_size * synapse.out_size
    middle = np.full(synapse.out_size, -1, np.int32)
    middle[synapse.out_size // 2] = 0
    return synapse.out_size * max(int(reach(projection, middle, 1).nnz), 1)


def by_blocks(program: Program, demand: Demand) -> Array:
    """Return the core of every neuron, each population in blocks of its own.

    Raises:
        SpikecError: SPK1774 when even cores of one neuron have too few output axons; errors of
            ``best_block``.
    """
    most = demand.limits.neurons
    while True:
        seat = _cut(program, demand, most)
        cores = int(seat.max(initial=-1)) + 1
        made = seated(program, seat, np.zeros((cores, 4)))
        over = next(load(made, demand, None).over(), None)
        if over is None:
            return seat
        if most == 1:
            raise SpikecError(
                "SPK1774",
                program.graph.name,
                f"cores of one neuron take {over[2]} {over[1]}, and {over[3]} fit",
                "Prune synapses, or choose another target",
            )
        most //= 2  # blocks fit by all else; how many cores they reach is seen only now


def _cut(program: Program, demand: Demand, most: int) -> Array:
    seats: list[Array] = []
    cores = 0
    for population in program.graph.populations:
        shape = _image(population)
        block = best_block(program, demand, population, most)
        at = np.indices(shape).reshape(3, -1)
        number = np.zeros(population.size, np.int64)
        for axis in range(3):
            number = number * ceil(shape[axis] / block[axis]) + at[axis] // block[axis]
        seats.append((number + cores).astype(np.int32))
        cores += int(number.max()) + 1
    return np.concatenate(seats)


def best_block(program: Program, demand: Demand, population: Population, most: int) -> Block:
    """Return channels, rows and columns of the block with the least sources per neuron.

    Raises:
        SpikecError: SPK1773.
    """
    found: list[tuple[float, int, Block]] = []
    for block in _blocks(_image(population), most):
        sources, fits = _middle(program, demand, population, block)
        if fits:
            found.append((sources / prod(block), -prod(block), block))
    if not found:
        raise SpikecError(
            "SPK1773",
            population.name,
            "one neuron of it takes more axons or synapse memory than a core has",
            "Prune its synapses, or make it a tree of neurons",
        )
    return min(found)[2]


def _image(population: Population) -> Block:
    """Return the shape as channels, rows, columns."""
    shape = population.shape
    if len(shape) >= 3:
        return prod(shape[:-2]), shape[-2], shape[-1]
    return (shape[0], 1, shape[1]) if len(shape) == 2 else (1, 1, population.size)


def _blocks(shape: Block, most: int) -> Iterator[Block]:
    """Give blocks of halves of the axes that a core has compartments for."""
    halves = [sorted({ceil(n / 2**k) for k in range(n.bit_length() + 1)}) for n in shape]
    for channels in halves[0]:
        for rows in halves[1]:
            for columns in _columns(halves[2], shape, most // (channels * rows)):
                if channels * rows * columns <= most:
                    yield channels, rows, columns


def _columns(halves: list[int], shape: Block, most: int) -> list[int]:
    """Return the widths tried: halves, and for a row of neurons also what just fits."""
    return sorted({*halves, min(max(most, 1), shape[2])})


def _middle(
    program: Program, demand: Demand, population: Population, block: Block
) -> tuple[int, bool]:
    """Return how many sources the block in the middle has, and whether it fits a core."""
    shape = _image(population)
    where = np.full(shape, -1, np.int32)
    corner = [max((n - b) // 2, 0) for n, b in zip(shape, block, strict=True)]
    where[tuple(slice(c, c + b) for c, b in zip(corner, block, strict=True))] = 0
    sources, bits = 0, 0
    seen: dict[str, Array] = {}
    for p, width in zip(program.graph.projections, demand.bits, strict=True):
        if p.target != population.name:
            continue
        counts = reach(p, where.reshape(-1), 1)
        bits += int(list_bits(counts.data, width, demand.limits).sum())
        here = np.diff(counts.indptr) > 0
        seen[p.source] = seen.get(p.source, np.zeros_like(here)) | here
    sources = sum(int(np.count_nonzero(a)) for a in seen.values())
    rooms = demand.room
    fits = sources <= demand.limits.in_axons and bits <= demand.limits.synapse_bits
    if rooms is not None:
        fits = fits and prod(block) <= int(rooms.min())
    return sources, fits
