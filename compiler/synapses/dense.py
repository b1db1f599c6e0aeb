"""Every source to every target."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.synapses.base import Synapse, check_bias, product
from spikec.compiler.synapses.sparse import Sparse
from spikec.compiler.types import Array, Tensor


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
        check_bias("dense", self.bias, self.out_size)

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
        return product(x, self.weight.data.T)

    def listed(self) -> Sparse:
        """Return every pair."""
        out, columns = self.weight.shape
        starts, indices = np.arange(out + 1) * columns, np.tile(np.arange(columns), out)
        weight = replace(self.weight, data=self.weight.data.reshape(-1))
        return Sparse(columns, starts, indices, weight, self.bias)
