"""Adaptive LIF of long short-term memory spiking networks, in the order of Norse's LSNN.

x = v + rate ((leak - v) + u);  b = b + adaptation_rate (threshold - b);  spike if x > b;
v <- spike ? reset_value : x;  u <- (u - synapse_rate u) + i;  b <- b + (spike ? beta : 0).
So an input acts on the membrane one step later (norse/torch/functional/lsnn.py, lsnn_step).
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from spikec.compiler.equation import Casts, Emission, Neuron, Parameter, Step, Wires, parameter
from spikec.compiler.expr import gt, where
from spikec.compiler.types import Array


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LSNN(Neuron):
    """Current, leaky membrane and a threshold that decays back.

    Attributes:
        rate: dt / tau of the membrane.
        synapse_rate: dt / tau of the current.
        adaptation_rate: dt / tau of the threshold.
        leak: Resting membrane.
        threshold: What the moving threshold returns to.
        reset_value: Membrane after a spike.
        beta: What a spike adds to the threshold.
        v_init: Initial membrane.
        u_init: Initial current.
        b_init: Initial moving threshold.
    """

    kind: ClassVar[str] = "lsnn"
    states: ClassVar[tuple[str, ...]] = ("v", "u", "b")
    sites: ClassVar[tuple[str, ...]] = ("v", "u", "b")
    rate: Parameter = parameter("factor")
    synapse_rate: Parameter = parameter("factor")
    adaptation_rate: Parameter = parameter("factor")
    leak: Parameter = parameter("membrane", 0.0)
    threshold: Parameter = parameter("membrane", 1.0)
    reset_value: Parameter = parameter("membrane", 0.0)
    beta: Parameter = parameter("membrane")
    v_init: Parameter = parameter("membrane", 0.0)
    u_init: Parameter = parameter("current", 0.0)
    b_init: Parameter = parameter("membrane", 1.0)

    @property
    def emits(self) -> Emission:
        """One-bit spikes."""
        return "spikes"

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""
        x = q.v(s.v + p.rate * ((p.leak - s.v) + s.u))
        u = q.u((s.u - p.synapse_rate * s.u) + i.input)
        threshold = q.b(s.b + p.adaptation_rate * (p.threshold - s.b))
        out = gt(x, threshold)
        return Step(
            out,
            v=where(out, p.reset_value, x),
            u=u,
            b=threshold + where(out, p.beta, 0),
        )

    def fold_gain(self, size: int) -> tuple[Self, Array]:
        """Return the model itself: its input has no gain."""
        return self, np.ones(size)

    def growth(self) -> Array | None:
        """Return the slowest return of current and threshold; the membrane stays between them."""
        rates = (self.rate.real(), self.synapse_rate.real(), self.adaptation_rate.real())
        if any(bool(np.any((r <= 0) | (r > 1))) for r in rates):
            return None
        return np.asarray(np.maximum(1.0 / rates[1], 1.0 / rates[2]) + 1.0)

    def drive(self) -> float:
        """Return the largest rest, threshold or rise of it."""
        held = (self.leak, self.threshold, self.beta)
        return max(float(np.abs(t.real()).max()) for t in held)
