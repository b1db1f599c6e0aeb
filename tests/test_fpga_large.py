"""Networks of real size on real data: RTL in two simulators, and HLS, all exact."""

from pathlib import Path

import numpy as np
import pytest

import spikec
from rtl_networks import assert_exact, quantized
from sizes import evidence, size
from spikec.backends.fpga import tools
from spikec.backends.fpga.simulation.runner import CosimRunner
from spikec.backends.fpga.simulation.simulators import ALL, NEEDS
from spikec.compiler.types import Array, Bool, Tensor

FULL = size(0, 1) == 1


def simulators() -> list[str]:
    """Return those to run: HLS alone, which is built the fastest, or at full sizes all."""
    found = [name for name in ALL if tools.have(*NEEDS[name])]
    if not found:
        pytest.skip("needs spikec[fpga]")
    return found if FULL else found[-1:]


def run(name: str, program: spikec.Program, given: Array) -> CosimRunner:
    """Compare all simulators with one run of the reference."""
    trace = spikec.simulate(program, given, ("spikes", "state"), "reference")
    runners = [assert_exact(program, given, s, trace=trace) for s in simulators()]
    for simulator, runner in zip(simulators(), runners, strict=True):
        assert runner.last is not None
        evidence(f"fpga_{name}_{simulator}", samples=len(given), counters=runner.last.counters)
    return runners[0]


@pytest.mark.skipif(not FULL, reason="at full sizes only")
def test_cnn_on_recordings(data: Path, recordings: tuple[Array, Array]) -> None:
    """The CNN of the NIR paper at 8 bits on N-MNIST recordings."""
    graph = spikec.load(data / "nir" / "02_cnn" / "cnn_sinabs.nir", semantics="sinabs")
    given = recordings[0][:20]
    runner = run("cnn_sinabs", quantized(graph, given[:2]), given)
    assert runner.last is not None
    assert sum(c["synops"] for c in runner.last.counters) > 1_000_000 * len(given)


def test_mnist(data: Path) -> None:
    """784-128-10 LIF on rate-coded digits; weights are drawn, scaled so that neurons fire."""
    random = np.random.default_rng(0)
    nodes = (
        spikec.Input("in", (784,), Bool()),
        spikec.Population("hidden", (128,), spikec.LIF(decay=0.9, threshold=1.0)),
        spikec.Population("last", (10,), spikec.LIF(decay=0.9, threshold=1.0)),
        spikec.Output("out", "last"),
    )
    first, second = random.normal(0, 0.08, (128, 784)), random.normal(0.05, 0.2, (10, 128))
    projections = (
        spikec.Projection("in", "hidden", spikec.Dense(Tensor.floats(first))),
        spikec.Projection("hidden", "last", spikec.Dense(Tensor.floats(second))),
    )
    graph = spikec.Graph("mnist", nodes, projections, 1e-3)
    with np.load(data / "mnist" / "mnist.npz") as file:
        pixels = file["test_x"][: size(4, 200)].reshape(-1, 1, 784) / 255
    given = random.random((len(pixels), size(10, 25), 784)) < pixels
    runner = run("mnist", quantized(graph, given), given)
    assert runner.last is not None
    hidden, last = runner.last.counters
    assert hidden["events_out"] > 5 * given.shape[0] * given.shape[1]
    assert last["events_out"] > given.shape[0]
