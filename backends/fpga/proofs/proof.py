"""Prove that the text of a lane computes what its equation says, op by op (expr.md section 7).

For each piece of the text, read back and given a meaning by Yosys, its result must equal the
definition of its op in 64 bits, and lie in the interval of its wire, for all operands in theirs.
The lane follows by induction over its graph, as its text is nothing but these pieces. A partial sum
p * x is compared modulo 2^w; that it lies in its interval follows from p and x in exact integers,
and likewise for a product from its corners. What ``bound`` claims is proved on the definitions of
the ops below it.

A piece that no solver answers is "simulated": the vectors of the tests are all that is known.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from spikec.backends.fpga.lanes import ops
from spikec.backends.fpga.lanes.lane import LaneModule
from spikec.backends.fpga.lanes.wires import Operand
from spikec.backends.fpga.proofs.definitions import definition, inside, number
from spikec.backends.fpga.proofs.readback import Piece, is_flag, pieces
from spikec.backends.fpga.proofs.solvers import Answer, bitwuzla
from spikec.backends.fpga.tools import yosys
from spikec.compiler.errors import SpikecError
from spikec.compiler.expr import Expr, topological
from spikec.compiler.legalize import multiples
from spikec.compiler.types import Bool, Exact

Status = Literal["proved", "simulated", "refuted"]
Solver = Callable[[str, list[str], float], Answer]
SECONDS = 60.0
# How much of what lies below a ``bound`` is taken into account, before all of it is.
CONES = (2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class Obligation:
    """One thing to prove.

    Attributes:
        title: Op, operands and result.
        module: SystemVerilog of the piece, or nothing for a claim about definitions.
        problem: SMT-LIB, to be unsatisfiable; it follows the translation of ``module``.
        variables: Its operands.
        partial: Whether a counterexample says nothing, because the cone was cut.
    """

    title: str
    module: str
    problem: str
    variables: tuple[str, ...]
    partial: bool = False

    @property
    def key(self) -> str:
        """Hash of the text."""
        return hashlib.sha256(f"{self.module}\n{self.problem}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of an obligation.

    Attributes:
        status: proved, simulated (no answer), or refuted.
        values: Operands of a counterexample.
    """

    status: Status
    values: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class LaneProof:
    """What is known of a lane: an outcome for every piece and every claim.

    Attributes:
        name: Of the module.
        outcomes: Wire, title, and outcome.
    """

    name: str
    outcomes: tuple[tuple[str, str, Outcome], ...]

    @property
    def proved(self) -> bool:
        """Whether everything is."""
        return all(o.status == "proved" for _, _, o in self.outcomes)

    def vectors(self) -> list[str]:
        """Return the counterexamples, one a line."""
        return [
            f"{self.name}.{wire}: {title}: " + ", ".join(f"{k}={v}" for k, v in o.values.items())
            for wire, title, o in self.outcomes
            if o.status == "refuted"
        ]


def prove(
    modules: Sequence[LaneModule],
    known: dict[str, Outcome] | None = None,
    solver: Solver = bitwuzla,
    seconds: float = SECONDS,
) -> list[LaneProof]:
    """Prove lanes; equal pieces are proved once.

    Args:
        modules: SystemVerilog lanes.
        known: Outcomes by the hash of their text; what is found out is added.
        solver: bitwuzla or z3.
        seconds: For each question.

    Raises:
        SpikecError: SPK1801 without the tools, SPK1804 when a text does not follow from its lane,
            SPK1805 when a wire is narrower than its op needs.
    """
    known = {} if known is None else known
    todo: list[tuple[LaneModule, list[tuple[str, list[Obligation]]]]] = []
    for module in modules:
        exact = exact_sums(module)
        listed = [
            (p.wire, [piece_obligation(p, id(p.node) in exact)])
            for p in pieces(module, module.text)
        ]
        claims = [n for n in topological(module.lane.roots()) if n.op == "bound"]
        listed += [("bound", claim_obligations(node)) for node in claims]
        todo.append((module, listed))
    everything = [o for _, listed in todo for _, tries in listed for o in tries]
    meanings = translate([o for o in everything if o.key not in known])
    return [
        LaneProof(
            module.name,
            tuple(
                (wire, tries[-1].title, _settle(tries, known, meanings, solver, seconds))
                for wire, tries in listed
            ),
        )
        for module, listed in todo
    ]


def _settle(
    tries: list[Obligation],
    known: dict[str, Outcome],
    meanings: dict[str, str],
    solver: Solver,
    seconds: float,
) -> Outcome:
    """Return the first outcome that says something."""
    for o in tries:
        if o.key not in known:
            known[o.key] = _ask(o, meanings.get(o.key, ""), solver, seconds)
        if known[o.key].status == "proved" or o is tries[-1]:
            return known[o.key]
    raise AssertionError("nothing was tried")


def _ask(o: Obligation, meaning: str, solver: Solver, seconds: float) -> Outcome:
    answer = solver(meaning + o.problem, list(o.variables), seconds)
    if answer.result == "unsat":
        return Outcome("proved")
    if answer.result == "sat" and not o.partial:
        return Outcome("refuted", answer.values)
    return Outcome("simulated")


def translate(obligations: Sequence[Obligation]) -> dict[str, str]:
    """Return by key what Yosys makes of each module, in SMT-LIB."""
    texts = {o.key: o.module for o in obligations if o.module}
    if not texts:
        return {}
    with TemporaryDirectory(prefix="spikec-") as place:
        folder = Path(place)
        named = [text.replace("module ob ", f"module ob_{key} ") for key, text in texts.items()]
        (folder / "pieces.sv").write_text("\n".join(named))
        yosys(["read_verilog -sv pieces.sv", "proc -norom", "write_smt2 -stbv pieces.smt2"], folder)
        written = (folder / "pieces.smt2").read_text()
    chunks = written.split("; yosys-smt2-module ob_")[1:]
    return {c.split("\n", 1)[0]: c.split("\n", 1)[1].replace(f"ob_{c[:64]}", "ob") for c in chunks}


def exact_sums(module: LaneModule) -> set[int]:
    """Return the ids of all nodes whose interval does not follow from their operands' alone.

    For these it is shown here, in exact integers: p * x lies between p times the ends of x, and a
    product between the products of the ends.

    Raises:
        SpikecError: SPK1805 when it does not.
    """
    roots = module.lane.roots()
    known = multiples(roots)
    found: set[int] = set()
    for node in topological(roots):
        if node.op not in ("add", "sub", "mul") or not isinstance(node.dtype, Exact):
            continue
        if node.op != "mul" and _holds(node.dtype, _corners(node)):
            continue
        found.add(id(node))
        ends = _corners(node)
        if node.op != "mul" and id(node) in known:
            p, x = known[id(node)]
            assert isinstance(x.dtype, Exact)
            ends = [p * x.dtype.lo, p * x.dtype.hi]
        elif node.op == "mul" and node.args[0] is node.args[1]:
            t = node.args[0].dtype
            assert isinstance(t, Exact)
            ends = [t.lo * t.lo, t.hi * t.hi, *([0] if t.lo <= 0 <= t.hi else [])]
        if not _holds(node.dtype, ends):
            raise SpikecError(
                "SPK1805",
                module.name,
                f"a {node.op} may leave its interval {node.dtype}",
                "Report this as a bug",
            )
    return found


def _holds(t: Exact, ends: list[int]) -> bool:
    return t.lo <= min(ends) and max(ends) <= t.hi


def _corners(node: Expr) -> list[int]:
    a, b = (x.dtype for x in node.args)
    assert isinstance(a, Exact)
    assert isinstance(b, Exact)
    pairs = [(x, y) for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
    if node.op == "mul":
        return [x * y for x, y in pairs]
    return [x + y if node.op == "add" else x - y for x, y in pairs]


# ---------------------------------------------------------------- the text of one op


def piece_obligation(piece: Piece, modular: bool) -> Obligation:
    """Return the obligation of one piece.

    Args:
        piece: Its text.
        modular: Compare the lowest bits only; the interval is known to hold.
    """
    node = piece.node
    ports = {o.name: o for o in piece.operands if o.value is None}
    inputs = [f"input {ops.declaration(o.name, o.dtype)}" for o in ports.values()]
    outputs = [(n, t) for n, t in ops.declarations(node, "y")]
    listed = [*inputs, *(f"output {ops.declaration(n, t)}" for n, t in outputs)]
    module = f"module ob ({', '.join(listed)});\n" + "\n".join(piece.lines) + "\nendmodule\n"
    lines = ["(declare-const s |ob_s|)"]
    for o in ports.values():
        lines += _variable(o)
    if node.op == "bound" and node.args:
        # The claim itself is an obligation of its own.
        assert isinstance(node.dtype, Exact)
        lines.append(f"(assert {inside('A', node.dtype)})")
    terms = [_term(o) for o in piece.operands]
    lines.append(f"(assert (not {_claim(node, terms, modular)}))")
    title = f"{node.op} {node.value if len(str(node.value)) < 40 else '...'} of " + ", ".join(
        str(o.dtype) for o in piece.operands
    )
    return Obligation(
        f"{title} in {node.dtype}", module, "\n".join(lines) + "\n", tuple(n.upper() for n in ports)
    )


def _variable(o: Operand) -> list[str]:
    """Return the declaration of a 64-bit number that a port of the piece holds."""
    name = o.name.upper()
    bits = f"(|ob_n {o.name}| s)"
    bits = f"(ite {bits} #b1 #b0)" if o.width == 1 else bits
    lines = [f"(declare-const {name} (_ BitVec 64))"]
    if isinstance(o.dtype, Bool):
        return [*lines, f"(assert (= {name} ((_ zero_extend 63) {bits})))"]
    lines.append(f"(assert (= {name} ((_ sign_extend {64 - o.width}) {bits})))")
    return [*lines, f"(assert {inside(name, o.dtype)})"]


def _term(o: Operand) -> str:
    if isinstance(o.dtype, Bool):
        if o.value is not None:
            return "true" if o.value else "false"
        return f"(= {o.name.upper()} {number(1)})"
    return o.name.upper() if o.value is None else number(o.value)


def _claim(node: Expr, terms: list[str], modular: bool) -> str:
    """Return that the piece does what the node means."""
    if is_flag(node):
        return f"(= (|ob_n y| s) {definition(node, terms)})"
    assert isinstance(node.dtype, Exact)
    w = node.dtype.width
    y = "(ite (|ob_n y| s) #b1 #b0)" if w == 1 else "(|ob_n y| s)"
    if modular:
        low = [f"((_ extract {w - 1} 0) {t})" for t in terms]
        return f"(= {y} {definition(node, low)})"
    wide = f"((_ sign_extend {64 - w}) {y})"
    meant = definition(node, terms)
    parts = [f"(= {wide} {meant})", inside(wide, node.dtype)]
    if node.op == "saturate":
        parts.append(f"(= (|ob_n act_y| s) (not (= {meant} {terms[0]})))")
    return f"(and {' '.join(parts)})"


# ---------------------------------------------------------------- the claims of bound


def claim_obligations(node: Expr) -> list[Obligation]:
    """Return that what ``bound`` claims holds: on more and more of what lies below it."""
    size = len(topological([node]))
    depths = [d for d in CONES if d < size]
    tries = [_cone(node, d) for d in (*depths, size)]
    return list({o.key: o for o in tries}.values())


def _cone(node: Expr, depth: int) -> Obligation:
    """Return the claim with everything deeper than ``depth`` free in its interval."""
    distance = {id(node): 0}
    for n in reversed(topological([node])):
        for a in n.args:
            step = distance[id(n)] + 1
            distance[id(a)] = min(distance.get(id(a), step), step)
    lines: list[str] = []
    names: dict[int, str] = {}
    free: list[str] = []
    cut = False
    for n in _below(node, distance, depth):
        if n.op == "const":
            assert isinstance(n.value, int)
            exact = isinstance(n.dtype, Exact)
            names[id(n)] = number(n.value) if exact else str(bool(n.value)).lower()
        elif n.args and distance[id(n)] < depth:
            kind = "Bool" if is_flag(n) else "(_ BitVec 64)"
            names[id(n)] = f"w{len(names)}"
            term = definition(n, [names[id(a)] for a in n.args])
            lines.append(f"(define-fun {names[id(n)]} () {kind} {term})")
        else:
            cut = cut or bool(n.args)
            names[id(n)] = _free(n, lines, free)
    assert isinstance(node.dtype, Exact)
    lines.append(f"(assert (not {inside(names[id(node.args[0])], node.dtype)}))")
    title = f"claim {node.dtype}"
    return Obligation(title, "", "\n".join(lines) + "\n", tuple(free), cut)


def _below(node: Expr, distance: dict[int, int], depth: int) -> list[Expr]:
    """Return what lies above the cut, operands before users, without the node itself."""
    return [n for n in topological([node]) if distance[id(n)] <= depth and n is not node]


def _free(n: Expr, lines: list[str], free: list[str]) -> str:
    """Declare a free value of a node and return its term."""
    name = f"X{len(free)}"
    free.append(name)
    lines.append(f"(declare-const {name} (_ BitVec 64))")
    if isinstance(n.dtype, Exact):
        lines.append(f"(assert {inside(name, n.dtype)})")
        return name
    return f"(= {name} {number(1)})"
