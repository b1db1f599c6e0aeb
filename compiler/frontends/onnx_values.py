"""What an ONNX value is, per neuron: a polynomial over atoms, in normal form.

A polynomial is a sum of products of atoms, each with a coefficient: one number, or one per element.
Sums and products are multiplied out, so that two graphs which compute the same by other operations
in another order have the same normal form. An atom is a graph input, the output of a linear map, or
a function that is not linear: a step (one where an expression is above zero) or a rectifier.
A step is its own square.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Literal

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.synapses import Shape, Synapse
from spikec.compiler.types import Array

MAX_TERMS = 64
# Constants of a graph are float32, and were calculated in it.
TOLERANCE = 1e-6

Compare = Literal["gt", "ge"]


@dataclass(frozen=True, slots=True, eq=False)
class Atom:
    """What is not taken apart further; two atoms are the same if they are one object.

    Attributes:
        name: Name of the ONNX value.
        shape: Shape, without the batch axis.
    """

    name: str
    shape: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Entry(Atom):
    """An input of the graph."""


@dataclass(frozen=True, slots=True, eq=False)
class Mapped(Atom):
    """A linear map of a value, with the synapse's bias."""

    source: "Value"
    synapse: Synapse


@dataclass(frozen=True, slots=True, eq=False)
class Above(Atom):
    """One where ``inner`` is above zero (gt), or not below (ge), else zero."""

    inner: "Value"
    compare: Compare


@dataclass(frozen=True, slots=True, eq=False)
class Rectified(Atom):
    """max(inner, 0), and not above ``ceiling``."""

    inner: "Value"
    ceiling: float


Product = tuple[Atom, ...]
Terms = Mapping[Product, Array]


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A polynomial.

    Attributes:
        shape: Shape, without the batch axis.
        terms: Coefficient by product of atoms; the empty product is the constant. A coefficient is
            0-d, or has ``shape``.
    """

    shape: Shape
    terms: Terms = field(default_factory=dict[Product, Array])

    @staticmethod
    def of(atom: Atom) -> "Value":
        """Return an atom as a value."""
        return Value(atom.shape, {(atom,): np.ones(())})

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def constant(self) -> Array:
        """The coefficient of the empty product."""
        return self.terms.get((), np.zeros(()))

    @property
    def atoms(self) -> set[Atom]:
        """All atoms, not those inside of atoms."""
        return {atom for product in self.terms for atom in product}

    def coefficient(self, *product: Atom) -> Array:
        """Return the coefficient of a product."""
        return self.terms.get(_sorted(product), np.zeros(()))

    def single(self) -> Atom | None:
        """Return the atom that this is, or None if it is anything else."""
        if len(self.terms) != 1:
            return None
        ((product, factor),) = self.terms.items()
        return product[0] if len(product) == 1 and bool(np.all(factor == 1)) else None

    def plus(self, other: "Value", factor: float = 1.0) -> "Value":
        """Return the sum with ``factor`` times another value of the same shape."""
        terms = dict(self.terms)
        for product, value in other.terms.items():
            terms[product] = terms.get(product, np.zeros(())) + factor * value
        return _tidy(self.shape, terms)

    def times(self, other: "Value") -> "Value":
        """Return the product with a value of the same shape."""
        terms: dict[Product, Array] = {}
        for a, x in self.terms.items():
            for b, y in other.terms.items():
                product = _sorted((*a, *b))
                terms[product] = terms.get(product, np.zeros(())) + x * y
            _check_terms(terms)
        return _tidy(self.shape, terms)

    def scaled(self, factor: Array) -> "Value":
        """Return the product with a constant that is 0-d or has the value's shape."""
        return _tidy(self.shape, {p: np.asarray(v * factor) for p, v in self.terms.items()})

    def reshaped(self, shape: Shape) -> "Value":
        """Return the same elements, in C order, in another shape.

        An atom keeps its own shape: it is read in C order.
        """
        terms = {p: v.reshape(shape) if v.ndim else v for p, v in self.terms.items()}
        return Value(shape, terms)

    def split(self, atom: Atom) -> tuple["Value", "Value"]:
        """Return A and B of A + atom B, where the atom occurs once in a product."""
        rest: dict[Product, Array] = {}
        inside: dict[Product, Array] = {}
        for product, value in self.terms.items():
            if atom in product:
                inside[tuple(a for a in product if a is not atom)] = value
            else:
                rest[product] = value
        return Value(self.shape, rest), Value(self.shape, inside)

    def close_to(self, other: "Value") -> bool:
        """Return whether all coefficients agree to the precision of float32."""
        return all(
            close(self.terms.get(p, np.zeros(())), other.terms.get(p, np.zeros(())))
            for p in {*self.terms, *other.terms}
        )

    def __str__(self) -> str:
        """Return the sum as people write it."""
        parts = [_term(product, value) for product, value in self.terms.items()]
        return " + ".join(parts).replace("+ -", "- ") if parts else "0"


def close(a: Array, b: Array) -> bool:
    """Return whether two coefficients agree to the precision of float32."""
    size = np.maximum(np.maximum(np.abs(a), np.abs(b)), 1e-30)
    return bool(np.all(np.abs(a - b) <= TOLERANCE * np.maximum(size, 1e-3)))


def uniform(values: Array) -> Array:
    """Return one number where all are the same, else the values."""
    first = values.reshape(-1)[:1]
    return first.reshape(()) if values.size and bool(np.all(values == first)) else values


def _sorted(product: Product) -> Product:
    """Return the product in one order, with the powers of a step reduced to one."""
    kept: list[Atom] = []
    for atom in sorted(product, key=id):
        if not (isinstance(atom, Above) and atom in kept):
            kept.append(atom)
    return tuple(kept)


def _tidy(shape: Shape, terms: Terms) -> Value:
    kept = {p: np.asarray(v) for p, v in terms.items() if np.any(v != 0)}
    _check_terms(kept)
    return Value(shape, kept)


def _check_terms(terms: Terms) -> None:
    if len(terms) > MAX_TERMS:
        raise SpikecError(
            "SPK1420",
            "an expression",
            f"multiplied out it has more than {MAX_TERMS} terms",
            "Export a single step of a network whose neurons are listed in docs/onnx.md",
        )


def _term(product: Product, value: Array) -> str:
    names = sorted(_atom(atom) for atom in product)
    low, high = float(value.min()), float(value.max())
    number = f"{low:.6g}" if low == high else f"({low:.4g} to {high:.4g})"
    if names and number in ("1", "-1"):
        return number[:-1] + " ".join(names)
    return " ".join([number, *names])


def _atom(atom: Atom) -> str:
    # What a step in a step compares is not shown: it could be nested without an end.
    if isinstance(atom, Above) and not any(isinstance(a, Above) for a in atom.inner.atoms):
        return f"[{atom.inner} {'>' if atom.compare == 'gt' else '>='} 0]"
    return atom.name[:60]
