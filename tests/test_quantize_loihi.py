"""The Loihi policy: its formats, and equality with Lava's rule, written independently."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikec
from framework_rules import lava_lif_fixed
from sizes import evidence, size
from spikec.compiler.compare import compare
from spikec.compiler.passes.quantize_loihi import driven_biases, same_phase
from spikec.compiler.types import Array, Tensor

POLICY = "discretize,fuse,quantize_loihi"


def one_neuron(random: np.random.Generator, cuba: bool) -> spikec.Graph:
    """Return one random neuron with one excitatory or inhibitory input weight."""
    values: dict[str, Any] = {"decay": random.uniform(0.5, 0.99), "reset": "zero"}
    neuron: Any = (
        spikec.CubaLIF(synapse_decay=random.uniform(0.2, 0.9), **values)
        if cuba
        else spikec.LIF(offset=random.uniform(0, 0.05), **values)
    )
    weight = Tensor.floats([[random.choice([-1, 1, 1, 1]) * random.uniform(0.2, 0.8)]])
    return spikec.Graph(
        "one",
        (
            spikec.Input("x", (1,)),
            spikec.Population("n", (1,), neuron),
            spikec.Output("y", "n"),
        ),
        (spikec.Projection("x", "n", spikec.Dense(weight), delay=1),),
    )


@pytest.mark.parametrize("cuba", [False, True])
def test_single_neurons_equal_lava(cuba: bool) -> None:
    """Spikes and membranes equal Lava's fixed-point LIF with the same mantissas, bit for bit."""
    random = np.random.default_rng(int(cuba))
    total = 0
    for _ in range(size(20, 200)):
        program = spikec.compile(one_neuron(random, cuba), pipeline=POLICY)
        p = program.graph.populations[0]
        values = {k: int(t.data) for k, t in p.model().parameters().items()}
        synapse = program.graph.projections[0].synapse
        drive = (random.random(200) < 0.4).astype(np.int64)
        weight = int(synapse.weight.data[0, 0]) << (-synapse.weight.frac)
        assert weight % 64 == 0 or synapse.weight.frac > -6
        spikes, v = lava_lif_fixed(
            drive * (weight // 64 if weight % 64 == 0 else weight),
            du=4095 - values["synapse_decay"] if cuba else 4095,
            dv=4096 - values["decay"],
            weight=1,
            vth=values["threshold"] >> 6,
            bias=values["offset"],
        )
        for backend in ("reference", "cpu"):
            trace = spikec.simulate(program, drive[None, :, None], ("state",), backend)
            np.testing.assert_array_equal(trace.output[0, :, 0], np.asarray(spikes) > 0)
            np.testing.assert_array_equal(trace.state["n"]["v"][0, :, 0], v)
        total += int(np.asarray(spikes).sum())
    assert total > 100


def test_formats_of_the_digits_network() -> None:
    """Weights, decays, thresholds and biases are what the chip's registers hold."""
    graph = spikec.load("digits")
    for bits, cleared in ((8, 1), (6, 3), (4, 5)):
        program = spikec.compile(graph, pipeline=f"{POLICY}{{weight_bits={bits}}}")
        for projection in program.graph.projections:
            stored = projection.synapse.weight
            assert stored.data.min() >= -256
            assert stored.data.max() <= 254
            assert not np.any(stored.data % (1 << cleared))
            assert -13 <= stored.frac <= 1
            assert projection.synapse.bias is None
        for population in program.graph.populations:
            numbers = population.model().parameters()
            assert numbers["decay"].frac == 12
            assert not np.any(numbers["threshold"].data % 64)
            assert np.all(numbers["threshold"].data >> 6 <= (1 << 17) - 1)
            for bias in np.atleast_1d(numbers["offset"].data):
                assert any(bias % (1 << e) == 0 and abs(bias) >> e <= 4095 for e in range(8))
            assert str(population.formats["v"]) == "s24.0:to_zero:saturate"


# Held-out digits, of 540, that are right at so many weight bits; 531 in floating point.
DIGITS = {8: 532, 6: 526, 5: 529, 4: 525}


@pytest.mark.parametrize("generation", [1, 2])
@pytest.mark.parametrize("bits", DIGITS)
def test_digits_at_few_bits(generation: int, bits: int, digits: tuple[Array, Array]) -> None:
    """The accuracy at 8, 6, 5 and 4 weight bits; both engines agree in every integer."""
    spikes, labels = digits
    policy = f"{POLICY}{{generation={generation},weight_bits={bits}}},retime"
    program = spikec.compile(spikec.load("digits"), pipeline=policy)
    out = spikec.simulate(program, spikes).output
    right = int((out.sum(axis=1).argmax(axis=1) == labels).sum())
    found = compare(program, {"input": spikes})
    assert found.equal, str(found)
    evidence(f"loihi_digits_{generation}_{bits}_bits", correct=right, comparison=str(found))
    assert right == DIGITS[bits]


def test_cnn_on_nmnist(data: Path, recordings: tuple[Array, Array]) -> None:
    """At 8 bits at least 98 of 100 recordings; fewer bits are recorded; both engines agree."""
    inputs, labels = recordings
    path = data / "nir" / "02_cnn" / "cnn_sinabs.nir"
    graph = spikec.load(
        path, dt=1e-3, semantics="sinabs{max_spikes=1,compare=gt,reset=zero,lower_clip=none}"
    )
    for bits in (8, 6, 5, 4)[: size(1, 4)]:
        program = spikec.compile(
            graph, pipeline=f"{POLICY}{{weight_bits={bits}}},retime", calibration=inputs[:10]
        )
        out = spikec.simulate(program, inputs).output
        right = int((out.sum(axis=1).argmax(axis=1) == labels).sum())
        if bits == 8:
            assert right >= 98
        found = compare(program, {"input": inputs[: size(2, 10)]})
        assert found.equal, str(found)
        evidence(f"loihi_cnn_{bits}_bits", correct=right, comparison=str(found))


REFUSED = [
    (
        spikec.LIF(decay=0.9, reset="subtract"),
        "quantize_loihi: n: Loihi 1 has no reset=subtract. Train with `>`, reset to zero in the "
        "same step and the new current. [SPK0683]",
    ),
    (
        spikec.LIF(decay=0.9, compare="ge"),
        "quantize_loihi: n: Loihi 1 has no compare=ge. Train with `>`, reset to zero in the same "
        "step and the new current. [SPK0683]",
    ),
    (
        spikec.Relay(),
        "quantize_loihi: n: a core of Loihi runs CUBA-LIF, not relay. Run fuse before it. "
        "[SPK0686]",
    ),
    (
        spikec.AdaptiveLIF(decay=0.9, adaptation_decay=0.9, adaptation_gain=0.1, reset="zero"),
        "quantize_loihi: n: a core of Loihi runs CUBA-LIF, not adaptive_lif. Use LIF, CUBA-LIF or "
        "IF neurons. [SPK0686]",
    ),
    (
        spikec.RefractoryLIF(decay=0.9, steps=3, reset="zero"),
        "quantize_loihi: n: Loihi 1 has no refractory=freeze. Train with `>`, reset to zero in the "
        "same step and the new current. [SPK0683]",
    ),
    (
        spikec.RefractoryLIF(decay=0.9, steps=64, reset="zero", refractory="zero"),
        "quantize_loihi: n: Loihi 1 has no refractory period but whole steps from 1 to 63. Train "
        "with `>`, reset to zero in the same step and the new current. [SPK0683]",
    ),
    (
        spikec.RefractoryLIF(decay=0.9, steps=3, r_init=1, reset="zero", refractory="zero"),
        "quantize_loihi: n: Loihi 1 has no neuron that rests from the start. Train with `>`, reset "
        "to zero in the same step and the new current. [SPK0683]",
    ),
    (
        spikec.LIF(decay=0.9, threshold=1e9),
        "quantize_loihi: n: the membrane is 5.07e+04 times what a core holds, even at weight "
        "exponent -7. Rescale the weights, or normalise the threshold. [SPK0685]",
    ),
]


@pytest.mark.parametrize(("neuron", "text"), REFUSED, ids=lambda v: str(v)[:20])
def test_what_a_core_cannot_run_is_refused(neuron: Any, text: str) -> None:
    """The error names the term that does not fit."""
    graph = spikec.Graph(
        "g",
        (spikec.Input("x", (1,)), spikec.Population("n", (1,), neuron), spikec.Output("y", "n")),
        (spikec.Projection("x", "n", spikec.Dense(Tensor.floats([[0.3]]))),),
    )
    with pytest.raises(spikec.SpikecError) as error:
        spikec.compile(graph, pipeline="quantize_loihi")
    assert str(error.value) == text


def cuba_with_biases(**changed: Any) -> spikec.Graph:
    """Return two CUBA-LIF populations with biases on all projections, numbers on a grid."""
    random = np.random.default_rng(5)

    def dense(out: int, size: int) -> spikec.Dense:
        grid = np.rint(random.normal(100.0, 500.0, (out, size))) / 1024
        return spikec.Dense(Tensor.floats(grid), Tensor.floats(np.arange(out) / 64))

    neuron = spikec.CubaLIF(synapse_decay=0.5, decay=0.75, reset="zero", **changed)
    return spikec.Graph(
        "biased",
        (
            spikec.Input("x", (5,)),
            spikec.Population("a", (6,), neuron),
            spikec.Population("b", (4,), neuron),
            spikec.Output("y", "b"),
        ),
        (
            spikec.Projection("x", "a", dense(6, 5)),
            spikec.Projection("a", "a", dense(6, 6), delay=1),
            spikec.Projection("a", "b", dense(4, 6)),
        ),
    )


def test_driven_biases_change_nothing() -> None:
    """In floating point the network with neurons that always spike sends the same spikes."""
    graph = cuba_with_biases()
    drive = np.random.default_rng(0).random((4, 60, 5)) < 0.3
    found: list[spikec.Trace] = []
    for made in (graph, driven_biases(graph)):
        program = spikec.compile(made, pipeline="retime")
        found.append(spikec.simulate(program, drive, ("spikes", "state")))
    for name in ("a", "b"):
        assert found[0].counts[name]["spikes"] > 50
        np.testing.assert_array_equal(found[0].spikes[name], found[1].spikes[name])
        for state in ("u", "v"):
            np.testing.assert_array_equal(found[0].state[name][state], found[1].state[name][state])
    program = spikec.compile(graph, "loihi1")
    assert [f.where for f in program.graph.findings if f.code == "SPK0684"] == ["a", "b"]
    assert all(p.synapse.bias is None for p in program.graph.projections)


def test_a_reset_before_the_next_update_is_one_in_the_same_step() -> None:
    """snnTorch's delayed reset to zero spikes alike, also from a membrane above its threshold."""
    drive = np.random.default_rng(0).random((4, 60, 5)) < 0.3
    total = 0
    for start in (0.0, 1.5):
        delayed = cuba_with_biases(reset_phase="next", v_init=start)
        nodes = [replace(p, neuron=same_phase(p.model())) for p in delayed.populations]
        a, b = (
            spikec.simulate(spikec.compile(g, pipeline="retime"), drive, ("spikes",))
            for g in (delayed, delayed.with_nodes(nodes))
        )
        for name in ("a", "b"):
            np.testing.assert_array_equal(a.spikes[name], b.spikes[name])
        total += a.counts["b"]["spikes"]
    assert total > 100
    assert spikec.compile(delayed, "loihi1").stage == "integer"


def test_a_current_that_decays_after_its_use_is_one_that_decays_before_the_next() -> None:
    """Norse's LIF spikes alike; one that begins with a current is refused."""
    drive = np.random.default_rng(0).random((4, 60, 5)) < 0.3
    jumps = cuba_with_biases(current_phase="jump")
    nodes = [replace(p, neuron=same_phase(p.model())) for p in jumps.populations]
    assert {p.model().options()["current_phase"] for p in nodes} == {"new"}
    a, b = (
        spikec.simulate(spikec.compile(g, pipeline="retime"), drive, ("spikes", "state"))
        for g in (jumps, jumps.with_nodes(nodes))
    )
    for name in ("a", "b"):
        assert a.counts[name]["spikes"] > 50
        np.testing.assert_array_equal(a.spikes[name], b.spikes[name])
        np.testing.assert_array_equal(a.state[name]["v"], b.state[name]["v"])
        assert not np.array_equal(a.state[name]["u"], b.state[name]["u"])
    core = spikec.compile(jumps, "loihi1")
    c, d = (spikec.simulate(core, drive, ("spikes",), backend) for backend in ("cpu", "loihi"))
    np.testing.assert_array_equal(c.spikes["b"], d.spikes["b"])
    assert c.counts["b"]["spikes"] > 50
    with pytest.raises(spikec.SpikecError) as error:
        spikec.compile(cuba_with_biases(current_phase="jump", u_init=0.5), "loihi1")
    assert error.value.code == "SPK0683"


def test_ge_is_taken_for_gt_on_request() -> None:
    """With a finding, and the relative error of the threshold in the report."""
    graph = cuba_with_biases(compare="ge")
    with pytest.raises(spikec.SpikecError) as error:
        spikec.compile(graph, "loihi1")
    assert error.value.code == "SPK0683"
    program = spikec.compile(graph, "loihi1", pipeline=f"{POLICY}{{ge_as_gt=true}},retime")
    assert {p.model().options()["compare"] for p in program.graph.populations} == {"gt"}
    assert [f.where for f in program.graph.findings if f.code == "SPK1661"] == ["a", "b"]
    rows = program.reports["quantize_loihi"]["populations"]
    assert 0 <= rows["a"]["relative_errors"]["threshold"] < 0.01


def test_weights_at_negative_exponents_mean_the_same_everywhere() -> None:
    """Where e is negative, the lowest -e bits of every weight are zero."""
    random = np.random.default_rng(0)
    weights = random.choice([-1.0, 1.0], (3, 2000)) * random.uniform(0.1, 1.0, (3, 2000))
    graph = spikec.Graph(
        "wide",
        (
            spikec.Input("x", (2000,)),
            spikec.Population("n", (3,), spikec.LIF(decay=0.5, reset="zero")),
            spikec.Output("y", "n"),
        ),
        (spikec.Projection("x", "n", spikec.Dense(Tensor.floats(weights))),),
    )
    stored = spikec.compile(graph, "loihi1").graph.projections[0].synapse.weight
    exponent = -stored.frac - 6
    assert exponent < -1
    assert not np.any(stored.data & ((1 << -exponent) - 1))
    assert len(np.unique(stored.data)) > 10


def test_a_current_that_may_wrap_is_found() -> None:
    """A slow synapse onto a membrane that does not leak: nothing bounds its current statically."""
    neuron = spikec.CubaLIF(synapse_decay=0.999, decay=1.0, reset="zero")
    weight = Tensor.floats(np.full((1, 40), 0.5))
    graph = spikec.Graph(
        "slow",
        (spikec.Input("x", (40,)), spikec.Population("n", (1,), neuron), spikec.Output("y", "n")),
        (spikec.Projection("x", "n", spikec.Dense(weight)),),
    )
    found = {f.code for f in spikec.compile(graph, "loihi1").graph.findings}
    assert {"SPK0687", "SPK1662"} <= found
