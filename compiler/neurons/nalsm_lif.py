"""NALSM's leaky integrate-and-fire, whose leak is a shift and which rests after a spike.

fire before:  spike if v >= threshold and r = 0;  y = spike ? 0 : v
              v <- y - y 2^-leak_shift + gain i
fire after:   x = v - v 2^-leak_shift + gain i;  spike if x >= threshold and r = 0
              v <- spike ? 0 : x
both:         r <- spike ? refractory : max(r - 1, 0)

The membrane integrates while r > 0. The authors' step fires first, and what fires acts on every
membrane in the same step, in loops too. A loop needs a delay of a step here: fire after, with one
step more on every projection and on the input, gives their spikes in their steps; the membrane that
is stored is then the one after the reset. Source: combra-lab/NALSM, NALSM_LIF_v1.py
(specs/liquid_state_machines.md section 2.2).

Its synapses have a kernel that does not accumulate. It depends on the source alone, so it is a
population between: source -> ``last_spike`` -> target.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from spikec.compiler.equation import Casts, Emission, Neuron, Parameter, Step, Wires, parameter
from spikec.compiler.errors import SpikecError
from spikec.compiler.expr import Expr, and_, eq, ge, maximum, shift, where
from spikec.compiler.semantics import Fire
from spikec.compiler.types import Array, Tensor

MOST_SHIFT = 24


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class NalsmLIF(Neuron):
    """Leaky membrane with a shift for its leak and a refractory counter.

    Attributes:
        threshold: Membrane from which it spikes.
        gain: Factor of the input.
        refractory: Steps without a spike after one.
        v_init: Initial membrane.
        r_init: Initial counter.
        leak_shift: The leak is the membrane over 2^leak_shift; tau is 2^leak_shift steps.
        fire: Test the threshold before the update, or after it.
    """

    kind: ClassVar[str] = "nalsm_lif"
    states: ClassVar[tuple[str, ...]] = ("v", "r")
    sites: ClassVar[tuple[str, ...]] = ("v", "r", "leak")
    counters: ClassVar[tuple[str, ...]] = ("r",)
    threshold: Parameter = parameter("membrane", 20.0)
    gain: Parameter = parameter("gain", 1.0)
    refractory: Parameter = parameter("steps", 2.0)
    v_init: Parameter = parameter("membrane", 0.0)
    r_init: Parameter = parameter("steps", 0.0)
    leak_shift: int = 6
    fire: Fire = "before"

    @property
    def emits(self) -> Emission:
        """One-bit spikes."""
        return "spikes"

    def check(self) -> None:
        """Refuse what has no meaning.

        Raises:
            SpikecError: SPK1207 on the shift.
        """
        if not 1 <= self.leak_shift <= MOST_SHIFT:
            raise SpikecError(
                "SPK1207",
                f"{self.kind}.leak_shift",
                f"{self.leak_shift} is outside 1 to {MOST_SHIFT}",
                "Use the logarithm to base 2 of the time constant in steps",
            )

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""

        def update(v: Expr) -> Expr:
            return q.v(q.leak(v - shift(v, -self.leak_shift)) + p.gain * i.input)

        ready = eq(s.r, 0)
        if self.fire == "before":
            out = and_(ge(s.v, p.threshold), ready)
            v = update(where(out, 0, s.v))
        else:
            x = update(s.v)
            out = and_(ge(x, p.threshold), ready)
            v = where(out, 0, x)
        return Step(out, v=v, r=q.r(where(out, p.refractory, maximum(s.r - 1, 0))))

    def fold_gain(self, size: int) -> tuple[Self, Array]:
        """Return the model with gain 1, and the gain."""
        return replace(self, gain=Tensor.floats(1.0)), self.broadcast(size)["gain"]

    def growth(self) -> Array | None:
        """Return 2^leak_shift."""
        return np.asarray(2.0**self.leak_shift)

    def limit(self, state: str) -> float | None:
        """Return the largest count."""
        if state != "r":
            return None
        return float(max(self.refractory.real().max(), self.r_init.real().max()))
