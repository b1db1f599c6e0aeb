"""Types of wires, storage formats and tensors."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Exact, FixedPoint, Float, Format, Tensor, fitting


def failure(code: str, call: Callable[[], object]) -> str:
    """Return the line of the error that ``call`` raises."""
    with pytest.raises(SpikecError) as caught:
        call()
    assert caught.value.code == code
    return str(caught.value)


def test_every_format_prints_and_parses_back() -> None:
    """All widths, fractions from far below zero to far above the width, both signs."""
    for bits in range(1, 63):
        for frac in (-9999, -bits, -1, 0, 1, bits, bits + 7, 9999):
            for signed in (False, True):
                made = FixedPoint(bits, frac, signed)
                assert FixedPoint.parse(str(made)) == made
    assert str(FixedPoint(16, 8)) == "s16.8"
    assert str(FixedPoint(12, -3, signed=False)) == "u12.-3"


@pytest.mark.parametrize(
    "text", ["", "s", "16.8", "s16", "s16.", "s016.8", "s16.8 ", "f64", "s16.8.8", "s16.12345"]
)
def test_what_is_no_format_is_refused(text: str) -> None:
    """The message quotes the text."""
    line = f"format: '{text}' is not a fixed-point format. Write s16.8 or u12.8. [SPK0103]"
    assert failure("SPK0103", lambda: FixedPoint.parse(text)) == line


@pytest.mark.parametrize("bits", [-1, 0, 63, 99])
def test_format_width_is_1_to_62(bits: int) -> None:
    """A wider one would not fit a machine word with a rounding bias."""
    line = f"format: {bits} bits are outside 1 to 62. Choose a width in that range. [SPK0102]"
    assert failure("SPK0102", lambda: FixedPoint(bits)) == line


def test_range_of_a_format() -> None:
    """Two's complement where signed, from zero where not."""
    assert (FixedPoint(8).lo, FixedPoint(8).hi) == (-128, 127)
    assert (FixedPoint(8, 3, signed=False).lo, FixedPoint(8, 3, signed=False).hi) == (0, 255)
    assert (FixedPoint(1).lo, FixedPoint(1).hi) == (-1, 0)
    assert (FixedPoint(62).lo, FixedPoint(62).hi) == (-(2**61), 2**61 - 1)


def test_width_is_the_least_that_holds_the_interval() -> None:
    """Every interval inside -70..70, by search."""
    for lo in range(-70, 71):
        for hi in range(lo, 71):
            least = next(w for w in range(1, 9) if -(2 ** (w - 1)) <= lo and hi < 2 ** (w - 1))
            assert Exact(lo, hi).width == least, (lo, hi)
    assert Exact(-(2**62) + 1, 2**62 - 1).width == 63


@pytest.mark.parametrize(("lo", "hi"), [(0, 2**62), (-(2**62), 0), (-(10**30), 10**30)])
def test_an_interval_beyond_62_bits_is_an_error(lo: int, hi: int) -> None:
    """int64 overflow would be silent."""
    assert failure("SPK0101", lambda: Exact(lo, hi)) == (
        f"wire: the interval [{lo}, {hi}] needs more than 62 bits. "
        "Use fewer bits for weights, states or constants. [SPK0101]"
    )


def test_text_of_types() -> None:
    """Types print as expr.md writes them."""
    assert str(Exact(-3, 5, 2)) == "[-3, 5].2"
    assert str(Float()) == "f64"
    assert str(Format(FixedPoint(16, 8))) == "s16.8:nearest_even:saturate"


def test_integers_must_fit_their_format() -> None:
    """Both ends are checked; nothing wraps."""
    s8, u8 = FixedPoint(8, 4), FixedPoint(8, 4, signed=False)
    for values in ([-128, 127], [], [[0], [1]]):
        stored = Tensor.integers(values, s8)
        assert stored.data.dtype == np.int8
        assert stored.number == np.int64
        assert not stored.data.flags.writeable
    for bits, kind in ((8, np.int16), (16, np.int32), (32, np.int64)):  # unsigned: one bit more
        assert Tensor.integers([1], FixedPoint(bits, 0, signed=False)).data.dtype == kind
    line = (
        "tensor: values from -129 to 3 do not fit s8.4. "
        "Use a format that holds -128 to 127 or more bits. [SPK0104]"
    )
    assert failure("SPK0104", lambda: Tensor.integers([-129, 3], s8)) == line
    wide: list[Any] = [[128], [2**63], [-(2**70)], [1e30], np.uint64(2**63)]
    for given in wide:
        failure("SPK0104", partial(Tensor.integers, given, s8))
    failure("SPK0104", partial(Tensor.integers, [-1], u8))


def test_integers_must_be_whole() -> None:
    """A fraction is refused, not truncated; whole floating-point numbers are taken."""
    s8 = FixedPoint(8)
    assert Tensor.integers([-0.0, 3.0], s8).data.tolist() == [0, 3]
    line = "tensor: a value for s8.0 is not an integer. Round the values. [SPK0105]"
    for given in ([0.5], [1.0, -3.25], [np.nan], [np.inf]):
        assert failure("SPK0105", partial(Tensor.integers, given, s8)) == line


def test_a_tensor_is_a_copy_and_read_only() -> None:
    """The caller's array may change afterwards."""
    mine = np.array([1.0, 2.0])
    for made in (Tensor.floats(mine), Tensor.integers(mine, FixedPoint(8))):
        mine[0] = 5.0
        assert made.data[0] != 5.0
        with pytest.raises(ValueError, match="read-only"):
            made.data[0] = 7
        mine[0] = 1.0


def test_real_values() -> None:
    """Real value = data * 2^-frac * scale, for negative fractions too."""
    assert Tensor.integers([3, -5], FixedPoint(8, 2), 0.5).real().tolist() == [0.375, -0.625]
    assert Tensor.integers(3, FixedPoint(8, -4)).real() == 48.0
    assert Tensor.floats(0.1).real() == 0.1


def test_fitting_is_the_narrowest_format() -> None:
    """Unsigned where nothing is negative; never narrower than one bit."""
    for lo in range(-40, 41):
        for hi in range(lo, 41):
            made = fitting(np.array([lo, hi]), 3)
            assert (made.frac, made.signed) == (3, lo < 0)
            assert made.lo <= lo
            assert hi <= made.hi
            if made.bits > 1:
                less = FixedPoint(made.bits - 1, 3, made.signed)
                assert lo < less.lo or hi > less.hi
    assert fitting(np.array([], dtype=np.int64), 0) == FixedPoint(1, 0, signed=False)
