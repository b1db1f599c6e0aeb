"""Types of wires and of stored numbers.

``Float`` and ``Bool`` are what they say. ``Exact(lo, hi, frac)`` is the type of a wire: any integer
n with lo <= n <= hi, standing for the real value n * 2^-frac. ``FixedPoint(bits, frac, signed)`` is
a storage format, written ``s16.8`` or ``u12.8`` (bits, then fraction bits). Rounding and overflow
belong to a cast, not to a format.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from spikec.compiler.errors import SpikecError

Array: TypeAlias = npt.NDArray[Any]
Rounding = Literal["floor", "to_zero", "nearest", "nearest_even"]
Overflow = Literal["saturate", "wrap", "never"]

ROUNDINGS: tuple[Rounding, ...] = ("floor", "to_zero", "nearest", "nearest_even")
OVERFLOWS: tuple[Overflow, ...] = ("saturate", "wrap", "never")

# int64 holds 63 bits and a sign; one bit is kept free so that the bias of a rounding still fits.
WIRE_BITS = 62

_FORMAT = re.compile(r"([su])([1-9][0-9]{0,1})\.(-?[0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class Float:
    """IEEE floating point."""

    bits: int = 64

    def __str__(self) -> str:
        """Return ``f64``."""
        return f"f{self.bits}"


@dataclass(frozen=True, slots=True)
class Bool:
    """A flag or a spike."""

    def __str__(self) -> str:
        """Return ``bool``."""
        return "bool"


@dataclass(frozen=True, slots=True)
class Exact:
    """Any integer n, lo <= n <= hi, with the real value n * 2^-frac."""

    lo: int
    hi: int
    frac: int = 0

    def __post_init__(self) -> None:
        """Refuse what int64 cannot hold.

        Raises:
            SpikecError: SPK0101 when the interval needs more than ``WIRE_BITS`` bits.
        """
        if max(abs(self.lo), abs(self.hi)) >= 1 << WIRE_BITS:
            raise SpikecError(
                "SPK0101",
                "wire",
                f"the interval [{self.lo}, {self.hi}] needs more than {WIRE_BITS} bits",
                "Use fewer bits for weights, states or constants",
            )

    @property
    def width(self) -> int:
        """Least w with -2^(w-1) <= lo and hi <= 2^(w-1) - 1."""
        below, above = (-self.lo - 1 if self.lo < 0 else 0), max(self.hi, 0)
        return max(below.bit_length(), above.bit_length()) + 1

    def __str__(self) -> str:
        """Return ``[lo, hi].frac``."""
        return f"[{self.lo}, {self.hi}].{self.frac}"


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """A storage format: ``bits`` in all, ``frac`` of them fraction (may be negative or larger)."""

    bits: int
    frac: int = 0
    signed: bool = True

    def __post_init__(self) -> None:
        """Check the width.

        Raises:
            SpikecError: SPK0102 when ``bits`` is outside 1 to 62.
        """
        if not 1 <= self.bits <= WIRE_BITS:
            raise SpikecError(
                "SPK0102",
                "format",
                f"{self.bits} bits are outside 1 to {WIRE_BITS}",
                "Choose a width in that range",
            )

    @property
    def lo(self) -> int:
        """Least storable integer."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def hi(self) -> int:
        """Greatest storable integer."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    def __str__(self) -> str:
        """Return the text form, for instance ``s16.8``."""
        return f"{'s' if self.signed else 'u'}{self.bits}.{self.frac}"

    @staticmethod
    def parse(text: str) -> "FixedPoint":
        """Read the text form.

        Raises:
            SpikecError: SPK0103 when ``text`` is not a format.
        """
        match = _FORMAT.fullmatch(text)
        if match is None:
            raise SpikecError(
                "SPK0103", "format", f"'{text}' is not a fixed-point format", "Write s16.8 or u12.8"
            )
        return FixedPoint(int(match[2]), int(match[3]), match[1] == "s")


@dataclass(frozen=True, slots=True)
class Format:
    """What a cast does: where to store, how to round, what to do on overflow."""

    type: FixedPoint
    rounding: Rounding = "nearest_even"
    overflow: Overflow = "saturate"

    def __str__(self) -> str:
        """Return for instance ``s16.8:nearest_even:saturate``."""
        return f"{self.type}:{self.rounding}:{self.overflow}"


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """Numbers as they are stored: real value = data * 2^-frac * scale.

    Attributes:
        data: float64, or where ``dtype`` is fixed point the narrowest of int8, int16, int32 and
            int64 that holds it; read-only. Widen to ``number`` before arithmetic.
        dtype: How the numbers are stored on the target.
        scale: Real value of one unit: one number, or one per neuron.
    """

    data: Array
    dtype: Float | FixedPoint = Float()
    scale: float = 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the data; () for a scalar."""
        return self.data.shape

    @property
    def is_float(self) -> bool:
        """Whether the numbers are floating point."""
        return isinstance(self.dtype, Float)

    @property
    def number(self) -> type[np.float64] | type[np.int64]:
        """The type in which the numbers are calculated with."""
        return np.float64 if self.data.dtype.kind == "f" else np.int64

    @property
    def frac(self) -> int:
        """Fraction bits; 0 for floating point."""
        return 0 if isinstance(self.dtype, Float) else self.dtype.frac

    def real(self) -> Array:
        """Return the real values, float64."""
        return np.ldexp(self.data.astype(np.float64), -self.frac) * self.scale

    @staticmethod
    def floats(values: npt.ArrayLike) -> "Tensor":
        """Return a float64 tensor of ``values``, copied and read-only."""
        return Tensor.own(np.array(values, dtype=np.float64))

    @staticmethod
    def own(data: Array) -> "Tensor":
        """Return a float64 tensor of an array that nobody else changes, without a copy."""
        data = np.asarray(data)
        data.setflags(write=False)
        return Tensor(data)

    @staticmethod
    def integers(values: npt.ArrayLike, dtype: FixedPoint, scale: float = 1.0) -> "Tensor":
        """Return a fixed-point tensor of the stored integers ``values``, copied and read-only.

        Raises:
            SpikecError: SPK0105 when a value is not an integer, SPK0104 when it does not fit
                ``dtype``.
        """
        given = np.asarray(values)
        whole = given.dtype.kind != "f" or np.isfinite(given) & (given == np.rint(given))
        if not np.all(whole):
            raise SpikecError(
                "SPK0105", "tensor", f"a value for {dtype} is not an integer", "Round the values"
            )
        lo, hi = (int(given.min()), int(given.max())) if given.size else (0, 0)
        if lo < dtype.lo or hi > dtype.hi:
            raise SpikecError(
                "SPK0104",
                "tensor",
                f"values from {lo} to {hi} do not fit {dtype}",
                f"Use a format that holds {dtype.lo} to {dtype.hi} or more bits",
            )
        data = np.array(given, dtype=narrowest(dtype.lo, dtype.hi))
        data.setflags(write=False)
        return Tensor(data, dtype, scale)


def narrowest(lo: int, hi: int) -> type[np.signedinteger[Any]]:
    """Return the smallest of int8, int16, int32 and int64 that holds ``lo`` to ``hi``."""
    for kind in (np.int8, np.int16, np.int32):
        if np.iinfo(kind).min <= lo and hi <= np.iinfo(kind).max:
            return kind
    return np.int64


def fitting(values: Array, frac: int) -> FixedPoint:
    """Return the narrowest format with ``frac`` fraction bits that holds ``values``."""
    lo, hi = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if lo >= 0:
        return FixedPoint(max(hi.bit_length(), 1), frac, signed=False)
    return FixedPoint(Exact(lo, hi, frac).width, frac, signed=True)
