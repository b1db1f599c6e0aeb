"""Both engines where it is easy to be wrong: delays, starts, ports, batches, layouts, threads."""

import itertools
import os
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

import spikec
from sizes import size
from spikec.backends.cpu import compiled, engine
from spikec.compiler.equation import Casts, Emission, Neuron, Step, Wires, parameter
from spikec.compiler.ir import Input, Node, Output, Population, Projection
from spikec.compiler.synapses import Dense, identity
from spikec.compiler.types import Array, Bool, FixedPoint, Format, Tensor

BACKENDS = ("reference", "cpu")


def floats(values: Any) -> Dense:
    return Dense(Tensor.floats(values))


def integers(values: Any, bits: int = 8) -> Dense:
    return Dense(Tensor.integers(values, FixedPoint(bits)))


def program(nodes: list[Node], edges: list[Projection]) -> spikec.Program:
    return spikec.compile(spikec.Graph("g", tuple(nodes), tuple(edges)), pipeline="")


def run(made: spikec.Program, data: Any, backend: str = "cpu") -> spikec.Trace:
    return spikec.simulate(made, data, ("spikes", "state"), backend)


def same(made: spikec.Program, data: Any) -> spikec.Trace:
    """Run in both engines and return one trace, having compared all."""
    first, second = (run(made, data, b) for b in BACKENDS)
    for name, sent in first.spikes.items():
        np.testing.assert_array_equal(sent, second.spikes[name], err_msg=name)
        assert sent.dtype == second.spikes[name].dtype
        for state, held in first.state[name].items():
            np.testing.assert_array_equal(held, second.state[name][state], err_msg=name)
            assert held.dtype == second.state[name][state].dtype
    for name, out in first.outputs.items():
        np.testing.assert_array_equal(out, second.outputs[name])
        assert out.dtype == second.outputs[name].dtype
    assert first.counts == second.counts
    return second


def relays(edges: dict[str, int], start: dict[str, int] | None = None) -> spikec.Program:
    """Return relays that add: ``ab`` is an edge of weight one from a to b; x and y are inputs."""
    names = sorted({c for e in edges for c in e} - {"x", "y"})
    nodes: list[Node] = [Input(n, (1,)) for n in "xy" if any(e[0] == n for e in edges)]
    nodes += [Population(n, (1,), spikec.Relay(), start=(start or {}).get(n, 0)) for n in names]
    nodes += [Output(n, n) for n in names]
    listed = [Projection(e[0], e[1], floats([[1.0]]), delay=d) for e, d in edges.items()]
    return program(nodes, listed)


RAMP = np.arange(1.0, 8.0)[None, :, None]


def sent(made: spikec.Program, data: Any = RAMP, name: str = "b") -> list[float]:
    return same(made, data).outputs[name].ravel().tolist()


# ---------------------------------------------------------------- delays and starts


@pytest.mark.parametrize("delay", [0, 1, 3, 6, 7, 8, 100, 10**5])
def test_a_delay_of_any_length(delay: int) -> None:
    """What is sent in step t arrives in step t + delay; longer than the run means never."""
    wanted = ([0.0] * min(delay, 7) + list(range(1, 8)))[:7]
    assert sent(relays({"xa": 0, "ab": delay})) == wanted
    assert sent(relays({"xa": delay, "ab": 0})) == wanted


def test_a_delay_longer_than_the_run_takes_no_memory() -> None:
    """Nothing is kept for steps that never come."""
    made = relays({"xa": 10**5, "ab": 10**5})
    run(made, RAMP)
    tracemalloc.start()
    run(made, RAMP)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(("first", "second"), list(itertools.product((0, 1, 2, 9), repeat=2)))
def test_several_projections_between_one_pair(first: int, second: int) -> None:
    """They add, each with its own delay."""
    nodes: list[Node] = [Input("x", (1,)), Population("b", (1,), spikec.Relay()), Output("b", "b")]
    edges = [
        Projection("x", "b", floats([[w]]), delay=d) for w, d in ((1.0, first), (10.0, second))
    ]
    wanted = [
        sum(w * (t - d + 1) for w, d in ((1, first), (10, second)) if t >= d) for t in range(7)
    ]
    assert sent(program(nodes, edges)) == wanted


@pytest.mark.parametrize(("start", "delay"), list(itertools.product((0, 1, 3), (0, 1, 2, 5, 8))))
def test_a_population_that_starts_later(start: int, delay: int) -> None:
    """It sends nothing before, ignores what arrived before, and is recorded from its start on."""
    late = relays({"xa": 0, "ab": delay}, {"a": start, "b": start})
    # In step start + t, b sees what a sent delay steps ago: nothing before a's own start.
    wanted = [
        t + start - delay + 1 if t >= delay and t + start - delay < 7 else 0 for t in range(7)
    ]
    assert sent(late) == wanted
    # With a from the beginning, b may see what was sent before its own start.
    wanted = [t + start - delay + 1 if 0 <= t + start - delay < 7 else 0 for t in range(7)]
    assert sent(relays({"xa": 0, "ab": delay}, {"b": start})) == wanted


def test_a_self_loop() -> None:
    """A relay that hears itself sums up; with a delay of two, even and odd steps apart."""
    assert sent(relays({"xb": 0, "bb": 1})) == np.cumsum(RAMP).tolist()
    assert sent(relays({"xb": 0, "bb": 2})) == [1, 2, 4, 6, 9, 12, 16]


def test_two_populations_in_a_ring() -> None:
    """Whichever runs first in a step."""
    for back, forth in ((0, 1), (1, 0), (1, 1), (2, 3)):
        a, b = [0.0] * 7, [0.0] * 7
        order = "ab" if forth == 0 else "ba"
        for t, n in itertools.product(range(7), order):
            if n == "a":
                a[t] = t + 1 + (b[t - back] if t >= back else 0.0)
            else:
                b[t] = a[t - forth] if t >= forth else 0.0
        assert sent(relays({"xa": 0, "ab": forth, "ba": back})) == b


def test_outputs_may_tap_one_population() -> None:
    """Under two names, the same train; a population without output may be recorded."""
    nodes: list[Node] = [Input("x", (1,)), Population("p", (1,), spikec.Relay())]
    nodes += [Output("y", "p"), Output("z", "p"), Population("q", (1,), spikec.Relay())]
    trace = same(program(nodes, [Projection("x", "p", floats([[2.0]]))]), RAMP)
    np.testing.assert_array_equal(trace.outputs["y"], trace.outputs["z"])
    assert not trace.spikes["q"].any()


def test_inputs_that_feed_nothing() -> None:
    """They are checked all the same."""
    made = relays({"xa": 0, "ab": 0})
    idle = replace(made.graph, nodes=(Input("i", (2,)), *made.graph.nodes))
    data = {"x": RAMP, "i": np.zeros((1, 7, 2))}
    assert sent(replace(made, graph=idle), data) == list(range(1, 8))
    with pytest.raises(spikec.SpikecError, match="SPK0644"):
        run(replace(made, graph=idle), {"x": RAMP})


# ---------------------------------------------------------------- ports and states


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TwoPoint(Neuron):
    """v <- v + 2 basal - apical, in a state that is never negative; sends v."""

    kind: ClassVar[str] = "two_point"
    ports: ClassVar[tuple[str, ...]] = ("basal", "apical")
    v_init: Tensor = parameter("membrane", 0.0)

    @property
    def emits(self) -> Emission:
        return "values"

    def step(self, i: Wires, s: Wires, p: Wires, q: Casts) -> Step:
        v = q.v(s.v + 2 * i.basal - i.apical)
        return Step(v, v=v)


@pytest.mark.parametrize("bits", [3, 7, 8, 15, 16, 31, 32, 40])
def test_two_ports_into_an_unsigned_state(bits: int) -> None:
    """Each port has its own sum; the state saturates at zero and at its greatest value."""
    form = {"v": Format(FixedPoint(bits, 0, signed=False))}
    top = (1 << bits) - 1
    nodes: list[Node] = [
        Input("x", (1,), FixedPoint(24)),
        Input("y", (1,), FixedPoint(24)),
        Population("p", (1,), TwoPoint(v_init=Tensor.integers(top, FixedPoint(62))), form),
        Output("z", "p"),
    ]
    edges = [
        Projection("x", "p", integers([[1]]), "basal"),
        Projection("y", "p", integers([[1]]), "apical"),
    ]
    random = np.random.default_rng(bits)
    data = {n: random.integers(-top, top + 1, (4, 50, 1)) % 2**23 for n in "xy"}
    trace = same(program(nodes, edges), data)
    v, hits = np.full(4, top), 0
    for t in range(50):
        exact = v + 2 * data["x"][:, t, 0] - data["y"][:, t, 0]
        v = np.clip(exact, 0, top)
        hits += int((v != exact).sum())
        np.testing.assert_array_equal(trace.state["p"]["v"][:, t, 0], v)
    assert trace.counts["p"] == {"spikes": 0, "saturations": hits}


def test_integer_programs_may_have_floating_point_defaults() -> None:
    """A threshold of 0.5 is exact, so is an initial state of zero: both engines take them."""
    for frac in (0, 1, 4):
        nodes: list[Node] = [
            Input("x", (1,), Bool()),
            Population(
                "p",
                (1,),
                spikec.IntegrateAndFire(threshold=0.5, reset="subtract"),
                {"v": Format(FixedPoint(8, frac))},
            ),
            Output("y", "p"),
        ]
        made = program(nodes, [Projection("x", "p", integers([[1]]))])
        assert same(made, np.ones((1, 3, 1))).output.all()


def test_counts_beyond_any_integer() -> None:
    """A tiny threshold fits more often than int64 counts; floating point goes on."""
    lif = spikec.LIF(decay=0.5, threshold=1e-20, max_spikes=0, compare="ge", reset="zero")
    nodes: list[Node] = [Input("x", (1,)), Population("p", (1,), lif)]
    nodes += [Population("q", (1,), spikec.Relay()), Output("y", "q")]
    made = program(nodes, [Projection("x", "p", floats([[1.0]]))])
    traces = [run(made, np.ones((1, 2, 1)), b) for b in BACKENDS]
    for trace in traces:
        np.testing.assert_allclose(trace.spikes["p"].ravel(), [1e20, 1e20])


# ---------------------------------------------------------------- batches and layouts


def mixed() -> spikec.Program:
    """Return a recurrent integer network of 20 inputs, with saturation and graded spikes."""
    random = np.random.default_rng(0)
    form = {"v": Format(FixedPoint(9, 2))}
    lif = spikec.LIF(
        decay=Tensor.integers(random.integers(8, 16, 12), FixedPoint(5, 4, signed=False)),
        threshold=Tensor.integers(random.integers(20, 60, 12), FixedPoint(8, 2)),
        reset="subtract",
        max_spikes=3,
    )
    nodes: list[Node] = [
        Input("x", (4, 5), Bool()),
        Population("p", (3, 4), lif, form),
        Population("v", (2,), spikec.LeakyIntegrator(decay=0.75), form),
        Output("y", "p"),
        Output("z", "v"),
    ]
    edges = [
        Projection("x", "p", integers(random.integers(-9, 10, (12, 20)))),
        Projection("p", "p", integers(random.integers(-3, 4, (12, 12))), delay=2),
        Projection("p", "v", integers(random.integers(-9, 10, (2, 12))), delay=1),
    ]
    return program(nodes, edges)


MIXED = mixed()
SPIKES = np.random.default_rng(1).random((37, 30, 4, 5)) < 0.3


@pytest.mark.parametrize("samples", [1, 2, 15, 16, 17, 33, 37])
@pytest.mark.parametrize("steps", [1, 2, 30])
def test_batches_of_any_size(samples: int, steps: int) -> None:
    """Batch sizes round the chunk of a thread, down to one sample and one step."""
    whole = run(MIXED, SPIKES)
    part = same(MIXED, SPIKES[:samples, :steps])
    for name, sent_by in part.spikes.items():
        np.testing.assert_array_equal(sent_by, whole.spikes[name][:samples, :steps])
        assert part.counts[name]["spikes"] == (0 if name == "v" else sent_by.sum())


@pytest.mark.parametrize("cores", [1, 3, 64])
@pytest.mark.parametrize("chunk", [1, 5, 16])
def test_any_number_of_threads(cores: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """How a batch is cut never shows."""
    whole = run(MIXED, SPIKES)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(engine, "CHUNK", chunk)
    part = run(MIXED, SPIKES)
    assert part.counts == whole.counts
    for name in whole.spikes:
        np.testing.assert_array_equal(part.spikes[name], whole.spikes[name])


def layouts() -> list[Array]:
    """Return the same spikes in other types and memory layouts."""
    kinds: list[Any] = [np.bool_, np.int8, np.uint8, np.int64, np.float16, np.float32, ">f8", ">i4"]
    made = [SPIKES.astype(kind) for kind in kinds]
    made += [np.asfortranarray(SPIKES), np.repeat(SPIKES, 2, axis=1)[:, ::2], SPIKES[::-1][::-1]]
    frozen = SPIKES.copy()
    frozen.setflags(write=False)
    return [*made, frozen]


def test_arrays_of_any_type_and_layout() -> None:
    """float16, bool, big-endian, strided, reversed and read-only arrays are one input."""
    whole = run(MIXED, SPIKES)
    for data in layouts():
        before = data.copy()
        part = run(MIXED, data)
        np.testing.assert_array_equal(data, before)
        for name in whole.spikes:
            np.testing.assert_array_equal(part.spikes[name], whole.spikes[name])


def test_a_prepared_program_may_run_in_many_threads() -> None:
    """Runs share nothing but constants, and a second run begins where the first did."""
    simulator = spikec.Simulator(MIXED)
    wanted = simulator.run(SPIKES, ("spikes",)).spikes["p"]
    with ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(simulator.run, SPIKES, ("spikes",)) for _ in range(size(16, 200))]
        for done in runs:
            np.testing.assert_array_equal(done.result().spikes["p"], wanted)


def test_programs_may_be_prepared_in_many_threads() -> None:
    """A kernel is loaded once, and nobody sees it half loaded."""
    for k in range(size(5, 50)):
        source = f"VALUE = {k}\nimport time\ntime.sleep(0.02)\nupdate = VALUE + {os.getpid()}\n"
        with ThreadPoolExecutor(8) as pool:
            loads = [pool.submit(compiled.load_source, source) for _ in range(8)]
            modules = [done.result() for done in loads]
        assert [m.update for m in modules] == [k + os.getpid()] * 8
        assert len({id(m) for m in modules}) == 1
        del sys.modules[modules[0].__name__]


def test_an_unwritable_cache_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """The kernels are then compiled for this process only."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    source = f"update = {os.getpid()} + 1\n"
    assert compiled.load_source(source).update == os.getpid() + 1


def test_identity_of_spikes() -> None:
    """Through a relay, spikes become the values 0 and 1."""
    nodes: list[Node] = [Input("x", (4, 5), Bool()), Population("p", (20,), spikec.Relay())]
    made = program([*nodes, Output("y", "p")], [Projection("x", "p", identity(20))])
    np.testing.assert_array_equal(same(made, SPIKES).output, SPIKES.reshape(37, 30, 20))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_count_that_is_no_number(backend: str) -> None:
    """A floating-point network that grows beyond all numbers is an error, not a traceback."""
    lif = spikec.LIF(decay=0.5, threshold=1e-300, gain=1e300, max_spikes=0)
    nodes: list[Node] = [Input("x", (1,)), Population("p", (1,), lif)]
    nodes += [Population("q", (1,), spikec.Relay()), Output("y", "q")]
    made = program(nodes, [Projection("x", "p", floats([[1.0]]))])
    with pytest.raises(spikec.SpikecError) as caught, np.errstate(over="ignore"):
        run(made, np.ones((1, 2, 1)), backend)
    line = "p: it sends inf spikes. Check its decay, gain and threshold. [SPK0703]"
    assert str(caught.value) == line
