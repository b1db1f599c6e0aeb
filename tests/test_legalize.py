"""Shift-adds and ladders: every value before equals the value after, for every neuron."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanes import choices, kinds, lane, lanes, vectors
from sizes import evidence, examples, size
from spikec.compiler.equation import Lane
from spikec.compiler.errors import SpikecError
from spikec.compiler.evaluate import evaluate, saturations
from spikec.compiler.expr import Expr, count, fixed, is_const, leaf, mul, remainder, topological
from spikec.compiler.legalize import digits, legalize, multiples
from spikec.compiler.types import Array, Bool, Exact, Float


def test_every_neuron_keeps_every_bit() -> None:
    """Output, next states and counted saturations, on corners and random vectors."""
    cases = compared = 0
    for name, before in lanes(size(7, 1)):
        after = legalize(before)
        values = vectors(before, size(400, 2000), cases)
        for old, new in zip(before.roots(), after.roots(), strict=True):
            assert type(old.dtype) is type(new.dtype)
            a, b = evaluate([old], values)[0], evaluate([new], values)[0]
            np.testing.assert_array_equal(a, b, name)
            compared += np.asarray(a).size
        hits = saturations(before.roots(), values)
        np.testing.assert_array_equal(saturations(after.roots(), values), hits, name)
        assert_legal(after, values)
        cases += 1
    evidence("legalize", lanes=cases, values=compared)


def assert_legal(after: Lane, values: Any) -> None:
    """No product by a constant and no count is left; every wire is inside its interval."""
    nodes = topological(after.roots())
    assert not [n for n in nodes if n.op in ("count", "curve")]
    assert not [n for n in nodes if n.op == "mul" and is_const(n.args[1])]
    for node, held in zip(nodes, evaluate(nodes, values), strict=True):
        if isinstance(node.dtype, Exact):
            assert node.dtype.lo <= held.min(), node
            assert held.max() <= node.dtype.hi, node


@pytest.mark.parametrize("kind", kinds())
def test_legalize_of_the_result_changes_nothing(kind: str) -> None:
    """There is one legal form."""
    model = kinds()[kind]
    first = legalize(lane(model, choices(model)[0], False, 1))
    again = legalize(first)
    assert [id(r) for r in first.roots()] == [id(r) for r in again.roots()]


@given(st.integers(-(1 << 40), 1 << 40))
@examples(200, 20000)
def test_digits(n: int) -> None:
    """They sum to the constant, no two are adjacent, and no form has fewer."""
    found = digits(n)
    assert sum(d << k for d, k in found) == n
    positions = [k for _, k in found]
    assert all(a - b >= 2 for a, b in itertools.pairwise(positions))
    assert {d for d, _ in found} <= {-1, 1}
    assert len(found) <= bin(abs(n)).count("1")


def output_only(root: Expr) -> Lane:
    return Lane(root, {}, {})


@pytest.mark.parametrize("n", [*range(-40, 41), 3686, -3686, 65535, -65536])
def test_products_by_every_small_constant(n: int) -> None:
    """Also zero, one, powers of two and negative ones; partial sums are multiples of x."""
    x = leaf("input", "x", Exact(-8, 7, 3))
    root = Expr("mul", (x, fixed(n, 5)), None, mul(x, fixed(n, 5)).dtype) if n else mul(x, 0)
    made = legalize(output_only(root)).output
    value = np.arange(-8, 8)
    held = np.broadcast_to(evaluate([made], {("input", "x"): value})[0], 16)
    np.testing.assert_array_equal(held, n * value)
    assert isinstance(made.dtype, Exact)
    if n:
        assert (made.dtype.lo, made.dtype.hi) == tuple(sorted((-8 * n, 7 * n)))
        assert made.dtype.frac == 8
        sums = [node for node in topological([made]) if node.op in ("add", "sub")]
        assert len(sums) == len(digits(n)) - (n > 0)
        known = multiples([made])
        assert all(known[id(s)][1] is x for s in sums)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 10, None])
@pytest.mark.parametrize("divisor", [(1, 1), (3, 3), (2, 6), (1, 9)])
def test_ladders_over_all_values(limit: int | None, divisor: tuple[int, int]) -> None:
    """Count and remainder equal their definition for every dividend and divisor."""
    a = leaf("input", "a", Exact(-40, 45, 2))
    b = fixed(divisor[0], 2)
    if divisor[0] != divisor[1]:
        b = leaf("input", "b", Exact(*divisor, 2))
    roots = [count(a, b, limit), remainder(a, b, limit)]
    made = legalize(Lane(roots[0], {"v": roots[1]}, {}))
    grid = np.meshgrid(np.arange(-40, 46), np.arange(divisor[0], divisor[1] + 1))
    values: dict[tuple[str, str], Array] = {
        ("input", "a"): grid[0].ravel(),
        ("input", "b"): grid[1].ravel(),
    }
    wanted = np.maximum(grid[0] // grid[1], 0).ravel()
    wanted = wanted if limit is None else np.minimum(wanted, limit)
    held = evaluate(made.roots(), values)
    np.testing.assert_array_equal(held[0], wanted)
    np.testing.assert_array_equal(held[1], values["input", "a"] - wanted * values["input", "b"])
    assert_legal(made, values)


def test_count_and_remainder_share_one_ladder() -> None:
    """m stages of one comparison each, however many results are used."""
    a, b = leaf("input", "a", Exact(-100, 100, 0)), leaf("input", "b", Exact(3, 20, 0))
    made = legalize(Lane(count(a, b, 15), {"v": remainder(a, b, 15)}, {}))
    assert [n.op for n in topological(made.roots())].count("ge") == 4
    assert not [n for n in topological(made.roots()) if n.op == "mul"]


def test_equal_products_are_one() -> None:
    """Products of one wire share their partial sums, whatever the binary point of the constant."""
    x = leaf("input", "x", Exact(-8, 7, 3))
    made = legalize(Lane(mul(x, fixed(11, 4)), {"v": mul(x, fixed(11, 0))}, {}))
    assert [n.op for n in topological(made.roots())].count("sub") == 2


def test_floating_point_is_refused() -> None:
    """With the op and the remedy."""
    x = leaf("input", "x", Float())
    with pytest.raises(SpikecError, match="SPK1800"):
        legalize(output_only(x + x))
    assert isinstance(legalize(output_only(leaf("input", "b", Bool()))).output.dtype, Bool)
