"""The command line: what it prints where, its exit codes, and a page of ordinary mistakes."""

import errno
import hashlib
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small
import spikec
from spikec.backends.cpu.engine import Engine
from spikec.compiler import cli, cli_tasks, simulator
from spikec.compiler.cli import run
from spikec.compiler.compare import FEWEST, compare
from spikec.compiler.npz import BatchWriter
from spikec.compiler.text import print_program

COMMANDS = ("check", "show", "compile", "simulate", "verify", "profile", "targets", "models")


class Terminal:
    """Runs commands in a folder of this test."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capture = folder, capture

    def __call__(self, line: str, code: int = 0) -> tuple[str, str]:
        """Return what a command wrote on stdout and stderr."""
        found = run(shlex.split(line))
        out, err = self.capture.readouterr()
        assert found == code, (line, found, out, err)
        return out, err

    def json(self, line: str, code: int = 0) -> Any:
        """Return the one object on stdout."""
        return json.loads(self(f"--json {line}", code)[0])


@pytest.fixture
def terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Terminal:
    """A terminal in an empty folder with some data and a build."""
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", small.data())
    np.save("real.npy", np.linspace(0, 1, 18).reshape(3, 2, 3))
    np.savez("xy.npz", x=small.data(), labels=np.array([0, 1, 0]))
    spikec.emit(spikec.compile(small.spiking(), pipeline="discretize,quantize"), "build")
    return Terminal(tmp_path, capsys)


# ---------------------------------------------------------------- commands


def test_help_is_short_and_lists_every_command(terminal: Terminal) -> None:
    """One screen, 80 columns, for spikec and for each command."""
    out, err = terminal("--help")
    assert all(f"\n  {name} " in out for name in COMMANDS)
    assert err == ""
    for name in COMMANDS:
        text, _ = terminal(f"{name} --help")
        assert "--json" in text
        assert "Raises" not in text
        assert len(text.splitlines()) < 40
        assert max(len(line) for line in (out + text).splitlines()) <= 80


def test_version(terminal: Terminal) -> None:
    """As the package has it."""
    assert terminal("--version") == ("spikec 0.1.0\n", "")


def test_json_may_stand_anywhere(terminal: Terminal) -> None:
    """Before or after the command; one object either way."""
    first, last = terminal("--json targets"), terminal("targets --json")
    assert first == last
    assert json.loads(first[0])["findings"] == []


def test_no_command(terminal: Terminal) -> None:
    """Is wrong usage; the help says what there is."""
    out, err = terminal("", code=2)
    assert out == ""
    assert err.startswith("Usage: spikec [OPTIONS] COMMAND")


def test_show_writes_nir(terminal: Terminal) -> None:
    """Of a model and of a build: the file, and what it lacks, on stderr and in the JSON."""
    out, err = terminal("show digits --nir digits.nir")
    assert out.endswith("\nnir  digits.nir\n")
    assert err == ""
    shown = terminal.json("show build --nir build.nir")
    assert shown["nir"] == "build.nir"
    assert {f["code"] for f in shown["findings"]} >= {"SPK1045"}
    assert terminal.json("show build.nir")["text"].startswith("spikec 1\n")
    shown = terminal.json("show digits --nir named.nir --as snntorch{dt=0.002}")
    assert "snntorch{dt=0.002}" in terminal.json("show named.nir")["text"]
    _, err = terminal("show digits --as snntorch", 2)
    assert "it has no effect without --nir" in err
    _, err = terminal("show digits --nir named.nir --as snn", 1)
    assert "[SPK0401]" in err
    _, err = terminal("show small:continuous --dt 1e-3 --nir out.nir", 1)
    assert "[SPK1082]" in err
    _, err = terminal("show digits --nir build", 1)
    assert err.endswith("build: it is not a plain file. Give another path. [SPK0802]\n")
    assert len(err.splitlines()) < 5


def test_show_a_model_and_a_build(terminal: Terminal) -> None:
    """The text form on stdout, and the equations if wanted."""
    out, _ = terminal("show small:spiking")
    assert out == print_program(spikec.Program(small.spiking()))
    out, _ = terminal("show build --equations")
    assert "\npopulation hidden shape=[4] formats={v:s24." in out
    assert "\n\nhidden: lif, each step\nw0 = " in out
    assert "v' = w" in out
    shown = terminal.json("show digits --equations")
    assert " continuous_lif(" in shown["text"]
    assert "out' = " in shown["equations"]["lif1"]


def test_check(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 where it fits; 1 where something does not, each finding on stderr."""
    assert terminal("check small:spiking --target cpu") == (
        "small fits cpu: 2 populations, 6 neurons, 3 projections, 40 weights, floating point\n",
        "",
    )
    assert terminal.json("check small:spiking")["fits"] is True

    def refuse(self: Engine, program: spikec.Program) -> tuple[spikec.Finding, ...]:
        return tuple(spikec.Finding("SPK9999", p.name, "too many") for p in program.graph.order())

    monkeypatch.setattr(Engine, "supports", refuse)
    out, err = terminal("check small:spiking", code=1)
    assert out.startswith("small does not fit cpu: ")
    assert err == "hidden: too many. [SPK9999]\nlast: too many. [SPK9999]\n"
    found = terminal.json("check small:spiking", code=1)
    assert [f["where"] for f in found["findings"]] == ["hidden", "last"]
    out, _ = terminal("compile small:spiking -o new", code=1)
    assert out == "small does not fit cpu; nothing is written\n"
    assert not (terminal.folder / "new").exists()


def test_compile(terminal: Terminal) -> None:
    """A build, the report of quantize, and the text after every pass."""
    options = "--pipeline 'discretize,quantize{weight_bits=6}' --calibration xy.npz"
    out, err = terminal(f"compile small:spiking -o new {options} --labels xy.npz --dump-ir ir")
    lines = out.splitlines()
    assert (
        lines[0] == "small for cpu: 2 populations, 6 neurons, 3 projections, 40 weights, integers"
    )
    assert lines[1].split()[:3] == ["population", "state", "bound"]
    assert lines[2].startswith("hidden      s24.")
    assert lines[4].startswith("accuracy  float ")
    assert lines[5].startswith("build  new  (4 files, ")
    assert err == ""
    assert sorted(os.listdir("ir")) == ["0_load.txt", "1_discretize.txt", "2_quantize.txt"]
    assert spikec.open("new").passes == "discretize,quantize{weight_bits=6}"
    shown = terminal.json(f"compile small:spiking -o new {options}")
    assert shown["program"]["stage"] == "integer"
    assert shown["program"]["populations"] == {"hidden": 4, "last": 2}
    assert set(shown["reports"]["quantize"]["agreement"]) == {"hidden", "last"}
    assert shown["files"] == ["arrays.npz", "manifest.json", "program.txt", "reports.json"]


def test_simulate_writes_what_the_python_api_returns(terminal: Terminal) -> None:
    """Outputs, spikes and states, however the samples are divided."""
    out, _ = terminal("simulate build --input x.npy -o y.npz --record spikes,state")
    trace = spikec.simulate(spikec.open("build"), small.data(), ("spikes", "state"))
    with np.load("y.npz") as file:
        names = {"out", "spikes/hidden", "spikes/last", "state/hidden/v", "state/last/v"}
        assert set(file.files) == names
        assert np.array_equal(file["out"], trace.output)
        assert np.array_equal(file["spikes/hidden"], trace.spikes["hidden"])
        assert np.array_equal(file["state/last/v"], trace.state["last"]["v"])
    lines = out.splitlines()
    assert lines[0] == "small on cpu: 3 samples x 20 steps"
    assert lines[1].startswith("population  neurons  spikes  per neuron and step  saturations")
    assert lines[2].split()[:3] == ["hidden", "4", str(trace.counts["hidden"]["spikes"])]
    first = Path("y.npz").read_bytes()
    terminal("simulate build --input x.npy -o y.npz --record spikes,state --backend reference")
    assert Path("y.npz").read_bytes() == first


def test_simulate_in_batches(terminal: Terminal) -> None:
    """Many samples give the same file as one call, and the counts add up."""
    samples = 2 * FEWEST + 3
    data = small.data(samples)
    np.save("many.npy", data)
    shown = terminal.json("simulate build -i many.npy -o y.npz --record state")
    trace = spikec.simulate(spikec.open("build"), data, ("state",))
    with np.load("y.npz") as file:
        assert np.array_equal(file["out"], trace.output)
        assert np.array_equal(file["state/hidden/v"], trace.state["hidden"]["v"])
    assert shown["samples"] == samples
    assert shown["populations"] == trace.counts


def test_readout_and_labels(terminal: Terminal) -> None:
    """Accuracy, or the classes themselves; JSON has both."""
    output = spikec.simulate(spikec.open("build"), small.data()).output
    classes = output.sum(axis=1).argmax(axis=1)
    right = int((classes == [0, 1, 0]).sum())
    out, _ = terminal("simulate build -i xy.npz --labels xy.npz")
    share = f"{100 * right / 3:.2f} %"
    assert out.splitlines()[-1] == f"accuracy  {right} of 3 = {share}  (readout count)"
    out, _ = terminal("simulate build -i x.npy --readout first")
    assert out.splitlines()[-1].startswith("classes  ")
    shown = terminal.json("simulate build -i xy.npz --labels xy.npz")
    assert shown["accuracy"] == {"correct": right, "of": 3}
    assert shown["classes"] == classes.tolist()


def test_encoding(terminal: Terminal) -> None:
    """Real values become spikes."""
    shown = terminal.json("simulate build -i real.npy --encode rate --steps 30 --seed 3")
    assert (shown["samples"], shown["steps"]) == (3, 30)
    other = terminal.json("simulate build -i real.npy --encode rate --steps 30 --seed 4")
    assert shown["populations"] != other["populations"]


def test_plot(terminal: Terminal) -> None:
    """A picture of the first sample, of spikes, counts and values, few neurons and many."""
    graphs = {"spiking": small.spiking(), "values": small.values(), "counting": small.counting()}
    many = spikec.Graph(
        "many",
        (
            spikec.Input("in", small.SHAPE),
            spikec.Population("last", (20, 50), spikec.LIF(decay=0.9)),
            spikec.Output("out", "last"),
        ),
        (spikec.Projection("in", "last", small.weights(1000, 6)),),
    )
    for name, graph in {**graphs, "many": many}.items():
        spikec.emit(spikec.compile(graph), name)
        out, _ = terminal(f"simulate {name} -i x.npy --plot new/{name}.png")
        assert out.endswith(f"picture  new/{name}.png\n")
        assert Path(f"new/{name}.png").read_bytes().startswith(b"\x89PNG")
    for ending, start in (("svg", b"<?xml"), ("pdf", b"%PDF")):
        terminal(f"simulate values -i x.npy --plot x.{ending}")
        assert Path(f"x.{ending}").read_bytes().startswith(start)


def test_verify(terminal: Terminal) -> None:
    """Equality with what was compared; random data are named as such."""
    out, _ = terminal("verify build -i x.npy")
    found = compare(spikec.open("build"), small.data())
    assert out == f"input  x.npy\n{found}\n"
    assert out.splitlines()[1].startswith("reference and cpu agree in every spike and state: ")
    out, _ = terminal("verify build")
    assert out.splitlines()[0] == (
        "input  random, 8 samples x 50 steps, spikes with probability 0.2, values uniform, seed 0"
    )
    assert "compared 8 samples x 50 steps, " in out
    shown = terminal.json("verify build --steps 7 --seed 1")
    assert shown["equal"] is True
    assert (shown["samples"], shown["steps"], shown["difference"]) == (8, 7, None)


def test_verify_finds_a_difference(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 1 with the place and both values."""
    find = simulator.find_backend
    wrong = spikec.compile(small.network(recurrent=1), pipeline="discretize,quantize")

    class Other:
        def prepare(self, program: spikec.Program) -> Any:
            return find("cpu").prepare(wrong)

    def found(name: str) -> Any:
        return Other() if name == "cpu" else find(name)

    monkeypatch.setattr(simulator, "find_backend", found)
    out, _ = terminal("verify build", code=1)
    assert "\nreference and cpu differ first at step " in out
    shown = terminal.json("verify build", code=1)
    assert shown["equal"] is False
    assert shown["difference"]["population"] == "hidden"
    assert shown["difference"]["first"] != shown["difference"]["second"]


def test_targets_and_models(terminal: Terminal) -> None:
    """What there is."""
    out, _ = terminal("targets")
    assert out.splitlines()[0].split() == ["target", "runs", "on", "prices"]
    assert "\n\ntarget     pipeline\ncpu        discretize\n" in out
    shown = {t["name"]: t["prices"] for t in terminal.json("targets")["targets"]}
    boards = {n: ["ultrascale_prior", "mcc_80pj"] for n in ("kv260", "zcu102", "zcu104")}
    loihi: dict[str, list[str]] = {"loihi1": ["davies_2018", "sanafe_2_2_9"], "loihi2": []}
    assert shown == {"cpu": [], "rram_40nm": ["rram40_assumed"], **loihi, **boards}
    out, _ = terminal("models")
    assert any(line.startswith("digits ") for line in out.splitlines())
    assert terminal.json("models")["models"][0]["accuracy"]["of"] == 540


def test_the_bundled_network_from_file_to_accuracy(terminal: Terminal) -> None:
    """Two commands; the accuracy its description names."""
    datasets = pytest.importorskip("sklearn.datasets")
    selection = pytest.importorskip("sklearn.model_selection")
    pixels, labels = datasets.load_digits(return_X_y=True)
    _, x, _, y = selection.train_test_split(
        pixels / 16, labels, test_size=0.3, random_state=0, stratify=labels
    )
    np.savez("digits.npz", x=x, labels=y)
    terminal("compile digits -o net")
    data = "digits.npz --labels digits.npz --encode latency --steps 16"
    shown = terminal.json(f"simulate net --input {data}")
    assert shown["accuracy"] == {"correct": 531, "of": 540}


def test_a_nir_file(terminal: Terminal, data: Path) -> None:
    """A file in continuous time needs --dt, and takes --semantics."""
    file = data / "nir" / "01_lif" / "lif_norse.nir"
    terminal(f"compile {file} -o net --dt 1e-4 --semantics norse")
    assert spikec.open("net").graph.dt == 1e-4
    _, err = terminal(f"compile {file} -o net --semantics norsk", code=1)
    assert err.startswith("--semantics: 'norsk' is not a known convention. Use one of nir, ")


def test_what_a_module_prints_is_no_data(terminal: Terminal) -> None:
    """stdout holds the one JSON object."""
    Path("talking.py").write_text("print('hello')\nfrom small import spiking\n")
    assert terminal.json("check talking:spiking")["fits"] is True


# ---------------------------------------------------------------- mistakes

MODELS = (
    "Give a .nir, .onnx or .net file, module:attribute, a nir.NIRGraph, a torch module, a spikec "
    "Graph, or a bundled model"
)

MISTAKES = {
    # a model
    "show no.nir": "no.nir: no such file. Check the path. [SPK1001]",
    "show x.npy": f"x.npy: is no model. {MODELS} (digits). [SPK1084]",
    "show nothing": f"nothing: is no model. {MODELS} (digits). [SPK1084]",
    "show small:nothing": "small:nothing: there is no 'nothing'. Check the name. [SPK1086]",
    "show small:spiking --dt 1": "small: a Graph carries its own step and semantics. Leave out dt "
    "and semantics, or change the Graph. [SPK1082]",
    "show build --dt 1": "build: a build has its own step and semantics. Leave out --dt and "
    "--semantics, or show the model. [SPK0971]",
    "check small:not_a_number": "in -> hidden weight: element [1, 2] is nan, not a finite number. "
    "Train again or repair the model. [SPK0516]",
    "check small:negative": "discretize: hidden: tau: time constant -0.02 is not positive. Correct "
    "the model. [SPK0404]",
    "check small:cyclic": "last -> hidden: cycle without delay: hidden -> last -> hidden. Give one "
    "projection a delay of at least 1. [SPK0505]",
    "check small:continuous": "discretize: hidden: continuous_lif is in continuous time and no "
    "step is given. Give --dt in seconds. [SPK0631]",
    # options
    "check small:spiking --target loihi9": "--target: 'loihi9' is not a target. Use one of cpu, "
    "kv260, loihi1, loihi2, rram_40nm, zcu102, zcu104. [SPK0621]",
    "check digits --semantics torch": "--semantics: 'torch' is not a known convention. Use one of "
    "nir, norse, snntorch, spikingjelly, sinabs, rockpool, nengo, spyx, lava, snn_mlir, "
    "sc_neurocore. [SPK0401]",
    "check digits --semantics 'nir{reset=never}'": "--semantics nir reset: 'never' is not one of "
    "zero, value, subtract, none. Correct the value. [SPK0406]",
    "check small:spiking --pipeline 'quantize{bits=3}'": None,
    "check small:spiking --pipeline 'discretize quantize'": "--pipeline: 'discretize quantize' is "
    "not of the form name{field=value,...}. Rewrite it. [SPK0402]",
    "check small:spiking --pipeline 'quantize{weight_bits=six}'": "--pipeline quantize "
    "weight_bits: 'six' is not an integer. Correct the value. [SPK0406]",
    "check small:spiking --pipeline quantise": None,
    # builds
    "verify nowhere": "nowhere: it cannot be read (No such file or directory). Check the path, or "
    "compile again. [SPK0811]",
    "verify x.npy": "x.npy: it cannot be read (Not a directory). Check the path, or compile again. "
    "[SPK0811]",
    "verify empty": "empty: it is not a spikec build, as there is no manifest.json in it. Make one "
    "with spikec compile MODEL -o BUILD. [SPK0810]",
    "verify tampered": "tampered: program.txt: the file is not the one the manifest describes (its "
    "SHA-256 differs). Compile again with spikec. [SPK0815]",
    "verify linked": "linked: program.txt: it is a link, a folder or a device, not a plain file. "
    "Compile again with spikec. [SPK0816]",
    "verify bomb": "bomb: arrays.npz: a: 1000128 bytes of data where its header declares 138. "
    "Write the file again; it is damaged or was made to exhaust memory. [SPK0824]",
    "compile small:spiking -o .": None,
    "compile small:spiking -o x.npy": "x.npy: it is a file, not a folder. Choose another folder, "
    "or move that away. [SPK0804]",
    "compile small:spiking -o x.npy/build": "x.npy/build: it cannot be written (Not a directory). "
    "Check the place, its permissions and the free space. [SPK0801]",
    "compile small:spiking -o /proc/build": "/proc/build: it cannot be written (No such file or "
    "directory). Check the place, its permissions and the free space. [SPK0801]",
    "compile small:spiking -o new --dump-ir x.npy": "x.npy/0_load.txt: it cannot be written (Not a "
    "directory). Check the place, its permissions and the free space. [SPK0801]",
    # data
    "simulate build -i no.npy": "no.npy: it cannot be read (No such file or directory). Check the "
    "path. [SPK0901]",
    "simulate build -i text.csv": "text.csv: it is none of .npy, .npz and NIRData. Write it with "
    "numpy.save, numpy.savez or nir.write_data. [SPK0903]",
    "simulate build -i flat.npy": "flat.npy: the array [3, 20, 6] is no (samples, steps, 2, 3) for "
    "input 'in'. Reshape the data, or turn values into spikes with --encode. [SPK0909]",
    "simulate build -i half.npy": "input 'in': value 0.5 is not a spike (0 or 1). Encode it with "
    "--encode, or calibrate quantize with such data. [SPK0649]",
    "simulate build -i nan.npy": "input 'in': the data contain NaN or infinity. Clean the data "
    "first. [SPK0648]",
    "simulate two -i x.npy": "x.npy: it holds data for one input, the network has in, other. Give "
    "a .npz with a member for each. [SPK0904]",
    "simulate two -i xy.npz": "xy.npz: it has the members labels, x, the network the inputs in, "
    "other. Name each member as its input. [SPK0906]",
    "simulate build -i real.npy --encode rate": "--encode: 'rate' needs --steps. Give 1 or more. "
    "[SPK0912]",
    "simulate build -i ten.npy --encode rate --steps 9": "--encode: value 10 is outside 0 to 1, "
    "which 'rate' needs. Scale the data, for instance divide by the largest value. [SPK0913]",
    "simulate build -i x.npy --labels no.npy": "no.npy: it cannot be read (No such file or "
    "directory). Check the path. [SPK0941]",
    "simulate build -i x.npy --labels two.npz": "two.npz: it has no member 'labels', only a, b. "
    "Add the labels, or give another file to --labels. [SPK0942]",
    "simulate build -i x.npy --labels real.npy": "real.npy: labels of type float64 and shape "
    "[3, 2, 3] are no classes. Give one integer from 0 for each sample. [SPK0943]",
    "simulate build -i x.npy --labels four.npy": "--labels: 4 labels for 3 samples. Give one label "
    "for each sample. [SPK0944]",
    "simulate build -i x.npy --readout membrane": "--readout: 'membrane' does not fit an output of "
    "spikes. Use count or first. [SPK0946]",
    "simulate build -i x.npy --record spike": "record: 'spike' cannot be recorded. Use spikes and "
    "state. [SPK0642]",
    "simulate build -i x.npy --backend gpu": "backend: 'gpu' is not a backend. Use one of cpu, "
    "crossbar, fpga, hls, loihi, reference. [SPK0701]",
    "simulate build -i x.npy -o empty": "empty: it is not a plain file. Give another path. "
    "[SPK0802]",
    "simulate build -i x.npy -o /dev/null": "/dev/null: it is not a plain file. Give another path. "
    "[SPK0802]",
    "simulate build -i x.npy --plot raster.bmp": "--plot: 'raster.bmp' is no picture. Use .png, "
    ".pdf, .svg. [SPK0962]",
}


def prepare() -> None:
    """Write the data and folders that the mistakes use."""
    data = small.data()
    np.save("flat.npy", data.reshape(3, 20, 6))
    np.save("half.npy", data * 0.5)
    np.save("nan.npy", data * np.nan)
    np.save("ten.npy", np.full((3, 2, 3), 10.0))
    np.save("four.npy", np.arange(4))
    np.savez("two.npz", a=data, b=data)
    Path("text.csv").write_text("0,1")
    Path("empty").mkdir()
    spikec.emit(spikec.compile(small.two_inputs()), "two")
    for name in ("tampered", "linked", "bomb"):
        spikec.emit(spikec.compile(small.spiking()), name)
    with Path("tampered/program.txt").open("a") as stream:
        stream.write("\n")
    Path("linked/program.txt").rename("outside.txt")
    Path("linked/program.txt").symlink_to(Path("outside.txt").absolute())
    with zipfile.ZipFile("bomb/arrays.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.npy", b"")
    header = b"{'descr': '|i1', 'fortran_order': False, 'shape': (10,)}"
    array = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + header.ljust(117) + b"\n"
    with zipfile.ZipFile("bomb/arrays.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.npy", array + bytes(1_000_000))
    manifest = json.loads(Path("bomb/manifest.json").read_text())
    digest = hashlib.sha256(Path("bomb/arrays.npz").read_bytes()).hexdigest()
    manifest["files"]["arrays.npz"] = digest
    Path("bomb/manifest.json").write_text(json.dumps(manifest))


def test_mistakes(terminal: Terminal) -> None:
    """Each is one line with a code and a remedy on stderr, exit 1, and an object with --json."""
    prepare()
    before = sorted(os.listdir())
    for line, expected in MISTAKES.items():
        out, err = terminal(line, code=1)
        assert out == ""
        assert err.count("\n") == 1, line
        assert expected is None or err == f"{expected}\n"
        error = terminal.json(line, code=1)["error"]
        assert (
            err == f"{error['where']}: {error['problem']}. {error['remedy']}. [{error['code']}]\n"
        )
    assert sorted(os.listdir()) == before


USAGE = {
    "compil x": "spikec: no such command 'compil'. Did you mean 'compile'?",
    "frobnicate": "spikec: no such command 'frobnicate'. See spikec --help.",
    "compile digits -o b --tagret cpu": "spikec compile: no such option: --tagret. Did you mean "
    "--target?",
    "targets --wat": "spikec targets: no such option: --wat. See spikec targets --help.",
    "targets now": None,
    "compile -o b": "spikec compile: missing argument 'MODEL'. See spikec compile --help.",
    "compile digits": "spikec compile: missing option '--output' / '-o'. See spikec compile "
    "--help.",
    "simulate build": "spikec simulate: missing option '--input' / '-i'. See spikec simulate "
    "--help.",
    "simulate build --input": "spikec simulate: option '--input' requires an argument. See spikec "
    "simulate --help.",
    "simulate build -i x.npy --steps 0": None,
    "simulate build -i x.npy --steps few": None,
    "simulate build -i x.npy --encode morse": "spikec simulate: invalid value for '--encode': "
    "'morse' is not one of 'constant', 'rate', 'latency'. See spikec simulate --help.",
    "check digits --dt fast": None,
    "check digits --encode rate": "spikec check: invalid value for --encode: it has no effect "
    "without --calibration. See spikec check --help.",
    "compile digits -o b --labels y.npy": "spikec compile: invalid value for --labels: it has no "
    "effect without --calibration. See spikec compile --help.",
    "verify build --encode rate": "spikec verify: invalid value for --encode: it has no effect "
    "without --input. See spikec verify --help.",
}


def test_wrong_usage(terminal: Terminal) -> None:
    """One line and a hint, exit 2."""
    for line, expected in USAGE.items():
        out, err = terminal(line, code=2)
        assert out == ""
        assert err.count("\n") == 1
        assert expected is None or err == f"{expected}\n"
        assert err.rstrip(".?\n").split()[-1].strip("'") in ("--help", "compile", "--target")
        error = terminal.json(line, code=2)["error"]
        assert error["code"] == "usage"


def test_without_matplotlib(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    for name in [m for m in sys.modules if m.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)

    class Missing:
        def find_spec(self, name: str, *rest: Any) -> None:
            if name.startswith("matplotlib"):
                raise ImportError(name)

    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    _, err = terminal("simulate build -i x.npy --plot p.png", code=1)
    assert err == (
        "--plot: matplotlib is not installed. Install it with pip install 'spikec[report]'. "
        "[SPK0961]\n"
    )


def test_findings_are_told_before_an_error(terminal: Terminal) -> None:
    """They often explain it."""
    _, err = terminal("simulate build -i real.npy", code=1)
    assert err.splitlines() == [
        "input 'in': the array [3, 2, 3] is taken as one sample of 3 steps. [SPK0907]",
        "input 'in': value 0.0588235 is not a spike (0 or 1). Encode it with --encode, or "
        "calibrate quantize with such data. [SPK0649]",
    ]
    line = "in: taken to carry spikes, as there is no calibration data. [SPK0653]"
    found = terminal("check small:unknown_signal --pipeline quantize")
    assert found[0].startswith("small fits cpu")
    assert found[1] == f"{line}\n"
    # An input that is declared to carry spikes leaves nothing to guess.
    assert terminal("check small:continuous --pipeline discretize{dt=1e-3},quantize")[1] == ""


# ---------------------------------------------------------------- what must not happen


def raising(error: BaseException) -> Callable[..., Any]:
    def task(*given: Any) -> Any:
        raise error

    return task


def test_a_bug_is_one_line(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says how to see more; --debug shows it."""
    monkeypatch.setattr(cli_tasks, "targets", raising(KeyError("two\nlines")))
    out, err = terminal("targets", code=1)
    assert out == ""
    assert err == (
        "internal error: KeyError: 'two\\nlines'. This is a bug in spikec, please report it; use "
        "--debug for the traceback.\n"
    )
    assert terminal.json("targets", code=1)["error"]["code"] == "internal"
    _, err = terminal("targets --debug", code=1)
    assert err.startswith("Traceback (most recent call last):\n")
    assert err.endswith("use --debug for the traceback.\n")
    monkeypatch.setattr(cli_tasks, "targets", raising(MemoryError()))
    _, err = terminal("targets", code=1)
    assert err == "spikec: there is not enough memory. Use less data at once.\n"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), None])
def test_an_interrupted_simulate_leaves_nothing(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, error: OSError | None
) -> None:
    """Disk full, or Ctrl-C: an older file stays, and no piece of the new one."""
    Path("y.npz").write_text("older")
    before = sorted(os.listdir())

    def finish(self: BatchWriter, path: Path) -> None:
        path.write_text("half")
        raise error or KeyboardInterrupt

    monkeypatch.setattr(BatchWriter, "finish", finish)
    for name in ("y.npz", "new/y.npz"):
        _, err = terminal(f"simulate build -i x.npy -o {name}", code=1 if error else 130)
        assert error is None or err == (
            f"{name}: it cannot be written (No space left on device). Check the place, its "
            "permissions and the free space. [SPK0801]\n"
        )
    assert sorted(os.listdir()) == before
    assert Path("y.npz").read_text() == "older"


def test_ctrl_c_is_quiet(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 130."""
    with monkeypatch.context() as patched:
        patched.setattr(cli_tasks, "targets", raising(KeyboardInterrupt()))
        assert terminal("targets", code=130) == ("", "")
    monkeypatch.setattr(cli, "write", raising(KeyboardInterrupt()))
    assert terminal("targets", code=130) == ("", "")


def start(line: str, stdout: int, stderr: int) -> "subprocess.Popen[bytes]":
    """Start a command in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": small.PATH}
    command = [sys.executable, "-m", "spikec", *shlex.split(line)]
    return subprocess.Popen(command, env=environment, stdout=stdout, stderr=stderr)


def test_a_reader_that_stops_reading(terminal: Terminal) -> None:
    """As in spikec show digits | head -1: nothing on stderr."""
    reading, writing = os.pipe()
    os.close(reading)
    process = start("show digits --equations", stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    _, err = process.communicate()
    assert err == b""
    assert process.returncode == 141


def test_a_terminated_compile_leaves_nothing(terminal: Terminal) -> None:
    """SIGTERM while the build is written."""
    Path("slow.py").write_text(
        "import time\n"
        "from spikec.backends.cpu.engine import Engine\n"
        "from small import spiking\n"
        "def emit(self, program, folder):\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(60)\n"
        "Engine.emit = emit\n"
    )
    before = sorted(os.listdir())
    process = start("compile slow:spiking -o build", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    assert any(name.startswith(".spikec-") for name in os.listdir())
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[1] == b""
    assert process.returncode == 143
    assert sorted(set(os.listdir()) - {"__pycache__"}) == before
    spikec.open("build")


def test_in_a_terminal(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables keep every digit in a narrow window; the progress bar goes to stderr."""
    main, side = pty.openpty()
    monkeypatch.setenv("COLUMNS", "40")
    try:
        process = start("simulate build -i x.npy --json", stdout=subprocess.PIPE, stderr=side)
        out, _ = process.communicate()
        assert json.loads(out)["samples"] == 3
        assert b"simulate" in os.read(main, 100_000)
        process = start("simulate build -i x.npy", stdout=side, stderr=subprocess.PIPE)
        _, err = process.communicate()
        assert err == b""
        shown = os.read(main, 100_000).decode()
        spikes = spikec.simulate(spikec.open("build"), small.data()).counts["hidden"]["spikes"]
        assert f" {spikes} " in shown
        assert "\x1b[1m" in shown
    finally:
        os.close(main)
        os.close(side)


@pytest.mark.parametrize("line", ["--help", "targets", "models"])
def test_light_commands_start_without_the_compiler_of_kernels(
    terminal: Terminal, line: str
) -> None:
    """Importing numba takes longer than all the rest."""
    code = (
        f"import sys; from spikec.compiler.cli import run; run({line!r}.split()); "
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert "spikec.compiler.cli" in loaded
    assert not {"numba", "matplotlib", "torch", "rich.progress"} & set(loaded)
