"""Generated networks of snnTorch and Norse, and what the framework itself makes of them.

The framework runs in float64: ``double()`` on the module, and for snnTorch ``double_spikes``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import spikec
from spikec.compiler.types import Array

torch: Any = pytest.importorskip("torch")
nn: Any = torch.nn

BATCH = 2


@dataclass
class Seen:
    """What the framework made of an input.

    Attributes:
        outputs: What its forward returned, (steps, batch, ...) each.
        spikes: What each neuron sent, (steps, batch, ...).
        states: By neuron and state, the same.
    """

    outputs: list[Array] = field(default_factory=list[Array])
    spikes: dict[str, Array] = field(default_factory=dict[str, Array])
    states: dict[str, dict[str, Array]] = field(default_factory=dict[str, dict[str, Array]])


def numpy(tensor: Any) -> Array:
    return np.array(tensor.detach().double().numpy())


class Watch:
    """Keeps what neurons return, step by step, by forward hooks."""

    def __init__(self, net: Any, states: Any) -> None:
        self.sent: dict[str, list[Array]] = {}
        self.held: dict[str, dict[str, list[Array]]] = {}
        self._hooks: list[Any] = []
        self._whole: dict[str, Any] = {}
        for name, module in net.named_modules():
            if states(module, None) is not None:
                name = name or type(module).__name__.lower()
                self.sent[name], self.held[name] = [], {}
                self._whole[name] = module
                self._hooks.append(module.register_forward_hook(self._hook(name, states)))

    def _hook(self, name: str, states: Any) -> Any:
        def hook(module: Any, _: Any, result: Any) -> None:
            self.sent[name].append(numpy(result[0] if isinstance(result, tuple) else result))
            for state, value in states(module, result).items():
                self.held[name].setdefault(state, []).append(numpy(value))

        return hook

    def seen(self, over_time: Any) -> Seen:
        """Return what was kept; a call of what runs ``over_time`` is all steps at once."""
        for hook in self._hooks:
            hook.remove()
        join = {n: np.concatenate if over_time(m) else np.stack for n, m in self._whole.items()}
        states = {n: {s: join[n](v) for s, v in held.items()} for n, held in self.held.items()}
        return Seen([], {n: join[n](v) for n, v in self.sent.items()}, states)


def compare(
    graph: spikec.Graph,
    inputs: Mapping[str, Array],
    seen: Seen,
    names: Mapping[str, str],
    backend: str = "cpu",
) -> tuple[int, float]:
    """Compare a graph with the framework; return differing spikes, and the largest difference.

    Args:
        graph: As loaded.
        inputs: By input, (steps, batch, ...).
        seen: What the framework made of them.
        names: The states of each model by the framework's names.
        backend: Engine.
    """
    program = spikec.compile(graph)
    data = {name: np.moveaxis(a, 0, 1) for name, a in inputs.items()}
    trace = spikec.simulate(program, data, ("spikes", "state"), backend)
    wrong, largest = 0, 0.0
    for name, sent in seen.spikes.items():
        mine = np.moveaxis(trace.spikes[name], 1, 0)
        assert mine.shape == sent.shape, name
        if mine.dtype == np.bool_:
            wrong += int(np.count_nonzero(mine != (sent != 0)))
        else:
            largest = max(largest, float(np.abs(mine - sent).max()))
        for state, value in seen.states[name].items():
            held = np.moveaxis(trace.state[name][names[state]], 1, 0)
            assert held.shape == value.shape, (name, state)
            largest = max(largest, float(np.abs(held - value).max()))
    # A single step returns its states too, which are further outputs where they are spikes.
    assert len(trace.outputs) >= len(seen.outputs) > 0
    for mine, value in zip(trace.outputs.values(), seen.outputs, strict=False):
        gap = np.abs(np.moveaxis(mine, 1, 0).astype(np.float64) - value).max()
        largest = max(largest, float(gap))
    return wrong, largest
