"""What little input may ask for is limited, and said so; what is clipped is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small
import spikec
from nir_files import chain, lif, linear, node, write
from spikec.compiler.errors import MOST_TEXT, Finding, SpikecError
from spikec.compiler.npz import read_npz, write_npz
from spikec.compiler.synapses import Conv1d, Conv2d, Pool2d
from spikec.compiler.types import FixedPoint, Tensor
from spikec.compiler.untyped import h5py


def failure(call: Callable[[], Any]) -> str:
    with pytest.raises(SpikecError) as caught:
        call()
    return str(caught.value)


ONE = Tensor.floats(1.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Pool2d((1, 4, 4), (1, 1), ONE, (1 << 20, 1 << 20), (1 << 20, 1 << 20)),
        lambda: Pool2d((1, 4000, 4000), (2000, 2000), ONE),
        lambda: Conv2d((1, 4, 4), Tensor.floats(np.ones((1, 1, 1, 1))), padding=(1 << 20, 1 << 20)),
        lambda: Conv2d((1, 3000, 3000), Tensor.floats(np.ones((1, 1, 9, 9)))),
        lambda: Conv1d((1, 4), Tensor.floats(np.ones((1, 1, 1))), padding=1 << 30),
    ],
)
def test_windows(make: Callable[[], Any]) -> None:
    """Padding, windows and products of one projection."""
    assert failure(make).endswith("Split the model. [SPK0828]")


def test_vgg_fits() -> None:
    """The largest layer of VGG-16, its widest, and a strided first layer of ResNet."""
    Conv2d((64, 224, 224), Tensor.floats(np.ones((64, 64, 3, 3))), padding=(1, 1))
    Conv2d((512, 28, 28), Tensor.floats(np.ones((512, 512, 3, 3))), padding=(1, 1))
    Conv2d((3, 224, 224), Tensor.floats(np.ones((64, 3, 7, 7))), None, (2, 2), (3, 3))


def test_rows_of_a_convolution_are_summed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bounded memory, with the same result."""
    random = np.random.default_rng(0)
    kernel = Tensor.integers(random.integers(-9, 9, (4, 2, 3, 3)), FixedPoint(8))
    synapse = Conv2d((4, 9, 8), kernel, None, (2, 1), (1, 1), (1, 2), 2)
    x = random.integers(0, 2, (3, synapse.in_size))
    whole = synapse.apply(x)
    monkeypatch.setattr("spikec.compiler.synapses.convolution.GATHERED", 1)
    assert np.array_equal(synapse.apply(x), whole)


@pytest.mark.parametrize(
    "make",
    [
        lambda: spikec.FixedProbability.of(1 << 20, 1 << 20, 0.01, 1.0, 0),
        lambda: spikec.FixedProbability.of(1 << 22, 1 << 22, 1e-9, 1.0, 0),
        lambda: spikec.DistanceDependent.gaussian((40, 40, 40), 0.5, 20.0, 1.0, 0),
    ],
)
def test_synapses_from_a_seed(make: Callable[[], Any]) -> None:
    """Synapses, and what is drawn or looked at for them."""
    assert failure(make).endswith("Split the model. [SPK0820]")


def test_expected_synapses_are_near_the_drawn_ones() -> None:
    """The estimate that the limit is for."""
    for synapse in (
        spikec.FixedProbability.of(300, 400, 0.1, 1.0, 1),
        spikec.DistanceDependent.gaussian((8, 8, 8), 0.5, 2.0, 1.0, 1),
    ):
        drawn = synapse.stored().weight.data.size
        assert drawn <= synapse.tried()[0] * 1.05
        assert drawn >= synapse.tried()[0] * 0.3


def test_a_population_cannot_wait_for_ever(tmp_path: Path) -> None:
    """A build that says so is refused."""
    graph = small.spiking()
    late = [spikec.Population(p.name, p.shape, p.neuron, start=10_001) for p in graph.populations]
    program = spikec.Program(graph.with_nodes(late))
    line = "hidden: start 10001 is more than 10000. Use 0 or more. [SPK0515]"
    assert failure(lambda: spikec.emit(program, tmp_path / "build")) == line
    assert failure(lambda: spikec.Simulator(program)) == line


def test_a_simulator_verifies() -> None:
    """A program put together by hand is checked before it runs."""
    program = spikec.Program(small.cyclic())
    assert "cycle without delay" in failure(lambda: spikec.Simulator(program))
    bad = spikec.Program(small.not_a_number())
    assert "[SPK0516]" in failure(lambda: spikec.simulate(bad, small.data()))


def test_messages_are_cut() -> None:
    """A shape of ten thousand axes does not fill the screen."""
    error = SpikecError("SPK0000", "w" * 5000, "p" * 5000, "r" * 5000)
    assert len(str(error)) < 3 * MOST_TEXT + 50
    assert str(error).endswith("r.... [SPK0000]")
    assert len(str(Finding("SPK0000", "w" * 5000, "m" * 5000))) < 2 * MOST_TEXT + 50


def test_axes_of_a_shape(tmp_path: Path) -> None:
    """A shape has up to 32 of them."""
    path = write(tmp_path / "net.nir", chain([1] * 33, [1], n=lif()))
    assert failure(lambda: spikec.load(path, 1e-3)) == (
        "in.shape: 33 numbers are more than 32 axes. Correct the file. [SPK1019]"
    )


def test_a_small_file_may_not_declare_much(tmp_path: Path) -> None:
    """128 MiB, or 16 times its own size; what is stored plainly is always read."""
    path = tmp_path / "net.nir"
    plain = np.random.default_rng(0).normal(size=(1000, 4)).astype("f4")
    write(path, chain([4], [1000], fc=linear(2, 2, weight=plain), n=lif(1000)))
    assert spikec.load(path, 1e-3).projections[0].synapse.weight.shape == (1000, 4)
    write(path, chain([4], [4], s=node("Scale", scale=1.0), n=lif(4)))
    with h5py.File(path, "r+") as file:
        del file["node/nodes/s/scale"]
        file["node/nodes/s"].create_dataset("scale", ((1 << 24) + 1,), "i1", chunks=(1000,))
    assert "declares 134217880 bytes of numbers, more than 134217728" in failure(
        lambda: spikec.load(path, 1e-3)
    )


def test_arrays_of_a_build_are_no_larger_than_their_file(tmp_path: Path) -> None:
    """A compressed bomb is refused before it is unpacked."""
    program = spikec.compile(small.spiking())
    spikec.emit(program, tmp_path / "build")
    np.savez_compressed(tmp_path / "x.npz", a=np.zeros(10_000_000))
    size = (tmp_path / "x.npz").stat().st_size
    with (tmp_path / "x.npz").open("rb") as stream:
        assert f"take 80000000 bytes, more than the {size} that are read" in failure(
            lambda: read_npz(stream, "x.npz", size)
        )
    write_npz(tmp_path / "y.npz", {"a": np.arange(5)})
    with (tmp_path / "y.npz").open("rb") as stream:
        assert read_npz(stream, "y.npz", (tmp_path / "y.npz").stat().st_size)["a"].size == 5


# ---------------------------------------------------------------- inputs


def quantized() -> spikec.Program:
    data = np.random.default_rng(0).uniform(-1, 1, (4, 20, *small.SHAPE))
    graph = small.network(signal=spikec.Input("x", (1,)).signal)
    return spikec.compile(graph, pipeline="discretize,quantize", calibration=data)


def test_clipped_inputs_are_told() -> None:
    """Once for each input, with how many, one of them, and the range that the format holds."""
    program = quantized()
    assert isinstance(program.graph.inputs[0].signal, FixedPoint)
    told: list[Finding] = []
    simulator = spikec.Simulator(program, report=told.append)
    data = np.zeros((1, 3, *small.SHAPE))
    simulator.run(data)
    assert told == []
    data[0, 1, 0, 2] = 7.0
    for _ in range(2):
        simulator.run(data)
    (finding,) = told
    assert finding.code == "SPK0829"
    assert str(finding).startswith("input 'in': 1 of 18 values, as 7, are clipped to -1")
    with pytest.warns(UserWarning, match="are clipped to"):
        spikec.simulate(program, data)


@pytest.mark.parametrize("kind", ["f2", "f4", "g", "i1", "u8"])
def test_inputs_of_any_width(kind: str) -> None:
    """Half precision gives what float64 gives: it does not overflow on the way."""
    program = quantized()
    values = np.array([0.0, 0.25, 0.5, 1.0, 0.75, 0.125]).reshape(1, 1, *small.SHAPE)
    given = (values if np.dtype(kind).kind == "f" else np.rint(values)).astype(kind)
    first = spikec.simulate(program, given, ("state",))
    second = spikec.simulate(program, given.astype(np.float64), ("state",))
    for name, states in first.state.items():
        for state, held in states.items():
            assert np.array_equal(held, second.state[name][state])


def test_counts_that_no_integer_holds() -> None:
    """An output of counts is integers; floating point may count further."""
    tiny = spikec.LIF(decay=0.5, threshold=1e-30, max_spikes=0, compare="ge", reset="zero")
    program = spikec.compile(small.network(last=tiny))
    data = np.ones((1, 9, *small.SHAPE))
    assert "spikes in a step, which no integer holds" in failure(
        lambda: spikec.simulate(program, data)
    )
