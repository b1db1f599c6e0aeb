"""Synapse kinds: linear maps from the spikes or values of a source to the input of a target.

y = W x + b. ``x`` and ``y`` are flat; a kind that needs geometry (Conv2d, Pool2d) carries its own
input shape, so a reshape or flatten in C order costs nothing and is not a node. ``apply`` is the
definition; on integers it is exact.
"""

from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array, Tensor
from spikec.compiler.untyped import sparse as sp

# numpy types this function for one axis only.
_view: Any = sliding_window_view

Shape = tuple[int, ...]
Pair = tuple[int, int]


class Synapse:
    """Base of the kinds.

    Attributes:
        kind: Name in text and on the command line.
        weight: Stored weights; the shape depends on the kind.
        bias: One number per target neuron or output channel, or None.
    """

    __slots__ = ()
    kind: ClassVar[str]
    storage: ClassVar[str] = "dense"
    weight: Tensor
    bias: Tensor | None

    @property
    def in_size(self) -> int:
        """Number of source neurons."""
        raise NotImplementedError

    @property
    def out_size(self) -> int:
        """Number of target neurons."""
        raise NotImplementedError

    @property
    def out_shape(self) -> Shape:
        """Shape in which the target neurons are ordered."""
        return (self.out_size,)

    def apply(self, x: Array) -> Array:
        """Return W x for ``x`` of shape (batch, in_size), without the bias."""
        raise NotImplementedError

    def to_sparse(self) -> Any:
        """Return W as a sparse matrix (out_size, in_size) of the stored numbers."""
        identity = np.eye(self.in_size, dtype=self.weight.data.dtype)
        return sp.csr_array(self.apply(identity).T)

    def bias_vector(self) -> Array | None:
        """Return the stored bias, one number per target neuron, or None."""
        if self.bias is None:
            return None
        per_channel = self.out_size // max(self.bias.data.size, 1)
        return np.repeat(self.bias.data.reshape(-1), per_channel)

    def with_numbers(self, weight: Tensor, bias: Tensor | None) -> "Synapse":
        """Return the same connectivity with other numbers of the same shapes."""
        return replace(self, weight=weight, bias=bias)  # type: ignore[type-var]  # all are dataclasses

    def sum_bounds(self) -> tuple[Array, Array]:
        """Return per target neuron the sums of its negative and of its positive stored weights."""
        ones = np.ones((1, self.in_size), dtype=self.weight.data.dtype)
        low, high = (
            replace_data(self, pick(self.weight.data, 0)).apply(ones)[0]
            for pick in (np.minimum, np.maximum)
        )
        return low, high


def replace_data(synapse: Synapse, data: Array) -> Synapse:
    """Return ``synapse`` with raw weights ``data``, whatever their declared range."""
    return synapse.with_numbers(replace(synapse.weight, data=data), synapse.bias)


def _product(x: Array, w: Array) -> Array:
    """Return x @ w, exactly for integers: through BLAS where every partial sum fits 53 bits."""
    if x.dtype == np.float64 and w.dtype == np.float64:
        return x @ w
    x, w = x.astype(np.int64), w.astype(np.int64)
    largest = int(np.abs(x).max(initial=0)) * int(np.abs(w).max(initial=0)) * max(x.shape[-1], 1)
    if largest < 1 << 53:
        return (x.astype(np.float64) @ w.astype(np.float64)).astype(np.int64)
    return x @ w


def _check_bias(kind: str, bias: Tensor | None, channels: int) -> None:
    if bias is not None and bias.shape != (channels,):
        raise SpikecError(
            "SPK0301", kind, f"bias of shape {bias.shape} for {channels} channels", "Give one each"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Dense(Synapse):
    """Every source to every target: weight (out, in)."""

    kind: ClassVar[str] = "dense"
    weight: Tensor
    bias: Tensor | None = None

    def __post_init__(self) -> None:
        """Check the shapes.

        Raises:
            SpikecError: SPK0302 when the weight is not a matrix, SPK0301 on the bias.
        """
        if len(self.weight.shape) != 2:
            raise SpikecError(
                "SPK0302", "dense", f"weight has shape {self.weight.shape}", "Give (out, in)"
            )
        _check_bias("dense", self.bias, self.out_size)

    @property
    def in_size(self) -> int:
        """Number of source neurons."""
        return self.weight.shape[1]

    @property
    def out_size(self) -> int:
        """Number of target neurons."""
        return self.weight.shape[0]

    def apply(self, x: Array) -> Array:
        """Return W x."""
        return _product(x, self.weight.data.T)


@dataclass(frozen=True, slots=True, eq=False)
class Conv2d(Synapse):
    """Cross-correlation over the last two axes: weight (out, in / groups, k0, k1), bias (out,).

    ``in_shape`` is (channels, n0, n1); padding is zeros on both sides of each axis.
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
        _check_window("conv2d", self.stride, self.padding, self.dilation)
        if min(*self.in_shape, *kernel, *self.out_shape) < 1:
            raise SpikecError(
                "SPK0306",
                "conv2d",
                f"kernel {tuple(kernel)} does not fit the input {self.in_shape}",
                "Check the input shape and padding",
            )
        _check_bias("conv2d", self.bias, out)

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
        spatial = _window_counts(
            self.in_shape[1:], self.weight.shape[2:], self.stride, self.padding, self.dilation
        )
        return (self.weight.shape[0], *spatial)

    def apply(self, x: Array) -> Array:
        """Return the cross-correlation, flattened."""
        out, per_group, k0, k1 = self.weight.shape
        image = _windows(
            x.reshape(-1, *self.in_shape), (k0, k1), self.stride, self.padding, self.dilation
        )
        batch, _, m0, m1 = image.shape[:4]
        y = np.empty((batch, out, m0, m1), dtype=np.result_type(x, self.weight.data))
        share = out // self.groups
        for g in range(self.groups):
            patch = image[:, g * per_group : (g + 1) * per_group].transpose(0, 2, 3, 1, 4, 5)
            kernel = self.weight.data[g * share : (g + 1) * share].reshape(share, -1)
            product = _product(patch.reshape(batch * m0 * m1, -1), kernel.T)
            y[:, g * share : (g + 1) * share] = product.reshape(batch, m0, m1, share).transpose(
                0, 3, 1, 2
            )
        return y.reshape(batch, -1)


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
        _check_window("pool2d", self.stride, self.padding, self.kernel)
        if min(*self.in_shape, *self.out_shape) < 1 or self.weight.shape != ():
            raise SpikecError(
                "SPK0307",
                "pool2d",
                f"window {self.kernel} with weight {self.weight.shape} does not fit "
                f"{self.in_shape}",
                "Check the input shape and padding",
            )
        _check_bias("pool2d", self.bias, self.in_shape[0])

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
        spatial = _window_counts(self.in_shape[1:], self.kernel, self.stride, self.padding, (1, 1))
        return (self.in_shape[0], *spatial)

    def apply(self, x: Array) -> Array:
        """Return the weighted window sums, flattened."""
        image = x.reshape(-1, *self.in_shape)
        sums = _windows(image, self.kernel, self.stride, self.padding, (1, 1)).sum(axis=(4, 5))
        return np.asarray(sums * self.weight.data).reshape(len(image), -1)


@dataclass(frozen=True, slots=True, eq=False)
class OneToOne(Synapse):
    """Neuron k to neuron k: weight one number, or one per neuron; weight 1 is the identity."""

    kind: ClassVar[str] = "one_to_one"
    storage: ClassVar[str] = "sparse"
    size: int
    weight: Tensor
    bias: Tensor | None = None

    def __post_init__(self) -> None:
        """Check the shapes.

        Raises:
            SpikecError: SPK0308 on the weight, SPK0301 on the bias.
        """
        if self.weight.shape not in ((), (self.size,)):
            raise SpikecError(
                "SPK0308",
                "one_to_one",
                f"weight has shape {self.weight.shape} for {self.size} neurons",
                "Give one number, or one per neuron",
            )
        _check_bias("one_to_one", self.bias, self.size)

    @property
    def in_size(self) -> int:
        """Number of source neurons."""
        return self.size

    @property
    def out_size(self) -> int:
        """Number of target neurons."""
        return self.size

    def apply(self, x: Array) -> Array:
        """Return w * x, elementwise."""
        return x * self.weight.data

    def to_sparse(self) -> Any:
        """Return the diagonal."""
        diagonal = np.broadcast_to(self.weight.data, self.size)
        return sp.csr_array(sp.diags_array(diagonal, dtype=diagonal.dtype))


@dataclass(frozen=True, slots=True, eq=False)
class Sparse(Synapse):
    """Compressed rows: the synapses of target k are entries indptr[k] to indptr[k + 1]."""

    kind: ClassVar[str] = "sparse"
    storage: ClassVar[str] = "sparse"
    columns: int
    indptr: Array
    indices: Array
    weight: Tensor
    bias: Tensor | None = None

    def __post_init__(self) -> None:
        """Check the structure; keep index arrays read-only.

        Raises:
            SpikecError: SPK0309 when rows, columns and entries disagree.
        """
        ptr, idx = (np.array(a, dtype=np.int64) for a in (self.indptr, self.indices))
        entries = self.weight.shape
        # Compared, not subtracted: a difference of 64-bit numbers may wrap.
        rows_sorted = (
            ptr.ndim == 1 and len(ptr) > 0 and ptr[0] == 0 and bool(np.all(ptr[1:] >= ptr[:-1]))
        )
        if not rows_sorted or ptr[-1] != idx.size or entries != idx.shape or self.columns < 1:
            raise SpikecError(
                "SPK0309",
                "sparse",
                f"{ptr.size - 1} rows, {idx.size} indices and weights {entries} disagree",
                "Give compressed rows as in scipy.sparse.csr_array",
            )
        if idx.size and (idx.min() < 0 or idx.max() >= self.columns):
            raise SpikecError(
                "SPK0310",
                "sparse",
                f"source index {idx.max() if idx.max() >= self.columns else idx.min()} is outside "
                f"0 to {self.columns - 1}",
                "Check the number of source neurons",
            )
        for name, array in (("indptr", ptr), ("indices", idx)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        _check_bias("sparse", self.bias, self.out_size)

    @staticmethod
    def of(matrix: Any, bias: Tensor | None = None) -> "Sparse":
        """Return the synapses of a scipy or dense matrix (out, in) of real weights."""
        rows = sp.csr_array(matrix)
        rows.sum_duplicates()
        columns = int(rows.shape[1])
        return Sparse(columns, rows.indptr, rows.indices, Tensor.floats(rows.data), bias)

    @property
    def in_size(self) -> int:
        """Number of source neurons."""
        return self.columns

    @property
    def out_size(self) -> int:
        """Number of target neurons."""
        return len(self.indptr) - 1

    def apply(self, x: Array) -> Array:
        """Return W x."""
        return np.ascontiguousarray((self.to_sparse() @ x.T).T)

    def to_sparse(self) -> Any:
        """Return W."""
        parts = (self.weight.data, self.indices, self.indptr)
        return sp.csr_array(parts, shape=(self.out_size, self.in_size))


def identity(size: int) -> OneToOne:
    """Return the projection that passes each spike or value on unchanged."""
    return OneToOne(size, Tensor.floats(1.0))


def _check_window(kind: str, stride: Pair, padding: Pair, spread: Pair) -> None:
    if min(*stride, *spread) < 1 or min(padding) < 0:
        raise SpikecError(
            "SPK0305",
            kind,
            f"stride {stride}, padding {padding} or dilation {spread} is out of range",
            "Use strides and dilations of at least 1 and padding of at least 0",
        )


def _window_counts(size: Shape, kernel: Shape, stride: Pair, padding: Pair, spread: Pair) -> Shape:
    axes = zip(size, kernel, stride, padding, spread, strict=True)
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes)


def _windows(image: Array, kernel: Pair, stride: Pair, padding: Pair, spread: Pair) -> Array:
    """Return the view (batch, channels, m0, m1, k0, k1) of a zero-padded image."""
    padded = np.pad(image, ((0, 0), (0, 0), *((p, p) for p in padding)))
    extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, spread, strict=True))
    view: Array = _view(padded, extent, axis=(2, 3))
    return np.asarray(view[:, :, :: stride[0], :: stride[1], :: spread[0], :: spread[1]])
