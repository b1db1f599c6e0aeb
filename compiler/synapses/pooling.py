"""Sums and averages over windows."""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.synapses.base import Shape, Synapse, check_bias
from spikec.compiler.synapses.window import Pair, check_window, check_work, window_counts, windows
from spikec.compiler.types import Array, Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Pool2d(Synapse):
    """Sum over windows of the last two axes times one ``weight``: 1 sums, 1 / window averages."""

    kind: ClassVar[str] = "pool2d"
    storage: ClassVar[str] = "conv"
    in_shape: tuple[int, int, int]
    kernel: Pair
    weight: Tensor
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    bias: Tensor | None = None

    def __post_init__(self) -> None:
        """Check the geometry.

        Raises:
            SpikecError: SPK0305 or SPK0307; SPK0301 on the bias.
        """
        check_window("pool2d", self.stride, self.padding, self.kernel)
        if min(*self.in_shape, *self.out_shape) < 1 or self.weight.shape != ():
            raise SpikecError(
                "SPK0307",
                "pool2d",
                f"window {self.kernel} with weight {self.weight.shape} does not fit "
                f"{self.in_shape}",
                "Check the input shape and padding",
            )
        check_work("pool2d", self.in_shape, self.padding, self.out_shape, self.kernel)
        check_bias("pool2d", self.bias, self.in_shape[0])

    @property
    def in_size(self) -> int:
        """Number of source neurons."""
        return prod(self.in_shape)

    @property
    def out_size(self) -> int:
        """Number of target neurons."""
        return prod(self.out_shape)

    @property
    def out_shape(self) -> Shape:
        """(channels, m0, m1)."""
        spatial = window_counts(self.in_shape[1:], self.kernel, self.stride, self.padding, (1, 1))
        return (self.in_shape[0], *spatial)

    def apply(self, x: Array) -> Array:
        """Return the weighted window sums, flattened."""
        image = x.reshape(-1, *self.in_shape)
        sums = windows(image, self.kernel, self.stride, self.padding, (1, 1)).sum(axis=(4, 5))
        return np.asarray(sums * self.weight.data).reshape(len(image), -1)
