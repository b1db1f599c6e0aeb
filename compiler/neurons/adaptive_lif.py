"""Adaptive leaky integrate-and-fire: the threshold rises with every spike and falls back.

th = threshold + beta a;  v <- decay v + gain i + offset; spike and reset as in ``firing``, with th;
a <- adaptation_decay a + adaptation_gain spikes. Within a step th is that of the old a.

A spike that is reset in the next update would have to be told from the old membrane, and the
threshold that it passed has moved by then; so ``reset_phase`` next goes with ``fire`` before only.
"""

from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import ClassVar, Self

import numpy as np

from spikec.compiler.equation import Casts, Parameter, Step, Wires, parameter
from spikec.compiler.errors import SpikecError
from spikec.compiler.expr import Expr, bound, where
from spikec.compiler.neurons.firing import Firing, leak_bound
from spikec.compiler.types import Array, Bool, Exact, Tensor


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class AdaptiveLIF(Firing):
    """Leaky membrane with a moving threshold.

    Attributes:
        decay: Factor of the old membrane per step.
        gain: Factor of the input.
        offset: Constant drive per step.
        beta: Factor of the adaptation in the threshold.
        adaptation_decay: Factor of the old adaptation per step.
        adaptation_gain: What a spike adds to the adaptation, in the unit of the membrane.
        a_init: Initial adaptation.
    """

    kind: ClassVar[str] = "adaptive_lif"
    states: ClassVar[tuple[str, ...]] = ("v", "a")
    sites: ClassVar[tuple[str, ...]] = ("v", "a", "leak", "adaptation_leak")
    decay: Parameter = parameter("factor")
    gain: Parameter = parameter("gain", 1.0)
    offset: Parameter = parameter("membrane", 0.0)
    beta: Parameter = parameter("ratio", 1.0)
    adaptation_decay: Parameter = parameter("factor")
    adaptation_gain: Parameter = parameter("membrane")
    a_init: Parameter = parameter("membrane", 0.0)

    def check(self) -> None:
        """Refuse what has no meaning.

        Raises:
            SpikecError: SPK1202 on the reset phase, SPK1203 on a threshold that cannot be counted;
                errors of ``Firing``.
        """
        Firing.check(self)
        if self.reset_phase != "same" and self.fire == "after":
            raise SpikecError(
                "SPK1202",
                f"{self.kind}.reset_phase",
                "a spike cannot be reset in the next step, when its threshold has moved",
                "Use reset_phase=same, or fire=before",
            )
        if self.max_spikes != 1 and not self._only_rises():
            raise SpikecError(
                "SPK1203",
                f"{self.kind}.max_spikes",
                "a threshold that may fall to zero fits infinitely often",
                "Use max_spikes=1, or beta and adaptation of at least 0",
            )

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""
        moved = p.with_wires(threshold=p.threshold + p.beta * s.a, membrane=s.v)
        out, v = self.advance(
            lambda v: q.leak(p.decay * v) + p.gain * i.input + p.offset, s.v, moved, q
        )
        if isinstance(out.dtype, Bool):
            risen = where(out, p.adaptation_gain, 0)
        else:
            risen = out * p.adaptation_gain
        a = q.a(q.adaptation_leak(p.adaptation_decay * s.a) + risen)
        return Step(out, v=v, a=a)

    def after_reset(self, x: Expr, out: Expr, p: Wires) -> Expr:
        """Return membrane x after the reset of the spikes ``out``, which are those of x."""
        return Firing.after_reset(self, x, out, p.with_wires(membrane=x))

    def _removed(self, out: Expr, p: Wires) -> Expr:
        """Return what the spikes take from the membrane that they were counted on.

        That is never more than the membrane, which intervals cannot see: there the most spikes meet
        the highest threshold.
        """
        removed = Firing._removed(self, out, p)
        most, x = removed.dtype, p.membrane.dtype
        if isinstance(out.dtype, Bool) or not isinstance(most, Exact) or not isinstance(x, Exact):
            return removed
        finer = most.frac - x.frac
        highest = max(x.hi, 0)
        return bound(removed, 0, highest << finer if finer >= 0 else highest >> -finer)

    def fold_gain(self, size: int) -> tuple[Self, Array]:
        """Return the model with gain 1, and the gain."""
        return replace(self, gain=Tensor.floats(1.0)), self.broadcast(size)["gain"]

    def growth(self) -> Array | None:
        """Return 1 / (1 - decay), or where the adaptation has no limit the slower of both leaks."""
        membrane = leak_bound(self.decay)
        if membrane is None or self._limited():
            return membrane
        adaptation = leak_bound(self.adaptation_decay)
        return None if adaptation is None else np.maximum(membrane, adaptation)

    def drive(self) -> float:
        """Return the largest offset, or where the adaptation has no limit the largest rise."""
        offset = Firing.drive(self)
        if self._limited():
            return offset
        rise = float(np.abs(self.adaptation_gain.real()).max())
        return max(offset, rise * self.max_spikes) if self.max_spikes else inf

    def limit(self, state: str) -> float | None:
        """Return the bound of the adaptation, which only spikes raise."""
        if state != "a" or not self._only_rises():
            return None
        settled = leak_bound(self.adaptation_decay)
        if settled is None or not self.max_spikes:
            return inf
        rise = self.adaptation_gain.real() * self.max_spikes
        return float(np.max(rise * settled)) + float(self.a_init.real().max())

    def _limited(self) -> bool:
        limit = self.limit("a")
        return limit is not None and isfinite(limit)

    def _only_rises(self) -> bool:
        """Return whether the adaptation never falls below zero, nor the threshold below its own."""
        parts = (self.beta, self.adaptation_decay, self.adaptation_gain, self.a_init)
        return not any(bool(np.any(part.data < 0)) for part in parts)
