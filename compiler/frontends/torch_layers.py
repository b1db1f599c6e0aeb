"""Layers of torch.nn: what each does to numbers, as synapses."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.torch_library import numbers, several, torch
from spikec.compiler.frontends.torch_trace import (
    Leaf,
    Mapped,
    Recorder,
    Unknown,
    Value,
    reshape,
    tensors,
)
from spikec.compiler.synapses import (
    Conv1d,
    Conv2d,
    Dense,
    OneToOne,
    Pool2d,
    Shape,
    Synapse,
    same_padding,
)
from spikec.compiler.types import Array, Tensor

KEEP = (
    "Identity", "Flatten", "Unflatten", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d",
    "AlphaDropout", "FeatureAlphaDropout",
)  # fmt: skip
LINEAR = ("Linear",)
CONVOLUTIONS = ("Conv1d", "Conv2d")
NORMS = ("BatchNorm1d", "BatchNorm2d")
AVERAGES = ("AvgPool1d", "AvgPool2d", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d")
MAXIMA = ("MaxPool1d", "MaxPool2d")
SUPPORTED = (*LINEAR, *CONVOLUTIONS, *NORMS, *AVERAGES, *MAXIMA, *KEEP)
CONTAINERS = ("Module", "Sequential", "ModuleList", "ModuleDict")


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A layer as it was called.

    Attributes:
        name: Module, for messages and for relays.
        kind: Class name in torch.nn.
        module: The module.
    """

    name: str
    kind: str
    module: Any

    @property
    def identity(self) -> object:
        """What is equal for two calls of one layer: the module, or the options of a pool."""
        pool = self.kind in (*AVERAGES, *MAXIMA)
        return repr(self.module) if pool else id(self.module)

    @property
    def over_time(self) -> bool:
        """Whether it may be applied to all steps at once, with further axes in front."""
        return self.kind == "Linear"

    @property
    def is_or(self) -> bool:
        """Whether it is a maximum, which is an OR of spikes."""
        return self.kind in MAXIMA

    @property
    def is_norm(self) -> bool:
        """Whether it scales and shifts each channel."""
        return self.kind in NORMS

    def adds(self) -> bool:
        """Return whether zero becomes anything else."""
        bias = getattr(self.module, "bias", None)
        return self.is_norm or (bias is not None and bool(numbers(bias).any()))

    def synapse(self, arrives: Shape, leaves: Shape) -> Synapse:
        """Return the linear map; of a maximum, the sum over its windows.

        Args:
            arrives: Shape of one sample of its input.
            leaves: Shape of one sample of its output.

        Raises:
            SpikecError: SPK1306 to SPK1308.
        """
        made = _BUILD[self.kind](self, arrives, leaves)
        if made.out_size != prod(leaves):
            raise SpikecError(
                "SPK1306",
                self.name,
                f"this {self.kind} makes {leaves} of {arrives}, which its options as they are "
                f"understood here do not ({made.out_shape})",
                "Use ceil_mode=False",
            )
        return made

    def affine(self) -> tuple[Array, Array]:
        """Return factor and shift per channel of a norm in evaluation mode.

        Raises:
            SpikecError: SPK1309 when it keeps no statistics.
        """
        m = self.module
        if m.running_mean is None or m.running_var is None:
            raise SpikecError(
                "SPK1309",
                self.name,
                f"this {self.kind} keeps no running statistics, so it depends on the batch",
                "Train it with track_running_stats=True",
            )
        one = np.ones(int(m.num_features))
        weight = one if m.weight is None else numbers(m.weight)
        bias = 0.0 * one if m.bias is None else numbers(m.bias)
        factor = weight / np.sqrt(numbers(m.running_var) + m.eps)
        return factor, bias - numbers(m.running_mean) * factor

    def refuse(self, option: str) -> SpikecError:
        """Return the error for an option that has no equivalent."""
        return SpikecError(
            "SPK1307", self.name, f"{self.kind} with {option} is not supported", "Change the option"
        )


def _linear(layer: Layer, arrives: Shape, leaves: Shape) -> Synapse:
    if len(arrives) != 1:
        raise SpikecError(
            "SPK1308",
            layer.name,
            f"this Linear is applied to {arrives} for each sample, not to one axis",
            "Flatten its input",
        )
    return Dense(_tensor(layer.module.weight), _bias(layer.module))


def _convolution(layer: Layer, arrives: Shape, leaves: Shape) -> Synapse:
    m = layer.module
    axes = len(arrives) - 1
    if axes != len(m.kernel_size) or axes < 1:
        raise layer.refuse(f"an input of shape {arrives}, without channels")
    if m.padding_mode != "zeros":
        raise layer.refuse(f"padding_mode='{m.padding_mode}'")
    zeros, extra = _padding(m, arrives[1:])
    weight, bias = _tensor(m.weight), _bias(m)
    stride, dilation = tuple(m.stride), tuple(m.dilation)
    if axes == 1:
        return Conv1d(
            (arrives[0], arrives[1]), weight, bias,
            stride[0], zeros[0], dilation[0], m.groups, extra[0],
        )  # fmt: skip
    return Conv2d(
        (arrives[0], arrives[1], arrives[2]), weight, bias,
        (stride[0], stride[1]), (zeros[0], zeros[1]), (dilation[0], dilation[1]), m.groups,
        (extra[0], extra[1]),
    )  # fmt: skip


def _padding(m: Any, size: Shape) -> tuple[Shape, Shape]:
    """Return zeros on both sides and further zeros behind, per axis."""
    if m.padding == "valid":
        return (0,) * len(size), (0,) * len(size)
    if m.padding == "same":
        pairs = [
            same_padding(n, k, s, d)
            for n, k, s, d in zip(size, m.kernel_size, m.stride, m.dilation, strict=True)
        ]
        return tuple(p for p, _ in pairs), tuple(e for _, e in pairs)
    return tuple(m.padding), (0,) * len(size)


def _pool(layer: Layer, arrives: Shape, leaves: Shape) -> Synapse:
    m, axes = layer.module, len(arrives) - 1
    if axes != (1 if layer.kind.endswith("1d") else 2):
        raise layer.refuse(f"an input of shape {arrives}, without channels")
    if layer.kind.startswith("Adaptive"):
        if any(n % k for n, k in zip(arrives[1:], leaves[1:], strict=True)):
            raise layer.refuse(f"windows that overlap ({arrives} to {leaves})")
        kernel = stride = tuple(n // k for n, k in zip(arrives[1:], leaves[1:], strict=True))
        zeros: Shape = (0,) * axes
    else:
        kernel, zeros = _each(m.kernel_size, axes), _each(m.padding, axes)
        stride = _each(m.kernel_size if m.stride is None else m.stride, axes)
    weight = 1.0 if layer.is_or else 1.0 / prod(kernel)
    if layer.is_or and set(_each(m.dilation, axes)) != {1}:
        raise layer.refuse(f"dilation={m.dilation}")
    if not layer.is_or and any(zeros) and not m.count_include_pad:
        raise layer.refuse("count_include_pad=False and padding")
    if getattr(m, "divisor_override", None):
        weight = 1.0 / m.divisor_override
    one = (1,) * (2 - axes)
    image = (arrives[0], *one, *arrives[1:])
    pads = (*((0,) * (2 - axes)), *zeros)
    kernel, stride = (*one, *kernel), (*one, *stride)
    return Pool2d(
        (image[0], image[1], image[2]), (kernel[0], kernel[1]), Tensor.floats(weight),
        (stride[0], stride[1]), (pads[0], pads[1]),
    )  # fmt: skip


def _norm(layer: Layer, arrives: Shape, leaves: Shape) -> Synapse:
    factor, shift = layer.affine()
    each = prod(arrives) // len(factor)
    bias = Tensor.floats(np.repeat(shift, each))
    return OneToOne(prod(arrives), Tensor.floats(np.repeat(factor, each)), bias)


_BUILD: dict[str, Callable[[Layer, Shape, Shape], Synapse]] = {
    **dict.fromkeys(LINEAR, _linear),
    **dict.fromkeys(CONVOLUTIONS, _convolution),
    **dict.fromkeys((*AVERAGES, *MAXIMA), _pool),
    **dict.fromkeys(NORMS, _norm),
}


def scale_rows(synapse: Synapse, factor: Array, shift: Array | None) -> Synapse | None:
    """Return ``factor * (W x + b) + shift`` per output channel, or None where no kernel can."""
    channels = len(factor)
    if isinstance(synapse, Dense | Conv1d | Conv2d):
        if synapse.weight.shape[0] != channels:
            return None
        tall = factor.reshape(-1, *(1,) * (len(synapse.weight.shape) - 1))
        weight = Tensor.own(synapse.weight.data * tall)
    elif isinstance(synapse, OneToOne):
        weight = Tensor.floats(synapse.weight.data * np.repeat(factor, synapse.size // channels))
        shift = None if shift is None else np.repeat(shift, synapse.size // channels)
        factor = np.repeat(factor, synapse.size // channels)
    else:
        return None
    bias = None if synapse.bias is None else synapse.bias.data * factor
    if shift is not None:
        bias = shift if bias is None else bias + shift
    return replace(synapse, weight=weight, bias=None if bias is None else Tensor.floats(bias))


def _each(value: Any, axes: int) -> Shape:
    return several(value) or (int(value),) * axes


def _tensor(parameter: Any) -> Tensor:
    return Tensor.own(numbers(parameter))


def _bias(module: Any) -> Tensor | None:
    return None if module.bias is None else _tensor(module.bias)


# ---------------------------------------------------------------- recording


def record_layer(name: str, module: Any, source: Value, shape: Shape) -> Value:
    """Return the value of a layer's output, given that of its input."""
    kind = _kind(module)
    if kind is None:
        return Unknown(shape, f"{name} ({type(module).__name__})")
    if kind in KEEP:
        return reshape(source, shape)
    return Mapped(shape, name, Layer(name, kind, module), source)


def _kind(module: Any) -> str | None:
    """Return the class of torch.nn whose forward a module has, if it is one that is known."""
    nn = torch().nn
    for kind in SUPPORTED:
        known = getattr(nn, kind)
        cls = module.__class__
        if isinstance(module, known) and cls.forward is known.forward:
            return kind
    return None


class Layers:
    """The modules of torch.nn."""

    def owns(self, module: Any) -> bool:
        """Return whether it is a layer of torch.nn, or one with its forward."""
        cls = module.__class__
        own = cls.__module__.startswith("torch.") and cls.__name__ not in CONTAINERS
        return own or _kind(module) is not None

    def nameless(self, module: Any) -> bool:
        """Return whether it holds no numbers, and does the same in training."""
        held = (*module.parameters(), *module.buffers())
        return not held and "Dropout" not in type(module).__name__

    def run(self, recorder: Recorder, leaf: Leaf) -> Any:
        """Call the layer and record its output.

        Raises:
            SpikecError: SPK1310 on a class that is not supported, SPK1311 on hooks.
        """
        name, module = leaf.name, leaf.module
        kind = _kind(module)
        inputs = list(tensors((leaf.args, leaf.keywords)))
        if kind is None or len(inputs) != 1:
            raise SpikecError(
                "SPK1310",
                name,
                f"torch.nn.{type(module).__name__} is not supported",
                f"Use {', '.join(SUPPORTED)}",
            )
        refuse_hooks(name, module)
        source = recorder.value(inputs[0])
        result = leaf.result()
        whole = isinstance(result, torch().Tensor)
        for tensor in tensors(result):
            shape = tuple(tensor.shape)
            value = record_layer(name, module, source, shape) if whole else Unknown(shape, name)
            recorder.keep(tensor, value)
        return result


def refuse_hooks(name: str, module: Any) -> None:
    """Refuse hooks, which may change what a module computes; those that make weights are fine.

    Raises:
        SpikecError: SPK1311.
    """
    before = [
        h
        for h in module._forward_pre_hooks.values()
        if not type(h).__module__.startswith("torch.nn.utils")
    ]
    if before or module._forward_hooks:
        raise SpikecError(
            "SPK1311",
            name,
            "it has forward hooks, which may change what it computes",
            "Remove the hooks",
        )
