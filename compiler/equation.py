"""What a neuron model is: parameters, states, ports, and one equation.

A model is a frozen dataclass whose ``step`` builds the ``Expr`` graph of one time step. Two bases:
``Neuron`` is per step and dimensionless; ``Dynamics`` is continuous, in SI units, with the
``Semantics`` that say how to turn it into a ``Neuron``.

Inside ``step``: ``i.<port>`` is the summed input, ``s.<state>`` the old state, ``p.<parameter>`` a
parameter, and ``q.<site>(x)`` marks where the integer form may round ``x`` (a no-op in floating
point and wherever no format is given for the site).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.expr import Expr, cast, const, fixed, leaf, merge, real
from spikec.compiler.semantics import Semantics
from spikec.compiler.types import Array, Exact, Float, Format, Tensor

Emission = Literal["spikes", "counts", "values"]

# membrane: in the unit of the membrane; factor: what multiplies a state that goes back into itself;
# ratio: what multiplies a state elsewhere; gain: from the unit of an input to that of a state;
# steps: a whole number of time steps; flag: 0 or 1. The rest are SI units of continuous models.
Dimension = Literal[
    "membrane", "current", "factor", "ratio", "gain", "steps", "flag", "s", "V", "ohm", "1"
]

# So that a counter of steps is a 32-bit number on every target.
MOST_STEPS = (1 << 31) - 1
NOTHING: Mapping[str, Exact] = MappingProxyType({})


# A parameter is written as any number or array and read as a tensor; neither type checker can say
# that of an inherited dataclass field.
if TYPE_CHECKING:
    Parameter = Any
    OptionalParameter = Any
else:
    Parameter = Tensor
    OptionalParameter = Tensor | None


def parameter(dimension: Dimension, default: float | None = None) -> Any:
    """Declare a numeric field: a scalar, or one number per neuron; required without a default."""
    metadata = {"dimension": dimension}
    if default is None:
        return field(metadata=metadata)
    return field(default_factory=lambda: Tensor.floats(default), metadata=metadata)


def optional_parameter(dimension: Dimension) -> Any:
    """Declare a numeric field that may be None."""
    return field(default=None, metadata={"dimension": dimension})


class Model:
    """What per-step and continuous models share: named numeric parameters."""

    __slots__ = ()
    kind: ClassVar[str]

    def __post_init__(self) -> None:
        """Turn plain numbers into tensors and check them.

        Raises:
            SpikecError: SPK0311 when a parameter is not a number, SPK1201 when a number of steps is
                not a whole one.
        """
        for name in self.dimensions():
            value = getattr(self, name)
            if value is None or isinstance(value, Tensor):
                continue
            try:
                object.__setattr__(self, name, Tensor.floats(value))
            except (TypeError, ValueError):
                raise SpikecError(
                    "SPK0311", f"{self.kind}.{name}", f"{value!r} is not a number", "Give a number"
                ) from None
        self._check_steps()
        self.check()

    def _check_steps(self) -> None:
        for name, dimension in self.dimensions().items():
            if dimension != "steps":
                continue
            values = getattr(self, name).real()
            wrong = ~((values >= 0) & (values <= MOST_STEPS) & (values == np.floor(values)))
            if wrong.any():
                raise SpikecError(
                    "SPK1201",
                    f"{self.kind}.{name}",
                    f"{values[wrong].flat[0]:g} is not a whole number from 0 to {MOST_STEPS}",
                    "Give a number of steps",
                )

    def check(self) -> None:
        """Refuse options that contradict each other; models override this."""

    @classmethod
    def dimensions(cls) -> dict[str, Dimension]:
        """Return the dimension of every numeric field."""
        listed = fields(cls)  # type: ignore[arg-type]  # every model is a dataclass
        return {f.name: f.metadata["dimension"] for f in listed if "dimension" in f.metadata}

    def parameters(self) -> dict[str, Tensor]:
        """Return the parameters that are given, by name."""
        values = {name: getattr(self, name) for name in self.dimensions()}
        return {name: value for name, value in values.items() if value is not None}

    def options(self) -> dict[str, Any]:
        """Return the fields that are not numeric parameters."""
        listed = fields(self)  # type: ignore[arg-type]
        return {f.name: getattr(self, f.name) for f in listed if "dimension" not in f.metadata}

    def with_parameters(self, changed: Mapping[str, Tensor]) -> Self:
        """Return the same model with some parameters replaced."""
        return replace(self, **changed)  # type: ignore[type-var]

    def broadcast(self, size: int) -> dict[str, Array]:
        """Return the real value of each parameter for each of ``size`` neurons."""
        return {
            name: np.broadcast_to(value.real().reshape(-1), size)
            for name, value in self.parameters().items()
        }


class Wires:
    """Named expressions, read as attributes."""

    __slots__ = ("_wires",)

    def __init__(self, wires: Mapping[str, Expr]) -> None:
        """Keep the mapping."""
        self._wires = wires

    def __getattr__(self, name: str) -> Expr:
        """Return the wire called ``name``."""
        return self._wires[name]

    def with_wires(self, **changed: Expr) -> "Wires":
        """Return these wires and further ones, which stand in for those of the same name."""
        return Wires({**self._wires, **changed})


class Casts:
    """The rounding sites of an equation, called as ``q.<site>(x)``."""

    __slots__ = ("_formats",)

    def __init__(self, formats: Mapping[str, Format]) -> None:
        """Keep the formats; a site without one is exact."""
        self._formats = formats

    def __getattr__(self, site: str) -> Callable[[Expr], Expr]:
        """Return the cast of ``site``."""
        chosen = self._formats.get(site)
        if chosen is None:
            return lambda x: x
        return lambda x: cast(x, chosen.type, chosen.rounding, chosen.overflow)


class Step:
    """The result of one step: what is emitted, and the next states."""

    __slots__ = ("output", "states")

    def __init__(self, output: Expr, **states: Expr) -> None:
        """Keep both."""
        self.output = output
        self.states = states


class Neuron(Model):
    """A per-step model.

    Attributes:
        ports: Names of the inputs.
        states: Names of the states; the parameter ``<state>_init`` holds the initial value.
        sites: Rounding sites: every state, and further ones inside the equation.
        counters: The states that count steps: whole numbers from 0 to ``limit(state)``.
    """

    __slots__ = ()
    ports: ClassVar[tuple[str, ...]] = ("input",)
    states: ClassVar[tuple[str, ...]] = ("v",)
    sites: ClassVar[tuple[str, ...]] = ("v",)
    counters: ClassVar[tuple[str, ...]] = ()

    @property
    def emits(self) -> Emission:
        """What the population sends: one-bit spikes, spike counts, or values."""
        raise NotImplementedError

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        """Build the equation of one time step."""
        raise NotImplementedError

    def fold_gain(self, size: int) -> tuple["Neuron", Array]:
        """Return a model with unit input gain, and the gain (size,) that weights now carry.

        It is the one whose integer form is taken: usually the same model.
        """
        raise NotImplementedError

    def growth(self) -> Array | None:
        """Return the factor by which a bounded input is amplified at most, or None if unbounded.

        A leaky membrane stays below I_max / (1 - decay).
        """
        raise NotImplementedError

    def drive(self) -> float:
        """Return the largest magnitude that the model itself adds to a state in each step."""
        offset = self.parameters().get("offset")
        return 0.0 if offset is None else float(np.abs(offset.real()).max())

    def limit(self, state: str) -> float | None:
        """Return the largest value of a state that never falls below zero; None where it may.

        A state that the input drives, or that grows for ever, has no limit: infinity. ``drive`` and
        ``growth`` bound what has no finite limit.
        """
        return None

    def initial(self, state: str) -> Tensor:
        """Return the initial value of a state."""
        value = self.parameters().get(f"{state}_init")
        return Tensor.floats(0.0) if value is None else value


class Dynamics(Model):
    """A continuous model in SI units; ``discretize`` turns it into a per-step ``Neuron``."""

    __slots__ = ()
    semantics: Semantics

    def discretize(self, dt: float) -> Neuron:
        """Return the per-step model for a step of ``dt`` seconds."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """The equation of one population with typed leaves: what every engine runs."""

    output: Expr
    states: Mapping[str, Expr]
    ports: Mapping[str, Exact | Float]

    def roots(self) -> list[Expr]:
        """Return the output and the next states, in order."""
        return [self.output, *self.states.values()]


def lower(
    neuron: Neuron,
    formats: Mapping[str, Format],
    ports: Mapping[str, Exact | Float],
    variable: Mapping[str, Exact] = NOTHING,
) -> Lane:
    """Build the equation of ``neuron`` for the given port types and rounding sites.

    ``variable`` holds the scalar parameters that stay leaves, with their intervals.

    Raises:
        SpikecError: SPK0312 when an integer state has no format, or an op's own error.
    """
    exact = any(isinstance(t, Exact) for t in ports.values())
    for state in neuron.states if exact else ():
        if state not in formats:
            raise SpikecError(
                "SPK0312", f"{neuron.kind}.{state}", "an integer state has no format", "Quantize it"
            )
    inputs = {name: leaf("input", name, t) for name, t in ports.items()}
    states = {name: leaf("state", name, _state_type(formats.get(name))) for name in neuron.states}
    numbers = {n: _parameter_leaf(n, t, exact) for n, t in neuron.parameters().items()}
    numbers |= {n: leaf("param", n, t) for n, t in variable.items()}
    casts = Casts(formats)
    step = neuron.step(Wires(inputs), Wires(states), Wires(numbers), casts)
    stored = {name: getattr(casts, name)(step.states[name]) for name in neuron.states}
    output, *following = merge([step.output, *stored.values()])
    return Lane(output, dict(zip(stored, following, strict=True)), dict(ports))


def _state_type(form: Format | None) -> Exact | Float:
    return Float() if form is None else Exact(form.type.lo, form.type.hi, form.type.frac)


def _parameter_leaf(name: str, tensor: Tensor, exact: bool) -> Expr:
    """Return a constant for a scalar and a leaf, as narrow as its data, for an array.

    In an integer lane a floating-point scalar stands for its exact dyadic value.
    """
    if tensor.data.size == 1:
        value = tensor.data.reshape(-1)[0].item()
        if tensor.is_float:
            return const(value) if exact else real(value)
        return fixed(int(value), tensor.frac)
    if tensor.is_float:
        return leaf("param", name, Float())
    return leaf("param", name, Exact(int(tensor.data.min()), int(tensor.data.max()), tensor.frac))
