"""Leaky integrate-and-fire in the order of an Euler step: x = v + rate ((i + leak) - v).

Spike and reset as in ``firing``. In exact numbers it is ``LIF`` with decay 1 - rate and gain rate,
which is its integer form; in floating point the order decides what a membrane settles at, and so
whether a drive that just equals the threshold fires (norse/torch/functional/lif_box.py).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from spikec.compiler.equation import Casts, Parameter, Step, Wires, parameter
from spikec.compiler.neurons.firing import Firing, leak_bound
from spikec.compiler.neurons.lif import LIF
from spikec.compiler.types import Array, Tensor


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EulerLIF(Firing):
    """Leaky membrane.

    Attributes:
        rate: dt / tau, the share of the way to leak + input that a step goes.
        leak: Resting membrane.
    """

    kind: ClassVar[str] = "euler_lif"
    rate: Parameter = parameter("factor")
    leak: Parameter = parameter("membrane", 0.0)

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""
        out, v = self.advance(lambda v: v + p.rate * ((i.input + p.leak) - v), s.v, p, q)
        return Step(out, v=v)

    def decaying(self) -> LIF:
        """Return the ``LIF`` that is equal in exact numbers."""
        rate = self.rate.real()
        kept: dict[str, Any] = {
            n: t for n, t in self.parameters().items() if n not in ("rate", "leak")
        }
        return LIF(
            decay=Tensor.floats(1.0 - rate),
            gain=self.rate,
            offset=Tensor.floats(rate * self.leak.real()),
            **kept,
            **self.options(),
        )

    def fold_gain(self, size: int) -> tuple[LIF, Array]:
        """Return the ``LIF`` with gain 1, and the gain."""
        return self.decaying().fold_gain(size)

    def growth(self) -> Array | None:
        """Return that of the ``LIF``, per unit of weighted input."""
        bound = leak_bound(Tensor.floats(1.0 - self.rate.real()))
        return None if bound is None else bound * abs(self.rate.real())
