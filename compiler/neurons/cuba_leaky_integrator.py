"""Current-based leaky integrator: a synaptic current, then a leaky membrane, which is sent on.

u <- synapse_decay u + synapse_gain i;  v <- decay v + gain u + offset. ``current_phase`` says which
u the membrane integrates, as in ``cuba_lif``.

Continuous (NIR CubaLI): tau_syn du/dt = -u + w_in i;  tau_mem dv/dt = (v_leak - v) + r u.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from spikec.compiler.equation import (
    Casts,
    Dynamics,
    Emission,
    Neuron,
    Parameter,
    Step,
    Wires,
    parameter,
)
from spikec.compiler.neurons.firing import leak_bound
from spikec.compiler.semantics import CurrentPhase, Semantics
from spikec.compiler.types import Array, Tensor


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CubaLeakyIntegrator(Neuron):
    """Synaptic current and leaky membrane without threshold.

    Attributes:
        synapse_decay: Factor of the old current per step.
        synapse_gain: Factor of the input.
        decay: Factor of the old membrane per step.
        gain: Factor of the current.
        offset: Constant drive of the membrane per step.
        u_init: Initial current.
        v_init: Initial membrane.
        current_phase: Which current the membrane integrates.
    """

    kind: ClassVar[str] = "cuba_leaky_integrator"
    states: ClassVar[tuple[str, ...]] = ("u", "v")
    sites: ClassVar[tuple[str, ...]] = ("u", "v", "synapse_leak", "leak")
    synapse_decay: Parameter = parameter("factor")
    synapse_gain: Parameter = parameter("gain", 1.0)
    decay: Parameter = parameter("factor")
    gain: Parameter = parameter("gain", 1.0)
    offset: Parameter = parameter("membrane", 0.0)
    u_init: Parameter = parameter("current", 0.0)
    v_init: Parameter = parameter("membrane", 0.0)
    current_phase: CurrentPhase = "new"

    @property
    def emits(self) -> Emission:
        """Values."""
        return "values"

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""
        arriving = p.synapse_gain * i.input
        if self.current_phase == "jump":
            seen = s.u + arriving
            u = q.u(q.synapse_leak(p.synapse_decay * seen))
        else:
            u = q.u(q.synapse_leak(p.synapse_decay * s.u) + arriving)
            seen = u if self.current_phase == "new" else s.u
        v = q.v(q.leak(p.decay * s.v) + p.gain * seen + p.offset)
        return Step(v, u=u, v=v)

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
class ContinuousCubaLeakyIntegrator(Dynamics):
    """NIR CubaLI.

    Attributes:
        tau_syn: Time constant of the synaptic current in seconds.
        tau_mem: Time constant of the membrane in seconds.
        r: Resistance.
        v_leak: Resting membrane.
        w_in: Weight of the input.
        u_init: Initial current.
        v_init: Initial membrane.
        semantics: How to discretise.
    """

    kind: ClassVar[str] = "continuous_cuba_leaky_integrator"
    tau_syn: Parameter = parameter("s")
    tau_mem: Parameter = parameter("s")
    r: Parameter = parameter("ohm", 1.0)
    v_leak: Parameter = parameter("V", 0.0)
    w_in: Parameter = parameter("1", 1.0)
    u_init: Parameter = parameter("current", 0.0)
    v_init: Parameter = parameter("V", 0.0)
    semantics: Semantics = Semantics()

    def discretize(self, dt: float) -> CubaLeakyIntegrator:
        """Return the per-step model; there is no threshold that a gain could be moved to."""
        s = self.semantics
        synapse_decay = s.decay("tau_syn", self.tau_syn.real(), dt)
        decay = s.decay("tau_mem", self.tau_mem.real(), dt)
        held = s.input_gain != "unit"
        input_gain = {
            "held": self.w_in.real() * (1.0 - synapse_decay),
            "unit": self.w_in.real(),
            "decay": self.w_in.real() * synapse_decay,
        }
        return CubaLeakyIntegrator(
            synapse_decay=Tensor.floats(synapse_decay),
            synapse_gain=Tensor.floats(input_gain[s.synapse_gain]),
            decay=Tensor.floats(decay),
            gain=Tensor.floats(self.r.real() * (1.0 - decay) if held else 1.0),
            offset=Tensor.floats(self.v_leak.real() * (1.0 - decay)),
            u_init=self.u_init,
            v_init=self.v_init,
            current_phase=s.current_phase,
        )
