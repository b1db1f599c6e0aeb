"""Relay: out = i. A sum without state, where a network adds or pools without a neuron."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from spikec.compiler.equation import Casts, Emission, Neuron, Step, Wires
from spikec.compiler.types import Array


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Relay(Neuron):
    """Stateless sum of the inputs."""

    kind: ClassVar[str] = "relay"
    states: ClassVar[tuple[str, ...]] = ()
    sites: ClassVar[tuple[str, ...]] = ()

    @property
    def emits(self) -> Emission:
        """Values."""
        return "values"

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""
        return Step(i.input)

    def fold_gain(self, size: int) -> tuple[Self, Array]:
        """Return the model itself; its gain is 1."""
        return self, np.ones(size)

    def growth(self) -> Array | None:
        """Return 1: the output is the input."""
        return np.ones(())
