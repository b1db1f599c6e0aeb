"""Single-step ONNX exports of snnTorch and Norse: every spike as onnxruntime gives it."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnx_files
import spikec
from sizes import size
from spikec import LIF, CubaLIF, SpikecError
from spikec.compiler.types import Array

STEPS = 50


def torch_() -> Any:
    return pytest.importorskip("torch", reason="torch is not installed")


def snntorch() -> Any:
    return pytest.importorskip("snntorch", reason="snntorch is not installed")


def norse() -> Any:
    return pytest.importorskip("norse.torch", reason="norse is not installed")


class Step:
    """What a torch module does in one step; weights on a grid that float32 holds exactly."""

    @staticmethod
    def module(parts: dict[str, Any], forward: Callable[..., Any]) -> Any:
        nn: Any = importlib.import_module("torch.nn")

        class Module(nn.Module):  # type: ignore[misc]
            def forward(self, x: Any, *states: Any) -> Any:
                return forward(self, x, *states)

        made: Any = Module()
        for name, part in parts.items():
            made.add_module(name, part)
        torch = torch_()
        random = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for name, parameter in made.named_parameters():
                if parameter.ndim > 0 and ("weight" in name or "bias" in name):
                    grid = torch.randint(-12, 17, parameter.shape, generator=random)
                    parameter.copy_(grid / 32)
        return made


def linear(a: int, b: int) -> Any:
    return torch_().nn.Linear(a, b)


def leaky(**options: Any) -> tuple[Any, tuple[int, ...]]:
    """Two layers; the second has another decay and threshold."""
    cells = snntorch()
    parts = {
        "f1": linear(6, 5), "n1": cells.Leaky(beta=0.875, **options),
        "f2": linear(5, 4), "n2": cells.Leaky(beta=0.75, threshold=0.5, **options),
    }  # fmt: skip

    def forward(m: Any, x: Any, a: Any, b: Any) -> Any:
        spike, a = m.n1(m.f1(x), a)
        spike, b = m.n2(m.f2(spike), b)
        return spike, a, b

    return Step.module(parts, forward), (5, 4)


def two_states(m: Any, x: Any, first: Any, second: Any) -> Any:
    return m.n(m.f(x), first, second)


def synaptic() -> tuple[Any, tuple[int, ...]]:
    parts = {"f": linear(6, 5), "n": snntorch().Synaptic(alpha=0.5, beta=0.75)}
    return Step.module(parts, two_states), (5, 5)


def rleaky(everywhere: bool) -> tuple[Any, tuple[int, ...]]:
    options = {"linear_features": 5} if everywhere else {"all_to_all": False, "V": 0.25}
    parts = {"f": linear(6, 5), "n": snntorch().RLeaky(beta=0.75, **options)}
    return Step.module(parts, two_states), (5, 5)


def parameters(kind: str, **values: float) -> Any:
    torch = torch_()
    return getattr(norse(), kind)(**{k: torch.tensor(v) for k, v in values.items()})


def norse_lif() -> tuple[Any, tuple[int, ...]]:
    cells = norse()
    p = parameters("LIFParameters", tau_mem_inv=250.0, tau_syn_inv=500.0, v_th=0.5)
    parts = {"f": linear(6, 5), "n": cells.LIFCell(p)}

    def forward(m: Any, x: Any, v: Any, i: Any) -> Any:
        spike, state = m.n(m.f(x), cells.LIFFeedForwardState(v, i))
        return spike, state.v, state.i

    return Step.module(parts, forward), (5, 5)


def norse_box() -> tuple[Any, tuple[int, ...]]:
    cells = norse()
    p = parameters("LIFBoxParameters", tau_mem_inv=250.0, v_th=0.125)
    parts = {"f": linear(6, 5), "n": cells.LIFBoxCell(p)}

    def forward(m: Any, x: Any, v: Any) -> Any:
        spike, state = m.n(m.f(x), cells.LIFBoxFeedForwardState(v))
        return spike, state.v

    return Step.module(parts, forward), (5,)


def norse_recurrent() -> tuple[Any, tuple[int, ...]]:
    cells = norse()
    p = parameters("LIFParameters", tau_mem_inv=250.0, tau_syn_inv=500.0, v_th=0.5)
    parts = {"n": cells.LIFRecurrentCell(6, 5, p)}

    def forward(m: Any, x: Any, z: Any, v: Any, i: Any) -> Any:
        spike, state = m.n(x, cells.LIFState(z, v, i))
        return spike, state.v, state.i

    return Step.module(parts, forward), (5, 5, 5)


CASES: dict[str, tuple[Callable[[], tuple[Any, tuple[int, ...]]], list[str]]] = {
    "leaky subtract": (leaky, ["lif", "lif"]),
    "leaky zero": (lambda: leaky(reset_mechanism="zero"), ["lif", "lif"]),
    "leaky none": (lambda: leaky(reset_mechanism="none"), ["lif", "lif"]),
    "synaptic": (synaptic, ["cuba_lif"]),
    "rleaky all to all": (lambda: rleaky(True), ["lif"]),
    "rleaky one to one": (lambda: rleaky(False), ["lif"]),
    "norse LIFCell": (norse_lif, ["cuba_lif"]),
    "norse LIFBoxCell": (norse_box, ["lif"]),
    "norse LIFRecurrentCell": (norse_recurrent, ["cuba_lif"]),
}


def exported(case: str, folder: Path, dynamo: bool) -> tuple[Path, tuple[int, ...]]:
    torch = torch_()
    module, sizes = CASES[case][0]()
    # An exporter takes one tensor given twice for one and the same input.
    states = [torch.full((1, n), 0.25 * (k + 1)) for k, n in enumerate(sizes)]
    path = onnx_files.export(module, (torch.ones(1, 6), *states), folder / "net.onnx", dynamo)
    return path, sizes


def run_steps(path: Path, x: Array, sizes: tuple[int, ...]) -> Array:
    """Return the spikes (steps, neurons) of onnxruntime, states passed on by their order."""
    runtime: Any = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    session = runtime.InferenceSession(str(path))
    names = [i.name for i in session.get_inputs()]
    outputs = [o.name for o in session.get_outputs()]
    states = [np.zeros((1, n), dtype="f4") for n in sizes]
    spikes: list[Array] = []
    for row in x.astype("f4"):
        made = session.run(outputs, dict(zip(names, [row[None], *states], strict=True)))
        spikes.append(made[0][0])
        # A recurrent cell takes its spikes as its first state.
        states = made if len(made) == len(sizes) else made[1:]
    return np.stack(spikes)


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_every_spike_of_a_cell(tmp_path: Path, case: str, dynamo: bool) -> None:
    """Both exporters, 50 steps, inputs that make a good part of the neurons spike."""
    path, sizes = exported(case, tmp_path, dynamo)
    graph = spikec.load(str(path))
    assert [p.model().kind for p in graph.populations] == CASES[case][1]
    program, spikes = spikec.compile(graph), 0
    for seed in range(size(2, 20)):
        x = (np.random.default_rng(seed).random((STEPS, 6)) < 0.5).astype(np.float64)
        want = run_steps(path, x, sizes)
        assert np.array_equal(spikec.simulate(program, x[None]).output[0], want)
        spikes += int(want.sum())
    assert 20 * size(2, 20) < spikes < 0.95 * size(2, 20) * STEPS * sizes[-1]


def test_options_are_read_from_the_equation(tmp_path: Path) -> None:
    """Reset, phase, decay and threshold of snnTorch's default; jump and same step of Norse's."""
    graph = spikec.load(str(exported("leaky subtract", tmp_path, True)[0]))
    first, second = (p.neuron for p in graph.populations)
    assert isinstance(first, LIF)
    assert isinstance(second, LIF)
    assert (float(first.decay.data), float(second.threshold.data)) == (0.875, 0.5)
    assert (first.reset, first.reset_phase, first.compare) == ("subtract", "next", "gt")
    (population,) = spikec.load(str(exported("norse LIFCell", tmp_path, True)[0])).populations
    neuron = population.neuron
    assert isinstance(neuron, CubaLIF)
    assert (neuron.current_phase, neuron.reset, neuron.reset_phase) == ("jump", "zero", "same")
    assert (float(neuron.decay.data), float(neuron.synapse_decay.data)) == (0.75, 0.5)


def message(path: Path) -> str:
    with pytest.raises(SpikecError) as caught:
        spikec.load(str(path))
    return str(caught.value)


def hand(folder: Path, nodes: list[Any], outputs: list[str]) -> Path:
    """Write a neuron by hand: x and v come in, v' = 0.5 v + x and its spike are there."""
    constants: dict[str, Any] = {"d": np.float32(0.5), "one": np.float32(1), "zero": np.float32(0)}
    start: list[Any] = [("Mul", ("v", "d"), "m", {}), ("Add", ("m", "x"), "a", {})]
    spike: list[Any] = [("Sub", ("a", "one"), "t", {}), ("Greater", ("t", "zero"), "g", {})]
    spike.append(("Cast", ("g",), "s", {"to": 1}))
    shapes = {"x": (1, 3), "v": (1, 3)}
    return onnx_files.save(folder / "h.onnx", start + spike + nodes, constants, shapes, outputs)


def test_the_same_neuron_written_otherwise(tmp_path: Path) -> None:
    """v' = where(not s, a, 0) is the reset to zero; so is a (1 - s)."""
    forms: list[list[Any]] = [
        [("Not", ("g",), "n", {}), ("Where", ("n", "a", "zero"), "w", {})],
        [("Sub", ("one", "s"), "n", {}), ("Mul", ("n", "a"), "w", {})],
        [("Mul", ("a", "s"), "n", {}), ("Neg", ("n",), "k", {}), ("Add", ("k", "a"), "w", {})],
        [("Less", ("a", "one"), "n", {}), ("Where", ("g", "zero", "a"), "w", {})],
    ]
    for nodes in forms:
        (population,) = spikec.load(str(hand(tmp_path, nodes, ["s", "w"]))).populations
        assert isinstance(population.neuron, LIF)
        assert population.neuron.reset == "zero"
        assert population.neuron.reset_phase == "same"


def test_what_does_not_match_shows_its_equation(tmp_path: Path) -> None:
    """And the nodes that compute it."""
    nodes: list[Any] = [("Mul", ("v", "v"), "q", {}), ("Add", ("a", "q"), "w", {})]
    assert message(hand(tmp_path, nodes, ["s", "w"])) == (
        "state 'v': its equation v <- 0.5 v + x + v v is no neuron model: it is not linear in its "
        "state; nodes m (Mul), a (Add), q (Mul), w (Add). "
        "See docs/onnx.md for those that are recognised. [SPK1433]"
    )
    nodes = [("Mul", ("s", "d"), "h", {}), ("Sub", ("a", "h"), "w", {})]
    assert "a spike adds -0.5, which is no reset" in message(hand(tmp_path, nodes, ["s", "w"]))
    assert "[SPK1434]" in message(hand(tmp_path, [], ["s"]))


def test_a_state_that_is_not_returned(tmp_path: Path) -> None:
    """What it becomes is not guessed."""
    nodes: list[Any] = [("Add", ("v", "u"), "w", {}), ("Greater", ("w", "x"), "s", {})]
    shapes = {"x": (1, 3), "v": (1, 3), "u": (1, 3)}
    assert message(onnx_files.save(tmp_path / "s.onnx", nodes, {}, shapes, ["s"])) == (
        "input 'v': of the outputs s it is not clear which is its next value. "
        "Return every state, in the order in which the inputs take them. [SPK1431]"
    )


def test_the_step_is_given_and_the_meaning_is_not(tmp_path: Path) -> None:
    """dt is how long a step is; semantics would change nothing, so they are refused."""
    nodes: list[Any] = [("Sub", ("one", "s"), "n", {}), ("Mul", ("n", "a"), "w", {})]
    path = hand(tmp_path, nodes, ["s", "w"])
    assert spikec.load(str(path)).dt is None
    assert spikec.load(str(path), dt=1e-3).dt == 1e-3
    with pytest.raises(SpikecError, match="SPK1435"):
        spikec.load(str(path), semantics="norse")


def test_a_relu_network_is_converted_not_loaded(tmp_path: Path) -> None:
    """The error says so."""
    path = onnx_files.save(
        tmp_path / "r.onnx", [("Relu", ("x",), "y", {})], {}, {"x": (1, 3)}, ["y"]
    )
    assert message(path) == (
        "r: it is no spiking network: 'y' is a rectifier. "
        "Convert a ReLU network with spikec convert, or spikec.convert. [SPK1430]"
    )


def test_a_maximum_of_spikes(tmp_path: Path) -> None:
    """MaxPool on spikes is one where any is."""
    constants: dict[str, Any] = {"half": np.float32(0.5)}
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes: list[Any] = [
        ("Greater", ("x", "half"), "g", {}),
        ("Cast", ("g",), "s", {"to": 1}),
        ("MaxPool", ("s",), "y", pool),
    ]
    path = onnx_files.save(tmp_path / "m.onnx", nodes, constants, {"x": (1, 1, 4, 4)}, ["y"])
    x = np.random.default_rng(0).random((1, 20, 1, 4, 4)) * 0.7
    got = spikec.simulate(spikec.compile(spikec.load(str(path))), x).output[0]
    want = [onnx_files.run(path, {"x": row[None].astype("f4")})[0][0] for row in x[0]]
    assert np.array_equal(got, np.stack(want))
    assert 0 < got.mean() < 1
