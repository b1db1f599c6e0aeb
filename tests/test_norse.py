"""Norse in: the converted network is the network, and what cannot be is refused."""

from typing import Any

import numpy as np
import pytest

import norse_networks as networks
import spikec
from norse_networks import norse, reset
from sizes import evidence, size
from torch_networks import compare, nn, numpy, torch


@pytest.mark.parametrize("wiring", ["dense", "recurrent", "conv"])
def test_generated_networks(wiring: str) -> None:
    """Every spike over 100 steps equals the framework's own in float64, every state to 1e-9."""
    wanted, counted, differing, spikes = size(3, 110), 0, 0, 0
    largest = 0.0
    for seed in range(2 * wanted):
        if counted == wanted:
            break
        net, sample, data = networks.generate(seed, wiring)
        graph = spikec.load(net, sample=sample)
        seen = networks.reference(net, data)
        fired = [np.count_nonzero(s) for n, s in seen.spikes.items() if sends(graph, n)]
        if not fired or not all(fired):
            continue
        counted += 1
        spikes += sum(int(n) for n in fired)
        backend = "reference" if seed % 4 == 0 else "cpu"
        wrong, gap = compare(graph, {graph.inputs[0].name: data}, seen, networks.NAMES, backend)
        assert (wrong, gap <= 1e-9) == (0, True), (wiring, seed, wrong, gap)
        largest = max(largest, gap)
        differing += differs_in_float32(seed, wiring)
    assert counted == wanted
    print(f"float32: {differing} of {counted} {wiring} networks have a differing spike")
    evidence(f"norse_{wiring}", networks=counted, spikes=spikes, largest=largest, float32=differing)


def sends(graph: spikec.Graph, name: str) -> bool:
    """Return whether a population sends spikes."""
    return graph.population(name).model().emits == "spikes"


def differs_in_float32(seed: int, wiring: str) -> bool:
    """Return whether the framework in float32 and the graph of that network differ in a spike."""
    net, sample, data = networks.generate(seed, wiring, torch.float32)
    graph = spikec.load(net, sample=sample)
    seen = networks.run(net, data, torch.float32)
    wrong, _ = compare(graph, {graph.inputs[0].name: data}, seen, networks.NAMES)
    return wrong > 0


def test_over_time_and_step_by_step_are_one_network() -> None:
    """LIF over a sequence, its cell in a Lift, and the cell alone give the same graph."""
    p = norse.LIFParameters(v_th=torch.tensor(0.5))
    line = nn.Linear(4, 3)
    whole = norse.SequentialState(line, norse.LIF(p=p))
    lifted = norse.Lift(norse.SequentialState(line, norse.LIFCell(p=p)))
    single = norse.SequentialState(line, norse.LIFCell(p=p))
    graphs = [
        spikec.load(net, sample=sample)
        for net, sample in ((whole, None), (lifted, torch.zeros(3, 1, 4)), (single, None))
    ]
    models = [g.populations[0].model() for g in graphs]
    for model in models[1:]:
        assert model.options() == models[0].options()
        for name, value in model.parameters().items():
            np.testing.assert_array_equal(value.data, models[0].parameters()[name].data)
    assert [g.dt for g in graphs] == [0.001] * 3
    assert [len(g.projections) for g in graphs] == [1] * 3
    assert not [f for g in graphs for f in g.findings if f.code != "SPK1333"]


def test_constants_are_those_of_norse() -> None:
    """dt / tau is rounded as Norse does, in the type of its parameters."""
    for dtype in (torch.float32, torch.float64):
        p = norse.LIFBoxParameters(tau_mem_inv=torch.tensor(123.4, dtype=dtype))
        graph = spikec.load(norse.SequentialState(nn.Linear(2, 2), norse.LIFBoxCell(p=p)))
        rate = float((0.001 * torch.tensor(123.4, dtype=dtype)).double())
        assert float(graph.population("1").model().parameters()["rate"].data) == rate


def test_a_module_is_left_as_it_was() -> None:
    """Norse sets requires_grad on its own parameters in a forward; it is put back."""
    p = norse.IAFParameters(v_reset=torch.tensor(0.1))
    net = norse.SequentialState(nn.Linear(4, 3), norse.IAFCell(p=p)).train()
    spikec.load(net)
    assert net.training
    assert not p.v_reset.requires_grad
    assert float(spikec.load(net).population("1").model().initial("v").data) == pytest.approx(0.1)


def test_a_state_that_is_handed_in() -> None:
    """A membrane in the sample is where the first step begins."""

    class Step(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.line, self.cell = nn.Linear(4, 3), norse.LIFBoxCell()

        def forward(self, x: Any, v: Any) -> Any:
            return self.cell(self.line(x), norse.LIFBoxFeedForwardState(v))

    graph = spikec.load(Step(), sample=(torch.zeros(2, 4), torch.tensor([[0.1, 0.2, 0.3]] * 2)))
    start = graph.population("cell").model().initial("v").data
    np.testing.assert_allclose(start, [0.1, 0.2, 0.3], 1e-7)
    assert [i.name for i in graph.inputs] == ["x"]


def test_quantised_for_loihi() -> None:
    """A box neuron is a LIF in integers, so a core of Loihi runs it."""
    net = norse.SequentialState(
        nn.Linear(8, 6), norse.LIFBoxCell(), nn.Linear(6, 3), norse.LIFBoxCell()
    )
    data = (np.random.default_rng(0).random((2, 50, 8)) < 0.5).astype(np.float64)
    torch.manual_seed(0)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape) * 2)
    for pipeline in ("discretize,quantize", "discretize,quantize_loihi"):
        program = spikec.compile(spikec.load(net), pipeline=pipeline, calibration=data)
        kinds = {p.neuron.kind for p in program.graph.populations}
        assert program.stage == "integer"
        assert not kinds & {"euler_lif", "relay"}
        assert spikec.simulate(program, data).counts["1"]["spikes"] > 0


# What is refused ---------------------------------------------------------------------------------


def refuse(net: Any, sample: Any = None, **options: Any) -> str:
    with pytest.raises(spikec.SpikecError) as caught:
        spikec.load(net, sample=sample, **options)
    return str(caught.value)


def test_refused() -> None:
    """Classes, resets, steps and states that have no equivalent."""

    def chain(*modules: Any) -> Any:
        return norse.SequentialState(nn.Linear(4, 3), *modules)

    assert refuse(chain(norse.LIFRefracCell())) == (
        "1: Norse's LIFRefracCell is not supported. Use IAFCell, IAF, LIFBoxCell, LIFCell, LIF, "
        "LIFRecurrentCell, LIFRecurrent, LIBoxCell, LICell, LI, LSNNCell, LSNN, LSNNRecurrentCell, "
        "LSNNRecurrent, LIFAdExCell, LIFAdEx, LIFAdExRecurrentCell, LIFAdExRecurrent, LIFExCell, "
        "LIFEx, LIFExRecurrentCell, LIFExRecurrent. [SPK1341]"
    )
    other = norse.LIFCell()
    other.activation = refuse
    assert refuse(chain(other)).startswith(
        "1: Norse's LIFCell is not supported with a step function of its own. Use IAFCell,"
    )

    def mine(z: Any, v: Any, low: Any, th: Any) -> Any:
        return v - z * th

    box = norse.LIFBoxCell(norse.LIFBoxParameters(reset_method=mine))
    assert refuse(chain(box)) == (
        "1: its reset_method mine is not supported. Use reset_value or reset_subtract. [SPK1342]"
    )
    fast = chain(norse.LIFCell(dt=1e-4), nn.Linear(3, 3), norse.LIFCell())
    assert refuse(fast) == (
        "dt: the neurons and --dt give steps of 0.0001, 0.001 s. Give every neuron the same dt, "
        "and leave out --dt. [SPK1335]"
    )
    assert refuse(chain(norse.LIFCell()), dt=0.002).startswith(
        "dt: the neurons and --dt give steps"
    )

    class Forgets(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.cell = norse.LIFCell()

        def forward(self, x: Any) -> Any:
            return torch.stack([self.cell(now)[0] for now in x])

    assert refuse(Forgets(), torch.zeros(3, 2, 4)) == (
        "cell.v: step 1 does not go on from its own state of the step before. Hand the state from "
        "step to step unchanged, and do not set it between steps. [SPK1318]"
    )
    start = norse.LIFState(torch.ones(2, 3), torch.zeros(2, 3), torch.zeros(2, 3))
    started = refuse(norse.LIFRecurrentCell(4, 3), (torch.zeros(2, 4), start))
    assert started == (
        "lifrecurrentcell.out: it begins with spikes that were sent before the first step. Begin "
        "with zeros. [SPK1324]"
    )
    assert reset.reset_value is not mine


def test_adex_has_no_integer_form() -> None:
    """The term is named."""
    net = norse.SequentialState(nn.Linear(4, 3), norse.LIFAdExCell())
    with pytest.raises(spikec.SpikecError) as caught:
        spikec.compile(spikec.load(net), pipeline="discretize,quantize")
    assert str(caught.value).startswith(
        "quantize: 1: adex_lif: the term exp((v - threshold) / sharpness) of a state has no"
    ) or "the term exp(" in str(caught.value)


def test_a_leaky_integrator_as_the_readout() -> None:
    """Its membrane is the output, as values."""
    torch.manual_seed(0)
    net = norse.SequentialState(nn.Linear(4, 8), norse.LIF(), nn.Linear(8, 2), norse.LI())
    graph = spikec.load(net)
    data = np.random.default_rng(0).random((30, 2, 4)) * 4
    with torch.no_grad():
        wanted = numpy(net.double()(torch.tensor(data))[0])
    trace = spikec.simulate(spikec.compile(graph), np.moveaxis(data, 0, 1))
    np.testing.assert_allclose(np.moveaxis(trace.outputs["3"], 1, 0), wanted, 0, 1e-9)
    assert np.ptp(wanted) > 0.01
