"""What all synapse kinds share."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array, Tensor
from spikec.compiler.untyped import sparse as sp

if TYPE_CHECKING:
    from spikec.compiler.synapses.sparse import Sparse

Shape = tuple[int, ...]


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
        identity = np.eye(self.in_size, dtype=self.weight.number)
        return sp.csr_array(self.apply(identity).T)

    def plain(self) -> "Synapse":
        """Return the same map as the kind that passes and engines treat it as."""
        return self

    def bias_vector(self) -> Array | None:
        """Return the stored bias, one number per target neuron, or None."""
        if self.bias is None:
            return None
        per_channel = self.out_size // max(self.bias.data.size, 1)
        return np.repeat(self.bias.data.reshape(-1).astype(self.bias.number), per_channel)

    def listed(self) -> "Sparse | None":
        """Return the synapses one by one, in C order of the weight; None where weights are shared.

        Such synapses may have delays of their own.
        """
        return None

    def with_numbers(self, weight: Tensor, bias: Tensor | None) -> "Synapse":
        """Return the same connectivity with other numbers of the same shapes."""
        return replace(self, weight=weight, bias=bias)  # type: ignore[type-var]  # all are dataclasses

    def sum_bounds(self) -> tuple[Array, Array]:
        """Return per target neuron the sums of its negative and of its positive stored weights."""
        ones = np.ones((1, self.in_size), dtype=self.weight.number)
        low, high = (
            replace_data(self, pick(self.weight.data, 0)).apply(ones)[0]
            for pick in (np.minimum, np.maximum)
        )
        return low, high


def replace_data(synapse: Synapse, data: Array) -> Synapse:
    """Return ``synapse`` with raw weights ``data``, whatever their declared range."""
    return synapse.with_numbers(replace(synapse.weight, data=data), synapse.bias)


def product(x: Array, w: Array) -> Array:
    """Return x @ w, exactly for integers: through BLAS where every partial sum fits 53 bits."""
    if x.dtype == np.float64 and w.dtype == np.float64:
        return x @ w
    x, w = x.astype(np.int64), w.astype(np.int64)
    largest = int(np.abs(x).max(initial=0)) * int(np.abs(w).max(initial=0)) * max(x.shape[-1], 1)
    if largest < 1 << 53:
        return (x.astype(np.float64) @ w.astype(np.float64)).astype(np.int64)
    return x @ w


def check_bias(kind: str, bias: Tensor | None, channels: int) -> None:
    """Refuse a bias that is not one per channel.

    Raises:
        SpikecError: SPK0301.
    """
    if bias is not None and bias.shape != (channels,):
        raise SpikecError(
            "SPK0301", kind, f"bias of shape {bias.shape} for {channels} channels", "Give one each"
        )
