"""lava-dl .net files that are wrong, broken or hostile: one line, or a network that runs."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

import spikec
from fuzzing import hdf5
from net_files import Record, dense, image, neuron, random_net, write
from sizes import evidence, size
from spikec.compiler.compare import compare
from spikec.compiler.signals import random_inputs
from spikec.compiler.untyped import h5py

IMAGE = {"type": "input", "shape": [2, 4, 4]}
SAME = {"stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": 1}
POOLED = {"stride": [2, 2], "padding": [0, 0], "dilation": [1, 1]}
CONV = image("conv", (3, 4, 4), np.ones((3, 2, 3, 3)), **SAME)
POOL = image("pool", (2, 2, 2), np.ones((1, 1, 2, 2)), **POOLED)
FC = dense([[2, 4], [6, 8]])


def without(layer: Record, name: str) -> Record:
    """Return a layer without a member."""
    return {k: v for k, v in layer.items() if k != name}


MISTAKES: dict[str, tuple[list[Record], str]] = {
    "sigma-delta": (
        [FC | neuron(type="SDNN")],
        "layer.0 dense: it has sigma-delta neurons, and a core of Loihi is compiled with CUBA-LIF "
        "alone. Use neurons of type CUBA or LOIHI. [SPK1707]",
    ),
    "resonators": (
        [FC | neuron(type="RF_PHASE")],
        "layer.0 dense: it has neurons of type RF_PHASE, and a core of Loihi is compiled with "
        "CUBA-LIF alone. Use neurons of type CUBA or LOIHI. [SPK1707]",
    ),
    "complex": (
        [without(FC, "weight") | {"weight/real": [[1.0]], "weight/imag": [[1.0]]}],
        "layer.0 dense: its weights are complex numbers, which resonate-and-fire neurons use. Use "
        "layers of CUBA neurons. [SPK1701]",
    ),
    "type": (
        [FC, FC | {"type": "convT"}],
        "layer.1 convT: layers of this type of lava-dl are not supported. Use input, flatten, "
        "average, dense, dense_rec, conv, pool. [SPK1702]",
    ),
    "other type": (
        [FC | {"type": "lstm"}],
        "layer.0 lstm: layers of this type are not supported. Use input, flatten, average, dense, "
        "dense_rec, conv, pool. [SPK1702]",
    ),
    "second input": (
        [FC, IMAGE],
        "layer.1 input: it does not stand first. Reorder. [SPK1703]",
    ),
    "early average": (
        [FC, {"type": "average", "shape": [1]}, FC],
        "layer.1 average: it does not stand last, behind neurons. Reorder. [SPK1703]",
    ),
    "groups": (
        [FC, {"type": "average", "shape": [3]}],
        "layer.1 average: 2 neurons are not 3 groups of one size. Correct the shape. [SPK1704]",
    ),
    "no input": (
        [CONV],
        "layer.0 conv: nothing says what shape the input has. Put a layer of type input with its "
        "shape first. [SPK1705]",
    ),
    "nothing": ([], "n: it has no layer of neurons behind its input. Add one. [SPK1706]"),
    "refractory": (
        [FC | neuron(refDelay=4)],
        "layer.0 dense: refDelay is 4, and even netx leaves refractory periods and graded "
        "spikes out. Train with refDelay 1. [SPK1708]",
    ),
    "graded": (
        [FC | neuron(gradedSpike=True)],
        "layer.0 dense: gradedSpike is 1, and even netx leaves refractory periods and graded "
        "spikes out. Train with gradedSpike 0. [SPK1708]",
    ),
    "fraction": (
        [dense([[0.5, 1]])],
        "layer.0.weight: 0.5 is no whole number from -256 to 255. Export the network with "
        "quantised numbers. [SPK1709]",
    ),
    "large": (
        [dense([[1, 300]])],
        "layer.0.weight: 300 is no whole number from -256 to 255. Export the network with "
        "quantised numbers. [SPK1709]",
    ),
    "decay": (
        [FC | neuron(i=5000)],
        "layer.0.neuron.iDecay: 5000 is no whole number from 0 to 4096. Export the network with "
        "quantised numbers. [SPK1709]",
    ),
    "delay": (
        [FC | {"delay": [3.0, 63.0]}],
        "layer.0.delay: 63 is no whole number from 0 to 62. Export the network with "
        "quantised numbers. [SPK1709]",
    ),
    "thresholds": (
        [FC | neuron(threshold=[1, 2, 3])],
        "layer.0.neuron.vThMant: 3 numbers are neither 1 nor one for each of 2 channels. Write the "
        "file again. [SPK1710]",
    ),
    "no flatten": (
        [IMAGE, dense(np.ones((1, 32)))],
        "layer.1 dense: it hears an image of shape (2, 4, 4) without a flatten layer between them. "
        "Put one there: it says in which order the neurons are. [SPK1711]",
    ),
    "flat conv": (
        [IMAGE, {"type": "flatten", "shape": [32, 1, 1]}, CONV],
        "layer.2 conv: it hears a flat row, not an image. Give it (channels, height, width). "
        "[SPK1712]",
    ),
    "dense conv": (
        [FC, CONV],
        "layer.1 conv: it hears the shape (2,), not an image. Give it (channels, height, width). "
        "[SPK1712]",
    ),
    "windows": (
        [IMAGE, POOL | {"stride": [1, 2]}],
        "layer.1 pool: windows 2 high with stride 1, dilation 1 and padding 0 on 4 rows run over "
        "into the next channel in slayer. Use windows that follow on each other and cover the "
        "image. [SPK1713]",
    ),
    "delays": (
        [FC | {"delay": [1.0, 2.0, 3.0]}],
        "layer.0 dense: delays of shape (3,) fit neither its 2 neurons nor its 2 sources. Write "
        "the file again. [SPK1714]",
    ),
    "shape": (
        [IMAGE, CONV | {"shape": [3, 4, 5]}],
        "layer.1 conv: its shape is (3, 4, 5), its weights and geometry give (3, 4, 4). Write the "
        "file again. [SPK1715]",
    ),
    "sizes": (
        [FC, dense([[2, 4, 6]])],
        "layer.1 dense: weight has shape (1, 3), what it hears (2,). Correct the file: they do not "
        "fit. [SPK1716]",
    ),
    "recurrent delays": (
        [dense(FC["weight"], "dense_rec", weight_rec=FC["weight"], delay=1.0)],
        "layer.0 dense_rec: it has delays and recurrent synapses, whose weights netx then scales "
        "wrongly. Train it without delays. [SPK1717]",
    ),
    "no decay": (
        [without(FC, "neuron/vDecay")],
        "layer.0.neuron.vDecay: is missing. Write the file again. [SPK1003]",
    ),
    "exponents": (
        [FC | neuron(wgtExp=[1, 2])],
        "layer.0.neuron.wgtExp: 2 numbers are neither 1 nor one for each of 1 channels. Write the "
        "file again. [SPK1710]",
    ),
    "two groups": (
        [IMAGE, CONV | {"groups": [1, 2]}],
        "layer.1 conv: groups has the numbers 1 and 2. Correct the file: they do not fit. "
        "[SPK1716]",
    ),
    "delays of very many synapses": (
        [
            {"type": "input", "shape": [1, 2000, 2000]},
            image("conv", (2, 2000, 2000), np.ones((2, 1, 3, 3)), delay=3.0, **SAME),
        ],
        "layer.1 conv: 72000000 neurons, or synapses with delays, are more than 33554432. Split "
        "the layer, or leave out its delays. [SPK1727]",
    ),
    "neurons of the input": (
        [{"type": "input", "shape": [3]} | neuron(type="ALIF"), FC],
        "layer.0 input: it has neurons of type ALIF, and a core of Loihi is compiled with CUBA-LIF "
        "alone. Use neurons of type CUBA or LOIHI. [SPK1707]",
    ),
    "kernel": (
        [IMAGE, CONV | {"weight": np.ones((3, 3, 3, 3))}],
        "layer.1 conv: conv2d: weight (3, 3, 3, 3) with 1 groups does not fit 2 input channels. in "
        "channels must be weight.shape[1] * groups and out a multiple of groups. [SPK0304]",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_pinned(name: str, tmp_path: Path) -> None:
    """One line that names layer and type."""
    layers, line = MISTAKES[name]
    with pytest.raises(spikec.SpikecError) as error:
        spikec.load(write(tmp_path / "n.net", layers))
    assert str(error.value) == line


# ---------------------------------------------------------------- broken and hostile files


def test_files_that_are_none(tmp_path: Path) -> None:
    """Not there, no HDF5, no layers, a gap between them, a link to elsewhere."""
    path = tmp_path / "n.net"

    def refused() -> str:
        with pytest.raises(spikec.SpikecError) as error:
            spikec.load(path)
        return str(error.value).removeprefix(str(path))

    assert refused() == ": no such file. Check the path. [SPK1001]"
    path.write_text("net")
    assert refused() == ": is not a HDF5 file. Give a .net file. [SPK1018]"
    with h5py.File(path, "w") as file:
        file["x"] = 1
    assert refused() == "layer: is missing. Write the file again. [SPK1003]"
    write(path, [FC, FC])
    with h5py.File(path, "r+") as file:
        file.move("layer/0", "layer/2")
    assert refused() == (
        "layer: it has 2 members but none is called '0'. Number the layers 0, 1, 2 and so on. "
        "[SPK1700]"
    )
    write(path, [FC])
    with h5py.File(path, "r+") as file:
        del file["layer/0/weight"]
        file["layer/0/weight"] = h5py.ExternalLink("other.h5", "w")
    assert refused() == (
        "layer.0.weight: is a ExternalLink, which is not followed. Copy the data. [SPK1005]"
    )


def _members(path: Path) -> list[str]:
    names: list[str] = []
    with h5py.File(path) as file:
        file.visit(names.append)
    return names


def test_any_member_may_be_missing(tmp_path: Path) -> None:
    """One error, or a network without it; never anything else."""
    path = tmp_path / "n.net"
    for seed in range(size(2, 6)):
        for name in _members(write(path, random_net(seed))):
            write(path, random_net(seed))
            with h5py.File(path, "r+") as file:
                del file[name]
            load_or_refuse(path)


EDITS: list[Callable[[Any, Random, Path], None]] = [
    hdf5.value,
    hdf5.all_values,
    hdf5.integer,
    hdf5.dtype,
]


def test_hostile_files(tmp_path: Path) -> None:
    """Numbers, shapes and types made hostile, and bytes: one error, or a network that runs."""
    path, cases, loaded = tmp_path / "n.net", size(60, 3000), 0
    for number in range(cases):
        rnd = Random(number)
        write(path, random_net(number % 6))
        if number % 5:
            with h5py.File(path, "r+") as file:
                try:
                    EDITS[number % 4](file, rnd, tmp_path)
                except hdf5.NothingError:
                    continue
        else:
            content = bytearray(path.read_bytes())
            for _ in range(8):
                content[rnd.randrange(len(content))] = rnd.randrange(256)
            path.write_bytes(content)
        loaded += load_or_refuse(path)
    assert 0 < loaded < cases
    evidence("lava_dl_hostile", cases=cases, loaded=loaded)


def load_or_refuse(path: Path) -> bool:
    """Load and run a few steps; return whether it was a network."""
    try:
        graph = spikec.load(path)
        program = spikec.compile(graph, "loihi1")
    except spikec.SpikecError:
        return False
    if graph.inputs[0].size < 10_000:
        found = compare(program, random_inputs(graph, 1, 4, 0.4, 0))
        assert found.equal, str(found)
    return True
