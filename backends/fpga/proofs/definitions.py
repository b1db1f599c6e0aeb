"""What every op means, as SMT-LIB terms of 64 bits.

Written from sections 3 and 4 of the expression language, by magnitudes and quotients, and not from
the text that is emitted: the proofs compare the two. Operands are A0, A1, A2: 64-bit numbers, or
Bool.
"""

from spikec.compiler.expr import Expr
from spikec.compiler.types import Exact

BITS = 64
COMPARE = {"gt": "bvsgt", "ge": "bvsge", "eq": "="}


def number(value: int) -> str:
    """Return a 64-bit constant."""
    return f"(_ bv{value % (1 << BITS)} {BITS})"


def definition(node: Expr, a: list[str]) -> str:
    """Return the term of a node whose operands are the terms ``a``: a Bool, or 64 bits."""
    op, value = node.op, node.value
    if op in COMPARE:
        return f"({COMPARE[op]} {a[0]} {a[1]})"
    match op, value:
        case "add", _:
            return f"(bvadd {a[0]} {a[1]})"
        case "sub", _:
            return f"(bvsub {a[0]} {a[1]})"
        case "mul", _:
            return f"(bvmul {a[0]} {a[1]})"
        case "not", _:
            return f"(not {a[0]})"
        case (("and" | "or"), _):
            return f"({op} {a[0]} {a[1]})"
        case "where", _:
            return f"(ite {a[0]} {a[1]} {a[2]})"
        case "min", _:
            return f"(ite (bvsle {a[0]} {a[1]}) {a[0]} {a[1]})"
        case "max", _:
            return f"(ite (bvsge {a[0]} {a[1]}) {a[0]} {a[1]})"
        case "abs", _:
            return _magnitude(a[0])
        case "align", int(k):
            return f"(bvmul {a[0]} {number(1 << k)})"
        case (("shift" | "bound"), _):
            return a[0]
        case "round", (int(k), str(mode)):
            return _round(a[0], k, mode)
        case "saturate", (int(lo), int(hi)):
            below = f"(ite (bvslt {a[0]} {number(lo)}) {number(lo)} {a[0]})"
            return f"(ite (bvsgt {a[0]} {number(hi)}) {number(hi)} {below})"
        case "wrap", (int(bits), sign):
            return _wrap(a[0], bits, sign == "signed")
        case "lookup", tuple():
            return _lookup(a[0], [int(entry) for entry in value])
        case _:
            raise AssertionError(f"no definition of {op}")


def _magnitude(a: str) -> str:
    return f"(ite (bvslt {a} {number(0)}) (bvneg {a}) {a})"


def _round(a: str, k: int, mode: str) -> str:
    """Drop k bits: by the quotient of the magnitude, and by what it leaves."""
    span, zero, one = number(1 << k), number(0), number(1)
    quotient = f"(bvudiv {_magnitude(a)} {span})"
    if mode == "to_zero":
        return f"(ite (bvslt {a} {zero}) (bvneg {quotient}) {quotient})"
    over = f"(bvurem {_magnitude(a)} {span})"
    # The floor of a negative number lies one below, unless nothing is left.
    below = f"(bvneg (bvadd {quotient} (ite (= {over} {zero}) {zero} {one})))"
    floor = f"(ite (bvslt {a} {zero}) {below} {quotient})"
    if mode == "floor":
        return floor
    negative = f"(ite (= {over} {zero}) {zero} (bvsub {span} {over}))"
    rest = f"(ite (bvslt {a} {zero}) {negative} {over})"
    half = number(1 << (k - 1))
    up = f"(bvuge r {half})"
    if mode == "nearest_even":
        odd = f"(= (bvurem f {number(2)}) {one})"
        up = f"(or (bvugt r {half}) (and (= r {half}) {odd}))"
    return f"(let ((f {floor}) (r {rest})) (ite {up} (bvadd f {one}) f))"


def _wrap(a: str, bits: int, signed: bool) -> str:
    """The number that differs from ``a`` by a multiple of 2^bits and lies in the range."""
    low = f"(bvurem {a} {number(1 << bits)})"
    if not signed:
        return low
    high = f"(bvuge {low} {number(1 << (bits - 1))})"
    return f"(ite {high} (bvsub {low} {number(1 << bits)}) {low})"


def _lookup(a: str, table: list[int]) -> str:
    text = number(table[-1])
    for k in range(len(table) - 2, -1, -1):
        text = f"(ite (= {a} {number(k)}) {number(table[k])} {text})"
    return text


def inside(term: str, t: Exact) -> str:
    """Return the claim that a 64-bit term lies in an interval."""
    return f"(and (bvsle {number(t.lo)} {term}) (bvsle {term} {number(t.hi)}))"
