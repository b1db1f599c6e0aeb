"""Leaky integrate-and-fire: v <- decay v + gain i + offset; spike and reset as in ``firing``.

Continuous (NIR LIF): tau dv/dt = (v_leak - v) + r i; spike when v passes v_threshold; v = v_reset.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from spikec.compiler.equation import Casts, Parameter, Step, Wires, parameter
from spikec.compiler.neurons.firing import ContinuousFiring, Firing, leak_bound
from spikec.compiler.types import Array, Tensor


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LIF(Firing):
    """Leaky membrane.

    Attributes:
        decay: Factor of the old membrane per step.
        gain: Factor of the input.
        offset: Constant drive per step.
    """

    kind: ClassVar[str] = "lif"
    sites: ClassVar[tuple[str, ...]] = ("v", "leak")
    decay: Parameter = parameter("factor")
    gain: Parameter = parameter("gain", 1.0)
    offset: Parameter = parameter("membrane", 0.0)

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""
        out, v = self.advance(
            lambda v: q.leak(p.decay * v) + p.gain * i.input + p.offset, s.v, p, q
        )
        return Step(out, v=v)

    def fold_gain(self, size: int) -> tuple[Self, Array]:
        """Return the model with gain 1, and the gain."""
        return replace(self, gain=Tensor.floats(1.0)), self.broadcast(size)["gain"]

    def growth(self) -> Array | None:
        """Return 1 / (1 - decay)."""
        return leak_bound(self.decay)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ContinuousLIF(ContinuousFiring):
    """NIR LIF.

    Attributes:
        tau: Membrane time constant in seconds.
        v_leak: Resting membrane.
    """

    kind: ClassVar[str] = "continuous_lif"
    tau: Parameter = parameter("s")
    v_leak: Parameter = parameter("V", 0.0)

    def discretize(self, dt: float) -> LIF:
        """Return the per-step model."""
        decay = self.semantics.decay("tau", self.tau.real(), dt)
        values, unit = self.firing(self.r.real() * (1.0 - decay))
        offset = self.v_leak.real() * (1.0 - decay) / unit
        return LIF(decay=Tensor.floats(decay), offset=Tensor.floats(offset), **values)
