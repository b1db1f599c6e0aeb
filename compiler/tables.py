"""Curves as tables with linear interpolation between entries, for integer equations.

A table of a curve f over lo..hi has an entry every h = 2^-step_bits; entry k is f(lo + k h),
rounded to ``FRAC`` fraction bits, and beside it stands the difference to the next. Between entries
the interpolation is at most h^2 / 8 times the largest second derivative away from the curve, and
the entries add half a unit of their own. Entries come from decimal arithmetic, so that they are the
same on every machine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import lru_cache
from math import exp, log

from spikec.compiler.expr import Expr, bound, cast, lookup, shift, sub
from spikec.compiler.types import Exact, FixedPoint

FRAC = 16
_DIGITS = Context(prec=40, rounding=ROUND_HALF_EVEN)
_LN2 = Decimal(2).ln(_DIGITS)


@dataclass(frozen=True, slots=True)
class Table:
    """A curve in whole multiples of 2^-16.

    Attributes:
        lo: Least argument.
        step_bits: 2^step_bits entries per unit.
        entries: At lo, lo + 2^-step_bits, and so on.
        error: Largest difference from the curve between the first entry and the last.
    """

    lo: int
    step_bits: int
    entries: tuple[int, ...]
    error: float

    def at(self, x: Expr) -> Expr:
        """Return the interpolated value of an integer wire that stays inside the table."""
        offset = sub(x, self.lo)
        assert isinstance(offset.dtype, Exact)
        bits = max((len(self.entries) - 1).bit_length(), 1)
        whole = cast(offset, FixedPoint(bits, self.step_bits, signed=False), "floor", "never")
        index = shift(whole, self.step_bits)
        rest = bound(sub(offset, whole), 0, (1 << max(offset.dtype.frac - self.step_bits, 0)) - 1)
        following = (*self.entries[1:], self.entries[-1])
        slopes = [b - a for a, b in zip(self.entries, following, strict=True)]
        rise = shift(lookup(index, slopes, FRAC) * rest, self.step_bits)
        return lookup(index, self.entries, FRAC) + rise


@lru_cache(maxsize=32)
def exponential(lo: int, hi: int, step_bits: int) -> Table:
    """Return exp over lo..hi."""
    return _table(lambda x: x.exp(_DIGITS), lo, hi, step_bits, exp(hi))


@lru_cache(maxsize=32)
def power_of_two(lo: int, hi: int, step_bits: int) -> Table:
    """Return 2^x over lo..hi."""
    curvature = log(2) ** 2 * 2.0**hi
    return _table(lambda x: (x * _LN2).exp(_DIGITS), lo, hi, step_bits, curvature)


@lru_cache(maxsize=32)
def hyperbolic_tangent(lo: int, hi: int, step_bits: int) -> Table:
    """Return tanh over lo..hi."""

    def tanh(x: Decimal) -> Decimal:
        e = (2 * x).exp(_DIGITS)
        return (e - 1) / (e + 1)

    # The second derivative, 2 t (1 - t^2), is largest where t^2 = 1/3.
    return _table(tanh, lo, hi, step_bits, 4 / 27**0.5)


@lru_cache(maxsize=32)
def half_gaussian(sigma: float, hi: int, step_bits: int) -> Table:
    """Return x (1 - exp(-x^2 / (2 sigma^2))) over 0..hi."""
    spread = 2 * Decimal(sigma) ** 2

    def filtered(x: Decimal) -> Decimal:
        return x * (1 - (-x * x / spread).exp(_DIGITS))

    # |3 z - z^3| exp(-z^2 / 2) / sigma at z^2 = 3 - 6^(1/2) is largest.
    return _table(filtered, 0, hi, step_bits, 1.3802 / sigma)


def _table(
    curve: Callable[[Decimal], Decimal], lo: int, hi: int, step_bits: int, curvature: float
) -> Table:
    with localcontext(_DIGITS):
        steps = range(((hi - lo) << step_bits) + 1)
        points = [lo + Decimal(k) / (1 << step_bits) for k in steps]
        entries = tuple(int((curve(x) * (1 << FRAC)).to_integral_value()) for x in points)
    error = curvature * 4.0**-step_bits / 8 + 2.0 ** -(FRAC + 1)
    return Table(lo, step_bits, entries, error)
