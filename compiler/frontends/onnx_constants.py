"""Constant folding: operations on numbers alone, in the types of the graph.

They are carried out in float32 where the graph is float32, as the run time would.
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.onnx_file import OnnxNode
from spikec.compiler.types import Array

MAX_ELEMENTS = 1 << 22  # of one value

_TYPES: Mapping[int, str] = {1: "f4", 6: "i4", 7: "i8", 9: "?", 11: "f8"}


def refused(node: OnnxNode, problem: str, remedy: str) -> SpikecError:
    """Return the error for a use of an operator that is not supported."""
    return SpikecError("SPK1421", f"{node.name} ({node.op})", problem, remedy)


def axes_of(node: OnnxNode, given: Sequence[Array | None]) -> tuple[int, ...] | None:
    """Return the axes, an input in newer operator sets and an attribute in older ones."""
    if len(given) > 1 and given[1] is not None:
        return tuple(int(k) for k in given[1].reshape(-1))
    axes: Any = node.attributes.get("axes")
    return None if axes is None else tuple(axes)


def fold(node: OnnxNode, given: Sequence[Array | None]) -> Array | None:
    """Return what a node makes of constants, or None where the operator is not known.

    Raises:
        SpikecError: SPK1421 when it cannot be carried out, SPK1422 on a result that is too large.
    """
    operation = _OPERATIONS.get(node.op)
    if operation is None:
        return None
    try:
        with np.errstate(all="ignore"):
            _check_size(node, _elements(node, given))
            made = np.asarray(operation(node, given))
    except (ValueError, IndexError, TypeError, AttributeError, OverflowError, KeyError) as error:
        text = f"it cannot be carried out on its constants ({error})"[:200].replace("\n", " ")
        raise refused(node, text.rstrip(". "), "Export it again") from None
    if made.dtype.kind == "f" and not np.isfinite(made).all():
        raise refused(node, "its constants give NaN or infinity", "Repair the model")
    return made


def _elements(node: OnnxNode, given: Sequence[Array | None]) -> int:
    """Return how many elements the result has, before it is made."""
    present = [a for a in given if a is not None]
    if node.op in ("ConstantOfShape", "Expand"):
        wanted = present[-1].reshape(-1)
        return prod(max(int(n), 1) for n in wanted) * (present[0].size if len(present) > 1 else 1)
    if node.op in ("MatMul", "Gemm"):
        rows, columns = (max(a.shape, default=1) for a in present[:2])
        return rows * columns
    if node.op in ("Reshape", "Unsqueeze", "Squeeze", "Transpose", "Gather", "Concat", "Shape"):
        return sum(a.size for a in present)
    return prod(np.broadcast_shapes(*(a.shape for a in present)))


def _check_size(node: OnnxNode, elements: int) -> None:
    if elements > MAX_ELEMENTS:
        raise SpikecError(
            "SPK1422",
            f"{node.name} ({node.op})",
            f"a value of {elements} elements exceeds {MAX_ELEMENTS}",
            "Split the model",
        )


Operation = Callable[[OnnxNode, Sequence[Any]], Any]


def _elementwise(function: Callable[..., Any]) -> Operation:
    return lambda node, given: function(*given)


def _relu(a: Array) -> Array:
    return np.asarray(np.maximum(a, 0))


def _divide(a: Array, b: Array) -> Array:
    return np.asarray(a // b if a.dtype.kind == "i" else a / b)


def clip_bounds(node: OnnxNode, given: Sequence[Any]) -> tuple[Any, Any]:
    """Return the bounds of a Clip, inputs in newer operator sets and attributes in older ones."""
    bounds = [given[k] if len(given) > k else None for k in (1, 2)]
    if len(given) > 1:
        return bounds[0], bounds[1]
    return node.attributes.get("min"), node.attributes.get("max")


def _clip(node: OnnxNode, given: Sequence[Any]) -> Any:
    low, high = clip_bounds(node, given)
    kind: Any = given[0].dtype
    values: Array = np.asarray(given[0])
    made = values if low is None else np.maximum(values, np.asarray(low, kind))
    return np.asarray(made if high is None else np.minimum(made, np.asarray(high, kind)))


def _unsqueeze(node: OnnxNode, given: Sequence[Any]) -> Any:
    return np.expand_dims(given[0], axes_of(node, given) or ())


def _squeeze(node: OnnxNode, given: Sequence[Any]) -> Any:
    return np.squeeze(given[0], axes_of(node, given))


def _reshape(node: OnnxNode, given: Sequence[Any]) -> Any:
    wanted = given[1].reshape(-1)
    sizes = [given[0].shape[k] if n == 0 else int(n) for k, n in enumerate(wanted)]
    return np.reshape(given[0], sizes)


def _gather(node: OnnxNode, given: Sequence[Any]) -> Any:
    return np.take(given[0], given[1], axis=int(node.attributes.get("axis", 0)))  # type: ignore[arg-type]


def _concat(node: OnnxNode, given: Sequence[Any]) -> Any:
    return np.concatenate(list(given), axis=int(node.attributes["axis"]))  # type: ignore[arg-type]


def _constant_of_shape(node: OnnxNode, given: Sequence[Any]) -> Any:
    value: Any = node.attributes.get("value", np.zeros(1, dtype="f4"))
    sizes = [int(n) for n in given[0].reshape(-1)]
    return np.asarray(np.full(sizes, value.reshape(-1)[0]))


def _expand(node: OnnxNode, given: Sequence[Any]) -> Any:
    wanted = tuple(int(n) for n in given[1].reshape(-1))
    return np.broadcast_to(given[0], np.broadcast_shapes(given[0].shape, wanted))


def _matmul(node: OnnxNode, given: Sequence[Any]) -> Any:
    return np.matmul(given[0], given[1])


def _gemm(node: OnnxNode, given: Sequence[Any]) -> Any:
    options: Any = node.attributes
    a = given[0].T if options.get("transA", 0) else given[0]
    b = given[1].T if options.get("transB", 0) else given[1]
    made = options.get("alpha", 1.0) * np.matmul(a, b)
    added = given[2] if len(given) > 2 and given[2] is not None else 0
    return np.asarray(made + options.get("beta", 1.0) * added, dtype=a.dtype)


def _transpose(node: OnnxNode, given: Sequence[Any]) -> Any:
    return np.transpose(given[0], node.attributes.get("perm"))  # type: ignore[arg-type]


def _cast(node: OnnxNode, given: Sequence[Any]) -> Any:
    to: Any = node.attributes["to"]
    return given[0].astype(_TYPES[to])


_OPERATIONS: Mapping[str, Operation] = {
    "Add": _elementwise(np.add),
    "Sub": _elementwise(np.subtract),
    "Mul": _elementwise(np.multiply),
    "Div": _elementwise(_divide),
    "Neg": _elementwise(np.negative),
    "Sqrt": _elementwise(np.sqrt),
    "Exp": _elementwise(np.exp),
    "Reciprocal": _elementwise(np.reciprocal),
    "Pow": _elementwise(np.power),
    "Abs": _elementwise(np.abs),
    "Relu": _elementwise(_relu),
    "Greater": _elementwise(np.greater),
    "GreaterOrEqual": _elementwise(np.greater_equal),
    "Less": _elementwise(np.less),
    "LessOrEqual": _elementwise(np.less_equal),
    "Equal": _elementwise(np.equal),
    "Not": _elementwise(np.logical_not),
    "Where": _elementwise(np.where),
    "Identity": _elementwise(np.asarray),
    "Shape": lambda node, given: np.asarray(given[0].shape, dtype=np.int64),
    "Clip": _clip,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Gather": _gather,
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Transpose": _transpose,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Cast": _cast,
}
