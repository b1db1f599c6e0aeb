"""Conductance-based leaky integrate-and-fire with two reversal potentials (Diehl and Cook).

One counter r runs from gate - 1 down to 0 after a spike. While r > 0 no spike is sent; during its
first frozen - 1 steps, r > gate - frozen, the membrane stands still too:

x  = r > gate - frozen ? v
     : v + rate ((v_rest - v) + ge (e_excitatory - v) + gi (e_inhibitory - v))
spike if x > threshold and r = 0;  v <- spike ? reset_value : x
ge <- ge_decay ge + excitatory;  gi <- gi_decay gi + inhibitory
r  <- max((spike ? gate : r) - 1, 0)

``current_phase`` says whether v integrates the old conductances or the new ones. With old, what
arrives acts one step later, after the thresholds of its own step, as in Brian's schedule. A network
with a loop needs a delay of a step in it; new, with one step more on every projection, is the same
network with a loop that takes no time.

v is in millivolts or volts, conductances in units of the leak; rate is dt / tau. A product of two
states has no common unit: ``fold_gain`` refuses, and integer programs are written by hand.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np

from spikec.compiler.equation import Casts, Emission, Neuron, Parameter, Step, Wires, parameter
from spikec.compiler.errors import SpikecError
from spikec.compiler.expr import and_, gt, maximum, not_, where
from spikec.compiler.types import Array


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ConductanceLIF(Neuron):
    """Membrane driven by an excitatory and an inhibitory conductance.

    Attributes:
        rate: Step over membrane time constant.
        v_rest: Membrane at rest.
        e_excitatory: Reversal potential of the excitatory conductance.
        e_inhibitory: Reversal potential of the inhibitory conductance.
        ge_decay: Factor of the old excitatory conductance per step.
        gi_decay: Factor of the old inhibitory conductance per step.
        threshold: Membrane above which it spikes.
        reset_value: Membrane after a spike.
        gate: Least number of steps from one spike to the next.
        frozen: After so many steps the membrane moves again; at most ``gate``.
        v_init: Initial membrane.
        ge_init: Initial excitatory conductance.
        gi_init: Initial inhibitory conductance.
        r_init: Initial counter.
        current_phase: Which conductances the membrane integrates: old or new.
    """

    kind: ClassVar[str] = "conductance_lif"
    ports: ClassVar[tuple[str, ...]] = ("excitatory", "inhibitory")
    states: ClassVar[tuple[str, ...]] = ("v", "ge", "gi", "r")
    sites: ClassVar[tuple[str, ...]] = ("v", "ge", "gi", "r", "change")
    counters: ClassVar[tuple[str, ...]] = ("r",)
    rate: Parameter = parameter("factor")
    v_rest: Parameter = parameter("membrane", -65.0)
    e_excitatory: Parameter = parameter("membrane", 0.0)
    e_inhibitory: Parameter = parameter("membrane", -100.0)
    ge_decay: Parameter = parameter("factor")
    gi_decay: Parameter = parameter("factor")
    threshold: Parameter = parameter("membrane")
    reset_value: Parameter = parameter("membrane", -65.0)
    gate: Parameter = parameter("steps")
    frozen: Parameter = parameter("steps")
    v_init: Parameter = parameter("membrane", -65.0)
    ge_init: Parameter = parameter("1", 0.0)
    gi_init: Parameter = parameter("1", 0.0)
    r_init: Parameter = parameter("steps", 0.0)
    current_phase: Literal["old", "new"] = "old"

    @property
    def emits(self) -> Emission:
        """One-bit spikes."""
        return "spikes"

    def check(self) -> None:
        """Refuse what has no meaning.

        Raises:
            SpikecError: SPK1205 when the membrane would rest for longer than the counter runs.
        """
        frozen, gate = self.frozen.real(), self.gate.real()
        # Shapes that do not fit each other are refused by the population, with its name.
        if (1 in (frozen.size, gate.size) or frozen.shape == gate.shape) and np.any(frozen > gate):
            raise SpikecError(
                "SPK1205",
                f"{self.kind}.frozen",
                f"{frozen.max():g} steps exceed a gate of {gate.min():g}",
                "Use at most as many as gate",
            )

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""
        ge = q.ge(p.ge_decay * s.ge + i.excitatory)
        gi = q.gi(p.gi_decay * s.gi + i.inhibitory)
        seen = (s.ge, s.gi) if self.current_phase == "old" else (ge, gi)
        excitation = seen[0] * (p.e_excitatory - s.v)
        inhibition = seen[1] * (p.e_inhibitory - s.v)
        change = p.rate * ((p.v_rest - s.v) + excitation + inhibition)
        x = q.v(where(gt(s.r, p.gate - p.frozen), s.v, s.v + q.change(change)))
        out = and_(gt(x, p.threshold), not_(gt(s.r, 0)))
        r = q.r(maximum(where(out, p.gate, s.r) - 1, 0))
        return Step(out, v=where(out, p.reset_value, x), ge=ge, gi=gi, r=r)

    def fold_gain(self, size: int) -> tuple[Self, Array]:
        """Refuse: weights carry conductances, whose product with the membrane has another unit.

        Raises:
            SpikecError: SPK1206, with the term.
        """
        raise SpikecError(
            "SPK1206",
            self.kind,
            "the term ge * (e_excitatory - v) multiplies two states and has no integer form in "
            "one unit",
            "Give it formats and integer parameters by hand, as docs/neurons.md shows, or keep it "
            "in floating point",
        )

    def growth(self) -> Array | None:
        """Return None: the membrane is bounded by its reversal potentials, not by a gain."""
        return None

    def limit(self, state: str) -> float | None:
        """Return the largest count."""
        if state != "r":
            return None
        return float(max(self.gate.real().max() - 1, self.r_init.real().max()))
