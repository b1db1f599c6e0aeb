"""Convolutions over images and over sequences."""

from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.synapses.base import Shape, Synapse, check_bias, product
from spikec.compiler.synapses.window import Pair, check_window, check_work, window_counts, windows
from spikec.compiler.types import Array, Tensor
from spikec.compiler.untyped import sparse as sp

GATHERED = 1 << 24  # numbers that are copied out of the image at once


@dataclass(frozen=True, slots=True, eq=False)
class Conv2d(Synapse):
    """Cross-correlation over the last two axes: weight (out, in / groups, k0, k1), bias (out,).

    Attributes:
        in_shape: (channels, n0, n1).
        padding: Zeros on both sides of each axis.
        extra: Further zeros behind each axis, as ``same`` needs for an even kernel.
    """

    kind: ClassVar[str] = "conv2d"
    storage: ClassVar[str] = "conv"
    in_shape: tuple[int, int, int]
    weight: Tensor
    bias: Tensor | None = None
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    extra: Pair = (0, 0)

    def __post_init__(self) -> None:
        """Check the geometry.

        Raises:
            SpikecError: SPK0303 to SPK0306 on the weight, channels, options or image size.
        """
        if len(self.weight.shape) != 4:
            raise SpikecError(
                "SPK0303",
                "conv2d",
                f"weight has shape {self.weight.shape}",
                "Give (out, in / groups, k0, k1)",
            )
        out, per_group, *kernel = self.weight.shape
        if self.groups < 1 or per_group * self.groups != self.in_shape[0] or out % self.groups:
            raise SpikecError(
                "SPK0304",
                "conv2d",
                f"weight {self.weight.shape} with {self.groups} groups does not fit "
                f"{self.in_shape[0]} input channels",
                "in channels must be weight.shape[1] * groups and out a multiple of groups",
            )
        for zeros in (self.padding, self.extra):
            check_window("conv2d", self.stride, zeros, self.dilation)
        if min(*self.in_shape, *kernel, *self.out_shape) < 1:
            raise SpikecError(
                "SPK0306",
                "conv2d",
                f"kernel {tuple(kernel)} does not fit the input {self.in_shape}",
                "Check the input shape and padding",
            )
        largest = tuple(max(p, e) for p, e in zip(self.padding, self.extra, strict=True))
        check_work("conv2d", self.in_shape, largest, self.out_shape, self.weight.shape[2:])
        check_bias("conv2d", self.bias, out)

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
        """(out channels, m0, m1)."""
        spatial = window_counts(
            self.in_shape[1:],
            self.weight.shape[2:],
            self.stride,
            self.padding,
            self.dilation,
            self.extra,
        )
        return (self.weight.shape[0], *spatial)

    def apply(self, x: Array) -> Array:
        """Return the cross-correlation, flattened."""
        out, per_group, k0, k1 = self.weight.shape
        image = windows(
            x.reshape(-1, *self.in_shape),
            (k0, k1),
            self.stride,
            self.padding,
            self.dilation,
            self.extra,
        )
        batch, _, m0, m1 = image.shape[:4]
        y = np.empty((batch, out, m0, m1), dtype=np.result_type(x, self.weight.data))
        share = out // self.groups
        rows = max(1, GATHERED // max(batch * m1 * per_group * k0 * k1, 1))
        for g in range(self.groups):
            kernel = self.weight.data[g * share : (g + 1) * share].reshape(share, -1)
            for at in range(0, m0, rows):
                part = image[:, g * per_group : (g + 1) * per_group, at : at + rows]
                patch = part.transpose(0, 2, 3, 1, 4, 5).reshape(-1, kernel.shape[1])
                summed = product(patch, kernel.T).reshape(batch, -1, m1, share)
                y[:, g * share : (g + 1) * share, at : at + rows] = summed.transpose(0, 3, 1, 2)
        return y.reshape(batch, -1)

    def to_sparse(self) -> Any:
        """Return W, from the source that each place of each window shows (0: padding)."""
        out, per_group, k0, k1 = self.weight.shape
        numbers = np.arange(1, self.in_size + 1).reshape(1, *self.in_shape)
        image = windows(
            numbers, (k0, k1), self.stride, self.padding, self.dilation, self.extra
        ).reshape(self.groups, per_group, -1, k0 * k1)
        # (groups, per_group, places, taps) to (out, places, per_group, taps)
        shown = np.repeat(image.transpose(0, 2, 1, 3), out // self.groups, axis=0)
        kernel = self.weight.data.astype(self.weight.number).reshape(out, 1, per_group, k0 * k1)
        weights = np.broadcast_to(kernel, shown.shape).reshape(-1)
        rows = np.repeat(np.arange(self.out_size), per_group * k0 * k1)
        columns = shown.reshape(-1) - 1
        used = (columns >= 0) & (weights != 0)
        parts = weights[used], (rows[used], columns[used])
        return sp.csr_array(parts, shape=(self.out_size, self.in_size))


@dataclass(frozen=True, slots=True, eq=False)
class Conv1d(Synapse):
    """Cross-correlation over the last axis: weight (out, in / groups, k), bias (out,).

    Attributes:
        in_shape: (channels, n).
        padding: Zeros on both sides.
        extra: Further zeros behind, as ``same`` needs for an even kernel.
    """

    kind: ClassVar[str] = "conv1d"
    storage: ClassVar[str] = "conv"
    in_shape: Pair
    weight: Tensor
    bias: Tensor | None = None
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    extra: int = 0

    def __post_init__(self) -> None:
        """Check the geometry; errors of ``Conv2d``.

        Raises:
            SpikecError: SPK0331 on the weight.
        """
        if len(self.weight.shape) != 3:
            raise SpikecError(
                "SPK0331",
                "conv1d",
                f"weight has shape {self.weight.shape}",
                "Give (out, in / groups, k)",
            )
        self.plain()

    def plain(self) -> Conv2d:
        """Return the convolution of images that are one row high."""
        weight = replace(self.weight, data=self.weight.data[:, :, None, :])
        channels, n = self.in_shape
        return Conv2d(
            (channels, 1, n),
            weight,
            self.bias,
            (1, self.stride),
            (0, self.padding),
            (1, self.dilation),
            self.groups,
            (0, self.extra),
        )

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
        """(out channels, m)."""
        channels, _, m = self.plain().out_shape
        return channels, m

    def apply(self, x: Array) -> Array:
        """Return the cross-correlation, flattened."""
        return self.plain().apply(x)

    def to_sparse(self) -> Any:
        """Return W."""
        return self.plain().to_sparse()


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Return ``padding`` and ``extra`` of one axis that give ceil(size / stride) outputs.

    With stride 1 this is torch's ``same``; with others, which torch refuses, TensorFlow's SAME.
    """
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return total // 2, total % 2
