"""Threshold (NIR Threshold): spike if i > threshold, or i >= threshold. There is no state."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from spikec.compiler.equation import Casts, Emission, Neuron, Parameter, Step, Wires, parameter
from spikec.compiler.expr import ge, gt
from spikec.compiler.semantics import Compare
from spikec.compiler.types import Array


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Threshold(Neuron):
    """Stateless comparison of the summed input.

    Attributes:
        threshold: Input above (gt) or from (ge) which it spikes.
        compare: gt or ge.
    """

    kind: ClassVar[str] = "threshold"
    states: ClassVar[tuple[str, ...]] = ()
    sites: ClassVar[tuple[str, ...]] = ()
    threshold: Parameter = parameter("membrane", 1.0)
    compare: Compare = "gt"

    @property
    def emits(self) -> Emission:
        """One-bit spikes."""
        return "spikes"

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""
        compare = gt if self.compare == "gt" else ge
        return Step(compare(i.input, p.threshold))

    def fold_gain(self, size: int) -> tuple[Self, Array]:
        """Return the model itself; its gain is 1."""
        return self, np.ones(size)

    def growth(self) -> Array | None:
        """Return 1: what is compared is the input."""
        return np.ones(())
