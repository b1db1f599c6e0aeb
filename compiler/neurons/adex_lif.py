"""Adaptive exponential LIF in the order of Norse's LIFAdEx; without adaptation, its LIFEx.

jump = u + i;  x = v + rate (((leak - v) + sharpness exp((v - threshold) / sharpness)) + jump - a);
u <- jump - synapse_rate jump;  a <- a + adaptation_rate (coupling (v - leak) - a) + (spike ?
adaptation_gain : 0);  spike if x > threshold; v <- spike ? reset_value : x
(norse/torch/functional/lif_adex.py, lif_adex_feed_forward_step). The exponential of a state has no
integer form.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

from spikec.compiler.equation import Casts, Emission, Neuron, Parameter, Step, Wires, parameter
from spikec.compiler.errors import SpikecError
from spikec.compiler.expr import curve, gt, where
from spikec.compiler.types import Array


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class AdExLIF(Neuron):
    """Current, exponential membrane and adaptation current; floating point only.

    Attributes:
        rate: dt / tau of the membrane.
        synapse_rate: dt / tau of the current.
        adaptation_rate: dt / tau of the adaptation.
        sharpness: Scale of the exponential term (Norse's delta_T).
        steepness: 1 / sharpness.
        coupling: From the membrane to the adaptation.
        adaptation_gain: What a spike adds to the adaptation.
        leak: Resting membrane.
        threshold: Membrane above which it spikes.
        reset_value: Membrane after a spike.
        v_init: Initial membrane.
        u_init: Initial current.
        a_init: Initial adaptation.
    """

    kind: ClassVar[str] = "adex_lif"
    states: ClassVar[tuple[str, ...]] = ("v", "u", "a")
    sites: ClassVar[tuple[str, ...]] = ("v", "u", "a")
    rate: Parameter = parameter("factor")
    synapse_rate: Parameter = parameter("factor")
    adaptation_rate: Parameter = parameter("factor", 0.0)
    sharpness: Parameter = parameter("membrane")
    steepness: Parameter = parameter("ratio")
    coupling: Parameter = parameter("ratio", 0.0)
    adaptation_gain: Parameter = parameter("membrane", 0.0)
    leak: Parameter = parameter("membrane", 0.0)
    threshold: Parameter = parameter("membrane", 1.0)
    reset_value: Parameter = parameter("membrane", 0.0)
    v_init: Parameter = parameter("membrane", 0.0)
    u_init: Parameter = parameter("current", 0.0)
    a_init: Parameter = parameter("current", 0.0)

    @property
    def emits(self) -> Emission:
        """One-bit spikes."""
        return "spikes"

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""
        jump = s.u + i.input
        rise = p.sharpness * curve("exp", (s.v - p.threshold) * p.steepness)
        x = q.v(s.v + p.rate * ((((p.leak - s.v) + rise) + jump) - s.a))
        u = q.u(jump - p.synapse_rate * jump)
        a = s.a + p.adaptation_rate * (p.coupling * (s.v - p.leak) - s.a)
        out = gt(x, p.threshold)
        return Step(
            out,
            v=where(out, p.reset_value, x),
            u=u,
            a=q.a(a + where(out, p.adaptation_gain, 0)),
        )

    def fold_gain(self, size: int) -> tuple[Self, Array]:
        """Refuse.

        Raises:
            SpikecError: SPK1340, with the term.
        """
        raise SpikecError(
            "SPK1340",
            self.kind,
            "the term exp((v - threshold) / sharpness) of a state has no integer form",
            "Keep it in floating point, or train with LIF or LSNN neurons",
        )

    def growth(self) -> Array | None:
        """Return None: the exponential bounds nothing."""
        return None
