"""lava-dl .net files: every spike and state as Lava's equations say, every number unchanged."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

import spikec
from fuzzing import hdf5
from net_files import Record, dense, image, neuron, random_net, write
from net_oracle import run
from sizes import evidence, size
from spikec.backends.loihi import lava_process
from spikec.backends.loihi.image import core_image
from spikec.compiler.cli import run as command
from spikec.compiler.compare import compare
from spikec.compiler.doctor.diagnosis import diagnose
from spikec.compiler.simulator import Simulator
from spikec.compiler.text import print_program
from spikec.compiler.untyped import h5py

STEPS = 30
ALONE = "retime"


def spikes_into(graph: spikec.Graph, seed: int, steps: int = STEPS) -> Any:
    """Return random spikes (steps, *shape) for the only input."""
    random = np.random.default_rng(seed)
    return random.random((steps, *graph.inputs[0].shape)) < 0.4


def differences(program: spikec.Program, spikes: Any, wanted: list[Record]) -> int:
    """Compare all that was recorded, step by step; return how many spikes there were."""
    trace = spikec.simulate(program, spikes[None], ("spikes", "state"))
    assert len(wanted) == len(program.graph.populations)
    for population, record in zip(program.graph.populations, wanted, strict=True):
        held = {**trace.state[population.name], "s": trace.spikes[population.name]}
        for name, values in record.items():
            found = np.asarray(held[name][0]).reshape(len(spikes), -1).astype(np.int64)
            np.testing.assert_array_equal(found, values, err_msg=f"{population.name} {name}")
    return sum(int(record["s"].sum()) for record in wanted)


# ---------------------------------------------------------------- what is computed


def test_generated_networks(tmp_path: Path) -> None:
    """Dense, recurrent, conv, pool, delays, biases, parameters by channel: equal to the oracle."""
    networks = size(36, 600)
    spikes = 0
    for seed in range(networks):
        layers = random_net(seed)
        graph = spikec.load(write(tmp_path / "net.net", layers))
        given = spikes_into(graph, seed)
        program = spikec.compile(graph, ("loihi1", "loihi2")[seed % 2])
        sent = differences(program, given, run(layers, given))
        assert sent > 0, seed
        spikes += sent
        for second in ("cpu", "loihi"):
            found = compare(program, given[None], "reference", second)
            assert found.equal, (seed, str(found))
    evidence("lava_dl_generated", networks=networks, spikes=spikes)


def test_currents_wrap_and_membranes_clip(tmp_path: Path) -> None:
    """The largest weights without any leak: registers run over as Lava's do."""
    weight = np.array([[254, 254], [-256, -256]])
    cell = neuron(0, 0, (1 << 18) - 1)
    layers = [dense(weight, **cell), dense(np.eye(2), **neuron())]
    program = spikec.compile(spikec.load(write(tmp_path / "n.net", layers)))
    given = np.ones((900, 2), dtype=bool)
    wanted = run(layers, given)
    differences(program, given, wanted)
    assert wanted[0]["u"].min() < -8e6
    assert np.abs(wanted[0]["v"]).max() == (1 << 23) - 1


def test_layers_without_neurons_sum_up(tmp_path: Path) -> None:
    """As in netx the current does not decay and the membrane is the current; no core holds that."""
    layers = [dense([[2, 4]]), dense([[30]])]
    bare = [layers[0], {k: v for k, v in layers[1].items() if not k.startswith("neuron/")}]
    graph = spikec.load(write(tmp_path / "n.net", bare))
    given = np.random.default_rng(0).random((40, 2)) < 0.9
    layers[1] |= neuron(0, 4096, 1 << 17)
    program = spikec.compile(graph)
    assert differences(program, given, run(layers, given)) > 3
    assert [f.code for f in graph.findings] == ["SPK1723"]
    with pytest.raises(spikec.SpikecError) as error:
        core_image(spikec.compile(graph, "loihi1"))
    assert error.value.code == "SPK1610"


def test_the_exponent_of_the_weights(tmp_path: Path) -> None:
    """wgtExp multiplies by a power of two, as training does; a finding says that netx does not."""
    for exponent in (-2, 0, 3):
        layers = [dense([[60, -28, 12]], **neuron(wgtExp=exponent))]
        graph = spikec.load(write(tmp_path / "n.net", layers))
        assert bool(graph.findings) == bool(exponent)
        given = spikes_into(graph, 1)
        differences(spikec.compile(graph, "loihi1"), given, run(layers, given))
        assert core_image(spikec.compile(graph, "loihi1")).synapses[0].exponent == exponent


# ---------------------------------------------------------------- the integers


def test_the_numbers_come_in_unchanged(tmp_path: Path) -> None:
    """Weights, decays, thresholds and biases of the file are those of the registers."""
    weight = 2 * np.arange(-6, 6).reshape(3, 4)
    layers = [dense(weight, **neuron([1, 300, 4096], 77, 1234), bias=[5, -7, 0])]
    image_ = core_image(spikec.compile(spikec.load(write(tmp_path / "n.net", layers)), "loihi1"))
    (cells,), (synapses,) = image_.compartments.values(), image_.synapses
    assert cells.du.tolist() == [0, 299, 4095]
    assert cells.dv.tolist() == [77] * 3
    assert cells.threshold.tolist() == [1234] * 3
    bias = cells.bias_mantissa << cells.bias_exponent
    assert bias.tolist() == [320, -448, 0]
    assert synapses.weight.reshape(3, 4).tolist() == weight.tolist()
    assert (synapses.exponent, synapses.mode) == (0, "mixed")


@pytest.mark.parametrize(
    ("weight", "stored", "exponent"),
    [
        ([[3, -127]], [6, -254], -1),  # odd weights of both signs are twice half as much
        ([[3, 255]], [3, 255], 0),
        ([[-255, 0]], [-255, 0], 0),
        ([[-256, 254]], [-256, 254], 0),
    ],
)
def test_odd_weights(weight: Any, stored: list[int], exponent: int, tmp_path: Path) -> None:
    """What a sign mode does not hold is held as the same number in another way."""
    graph = spikec.load(write(tmp_path / "n.net", [dense(weight)]))
    (synapses,) = core_image(spikec.compile(graph, "loihi1")).synapses
    assert (synapses.weight.tolist(), synapses.exponent) == (stored, exponent)


def test_large_odd_weights_of_both_signs_fit_no_core(tmp_path: Path) -> None:
    """They run on cpu; the check says why no core holds them."""
    graph = spikec.load(write(tmp_path / "n.net", [dense([[201, -3]])]))
    assert spikec.compile(graph).stage == "integer"
    with pytest.raises(spikec.SpikecError, match="SPK1618"):
        core_image(spikec.compile(graph, "loihi1"))


@pytest.mark.parametrize("target", ["loihi1", "loihi2"])
def test_nothing_is_quantised_again(target: str, tmp_path: Path) -> None:
    """The target's own pipeline gives what retime alone does, and its report says so."""
    graph = spikec.load(write(tmp_path / "n.net", random_net(5)))
    whole, alone = (spikec.compile(graph, target, pipeline=p) for p in (None, ALONE))
    first, second = (print_program(replace(p, passes="")) for p in (whole, alone))
    assert first == second
    said = whole.reports["quantize_loihi"]
    assert said == {"unchanged": "it is in the integers of a core already"}
    assert whole.graph.projections[0].delay == 1


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Compile, check, verify; doctor and semantics are one line each."""
    path, build = str(write(tmp_path / "model.net", random_net(3))), str(tmp_path / "build")
    assert command(["check", path, "--target", "loihi2"]) == 0
    assert command(["compile", path, "--target", "loihi1", "-o", build]) == 0
    assert "quantize_loihi  left the program as it is: it is in the" in capsys.readouterr().out
    assert command(["verify", build, "--backend", "loihi", "--steps", "9"]) == 0
    capsys.readouterr()
    assert command(["doctor", path]) == 1
    assert capsys.readouterr().err == (
        f"{path}: a lava-dl file leaves no convention open, so there is nothing to "
        "diagnose. Use spikec check. [SPK1719]\n"
    )
    assert command(["check", path, "--semantics", "lava"]) == 1
    assert capsys.readouterr().err == (
        f"{path}: a lava-dl file means what netx runs on Lava, so semantics have no "
        "effect. Leave out --semantics. [SPK1718]\n"
    )
    assert spikec.load(path, dt=1e-3).dt == 1e-3
    with pytest.raises(spikec.SpikecError, match="SPK1719"):
        diagnose(path, lambda graph: {})


# ---------------------------------------------------------------- Lava


@pytest.fixture(scope="session")
def lava() -> str:
    """Return the interpreter that has Lava, or skip."""
    root = Path(__file__).parents[1]
    python = Path(os.environ.get("SPIKEC_LAVA", root / ".venv-lava" / "bin" / "python"))
    if not python.exists():
        pytest.skip(f"no Lava at {python}; make lava builds it where there is a Python 3.10")
    return str(python)


@pytest.mark.parametrize("seed", range(size(6, 24)))
def test_in_lava(seed: int, lava: str, tmp_path: Path) -> None:
    """The emitted program in Lava's simulator, every spike and state."""
    graph = spikec.load(write(tmp_path / "n.net", random_net(seed)))
    program = spikec.compile(graph, "loihi1")
    spikec.emit(program, tmp_path / "b")
    runner = lava_process.LavaRunner(program, tmp_path / "b", lava, 300.0)
    given = np.stack([spikes_into(graph, k) for k in (0, 1)])
    found = compare(program, given, "reference", Simulator(program, "lava", runner=runner))
    assert found.equal, str(found)
    assert found.spikes > 0
    evidence(f"lava_dl_in_lava_{seed:02}", comparison=str(found))


@pytest.mark.parametrize("seed", [k for k in range(size(10, 60)) if k % 6 in (0, 1, 2, 3)])
def test_netx(seed: int, tmp_path: Path) -> None:
    """lava-dl's own netx on the same file: dense, delays, recurrence and convolution.

    It leaves out what netx does not do, pools and delays of convolutions. SPIKEC_LAVA_DL names an
    interpreter with lava-dl; docs/lava_dl.md says how to make one.
    """
    python = os.environ.get("SPIKEC_LAVA_DL")
    if not python:
        pytest.skip("no lava-dl; set SPIKEC_LAVA_DL to an interpreter that has it")
    path = write(tmp_path / "n.net", random_net(seed))
    graph = spikec.load(path)
    given = spikes_into(graph, seed)
    np.savez(tmp_path / "in.npz", x=given)
    script = Path(__file__).with_name("lava_dl_run.py")
    line = [python, str(script), str(path), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    subprocess.run(line, check=True, timeout=300, capture_output=True)
    with np.load(tmp_path / "out.npz") as file:
        layers = range(len(graph.populations))
        wanted = [{n: file[f"{k}.{n}"].astype(np.int64) for n in "uvs"} for k in layers]
    spikes = differences(spikec.compile(graph, "loihi1"), given, wanted)
    assert spikes > 0
    evidence(f"lava_dl_netx_{seed:02}", spikes=spikes, layers=len(wanted))


# ---------------------------------------------------------------- what is told


def test_input_neurons_and_averages_are_left_to_the_host(tmp_path: Path) -> None:
    """The graph begins with the spikes of the input layer and ends with those of the last."""
    first = {"type": "input", "shape": [2, 2, 1], "weight": [36.0], "bias": [34.0], **neuron()}
    layers = [
        first,
        {"type": "flatten", "shape": [4, 1, 1]},
        dense(np.eye(4), scale=3),
        {"type": "average", "shape": [2, 1, 1]},
    ]
    graph = spikec.load(write(tmp_path / "my net.net", layers))
    assert graph.name == "my_net"
    assert [str(f) for f in graph.findings] == [
        "layer.0 input: its neurons turn numbers into spikes on the host (weight 36, bias 34): "
        "give the spikes they send. [SPK1721]",
        "layer.2: members that lava-dl does not write are not read: scale. [SPK1720]",
        "layer.3 average: the output is that of all 4 neurons: take the means of 2 groups of 2 in "
        "a row on the host. [SPK1722]",
    ]
    assert [p.name for p in graph.populations] == ["dense2"]
    assert graph.inputs[0].shape == (2, 2, 1)


def test_delays_of_images_and_normalisation_are_told(tmp_path: Path) -> None:
    """Where netx does something else than training did."""
    layers = random_net(4)
    layers[1]["neuron/weight_exp"] = 2.0
    graph = spikec.load(write(tmp_path / "n.net", layers))
    assert [f.code for f in graph.findings] == ["SPK1726", "SPK1725"]


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
        "layer.0 dense: refDelay is 4: refractory periods and graded spikes are not in "
        "lava-dl's CUBA network either. Train with refDelay 1. [SPK1708]",
    ),
    "graded": (
        [FC | neuron(gradedSpike=True)],
        "layer.0 dense: gradedSpike is 1: refractory periods and graded spikes are not in "
        "lava-dl's CUBA network either. Train with gradedSpike 0. [SPK1708]",
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
    for seed in range(6):
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
        found = compare(program, spikes_into(graph, 0, 4)[None])
        assert found.equal, str(found)
    return True
