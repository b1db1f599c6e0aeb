"""Properties of the modules that carry events, proved, and refuted where a module is broken."""

import numpy as np
import pytest

import spikec
from rtl_networks import busy, images, late, quantized, random_spikes, storm
from sizes import evidence, size
from spikec.backends.fpga import protocol, tools
from spikec.backends.fpga.build import library, texts
from spikec.backends.fpga.plan import plan

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
def test_every_module_of_a_design_is_proved(program: object, lanes: int) -> None:
    """With the parameters that it has there."""
    assert callable(program)
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
