"""Linear ONNX operators as synapses: Gemm, MatMul, Conv, pools."""

from collections.abc import Sequence
from math import prod

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.onnx_constants import axes_of, refused
from spikec.compiler.frontends.onnx_file import OnnxNode
from spikec.compiler.synapses import Conv1d, Conv2d, Dense, Pool2d, Shape, Synapse, same_padding
from spikec.compiler.types import Array, Tensor

OPERATORS = (
    "Gemm",
    "MatMul",
    "Conv",
    "AveragePool",
    "MaxPool",
    "GlobalAveragePool",
    "ReduceMean",
)


def synapse_of(node: OnnxNode, arrives: Shape, constants: Sequence[Array | None]) -> Synapse:
    """Return the synapse of a linear node.

    Args:
        node: The node; of a MaxPool, the sum over its windows is returned.
        arrives: Shape of its first input, without the batch axis.
        constants: Its further inputs.

    Raises:
        SpikecError: SPK1421 on a form that is not supported; errors of the synapse.
    """
    try:
        if node.op in ("Gemm", "MatMul"):
            return _dense(node, arrives, constants)
        if node.op == "Conv":
            return _convolution(node, arrives, constants)
        if node.op in ("AveragePool", "MaxPool"):
            return _pool(node, arrives)
        return _mean(node, arrives, constants)
    except SpikecError as error:
        raise error if error.where.startswith(node.name) else error.at(node.name) from None


def _dense(node: OnnxNode, arrives: Shape, constants: Sequence[Array | None]) -> Dense:
    weight = constants[0] if constants else None
    if weight is None or weight.ndim != 2 or len(arrives) != 1:
        shape = "no matrix" if weight is None else f"weight {list(weight.shape)}"
        raise refused(
            node, f"{shape} for an input of shape {list(arrives)}", "Use Linear after a flatten"
        )
    alpha, beta = (float(_number(node, k, 1.0)) for k in ("alpha", "beta"))
    if _number(node, "transA", 0):
        raise refused(node, "transA is not supported", "Use Linear")
    matrix = alpha * np.asarray(weight if _number(node, "transB", 0) else weight.T, np.float64)
    bias = constants[1] if len(constants) > 1 else None
    if bias is None:
        return Dense(Tensor.floats(matrix))
    rows = np.broadcast_to(beta * np.asarray(bias, np.float64), (1, len(matrix)))[0]
    return Dense(Tensor.floats(matrix), Tensor.floats(rows))


def _number(node: OnnxNode, name: str, default: float) -> float:
    value = node.attributes.get(name, default)
    if not isinstance(value, int | float):
        raise refused(node, f"attribute {name} is no number", "Export it again")
    return value


def _integers(node: OnnxNode, name: str, default: Sequence[int]) -> tuple[int, ...]:
    """Return a list of integers of a given length, each below 2^31."""
    value = node.attributes.get(name, tuple(default))
    found = [v for v in value if isinstance(v, int)] if isinstance(value, tuple) else []
    if len(found) != len(default) or not all(0 <= v < 1 << 31 for v in found):
        raise refused(node, f"attribute {name} is {str(value)[:60]}", "Export it again")
    return tuple(found)


def _padding(
    node: OnnxNode, size: Shape, kernel: Shape, stride: Shape, dilation: Shape
) -> tuple[Shape, Shape]:
    """Return the zeros on both sides of each axis, and further ones behind."""
    auto = node.attributes.get("auto_pad", "NOTSET")
    if auto == "SAME_UPPER":
        axes = zip(size, kernel, stride, dilation, strict=True)
        both, extra = zip(*(same_padding(*axis) for axis in axes), strict=True)
        return both, extra
    if auto not in ("NOTSET", "VALID"):
        raise refused(node, f"auto_pad {auto} is not supported", "Export with explicit pads")
    pads = _integers(node, "pads", (0,) * (2 * len(size)))
    before, behind = pads[: len(size)], pads[len(size) :]
    extra = tuple(b - a for a, b in zip(before, behind, strict=True))
    if min(extra) < 0:
        raise refused(
            node,
            f"pads {list(pads)} put more before the image than behind it",
            "Use the same padding on both sides",
        )
    return before, extra


def _convolution(
    node: OnnxNode, arrives: Shape, constants: Sequence[Array | None]
) -> Conv1d | Conv2d:
    weight = constants[0] if constants else None
    if weight is None or weight.ndim not in (3, 4) or len(arrives) != weight.ndim - 1:
        shape = "no weights" if weight is None else f"weight {list(weight.shape)}"
        raise refused(
            node,
            f"{shape} for an input of shape {list(arrives)}",
            "Convolutions over one or two axes, with constant weights, are supported",
        )
    kernel = weight.shape[2:]
    ones = (1,) * len(kernel)
    if _integers(node, "kernel_shape", kernel) != kernel:
        raise refused(node, f"kernel_shape is not that of the weight {kernel}", "Export it again")
    stride, dilation = _integers(node, "strides", ones), _integers(node, "dilations", ones)
    if min(*stride, *dilation) < 1:
        raise refused(node, "a stride or dilation is 0", "Export it again")
    padding, extra = _padding(node, arrives[1:], kernel, stride, dilation)
    groups = int(_number(node, "group", 1))
    bias = constants[1] if len(constants) > 1 else None
    numbers = Tensor.floats(weight)
    biases = None if bias is None else Tensor.floats(bias)
    if len(kernel) == 1:
        channels, n = arrives
        (s,), (p,), (d,), (e,) = stride, padding, dilation, extra
        return Conv1d((channels, n), numbers, biases, s, p, d, groups, e)
    channels, n0, n1 = arrives
    (s0, s1), (p0, p1), (d0, d1), (e0, e1) = stride, padding, dilation, extra
    image = (channels, n0, n1)
    return Conv2d(image, numbers, biases, (s0, s1), (p0, p1), (d0, d1), groups, (e0, e1))


def _pool(node: OnnxNode, arrives: Shape) -> Pool2d:
    """Return the average over windows, or of a MaxPool the sum."""
    if len(arrives) != 3:
        raise refused(node, f"an input of shape {list(arrives)} is no image", "Pool over two axes")
    kernel, stride = _integers(node, "kernel_shape", (0, 0)), _integers(node, "strides", (1, 1))
    dilation = _integers(node, "dilations", (1, 1))
    if min(kernel) < 1 or min(stride) < 1 or dilation != (1, 1) or _number(node, "ceil_mode", 0):
        raise refused(node, "ceil_mode and dilations are not supported", "Pool without them")
    padding, extra = _padding(node, arrives[1:], kernel, stride, dilation)
    average = node.op == "AveragePool"
    counted = not average or _number(node, "count_include_pad", 0)
    if any(extra) or (any(padding) and not counted):
        raise refused(
            node,
            "padding on one side, or that the average does not count, is not supported",
            "Pool without padding, or with count_include_pad=True",
        )
    (k0, k1), (s0, s1), (p0, p1) = kernel, stride, padding
    weight = Tensor.floats(1.0 / prod(kernel) if average else 1.0)
    return Pool2d((arrives[0], arrives[1], arrives[2]), (k0, k1), weight, (s0, s1), (p0, p1))


def _mean(node: OnnxNode, arrives: Shape, constants: Sequence[Array | None]) -> Pool2d:
    """Return the average over the whole image."""
    if node.op == "ReduceMean":
        axes = axes_of(node, [None, *constants]) or ()
        rank = len(arrives) + 1
        if sorted(k % rank for k in axes) != [2, 3] or len(arrives) != 3:
            raise refused(
                node,
                f"a mean over axes {list(axes)} of an input of shape {list(arrives)}",
                "Average over both axes of an image",
            )
    if len(arrives) != 3:
        raise refused(
            node, f"an input of shape {list(arrives)} has not two axes", "Average over an image"
        )
    channels, n0, n1 = arrives
    return Pool2d((channels, n0, n1), (n0, n1), Tensor.floats(1.0 / (n0 * n1)), (n0, n1))
