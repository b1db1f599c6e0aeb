"""Current-based leaky integrate-and-fire: a synaptic current, then a leaky membrane.

u <- synapse_decay u + synapse_gain i;  v <- decay v + gain u + offset; spike and reset as in
``firing``. ``current_phase`` says which u the membrane integrates: the new one, the old one, or
(jump) the one after the input and before the decay, as Norse's LIFCell does.

Continuous (NIR CubaLIF): tau_syn du/dt = -u + w_in i;  tau_mem dv/dt = (v_leak - v) + r u.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from spikec.compiler.equation import Casts, Parameter, Step, Wires, parameter
from spikec.compiler.neurons.firing import ContinuousFiring, Firing, leak_bound
from spikec.compiler.semantics import CurrentPhase
from spikec.compiler.types import Array, Tensor


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CubaLIF(Firing):
    """Synaptic current and leaky membrane.

    Attributes:
        synapse_decay: Factor of the old current per step.
        synapse_gain: Factor of the input.
        decay: Factor of the old membrane per step.
        gain: Factor of the current.
        offset: Constant drive of the membrane per step.
        u_init: Initial current.
        current_phase: Which current the membrane integrates.
    """

    kind: ClassVar[str] = "cuba_lif"
    states: ClassVar[tuple[str, ...]] = ("u", "v")
    sites: ClassVar[tuple[str, ...]] = ("u", "v", "synapse_leak", "leak")
    synapse_decay: Parameter = parameter("factor")
    synapse_gain: Parameter = parameter("gain", 1.0)
    decay: Parameter = parameter("factor")
    gain: Parameter = parameter("gain", 1.0)
    offset: Parameter = parameter("membrane", 0.0)
    u_init: Parameter = parameter("current", 0.0)
    current_phase: CurrentPhase = "new"

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""
        arriving = p.synapse_gain * i.input
        if self.current_phase == "jump":
            seen = s.u + arriving
            u = q.u(q.synapse_leak(p.synapse_decay * seen))
        else:
            u = q.u(q.synapse_leak(p.synapse_decay * s.u) + arriving)
            seen = u if self.current_phase == "new" else s.u
        out, v = self.advance(lambda v: q.leak(p.decay * v) + p.gain * seen + p.offset, s.v, p, q)
        return Step(out, u=u, v=v)

    def fold_gain(self, size: int) -> tuple[Self, Array]:
        """Return the model with unit gains, its current in the unit of the membrane."""
        values = self.broadcast(size)
        one = Tensor.floats(1.0)
        current = Tensor.floats(self.u_init.real() * self.gain.real())
        folded = replace(self, synapse_gain=one, gain=one, u_init=current)
        return folded, values["synapse_gain"] * values["gain"]

    def growth(self) -> Array | None:
        """Return 1 / ((1 - synapse_decay) (1 - decay)), which bounds the current too."""
        current, membrane = leak_bound(self.synapse_decay), leak_bound(self.decay)
        return None if current is None or membrane is None else np.asarray(current * membrane)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ContinuousCubaLIF(ContinuousFiring):
    """NIR CubaLIF.

    Attributes:
        tau_syn: Time constant of the synaptic current in seconds.
        tau_mem: Time constant of the membrane in seconds.
        v_leak: Resting membrane.
        w_in: Weight of the input.
        u_init: Initial current.
    """

    kind: ClassVar[str] = "continuous_cuba_lif"
    tau_syn: Parameter = parameter("s")
    tau_mem: Parameter = parameter("s")
    v_leak: Parameter = parameter("V", 0.0)
    w_in: Parameter = parameter("1", 1.0)
    u_init: Parameter = parameter("current", 0.0)

    def discretize(self, dt: float) -> CubaLIF:
        """Return the per-step model."""
        s = self.semantics
        synapse_decay = s.decay("tau_syn", self.tau_syn.real(), dt)
        decay = s.decay("tau_mem", self.tau_mem.real(), dt)
        values, unit = self.firing(self.r.real() * (1.0 - decay))
        input_gain = {
            "held": self.w_in.real() * (1.0 - synapse_decay),
            "unit": self.w_in.real(),
            "decay": self.w_in.real() * synapse_decay,
        }
        return CubaLIF(
            synapse_decay=Tensor.floats(synapse_decay),
            synapse_gain=Tensor.floats(input_gain[s.synapse_gain]),
            decay=Tensor.floats(decay),
            offset=Tensor.floats(self.v_leak.real() * (1.0 - decay) / unit),
            u_init=self.u_init,
            current_phase=s.current_phase,
            **values,
        )
