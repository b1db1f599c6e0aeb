"""Interpret an expression on numpy arrays: the definition of what every op computes.

Floats are IEEE binary64, integers are exact int64 (the constructors of ``expr`` keep every wire
inside 62 bits). Nothing here is fast; the engines are compared with this.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from spikec.compiler.expr import Expr, topological
from spikec.compiler.types import Array, Bool, Float

Operation = Callable[..., Any]


def _count(a: Array, b: Array, limit: int | None) -> Array:
    whole = np.floor(a / b) if a.dtype.kind == "f" else np.floor_divide(a, b)
    counted: Array = np.maximum(whole, 0)
    return counted if limit is None else np.minimum(counted, limit)


def _round(a: Array, value: tuple[int, str]) -> Array:
    """Drop bits by magnitudes, as expr.md section 4 defines it, not as any engine emits it."""
    k, mode = value
    floor, rest = np.divmod(a, 1 << k)
    half = 1 << (k - 1)
    if mode == "floor":
        up = np.zeros(a.shape, dtype=bool)
    elif mode == "to_zero":
        up = (a < 0) & (rest > 0)
    elif mode == "nearest":
        up = rest >= half
    else:
        up = (rest > half) | ((rest == half) & (floor % 2 == 1))
    return np.asarray(floor + up)


def _wrap(a: Array, value: tuple[int, str]) -> Array:
    bits, sign = value
    low = np.mod(a, 1 << bits)
    return np.where((low >= 1 << (bits - 1)) & (sign == "signed"), low - (1 << bits), low)


def _sigmoid(a: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-a)))


def _same(a: Array, *_: object) -> Array:
    return a


def _saturate(a: Array, bounds: tuple[int, int]) -> Array:
    return np.clip(a, bounds[0], bounds[1])


def _lookup(a: Array, table: tuple[int, ...]) -> Array:
    return np.asarray(np.asarray(table, dtype=np.int64)[a])


def _curve(a: Array, name: str) -> Array:
    return np.asarray(_CURVES[name](a))


_CURVES: dict[str, Operation] = {
    "exp": np.exp,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "sqrt": np.sqrt,
    "log": np.log,
}

_OPERATIONS: dict[str, Operation] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "shift": _same,
    "align": np.left_shift,
    "abs": np.abs,
    "min": np.minimum,
    "max": np.maximum,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "not": np.logical_not,
    "and": np.logical_and,
    "or": np.logical_or,
    "where": np.where,
    "round": _round,
    "saturate": _saturate,
    "wrap": _wrap,
    "count": _count,
    "bound": _same,
    "lookup": _lookup,
    "curve": _curve,
}


def _constant(node: Expr) -> Array:
    if isinstance(node.dtype, Float):
        return np.asarray(node.value, dtype=np.float64)
    return np.asarray(node.value, dtype=np.bool_ if isinstance(node.dtype, Bool) else np.int64)


def evaluate(roots: Sequence[Expr], leaves: Mapping[tuple[str, str], Array]) -> list[Array]:
    """Return the value of each root.

    Args:
        roots: The expressions.
        leaves: Arrays by (kind, name), for instance ("state", "v"); they broadcast.
    """
    values: dict[int, Array] = {}
    for node in topological(roots):
        if node.op == "const":
            values[id(node)] = _constant(node)
        elif not node.args:
            values[id(node)] = leaves[node.op, str(node.value)]
        else:
            operands = [values[id(a)] for a in node.args]
            extra = [] if node.value is None and node.op != "count" else [node.value]
            values[id(node)] = _OPERATIONS[node.op](*operands, *extra)
    return [values[id(r)] for r in roots]


def saturations(roots: Sequence[Expr], leaves: Mapping[tuple[str, str], Array]) -> Array:
    """Return, element by element, how many ``saturate`` nodes below ``roots`` acted."""
    nodes = [n for n in topological(roots) if n.op == "saturate"]
    before = evaluate([n.args[0] for n in nodes], leaves)
    after = evaluate(nodes, leaves)
    hits = [np.asarray(b != a, dtype=np.int64) for a, b in zip(after, before, strict=True)]
    return np.sum(np.broadcast_arrays(*hits), axis=0) if hits else np.zeros((), dtype=np.int64)
