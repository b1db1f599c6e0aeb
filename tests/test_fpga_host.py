"""The emitted driver on the emitted RTL in a simulator: events, counters, what may be changed."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import board
import small
import spikec
from rtl_networks import ASKED, mixed, quantized
from sizes import evidence, size
from spikec.backends.fpga import tools
from spikec.backends.fpga.build import texts, write
from spikec.backends.fpga.plan import Plan, plan
from spikec.backends.fpga.proofs.proof import prove
from spikec.backends.fpga.simulation import simulators
from spikec.backends.fpga.simulation.expected import counters
from spikec.backends.reference import UNHURT, Interpreter
from spikec.compiler.errors import SpikecError
from spikec.compiler.simulator import stored_inputs
from spikec.compiler.synapses import replace_data
from spikec.compiler.types import Array, Tensor


def needs(*packages: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not tools.have(*packages), reason=f"needs {', '.join(packages)} (spikec[fpga])"
    )


VERILATOR, CXXRTL = (
    pytest.param(name, marks=needs(*simulators.NEEDS[name])) for name in ("verilator", "cxxrtl")
)


@dataclass(repr=False)  # a plan holds expressions, whose text can be endless
class Case:
    """A program, what it is run on, and the driver that is connected to its RTL."""

    program: spikec.Program
    plan: Plan
    data: Array
    network: Any

    def check(
        self,
        program: spikec.Program | None = None,
        weights: spikec.Program | None = None,
        lesions: Mapping[str, Array] = UNHURT,
    ) -> dict[str, Any]:
        """Run all samples and compare events and counters with the reference.

        Engines are those of the plan, or of the program that has the weights.
        """
        program = program or weights or self.program
        self.network.clear()
        stored = stored_inputs(program.graph, {program.graph.inputs[0].name: self.data})
        trace = Interpreter(program, lesions).run(stored, ("spikes",))
        for k in range(len(self.data)):
            out = self.network.run({name: a[k] for name, a in stored.items()})
            for name, came in out.items():
                np.testing.assert_array_equal(came, trace.spikes[name][k].reshape(came.shape))
        found: dict[str, Any] = self.network.counters()
        self.check_counters(plan(weights) if weights else self.plan, stored, trace, found)
        return found

    def check_counters(
        self,
        planned: Plan,
        stored: Mapping[str, Array],
        trace: spikec.Trace,
        found: Mapping[str, Mapping[str, int]],
    ) -> None:
        samples, steps = self.data.shape[:2]
        sent = {
            name: a.reshape(samples, steps, -1).astype(np.int64) for name, a in trace.spikes.items()
        }
        acted = {name: np.full((1, 1, 1), c["saturations"]) for name, c in trace.counts.items()}
        wanted = counters(planned, stored, sent, acted)
        for engine, row in zip(planned.engines, wanted, strict=True):
            here = found[engine.population.name]
            assert {name: here[name] for name in row} == row, engine.population.name


@pytest.fixture(scope="module", params=["digits-verilator", "mixed-verilator", "mixed-cxxrtl"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """Return a network that can be changed in every way, in a simulator."""
    name, simulator = request.param.split("-")
    if not tools.have(*simulators.NEEDS[simulator]):
        pytest.skip(f"needs {', '.join(simulators.NEEDS[simulator])} (spikec[fpga])")
    random = np.random.default_rng(1)
    if name == "digits":
        graph, lanes = spikec.load("digits"), 16
        data: Array = random.random((size(3, 100), 16, 64)) < 0.2
    else:
        graph, lanes = mixed(), 4
        data = random.random((size(2, 20), 12, 2, 6, 5)) < 0.3
    program = quantized(graph, data, ASKED % lanes)
    planned = plan(program)
    with board.connected(planned, simulator, seed=int(name == "mixed")) as network:
        yield Case(program, planned, data, network)


@pytest.fixture
def fresh(case: Case) -> Iterator[Case]:
    """Return the network, and leave it as it was compiled."""
    yield case
    network = case.network
    network.stop()
    network.start()
    network.wait()
    for m in network.map["memories"]:
        if m["kind"] == "lesions":
            network.lesion(m["population"], [])
        elif m["kind"] == "parameter":
            network.set_threshold(m["population"], m["value"])
    upload(case, case.program)


def upload(case: Case, program: spikec.Program) -> None:
    """Write the weights of a program; what is the same too."""
    case.network.stop()
    for p, engine, k in weighted(program, case.plan):
        values = weights_of(p)
        case.network.set_weights(p.source, p.target, values, p.port, p.delay)
        assert engine.channels[k].rows is not None
    case.network.start()
    case.network.wait()


def weighted(program: spikec.Program, planned: Plan) -> list[tuple[spikec.Projection, Any, int]]:
    """Return every projection with its engine and the number of its channel."""
    found: list[tuple[spikec.Projection, Any, int]] = []
    for engine in planned.engines:
        into = program.graph.into(engine.population.name)
        found += [(p, engine, k) for k, p in enumerate(into)]
    return found


def weights_of(projection: spikec.Projection) -> Array:
    """Return the weights in the shape in which the driver takes them."""
    if isinstance(projection.synapse, spikec.Conv2d):
        return projection.synapse.weight.data
    return np.asarray(projection.synapse.to_sparse().todense())


def shuffled(program: spikec.Program, seed: int) -> spikec.Program:
    """Return the program with weights that moved, among those of one target neuron or channel."""
    random = np.random.default_rng(seed)
    changed: list[spikec.Projection] = []
    for p in program.graph.projections:
        data = p.synapse.weight.data.copy()
        if isinstance(p.synapse, spikec.Sparse):
            data = np.sign(data) * np.maximum(np.abs(data) // 2, 1)
        else:
            rows = data.reshape(len(data), -1)
            data = random.permuted(rows, axis=1).reshape(data.shape)
        changed.append(replace(p, synapse=replace_data(p.synapse, data)))
    return replace(program, graph=replace(program.graph, projections=tuple(changed)))


# ---------------------------------------------------------------- events and counters


def test_events_and_counters(fresh: Case) -> None:
    """Several samples one after the other, and the counters of all."""
    found = fresh.check()
    evidence(f"fpga_host_{fresh.program.graph.name}", counters=found)
    assert all(c["events_out"] > 50 and c["synops"] > 500 for c in found.values())
    counts = fresh.network.counts()
    samples, steps = fresh.data.shape[:2]
    assert (counts["samples"], counts["steps"]) == (samples, samples * steps)
    fresh.network.clear()
    for row in fresh.network.counters().values():
        assert not any(n for name, n in row.items() if name != "cycles_stall_in")


def test_a_sample_in_parts(fresh: Case) -> None:
    """It can be run a few steps at a time."""
    name = fresh.program.graph.inputs[0].name
    stored = stored_inputs(fresh.program.graph, {name: fresh.data[:1]})[name][0]
    whole = fresh.network.run({name: stored})
    first = fresh.network.run({name: stored[:5]})
    rest = fresh.network.run({name: stored[5:]}, restart=False)
    for key, came in whole.items():
        np.testing.assert_array_equal(came, np.concatenate([first[key], rest[key]]))


# ---------------------------------------------------------------- lesions


def test_lesions(fresh: Case) -> None:
    """A lesioned neuron sends nothing, goes on, and comes back when it is healed."""
    random = np.random.default_rng(2)
    lost = {p.name: random.random(p.size) < 0.4 for p in fresh.program.graph.populations}
    whole = fresh.check()
    for name, mask in lost.items():
        fresh.network.lesion(name, np.flatnonzero(mask))
    hurt = fresh.check(lesions=lost)
    assert sum(c["events_out"] for c in hurt.values()) < sum(
        c["events_out"] for c in whole.values()
    )
    for name in lost:
        fresh.network.lesion(name, [])
    assert fresh.check()["last" if "last" in whole else "lif2"]["synops"] > 0


def test_lesions_between_two_steps_of_a_sample(fresh: Case) -> None:
    """They act from the next update on; states are those of a whole neuron."""
    graph, at = fresh.program.graph, 4
    name, hurt = graph.inputs[0].name, graph.order()[0]
    stored = stored_inputs(graph, {name: fresh.data[:1]})
    lost = np.zeros((fresh.data.shape[1], hurt.size), bool)
    lost[at:, ::2] = True
    trace = Interpreter(fresh.program, {hurt.name: lost}).run(stored, ("spikes",))
    before = fresh.network.run({name: stored[name][0, :at]})
    fresh.network.lesion(hurt.name, range(0, hurt.size, 2))
    after = fresh.network.run({name: stored[name][0, at:]}, restart=False)
    for key, came in before.items():
        wanted = trace.spikes[key][0].reshape(len(lost), -1)
        np.testing.assert_array_equal(np.concatenate([came, after[key]]), wanted)


# ---------------------------------------------------------------- thresholds


def test_thresholds(fresh: Case) -> None:
    """At both ends of their intervals, and between; the equal program is the reference."""
    chosen = [m for m in fresh.network.map["memories"] if m["kind"] == "parameter"]
    assert chosen
    for pick in ("lo", "hi", "value"):
        changed: list[spikec.Population] = []
        for p in fresh.program.graph.populations:
            mine = [m for m in chosen if m["population"] == p.name]
            if mine:
                value = mine[0][pick] + (pick == "value")
                fresh.network.set_threshold(p.name, value)
                p = replace(p, neuron=with_threshold(p, value))
            changed.append(p)
        graph = fresh.program.graph.with_nodes(changed)
        fresh.check(replace(fresh.program, graph=graph))


def with_threshold(population: spikec.Population, value: int) -> Any:
    """Return the neuron with another threshold."""
    model: Any = population.model()
    old = model.parameters()["threshold"]
    form = replace(old.dtype, bits=max(value.bit_length(), 1))
    return model.with_parameters({"threshold": Tensor(np.array(value), form, old.scale)})


def test_a_threshold_outside_its_interval(fresh: Case) -> None:
    """The driver refuses it; so does the hardware."""
    memory = next(m for m in fresh.network.map["memories"] if m["kind"] == "parameter")
    for value in (memory["lo"] - 1, memory["hi"] + 1, -memory["value"]):
        with pytest.raises(ValueError, match="is not"):
            fresh.network.set_threshold(memory["population"], value)
        fresh.network._write("memory", memory["number"])
        fresh.network._write("word", 0)
        fresh.network._write("last", value & 0xFFFFFFFF)
        assert fresh.network.status()["refused"]
        fresh.network.clear()
        assert not fresh.network.status()["refused"]
    fresh.check()


@pytest.mark.skipif(not tools.have("pyosys", "bitwuzla"), reason="needs spikec[fpga]")
def test_a_lane_is_proved_for_every_threshold_of_its_interval() -> None:
    """The threshold is an operand of the proof; its interval is that of the register."""
    known: dict[str, Any] = {}
    data = np.random.default_rng(1).random((2, 12, 2, 6, 5)) < 0.3
    for program in (
        quantized(mixed(), data, ASKED % 4),
        quantized(spikec.load("digits"), np.ones((1, 4, 64)), ASKED % 16),
    ):
        engines = plan(program).engines
        assert "p_threshold" in [p.name for p in engines[0].lane.inputs]
        results = list(prove([e.lane for e in engines], known))
        assert len(results) == len(engines)
        assert all(r.proved for r in results)


# ---------------------------------------------------------------- weights


def test_upload(fresh: Case) -> None:
    """Other weights give the events and counters of the program that has them."""
    before = fresh.check()
    program = shuffled(fresh.program, 3)
    upload(fresh, program)
    after = fresh.check(weights=program)
    assert {n: c["events_out"] for n, c in after.items()} != {
        n: c["events_out"] for n, c in before.items()
    }
    upload(fresh, fresh.program)
    fresh.check()


def test_weights_that_the_sums_do_not_hold(fresh: Case) -> None:
    """They are refused before anything is written."""
    fresh.network.stop()
    for p, engine, k in weighted(fresh.program, fresh.plan):
        bits = engine.channels[k].rows.weight_bits
        values = weights_of(p).astype(np.int64)
        for most in ((1 << (bits - 1)) - 1, -(1 << (bits - 1))):
            with pytest.raises(ValueError, match="the sum of neuron"):
                fresh.network.set_weights(
                    p.source, p.target, np.where(values != 0, most, 0), p.port, p.delay
                )
        for wrong, said in (
            (values * 0 + (1 << (bits - 1)), f"{bits} bits"),
            (values[1:], "shape"),
            (values * 0.5, "integers"),
        ):
            with pytest.raises(ValueError, match=said):
                fresh.network.set_weights(p.source, p.target, wrong, p.port, p.delay)
        if engine.channels[k].rows.pointers is not None:
            with pytest.raises(ValueError, match="no place"):
                fresh.network.set_weights(p.source, p.target, values * 0 + 1, p.port, p.delay)
    with pytest.raises(ValueError, match="no weights of"):
        fresh.network.set_weights("nobody", "nobody", np.zeros((1, 1), np.int64))
    fresh.network.start()
    fresh.check()


def test_weights_only_while_stopped(fresh: Case) -> None:
    """The driver says so, and the hardware refuses a write."""
    p, _, k = weighted(fresh.program, fresh.plan)[0]
    with pytest.raises(ValueError, match="call stop first"):
        fresh.network.set_weights(p.source, p.target, weights_of(p), p.port, p.delay)
    memory = fresh.network.map["memories"][k]
    assert memory["kind"] == "weights"
    fresh.network.wait()
    with pytest.raises(ValueError, match="refused"):
        fresh.network._store(memory, [0] * memory["depth"])
    fresh.network.clear()
    fresh.network.stop()
    with pytest.raises(ValueError, match="refused"):  # one word too many
        fresh.network._store(memory, [*board.words(fresh.network, memory), 0])
    fresh.network.clear()
    fresh.network.start()
    fresh.check()


# ---------------------------------------------------------------- start, stop, reset


def test_stop_and_start(fresh: Case) -> None:
    """While it is stopped nothing is taken; a start begins a new sample."""
    network = fresh.network
    name = fresh.program.graph.inputs[0].name
    sample = stored_inputs(fresh.program.graph, {name: fresh.data[:1]})[name][0]
    whole = network.run({name: sample})
    network.run({name: sample[:3]})
    network.stop()
    assert network.status() == {"idle": False, "bad_id": False, "refused": False, "stopped": True}
    with pytest.raises(ValueError, match="stopped"):
        network.run({name: sample})
    network.clear()
    network.start()
    network.wait()
    again = network.run({name: sample}, restart=False)
    for key, came in whole.items():
        np.testing.assert_array_equal(came, again[key])


# ---------------------------------------------------------------- what it costs, what is refused


def test_nothing_is_there_that_was_not_asked_for() -> None:
    """Neither in the RTL, but for modules that nothing uses, nor in the map."""
    program = quantized(small.counting(), small.data())
    made = texts(plan(program))
    ours = [t for n, t in made.items() if n.startswith(("rtl/engine", "rtl/lane", "rtl/small"))]
    words = ("load", "lesion", "p_threshold", "spikec_weights")
    assert ours
    assert not [w for t in ours for w in words if w in t]
    assert "MEMORY" not in made["rtl/spikec_registers.sv"]
    found = json.loads(made["host/registers.json"])
    assert found["memories"] == []
    assert "word" not in [r["name"] for r in found["registers"]]


def test_the_map_is_that_of_the_rtl() -> None:
    """Offsets, access and bits of registers.json stand in the module, and in the text."""
    program = quantized(small.counting(), small.data(), ASKED % 2)
    made = texts(plan(program))
    module = made["rtl/spikec_registers.sv"]
    for r in json.loads(made["host/registers.json"])["registers"]:
        assert f"] {r['name'].upper()} = 4'd{r['offset'] // 4};" in module
        assert (
            f"| 0x{r['offset']:02x} | {r['access']} | `{r['name']}` |" in made["host/registers.md"]
        )
        assert (f"{r['name'].upper()}: rdata" in module) == ("R" in r["access"])


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("thresholds=-1", "SPK1900"),
        ("thresholds=70000", "SPK1900"),
        ("lesions=maybe", "SPK0406"),
    ],
)
def test_options_that_cannot_be(asked: str, code: str) -> None:
    with pytest.raises(SpikecError) as caught:
        plan(quantized(small.counting(), small.data(), f",engines{{{asked}}}"))
    assert caught.value.code == code


def test_no_threshold_to_set() -> None:
    """A network without thresholds, or with one for each neuron."""
    leaky = spikec.LeakyIntegrator(decay=0.5)
    many = spikec.LIF(decay=0.5, threshold=np.linspace(0.5, 1.5, 4))
    for graph in (small.network(leaky, leaky), small.network(many, leaky)):
        with pytest.raises(SpikecError) as caught:
            quantized(graph, small.data(), ",engines{thresholds=2}")
        assert caught.value.code == "SPK1901"


def test_the_driver_refuses_another_design(tmp_path: Path) -> None:
    """And inputs that are none of the network's."""
    made = texts(plan(quantized(small.counting(), small.data())))
    write(made, tmp_path)

    class Silent:
        def read(self, offset: int) -> int:
            return 0

    with pytest.raises(ValueError, match="another design"):
        board.driver(tmp_path).Network(tmp_path, Silent(), None, board.allocate)


def test_words_of_64_bits(tmp_path: Path) -> None:
    """The highest bit ends a step; values are signed."""
    write(texts(plan(quantized(small.counting(), small.data()))), tmp_path)
    form = board.driver(tmp_path)._Words({"bits": 64, "id": 3, "value": 40})
    ids, values = np.array([0, 7, 5]), np.array([-(1 << 39), -1, (1 << 39) - 1])
    words = form.words(ids, values)
    assert words.dtype == np.uint64
    assert words.tolist() == [1 << 39, (8 << 40) - 1, (5 << 40) + (1 << 39) - 1]
    assert int(form.end) == 1 << 63
    for came, wanted in zip(form.fields(words), (ids, values), strict=True):
        np.testing.assert_array_equal(came, wanted)


def test_inputs_that_do_not_fit(fresh: Case) -> None:
    """Before anything is sent."""
    name = fresh.program.graph.inputs[0].name
    size = fresh.program.graph.inputs[0].size
    for given, said in (
        ({}, "the inputs are"),
        ({name: np.zeros((0, size))}, "steps"),
        ({name: np.zeros((3, size))}, "stored integers"),
        ({name: np.zeros((3, size + 1), int)}, "channels"),
        ({name: np.full((3, size), 2)}, "outside"),
    ):
        with pytest.raises(ValueError, match=said):
            fresh.network.run(given)


# ---------------------------------------------------------------- the test can fail


MUTANTS = [
    ("spikec_lesions", "memory[write_group] <=", "memory[group] <="),
    ("spikec_weights", "<= write_data;", "<= write_data ^ WIDTH'(1);"),
    ("spikec_registers", "word <= word + ", "word <= word - "),
    ("spikec_registers", "else if (control & wdata[CONTROL_STOP])", "else if (1'b0)"),
    ("engine_image", "& ~lesioned[lane]", ""),
    ("mixed_top", "(load_word < ", "(load_word >= "),
]


@pytest.mark.parametrize(("module", "old", "new"), MUTANTS[: size(1, len(MUTANTS))])
@pytest.mark.skipif(not tools.have(*simulators.NEEDS["verilator"]), reason="needs spikec[fpga]")
def test_a_fault_in_the_controls_is_found(module: str, old: str, new: str) -> None:
    """By the tests above."""
    data = np.random.default_rng(1).random((2, 12, 2, 6, 5)) < 0.3
    program = quantized(mixed(), data, ASKED % 4)
    planned = plan(program)
    made = texts(planned)
    name = f"rtl/{module}.sv"
    assert old in made[name]
    made[name] = made[name].replace(old, new)
    tests = (test_lesions, test_upload, test_stop_and_start, test_thresholds)
    failed = 0
    for test in tests:
        with board.connected(planned, "verilator", 0, made) as network:
            try:
                test(Case(program, planned, data, network))
            except (AssertionError, ValueError):
                failed += 1
    assert failed
