"""Emitted Lava programs: bit-exact in Lava's fixed-point simulator, and clear when that fails."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small
import spikec
from loihi_networks import every_kind, mlp
from networks import spikes_for
from sizes import evidence, size
from spikec.backends.loihi import lava_process
from spikec.backends.loihi.emitters import lava as emitter
from spikec.backends.loihi.image import core_image
from spikec.compiler.artifact import open_folder
from spikec.compiler.cli import run
from spikec.compiler.compare import Comparison, compare
from spikec.compiler.simulator import Simulator
from spikec.compiler.types import Array

ROOT = Path(__file__).parents[1]
LIMIT = 300.0


@pytest.fixture(scope="session")
def lava() -> str:
    """Return the interpreter that has Lava, or skip."""
    python = Path(os.environ.get("SPIKEC_LAVA", ROOT / ".venv-lava" / "bin" / "python"))
    if not python.exists():
        pytest.skip(f"no Lava at {python}; make lava builds it where there is a Python 3.10")
    return str(python)


def in_lava(program: spikec.Program, inputs: Any, python: str, folder: Path) -> Comparison:
    """Emit, run in Lava, and compare every spike and state with the reference."""
    spikec.emit(program, folder)
    runner = lava_process.LavaRunner(program, folder, python, LIMIT)
    return compare(program, inputs, "reference", Simulator(program, "lava", runner=runner))


# ---------------------------------------------------------------- bit-exact


def test_digits(digits: tuple[Array, Array], lava: str, tmp_path: Path) -> None:
    """The bundled network on held-out digits; its biases are held back."""
    program = spikec.compile(spikec.load("digits"), "loihi1")
    found = in_lava(program, digits[0][: size(10, 540)], lava, tmp_path / "b")
    assert found.equal, str(found)
    assert found.spikes > 1000
    evidence("lava_digits", comparison=str(found))


def test_fully_connected_cuba_network(lava: str, tmp_path: Path) -> None:
    """784-128-64-10, with exponents far below zero."""
    program = spikec.compile(mlp((784, 128, 64, 10)), "loihi2")
    inputs = np.random.default_rng(0).random((size(2, 20), 50, 784)) < 0.1
    found = in_lava(program, inputs, lava, tmp_path / "b")
    assert found.equal, str(found)
    assert found.spikes > 1000
    exponents = {s.exponent for s in core_image(program).synapses}
    assert min(exponents) < -1
    evidence("lava_784_128_64_10", comparison=str(found))


BRAILLE = ["braille_noDelay_bias_zero", "braille_noDelay_noBias_subtract"]


@pytest.mark.parametrize("name", BRAILLE)
def test_braille(name: str, data: Path, lava: str, tmp_path: Path) -> None:
    """Recurrent CUBA-LIF; the biases of the first are sent by a neuron that always spikes."""
    graph = spikec.load(data / "nir" / "03_rnn" / f"{name}.nir", semantics="snntorch")
    program = spikec.compile(graph, "loihi1")
    inputs = np.random.default_rng(0).random((size(2, 8), 256, 12)) < 0.1
    found = in_lava(program, inputs, lava, tmp_path / "b")
    assert found.equal, str(found)
    assert found.spikes > 100
    evidence(f"lava_{name}", comparison=str(found))


def test_cnn(data: Path, recordings: tuple[Array, Array], lava: str, tmp_path: Path) -> None:
    """The CNN of the NIR paper on N-MNIST recordings, its convolutions unrolled."""
    path = data / "nir" / "02_cnn" / "cnn_sinabs.nir"
    rules = "sinabs{max_spikes=1,compare=gt,reset=zero,lower_clip=none}"
    program = spikec.compile(spikec.load(path, dt=1e-3, semantics=rules), "loihi1")
    inputs = recordings[0][: size(1, 5), : size(60, 350)]
    found = in_lava(program, inputs, lava, tmp_path / "b")
    assert found.equal, str(found)
    assert found.spikes > 5000
    evidence("lava_cnn", comparison=str(found))


@pytest.mark.parametrize("seed", range(size(3, 50)))
def test_generated_networks(seed: int, lava: str, tmp_path: Path) -> None:
    """Every neuron and synapse kind, recurrent, biases, delays, held back by retiming."""
    graph = every_kind(seed)
    program = spikec.compile(graph, ("loihi1", "loihi2")[seed % 2])
    inputs = spikes_for(graph, 2, 40, seed)
    found = in_lava(program, inputs, lava, tmp_path / "b")
    assert found.equal, str(found)
    assert found.spikes > 50
    evidence(f"lava_generated_{seed:02}", comparison=str(found))


def test_parts_that_share_nothing_run_together(lava: str, tmp_path: Path) -> None:
    """Lava runs what is connected; two networks side by side, and a neuron without synapses."""
    neuron = spikec.LIF(decay=0.9, offset=0.2, reset="zero")
    names = ("a", "b", "c")
    nodes: tuple[Any, ...] = (
        *(spikec.Input(f"in_{n}", (2,)) for n in names[:2]),
        *(spikec.Population(n, (2,), neuron) for n in names),
        *(spikec.Output(f"out_{n}", n) for n in names),
    )
    weight = spikec.Dense(spikec.Tensor.floats([[0.5, -0.25], [0.25, 0.5]]))
    edges = tuple(spikec.Projection(f"in_{n}", n, weight) for n in names[:2])
    program = spikec.compile(spikec.Graph("apart", nodes, edges), "loihi1")
    found = in_lava(program, spikes_for(program.graph, 3, 20, 0), lava, tmp_path / "b")
    assert found.equal, str(found)
    assert found.spikes > 50


def test_large_delayed_matrices_are_sparse(
    lava: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delayed projection as DelaySparse, a plain one as Sparse; delays of single synapses."""
    monkeypatch.setattr(emitter, "DENSE_CELLS", 0)
    random = np.random.default_rng(3)
    weight = spikec.Tensor.floats(random.normal(0.1, 0.4, (6, 8)))
    delays = random.integers(0, 5, (6, 8))
    neuron = spikec.LIF(decay=0.9, offset=0.1, reset="zero")
    graph = spikec.Graph(
        "late",
        (
            spikec.Input("x", (8,)),
            spikec.Population("a", (6,), neuron),
            spikec.Population("b", (6,), neuron),
            spikec.Output("y", "b"),
        ),
        (
            spikec.Projection("x", "a", spikec.Dense(weight), delays=delays),
            spikec.Projection("a", "b", spikec.Dense(weight_of(random)), delay=2),
            spikec.Projection("b", "a", spikec.Dense(weight_of(random)), delay=3),
        ),
    )
    program = spikec.compile(graph, "loihi1")
    found = in_lava(program, random.random((2, 40, 8)) < 0.3, lava, tmp_path / "b")
    assert found.equal, str(found)
    text = (tmp_path / "b" / "lava" / "network.py").read_text()
    assert "= DelaySparse(" in text
    assert "= DelayDense(" not in text


def weight_of(random: np.random.Generator) -> spikec.Tensor:
    """Return weights between six neurons and six."""
    return spikec.Tensor.floats(random.normal(0.1, 0.4, (6, 6)))


def test_a_wrong_weight_is_found(lava: str, tmp_path: Path) -> None:
    """One weight changed in what Lava runs: the first difference is named."""
    program = spikec.compile(spikec.load("digits"), "loihi1")
    folder = tmp_path / "lava"
    emitter.emitter.emit(core_image(program), program, folder)
    with np.load(folder / "arrays.npz") as file:
        arrays = {name: file[name] for name in file.files}
    arrays["c0_x0_p0.weights"] = arrays["c0_x0_p0.weights"].copy()
    arrays["c0_x0_p0.weights"][3] += 20
    np.savez(folder / "arrays.npz", **arrays)
    said = lava_process.call(lava, folder, [], LIMIT)
    assert said.startswith("differs first at step 0, population 'lif1', neuron 3, sample 0: ")


def test_the_emitted_folder_runs_by_itself(lava: str, tmp_path: Path) -> None:
    """As its README says: golden vectors, equal; nothing is left behind in the folder."""
    spikec.emit(spikec.compile(small.network(), "loihi1"), tmp_path / "b")
    before = sorted(p for p in (tmp_path / "b").rglob("*"))
    command = [lava, str(tmp_path / "b" / "lava" / "run.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.startswith("equal: ")
    assert sorted(p for p in (tmp_path / "b").rglob("*")) == before


def test_lava_failing_is_told(lava: str, tmp_path: Path) -> None:
    """An exception inside Lava is one line; so is the missing extension for the chip."""
    program = spikec.compile(small.network(), "loihi1")
    folder = tmp_path / "lava"
    emitter.emitter.emit(core_image(program), program, folder)
    with pytest.raises(spikec.SpikecError) as error:
        lava_process.call(lava, folder, ["--hardware"], LIMIT)
    assert str(error.value) == (
        "deploy: the Lava-Loihi extension (package lava-loihi, Intel) is not installed. Install "
        "it, or use spikec verify BUILD --lava PYTHON. [SPK1648]"
    )
    np.savez(folder / "arrays.npz", nothing=np.zeros(1))
    with pytest.raises(spikec.SpikecError) as error:
        lava_process.call(lava, folder, [], LIMIT)
    assert error.value.code == "SPK1644"
    assert "KeyError" in str(error.value)


# ---------------------------------------------------------------- without Lava


def interpreter(path: Path, script: str) -> str:
    """Return a program that is called as Python is, and is none."""
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return str(path)


def fake_lava(folder: Path, version: str, source: str = "") -> str:
    """Return a Python whose lava-nc has this version, and this text in lava.proc.io.source."""
    (folder / f"lava_nc-{version}.dist-info").mkdir(parents=True)
    metadata = f"Metadata-Version: 2.1\nName: lava-nc\nVersion: {version}\n"
    (folder / f"lava_nc-{version}.dist-info" / "METADATA").write_text(metadata)
    (folder / "lava" / "proc" / "io").mkdir(parents=True)
    (folder / "lava" / "proc" / "io" / "source.py").write_text(source)
    start = (
        f"import runpy, sys; sys.path.insert(0, {str(folder)!r}); "
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    return interpreter(folder / "python", f'shift; exec {sys.executable} -c "{start}" "$@"\n')


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """Return a build for loihi1."""
    spikec.emit(spikec.compile(small.network(), "loihi1"), tmp_path / "build")
    return tmp_path / "build"


def failure(build: Path, python: str, limit: float = 20.0) -> str:
    """Return the error of a run in ``python``."""
    program = open_folder(build)
    runner = lava_process.LavaRunner(program, build, python, limit)
    with pytest.raises(spikec.SpikecError) as error:
        Simulator(program, "lava", runner=runner).run(small.data(), ("spikes", "state"))
    return str(error.value)


def alive(pid: int) -> bool:
    """Return whether a process runs, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_each_failure_has_its_own_error(build: Path, tmp_path: Path) -> None:
    """Not there, no Python, no Lava, another Lava, a crash, nothing written."""
    hint = "Install lava-nc==0.10.0 in a Python 3.10 environment and name its python"
    assert failure(build, "/nowhere/python") == (
        f"--lava: '/nowhere/python' cannot be started (No such file or directory). {hint}. "
        "[SPK1641]"
    )
    without = failure(build, sys.executable)
    assert without.startswith(f"--lava: {sys.executable}: lava-nc is not installed for Python 3.")
    assert without.endswith(f"{hint}. [SPK1642]")
    old = fake_lava(tmp_path / "old", "0.9.0")
    assert failure(build, old) == (
        f"--lava: {old}: lava-nc is 0.9.0, and this network was checked with 0.10.0. {hint}. "
        "[SPK1643]"
    )
    broken = fake_lava(tmp_path / "broken", "0.10.0", "raise ValueError('no such thing')")
    assert failure(build, broken) == (
        "Lava: it failed: ValueError: no such thing. Run the run.py of the build to see it all. "
        "[SPK1644]"
    )
    crash = interpreter(tmp_path / "crash", "kill -SEGV $$\n")
    assert failure(build, crash) == (
        f"Lava: {crash} ended with signal 11: it said nothing. Run the run.py of the build. "
        "[SPK1646]"
    )
    usage = interpreter(tmp_path / "usage", "echo unknown option >&2; exit 9\n")
    assert "ended with exit code 9: unknown option" in failure(build, usage)
    nothing = interpreter(tmp_path / "nothing", "exit 0\n")
    assert failure(build, nothing) == (
        f"Lava: {nothing} ended well but wrote no spikes and states. Check that it is the python "
        "of the Lava environment. [SPK1647]"
    )
    assert failure(build, interpreter(tmp_path / "done", "echo done >&2\n")).endswith("[SPK1647]")
    junk = 'for a; do last=$a; done; echo junk > "$last"; echo done >&2\n'
    assert failure(build, interpreter(tmp_path / "junk", junk)).endswith("[SPK0821]")


def test_what_hangs_is_ended_with_all_its_processes(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the program itself, or by us where it does not; no process is left."""
    monkeypatch.setattr(lava_process, "GRACE", 0.5)
    pids = tmp_path / "pids"
    deaf = f"trap '' TERM; sleep 300 & echo $! $$ > {pids}; wait\n"
    message = (
        "Lava: it did not end within 1 s and was stopped. Give more time with --limit, or fewer "
        "samples and steps. [SPK1645]"
    )
    assert failure(build, interpreter(tmp_path / "deaf", deaf), 1.0) == message
    assert not any(alive(int(pid)) for pid in pids.read_text().split())
    monkeypatch.setattr(lava_process, "GRACE", 30)
    slow = fake_lava(tmp_path / "slow", "0.10.0", "import time\ntime.sleep(300)\n")
    assert failure(build, slow, 1.0) == message


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_command(build: Path, tmp_path: Path, number: int) -> None:
    """However the command itself is ended."""
    pid = tmp_path / "pid"
    source = f"""
        import os, time
        from pathlib import Path
        Path({str(pid)!r}).write_text(str(os.getpid()))
        time.sleep(300)
        """
    slow = fake_lava(tmp_path / "slow", "0.10.0", textwrap.dedent(source))
    command = [sys.executable, "-m", "spikec", "verify", str(build), "--lava", slow]
    # Started in the background, this process ignores SIGINT, and so would the command.
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as child:
        for _ in range(600):
            if pid.exists() and pid.read_text():
                break
            time.sleep(0.05)
        assert alive(int(pid.read_text()))
        child.send_signal(number)
        child.wait(30)
    for _ in range(100):
        if not alive(int(pid.read_text())):
            return
        time.sleep(0.05)
    pytest.fail("the interpreter of Lava still runs")


def test_what_is_executed_is_what_spikec_writes(build: Path) -> None:
    """A build whose Lava program was changed is refused, even with matching hashes."""
    program = open_folder(build)
    network = build / "lava" / "network.py"
    network.write_text(network.read_text() + "import os\n")
    with pytest.raises(spikec.SpikecError) as error:
        lava_process.LavaRunner(program, build, "/nowhere", 1.0)
    assert str(error.value) == (
        f"{network}: the Lava program in the build is missing or not what this spikec writes. "
        "Compile again. [SPK1649]"
    )


def test_what_lava_lacks_is_named(tmp_path: Path) -> None:
    """Soft reset runs on Loihi 2 and on our model; the public Lava has no neuron for it."""
    soft = spikec.LIF(decay=0.9, reset="subtract", compare="ge")
    program = spikec.compile(small.network(soft, soft), "loihi2")
    spikec.emit(program, tmp_path / "b")
    assert not (tmp_path / "b" / "lava").exists()
    found = compare(program, small.data(), "reference", "loihi")
    assert found.equal, str(found)
    with pytest.raises(spikec.SpikecError) as error:
        lava_process.LavaRunner(program, tmp_path / "b", "/nowhere", 1.0)
    assert str(error.value) == (
        "hidden: no Lava program: its public fixed-point LIF has no compare=ge (SPK1631). Run it "
        "on the backends cpu or loihi, or change the model. [SPK1640]"
    )


def test_too_many_processes_are_refused() -> None:
    """A hundred thresholds would be ten thousand connections."""
    neuron = spikec.LIF(decay=0.9, threshold=np.linspace(0.5, 1.5, 100), reset="zero")
    weight = spikec.Dense(spikec.Tensor.floats(np.full((100, 100), 0.1)))
    graph = spikec.Graph(
        "many",
        (
            spikec.Input("x", (100,)),
            spikec.Population("n", (100,), neuron),
            spikec.Output("y", "n"),
        ),
        (spikec.Projection("x", "n", weight), spikec.Projection("n", "n", weight, delay=1)),
    )
    passes = "discretize,fuse,quantize_loihi{generation=1},retime"
    image = core_image(spikec.compile(graph, "loihi1", pipeline=passes))
    (finding,) = emitter.emitter.refuses(image)
    assert str(finding).startswith(
        "many: no Lava program: decays and thresholds differ so that it "
    )
    assert finding.code == "SPK1634"


def test_mapping_names_every_process(build: Path) -> None:
    """Every group and connection of the source stands in the mapping, and holds its neurons."""
    mapping = json.loads((build / "lava" / "mapping.json").read_text())
    text = (build / "lava" / "network.py").read_text()
    with np.load(build / "lava" / "arrays.npz") as arrays:
        for name, group in mapping["groups"].items():
            assert f'neurons["{name}"] = LIF(' in text
            assert arrays[f"{name}.neurons"].size == group["size"]
    for name, edge in mapping["connections"].items():
        assert f'synapses["{name}"] = {edge["process"]}(' in text
    program = open_folder(build)
    sizes = {p.name: p.size for p in program.graph.populations}
    assert {p["name"]: p["size"] for p in mapping["populations"].values()} == sizes


# ---------------------------------------------------------------- on the command line


def test_verify_and_deploy(lava: str, build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Equality is exit 0; a chip that is not there is one line and exit 1."""
    assert run(["verify", str(build), "--lava", lava, "--steps", "10", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["equal"] is True
    assert shown["backends"] == ["reference", "Lava 0.10.0"]
    assert run(["deploy", str(build), "--lava", lava]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("[SPK1648]\n")
    assert err.count("\n") == 1


def test_wrong_usage(build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Options without effect are refused, and a build that has no Lava program."""
    path = str(build)
    assert run(["verify", path, "--limit", "3"]) == 2
    assert "it has no effect without --lava" in capsys.readouterr().err
    assert run(["verify", path, "--lava", "x", "--backend", "cpu"]) == 2
    assert "it has no effect with --lava" in capsys.readouterr().err
    spikec.emit(spikec.compile(small.network()), tmp_path / "cpu")
    for command in ("verify", "deploy"):
        assert run([command, str(tmp_path / "cpu"), "--lava", "x"]) == 1
        assert capsys.readouterr().err == (
            f"{tmp_path / 'cpu'}: a build for cpu holds no Lava program. Compile for loihi1 or "
            "loihi2. [SPK1651]\n"
        )


def test_compile_tells_why_there_is_no_lava_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a finding; the build is written all the same."""
    line = ["compile", "small:subtracting", "-t", "loihi2", "-o", str(tmp_path / "b")]
    assert run(line) == 0
    finding = "hidden: no Lava program: its public fixed-point LIF has no reset=subtract. [SPK1631]"
    assert finding in capsys.readouterr().err.splitlines()


def test_emitting_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    """The Lava program depends on nothing but the program."""
    program = spikec.compile(spikec.load("digits"), "loihi1")
    for name in ("a", "b"):
        spikec.emit(program, tmp_path / name)
    files = {p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()}
    assert len(files) == 12
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
