"""Generated snnTorch networks: every neuron class, reset, parameter form and wiring."""

import importlib
import itertools
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import pytest

from spikec.compiler.types import Array
from torch_networks import BATCH, Seen, Watch, nn, numpy, torch
from training.precision import double_spikes

snn: Any = pytest.importorskip("snntorch")
utils: Any = importlib.import_module("snntorch.utils")

STATES: dict[str, tuple[str, ...]] = {
    "Leaky": ("mem",),
    "Synaptic": ("syn", "mem"),
    "Lapicque": ("mem",),
    "Alpha": ("syn_exc", "syn_inh", "mem"),
    "RLeaky": ("mem",),
    "RSynaptic": ("syn", "mem"),
}
NAMES = {"mem": "v", "syn": "u", "syn_exc": "e", "syn_inh": "h"}
FORMS = ("sequential", "hidden", "explicit", "step")
RESETS = ("subtract", "zero", "none")


def states(module: Any, result: Any) -> Mapping[str, Any] | None:
    """Return the states of a neuron after a call; None for anything else."""
    names = STATES.get(type(module).__name__)
    return None if names is None else {n: getattr(module, n) for n in names}


class Draw:
    """Random choices of one network."""

    def __init__(self, seed: int, dtype: Any = torch.float32) -> None:
        self.random = np.random.default_rng(seed)
        self.dtype = dtype

    def pick(self, *options: Any) -> Any:
        return options[int(self.random.integers(len(options)))]

    def value(self, low: float, high: float, shape: tuple[int, ...]) -> Any:
        """Return a number, or one per neuron or per channel."""
        per_channel = (shape[0], *(1,) * (len(shape) - 1))
        form = self.pick((), shape, per_channel)
        drawn = torch.tensor(self.random.uniform(low, high, form), dtype=torch.float32)
        return drawn if form else self.pick(drawn, float(drawn))

    def tensor(self, shape: tuple[int, ...], scale: float) -> Any:
        return torch.tensor(self.random.normal(0.0, scale, shape), dtype=torch.float32)

    def weights(self, module: Any, gain: float) -> Any:
        """Fill a layer so that what it sends is of the size of a threshold."""
        with torch.no_grad():
            for name, p in module.named_parameters():
                fan_in = max(prod(p.shape[1:]), 1)
                p.copy_(
                    self.tensor(tuple(p.shape), gain / fan_in**0.5 if "weight" in name else 0.2)
                )
        return module

    def norm(self, module: Any) -> Any:
        """Fill a batch norm as training would."""
        with torch.no_grad():
            for name in ("weight", "bias", "running_mean", "running_var"):
                held = getattr(module, name)
                low, high = (0.5, 2.0) if name in ("weight", "running_var") else (-0.3, 0.3)
                held.copy_(torch.tensor(self.random.uniform(low, high, tuple(held.shape))))
        return module


def neuron(draw: Draw, kind: str, shape: tuple[int, ...], **options: Any) -> Any:
    """Return a neuron of a class for a layer of a shape."""
    cls = getattr(snn, kind)
    learn = bool(draw.pick(True, False))
    options |= {"threshold": draw.value(0.4, 1.2, shape), "learn_threshold": learn}
    options["reset_mechanism"] = draw.pick(*RESETS)
    beta = draw.value(0.5, 1.05, shape)
    if kind in ("Leaky", "Synaptic", "RLeaky"):
        options["reset_delay"] = draw.pick(True, False)
    if kind == "Leaky" and draw.pick(True, False):
        options["graded_spikes_factor"] = draw.value(0.5, 1.5, shape)
        options["learn_graded_spikes_factor"] = learn
    if kind == "Alpha":
        alpha = draw.value(0.8, 0.95, shape)
        beta = draw.value(0.3, 0.7, shape)
        return cls(alpha=alpha, beta=beta, learn_alpha=False, learn_beta=learn, **options)
    if kind == "Lapicque":
        return _lapicque(draw, shape, options)
    if kind.startswith("R"):
        options |= _recurrence(draw, shape)
    if kind.endswith("Synaptic"):
        options |= {"alpha": draw.value(0.2, 0.9, shape), "learn_alpha": learn}
    made = cls(beta=beta, learn_beta=learn, **options)
    if kind.startswith("R") and options.get("all_to_all", True):
        draw.weights(made.recurrent, 0.6)
    return made


def _lapicque(draw: Draw, shape: tuple[int, ...], options: dict[str, Any]) -> Any:
    form = draw.pick("beta", "rc", "beta_r", "rc_neuron")
    if form == "beta":
        return snn.Lapicque(beta=float(draw.random.uniform(0.5, 0.98)), **options)
    if form == "beta_r":
        return snn.Lapicque(beta=0.9, R=float(draw.random.uniform(0.5, 2.0)), **options)
    r, c = (float(draw.random.uniform(1.0, 3.0)) for _ in range(2))
    if form == "rc_neuron":
        made = snn.Lapicque(R=r, C=c, time_step=draw.pick(1, 0.5), **options)
        made.R = torch.tensor(draw.random.uniform(1.0, 3.0, shape), dtype=torch.float32)
        return made
    return snn.Lapicque(R=r, C=c, time_step=draw.pick(1, 0.5), **options)


def _recurrence(draw: Draw, shape: tuple[int, ...]) -> dict[str, Any]:
    if draw.pick(True, False):
        return {"all_to_all": False, "V": draw.value(-0.8, 0.8, shape)}
    if len(shape) == 1:
        return {"linear_features": shape[0]}
    return {"conv2d_channels": shape[0], "kernel_size": draw.pick(3, (3, 1))}


class Net(nn.Module):  # type: ignore[misc]
    """Layers and neurons in turn, in one of several styles of forward.

    hidden: states inside the neurons, a loop over time. explicit: states handed on, a loop over
    time. step: one step, states handed in and out.
    """

    def __init__(self, layers: list[Any], neurons: list[Any], form: str, extra: Any) -> None:
        nn.Module.__init__(self)
        self.layers, self.neurons = nn.ModuleList(layers), nn.ModuleList(neurons)
        self.back = extra.get("back")
        self.skip = extra.get("skip", False)
        self.form = form

    def one(self, x: Any, held: list[tuple[Any, ...]], before: Any) -> Any:
        """Return what the last neuron sends, all states, and what the first one sends."""
        first = None
        for k, (layer, cell) in enumerate(zip(self.layers, self.neurons, strict=True)):
            current = layer(x)
            if k == 0 and self.back is not None:
                current = current + self.back(before)
            if self.form == "hidden":
                spikes = cell(current)
            else:
                spikes, *rest = cell(current, *held[k])
                recurrent = type(cell).__name__.startswith("R")
                held[k] = (spikes, *rest) if recurrent else tuple(rest)
            first = spikes if k == 0 else first
            x = spikes + x if self.skip and spikes.shape == x.shape else spikes
        return x, first

    def start(self, x: Any) -> tuple[list[tuple[Any, ...]], Any]:
        fresh: list[Any] = [cell.reset_mem() for cell in self.neurons]
        flat: list[Any] = [h if isinstance(h, tuple) else (h,) for h in fresh]
        batch = x.shape[0] if self.form == "step" else x.shape[1]
        back = (
            None if self.back is None else torch.zeros(batch, self.back.in_features, dtype=x.dtype)
        )
        return flat, back

    def forward(self, x: Any, state: Any = None) -> Any:
        if self.form == "step":
            held, before = self.start(x) if state is None else state
            x, before = self.one(x, held, before)
            return x, (held, before)
        held, before = self.start(x)
        sent: list[Any] = []
        for t in range(x.shape[0]):
            y, before = self.one(x[t], held, before)
            sent.append(y)
        return torch.stack(sent)


def dense(draw: Draw, form: str, recurrent: bool) -> tuple[Any, tuple[int, ...]]:
    """Return a network of Linear layers, and the shape of its input."""
    sizes = [int(draw.random.integers(3, 9)) for _ in range(draw.pick(2, 3, 4))]
    skip = bool(draw.pick(True, False)) and form != "sequential"
    if skip:
        sizes = [sizes[0]] * len(sizes)
    layers = [
        draw.weights(nn.Linear(a, b, bias=draw.pick(True, False)), 1.5)
        for a, b in itertools.pairwise(sizes)
    ]
    if draw.pick(True, False):
        layers[0] = nn.Sequential(layers[0], draw.norm(nn.BatchNorm1d(sizes[1])), nn.Dropout(0.3))
    kinds = ("RLeaky", "RSynaptic") if recurrent else ("Leaky", "Synaptic", "Lapicque", "Alpha")
    hidden = form in ("sequential", "hidden")
    neurons = [neuron(draw, draw.pick(*kinds), (n,), init_hidden=hidden) for n in sizes[1:]]
    if form == "sequential":
        parts = [m for pair in zip(layers, neurons, strict=True) for m in pair]
        return nn.Sequential(*parts), (sizes[0],)
    extra: dict[str, Any] = {"skip": skip}
    # One step alone does not say what comes from the step before.
    if recurrent and form != "step" and draw.pick(True, False):
        extra["back"] = draw.weights(nn.Linear(sizes[1], sizes[1]), 0.5)
    return Net(layers, neurons, form, extra), (sizes[0],)


def image(draw: Draw, form: str) -> tuple[Any, tuple[int, ...]]:
    """Return a network of convolutions, and the shape of its input."""
    n = int(draw.random.integers(6, 9))
    shape = (int(draw.pick(1, 2)), n, n)
    conv = draw.weights(
        nn.Conv2d(
            shape[0], 4, draw.pick(3, (3, 2)), stride=draw.pick(1, 2), padding=draw.pick(0, 1),
            dilation=1, groups=draw.pick(1, shape[0]), bias=draw.pick(True, False),
        ),
        1.5,
    )  # fmt: skip
    if draw.pick(True, False):
        conv = nn.Sequential(conv, draw.norm(nn.BatchNorm2d(4)))
    first = tuple(conv.eval()(torch.zeros(1, *shape)).shape[1:])
    conv.train()
    kinds = ("Leaky", "Synaptic", "Lapicque", "Alpha", "RLeaky", "RSynaptic")
    kind = draw.pick(*kinds)
    hidden = form in ("sequential", "hidden")
    cell = neuron(draw, kind, first, init_hidden=hidden)
    graded = bool(np.any(numpy(cell.graded_spikes_factor) != 1))
    pool = draw.pick(nn.AvgPool2d(2), nn.AvgPool2d(2, stride=1, padding=1), nn.MaxPool2d(2))
    if graded and isinstance(pool, nn.MaxPool2d):
        pool = nn.AvgPool2d(2)
    pooled = tuple(pool(torch.zeros(1, *first)).shape[1:])
    line = draw.weights(nn.Linear(prod(pooled), 5), 2.5)
    last = neuron(draw, draw.pick("Leaky", "Synaptic", "Lapicque"), (5,), init_hidden=hidden)
    layers = [conv, nn.Sequential(pool, nn.Flatten(), line)]
    if form == "sequential":
        return nn.Sequential(conv, cell, layers[1], last), shape
    return Net(layers, [cell, last], form, {}), shape


def generate(seed: int, wiring: str) -> tuple[Any, Any, Array]:
    """Return a network, a sample for the frontend, and input (steps, batch, ...)."""
    draw = Draw(seed)
    torch.manual_seed(seed)
    form = draw.pick(*FORMS)
    if wiring == "conv":
        net, shape = image(draw, form)
    else:
        net, shape = dense(draw, form, wiring == "recurrent")
    steps = 100
    if draw.pick(True, False):
        data = (draw.random.random((steps, BATCH, *shape)) < 0.4).astype(np.float64)
    else:
        data = draw.random.normal(0.3, 1.0, (steps, BATCH, *shape)).astype(np.float32)
    over_time = form in ("hidden", "explicit")
    sample = torch.zeros((4, 3, *shape) if over_time else (3, *shape))
    return net, sample, data.astype(np.float64)


def never(module: Any) -> bool:
    """Return whether a call of a neuron is a whole sequence."""
    return False


def run(net: Any, data: Array, dtype: Any) -> Seen:
    """Run the framework itself from fresh states, without changing the network's numbers."""
    net = net.to(dtype)
    net.eval()
    for module in net.modules():
        for state in ("spk", *STATES.get(type(module).__name__, ())):
            if state in module._buffers:
                setattr(module, state, torch.zeros(0, dtype=dtype))
    watch = Watch(net, states)
    x = torch.tensor(data, dtype=dtype)
    with torch.no_grad():
        sent = _forward(net, x)
    seen = watch.seen(never)
    seen.outputs = [numpy(sent)]
    return seen


def _forward(net: Any, x: Any) -> Any:
    if isinstance(net, Net) and net.form != "step":
        return net(x)
    sent: list[Any] = []
    state: Any = None
    for step in x:
        if isinstance(net, Net):
            y, state = net(step, state)
        else:
            y = net(step)
        sent.append(y)
    return torch.stack(sent)


def reference(net: Any, data: Array) -> Seen:
    """Run the framework in float64."""
    with double_spikes():
        return run(net, data, torch.float64)
