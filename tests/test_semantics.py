"""The conventions of frameworks: their text, their presets, their decays."""

from dataclasses import fields, replace
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizes import examples
from spikec.compiler.errors import SpikecError
from spikec.compiler.semantics import PRESETS, Semantics


def failure(text: str) -> str:
    with pytest.raises(SpikecError) as caught:
        Semantics.parse(text)
    return str(caught.value)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_its_name(name: str) -> None:
    """str and parse are inverse on every preset, and an unchanged preset prints as its name."""
    assert PRESETS[name].name == name
    assert str(PRESETS[name]) == name
    assert Semantics.parse(name) == PRESETS[name]
    assert Semantics.parse(f" {name} {{ }} ") == PRESETS[name]


def choices(kind: Any) -> st.SearchStrategy[Any]:
    literals = [v for v in get_args(kind) if isinstance(v, str)]
    if literals:
        return st.sampled_from(literals)
    if kind is int:
        return st.integers(-3, 99)
    return st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))


@given(data=st.data())
@examples(200, 2000)
def test_str_and_parse_are_inverse(data: st.DataObject) -> None:
    """Any fields over any preset, step rules with parentheses and dt=none included."""
    made = PRESETS[data.draw(st.sampled_from(list(PRESETS)))]
    for f in fields(Semantics):
        if f.name != "name" and data.draw(st.booleans()):
            made = replace(made, **{f.name: data.draw(choices(f.type))})
    assert Semantics.parse(str(made)) == made


def test_text_holds_what_differs_from_the_preset() -> None:
    """In the order of the fields."""
    changed = Semantics.parse("sinabs{ dt = none, step_rule=tau*(1+r) ,reset=zero,}")
    assert str(changed) == "sinabs{reset=zero,step_rule=tau*(1+r),dt=none}"
    assert changed == replace(PRESETS["sinabs"], reset="zero", step_rule="tau*(1+r)", dt=None)
    assert str(Semantics(name="mine", reset="zero")) == "nir{reset=zero}"


FIELDS = (
    "discretisation, input_gain, synapse_gain, current_phase, compare, reset, reset_phase, fire, "
    "max_spikes, lower_clip, hop_delay, feedback_delay, duplicate_edges, step_rule, dt, stability"
)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "brian",
            "--semantics: 'brian' is not a known convention. Use one of nir, norse, snntorch, "
            "spikingjelly, sinabs, rockpool, nengo, spyx, lava, snn_mlir, sc_neurocore. [SPK0401]",
        ),
        (
            "nir{reset=zero",
            "--semantics: 'nir{reset=zero' is not of the form name{field=value,...}. "
            "Rewrite it. [SPK0402]",
        ),
        (
            "nir{reset}",
            "--semantics: 'nir{reset}' is not of the form name{field=value,...}. "
            "Rewrite it. [SPK0402]",
        ),
        (
            "nir{resets=zero}",
            f"--semantics nir: 'resets' is not an option. Use one of {FIELDS}. [SPK0403]",
        ),
        (
            "nir{name=lava}",
            f"--semantics nir: 'name' is not an option. Use one of {FIELDS}. [SPK0403]",
        ),
        (
            "nir{reset=hard}",
            "--semantics nir reset: 'hard' is not one of zero, value, subtract, none. "
            "Correct the value. [SPK0406]",
        ),
        (
            "nir{max_spikes=1.5}",
            "--semantics nir max_spikes: '1.5' is not an integer. Correct the value. [SPK0406]",
        ),
        (
            "nir{dt=inf}",
            "--semantics nir dt: 'inf' is not a number. Correct the value. [SPK0406]",
        ),
        (
            "nir{reset=zero,dt=1,reset=none}",
            "--semantics: 'nir{reset=zero,dt=1,reset=none}' gives one option twice. "
            "Give it once. [SPK0408]",
        ),
    ],
)
def test_errors_are_pinned(text: str, line: str) -> None:
    """One line each: what is wrong and what would be right."""
    assert failure(text) == line


@pytest.mark.parametrize("value", ["nan", "none", "", "1e999", "1" + "0" * 400, "9" * 5000, "0x1"])
def test_no_number_ends_in_a_traceback(value: str) -> None:
    """Numbers that overflow or that Python will not read are refused like words."""
    for field in ("max_spikes", "dt"):
        if (field, value) == ("dt", "none"):
            continue
        try:
            made = getattr(Semantics.parse(f"nir{{{field}={value}}}"), field)
        except SpikecError as error:
            assert error.code in ("SPK0402", "SPK0406")  # noqa: PT017
        else:
            assert np.isfinite(made)


@pytest.mark.parametrize("text", ["", "{}", "nir}", "nir{{}}", "nir{a=b=c}", "1nir", "nir{=1}"])
def test_other_forms_are_refused(text: str) -> None:
    """The grammar is name{field=value,...}."""
    assert failure(text).endswith("[SPK0402]")


def test_decay_formulas() -> None:
    """Euler is 1 - dt/tau, exponential is exp(-dt/tau), elementwise."""
    tau = np.array([1e-3, 5e-3, 20e-3])
    euler, exact = Semantics(discretisation="euler"), Semantics()
    np.testing.assert_array_equal(euler.decay("tau", tau, 1e-3), 1.0 - 1e-3 / tau)
    np.testing.assert_array_equal(exact.decay("tau", tau, 1e-3), np.exp(-1e-3 / tau))
    assert euler.decay("tau", np.asarray(1e-3), 1e-3) == 0.0


@pytest.mark.parametrize(
    ("tau", "text"), [([1.0, 0.0], "0"), ([-2.0, 1.0], "-2"), ([np.nan], "nan")]
)
def test_tau_must_be_positive(tau: list[float], text: str) -> None:
    """The first offending value is shown."""
    with pytest.raises(SpikecError) as caught:
        Semantics().decay("n.tau", np.array(tau), 1e-3)
    line = f"n.tau: time constant {text} is not positive. Correct the model. [SPK0404]"
    assert str(caught.value) == line


def test_an_unstable_euler_decay_is_refused_unless_allowed() -> None:
    """The message gives the largest step and the other discretisation."""
    tau, euler = np.array([2e-3, 0.02]), Semantics(discretisation="euler")
    with pytest.raises(SpikecError) as caught:
        euler.decay("n.tau", tau, 5e-3)
    assert str(caught.value) == (
        "n.tau: dt / tau = 2.5 exceeds 1, so the Euler decay 1 - dt / tau is negative. Use a dt of "
        "at most 0.002 s, or --semantics 'nir{discretisation=exponential}'. [SPK0405]"
    )
    allowed = replace(euler, stability="allow").decay("n.tau", tau, 5e-3)
    np.testing.assert_array_equal(allowed, 1.0 - 5e-3 / tau)
    assert np.all(Semantics().decay("n.tau", tau, 5e-3) > 0)
