"""Integrate-and-fire: v <- v + gain i; spike and reset as in ``firing``.

Continuous (NIR IF): dv/dt = r i; spike when v passes v_threshold; then v = v_reset.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from spikec.compiler.equation import Casts, Parameter, Step, Wires, parameter
from spikec.compiler.neurons.firing import ContinuousFiring, Firing
from spikec.compiler.types import Array, Tensor


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class IntegrateAndFire(Firing):
    """Non-leaky membrane."""

    kind: ClassVar[str] = "integrate_and_fire"
    gain: Parameter = parameter("gain", 1.0)

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""
        out, v = self.advance(lambda v: v + p.gain * i.input, s.v, p, q)
        return Step(out, v=v)

    def fold_gain(self, size: int) -> tuple[Self, Array]:
        """Return the model with gain 1, and the gain."""
        return replace(self, gain=Tensor.floats(1.0)), self.broadcast(size)["gain"]

    def growth(self) -> Array | None:
        """Return None: nothing bounds a membrane that does not leak."""
        return None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ContinuousIntegrateAndFire(ContinuousFiring):
    """NIR IF."""

    kind: ClassVar[str] = "continuous_integrate_and_fire"

    def discretize(self, dt: float) -> IntegrateAndFire:
        """Return the per-step model."""
        values, _ = self.firing(self.r.real() * dt)
        return IntegrateAndFire(**values)

    def clips(self) -> bool:
        """Return whether the membrane is clipped; Sinabs does so for this model only."""
        return self.semantics.lower_clip != "none"
