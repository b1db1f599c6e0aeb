"""A model in its own framework beside spikec: equal, or the first difference with its cause."""

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import norse_networks
import snntorch_networks
import spikec
import test_onnx_spiking as onnx_spiking
from interop_cases import CASES, DT
from norse_networks import norse
from sizes import size
from snntorch_networks import snn
from spikec.compiler.against import Verdict, verify_against
from spikec.compiler.cli import run
from spikec.compiler.frontends.framework_run import open_run
from spikec.compiler.frontends.onnx_run import OnnxRun
from spikec.compiler.frontends.torch_load import load_module
from spikec.compiler.frontends.torch_run import TorchRun
from spikec.compiler.pipeline import compile_graph
from spikec.compiler.types import Array
from torch_networks import nn, torch

Edit = Callable[[spikec.Graph], spikec.Graph]


def discrete(graph: spikec.Graph) -> spikec.Program:
    return compile_graph(graph, pipeline="discretize")


# Equal -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wiring", ["dense", "recurrent", "conv"])
@pytest.mark.parametrize("framework", ["snntorch", "norse"])
def test_generated_networks_agree(framework: str, wiring: str) -> None:
    """In float64 in every spike and state; and the module keeps its numbers, bit for bit."""
    spikes = 0
    for seed in range(size(1, 40)):
        source: Any = snntorch_networks if framework == "snntorch" else norse_networks
        net, sample, data = source.generate(seed, wiring)
        before = {name: (t, t.clone()) for name, t in net.named_parameters()}
        loaded = TorchRun(load_module(net, sample, None), framework)
        inputs = {loaded.graph.inputs[0].name: np.moveaxis(data, 0, 1)}
        found = verify_against(loaded, discrete(loaded.graph), inputs, "reference", double=True)
        assert found.equal, (seed, str(found))
        spikes += found.spikes
        for name, t in net.named_parameters():
            assert t is before[name][0]
            assert t.dtype == before[name][1].dtype
            assert torch.equal(t, before[name][1])
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert spikes > 50


# Causes ------------------------------------------------------------------------------------------


class Two(nn.Module):  # type: ignore[misc]
    """Two layers with few bits in every number, so that float32 is exact; one feeds itself."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        random = np.random.default_rng(1)
        self.fc1, self.fc2 = nn.Linear(6, 8, bias=False), nn.Linear(8, 5, bias=False)
        for layer in (self.fc1, self.fc2):
            drawn = np.round(random.normal(0.1, 0.7, tuple(layer.weight.shape)) * 8) / 8
            layer.weight.data = torch.tensor(drawn, dtype=torch.float32)
        options: dict[str, Any] = {"reset_mechanism": "zero", "reset_delay": False}
        self.lif1 = snn.Leaky(beta=0.5, threshold=0.75, **options)
        self.lif2 = snn.Leaky(beta=0.5, threshold=0.5, **options)

    def forward(self, x: Any) -> Any:
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        sent: list[Any] = []
        for step in x:
            spikes, mem1 = self.lif1(self.fc1(step), mem1)
            spikes, mem2 = self.lif2(self.fc2(spikes), mem2)
            sent.append(spikes)
        return torch.stack(sent)


def two() -> tuple[Any, Any]:
    return Two(), torch.zeros(4, 1, 6)


def smooth() -> tuple[Any, Any]:
    """Return the same with weights of many bits, so that no membrane meets a threshold exactly."""
    made = Two()
    for layer in (made.fc1, made.fc2):
        torch.nn.init.normal_(layer.weight, 0.1, 0.7, torch.Generator().manual_seed(0))
    return made, torch.zeros(4, 1, 6)


def neuron(name: str, **values: Any) -> Edit:
    """Return what changes a neuron of a graph."""

    def edit(graph: spikec.Graph) -> spikec.Graph:
        population = graph.population(name)
        model: Any = population.neuron
        return graph.with_nodes([replace(population, neuron=replace(model, **values))])

    return edit


def later(target: str) -> Edit:
    """Return what delays the projections into a population."""

    def edit(graph: spikec.Graph) -> spikec.Graph:
        changed = (
            replace(p, delay=p.delay + 1) if p.target == target else p for p in graph.projections
        )
        return replace(graph, projections=tuple(changed))

    return edit


EDITS: dict[str, tuple[Edit, str, str]] = {
    "compare": (neuron("lif2", compare="ge"), "lif2", "compare (gt in place of ge)"),
    "reset": (
        neuron("lif1", reset="subtract"),
        "lif1",
        "reset (zero in place of subtract) or reset (value in place of subtract)",
    ),
    "phase": (neuron("lif1", reset_phase="next"), "lif1", "reset (same in place of next)"),
    "both": (
        neuron("lif1", reset="subtract", reset_phase="undelayed"),
        "lif1",
        "reset (zero same in place of subtract undelayed) or "
        "reset (value same in place of subtract undelayed)",
    ),
    "delay": (later("lif2"), "lif2", "delay (lif1 -> lif2: 0 in place of 1)"),
    "rule": (
        neuron("lif2", decay=float(np.exp(-0.5))),
        "lif2",
        "dt (decay 1 - dt/tau in place of exp(-dt/tau))",
    ),
    "step": (neuron("lif1", decay=0.25), "lif1", "dt (a step 0.5 times as long)"),
    "nothing": (neuron("lif1", decay=0.4375), "lif1", "unknown"),
}


def first(runs: list[spikec.Trace], names: list[str]) -> tuple[Any, ...]:
    """Return the first difference of two runs, found number by number."""
    a, b = runs
    steps = a.spikes[names[0]].shape[1]
    for step in range(steps):
        for name in names:
            for what, x, y in (
                ("spikes", a.spikes[name], b.spikes[name]),
                ("v", a.state[name]["v"], b.state[name]["v"]),
            ):
                for sample in range(len(x)):
                    for k in range(x.shape[2]):
                        if x[sample, step, k] != y[sample, step, k]:
                            return (
                                step,
                                name,
                                what,
                                sample,
                                (k,),
                                x[sample, step, k],
                                y[sample, step, k],
                            )
    raise AssertionError("no difference")


def spikes_in(shape: tuple[int, ...], seed: int = 3) -> Array:
    return (np.random.default_rng(seed).random(shape) < 0.4).astype(np.float64)


@pytest.mark.parametrize("case", EDITS)
def test_the_place_the_values_and_the_cause(case: str) -> None:
    """As two runs of spikec have them, which differ by what was changed."""
    edit, population, cause = EDITS[case]
    loaded = TorchRun(load_module(*two(), None), "snntorch")
    data = {"x": spikes_in((3, 60, 6))}
    right, wrong = discrete(loaded.graph), discrete(edit(loaded.graph))
    runs = [spikec.simulate(p, data, ("spikes", "state"), "reference") for p in (right, wrong)]
    found = verify_against(loaded, wrong, data, "reference")
    at = found.difference
    assert at is not None
    assert (at.step, at.population, at.what, at.sample, at.neuron, at.first, at.second) == first(
        runs, ["lif1", "lif2"]
    )
    assert at.population == population
    assert f"; cause: {cause}; compared 3 samples x 60 steps, 13 neurons of 2 pop" in str(found)
    assert verify_against(loaded, right, data, "reference").equal


STATIC = np.random.default_rng(0).random((1, 400, 6))


def integrating(threshold: float) -> TorchRun:
    """Return a network whose first layer is never reset, and sums up for long."""
    made = Two()
    torch.nn.init.normal_(made.fc1.weight, 0.1, 0.3, torch.Generator().manual_seed(0))
    made.lif1 = snn.Leaky(beta=0.9, threshold=threshold, reset_mechanism="none")
    return TorchRun(load_module(made, torch.zeros(4, 1, 6), None), "snntorch")


def membranes(double: bool) -> Array:
    """Return those of its first layer, (steps, neurons)."""
    return np.array(integrating(100.0).run({"x": STATIC}, double).state["lif1"]["v"][0])


def test_rounding_of_float32() -> None:
    """A threshold between the membranes of both types: a spike in one of them."""
    single, exact = membranes(False), membranes(True)
    middle = ((single + exact) / 2).astype(np.float32).astype(np.float64)
    between = np.where((single > middle) & (exact < middle), single - exact, 0.0)
    step, k = np.unravel_index(int(np.argmax(between)), between.shape)
    run, inputs = integrating(float(middle[step, k])), {"x": STATIC[:, : step + 1]}
    found = verify_against(run, discrete(run.graph), inputs, "reference")
    at = found.difference
    assert at is not None
    assert (at.step, at.population, at.what) == (int(step), "lif1", "spikes")
    assert (at.first, at.second) == (True, False)
    # What had been rounded before: one step from the framework's states spikes as it does.
    assert [str(c) for c in found.causes] == [
        "rounding (the step agrees from the framework's own states before it)"
    ]
    assert verify_against(run, discrete(run.graph), inputs, "reference", double=True).equal


def test_what_is_there_in_float64_too_is_no_rounding() -> None:
    """Thresholds so close that rounding might explain it."""
    value = float(np.float32(membranes(True)[100, 3] - 2e-6))
    run = integrating(value)
    wrong = discrete(neuron("lif1", threshold=value + 4e-6)(run.graph))
    found = verify_against(run, wrong, {"x": STATIC[:, :101]}, "reference")
    assert found.difference is not None
    assert found.difference.population == "lif1"
    assert found.causes == ()


def test_a_spike_by_rule_is_no_rounding() -> None:
    """Exactly at the threshold float64 differs too."""
    loaded = TorchRun(load_module(*two(), None), "snntorch")
    wrong = discrete(neuron("lif2", compare="ge")(loaded.graph))
    found = verify_against(loaded, wrong, {"x": spikes_in((3, 60, 6))}, "reference")
    assert [c.kind for c in found.causes] == ["compare"]


def test_norse() -> None:
    """A real module over time, its leak integrated with another compare, decay and delay."""
    p = norse.LIFParameters(v_th=torch.tensor(0.25), tau_mem_inv=torch.tensor(250.0))
    torch.manual_seed(1)
    net = norse.SequentialState(nn.Linear(6, 8), norse.LIF(p=p), nn.Linear(8, 3), norse.LI())
    loaded = TorchRun(load_module(net, torch.zeros(4, 2, 6), None), "norse")
    data = {loaded.graph.inputs[0].name: 4 * spikes_in((2, 40, 6))}
    equal = verify_against(loaded, discrete(loaded.graph), data, "reference")
    assert equal.equal
    assert str(equal).startswith("norse 1.1.0 (float32) and reference agree in every spike and")
    rate = float(loaded.graph.population("1").model().parameters()["rate"].data)
    for edit, population, kind in (
        (neuron("1", reset="none"), "1", "reset"),
        (neuron("1", rate=1 - (1 - rate) ** 2, synapse_rate=0.36), "1", "dt"),
        (later("3"), "3", "delay"),
    ):
        found = verify_against(loaded, discrete(edit(loaded.graph)), data, "reference")
        assert found.difference is not None
        assert found.difference.population == population
        assert {c.kind for c in found.causes} == {kind}, str(found)


# NIR, through the command line -------------------------------------------------------------------


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Return what runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets_of_against.py").write_text(
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_against import smooth, two\n"
        "import spikec\n"
        "def written():\n    return spikec.load('digits')\n"
    )
    sys.modules.pop("nets_of_against", None)

    def call(line: str, code: int = 0) -> str:
        found = run(shlex.split(line))
        out, err = capsys.readouterr()
        assert found == code, (line, found, out, err)
        return out + err

    return call


@pytest.mark.parametrize(
    ("framework", "convention", "changed", "cause"),
    [
        ("snntorch", "snntorch", "compare=ge", "compare (gt in place of ge)"),
        ("snntorch", "snntorch", "reset_phase=next", "reset (same in place of next)"),
        ("norse", "norse", "discretisation=exponential", "dt (euler in place of exponential)"),
        ("norse", "norse", "feedback_delay=2", "delay (a -> a: 1 in place of 2)"),
    ],
)
def test_nir(
    shell: Callable[..., str], framework: str, convention: str, changed: str, cause: str
) -> None:
    """What the importer makes of a file is what spikec reads, unless under another convention."""
    pytest.importorskip("nirtorch")
    own = "" if framework == "snntorch" else f"dt={DT},synapse_gain=held,"
    meaning = f"{convention}{{{own.rstrip(',')}}}" if own else convention
    graph = replace(CASES["recurrence"](), dt=1e-4 if framework == "snntorch" else DT)
    spikec.to_nir(graph, "net.nir", meaning)
    np.save("x.npy", spikes_in((2, 60, 5)))
    line = f"verify net.nir --against {framework} --input x.npy --backend reference --semantics "
    out = shell(f"{line} '{meaning}'")
    assert f"the NIR importer of {framework} " in out
    assert "agree in every spike and state: compared 2 samples x 60 steps, 10 neurons of 2" in out
    out = shell(f"{line} '{convention}{{{own}{changed}}}'", 1)
    assert f"; cause: {cause}; " in out


def test_another_step_and_another_convention(shell: Callable[..., str]) -> None:
    """SnnTorch fixes 1e-4 s; under NIR's own convention both rule and reset differ."""
    pytest.importorskip("nirtorch")
    spikec.to_nir(replace(CASES["LIF, feed-forward"](), dt=1e-4), "net.nir", "snntorch")
    line = "verify net.nir --against snntorch --backend reference --steps 40 --seed 3"
    out = shell(f"{line} --semantics snntorch --dt 2e-4", 1)
    assert "; cause: dt (0.0001 s in place of 0.0002 s); " in out
    assert "input  random, 8 samples x 40 steps, spikes with probability 0.2, values unif" in out
    shown = json.loads(
        shell(f"--json {line} --semantics 'nir{{reset=subtract}}' --dt 1e-4", 1).split("\n}\n")[0]
        + "\n}"
    )
    assert shown["equal"] is False
    assert shown["causes"] == [{"kind": "convention", "text": "discretisation=euler, reset=zero"}]
    out = shell(f"{line} --semantics nir --dt 1e-3", 1)
    assert "; cause: convention (discretisation=euler, dt=0.0001); " in out
    page = (Path(__file__).parents[1] / "docs" / "torch.md").read_text()
    out = shell("verify digits --against snntorch --backend reference", 1)
    told = out.splitlines()[1].replace(" and reference differ", " and cpu differ")
    assert told in " ".join(page.split())
    out = shell("verify digits --against norse --backend reference --steps 20", 1)
    assert "; cause: convention (discretisation=euler, r=1); " in out


# ONNX --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", onnx_spiking.CASES)
def test_onnx(tmp_path: Path, case: str) -> None:
    """A step in onnxruntime, states handed on; then with a neuron of another threshold rule."""
    pytest.importorskip("onnxruntime")
    path, _ = onnx_spiking.exported(case, tmp_path, False)
    made = OnnxRun(str(path), None)
    data = {made.graph.inputs[0].name: spikes_in((2, 40, 6))}
    found = verify_against(made, discrete(made.graph), data, "reference")
    assert found.equal, str(found)
    assert found.spikes > 20
    assert str(found).startswith("onnxruntime ")
    name = made.graph.populations[0].name
    model: Any = made.graph.population(name).model()
    reset = "none" if model.reset != "none" else "subtract"
    wrong = discrete(neuron(name, reset=reset, reset_phase="same")(made.graph))
    found = verify_against(made, wrong, data, "reference")
    assert found.difference is not None
    assert found.difference.population == name
    assert {c.kind for c in found.causes} == {"reset"}, str(found)


def test_onnx_unrolled(tmp_path: Path, shell: Callable[..., str]) -> None:
    """All steps in one run; only what the file returns is compared."""
    pytest.importorskip("onnxruntime")
    import test_onnx_unrolled as unrolled

    unrolled.exported("leaky subtract", tmp_path, False)
    out = shell("verify u.onnx --against onnxruntime --backend reference")
    assert "compared 8 samples x 6 steps, 4 neurons of 1 population, " in out
    assert "agree" in out
    out = shell("verify u.onnx --against onnxruntime --steps 5 --backend reference", 1)
    assert "it holds 6 steps, the data have 5. Give --steps 6" in out
    out = shell("verify u.onnx --against onnxruntime --float64", 1)
    assert "[SPK1486]" in out
    out = shell("verify u.onnx --against snntorch", 1)
    assert "it is an ONNX file, which snntorch cannot run. Use --against onnxruntime" in out


# Builds ------------------------------------------------------------------------------------------


def test_builds(shell: Callable[..., str]) -> None:
    """Of integers: rounding; of another model, or without it: refused."""
    loaded = load_module(*smooth(), None)
    data = spikes_in((4, 30, 6))
    np.save("x.npy", data)
    line = "--against snntorch --input x.npy --backend reference"
    for bits in (12, 2):
        program = spikec.compile(
            loaded.graph, pipeline=f"discretize,quantize{{weight_bits={bits}}}", calibration=data
        )
        spikec.emit(program, f"build{bits}")
    model = "--model nets_of_against:smooth"
    assert "agree in every spike: compared" in shell(f"verify build12 {model} {line}")
    out = shell(f"verify build2 {model} {line}", 1)
    assert "; cause: rounding (to integers: in floating point this step agrees); " in out
    assert "a build does not hold the model that it was made of. Give --model" in shell(
        f"verify build12 {line}", 1
    )
    spikec.emit(spikec.compile(spikec.load("digits")), "other")
    assert "[SPK1482]" in shell(f"verify other {model} --against snntorch --steps 4", 1)


def test_a_wrong_model_in_integers() -> None:
    """What differs in floating point too is no rounding to integers."""
    loaded = TorchRun(load_module(*smooth(), None), "snntorch")
    data = spikes_in((4, 30, 6))
    wrong = neuron("lif1", reset="none")(loaded.graph)
    pipeline = "discretize,quantize{weight_bits=12}"
    program = spikec.compile(wrong, pipeline=pipeline, calibration=data)
    found: Verdict = verify_against(loaded, program, {"x": data}, "reference")
    assert found.difference is not None
    assert found.difference.population == "lif1"
    assert not any("to integers" in c.text for c in found.causes), str(found)


# Refusals ----------------------------------------------------------------------------------------


class Shown(nn.Module):  # type: ignore[misc]
    """One image, shown in ten steps by a loop."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        torch.manual_seed(0)
        self.fc, self.lif = nn.Linear(6, 5), snn.Leaky(beta=0.9, threshold=0.3)

    def forward(self, x: Any) -> Any:
        mem = self.lif.reset_mem()
        sent: list[Any] = []
        for _ in range(10):
            spikes, mem = self.lif(self.fc(x), mem)
            sent.append(spikes)
        return torch.stack(sent)


def shown() -> tuple[Any, Any]:
    return Shown(), torch.zeros(2, 6)


def strict() -> tuple[Any, Any]:
    class Strict(Two):
        def forward(self, x: Any) -> Any:
            if x.shape[1] != 1:
                raise ValueError("one sample, please")
            return super().forward(x)

    return Strict(), torch.zeros(4, 1, 6)


def short() -> tuple[Any, Any]:
    class Short(Two):
        def forward(self, x: Any) -> Any:
            return super().forward([x[t] for t in range(4)])

    return Short(), torch.zeros(4, 1, 6)


def test_a_static_input(shell: Callable[..., str]) -> None:
    """Random values are the same in every step, as the forward shows them; others are refused."""
    Path("more_of_against.py").write_text("from test_against import shown, short, strict\n")
    shell("verify nets_of_against:two --against snntorch --backend reference")
    out = shell("verify more_of_against:shown --against snntorch --backend reference")
    assert "8 samples x 10 steps" in out
    assert "x the same in every step" in out
    np.save("x.npy", spikes_in((2, 10, 6)))
    line = "verify more_of_against:shown --against snntorch --input x.npy"
    assert "the forward shows it whole in every step, and the data change over time" in shell(
        line, 1
    )
    np.save("x.npy", np.ones((2, 6)))
    out = shell(f"{line} --encode constant --steps 12", 1)
    assert "lif: the forward makes 10 steps of it, the data have 12. Give --steps 10, or" in out
    line = "--against snntorch --backend reference"
    out = shell(f"verify more_of_against:short {line}", 1)
    assert "lif1: the forward makes 4 steps of it, the data have 50. Give --steps 4, or" in out
    out = shell(f"verify more_of_against:strict {line}", 1)
    assert "its forward fails on 8 samples of 50 steps: ValueError: one sample, please" in out


REFUSED = {
    "verify nets_of_against:two --against norse": "it has no neurons of norse. Use --against snnt",
    "verify nets_of_against:two --against onnxruntime": "it is a torch module, which onnxruntime",
    "verify nets_of_against:two --against snntorch --semantics nir": "SPK1338",
    "verify nets_of_against:two --against snntorch --model x": "it is no build, so --model has no",
    "verify nets_of_against:written --against snntorch": "it is a network written down for spikec",
    "verify digits --against onnxruntime": "it is a NIR file, which onnxruntime cannot run",
    "verify none.nir --against snntorch": "none.nir: no such file",
    "verify two.nir --against snntorch --dt 1e-4": "it has 2 inputs, and importers of NIR take one",
    "verify ends.nir --against snntorch --dt 1e-4": "refuses it (ValueError: it never ends on this",
    "verify leak.nir --against snntorch --dt 1e-4": "refuses it (AssertionError: v_leak not supp",
}


@pytest.mark.parametrize("line", REFUSED)
def test_refusals(shell: Callable[..., str], line: str) -> None:
    """One line that says what to do."""
    pytest.importorskip("nirtorch")
    files = {"two": "two inputs", "ends": "two outputs", "leak": "LIF, offset"}
    for name, case in files.items():
        if f"{name}.nir" in line:
            spikec.to_nir(replace(CASES[case](), dt=1e-4), f"{name}.nir")
    out = shell(line, 1)
    assert REFUSED[line] in out
    assert "Traceback" not in out


def test_wrong_usage(shell: Callable[..., str]) -> None:
    """Options of a framework have no effect with a backend."""
    for option in ("--model x", "--dt 1", "--semantics nir", "--float64"):
        assert "it has no effect without" in shell(f"verify build {option}", 2)
    assert "it has no effect with a framework" in shell(
        "verify build --against snntorch --lava python", 2
    )


def test_what_an_importer_makes_fails(tmp_path: Path) -> None:
    """An IF becomes a neuron that returns its state too, which the next layer does not take."""
    pytest.importorskip("nirtorch")
    graph = replace(CASES["IF"](), dt=1.0)
    spikec.to_nir(graph, tmp_path / "if.nir", "nir")
    made = open_run(str(tmp_path / "if.nir"), "snntorch", 1e-4, None)
    with pytest.raises(spikec.SpikecError, match="SPK1480"):
        made.run({"in": np.zeros((1, 3, 5))})


def test_without_the_package(shell: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    for name in ("snntorch", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    out = shell("verify digits --against snntorch", 1)
    assert "Run pip install 'spikec[snntorch]'. [SPK1303]" in out
