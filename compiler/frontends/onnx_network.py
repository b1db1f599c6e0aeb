"""Populations and projections from ONNX values.

A projection is one linear map between two carriers: inputs and populations. Where a linear map
reads anything else (a map after a map, a sum), a Relay carries that in between; ``fuse`` removes it
where nothing is lost.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from spikec.compiler.equation import Dynamics, Neuron
from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.onnx_values import (
    Above,
    Atom,
    Entry,
    Mapped,
    Rectified,
    Value,
    uniform,
)
from spikec.compiler.ir import Input, Population, Projection
from spikec.compiler.neurons.relay import Relay
from spikec.compiler.synapses import Conv1d, Conv2d, Dense, OneToOne, Shape, Synapse
from spikec.compiler.types import Array, Tensor


def clean_name(wanted: str) -> str:
    """Return a valid name made of another one."""
    return re.sub(r"[^A-Za-z0-9_.-]+", ".", wanted).strip(".")[:100] or "node"


@dataclass(frozen=True, slots=True)
class Carrier:
    """What carries an atom: an input or population, and the steps by which it is late."""

    name: str
    delay: int = 0


@dataclass(slots=True)
class Network:
    """A network being built.

    Attributes:
        carriers: What carries each atom.
        inputs: Inputs.
        populations: Populations.
        projections: Projections.
    """

    carriers: dict[Atom, Carrier] = field(default_factory=dict[Atom, Carrier])
    inputs: list[Input] = field(default_factory=list[Input])
    populations: list[Population] = field(default_factory=list[Population])
    projections: list[Projection] = field(default_factory=list[Projection])
    _taken: set[str] = field(default_factory=set[str])
    _outputs: set[str] = field(default_factory=set[str])
    _relays: dict[int, tuple[Value, Carrier]] = field(
        default_factory=dict[int, tuple[Value, Carrier]]
    )

    def free_name(self, wanted: str) -> str:
        """Return a valid name that no node has yet, and take it."""
        clean = clean_name(wanted)
        name, number = clean, 2
        while name in self._taken:
            name, number = f"{clean}.{number}", number + 1
        self._taken.add(name)
        return name

    def add_input(self, atom: Entry) -> None:
        """Add an input of the graph."""
        name = self.free_name(atom.name)
        self.inputs.append(Input(name, atom.shape))
        self.carriers[atom] = Carrier(name)

    def add_population(self, wanted: str, shape: Shape, neuron: Neuron | Dynamics) -> str:
        """Add a population and return its name."""
        name = self.free_name(wanted)
        self.populations.append(Population(name, shape, neuron))
        return name

    def carry(self, value: Value) -> Carrier:
        """Return what carries a value; a relay is made where nothing does."""
        atom = value.single()
        if atom in self.carriers:
            return self.carriers[atom]
        if id(value) in self._relays:
            return self._relays[id(value)][1]
        wanted = "+".join(sorted(a.name for a in value.atoms))[:60]
        made = Carrier(self.add_population(wanted, value.shape, Relay()))
        self.project(made.name, value)
        if atom is None:
            # The value is kept too, so that no other gets its id.
            self._relays[id(value)] = (value, made)
        else:
            self.carriers[atom] = made
        return made

    def carry_as(self, value: Value, carrier: Carrier) -> None:
        """Say what carries a value that is no single atom."""
        self._relays[id(value)] = (value, carrier)

    def carries(self, value: Value) -> bool:
        """Return whether something carries a value already."""
        return value.single() in self.carriers or id(value) in self._relays

    def free_output(self, wanted: str) -> str:
        """Return a valid name for an output; outputs and populations may share names."""
        name, number = clean_name(wanted), 2
        while name in self._outputs:
            name, number = f"{clean_name(wanted)}.{number}", number + 1
        self._outputs.add(name)
        return name

    def rectify(self, atom: Rectified) -> str:
        """Add a population for a rectifier and return its name; which neuron it is comes later."""
        name = self.add_population(atom.name, atom.shape, Relay())
        self.project(name, atom.inner)
        self.carriers[atom] = Carrier(name)
        return name

    def project(self, target: str, value: Value, bias: bool = True) -> None:
        """Add the projections that sum up to ``value`` at the target.

        Args:
            target: Name of a population of the value's size.
            value: A linear sum.
            bias: Whether its constant belongs to it, or is left out.

        Raises:
            SpikecError: SPK1428 on a product of signals, SPK1429 on a constant.
        """
        made: list[Projection] = []
        for product, factor in value.terms.items():
            if len(product) > 1:
                raise SpikecError(
                    "SPK1428",
                    target,
                    f"it reads {str(value)[:200]}, a product of signals",
                    "Only sums of signals with constant factors can be carried by synapses",
                )
            if product:
                made.append(self._projection(target, product[0], factor, value.size))
        if bias and value.constant.any():
            self._add_bias(target, made, value)
        self.projections += made

    def _projection(self, target: str, atom: Atom, factor: Array, size: int) -> Projection:
        if isinstance(atom, Mapped) and atom not in self.carriers:
            synapse = scaled(atom.synapse, factor.reshape(-1))
            if synapse is not None:
                source = self.carry(atom.source)
                return Projection(source.name, target, synapse, delay=source.delay)
        elif atom not in self.carriers:
            raise SpikecError(
                "SPK1434",
                target,
                f"it reads {str(Value.of(atom))[:200]}, which no recognised neuron sends",
                "See docs/onnx.md for the neurons that are recognised",
            )
        source = self.carry(Value.of(atom))
        number = uniform(factor).reshape(-1)
        weight = Tensor.floats(number[0] if number.size == 1 else number)
        return Projection(source.name, target, OneToOne(size, weight), delay=source.delay)

    def _add_bias(self, target: str, made: list[Projection], value: Value) -> None:
        """Put a constant into the bias of one projection."""
        if not made:
            raise SpikecError(
                "SPK1429",
                target,
                "it reads nothing but a constant",
                "Export an output of the network",
            )
        constant = np.broadcast_to(value.constant, value.shape).reshape(-1)
        for k, p in enumerate(made):
            synapse = biased(p.synapse, constant)
            if synapse is not None and p.delay == 0:
                made[k] = replace(p, synapse=synapse)
                return
        # A convolution has one bias per channel only; behind a relay there is one per neuron.
        first = made[0]
        name = self.add_population(f"{target}.sum", value.shape, Relay())
        self.projections.append(replace(first, target=name))
        synapse = OneToOne(value.size, Tensor.floats(1.0), Tensor.floats(constant))
        made[0] = Projection(name, target, synapse)


def live_atoms(values: Iterable[Value]) -> set[Atom]:
    """Return all atoms that values depend on."""
    seen: set[Atom] = set()
    waiting = [a for value in values for a in value.atoms]
    while waiting:
        atom = waiting.pop()
        if atom in seen:
            continue
        seen.add(atom)
        if isinstance(atom, Mapped):
            waiting.extend(atom.source.atoms)
        if isinstance(atom, Above | Rectified):
            waiting.extend(atom.inner.atoms)
    return seen


def _per_channel(values: Array, channels: int) -> Array | None:
    """Return one number per channel, or None where a channel has several."""
    if values.size == 1:
        return np.broadcast_to(values, channels)
    rows = values.reshape(channels, -1)
    return rows[:, 0] if bool(np.all(rows == rows[:, :1])) else None


def _channels(synapse: Synapse) -> int:
    whole = isinstance(synapse, Dense | OneToOne)
    return synapse.out_size if whole else synapse.out_shape[0]


def scaled(synapse: Synapse, factor: Array) -> Synapse | None:
    """Return a map times a factor, one number or one per output; None where it has no such form."""
    if factor.size == 1 and factor[0] == 1:
        return synapse
    numbers = _per_channel(factor, _channels(synapse))
    if numbers is None or not (factor.size == 1 or isinstance(synapse, Dense | Conv1d | Conv2d)):
        return None
    wide = numbers.reshape(-1, *(1,) * (len(synapse.weight.shape) - 1))
    weight = synapse.weight.real() * (wide if synapse.weight.shape else factor[0])
    bias = None if synapse.bias is None else Tensor.floats(synapse.bias.real() * numbers)
    return synapse.with_numbers(Tensor.floats(weight), bias)


def biased(synapse: Synapse, constant: Array) -> Synapse | None:
    """Return a map plus a constant per output; None where its bias cannot hold that."""
    numbers = _per_channel(constant, _channels(synapse))
    if numbers is None:
        return None
    bias = numbers if synapse.bias is None else synapse.bias.real() + numbers
    return synapse.with_numbers(synapse.weight, Tensor.floats(bias))


def rescaled(projection: Projection, scales: Mapping[str, float]) -> Projection:
    """Return a projection whose ends are counted in units of ``scales``."""
    before, after = scales[projection.source], scales[projection.target]
    if before == after == 1:
        return projection
    synapse = projection.synapse
    weight = Tensor.floats(synapse.weight.real() * (before / after))
    bias = None if synapse.bias is None else Tensor.floats(synapse.bias.real() / after)
    return replace(projection, synapse=synapse.with_numbers(weight, bias))
