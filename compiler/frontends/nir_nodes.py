"""What one NIR node means: the shape it sends, and its synapses, neurons or delay.

Shapes have no batch axis and are worked out from what arrives; a shape that the file states is only
compared, because nir 1.0.8 infers some wrongly (non-square kernels, groups, padding 'same').
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod

import numpy as np

from spikec.compiler.equation import Dynamics, Neuron
from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.frontends.nir_raw import FIELDS, RawNode
from spikec.compiler.neurons.cuba_leaky_integrator import ContinuousCubaLeakyIntegrator
from spikec.compiler.neurons.cuba_lif import ContinuousCubaLIF
from spikec.compiler.neurons.integrate_and_fire import ContinuousIntegrateAndFire
from spikec.compiler.neurons.integrator import ContinuousIntegrator
from spikec.compiler.neurons.leaky_integrator import ContinuousLeakyIntegrator
from spikec.compiler.neurons.lif import ContinuousLIF
from spikec.compiler.neurons.threshold import Threshold
from spikec.compiler.semantics import Semantics
from spikec.compiler.synapses import (
    Conv1d,
    Conv2d,
    Dense,
    OneToOne,
    Pair,
    Pool2d,
    Shape,
    Synapse,
    same_padding,
)
from spikec.compiler.types import Array, Tensor
from spikec.compiler.verify import MOST_ELEMENTS


def _threshold(threshold: Array, semantics: Semantics) -> Threshold:
    """Return the model of a node that has no time in it, and so is per step from the start."""
    return Threshold(threshold=threshold, compare=semantics.compare)


MODELS: Mapping[str, Callable[..., Dynamics | Neuron]] = {
    "IF": ContinuousIntegrateAndFire,
    "LIF": ContinuousLIF,
    "LI": ContinuousLeakyIntegrator,
    "CubaLIF": ContinuousCubaLIF,
    "I": ContinuousIntegrator,
    "CubaLI": ContinuousCubaLeakyIntegrator,
    "Threshold": _threshold,
}


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A node in the terms of the IR; at most one of synapse, neuron and delay is set.

    Attributes:
        arrives: Shape of what comes in.
        shape: Shape of what goes out.
        synapse: Linear map.
        neuron: Model of a population.
        delay: Seconds.
    """

    arrives: Shape
    shape: Shape
    synapse: Synapse | None = None
    neuron: Dynamics | Neuron | None = None
    delay: float = 0.0


def translate(node: RawNode, arrives: Shape, semantics: Semantics, found: list[Finding]) -> Part:
    """Return what ``node`` does to a signal of shape ``arrives``; append findings to ``found``.

    Raises:
        SpikecError: SPK1021 to SPK1034 when its fields do not fit; errors of the synapse kinds.
    """
    if node.type in MODELS:
        part = Part(arrives, arrives, neuron=_neuron(node, arrives, semantics, found))
    elif node.type in _PASSIVE:
        part = _PASSIVE[node.type](node, arrives, found)
    else:
        part = _boundary(node, arrives, found)
    if min(part.shape) < 1 or prod(part.shape) > MOST_ELEMENTS:
        raise SpikecError(
            "SPK1022",
            node.name,
            f"a signal of shape {part.shape} is empty or has more than {MOST_ELEMENTS} elements",
            "Correct the shape",
        )
    return part


def own_shape(node: RawNode) -> Shape:
    """Return the shape that the fields of an input or of neurons have by themselves."""
    if node.type == "Input":
        return node.integers("shape")
    shapes = [node.numbers(name).shape for name in node.fields]
    return max(shapes, key=prod) or (1,)


def _boundary(node: RawNode, arrives: Shape, found: list[Finding]) -> Part:
    """Return an Input, an Output, or either of a nested graph: the signal itself."""
    _compare(node, "shape", arrives, found)
    if prod(node.integers("shape")) != prod(arrives):
        raise SpikecError(
            "SPK1031",
            f"{node.name}.shape",
            f"{node.integers('shape')} is declared but {arrives} arrives",
            "Correct the shape or the layer before it",
        )
    return Part(arrives, arrives)


def _compare(node: RawNode, name: str, arrives: Shape, found: list[Finding]) -> None:
    """Report a shape in the file that is not the one that arrives."""
    if name not in node.fields:
        return
    declared = node.integers(name)
    if declared != arrives:
        text = f"the file says {declared} but {arrives} arrives, which is used"
        found.append(Finding("SPK1063", f"{node.name}.{name}", text))


# ---------------------------------------------------------------- numbers per element


class _Elements:
    """Reads fields with one number per element, and reports how they were made to fit."""

    def __init__(self, node: RawNode, shape: Shape) -> None:
        """Keep both."""
        self.node = node
        self.shape = shape
        self.single: list[str] = []
        self.reshaped: list[str] = []

    def read(self, name: str) -> Array:
        """Return one number (), or one per element (n,).

        Raises:
            SpikecError: SPK1023 when there are neither.
        """
        values, size = self.node.numbers(name), prod(self.shape)
        if values.size not in (1, size):
            raise SpikecError(
                "SPK1023",
                f"{self.node.name}.{name}",
                f"shape {values.shape} does not fit the {size} elements of {self.shape}",
                "Give one number, or one per element",
            )
        if values.size != size:
            self.single.append(name)
        elif size > 1 and values.shape != self.shape:
            self.reshaped.append(name)
        return values.reshape(() if values.size == 1 else -1)

    def report(self, found: list[Finding]) -> None:
        """Append what was broadcast or reshaped."""
        if self.single:
            text = f"one number stands for all {prod(self.shape)} elements"
            found.append(Finding("SPK1062", f"{self.node.name}.{','.join(self.single)}", text))
        if self.reshaped:
            shapes = {self.node.numbers(name).shape for name in self.reshaped}
            text = f"{' and '.join(map(str, sorted(shapes)))} is read as {self.shape} in C order"
            found.append(Finding("SPK1064", f"{self.node.name}.{','.join(self.reshaped)}", text))


def _neuron(
    node: RawNode, shape: Shape, semantics: Semantics, found: list[Finding]
) -> Dynamics | Neuron:
    elements = _Elements(node, shape)
    values = {n: elements.read(n) for n in FIELDS[node.type].all if n in node.fields}
    elements.report(found)
    return MODELS[node.type](**values, semantics=semantics)


def _bias(node: RawNode, channels: int, found: list[Finding]) -> Tensor | None:
    """Return one bias per channel, or None where all are zero and so have no effect."""
    if "bias" not in node.fields:
        return None
    elements = _Elements(node, (channels,))
    values = elements.read("bias")
    if not values.any():
        return None
    elements.report(found)
    return Tensor.floats(np.broadcast_to(values, channels))


# ---------------------------------------------------------------- linear maps, delay, flatten


def _affine(node: RawNode, arrives: Shape, found: list[Finding]) -> Part:
    """Return the map of the last axis.

    Raises:
        SpikecError: SPK1024 to SPK1026 when weight and signal do not fit.
    """
    weight, where = node.numbers("weight"), f"{node.name}.weight"
    if weight.ndim != 2:
        raise SpikecError(
            "SPK1024",
            where,
            f"a weight of shape {weight.shape} is not supported yet",
            "Give (out, in)",
        )
    if weight.shape[1] != arrives[-1]:
        raise SpikecError(
            "SPK1025",
            where,
            f"{weight.shape} takes {weight.shape[1]} numbers on the last axis but {arrives} "
            "arrives",
            "Correct the weight, or flatten all axes before it (Flatten with start_dim 0: NIR "
            "shapes have no batch axis)",
        )
    if prod(arrives[:-1]) != 1:
        raise SpikecError(
            "SPK1026",
            where,
            f"{weight.shape} would act on each of the {prod(arrives[:-1])} rows of {arrives}, "
            "which is not supported yet",
            "Flatten the signal before it",
        )
    bias = _bias(node, weight.shape[0], found)
    return Part(
        arrives, (*arrives[:-1], weight.shape[0]), synapse=Dense(Tensor.floats(weight), bias)
    )


def _scale(node: RawNode, arrives: Shape, found: list[Finding]) -> Part:
    elements = _Elements(node, arrives)
    factor = elements.read("scale")
    elements.report(found)
    return Part(arrives, arrives, synapse=OneToOne(prod(arrives), Tensor.floats(factor)))


def _conv1d(node: RawNode, arrives: Shape, found: list[Finding]) -> Part:
    if len(arrives) != 2:
        raise _misfit(node, "(channels, n)", arrives)
    weight = Tensor.floats(node.numbers("weight"))
    bias = _bias(node, prod(weight.shape[:1]), found)
    _compare(node, "input_shape", arrives[1:], found)
    stride, dilation, groups = (_single(node, n) for n in ("stride", "dilation", "groups"))
    padding = _padding(node, arrives[1:], weight.shape[2:], (stride,), (dilation,), found)
    (before,), (extra,) = padding or ((_single(node, "padding"),), (0,))
    channels, n = arrives
    with _named(node):
        synapse = Conv1d((channels, n), weight, bias, stride, before, dilation, groups, extra)
    return Part(arrives, synapse.out_shape, synapse=synapse)


def _conv2d(node: RawNode, arrives: Shape, found: list[Finding]) -> Part:
    image = _image(node, arrives)
    _compare(node, "input_shape", image[1:], found)
    weight = Tensor.floats(node.numbers("weight"))
    bias = _bias(node, prod(weight.shape[:1]), found)
    groups, stride, dilation = (
        _single(node, "groups"),
        _pair(node, "stride"),
        _pair(node, "dilation"),
    )
    padding = _padding(node, image[1:], weight.shape[2:], stride, dilation, found)
    (p0, p1), (e0, e1) = padding or (_pair(node, "padding"), (0, 0))
    with _named(node):
        synapse = Conv2d(image, weight, bias, stride, (p0, p1), dilation, groups, (e0, e1))
    return Part(arrives, synapse.out_shape, synapse=synapse)


def _padding(
    node: RawNode,
    size: Shape,
    kernel: Shape,
    stride: Shape,
    dilation: Shape,
    found: list[Finding],
) -> tuple[Shape, Shape] | None:
    """Return what a padding in words means: zeros on both sides, and further ones behind.

    Raises:
        SpikecError: SPK1028 on a text that is none.
    """
    text = node.fields["padding"]
    if not isinstance(text, str):
        return None
    zeros = (0,) * len(size)
    if text == "valid" or len(kernel) != len(size) or min(*stride, *dilation) < 1:
        return zeros, zeros  # the synapse says what does not fit
    where = f"{node.name}.padding"
    if text != "same":
        raise SpikecError(
            "SPK1028", where, f"'{text}' is not a padding", "Use same, valid or integers"
        )
    if max(stride) > 1:
        text = f"same with stride {stride} is read as TensorFlow's: ceil(size / stride) outputs"
        found.append(Finding("SPK1029", where, text))
    axes = zip(size, kernel, stride, dilation, strict=True)
    both, extra = zip(*(same_padding(*axis) for axis in axes), strict=True)
    return both, extra


def _pool2d(node: RawNode, arrives: Shape, _found: list[Finding]) -> Part:
    image, kernel = _image(node, arrives), _pair(node, "kernel_size")
    stride, padding = _pair(node, "stride"), _pair(node, "padding")
    factor = 1.0 / max(prod(kernel), 1) if node.type == "AvgPool2d" else 1.0
    with _named(node):
        synapse = Pool2d(image, kernel, Tensor.floats(factor), stride, padding)
    return Part(arrives, synapse.out_shape, synapse=synapse)


def _delay(node: RawNode, arrives: Shape, found: list[Finding]) -> Part:
    """Return the delay that all elements share.

    Raises:
        SpikecError: SPK1033 when they do not share one.
    """
    elements = _Elements(node, arrives)
    seconds = elements.read("delay")
    low, high = float(seconds.min()), float(seconds.max())
    # Written so that NaN fails too.
    if not high - low <= 1e-6 * abs(high):
        raise SpikecError(
            "SPK1033",
            f"{node.name}.delay",
            f"delays from {low:g} to {high:g} s in one node are not supported yet",
            "Give all elements the same delay",
        )
    return Part(arrives, arrives, delay=high)


def _flatten(node: RawNode, arrives: Shape, found: list[Finding]) -> Part:
    """Return the merged axes.

    Raises:
        SpikecError: SPK1030 when there are no such axes.
    """
    _compare(node, "input_type", arrives, found)
    axes = len(arrives)
    start, end = (_single(node, name) for name in ("start_dim", "end_dim"))
    first, last = (k + axes if k < 0 else k for k in (start, end))
    if not 0 <= first <= last < axes:
        raise SpikecError(
            "SPK1030",
            node.name,
            f"start_dim {start} to end_dim {end} are not axes of {arrives}",
            "NIR shapes have no batch axis: start_dim 0 flattens all",
        )
    merged = prod(arrives[first : last + 1])
    return Part(arrives, (*arrives[:first], merged, *arrives[last + 1 :]))


@contextmanager
def _named(node: RawNode) -> Generator[None]:
    """Put the node's name in front of what a synapse kind refuses."""
    try:
        yield
    except SpikecError as error:
        raise error.at(node.name) from None


def _image(node: RawNode, arrives: Shape) -> tuple[int, int, int]:
    if len(arrives) != 3:
        raise _misfit(node, "(channels, n0, n1)", arrives)
    return arrives[0], arrives[1], arrives[2]


def _misfit(node: RawNode, wanted: str, arrives: Shape) -> SpikecError:
    return SpikecError(
        "SPK1027",
        node.name,
        f"{node.type} takes {wanted} but {arrives} arrives",
        "Correct the shape of what is before it",
    )


def _pair(node: RawNode, name: str) -> Pair:
    values = node.integers(name)
    if len(values) not in (1, 2):
        raise SpikecError(
            "SPK1021", f"{node.name}.{name}", f"{values} is not a pair", "Give one or two integers"
        )
    return values[0], values[-1]


def _single(node: RawNode, name: str) -> int:
    values = node.integers(name)
    if len(values) != 1:
        raise SpikecError(
            "SPK1034", f"{node.name}.{name}", f"{values} is not one number", "Give one integer"
        )
    return values[0]


_PASSIVE: Mapping[str, Callable[[RawNode, Shape, list[Finding]], Part]] = {
    "Affine": _affine,
    "Linear": _affine,
    "Scale": _scale,
    "Conv1d": _conv1d,
    "Conv2d": _conv2d,
    "SumPool2d": _pool2d,
    "AvgPool2d": _pool2d,
    "Flatten": _flatten,
    "Delay": _delay,
}
LINEAR = frozenset({"Affine", "Linear", "Scale", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d"})
