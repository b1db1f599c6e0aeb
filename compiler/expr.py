"""The scalar language in which a neuron's update is written.

Arithmetic is exact; only ``cast`` loses information. The type of a wire is an integer interval with
a binary point (``Exact``), computed by the constructor of each op, so widths and the absence of
overflow follow from the equation. Before ``quantize`` every number is a ``Float`` instead.
Nodes are immutable and compared by identity; ``merge`` unites equal subexpressions.

A cast is stored as at most three internal nodes, each only where it can act: ``align(k)`` or
``round(k, mode)``, then ``saturate(lo, hi)`` or ``wrap(bits, signed)``.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Bool, Exact, FixedPoint, Float, Overflow, Rounding

Value: TypeAlias = str | int | float | tuple[int, ...] | tuple[int, str] | None
Number: TypeAlias = int | float | Fraction
Type: TypeAlias = Float | Bool | Exact

CURVES = ("exp", "tanh", "sigmoid", "sqrt", "log")


@dataclass(frozen=True, slots=True, eq=False)
class Expr:
    """One node: an op, its operands, what else defines it, and its computed type."""

    op: str
    args: tuple["Expr", ...]
    value: Value
    dtype: Type

    def __bool__(self) -> bool:
        """Refuse: a Python ``if`` would freeze one branch of the equation."""
        raise TypeError("an Expr has no truth value; use where, and_, or_, not_")

    def __add__(self, other: "Operand") -> "Expr":
        """Return the exact sum."""
        return add(self, other)

    def __radd__(self, other: "Operand") -> "Expr":
        """Return the exact sum."""
        return add(other, self)

    def __sub__(self, other: "Operand") -> "Expr":
        """Return the exact difference."""
        return sub(self, other)

    def __rsub__(self, other: "Operand") -> "Expr":
        """Return the exact difference."""
        return sub(other, self)

    def __mul__(self, other: "Operand") -> "Expr":
        """Return the exact product."""
        return mul(self, other)

    def __rmul__(self, other: "Operand") -> "Expr":
        """Return the exact product."""
        return mul(other, self)

    def __neg__(self) -> "Expr":
        """Return zero minus this."""
        return sub(0, self)

    def __gt__(self, other: "Operand") -> "Expr":
        """Return whether this is greater."""
        return gt(self, other)

    def __ge__(self, other: "Operand") -> "Expr":
        """Return whether this is greater or equal."""
        return ge(self, other)

    def __lt__(self, other: "Operand") -> "Expr":
        """Return whether this is less."""
        return gt(other, self)

    def __le__(self, other: "Operand") -> "Expr":
        """Return whether this is less or equal."""
        return ge(other, self)


Operand: TypeAlias = Expr | int | float | Fraction


# ---------------------------------------------------------------- leaves


def leaf(kind: str, name: str, dtype: Type) -> Expr:
    """Return a leaf; ``kind`` is param, state or input."""
    return Expr(kind, (), name, dtype)


def const(value: Number) -> Expr:
    """Return an exact dyadic constant.

    Raises:
        SpikecError: SPK0201 when ``value`` is not finite or not n/2^f with a storable n.
    """
    try:
        fraction = Fraction(value)
    except (ValueError, OverflowError):
        fraction = Fraction(1, 3)
    denominator = fraction.denominator
    if denominator & (denominator - 1):
        raise SpikecError(
            "SPK0201", "const", f"{value} is not n/2^f", "Round the constant in quantize"
        )
    return fixed(fraction.numerator, denominator.bit_length() - 1)


def flag(value: bool) -> Expr:
    """Return a constant Bool."""
    return Expr("const", (), int(value), Bool())


def real(value: Number) -> Expr:
    """Return a floating-point constant."""
    return Expr("const", (), float(value), Float())


def fixed(n: int, frac: int) -> Expr:
    """Return the exact constant n * 2^-frac."""
    return Expr("const", (), n, Exact(n, n, frac))


def is_const(a: Expr, value: Number | None = None) -> bool:
    """Return whether ``a`` is a constant (equal to ``value``, if given)."""
    if a.op != "const" or isinstance(a.dtype, Bool):
        return False
    if value is None:
        return True
    return a.value == value if isinstance(a.dtype, Float) else constant(a) == value


def constant(a: Expr) -> Fraction:
    """Return the real value of a constant node."""
    assert isinstance(a.value, int | float)
    n = Fraction(a.value)
    return n / Fraction(2) ** a.dtype.frac if isinstance(a.dtype, Exact) else n


# ---------------------------------------------------------------- operands


def _lift(operands: Iterable[Operand]) -> list[Expr]:
    """Turn numbers into constants of the kind of the other operands."""
    listed = list(operands)
    as_float = any(isinstance(a, Expr) and isinstance(a.dtype, Float) for a in listed)
    return [a if isinstance(a, Expr) else (real(a) if as_float else const(a)) for a in listed]


def _numeric(op: str, operands: Iterable[Operand]) -> list[Expr]:
    """Check that the operands are all Float or all Exact."""
    args = _lift(operands)
    kinds = {type(a.dtype) for a in args}
    if kinds != {Float} and kinds != {Exact}:
        names = ", ".join(str(a.dtype) for a in args)
        raise SpikecError(
            "SPK0202", op, f"operands of types {names} do not mix", "Use where(flag, 1, 0)"
        )
    return args


def _exact(a: Expr) -> Exact:
    if isinstance(a.dtype, Exact):
        return a.dtype
    raise SpikecError(
        "SPK0209", a.op, f"a wire of type {a.dtype} is no integer", "Cast and shift integers only"
    )


def _aligned(args: Sequence[Expr]) -> list[Expr]:
    """Bring Exact operands to the largest fraction by exact left shifts."""
    if isinstance(args[0].dtype, Float):
        return list(args)
    frac = max(_exact(a).frac for a in args)
    return [_align(a, frac - _exact(a).frac) for a in args]


def _align(a: Expr, k: int) -> Expr:
    t = _exact(a)
    if k == 0:
        return a
    if a.op == "const":
        return fixed(t.lo << k, t.frac + k)
    return Expr("align", (a,), k, Exact(t.lo << k, t.hi << k, t.frac + k))


# ---------------------------------------------------------------- arithmetic


def add(a: Operand, b: Operand) -> Expr:
    """Return the exact sum."""
    x, y = _numeric("add", (a, b))
    if is_const(y, 0):
        return x
    if is_const(x, 0):
        return y
    return _linear("add", x, y)


def sub(a: Operand, b: Operand) -> Expr:
    """Return the exact difference."""
    x, y = _numeric("sub", (a, b))
    return x if is_const(y, 0) else _linear("sub", x, y)


def _linear(op: str, x: Expr, y: Expr) -> Expr:
    x, y = _aligned((x, y))
    if isinstance(x.dtype, Float):
        return Expr(op, (x, y), None, Float())
    p, q = _exact(x), _exact(y)
    lo, hi = (p.lo + q.lo, p.hi + q.hi) if op == "add" else (p.lo - q.hi, p.hi - q.lo)
    if x.op == y.op == "const":
        return fixed(lo, p.frac)
    return Expr(op, (x, y), None, Exact(lo, hi, p.frac))


def mul(a: Operand, b: Operand) -> Expr:
    """Return the exact product; a constant operand is put second."""
    x, y = _numeric("mul", (a, b))
    if x.op == "const":
        x, y = y, x
    if is_const(y, 1):
        return x
    if isinstance(x.dtype, Float):
        return Expr("mul", (x, y), None, Float())
    p, q = _exact(x), _exact(y)
    if is_const(y, 0):
        return fixed(0, p.frac + q.frac)
    if x.op == y.op == "const":
        return fixed(p.lo * q.lo, p.frac + q.frac)
    corners = [u * v for u in (p.lo, p.hi) for v in (q.lo, q.hi)]
    if x is y:
        corners = [p.lo * p.lo, p.hi * p.hi] + ([0] if p.lo <= 0 <= p.hi else [])
    return Expr("mul", (x, y), None, Exact(min(corners), max(corners), p.frac + q.frac))


def shift(a: Expr, k: int) -> Expr:
    """Return the real value times 2^k; no bit changes."""
    if isinstance(a.dtype, Float):
        return mul(a, Fraction(2) ** k)
    t = _exact(a)
    return Expr("shift", (a,), k, Exact(t.lo, t.hi, t.frac - k))


def absolute(a: Expr) -> Expr:
    """Return the magnitude."""
    (x,) = _numeric("abs", (a,))
    if isinstance(x.dtype, Float):
        return Expr("abs", (x,), None, Float())
    t = _exact(x)
    least = 0 if t.lo <= 0 <= t.hi else min(abs(t.lo), abs(t.hi))
    return Expr("abs", (x,), None, Exact(least, max(abs(t.lo), abs(t.hi)), t.frac))


def minimum(a: Operand, b: Operand) -> Expr:
    """Return the lesser."""
    return _extreme("min", min, a, b)


def maximum(a: Operand, b: Operand) -> Expr:
    """Return the greater."""
    return _extreme("max", max, a, b)


def _extreme(op: str, pick: Callable[[int, int], int], a: Operand, b: Operand) -> Expr:
    x, y = _aligned(_numeric(op, (a, b)))
    if isinstance(x.dtype, Float):
        return Expr(op, (x, y), None, Float())
    p, q = _exact(x), _exact(y)
    return Expr(op, (x, y), None, Exact(pick(p.lo, q.lo), pick(p.hi, q.hi), p.frac))


def clamp(a: Operand, lo: Operand, hi: Operand) -> Expr:
    """Return ``a`` limited to lo..hi."""
    return minimum(maximum(a, lo), hi)


def limit(a: Expr, lo: int, hi: int) -> Expr:
    """Return ``a`` saturated to whole numbers lo..hi, which is counted; no-op on floats."""
    if isinstance(a.dtype, Float):
        return a
    t = _exact(a)
    least, most = (_exact(_align(const(n), t.frac)).lo for n in (lo, hi))
    if least <= t.lo and t.hi <= most:
        return a
    inside = Exact(min(max(t.lo, least), most), max(min(t.hi, most), least), t.frac)
    return Expr("saturate", (a,), (least, most), inside)


# ---------------------------------------------------------------- comparison and choice


def gt(a: Operand, b: Operand) -> Expr:
    """Return whether a > b, as real values."""
    return Expr("gt", tuple(_aligned(_numeric("gt", (a, b)))), None, Bool())


def ge(a: Operand, b: Operand) -> Expr:
    """Return whether a >= b, as real values."""
    return Expr("ge", tuple(_aligned(_numeric("ge", (a, b)))), None, Bool())


def eq(a: Operand, b: Operand) -> Expr:
    """Return whether a equals b, as real values."""
    return Expr("eq", tuple(_aligned(_numeric("eq", (a, b)))), None, Bool())


def not_(a: Expr) -> Expr:
    """Return the negation of a Bool."""
    return _logic("not", a)


def and_(a: Expr, b: Expr) -> Expr:
    """Return the conjunction of two Bools."""
    return _logic("and", a, b)


def or_(a: Expr, b: Expr) -> Expr:
    """Return the disjunction of two Bools."""
    return _logic("or", a, b)


def _logic(op: str, *args: Expr) -> Expr:
    for a in args:
        if not isinstance(a.dtype, Bool):
            raise SpikecError("SPK0203", op, f"an operand is {a.dtype}, not bool", "Compare first")
    return Expr(op, args, None, Bool())


def where(condition: Expr, a: Operand, b: Operand) -> Expr:
    """Return ``a`` where the condition holds, else ``b``; both sides are evaluated."""
    if not isinstance(condition.dtype, Bool):
        raise SpikecError(
            "SPK0204", "where", f"the condition is {condition.dtype}, not bool", "Compare first"
        )
    if a is b:
        return _lift((a,))[0]
    x, y = _lift((a, b))
    if isinstance(x.dtype, Bool) and isinstance(y.dtype, Bool):
        return Expr("where", (condition, x, y), None, Bool())
    x, y = _aligned(_numeric("where", (x, y)))
    if isinstance(x.dtype, Float):
        return Expr("where", (condition, x, y), None, Float())
    p, q = _exact(x), _exact(y)
    joined = Exact(min(p.lo, q.lo), max(p.hi, q.hi), p.frac)
    return Expr("where", (condition, x, y), None, joined)


# ---------------------------------------------------------------- cast


def cast(
    a: Expr,
    to: FixedPoint,
    rounding: Rounding = "nearest_even",
    overflow: Overflow = "saturate",
) -> Expr:
    """Round ``a`` to ``to.frac`` fraction bits, then bring it into the range of ``to``.

    Raises:
        SpikecError: SPK0205 when ``overflow`` is ``never`` and the interval does not fit.
    """
    (a,) = _numeric("cast", (a,))
    x = _round(a, _exact(a).frac - to.frac, rounding)
    t = _exact(x)
    if to.lo <= t.lo and t.hi <= to.hi:
        return x
    if overflow == "never":
        raise SpikecError(
            "SPK0205",
            "cast",
            f"the interval [{t.lo}, {t.hi}] does not fit {to}",
            f"Use {t.width} bits, or saturate",
        )
    if overflow == "wrap":
        value = (to.bits, "signed" if to.signed else "unsigned")
        return Expr("wrap", (x,), value, Exact(to.lo, to.hi, to.frac))
    lo, hi = max(min(t.lo, to.hi), to.lo), min(max(t.hi, to.lo), to.hi)
    return Expr("saturate", (x,), (to.lo, to.hi), Exact(lo, hi, to.frac))


def _round(a: Expr, k: int, rounding: Rounding) -> Expr:
    if k <= 0:
        return _align(a, -k)
    t = _exact(a)
    Exact(t.lo, t.hi + (1 << k), t.frac)  # the rounding bias must fit the machine word too
    lo, hi = roundfixed(t.lo, k, rounding), roundfixed(t.hi, k, rounding)
    if a.op == "const":
        return fixed(lo, t.frac - k)
    return Expr("round", (a,), (k, rounding), Exact(lo, hi, t.frac - k))


def roundfixed(x: int, k: int, rounding: str) -> int:
    """Drop k > 0 bits of the integer x: the definition, by magnitudes (expr.md section 4)."""
    floor, rest = divmod(x, 1 << k)
    match rounding:
        case "floor":
            return floor
        case "to_zero":
            return floor + (x < 0 and rest > 0)
        case "nearest":
            return floor + (2 * rest >= 1 << k)
        case _:
            return floor + (2 * rest > 1 << k or (2 * rest == 1 << k and floor % 2 == 1))


# ---------------------------------------------------------------- counting and tables


def count(a: Operand, b: Operand, limit: int | None = None) -> Expr:
    """Return how often b > 0 can be subtracted while a >= b: clamp(floor(a / b), 0, limit).

    ``limit`` None means no limit; on integers the interval then supplies one.

    Raises:
        SpikecError: SPK0206 when b may be zero or negative.
    """
    x, y = _aligned(_numeric("count", (a, b)))
    if isinstance(x.dtype, Float):
        return Expr("count", (x, y), limit, Float())
    p, q = _exact(x), _exact(y)
    if q.lo < 1:
        raise SpikecError(
            "SPK0206", "count", f"the divisor [{q.lo}, {q.hi}] may be zero", "Use positive values"
        )
    most = max(p.hi // q.lo, 0)
    bound = most if limit is None else min(limit, most)
    return Expr("count", (x, y), bound, Exact(0, bound, 0))


def remainder(a: Operand, b: Operand, limit: int | None = None) -> Expr:
    """Return a - count(a, b, limit) * b."""
    x, y = _aligned(_numeric("remainder", (a, b)))
    n = count(x, y, limit)
    result = sub(x, mul(n, y))
    if isinstance(x.dtype, Float):
        return result
    p, q = _exact(x), _exact(y)
    assert isinstance(n.value, int)
    hi = max(min(p.hi, q.hi - 1), p.hi - n.value * q.lo)
    return bound(result, min(p.lo, 0), hi)


def bound(a: Expr, lo: int, hi: int | None) -> Expr:
    """Return ``a`` with a tighter interval: a claim that intervals cannot see; no-op on floats."""
    if isinstance(a.dtype, Float):
        return a
    t = _exact(a)
    hi = t.hi if hi is None else min(hi, t.hi)
    return Expr("bound", (a,), None, Exact(max(lo, t.lo), hi, t.frac))


def lookup(index: Expr, table: Sequence[int], frac: int) -> Expr:
    """Return the table's entry.

    Raises:
        SpikecError: SPK0207 when the index may leave the table.
    """
    t = _exact(index)
    if t.frac != 0 or t.lo < 0 or t.hi >= len(table):
        raise SpikecError(
            "SPK0207",
            "lookup",
            f"the index {t} may leave a table of {len(table)} entries",
            "Clamp the index to the table",
        )
    return Expr("lookup", (index,), tuple(table), Exact(min(table), max(table), frac))


def curve(name: str, a: Expr) -> Expr:
    """Return exp, tanh, sigmoid, sqrt or log; only before ``quantize``.

    Raises:
        SpikecError: SPK0208 on an unknown name or an integer operand.
    """
    if name not in CURVES or not isinstance(a.dtype, Float):
        raise SpikecError(
            "SPK0208",
            "curve",
            f"{name} of {a.dtype} is not known",
            f"Use {', '.join(CURVES)} on f64",
        )
    return Expr("curve", (a,), name, Float())


# ---------------------------------------------------------------- graphs


def topological(roots: Sequence[Expr]) -> list[Expr]:
    """Return every node below ``roots`` once, operands before users."""
    order: list[Expr] = []
    seen: set[int] = set()
    stack: list[tuple[Expr, bool]] = [(r, False) for r in reversed(roots)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((a, False) for a in reversed(node.args) if id(a) not in seen)
    return order


def merge(roots: Sequence[Expr]) -> list[Expr]:
    """Unite equal subexpressions, so that each is one wire."""
    unique: dict[tuple[object, ...], Expr] = {}
    new: dict[int, Expr] = {}
    for node in topological(roots):
        args = tuple(new[id(a)] for a in node.args)
        key = (node.op, *(id(a) for a in args), node.value, str(node.dtype))
        if key not in unique:
            same = all(a is b for a, b in zip(args, node.args, strict=True))
            unique[key] = node if same else Expr(node.op, args, node.value, node.dtype)
        new[id(node)] = unique[key]
    return [new[id(r)] for r in roots]


def describe(named: dict[str, Expr]) -> str:
    """Return the equations as text, one binding a line, wires numbered in topological order."""
    names: dict[int, str] = {}
    lines: list[str] = []
    roots = merge(list(named.values()))
    for node in topological(roots):
        if node.op == "const":
            exact = isinstance(node.dtype, Exact)
            names[id(node)] = str(constant(node)) if exact else str(node.value)
        elif node.op in ("param", "state", "input"):
            names[id(node)] = f"{node.op}.{node.value}"
        else:
            name = names[id(node)] = f"w{len(lines)}"
            operands = [names[id(a)] for a in node.args]
            if node.value is not None:
                operands.append(str(node.value))
            lines.append(f"{name} = {node.op}({', '.join(operands)}) : {node.dtype}")
    lines += [f"{name}' = {names[id(r)]}" for name, r in zip(named, roots, strict=True)]
    return "\n".join(lines)
