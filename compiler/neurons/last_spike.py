"""Time since the last spike, as a kernel: v <- i > 0 ? peak : decay v; the membrane is sent on.

A leaky integrator adds every spike; this one starts anew with every spike, so that of several only
the last counts, and several that arrive in one step count as one. NALSM's synapses see
exp(-t / tau) / tau, t the steps since the last spike: peak 1 / tau, decay exp(-1 / tau)
(specs/liquid_state_machines.md section 2.2).
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from spikec.compiler.equation import Casts, Emission, Neuron, Parameter, Step, Wires, parameter
from spikec.compiler.expr import gt, where
from spikec.compiler.types import Array


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LastSpike(Neuron):
    """Trace that is set by a spike, not increased.

    Attributes:
        decay: Factor of the old value per step.
        peak: Value in the step of a spike.
        v_init: Initial value.
    """

    kind: ClassVar[str] = "last_spike"
    sites: ClassVar[tuple[str, ...]] = ("v", "leak")
    decay: Parameter = parameter("factor")
    peak: Parameter = parameter("membrane", 1.0)
    v_init: Parameter = parameter("membrane", 0.0)

    @property
    def emits(self) -> Emission:
        """Values."""
        return "values"

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""
        v = q.v(where(gt(i.input, 0), p.peak, q.leak(p.decay * s.v)))
        return Step(v, v=v)

    def fold_gain(self, size: int) -> tuple[Self, Array]:
        """Return the model itself: only the sign of the input counts."""
        return self, np.ones(size)

    def growth(self) -> Array | None:
        """Return 0, as no input adds to the membrane; None where the membrane itself grows."""
        return np.zeros(()) if bool(np.all(np.abs(self.decay.real()) <= 1)) else None
