"""The further neuron models against oracles that know nothing of ``Expr``, and two networks.

Every model runs in both engines: in float64 with random parameters, in hand-written integer
programs under every rounding, and quantised. The networks are a NALSM liquid and a Diehl-Cook
module.
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
from spikec.compiler.text import arrays, models, print_program, parse_program
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
    names = ("compare", "reset", "reset_phase", "fire", "max_spikes")
    for choice in itertools.product(
        ("gt", "ge"),
        ("zero", "value", "subtract", "none"),
        ("same", "next"),
        ("after", "before"),
        (1, 3, 0),
    ):
        options = dict(zip(names, choice, strict=True))
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


def build(case: Case, neuron: Any, formats: dict[str, spikec.Format]) -> spikec.Program:
    """Return one population of ``neuron``, each port behind an identity."""
    integer = all(not t.is_float for t in neuron.parameters().values())
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


@pytest.mark.parametrize("kind", CASES)
def test_models_in_floating_point(kind: str) -> None:
    """Output and every state equal the oracle bit for bit in float64, under all options."""
    random = np.random.default_rng(11)
    sent = cases = 0
    for case in CASES[kind][:: size(5, 1) if len(CASES[kind]) > 20 else 1]:
        for each in (False, True):
            given = draw(case, random, each, 0)
            if "v_min" in given and cases % 3 == 0:
                del given["v_min"]
            inputs = stimulus(case, random)
            rows = [x.tolist() for x in inputs]
            listed = {"v_min": None, **as_list(given, float)}
            trace = case.oracle(arranged(case, rows), listed, {}, **case.settings)
            sent += check(build(case, case.model(**given, **case.options), {}), inputs, trace)
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
    chosen = itertools.cycle(itertools.product(ROUNDINGS, ("saturate", "saturate", "wrap")))
    sent = cases = 0
    for case in CASES[kind][:: size(7, 1) if len(CASES[kind]) > 20 else 1]:
        for each in (False, True) if len(CASES[kind]) > 20 else (False, True) * 6:
            rounding, overflow = next(chosen)
            given = draw(case, random, each, 256)
            if "v_min" in given and cases % 3 == 0:
                del given["v_min"]
            formats = {
                state: (*form, *(("floor", "never") if state == "r" else (rounding, overflow)))
                for state, form in case.formats.items()
            }
            if "leak" in case.model.sites and cases % 4 == 3:
                formats["leak"] = (24, 6, True, "to_zero", "never")
            inputs = stimulus(case, random)
            rows = [[[Fraction(x) for x in row] for row in port.tolist()] for port in inputs]
            listed = {"v_min": None, **as_list(given, Fraction)}
            exact = case.oracle(
                arranged(case, rows),
                listed,
                {s: Format(*f) for s, f in formats.items()},
                **case.settings,
            )
            neuron = case.model(**{n: stored(case, n, v) for n, v in given.items()}, **case.options)
            made = {
                s: spikec.Format(spikec.FixedPoint(*f[:3]), f[3], f[4]) for s, f in formats.items()
            }
            sent += check(build(case, neuron, made), inputs, exact)
            cases += 1
    assert sent > 10 * cases
    evidence(f"oracle_integer_{kind}", cases=cases, sent=sent)


def stored(case: Case, name: str, values: Array) -> spikec.Tensor:
    """Return a parameter as integers, on the grid of 2^-8 or of the state it starts."""
    if name in case.steps:
        whole = values.astype(np.int64)
        return spikec.Tensor.integers(whole, fitting(whole, 0))
    frac = case.formats.get(name.removesuffix("_init"), (0, 8, True))[1]
    return spikec.Tensor.integers(np.round(values * 2**frac), spikec.FixedPoint(24, frac))
