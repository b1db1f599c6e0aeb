"""Linear maps as NIR nodes: matrices, scales, convolutions, pools."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from spikec.compiler.frontends.nir_losses import not_in_nir
from spikec.compiler.synapses import Conv1d, Conv2d, OneToOne, Pool2d, Shape, Synapse, same_padding
from spikec.compiler.types import Array, Tensor

Image = Conv1d | Conv2d | Pool2d


@dataclass(frozen=True, slots=True)
class Node:
    """A NIR node: its type, and its fields as arrays or text."""

    type: str
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])


def is_plain(synapse: Synapse) -> bool:
    """Return whether a synapse passes everything on unchanged, as an edge does."""
    return is_scale(synapse) and synapse.weight.shape == () and float(synapse.weight.real()) == 1.0


def is_scale(synapse: Synapse) -> bool:
    """Return whether a synapse acts on each element by itself, whatever their shape."""
    return isinstance(synapse, OneToOne) and synapse.bias is None


def delivered(synapse: Synapse, shape: Shape) -> Shape:
    """Return the shape of what a map sends on from a signal of ``shape``."""
    return shape if is_scale(synapse) else synapse.out_shape


def matrix(weight: Array, bias: Array | None) -> Node:
    """Return a matrix (out, in), with a bias or without."""
    if bias is None:
        return Node("Linear", {"weight": weight})
    return Node("Affine", {"weight": weight, "bias": bias})


def scale(synapse: OneToOne, shape: Shape) -> Node:
    """Return one factor per element of a signal of ``shape``."""
    factor = np.broadcast_to(synapse.weight.real(), synapse.size)
    return Node("Scale", {"scale": factor.reshape(shape)})


def image_nodes(
    where: str, synapse: Image, bias: Array | None, reads: Collection[str] | None = None
) -> list[Node]:
    """Return a convolution, or a pooling and what weights and biases of its windows do.

    Args:
        where: The projection.
        synapse: Its map.
        bias: One number per output channel, or None.
        reads: Node types that whoever reads it knows, if that is known; an importer that knows a
            SumPool2d takes no padding of it.
    """
    if isinstance(synapse, Pool2d):
        return _pooling(where, synapse, bias, reads)
    return [_convolution(where, synapse, bias)]


def _convolution(where: str, conv: Conv1d | Conv2d, bias: Array | None) -> Node:
    image = conv.plain() if isinstance(conv, Conv1d) else conv
    weight, padding = _padded(where, image, conv.weight.real())
    fields: dict[str, Any] = {"weight": weight, "stride": conv.stride, "dilation": conv.dilation}
    fields |= {"input_shape": conv.in_shape[1:], "groups": conv.groups, "padding": padding}
    fields["bias"] = np.zeros(weight.shape[0]) if bias is None else bias
    if isinstance(conv, Conv1d):
        fields["input_shape"] = conv.in_shape[1]
        fields["padding"] = padding if isinstance(padding, str) else padding[1]
        return Node("Conv1d", fields)
    return Node("Conv2d", fields)


def _padded(where: str, conv: Conv2d, weight: Array) -> tuple[Array, str | tuple[int, ...]]:
    """Return weights and a padding; zeros on one side only are ``same``, or taps of zero.

    Raises:
        SpikecError: SPK1049 when they are neither.
    """
    if not any(conv.extra):
        return weight, conv.padding
    axes = zip(conv.in_shape[1:], conv.weight.shape[2:], conv.stride, conv.dilation, strict=True)
    same = [same_padding(*axis) for axis in axes]
    if same == list(zip(conv.padding, conv.extra, strict=True)):
        return weight, "same"
    if any(e % d for e, d in zip(conv.extra, conv.dilation, strict=True)):
        raise not_in_nir(
            where,
            f"{conv.extra} zeros more behind the image than before it, at dilation "
            f"{conv.dilation}, are no padding of NIR",
            "Pad both sides alike",
        )
    taps = [e // d for e, d in zip(conv.extra, conv.dilation, strict=True)][4 - weight.ndim :]
    wider = np.pad(weight, ((0, 0), (0, 0), *((n, 0) for n in taps)))
    return wider, tuple(p + e for p, e in zip(conv.padding, conv.extra, strict=True))


def _pooling(
    where: str, pool: Pool2d, bias: Array | None, reads: Collection[str] | None
) -> list[Node]:
    """Return a pooling; its other weights, and biases, are a convolution of 1 x 1 behind it.

    For an importer that does not know it, it is one convolution.
    """
    weight, window = float(pool.weight.real()), 1.0 / prod(pool.kernel)
    kinds = {window: "AvgPool2d", 1.0: "SumPool2d"}
    kind = kinds.get(weight, "") if bias is None else ""
    if reads is not None and (kind not in reads or (kind == "SumPool2d" and any(pool.padding))):
        return [_convolution(where, _as_convolution(pool), bias)]
    fields = {"kernel_size": pool.kernel, "stride": pool.stride, "padding": pool.padding}
    if kind:
        return [Node(kind, fields)]
    channels, m0, m1 = pool.out_shape
    each = Tensor.floats(np.full((channels, 1, 1, 1), weight))
    conv = Conv2d((channels, m0, m1), each, groups=channels)
    return [Node("SumPool2d", fields), _convolution(where, conv, bias)]


def _as_convolution(pool: Pool2d) -> Conv2d:
    channels = pool.in_shape[0]
    weight = Tensor.floats(np.full((channels, 1, *pool.kernel), float(pool.weight.real())))
    return Conv2d(pool.in_shape, weight, None, pool.stride, pool.padding, groups=channels)


def shape_is_wrong_in_nir(node: Node) -> bool:
    """Return whether nir 1.0.8 infers a wrong shape for a node."""
    if node.type not in ("Conv1d", "Conv2d"):
        return False
    kernel = node.fields["weight"].shape[2:]
    strided = node.fields["padding"] == "same" and np.max(node.fields["stride"]) > 1
    return node.fields["groups"] != 1 or len(set(kernel)) > 1 or bool(strided)
