"""Neuron k to neuron k, and to all but neuron k: no matrix is kept."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.synapses.base import Synapse, check_bias
from spikec.compiler.synapses.sparse import Sparse
from spikec.compiler.types import Array, Tensor
from spikec.compiler.untyped import sparse as sp


class Square(Synapse):
    """As many neurons on both sides, one weight for all or one per target neuron."""

    __slots__ = ()
    size: int

    @property
    def in_size(self) -> int:
        """Number of source neurons."""
        return self.size

    @property
    def out_size(self) -> int:
        """Number of target neurons."""
        return self.size

    def _check(self) -> None:
        """Check weight and bias.

        Raises:
            SpikecError: SPK0308 on the weight, SPK0301 on the bias.
        """
        if self.size < 1 or self.weight.shape not in ((), (self.size,)):
            raise SpikecError(
                "SPK0308",
                self.kind,
                f"weight has shape {self.weight.shape} for {self.size} neurons",
                "Give one number, or one per neuron",
            )
        check_bias(self.kind, self.bias, self.size)


@dataclass(frozen=True, slots=True, eq=False)
class OneToOne(Square):
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
        self._check()

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
class AllButSelf(Square):
    """Every neuron to all others of as many, as lateral inhibition: y_k = w_k (sum of x - x_k).

    ``weight`` is one number, or one per target neuron.
    """

    kind: ClassVar[str] = "all_but_self"
    size: int
    weight: Tensor
    bias: Tensor | None = None

    def __post_init__(self) -> None:
        """Check the shapes; errors of ``_check``."""
        self._check()

    def apply(self, x: Array) -> Array:
        """Return w times the sum of what the others send."""
        return np.asarray((x.sum(axis=1, keepdims=True) - x) * self.weight.data)


def identity(size: int) -> OneToOne:
    """Return the projection that passes each spike or value on unchanged."""
    return OneToOne(size, Tensor.floats(1.0))
