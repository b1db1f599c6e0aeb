"""The further neuron models against oracles that know nothing of ``Expr``, and two networks.

Every model runs in both engines: in float64 with random parameters, in hand-written integer
programs under every rounding, and quantised. The networks are a NALSM liquid and a Diehl-Cook
module.
"""

import itertools
import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import more_oracles as oracles
import spikec
from more_oracles import History, Liquid, Module, ModuleTrace, Rule
from oracles import Format
from sizes import evidence, size
from spikec.compiler.synapses import identity
from spikec.compiler.text import arrays, parse_program, print_program
from spikec.compiler.types import Array, Bool, fitting

NEURONS, STEPS = 6, 60
BACKENDS = ("reference", "cpu")
ROUNDINGS = ("floor", "to_zero", "nearest", "nearest_even")
FLOAT_FIRING = {
    "decay": (0.5, 0.98),
    "gain": (0.5, 1.5),
    "offset": (-0.2, 0.2),
    "threshold": (0.5, 1.5),
    "reset_value": (-0.3, 0.3),
    "v_init": (-0.5, 1.8),
    "v_min": (-1.0, -0.4),
}
# Eleven bits with eight of fraction overflow at 4 and at -4: saturation and wrap act.
NARROW = (11, 8, True)


@dataclass(frozen=True)
class Case:
    """One model under one set of options.

    Attributes:
        model: Class.
        oracle: Called with inputs, values, formats and ``settings``.
        ranges: Of the real parameters.
        steps: Greatest values of the parameters that count steps.
        options: Of the model.
        settings: Of the oracle.
        formats: Bits, fraction bits and sign of each state in a hand-written integer program.
        nonnegative: The inputs are.
    """

    model: Any
    oracle: Any
    ranges: dict[str, tuple[float, float]]
    steps: dict[str, int] = field(default_factory=dict[str, int])
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    formats: dict[str, tuple[int, int, bool]] = field(
        default_factory=dict[str, tuple[int, int, bool]]
    )
    nonnegative: bool = False


def rules(keep: Any) -> Iterator[tuple[dict[str, Any], Rule]]:
    """Return the options of ``Firing`` and the same as a rule of the oracles."""
    choices: dict[str, tuple[Any, ...]] = {
        "compare": ("gt", "ge"),
        "reset": ("zero", "value", "subtract", "none"),
        "reset_phase": ("same", "next"),
        "fire": ("after", "before"),
        "max_spikes": (1, 3, 0),
    }
    for choice in itertools.product(*choices.values()):
        options: dict[str, Any] = dict(zip(choices, choice, strict=True))
        if keep(options):
            yield options, Rule(**options)


def possible(options: dict[str, Any]) -> bool:
    return not (options["reset_phase"] == "next" and options["fire"] == "after")


def adaptive() -> list[Case]:
    ranges = FLOAT_FIRING | {
        "beta": (0.0, 2.0),
        "adaptation_decay": (0.5, 0.99),
        "adaptation_gain": (0.0, 0.3),
        "a_init": (0.0, 0.4),
    }
    formats = {"v": NARROW, "a": (11, 8, False)}
    plain = [
        Case(spikec.AdaptiveLIF, oracles.adaptive_lif, ranges, {}, options, {"rule": rule}, formats)
        for options, rule in rules(possible)
    ]
    # A threshold that falls with every spike, below zero too.
    signed = ranges | {"beta": (-1.0, 1.0), "adaptation_gain": (-0.3, 0.3), "a_init": (-0.4, 0.4)}
    formats = {"v": NARROW, "a": NARROW}
    falling = [
        replace(case, ranges=signed, formats=formats)
        for case in plain
        if case.options["max_spikes"] == 1
    ]
    return plain + falling


def refractory() -> list[Case]:
    return [
        Case(
            spikec.RefractoryLIF,
            oracles.refractory_lif,
            FLOAT_FIRING,
            {"steps": 7, "r_init": 5},
            {**options, "refractory": held},
            {"rule": rule, "refractory": held},
            {"v": NARROW, "r": (3, 0, False)},
        )
        for options, rule in rules(possible)
        for held in ("freeze", "zero")
    ]


def conductance() -> list[Case]:
    ranges = {
        "rate": (0.01, 0.2),
        "v_rest": (-70.0, -60.0),
        "e_excitatory": (-5.0, 5.0),
        "e_inhibitory": (-105.0, -95.0),
        "ge_decay": (0.5, 0.95),
        "gi_decay": (0.5, 0.95),
        "threshold": (-60.0, -45.0),
        "reset_value": (-70.0, -60.0),
        "v_init": (-105.0, -40.0),
        "ge_init": (0.0, 2.0),
        "gi_init": (0.0, 2.0),
    }
    formats = {
        "v": (18, 10, True), "ge": (16, 8, False), "gi": (16, 8, False), "r": (4, 0, False),
    }  # fmt: skip
    return [
        Case(
            spikec.ConductanceLIF,
            oracles.conductance_lif,
            ranges,
            {"gate": 12, "frozen": 4, "r_init": 11},
            {"current_phase": phase},
            {"current_phase": phase},
            formats,
            True,
        )
        for phase in ("old", "new")
    ]


def nalsm() -> list[Case]:
    ranges = {"threshold": (1.0, 3.0), "gain": (0.5, 1.5), "v_init": (-1.0, 3.0)}
    return [
        Case(
            spikec.NalsmLIF,
            oracles.nalsm_lif,
            ranges,
            {"refractory": 3, "r_init": 3},
            {"leak_shift": k},
            {"leak_shift": k},
            {"v": NARROW, "r": (2, 0, False)},
        )
        for k in (1, 3, 6)
    ]


def values() -> list[Case]:
    current = {
        "synapse_decay": (0.2, 0.9),
        "synapse_gain": (0.5, 1.5),
        "decay": (0.5, 0.98),
        "gain": (0.5, 1.5),
        "offset": (-0.2, 0.2),
        "u_init": (-0.5, 0.5),
        "v_init": (-1.0, 1.0),
    }
    return [
        *(
            Case(
                spikec.CubaLeakyIntegrator,
                oracles.cuba_leaky_integrator,
                current,
                options={"current_phase": phase},
                settings={"current_phase": phase},
                formats={"u": NARROW, "v": NARROW},
            )
            for phase in ("new", "old", "jump")
        ),
        Case(
            spikec.Integrator,
            oracles.integrator,
            {"gain": (0.5, 1.5), "v_init": (-1.0, 1.0)},
            formats={"v": NARROW},
        ),
        *(
            Case(
                spikec.Threshold,
                oracles.threshold,
                {"threshold": (-1.0, 1.0)},
                options={"compare": compare},
                settings={"compare": compare},
            )
            for compare in ("gt", "ge")
        ),
        Case(
            spikec.LastSpike,
            oracles.last_spike,
            {"decay": (0.1, 0.9), "peak": (0.5, 1.5), "v_init": (-1.0, 1.0)},
            formats={"v": NARROW},
        ),
    ]


CASES = {
    "values": values(),
    "adaptive_lif": adaptive(),
    "refractory_lif": refractory(),
    "conductance_lif": conductance(),
    "nalsm_lif": nalsm(),
}


# One population against its oracle ---------------------------------------------------------------


def draw(case: Case, random: np.random.Generator, each: bool, grid: int) -> dict[str, Array]:
    """Return parameters: reals, on a grid if one is given, and whole numbers of steps."""
    shape = NEURONS if each else ()
    drawn = {n: np.asarray(random.uniform(*r, shape)) for n, r in case.ranges.items()}
    if grid:
        drawn = {n: np.round(v * grid) / grid for n, v in drawn.items()}
    counted = {n: random.integers(0, top + 1, shape) for n, top in case.steps.items()}
    if "frozen" in counted:
        counted["frozen"] = np.minimum(counted["frozen"], counted["gate"])
    return drawn | {n: np.asarray(v, dtype=np.float64) for n, v in counted.items()}


def stimulus(case: Case, random: np.random.Generator) -> list[Array]:
    """Return the input of each port, (steps, n), on a grid of sixteenths."""
    made = [np.round(random.normal(0.3, 0.9, (STEPS, NEURONS)) * 16) / 16 for _ in case.model.ports]
    if case.nonnegative:
        made = [np.abs(x) * (random.random(x.shape) < 0.3) for x in made]
    return made


def build(neuron: Any, formats: dict[str, spikec.Format]) -> spikec.Program:
    """Return one population of ``neuron``, each port behind an identity."""
    integer = any(not t.is_float for t in neuron.parameters().values())
    signal: Any = spikec.FixedPoint(16, 4) if integer else spikec.Input("x", (1,)).signal
    one = spikec.OneToOne(NEURONS, spikec.Tensor.integers(1, spikec.FixedPoint(2, 0)))
    nodes: list[Any] = [spikec.Input(f"x_{p}", (NEURONS,), signal) for p in neuron.ports]
    nodes += [spikec.Population("n", (NEURONS,), neuron, formats), spikec.Output("y", "n")]
    projections = tuple(
        spikec.Projection(f"x_{p}", "n", one if integer else identity(NEURONS), port=p)
        for p in neuron.ports
    )
    return spikec.compile(spikec.Graph("one", tuple(nodes), projections, 1e-3), pipeline="")


def check(program: spikec.Program, inputs: list[Array], wanted: History) -> int:
    """Compare both engines with the oracle; return the spikes or values compared.

    Integers are compared with the oracle's fractions times 2^frac.
    """
    population = program.graph.population("n")
    ports = population.model().ports
    data = {f"x_{p}": x[None] for p, x in zip(ports, inputs, strict=True)}
    for backend in BACKENDS:
        mine = spikec.simulate(program, data, ("spikes", "state"), backend)
        sends_values = population.model().emits == "values"
        sent = mine.state["n"]["v"] if sends_values else mine.spikes["n"]
        frac = population.formats["v"].type.frac if sends_values and population.formats else 0
        np.testing.assert_array_equal(sent[0], scaled(wanted.output, frac), backend)
        for state, held in mine.state["n"].items():
            frac = population.formats[state].type.frac if population.formats else 0
            np.testing.assert_array_equal(
                held[0], scaled(wanted.states[state], frac), f"{backend} {state}"
            )
    return int(np.count_nonzero(np.array(wanted.output, dtype=np.float64)))


def scaled(rows: list[list[Any]], frac: int) -> Array:
    """Return the numbers times 2^frac: floats as they are, fractions as whole numbers."""
    made = [[x * 2**frac for x in row] for row in rows]
    assert all(isinstance(x, float) or Fraction(x).denominator == 1 for row in made for x in row)
    return np.array([[float(x) for x in row] for row in made])


def as_list(values: dict[str, Array], number: Any) -> dict[str, Any]:
    """Return the parameters as plain numbers, one or a list, for the oracle."""
    return {
        n: [number(float(x)) for x in v] if v.ndim else number(float(v)) for n, v in values.items()
    }


def chosen(kind: str, stride: int, repeats: int) -> Iterator[tuple[Case, bool, int]]:
    """Return cases, whether parameters differ by neuron, and a running number.

    Of the many combinations of firing rules every ``stride``-th is taken, unless sizes are full;
    the few cases of other models are repeated.
    """
    cases, number = CASES[kind], itertools.count()
    if len(cases) > 20:
        for case in cases[:: size(stride, 1)]:
            k = next(number)
            yield case, bool(k % 2), k
    else:
        for _, case, each in itertools.product(range(repeats), cases, (False, True)):
            yield case, each, next(number)


@pytest.mark.parametrize("kind", CASES)
def test_models_in_floating_point(kind: str) -> None:
    """Output and every state equal the oracle bit for bit in float64, under all options."""
    random = np.random.default_rng(11)
    sent = cases = 0
    for case, each, k in chosen(kind, 7, 6):
        given = draw(case, random, each, 0)
        if k % 3 == 0:
            given.pop("v_min", None)
        inputs = stimulus(case, random)
        rows = [x.tolist() for x in inputs]
        listed = {"v_min": None, **as_list(given, float)}
        trace = case.oracle(arranged(case, rows), listed, {}, **case.settings)
        sent += check(build(case.model(**given, **case.options), {}), inputs, trace)
        cases += 1
    assert sent > 10 * cases
    evidence(f"oracle_float_{kind}", cases=cases, sent=sent)


def arranged(case: Case, rows: list[Any]) -> Any:
    """Return the inputs as the oracle takes them: by port, or the only one."""
    return rows if len(case.model.ports) > 1 else rows[0]


@pytest.mark.parametrize("kind", CASES)
def test_models_in_integers(kind: str) -> None:
    """Stored integers equal the oracle's exact fractions, under all options and roundings."""
    random = np.random.default_rng(12)
    casts = itertools.cycle(itertools.product(ROUNDINGS, ("saturate", "saturate", "wrap")))
    sent = cases = 0
    for case, each, k in chosen(kind, 11, 6):
        rounding, overflow = next(casts)
        given = draw(case, random, each, 256)
        if k % 3 == 0:
            given.pop("v_min", None)
        formats: dict[str, tuple[Any, ...]] = {
            state: (*form, *(("floor", "never") if state == "r" else (rounding, overflow)))
            for state, form in case.formats.items()
        }
        if "leak" in case.model.sites and k % 4 == 3:
            formats["leak"] = (24, 6, True, "to_zero", "never")
        inputs = stimulus(case, random)
        rows = [[[Fraction(x) for x in row] for row in port.tolist()] for port in inputs]
        listed = {"v_min": None, **as_list(given, Fraction)}
        casted = {site: Format(*form) for site, form in formats.items()}
        exact = case.oracle(arranged(case, rows), listed, casted, **case.settings)
        numbers = {name: stored(case, name, v) for name, v in given.items()}
        made = {s: spikec.Format(spikec.FixedPoint(*f[:3]), *f[3:]) for s, f in formats.items()}
        sent += check(build(case.model(**numbers, **case.options), made), inputs, exact)
        cases += 1
    assert sent > 10 * cases
    evidence(f"oracle_integer_{kind}", cases=cases, sent=sent)


def stored(case: Case, name: str, values: Array) -> spikec.Tensor:
    """Return a parameter as integers, on the grid of 2^-8 or of the state it starts."""
    if name in case.steps:
        whole = np.asarray(values, dtype=np.int64)
        return spikec.Tensor.integers(whole, fitting(whole, 0))
    frac = case.formats.get(name.removesuffix("_init"), (0, 8, True))[1]
    return spikec.Tensor.integers(np.rint(values * 2**frac), spikec.FixedPoint(24, frac))


# Quantised ---------------------------------------------------------------------------------------


def small(case: Case, random: np.random.Generator, each: bool) -> spikec.Graph:
    """Return spikes -> the model -> LIF, the model recurrent with a delay where it sends spikes."""
    neuron = case.model(**draw(case, random, each, 0), **case.options)

    def dense(out: int, columns: int, scale: float) -> spikec.Dense:
        return spikec.Dense(spikec.Tensor.floats(random.normal(0.2, scale, (out, columns))))

    projections = [
        spikec.Projection("x", "n", dense(NEURONS, 8, 0.5)),
        spikec.Projection("n", "last", dense(3, NEURONS, 0.5)),
    ]
    if neuron.emits == "spikes":
        projections.append(spikec.Projection("n", "n", dense(NEURONS, NEURONS, 0.3), delay=2))
    nodes = (
        spikec.Input("x", (8,)),
        spikec.Population("n", (NEURONS,), neuron),
        spikec.Population("last", (3,), spikec.LIF(decay=0.9)),
        spikec.Output("y", "last"),
    )
    return spikec.Graph("small", nodes, tuple(projections), 1e-3)


@pytest.mark.parametrize("kind", [k for k in CASES if k != "conductance_lif"])
def test_models_quantised(kind: str) -> None:
    """Both engines agree in every bit at 8 bits, with and without calibration and retiming."""
    random = np.random.default_rng(13)
    sent = cases = 0
    for case, each, k in chosen(kind, 11, size(1, 6)):
        graph = small(case, random, each)
        data = (random.random((3, 40, 8)) < 0.3).astype(np.float64)
        pipeline = "discretize,quantize{weight_bits=8}" + (",retime" if k % 2 else "")
        program = spikec.compile(graph, pipeline=pipeline, calibration=data if k % 3 else None)
        first, second = (
            spikec.simulate(program, data, ("spikes", "state"), backend) for backend in BACKENDS
        )
        assert_same(first, second)
        text = print_program(program)
        assert print_program(parse_program(text, arrays(program))) == text
        sent += int(np.count_nonzero(first.spikes["n"]))
        cases += 1
    assert sent > 10 * cases
    evidence(f"quantised_{kind}", cases=cases, sent=sent)


def quantised(neuron: Any, options: str = "weight_bits=8", weight: float = 1.0) -> Any:
    """Return the program of one population at integer weights, and its population."""
    nodes = (
        spikec.Input("x", (2,)),
        spikec.Population("n", (2,), neuron),
        spikec.Output("y", "n"),
    )
    dense = spikec.Dense(spikec.Tensor.floats([[weight, 0.5], [-0.25, weight]]))
    projections = (spikec.Projection("x", "n", dense, port=neuron.ports[0]),)
    graph = spikec.Graph("one", nodes, projections, 1e-3)
    program = spikec.compile(graph, pipeline=f"discretize,quantize{{{options}}}")
    return program, program.graph.population("n")


def test_counters_get_the_width_they_need() -> None:
    """A counter is an unsigned integer of its largest value, which it cannot leave."""
    lif = spikec.RefractoryLIF(decay=0.9, steps=np.array([1, 16]), r_init=3)
    program, population = quantised(lif)
    assert str(population.formats["r"]) == "u4.0:floor:never"
    assert str(population.formats["v"]) == "s24.12:nearest_even:saturate"
    assert population.neuron.steps.data.tolist() == [1, 16]
    assert str(population.neuron.steps.dtype) == "u5.0"
    assert population.neuron.r_init.data == 3
    assert program.stage == "integer"
    _, population = quantised(spikec.NalsmLIF())
    assert str(population.formats["r"]) == "u2.0:floor:never"
    _, population = quantised(spikec.RefractoryLIF(decay=0.9, steps=1))
    assert str(population.formats["r"]) == "u1.0:floor:never"


def test_an_adaptation_gets_a_format_of_its_own() -> None:
    """By gain / (1 - decay), unsigned; where it may fall below zero, that of the membrane."""
    rises = spikec.AdaptiveLIF(decay=0.9, adaptation_decay=0.99, adaptation_gain=500.0)
    program, population = quantised(rises, "weight_bits=8,state_bits=24")
    # At most 50,000 in units of 1 / 127: 23 bits, so one is left for the fraction.
    assert str(population.formats["a"]) == "u24.1:nearest_even:saturate"
    assert not program.graph.findings or program.graph.findings[0].code == "SPK0653"
    beta = population.neuron.beta
    assert (int(beta.data), str(beta.dtype)) == (1, "u1.0")
    _, population = quantised(replace(rises, beta=np.array([29 / 16, 0.0003])))
    beta = population.neuron.beta
    assert (beta.data.tolist(), str(beta.dtype)) == ([3712, 1], "u12.11")
    _, population = quantised(replace(rises, adaptation_gain=250.0, a_init=25000.0))
    assert str(population.formats["a"]) == "u24.1:nearest_even:saturate"
    falls = spikec.AdaptiveLIF(decay=0.9, adaptation_decay=0.99, adaptation_gain=-0.5)
    _, population = quantised(falls)
    assert population.formats["a"] == population.formats["v"]
    narrow, population = quantised(rises, "weight_bits=8,state_bits=20")
    assert str(population.formats["a"]) == "u20.0:nearest_even:saturate"
    assert [f.code for f in narrow.graph.findings] == ["SPK0653", "SPK0654"]


def test_an_adaptation_that_does_not_decay_is_bounded_by_the_run() -> None:
    """Its rise counts as a drive of the membrane's bound, so that both fit for max_steps."""
    lif = spikec.AdaptiveLIF(decay=0.9, adaptation_decay=1.0, adaptation_gain=2.0)
    program, population = quantised(lif, "max_steps=100")
    row = program.reports["quantize"]["populations"]["n"]
    assert row["bound"] == "max_steps"
    assert row["state_limit"] == pytest.approx((1.5 + 2.0) * 100 + 2.0, rel=1e-2)
    assert str(population.formats["a"]) == "u24.7:nearest_even:saturate"
    counting = replace(lif, max_spikes=0, reset="subtract")
    program, _ = quantised(counting, "max_steps=100")
    assert program.reports["quantize"]["populations"]["n"]["bound"] == "none"


def test_a_kernel_is_bounded_by_its_peak_whatever_arrives() -> None:
    """Also round a loop, so that the population behind it has a static bound."""
    one = spikec.OneToOne(2, spikec.Tensor.floats(3.0))
    nodes = (
        spikec.Input("x", (2,)),
        spikec.Population("n", (2,), spikec.NalsmLIF(fire="after")),
        spikec.Population("k", (2,), spikec.LastSpike(decay=0.5, v_init=-2.0)),
        spikec.Output("y", "n"),
    )
    projections = (
        spikec.Projection("x", "n", one),
        spikec.Projection("n", "k", identity(2)),
        spikec.Projection("k", "n", one, delay=1),
    )
    graph = spikec.Graph("loop", nodes, projections, 1e-3)
    program = spikec.compile(graph, pipeline="discretize,quantize{weight_bits=8}")
    rows = program.reports["quantize"]["populations"]
    assert (rows["k"]["bound"], rows["k"]["state_limit"]) == ("static", 2.0)
    assert rows["n"]["bound"] == "static"
    assert rows["n"]["state_limit"] == pytest.approx((3.0 + 3.0 * 2.0) * 64 + 20.0, rel=1e-3)
    growing = spikec.LastSpike(decay=1.5)
    assert growing.growth() is None


# Options that contradict each other --------------------------------------------------------------


def problem(make: Any) -> str:
    with pytest.raises(spikec.SpikecError) as caught:
        make()
    return str(caught.value)


def test_contradictory_options() -> None:
    """Every rule has its code, and the message says what to do."""
    slow: dict[str, Any] = {"decay": 0.9, "adaptation_decay": 0.9, "adaptation_gain": 0.1}
    assert problem(lambda: spikec.RefractoryLIF(decay=0.9, steps=[2, 2.5])) == (
        "refractory_lif.steps: 2.5 is not a whole number from 0 to 2147483647. "
        "Give a number of steps. [SPK1201]"
    )
    assert problem(lambda: spikec.NalsmLIF(refractory=-1)).endswith("[SPK1201]")
    assert problem(lambda: spikec.NalsmLIF(r_init=np.nan)).endswith("[SPK1201]")
    assert problem(lambda: spikec.AdaptiveLIF(**slow, reset_phase="next")) == (
        "adaptive_lif.reset_phase: a spike cannot be reset in the next step, when its threshold "
        "has moved. Use reset_phase=same, or fire=before. [SPK1202]"
    )
    assert problem(lambda: spikec.AdaptiveLIF(**slow, beta=-1.0, max_spikes=3)) == (
        "adaptive_lif.max_spikes: a threshold that may fall to zero fits infinitely often. "
        "Use max_spikes=1, or beta and adaptation of at least 0. [SPK1203]"
    )
    assert problem(lambda: spikec.RefractoryLIF(decay=0.9, steps=2, reset_phase="next")) == (
        "refractory_lif.reset_phase: a spike cannot be reset in the next step, which its "
        "refractory period blocks. Use reset_phase=same, or fire=before. [SPK1204]"
    )
    assert problem(lambda: module_cell(gate=3.0, frozen=np.array([3.0, 4.0]))) == (
        "conductance_lif.frozen: 4 steps exceed a gate of 3. Use at most as many as gate. [SPK1205]"
    )
    assert problem(lambda: quantised(module_cell())) == (
        "quantize: n: conductance_lif: the term ge * (e_excitatory - v) multiplies two states and "
        "has no integer form in one unit. Give it formats and integer parameters by hand, as "
        "docs/neurons.md shows, or keep it in floating point. [SPK1206]"
    )
    assert problem(lambda: spikec.NalsmLIF(leak_shift=0)) == (
        "nalsm_lif.leak_shift: 0 is outside 1 to 24. "
        "Use the logarithm to base 2 of the time constant in steps. [SPK1207]"
    )
    assert problem(lambda: spikec.AdaptiveLIF(**slow, max_spikes=-1)).endswith("[SPK0313]")
    assert problem(lambda: spikec.RefractoryLIF(decay=0.9, steps=2, max_spikes=-1)).endswith(
        "[SPK0313]"
    )


def test_shapes_that_do_not_fit_are_the_populations_error() -> None:
    """The check of the counter waits until the shapes are known to agree."""
    cell = module_cell(gate=np.array([3.0, 4.0]), frozen=np.array([1.0, 2.0, 9.0]))
    assert problem(lambda: spikec.Population("n", (2,), cell)).startswith("n.frozen: shape (3,)")


def module_cell(**changed: Any) -> spikec.ConductanceLIF:
    values: dict[str, Any] = {
        "rate": 0.005, "ge_decay": 0.5, "gi_decay": 0.5, "threshold": -52.0, "gate": 100.0,
        "frozen": 10.0,
    }  # fmt: skip
    return spikec.ConductanceLIF(**values | changed)


# From continuous time ----------------------------------------------------------------------------

PRESETS = ("nir", "norse", "snntorch", "sinabs", "rockpool", "lava", "snn_mlir")


@pytest.mark.parametrize("name", PRESETS)
def test_continuous_integrators_follow_the_conventions_of_spiking_ones(name: str) -> None:
    """The membrane is that of the spiking model that never reaches its threshold."""
    semantics = spikec.Semantics.parse(name)
    if semantics.input_gain == "normalised":
        # There is no threshold that the gain could be moved to.
        semantics = replace(semantics, input_gain="held")
    high: dict[str, Any] = {"v_threshold": 1e9, "semantics": replace(semantics, lower_clip="none")}
    times: dict[str, Any] = {
        "tau_syn": 5e-3,
        "tau_mem": 0.02,
        "w_in": 1.5,
        "v_leak": 0.25,
        "u_init": 0.5,
    }
    pairs: list[tuple[Any, Any]] = [
        (
            spikec.ContinuousCubaLeakyIntegrator(r=2.0, v_init=0.1, **times, semantics=semantics),
            spikec.ContinuousCubaLIF(r=2.0, v_init=0.1, **times, **high),
        ),
        (
            spikec.ContinuousIntegrator(r=3.0, v_init=-0.5, semantics=semantics),
            spikec.ContinuousIntegrateAndFire(r=3.0, v_init=-0.5, **high),
        ),
    ]
    inputs = np.random.default_rng(14).normal(0, 1, (1, STEPS, NEURONS))
    for mine, spiking in pairs:
        programs = [build(neuron.discretize(1e-3), {}) for neuron in (mine, spiking)]
        first, second = (
            spikec.simulate(p, {"x_input": inputs}, ("state",)).state["n"] for p in programs
        )
        assert first.keys() == second.keys()
        for state, held in first.items():
            np.testing.assert_array_equal(held, second[state], state)


def test_continuous_integrators_reach_what_their_equation_says() -> None:
    """Under a constant input: v = r i t; and v = v_leak + r w_in i, after many time constants."""
    ones = np.ones((1, 1000, NEURONS))
    integrator = spikec.ContinuousIntegrator(r=3.0, v_init=0.5).discretize(1e-3)
    out = spikec.simulate(build(integrator, {}), {"x_input": ones}).output[0, :, 0]
    np.testing.assert_allclose(out, 0.5 + 3.0 * np.arange(1, 1001) * 1e-3, rtol=1e-12)
    model = spikec.ContinuousCubaLeakyIntegrator(
        tau_syn=5e-3, tau_mem=0.02, r=2.0, v_leak=0.25, w_in=1.5
    )
    out = spikec.simulate(build(model.discretize(1e-3), {}), {"x_input": ones}).output[0, :, 0]
    assert out[-1] == pytest.approx(0.25 + 2.0 * 1.5, rel=1e-9)


# LENS --------------------------------------------------------------------------------------------

LENS: dict[str, Any] = {"max_spikes": 0, "compare": "ge", "reset": "subtract"}


def lens_parameters(threshold: Any) -> dict[str, Any]:
    return {"threshold": threshold, "v_min": -threshold, "v_init": np.zeros(())}


@pytest.mark.parametrize("each", [False, True])
def test_lens_neuron(each: bool) -> None:
    """LENS's IAF is IntegrateAndFire with these options, in float64 and in integers."""
    random = np.random.default_rng(15)
    for _ in range(size(4, 40)):
        level = np.round(random.uniform(0.25, 1.5, NEURONS if each else ()) * 256) / 256
        inputs = np.round(random.normal(0.4, 1.5, (STEPS, NEURONS)) * 16) / 16
        for threshold in (level, level / 3):
            given = lens_parameters(threshold)
            trace = oracles.lens_iaf(inputs.tolist(), as_list(given, float), {})
            neuron = spikec.IntegrateAndFire(**given, **LENS)
            assert check(build(neuron, {}), [inputs], trace) > 50
        given = lens_parameters(level)
        form = Format(14, 8, True, "floor", "never")
        rows = [[Fraction(x) for x in row] for row in inputs.tolist()]
        exact = oracles.lens_iaf(rows, as_list(given, Fraction), {"v": form})
        numbers: dict[str, Any] = {
            n: spikec.Tensor.integers(np.rint(v * 256), spikec.FixedPoint(24, 8))
            for n, v in given.items()
        }
        formats = {"v": spikec.Format(spikec.FixedPoint(14, 8), "floor", "saturate")}
        assert check(build(spikec.IntegrateAndFire(**numbers, **LENS), formats), [inputs], exact)


def test_lens_model_of_the_authors(data: Path) -> None:
    """The shipped network gives the spikes and recalls of place_recognition.md section 4.4."""
    folder = data / "lens"
    if not folder.is_dir():
        pytest.skip(f"no LENS data at {folder}")
    raw = zipfile.ZipFile(folder / "example-reference_LENS_IN100_FN200_DB100.pth")
    stem = "example-reference_LENS_IN100_FN200_DB100/data"
    weights = [
        np.frombuffer(raw.read(f"{stem}/{k}"), "<f4").reshape(shape)
        for k, shape in ((1, (200, 100)), (3, (100, 200)))
    ]
    frames = np.load(folder / "lens_frames.npz")["example_query"][:, 3::8, 3::8]
    drawn = np.random.default_rng(50).random((250, 10, 10), dtype=np.float32)
    events = (drawn[None] < frames[:, None] / 255.0).astype(np.float64)
    iaf = spikec.IntegrateAndFire(threshold=1.0, v_min=-1.0, **LENS)
    first, second = (spikec.Dense(spikec.Tensor.floats(w)) for w in weights)
    nodes = (
        spikec.Input("dvs", (10, 10)),
        spikec.Population("input", (100,), iaf),
        spikec.Population("feature", (200,), iaf),
        spikec.Population("output", (100,), iaf),
        spikec.Output("place", "output"),
    )
    projections = (
        spikec.Projection("dvs", "input", identity(100)),
        spikec.Projection("input", "feature", first),
        spikec.Projection("feature", "output", second),
    )
    program = spikec.compile(spikec.Graph("lens", nodes, projections, 1e-3), pipeline="")
    totals, recalls = {}, {}
    for name, given in (("kept", events.reshape(1, -1, 10, 10)), ("reset", events)):
        trace = spikec.simulate(program, given, ("spikes",))
        totals[name] = [round(trace.counts[p.name]["spikes"] / 100) for p in program.graph.order()]
        counted = trace.output.reshape(100, 250, 100).sum(axis=1)
        ranks = np.argsort(-counted, axis=1, kind="stable")
        # The truth is the identity, dilated by 3 in both axes.
        right = np.abs(ranks - np.arange(100)[:, None]) <= 6
        recalls[name] = [float(right[:, :n].any(axis=1).mean()) for n in (1, 5, 10, 15, 20, 25)]
    assert totals == {"kept": [841, 1971, 126], "reset": [841, 1965, 116]}
    assert recalls["kept"] == [0.52, 0.88, 0.93, 0.97, 0.99, 0.99]
    assert recalls["reset"][0] == 0.57
    evidence("lens_authors_model", spikes=totals, recalls=recalls)


# NALSM -------------------------------------------------------------------------------------------


def test_kernel_does_not_accumulate() -> None:
    """Two spikes one step apart deliver the drive of the last one alone (section 2.8, item 4)."""
    trains = np.zeros((1, 30, NEURONS))
    trains[0, 5, 1:] = 1.0
    trains[0, 6, 2:] = 1.0
    trains[0, 6, 0] = 1.0
    tau = 1.0
    kernel = spikec.LastSpike(decay=np.exp(-1 / tau), peak=1 / tau)
    for backend in BACKENDS:
        out = spikec.simulate(build(kernel, {}), {"x_input": trains}, (), backend).output[0]
        np.testing.assert_array_equal(out[6:, 0], out[6:, 2])
        since = np.arange(25)
        np.testing.assert_allclose(out[5:, 1], np.exp(-since / tau) / tau, rtol=1e-12)
        accumulated = spikec.LeakyIntegrator(decay=np.exp(-1 / tau))
        added = spikec.simulate(build(accumulated, {}), {"x_input": trains}, (), backend).output[0]
        assert added[6, 2] > added[6, 0]


def liquid(cells: int, inputs: int, seed: int) -> Liquid:
    """Return the topology of liquid_state_machines.md section 2.1 with frozen random weights."""
    random = np.random.default_rng(seed)
    grid = {1000: (10, 10, 10), 200: (5, 5, 8)}[cells]
    corners = np.stack(np.meshgrid(*map(np.arange, grid), indexing="ij"), axis=-1).reshape(-1, 3)
    places = random.permutation(corners)
    excites = np.arange(cells) < 0.8 * cells
    distance = np.square(places[:, None] - places[None]).sum(axis=-1)
    scale = np.where(
        excites[None], np.where(excites[:, None], 0.2, 0.1), np.where(excites[:, None], 0.3, 0.05)
    )
    connected = random.random((cells, cells)) < scale * np.exp(-distance / 9.0)
    np.fill_diagonal(connected, False)
    weights = connected * random.uniform(0, 2, (cells, cells)) * np.where(excites[None], 1, -1)
    chosen_pairs = random.permutation(cells * inputs) < round(0.15 * cells * inputs)
    signs = random.choice([-1.0, 1.0], (cells, inputs))
    w_in = chosen_pairs.reshape(cells, inputs) * random.uniform(0, 2, (cells, inputs)) * signs
    return Liquid(w_in, weights)


def liquid_graph(net: Liquid) -> spikec.Graph:
    """Return the network: kernels between, and one step of delay where a spike acts."""
    cells, inputs = net.w_in.shape
    cell = spikec.NalsmLIF(fire="after")
    kernel = spikec.LastSpike(
        decay=np.exp(-1 / net.tau_u), peak=1 / net.tau_u, v_init=np.exp(-19 / net.tau_u) / net.tau_u
    )
    nodes = (
        spikec.Input("events", (inputs,)),
        spikec.Population("input", (inputs,), cell),
        spikec.Population("input_kernel", (inputs,), kernel),
        spikec.Population("liquid", (cells,), cell),
        spikec.Population("liquid_kernel", (cells,), kernel),
        spikec.Output("state", "liquid"),
    )
    drive = spikec.OneToOne(inputs, spikec.Tensor.floats(net.drive))
    projections = (
        spikec.Projection("events", "input", drive, delay=1),
        spikec.Projection("input", "input_kernel", identity(inputs)),
        spikec.Projection("input_kernel", "liquid", spikec.Sparse.of(net.w_in), delay=1),
        spikec.Projection("liquid", "liquid_kernel", identity(cells)),
        spikec.Projection("liquid_kernel", "liquid", spikec.Sparse.of(net.w), delay=1),
    )
    return spikec.Graph("nalsm", nodes, projections, 1e-3)


def test_nalsm_liquid() -> None:
    """A frozen liquid gives the spikes of the authors' order, in both engines; also quantised."""
    cells, inputs = size(200, 1000), 784
    net = liquid(cells, inputs, 1)
    # MNIST drives an input line at 25.7 Hz (section 2.7).
    events = np.random.default_rng(2).random((250, inputs)) < 0.0257
    first, second, membranes = oracles.nalsm(net, events)
    data = events[None].astype(np.float64)
    graph = liquid_graph(net)
    program = spikec.compile(graph, pipeline="")
    for backend in BACKENDS:
        trace = spikec.simulate(program, data, ("spikes", "state"), backend)
        np.testing.assert_array_equal(trace.spikes["input"][0], first, backend)
        np.testing.assert_array_equal(trace.spikes["liquid"][0], second, backend)
        # The authors keep the membrane until the next step resets it.
        after_reset = np.where(second[1:], 0.0, membranes[:-1])
        np.testing.assert_allclose(
            trace.state["liquid"]["v"][0, 1:], after_reset, atol=1e-9, err_msg=backend
        )
    rate = second.sum() / cells / 0.25
    assert 10 < rate < 60
    pipeline = "discretize,quantize{weight_bits=8,state_bits=32}"
    rounded = spikec.compile(graph, pipeline=pipeline, calibration=data)
    a, b = (spikec.simulate(rounded, data, ("spikes", "state"), name) for name in BACKENDS)
    assert_same(a, b)
    spikes = int(a.spikes["liquid"].sum())
    assert abs(spikes - second.sum()) <= 0.03 * second.sum()
    evidence(
        "nalsm_liquid", cells=cells, synapses=int(np.count_nonzero(net.w)), rate_hz=float(rate),
        input_spikes=int(first.sum()), spikes=int(second.sum()), spikes_8_bit=spikes,
    )  # fmt: skip


def assert_same(first: spikec.Trace, second: spikec.Trace) -> None:
    for name, trains in first.spikes.items():
        np.testing.assert_array_equal(trains, second.spikes[name], name)
    for name, states in first.state.items():
        for state, held in states.items():
            np.testing.assert_array_equal(held, second.state[name][state], f"{name} {state}")
    assert first.counts == second.counts


# Diehl and Cook ----------------------------------------------------------------------------------


def module(cells: int, seed: int) -> Module:
    """Return untrained weights, column sums of 78 on a grid, delays of 0 to 9.9 ms, thresholds."""
    random = np.random.default_rng(seed)
    weights = 0.3 * (random.random((cells, 784)) + 0.01)
    weights *= 78.0 / weights.sum(axis=1, keepdims=True)
    return Module(
        np.rint(weights * 4096) / 4096,
        random.integers(0, 100, (cells, 784)),
        np.round((-52.0 + random.uniform(0, 4, cells)) * 1024) / 1024,
    )


def poisson(steps: int, seed: int) -> Array:
    """Return spikes (steps, 784) of 0.1 ms, at up to 63.75 Hz."""
    random = np.random.default_rng(seed)
    rates = np.clip(random.normal(0.5, 0.25, 784), 0, 1) * 63.75
    return random.random((steps, 784)) < rates * 1e-4


def module_formats(fractions: tuple[int, int]) -> dict[str, spikec.Format]:
    """Return the formats of expr.md section 12: s18 and u16, and a counter of 500 steps."""
    g = spikec.Format(spikec.FixedPoint(16, fractions[1], signed=False))
    v = spikec.Format(spikec.FixedPoint(18, fractions[0]))
    r = spikec.Format(spikec.FixedPoint(9, 0, signed=False), "floor", "never")
    return {"v": v, "ge": g, "gi": g, "r": r}


def significant(x: float, bits: int = 12) -> float:
    """Round to so many significant bits (expr.md section 9)."""
    mantissa, exponent = math.frexp(x)
    return math.ldexp(round(mantissa * 2**bits), exponent - bits)


def module_graph(net: Module) -> spikec.Graph:
    """Return a module: one sparse projection for each delay, and one step more on all of them.

    With ``fractions`` the program is an integer one, with the formats of expr.md section 12.
    """
    cells, inputs = net.weights.shape
    integer = net.fractions is not None
    formats = module_formats(net.fractions) if net.fractions else {}

    def weight(values: Array) -> spikec.Tensor:
        if net.fractions is None:
            return spikec.Tensor.floats(values)
        frac = net.fractions[1]
        return spikec.Tensor.integers(values * 2**frac, spikec.FixedPoint(16, frac))

    def membrane(value: Any) -> Any:
        if net.fractions is None:
            return value
        frac = net.fractions[0]
        return spikec.Tensor.integers(np.asarray(value) * 2**frac, spikec.FixedPoint(18, frac))

    def sparse(matrix: Array) -> spikec.Sparse:
        rows = spikec.Sparse.of(matrix)
        return replace(rows, weight=weight(rows.weight.data))

    decays: dict[str, Any] = {
        "ge_decay": net.decays[0],
        "gi_decay": net.decays[1],
        "current_phase": "new",
    }
    excitatory = spikec.ConductanceLIF(
        rate=net.rates[0], threshold=membrane(net.threshold), gate=net.gate, frozen=net.frozen,
        v_init=membrane(-105.0), **decays,
    )  # fmt: skip
    inhibitory = spikec.ConductanceLIF(
        rate=net.rates[1], v_rest=-60.0, e_inhibitory=-85.0, threshold=-40.0, reset_value=-45.0,
        gate=net.resting, frozen=net.resting, v_init=membrane(-100.0), **decays,
    )  # fmt: skip
    nodes = (
        spikec.Input("x", (inputs,), Bool() if integer else spikec.Input("x", (1,)).signal),
        spikec.Population("excitatory", (cells,), excitatory, formats),
        spikec.Population("inhibitory", (cells,), inhibitory, formats),
        spikec.Output("y", "excitatory"),
    )
    by_delay = [
        spikec.Projection(
            "x", "excitatory", sparse(net.weights * (net.delays == d)), "excitatory", d + 1
        )
        for d in range(int(net.delays.max()) + 1)
    ]
    one_to_one = spikec.OneToOne(cells, weight(np.asarray(net.to_inhibitory)))
    others = spikec.Dense(weight(net.to_excitatory * (1.0 - np.eye(cells))))
    loop = [
        spikec.Projection("excitatory", "inhibitory", one_to_one, "excitatory", 1),
        spikec.Projection("inhibitory", "excitatory", others, "inhibitory", 1),
    ]
    return spikec.Graph("module", nodes, (*by_delay, *loop), 1e-4)


def check_module(net: Module, events: Array) -> ModuleTrace:
    """Compare a module in both engines with its oracle: all spikes, membranes, conductances."""
    wanted = oracles.diehl_cook(net, events)
    program = spikec.compile(module_graph(net), pipeline="")
    fractions = net.fractions or (0, 0)
    for backend in BACKENDS:
        mine = spikec.simulate(program, events[None], ("spikes", "state"), backend)
        np.testing.assert_array_equal(mine.spikes["excitatory"][0], wanted.excitatory, backend)
        np.testing.assert_array_equal(mine.spikes["inhibitory"][0], wanted.inhibitory, backend)
        held = mine.state["excitatory"]
        np.testing.assert_array_equal(held["v"][0], wanted.v * 2.0 ** fractions[0], backend)
        # What arrives is added at the end of a step there, at the beginning of the next one here.
        for state, values in (("ge", wanted.ge), ("gi", wanted.gi)):
            stored_values = values[:-1] * 2.0 ** fractions[1]
            np.testing.assert_array_equal(held[state][0, 1:], stored_values, f"{backend} {state}")
    return wanted


def cells_graph(level: Array, integer: bool) -> spikec.Graph:
    """Return separate cells at 0.5 ms, each with an excitatory and an inhibitory spike train."""
    cells, fractions = len(level), (10, 8)

    def stored_at(value: Any, frac: int) -> Any:
        if not integer:
            return spikec.Tensor.floats(value)
        return spikec.Tensor.integers(np.asarray(value) * 2**frac, spikec.FixedPoint(18, frac))

    cell = spikec.ConductanceLIF(
        rate=significant(0.005), ge_decay=0.5, gi_decay=0.5, gate=100, frozen=10,
        threshold=stored_at(level, 10), v_init=stored_at(-65.0, 10),
    )  # fmt: skip
    signal: Any = Bool() if integer else spikec.Input("x", (1,)).signal
    nodes: tuple[spikec.Input | spikec.Population | spikec.Output, ...] = (
        *(spikec.Input(port, (cells,), signal) for port in cell.ports),
        spikec.Population("n", (cells,), cell, module_formats(fractions) if integer else {}),
        spikec.Output("y", "n"),
    )
    projections = tuple(
        spikec.Projection(port, "n", spikec.OneToOne(cells, stored_at(weight, 8)), port=port)
        for port, weight in zip(cell.ports, (0.75, 0.5), strict=True)
    )
    return spikec.Graph("cells", nodes, projections, 5e-4)


def test_conductances_in_integers_stay_close_to_floating_point() -> None:
    """The formats of expr.md section 12 at 0.5 ms: nearly all spikes fall into the same step."""
    cells, steps = size(100, 400), size(1000, 3000)
    random = np.random.default_rng(6)
    level = np.round(random.uniform(-55.0, -48.0, cells) * 1024) / 1024
    data = {
        port: (random.random((1, steps, cells)) < p).astype(np.float64)
        for port, p in (("excitatory", 0.5), ("inhibitory", 0.1))
    }
    real, integer = (
        spikec.simulate(
            spikec.compile(cells_graph(level, whole), pipeline=""), data, ("spikes", "state")
        )
        for whole in (False, True)
    )
    spikes = int(real.output.sum()), int(integer.output.sum())
    same = int((real.output & integer.output).sum())
    gap = integer.state["n"]["v"] / 1024 - real.state["n"]["v"]
    assert abs(spikes[1] - spikes[0]) <= 0.01 * spikes[0]
    assert same >= 0.9 * spikes[0]
    evidence(
        "conductance_precision", cells=cells, steps=steps, spikes_float=spikes[0],
        spikes=spikes[1], same_step=same, rms_mv=float(np.sqrt(np.square(gap).mean())),
    )  # fmt: skip


def test_conductance_threshold_is_strict() -> None:
    """A membrane that rests at its threshold does not spike; one just above it does, by gates."""
    level = np.array([-65.0, np.nextafter(-65.0, -66.0)])
    cell = module_cell(threshold=np.resize(level, NEURONS), gate=4.0, frozen=2.0)
    nothing = np.zeros((1, 10, NEURONS))
    data = {"x_excitatory": nothing, "x_inhibitory": nothing}
    for backend in BACKENDS:
        out = spikec.simulate(build(cell, {}), data, (), backend).output[0]
        assert not out[:, 0].any()
        assert np.flatnonzero(out[:, 1]).tolist() == [0, 4, 8]


def test_diehl_cook_module() -> None:
    """A module gives the spikes and states of the authors' schedule, bit for bit, in float64."""
    cells, steps = size(100, 400), size(1000, 3500)
    net, events = module(cells, 3), poisson(steps, 4)
    wanted = check_module(net, events)
    spikes = int(wanted.excitatory.sum()), int(wanted.inhibitory.sum())
    assert min(spikes) > 15
    evidence(
        "diehl_cook", cells=cells, steps=steps, input_spikes=int(events.sum()), spikes=spikes[0],
        inhibitory_spikes=spikes[1], synapses=net.weights.size + cells + cells * (cells - 1),
    )  # fmt: skip


def test_diehl_cook_module_in_integers() -> None:
    """The same module in s18.10 and u16.8 with constants of 12 bits equals its integer oracle."""
    cells, steps = size(100, 400), size(800, 3500)
    exact, events = module(cells, 3), poisson(steps, 4)
    net = replace(
        exact,
        weights=np.round(exact.weights * 256) / 256,
        rates=(significant(exact.rates[0]), significant(exact.rates[1])),
        decays=(significant(exact.decays[0]), significant(exact.decays[1])),
        to_inhibitory=round(10.4 * 256) / 256,
        fractions=(10, 8),
    )
    wanted = check_module(net, events)
    spikes = int(wanted.excitatory.sum())
    assert spikes > 10
    real = oracles.diehl_cook(replace(net, fractions=None), events)
    evidence(
        "diehl_cook_integer", cells=cells, steps=steps, spikes=spikes,
        spikes_float=int(real.excitatory.sum()),
        rms_mv=float(np.sqrt(np.square(wanted.v - real.v).mean())),
    )  # fmt: skip
