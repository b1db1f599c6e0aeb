"""Alpha-function neuron (snnTorch Alpha): the membrane is the difference of two decaying currents.

e <- excitatory_decay e + i;  h <- inhibitory_decay h - i;  v <- ratio (e + h); spike if v > th.
The spikes of the old v are reset at the end of the update: zero clears all three states; subtract
takes the threshold from e, clears h, and adds the old h to v (snntorch/_neurons/alpha.py).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np

from spikec.compiler.equation import Casts, Emission, Neuron, Parameter, Step, Wires, parameter
from spikec.compiler.expr import gt, where
from spikec.compiler.neurons.firing import leak_bound
from spikec.compiler.types import Array


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class AlphaLIF(Neuron):
    """Membrane that rises and falls after every spike that arrives.

    Attributes:
        excitatory_decay: Factor of the slower current per step.
        inhibitory_decay: Factor of the faster current per step.
        ratio: Factor of the sum of both in the membrane.
        threshold: Membrane value above which it spikes.
        v_init: Initial membrane.
        e_init: Initial slower current.
        h_init: Initial faster current.
        reset: zero, subtract or none.
    """

    kind: ClassVar[str] = "alpha_lif"
    states: ClassVar[tuple[str, ...]] = ("e", "h", "v")
    sites: ClassVar[tuple[str, ...]] = ("e", "h", "v", "excitatory_leak", "inhibitory_leak")
    excitatory_decay: Parameter = parameter("factor")
    inhibitory_decay: Parameter = parameter("factor")
    ratio: Parameter = parameter("ratio")
    threshold: Parameter = parameter("membrane", 1.0)
    v_init: Parameter = parameter("membrane", 0.0)
    e_init: Parameter = parameter("current", 0.0)
    h_init: Parameter = parameter("current", 0.0)
    reset: Literal["zero", "subtract", "none"] = "zero"

    @property
    def emits(self) -> Emission:
        """One-bit spikes."""
        return "spikes"

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""
        e = q.excitatory_leak(p.excitatory_decay * s.e) + i.input
        h = q.inhibitory_leak(p.inhibitory_decay * s.h) - i.input
        v = p.ratio * (e + h)
        fired = gt(s.v, p.threshold)
        if self.reset == "zero":
            e, h, v = (where(fired, 0, x) for x in (e, h, v))
        elif self.reset == "subtract":
            e, h = e - where(fired, p.threshold, 0), where(fired, 0, h)
            v = v + where(fired, s.h, 0)
        e, h, v = q.e(e), q.h(h), q.v(v)
        return Step(gt(v, p.threshold), e=e, h=h, v=v)

    def fold_gain(self, size: int) -> tuple[Self, Array]:
        """Return the model itself: its input has no gain."""
        return self, np.ones(size)

    def growth(self) -> Array | None:
        """Return the bound of the membrane: ratio times both currents, and the old h."""
        slow, fast = leak_bound(self.excitatory_decay), leak_bound(self.inhibitory_decay)
        if slow is None or fast is None:
            return None
        return np.asarray((np.abs(self.ratio.real()) + 1.0) * (slow + fast))

    def drive(self) -> float:
        """Return what a subtracted threshold adds to a current at most."""
        return float(np.abs(self.threshold.real()).max()) if self.reset == "subtract" else 0.0
