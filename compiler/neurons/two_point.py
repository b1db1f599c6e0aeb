"""Two-point cells: a receptive field R that context C modulates; no state.

h = filter(out(MOD(R, C)));  C is what arrives at ``apical``, R what arrives at ``basal``

tm1      R (1 + exp(R C)) / 2
tm2      R + R C
tm3      R (1 + tanh(R C))
tm4      R 2^(R C)
co       R^2 + 2 R + c_gain C (1 + |R|)
co_swap  C^2 + 2 C + C (1 + |R|)

Context reads R before it is modulated, so R is a population of its own, ``ReceptiveField``, that
feeds ``basal`` one to one; u = tanh(M R), ``UniversalContext``, is another. Integers have unit 1:
none of these equations is homogeneous. Sources: specs/two_point_cells.md section 2.

In integers exp and 2^x are tables. The argument of exp saturates at -10 and 3, that of 2^x at -16
and 4, and both are counted; tanh is flat beyond 8.
"""

from dataclasses import dataclass
from math import ceil, isfinite, log
from typing import ClassVar, Literal

import numpy as np

from spikec.compiler.equation import Casts, Emission, Neuron, Parameter, Step, Wires, parameter
from spikec.compiler.errors import SpikecError
from spikec.compiler.expr import (
    Expr,
    absolute,
    clamp,
    curve,
    fixed,
    ge,
    gt,
    is_const,
    limit,
    maximum,
    shift,
    where,
)
from spikec.compiler.tables import (
    Table,
    exponential,
    half_gaussian,
    hyperbolic_tangent,
    power_of_two,
)
from spikec.compiler.types import Array, Exact

Modulation = Literal["tm1", "tm2", "tm3", "tm4", "co", "co_swap"]
Activation = Literal["relu6", "relu", "none"]
MODULATIONS = ("tm1", "tm2", "tm3", "tm4", "co", "co_swap")
ACTIVATIONS = ("relu6", "relu", "none")
EXPONENTS = {"tm1": (-10, 3), "tm3": (-8, 8), "tm4": (-16, 4)}
MOST_STEP_BITS = 10


class _ValueCell(Neuron):
    """What the three models share: values out, unit 1, and no integer form in another unit."""

    __slots__ = ()

    @property
    def emits(self) -> Emission:
        """Values."""
        return "values"

    def fold_gain(self, size: int) -> tuple[Neuron, Array]:
        """Refuse: a product of two inputs, or a curve, has no unit of the weights' choice.

        Raises:
            SpikecError: SPK2200.
        """
        raise SpikecError(
            "SPK2200",
            self.kind,
            "its equation is not proportional to its input, so it has no unit to choose",
            "Use quantize_values in place of quantize",
        )

    def growth(self) -> Array | None:
        """Return None: the width of the cast bounds what is sent."""
        return None


def _alive(y: Expr, alive: Expr) -> Expr:
    """Return y where the cell is alive, else 0."""
    return y if is_const(alive, 1) else where(gt(alive, 0), y, 0)


def _check_alive(model: Neuron) -> None:
    values = model.parameters()["alive"].real()
    wrong = (values != 0) & (values != 1)
    if wrong.any():
        raise SpikecError(
            "SPK2201",
            f"{model.kind}.alive",
            f"{values[wrong].flat[0]:g} is neither 0 nor 1",
            "Give 1 for a cell that lives and 0 for a lesioned one",
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ReceptiveField(_ValueCell):
    """R = i: the summed input, rounded and saturated to the format of ``v``.

    Attributes:
        alive: 0 silences a cell.
    """

    kind: ClassVar[str] = "receptive_field"
    states: ClassVar[tuple[str, ...]] = ()
    sites: ClassVar[tuple[str, ...]] = ("v",)
    alive: Parameter = parameter("flag", 1.0)

    def check(self) -> None:
        """Check the mask; SPK2201."""
        _check_alive(self)

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""
        return Step(_alive(q.v(i.input), p.alive))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TwoPoint(_ValueCell):
    """A two-point cell.

    Attributes:
        alive: 0 silences a cell.
        mod: Modulation.
        c_gain: Of the context in ``co``: 1 or 2.
        out: relu6, relu or none.
        sigma: Half-Gaussian filter y (1 - exp(-y^2 / (2 sigma^2))) for y > 0, else 0; None: none.
        cut: The filter sends 0 for y below it.
        step_bits: Tables have 2^step_bits entries per unit.
        table_error: Largest error of the modulation's table; 0 where the curve is no table.
        filter_error: The same of the filter's.
    """

    kind: ClassVar[str] = "two_point"
    ports: ClassVar[tuple[str, ...]] = ("basal", "apical")
    states: ClassVar[tuple[str, ...]] = ()
    sites: ClassVar[tuple[str, ...]] = ("r", "c", "x", "e", "y", "v")
    alive: Parameter = parameter("flag", 1.0)
    mod: Modulation = "co"
    c_gain: int = 1
    out: Activation = "relu6"
    sigma: float | None = None
    cut: float = 0.0
    step_bits: int = 6
    table_error: float = 0.0
    filter_error: float = 0.0

    def check(self) -> None:
        """Refuse what has no meaning.

        Raises:
            SpikecError: SPK2202 to SPK2207, and SPK2201.
        """
        _check_alive(self)
        for code, name, value, known in (
            ("SPK2202", "mod", self.mod, MODULATIONS),
            ("SPK2203", "out", self.out, ACTIVATIONS),
        ):
            if value not in known:
                raise SpikecError(
                    code, f"{self.kind}.{name}", f"'{value}' is unknown", f"Use {', '.join(known)}"
                )
        if self.c_gain not in (1, 2) or (self.c_gain != 1 and self.mod != "co"):
            raise SpikecError(
                "SPK2204",
                f"{self.kind}.c_gain",
                f"{self.c_gain} is not possible with mod {self.mod}",
                "Use 1, or 2 with mod co",
            )
        sigma = self.sigma
        if sigma is not None and not (isfinite(sigma) and 2.0**-10 <= sigma <= 2.0**10):
            raise SpikecError(
                "SPK2205",
                f"{self.kind}.sigma",
                f"{sigma:g} is not 2^-10 to 2^10",
                "Give a positive number in that range, or none",
            )
        if not 0 <= self.cut <= 2.0**10 or (self.cut and sigma is None):
            raise SpikecError(
                "SPK2206",
                f"{self.kind}.cut",
                f"{self.cut:g} is not possible with sigma {sigma}",
                "Use 0 to 1024, with a sigma",
            )
        if not 1 <= self.step_bits <= MOST_STEP_BITS:
            raise SpikecError(
                "SPK2207",
                f"{self.kind}.step_bits",
                f"{self.step_bits} is not 1 to {MOST_STEP_BITS}",
                "Choose a number in that range",
            )

    def table(self) -> Table | None:
        """Return the table of the modulation's curve; None where it has none."""
        if self.mod not in EXPONENTS:
            return None
        make = {"tm1": exponential, "tm3": hyperbolic_tangent, "tm4": power_of_two}[self.mod]
        return make(*EXPONENTS[self.mod], self.step_bits)

    def filter_table(self, highest: int) -> Table | None:
        """Return the table of the filter from 0 to ``highest``; None where there is no filter."""
        return None if self.sigma is None else half_gaussian(self.sigma, highest, self.step_bits)

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""
        y = self._modulated(q.r(i.basal), q.c(i.apical), q)
        if self.out != "none":
            y = clamp(y, 0, 6) if self.out == "relu6" else maximum(y, 0)
        if self.sigma is not None:
            y = self._filtered(q.y(y))
        return Step(_alive(q.v(y), p.alive))

    def _modulated(self, r: Expr, c: Expr, q: Casts) -> Expr:
        match self.mod:
            case "tm1":
                return shift(r * (1 + self._curve(r * c, q)), -1)
            case "tm2":
                return r + r * c
            case "tm3":
                return r * (1 + self._curve(r * c, q))
            case "tm4":
                return r * self._curve(r * c, q)
            case "co":
                drive = c * (1 + absolute(r))
                return r * r + shift(r, 1) + (shift(drive, 1) if self.c_gain == 2 else drive)
            case "co_swap":
                return c * c + shift(c, 1) + c * (1 + absolute(r))

    def _curve(self, x: Expr, q: Casts) -> Expr:
        """Return the curve of R C: itself in floating point, the table in integers."""
        table = self.table()
        assert table is not None
        if not isinstance(x.dtype, Exact):
            name = "tanh" if self.mod == "tm3" else "exp"
            return curve(name, x * log(2) if self.mod == "tm4" else x)
        lo, hi = EXPONENTS[self.mod]
        inside = clamp(x, lo, hi) if self.mod == "tm3" else limit(x, lo, hi)
        return q.e(table.at(q.x(inside)))

    def _filtered(self, y: Expr) -> Expr:
        assert self.sigma is not None
        positive = maximum(y, 0)
        if not isinstance(y.dtype, Exact):
            fall = curve("exp", positive * positive * (-0.5 / self.sigma**2))
            return where(ge(y, self.cut), positive * (1 - fall), 0)
        assert isinstance(positive.dtype, Exact)
        top, frac = positive.dtype.hi, y.dtype.frac
        table = self.filter_table(max(-(-top >> frac), 1))
        assert table is not None
        # On this grid y >= cut is y >= cut rounded up.
        cut = fixed(ceil(self.cut * 2.0**frac), frac)
        return where(ge(y, cut), table.at(positive), 0)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class UniversalContext(_ValueCell):
    """u = memory u + (1 - memory) tanh(i): what the streams have in common.

    Attributes:
        alive: 0 silences a cell.
        memory: Share of the old value that stays, from 0 to below 1.
        v_init: Initial value.
        step_bits: The table of tanh has 2^step_bits entries per unit.
        table_error: Largest error of that table; 0 where tanh is no table.
    """

    kind: ClassVar[str] = "universal_context"
    sites: ClassVar[tuple[str, ...]] = ("v", "x", "e")
    alive: Parameter = parameter("flag", 1.0)
    memory: Parameter = parameter("factor", 0.0)
    v_init: Parameter = parameter("1", 0.0)
    step_bits: int = 6
    table_error: float = 0.0

    def check(self) -> None:
        """Refuse what has no meaning.

        Raises:
            SpikecError: SPK2208, SPK2209 and SPK2201.
        """
        _check_alive(self)
        memory = self.memory.real()
        if not np.all((memory >= 0) & (memory < 1)):
            raise SpikecError(
                "SPK2208",
                f"{self.kind}.memory",
                f"{memory[~((memory >= 0) & (memory < 1))].flat[0]:g} is not 0 to below 1",
                "Give the share of the old value that stays",
            )
        if not 1 <= self.step_bits <= MOST_STEP_BITS:
            raise SpikecError(
                "SPK2209",
                f"{self.kind}.step_bits",
                f"{self.step_bits} is not 1 to {MOST_STEP_BITS}",
                "Choose a number in that range",
            )

    def table(self) -> Table:
        """Return the table of tanh."""
        return hyperbolic_tangent(-8, 8, self.step_bits)

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation."""
        if isinstance(i.input.dtype, Exact):
            new = q.e(self.table().at(q.x(clamp(i.input, -8, 8))))
        else:
            new = curve("tanh", i.input)
        v = q.v(p.memory * s.v + (1 - p.memory) * new)
        return Step(_alive(v, p.alive), v=v)
