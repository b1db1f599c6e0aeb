"""The further neuron models against oracles that know nothing of ``Expr``.

Every model runs in both engines: in float64 with random parameters, in hand-written integer
programs under every rounding, and quantised. Networks of them are in ``test_models``.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import more_oracles as oracles
import spikec
from more_oracles import History, Rule
from oracles import Format
from sizes import evidence, size
from spikec.compiler.synapses import identity
from spikec.compiler.text import arrays, parse_program, print_program
from spikec.compiler.types import Array, fitting

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
    for case, each, k in chosen(kind, 13, size(2, 6)):
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
    for case, each, k in chosen(kind, 23, size(2, 6)):
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
    for case, each, k in chosen(kind, 23, size(1, 6)):
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


def assert_same(first: spikec.Trace, second: spikec.Trace) -> None:
    for name, trains in first.spikes.items():
        np.testing.assert_array_equal(trains, second.spikes[name], name)
    for name, states in first.state.items():
        for state, held in states.items():
            np.testing.assert_array_equal(held, second.state[name][state], f"{name} {state}")
    assert first.counts == second.counts


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


# Diehl and Cook ----------------------------------------------------------------------------------


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
