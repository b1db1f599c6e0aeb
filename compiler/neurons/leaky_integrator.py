"""Leaky integrator: v <- decay v + gain i + offset; the membrane itself is sent on.

Continuous (NIR LI): tau dv/dt = (v_leak - v) + r i.
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
from spikec.compiler.neurons.firing import leak_bound
from spikec.compiler.semantics import Semantics
from spikec.compiler.types import Array, Tensor


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LeakyIntegrator(Neuron):
    """Leaky membrane without threshold.

    Attributes:
        decay: Factor of the old membrane per step.
        gain: Factor of the input.
        offset: Constant drive per step.
        v_init: Initial membrane.
    """

    kind: ClassVar[str] = "leaky_integrator"
    sites: ClassVar[tuple[str, ...]] = ("v", "leak")
    decay: Parameter = parameter("factor")
    gain: Parameter = parameter("gain", 1.0)
    offset: Parameter = parameter("membrane", 0.0)
    v_init: Parameter = parameter("membrane", 0.0)

    @property
    def emits(self) -> Emission:
        """Values."""
        return "values"

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""
        v = q.v(q.leak(p.decay * s.v) + p.gain * i.input + p.offset)
        return Step(v, v=v)

    def fold_gain(self, size: int) -> tuple[Self, Array]:
        """Return the model with gain 1, and the gain."""
        return replace(self, gain=Tensor.floats(1.0)), self.broadcast(size)["gain"]

    def growth(self) -> Array | None:
        """Return 1 / (1 - decay)."""
        return leak_bound(self.decay)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ContinuousLeakyIntegrator(Dynamics):
    """NIR LI.

    Attributes:
        tau: Time constant in seconds.
        r: Resistance.
        v_leak: Resting membrane.
        v_init: Initial membrane.
        semantics: How to discretise.
    """

    kind: ClassVar[str] = "continuous_leaky_integrator"
    tau: Parameter = parameter("s")
    r: Parameter = parameter("ohm", 1.0)
    v_leak: Parameter = parameter("V", 0.0)
    v_init: Parameter = parameter("V", 0.0)
    semantics: Semantics = Semantics()

    def discretize(self, dt: float) -> LeakyIntegrator:
        """Return the per-step model; there is no threshold that a gain could be moved to."""
        decay = self.semantics.decay("tau", self.tau.real(), dt)
        held = self.semantics.input_gain != "unit"
        return LeakyIntegrator(
            decay=Tensor.floats(decay),
            gain=Tensor.floats(self.r.real() * (1.0 - decay) if held else 1.0),
            offset=Tensor.floats(self.v_leak.real() * (1.0 - decay)),
            v_init=self.v_init,
        )
