"""What every op computes: the reference and the generated numba source against exact rationals."""

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sizes import FULL, evidence, examples
from spikec.backends.cpu.update import update
from spikec.compiler import expr as ex
from spikec.compiler.equation import Lane
from spikec.compiler.errors import SpikecError
from spikec.compiler.evaluate import evaluate, saturations
from spikec.compiler.expr import Expr
from spikec.compiler.types import OVERFLOWS, ROUNDINGS, Array, Bool, Exact, FixedPoint, Float

Leaves = Mapping[tuple[str, str], Array]
TRIED: dict[str, int] = {"casts": 0, "graphs": 0, "wires": 0}


@pytest.fixture(autouse=True, scope="module")
def keep_counts() -> Iterator[None]:
    """Record how much was compared."""
    yield
    evidence("expressions", **TRIED)


def compiled(roots: Sequence[Expr], leaves: Leaves) -> tuple[list[Array], int]:
    """Return the roots as the cpu engine computes them, and how many saturations it counted.

    Every root is the next value of a state of its own, so that each is stored.
    """
    ports = {n: a for (k, n), a in leaves.items() if k == "input"}
    types = {str(n.value): n.dtype for n in ex.topological(roots) if n.op == "input"}
    size = len(next(iter(ports.values())))
    lane = Lane(roots[0], {f"n{k}": r for k, r in enumerate(roots)}, {p: Float() for p in ports})
    made = update(lane)

    def room(node: Expr) -> Array:
        kind: Any = {Float: np.float64, Exact: np.int64, Bool: np.uint8}[type(node.dtype)]
        return np.zeros((1, size), kind)

    def narrowest(a: Array) -> Array:
        return a if a.dtype.kind == "f" else a.astype(np.min_scalar_type(int(np.abs(a).max()) * -2))

    assert types.keys() <= ports.keys()
    found = [room(r) for r in roots]
    arguments = [narrowest(ports[p])[None, :] for p in made.ports]
    arguments += [*found, *(narrowest(leaves["param", p]) for p in made.parameters)]
    hits = made.function(room(roots[0]), *arguments, *made.constants)
    return [a[0] for a in found], hits


def interpreted(roots: Sequence[Expr], leaves: Leaves) -> list[Array]:
    size = len(next(iter(leaves.values())))
    return [np.broadcast_to(a, size) for a in evaluate(roots, leaves)]


# ---------------------------------------------------------------- casts, all inputs

ROUND: dict[str, Callable[[Fraction], int]] = {
    "floor": math.floor,
    "to_zero": math.trunc,
    "nearest": lambda x: math.floor(x + Fraction(1, 2)),
    "nearest_even": round,
}


def cast(x: Fraction, to: FixedPoint, rounding: str, overflow: str) -> Fraction:
    """Return the real value of a cast, by definition."""
    n, span = ROUND[rounding](x * Fraction(2) ** to.frac), 1 << to.bits
    if overflow == "saturate":
        n = max(to.lo, min(to.hi, n))
    elif overflow == "wrap":
        while n > to.hi:
            n -= span * max(1, (n - to.hi) // span)
        while n < to.lo:
            n += span * max(1, (to.lo - n) // span)
    return n / Fraction(2) ** to.frac


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("bits", [8, 12])
def test_every_input_of_every_cast(bits: int, rounding: Any, overflow: Any) -> None:
    """All 8- and 12-bit inputs, by how many bits are dropped or added and into which format."""
    x = np.arange(-(1 << (bits - 1)), 1 << (bits - 1))
    formats = [
        FixedPoint(width, -k, signed)
        for k in ((-3, 0, 1, 2, 3, 5, bits - 1, bits, bits + 3) if FULL else (-3, 0, 1, 3, bits))
        for width in ((1, 2, 4, bits - 2, bits, 30) if FULL else (1, bits - 2, 30))
        for signed in (True, False)
        if overflow != "never" or (signed and width == 30)
    ]
    leaf = ex.leaf("input", "x", Exact(int(x[0]), int(x[-1]), 0))
    made = [ex.cast(leaf, to, rounding, overflow) for to in formats]
    leaves = {("input", "x"): x}
    reference, (fast, _) = interpreted(made, leaves), compiled(made, leaves)
    for to, node, a, b in zip(formats, made, reference, fast, strict=True):
        wanted = [cast(Fraction(int(v)), to, rounding, overflow) for v in x]
        units = [int(v * Fraction(2) ** to.frac) for v in wanted]
        assert a.tolist() == units, (to, rounding, overflow)
        assert b.tolist() == units, (to, rounding, overflow)
        assert isinstance(node.dtype, Exact)
        assert node.dtype.frac == to.frac
        if node.op == "wrap":
            assert (node.dtype.lo, node.dtype.hi) == (to.lo, to.hi)
        else:  # rounding and saturation are monotone, so their interval is reached
            assert (node.dtype.lo, node.dtype.hi) == (min(units), max(units))
        TRIED["casts"] += 2 * len(x)


def test_saturations_are_counted_alike() -> None:
    """A saturation counts where it changed the value, in both engines, at every node."""
    x = np.arange(-200, 200)
    leaf = ex.leaf("input", "x", Exact(-200, 199, 1))
    first = ex.cast(leaf, FixedPoint(6, 1))
    roots, leaves = [ex.cast(first * 3, FixedPoint(6, 1)), first], {("input", "x"): x}
    hits = saturations(roots, leaves)
    inner = np.clip(x, -32, 31)
    expected = (x != inner).astype(int) + (np.abs(3 * inner + 0.5) > 32)
    np.testing.assert_array_equal(hits, expected)
    assert compiled(roots, leaves)[1] == expected.sum()


# ---------------------------------------------------------------- random integer graphs

SAMPLES = 24


@dataclass
class Maker:
    """Draws expressions, each with its real values by the definition of its op."""

    draw: Any
    wires: list[tuple[Expr, list[Any]]] = field(default_factory=list[tuple[Expr, list[Any]]])
    leaves: dict[tuple[str, str], Array] = field(default_factory=dict[tuple[str, str], Array])

    def leaf(self, kind: str, name: str) -> None:
        bits = self.draw(st.sampled_from([1, 2, 4, 7, 12, 31, 32, 40]))
        lo = self.draw(st.integers(-(1 << bits), 1 << bits))
        hi = lo + self.draw(st.integers(0, 1 << bits))
        frac = self.draw(st.integers(-3, 6))
        drawn = self.draw(st.lists(st.integers(lo, hi), min_size=SAMPLES, max_size=SAMPLES))
        drawn[:4] = [lo, hi, max(lo, min(0, hi)), max(lo, min(-1, hi))]
        self.leaves[kind, name] = np.array(drawn, dtype=np.int64)
        values = [n / Fraction(2) ** frac for n in drawn]
        self.wires.append((ex.leaf(kind, name, Exact(lo, hi, frac)), values))

    def pick(self, boolean: bool) -> tuple[Expr, list[Any]]:
        fitting = [w for w in self.wires if isinstance(w[0].dtype, Bool) == boolean]
        index: int = self.draw(st.integers(0, len(fitting) - 1))
        return fitting[index]

    def constant(self) -> tuple[Any, list[Any]]:
        n = self.draw(st.one_of(st.integers(-3, 3), st.integers(-300, 300)))
        c = Fraction(n, 1 << self.draw(st.integers(0, 4)))
        return c, [c] * SAMPLES

    def step(self) -> None:
        op = self.draw(
            st.sampled_from([*BINARY, *COMPARE, "abs", "shift", "cast", "where", "logic"])
        )
        if op in COUNTING and self.draw(st.booleans()):
            op = "cast"  # a divisor is seldom positive; do not try too often
        try:
            made = self.operation(op)
        except SpikecError as error:
            assert error.code in ("SPK0101", "SPK0205", "SPK0206"), error  # noqa: PT017
            return
        self.wires.append(made)

    def operation(self, op: str) -> tuple[Expr, list[Any]]:
        a, x = self.pick(False)
        b, y = self.pick(False) if self.draw(st.booleans()) else self.constant()
        if op in BINARY or op in COMPARE:
            build, define = (BINARY | COMPARE)[op]
            if op in COUNTING:
                limit = self.draw(st.sampled_from([None, 1, 3, 7, 15]))
                made = build(a, b, limit)
                return made, [define(u, v, limit) for u, v in zip(x, y, strict=True)]
            if op not in COMPARE and self.draw(st.booleans()):
                return build(b, a), [define(v, u) for u, v in zip(x, y, strict=True)]
            return build(a, b), [define(u, v) for u, v in zip(x, y, strict=True)]
        if op == "abs":
            return ex.absolute(a), [abs(u) for u in x]
        if op == "shift":
            k = self.draw(st.integers(-4, 4))
            return ex.shift(a, k), [u * Fraction(2) ** k for u in x]
        if op == "cast":
            to = FixedPoint(
                self.draw(st.integers(1, 34)),
                self.draw(st.integers(-2, 8)),
                self.draw(st.booleans()),
            )
            modes = self.draw(st.sampled_from(ROUNDINGS)), self.draw(st.sampled_from(OVERFLOWS))
            return ex.cast(a, to, *modes), [cast(u, to, *modes) for u in x]
        flag, f = self.pick(True)
        if op == "where":
            return ex.where(flag, a, b), [u if c else v for c, u, v in zip(f, x, y, strict=True)]
        other, g = self.pick(True)
        both = list(zip(f, g, strict=True))
        choices: list[tuple[Expr, list[Any]]] = [
            (ex.not_(flag), [not c for c in f]),
            (ex.and_(flag, other), [c and d for c, d in both]),
            (ex.or_(flag, other), [c or d for c, d in both]),
            (ex.where(flag, other, ex.not_(other)), [c == d for c, d in both]),
        ]
        chosen: int = self.draw(st.integers(0, 3))
        return choices[chosen]


def counted(a: Fraction, b: Fraction, limit: int | None) -> Fraction:
    """Return how often b can be taken away from a: by taking it away."""
    n = max(math.floor(a / b), 0)
    return Fraction(n if limit is None else min(n, limit))


def remaining(a: Fraction, b: Fraction, limit: int | None) -> Fraction:
    return a - counted(a, b, limit) * b


COUNTING = ("count", "remainder")
BINARY: dict[str, tuple[Any, Any]] = {
    "add": (ex.add, operator.add),
    "sub": (ex.sub, operator.sub),
    "mul": (ex.mul, operator.mul),
    "min": (ex.minimum, min),
    "max": (ex.maximum, max),
    "count": (ex.count, counted),
    "remainder": (ex.remainder, remaining),
}
COMPARE: dict[str, tuple[Any, Any]] = {
    "gt": (ex.gt, operator.gt),
    "ge": (ex.ge, operator.ge),
    "eq": (ex.eq, operator.eq),
}


@st.composite
def expressions(draw: Any) -> Maker:
    made = Maker(draw)
    for kind, name in (("input", "a"), ("input", "b"), ("param", "c")):
        made.leaf(kind, name)
    (a, x), (b, y) = made.wires[:2]
    made.wires.append((ex.gt(a, b), [u > v for u, v in zip(x, y, strict=True)]))
    for _ in range(draw(st.integers(4, 16))):
        made.step()
    return made


@given(made=expressions())
@examples(25, 1000)
def test_every_wire_of_a_random_integer_graph(made: Maker) -> None:
    """Reference and numba equal exact rationals, inside the interval that each wire claims."""
    roots = [w[0] for w in made.wires]
    nodes = ex.topological(ex.merge(roots))
    reference, (fast, _) = interpreted(nodes, made.leaves), compiled(nodes, made.leaves)
    for node, a, b in zip(nodes, reference, fast, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=ex.describe({"x": node}))
        if isinstance(node.dtype, Exact):
            assert node.dtype.lo <= a.min(), ex.describe({"x": node})
            assert a.max() <= node.dtype.hi, ex.describe({"x": node})
        TRIED["wires"] += 1
    for root, values in made.wires:
        (found,) = interpreted([root], made.leaves)
        unit = Fraction(1, 2) ** (root.dtype.frac if isinstance(root.dtype, Exact) else 0)
        assert [int(n) * unit for n in found] == values, ex.describe({"x": root})
    TRIED["graphs"] += 1


def test_lookup_and_extreme_wires() -> None:
    """Tables, the magnitude of -2^31, 62-bit products, and wraps at both ends of the word."""
    index = ex.leaf("input", "i", Exact(0, 4))
    edge = ex.leaf("input", "e", Exact(-(2**31), 2**31 - 1))
    inside = ex.maximum(edge, -(2**31) + 1)
    wide = ex.leaf("param", "w", Exact(-(2**62) + 1, 2**62 - 1))
    roots = [
        ex.lookup(index, (3, -(2**40), 7, 0, 2**33), 2),
        ex.lookup(ex.cast(index, FixedPoint(1, signed=False)), (5, 6), 0),
        ex.absolute(edge),
        ex.absolute(inside),
        inside * inside,
        edge - ex.fixed(2**31 - 1, 0),
        ex.absolute(wide),
        ex.cast(wide, FixedPoint(62), overflow="wrap"),
        ex.cast(wide, FixedPoint(62, signed=False), overflow="wrap"),
        ex.cast(wide, FixedPoint(62)),
        ex.cast(edge, FixedPoint(30, -30), "to_zero"),
        ex.count(edge, 3),
    ]
    leaves = {
        ("input", "i"): np.arange(5),
        ("input", "e"): np.array([-(2**31), -(2**31) + 1, -1, 0, 2**31 - 1]),
        ("param", "w"): np.array([-(2**62) + 1, -(2**61) - 1, -1, 2**61, 2**62 - 1]),
    }
    reference, (fast, _) = interpreted(roots, leaves), compiled(roots, leaves)
    for a, b in zip(reference, fast, strict=True):
        np.testing.assert_array_equal(a, b)
    assert reference[0].tolist() == [3, -(2**40), 7, 0, 2**33]
    assert reference[2].tolist() == [2**31, 2**31 - 1, 1, 0, 2**31 - 1]
    assert reference[7].tolist() == [1, 2**61 - 1, -1, -(2**61), -1]


# ---------------------------------------------------------------- random float graphs

FLOAT_OPS = ("add", "sub", "mul", "min", "max", "abs", "where", "count", "cmp", "logic")


@st.composite
def float_graphs(draw: Any) -> tuple[list[Expr], dict[tuple[str, str], Array]]:
    """Draw a graph over float64 leaves of any magnitude up to 2^20, zeros and subnormals too."""
    numbers = st.one_of(
        st.floats(-4, 4), st.floats(-(2.0**20), 2.0**20), st.sampled_from([0.0, 5e-324, 1.0, 0.1])
    )
    drawn = st.lists(numbers, min_size=SAMPLES, max_size=SAMPLES)
    leaves = {("input", "a"): np.array(draw(drawn)), ("param", "b"): np.array(draw(drawn))}
    reals = [ex.leaf(k, n, Float()) for k, n in leaves]
    flags = [reals[0] > reals[1]]
    for _ in range(draw(st.integers(4, 16))):
        op = draw(st.sampled_from(FLOAT_OPS))
        a, f = draw(st.sampled_from(reals)), draw(st.sampled_from(flags))
        b: Any = draw(st.one_of(st.sampled_from(reals), numbers))
        if op in ("add", "sub", "mul", "min", "max"):
            reals.append(BINARY[op][0](a, b))
        elif op == "abs":
            reals.append(ex.absolute(a))
        elif op == "where":
            reals.append(ex.where(f, a, b))
        elif op == "count":
            least = draw(st.sampled_from([1e-18, 0.25, 3.0]))
            limit = draw(st.sampled_from([None, 1, 7]))
            reals.append(ex.count(a, ex.maximum(ex.absolute(ex.add(reals[0], b)), least), limit))
        elif op == "cmp":
            flags.append(draw(st.sampled_from([ex.gt, ex.ge, ex.eq]))(a, b))
        else:
            g = draw(st.sampled_from(flags))
            flags.append(draw(st.sampled_from([ex.not_(f), ex.and_(f, g), ex.or_(f, g)])))
    return ex.topological(ex.merge([*reals, *flags])), leaves


@given(graph=float_graphs())
@examples(25, 1000)
def test_numba_equals_numpy_bit_for_bit_in_float64(
    graph: tuple[list[Expr], dict[tuple[str, str], Array]],
) -> None:
    """No reassociation, no fused multiply-add: every wire has the same bits, but for -0 and 0."""
    nodes, leaves = graph
    with np.errstate(over="ignore", invalid="ignore"):
        reference = interpreted(nodes, leaves)
        assume(all(np.isfinite(a).all() for a in reference))
    fast, _ = compiled(nodes, leaves)
    for node, a, b in zip(nodes, reference, fast, strict=True):
        first, second = ((v.astype(np.float64) + 0.0).view(np.int64) for v in (a, b))
        np.testing.assert_array_equal(first, second, err_msg=ex.describe({"x": node}))


@pytest.mark.parametrize("name", ex.CURVES)
def test_curves_agree_within_a_few_ulps(name: str) -> None:
    """numpy and the compiled mathematics library round differently; sqrt is exact in both."""
    random = np.random.default_rng(3)
    x = np.concatenate([random.uniform(-30, 30, 20_000), random.uniform(-1, 1, 20_000), [0.0, 1.0]])
    x = np.abs(x) + 1e-9 if name in ("sqrt", "log") else x
    root = ex.curve(name, ex.leaf("input", "x", Float()))
    (a,), ((b,), _) = (
        interpreted([root], {("input", "x"): x}),
        compiled([root], {("input", "x"): x}),
    )
    apart = np.abs(a.view(np.int64) - b.view(np.int64))
    assert apart.max() <= ULPS[name]


ULPS = {"exp": 1, "tanh": 4, "sigmoid": 2, "sqrt": 0, "log": 1}
