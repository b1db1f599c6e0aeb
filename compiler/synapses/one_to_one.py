"""Neuron k to neuron k, and to all but neuron k: no matrix is kept."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.synapses.base import Synapse, check_bias
from spikec.compiler.synapses.sparse import Sparse
from spikec.compiler.types import Array, Tensor
from spikec.compiler.untyped import sparse as sp


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
        _check_weight(self)

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

    def listed(self) -> Sparse | None:
        """Return the diagonal."""
        if self.weight.shape == ():
            return None
        return Sparse(
            self.size, np.arange(self.size + 1), np.arange(self.size), self.weight, self.bias
        )

    def to_sparse(self) -> Any:
        """Return the diagonal."""
        diagonal = np.broadcast_to(self.weight.data, self.size)
        return sp.csr_array(sp.diags_array(diagonal, dtype=diagonal.dtype))


@dataclass(frozen=True, slots=True, eq=False)
class AllButSelf(Synapse):
    """Every neuron to all others of as many, as lateral inhibition: y_k = w_k (sum of x - x_k).

    ``weight`` is one number, or one per target neuron.
    """

    kind: ClassVar[str] = "all_but_self"
    size: int
    weight: Tensor
    bias: Tensor | None = None

    def __post_init__(self) -> None:
        """Check the shapes; errors of ``_check_weight``."""
        _check_weight(self)

    @property
    def in_size(self) -> int:
        """Number of source neurons."""
        return self.size

    @property
    def out_size(self) -> int:
        """Number of target neurons."""
        return self.size

    def apply(self, x: Array) -> Array:
        """Return w times the sum of what the others send."""
        return np.asarray((x.sum(axis=1, keepdims=True) - x) * self.weight.data)


def _check_weight(synapse: OneToOne | AllButSelf) -> None:
    """Check weight and bias.

    Raises:
        SpikecError: SPK0308 on the weight, SPK0301 on the bias.
    """
    if synapse.size < 1 or synapse.weight.shape not in ((), (synapse.size,)):
        raise SpikecError(
            "SPK0308",
            synapse.kind,
            f"weight has shape {synapse.weight.shape} for {synapse.size} neurons",
            "Give one number, or one per neuron",
        )
    check_bias(synapse.kind, synapse.bias, synapse.size)


def identity(size: int) -> OneToOne:
    """Return the projection that passes each spike or value on unchanged."""
    return OneToOne(size, Tensor.floats(1.0))
