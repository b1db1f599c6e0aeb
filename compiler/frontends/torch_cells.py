"""What a framework's neuron is here: a model, and the maps that its module holds itself."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from spikec.compiler.equation import Neuron
from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.torch_library import per_neuron
from spikec.compiler.frontends.torch_trace import Call, Constant, Given, Library, Sent, Value
from spikec.compiler.synapses import Shape, Synapse
from spikec.compiler.types import Array

Keep = Callable[[Any, Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """A neuron module.

    Attributes:
        model: Its equation.
        states: By the framework's name of a state, the model's; the others cannot be had.
        entry: Its own input weights, or None.
        feedback: From its own output of the step before, or None.
        graded: What its spikes are multiplied by: one number, or one per neuron.
    """

    model: Neuron
    states: Mapping[str, str]
    entry: Synapse | None = None
    feedback: Synapse | None = None
    graded: Array | None = None


class Framework(Library, Protocol):
    """A library of neurons."""

    name: str

    def cell(self, call: Call) -> Cell:
        """Return what a neuron is, given its first call.

        Raises:
            SpikecError: Where it has no equivalent.
        """
        ...

    def fresh(self, modules: Iterable[Any]) -> None:
        """Bring the hidden states of modules to those of a new sequence."""
        ...

    def step(self, module: Any) -> float | None:
        """Return the step in seconds that a neuron assumes, or None."""
        ...

    def watch(self, module: Any, keep: Keep, hand_on: bool) -> None:
        """Tell ``keep`` of every step that a neuron makes; ``unchanged`` takes it off again.

        Args:
            module: The neuron.
            keep: Takes what it sends, and its states by name.
            hand_on: Whether each step begins with the states that the last one left, whatever the
                forward hands in.
        """
        ...


def initial(call: Call, state: str, shape: Shape, default: Any = 0.0) -> Array:
    """Return the value of a state before the first step: one number, or one per neuron."""
    value: Value | None = call.states.get(state)
    where = f"{call.name}.{state}"
    if isinstance(value, Constant):
        return per_neuron(where, value.number, shape)
    if isinstance(value, Given):
        return per_neuron(where, value.tensor, shape)
    assert not isinstance(value, Sent)
    return per_neuron(where, default, shape)


def refuse_start(call: Call, state: str, shape: Shape) -> None:
    """Refuse spikes before the first step, which the IR does not have.

    Raises:
        SpikecError: SPK1324.
    """
    if np.any(initial(call, state, shape)):
        raise SpikecError(
            "SPK1324",
            f"{call.name}.{state}",
            "it begins with spikes that were sent before the first step",
            "Begin with zeros",
        )
