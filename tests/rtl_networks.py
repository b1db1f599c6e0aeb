"""Integer networks for the FPGA backend, and their RTL against the reference."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

import lanes
import spikec
from spikec.backends.fpga.build import texts
from spikec.backends.fpga.plan import plan
from spikec.backends.fpga.simulation.runner import CosimRunner
from spikec.compiler.compare import RECORD, Tally
from spikec.compiler.counting import count
from spikec.compiler.ir import Node
from spikec.compiler.signals import quiet
from spikec.compiler.simulator import Simulator, simulate
from spikec.compiler.types import Array, Bool, FixedPoint, Tensor
from spikec.compiler.verify import verify

PIPELINE = "discretize,fuse,quantize"
# All that a host may change at run time.
ASKED = ",engines{lanes=%d,thresholds=4,lesions=true,upload=true}"


def quantized(graph: spikec.Graph, data: Any, more: str = "") -> spikec.Program:
    """Return a network in integers."""
    return spikec.compile(graph, pipeline=PIPELINE + more, calibration=data)


def assert_exact(
    program: spikec.Program,
    data: Any,
    simulator: str,
    most_lanes: int | None = None,
    seed: int = 0,
    made: Mapping[str, str] | None = None,
    cuts: int = 0,
    trace: spikec.Trace | None = None,
) -> CosimRunner:
    """Compare every event, state, saturation and counter with the reference.

    The runner itself compares the output stream and the counters with what the lanes did. A trace
    of the reference is used where there is one.
    """
    planned = plan(program, most_lanes)
    runner = CosimRunner(planned, made or texts(planned), simulator, seed, cuts)
    wanted = trace or simulate(program, data, RECORD, "reference")
    ours = Simulator(program, simulator, quiet, runner).run(data, RECORD)
    tally = Tally(program.graph.order(), 0.0)
    tally.add(0, wanted, ours)
    assert tally.difference is None, str(tally.difference)
    assert ours.counts == wanted.counts
    assert_counted(program, runner, wanted)
    return runner


def assert_counted(program: spikec.Program, runner: CosimRunner, trace: spikec.Trace) -> None:
    """Compare events and synops with the counts that energies are made of, where they mean one.

    Those count in the step of sending, engines in the step of arrival; and words of a synapse kind
    whose entries are written twice are merged.
    """
    graph = program.graph
    if any(p.start for p in graph.populations):
        return
    assert runner.last is not None
    counted = count(program, trace)
    for k, population in enumerate(graph.order()):
        assert runner.last.counters[k]["events_out"] == counted.populations[population.name].spikes
    names = list(counted.projections)
    for k, population in enumerate(graph.order()):
        into = [j for j, p in enumerate(graph.projections) if p.target == population.name]
        if not any(graph.projections[j].longest for j in into):
            found = [counted.projections[names[j]] for j in into]
            assert runner.last.counters[k]["synops"] == sum(p.effective for p in found)
            assert runner.last.counters[k]["events_in"] == sum(p.events for p in found)


def every_kind(seed: int) -> spikec.Program:
    """Return a population of every neuron kind, fed with spikes at every port, all outputs."""
    random = np.random.default_rng(seed)
    inputs = 12
    populations: list[spikec.Population] = []
    projections: list[spikec.Projection] = []
    for at, (kind, model) in enumerate(lanes.kinds().items()):
        listed = lanes.choices(model)
        options = listed[(seed * 7 + at) % len(listed)]
        neuron = lanes.neuron(model, options, bool((seed + at) % 2), seed + at, 8)
        formats = lanes.formats(model, 16, seed + at)
        starts = {
            f"{s}_init": Tensor.integers(np.clip(value.data, form.lo, form.hi), form)
            for s in model.states
            if (value := neuron.parameters().get(f"{s}_init")) is not None
            for form in (formats[s].type,)
        }
        neuron = neuron.with_parameters(starts)
        made = spikec.Population(kind, (lanes.NEURONS,), neuron, formats)
        populations.append(made)
        for port in neuron.ports:
            low = 0 if kind == "conductance_lif" else -6000
            drawn = random.integers(low, 7000, (lanes.NEURONS, inputs))
            weight = Tensor.integers(drawn, FixedPoint(14, 8))
            bias = Tensor.integers(
                random.integers(max(low, -40), 41, lanes.NEURONS), FixedPoint(9, 8)
            )
            synapse = spikec.Dense(weight, bias if at % 2 else None)
            context = "U" if port == "apical" else ""
            projections.append(spikec.Projection("in", kind, synapse, port, context=context))
    nodes: tuple[Node, ...] = (
        spikec.Input("in", (inputs,), Bool()),
        *populations,
        *(spikec.Output(p.name, p.name) for p in populations),
    )
    program = spikec.Program(spikec.Graph("kinds", nodes, tuple(projections), 1e-3))
    verify(program)
    return program


def storm(size: int, delay: int) -> spikec.Program:
    """Return two populations of neurons that all fire in every step, round cycles."""
    lif = spikec.IntegrateAndFire(threshold=0.5, reset="zero")
    ones = spikec.Dense(Tensor.floats(np.ones((size, size))))
    nodes: tuple[Node, ...] = (
        spikec.Input("in", (size,), Bool()),
        spikec.Population("a", (size,), lif),
        spikec.Population("b", (size,), lif),
        spikec.Output("out", "b"),
    )
    projections = (
        spikec.Projection("in", "a", ones),
        spikec.Projection("a", "a", ones, delay=delay),
        spikec.Projection("b", "a", ones, delay=delay),
        spikec.Projection("a", "b", ones),
        spikec.Projection("a", "b", spikec.OneToOne(size, Tensor.floats(1.0)), delay=delay + 1),
    )
    graph = spikec.Graph("storm", nodes, projections, 1e-3)
    return quantized(graph, np.ones((1, 6, size)))


def images() -> spikec.Graph:
    """Return convolutions with strides, dilation and groups, a pool, and a dense way back."""
    random = np.random.default_rng(0)

    def weights(*shape: int) -> Tensor:
        return Tensor.floats(random.normal(size=shape))

    first = spikec.Conv2d((2, 7, 6), weights(6, 2, 3, 3), weights(6), (2, 2), (1, 1))
    second = spikec.Conv2d((6, 4, 3), weights(12, 1, 2, 2), None, (1, 1), (1, 1), (2, 2), 6)
    pool = spikec.Pool2d((12, 4, 3), (2, 2), Tensor.floats(0.25), (1, 1))
    third = spikec.Conv2d((12, 3, 2), weights(9, 4, 3, 1), weights(9), (1, 2), (2, 0), (1, 1), 3)
    lif = spikec.LIF(decay=0.5, threshold=np.linspace(0.5, 1.5, 72))
    counting = spikec.LIF(decay=0.5, threshold=0.6, max_spikes=3, reset="subtract")
    nodes: tuple[Node, ...] = (
        spikec.Input("in", (2, 7, 6), Bool()),
        spikec.Population("first", (6, 4, 3), lif),
        spikec.Population("second", (12, 4, 3), counting),
        spikec.Population("pool", (12, 3, 2), spikec.IntegrateAndFire(threshold=0.3)),
        spikec.Population("third", third.out_shape, spikec.LIF(decay=0.9)),
        spikec.Population("dense", (5,), spikec.LIF(decay=0.9)),
        spikec.Output("out", "dense"),
        spikec.Output("image", "first"),
    )
    size = int(np.prod(third.out_shape))
    projections = (
        spikec.Projection("in", "first", first),
        spikec.Projection("first", "second", second, delay=1),
        spikec.Projection("second", "pool", pool),
        spikec.Projection("pool", "third", third),
        spikec.Projection("third", "dense", spikec.Dense(weights(5, size))),
        spikec.Projection("dense", "first", spikec.Dense(weights(72, 5)), delay=1),
    )
    return spikec.Graph("images", nodes, projections, 1e-3)


def mixed() -> spikec.Graph:
    """Return a window, sparse words, a dense way back, counts, and values; all are outputs."""
    random = np.random.default_rng(5)
    kernel = Tensor.floats(random.normal(size=(4, 2, 3, 3)))
    conv = spikec.Conv2d((2, 6, 5), kernel, None, (2, 1), (1, 1))
    count = int(np.prod(conv.out_shape))
    few = random.normal(size=(20, count)) * (random.random((20, count)) < 0.1)
    counting = spikec.LIF(decay=0.5, threshold=0.7, max_spikes=0, reset="subtract")
    bias = Tensor.floats(random.normal(size=20) * 0.1)
    nodes: tuple[Node, ...] = (
        spikec.Input("in", (2, 6, 5), Bool()),
        spikec.Population("image", conv.out_shape, spikec.LIF(decay=0.75, threshold=1.5)),
        spikec.Population("middle", (20,), counting),
        spikec.Population("last", (7,), spikec.LeakyIntegrator(decay=0.5)),
        *(spikec.Output(name, name) for name in ("image", "middle", "last")),
    )
    projections = (
        spikec.Projection("in", "image", conv),
        spikec.Projection("image", "middle", spikec.Sparse.of(few)),
        spikec.Projection(
            "last",
            "middle",
            spikec.Dense(Tensor.floats(random.normal(size=(20, 7)) * 0.1), bias),
            delay=1,
        ),
        spikec.Projection(
            "middle", "last", spikec.Dense(Tensor.floats(random.normal(size=(7, 20))))
        ),
    )
    return spikec.Graph("mixed", nodes, projections, 1e-3)


def overtaken(size: int) -> spikec.Program:
    """Return x -> y -> c, and x -> c a step later: c has read what it may of x when x goes on."""
    lif = spikec.IntegrateAndFire(threshold=0.5, reset="zero")
    ones = spikec.Dense(Tensor.floats(np.ones((size, size))))
    nodes: tuple[Node, ...] = (
        spikec.Input("in", (size,), Bool()),
        *(spikec.Population(name, (size,), lif) for name in "xyc"),
        spikec.Output("out", "c"),
    )
    pairs = (("in", "x", 0), ("x", "y", 0), ("y", "c", 0), ("x", "c", 1))
    projections = tuple(spikec.Projection(a, b, ones, delay=d) for a, b, d in pairs)
    graph = spikec.Graph("overtaken", nodes, projections, 1e-3)
    return quantized(graph, np.ones((1, 6, size)))


def late(program: spikec.Program, starts: Mapping[str, int]) -> spikec.Program:
    """Return the program with populations that start later."""
    changed = [replace(p, start=starts.get(p.name, 0)) for p in program.graph.populations]
    return replace(program, graph=program.graph.with_nodes(changed))


def random_spikes(graph: spikec.Graph, samples: int, steps: int, seed: int) -> dict[str, Array]:
    """Return spikes for every input."""
    random = np.random.default_rng(seed)
    return {i.name: random.random((samples, steps, *i.shape)) < 0.3 for i in graph.inputs}


def busy() -> spikec.Program:
    """Return two populations on each other: dense and sparse, delays, thresholds of each neuron."""
    random = np.random.default_rng(3)

    def weights(*shape: int, scale: float = 0.6) -> Tensor:
        return Tensor.floats(random.normal(size=shape) * scale)

    sparse = random.normal(size=(7, 11)) * (random.random((7, 11)) < 0.3)
    threshold = np.linspace(0.7, 1.3, 11)
    nodes: tuple[Node, ...] = (
        spikec.Input("in", (9,), Bool()),
        spikec.Population("a", (11,), spikec.LIF(decay=0.8, threshold=threshold, reset="subtract")),
        spikec.Population("b", (7,), spikec.CubaLIF(decay=0.9, synapse_decay=0.6)),
        spikec.Output("x", "a"),
        spikec.Output("y", "b"),
    )
    projections = (
        spikec.Projection("in", "a", spikec.Dense(weights(11, 9), weights(11, scale=0.1))),
        spikec.Projection("a", "a", spikec.Dense(weights(11, 11, scale=0.3)), delay=2),
        spikec.Projection("a", "b", spikec.Sparse.of(sparse)),
        spikec.Projection("b", "a", spikec.Dense(weights(11, 7)), delay=1),
        spikec.Projection("in", "b", spikec.Dense(weights(7, 9)), delay=3),
    )
    graph = spikec.Graph("busy", nodes, projections, 1e-3)
    return late(quantized(graph, random_spikes(graph, 2, 20, 0)), {"b": 2})
