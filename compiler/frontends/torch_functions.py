"""Tensor functions between layers: those that add, scale, pick steps or keep numbers in order."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.torch_layers import record_layer
from spikec.compiler.frontends.torch_library import is_tuple, several, torch
from spikec.compiler.frontends.torch_trace import (
    Constant,
    Given,
    Permuted,
    Recorder,
    Scaled,
    Stacked,
    Summed,
    Unknown,
    Value,
    pick,
    reshape,
    tensors,
)
from spikec.compiler.synapses import Shape
from spikec.compiler.types import Array

# With these the forward would take another way on other data.
BRANCHES = frozenset(
    ("__bool__", "__float__", "__int__", "__index__", "__array__", "item", "tolist", "numpy",
     "equal", "allclose", "is_nonzero")
)  # fmt: skip
# These take the shape of a tensor, not its numbers.
FRESH = frozenset(
    ("zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full",
     "new_empty", "new_tensor")
)  # fmt: skip
SAME = frozenset(
    ("contiguous", "clone", "detach", "to", "float", "double", "type", "type_as", "cpu", "cuda",
     "requires_grad_", ".data", "alias", "dropout", "dropout1d", "dropout2d", "dropout3d")
)  # fmt: skip
SHAPES = frozenset(("flatten", "view", "reshape", "squeeze", "view_as", "reshape_as", "unflatten"))

Keywords = Mapping[str, Any]


def record(
    recorder: Recorder, function: Callable[..., Any], args: Sequence[Any], keywords: Keywords
) -> Any:
    """Run a tensor function and record what it returns.

    Raises:
        SpikecError: SPK1305 when the forward would branch on a recorded number.
    """
    name = getattr(function, "__name__", "function")
    if name == "__get__":
        name = "." + getattr(getattr(function, "__self__", None), "__name__", "attribute")
    if name in BRANCHES:
        raise SpikecError(
            "SPK1305",
            "forward",
            f"it reads the numbers of a tensor ({name.strip('_')}), so it may do otherwise on "
            "other data",
            "Leave out what depends on data, such as if and print",
        )
    if name == "__setitem__":
        return _assign(recorder, function, args)
    base = name.rstrip("_") if name.endswith("_") and not name.startswith("__") else name
    # In place, the operand holds the result afterwards.
    operands = [recorder.value(t) for t in tensors((args, keywords))] if base != name else []
    before = _Operands(recorder, args, keywords, operands)
    result = function(*args, **keywords)
    if name in FRESH:
        recorder.constant(result)
        return result
    if base != name:
        _forget_views(recorder, result)
    made = list(tensors(result))
    parts = _values(before, base, made)
    for tensor, value in zip(made, parts, strict=True):
        recorder.keep(tensor, value)
    return result


class _Operands:
    """The arguments of a function, as values."""

    def __init__(
        self, recorder: Recorder, args: Sequence[Any], keywords: Keywords, early: list[Value]
    ) -> None:
        self.recorder, self.args, self.keywords = recorder, args, keywords
        pairs = zip(tensors((args, keywords)), early, strict=False)
        self._early = {id(t): v for t, v in pairs}

    def value(self, operand: Any) -> Value:
        """Return a tensor's value as it was before the function ran."""
        if id(operand) in self._early:
            return self._early[id(operand)]
        return self.recorder.value(operand)

    def get(self, position: int, name: str, default: Any = None) -> Any:
        """Return an argument by position or by name."""
        if position < len(self.args):
            return self.args[position]
        return self.keywords.get(name, default)

    def rest(self, name: str) -> tuple[Any, ...]:
        """Return the numbers behind the tensor, given one by one or as one sequence."""
        given = tuple(self.args[1:]) or (self.keywords.get(name, ()),)
        return several(given[0]) or given


def _values(o: _Operands, name: str, made: list[Any]) -> list[Value]:
    """Return the values of the tensors that a function returned."""
    if name in ("unbind", "__iter__") and made:
        source, axis = o.value(o.args[0]), o.get(1, "dim", 0)
        return [pick(source, axis, k) for k in range(len(made))]
    if len(made) == 1:
        return [_value(o, name, made[0])]
    return [Unknown(tuple(t.shape), f"{name}()") for t in made]


def _value(o: _Operands, name: str, result: Any) -> Value:
    shape = tuple(result.shape)
    if name in SAME:
        value = o.value(o.args[0])
        if result.dtype in (torch().float32, torch().float64) and value.shape == shape:
            dropped = name.startswith("dropout") and o.get(2, "training", True)
            return Unknown(shape, "an active dropout") if dropped else value
        return Unknown(shape, f"{name}() to {result.dtype}")
    if name in SHAPES:
        return reshape(o.value(o.args[0]), shape)
    handler = _HANDLERS.get(name)
    made = None if handler is None else handler(o, shape, result)
    what = _WHAT.get(name, f"{name.strip('._')}()")
    return Unknown(shape, what) if made is None else made


# ---------------------------------------------------------------- sums and factors


def summed(shape: Shape, terms: Sequence[tuple[int, Value]]) -> Value:
    """Return a sum without its zeros."""
    kept = [(s, v) for s, v in terms if not (isinstance(v, Constant) and not v.number.any())]
    if not kept:
        return Constant(shape, np.zeros(shape))
    if len(kept) == 1 and kept[0][0] == 1 and kept[0][1].shape == shape:
        return kept[0][1]
    return Summed(shape, tuple(kept))


def _term(o: _Operands, operand: Any) -> Value:
    if isinstance(operand, torch().Tensor):
        return o.value(operand)
    return Constant((), np.asarray(operand, dtype=np.float64))


def _sum(first: int, second: int) -> Callable[..., Value | None]:
    def handle(o: _Operands, shape: Shape, _: Any) -> Value | None:
        if o.keywords.get("alpha", 1) != 1:
            return None
        terms = (_term(o, o.get(0, "input")), _term(o, o.get(1, "other")))
        return summed(shape, ((first, terms[0]), (second, terms[1])))

    return handle


def _negative(o: _Operands, shape: Shape, _: Any) -> Value:
    return summed(shape, ((-1, o.value(o.args[0])),))


def scaled(shape: Shape, factor: Array, source: Value) -> Value:
    """Return a value times constants."""
    if isinstance(source, Constant):
        return Constant(shape, np.broadcast_to(source.number * factor, shape))
    return (
        source if np.all(factor == 1) and source.shape == shape else Scaled(shape, factor, source)
    )


def _product(o: _Operands, shape: Shape, _: Any) -> Value | None:
    a, b = (_term(o, o.get(k, n)) for k, n in enumerate(("input", "other")))
    if isinstance(b, Constant):
        return scaled(shape, b.number, a)
    return scaled(shape, a.number, b) if isinstance(a, Constant) else None


def _quotient(o: _Operands, shape: Shape, _: Any) -> Value | None:
    a, b = (_term(o, o.get(k, n)) for k, n in enumerate(("input", "other")))
    if not isinstance(b, Constant) or o.keywords.get("rounding_mode") or not b.number.all():
        return None
    return scaled(shape, 1.0 / b.number, a)


# ---------------------------------------------------------------- axes


def _unsqueeze(o: _Operands, shape: Shape, _: Any) -> Value:
    value, axis = o.value(o.args[0]), o.get(1, "dim") % len(shape)
    return Stacked(shape, (value,), 0) if axis == 0 else reshape(value, shape)


def _stack(o: _Operands, shape: Shape, _: Any) -> Value:
    axis = o.get(1, "dim", 0) % len(shape)
    return Stacked(shape, tuple(o.value(t) for t in o.get(0, "tensors")), axis)


def _concatenate(o: _Operands, shape: Shape, _: Any) -> Value | None:
    axis = o.get(1, "dim", 0) % len(shape)
    parts: list[Value] = []
    for tensor in o.get(0, "tensors"):
        value = o.value(tensor)
        if not isinstance(value, Stacked) or value.axis != axis:
            return None
        parts += value.parts
    return Stacked(shape, tuple(parts), axis)


def _index(o: _Operands, shape: Shape, _: Any) -> Value | None:
    value, index = o.value(o.args[0]), o.args[1]
    return indexed(value, _parts(index))


def indexed(value: Value, index: tuple[Any, ...]) -> Value | None:
    """Return ``value[index]`` where the index is one number, and whole axes beside it."""
    if any(k is Ellipsis for k in index):
        at = [k is Ellipsis for k in index].index(True)
        whole = (slice(None),) * (len(value.shape) - len(index) + 1)
        index = index[:at] + whole + index[at + 1 :]
    fixed = [a for a, k in enumerate(index) if k != slice(None)]
    if not fixed:
        return value
    if len(fixed) > 1 or isinstance(index[fixed[0]], bool) or not isinstance(index[fixed[0]], int):
        return None
    axis = fixed[0]
    return pick(value, axis, index[axis] % value.shape[axis])


def _parts(index: Any) -> tuple[Any, ...]:
    # A list would be an index of several entries.
    return index if is_tuple(index) else (index,)


def _select(o: _Operands, shape: Shape, _: Any) -> Value:
    value = o.value(o.args[0])
    axis = int(o.get(1, "dim"))
    return pick(value, axis, int(o.get(2, "index")) % value.shape[axis])


def _permute(o: _Operands, shape: Shape, _: Any) -> Value | None:
    value = o.value(o.args[0])
    rank = len(value.shape)
    return permuted(value, tuple(a % rank for a in o.rest("dims")), shape)


def _swap(o: _Operands, shape: Shape, _: Any) -> Value | None:
    value = o.value(o.args[0])
    axes = list(range(len(value.shape)))
    a, b = (k % len(axes) for k in o.args[1:3])
    axes[a], axes[b] = axes[b], axes[a]
    return permuted(value, tuple(axes), shape)


def permuted(value: Value, axes: tuple[int, ...], shape: Shape) -> Value | None:
    """Return a value with its axes in another order, where only time moves."""
    if axes == tuple(range(len(axes))):
        return value
    match value:
        case Given():
            return Permuted(shape, value, axes)
        case Permuted():
            return Permuted(shape, value.source, tuple(value.axes[a] for a in axes))
        case Stacked():
            rest = [a for a in axes if a != value.axis]
            if rest == sorted(rest):
                return Stacked(shape, value.parts, axes.index(value.axis))
        case _:
            pass
    return None


def _over_axis(average: bool) -> Callable[..., Value | None]:
    def handle(o: _Operands, shape: Shape, _: Any) -> Value | None:
        value, axis = o.value(o.args[0]), o.get(1, "dim")
        axes = several(axis)
        axis = axes[0] if axes is not None and len(axes) == 1 else axis
        if not isinstance(value, Stacked) or not isinstance(axis, int) or not shape:
            return None
        if axis % len(value.shape) != value.axis or o.get(2, "keepdim", False):
            return None
        total = summed(shape, tuple((1, part) for part in value.parts))
        return scaled(shape, np.asarray(1.0 / len(value.parts)), total) if average else total

    return handle


# ---------------------------------------------------------------- pools, assignment


def _pool(name: str) -> Callable[..., Value | None]:
    def handle(o: _Operands, shape: Shape, _: Any) -> Value | None:
        options = {k: v for k, v in o.keywords.items() if k not in ("input", "return_indices")}
        layer = getattr(torch().nn, name)(*o.args[1:], **options)
        return record_layer(name, layer, o.value(o.get(0, "input")), shape)

    return handle


def _assign(recorder: Recorder, function: Callable[..., Any], args: Sequence[Any]) -> None:
    """Record ``buffer[step] = value``; any other assignment makes the buffer unknown."""
    buffer, index, source = args
    held = recorder.value(buffer)
    function(*args)
    _forget_views(recorder, buffer)
    value = _assigned(recorder, held, _parts(index), source)
    shape = tuple(buffer.shape)
    recorder.keep(buffer, value or Unknown(shape, "an assignment to part of a tensor"))


def _assigned(
    recorder: Recorder, held: Value, index: tuple[Any, ...], source: Any
) -> Stacked | None:
    fixed = [a for a, k in enumerate(index) if k != slice(None)]
    if len(fixed) != 1 or not isinstance(index[fixed[0]], int):
        return None
    axis, step = fixed[0], index[fixed[0]] % held.shape[fixed[0]]
    shape = held.shape[:axis] + held.shape[axis + 1 :]
    value = recorder.value(source) if isinstance(source, torch().Tensor) else None
    if value is None or value.shape != shape:
        return None
    parts = [pick(held, axis, k) for k in range(held.shape[axis])]
    parts[step] = value
    return Stacked(held.shape, tuple(parts), axis)


def _forget_views(recorder: Recorder, changed: Any) -> None:
    """Make unknown what shares memory with a tensor that was changed in place."""
    memory = changed.untyped_storage().data_ptr()
    for tensor in recorder.held():
        if tensor is not changed and tensor.untyped_storage().data_ptr() == memory:
            recorder.keep(
                tensor, Unknown(tuple(tensor.shape), "a tensor that was changed in place")
            )


_WHAT = {
    "__getitem__": "an index of more than one entry",
    "mul": "a product of two signals",
    "cat": "a concatenation of signals",
}
_HANDLERS: dict[str, Callable[..., Value | None]] = {
    "add": _sum(1, 1),
    "__radd__": _sum(1, 1),
    "sub": _sum(1, -1),
    "subtract": _sum(1, -1),
    "rsub": _sum(-1, 1),
    "__rsub__": _sum(-1, 1),
    "neg": _negative,
    "negative": _negative,
    "mul": _product,
    "multiply": _product,
    "__rmul__": _product,
    "div": _quotient,
    "divide": _quotient,
    "true_divide": _quotient,
    "unsqueeze": _unsqueeze,
    "stack": _stack,
    "cat": _concatenate,
    "concat": _concatenate,
    "concatenate": _concatenate,
    "__getitem__": _index,
    "select": _select,
    "permute": _permute,
    "transpose": _swap,
    "swapaxes": _swap,
    "swapdims": _swap,
    "sum": _over_axis(False),
    "mean": _over_axis(True),
    "max_pool1d": _pool("MaxPool1d"),
    "max_pool2d": _pool("MaxPool2d"),
    "avg_pool1d": _pool("AvgPool1d"),
    "avg_pool2d": _pool("AvgPool2d"),
}
