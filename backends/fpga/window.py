"""Convolutions and pools: the kernel is stored once, and addresses are generated.

Neurons of an image stand in the lanes by channel, in the groups by place: group = place * columns +
channel / lanes. So a place of the kernel is one word per ``columns``, whatever the source pixel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd

import numpy as np

from spikec.backends.fpga.memory import Rows, Words, address_bits, bits_of
from spikec.compiler.synapses import Conv2d, Pool2d, Synapse
from spikec.compiler.types import Array


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """How words and groups follow from a source pixel.

    Attributes:
        tables: {word, group, count} of every channel, row and column of the source.
        address_bits: Bits of a weight word address.
        group_bits: Bits of a group.
        count_bits: Bits of a count.
        groups: Words of a place of the kernel.
        steps: Words and groups from line to line, and from place to place.
        shape: Channels, rows and columns of the source.
    """

    tables: Mapping[str, Words]
    address_bits: int
    group_bits: int
    count_bits: int
    groups: int
    steps: tuple[int, int, int, int]
    shape: tuple[int, int, int]


def kernel(synapse: Synapse) -> tuple[Array, tuple[int, int], int] | None:
    """Return weights (out, in / groups, k0, k1), dilation and groups, or None without windows."""
    match synapse.plain():
        case Conv2d() as conv:
            return conv.weight.data.astype(np.int64), conv.dilation, conv.groups
        case Pool2d() as pool:
            channels = pool.in_shape[0]
            one = np.full((channels, 1, *pool.kernel), pool.weight.data, dtype=np.int64)
            return one, (1, 1), channels
        case _:
            return None


def image(synapse: Synapse, most: int) -> tuple[int, int, int] | None:
    """Return out channels, places, and lanes that divide the channels; None for one lane only."""
    plain = synapse.plain()
    if not isinstance(plain, Conv2d | Pool2d):
        return None
    channels, m0, m1 = plain.out_shape
    lanes = max(n for n in range(1, min(most, channels) + 1) if channels % n == 0)
    return (channels, m0 * m1, lanes) if lanes > 1 else None


def window_rows(synapse: Synapse, lanes: int) -> Rows:
    """Lay out a convolution or pool for ``lanes`` that divide its out channels."""
    plain, found = synapse.plain(), kernel(synapse)
    assert isinstance(plain, Conv2d | Pool2d)
    assert found is not None
    weight, dilation, parts = found
    out, per_part, k0, k1 = (int(n) for n in weight.shape)
    channels, n0, n1 = plain.in_shape
    _, m0, m1 = plain.out_shape
    columns, share = out // lanes, out // parts
    first = (np.arange(channels) // per_part * share) // lanes
    last = (np.arange(channels) // per_part * share + share - 1) // lanes
    width = int((last - first).max()) + 1
    first = np.minimum(first, columns - width)
    words: Array = np.zeros((channels, k0, k1, width, lanes), np.int64)
    for o in range(out):
        for c in range(o // share * per_part, o // share * per_part + per_part):
            words[c, :, :, o // lanes - first[c], o % lanes] = weight[o, c % per_part]
    flat = words.reshape(-1, lanes)
    down, step0 = _axis(n0, m0, k0, plain.stride[0], plain.padding[0], dilation[0])
    along, step1 = _axis(n1, m1, k1, plain.stride[1], plain.padding[1], dilation[1])
    wide = k1 * width
    ab, gb = address_bits(len(flat)), address_bits(m0 * m1 * columns)
    cb = max(k0, k1).bit_length()
    counted = np.ones(channels, np.int64)
    tables = {
        "channels": _table(np.arange(channels) * k0 * wide, first, counted, (ab, gb, cb)),
        "rows": _table(down[1] * wide, down[2] * m1 * columns, down[0], (ab, gb, cb)),
        "columns": _table(along[1] * width, along[2] * columns, along[0], (ab, gb, cb)),
    }
    steps = (step0[0] * wide, step0[1] * m1 * columns, step1[0] * width, step1[1] * columns)
    places = np.multiply.outer(down[0], along[0]).reshape(-1)
    walked = np.tile(places * width, channels)
    window = Window(tables, ab, gb, cb, width, steps, (channels, n0, n1))
    used = _used(weight != 0, plain.in_shape, (down, along), (step0, step1), parts)
    bits = bits_of(weight)
    return Rows(Words(((flat, bits),)), bits, None, walked, used, window)


Axis = tuple[Array, Array, Array]


def _axis(
    size: int, targets: int, taps: int, stride: int, padding: int, dilation: int
) -> tuple[Axis, tuple[int, int]]:
    """Return along one axis, for each source, how many taps meet it, the first and its target.

    From one such tap to the next the tap goes up and the target down by constant steps.
    """
    common = gcd(stride, dilation)
    up, down = stride // common, dilation // common
    count, first, target = (np.zeros(size, np.int64) for _ in range(3))
    for s in range(size):
        meeting = [
            (k, (s + padding - k * dilation) // stride)
            for k in range(taps)
            if (s + padding - k * dilation) % stride == 0
            and 0 <= s + padding - k * dilation < targets * stride
        ]
        if meeting:
            count[s] = len(meeting)
            first[s], target[s] = meeting[0]
            assert meeting == [
                (meeting[0][0] + j * up, meeting[0][1] - j * down) for j in range(len(meeting))
            ]
    return (count, first, target), (up, down)


def _table(word: Array, group: Array, count: Array, bits: tuple[int, int, int]) -> Words:
    return Words(
        tuple(
            (numbers.reshape(-1, 1), b)
            for numbers, b in zip((word, group, count), bits, strict=True)
        )
    )


def _used(
    present: Array,
    shape: tuple[int, int, int],
    axes: tuple[Axis, Axis],
    steps: tuple[tuple[int, int], tuple[int, int]],
    parts: int,
) -> Array:
    """Return per source neuron the weights that are not zero."""
    out, per_part, k0, k1 = present.shape
    by_channel = present.reshape(parts, out // parts, per_part, k0, k1).sum(axis=1)
    met = [_met(axis, step, taps) for axis, step, taps in zip(axes, steps, (k0, k1), strict=True)]
    counts = np.einsum("ckl,ky,lx->cyx", by_channel.reshape(shape[0], k0, k1), *met)
    return np.asarray(counts.reshape(-1))


def _met(axis: Axis, step: tuple[int, int], taps: int) -> Array:
    """Return whether a tap meets a source, (taps, sources) as 0 or 1."""
    count, first, _ = axis
    found: Array = np.zeros((taps, len(count)), np.int64)
    for s in range(len(count)):
        found[first[s] + np.arange(count[s]) * step[0], s] = 1
    return found


def quotient(divisor: int, largest: int) -> tuple[int, int]:
    """Return factor and shift with (n * factor) >> shift == n // divisor for all n to ``largest``.

    With a factor of ceil(2^shift / divisor) the error stays below 1 / divisor if
    largest * divisor < 2^shift (Granlund and Montgomery 1994).
    """
    if divisor & (divisor - 1) == 0:
        return 1, divisor.bit_length() - 1
    shift = (largest * divisor).bit_length()
    factor = -(-(1 << shift) // divisor)
    n = np.arange(largest + 1)
    assert ((n * factor) >> shift == n // divisor).all()
    return factor, shift
