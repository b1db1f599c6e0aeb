"""Two-point cells: golden values, oracles without ``Expr``, both engines, bad input."""

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import exp, log, tanh
from typing import Any

import numpy as np
import pytest

import spikec
from sizes import evidence, size
from spikec.backends.reference import Interpreter
from spikec.compiler import tables
from spikec.compiler.ir import Node
from spikec.compiler.neurons.two_point import MODULATIONS
from spikec.compiler.synapses import identity
from spikec.compiler.text import arrays, parse_program, print_program
from spikec.compiler.types import Array, FixedPoint, Tensor
from spikec.models.mcc.network import two_stream
from two_point_oracles import Cell, filtered, modulated
from two_point_oracles import two_stream as oracle_network

BACKENDS = ("reference", "cpu")
QUANTIZED = "discretize,quantize_values"
# specs/two_point_cells.md section 8.
PAIRS = [(1, 1), (1, -1), (-1, 1), (0.5, 2), (2, 0.5), (-1, -1), (0, 1), (1, 0), (0, -1), (2, 2)]
GOLDEN = {
    ("tm1", 1, "none"): (
        1.859141, 0.683940, -0.683940, 0.929570, 3.718282, -1.859141, 0, 1, 0, 55.598150,
    ),
    ("tm2", 1, "none"): (2, 0, -2, 1.5, 3, 0, 0, 1, 0, 6),
    ("tm3", 1, "none"): (
        1.761594, 0.238406, -0.238406, 0.880797, 3.523188, -1.761594, 0, 1, 0, 3.998659,
    ),
    ("tm4", 1, "none"): (2, 0.5, -0.5, 1, 4, -2, 0, 1, 0, 32),
    ("co", 1, "none"): (5, 1, 1, 4.25, 9.5, -3, 1, 3, -1, 14),
    ("co", 1, "relu6"): (5, 1, 1, 4.25, 6, 0, 1, 3, 0, 6),
    ("co", 2, "none"): (7, -1, 3, 7.25, 11, -5, 2, 3, -2, 20),
    ("co_swap", 1, "none"): (5, -3, 5, 11, 2.75, -3, 4, 0, -2, 14),
}  # fmt: skip


def pair(**options: Any) -> spikec.Graph:
    """Return one cell with R and C of its own."""
    nodes: tuple[Node, ...] = (
        *(spikec.Input(n, (1,)) for n in "rc"),
        spikec.Population("field", (1,), spikec.ReceptiveField(), stream="a"),
        spikec.Population("other", (1,), spikec.ReceptiveField(), stream="b"),
        spikec.Population("cell", (1,), spikec.TwoPoint(**options), stream="a"),
        spikec.Output("h", "cell"),
    )
    one = identity(1)
    return spikec.Graph(
        "pair",
        nodes,
        (
            spikec.Projection("r", "field", one),
            spikec.Projection("c", "other", one),
            spikec.Projection("field", "cell", one, "basal"),
            spikec.Projection("other", "cell", one, "apical", context="D"),
        ),
    )


def run_pairs(program: spikec.Program, pairs: Array, backend: str) -> tuple[Array, int]:
    """Return what the cell sends for (pairs, 2), and its saturations."""
    trace = spikec.Simulator(program, backend).run(
        {"r": pairs[:, None, :1], "c": pairs[:, None, 1:]}
    )
    hits = sum(c["saturations"] for c in trace.counts.values())
    return trace.output.reshape(-1), hits


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", GOLDEN)
def test_golden(case: tuple[str, int, str], backend: str) -> None:
    """Section 8 in floating point, which is not clamped."""
    mod, c_gain, out = case
    program = spikec.compile(pair(mod=mod, c_gain=c_gain, out=out), pipeline="discretize")
    sent, _ = run_pairs(program, np.array(PAIRS, dtype=float), backend)
    assert np.round(sent, 6).tolist() == list(GOLDEN[case])


def test_tm1_leaves_the_table() -> None:
    """R = C = 2 gives 21.085537 with the exponent at 3, and the saturation is counted."""
    program = spikec.compile(pair(mod="tm1", out="none"), pipeline=QUANTIZED)
    wide = replace(program.graph.population("cell"), formats={
        **program.graph.population("cell").formats, "v": spikec.Format(FixedPoint(20, 12)),
    })  # fmt: skip
    program = replace(program, graph=program.graph.with_nodes([wide]))
    for backend in BACKENDS:
        sent, hits = run_pairs(program, np.array([[2.0, 2.0]]), backend)
        assert abs(sent[0] - 21.085537) < 2e-4
        assert hits == 1


EDGES = (-9.0, -8.0, -4.0, -1.0, -0.5, -(2.0**-12), 0.0, 2.0**-12, 0.4, 1.0, 2.5, 7.9998, 8.0, 9.5)


@pytest.mark.parametrize("filter_", [(None, 0.0), (1.5, 0.0), (0.7, 0.5)])
@pytest.mark.parametrize("out", ["relu6", "relu", "none"])
@pytest.mark.parametrize("mod", MODULATIONS)
def test_against_the_oracle(mod: Any, out: Any, filter_: tuple[float | None, float]) -> None:
    """Every bit and every saturation is that of exact fractions, in both engines."""
    sigma, cut = filter_
    random = np.random.default_rng(len(mod) + len(out))
    drawn = random.uniform(-3, 3, (size(60, 3000), 2))
    edges = np.array(list(product(EDGES, repeat=2)))
    pairs = np.rint(np.concatenate([drawn, edges]) * 4096) / 4096
    options: dict[str, Any] = {"mod": mod, "out": out, "sigma": sigma, "cut": cut}
    options["c_gain"] = 2 if mod == "co" and out == "none" else 1
    rounding: Any = ("nearest_even", "floor", "to_zero", "nearest")[len(out) % 4]
    pipeline = f"discretize,quantize_values{{integer_bits=3,rounding={rounding}}}"
    program = spikec.compile(pair(**options), pipeline=pipeline)
    program = _wider_inputs(program)
    cell = Cell(**options, rounding=rounding)
    # Beyond Q3.12 the receptive fields saturate first.
    fields = [[cell.stored(Fraction(x), (16, 12, True)) for x in row] for row in pairs.tolist()]
    wanted = [float(cell.sends(*row)) for row in fields]
    for backend in BACKENDS:
        sent, hits = run_pairs(program, pairs, backend)
        assert sent.tolist() == wanted
        assert hits == cell.saturations


def _wider_inputs(program: spikec.Program) -> spikec.Program:
    """Return the program with inputs up to 16, so that the receptive fields saturate."""
    inputs = [replace(i, signal=FixedPoint(17, 12)) for i in program.graph.inputs]
    return replace(program, graph=program.graph.with_nodes(inputs))


@pytest.mark.parametrize("mod", MODULATIONS)
def test_a_million_pairs(mod: Any) -> None:
    """Both engines agree in every bit and count; ``co`` is as near to floats as the spec says."""
    count = size(20_000, 1_000_000)
    pairs = np.random.default_rng(7).standard_normal((count, 2))
    graph = pair(mod=mod)
    program = spikec.compile(graph, pipeline=QUANTIZED)
    first, second = (run_pairs(program, pairs, b) for b in BACKENDS)
    assert np.array_equal(first[0], second[0])
    assert first[1] == second[1]
    exact, _ = run_pairs(spikec.compile(graph, pipeline="discretize"), pairs, "cpu")
    wanted = np.clip(modulated(mod, *pairs.T), 0, 6)
    assert np.allclose(exact, wanted, rtol=1e-12, atol=1e-12)
    gap = np.abs(first[0] - exact)
    # The spec's figure for co; the others measured, with as much room.
    assert 0 < gap.max() <= (1.3e-3 if mod == "co" else 4e-3)
    rms = float(np.sqrt(np.mean(gap**2)))
    evidence(f"two_point_{mod}", pairs=count, largest=float(gap.max()), rms=rms, hits=first[1])


def test_filter_in_floating_point() -> None:
    """The half-Gaussian, with its hard zero."""
    pairs = np.random.default_rng(2).uniform(-2, 2, (200, 2))
    program = spikec.compile(pair(mod="tm2", sigma=0.8, cut=0.25), pipeline="discretize")
    wanted = [filtered(min(max(y, 0), 6), 0.8, 0.25) for y in modulated("tm2", *pairs.T)]
    for backend in BACKENDS:
        assert np.allclose(run_pairs(program, pairs, backend)[0], wanted, rtol=1e-12, atol=1e-12)
    assert 0 < np.count_nonzero(wanted) < 150


@pytest.mark.parametrize("step_bits", [2, 6, 8])
def test_stated_table_errors(step_bits: int) -> None:
    """No table is further from its curve than it says, nor does it say much more than there is."""
    cases: list[tuple[tables.Table, Callable[[float], float], int]] = [
        (tables.exponential(-10, 3, step_bits), exp, -10),
        (tables.hyperbolic_tangent(-8, 8, step_bits), tanh, -8),
        (tables.power_of_two(-16, 4, step_bits), lambda x: exp(x * log(2)), -16),
        (tables.half_gaussian(0.75, 8, step_bits), lambda x: filtered(x, 0.75, 0.0), 0),
    ]
    for made, curve, lo in cases:
        entries = [e / 2.0**tables.FRAC for e in made.entries]
        knots = [lo + k / 2**step_bits for k in range(len(entries))]
        x = [lo + (knots[-1] - lo) * k / 200_000 for k in range(200_001)]
        line: list[float] = np.interp(x, knots, entries).tolist()
        worst = max(abs(y - curve(v)) for y, v in zip(line, x, strict=True))
        assert 0.4 * made.error < worst <= made.error


def test_errors_stand_in_the_text() -> None:
    """An integer program states the errors of its tables, and its text reads back."""
    graph = pair(mod="tm1", sigma=0.5, cut=0.125)
    program = spikec.compile(graph, pipeline=QUANTIZED)
    text = print_program(program)
    model = program.graph.population("cell").neuron
    assert isinstance(model, spikec.TwoPoint)
    assert 6.1e-4 < model.table_error < 6.3e-4
    assert f"table_error={model.table_error!r}, filter_error={model.filter_error!r})" in text
    assert "stream=a two_point" in text
    assert "delay=0 context=D storage" in text
    assert print_program(parse_program(text, arrays(program))) == text
    plain = spikec.compile(graph, pipeline="discretize").graph.population("cell").neuron
    assert isinstance(plain, spikec.TwoPoint)
    assert plain.table_error == 0


# ---------------------------------------------------------------- networks


def weights(seed: int, layers: int = 2, fused: bool = False, lesions: bool = False) -> Any:
    """Return random weights of a network with 5 and 4 inputs, 6 cells a layer, 3 outputs."""
    random = np.random.default_rng(seed)
    n, m = 6, 3
    made: dict[str, Array] = {"alive": np.ones((layers, 2, n))}
    for layer in range(layers):
        for s, inputs in (("audio", 5), ("video", 4)):
            before = inputs if layer == 0 else n * (1 + fused)
            made[f"feed.w_{s}_{layer}"] = random.normal(0, 0.5, (n, before))
            made[f"feed.b_{s}_{layer}"] = random.normal(0, 0.2, n)
            for part, width in (("p", n), ("d", n), ("u", m)):
                made[f"context.{part}_{s}_{layer}"] = random.normal(0, 0.2, (n, width))
        made[f"context.m_{layer}"] = random.normal(0, 0.3, (m, 2 * n))
    made["out.weight"], made["out.bias"] = random.normal(0, 0.3, (3, 2 * n)), random.normal(0, 1, 3)
    if lesions:
        made["alive"] = (random.random((layers, 2, n)) < 0.6).astype(float)
    return made


def inputs(seed: int, samples: int = 4, steps: int = 7) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    return {s: random.normal(0, 1, (samples, steps, n)) for s, n in (("audio", 5), ("video", 4))}


@pytest.mark.parametrize("mod", ["co", "tm1", "tm3", None])
@pytest.mark.parametrize(("delay", "memory"), [(0, 0.0), (1, 0.0), (0, 0.5), (1, 0.75)])
def test_two_streams(mod: Any, delay: int, memory: float) -> None:
    """The network is section 2.2; in integers both engines agree, near to floating point."""
    held = weights(3, fused=mod is None, lesions=delay == 1)
    graph = two_stream(held, mod, delay=delay, memory=memory)
    data = inputs(4)
    wanted = oracle_network(held, mod or "", data, delay, memory)
    program = spikec.compile(graph, pipeline="discretize")
    for backend in BACKENDS:
        sent = spikec.Simulator(program, backend).run(data).output
        assert np.allclose(sent, wanted, rtol=1e-9, atol=1e-9)
    exact = spikec.compile(
        graph, calibration=data, pipeline="discretize,quantize_values{weight_bits=14}"
    )
    traces = [spikec.Simulator(exact, b).run(data, ("spikes", "state")) for b in BACKENDS]
    for name in traces[0].spikes:
        assert np.array_equal(traces[0].spikes[name], traces[1].spikes[name])
    assert traces[0].counts == traces[1].counts
    assert np.array_equal(traces[0].output, traces[1].output)
    assert np.abs(traces[0].output - wanted).max() < 0.03
    text = print_program(exact)
    assert print_program(parse_program(text, arrays(exact))) == text


def test_lesions_equal_silenced_cells() -> None:
    """A mask in the model is the same as the reference with those cells silenced."""
    held = weights(5, lesions=True)
    data = inputs(6)
    hurt = spikec.compile(two_stream(held, "co"), calibration=data, pipeline=QUANTIZED)
    # The same formats with every cell alive, so that only the mask differs.
    alive = [
        replace(p, neuron=p.neuron.with_parameters({"alive": Tensor.floats(1.0)}))
        for p in hurt.graph.populations
        if "alive" in p.neuron.parameters()
    ]
    whole = replace(hurt, graph=hurt.graph.with_nodes(alive))
    lost = {
        f"{s}_{layer}{end}": held["alive"][layer, k] == 0
        for layer in (0, 1)
        for k, s in enumerate(("audio", "video"))
        for end in ("", "_field")
    }
    stored = {
        i.name: np.rint(data[i.name] * 2.0 ** _frac(i)).astype(np.int64) for i in whole.graph.inputs
    }
    silenced = Interpreter(whole, lost).run(stored)
    masked = Interpreter(hurt).run(stored)
    assert np.array_equal(silenced.output, masked.output)
    assert not np.array_equal(Interpreter(whole).run(stored).output, masked.output)


def _frac(node: spikec.Input) -> int:
    assert isinstance(node.signal, FixedPoint)
    return node.signal.frac


def test_formats_follow_calibration() -> None:
    """Each value has the integer bits that its range needs, and 3 where nothing is known."""
    graph, data = two_stream(weights(1), "co"), inputs(2)
    program = spikec.compile(graph, calibration=data, pipeline=QUANTIZED)
    report = program.reports["quantize_values"]
    for population in program.graph.populations:
        for site, form in report["formats"][population.name].items():
            key = {"r": "basal", "c": "apical"}.get(site, "sent")
            seen, bits = report["ranges"][f"{population.name} {key}"], 15 - int(form[4:])
            if site not in ("x", "e"):
                assert seen <= 2.0**bits * (1 - 2.0**-15)
                assert bits == 0 or seen > 2.0 ** (bits - 1) * (1 - 2.0**-15)
    assert all(row["saturations"] == 0 for row in report["agreement"].values())
    blind = spikec.compile(graph, pipeline=QUANTIZED)
    assert {str(i.signal) for i in blind.graph.inputs} == {"s16.12"}
    assert [f.code for f in blind.graph.findings] == ["SPK2233"]
    assert str(blind.graph.population("audio_0").formats["c"].type) == "s16.12"


# ---------------------------------------------------------------- bad input


def failure(act: Any) -> str:
    with pytest.raises(spikec.SpikecError) as caught:
        act()
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"mod": "tm5"}, "two_point.mod: 'tm5' is unknown. Use tm1, tm2, tm3, tm4, co, co_swap. "
         "[SPK2202]"),
        ({"out": "relu7"}, "two_point.out: 'relu7' is unknown. Use relu6, relu, none. [SPK2203]"),
        ({"c_gain": 3}, "two_point.c_gain: 3 is not possible with mod co. Use 1, or 2 with mod co. "
         "[SPK2204]"),
        ({"mod": "tm1", "c_gain": 2}, "two_point.c_gain: 2 is not possible with mod tm1. Use 1, or "
         "2 with mod co. [SPK2204]"),
        ({"sigma": 0.0}, "two_point.sigma: 0 is not 2^-10 to 2^10. Give a positive number in that "
         "range, or none. [SPK2205]"),
        ({"sigma": float("nan")}, "two_point.sigma: nan is not 2^-10 to 2^10. Give a positive "
         "number in that range, or none. [SPK2205]"),
        ({"cut": 0.5}, "two_point.cut: 0.5 is not possible with sigma None. Use 0 to 1024, with a "
         "sigma. [SPK2206]"),
        ({"sigma": 1.0, "cut": -0.5}, "two_point.cut: -0.5 is not possible with sigma 1.0. Use 0 "
         "to "
         "1024, with a sigma. [SPK2206]"),
        ({"step_bits": 11}, "two_point.step_bits: 11 is not 1 to 10. Choose a number in that "
         "range. "
         "[SPK2207]"),
        ({"alive": [1.0, 0.5]}, "two_point.alive: 0.5 is neither 0 nor 1. Give 1 for a cell that "
         "lives and 0 for a lesioned one. [SPK2201]"),
    ],
)  # fmt: skip
def test_bad_options(options: dict[str, Any], text: str) -> None:
    assert failure(lambda: spikec.TwoPoint(**options)) == text


@pytest.mark.parametrize("memory", [-0.1, 1.0, float("nan"), [0.5, 1.5]])
def test_bad_memory(memory: Any) -> None:
    assert "is not 0 to below 1. Give the share of the old value that stays. [SPK2208]" in failure(
        lambda: spikec.UniversalContext(memory=memory)
    )
    assert "[SPK2209]" in failure(lambda: spikec.UniversalContext(step_bits=0))


def changed(source: str, target: str, /, **fields: Any) -> spikec.Graph:
    """Return the two-stream network with one projection changed."""
    graph = two_stream(weights(0), "co")
    hit = [p for p in graph.projections if (p.source, p.target) == (source, target)]
    assert hit
    return replace(
        graph,
        projections=tuple(replace(p, **fields) if p is hit[-1] else p for p in graph.projections),
    )


OWN = ("audio_0_field", "audio_0")
OTHER = ("video_0_field", "audio_0")


@pytest.mark.parametrize(
    ("ends", "fields", "text"),
    [
        (OWN, {"context": "X"}, "audio_0_field -> audio_0.apical context: 'X' is unknown. Use P, "
         "D, "
         "U. [SPK2210]"),
        (OWN, {"context": ""}, "audio_0_field -> audio_0.apical context: no kind of context at "
         "port "
         "apical. Give P, D or U to what ends at apical, U to what ends at a universal context, "
         "and "
         "none to the rest. [SPK2211]"),
        (("audio_0", "audio_1_field"), {"context": "P"}, "audio_0 -> audio_1_field context: "
         "context "
         "P at port input. Give P, D or U to what ends at apical, U to what ends at a universal "
         "context, and none to the rest. [SPK2211]"),
        (OTHER, {"context": "P"}, "video_0_field -> audio_0.apical context: P leads from stream "
         "'video' to 'audio'. Use P within a stream and D between two, and name the streams. "
         "[SPK2212]"),
        (OWN, {"context": "D"}, "audio_0_field -> audio_0.apical context: D leads from stream "
         "'audio' to 'audio'. Use P within a stream and D between two, and name the streams. "
         "[SPK2212]"),
        (OWN, {"synapse": spikec.Dense(Tensor.floats(np.eye(6)))}, "audio_0_field -> "
         "audio_0.apical "
         "weight: cell 0 is its own context with weight 1. Set the diagonal to 0. [SPK2213]"),
        (OWN, {"synapse": spikec.Dense(Tensor.floats(np.ones((6, 5))))}, "audio_0_field -> "
         "audio_0.apical: dense maps 5 to 6 but 'audio_0_field' has 6 and 'audio_0' has 6. Correct "
         "the weight's shape. [SPK0520]"),
        (OWN, {"synapse": spikec.Dense(Tensor.floats(np.full((6, 6), np.nan)))}, "audio_0_field -> "
         "audio_0.apical weight: element [0, 0] is nan, not a finite number. Train again or repair "
         "the model. [SPK0516]"),
        (OTHER, {"port": "lateral"}, "video_0_field -> audio_0.lateral: there is no port "
         "'lateral'. "
         "Use one of basal, apical. [SPK0519]"),
        (OTHER, {"source": "audio_0", "context": "U"}, "audio_0 -> audio_0: cycle without delay: "
         "audio_0 -> audio_0. Give one projection a delay of at least 1. [SPK0505]"),
    ],
)  # fmt: skip
def test_bad_contexts(ends: tuple[str, str], fields: dict[str, Any], text: str) -> None:
    """Every rule of section 5, by node and field."""
    graph = changed(*ends, **fields)
    assert failure(lambda: spikec.compile(graph, pipeline="discretize")) == text


def test_bad_masks_and_streams() -> None:
    """A mask of another length, a stream that is no name."""
    cell = spikec.TwoPoint(alive=[1.0, 0.0, 1.0])
    assert "[SPK0502]" in failure(lambda: spikec.Population("a", (2,), cell))
    graph = pair()
    named = replace(graph.population("cell"), stream="left ear")
    text = failure(lambda: spikec.compile(graph.with_nodes([named]), pipeline="discretize"))
    assert text.startswith("cell stream: name 'left ear' is not 1 to 128 of")


def test_refusals_of_the_pass() -> None:
    """Options, a stage, models that have no unit 1; and cells that ``quantize`` cannot take."""
    graph = pair()
    for option, shown in (
        ("weight_bits=1", "1"),
        ("value_bits=25", "25"),
        ("integer_bits=17", "17"),
    ):
        text = failure(lambda o=option: spikec.compile(graph, pipeline=f"quantize_values{{{o}}}"))
        assert re.search(f": {shown} is outside .*SPK2230", text)
    twice = failure(lambda: spikec.compile(graph, pipeline="quantize_values,quantize_values"))
    assert "Quantize after discretize, once. [SPK2231]" in twice
    lif = graph.with_nodes([spikec.Population("cell", (1,), spikec.LIF(decay=0.5))])
    lif = replace(lif, projections=lif.projections[:2])
    assert "cell: lif has no integer form of unit 1" in failure(
        lambda: spikec.compile(lif, pipeline="quantize_values")
    )
    text = failure(lambda: spikec.compile(graph, pipeline="discretize,quantize"))
    assert "Use quantize_values in place of quantize. [SPK2200]" in text


def test_bad_weights() -> None:
    """The builder names what is missing."""
    held = weights(0)
    del held["context.m_1"]
    assert failure(lambda: two_stream(held, "co")) == (
        "context.m_1: it is missing. Give an array of 2 dimensions. [SPK2222]"
    )
    assert failure(lambda: two_stream(held, "co", delay=2)) == (
        "delay: 2 is neither 0 nor 1. Use 0 or 1. [SPK2223]"
    )
