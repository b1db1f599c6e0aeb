"""Every neuron against an oracle that knows nothing of ``Expr``, in floating point and integers.

Every combination of the semantic options is run, in both engines, on random parameters and inputs.
"""

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import oracles
import spikec
from sizes import evidence, size
from spikec.compiler.synapses import identity
from spikec.compiler.types import Array

NEURONS, STEPS = 6, 60
MODELS: dict[str, tuple[Any, Any, Any]] = {
    "lif": (spikec.LIF, oracles.lif, oracles.lif_integer),
    "integrate_and_fire": (
        spikec.IntegrateAndFire,
        oracles.integrate_and_fire,
        oracles.integrate_and_fire_integer,
    ),
    "cuba_lif": (spikec.CubaLIF, oracles.cuba_lif, oracles.cuba_lif_integer),
}
RULES: list[dict[str, Any]] = [
    dict(zip(("compare", "reset", "reset_phase", "fire", "max_spikes", "clip"), rule, strict=True))
    for rule in itertools.product(
        ("gt", "ge"),
        ("zero", "value", "subtract", "none"),
        ("same", "next"),
        ("after", "before"),
        (1, 3, 0),
        (False, True),
    )
]
BACKENDS = ("reference", "cpu")


def build(neuron: Any, formats: dict[str, Any] | None, inputs: Array) -> spikec.Program:
    """Return one population of ``neuron`` behind an identity."""
    synapse: spikec.OneToOne = identity(NEURONS)
    signal: Any = spikec.Input("x", (NEURONS,)).signal
    if formats:
        signal = spikec.FixedPoint(16, 4)
        synapse = spikec.OneToOne(NEURONS, spikec.Tensor.integers(1, spikec.FixedPoint(2, 0)))
    graph = spikec.Graph(
        "one",
        (
            spikec.Input("x", (NEURONS,), signal),
            spikec.Population("n", (NEURONS,), neuron, formats or {}),
            spikec.Output("y", "n"),
        ),
        (spikec.Projection("x", "n", synapse),),
        1e-3,
    )
    return spikec.compile(graph, pipeline="")


def check(program: spikec.Program, inputs: Array, trace: Any, number: Any) -> int:
    """Compare both engines with the oracle's trace; return the spikes compared."""
    for backend in BACKENDS:
        mine = spikec.simulate(program, inputs[None], ("spikes", "state"), backend)
        np.testing.assert_array_equal(mine.spikes["n"][0], number(trace.output), backend)
        for state, held in mine.state["n"].items():
            np.testing.assert_array_equal(held[0], number(getattr(trace, state)), backend)
    return int(np.abs(np.asarray(trace.output)).sum())


def parameters(kind: str, random: np.random.Generator, each: bool, grid: int) -> dict[str, Array]:
    """Return random parameters, multiples of 1 / grid where grid is given."""
    ranges = {
        "threshold": (0.5, 1.5),
        "reset_value": (-0.3, 0.3),
        "v_init": (-0.5, 1.8),
        "v_min": (-1.0, -0.4),
        "gain": (0.5, 1.5),
    }
    if kind != "integrate_and_fire":
        ranges |= {"decay": (0.5, 0.98), "offset": (-0.2, 0.2)}
    if kind == "cuba_lif":
        ranges |= {"synapse_decay": (0.2, 0.9), "synapse_gain": (0.5, 1.5), "u_init": (-0.5, 0.5)}
    drawn = {n: random.uniform(*r, NEURONS if each else ()) for n, r in ranges.items()}
    return {n: np.round(v * grid) / grid for n, v in drawn.items()} if grid else drawn


@pytest.mark.parametrize("kind", MODELS)
def test_spiking_neurons_in_floating_point(kind: str) -> None:
    """Spikes and every state equal the oracle bit for bit in float64, under all options."""
    model, oracle, _ = MODELS[kind]
    random = np.random.default_rng(1)
    spikes = cases = 0
    phases = ("new", "old", "jump") if kind == "cuba_lif" else ("new",)
    for rule, phase in itertools.product(RULES[:: size(23, 1)], phases):
        options: dict[str, Any] = dict(rule)
        values: dict[str, Any] = parameters(kind, random, bool(cases % 2), 0)
        if not options.pop("clip"):
            values["v_min"] = None
        if kind == "cuba_lif":
            options["current_phase"] = phase
        inputs = random.normal(0.2, 0.6, (STEPS, NEURONS))
        trace = oracle(inputs, **values, **options)
        spikes += check(build(model(**values, **options), None, inputs), inputs, trace, np.asarray)
        cases += 1
    assert spikes > 10 * cases
    evidence(f"oracle_float_{kind}", cases=cases, spikes=spikes)


def stored(values: Array, frac: int) -> spikec.Tensor:
    """Return a tensor of exact multiples of 2^-frac."""
    return spikec.Tensor.integers(np.rint(np.ldexp(values, frac)), spikec.FixedPoint(24, frac))


def fractions(values: Array) -> Any:
    """Return exact fractions, one or a list."""
    if values.ndim == 0:
        return Fraction(float(values))
    return [Fraction(float(v)) for v in values]


@pytest.mark.parametrize("kind", MODELS)
def test_spiking_neurons_in_integers(kind: str) -> None:
    """Stored integers equal the oracle's exact fractions, under all options and roundings."""
    model, _, oracle = MODELS[kind]
    random = np.random.default_rng(2)
    roundings = itertools.cycle(("floor", "to_zero", "nearest", "nearest_even"))
    overflows = itertools.cycle(("saturate", "saturate", "wrap"))
    spikes = cases = 0
    for rule in RULES[:: size(29, 1)]:
        options: dict[str, Any] = dict(rule)
        values = parameters(kind, random, bool(cases % 2), 256)
        if not options.pop("clip"):
            del values["v_min"]
        if kind == "cuba_lif":
            options["current_phase"] = ("new", "old", "jump")[cases % 3]
        # Eleven bits with eight of fraction overflow at 4 and at -4: saturation and wrap act.
        form = (11, 8, True, next(roundings), next(overflows))
        leak = (24, 6, True, "to_zero", "never") if cases % 4 == 3 else None
        inputs = np.round(random.normal(0.3, 0.9, (STEPS, NEURONS)) * 16) / 16
        exact = oracle_call(oracle, kind, inputs, values, options, form, leak)
        program = integer_program(model, kind, values, options, form, leak, inputs)
        spikes += check_integers(program, inputs, exact)
        cases += 1
    assert spikes > 10 * cases
    evidence(f"oracle_integer_{kind}", cases=cases, spikes=spikes)


def oracle_call(
    oracle: Any,
    kind: str,
    inputs: Array,
    values: dict[str, Array],
    options: dict[str, Any],
    form: tuple[Any, ...],
    leak: tuple[Any, ...] | None,
) -> Any:
    given: dict[str, Any] = {n: fractions(v) for n, v in values.items()}
    given["membrane"] = oracles.Format(*form)
    if kind == "cuba_lif":
        given["current"] = oracles.Format(*form)
    if leak and kind != "integrate_and_fire":
        given["leak_format"] = oracles.Format(*leak)
    rows = [[Fraction(float(x)) for x in row] for row in inputs]
    return oracle(rows, **given, **options)


def integer_program(
    model: Any,
    kind: str,
    values: dict[str, Array],
    options: dict[str, Any],
    form: tuple[Any, ...],
    leak: tuple[Any, ...] | None,
    inputs: Array,
) -> spikec.Program:
    states = ("u", "v") if kind == "cuba_lif" else ("v",)
    made = spikec.Format(spikec.FixedPoint(form[0], form[1]), form[3], form[4])
    formats: dict[str, Any] = dict.fromkeys(states, made)
    if leak and kind != "integrate_and_fire":
        formats["leak"] = spikec.Format(spikec.FixedPoint(leak[0], leak[1]), leak[3], leak[4])
    neuron = model(**{n: stored(v, 8) for n, v in values.items()}, **options)
    return build(neuron, formats, inputs)


def check_integers(program: spikec.Program, inputs: Array, exact: Any) -> int:
    for backend in BACKENDS:
        mine = spikec.simulate(program, inputs[None], ("spikes", "state"), backend)
        np.testing.assert_array_equal(mine.spikes["n"][0], exact.output, backend)
        for state, held in mine.state["n"].items():
            wanted = oracles.raw(getattr(exact, state), 8)
            np.testing.assert_array_equal(held[0], wanted, f"{backend} {state}")
    return int(exact.output.sum())


@pytest.mark.parametrize("each", [False, True])
def test_leaky_integrator(each: bool) -> None:
    """The integrator equals its oracles in floating point and in every rounding of integers."""
    random = np.random.default_rng(3)
    values: dict[str, Any] = {
        n: np.round(random.uniform(*r, NEURONS if each else ()) * 256) / 256
        for n, r in {
            "decay": (0.5, 0.98),
            "gain": (0.5, 1.5),
            "offset": (-0.2, 0.2),
            "v_init": (-1, 1),
        }.items()
    }
    inputs = np.round(random.normal(0.3, 1.5, (STEPS, NEURONS)) * 16) / 16
    trace = oracles.leaky_integrator(inputs, **values)
    check(build(spikec.LeakyIntegrator(**values), None, inputs), inputs, trace, np.asarray)
    roundings: tuple[Any, ...] = ("floor", "to_zero", "nearest", "nearest_even")
    for rounding in roundings:
        form: tuple[Any, ...] = (11, 8, True, rounding, "saturate")
        exact = oracles.leaky_integrator_integer(
            [[Fraction(float(x)) for x in row] for row in inputs],
            **{n: fractions(v) for n, v in values.items()},
            membrane=oracles.Format(*form),
        )
        made = spikec.Format(spikec.FixedPoint(11, 8), rounding, "saturate")
        neuron = spikec.LeakyIntegrator(**{n: stored(v, 8) for n, v in values.items()})
        program = build(neuron, {"v": made}, inputs)
        for backend in BACKENDS:
            mine = spikec.simulate(program, inputs[None], ("state",), backend)
            np.testing.assert_array_equal(mine.state["n"]["v"][0], oracles.raw(exact.v, 8))
            real = np.array([[float(v) for v in row] for row in exact.output])
            np.testing.assert_array_equal(mine.output[0], real)


def test_relay_sends_its_input() -> None:
    """A relay is the sum of its inputs, in the same step."""
    inputs = np.random.default_rng(4).normal(size=(STEPS, NEURONS))
    for backend in BACKENDS:
        mine = spikec.simulate(build(spikec.Relay(), None, inputs), inputs[None], (), backend)
        np.testing.assert_array_equal(mine.output[0], inputs)
