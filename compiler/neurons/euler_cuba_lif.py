"""Current-based LIF in the order of an Euler step (Norse LIF, norse/torch/functional/lif.py).

jump = u + i;  x = v + rate ((leak - v) + jump);  u <- jump - synapse_rate jump;  spike and reset as
in ``firing``. In exact numbers it is ``CubaLIF`` with current_phase jump: its integer form.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from spikec.compiler.equation import Casts, Parameter, Step, Wires, parameter
from spikec.compiler.neurons.cuba_lif import CubaLIF
from spikec.compiler.neurons.firing import Firing, leak_bound
from spikec.compiler.types import Array, Tensor


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EulerCubaLIF(Firing):
    """Synaptic current and leaky membrane.

    Attributes:
        rate: dt / tau of the membrane.
        synapse_rate: dt / tau of the current.
        leak: Resting membrane.
        u_init: Initial current.
    """

    kind: ClassVar[str] = "euler_cuba_lif"
    states: ClassVar[tuple[str, ...]] = ("u", "v")
    sites: ClassVar[tuple[str, ...]] = ("u", "v")
    rate: Parameter = parameter("factor")
    synapse_rate: Parameter = parameter("factor")
    leak: Parameter = parameter("membrane", 0.0)
    u_init: Parameter = parameter("current", 0.0)

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""
        jump = s.u + i.input
        out, v = self.advance(lambda v: v + p.rate * ((p.leak - v) + jump), s.v, p, q)
        return Step(out, u=q.u(jump - p.synapse_rate * jump), v=v)

    def decaying(self) -> CubaLIF:
        """Return the ``CubaLIF`` that is equal in exact numbers."""
        rate = self.rate.real()
        own = ("rate", "synapse_rate", "leak")
        kept: dict[str, Any] = {n: t for n, t in self.parameters().items() if n not in own}
        return CubaLIF(
            synapse_decay=Tensor.floats(1.0 - self.synapse_rate.real()),
            decay=Tensor.floats(1.0 - rate),
            gain=self.rate,
            offset=Tensor.floats(rate * self.leak.real()),
            current_phase="jump",
            **kept,
            **self.options(),
        )

    def fold_gain(self, size: int) -> tuple[CubaLIF, Array]:
        """Return the ``CubaLIF`` with unit gains, and the gain."""
        return self.decaying().fold_gain(size)

    def growth(self) -> Array | None:
        """Return that of the ``CubaLIF``, per unit of weighted input."""
        fast = leak_bound(Tensor.floats(1.0 - self.synapse_rate.real()))
        slow = leak_bound(Tensor.floats(1.0 - self.rate.real()))
        if fast is None or slow is None:
            return None
        return np.asarray(fast * np.maximum(1.0, slow * np.abs(self.rate.real())))
