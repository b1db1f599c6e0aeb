"""The Loihi policy: its formats, and equality with Lava's rule, written independently."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikec
from framework_rules import lava_lif_fixed
from sizes import evidence, size
from spikec.compiler.compare import compare
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
