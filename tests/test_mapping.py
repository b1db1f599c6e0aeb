"""Programs on cores: every neuron in one, every limit kept; networks on which users got stuck."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sanafe
import spikec
from loihi_networks import loihi_graphs
from networks import spikes_for
from sizes import evidence, examples, size
from spikec.backends.loihi.image import compartments
from spikec.compiler.cli import run
from spikec.compiler.counting import RECORD, count
from spikec.compiler.energy import profile
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Core, Mapping, Slice
from spikec.compiler.loihi_grid import decay_steps
from spikec.compiler.mapping.demand import Demand, network, seated
from spikec.compiler.mapping.hypergraph import Limits
from spikec.compiler.mapping.load import load
from spikec.compiler.mapping.mesh import Mesh
from spikec.compiler.mapping.partition import partition
from spikec.compiler.mapping.placement import place
from spikec.compiler.mapping.tiles import by_blocks
from spikec.compiler.mapping.usage import exceeded, usage
from spikec.compiler.mapping.work import Work
from spikec.compiler.passes.partition import demand_of, measured_rates
from spikec.compiler.pipeline import Context
from spikec.compiler.prices import load_prices
from spikec.compiler.simulator import Simulator, find_backend
from spikec.compiler.types import Bool

LIF = "discretize,fuse,quantize_loihi{generation=1},retime,"
TRIED = {"cores": 0, "networks": 0}


def reservoir(sources: int, neurons: int, chance: float, seed: int = 0) -> spikec.Graph:
    """Return a liquid: sources onto neurons by chance, and neurons among themselves."""
    random = np.random.default_rng(seed)

    def sparse(inputs: int) -> spikec.Sparse:
        kept = random.random((neurons, inputs)) < chance
        kept[np.arange(inputs) % neurons, np.arange(inputs)] = True
        return spikec.Sparse.of(kept * random.uniform(0.05, 0.4, kept.shape))

    nodes = (
        spikec.Input("x", (sources,), Bool()),
        spikec.Population("liquid", (neurons,), spikec.LIF(decay=0.9, threshold=1.0)),
        spikec.Output("y", "liquid"),
    )
    projections = (
        spikec.Projection("x", "liquid", sparse(sources)),
        spikec.Projection("liquid", "liquid", sparse(neurons), delay=1),
    )
    return spikec.Graph("reservoir", nodes, projections)


def on_one_core(graph: spikec.Graph) -> Mapping:
    """Return the mapping that puts everything into one core."""
    slices = tuple(Slice(p.name, 0, p.size) for p in graph.populations)
    return Mapping.of([Core(0, 0, 0, slices)])


# ---------------------------------------------------------------- within every limit


@given(
    graph=loihi_graphs(), seed=st.integers(0, 2**16), target=st.sampled_from(["loihi1", "loihi2"])
)
@examples(5, 300)
def test_generated_networks_are_covered_once_within_every_limit(
    graph: spikec.Graph, seed: int, target: str
) -> None:
    """Small cores, so that networks need several; two counts of what they hold agree."""
    random = np.random.default_rng(seed)
    generation = target[-1]
    fan_in = max((_fan_in(graph, p.name) for p in graph.populations), default=1)
    options = {
        "compartments": int(random.integers(1, 7)),
        "in_axons": int(fan_in + 1 + random.integers(0, 20)),
        "synapse_bits": int(fan_in * 64 * 8 + random.integers(0, 20_000)),
        "seed": seed % 7,
    }
    text = ",".join(f"{k}={v}" for k, v in options.items())
    pipeline = f"discretize,fuse,quantize_loihi{{generation={generation}}},retime,"
    program = spikec.compile(graph, target, pipeline=f"{pipeline}partition{{{text}}},place")
    mapping = program.mapping
    assert mapping is not None
    assert not find_backend("loihi").supports(program)
    assert {n: a.size for n, a in mapping.seats.items()} == {
        p.name: p.size for p in program.graph.populations
    }
    places = [tuple(row) for row in mapping.places.tolist()]
    assert len(set(places)) == len(places)
    assert np.array_equal(
        np.unique(np.concatenate(list(mapping.seats.values()))), np.arange(mapping.size)
    )
    demand = demand_of(program)
    held = load(program, demand, None)
    h = network(program, demand, None)
    seat = np.concatenate(list(mapping.seats.values()))
    other = usage(h, seat, mapping.size, demand.limits)
    assert not exceeded(other, demand.limits)
    for name in ("in_axons", "out_axons", "synapse_bits"):
        assert held.used[name].tolist() == getattr(other, name).tolist(), name
    assert held.used["compartments"].tolist() == other.neurons.tolist()
    assert held.between_cores() == pytest.approx(other.traffic)
    TRIED["networks"] += 1
    TRIED["cores"] += mapping.size


def _fan_in(graph: spikec.Graph, name: str) -> int:
    """Return the most sources of one neuron, biases driven by an always-on source included."""
    return 2 + sum(
        int(np.diff(p.synapse.plain().to_sparse().tocsr().indptr).max(initial=0))
        for p in graph.into(name)
    )


def test_how_much_was_mapped() -> None:
    """Most generated networks need several cores."""
    assert TRIED["cores"] > 2 * TRIED["networks"] > 0
    evidence("mapping_generated", **TRIED)


def test_blocks_of_convolutions() -> None:
    """Without a list of synapses: the same limits, checked with one."""
    random = np.random.default_rng(5)
    weight = spikec.Tensor.floats(random.normal(0, 0.3, (8, 4, 3, 3)))
    conv = spikec.Conv2d((4, 24, 20), weight, padding=(1, 1))
    dense = spikec.Dense(spikec.Tensor.floats(random.normal(0, 0.1, (10, 3840))))
    nodes = (
        spikec.Input("x", (4, 24, 20), Bool()),
        spikec.Population("conv", (8, 24, 20), spikec.LIF(decay=0.9)),
        spikec.Population("out", (10,), spikec.LIF(decay=0.9)),
        spikec.Output("y", "out"),
    )
    edges = (spikec.Projection("x", "conv", conv), spikec.Projection("conv", "out", dense))
    graph = spikec.Graph("conv", nodes, edges)
    program = spikec.compile(graph, "loihi1", pipeline=LIF)
    demand = demand_of(program)
    seat = by_blocks(program, demand)
    h = network(program, demand, None)
    assert not exceeded(usage(h, seat, int(seat.max()) + 1, demand.limits), demand.limits)
    # A block of the image has fewer sources than as many neurons in order.
    blocks = usage(h, seat, int(seat.max()) + 1, demand.limits)
    order = np.concatenate([np.arange(3840) // 256, np.full(10, 15)]).astype(np.int32)
    assert blocks.traffic < usage(h, order, 16, demand.limits).traffic


# ---------------------------------------------------------------- where users were stuck


def test_a_reservoir_of_4200_axons() -> None:
    """nengo-loihi: "Input axons (4200) exceeded max (4096)". Here it takes the cores it needs."""
    graph = reservoir(4000, 200, 0.1)
    program = spikec.compile(graph, "loihi1")
    assert program.mapping is not None
    held = load(program, demand_of(program), None)
    assert not list(held.over())
    alone = replace(program, mapping=on_one_core(program.graph), reports={})
    found = find_backend("loihi").supports(alone)
    assert [str(f) for f in found] == [
        "core (0, 0) 0: 4200 input axons exceed 4096 (nengo-loihi block.py); they come from "
        "x -> liquid: 4000, liquid -> liquid: 200: split it by target, or prune synapses. "
        "[SPK1781]",
        f"core (0, 0) 0: {load(alone, demand_of(alone), None).used['synapse_bits'][0]} bits of "
        "synapses exceed 1048576 (nengo-loihi block.py: 16384 words of 64 bits): split it, prune, "
        "or use fewer weight bits. [SPK1783]",
    ]
    evidence("mapping_reservoir", cores=program.mapping.size)


def test_an_ensemble_that_could_not_be_mapped() -> None:
    """A neuron with more sources than any core takes is named, with the limit."""
    dense = spikec.Dense(spikec.Tensor.floats(np.full((1, 4100), 0.01)))
    nodes = (
        spikec.Input("x", (4100,), Bool()),
        spikec.Population("wide", (1,), spikec.LIF(decay=0.9)),
        spikec.Output("y", "wide"),
    )
    graph = spikec.Graph("ensemble", nodes, (spikec.Projection("x", "wide", dense),))
    with pytest.raises(SpikecError) as error:
        spikec.compile(graph, "loihi1")
    assert str(error.value) == (
        "partition: wide[0]: 4100 sources reach it, a core takes 4096 input axons. Prune its "
        "synapses, or make it a tree of neurons. [SPK1732]"
    )


# ---------------------------------------------------------------- few of a sort in a core


def modules(thresholds: list[float], recurrent: bool = False) -> spikec.Graph:
    """Return populations whose exponents follow from their thresholds, each of its own."""
    nodes: list[Any] = [spikec.Input("x", (8,), Bool())]
    projections: list[spikec.Projection] = []
    for i, threshold in enumerate(thresholds):
        name = f"p{i}"
        nodes.append(spikec.Population(name, (6,), spikec.LIF(decay=0.9, threshold=threshold)))
        weight = spikec.Tensor.floats(np.array([[1.0, -0.5] * 4] * 6))
        projections.append(spikec.Projection("x", name, spikec.Dense(weight)))
        if recurrent:
            projections.append(spikec.Projection(name, name, spikec.Sparse.of(np.eye(6)), delay=1))
    return spikec.Graph("modules", (*nodes, spikec.Output("y", "p0")), tuple(projections))


@pytest.mark.parametrize("recurrent", [False, True])
def test_formats_of_synapses_are_few_in_every_core(recurrent: bool) -> None:
    """Each population has formats of its own, and all would fit one core but for them."""
    graph = modules([20 * 2.0**k for k in range(12)], recurrent)
    program = spikec.compile(graph, "loihi1")
    demand, mapping = demand_of(program), program.mapping
    assert mapping is not None
    assert demand.formats is not None
    stored = demand.formats.of
    assert len(set(stored)) > 8
    held = load(program, demand, None)
    for core in range(mapping.size):
        here = {
            how
            for how, p in zip(stored, program.graph.projections, strict=True)
            if (mapping.seats[p.target] == core).any()
        }
        assert held.used["synapse_formats"][core] == len(here) <= 8
    assert mapping.size > 1
    free = spikec.compile(graph, "loihi1", pipeline=LIF + "partition{synapse_formats=100}").mapping
    assert free is not None
    assert free.size == 1
    alone = replace(program, mapping=on_one_core(program.graph), reports={})
    assert [str(f) for f in find_backend("loihi").supports(alone)] == [
        f"core (0, 0) 0: {len(set(stored))} formats of synapses exceed 8 (nengo-loihi hardware/"
        "nxsdk_objects.py, whose table keeps place 0 free; hardware/validate.py allows 16): put "
        "populations with equal formats together. [SPK0964]"
    ]


def test_few_formats_set_no_limit() -> None:
    """Many populations of two formats share a core."""
    program = spikec.compile(modules([20.0, 80.0] * 6), "loihi1")
    assert program.mapping is not None
    assert program.mapping.size == 1


@given(graph=loihi_graphs(), target=st.sampled_from(["loihi1", "loihi2"]))
@examples(5, 300)
def test_decays_never_keep_neurons_apart(graph: spikec.Graph, target: str) -> None:
    """A current that never decays and a membrane that forgets at once take cores of their own.

    So Fugu has it (``setCoreID``), as 0 and 4096 do not fit the same 12 bits. Ours have neither:
    the register of the current adds 1, that of the membrane nothing.
    """
    program = spikec.compile(graph, target)
    for population in program.graph.populations:
        held = compartments(population)
        assert held.du.min() >= 0  # decays by du + 1
        assert max(held.du.max(), held.dv.max()) <= 4095


@pytest.mark.parametrize(("name", "steps"), [("synapse_decay", 4096), ("decay", 0)])
def test_such_decays_are_refused(name: str, steps: int) -> None:
    """In the integers of a core, as a program from elsewhere may have them."""
    cuba = spikec.CubaLIF(decay=0.5, synapse_decay=0.5, reset="zero")
    graph = spikec.Graph(
        "decays",
        (
            spikec.Input("x", (2,), Bool()),
            spikec.Population("p", (2,), cuba),
            spikec.Output("y", "p"),
        ),
        (spikec.Projection("x", "p", spikec.Dense(spikec.Tensor.floats(np.eye(2)))),),
    )
    program = spikec.compile(graph, "loihi1", pipeline=LIF)
    population = program.graph.population("p")
    neuron: Any = population.neuron
    wrong = replace(neuron, **{name: decay_steps(np.array(steps))})
    changed = program.graph.with_nodes([replace(population, neuron=wrong)])
    found = find_backend("loihi").supports(replace(program, graph=changed))
    assert [str(f) for f in found] == ["p: a decay is not what a core's registers hold. [SPK1615]"]


# ---------------------------------------------------------------- energy from our own mapping


@pytest.mark.parametrize(
    ("theirs", "most", "messages", "total"),
    [(sanafe.B1, 1024, 531, 526_098.7), (sanafe.B2, 16, 699, 548_771.5)],
    ids=["B1", "B2"],
)
def test_energy_of_our_own_mapping(
    data: Path, theirs: Mapping, most: int, messages: int, total: float
) -> None:
    """SANA-FE's network B split and placed by us: its energies at its places, less at ours."""
    program, inputs = sanafe.program(data, theirs)
    kinds = np.repeat(np.array([[0, 1]], np.int32), [32, 8], axis=1)
    limits = Limits(neurons=most, kinds=(2 if most > 40 else 1,))
    asked = Demand(limits, (8, 18), kinds, None, ("populations",))
    seat = partition(network(program, asked, None), limits)
    first = theirs.seats["hid"][0]  # where the neurons begin among the cores of the golden file
    at_theirs = seated(program, (seat + first).astype(np.int32), theirs.places)
    held = theirs.seats["in"]
    at_theirs = replace(at_theirs, mapping=_with(at_theirs.mapping, "in", held))
    found = _energy(at_theirs, inputs)
    assert found[0] == messages
    assert found[1] == pytest.approx(total, rel=1e-12)
    moved = place(load(at_theirs, asked, None).traffic, Mesh())
    ours = replace(at_theirs, mapping=_with(at_theirs.mapping, "in", held, moved))
    found = _energy(ours, inputs)
    assert found[0] == messages
    assert found[1] <= total * (1 + 1e-12)
    evidence(f"mapping_energy_{messages}", own_places_pj=found[1], their_places_pj=total)


def _with(mapping: Mapping | None, node: str, seats: Any, places: Any = None) -> Mapping:
    assert mapping is not None
    return Mapping(mapping.places if places is None else places, {**mapping.seats, node: seats})


def _energy(program: spikec.Program, inputs: Any) -> tuple[int, float]:
    """Return the messages and the picojoules of SANA-FE's price book."""
    trace = spikec.simulate(program, inputs, RECORD)
    report = profile(program, trace, "sanafe_2_2_9")
    assert report.total is not None
    sources = count(program, trace).sources.values()
    return sum(s.messages or 0 for s in sources), report.total.typical * 1e12


@pytest.mark.parametrize(
    ("theirs", "microseconds"), [(sanafe.B1, 75.53), (sanafe.B2, 72.90)], ids=["B1", "B2"]
)
def test_step_time_of_a_run(data: Path, theirs: Mapping, microseconds: float) -> None:
    """Work counted from a trace takes the time of SANA-FE's simple timing model, 50 steps."""
    program, inputs = sanafe.program(data, theirs)
    work = Work(program)
    trace = spikec.simulate(program, inputs, RECORD)
    work.add(trace)
    found = work.time(load_prices("sanafe_2_2_9"))
    assert found is not None
    assert round(50e6 * found.overlapped, 2) == microseconds
    counts = count(program, trace)
    ways = work.routes()
    assert ways.messages == sum(s.messages or 0 for s in counts.sources.values())
    assert ways.hops_x == sum(s.hops_x or 0 for s in counts.sources.values())
    assert ways.hops_y == sum(s.hops_y or 0 for s in counts.sources.values())


def test_ways_over_several_chips() -> None:
    """A neuron per core: hops and crossings of every message, counted twice; no price is known."""
    graph = reservoir(20, 132, 0.03)
    program = spikec.compile(graph, "loihi1", pipeline=LIF + "partition{compartments=1},place")
    assert program.mapping is not None
    assert program.mapping.places[:, 0].max() == 1
    trace = spikec.simulate(program, spikes_for(graph, 1, 30, 0), RECORD)
    work = Work(program)
    work.add(trace)
    ways, counts = work.routes(), count(program, trace)
    sources = counts.sources.values()
    assert ways.crossings == sum(s.crossings or 0 for s in sources) > 0
    assert ways.hops_x == sum(s.hops_x or 0 for s in sources)
    assert ways.hops_y == sum(s.hops_y or 0 for s in sources)
    report = profile(program, counts, "sanafe_2_2_9")
    assert report.lower_bound
    assert "crossing" in report.unpriced


# ---------------------------------------------------------------- the command line


def test_explain(capsys: Any, tmp_path: Path) -> None:
    """Use, origin of axons, reason, remedies; and all of it as JSON."""
    pipeline = LIF + "partition{compartments=40},place"
    arguments = ["check", "digits", "--target", "loihi1", "--explain", "--pipeline", pipeline]
    assert run(arguments) == 0
    text = capsys.readouterr().out
    assert "4 cores; least by compartments 4, synapse bits 1, input axons 1" in text
    assert "lif1 -> lif2" in text
    assert "--target loihi2" in text
    assert run([*arguments, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert sum(c["used"]["compartments"] for c in shown["cores"]["cores"]) == 138
    assert {r["text"] for r in shown["remedies"]} >= {"6-bit weights", "--target loihi2"}
    assert run(["compile", "digits", "--target", "loihi1", "-o", str(tmp_path / "b")]) == 0
    placed = json.loads((tmp_path / "b" / "mapping.json").read_text())
    assert placed["cores"][0]["holds"] == {"lif1": [[0, 128]], "lif2": [[0, 10]]}


def test_profile_of_a_mapped_build(data: Path, capsys: Any, tmp_path: Path) -> None:
    """Messages, hops and step time of one's own mapping; a picture of the mesh."""
    pipeline = LIF + "partition{compartments=20},place"
    build, picture = str(tmp_path / "b"), tmp_path / "mesh.svg"
    options = ["--target", "loihi1", "--pipeline", pipeline, "--plot", str(picture)]
    assert run(["compile", "digits", *options, "-o", build]) == 0
    assert picture.read_text().startswith("<?xml")
    images = tmp_path / "x.npy"
    np.save(images, np.random.default_rng(0).random((2, 64)))
    capsys.readouterr()
    encoded = ["--encode", "rate", "--steps", "20"]
    assert run(["profile", build, "--input", str(images), *encoded, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["mesh"]["messages"] > 0
    assert shown["step_times"]["sanafe_2_2_9"]["overlapped"] > 0
    assert shown["step_times"]["davies_2018"]["serial"] is None


def test_explain_needs_cores(capsys: Any) -> None:
    """The CPU has none."""
    assert run(["check", "digits", "--explain"]) == 1
    assert "target 'cpu' placed nothing on cores" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("partition{in_axons=-1}", "partition in_axons: it is negative. Use 0 or more. [SPK1770]"),
        ("place{seed=-1}", "place seed: it is negative. Use 0 or more. [SPK1772]"),
    ],
)
def test_wrong_options(text: str, line: str) -> None:
    """One line each."""
    with pytest.raises(SpikecError) as error:
        spikec.compile(spikec.load("digits"), "loihi1", pipeline=LIF + text)
    assert line in str(error.value)


def test_a_target_without_cores() -> None:
    """The CPU has nothing to partition over."""
    with pytest.raises(SpikecError, match="SPK1771"):
        spikec.compile(spikec.load("digits"), "cpu", pipeline="discretize,partition")


def test_rates_are_measured_once(monkeypatch: Any) -> None:
    """Partition and place ask for them, and the calibration data run once for both."""
    runs: list[spikec.Program] = []

    def counted(program: spikec.Program, **options: Any) -> Simulator:
        runs.append(program)
        return Simulator(program, **options)

    monkeypatch.setattr("spikec.compiler.passes.partition.Simulator", counted)
    graph = reservoir(20, 30, 0.2)
    pipeline = LIF + "partition{compartments=10},place"
    data = spikes_for(graph, 2, 9, 0)
    program = spikec.compile(graph, "loihi1", pipeline=pipeline, calibration=data)
    assert program.mapping is not None
    assert len(runs) == 1
    context = Context(data)
    rate = measured_rates(program, context)
    other = replace(program, graph=replace(program.graph, name="other"))
    assert rate is measured_rates(program, context) is not measured_rates(other, context)


def test_a_mapped_network_sends_the_same_spikes() -> None:
    """Where neurons sit changes no spike."""
    graph = reservoir(50, 40, 0.2)
    here = spikec.compile(graph, "loihi1", pipeline=LIF)
    there = spikec.compile(graph, "loihi1", pipeline=LIF + "partition{compartments=7},place")
    inputs = spikes_for(graph, 2, size(50, 500), 1)
    a, b = (spikec.simulate(p, inputs, ("spikes",), "loihi") for p in (here, there))
    assert a.spikes["liquid"].any()
    assert np.array_equal(a.spikes["liquid"], b.spikes["liquid"])
