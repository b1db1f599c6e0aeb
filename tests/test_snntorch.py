"""snnTorch in: the converted network is the network, and what cannot be is refused."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import snntorch_networks as networks
import spikec
from sizes import evidence, size
from snntorch_networks import snn
from torch_networks import Seen, compare, nn, numpy, torch
from training.precision import double_spikes

SOURCE = Path(__file__).parents[1] / "src"


# Generated networks ------------------------------------------------------------------------------


@pytest.mark.parametrize("wiring", ["dense", "recurrent", "conv"])
def test_generated_networks(wiring: str) -> None:
    """Every spike over 100 steps equals the framework's own in float64, every state to 1e-9."""
    wanted, counted, differing, spikes = size(3, 110), 0, 0, 0
    largest = rounding = 0.0
    for seed in range(2 * wanted):
        if counted == wanted:
            break
        net, sample, data = networks.generate(seed, wiring)
        graph = spikec.load(net, sample=sample)
        single = networks.run(net, data, torch.float32)
        seen = networks.reference(net, data)
        sent = list(seen.spikes.values())[-1]
        if not sent.any():
            continue
        counted += 1
        spikes += sum(int(np.count_nonzero(s)) for s in seen.spikes.values())
        backend = "reference" if seed % 4 == 0 else "cpu"
        wrong, gap = compare(graph, {graph.inputs[0].name: data}, seen, networks.NAMES, backend)
        assert (wrong, gap <= 1e-9) == (0, True), (wiring, seed, wrong, gap)
        largest = max(largest, gap)
        rounding = max(rounding, apart(single, seen))
        differing += any(
            not np.array_equal(single.spikes[n] != 0, seen.spikes[n] != 0) for n in seen.spikes
        )
    assert counted == wanted
    assert rounding > 1e-9, "float32 was not run in float32"
    print(f"float32: {differing} of {counted} {wiring} networks have a differing spike")
    evidence(
        f"snntorch_{wiring}", networks=counted, spikes=spikes, largest=largest, float32=differing
    )


def apart(single: Seen, seen: Seen) -> float:
    """Return the largest difference of a state in the first steps, before spikes may differ."""
    return max(
        float(np.abs(held[:3] - seen.states[name][state][:3]).max())
        for name, states in single.states.items()
        for state, held in states.items()
    )


def test_the_program_in_the_documentation(tmp_path: Path) -> None:
    """It trains, loads, compiles and agrees with the trained network."""
    page = (SOURCE.parent / "docs" / "torch.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (same, accuracy), (quantised, _) = (line.split() for line in done.stdout.splitlines())
    assert float(same) > 0.999
    assert float(accuracy) > 0.8
    assert float(quantised) > 0.9


# Networks as people write them -------------------------------------------------------------------


class Tutorial(nn.Module):  # type: ignore[misc]
    """The network of snnTorch's tutorials: a static input, shown in every step."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.fc1 = nn.Linear(6, 8)
        self.lif1 = snn.Leaky(beta=0.9)
        self.fc2 = nn.Linear(8, 3)
        self.lif2 = snn.Leaky(beta=0.8, threshold=0.5)

    def forward(self, x: Any) -> Any:
        mem1 = self.lif1.init_leaky()
        mem2 = self.lif2.init_leaky()
        spk2_rec: list[Any] = []
        mem2_rec: list[Any] = []
        for _ in range(20):
            cur1 = self.fc1(x)
            spk1, mem1 = self.lif1(cur1, mem1)
            cur2 = self.fc2(spk1)
            spk2, mem2 = self.lif2(cur2, mem2)
            spk2_rec.append(spk2)
            mem2_rec.append(mem2)
        return torch.stack(spk2_rec, dim=0), torch.stack(mem2_rec, dim=0)


def agree(net: Any, graph: spikec.Graph, data: Any, steps: int, pick: Callable[[Any], Any]) -> int:
    """Compare the graph's outputs with what ``pick`` takes of the net's result; return spikes."""
    with double_spikes(), torch.no_grad():
        wanted = numpy(pick(net.double().eval()(torch.tensor(data))))
    fed = data if data.shape[0] == steps else np.broadcast_to(data, (steps, *data.shape))
    trace = spikec.simulate(spikec.compile(graph), np.moveaxis(fed, 0, 1))
    mine = np.moveaxis(next(iter(trace.outputs.values())), 1, 0)
    np.testing.assert_allclose(mine.astype(np.float64), wanted, 0, 1e-9)
    return int(np.count_nonzero(wanted))


def scaled(net: Any, factor: float = 3.0) -> Any:
    """Make the weights larger, so that neurons fire."""
    with torch.no_grad():
        for name, p in net.named_parameters():
            if "weight" in name:
                p.mul_(factor)
    return net


def test_the_tutorial_network() -> None:
    """A static input in a loop over time; membranes that are returned can be recorded."""
    torch.manual_seed(0)
    net = scaled(Tutorial())
    graph = spikec.load(net, sample=torch.rand(5, 6))
    assert [str(f) for f in graph.findings] == [
        "lif2.mem: is returned too; record it as state 'v' of population 'lif2'. [SPK1333]",
        "x: the forward shows it whole in every step; feed it so, as --encode constant does. "
        "[SPK1334]",
    ]
    assert [o.name for o in graph.outputs] == ["lif2"]
    assert graph.dt is None
    assert graph.metadata["framework"] == "snntorch"
    data = np.random.default_rng(0).random((4, 6))
    assert agree(net, graph, data, 20, lambda r: r[0]) > 20


class Inner(nn.Module):  # type: ignore[misc]
    """A block with a residual path."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.conv = nn.Conv2d(2, 2, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(2)
        self.lif = snn.Leaky(beta=0.7, init_hidden=True, threshold=0.5)

    def forward(self, x: Any) -> Any:
        return x + self.lif(self.bn(self.conv(x)) + x)


class Residual(nn.Module):  # type: ignore[misc]
    """Nested blocks, functional pools, batch first, the loop over the second axis."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.stem = nn.Sequential(nn.Conv2d(1, 2, 3), snn.Leaky(beta=0.5, init_hidden=True))
        self.blocks = nn.Sequential(Inner(), Inner())
        self.head = nn.Linear(2 * 3 * 3, 4)
        self.out = snn.Leaky(beta=0.9, init_hidden=True)

    def forward(self, x: Any) -> Any:
        sent: list[Any] = []
        for t in range(x.size(1)):
            y = self.stem(x[:, t])
            y = nn.functional.avg_pool2d(self.blocks(y), 2)
            y = nn.functional.dropout(y, 0.5, self.training)
            sent.append(self.out(self.head(y.view(y.shape[0], -1))))
        return torch.stack(sent, dim=1)


def test_nested_residual_blocks() -> None:
    """Sums of signals, folded norms, and functions in place of modules."""
    torch.manual_seed(1)
    net = scaled(Residual())
    before = {k: v.clone() for k, v in net.state_dict().items()}
    graph = spikec.load(net, sample=torch.rand(2, 4, 1, 8, 8))
    assert net.training
    assert not net.out.mem.numel()
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert {"stem.1", "blocks.0.lif", "blocks.1.lif", "out"} <= {p.name for p in graph.populations}
    data = np.random.default_rng(1).random((25, 3, 1, 8, 8)) * 3
    with double_spikes(), torch.no_grad():
        wanted = numpy(net.double().eval()(torch.tensor(np.moveaxis(data, 0, 1))))
    trace = spikec.simulate(spikec.compile(graph), np.moveaxis(data, 0, 1))
    np.testing.assert_array_equal(next(iter(trace.outputs.values())), wanted != 0)
    assert wanted.any()
    assert not wanted.all()


class Counting(Tutorial):
    """Returns spike counts."""

    def forward(self, x: Any) -> Any:
        total = 0
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        for step in x:
            spk1, mem1 = self.lif1(self.fc1(step), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2.detach())
            total = total + spk2
        return total


def test_counts_over_time() -> None:
    """A sum over time is left to the reader, and said."""
    torch.manual_seed(2)
    net = scaled(Counting())
    graph = spikec.load(net, sample=torch.rand(5, 2, 6))
    assert [str(f) for f in graph.findings] == [
        "lif2: is summed over time by the forward; here it is the signal of every step. [SPK1332]"
    ]
    data = np.random.default_rng(2).random((30, 2, 6))
    with double_spikes(), torch.no_grad():
        wanted = numpy(net.double()(torch.tensor(data)))
    trace = spikec.simulate(spikec.compile(graph), np.moveaxis(data, 0, 1))
    np.testing.assert_array_equal(trace.outputs["lif2"].sum(axis=1), wanted)
    assert wanted.any()


class Back(Tutorial):
    """Feedback by the user's own hand, and a sum that begins in the second step."""

    def __init__(self) -> None:
        Tutorial.__init__(self)
        self.back = nn.Linear(3, 8, bias=False)

    def forward(self, x: Any) -> Any:
        mem1, mem2, spk2 = None, None, None
        sent: list[Any] = []
        for t in range(len(x)):
            current = self.fc1(x[t])
            if t > 0:
                current = current + self.back(spk2)
            spk1, mem1 = self.lif1(current, mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            sent.append(spk2)
        return {"spikes": torch.stack(sent)}


def test_feedback_between_layers() -> None:
    """What comes from the step before is a projection with a delay of one."""
    torch.manual_seed(3)
    net = scaled(Back())
    graph = spikec.load(net, sample=torch.rand(5, 2, 6))
    (loop,) = (p for p in graph.projections if p.delay)
    assert (str(loop), loop.delay) == ("lif2 -> lif1", 1)
    data = np.random.default_rng(3).random((40, 2, 6)) * 2
    assert agree(net, graph, data, 40, lambda r: r["spikes"]) > 20


class Sequence(nn.Module):  # type: ignore[misc]
    """Convolutions over one axis; a sum over time of a layer's values."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.conv = nn.Conv1d(2, 4, 4, padding="same", dilation=2, groups=2)
        self.bn = nn.BatchNorm1d(4)
        self.lif1 = snn.Leaky(beta=0.8, threshold=torch.tensor([[0.5], [1.0], [0.7], [0.4]]))
        self.pool = nn.MaxPool1d(2)
        self.conv2 = nn.Conv1d(4, 4, 3, stride=2, bias=False)
        self.lif2 = snn.Synaptic(alpha=0.5, beta=0.8, reset_mechanism="zero")
        self.mean = nn.AdaptiveAvgPool1d(1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        mem1, (syn2, mem2) = self.lif1.reset_mem(), self.lif2.reset_mem()
        total: Any = 0
        for now in x.unbind(0):
            spk1, mem1 = self.lif1(self.bn(self.conv(now)), mem1)
            spk2, syn2, mem2 = self.lif2(self.conv2(self.pool(spk1)), syn2, mem2)
            total = self.head(torch.flatten(self.mean(spk2), 1)) + total
        return total / len(x)


def test_sequences_and_values_over_time() -> None:
    """One-dimensional layers; the mean over time of values is left to the reader."""
    torch.manual_seed(4)
    net = scaled(Sequence(), 2.0)
    graph = spikec.load(net, sample=torch.rand(4, 2, 2, 13))
    (output,) = graph.outputs
    assert [f.code for f in graph.findings] == ["SPK1332"]
    assert [p.name for p in graph.populations] == ["lif1", "lif2", "pool", "mean", "head"]
    data = np.random.default_rng(4).random((30, 3, 2, 13)) * 2
    with double_spikes(), torch.no_grad():
        wanted = numpy(net.double().eval()(torch.tensor(data)))
    trace = spikec.simulate(spikec.compile(graph), np.moveaxis(data, 0, 1), ("spikes",))
    np.testing.assert_allclose(trace.outputs[output.name].mean(axis=1), wanted, 0, 1e-9)
    assert trace.spikes["lif1"].any()
    assert trace.spikes["lif2"].any()


class Readout(Tutorial):
    """Returns membranes alone, as losses on the membrane want it."""

    def __init__(self, last: Any) -> None:
        Tutorial.__init__(self)
        self.lif2 = last

    def forward(self, x: Any) -> Any:
        mem1 = self.lif1.reset_mem()
        first: Any = self.lif2.reset_mem()
        held: list[Any] = [*first] if self.lif2.__class__ is snn.Synaptic else [first]
        sent: list[Any] = []
        for now in x:
            spk1, mem1 = self.lif1(self.fc1(now), mem1)
            _, *held = self.lif2(self.fc2(spk1), *held)
            sent.append(held[-1])
        return torch.stack(sent)


@pytest.mark.parametrize("cuba", [False, True])
def test_a_membrane_as_the_readout(cuba: bool) -> None:
    """A neuron that is never reset, of which only the membrane is used, is an integrator."""
    torch.manual_seed(5)
    options: dict[str, Any] = {"beta": 0.8, "reset_mechanism": "none"}
    last = snn.Synaptic(alpha=0.6, **options) if cuba else snn.Leaky(**options)
    net = scaled(Readout(last))
    graph = spikec.load(net, sample=torch.rand(4, 2, 6))
    kind = "cuba_leaky_integrator" if cuba else "leaky_integrator"
    assert [p.neuron.kind for p in graph.populations] == ["lif", kind]
    assert [o.name for o in graph.outputs] == ["lif2.membrane"]
    data = np.random.default_rng(5).random((40, 2, 6)) * 2
    assert agree(net, graph, data, 40, lambda r: r) > 100


def test_one_step_with_states_handed_in() -> None:
    """Initial states come from the sample."""

    class Step(Tutorial):
        def forward(self, x: Any, mem1: Any = None, mem2: Any = None) -> Any:
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            return spk2, mem1, mem2

    start = torch.arange(8.0).repeat(2, 1) / 8
    graph = spikec.load(Step(), sample=(torch.rand(2, 6), start, torch.zeros(2, 3)))
    assert [i.name for i in graph.inputs] == ["x"]
    np.testing.assert_array_equal(
        graph.population("lif1").model().initial("v").data, np.arange(8) / 8
    )


def test_given_with_its_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """module:attribute may give a module, or a module and a sample."""
    (tmp_path / "my_snn.py").write_text(
        "import torch, snntorch\n"
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Conv2d(1, 2, 3), snntorch.Leaky(beta=0.9, init_hidden=True))\n"
        "def both():\n"
        "    return net(), torch.zeros(1, 1, 5, 5)\n"
        "line = nn.Sequential(nn.Linear(4, 2), snntorch.Leaky(beta=0.9, init_hidden=True))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_snn", raising=False)
    assert spikec.load("my_snn:both").population("1").shape == (2, 3, 3)
    assert spikec.load("my_snn:line", dt=1e-3).dt == 1e-3
    assert refuse("my_snn:net") == (
        "Sequential: what its forward takes cannot be told from its layers. Give sample=, a tensor "
        "that its forward accepts. [SPK1336]"
    )


def test_folds_that_keep_a_layer_one_projection() -> None:
    """Norms and graded spikes go into weights; only what cannot be folded gets a relay."""
    net = nn.Sequential(
        nn.Linear(4, 5),
        nn.BatchNorm1d(5),
        snn.Leaky(beta=0.9, init_hidden=True, graded_spikes_factor=0.5),
        nn.Linear(5, 3, bias=False),
        snn.Leaky(beta=0.9, init_hidden=True),
    )
    net[1].running_var.fill_(4.0)
    graph = spikec.load(net)
    assert [p.name for p in graph.populations] == ["2", "4"]
    first, second = (p.synapse for p in graph.projections)
    factor = 1 / np.sqrt(4 + net[1].eps)
    np.testing.assert_allclose(first.weight.data, numpy(net[0].weight) * factor, 1e-15)
    np.testing.assert_array_equal(second.weight.data, numpy(net[3].weight) * 0.5)


# What is refused ---------------------------------------------------------------------------------


def refuse(net: Any, sample: Any = None, **options: Any) -> str:
    with pytest.raises(spikec.SpikecError) as caught:
        spikec.load(net, sample=sample, **options)
    return str(caught.value)


def forward(body: Callable[..., Any], **modules: Any) -> Any:
    """Return a module with a forward."""

    class Made(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            nn.Module.__init__(self)
            for name, module in modules.items():
                setattr(self, name, module)

        def forward(self, x: Any) -> Any:
            return body(self, x)

    return Made()


def hidden(**options: Any) -> Any:
    return snn.Leaky(beta=0.9, init_hidden=True, **options)


def nothing(*given: Any) -> None:
    """Stand for a function that a user gives."""


ONE, SEQUENCE = np.ones((2, 4), np.float32), np.ones((4, 2, 4), np.float32)


def test_a_shared_neuron() -> None:
    """A neuron in two layers has one state for both."""
    lif = hidden()
    chain = nn.Sequential(nn.Linear(4, 4), lif, nn.Linear(4, 4), hidden(), nn.Linear(4, 4), lif)
    assert refuse(chain) == (
        "1: it is called 2 times, '3' 1 times. Call each neuron once a step; a neuron that serves "
        "two layers mixes their states. [SPK1316]"
    )
    alone = nn.Sequential(nn.Linear(4, 4), lif, nn.Linear(4, 4), lif)
    assert refuse(alone) == (
        "1: it receives 0(argument 'input') in step 0, 2(1[t-1]) in step 1. Wire every step alike, "
        "and give each layer a neuron of its own. [SPK1317]"
    )


def test_modules_that_are_not_registered() -> None:
    """Neurons in a plain list are not part of the network."""

    class Listed(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.line, self.cells = nn.Linear(4, 3), [hidden(), hidden()]

        def forward(self, x: Any) -> Any:
            return self.cells[1](nn.Flatten()(self.cells[0](self.line(x))))

    assert refuse(Listed(), ONE) == (
        "Leaky: the forward calls a module that is no part of the network. Make it an attribute, "
        "or put it into an nn.ModuleList. [SPK1346]"
    )


def test_control_flow_on_data() -> None:
    """A branch on numbers is seen."""

    def body(self: Any, x: Any) -> Any:
        y = self.lif(self.fc(x))
        return y if y.sum() > 3 else 2 * y

    assert refuse(forward(body, fc=nn.Linear(4, 3), lif=hidden()), ONE) == (
        "forward: it reads the numbers of a tensor (bool), so it may do otherwise on other data. "
        "Leave out what depends on data, such as if and print. [SPK1305]"
    )


def _alternate(self: Any, x: Any) -> Any:
    sent: list[Any] = []
    for t in range(4):
        layer = self.a if t % 2 == 0 else self.b
        sent.append(self.lif(layer(x[t])))
    return torch.stack(sent)


def _backwards(self: Any, x: Any) -> Any:
    return torch.stack([self.lif(self.a(x[3 - t])) for t in range(4)])


def _both_ways(self: Any, x: Any) -> Any:
    return torch.stack([self.lif(self.a(x[t]) + self.a(x[t] * 0 + x[0])) for t in range(4)])


def _set_between(self: Any, x: Any) -> Any:
    sent: list[Any] = []
    for t in range(4):
        sent.append(self.lif(self.a(x[t])))
        self.lif.mem = self.lif.mem * 0.5
    return torch.stack(sent)


def _set_in_place(self: Any, x: Any) -> Any:
    sent: list[Any] = []
    for t in range(4):
        sent.append(self.lif(self.a(x[t])))
        self.lif.mem.mul_(0.5)
    return torch.stack(sent)


def _product(self: Any, x: Any) -> Any:
    y = self.a(x)
    return self.lif(y * y)


def _partial(self: Any, x: Any) -> Any:
    return torch.stack([self.lif(self.a(x[t])) for t in range(4)])[:2]


def _early(self: Any, x: Any) -> Any:
    sent = [self.lif(self.a(x[t])) for t in range(4)]
    return torch.stack(sent[:2])


def _forgotten(self: Any, x: Any) -> Any:
    sent: list[Any] = []
    for t in range(4):
        before = sent[-1] if t in (1, 3) else torch.zeros(2, 3)
        sent.append(self.lif(self.a(x[t]) + self.c(before)))
    return torch.stack(sent)


def _compiled(self: Any, x: Any) -> Any:
    return self.lif(self.a(x) + torch.func.vmap(torch.neg)(x)[:, :3] * 0)


def _constant(self: Any, x: Any) -> Any:
    return self.lif(self.a(x) + torch.ones(3))


def _membrane(self: Any, x: Any) -> Any:
    self.lif(self.a(x))
    return self.lif.mem


@pytest.mark.parametrize(
    ("body", "sample", "message"),
    [
        (
            _alternate,
            SEQUENCE,
            "lif: it receives a(argument 'x') in step 0, b(argument 'x') in step 3. Wire every "
            "step alike, and give each layer a neuron of its own. [SPK1317]",
        ),
        (
            _backwards,
            SEQUENCE,
            "argument 'x': step 0 reads entry or step 3 of it. Let step k read entry k, along one "
            "axis. [SPK1313]",
        ),
        (
            _both_ways,
            SEQUENCE,
            "argument 'x': step 3 reads entry or step 0 of it. Let step k read entry k, along one "
            "axis. [SPK1313]",
        ),
        (
            _set_between,
            SEQUENCE,
            "lif.mem: step 1 does not go on from its own state of the step before. Hand the state "
            "from step to step unchanged, and do not set it between steps. [SPK1318]",
        ),
        (
            _set_in_place,
            SEQUENCE,
            "lif.mem: step 1 does not go on from its own state of the step before. Hand the state "
            "from step to step unchanged, and do not set it between steps. [SPK1318]",
        ),
        (
            _product,
            ONE,
            "forward: a product of two signals lies between the layers, which is not supported. "
            "Use layers, sums, constant factors, and one index of time. [SPK1312]",
        ),
        (
            _partial,
            SEQUENCE,
            "forward: an index of more than one entry lies between the layers, which is not "
            "supported. Use layers, sums, constant factors, and one index of time. [SPK1312]",
        ),
        (
            _early,
            SEQUENCE,
            "output: 2 steps of it are returned, the neurons make 4. Return the same signal of "
            "every step. [SPK1319]",
        ),
        (
            _forgotten,
            SEQUENCE,
            "lif: it receives a(argument 'x') + c(zeros) in step 2, a(argument 'x') + c(lif[t-1]) "
            "in step 3. Wire every step alike, and give each layer a neuron of its own. [SPK1317]",
        ),
        (
            _compiled,
            ONE,
            "forward: a tensor of compiled or outside code lies between the layers, which is not "
            "supported. Use layers, sums, constant factors, and one index of time. [SPK1312]",
        ),
        (
            _constant,
            ONE,
            "forward: a constant tensor of shape (3,) is added to a signal. Use the bias of a "
            "layer. [SPK1320]",
        ),
        (
            _membrane,
            ONE,
            "lif.mem: a state of a neuron with a reset is used as a signal, which is not "
            "supported. Use its spikes, reset_mechanism='none', or Norse's LI. [SPK1330]",
        ),
    ],
)
def test_forwards_that_are_refused(body: Any, sample: Any, message: str) -> None:
    """Steps that differ, states that are set, functions that are not linear."""
    layers = {"a": nn.Linear(4, 3), "b": nn.Linear(4, 3), "c": nn.Linear(3, 3)}
    net = forward(body, **layers, lif=hidden())
    assert refuse(net, sample) == message


def test_modules_that_are_refused() -> None:
    """Name and class of what is not supported, and what is."""

    def chain(*modules: Any) -> Any:
        return nn.Sequential(nn.Linear(4, 3), *modules)

    assert refuse(chain(nn.ReLU(), hidden())) == (
        "1: torch.nn.ReLU is not supported. Use Linear, Conv1d, Conv2d, BatchNorm1d, BatchNorm2d, "
        "AvgPool1d, AvgPool2d, AdaptiveAvgPool1d, AdaptiveAvgPool2d, MaxPool1d, MaxPool2d, "
        "Identity, Flatten, Unflatten, Dropout, Dropout1d, Dropout2d, Dropout3d, AlphaDropout, "
        "FeatureAlphaDropout. [SPK1310]"
    )
    assert refuse(chain(snn.StateLeaky(beta=0.9, channels=3))) == (
        "1: snntorch's StateLeaky is not supported. Use Leaky, Synaptic, Lapicque, Alpha, RLeaky, "
        "RSynaptic. [SPK1325]"
    )
    assert refuse(chain(nn.Linear(3, 3))).startswith("forward: it calls no neuron of snnTorch or")
    with pytest.warns(UserWarning, match="unstable"):
        winner = hidden(inhibition=True)
    assert refuse(chain(winner)) == (
        "1: this Leaky has inhibition=True, where only the largest membrane may fire, which is not "
        "supported. Train without it. [SPK1326]"
    )
    assert refuse(chain(hidden(spike_grad=torch.sigmoid))) == (
        "1: this Leaky has a spike_grad that is not 1 above the threshold and 0 elsewhere, which "
        "is not supported. Train without it. [SPK1326]"
    )
    assert "state_quant, which rounds" in refuse(chain(hidden(state_quant=torch.relu)))
    changed = hidden(reset_delay=False)
    changed.reset_mechanism = "zero"
    assert refuse(chain(changed)) == (
        "1: it was made with reset 'subtract' and changed to 'zero', and uses both. Make the "
        "neuron with the reset that is meant. [SPK1327]"
    )
    assert refuse(
        chain(hidden(reset_mechanism="zero", reset_delay=False, threshold=-0.5))
    ).endswith("Use thresholds of at least 0, or reset_delay=True. [SPK1328]")
    assert refuse(chain(nn.BatchNorm1d(3, track_running_stats=False), hidden()), ONE) == (
        "1: this BatchNorm1d keeps no running statistics, so it depends on the batch. Train it "
        "with track_running_stats=True. [SPK1309]"
    )
    hooked = hidden()
    hooked.register_forward_hook(nothing)
    assert refuse(chain(hooked)) == (
        "1: it has forward hooks, which may change what it computes. Remove the hooks. [SPK1311]"
    )
    ragged = refuse(chain(hidden(threshold=torch.rand(2, 3))), torch.ones(2, 4))
    assert ragged == (
        "1.threshold: shape (2, 3) is not one number, or one per neuron of (3,). Give a scalar, or "
        "one number per neuron, the same for the whole batch. [SPK1304]"
    )


def test_convolutions_and_pools_that_are_refused() -> None:
    """Options without an equivalent; a maximum of what is no spike."""
    image = torch.ones(1, 2, 6, 6)

    def chain(*modules: Any) -> str:
        return refuse(nn.Sequential(*modules), image)

    assert chain(nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), hidden()) == (
        "0: Conv2d with padding_mode='circular' is not supported. Change the option. [SPK1307]"
    )
    assert chain(nn.Conv2d(2, 2, 3), nn.MaxPool2d(2), hidden()) == (
        "1: this MaxPool2d is not fed by spikes alone, so it is no OR. Pool behind the neuron, or "
        "use an average. [SPK1322]"
    )
    assert chain(nn.Conv2d(2, 2, 2), hidden(), nn.MaxPool2d(2, ceil_mode=True), hidden()) == (
        "2: this MaxPool2d makes (2, 3, 3) of (2, 5, 5), which its options as they are understood "
        "here do not ((2, 2, 2)). Use ceil_mode=False. [SPK1306]"
    )
    assert chain(nn.Linear(6, 6), hidden()) == (
        "0: this Linear is applied to (2, 6, 6) for each sample, not to one axis. Flatten its "
        "input. [SPK1308]"
    )
    assert "count_include_pad=False and padding" in chain(
        nn.AvgPool2d(2, padding=1, count_include_pad=False), hidden()
    )


def test_samples_that_are_refused() -> None:
    """The forward's own error is passed on; a sample needs a batch."""
    net = nn.Sequential(nn.Linear(4, 3), hidden())
    assert refuse(net, torch.ones(2, 5)) == (
        "Sequential: its forward fails on the sample: RuntimeError: mat1 and mat2 shapes cannot be "
        "multiplied (2x5 and 4x3). Give a sample that it accepts, or correct the module. [SPK1302]"
    )
    assert refuse(net, torch.ones(4)) == (
        "sample: argument 0 is of shape (4,), not a tensor with a batch axis. Give (batch, ...), "
        "or (time, batch, ...) for a forward over time. [SPK1337]"
    )
    assert refuse(net, "x").startswith("sample: argument 0 is a str, not a tensor")
    assert refuse(net, semantics="snntorch") == (
        "Sequential: a torch module has the semantics of its own framework. Leave out semantics. "
        "[SPK1338]"
    )


def test_a_state_dict_is_not_guessed(tmp_path: Path) -> None:
    """A file of weights says what to do; nothing in it is run."""
    net = nn.Sequential(nn.Linear(4, 3), hidden())
    path = tmp_path / "weights.pt"
    torch.save(net.state_dict(), path)
    assert refuse(path) == (
        f"{path}: it holds weights (a state_dict of 6 tensors: 0.weight, 0.bias, 1.threshold, ...),"
        " not the network. Load them into the module, and give that: module:attribute, or "
        "spikec.load(module). [SPK1343]"
    )
    assert refuse(net.state_dict()).startswith("state_dict: it holds weights (a state_dict of 6")
    whole = tmp_path / "whole.pth"
    torch.save(nn.Linear(4, 3), whole)
    assert refuse(whole) == (
        f"{whole}: it is no file of plain tensors, so reading it could run code. Give the module: "
        "module:attribute, or spikec.load(module). [SPK1344]"
    )
    marker = tmp_path / "ran"
    evil = tmp_path / "evil.pt"
    torch.save(Evil(str(marker)), evil)
    assert "could run code" in refuse(evil)
    assert not marker.exists()


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def test_without_torch(tmp_path: Path) -> None:
    """spikec works without torch, and says which extra to install when it is asked for one."""
    code = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "snntorch", "norse"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
import numpy, spikec
spikec.simulate(spikec.compile(spikec.load("digits")), numpy.ones((1, 3, 64)))
for call in (lambda: spikec.load("weights.pt"), lambda: spikec.load(3)):
    try:
        call()
    except spikec.SpikecError as error:
        print(error)
assert not {"torch", "snntorch", "norse"} & set(sys.modules)
"""
    (tmp_path / "weights.pt").write_bytes(b"x")
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, env=environment, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == (
        "torch: it is needed to read this model, and cannot be imported (No module named 'torch'). "
        "Run pip install 'spikec[snntorch]' or 'spikec[norse]'. [SPK1303]"
    )
    assert done.stdout.splitlines()[1].startswith("model: a int is no model")
