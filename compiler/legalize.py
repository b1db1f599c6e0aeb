"""Rewrite an integer lane into what hardware has: adders, comparators and choices.

Multiplication by a constant becomes shift-adds in canonical signed digits, one node per partial sum
p * x with an integer p, so that its interval is exact (expr.md section 5). count and remainder
become one ladder of compare-subtract stages, ops of constants their value. Products of two
variables and lookups stay. Every value stays the same, bit for bit.

This is a function of a ``Lane``, not a pass over a ``Program``: lanes are derived from a program
(``wiring.lanes``) and only text emitters need the rewritten form; the program itself, and what the
engines run, keeps the equation as it is written.
"""

from spikec.compiler.equation import Lane
from spikec.compiler.errors import SpikecError
from spikec.compiler.evaluate import evaluate
from spikec.compiler.expr import (
    Expr,
    add,
    bound,
    fixed,
    flag,
    ge,
    is_const,
    merge,
    minimum,
    shift,
    topological,
    where,
)
from spikec.compiler.types import Bool, Exact, Float


def legalize(lane: Lane) -> Lane:
    """Return the lane without products by constants and without count.

    Raises:
        SpikecError: SPK1800 when the lane is not in integers.
    """
    for node in topological(lane.roots()):
        if isinstance(node.dtype, Float):
            raise SpikecError(
                "SPK1800",
                "lane",
                f"the op {node.op} is in floating point",
                "Quantize the program, or use a model with an integer form",
            )
    new = _Rewriter()
    output, *following = merge([new(root) for root in merge(lane.roots())])
    return Lane(output, dict(zip(lane.states, following, strict=True)), lane.ports)


def digits(n: int) -> list[tuple[int, int]]:
    """Return n as signed digits (1 or -1, position), highest first, no two of them adjacent."""
    found: list[tuple[int, int]] = []
    rest, position = n, 0
    while rest:
        if rest & 1:
            digit = 2 - (rest & 3)
            found.append((digit, position))
            rest -= digit
        rest >>= 1
        position += 1
    assert sum(d << k for d, k in found) == n
    return found[::-1]


def multiples(roots: list[Expr]) -> dict[int, tuple[int, Expr]]:
    """Return by id the nodes that are p * x in stored integers, as (p, x); p is not 0 or 1.

    Found from the ops alone: sums, differences and shifts of one wire x.
    """
    known: dict[int, tuple[int, Expr]] = {}

    def of(node: Expr) -> tuple[int, Expr]:
        return known.get(id(node), (1, node))

    for node in topological(roots):
        if node.op == "align" and isinstance(node.value, int):
            p, x = of(node.args[0])
            known[id(node)] = (p << node.value, x)
        elif node.op == "shift":
            known[id(node)] = of(node.args[0])
        elif node.op in ("add", "sub"):
            sign = 1 if node.op == "add" else -1
            (p, x), (q, y) = of(node.args[0]), of(node.args[1])
            if is_const(node.args[0], 0):
                known[id(node)] = (sign * q, y)
            elif x is y and x.op != "const":
                known[id(node)] = (p + sign * q, x)
    return {key: (p, x) for key, (p, x) in known.items() if p not in (0, 1)}


class _Rewriter:
    """Rewrites graphs bottom up; what is rewritten once is shared."""

    def __init__(self) -> None:
        self.done: dict[int, Expr] = {}
        self.kept: list[Expr] = []  # so that no id is used twice
        self.partial: dict[tuple[int, int], Expr] = {}
        self.ladders: dict[tuple[int, int, int], tuple[Expr, Expr]] = {}

    def __call__(self, root: Expr) -> Expr:
        for node in topological([root]):
            if id(node) not in self.done:
                self.kept.append(node)
                self.done[id(node)] = self._node(node)
        return self.done[id(root)]

    def _node(self, node: Expr) -> Expr:
        args = tuple(self.done[id(a)] for a in node.args)
        if node.op == "mul" and is_const(args[1]):
            return self._product(args[0], args[1])
        if node.op == "count":
            return self._ladder(node)[0]
        if node.op == "sub" and (counted := _divided(node)) is not None:
            return self._ladder(counted)[1]
        same = all(a is b for a, b in zip(args, node.args, strict=True))
        new = node if same else Expr(node.op, args, node.value, node.dtype)
        # A saturation of a constant stays, since it is counted.
        fold = args and new.op != "saturate" and all(a.op == "const" for a in args)
        return _folded(new) if fold else new

    def _product(self, x: Expr, c: Expr) -> Expr:
        """Return x * c by partial sums, from the highest digit down."""
        n, frac = _interval(c).lo, _interval(c).frac
        total, p, last = x, 0, digits(n)[0][1]
        for digit, position in digits(n):
            gap, last = last - position, position
            p = (p << gap) + digit
            if p != 1:
                total = self._sum(_times(total, gap), x, digit, p)
        assert p << last == n
        return _scaled(_times(total, last), -frac)

    def _sum(self, before: Expr, x: Expr, digit: int, p: int) -> Expr:
        """Return p * x as ``before`` plus or minus x, with its exact interval."""
        key = (id(x), p)
        if key not in self.partial:
            t = _interval(x)
            lo, hi = sorted((p * t.lo, p * t.hi))
            first = fixed(0, t.frac) if p == -1 else before
            op = "add" if digit > 0 else "sub"
            self.partial[key] = Expr(op, (first, x), None, Exact(lo, hi, t.frac))
        return self.partial[key]

    def _ladder(self, node: Expr) -> tuple[Expr, Expr]:
        """Return the count of a node and what is left: the remainder where ``_divided`` holds."""
        assert isinstance(node.value, int)
        a, b = (self.done[id(x)] for x in node.args)
        key = (id(a), id(b), node.value)
        if key not in self.ladders:
            self.ladders[key] = _stages(a, b, node.value)
        return self.ladders[key]


def _folded(node: Expr) -> Expr:
    """Return the constant that an op of constants gives."""
    value = evaluate([node], {})[0].item()
    return flag(value) if isinstance(node.dtype, Bool) else fixed(value, _interval(node).frac)


def _stages(rest: Expr, b: Expr, limit: int) -> tuple[Expr, Expr]:
    """Return count and rest after subtracting b * 2^k wherever it fits, k = m - 1 .. 0."""
    total = fixed(0, 0)
    for k in reversed(range(limit.bit_length())):
        step = _scaled(b, k)
        fits = ge(rest, step)
        t, s = _interval(rest), _interval(b)
        # One stage leaves less than it compares with, which intervals cannot see.
        most = max(min(t.hi, (s.hi << k) - 1), t.hi - (s.lo << k))
        rest = bound(where(fits, rest - step, rest), min(t.lo, 0), most)
        total = add(total, where(fits, 1 << k, 0))
    return total if limit & (limit + 1) == 0 else minimum(total, limit), rest


def _divided(node: Expr) -> Expr | None:
    """Return n where ``node`` is a - n * b, n = count(a, b), and the limit of n cannot act."""
    a, product = node.args
    if product.op != "mul":
        return None
    for n, b in (product.args, product.args[::-1]):
        if n.op == "count" and n.args[0] is a and n.args[1] is b:
            assert isinstance(n.value, int)
            most = max(_interval(a).hi // _interval(b).lo, 0)
            return n if n.value == most or n.value & (n.value + 1) == 0 else None
    return None


def _interval(a: Expr) -> Exact:
    assert isinstance(a.dtype, Exact)
    return a.dtype


def _scaled(a: Expr, k: int) -> Expr:
    """Return the real value times 2^k; no bit changes."""
    if a.op == "const":
        return fixed(_interval(a).lo, _interval(a).frac - k)
    return shift(a, k) if k else a


def _times(a: Expr, k: int) -> Expr:
    """Return k bits more of a, in its own unit: the stored integer times 2^k."""
    if k == 0:
        return a
    t = _interval(a)
    return _scaled(Expr("align", (a,), k, Exact(t.lo << k, t.hi << k, t.frac + k)), k)
