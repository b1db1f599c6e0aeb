"""Generated Norse networks: every neuron, over time and step by step, and several wirings."""

import importlib
import itertools
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import pytest

from snntorch_networks import Draw
from spikec.compiler.frontends.norse import CLASSES
from spikec.compiler.types import Array
from torch_networks import BATCH, Seen, Watch, nn, numpy, torch

norse: Any = pytest.importorskip("norse.torch")
reset: Any = importlib.import_module("norse.torch.functional.reset")
ex: Any = importlib.import_module("norse.torch.module.lif_ex")

NAMES = {"v": "v", "i": "u", "b": "b", "a": "a"}
FORMS = ("sequence", "cells", "loop", "lift")
KINDS = ("IAF", "LIF", "LSNN", "LIFAdEx", "LIFEx")
STEPS = 100


def states(module: Any, result: Any) -> Mapping[str, Any] | None:
    """Return the states of a neuron after a call; None for anything else."""
    own = type(module).__module__.startswith("norse.") and type(module).__name__ in CLASSES
    if not own or result is None:
        return {} if own else None
    return {k: v for k, v in result[1]._asdict().items() if k != "z"}


def over_time(module: Any) -> bool:
    return CLASSES[type(module).__name__].over_time


def parameters(draw: Draw, kind: str, shape: tuple[int, ...]) -> Any:
    """Return the parameters of a neuron; those that Norse copies into a state are scalars."""

    def number(low: float, high: float, each: bool = True) -> Any:
        form = draw.pick((), shape, (shape[0], *(1,) * (len(shape) - 1))) if each else ()
        return torch.tensor(draw.random.uniform(low, high, form), dtype=draw.dtype)

    v_th = number(0.3, 0.9, kind not in ("LSNN",))
    # Norse begins with v_leak in float32 and takes the first difference to it in that type.
    leak, v_reset = number(-0.1, 0.1, False).float().to(draw.dtype), number(-0.2, 0.1)
    memory = number(50.0, 300.0)
    method = draw.pick("super", "heaviside", "tanh", "triangle", "circ", "heavi_erfc")
    own: dict[str, Any] = {"v_th": v_th, "method": method}
    if kind == "IAF":
        return norse.IAFParameters(v_reset=v_reset, **own)
    if kind == "LIFBox":
        method = draw.pick(reset.reset_value, reset.reset_subtract)
        return norse.LIFBoxParameters(
            tau_mem_inv=memory, v_leak=leak, v_reset=v_reset, reset_method=method, **own
        )
    if kind == "LIBox":
        return norse.LIBoxParameters(tau_mem_inv=memory, v_leak=leak)
    own |= {"tau_syn_inv": number(100.0, 600.0), "tau_mem_inv": memory, "v_leak": leak}
    if kind == "LI":
        return norse.LIParameters(own["tau_syn_inv"], memory, leak)
    own["v_reset"] = v_reset
    if kind == "LIF":
        return norse.LIFParameters(**own)
    if kind == "LSNN":
        return norse.LSNNParameters(tau_adapt_inv=number(5.0, 100.0), beta=number(0.05, 0.5), **own)
    own["delta_T"] = number(0.2, 0.6)
    if kind == "LIFEx":
        return ex.LIFExParameters(**own)
    return norse.LIFAdExParameters(
        adaptation_current=number(0.5, 4.0),
        adaptation_spike=number(0.01, 0.2),
        tau_ada_inv=number(2.0, 100.0),
        **own,
    )


def neuron(
    draw: Draw, kind: str, shape: tuple[int, ...], time: bool, dt: float, entry: int | None = None
) -> Any:
    """Return a neuron; with ``entry``, a recurrent one of so many inputs."""
    name = kind + ("" if entry is None else "Recurrent") + ("" if time else "Cell")
    cls = getattr(norse, name, None) or getattr(ex, name)
    p = parameters(draw, kind, shape)
    if entry is None:
        return cls(p=p, dt=dt)
    made = cls(entry, shape[0], p=p, dt=dt, autapses=draw.pick(True, False))
    with torch.no_grad():
        gain = 3.0 if kind != "IAF" else 1.0
        made.input_weights.copy_(draw.tensor((shape[0], entry), gain / entry**0.5))
        keep = made.recurrent_weights != 0
        made.recurrent_weights.copy_(draw.tensor((shape[0],) * 2, 0.8 / shape[0] ** 0.5) * keep)
    return made


class Loop(nn.Module):  # type: ignore[misc]
    """Cells under a loop over time; a Linear from the first one's spikes of the step before."""

    def __init__(self, layers: list[Any], cells: list[Any], back: Any) -> None:
        nn.Module.__init__(self)
        self.layers, self.cells, self.back = nn.ModuleList(layers), nn.ModuleList(cells), back

    def forward(self, x: Any) -> Any:
        held = [None] * len(self.cells)
        before: Any = None
        sent: list[Any] = []
        for now in x:
            for k, (layer, cell) in enumerate(zip(self.layers, self.cells, strict=True)):
                now = layer(now)
                if k == 0 and self.back is not None and before is not None:
                    now = now + self.back(before)
                now, held[k] = cell(now, held[k])
                before = now if k == 0 else before
            sent.append(now)
        return torch.stack(sent)


def chain(draw: Draw, form: str, recurrent: bool) -> tuple[Any, tuple[int, ...]]:
    """Return a network of Linear layers and neurons, and the shape of its input."""
    sizes = [int(draw.random.integers(3, 9)) for _ in range(draw.pick(2, 3, 4))]
    time, dt = form == "sequence", draw.pick(0.001, 0.0005)
    layers: list[Any] = []
    cells: list[Any] = []
    for k, (a, b) in enumerate(itertools.pairwise(sizes)):
        kind = draw.pick(*KINDS, *(() if time else ("LIFBox",)))
        last = k == len(sizes) - 2
        if last and k and draw.pick(True, False):
            kind = draw.pick("LI", *(() if time else ("LIBox",)))
        own = recurrent and kind in ("LIF", "LSNN", "LIFAdEx", "LIFEx")
        gain = 1.5 if kind == "IAF" else 4.0
        layers.append(
            nn.Identity() if own else draw.weights(nn.Linear(a, b, draw.pick(True, False)), gain)
        )
        cells.append(neuron(draw, kind, (b,), time, dt, a if own else None))
    if form == "loop":
        arrives = sizes[0] if isinstance(layers[0], nn.Identity) else sizes[1]
        back = draw.pick(None, draw.weights(nn.Linear(sizes[1], arrives, bias=False), 1.0))
        return Loop(layers, cells, back if recurrent else None), (sizes[0],)
    parts = [m for pair in zip(layers, cells, strict=True) for m in pair]
    if form == "lift":
        if recurrent and sizes[0] == sizes[-1]:
            return norse.Lift(norse.RecurrentSequential(*parts)), (sizes[0],)
        return norse.Lift(norse.SequentialState(*parts)), (sizes[0],)
    return norse.SequentialState(*parts), (sizes[0],)


def image(draw: Draw, form: str) -> tuple[Any, tuple[int, ...]]:
    """Return a network with a convolution, and the shape of its input."""
    n = int(draw.random.integers(6, 9))
    shape = (int(draw.pick(1, 2)), n, n)
    conv = draw.weights(nn.Conv2d(shape[0], 4, 3, stride=draw.pick(1, 2), padding=1), 4.0)
    if draw.pick(True, False):
        conv = nn.Sequential(conv, draw.norm(nn.BatchNorm2d(4)))
    first = tuple(conv.eval()(torch.zeros(1, *shape)).shape[1:])
    time = form == "sequence"
    cell = neuron(draw, draw.pick(*KINDS), first, time, 0.001)
    pool = draw.pick(nn.AvgPool2d(2), nn.MaxPool2d(2))
    size = prod(pool(torch.zeros(1, *first)).shape)
    line = draw.weights(nn.Linear(size, 5), 6.0)
    last = neuron(draw, draw.pick("LIF", "LSNN", "IAF"), (5,), time, 0.001)
    if time:
        parts = (norse.Lift(conv), cell, norse.Lift(pool), nn.Flatten(2), line, last)
        return norse.SequentialState(*parts), shape
    flat = nn.Sequential(pool, nn.Flatten(), line)
    if form == "loop":
        return Loop([conv, flat], [cell, last], None), shape
    net = norse.SequentialState(conv, cell, flat, last)
    return (norse.Lift(net) if form == "lift" else net), shape


def generate(seed: int, wiring: str, dtype: Any = torch.float64) -> tuple[Any, Any, Array]:
    """Return a network, a sample for the frontend, and input (steps, batch, ...).

    Norse keeps its parameters apart from those of torch, so they are made in the type that the
    network is to run in: ``double()`` would not reach them.
    """
    draw = Draw(seed, dtype)
    torch.manual_seed(seed)
    form = draw.pick(*FORMS)
    if wiring == "conv":
        net, shape = image(draw, form)
    else:
        net, shape = chain(draw, form, wiring == "recurrent")
    if draw.pick(True, False):
        data = (draw.random.random((STEPS, BATCH, *shape)) < 0.4).astype(np.float64)
    else:
        data = draw.random.normal(0.3, 1.0, (STEPS, BATCH, *shape)).astype(np.float32)
    sample = torch.zeros((3, *shape) if form == "cells" else (4, 3, *shape))
    return net.to(dtype), sample, data.astype(np.float64)


def run(net: Any, data: Array, dtype: Any) -> Seen:
    """Run the framework itself in one type."""
    net = net.to(dtype).eval()
    for module in net.modules():
        if hasattr(module, "record_states"):
            module.record_states = True
    watch = Watch(net, states)
    x = torch.tensor(data, dtype=dtype)
    with torch.no_grad():
        sent = _forward(net, x)
    seen = watch.seen(over_time)
    seen.outputs = [numpy(sent)]
    return seen


def _forward(net: Any, x: Any) -> Any:
    if isinstance(net, Loop):
        return net(x)
    if isinstance(net, norse.Lift) or any(over_time(m) for m in net.modules() if _neuron(m)):
        return net(x)[0]
    sent: list[Any] = []
    state: Any = None
    for step in x:
        y, state = net(step, state)
        sent.append(y)
    return torch.stack(sent)


def _neuron(module: Any) -> bool:
    return states(module, None) is not None


def reference(net: Any, data: Array) -> Seen:
    """Run the framework in float64."""
    return run(net, data, torch.float64)
