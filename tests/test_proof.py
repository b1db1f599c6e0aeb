"""Proofs of lanes: all neurons proved, every deliberate fault refuted, every edit noticed."""

import re
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import benches
import networks
import spikec
from emitter_faults import FAULTS, TIMING, Fault
from lanes import choices, kinds, lane, lanes, vectors
from sizes import evidence, examples, size
from spikec.backends.fpga.lanes.lane import LaneModule, lane_module, population_lane
from spikec.backends.fpga.proofs import proof
from spikec.backends.fpga.proofs.definitions import definition, inside, number
from spikec.backends.fpga.proofs.proof import Obligation, Outcome, prove
from spikec.backends.fpga.proofs.readback import Piece, pieces
from spikec.backends.fpga.proofs.solvers import Answer, bitwuzla, z3
from spikec.backends.fpga.tools import have
from spikec.compiler import expr as ex
from spikec.compiler import legalize as legal
from spikec.compiler.equation import Lane
from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Exact
from spikec.compiler.wiring import lanes as wired
from test_lane import PER_STAGE, casts, edges, operations
from yosys_sat import agrees

pytestmark = pytest.mark.skipif(
    not have("pyosys", "bitwuzla"), reason="needs pyosys and bitwuzla: install spikec[fpga]"
)


def modules(bits: int, stride: int) -> list[LaneModule]:
    listed = lanes(stride, bits)
    return [lane_module(name, lane, PER_STAGE[k % 4]) for k, (name, lane) in enumerate(listed)]


def pipelined(lane: Lane, name: str) -> LaneModule:
    return lane_module(name, lane, 2)


def counted(proofs: list[proof.LaneProof]) -> Counter[str]:
    return Counter(o.status for p in proofs for _, _, o in p.outcomes)


def test_every_neuron_is_proved() -> None:
    """Every piece of text and every claim, at 16 and 24 bits of state."""
    start = time.monotonic()
    known: dict[str, Outcome] = {}
    made = [m for bits in (16, 24) for m in modules(bits, size(1000, 40))]
    assert {m.name.split("_16")[0] for m in made[: len(made) // 2]} == {
        f"lane_{kind}" for kind in kinds()
    }
    proofs = prove(made, known)
    assert counted(proofs).keys() == {"proved"}, [p.vectors() for p in proofs if not p.proved]
    evidence(
        "lane_proofs",
        lanes=len(made),
        obligations=counted(proofs)["proved"],
        distinct=len(known),
        seconds=round(time.monotonic() - start, 1),
    )


@given(networks.graphs())
@examples(4, 200)
def test_populations_of_quantised_networks_are_proved(graph: spikec.Graph) -> None:
    """With the intervals and formats that ``quantize`` gives."""
    program = spikec.compile(graph, pipeline="fuse,quantize{weight_bits=8,max_steps=100}")
    made = [population_lane(p, wired(program.graph)[p.name], 2) for p in program.graph.populations]
    proofs = prove(made)
    assert all(p.proved for p in proofs), [p.vectors() for p in proofs]


def test_every_op_and_cast_is_proved() -> None:
    """Lookups, ladders, products, wraps, and all casts of eight bits."""
    made = [pipelined(casts(), "casts"), pipelined(operations(), "operations")]
    assert counted(prove(made)).keys() == {"proved"}


def test_outcomes_are_kept_by_text() -> None:
    """A second proof asks nobody."""
    made = modules(16, 1000)[:3]
    known: dict[str, Outcome] = {}
    first = prove(made, known)

    def nobody(problem: str, constants: list[str], seconds: float) -> Answer:
        raise AssertionError("asked again")

    assert [p.outcomes for p in prove(made, known, nobody)] == [p.outcomes for p in first]


def test_no_answer_is_no_proof() -> None:
    """A piece that no solver answers in time is called simulated."""
    made = modules(16, 1000)[:1]

    def silent(problem: str, constants: list[str], seconds: float) -> Answer:
        return Answer("unknown")

    assert counted(prove(made, solver=silent)).keys() == {"simulated"}


@pytest.mark.skipif(not have("z3"), reason="needs z3-solver")
def test_a_second_solver_agrees() -> None:
    """z3 refutes nothing that bitwuzla proves, and proves most of it; both refute what is false."""
    listed = [o for m in modules(16, 1000) for p in pieces(m, m.text) for o in [piece(p, m)]]
    sample = list({o.key: o for o in listed}.values())[:: size(25, 3)]
    meanings = proof.translate(sample)
    answers = Counter(
        z3(meanings[o.key] + o.problem, [], float(size(2, 20))).result for o in sample
    )
    assert answers["sat"] == 0
    assert answers["unsat"] >= len(sample) / 2  # it is slow on wide products
    x = ex.leaf("input", "x", Exact(0, 7))
    wrong = Lane(ex.bound(x + 1, 0, 6), {}, {"x": Exact(0, 7)})
    for solver in (z3, bitwuzla):
        (result,) = prove([lane_module("wrong", wrong)], solver=solver)
        refuted = [o for _, _, o in result.outcomes if o.status == "refuted"]
        assert [o.values["X0"] >= 6 for o in refuted] == [True]
    evidence("lane_proofs_z3", unsat=answers["unsat"], no_answer=answers["unknown"])


def test_the_solver_of_yosys_agrees(tmp_path: Path) -> None:
    """Its built-in SAT proves one text of every op, against the definitions in Verilog."""
    tried: set[tuple[str, str]] = set()
    for module in modules(16, 1000):
        exact = proof.exact_sums(module)
        for p in pieces(module, module.text):
            shape = (p.node.op, re.sub(r"\d", "", str(p.node.value)))
            if shape not in tried and p.node.op != "bound" and id(p.node) not in exact:
                tried.add(shape)
                assert agrees(p, tmp_path), p.lines
    assert {"round", "saturate", "wrap", "where", "sub", "ge"} <= {op for op, _ in tried}
    ops = lane_module("operations", operations())
    compared = next(p for p in pieces(ops, ops.text) if p.node.op == "gt")
    assert agrees(compared, tmp_path)
    wrong = tuple(line.replace(">", ">=") for line in compared.lines)
    assert not agrees(replace(compared, lines=wrong), tmp_path)
    evidence("lane_proofs_yosys_sat", shapes=len(tried))


def piece(p: Piece, module: LaneModule) -> Obligation:
    return proof.piece_obligation(p, id(p.node) in proof.exact_sums(module))


def test_a_false_claim_is_refuted_with_a_vector() -> None:
    """What ``bound`` claims is proved, not believed."""
    x = ex.leaf("input", "x", Exact(-9, 7))
    for most, holds in ((9, True), (8, False)):
        lane = Lane(ex.bound(ex.absolute(x), 0, most), {}, {"x": Exact(-9, 7)})
        (result,) = prove([lane_module("claim", lane)])
        assert result.proved is holds
    assert result.vectors() == ["lane_claim.bound: claim [0, 8].0: X0=-9"]


def test_an_interval_that_does_not_follow_is_an_error() -> None:
    """A sum narrower than its operands need, and which is no multiple of one wire."""
    x, y = (ex.leaf("input", n, Exact(0, 7)) for n in "xy")
    root = ex.Expr("add", (x, y), None, Exact(0, 13))
    with pytest.raises(SpikecError, match="SPK1805"):
        prove([lane_module("narrow", Lane(root, {}, {"x": Exact(0, 7), "y": Exact(0, 7)}))])


# ---------------------------------------------------------------- faults


def sites() -> list[tuple[Fault, LaneModule, Lane]]:
    """Return every fault at the first lane that has a site for it."""
    # Tables of two_point and universal_context have a thousand entries, which few vectors meet.
    short = [named for named in lanes(1000, 16) if named[0][:3] not in ("two", "uni")]
    some = [*short, ("operations", operations())]
    made = [(lane_module(name, lane, 1), lane) for name, lane in some]
    plain = sorted(lanes(1000, 8), key=lambda named: "threshold" not in named[0])
    small = [(lane_module(n, lane, 1), lane) for n, lane in [("edges", edges()[0]), *plain]]
    found: list[tuple[Fault, LaneModule, Lane]] = []
    for k, fault in enumerate(FAULTS):
        for module, source in small if fault.small else made:
            faulty = fault.apply(module, f"{module.name}_fault{k}")
            if faulty is not None:
                found.append((fault, faulty, source))
                break
    return found


def test_every_fault_has_a_site() -> None:
    """So that the next two tests speak of all of them."""
    missing = {f.name for f in FAULTS} - {f.name for f, _, _ in sites()}
    assert not missing


def test_every_fault_is_refuted_by_proof() -> None:
    """Each with operands for which the text is wrong."""
    for fault, faulty, _ in sites():
        (result,) = prove([faulty])
        refuted = [o for _, _, o in result.outcomes if o.status == "refuted"]
        assert refuted, fault.name
        assert all(o.values for o in refuted), fault.name
        assert result.vectors(), fault.name
    evidence("lane_faults", proved_wrong=len(sites()))


@pytest.mark.skipif(not have("g++"), reason="needs g++")
def test_every_fault_is_seen_by_simulation(tmp_path: Path) -> None:
    """All of them in one compile."""
    faulty = [m for _, m, _ in sites()]
    rows = size(1000, 20000)
    given = [vectors(lane, rows, k) for k, (_, _, lane) in enumerate(sites())]
    found = benches.run("cxxrtl", faulty, given, rows, tmp_path)
    wrong = {place.split(".")[0] for place in benches.differences(faulty, given, rows, found)}
    unseen = {f.name for f, m, _ in sites() if m.name not in wrong}
    assert not unseen


@pytest.mark.parametrize("fault", TIMING, ids=lambda f: f.name)
def test_a_number_of_another_cycle_is_noticed(fault: Fault) -> None:
    """Reading back counts the registers on every path."""
    for module in (m for m in (lane_module(n, x, 1) for n, x in lanes(1000))):
        faulty = fault.apply(module, module.name)
        if faulty is not None:
            with pytest.raises(SpikecError, match="SPK1804"):
                prove([faulty])
            return
    raise AssertionError("no site")


def test_wrong_digits_do_not_get_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rewrite of a product asserts in exact integers that its digits sum to the constant."""
    right = legal.digits

    def wrong(n: int) -> list[tuple[int, int]]:
        (digit, position), *rest = right(n)
        return [(digit, position + 1), *rest]

    monkeypatch.setattr(legal, "digits", wrong)
    with pytest.raises(AssertionError):
        lane_module("lif", lane(kinds()["lif"], choices(kinds()["lif"])[0], False, 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    assign n_v", "    assign extra = 1'b0;\n    assign n_v"),
        ("    assign n_v", "    initial $finish;\n    assign n_v"),
        ("logic signed [15:0] w", "logic signed [14:0] w"),
        ("endmodule", "    assign w0 = 1'b0;\nendmodule"),
        (" - ", " - i_input - "),
    ],
)
def test_an_edited_text_is_noticed(old: str, new: str) -> None:
    """What is added, narrowed, driven twice or reads something else."""
    module = lane_module("lif", dict(lanes(1000))["lif_16_0"])
    assert old in module.text
    edited = replace(module, text=module.text.replace(old, new, 1))
    with pytest.raises(SpikecError, match="SPK1804"):
        prove([edited])


def test_an_edited_op_is_refuted() -> None:
    """What keeps the structure but computes something else."""
    module = lane_module("lif", dict(lanes(1000))["lif_16_0"])
    (result,) = prove([replace(module, text=module.text.replace("n_v = ", "n_v = ~", 1))])
    assert [v.split(":")[0] for v in result.vectors()] == ["lane_lif.n_v"]


def test_the_definitions_are_those_of_the_tables() -> None:
    """The edge tables of section 4, computed by the solver from the definitions alone."""
    found, values, wanted = edges()
    for root, row in zip(found.states.values(), wanted, strict=True):
        assert root.args
        source: Any = values["input", str(root.args[0].value)][: len(row)]
        claims = [
            f"(= {definition(root, [number(int(x))])} {number(int(y))})"
            for x, y in zip(source, row, strict=True)
        ]
        assert bitwuzla(f"(assert (not (and {' '.join(claims)})))", [], 20.0).result == "unsat"
        assert np.asarray(row).size >= 10


@pytest.mark.parametrize(("bits", "limit"), [(size(8, 10), 7), (size(8, 12), 15), (8, 5)])
def test_a_ladder_is_repeated_subtraction(bits: int, limit: int) -> None:
    """Count and remainder by the definitions of the ladder's ops, for all operands of a width."""
    a = ex.leaf("input", "a", Exact(-(1 << (bits - 1)), (1 << (bits - 1)) - 1))
    b = ex.leaf("input", "b", Exact(1, (1 << (bits - 4)) - 1))
    whole = limit & (limit + 1) == 0
    results = {"r": ex.remainder(a, b, limit)} if whole else {}
    ladder = legal.legalize(Lane(ex.count(a, b, limit), results, {}))
    lines: list[str] = []
    names: dict[int, str] = {}
    for n in ex.topological(ladder.roots()):
        if n.op == "input":
            assert isinstance(n.dtype, Exact)
            names[id(n)] = str(n.value)
            lines.append(f"(declare-const {n.value} (_ BitVec 64))")
            lines.append(f"(assert {inside(str(n.value), n.dtype)})")
        elif n.op == "const":
            assert isinstance(n.value, int)
            names[id(n)] = number(n.value)
        else:
            names[id(n)] = f"w{len(names)}"
            kind = "Bool" if n.op == "ge" else "(_ BitVec 64)"
            term = definition(n, [names[id(x)] for x in n.args])
            lines.append(f"(define-fun {names[id(n)]} () {kind} {term})")
    lines.append(f"(define-fun s0 () (_ BitVec 64) a) (define-fun c0 () (_ BitVec 64) {number(0)})")
    for k in range(limit):
        for name, term in (("s", f"(bvsub s{k} b)"), ("c", f"(bvadd c{k} {number(1)})")):
            chosen = f"(ite (bvsge s{k} b) {term} {name}{k})"
            lines.append(f"(define-fun {name}{k + 1} () (_ BitVec 64) {chosen})")
    claims = [f"(= {names[id(ladder.output)]} c{limit})"]
    claims += [f"(= {names[id(r)]} s{limit})" for r in ladder.states.values()]
    lines.append(f"(assert (not (and true {' '.join(claims)})))")
    assert bitwuzla("\n".join(lines), ["a", "b"], 300.0).result == "unsat"
