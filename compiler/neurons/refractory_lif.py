"""Leaky integrate-and-fire with a refractory period.

r counts down after a spike. While r > 0 no spike is sent and the membrane is held (freeze) or kept
at zero (zero), whatever arrives:

x = r > 0 ? (v or 0) : decay v + gain i + offset; spike and reset as in ``firing``, unless r > 0;
r <- max((spike ? steps : r) - 1, 0): a spike blocks the steps - 1 steps that follow it.

A spike that is reset in the next update would meet the membrane while it is held; so
``reset_phase`` next goes with ``fire`` before only.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

from spikec.compiler.equation import Casts, Parameter, Step, Wires, parameter
from spikec.compiler.errors import SpikecError
from spikec.compiler.expr import Expr, and_, gt, maximum, not_, where
from spikec.compiler.neurons.firing import Firing, leak_bound
from spikec.compiler.types import Array, Bool, Tensor


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RefractoryLIF(Firing):
    """Leaky membrane that rests after a spike.

    Attributes:
        decay: Factor of the old membrane per step.
        gain: Factor of the input.
        offset: Constant drive per step.
        steps: Least number of steps from one spike to the next.
        r_init: Steps that are blocked at the start.
        refractory: What the membrane does meanwhile: freeze, or zero.
    """

    kind: ClassVar[str] = "refractory_lif"
    states: ClassVar[tuple[str, ...]] = ("v", "r")
    sites: ClassVar[tuple[str, ...]] = ("v", "r", "leak")
    counters: ClassVar[tuple[str, ...]] = ("r",)
    decay: Parameter = parameter("factor")
    gain: Parameter = parameter("gain", 1.0)
    offset: Parameter = parameter("membrane", 0.0)
    steps: Parameter = parameter("steps")
    r_init: Parameter = parameter("steps", 0.0)
    refractory: Literal["freeze", "zero"] = "freeze"

    def check(self) -> None:
        """Refuse what has no meaning.

        Raises:
            SpikecError: SPK1204 on the reset phase; errors of ``Firing``.
        """
        Firing.check(self)
        if self.reset_phase != "same" and self.fire == "after":
            raise SpikecError(
                "SPK1204",
                f"{self.kind}.reset_phase",
                "a spike cannot be reset in the next step, which its refractory period blocks",
                "Use reset_phase=same, or fire=before",
            )

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""
        blocked = gt(s.r, 0)

        def update(v: Expr) -> Expr:
            x = q.leak(p.decay * v) + p.gain * i.input + p.offset
            return where(blocked, v if self.refractory == "freeze" else 0, x)

        out, v = self.advance(update, s.v, p.with_wires(blocked=blocked), q)
        fired = out if isinstance(out.dtype, Bool) else gt(out, 0)
        return Step(out, v=v, r=q.r(maximum(where(fired, p.steps, s.r) - 1, 0)))

    def spikes(self, x: Expr, p: Wires) -> Expr:
        """Return the spikes of membrane x: none while blocked."""
        out = Firing.spikes(self, x, p)
        return (
            and_(out, not_(p.blocked)) if isinstance(out.dtype, Bool) else where(p.blocked, 0, out)
        )

    def fold_gain(self, size: int) -> tuple[Self, Array]:
        """Return the model with gain 1, and the gain."""
        return replace(self, gain=Tensor.floats(1.0)), self.broadcast(size)["gain"]

    def growth(self) -> Array | None:
        """Return 1 / (1 - decay)."""
        return leak_bound(self.decay)

    def limit(self, state: str) -> float | None:
        """Return the largest count."""
        if state != "r":
            return None
        return float(max(self.steps.real().max() - 1, self.r_init.real().max()))
