"""The SystemVerilog text of each op (expr.md sections 4 and 5).

Operands are identifiers, or literals for constants; every wire is signed and as wide as its
interval needs. Casts are sized, ``W'(a)``, and sign-extend or drop high bits. A unary minus never
stands before a cast, and part selects, which are unsigned, stand inside ``$signed``.
"""

from collections.abc import Sequence

from spikec.backends.fpga.lanes.wires import Operand, width
from spikec.compiler.expr import Expr
from spikec.compiler.types import Bool, Exact, Float

COMPARE = {"gt": ">", "ge": ">=", "eq": "=="}
SUMS = {"add": "+", "sub": "-", "mul": "*"}


def at(a: Operand, bits: int) -> str:
    """Return the text of an operand in so many bits."""
    if a.value is not None:
        return literal(a.value, bits)
    return a.name if bits == a.width else f"{bits}'({a.name})"


def top(a: Operand) -> str:
    """Return the sign bit of a wire."""
    return f"{a.name}[{a.width - 1}]"


def literal(value: int, bits: int) -> str:
    """Return a sized signed constant."""
    return f"{bits}'sh{value & ((1 << bits) - 1):x}"


def declaration(name: str, dtype: Float | Bool | Exact) -> str:
    """Return type and name of a wire."""
    if isinstance(dtype, Bool):
        return f"logic {name}"
    return f"logic signed [{width(dtype) - 1}:0] {name}"


def statements(node: Expr, name: str, a: Sequence[Operand]) -> list[str]:
    """Return the lines that drive wire ``name`` with one op of the operands ``a``.

    A ``saturate`` also drives ``act_<name>``, which says that it acted.
    """
    if node.op == "saturate":
        return _saturate(node, name, a[0])
    if node.op == "lookup":
        return _lookup(node, name, a[0])
    return [f"assign {name} = {_expression(node, a)};"]


def declarations(node: Expr, name: str) -> list[tuple[str, Bool | Exact]]:
    """Return the wires that ``statements`` drives."""
    assert not isinstance(node.dtype, Float)
    wires: list[tuple[str, Bool | Exact]] = [(name, node.dtype)]
    if node.op == "saturate":
        wires += [(f"{side}_{name}", Bool()) for side in ("over", "under", "act")]
    return wires


def _expression(node: Expr, a: Sequence[Operand]) -> str:
    op, value, w = node.op, node.value, width(node.dtype)
    if op in SUMS:
        return f"{at(a[0], w)} {SUMS[op]} {at(a[1], w)}"
    if op in COMPARE:
        c = max(a[0].width, a[1].width)
        return f"{at(a[0], c)} {COMPARE[op]} {at(a[1], c)}"
    match op, value:
        case "not", _:
            return f"~{flag(a[0])}"
        case "and", _:
            return f"{flag(a[0])} & {flag(a[1])}"
        case "or", _:
            return f"{flag(a[0])} | {flag(a[1])}"
        case "where", _ if isinstance(node.dtype, Bool):
            return f"{flag(a[0])} ? {flag(a[1])} : {flag(a[2])}"
        case "where", _:
            return f"{flag(a[0])} ? {at(a[1], w)} : {at(a[2], w)}"
        case (("min" | "max"), _):
            c = max(a[0].width, a[1].width)
            sign = "<" if op == "min" else ">"
            return f"({at(a[0], c)} {sign} {at(a[1], c)}) ? {at(a[0], w)} : {at(a[1], w)}"
        case "abs", _:
            return f"{top(a[0])} ? {literal(0, w)} - {at(a[0], w)} : {at(a[0], w)}"
        case "align", int(k):
            return f"{at(a[0], w)} <<< {k}"
        case "bound", _:
            return at(a[0], w)
        case "round", (int(k), str(mode)):
            shifted = min(k, a[0].width - 1) if mode == "floor" else k
            return f"{w}'({_round(a[0], k, mode)} >>> {shifted})"
        case "wrap", (int(bits), "signed"):
            return at(a[0], bits)
        case "wrap", (int(bits), _):
            return f"$signed({{1'b0, {at(a[0], bits)}}})"
        case _:
            raise AssertionError(f"no form for {op}")


def flag(a: Operand) -> str:
    """Return the text of a Bool."""
    return a.name if a.value is None else f"1'b{a.value}"


def _round(a: Operand, k: int, mode: str) -> str:
    """Return the operand with the bias of a rounding, in a bit more than either needs."""
    if mode == "floor":
        return a.name
    w = max(a.width, k + 1) + 1
    wide, most = at(a, w), (1 << k) - 1
    match mode:
        case "to_zero":
            return f"({wide} + ({top(a)} ? {literal(most, w)} : {literal(0, w)}))"
        case "nearest":
            return f"({wide} + {literal(1 << (k - 1), w)})"
        case _:
            kept = f"{a.name}[{k}]" if k < a.width else top(a)
            odd = f"{w}'($signed({{1'b0, {kept}}}))"
            return f"({wide} + {literal(most >> 1, w)} + {odd})"


def _saturate(node: Expr, name: str, a: Operand) -> list[str]:
    """Return the comparisons with the sides that can act, and the choice between them."""
    assert isinstance(node.value, tuple)
    lo, hi = (int(x) for x in node.value)
    assert isinstance(a.dtype, Exact)
    w, bits = width(node.dtype), a.width
    over = f"{at(a, bits)} > {literal(hi, bits)}" if a.dtype.hi > hi else "1'b0"
    under = f"{at(a, bits)} < {literal(lo, bits)}" if a.dtype.lo < lo else "1'b0"
    inside = at(a, w)
    above = f"over_{name} ? {literal(hi, w)} : " if a.dtype.hi > hi else ""
    below = f"under_{name} ? {literal(lo, w)} : " if a.dtype.lo < lo else ""
    return [
        f"assign over_{name} = {over};",
        f"assign under_{name} = {under};",
        f"assign act_{name} = over_{name} | under_{name};",
        f"assign {name} = {above}{below}{inside};",
    ]


def _lookup(node: Expr, name: str, a: Operand) -> list[str]:
    assert isinstance(node.value, tuple)
    assert isinstance(a.dtype, Exact)
    w, used = width(node.dtype), range(a.dtype.lo, a.dtype.hi + 1)
    rows = [
        f"        {literal(k, a.width)}: {name} = {literal(int(node.value[k]), w)};" for k in used
    ]
    head, default = f"    case ({a.name})", f"        default: {name} = {literal(0, w)};"
    return ["always_comb begin", head, *rows, default, "    endcase", "end"]
