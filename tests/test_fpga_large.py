"""Networks of real size on real data: RTL in two simulators, and HLS, all exact."""

from pathlib import Path

import numpy as np
import pytest

import spikec
from rtl_networks import assert_exact, quantized
from sizes import evidence, size
from spikec.backends.fpga import tools
from spikec.backends.fpga.simulators import ALL, NEEDS
from spikec.compiler.types import Array, Bool, Tensor

FULL = size(0, 1) == 1
SIMULATORS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            not tools.have(*NEEDS[name]), reason=f"needs {', '.join(NEEDS[name])} (spikec[fpga])"
        ),
    )
    for name in ALL
]
# HLS is built the fastest.
SOME = SIMULATORS if FULL else SIMULATORS[-1:]


@pytest.mark.skipif(not FULL, reason="at full sizes only")
@pytest.mark.parametrize("simulator", SIMULATORS)
def test_cnn_on_recordings(data: Path, recordings: tuple[Array, Array], simulator: str) -> None:
    """The CNN of the NIR paper at 8 bits on N-MNIST recordings."""
    graph = spikec.load(data / "nir" / "02_cnn" / "cnn_sinabs.nir", semantics="sinabs")
    given = recordings[0][:20]
    program = quantized(graph, given)
    runner = assert_exact(program, given, simulator)
    assert runner.last is not None
    assert sum(c["synops"] for c in runner.last.counters) > 1_000_000 * len(given)
    evidence(f"fpga_cnn_sinabs_{simulator}", samples=len(given), counters=runner.last.counters)


@pytest.mark.parametrize("simulator", SOME)
def test_mnist(data: Path, simulator: str) -> None:
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
    runner = assert_exact(quantized(graph, given), given, simulator)
    assert runner.last is not None
    hidden, last = runner.last.counters
    assert hidden["events_out"] > 5 * given.shape[0] * given.shape[1]
    assert last["events_out"] > given.shape[0]
    evidence(f"fpga_mnist_{simulator}", samples=len(given), counters=runner.last.counters)
