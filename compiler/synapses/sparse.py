"""Single synapses, in compressed rows."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.synapses.base import Synapse, check_bias
from spikec.compiler.types import Array, Tensor
from spikec.compiler.untyped import sparse as sp


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
        """Check the structure; keep index arrays read-only, in 32 bits where those are enough.

        Raises:
            SpikecError: SPK0309 when rows, columns and entries disagree, SPK0310 on a column.
        """
        largest = max(self.columns, self.weight.data.size)
        kind = np.int32 if largest <= np.iinfo(np.int32).max else np.int64
        ptr, idx = (_frozen(a, kind) for a in (self.indptr, self.indices))
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
            object.__setattr__(self, name, array)
        check_bias("sparse", self.bias, self.out_size)

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

    def listed(self) -> "Sparse":
        """Return this."""
        return self

    def to_sparse(self) -> Any:
        """Return W."""
        parts = (self.weight.data, self.indices, self.indptr)
        return sp.csr_array(parts, shape=(self.out_size, self.in_size))


def _frozen(given: Array, kind: type[np.int32] | type[np.int64]) -> Array:
    """Return whole numbers read-only, copied unless they are so already."""
    given = np.asarray(given)
    if given.dtype == kind and not given.flags.writeable:
        return given
    info = np.iinfo(kind)
    inside = given.size == 0 or (given.min() >= info.min and given.max() <= info.max)
    frozen = np.array(given, dtype=kind if inside else np.int64)
    frozen.setflags(write=False)
    return frozen
