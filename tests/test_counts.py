"""Event counts against nested Python loops, and what must hold of them for any network."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spikec
from networks import Style, graphs, spikes_for
from sizes import evidence, examples
from spikec.compiler.counting import RECORD, count, count_inputs, projection_names
from spikec.compiler.counts import Counts
from spikec.compiler.errors import SpikecError
from spikec.compiler.fan_out import fan_out
from spikec.compiler.ir import Mapping as Placement
from spikec.compiler.synapses import (
    AllButSelf,
    Conv2d,
    Dense,
    FixedProbability,
    OneToOne,
    Pool2d,
    Sparse,
    Synapse,
    replace_data,
)
from spikec.compiler.types import Array

TRIED: Counter[str] = Counter()
Entry = tuple[int, int, bool]


@pytest.fixture(autouse=True, scope="module")
def keep_counts() -> Iterator[None]:
    """Record how many networks each property saw."""
    yield
    evidence("counts", **TRIED)


# ---------------------------------------------------------------- the definition, in plain loops


def entries(synapse: Synapse) -> list[Entry]:
    """Return source, target and whether the weight is not zero, of every synapse of a kind."""
    w = synapse.weight.data
    match synapse:
        case Dense():
            return [
                (j, k, bool(w[k, j]))
                for k, j in itertools.product(range(synapse.out_size), range(synapse.in_size))
            ]
        case OneToOne():
            return [(k, k, bool(w if w.ndim == 0 else w[k])) for k in range(synapse.size)]
        case Sparse():
            return [
                (int(synapse.indices[e]), k, bool(w[e]))
                for k in range(synapse.out_size)
                for e in range(synapse.indptr[k], synapse.indptr[k + 1])
            ]
        case AllButSelf():
            pairs = itertools.product(range(synapse.size), range(synapse.size))
            return [(j, k, bool(w if w.ndim == 0 else w[k])) for j, k in pairs if j != k]
        case Conv2d() | Pool2d():
            return taps(synapse)
        case FixedProbability():
            return entries(synapse.stored())
        case _:
            raise AssertionError(synapse.kind)


def taps(s: Any) -> list[Entry]:
    pool = isinstance(s, Pool2d)
    channels, n0, n1 = s.in_shape
    out, m0, m1 = s.out_shape
    k0, k1 = s.kernel if pool else s.weight.shape[2:]
    groups = channels if pool else s.groups
    dilation = (1, 1) if pool else s.dilation
    made: list[Entry] = []
    for o, y, x in itertools.product(range(out), range(m0), range(m1)):
        for c, a, b in itertools.product(range(channels // groups), range(k0), range(k1)):
            row = y * s.stride[0] + a * dilation[0] - s.padding[0]
            column = x * s.stride[1] + b * dilation[1] - s.padding[1]
            if 0 <= row < n0 and 0 <= column < n1:
                source = ((o // (out // groups)) * (channels // groups) + c) * n0 * n1
                weight = s.weight.data if pool else s.weight.data[o, c, a, b]
                made.append((source + row * n1 + column, (o * m0 + y) * m1 + x, bool(weight)))
    return made


def stored(projection: spikec.Projection) -> list[Entry]:
    """Return the synapses as the storage holds them: dense storage holds every pair."""
    held = entries(projection.synapse)
    if projection.storage != "dense":
        return held
    nonzero = {(j, k) for j, k, some in held if some}
    sizes = range(projection.synapse.in_size), range(projection.synapse.out_size)
    return [(j, k, (j, k) in nonzero) for j, k in itertools.product(*sizes)]


class Loops:
    """Counts one trace, a neuron, a step and a synapse at a time."""

    def __init__(self, program: spikec.Program, trace: spikec.Trace) -> None:
        self.graph, self.mapping = program.graph, program.mapping
        sent = dict(trace.inputs) | dict(trace.spikes)
        self.sent = {n: a.reshape(*a.shape[:2], -1) for n, a in sent.items()}
        self.state = trace.state
        self.samples, self.steps = next(iter(self.sent.values())).shape[:2]
        self.synapses = [stored(p) for p in self.graph.projections]

    def events(self, name: str) -> list[tuple[int, int, int]]:
        """Return (sample, step, neuron) of everything a source sent."""
        return [(int(a), int(b), int(c)) for a, b, c in np.argwhere(self.sent[name] != 0)]

    def synops(self, k: int) -> tuple[int, int]:
        projection, total, effective = self.graph.projections[k], 0, 0
        for _, _, neuron in self.events(projection.source):
            mine = [some for j, _, some in self.synapses[k] if j == neuron]
            total, effective = total + len(mine), effective + sum(mine)
        return total, effective

    def updates(self, population: spikec.Population) -> int:
        name, found = population.name, set[tuple[int, int, int]](self.events(population.name))
        for projection, synapses in zip(self.graph.projections, self.synapses, strict=True):
            if projection.target == name:
                delays = np.zeros(len(synapses), int)
                if projection.delays is not None:
                    synapses = entries(projection.synapse)
                    delays = projection.delays.reshape(len(synapses))
                for sample, step, neuron in self.events(projection.source):
                    for (j, k, _), more in zip(synapses, delays, strict=True):
                        at = step + projection.delay + int(more)
                        if j == neuron and at < self.steps:
                            found.add((sample, at, k))
        for state in population.model().states:
            held = self.state[name][state].reshape(self.samples, self.steps, -1)
            first = np.broadcast_to(population.model().initial(state).data, population.size)
            for sample, step, k in np.ndindex(*held.shape):
                before = first[k] if step == 0 else held[sample, step - 1, k]
                if before != 0:
                    found.add((sample, step, k))
        return len(found)

    def messages(self, name: str) -> tuple[int, int, int] | None:
        if self.mapping is None:
            return None
        home = {
            (part.node, k): core
            for core in self.mapping.cores
            for part in core.slices
            for k in range(part.start, part.stop)
        }
        total = [0, 0, 0]
        for _, _, neuron in self.events(name):
            here = home.get((name, neuron))
            pairs = zip(self.graph.projections, self.synapses, strict=True)
            reached = {
                home[p.target, k]
                for p, synapses in pairs
                if p.source == name
                for j, k, _ in synapses
                if j == neuron
            }
            for there in reached if here else ():
                moved = (1, abs(there.x - here.x), abs(there.y - here.y))  # type: ignore[union-attr]
                total = [a + b for a, b in zip(total, moved, strict=True)]
        return total[0], total[1], total[2]


def check(program: spikec.Program, trace: spikec.Trace, found: Counts) -> None:
    loops = Loops(program, trace)
    for name, source in found.sources.items():
        moved = loops.messages(name) or (None, None, None)
        assert (source.messages, source.hops_x, source.hops_y) == moved
        assert source.events == len(loops.events(name))
    for p in program.graph.populations:
        counted = found.populations[p.name]
        assert counted.accesses == p.size * loops.samples * loops.steps
        assert counted.updates == loops.updates(p), p.name
        assert counted.spikes == len(loops.events(p.name))
    for k, name in enumerate(projection_names(program)):
        q = found.projections[name]
        assert (q.total, q.effective) == loops.synops(k), name
        assert q.synapses == len(loops.synapses[k])
        assert q.effective <= q.total
        assert q.nonzero <= q.synapses


# ---------------------------------------------------------------- random programs


def varied(graph: spikec.Graph, seed: int) -> spikec.Graph:
    """Return the graph with some weights zero and some storages other than natural."""
    random = np.random.default_rng(seed)
    projections: list[spikec.Projection] = []
    for p in graph.projections:
        kept = random.random(p.synapse.weight.data.shape) < 0.7
        synapse = replace_data(p.synapse, p.synapse.weight.data * kept)
        storage = str(random.choice([p.storage, "dense", "sparse", "conv"]))
        projections.append(replace(p, synapse=synapse, storage=storage))
    return replace(graph, projections=tuple(projections))


def placed(graph: spikec.Graph, seed: int) -> Placement | None:
    """Return no mapping, or one that scatters neurons, with some inputs left out."""
    random = np.random.default_rng(seed)
    if random.random() < 0.3:
        return None
    held: list[list[spikec.Slice]] = [[] for _ in range(random.integers(1, 6))]
    inputs = [i for i in graph.inputs if random.random() < 0.7]
    nodes: list[spikec.Input | spikec.Population] = [*inputs, *graph.populations]
    for node in nodes:
        for k in range(node.size):
            held[random.integers(len(held))].append(spikec.Slice(node.name, k, k + 1))
    places = random.integers(0, 4, (len(held), 2))
    return Placement.of(
        tuple(
            spikec.Core(int(x), int(y), k, tuple(slices))
            for k, ((x, y), slices) in enumerate(zip(places, held, strict=True))
        )
    )


@given(
    graph=graphs(Style(on_grid=False, value_sources=True)),
    seed=st.integers(0, 2**16),
    integer=st.booleans(),
)
@examples(12, 400)
def test_counts_are_those_of_plain_loops(graph: spikec.Graph, seed: int, integer: bool) -> None:
    """Events, accesses, updates, synops, messages and hops, in both engines and number systems."""
    graph = varied(graph, seed)
    data = spikes_for(graph, 2, 8, seed, probability=(0.02, 0.1, 0.4)[seed % 3])
    pipeline = "discretize,quantize" if integer else "discretize"
    program = spikec.compile(
        graph, pipeline=pipeline, mapping=placed(graph, seed), calibration=data
    )
    for backend in ("reference", "cpu"):
        trace = spikec.simulate(program, data, RECORD, backend)
        check(program, trace, count(program, trace))
    TRIED["equal to plain loops"] += 1


@given(graph=graphs(Style(value_sources=True)), seed=st.integers(0, 2**16))
@examples(10, 300)
def test_counts_add_over_samples(graph: spikec.Graph, seed: int) -> None:
    """The counts of a batch are the sum of those of its samples, however it is cut."""
    graph = varied(graph, seed)
    program = spikec.compile(graph, pipeline="discretize", mapping=placed(graph, seed))
    data = spikes_for(graph, 3, 7, seed)
    whole = count(program, spikec.simulate(program, data, RECORD))
    parts = [
        count(program, spikec.simulate(program, {n: a[k : k + 1] for n, a in data.items()}, RECORD))
        for k in range(3)
    ]
    assert parts[0] + parts[1] + parts[2] == whole
    assert count_inputs(program, data) == whole
    TRIED["additive"] += 1


@given(graph=graphs(Style(cycles=False)), seed=st.integers(0, 2**16))
@examples(8, 200)
def test_retiming_changes_no_count(graph: spikec.Graph, seed: int) -> None:
    """A population that starts later is counted over its own steps."""
    data = spikes_for(graph, 2, 9, seed)
    plain, shifted = (
        spikec.compile(graph, pipeline=p) for p in ("discretize", "discretize,retime")
    )
    first, second = (count(p, spikec.simulate(p, data, RECORD)) for p in (plain, shifted))
    assert asdict(first) == asdict(second)
    TRIED["retimed"] += 1


def test_chunks_of_samples_give_the_counts_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few samples fit into memory at once, the counts are the same."""
    program = small()
    data = spikes_for(program.graph, 5, 6, 0)
    whole = count_inputs(program, data)
    seen: list[int] = []
    monkeypatch.setattr("spikec.compiler.agreement.CHUNK_NUMBERS", 1)
    again = count_inputs(program, data, progress=lambda what, done, total: seen.append(done))
    assert again == whole
    assert seen == [1, 2, 3, 4, 5]


# ---------------------------------------------------------------- single facts


def small(delay: int = 0, **changed: Any) -> spikec.Program:
    synapse = spikec.Dense(spikec.Tensor.floats([[0.5, 0.0], [0.25, 1.0]]))
    population = spikec.Population("p", (2,), spikec.LIF(decay=0.5, threshold=0.9), **changed)
    nodes = (spikec.Input("x", (2,)), population, spikec.Output("y", "p"))
    projection = spikec.Projection("x", "p", synapse, delay=delay)
    return spikec.compile(spikec.Graph("small", nodes, (projection,)), pipeline="discretize")


def run(program: spikec.Program, rows: list[list[float]]) -> Counts:
    return count(program, spikec.simulate(program, np.array([rows]), RECORD))


def test_an_event_counts_when_it_is_sent() -> None:
    """One that arrives after the last step is a synop, but updates nobody."""
    found = run(small(delay=3), [[1, 0], [0, 0]])
    assert found.projections["x -> p"].total == 2
    assert found.projections["x -> p"].effective == 2
    assert found.populations["p"].updates == 0


def test_a_zero_weight_updates_a_dense_target() -> None:
    """The event of a source arrives at every target that dense storage holds."""
    found = run(small(), [[0, 1]])
    assert found.projections["x -> p"].total == 2
    assert found.projections["x -> p"].effective == 1
    assert found.populations["p"].updates == 2


def test_a_state_counts_as_it_was_before_the_step() -> None:
    """Zero at first, then driven by the offset to 0.4, 0.6, 0.7; reset by the spike at 0.75."""
    lif = spikec.LIF(decay=0.5, threshold=0.72, reset="zero", offset=0.4)
    graph = small().graph
    driven = graph.with_nodes([replace(graph.population("p"), neuron=lif)])
    program = spikec.compile(driven, pipeline="discretize")
    updates = [run(program, [[0, 0]] * n).populations["p"].updates for n in range(1, 7)]
    # The spike of step 4 counts although it leaves zero; step 5 finds zero, and 6 does not.
    assert updates == [0, 2, 4, 6, 6, 8]


def test_without_a_mapping_messages_are_unknown() -> None:
    """Unknown is None, and stays so in sums."""
    found = run(small(), [[0, 1]])
    assert found.sources["x"].messages is None
    assert (found + found).sources["p"].hops_x is None


def test_projections_with_the_same_ends_are_told_apart() -> None:
    """The second gets a number."""
    graph = small().graph
    twice = replace(graph, projections=graph.projections * 2)
    found = run(spikec.compile(twice, pipeline="discretize"), [[0, 1]])
    assert list(found.projections) == ["x -> p", "x -> p #2"]


def test_a_trace_without_states_is_refused() -> None:
    program = small()
    trace = spikec.simulate(program, np.zeros((1, 1, 2)), ("spikes",))
    with pytest.raises(SpikecError) as caught:
        count(program, trace)
    assert str(caught.value) == (
        "p: the trace does not hold what it sent and its states. "
        "Simulate with record=('spikes', 'state'). [SPK1102]"
    )


def test_a_start_without_a_delay_is_refused() -> None:
    """What arrives at the end of the trace would not be in it."""
    with pytest.raises(SpikecError) as caught:
        run(small(start=2), [[0, 1]])
    assert str(caught.value) == (
        "x -> p: the target starts 2 steps later than the delay makes up for, so that what arrives "
        "is not in the trace. Let retime set the starts. [SPK1103]"
    )


def test_counts_of_two_programs_do_not_add() -> None:
    first, second = run(small(), [[0, 1]]), run(small(), [[0, 1]])
    with pytest.raises(SpikecError) as caught:
        _ = first + replace(second, network="other")
    assert str(caught.value) == (
        "counts: counts of two different programs are added. "
        "Add those of one program on several inputs. [SPK1101]"
    )


class Ring(Synapse):
    """A kind that counting does not know: neuron k to neuron k + 1, the weight of each its own."""

    kind = "ring"

    def __init__(self, weight: spikec.Tensor) -> None:
        self.weight, self.bias = weight, None

    @property
    def in_size(self) -> int:
        return self.weight.data.size

    @property
    def out_size(self) -> int:
        return self.weight.data.size

    def apply(self, x: Array) -> Array:
        return np.roll(x * self.weight.data, 1, axis=1)

    def with_numbers(self, weight: spikec.Tensor, bias: spikec.Tensor | None) -> Synapse:
        return Ring(weight)


def test_a_kind_it_does_not_know_is_counted_from_its_matrix() -> None:
    """Its stored synapses are those that a weight of one everywhere has."""
    ring = Ring(spikec.Tensor.floats([1.0, 0.0, 2.0]))
    fan = fan_out(spikec.Projection("x", "p", ring, storage="sparse"))
    assert fan.total.tolist() == [1, 1, 1]
    assert fan.effective.tolist() == [1, 0, 1]
    sent = np.array([[True, False, False], [False, True, True]])
    assert fan.arrivals(sent).tolist() == [[False, True, False], [True, False, True]]
