"""Every invariant of a program, broken once: the error and its text."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import spikec
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Core, Input, Mapping, Output, Population, Projection, Slice
from spikec.compiler.synapses import Dense
from spikec.compiler.types import Bool, FixedPoint, Format, Tensor
from spikec.compiler.verify import verify

Graph = spikec.Graph


def weight(out: int = 2, size: int = 3, value: float = 1.0) -> Dense:
    return Dense(Tensor.floats(np.full((out, size), value)))


def graph(*nodes: Any, projections: tuple[Projection, ...] | None = None, **options: Any) -> Graph:
    """Return x (3) -> p (2) -> y, with nodes replaced by name, or added."""
    whole: dict[str, Any] = {
        "x": Input("x", (3,)),
        "p": Population("p", (2,), spikec.LIF(decay=0.5)),
        "y": Output("y", "p"),
    }
    whole |= {n.name: n for n in nodes}
    edges = (Projection("x", "p", weight()),) if projections is None else projections
    return Graph("g", tuple(whole.values()), edges, **options)


def edge(**options: Any) -> Graph:
    """Return the graph with its only projection changed."""
    usual: dict[str, Any] = {"source": "x", "target": "p", "synapse": weight()}
    return graph(projections=(Projection(**usual | options),))


def quantized(**options: Any) -> Graph:
    """Return the integer graph with its population, input or projection changed."""
    form = {"v": Format(FixedPoint(16, 4))}
    lif = spikec.LIF(decay=0.5, v_init=Tensor.integers([0, 3], FixedPoint(8, 4)))
    population = replace(Population("p", (2,), lif, form), **options.pop("population", {}))
    source = Input("x", (3,), options.pop("signal", Bool()))
    synapse = Dense(Tensor.integers(np.ones((2, 3)), FixedPoint(8)), options.pop("bias", None))
    synapse = replace(synapse, **options.pop("synapse", {}))
    assert not options
    return graph(source, population, projections=(Projection("x", "p", synapse),))


def lif(**options: Any) -> Population:
    usual: dict[str, Any] = {"decay": 0.5}
    return Population("p", (2,), spikec.LIF(**usual | options))


def failure(made: Graph, mapping: Mapping | None = None) -> str:
    with pytest.raises(SpikecError) as caught:
        verify(spikec.Program(made, mapping=mapping))
    return str(caught.value)


def test_the_graphs_below_are_valid_but_for_one_change() -> None:
    """Each test breaks one rule of a program that holds them all."""
    cores = (Core(0, 0, 0, (Slice("p", 0, 2),)), Core(0, 1, 0, (Slice("x", 0, 3),)))
    verify(spikec.Program(graph(), mapping=Mapping.of(cores)))
    verify(spikec.Program(graph(), mapping=Mapping.of(cores[:1])))
    verify(spikec.Program(edge()))
    verify(spikec.Program(quantized()))
    assert spikec.Program(quantized()).stage == "integer"
    assert spikec.Program(graph()).stage == "discrete"


NEVER = {"v": Format(FixedPoint(16, 4), "floor", "never")}
BROKEN: list[tuple[Callable[[], Graph], str]] = [
    (
        lambda: graph(Output("y z", "p")),
        "node: name 'y z' is not 1 to 128 of A-Z a-z 0-9 _ . -. Rename it. [SPK0501]",
    ),
    (
        lambda: graph(Input("a\nb" * 70, (1,))),
        f"node: name {('a' + chr(10) + 'b') * 20!r} is not 1 to 128 of A-Z a-z 0-9 _ . -. "
        "Rename it. [SPK0501]",
    ),
    (
        lambda: graph(Population("a", (1, 2), spikec.LIF(decay=np.ones(3)))),
        "a.decay: shape (3,) does not fit the population's (1, 2). "
        "Give a scalar or one number per neuron. [SPK0502]",
    ),
    (
        lambda: graph(dt=0.0),
        "dt: 0.0 s is not a positive step. Give --dt in seconds. [SPK0510]",
    ),
    (
        lambda: graph(dt=float("nan")),
        "dt: nan s is not a positive step. Give --dt in seconds. [SPK0510]",
    ),
    (
        lambda: graph(Input("x", (3, 0))),
        "x: shape (3, 0) is empty. Give sizes of at least 1. [SPK0511]",
    ),
    (
        lambda: graph(Population("q", (), spikec.Relay())),
        "q: shape () is empty. Give sizes of at least 1. [SPK0511]",
    ),
    (
        lambda: Graph("g", (*graph().nodes, Input("p", (1,))), graph().projections),
        "p: two nodes have this name. Rename one. [SPK0512]",
    ),
    (
        lambda: Graph("g", (*graph().nodes, Output("y", "p")), graph().projections),
        "y: two nodes have this name. Rename one. [SPK0512]",
    ),
    (
        lambda: graph(Output("y", "x")),
        "y: its source 'x' is not a population. Use one of p. [SPK0513]",
    ),
    (
        lambda: Graph("", graph().nodes[:2], graph().projections),
        "graph: there is no output. Add an Output. [SPK0514]",
    ),
    (
        lambda: Graph("g", graph().nodes[1:], ()),
        "g: there is no input. Add an Input. [SPK0528]",
    ),
    (
        lambda: graph(replace(lif(), start=-1)),
        "p: start -1 is negative. Use 0 or more. [SPK0515]",
    ),
    (
        lambda: graph(lif(threshold=[1.0, np.inf])),
        "p.threshold: element [1] is inf, not a finite number. "
        "Train again or repair the model. [SPK0516]",
    ),
    (
        lambda: edge(synapse=weight(value=np.nan)),
        "x -> p weight: element [0, 0] is nan, not a finite number. "
        "Train again or repair the model. [SPK0516]",
    ),
    (
        lambda: edge(synapse=Dense(weight().weight, Tensor.floats([0.0, -np.inf]))),
        "x -> p bias: element [1] is -inf, not a finite number. "
        "Train again or repair the model. [SPK0516]",
    ),
    (
        lambda: edge(source="q"),
        "q -> p: 'q' is not a node. Use one of x, p. [SPK0517]",
    ),
    (
        lambda: edge(target="y"),
        "x -> y: 'y' is not a node. Use one of x, p. [SPK0517]",
    ),
    (
        lambda: edge(target="x"),
        "x -> x: 'x' is an input. Project onto a population. [SPK0518]",
    ),
    (
        lambda: edge(port="basal"),
        "x -> p.basal: there is no port 'basal'. Use one of input. [SPK0519]",
    ),
    (
        lambda: edge(synapse=weight(2, 4)),
        "x -> p: dense maps 4 to 2 but 'x' has 3 and 'p' has 2. "
        "Correct the weight's shape. [SPK0520]",
    ),
    (
        lambda: edge(delay=-1),
        "x -> p: delay -1 is negative. Use 0 or more. [SPK0521]",
    ),
    (
        lambda: edge(storage="shared"),
        "x -> p: storage 'shared' is unknown. Use dense, sparse, conv, procedural. [SPK0522]",
    ),
    (
        lambda: quantized(population={"neuron": spikec.LIF(decay=[0.5, 0.25])}),
        "p.decay: is still floating point in an integer program. Quantize it. [SPK0523]",
    ),
    (
        lambda: quantized(bias=Tensor.floats([0.0, 1.0])),
        "x -> p bias: is still floating point in an integer program. Quantize it. [SPK0523]",
    ),
    (
        lambda: quantized(population={"formats": {}}),
        "p.v: is still floating point in an integer program. Quantize it. [SPK0523]",
    ),
    (
        lambda: quantized(population={"neuron": spikec.LIF(decay=0.5, v_init=0.5)}),
        "p.v_init: initial values do not fit the state's format s16.4. "
        "Store them in that format. [SPK0524]",
    ),
    (
        lambda: quantized(
            population={
                "formats": {"v": Format(FixedPoint(16))},
                "neuron": spikec.LIF(decay=0.5, v_init=3.0),
            }
        ),
        "p.v_init: initial values do not fit the state's format s16.0. "
        "Store them in that format. [SPK0524]",
    ),
    (
        lambda: quantized(population={"formats": {"v": Format(FixedPoint(2, 4))}}),
        "p.v_init: initial values do not fit the state's format s2.4. "
        "Store them in that format. [SPK0524]",
    ),
    (
        lambda: quantized(population={"formats": {"v": Format(FixedPoint(16, 5))}}),
        "p.v_init: initial values do not fit the state's format s16.5. "
        "Store them in that format. [SPK0524]",
    ),
    (
        lambda: graph(replace(lif(), scale=0.0)),
        "p: scale 0.0 is not positive. Correct the scale. [SPK0527]",
    ),
    (
        lambda: graph(Input("x", (3,), scale=float("nan"))),
        "x: scale nan is not positive. Correct the scale. [SPK0527]",
    ),
    (
        lambda: quantized(synapse={"weight": Tensor.floats(np.ones((2, 3)))}),
        "p: is fixed point in a floating-point program. Quantize the rest. [SPK0529]",
    ),
    (
        lambda: graph(Input("x", (3,), FixedPoint(8))),
        "x: is fixed point in a floating-point program. Quantize the rest. [SPK0529]",
    ),
    (
        lambda: edge(synapse=Dense(weight().weight, Tensor.integers([1, 2], FixedPoint(8)))),
        "x -> p bias: is fixed point in a floating-point program. Quantize the rest. [SPK0529]",
    ),
    (
        lambda: graph(Input("a", (2**16, 2**15))),
        "a: up to here the network has 2147483653 neurons, channels and ends of projections, more "
        "than 33554432. Split the model. [SPK0531]",
    ),
    (
        lambda: quantized(population={"formats": NEVER, "neuron": spikec.LIF(decay=1.0)}),
        "p: cast: the interval [-32768, 32815] does not fit s16.4. Use 17 bits, or saturate. "
        "[SPK0205]",
    ),
]


@pytest.mark.parametrize(("make", "line"), BROKEN)
def test_a_broken_rule(make: Callable[[], Graph], line: str) -> None:
    """One line: where, what, the rule, and what to do."""
    try:
        made = make()
    except SpikecError as error:
        assert str(error) == line  # noqa: PT017  # refused by the constructor already
    else:
        assert failure(made) == line.replace("\n", "\\n")


def ring(*delays: int) -> Graph:
    """Return fc1 -> lif1 -> fc2 -> fc1 with these delays, fed by x."""
    names = ("fc1", "lif1", "fc2")
    nodes = [Population(n, (1,), spikec.LIF(decay=0.5)) for n in names]
    edges = [Projection("x", "fc1", weight(1, 3))]
    for k, delay in enumerate(delays):
        edges.append(Projection(names[k], names[(k + 1) % 3], weight(1, 1), delay=delay))
    return graph(*nodes, Output("y", "fc1"), projections=(*edges, Projection("x", "p", weight())))


def test_a_cycle_without_delay_is_printed_as_a_path() -> None:
    """The projection that closes it is named first."""
    assert failure(ring(0, 0, 0)) == (
        "fc2 -> fc1: cycle without delay: fc1 -> lif1 -> fc2 -> fc1. "
        "Give one projection a delay of at least 1. [SPK0505]"
    )
    for delays in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        verify(spikec.Program(ring(*delays)))


def test_a_self_loop_needs_a_delay() -> None:
    """A population is a cycle of one."""
    loop = Projection("p", "p", weight(2, 2))
    assert failure(graph(projections=(*graph().projections, loop))) == (
        "p -> p: cycle without delay: p -> p. Give one projection a delay of at least 1. [SPK0505]"
    )
    verify(spikec.Program(graph(projections=(*graph().projections, replace(loop, delay=1)))))


def _verify_mapping(held: list[tuple[Slice, ...]]) -> None:
    mapping = Mapping.of(Core(k, 2, 3, slices) for k, slices in enumerate(held))
    verify(spikec.Program(graph(), mapping=mapping))


@pytest.mark.parametrize(
    ("held", "line"),
    [
        (
            [(Slice("p", 0, 3),)],
            "p: the mapping seats 3 of its 2 neurons. Correct the mapping. [SPK0534]",
        ),
        (
            [(Slice("q", 0, 1),)],
            "mapping: it seats 'q', which is not there. Correct the mapping. [SPK0533]",
        ),
        (
            [(Slice("p", 1, 1),)],
            "core (0, 2) 3: it holds p[1:1], which is not there. Correct the mapping. [SPK0525]",
        ),
        (
            [(Slice("p", 0, 1),)],
            "p: the mapping seats 1 of its 2 neurons. Correct the mapping. [SPK0534]",
        ),
        ([(Slice("x", 0, 3),)], "p: neuron 0 sits in 0 cores. Put every neuron"),
        (
            [(Slice("p", 1, 2),)],
            "p: neuron 0 sits in 0 cores. Put every neuron into exactly one. [SPK0526]",
        ),
        (
            [(Slice("p", 0, 2),), (Slice("p", 1, 2),)],
            "p: neuron 1 sits in 2 cores. Put every neuron into exactly one. [SPK0526]",
        ),
        (
            [(Slice("p", 0, 2), Slice("x", 1, 3))],
            "x: neuron 0 sits in 0 cores. Put every neuron into exactly one. [SPK0526]",
        ),
    ],
)
def test_a_broken_mapping(held: list[tuple[Slice, ...]], line: str) -> None:
    """Every neuron sits in exactly one core; inputs in one, or all in none."""
    with pytest.raises(SpikecError) as error:
        _verify_mapping(held)
    assert str(error.value).startswith(line)


@pytest.mark.parametrize(
    ("places", "problem"),
    [
        ([[0, 0, 0, 0], [0, 0, 0, 0]], "two cores are at chip, column, row, number 0, 0, 0, 0"),
        ([[0, -1, 0, 0]], "a place is not a chip, a column, a row and a number, each from 0"),
        ([[0, 0, 0]], "a place is not a chip, a column, a row and a number, each from 0"),
    ],
)
def test_places_that_are_none(places: list[list[int]], problem: str) -> None:
    """A core has a place of its own."""
    mapping = Mapping(np.array(places), {"p": np.zeros(2)})
    assert failure(graph(), mapping) == f"mapping: {problem}. Correct the mapping. [SPK0533]"


def test_what_is_not_connected_is_no_error() -> None:
    """Such a network is in floating point, and runs."""
    made = graph(Input("x", (3,), Bool()), projections=())
    program = spikec.compile(made, pipeline="")
    assert program.stage == "discrete"
    for backend in ("reference", "cpu"):
        assert not spikec.simulate(program, np.ones((1, 2, 3)), (), backend).output.any()


def test_lookups_by_name() -> None:
    """A population that is not there, an output that is not the only one, a model in seconds."""
    with pytest.raises(SpikecError) as caught:
        graph().population("z")
    line = "z: there is no population of that name. Use one of p. [SPK0504]"
    assert str(caught.value) == line
    continuous = Population("p", (2,), spikec.ContinuousLIF(tau=1.0))
    with pytest.raises(SpikecError) as caught:
        continuous.model()
    line = "p: continuous_lif is continuous. Run discretize first. [SPK0503]"
    assert str(caught.value) == line
    program = spikec.compile(graph(Output("z", "p")), pipeline="")
    with pytest.raises(SpikecError) as caught:
        _ = spikec.simulate(program, np.ones((1, 1, 3))).output
    line = "Trace.output: there are 2 outputs. Use Trace.outputs[name] with one of y, z. [SPK0506]"
    assert str(caught.value) == line
