"""The definitions of ops in Verilog, to be compared with their text by the solver inside Yosys."""

import re
from pathlib import Path
from typing import Any

from spikec.backends.fpga.lanes.ops import declaration, declarations
from spikec.backends.fpga.proofs.definitions import definition
from spikec.backends.fpga.proofs.readback import Piece, is_flag
from spikec.backends.fpga.tools import yosys
from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Bool, Exact

SIGNED = {
    "bvadd": "+",
    "bvsub": "-",
    "bvmul": "*",
    "bvslt": "<",
    "bvsle": "<=",
    "bvsgt": ">",
    "bvsge": ">=",
    "=": "==",
    "and": "&&",
    "or": "||",
}
UNSIGNED = {"bvudiv": "/", "bvurem": "%", "bvuge": ">=", "bvugt": ">"}


def verilog(term: str) -> str:
    """Return an SMT-LIB term of 64-bit numbers as a Verilog expression."""
    return _text(_read(re.findall(r"[()]|[^\s()]+", term)), {})


def _read(tokens: list[str]) -> Any:
    token = tokens.pop(0)
    if token != "(":
        return token
    found: list[Any] = []
    while tokens[0] != ")":
        found.append(_read(tokens))
    tokens.pop(0)
    return found


def _text(term: Any, bound: dict[str, str]) -> str:
    if isinstance(term, str):
        return bound.get(term, {"true": "1'b1", "false": "1'b0"}.get(term, term))
    head, *rest = term
    if head == "_":
        return _number(int(rest[0][2:]))
    if head == "let":
        names: dict[str, str] = {n: _text(value, bound) for n, value in rest[0]}
        return _text(rest[1], bound | names)
    a = [_text(x, bound) for x in rest]
    if head == "ite":
        return f"({a[0]} ? {a[1]} : {a[2]})"
    if head == "not":
        return f"(!{a[0]})"
    if head == "bvneg":
        return f"(64'sd0 - {a[0]})"
    if head in UNSIGNED:
        inner = f"$unsigned({a[0]}) {UNSIGNED[head]} $unsigned({a[1]})"
        return f"$signed({inner})" if head in ("bvudiv", "bvurem") else f"({inner})"
    return f"({f' {SIGNED[head]} '.join(a)})"


def agrees(piece: Piece, folder: Path) -> bool:
    """Return whether ``sat`` proves that a text is its definition for operands in their range."""
    node = piece.node
    ports = {o.name: o for o in piece.operands if o.value is None}
    inputs = [f"input {declaration(o.name, o.dtype)}" for o in ports.values()]
    terms = [
        str(bool(o.value)).lower()
        if isinstance(o.dtype, Bool) and o.value is not None
        else f"(_ bv{o.value % (1 << 64)} 64)"
        if o.value is not None
        else o.name
        if isinstance(o.dtype, Bool)
        else f"w_{o.name}"
        for o in piece.operands
    ]
    wide = [
        f"logic signed [63:0] w_{o.name}; assign w_{o.name} = 64'({o.name});"
        for o in ports.values()
        if isinstance(o.dtype, Exact)
    ]
    inside = [
        f"(w_{o.name} >= {_number(o.dtype.lo)} && w_{o.name} <= {_number(o.dtype.hi)})"
        for o in ports.values()
        if isinstance(o.dtype, Exact)
    ]
    declared = [f"{declaration(n, t)};" for n, t in declarations(node, "y")]
    meant = verilog(definition(node, terms))
    y = "y" if is_flag(node) else "64'(y)"
    lines = [
        f"module miter ({', '.join([*inputs, 'output logic wrong'])});",
        *declared,
        *wide,
        *piece.lines,
        f"assign wrong = {' && '.join(inside or ['1'])} && ({y} != {meant});",
        "endmodule\n",
    ]
    (folder / "miter.sv").write_text("\n".join(lines))
    script = ["read_verilog -sv miter.sv", "hierarchy -top miter", "proc -norom", "opt -full"]
    try:
        yosys([*script, "sat -timeout 20 -verify -prove wrong 0 miter"], folder)
    except SpikecError as error:
        if "proof did fail" in error.problem:
            return False
        raise
    return True


def _number(value: int) -> str:
    """Return a signed constant, given as it is or modulo 2^64."""
    value = value - (1 << 64) if value >= 1 << 63 else value
    return f"64'sd{value}" if value >= 0 else f"(64'sd0 - 64'sd{-value})"
