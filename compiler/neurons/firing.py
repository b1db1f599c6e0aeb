"""Threshold, spike and reset, as every spiking model here has them.

spikes(x): x compare threshold, or how often the threshold fits into x (up to ``max_spikes``).
reset_phase same: x = update(v); v' = reset(x).  next: x = update(v), in which the spikes of the
*old* v are reset (subtract acts after the decay, as in snnTorch; zero and value act before it).
next_late: there zero and value act after the update too, so that the input of that step is lost
(snnTorch's Synaptic, RLeaky and Lapicque).
undelayed: x = update(v) - th spikes(v); v' = x - th (spikes(x) - spikes(v)), subtract only. So a
membrane that is still above the threshold after a reset counts as reset already (snnTorch's
reset_delay=False).
fire before: the spikes of the old v are emitted; the update follows (Spyx).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikec.compiler.equation import (
    Casts,
    Dynamics,
    Emission,
    Neuron,
    OptionalParameter,
    Parameter,
    Wires,
    optional_parameter,
    parameter,
)
from spikec.compiler.errors import SpikecError
from spikec.compiler.expr import Expr, and_, bound, count, ge, gt, maximum, where
from spikec.compiler.semantics import Compare, Fire, Reset, ResetPhase, Semantics
from spikec.compiler.types import Array, Bool, Tensor


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Firing(Neuron):
    """A model with a threshold.

    Attributes:
        threshold: Membrane value above (gt) or from (ge) which it spikes.
        reset_value: Membrane after a spike, where ``reset`` is value.
        v_min: Lower bound of the membrane at the end of a step, or None.
        v_init: Initial membrane.
        max_spikes: Spikes per step; 0 means as many as fit.
    """

    threshold: Parameter = parameter("membrane", 1.0)
    reset_value: Parameter = parameter("membrane", 0.0)
    v_min: OptionalParameter = optional_parameter("membrane")
    v_init: Parameter = parameter("membrane", 0.0)
    compare: Compare = "gt"
    reset: Reset = "value"
    reset_phase: ResetPhase = "same"
    fire: Fire = "after"
    max_spikes: int = 1

    @property
    def emits(self) -> Emission:
        """One-bit spikes, or counts where several fit in a step."""
        return "spikes" if self.max_spikes == 1 else "counts"

    def check(self) -> None:
        """Refuse what has no meaning.

        Raises:
            SpikecError: SPK0313 on max_spikes, SPK0314 on a threshold that cannot be counted,
                SPK1301 on a reset phase that does not go with the rest.
        """
        usual = (self.reset, self.fire, self.max_spikes) == ("subtract", "after", 1)
        if self.reset_phase == "undelayed" and not usual:
            raise SpikecError(
                "SPK1301",
                f"{self.kind}.reset_phase",
                "undelayed is defined for one spike a step, after the update, and subtract",
                "Use reset_phase=same, or reset=subtract, fire=after and max_spikes=1",
            )
        if self.max_spikes < 0:
            raise SpikecError(
                "SPK0313",
                f"{self.kind}.max_spikes",
                f"{self.max_spikes} is negative",
                "Use 1, a limit, or 0 for no limit",
            )
        if self.max_spikes != 1 and bool(np.any(self.threshold.data <= 0)):
            raise SpikecError(
                "SPK0314",
                f"{self.kind}.threshold",
                "a threshold of zero or less fits infinitely often",
                "Use max_spikes=1 or positive thresholds",
            )

    def spikes(self, x: Expr, p: Wires) -> Expr:
        """Return the spikes of membrane x: a Bool, or a count."""
        above = gt(x, p.threshold) if self.compare == "gt" else ge(x, p.threshold)
        if self.max_spikes == 1:
            return above
        n = count(x, p.threshold, self.max_spikes or None)
        if self.compare == "ge":
            return n
        # Strict: a membrane of exactly n thresholds has passed only n - 1 of them.
        exactly = and_(gt(n, 0), ge(n * p.threshold, x))
        return bound(where(exactly, n - 1, n), 0, None)

    def after_reset(self, x: Expr, out: Expr, p: Wires) -> Expr:
        """Return membrane x after the reset of the spikes ``out``."""
        if self.reset == "none":
            return x
        if self.reset == "subtract":
            return x - self._removed(out, p)
        fired = out if isinstance(out.dtype, Bool) else gt(out, 0)
        return where(fired, p.reset_value if self.reset == "value" else 0, x)

    def _removed(self, out: Expr, p: Wires) -> Expr:
        if isinstance(out.dtype, Bool):
            return where(out, p.threshold, 0)
        return out * p.threshold

    def advance(
        self, update: Callable[[Expr], Expr], v: Expr, p: Wires, q: Casts
    ) -> tuple[Expr, Expr]:
        """Return (spikes, next membrane) for a model whose membrane follows ``update``."""
        if self.reset_phase == "undelayed":
            removed = self._removed(self.spikes(v, p), p)
            x = q.v(update(v) - removed)
            out = self.spikes(x, p)
            following = x - (self._removed(out, p) - removed)
        elif self.reset_phase != "same":
            old = self.spikes(v, p)
            if self.reset == "subtract":
                x = q.v(update(v) - self._removed(old, p))
            elif self.reset_phase == "next_late":
                x = q.v(self.after_reset(update(v), old, p))
            else:
                x = q.v(update(self.after_reset(v, old, p)))
            out, following = (self.spikes(x, p) if self.fire == "after" else old), x
        elif self.fire == "before":
            out = self.spikes(v, p)
            following = q.v(update(self.after_reset(v, out, p)))
        else:
            x = q.v(update(v))
            out = self.spikes(x, p)
            following = self.after_reset(x, out, p)
        return out, following if self.v_min is None else maximum(following, p.v_min)


def leak_bound(decay: Tensor) -> Array | None:
    """Return 1 / (1 - decay), or None where a membrane does not leak."""
    values = np.abs(decay.real())
    return None if bool(np.any(values >= 1)) else 1.0 / (1.0 - values)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ContinuousFiring(Dynamics):
    """What continuous spiking models share.

    Attributes:
        r: Membrane resistance, or gain of the input.
        v_threshold: Threshold.
        v_reset: Membrane after a spike.
        v_init: Initial membrane.
        semantics: How to discretise.
    """

    r: Parameter = parameter("ohm", 1.0)
    v_threshold: Parameter = parameter("V", 1.0)
    v_reset: Parameter = parameter("V", 0.0)
    v_init: Parameter = parameter("V", 0.0)
    semantics: Semantics = Semantics()

    def firing(self, held_gain: Array) -> tuple[dict[str, Any], Array]:
        """Return the fields of ``Firing`` and ``gain``, and the unit of the membrane.

        The unit is 1, or under the normalised input gain the value that is divided out.

        Raises:
            SpikecError: SPK0407 when the gain to divide by is not positive.
        """
        s = self.semantics
        unit = held_gain if s.input_gain == "normalised" else np.ones(())
        if not bool(np.all(unit > 0)):
            raise SpikecError(
                "SPK0407",
                "r",
                "a normalised input gain divides by r (1 - decay), which is not positive",
                f"Use --semantics '{s.name}{{input_gain=held}}'",
            )
        threshold = self.v_threshold.real() / unit
        values: dict[str, Any] = {
            "gain": Tensor.floats(held_gain if s.input_gain == "held" else 1.0),
            "threshold": Tensor.floats(threshold),
            "reset_value": Tensor.floats(self.v_reset.real() / unit),
            "v_init": Tensor.floats(self.v_init.real() / unit),
            "v_min": Tensor.floats(-threshold) if self.clips() else None,
        }
        rule = ("compare", "reset", "reset_phase", "fire", "max_spikes")
        return values | {name: getattr(s, name) for name in rule}, unit

    def clips(self) -> bool:
        """Return whether the convention keeps this membrane at or above minus the threshold."""
        return self.semantics.lower_clip == "all"
