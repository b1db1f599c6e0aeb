"""Integrator: v <- v + gain i; the membrane itself is sent on.

Continuous (NIR I): dv/dt = r i.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from spikec.compiler.equation import (
    Casts,
    Dynamics,
    Emission,
    Neuron,
    Parameter,
    Step,
    Wires,
    parameter,
)
from spikec.compiler.semantics import Semantics
from spikec.compiler.types import Array, Tensor


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Integrator(Neuron):
    """Membrane that neither leaks nor spikes.

    Attributes:
        gain: Factor of the input.
        v_init: Initial membrane.
    """

    kind: ClassVar[str] = "integrator"
    gain: Parameter = parameter("gain", 1.0)
    v_init: Parameter = parameter("membrane", 0.0)

    @property
    def emits(self) -> Emission:
        """Values."""
        return "values"

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""
        v = q.v(s.v + p.gain * i.input)
        return Step(v, v=v)

    def fold_gain(self, size: int) -> tuple[Self, Array]:
        """Return the model with gain 1, and the gain."""
        return replace(self, gain=Tensor.floats(1.0)), self.broadcast(size)["gain"]

    def growth(self) -> Array | None:
        """Return None: nothing bounds a membrane that does not leak."""
        return None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ContinuousIntegrator(Dynamics):
    """NIR I.

    Attributes:
        r: Resistance, or gain of the input.
        v_init: Initial membrane.
        semantics: How to discretise.
    """

    kind: ClassVar[str] = "continuous_integrator"
    r: Parameter = parameter("ohm", 1.0)
    v_init: Parameter = parameter("V", 0.0)
    semantics: Semantics = Semantics()

    def discretize(self, dt: float) -> Integrator:
        """Return the per-step model; there is no threshold that a gain could be moved to."""
        held = self.semantics.input_gain != "unit"
        gain = Tensor.floats(self.r.real() * dt if held else 1.0)
        return Integrator(gain=gain, v_init=self.v_init)
