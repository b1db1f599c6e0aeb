"""Walks an ONNX graph once, in order, and says of every value what it is.

Constants are folded; everything else becomes a polynomial over atoms (``onnx_values``). The first
axis of every value is the batch, which the result has not; its declared size is only needed to
understand a Reshape.
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, cast

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.onnx_constants import (
    MAX_ELEMENTS,
    axes_of,
    clip_bounds,
    fold,
    refused,
)
from spikec.compiler.frontends.onnx_file import OnnxModel, OnnxNode
from spikec.compiler.frontends.onnx_linear import OPERATORS as LINEAR
from spikec.compiler.frontends.onnx_linear import synapse_of
from spikec.compiler.frontends.onnx_values import (
    Above,
    Atom,
    Compare,
    Entry,
    Mapped,
    Rectified,
    Value,
)
from spikec.compiler.synapses import Shape
from spikec.compiler.types import Array

MAX_NUMBERS = 1 << 28  # kept of all values

Known = Array | Value


class Walk:
    """What every value of a graph is.

    Attributes:
        model: The graph.
        known: By name; what no output needs is left out.
        atoms: All atoms, in the order in which they were made: what one holds stands before it.
        softmax: Names of Softmax nodes, which are passed through.
    """

    def __init__(self, model: OnnxModel) -> None:
        """Walk.

        Raises:
            SpikecError: SPK1420 to SPK1429, or what a synapse refuses.
        """
        self.model = model
        self.known: dict[str, Known] = dict(model.constants)
        self.atoms: list[Atom] = []
        self.softmax: list[str] = []
        self._same: dict[tuple[object, ...], Above] = {}
        self._batch, self._numbers = 1, 0
        for name, shape in model.inputs.items():
            self.known[name] = self._atom(Entry(name, self._entry(name, shape)))
        for node in needed(model):
            self._run(node)

    def output(self, name: str) -> Value:
        """Return an output of the graph.

        Raises:
            SpikecError: SPK1426 when it is a constant.
        """
        value = self.known[name]
        if isinstance(value, Value):
            return value
        raise SpikecError(
            "SPK1426", f"output '{name}'", "it is a constant", "Export an output of the network"
        )

    def _atom(self, atom: Atom) -> Value:
        self.atoms.append(atom)
        return Value.of(atom)

    def _entry(self, name: str, shape: Sequence[int | None]) -> Shape:
        """Return the shape of an input without the batch axis; note the batch."""
        rest = tuple(n for n in shape[1:] if n is not None)
        if len(shape) < 2 or len(rest) < len(shape) - 1 or prod(rest) > MAX_ELEMENTS:
            shown = ", ".join("?" if n is None else str(n) for n in shape)
            raise SpikecError(
                "SPK1423",
                f"input '{name}'",
                f"shape ({shown}) is not a batch of arrays of a known, sane size",
                "Export with an example input that has a batch axis",
            )
        self._batch = shape[0] or self._batch
        return rest

    def _run(self, node: OnnxNode) -> None:
        given = [self.known[name] if name else None for name in node.inputs]
        symbolic = any(isinstance(v, Value) for v in given)
        made: Known | None
        if node.op == "Constant":
            made = constant_value(node)
        elif not symbolic:
            made = fold(node, cast(list[Array | None], given))
        else:
            made = self._symbolic(node, given)
        if made is None:
            supported = sorted({*_RULES, *LINEAR, "Constant"})
            raise SpikecError(
                "SPK1424",
                node.name,
                f"the operator {node.op} is not supported",
                f"Use {', '.join(supported)}",
            )
        self._count(node, made)
        self.known[node.outputs[0]] = made

    def _count(self, node: OnnxNode, made: Known) -> None:
        """Count the numbers that are kept.

        Raises:
            SpikecError: SPK1436 when they are too many.
        """
        parts = made.terms.values() if isinstance(made, Value) else (made,)
        self._numbers += sum(part.size for part in parts)
        if self._numbers > MAX_NUMBERS:
            raise SpikecError(
                "SPK1436",
                node.name,
                f"up to here the network has more than {MAX_NUMBERS} constants and coefficients",
                "Split the model",
            )

    def _symbolic(self, node: OnnxNode, given: list[Known | None]) -> Known | None:
        if node.op in LINEAR:
            return self._linear(node, given)
        rule = _RULES.get(node.op)
        return None if rule is None else rule(self, node, given)

    # ------------------------------------------------------------ rules

    def _linear(self, node: OnnxNode, given: Sequence[Known | None]) -> Value:
        value = self._value(node, given)
        synapse = synapse_of(node, value.shape, _constants(node, given))
        if synapse.out_size > MAX_ELEMENTS:
            raise refused(node, f"{synapse.out_size} outputs are too many", "Split the model")
        atom = Mapped(node.outputs[0], synapse.out_shape, value, synapse)
        if node.op == "MaxPool":
            return self._largest(node, value, atom)
        made = self._atom(atom)
        drop_axes = node.op == "ReduceMean" and node.attributes.get("keepdims", 1) == 0
        return made.reshaped(synapse.out_shape[:1]) if drop_axes else made

    def _largest(self, node: OnnxNode, value: Value, summed: Mapped) -> Value:
        """Return the maximum of spikes: one where any of them is."""
        if not isinstance(value.single(), Above):
            raise refused(
                node,
                "the maximum of what are no spikes has no exact spiking form",
                "Use average pooling and train again",
            )
        return self.above(node, self._atom(summed).plus(_number(summed.shape, -0.5)), "gt")

    def _value(self, node: OnnxNode, given: Sequence[Known | None], k: int = 0) -> Value:
        value = given[k] if len(given) > k else None
        if isinstance(value, Value):
            return value
        raise refused(node, f"its input {k} is a constant", "Export it again")

    def elementwise(self, node: OnnxNode, given: Sequence[Known | None]) -> list[Value]:
        """Return the operands, all of the shape of the one that is no constant.

        Raises:
            SpikecError: SPK1421 when the shapes do not agree.
        """
        shapes = {v.shape for v in given if isinstance(v, Value)}
        if len(shapes) > 1:
            raise refused(
                node,
                f"operands of shapes {' and '.join(str(list(s)) for s in sorted(shapes))}",
                "Give both the same shape",
            )
        (shape,) = shapes
        return [v if isinstance(v, Value) else _number(shape, _like(node, v, shape)) for v in given]

    def above(self, node: OnnxNode, inner: Value, compare: Compare) -> Value:
        """Return where an expression is above zero; the same expression gives the same atom."""
        parts = frozenset((p, v.shape, v.tobytes()) for p, v in inner.terms.items())
        key = (compare, inner.shape, parts)
        if key in self._same:
            return Value.of(self._same[key])
        atom = self._same[key] = Above(node.outputs[0], inner.shape, inner, compare)
        return self._atom(atom)

    def relu(self, node: OnnxNode, given: Sequence[Known | None]) -> Value:
        """Return the rectified input; of Clip only the forms that are a rectifier."""
        value, ceiling = self._value(node, given), np.inf
        if node.op == "Clip":
            bounds = clip_bounds(node, given)
            low, high = (None if b is None else np.asarray(b).reshape(-1) for b in bounds)
            if low is None or low.size != 1 or low[0] != 0 or (high is not None and high.size != 1):
                raise refused(node, "only a Clip from 0 is a rectifier", "Use Relu or ReLU6")
            ceiling = np.inf if high is None else float(high[0])
            if not ceiling > 0:
                raise refused(node, f"its ceiling {ceiling:g} is not above 0", "Use Relu or ReLU6")
        return self._atom(Rectified(node.outputs[0], value.shape, value, ceiling))

    def normalised(self, node: OnnxNode, given: Sequence[Known | None]) -> Value:
        """Return a BatchNormalization of inference: a factor and an offset per channel."""
        value, parts = self._value(node, given), _constants(node, given)
        channels = value.shape[0]
        if len(parts) != 4 or any(p is None or p.shape != (channels,) for p in parts):
            raise refused(node, f"it needs four constants for {channels} channels", "Export again")
        if node.attributes.get("training_mode", 0):
            raise refused(node, "it is in training mode", "Call eval() before the export")
        scale, offset, mean, variance = (np.asarray(p, dtype=np.float64) for p in parts)
        epsilon = cast(float, node.attributes.get("epsilon", 1e-5))
        if not np.all(variance + epsilon > 0):
            raise refused(node, "a variance is not positive", "Repair the model")
        factor = scale / np.sqrt(variance + epsilon)
        spread = (channels, *(1,) * (len(value.shape) - 1))
        wide = np.broadcast_to(factor.reshape(spread), value.shape)
        shift = np.broadcast_to((offset - mean * factor).reshape(spread), value.shape)
        return value.scaled(wide).plus(_number(value.shape, shift))

    def reshape(self, node: OnnxNode, given: Sequence[Known | None]) -> Value:
        """Return the input in another shape, the batch still first.

        Raises:
            SpikecError: SPK1421 when it would not be.
        """
        value = self._value(node, given)
        made = _new_shape(node, given, value.shape, self._batch)
        if made is None or made[0] not in (self._batch, -1) or prod(made[1:]) != value.size:
            raise refused(
                node,
                f"an input of shape {list(value.shape)} becomes {list(made or ())}",
                "Keep the batch axis first and the order of the elements",
            )
        return value.reshaped(made[1:])

    def softmax_passed(self, node: OnnxNode, given: Sequence[Known | None]) -> Value:
        """Return the input of a last Softmax: it does not change which class is the largest.

        Raises:
            SpikecError: SPK1421 when something reads it.
        """
        name = node.outputs[0]
        if name not in self.model.outputs or any(name in n.inputs for n in self.model.nodes):
            raise refused(node, "it is not the last operation", "Use it only at the output")
        self.softmax.append(node.name)
        return self._value(node, given)

    def shape(self, node: OnnxNode, given: Sequence[Known | None]) -> Array:
        """Return the shape, which is a constant."""
        return np.asarray((self._batch, *self._value(node, given).shape), dtype=np.int64)


# ---------------------------------------------------------------- the order of the nodes


def needed(model: OnnxModel) -> list[OnnxNode]:
    """Return the nodes that the outputs need, in order.

    Raises:
        SpikecError: SPK1425 on a name that is given twice, SPK1427 on a value that is made by no
            earlier node: the file is incomplete or has a cycle.
    """
    given = {*model.constants, *model.inputs}
    for node in model.nodes:
        for name in filter(None, node.outputs):
            if name in given:
                raise SpikecError(
                    "SPK1425", node.name, f"the value '{name}' is made twice", "Export it again"
                )
            given.add(name)
    wanted = set(model.outputs)
    kept: list[OnnxNode] = []
    for node in reversed(model.nodes):
        if not wanted.isdisjoint(filter(None, node.outputs)):
            kept.append(node)
            wanted.update(filter(None, node.inputs))
    kept.reverse()
    made = {*model.constants, *model.inputs}
    for node in kept:
        _check_inputs(node.name, [n for n in node.inputs if n], made)
        made.update(node.outputs)
        extra = [n for n in node.outputs[1:] if n in wanted]
        if extra or not node.outputs:
            raise refused(node, f"its further output '{extra[0]}' is used", "Export it again")
    _check_inputs("outputs", model.outputs, made)
    return kept


def _check_inputs(where: str, names: Sequence[str], made: set[str]) -> None:
    for name in names:
        if name not in made:
            raise SpikecError(
                "SPK1427",
                where,
                f"no earlier node makes the value '{name}', so there is a cycle or a gap",
                "Export it again",
            )


# ---------------------------------------------------------------- pieces


def constant_value(node: OnnxNode) -> Array:
    """Return the value of a Constant."""
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        if name in node.attributes:
            value = np.asarray(node.attributes[name])
            return value.astype("f4") if "float" in name else value
    raise refused(node, "a constant of a kind that is not supported", "Export it again")


def _constants(node: OnnxNode, given: Sequence[Known | None]) -> list[Array | None]:
    """Return the further inputs of a node, which must be constants."""
    rest: list[Array | None] = []
    for k, value in enumerate(given[1:], 1):
        if isinstance(value, Value):
            raise refused(node, f"its input {k} is no constant", "Export it with fixed weights")
        rest.append(value)
    return rest


def _number(shape: Shape, number: Array | float) -> Value:
    value = np.asarray(number, dtype=np.float64)
    return Value(shape, {(): value} if value.any() else {})


def _like(node: OnnxNode, constant: Array | None, shape: Shape) -> Array:
    """Return a constant as a number, or as one per element of ``shape``."""
    if constant is None:
        raise refused(node, "an operand is left out", "Export it again")
    values = np.asarray(constant, dtype=np.float64)
    if values.ndim > len(shape):
        rows = values.reshape(-1, *values.shape[values.ndim - len(shape) :])
        if values.size and bool(np.all(rows == rows[:1])):
            values = rows[0]
    if values.size == 1:
        return values.reshape(())
    if values.ndim > len(shape) or np.broadcast_shapes(shape, values.shape[-len(shape) :]) != shape:
        raise refused(
            node,
            f"a constant of shape {list(constant.shape)} with a value of shape {list(shape)}",
            "Give both the same shape",
        )
    return np.asarray(np.broadcast_to(values, shape))


def _new_shape(
    node: OnnxNode, given: Sequence[Known | None], shape: Shape, batch: int
) -> Shape | None:
    """Return the shape with batch axis that a Flatten, Reshape, Squeeze or Unsqueeze gives."""
    full = (batch, *shape)
    rest = _constants(node, given)
    if node.op == "Flatten":
        axis: Any = node.attributes.get("axis", 1)
        return (batch, prod(shape)) if axis in (1, 1 - len(full)) else None
    if node.op == "Reshape":
        wanted = [int(n) for n in np.asarray(rest[0]).reshape(-1)] if rest else []
        if len(wanted) > len(full) and 0 in wanted[len(full) :]:
            return None
        sizes = [full[k] if n == 0 else n for k, n in enumerate(wanted)]
        if sizes.count(-1) == 1:
            others = -prod(sizes)
            sizes[sizes.index(-1)] = prod(full) // others if others > 0 else -1
        return tuple(sizes) or None
    axes = axes_of(node, [None, *rest])
    if node.op == "Squeeze":
        ones = axes or tuple(k for k, n in enumerate(full) if n == 1 and k)
        gone = {k % len(full) for k in ones}
        return tuple(n for k, n in enumerate(full) if k not in gone)
    rank = len(full) + len(axes or ())
    new = {k % rank for k in axes or ()}
    sizes_left = iter(full)
    return tuple(1 if k in new else next(sizes_left, 1) for k in range(rank))


Rule = Callable[[Walk, OnnxNode, Sequence[Known | None]], Known]


def _same(walk: Walk, node: OnnxNode, given: Sequence[Known | None]) -> Known:
    value = given[0]
    assert value is not None
    return value


def _cast(walk: Walk, node: OnnxNode, given: Sequence[Known | None]) -> Known:
    value = given[0]
    real = node.attributes.get("to") in (1, 11)
    if not isinstance(value, Value) or not (real or isinstance(value.single(), Above)):
        raise refused(node, "only spikes may be cast to other than floats", "Use float32")
    return value


def _add(walk: Walk, node: OnnxNode, given: Sequence[Known | None]) -> Known:
    a, b = walk.elementwise(node, given)
    return a.plus(b)


def _sub(walk: Walk, node: OnnxNode, given: Sequence[Known | None]) -> Known:
    a, b = walk.elementwise(node, given)
    return a.plus(b, -1.0)


def _mul(walk: Walk, node: OnnxNode, given: Sequence[Known | None]) -> Known:
    a, b = walk.elementwise(node, given)
    return a.times(b)


def _div(walk: Walk, node: OnnxNode, given: Sequence[Known | None]) -> Known:
    a, b = walk.elementwise(node, given)
    if b.atoms or not np.all(b.constant != 0):
        raise refused(node, "it divides by what is no constant, or by 0", "Multiply by a constant")
    return a.scaled(np.asarray(1.0 / b.constant))


def _neg(walk: Walk, node: OnnxNode, given: Sequence[Known | None]) -> Known:
    (a,) = walk.elementwise(node, given)
    return a.scaled(np.asarray(-1.0))


def _not(walk: Walk, node: OnnxNode, given: Sequence[Known | None]) -> Known:
    (a,) = walk.elementwise(node, given)
    return _number(a.shape, 1.0).plus(a, -1.0)


def _where(walk: Walk, node: OnnxNode, given: Sequence[Known | None]) -> Known:
    chosen, a, b = walk.elementwise(node, given)
    return b.plus(chosen.times(a.plus(b, -1.0)))


def _compare(compare: Compare, swap: bool) -> Rule:
    def rule(walk: Walk, node: OnnxNode, given: Sequence[Known | None]) -> Known:
        a, b = walk.elementwise(node, given)
        return walk.above(node, b.plus(a, -1.0) if swap else a.plus(b, -1.0), compare)

    return rule


_RULES: Mapping[str, Rule] = {
    "Identity": _same,
    "Dropout": _same,
    "Cast": _cast,
    "Add": _add,
    "Sub": _sub,
    "Mul": _mul,
    "Div": _div,
    "Neg": _neg,
    "Not": _not,
    "Where": _where,
    "Greater": _compare("gt", swap=False),
    "Less": _compare("gt", swap=True),
    "GreaterOrEqual": _compare("ge", swap=False),
    "LessOrEqual": _compare("ge", swap=True),
    "Relu": Walk.relu,
    "Clip": Walk.relu,
    "BatchNormalization": Walk.normalised,
    "Flatten": Walk.reshape,
    "Reshape": Walk.reshape,
    "Squeeze": Walk.reshape,
    "Unsqueeze": Walk.reshape,
    "Shape": Walk.shape,
    "Softmax": Walk.softmax_passed,
    "LogSoftmax": Walk.softmax_passed,
}
