"""Types between populations: sound and tight bounds of summed inputs, and what has no bound."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spikec
from sizes import evidence, examples
from spikec.compiler.equation import Casts, Emission, Neuron, Step, Wires, parameter
from spikec.compiler.errors import SpikecError
from spikec.compiler.expr import gt, shift
from spikec.compiler.ir import Input, Node, Output, Population, Projection
from spikec.compiler.synapses import Dense, Sparse
from spikec.compiler.types import Bool, Exact, FixedPoint, Float, Format, Tensor
from spikec.compiler.wiring import lanes, source_types

TRIED = {"networks": 0, "sums": 0, "refused": 0, "sums run": 0}


@pytest.fixture(autouse=True, scope="module")
def keep_counts() -> Iterator[None]:
    """Record how much was compared."""
    yield
    evidence("fan_in", **TRIED)


def integers(values: Any, bits: int = 62, frac: int = 0) -> Tensor:
    return Tensor.integers(values, FixedPoint(bits, frac))


def dense(values: Any, bias: Any = None, frac: int = 0, bias_frac: int = 0) -> Dense:
    vector = None if bias is None else integers(bias, 62, bias_frac)
    return Dense(integers(values, 62, frac), vector)


def into_relay(size: int, *arriving: tuple[Input, Any]) -> spikec.Graph:
    """Return inputs that project onto one relay, and its only output."""
    nodes: list[Node] = [i for i, _ in arriving]
    nodes += [Population("p", (size,), spikec.Relay()), Output("y", "p")]
    edges = tuple(Projection(i.name, "p", s) for i, s in arriving)
    return spikec.Graph("g", tuple(nodes), edges)


def interval(graph: spikec.Graph, name: str = "p") -> Exact:
    port = lanes(graph)[name].ports["input"]
    assert isinstance(port, Exact)
    return port


def failure(graph: spikec.Graph) -> str:
    with pytest.raises(SpikecError) as caught:
        lanes(graph)
    return str(caught.value)


# ---------------------------------------------------------------- bounds


@st.composite
def fans(draw: Any) -> tuple[spikec.Graph, list[tuple[Any, int, int]]]:
    """Draw projections of any widths and binary points onto one relay, with their signal ranges."""
    size: int = draw(st.integers(1, 4))
    arriving: list[tuple[Input, Any]] = []
    ranges: list[tuple[Any, int, int]] = []
    for k in range(draw(st.integers(1, 4))):
        sources: int = draw(st.integers(1, 5))
        signal: Any = draw(
            st.sampled_from([Bool(), FixedPoint(5, 2), FixedPoint(8, -1), FixedPoint(6, 0, False)])
        )
        lo, hi = (0, 1) if isinstance(signal, Bool) else (min(signal.lo, 0), signal.hi)
        # Up to 2^56, so that sums are met which float64 does not hold.
        reach = 1 << draw(st.sampled_from([0, 3, 8, 20, 45, 50]))
        cell = st.integers(-reach, reach)
        rows = draw(
            st.lists(
                st.lists(cell, min_size=sources, max_size=sources), min_size=size, max_size=size
            )
        )
        bias = draw(st.none() | st.lists(cell, min_size=size, max_size=size))
        synapse: Any = dense(rows, bias, draw(st.integers(-2, 3)), draw(st.integers(-2, 3)))
        ranges.append((synapse, lo, hi))
        if draw(st.booleans()):
            pointers = np.array([k * sources for k in range(size + 1)])
            columns = np.array([k for _ in range(size) for k in range(sources)])
            weight = integers(np.ravel(rows), 62, synapse.weight.frac)
            synapse = Sparse(sources, pointers, columns, weight, synapse.bias)
        arriving.append((Input(f"x{k}", (sources,), signal), synapse))
    return into_relay(size, *arriving), ranges


def extremes(graph: spikec.Graph, ranges: list[tuple[Any, int, int]], frac: int) -> Iterator[int]:
    """Return the least and greatest sum of every neuron, in exact integers."""
    for neuron in range(graph.population("p").size):
        low = high = 0
        for (synapse, lo, hi), node in zip(ranges, graph.inputs, strict=True):
            point = node.signal.frac if isinstance(node.signal, FixedPoint) else 0
            up = frac - synapse.weight.frac - point
            for w in synapse.weight.data[neuron].tolist():
                low += min(w * lo, w * hi) << up
                high += max(w * lo, w * hi) << up
            if synapse.bias is not None:
                b = int(synapse.bias.data[neuron]) << (frac - synapse.bias.frac)
                low, high = low + b, high + b
        yield from (low, high)


@given(made=fans())
@examples(300, 4000)
def test_fan_in_bounds_hold_and_are_reached(
    made: tuple[spikec.Graph, list[tuple[Any, int, int]]],
) -> None:
    """Extreme inputs stay inside the interval; below 2^52 they reach it."""
    graph, ranges = made
    try:
        port = interval(graph)
    except SpikecError as error:
        assert error.code == "SPK0509"  # noqa: PT017
        TRIED["refused"] += 1
        return
    sums = list(extremes(graph, ranges, port.frac))
    assert port.lo <= min(sums)
    assert max(sums) <= port.hi
    if max(map(abs, sums)) < 2**49:
        assert (port.lo, port.hi) == (min(sums), max(sums))
    TRIED["networks"] += 1
    TRIED["sums"] += len(sums)


@given(made=fans(), seed=st.integers(0, 99))
@examples(40, 400)
def test_sums_at_mixed_binary_points(
    made: tuple[spikec.Graph, list[tuple[Any, int, int]]], seed: int
) -> None:
    """Weights, signals and biases of several binary points add up exactly, in both engines."""
    graph, ranges = made
    try:
        frac = interval(graph).frac
    except SpikecError:
        return
    random, data = np.random.default_rng(seed), dict[str, Any]()
    wanted = np.zeros((2, graph.population("p").size), dtype=object)
    for (synapse, lo, hi), node in zip(ranges, graph.inputs, strict=True):
        point = node.signal.frac if isinstance(node.signal, FixedPoint) else 0
        stored = random.integers(lo, hi + 1, (2, 1, node.size))
        data[node.name] = np.ldexp(stored.astype(float), -point)
        weights = synapse.weight.data.astype(object)
        up = frac - synapse.weight.frac - point
        wanted += np.array(stored[:, 0].tolist(), dtype=object) @ weights.T * (1 << up)
        if synapse.bias is not None:
            wanted += synapse.bias.data.astype(object) * (1 << (frac - synapse.bias.frac))
    program = spikec.compile(graph, pipeline="")
    for backend in ("reference", "cpu"):
        found = spikec.simulate(program, data, ("spikes",), backend).spikes["p"][:, 0]
        assert found.tolist() == wanted.tolist(), backend
    TRIED["sums run"] += wanted.size


def test_bound_of_one_dense_projection() -> None:
    """Negative weights and positive ones, spikes, and the bias at its own binary point."""
    x = Input("x", (3,), Bool())
    assert interval(into_relay(2, (x, dense([[1, -2, 4], [0, -8, 0]])))) == Exact(-8, 5)
    assert interval(into_relay(1, (x, dense([[1, -2, 4]], [3])))) == Exact(1, 8)
    assert interval(into_relay(1, (x, dense([[1, -2, 4]], [3], 1, 3)))) == Exact(-5, 23, 3)
    assert interval(into_relay(1, (x, dense([[1, -2, 4]], [3], 3, 1)))) == Exact(10, 17, 3)
    signed = Input("x", (3,), FixedPoint(4, 1))
    assert interval(into_relay(1, (signed, dense([[1, -2, 4]])))) == Exact(-54, 51, 1)
    # An unsigned signal may also be silent.
    silent = Input("x", (3,), FixedPoint(4, 0, signed=False))
    assert interval(into_relay(1, (silent, dense([[1, -2, 4]])))) == Exact(-30, 75)


def test_before_its_first_step_a_source_sends_zero() -> None:
    """So zero is within the bound of what arrives, though the source never sends it."""
    for sign in (1, -1):
        relays = [Population(n, (1,), spikec.Relay()) for n in "ab"]
        nodes: list[Node] = [Input("x", (1,), Bool()), *relays, Output("y", "b")]
        first = Projection("x", "a", dense([[sign]], [5 * sign]))
        graph = spikec.Graph(
            "g", tuple(nodes), (first, Projection("a", "b", dense([[1]]), delay=1))
        )
        bounds = (0, 6) if sign > 0 else (-6, 0)
        assert interval(graph, "b") == Exact(*bounds)


def test_a_port_without_projections_is_zero_or_floating_point() -> None:
    """By whether the population has integer formats."""
    lif = spikec.LIF(decay=0.5, threshold=1.0)
    for formats, expected in (({"v": Format(FixedPoint(8))}, Exact(0, 0)), ({}, Float())):
        nodes = (Population("p", (1,), lif, formats), Output("y", "p"))
        assert lanes(spikec.Graph("g", nodes, ()))["p"].ports["input"] == expected


# ---------------------------------------------------------------- 32 and 64 bits


@pytest.mark.parametrize(
    ("weights", "bias"),
    [
        ([2**31 - 1], 0),
        ([-(2**31)], 0),
        ([2**31], 0),
        ([2**31 - 1, 2**31], -(2**31)),
        ([2**30, 2**30, -(2**31)], -1),
        ([2**30, 2**30, -1, -(2**31)], 0),
        ([-(2**31), -(2**31) + 1], 2**31 - 1),
        ([2**40, -(2**40), 2**31 - 1], 0),
        ([2**60, -(2**59), 5], 7),
    ],
)
def test_sums_at_the_edge_of_a_word(weights: list[int], bias: int) -> None:
    """All patterns of spikes: no sum and no partial sum is lost where the total just fits."""
    graph = into_relay(1, (Input("x", (len(weights),), Bool()), dense([weights], [bias])))
    program = spikec.compile(graph, pipeline="")
    patterns = np.array(list(itertools.product((0, 1), repeat=len(weights))))[:, None, :]
    wanted = [sum(w for w, on in zip(weights, p[0], strict=True) if on) + bias for p in patterns]
    port = interval(graph)
    assert port.lo <= min(wanted)
    assert max(wanted) <= port.hi
    for backend in ("reference", "cpu"):
        trace = spikec.simulate(program, patterns, ("spikes",), backend)
        assert trace.spikes["p"].ravel().tolist() == wanted, backend


@pytest.mark.parametrize(
    "arriving",
    [
        [dense([[2**61 - 1]])],
        [dense([[-(2**60), -(2**60)]])],
        [dense([[0]], [2**61 - 1])],
        # In int64 these sums would wrap to harmless ones.
        [dense([[2**60] * 16])],
        [dense([[-(2**60)] * 16])],
        # These biases cancel, but not before float64 has lost the weight.
        [dense([[1]], [2**60], 20, 0), dense([[0]], [-(2**60)])],
        [dense([[1]], [1], -4000, 4000)],
        [dense([[0]], [1], 4000, -4000), dense([[0]], [-1], 4000, -4000)],
    ],
)
def test_a_sum_that_may_need_more_than_62_bits_is_refused(arriving: list[Dense]) -> None:
    """The message names the population and the port."""
    pairs = [(Input(f"x{k}", (s.in_size,), Bool()), s) for k, s in enumerate(arriving)]
    assert failure(into_relay(1, *pairs)) == (
        "p: input: the summed input may need more than 62 bits. "
        "Use fewer bits for weights or inputs. [SPK0509]"
    )


def test_zero_weights_may_have_any_binary_point() -> None:
    """Nothing times two to the 4000 is nothing, in both engines."""
    x = Input("x", (1,), Bool())
    graph = into_relay(1, (x, dense([[0]], None, -4000)), (Input("y", (1,), Bool()), dense([[3]])))
    program = spikec.compile(graph, pipeline="")
    data = {"x": np.ones((1, 2, 1)), "y": np.ones((1, 2, 1))}
    for backend in ("reference", "cpu"):
        assert spikec.simulate(program, data, (), backend).output.ravel().tolist() == [3, 3]


# ---------------------------------------------------------------- order and cycles


def chain(names: str, delays: dict[str, int]) -> spikec.Graph:
    """Return relays listed in that order; ``ab`` in ``delays`` is an edge from a to b."""
    nodes: list[Node] = [Input("x", (1,), Bool())]
    nodes += [Population(n, (1,), spikec.Relay()) for n in names]
    edges = [Projection(e[0], e[1], dense([[2]]), delay=d) for e, d in delays.items()]
    return spikec.Graph("g", (*nodes, Output("y", names[0])), tuple(edges))


@pytest.mark.parametrize("names", ["".join(p) for p in itertools.permutations("abc")])
def test_types_do_not_depend_on_the_order_of_nodes(names: str) -> None:
    """With delays a source may run after its target in a step; its type still comes first."""
    graph = chain(names, {"xa": 1, "ab": 1, "bc": 3, "ac": 0})
    assert interval(graph, "c") == Exact(0, 12)
    assert [p.name for p in graph.order()] == ["a", "b", "c"]


def test_a_relay_within_a_cycle_has_a_bound() -> None:
    """Spikes bound what a relay sends, also where the relay is listed and run later."""
    lif = spikec.IntegrateAndFire(threshold=2.0)
    for first in (True, False):
        pair = [
            Population("n", (1,), lif, {"v": Format(FixedPoint(16))}),
            Population("r", (1,), spikec.Relay()),
        ]
        edges = (
            Projection("x", "n", dense([[1]])),
            Projection("r", "n", dense([[1]]), delay=1),
            Projection("n", "r", dense([[3]]), delay=1),
        )
        listed = pair if first else pair[::-1]
        nodes: tuple[Node, ...] = (Input("x", (1,), Bool()), *listed, Output("y", "n"))
        assert interval(spikec.Graph("g", nodes, edges), "n") == Exact(0, 4)


def test_values_round_a_cycle_have_no_bound() -> None:
    """The message names the projection that closes it."""
    graph = chain("ab", {"xa": 0, "ab": 0, "ba": 1})
    assert failure(graph) == (
        "a: b -> a: 'b' sends values without a static bound round a cycle. "
        "Limit max_spikes, or put a neuron with a state into the cycle. [SPK0508]"
    )


def test_floating_point_and_integers_do_not_meet() -> None:
    """At one port all weights are of one kind."""
    floats = Dense(Tensor.floats([[1.0]]))
    graph = into_relay(1, (Input("x", (1,)), floats), (Input("y", (1,), Bool()), dense([[1]])))
    assert failure(graph) == (
        "p: x -> p: floating-point weights meet integer ones at one port. "
        "Quantize all projections. [SPK0507]"
    )


# ---------------------------------------------------------------- what populations send


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Loud(Neuron):
    """A model that sends something else than it says: twice its state, a flag, or other units."""

    kind: ClassVar[str] = "loud"
    v_init: Tensor = parameter("membrane", 0.0)
    sent: Emission = "values"
    factor: int = 2

    @property
    def emits(self) -> Emission:
        return self.sent

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        v = q.v(s.v + i.input)
        out = {0: gt(v, 0), 1: shift(v, 1), 2: v * 2}
        return Step(out[self.factor], v=v)


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (Loud(), "loud sends [-256, 254].0, not [-128, 127].0"),
        (Loud(sent="spikes"), "loud sends [-256, 254].0, not bool"),
        (Loud(factor=1), "loud sends [-128, 127].-1, not [-128, 127].0"),
        (Loud(sent="values", factor=0), "loud sends bool, not [-128, 127].0"),
    ],
)
def test_a_model_sends_what_it_declares(model: Loud, text: str) -> None:
    """Otherwise every sum behind it would have a wrong type, in all engines alike."""
    x = Input("x", (1,), Bool())
    nodes = (x, Population("p", (1,), model, {"v": Format(FixedPoint(8))}), Output("y", "p"))
    graph = spikec.Graph("g", nodes, (Projection("x", "p", dense([[1]])),))
    line = f"p: {text}. Correct the model's output, or what it emits. [SPK0530]"
    assert failure(graph) == line


def test_what_every_kind_sends() -> None:
    """Spikes are Bool, counts reach max_spikes, values have the format of the membrane."""
    form = {"v": Format(FixedPoint(9, 3))}
    models = {
        "s": spikec.LIF(decay=0.5),
        "c": spikec.LIF(decay=0.5, max_spikes=5),
        "u": spikec.LIF(decay=0.5, max_spikes=0),
        "v": spikec.LeakyIntegrator(decay=0.5),
    }
    nodes: list[Node] = [Input("x", (1,), Bool())]
    nodes += [Population(n, (1,), m, form) for n, m in models.items()]
    edges = tuple(Projection("x", n, dense([[1]])) for n in models)
    graph = spikec.Graph("g", (*nodes, Output("y", "s")), edges)
    sent = source_types(graph, lanes(graph))
    assert sent == {
        "x": Bool(),
        "s": Bool(),
        "c": Exact(0, 5),
        "u": Exact(0, 17),
        "v": Exact(-256, 255, 3),
    }
