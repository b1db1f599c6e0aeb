"""lava-dl .net files: every spike and state as Lava's equations say, every number unchanged."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikec
from net_files import Record, dense, neuron, random_net, write
from net_oracle import run
from sizes import evidence, size
from spikec.backends.loihi import lava_process
from spikec.backends.loihi.image import core_image
from spikec.compiler.cli import run as command
from spikec.compiler.compare import compare
from spikec.compiler.doctor.diagnosis import diagnose
from spikec.compiler.simulator import Simulator
from spikec.compiler.text import print_program

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
    networks = size(15, 600)
    spikes = quiet = 0
    for seed in range(networks):
        layers = random_net(seed)
        graph = spikec.load(write(tmp_path / "net.net", layers))
        given = spikes_into(graph, seed)
        program = spikec.compile(graph, ("loihi1", "loihi2")[seed % 2])
        sent = differences(program, given, run(layers, given))
        spikes, quiet = spikes + sent, quiet + (sent == 0)
        for second in ("cpu", "loihi"):
            found = compare(program, given[None], "reference", second)
            assert found.equal, (seed, str(found))
    assert quiet <= networks / 100
    evidence("lava_dl_generated", networks=networks, quiet=quiet, spikes=spikes)


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
    first, second = (print_program(replace(p, passes="", mapping=None)) for p in (whole, alone))
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


@pytest.mark.parametrize("seed", range(size(3, 24)))
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


@pytest.fixture(scope="session")
def lava_dl() -> str:
    """Return the interpreter that has lava-dl, or skip; docs/lava_dl.md says how to make one."""
    python = os.environ.get("SPIKEC_LAVA_DL")
    if not python:
        pytest.skip("no lava-dl; set SPIKEC_LAVA_DL to an interpreter that has it")
    return python


@pytest.mark.parametrize("seed", [k for k in range(size(4, 60)) if k % 6 in (0, 1, 2, 3)])
def test_netx(seed: int, lava_dl: str, tmp_path: Path) -> None:
    """lava-dl's own netx on the same file: dense, delays, recurrence and convolution.

    It leaves out what netx does not do, pools and delays of convolutions.
    """
    path = write(tmp_path / "n.net", random_net(seed))
    graph = spikec.load(path)
    given = spikes_into(graph, seed)
    np.savez(tmp_path / "in.npz", x=given)
    script = Path(__file__).with_name("lava_dl_run.py")
    line = [lava_dl, str(script), str(path), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    subprocess.run(line, check=True, timeout=300, capture_output=True)
    with np.load(tmp_path / "out.npz") as file:
        layers = range(len(graph.populations))
        wanted = [{n: file[f"{k}.{n}"].astype(np.int64) for n in "uvs"} for k in layers]
    spikes = differences(spikec.compile(graph, "loihi1"), given, wanted)
    assert spikes > 0
    evidence(f"lava_dl_netx_{seed:02}", spikes=spikes, layers=len(wanted))


@pytest.fixture(scope="session")
def recorded(lava_dl: str) -> Path:
    """Return the folder of what lava-dl's own tests compare with; its wheel holds it."""
    text = "import sysconfig; print(sysconfig.get_path('purelib'))"
    line = [lava_dl, "-c", text]
    packages = subprocess.run(line, check=True, timeout=60, capture_output=True, text=True).stdout
    return Path(packages.strip()) / "tests" / "lava" / "lib" / "dl" / "netx" / "gts"


def test_recorded_delays(recorded: Path) -> None:
    """The output of the N-TIDIGITS network, which slayer sends a step later."""
    folder = recorded / "ntidigits"
    graph = spikec.load(folder / "ntidigits.net")
    given = np.load(folder / "input.npy").T.reshape(-1, *graph.inputs[0].shape)
    program = spikec.compile(graph, "loihi1")
    sent = spikec.simulate(program, given[None]).outputs["output"][0]
    wanted = np.load(folder / "output.npy").T
    np.testing.assert_array_equal(sent[:-1], wanted[1:] > 0)
    assert sent.sum() > 20_000
    evidence("lava_dl_ntidigits", spikes=int(sent.sum()))


def test_recorded_convolutions(recorded: Path) -> None:
    """Current, membrane and spikes of eight layers of PilotNet, each from its reset on.

    Layer k is set back before step k + 1, and all again 16 steps later. A membrane is recorded as
    128 in the step of a spike.
    """
    folder, numbers = recorded / "pilotnet_lif", 0
    graph = spikec.load(folder / "network.net")
    late = [replace(p, start=k + 1) for k, p in enumerate(graph.populations)]
    program = spikec.compile(graph.with_nodes(late), pipeline="")
    given = np.load(folder / "input.npy").T > 0
    trace = spikec.simulate(program, given[None], ("spikes", "state"))
    names = [*(f"conv-{k}" for k in range(5)), *(f"fc-{k}" for k in range(3))]
    for k, name in enumerate(names):
        at = program.graph.populations[k].name
        read = {
            e: np.load(folder / f"{name}{f}.npy").T
            for e, f in zip("uvs", ("-u", "-v", ""), strict=True)
        }
        read["v"] = np.where(read["s"], 0, read["v"])
        held = {**trace.state[at], "s": trace.spikes[at]}
        for e, values in read.items():
            wanted = values[k + 1 : k + 17].reshape(-1)
            found = held[e][0][: len(values[k + 1 : k + 17])].reshape(-1)
            np.testing.assert_array_equal(found, wanted, f"{name} {e}")
            numbers += wanted.size
    assert numbers > 5_000_000
    evidence("lava_dl_pilotnet", numbers=numbers)


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
