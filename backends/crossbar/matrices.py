"""The matrices of a projection: what arrays hold, and where their rows and columns go.

A kernel of a convolution or a pool is one matrix, read once for each place of the image; any other
projection is read once a step, all of it, or, where it is sparse, block by block without the rows
that a block does not use.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spikec.compiler.synapses import Conv2d, Dense, Pool2d, Synapse
from spikec.compiler.synapses.window import windows
from spikec.compiler.types import Array


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """Weights that are stored once.

    Attributes:
        weight: Integers (rows, outputs).
        gather: Source of every row in every read, (reads, rows); -1: nothing, at a border.
        scatter: Target of every output in every read, (reads, outputs).
    """

    weight: Array
    gather: Array
    scatter: Array

    @property
    def reads(self) -> int:
        """How often it is read in a step."""
        return len(self.gather)


def matrices(synapse: Synapse, block: int) -> Iterator[Matrix]:
    """Return the matrices of a synapse.

    Args:
        synapse: Of integer weights.
        block: Outputs of a sparse matrix that are kept together.
    """
    plain = synapse.plain()
    match plain:
        case Dense():
            weight = plain.weight.data.astype(np.int64).T
            rows, outputs = (np.arange(n, dtype=np.int64)[None] for n in weight.shape)
            yield Matrix(weight, rows, outputs)
        case Conv2d():
            yield from _convolution(plain)
        case Pool2d():
            yield _pool(plain)
        case _:
            yield from _blocks(plain, block)


def _convolution(synapse: Conv2d) -> Iterator[Matrix]:
    """Return the kernel of each group."""
    out, per_group, k0, k1 = synapse.weight.shape
    share = out // synapse.groups
    image = np.arange(1, synapse.in_size + 1).reshape(1, *synapse.in_shape)
    geometry = synapse.stride, synapse.padding, synapse.dilation, synapse.extra
    # (channels, m0, m1, k0, k1)
    shown = windows(image, (k0, k1), *geometry)[0] - 1
    places = shown.shape[1] * shown.shape[2]
    kernel = synapse.weight.data.astype(np.int64)
    for g in range(synapse.groups):
        taps = shown[g * per_group : (g + 1) * per_group].transpose(1, 2, 0, 3, 4)
        channels = np.arange(g * share, (g + 1) * share, dtype=np.int64)
        scatter = channels * places + np.arange(places, dtype=np.int64)[:, None]
        weight = kernel[channels].reshape(share, -1).T
        yield Matrix(weight, taps.reshape(places, -1), scatter)


def _pool(synapse: Pool2d) -> Matrix:
    """Return the one window, for every channel and place."""
    image = np.arange(1, synapse.in_size + 1).reshape(1, *synapse.in_shape)
    shown = windows(image, synapse.kernel, synapse.stride, synapse.padding, (1, 1))[0] - 1
    gather = shown.reshape(synapse.out_size, -1)
    weight = np.full((gather.shape[1], 1), int(synapse.weight.data), dtype=np.int64)
    return Matrix(weight, gather, np.arange(synapse.out_size, dtype=np.int64)[:, None])


def _blocks(synapse: Synapse, block: int) -> Iterator[Matrix]:
    """Return blocks of targets, each with the sources that they have."""
    every = synapse.to_sparse().tocsr()
    for first in range(0, every.shape[0], block):
        part = every[first : first + block].tocsc()
        used = np.flatnonzero(np.diff(part.indptr))
        if used.size:
            weight = part[:, used].toarray().T.astype(np.int64)
            scatter = np.arange(first, first + weight.shape[1], dtype=np.int64)[None]
            yield Matrix(weight, used[None], scatter)
