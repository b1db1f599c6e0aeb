"""The text of pipelines, the order in which passes run, and the options of a compilation."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import small
import spikec
from spikec.compiler.errors import SpikecError
from spikec.compiler.passes.discretize import Discretize
from spikec.compiler.passes.quantize import Quantize
from spikec.compiler.passes.retime import Retime
from spikec.compiler.pipeline import Context, parse_pipeline, pass_names, run_pipeline

NAMES = ", ".join(pass_names())


def failure(call: Callable[[], object]) -> str:
    with pytest.raises(SpikecError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("", ()),
        (" , ,", ()),
        ("retime", (Retime(),)),
        ("retime{}", (Retime(),)),
        ("discretize,retime", (Discretize(), Retime())),
        (" discretize { dt = 1e-3 } , retime ", (Discretize(dt=1e-3), Retime())),
        ("retime{hop=0},retime{hop=3}", (Retime(hop=0), Retime(hop=3))),
        (
            "quantize{weight_bits=6,rounding=to_zero,percentile=50},retime{hop=2}",
            (Quantize(weight_bits=6, rounding="to_zero", percentile=50.0), Retime(hop=2)),
        ),
        ("discretize{dt=none}", (Discretize(),)),
    ],
)
def test_grammar(text: str, passes: tuple[Any, ...]) -> None:
    """Commas between passes and, within braces, between options; blanks are free."""
    assert parse_pipeline(text) == passes


@pytest.mark.parametrize("name", pass_names())
def test_every_pass_is_found_by_its_file(name: str) -> None:
    """A pass carries the name of its file and runs with default options."""
    (made,) = parse_pipeline(name)
    assert made.name == name


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "quantise",
            f"--pipeline: 'quantise' is not a pass. Use one of {NAMES}. [SPK0611]",
        ),
        (
            "retime{hops=1}",
            "--pipeline retime: 'hops' is not an option. Use one of hop. [SPK0403]",
        ),
        (
            "retime{hop=1.5}",
            "--pipeline retime hop: '1.5' is not an integer. Correct the value. [SPK0406]",
        ),
        (
            "retime{hop=-1}",
            "retime hop: -1 is negative. Use 0 or more. [SPK0661]",
        ),
        (
            "quantize{rounding=up}",
            "--pipeline quantize rounding: 'up' is not one of floor, to_zero, nearest, "
            "nearest_even. Correct the value. [SPK0406]",
        ),
        (
            "quantize{weight_bits=99}",
            "quantize weight_bits: 99 is outside 2 to 24. Choose a value in that range. [SPK0651]",
        ),
        (
            "retime{hop=1",
            "--pipeline: 'retime{hop=1' is not of the form name{field=value,...}. "
            "Rewrite it. [SPK0402]",
        ),
        (
            "retime hop",
            "--pipeline: 'retime hop' is not of the form name{field=value,...}. "
            "Rewrite it. [SPK0402]",
        ),
        (
            "retime{hop=1,hop=2}",
            "--pipeline: 'retime{hop=1,hop=2}' gives one option twice. Give it once. [SPK0408]",
        ),
    ],
)
def test_errors_are_pinned(text: str, line: str) -> None:
    """An unknown pass, option or value is shown with what would be right."""
    assert failure(lambda: parse_pipeline(text)) == line


@pytest.mark.parametrize(
    "text", ["retime}", "{", "}", "{}", "retime{{hop=1}}", "retime{hop=1}{hop=2}"]
)
def test_other_forms_are_refused(text: str) -> None:
    """Stray braces never name a pass."""
    assert failure(lambda: parse_pipeline(text)).endswith("[SPK0402]")


def test_observers_see_every_stage_in_order() -> None:
    """0_load, then every pass with its position."""
    seen: list[tuple[str, str]] = []
    text = "discretize,quantize,retime{hop=0},retime{hop=0}"
    program = run_pipeline(
        spikec.Program(small.spiking()), text, Context(), lambda n, p: seen.append((n, p.stage))
    )
    assert seen == [
        ("0_load", "discrete"),
        ("1_discretize", "discrete"),
        ("2_quantize", "integer"),
        ("3_retime", "integer"),
        ("4_retime", "integer"),
    ]
    assert program.passes == text


def test_an_error_names_the_pass() -> None:
    """A pass that fails, or after which verify does, stands in front of the place."""
    line = failure(lambda: spikec.compile(small.spiking(), pipeline="discretize,quantize,quantize"))
    assert line == ("quantize: program: it is integer. Quantize after discretize, once. [SPK0652]")
    line = failure(lambda: spikec.compile(small.network(recurrent=1), pipeline="retime"))
    assert line.startswith("retime: ")
    assert line.endswith("[SPK0662]")


def test_verify_runs_after_every_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a pass broke is an error with its name, before the next pass sees it."""

    def broken(self: Retime, program: spikec.Program, context: Context) -> spikec.Program:
        first, *rest = program.graph.populations
        nodes = [replace(first, start=-1), *rest]
        return replace(program, graph=program.graph.with_nodes(nodes))

    monkeypatch.setattr(Retime, "run", broken)
    line = failure(lambda: spikec.compile(small.spiking(), pipeline="retime,quantize"))
    assert line == "retime: hidden: start -1 is negative. Use 0 or more. [SPK0515]"


def test_verify_runs_before_the_first_pass() -> None:
    """What is wrong with the source is no fault of a pass."""
    assert failure(lambda: spikec.compile(small.cyclic())) == (
        "last -> hidden: cycle without delay: hidden -> last -> hidden. "
        "Give one projection a delay of at least 1. [SPK0505]"
    )


def test_options_of_a_compilation() -> None:
    """Labels need data; a bare array needs an only input; a target must exist."""
    graph = small.spiking()
    line = failure(lambda: spikec.compile(graph, labels=np.array([1])))
    assert line == "labels: labels are given without calibration data. Give both. [SPK0613]"
    line = failure(lambda: spikec.compile(small.two_inputs(), calibration=small.data()))
    assert line == (
        "inputs: one array for the 2 inputs in, other. Give a dict by input name. [SPK0614]"
    )
    line = failure(lambda: spikec.compile(graph, target="abacus"))
    assert line.startswith("--target: 'abacus' is not a target. Use one of cpu")
    assert line.endswith("[SPK0621]")


@pytest.mark.parametrize("gain", [1e200, 1e-200])
def test_weights_that_no_unit_can_hold(gain: float) -> None:
    """They would leave float64 on the way to integers; a single tiny weight does not."""
    graph = small.network(spikec.LIF(decay=0.9, gain=gain))
    line = failure(lambda: spikec.compile(graph, pipeline="quantize"))
    assert line.startswith("quantize: hidden: the largest weight times its gain and input is ")
    assert line.endswith(", which no unit can hold. Rescale the model. [SPK0656]")
    values = np.ones((4, 6))
    values[0, 0] = 5e-324
    tiny = spikec.Projection("in", "hidden", spikec.Dense(spikec.Tensor.floats(values)))
    graph = small.network()
    made = spikec.Graph("g", graph.nodes, (tiny, *graph.projections[1:]))
    assert spikec.compile(made, pipeline="quantize").stage == "integer"
