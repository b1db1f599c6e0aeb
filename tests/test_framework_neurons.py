"""The neurons that only snnTorch or Norse has, against oracles that know nothing of ``Expr``.

In both engines: float64 bit for bit, hand-written integer programs under every rounding, quantised.
"""

import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import framework_oracles as oracles
import spikec
from oracles import Format
from sizes import evidence, size
from spikec.compiler.types import Array
from test_more_neurons import (
    FLOAT_FIRING,
    NARROW,
    ROUNDINGS,
    Case,
    as_list,
    build,
    check,
    draw,
    small,
    stimulus,
    stored,
)

START = {"v_init": (-0.5, 1.8)}
RATES = {"rate": (0.05, 0.9), "synapse_rate": (0.1, 0.9), "leak": (-0.2, 0.2)}
LEAKY = {k: v for k, v in FLOAT_FIRING.items() if k != "v_min"}
BOX = {k: LEAKY[k] for k in ("threshold", "reset_value", "v_init")}


def leaky() -> list[Case]:
    late = [(r, "next_late") for r in ("zero", "value", "subtract", "none")]
    return [
        Case(
            spikec.LIF,
            oracles.leaky,
            LEAKY,
            options={"reset": reset, "reset_phase": phase},
            settings={"reset": reset, "rule": phase},
            formats={"v": NARROW},
        )
        for reset, phase in [*late, ("subtract", "undelayed")]
    ]


def alpha() -> list[Case]:
    ranges = {
        "excitatory_decay": (0.7, 0.95),
        "inhibitory_decay": (0.2, 0.6),
        "ratio": (0.5, 2.0),
        "threshold": (0.4, 1.0),
        "e_init": (-0.3, 0.3),
        "h_init": (-0.3, 0.3),
        **START,
    }
    formats: dict[str, tuple[int, int, bool]] = {"e": NARROW, "h": NARROW, "v": NARROW}
    return [
        Case(
            spikec.AlphaLIF, oracles.alpha, ranges,
            options={"reset": reset}, settings={"reset": reset}, formats=formats,
        )
        for reset in ("zero", "subtract", "none")
    ]  # fmt: skip


def euler() -> list[Case]:
    box = {"rate": RATES["rate"], "leak": RATES["leak"], **BOX}
    current = {**RATES, **BOX, "u_init": (-0.3, 0.3)}
    models: tuple[tuple[Any, Any, Any, dict[str, tuple[int, int, bool]]], ...] = (
        (spikec.EulerLIF, oracles.lif_box, box, {"v": NARROW}),
        (spikec.EulerCubaLIF, oracles.lif, current, {"u": NARROW, "v": NARROW}),
    )
    return [
        Case(
            model, oracle, ranges,
            options={"reset": reset}, settings={"reset": reset}, formats=formats,
        )
        for model, oracle, ranges, formats in models
        for reset in ("value", "subtract")
    ]  # fmt: skip


def lsnn() -> list[Case]:
    ranges = {
        **RATES, **BOX, "adaptation_rate": (0.02, 0.3), "beta": (0.0, 0.3),
        "u_init": (-0.3, 0.3), "b_init": (0.3, 1.0),
    }  # fmt: skip
    formats: dict[str, tuple[int, int, bool]] = {"v": NARROW, "u": NARROW, "b": NARROW}
    return [Case(spikec.LSNN, oracles.lsnn, ranges, formats=formats)]


def adex() -> list[Case]:
    ranges = {
        **RATES, **BOX, "sharpness": (0.2, 0.6), "steepness": (1.5, 4.0),
        "adaptation_rate": (0.01, 0.3), "coupling": (0.0, 2.0), "adaptation_gain": (0.0, 0.2),
        "u_init": (-0.3, 0.3), "a_init": (-0.1, 0.1),
    }  # fmt: skip
    return [Case(spikec.AdExLIF, oracles.adex, ranges)]


CASES = {"leaky": leaky(), "alpha": alpha(), "euler": euler(), "lsnn": lsnn(), "adex": adex()}
INTEGER = [kind for kind in CASES if kind != "adex"]


def chosen(kind: str, repeats: int) -> Iterator[tuple[Case, bool, int]]:
    numbers = itertools.count()
    for _, case, each in itertools.product(range(repeats), CASES[kind], (False, True)):
        yield case, each, next(numbers)


@pytest.mark.parametrize("kind", CASES)
def test_in_floating_point(kind: str) -> None:
    """Output and every state equal the oracle bit for bit in float64."""
    random = np.random.default_rng(21)
    sent = cases = 0
    for case, each, _ in chosen(kind, size(1, 20)):
        given = draw(case, random, each, 0)
        inputs = stimulus(case, random)
        listed = as_list(given, float)
        trace = case.oracle(inputs[0].tolist(), listed, {}, **case.settings)
        if kind == "adex":
            sent += near(case, given, inputs, trace)
        else:
            sent += check(build(case.model(**given, **case.options), {}), inputs, trace)
        cases += 1
    assert sent > 3 * cases
    evidence(f"oracle_float_{kind}", cases=cases, sent=sent)


def near(case: Case, given: dict[str, Array], inputs: list[Array], wanted: Any) -> int:
    """Compare both engines with the oracle up to the last bits of the exponential."""
    program = build(case.model(**given), {})
    for backend in ("reference", "cpu"):
        data = {"x_input": inputs[0][None]}
        mine = spikec.simulate(program, data, ("spikes", "state"), backend)
        np.testing.assert_array_equal(mine.spikes["n"][0], np.array(wanted.output) > 0)
        for state, held in mine.state["n"].items():
            np.testing.assert_allclose(held[0], np.array(wanted.states[state]), 1e-11, 1e-11)
    return int(np.count_nonzero(np.array(wanted.output)))


@pytest.mark.parametrize("kind", [k for k in INTEGER if k != "euler"])
def test_in_integers(kind: str) -> None:
    """Stored integers equal the oracle's exact fractions, under all roundings."""
    random = np.random.default_rng(22)
    casts = itertools.cycle(itertools.product(ROUNDINGS, ("saturate", "saturate", "wrap")))
    sent = cases = 0
    for case, each, _ in chosen(kind, size(1, 24)):
        given = draw(case, random, each, 256)
        formats: dict[str, tuple[Any, ...]] = {
            state: (*form, *next(casts)) for state, form in case.formats.items()
        }
        inputs = stimulus(case, random)
        rows = [[Fraction(x) for x in row] for row in inputs[0].tolist()]
        casted = {site: Format(*form) for site, form in formats.items()}
        exact = case.oracle(rows, as_list(given, Fraction), casted, **case.settings)
        numbers = {name: stored(case, name, v) for name, v in given.items()}
        made = {s: spikec.Format(spikec.FixedPoint(*f[:3]), *f[3:]) for s, f in formats.items()}
        sent += check(build(case.model(**numbers, **case.options), made), inputs, exact)
        cases += 1
    assert sent > 3 * cases
    evidence(f"oracle_integer_{kind}", cases=cases, sent=sent)


@pytest.mark.parametrize("kind", INTEGER)
def test_quantised(kind: str) -> None:
    """Both engines agree in every bit at 8 bits, and bounds that are called static hold."""
    random = np.random.default_rng(23)
    sent = 0
    for case, each, k in chosen(kind, size(1, 6)):
        graph = small(case, random, each)
        data = (random.random((3, 40, 8)) < 0.3).astype(np.float64)
        pipeline = "discretize,quantize{weight_bits=8}" + (",retime" if k % 2 else "")
        program = spikec.compile(graph, pipeline=pipeline, calibration=data)
        traces = [
            spikec.simulate(program, data, ("spikes", "state"), b) for b in ("reference", "cpu")
        ]
        for name in traces[0].spikes:
            np.testing.assert_array_equal(traces[0].spikes[name], traces[1].spikes[name])
            for state, held in traces[0].state[name].items():
                np.testing.assert_array_equal(held, traces[1].state[name][state])
        row = program.reports["quantize"]["populations"]["n"]
        if row["bound"] == "static" and not row["may_saturate"]:
            assert traces[0].counts["n"]["saturations"] == 0
        sent += traces[0].counts["n"]["spikes"]
    assert sent > 0
    evidence(f"quantised_{kind}", sent=sent)


@pytest.mark.parametrize("model", [spikec.EulerLIF, spikec.EulerCubaLIF])
def test_the_integer_form_is_the_decaying_one(model: Any) -> None:
    """The decaying form agrees up to rounding, so a unit for one is a unit for the other."""
    random = np.random.default_rng(24)
    case = next(c for c in CASES["euler"] if c.model is model)
    neuron = model(**draw(case, random, True, 0), reset="subtract")
    inputs = stimulus(case, random)
    held = [
        spikec.simulate(build(n, {}), {"x_input": inputs[0][None]}, ("spikes", "state"))
        for n in (neuron, neuron.decaying())
    ]
    np.testing.assert_array_equal(held[0].spikes["n"], held[1].spikes["n"])
    assert held[0].spikes["n"].any()
    for state in neuron.states:
        np.testing.assert_allclose(
            held[0].state["n"][state], held[1].state["n"][state], 1e-12, 1e-12
        )


def test_a_drive_that_equals_the_threshold() -> None:
    """An Euler step settles where Norse's does: at 1.0 and not above it."""
    graph = spikec.Graph(
        "one",
        (
            spikec.Input("x", (3,)),
            spikec.Population("n", (3,), spikec.EulerLIF(rate=[0.1, 0.3, 0.7])),
            spikec.Output("y", "n"),
        ),
        (spikec.Projection("x", "n", spikec.OneToOne(3, spikec.Tensor.floats(1.0))),),
        1e-3,
    )
    trace = spikec.simulate(spikec.compile(graph), np.ones((1, 2000, 3)), ("state",))
    assert not trace.outputs["y"].any()
    v = np.zeros(3)
    for _ in range(2000):
        v = v + np.array([0.1, 0.3, 0.7]) * (1.0 - v)
    np.testing.assert_array_equal(trace.state["n"]["v"][0, -1], v)


def problem(call: Any) -> str:
    with pytest.raises(spikec.SpikecError) as caught:
        call()
    return str(caught.value)


def test_refused() -> None:
    """What has no meaning, or no integer form, is said."""
    assert problem(lambda: spikec.LIF(decay=0.9, reset_phase="undelayed")) == (
        "lif.reset_phase: undelayed is defined for one spike a step, after the update, and "
        "subtract. Use reset_phase=same, or reset=subtract, fire=after and max_spikes=1. [SPK1301]"
    )
    given = dict(rate=0.1, synapse_rate=0.2, sharpness=0.5, steepness=2.0)
    assert problem(lambda: spikec.AdExLIF(**given).fold_gain(3)) == (
        "adex_lif: the term exp((v - threshold) / sharpness) of a state has no integer form. Keep "
        "it in floating point, or train with LIF or LSNN neurons. [SPK1340]"
    )
