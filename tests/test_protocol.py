"""Properties of the modules that carry events, proved, and refuted where a module is broken."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import spikec
from rtl_networks import busy, images, late, quantized, random_spikes, storm
from sizes import evidence, size
from spikec.backends.fpga import tools
from spikec.backends.fpga.build import library, texts
from spikec.backends.fpga.plan import plan
from spikec.backends.fpga.proofs import protocol
from spikec.backends.fpga.simulation.simulators import write
from spikec.compiler.types import Bool, Tensor

FULL = size(0, 1) == 1
pytestmark = pytest.mark.skipif(
    not tools.have("pyosys", "bitwuzla"), reason="needs pyosys and bitwuzla (spikec[fpga])"
)


def counting() -> spikec.Program:
    return quantized(images(), random_spikes(images(), 1, 10, 0))


def digits() -> spikec.Program:
    return quantized(spikec.load("digits"), np.ones((1, 16, 64)))


def test_properties_are_of_modules() -> None:
    assert set(protocol.properties()) < {name.removesuffix(".sv") for name in library()}


@pytest.mark.parametrize(
    ("program", "lanes"), [(busy, 3), (counting, 3), *([(digits, 16)] if FULL else [])]
)
def test_every_module_of_a_design_is_proved(
    program: Callable[[], spikec.Program], lanes: int
) -> None:
    """With the parameters that it has there."""
    planned = plan(program(), lanes)
    found = protocol.prove(texts(planned), planned.label)
    assert {k.status for k in found} == {"proved"}, [k for k in found if k.status != "proved"]
    modules = {k.module for k in found}
    assert {"spikec_fifo", "spikec_walker", "spikec_sender", "spikec_control"} < modules
    evidence(f"protocol_{planned.label}", proved=len(found), modules=sorted(modules))


FAULTS = [
    ("spikec_fifo", "held != CB'(DEPTH)", "held < CB'(DEPTH + 1)"),
    ("spikec_fifo", "preloaded <= PB'(PRELOAD);", "preloaded <= '0;"),
    ("spikec_fifo", "held + CB'(push) - CB'(pull)", "held + CB'(push & ~pull) - CB'(pull)"),
    ("spikec_walker", "left <= row_words - CB'(1);", "left <= row_words;"),
    ("spikec_walker", "else if (taken & row_eos) done <= 1'b1;", ""),
    ("spikec_pointers", "= ~row_valid | row_ready;", "= 1'b1;"),
    ("spikec_merge", "done <= done | ends;", "done <= done | ends | in_valid;"),
    ("spikec_merge", "& ~done[k];", ";"),
    ("spikec_sender", "IB'(LANES * STRIDE)", "IB'(LANES * STRIDE + 1)"),
    ("spikec_sender", "(open & (rest == '0) & ~last)", "(rest == '0) & ~last"),
    ("spikec_control", "if (last_group) phase <= STORE", "if (group_valid) phase <= STORE"),
    ("spikec_control", "waited != WB'(DRAIN)", "1'b0"),
    ("spikec_counters", "if (!held[k*WIDTH + WIDTH - 1])", "if (1'b1)"),
    ("spikec_window_walker", "place_group - GB'(PLACE_GROUPS)", "place_group + GB'(PLACE_GROUPS)"),
    ("spikec_window_rows", "column_b <= XB'", "column_b <= XB'(1) + XB'"),
]


@pytest.mark.parametrize(("module", "old", "new"), FAULTS if FULL else FAULTS[::5])
def test_a_broken_module_is_not_proved(module: str, old: str, new: str) -> None:
    """A lost word, a lost or early token, a full queue that takes one more, a standstill."""
    program = counting() if "window" in module else late(busy(), {"b": 2})
    if module == "spikec_merge":
        program = storm(3, 1) if "in_valid" in new else busy()
    planned = plan(program, 2)
    made = dict(texts(planned))
    name = f"rtl/{module}.sv"
    assert old in made[name]
    made[name] = made[name].replace(old, new)
    found = protocol.prove(made, planned.label)
    wrong = [k for k in found if k.status != "proved"]
    assert {k.module for k in wrong} == {module}
    assert all(k.failed for k in wrong)


def tiny() -> spikec.Program:
    """Return four recurrent neurons with three inputs."""
    random = np.random.default_rng(0)
    nodes = (
        spikec.Input("in", (3,), Bool()),
        spikec.Population("a", (4,), spikec.LIF(decay=0.5, threshold=0.9, reset="zero")),
        spikec.Output("out", "a"),
    )
    projections = (
        spikec.Projection("in", "a", spikec.Dense(Tensor.floats(random.normal(size=(4, 3))))),
        spikec.Projection(
            "a", "a", spikec.Dense(Tensor.floats(random.normal(size=(4, 4)))), delay=1
        ),
    )
    graph = spikec.Graph("tiny", nodes, projections, 1e-3)
    return quantized(graph, random_spikes(graph, 2, 10, 0))


CYCLES = size(14, 28)


def test_a_network_under_every_host(tmp_path: Path) -> None:
    """For so many cycles: no step is lost or made up, idle means idle, something moves."""
    planned = plan(tiny(), 2)
    made = dict(texts(planned))
    sound = bounded(made, planned.label, tmp_path)
    assert protocol.solve(sound, protocol.violated("bounded", CYCLES), 900) == "unsat"
    early = "assign idle = ~rst"
    name = f"rtl/{planned.label}.sv"
    assert early in made[name]
    made[name] = made[name].replace(early, "assign idle = 1'b1 | ~rst")
    assert (
        protocol.solve(bounded(made, planned.label, tmp_path), protocol.violated("bounded", 12))
        == "sat"
    )
    most = 0
    while _ends_a_step(sound, most + 1):
        most += 1
    assert most >= size(0, 1)
    evidence("protocol_bounded", cycles=CYCLES, steps=most)


def _ends_a_step(text: str, steps: int) -> bool:
    path = protocol.path("bounded", CYCLES + 1, initial=True)
    claim = f"(assert (= (|bounded_n steps_out| s{CYCLES}) (_ bv{steps} 8)))"
    return protocol.solve(text, [*path, claim]) == "sat"


def bounded(made: dict[str, str], top: str, folder: Path) -> str:
    """Return a network and its host in SMT-LIB."""
    parts = {n: t for n, t in made.items() if n.startswith(("rtl/", "mem/"))}
    host = (Path(__file__).parent / "bounded.sv").read_text()
    host = host.replace("NETWORK", top).replace("INPUTS", "3")
    write({**parts, "rtl/bounded.sv": host}, folder)
    script = [f"read_verilog -defer -formal -sv {n}" for n in parts if n.endswith(".sv")]
    script += ["read_verilog -formal -sv rtl/bounded.sv"]
    script += ["hierarchy -check -top bounded", "proc -norom", "flatten"]
    script += ["async2sync", "chformal -lower", "memory -nomap -nordff", "opt -full", "dffunmap"]
    tools.yosys([*script, "opt_clean", "write_smt2 -wires bounded.smt2"], folder)
    return (folder / "bounded.smt2").read_text()
