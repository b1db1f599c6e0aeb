"""Networks unrolled over time: rolled up again where every step is the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnx_files
import spikec
import test_onnx_spiking as single
from spikec import SpikecError

STEPS = 6


def leaky(**options: Any) -> Callable[[], tuple[Any, Any]]:
    """Two layers of snnTorch, states from their own reset."""

    def build() -> tuple[Any, Any]:
        module, _ = single.leaky(**options)

        def start(m: Any) -> Any:
            return m.n1.reset_mem(), m.n2.reset_mem()

        return module, start

    return build


def zeros(build: Callable[[], tuple[Any, tuple[int, ...]]]) -> Callable[[], tuple[Any, Any]]:
    """States that are zeros made in the graph."""

    def made() -> tuple[Any, Any]:
        module, sizes = build()
        torch = single.torch_()

        def start(m: Any) -> Any:
            return tuple(torch.zeros(1, n) for n in sizes)

        return module, start

    return made


CASES = {
    "leaky subtract": leaky(),
    "leaky zero": leaky(reset_mechanism="zero"),
    "synaptic": zeros(single.synaptic),
    "rleaky": zeros(lambda: single.rleaky(True)),
    "norse LIFCell": zeros(single.norse_lif),
    "norse LIFBoxCell": zeros(single.norse_box),
    "norse LIFRecurrentCell": zeros(single.norse_recurrent),
}


def exported(case: str, folder: Path, dynamo: bool, steps: int = STEPS) -> Path:
    torch = single.torch_()
    module, start = CASES[case]()

    def forward(m: Any, x: Any) -> Any:
        states = start(m)
        made: list[Any] = []
        for t in range(steps):
            out = module(x[t], *states)
            made.append(out[0])
            states = out if len(out) == len(states) else out[1:]
        return torch.stack(made)

    unrolled = single.Step.module({}, forward)
    for name, part in module.named_children():
        unrolled.add_module(name, part)
    return onnx_files.export(unrolled, (torch.ones(steps, 1, 6),), folder / "u.onnx", dynamo)


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_every_spike_of_an_unrolled_network(tmp_path: Path, case: str, dynamo: bool) -> None:
    """The step that is found again gives the spikes of all steps."""
    path = exported(case, tmp_path, dynamo)
    graph = spikec.load(str(path))
    assert f"{STEPS} equal steps are rolled up into one" in str(graph.findings)
    program, spikes = spikec.compile(graph), 0
    for seed in range(8):
        x = (np.random.default_rng(seed).random((STEPS, 1, 6)) < 0.6).astype("f4")
        (name,) = onnx_files.names(path)
        (want,) = onnx_files.run(path, {name: x})
        got = spikec.simulate(program, x[None, :, 0].astype(np.float64)).output[0]
        assert np.array_equal(got, want[:, 0])
        spikes += int(want.sum())
    assert spikes > 20


def chain(folder: Path, factors: list[float], first: float = 0.0) -> Path:
    """Write v <- factor v + x, a spike above one, and no reset, step by step."""
    steps = len(factors)
    constants: dict[str, Any] = {f"d{t}": np.float32(f) for t, f in enumerate(factors)}
    constants |= {f"i{t}": np.int64(t) for t in range(steps)}
    constants |= {"one": np.float32(1), "axis": np.array([0]), "v": np.full((1, 3), first, "f4")}
    nodes: list[Any] = []
    for t in range(steps):
        before = f"v{t - 1}" if t else "v"
        nodes += [
            ("Gather", ("x", f"i{t}"), f"x{t}", {"axis": 0}),
            ("Mul", (before, f"d{t}"), f"m{t}", {}),
            ("Add", (f"m{t}", f"x{t}"), f"v{t}", {}),
            ("Greater", (f"v{t}", "one"), f"g{t}", {}),
            ("Cast", (f"g{t}",), f"s{t}", {"to": 1}),
            ("Unsqueeze", (f"s{t}", "axis"), f"u{t}", {}),
        ]
    nodes.append(("Concat", tuple(f"u{t}" for t in range(steps)), "y", {"axis": 0}))
    return onnx_files.save(folder / "c.onnx", nodes, constants, {"x": (steps, 1, 3)}, ["y"])


def message(path: Path) -> str:
    with pytest.raises(SpikecError) as caught:
        spikec.load(str(path))
    return str(caught.value)


def test_steps_that_differ(tmp_path: Path) -> None:
    """In a number, in the first state, or because there are too few."""
    assert len(spikec.load(str(chain(tmp_path, [0.5] * 4))).populations) == 1
    end = "so the network cannot be rolled up. Export a single step, with states in and out. "
    assert message(chain(tmp_path, [0.5, 0.5, 0.25, 0.5, 0.5])) == (
        f"d3: it differs from d2 of the step before, {end}[SPK1450]"
    )
    assert message(chain(tmp_path, [0.5] * 5, first=0.5)).endswith(
        f"the first step is not one with states of zero, {end}[SPK1450]"
    )
    assert message(chain(tmp_path, [0.5] * 3)) == f"c: it has 3 steps, fewer than 4, {end}[SPK1450]"
