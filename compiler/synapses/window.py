"""Windows over images, for convolutions and pools."""

from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from spikec.compiler.errors import SpikecError
from spikec.compiler.synapses.base import Shape
from spikec.compiler.types import Array

# numpy types this function for one axis only.
_view: Any = sliding_window_view

Pair = tuple[int, int]


# Of one projection: elements of its padded image and of all its windows, and of those times the
# channels that go out. The largest layer of VGG-16 on 224 x 224 has 3e6, 3e7 and 2e9.
MOST_PADDED, MOST_GATHERED, MOST_PRODUCTS = 1 << 26, 1 << 27, 1 << 32


def check_work(kind: str, shape: Shape, padding: Shape, out: Shape, kernel: Shape) -> None:
    """Refuse what a few numbers describe and no machine holds or computes.

    Args:
        kind: For the message.
        shape: (channels, n0, n1) of the image.
        padding: Zeros on both sides of each axis.
        out: (channels, m0, m1).
        kernel: (k0, k1).

    Raises:
        SpikecError: SPK0828.
    """
    padded = prod(n + 2 * p for n, p in zip(shape[1:], padding, strict=True)) * shape[0]
    gathered = prod(out[1:]) * shape[0] * prod(kernel)
    if padded > MOST_PADDED or gathered > MOST_GATHERED or out[0] * gathered > MOST_PRODUCTS:
        raise SpikecError(
            "SPK0828",
            kind,
            f"{padded} elements with padding, {gathered} in all windows and {out[0]} channels are "
            f"more than {MOST_PADDED}, {MOST_GATHERED} or {MOST_PRODUCTS} products",
            "Split the model",
        )


def check_window(kind: str, stride: Pair, padding: Shape, spread: Pair) -> None:
    """Refuse what is no window.

    Raises:
        SpikecError: SPK0305.
    """
    if min(*stride, *spread) < 1 or min(padding) < 0:
        raise SpikecError(
            "SPK0305",
            kind,
            f"stride {stride}, padding {padding} or dilation {spread} is out of range",
            "Use strides and dilations of at least 1 and padding of at least 0",
        )


def window_counts(
    size: Shape, kernel: Shape, stride: Pair, padding: Pair, spread: Pair, extra: Pair = (0, 0)
) -> Shape:
    """Return how many windows there are along each axis."""
    axes = zip(size, kernel, stride, padding, spread, extra, strict=True)
    return tuple((n + 2 * p + e - d * (k - 1) - 1) // s + 1 for n, k, s, p, d, e in axes)


def windows(
    image: Array, kernel: Pair, stride: Pair, padding: Pair, spread: Pair, extra: Pair = (0, 0)
) -> Array:
    """Return the view (batch, channels, m0, m1, k0, k1) of a zero-padded image."""
    behind = ((p, p + e) for p, e in zip(padding, extra, strict=True))
    padded = np.pad(image, ((0, 0), (0, 0), *behind))
    extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, spread, strict=True))
    view: Array = _view(padded, extent, axis=(2, 3))
    return np.asarray(view[:, :, :: stride[0], :: stride[1], :: spread[0], :: spread[1]])
