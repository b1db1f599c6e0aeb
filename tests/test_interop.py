"""What we write for snnTorch and Norse, read by their own importers: the same spikes, or told."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import interop_table
import small
import spikec
from interop_cases import (
    CASES,
    CUBA,
    FRAMEWORKS,
    LIF,
    Numbers,
    Verdict,
    is_loss,
    judge,
    network,
    quiet,
    verdict,
)
from sizes import evidence, examples, size
from spikec.compiler.frontends.nir_order import depth_first, when_ready
from spikec.compiler.types import Array
from spikec.compiler.untyped import nir


def installed(framework: str) -> Any:
    """Return the framework, or skip."""
    package = FRAMEWORKS[framework].package
    for name in ("torch", "nirtorch", package):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed (see the extra 'test' of pyproject.toml)")
    return FRAMEWORKS[framework]


# ---------------------------------------------------------------- the importers


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("case", CASES)
def test_same_spikes_or_told(case: str, framework: str) -> None:
    """Whatever is not the same was told when the file was written, and only that."""
    installed(framework)
    found = verdict(case, framework)
    told = [t for t in found.told if is_loss(t)]
    assert (found.kind == "same") == (not told), found
    spikes, total = found.spikes
    assert 0.1 * total < spikes, "hardly a spike to compare"


def test_the_table_of_the_document() -> None:
    """Stands as the installed libraries have it: python tests/interop_table.py."""
    for framework in FRAMEWORKS:
        installed(framework)
    assert interop_table.committed() == interop_table.table()


@st.composite
def readable(draw: Any, framework: str) -> spikec.Graph:
    """Draw a network of what a framework reads: layers, loops, skips of its own neurons."""
    numbers = Numbers()
    numbers.random = np.random.default_rng(draw(st.integers(0, 2**16)))
    populations: list[Any] = []
    edges: list[Any] = []
    before, width = "in", 5
    for k in range(draw(st.integers(1, 3))):
        name, count = f"p{k}", draw(st.integers(1, 6))
        populations.append((name, (count,), neuron(draw, framework, count)))
        bias = numbers(count, spread=0.1) if draw(st.booleans()) else None
        edges.append((before, name, spikec.Dense(numbers(count, width), bias), 0))
        if draw(st.booleans()):
            edges.append((name, name, spikec.Dense(numbers(count, count, spread=0.3)), 1))
        before, width = name, count
    return replace(network(populations, edges), dt=FRAMEWORKS[framework].dt)


def neuron(draw: Any, framework: str, count: int) -> Any:
    """Draw neurons that spike at >, and are reset to zero in the same step."""
    each = np.array(
        draw(st.lists(st.sampled_from([0.5, 0.25, 0.75]), min_size=count, max_size=count))
    )
    gain = draw(st.sampled_from([0.25, 1.0, 2.0]))
    threshold = gain * (each if framework == "Norse" else draw(st.sampled_from([0.5, 1.25])))
    kind = draw(st.sampled_from(["lif", "cuba_lif", "integrate_and_fire"]))
    if kind == "lif":
        return replace(LIF, decay=each[::-1].copy(), gain=gain, threshold=threshold)
    if kind == "integrate_and_fire":
        return spikec.IntegrateAndFire(reset="zero", gain=gain, threshold=threshold)
    decay = draw(st.sampled_from([0.0, 0.5, 0.25]))
    return replace(CUBA, decay=decay, synapse_decay=0.5, gain=gain, threshold=threshold)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@examples(10, 200)
@given(data=st.data())
def test_generated_networks(framework: str, data: Any) -> None:
    """Nothing is told, and every spike of 2 x 100 steps is equal."""
    reader = installed(framework)
    found = judge(data.draw(readable(framework)), reader)
    assert not [t for t in found.told if is_loss(t)], found.told
    assert found.kind == "same", found


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_any_numbers(framework: str) -> None:
    """With numbers that float32 rounds, nearly every network spikes alike all the same."""
    reader = installed(framework)
    random = np.random.default_rng(3)
    found: list[Verdict] = []
    for _ in range(size(10, 200)):
        lif = replace(LIF, decay=float(random.uniform(0.5, 0.98)))
        dense = [spikec.Dense(_any(random, 8, n)) for n in (5, 8, 8)]
        edges = [("in", "a", dense[0], 0), ("a", "b", dense[1], 0), ("b", "b", dense[2], 1)]
        graph = replace(network([("a", (8,), lif), ("b", (8,), lif)], edges), dt=reader.dt)
        found.append(judge(graph, reader))
    same = sum(v.kind == "same" for v in found)
    assert {v.kind for v in found} <= {"same", "differs"}
    assert same >= 0.9 * len(found)
    evidence(f"interop any numbers {framework}", same=same, networks=len(found))


def _any(random: Any, *shape: int) -> Any:
    return spikec.Tensor.floats(random.normal(0.1, 0.6, shape))


# ---------------------------------------------------------------- our own reader


def spikes(graph: spikec.Graph) -> Array:
    random = np.random.default_rng(5)
    data = {
        i.name: (random.random((1, 60, *i.shape)) < 0.4).astype(np.float64) for i in graph.inputs
    }
    discrete = spikec.compile(graph, pipeline="discretize")
    return np.asarray(spikec.simulate(discrete, data).outputs["out"])


NAMES = ("nir", "norse", "snntorch", "sinabs", "rockpool", "spyx", "snn_mlir", "spikingjelly")


@pytest.mark.parametrize("semantics", NAMES)
@pytest.mark.parametrize("kind", ["lif", "cuba_lif", "integrate_and_fire"])
def test_named_conventions_mean_the_same(tmp_path: Path, semantics: str, kind: str) -> None:
    """What is read under the named convention spikes as before: gains, steps, decays of its own."""
    rule = spikec.Semantics.parse(semantics)
    fields = ("compare", "reset", "reset_phase", "fire", "max_spikes")
    shared: dict[str, Any] = {name: getattr(rule, name) for name in fields}
    shared |= {"threshold": np.array([1.5, 3.0, 2.0]), "gain": np.array([1.5, 2.0, 4.0])}
    kinds: dict[str, Any] = {
        "lif": lambda: spikec.LIF(decay=np.array([0.8, 0.85, 0.9]), offset=0.02, **shared),
        "cuba_lif": lambda: spikec.CubaLIF(
            decay=0.8, synapse_decay=0.7, synapse_gain=0.4, offset=0.02, **shared
        ),
        "integrate_and_fire": lambda: spikec.IntegrateAndFire(
            v_min=-shared["threshold"] if rule.lower_clip == "integrate_and_fire" else None,
            **shared,
        ),
    }
    made = kinds[kind]()
    if rule.step_rule != "given" and kind != "integrate_and_fire":
        made = replace(made, decay=0.8)
    dense = spikec.Dense(Numbers()(3, 5))
    graph = replace(network([("n", (3,), made)], [("in", "n", dense, 0)]), dt=2e-3)
    path = tmp_path / "out.nir"
    told = [str(f) for f in spikec.to_nir(graph, path, semantics)]
    assert not [t for t in told if "(rule)" in t or "(gain)" in t], told
    assert [t for t in told if "(step)" in t] == [t for t in told if rule.dt not in (None, 2e-3)][
        :1
    ]
    found = spikec.load(path)
    assert found.dt == (rule.dt or 2e-3)
    assert found.metadata["semantics"] == semantics
    before, after = spikes(graph), spikes(found)
    assert before.any()
    assert np.array_equal(before, after)


def test_hops(tmp_path: Path) -> None:
    """A delay of one is what Lava adds by itself, in a loop too; a longer one is the rest."""
    numbers = Numbers()
    rule = replace(LIF, decay=0.5)
    edges = [
        ("in", "a", spikec.Dense(numbers(4, 5)), 1),
        ("a", "b", spikec.Dense(numbers(4, 4)), 3),
        ("b", "a", spikec.Dense(numbers(4, 4, spread=0.3)), 2),
        ("b", "b", spikec.Dense(numbers(4, 4, spread=0.3)), 1),
    ]
    graph = network([("a", (4,), rule), ("b", (4,), rule)], edges)
    told = [str(f) for f in spikec.to_nir(graph, tmp_path / "out.nir", "lava")]
    assert not [t for t in told if "(hop)" in t]
    found = spikec.load(tmp_path / "out.nir")
    assert sorted(p.delay for p in found.projections) == [1, 1, 2, 3]
    assert np.array_equal(spikes(graph), spikes(found))


def test_a_continuous_network_is_discretised(tmp_path: Path) -> None:
    """Under its own convention, at its own step; without a step that cannot be."""
    own = spikec.Semantics.parse("nir{reset=zero}")
    made = spikec.ContinuousLIF(tau=0.01, r=20.0, v_threshold=0.8, semantics=own)
    dense = spikec.Dense(Numbers()(3, 5))
    graph = replace(network([("n", (3,), made)], [("in", "n", dense, 0)]), dt=1e-3)
    spikec.to_nir(graph, tmp_path / "out.nir", "snntorch")
    tau = nir.read(tmp_path / "out.nir").nodes["n"].tau
    assert np.allclose(tau, 1e-4 / (1 - np.exp(-0.1)), rtol=1e-12)
    assert np.array_equal(spikes(graph), spikes(spikec.load(tmp_path / "out.nir")))
    with pytest.raises(spikec.SpikecError, match="SPK0631"):
        spikec.to_nir(replace(graph, dt=None), tmp_path / "out.nir", "snntorch")


def lif_of(**changed: Any) -> spikec.Graph:
    dense = spikec.Dense(Numbers()(3, 5))
    return network([("n", (3,), replace(LIF, **changed))], [("in", "n", dense, 0)])


@pytest.mark.parametrize(
    ("semantics", "made", "problem"),
    [
        ("snntorch", lambda: lif_of(gain=-1.0), "n.gain: snntorch fixes the input gain, and -1 "),
        ("norse", lambda: lif_of(gain=0.0), "n.gain: norse fixes the input gain, and 0 "),
        ("snntorch", lambda: lif_of(decay=-0.5), "n.decay: -0.5 is not the decay of any time"),
        (
            "sinabs",
            lambda: network(
                [("n", (3,), replace(CUBA, synapse_decay=0.0))],
                [("in", "n", spikec.Dense(Numbers()(3, 5)), 0)],
            ),
            "n.synapse_decay: sinabs multiplies the input by it, and it is 0",
        ),
        ("snn", lif_of, "'snn' is not a known convention"),
    ],
)
def test_refusals(tmp_path: Path, semantics: str, made: Any, problem: str) -> None:
    """By name, and no file is left."""
    with pytest.raises(spikec.SpikecError) as error:
        spikec.to_nir(made(), tmp_path / "out.nir", semantics)
    assert problem in str(error.value)
    assert not list(tmp_path.iterdir())


def test_integers_under_a_named_convention(tmp_path: Path) -> None:
    """A build of integers is written as the real values that they stand for."""
    program = spikec.compile(small.spiking(), pipeline="discretize,quantize")
    told = [str(f) for f in spikec.to_nir(program, tmp_path / "out.nir", "snntorch")]
    assert [t for t in told if "(formats)" in t]
    assert spikec.load(tmp_path / "out.nir").metadata["semantics"] == "snntorch"


# ---------------------------------------------------------------- orders


def test_orders() -> None:
    """Depth first reaches the sum before its second branch; round robin waits for it."""
    types = {"a": "LIF", "m": "Linear", "n": "Linear", "out": "Output", "x": "Input", "z": "LIF"}
    edges = [("x", "a"), ("a", "m"), ("a", "n"), ("m", "z"), ("n", "z"), ("z", "out")]
    assert depth_first(types, edges) == ["x", "a", "m", "z", "out", "n"]
    assert when_ready(types, edges) == ["x", "a", "m", "n", "z", "out"]
    assert when_ready({**types, "other": "Output"}, [*edges, ("a", "other")]) is None


@pytest.mark.parametrize("framework", FRAMEWORKS)
@examples(5, 100)
@given(data=st.data())
def test_orders_of_the_importers(framework: str, data: Any) -> None:
    """Ours are theirs."""
    reader = installed(framework)
    graph = data.draw(readable(framework))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "out.nir"
        spikec.to_nir(graph, path, reader.semantics)
        read = nir.read(path)
        types = {name: type(item).__name__ for name, item in read.nodes.items()}
        with quiet():
            module = reader.load(read)
    if framework == "Norse":
        theirs = [item.name for item in module.execution_order]
        assert theirs == depth_first(types, read.edges)
    else:
        theirs = [item.target for item in module.graph.nodes if item.op == "call_module"]
        ours = when_ready(types, read.edges)
        assert ours is not None
        assert theirs == [name for name in ours if types[name] not in ("Input", "Output")]
