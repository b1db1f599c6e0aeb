"""The expression language: the tables and interval rules of its definition, and its errors."""

import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import spikec
from spikec.compiler import expr as ex
from spikec.compiler.equation import lower
from spikec.compiler.errors import SpikecError
from spikec.compiler.evaluate import evaluate
from spikec.compiler.expr import Expr
from spikec.compiler.types import Bool, Exact, FixedPoint, Float, Format

S4, U4 = FixedPoint(4), FixedPoint(4, signed=False)


def wire(lo: int, hi: int, frac: int = 0, name: str = "x") -> Expr:
    return ex.leaf("input", name, Exact(lo, hi, frac))


def flag(name: str = "f") -> Expr:
    return ex.leaf("input", name, Bool())


def value(node: Expr, **leaves: int) -> int:
    found = evaluate([node], {("input", k): np.array([v]) for k, v in leaves.items()})[0]
    return int(np.broadcast_to(found, 1)[0])


def failure(call: Callable[[], object]) -> str:
    with pytest.raises(SpikecError) as caught:
        call()
    return str(caught.value)


# ---------------------------------------------------------------- section 4, entry by entry

ROUNDED = (-8, -7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 5, 6, 7)
ROUNDING: dict[Any, tuple[int, ...]] = {
    "floor": (-2, -2, -2, -2, -1, -1, -1, -1, 0, 0, 0, 1, 1, 1),
    "to_zero": (-2, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 1, 1, 1),
    "nearest": (-2, -2, -1, -1, -1, -1, 0, 0, 0, 1, 1, 1, 2, 2),
    "nearest_even": (-2, -2, -2, -1, -1, -1, 0, 0, 0, 0, 1, 1, 2, 2),
}
OVERFLOWING = (-17, -9, -8, -1, 7, 8, 15, 16, 23, 24)
OVERFLOW: list[tuple[Any, FixedPoint, tuple[int, ...]]] = [
    ("saturate", S4, (-8, -8, -8, -1, 7, 7, 7, 7, 7, 7)),
    ("wrap", S4, (-1, 7, -8, -1, 7, -8, -1, 0, 7, -8)),
    ("saturate", U4, (0, 0, 0, 0, 7, 8, 15, 15, 15, 15)),
    ("wrap", U4, (15, 7, 8, 15, 7, 8, 15, 0, 7, 8)),
]


@pytest.mark.parametrize("mode", ROUNDING)
def test_rounding_table(mode: Any) -> None:
    """Dropping two bits, of a wire and of a constant, as the specification's table says."""
    rounded = ex.cast(wire(-8, 7, 2), FixedPoint(8), mode, "never")
    for x, expected in zip(ROUNDED, ROUNDING[mode], strict=True):
        assert value(rounded, x=x) == expected
        assert ex.roundfixed(x, 2, mode) == expected
        assert ex.constant(ex.cast(ex.fixed(x, 2), FixedPoint(8), mode)) == expected


@pytest.mark.parametrize(("mode", "to", "row"), OVERFLOW)
def test_overflow_table(mode: Any, to: FixedPoint, row: tuple[int, ...]) -> None:
    """Saturation and wrapping into four bits, as the specification's table says."""
    made = ex.cast(wire(-17, 24), to, "floor", mode)
    assert [value(made, x=x) for x in OVERFLOWING] == list(row)


# ---------------------------------------------------------------- section 3, intervals


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (wire(-3, 5) + wire(2, 7, name="y"), Exact(-1, 12)),
        (wire(-3, 5) - wire(2, 7, name="y"), Exact(-10, 3)),
        (wire(-3, 5, 1) + wire(2, 7, 3, "y"), Exact(-12 + 2, 20 + 7, 3)),
        (-wire(-3, 5), Exact(-5, 3)),
        (wire(-3, 5) * wire(-7, 2, 2, "y"), Exact(-35, 21, 2)),
        (wire(-4, -2) * wire(3, 5, name="y"), Exact(-20, -6)),
        (wire(-4, 3) * Fraction(-3, 4), Exact(-9, 12, 2)),
        (ex.shift(wire(-4, 3, 2), 5), Exact(-4, 3, -3)),
        (ex.shift(wire(-4, 3, 2), -5), Exact(-4, 3, 7)),
        (ex.absolute(wire(-4, 3)), Exact(0, 4)),
        (ex.absolute(wire(-9, -3)), Exact(3, 9)),
        (ex.absolute(wire(2, 6)), Exact(2, 6)),
        (ex.minimum(wire(-4, 3), wire(-2, 1, name="y")), Exact(-4, 1)),
        (ex.maximum(wire(-4, 3), wire(-2, 1, name="y")), Exact(-2, 3)),
        (ex.clamp(wire(-9, 9), -2, 3), Exact(-2, 3)),
        (ex.where(flag(), wire(-4, 3), wire(5, 9, 1, "y")), Exact(-8, 9, 1)),
        (ex.where(flag(), 1, 0), Exact(0, 1)),
        (ex.cast(wire(-100, 100, 4), FixedPoint(4)), Exact(-6, 6)),
        (ex.cast(wire(-100, 100), FixedPoint(4)), Exact(-8, 7)),
        (ex.cast(wire(20, 100), FixedPoint(4)), Exact(7, 7)),
        (ex.cast(wire(-100, -20), U4), Exact(0, 0)),
        (ex.cast(wire(-1, 1), U4, overflow="wrap"), Exact(0, 15)),
        (ex.cast(wire(-8, 7), FixedPoint(8, 3)), Exact(-64, 56, 3)),
        (ex.cast(wire(-8, 7, 1), FixedPoint(8), "nearest"), Exact(-4, 4)),
        (ex.count(wire(-9, 29), wire(3, 5, name="y")), Exact(0, 9)),
        (ex.count(wire(-9, 29), wire(3, 5, name="y"), 7), Exact(0, 7)),
        (ex.count(wire(-9, -1), wire(3, 5, name="y")), Exact(0, 0)),
        (ex.count(wire(0, 10), wire(3, 5, 1, "y")), Exact(0, 6)),
        (ex.remainder(wire(-9, 29), wire(3, 5, name="y"), 2), Exact(-9, 23)),
        (ex.remainder(wire(-9, 29), wire(3, 5, name="y")), Exact(-9, 4)),
        (ex.remainder(wire(1, 2), wire(3, 5, name="y")), Exact(1, 2)),
        (ex.remainder(wire(-9, -3), ex.fixed(2, 1)), Exact(-18, -6, 1)),
        (ex.bound(wire(-9, 29), 0, 3), Exact(0, 3)),
        (ex.bound(wire(-9, 29), -50, 50), Exact(-9, 29)),
        (ex.bound(wire(-9, 29), 0, None), Exact(0, 29)),
        (ex.lookup(wire(0, 2), (5, -7, 3), 4), Exact(-7, 5, 4)),
    ],
)
def test_interval(made: Expr, expected: Exact) -> None:
    """The interval and the binary point of every op, corner by corner."""
    assert made.dtype == expected


@pytest.mark.parametrize(
    ("lo", "hi", "expected"), [(-3, 5, (0, 25)), (-7, -2, (4, 49)), (2, 3, (4, 9))]
)
def test_square_has_no_negative_corner(lo: int, hi: int, expected: tuple[int, int]) -> None:
    """mul(a, a) knows that its operands are one."""
    x = wire(lo, hi, 3)
    assert (x * x).dtype == Exact(*expected, 6)


def test_mul_by_a_constant_puts_it_second() -> None:
    """Products by one and zero, and sums with zero, are no nodes."""
    x = wire(-3, 5)
    assert (3 * x).args[1].op == "const"
    assert 1 * x is x
    assert x * ex.fixed(8, 3) is x
    assert (0 * x).op == "const"
    assert x + 0 is x
    assert 0 + x is x
    assert x - 0 is x
    assert ex.where(flag(), x, x) is x


def test_cast_has_only_the_nodes_that_act() -> None:
    """align or round, then saturate or wrap, each only where it can change a value."""

    def ops(node: Expr) -> list[str]:
        return [n.op for n in ex.topological([node]) if n.args]

    assert ops(ex.cast(wire(-8, 7), S4)) == []
    assert ops(ex.cast(wire(-8, 7), FixedPoint(8, 2))) == ["align"]
    assert ops(ex.cast(wire(-8, 7, 2), S4)) == ["round"]
    assert ops(ex.cast(wire(-9, 7), S4)) == ["saturate"]
    assert ops(ex.cast(wire(-90, 70, 2), S4, overflow="wrap")) == ["round", "wrap"]
    assert ops(ex.cast(wire(-8, 8), S4, "floor", "wrap")) == ["wrap"]


# ---------------------------------------------------------------- constants


@pytest.mark.parametrize(
    ("given", "n", "frac"),
    [(0.5, 1, 1), (-0.75, -3, 2), (7, 7, 0), (Fraction(3, 8), 3, 3), (0, 0, 0)],
)
def test_dyadic_constants_are_exact(given: Any, n: int, frac: int) -> None:
    """n / 2^f in lowest terms."""
    assert ex.const(given).dtype == Exact(n, n, frac)
    assert ex.constant(ex.const(given)) == Fraction(given)


@pytest.mark.parametrize("given", [Fraction(1, 3), float("inf"), float("nan")])
def test_other_constants_are_refused(given: Any) -> None:
    """Rounding a constant is the business of quantize."""
    line = f"const: {given} is not n/2^f. Round the constant in quantize. [SPK0201]"
    assert failure(lambda: ex.const(given)) == line


def test_a_float_constant_is_what_float64_holds() -> None:
    """0.1 is a dyadic rational of 55 fraction bits."""
    assert ex.constant(ex.const(0.1)) == Fraction(0.1)
    assert not ex.is_const(ex.real(float("nan")), 0)
    assert (ex.leaf("input", "x", Float()) * ex.real(float("inf"))).op == "mul"


# ---------------------------------------------------------------- errors


WIDE = wire(-(2**40), 2**40)
REAL = ex.leaf("input", "r", Float())


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (
            lambda: WIDE * WIDE,
            "wire: the interval [0, 1208925819614629174706176] needs more than 62 bits. "
            "Use fewer bits for weights, states or constants. [SPK0101]",
        ),
        (
            lambda: ex.cast(wire(-9, 9, 1), FixedPoint(3), "floor", "never"),
            "cast: the interval [-5, 4] does not fit s3.0. Use 4 bits, or saturate. [SPK0205]",
        ),
        (
            lambda: REAL + wire(0, 1),
            "add: operands of types f64, [0, 1].0 do not mix. Use where(flag, 1, 0). [SPK0202]",
        ),
        (
            lambda: flag() + 1,
            "add: operands of types bool, [1, 1].0 do not mix. Use where(flag, 1, 0). [SPK0202]",
        ),
        (
            lambda: ex.gt(flag(), flag("g")),
            "gt: operands of types bool, bool do not mix. Use where(flag, 1, 0). [SPK0202]",
        ),
        (
            lambda: ex.and_(flag(), wire(0, 1)),
            "and: an operand is [0, 1].0, not bool. Compare first. [SPK0203]",
        ),
        (
            lambda: ex.where(wire(0, 1), 1, 2),
            "where: the condition is [0, 1].0, not bool. Compare first. [SPK0204]",
        ),
        (
            lambda: ex.count(wire(0, 9), wire(0, 3)),
            "count: the divisor [0, 3] may be zero. Use positive values. [SPK0206]",
        ),
        (
            lambda: ex.lookup(wire(0, 3), (1, 2, 3), 0),
            "lookup: the index [0, 3].0 may leave a table of 3 entries. "
            "Clamp the index to the table. [SPK0207]",
        ),
        (
            lambda: ex.curve("sin", REAL),
            "curve: sin of f64 is not known. Use exp, tanh, sigmoid, sqrt, log on f64. [SPK0208]",
        ),
        (
            lambda: ex.cast(REAL, S4),
            "input: a wire of type f64 is no integer. Cast and shift integers only. [SPK0209]",
        ),
    ],
)
def test_errors_are_pinned(make: Callable[[], object], line: str) -> None:
    """What an equation must not do, in one line each."""
    assert failure(make) == line


@pytest.mark.parametrize("index", [wire(-1, 1), wire(0, 1, 1)])
def test_a_table_is_never_left(index: Expr) -> None:
    """Negative and fractional indices are refused as well."""
    assert failure(lambda: ex.lookup(index, (1, 2, 3), 0)).endswith("[SPK0207]")


def test_the_rounding_bias_counts_towards_62_bits() -> None:
    """A wire that fits may not be rounded where adding half a unit would not fit."""
    edge = wire(0, 2**62 - 1)
    assert failure(lambda: ex.cast(edge, FixedPoint(62, -1))).endswith("[SPK0101]")
    assert failure(lambda: ex.cast(wire(0, 1, 70), FixedPoint(8))).endswith("[SPK0101]")


def test_an_expression_has_no_truth_value() -> None:
    """A Python ``if`` or ``and`` would freeze one branch; == stays identity."""
    x = wire(0, 1)
    with pytest.raises(TypeError, match="an Expr has no truth value; use where, and_, or_, not_"):
        bool(x > 0)
    with pytest.raises(TypeError):
        _ = 0 < x < 1
    assert x == x
    assert x != wire(0, 1)


# ---------------------------------------------------------------- graphs


def test_merge_unites_equal_subexpressions() -> None:
    """Equal ops on equal operands become one node; what differs stays apart."""
    x, y = wire(-3, 5), wire(-3, 5)
    first, second = ex.merge([(x + 1) * x, (y + 1) * y])
    assert first is second
    kept = [x + 1, x - 1, x > 1, x >= 1, ex.shift(x, 1), ex.shift(x, 2), wire(-3, 6), x + 1.5]
    assert len({id(n) for n in ex.merge(kept)}) == len(kept)


def test_merge_never_merges_operands_in_another_order() -> None:
    """a - b is not b - a."""
    x, y = wire(-3, 5), wire(-3, 5, name="y")
    first, second = ex.merge([x - y, y - x])
    assert (value(first, x=1, y=5), value(second, x=1, y=5)) == (-4, 4)


def test_merge_keeps_constants_of_other_types_apart() -> None:
    """1, 1.0, true and 2/2 are four constants."""
    roots = [ex.fixed(1, 0), ex.real(1.0), ex.flag(True), ex.fixed(1, 1)]
    assert len({id(n) for n in ex.merge(roots)}) == 4


def test_a_deep_graph_needs_no_recursion() -> None:
    """Sorting, merging, describing and evaluating 20,000 nodes in a row."""
    node = wire(0, 1)
    for _ in range(20_000):
        node = node + 1
    (merged,) = ex.merge([node])
    assert value(merged, x=1) == 20_001
    assert ex.describe({"v": merged}).endswith("v' = w19999")


def test_description_of_a_leaky_integrate_and_fire_neuron() -> None:
    """The equation of an integer LIF as text: this is the golden form."""
    neuron = spikec.LIF(
        decay=spikec.Tensor.integers(15, FixedPoint(4, 4, signed=False)),
        threshold=spikec.Tensor.integers(100, FixedPoint(8, 2)),
        offset=spikec.Tensor.integers([1, -2], FixedPoint(4, 2)),
        reset="subtract",
    )
    lane = lower(neuron, {"v": Format(FixedPoint(12, 2))}, {"input": Exact(-40, 60, 0)})
    assert ex.describe({"out": lane.output, **lane.states}) == GOLDEN


GOLDEN = """\
w0 = mul(state.v, 15/16) : [-30720, 30705].6
w1 = align(input.input, 6) : [-2560, 3840].6
w2 = add(w0, w1) : [-33280, 34545].6
w3 = align(param.offset, 4) : [-32, 16].6
w4 = add(w2, w3) : [-33312, 34561].6
w5 = round(w4, (4, 'nearest_even')) : [-2082, 2160].2
w6 = saturate(w5, (-2048, 2047)) : [-2048, 2047].2
w7 = gt(w6, 25) : bool
w8 = where(w7, 25, 0) : [0, 100].2
w9 = sub(w6, w8) : [-2148, 2047].2
w10 = saturate(w9, (-2048, 2047)) : [-2048, 2047].2
out' = w7
v' = w10"""


@pytest.mark.parametrize(
    ("method", "name"),
    [(operator.lt, "gt"), (operator.le, "ge"), (operator.gt, "gt"), (operator.ge, "ge")],
)
def test_comparisons_have_two_ops(method: Any, name: str) -> None:
    """a < b is b > a."""
    for a in range(-2, 3):
        made = method(wire(-2, 2), 1)
        assert made.op == name
        assert value(made, x=a) == method(a, 1)
