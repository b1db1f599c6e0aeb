"""The networks of reference_results.md: a spiking CNN on N-MNIST and two recurrent braille nets."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikec
from sizes import evidence, size
from spikec.compiler.compare import compare
from spikec.compiler.types import Array

ONE_SPIKE = "sinabs{max_spikes=1,compare=gt,lower_clip=none"
CNN_RULES = [
    ("zero", ONE_SPIKE + ",reset=zero}", 100, 98, (461485, 786184, 403160, 202843, 10901)),
    ("subtract", ONE_SPIKE + "}", 99, 97, (543741, 1177603, 929951, 755080, 39924)),
    ("sinabs", "sinabs", 96, None, None),
]


def correct(trace: spikec.Trace, labels: Array) -> int:
    """Return how many samples have their label as the channel of most spikes, lowest on ties."""
    return int((trace.output.sum(axis=1).argmax(axis=1) == labels).sum())


@pytest.mark.parametrize(
    ("name", "semantics", "right", "right_at_8_bits", "spikes"), CNN_RULES, ids=lambda v: str(v)[:8]
)
def test_cnn_on_nmnist(
    data: Path,
    recordings: tuple[Array, Array],
    name: str,
    semantics: str,
    right: int,
    right_at_8_bits: int | None,
    spikes: tuple[int, ...] | None,
) -> None:
    """The CNN classifies as published, spike totals included, and keeps its accuracy at 8 bits."""
    inputs, labels = recordings
    graph = spikec.load(data / "nir" / "02_cnn" / "cnn_sinabs.nir", dt=1e-3, semantics=semantics)
    trace = spikec.simulate(spikec.compile(graph), inputs)
    totals = {k: trace.counts[k]["spikes"] for k in ("1", "3", "6", "10", "12")}
    assert correct(trace, labels) == right
    if spikes is not None:
        assert tuple(totals.values()) == spikes
    program = spikec.compile(
        graph, pipeline="discretize,quantize", calibration=inputs[:10], labels=labels[:10]
    )
    quantised = correct(spikec.simulate(program, inputs), labels)
    if right_at_8_bits is not None:
        assert quantised >= right_at_8_bits
    some = inputs[: size(4, 100)]
    found = compare(program, {"input": some})
    assert found.equal, str(found)
    evidence(
        f"cnn_{name}",
        float_correct=right,
        float_spikes=totals,
        correct_at_8_bits=quantised,
        recordings_compared=len(some),
        comparison=str(found),
    )


def test_cnn_under_nir_semantics_is_useless(data: Path, recordings: tuple[Array, Array]) -> None:
    """Read per second, as NIR writes it, the file gives no useful output."""
    inputs, labels = recordings
    graph = spikec.load(data / "nir" / "02_cnn" / "cnn_sinabs.nir", dt=1e-3)
    trace = spikec.simulate(spikec.compile(graph), inputs[:20])
    assert correct(trace, labels[:20]) < 10


BRAILLE = [
    ("braille_noDelay_bias_zero", "snntorch", (91, 638)),
    ("braille_noDelay_noBias_subtract", "snntorch{reset=subtract}", (162, 116)),
]


@pytest.mark.parametrize(("name", "semantics", "spikes"), BRAILLE)
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_braille_networks(
    data: Path, name: str, semantics: str, spikes: tuple[int, int], backend: str
) -> None:
    """Both recurrent networks give the published spike counts in both engines."""
    graph = spikec.load(data / "nir" / "03_rnn" / f"{name}.nir", semantics=semantics)
    drive = (np.random.default_rng(0).random((256, 12)) < 0.1).astype(np.float64)
    trace = spikec.simulate(spikec.compile(graph), drive[None], (), backend)
    assert (trace.counts["lif1.lif"]["spikes"], trace.counts["lif2"]["spikes"]) == spikes


@pytest.mark.parametrize(("name", "semantics", "spikes"), BRAILLE)
def test_braille_networks_in_integers(data: Path, name: str, semantics: str, spikes: Any) -> None:
    """Quantised, the recurrent networks run alike in both engines."""
    graph = spikec.load(data / "nir" / "03_rnn" / f"{name}.nir", semantics=semantics)
    drive = (np.random.default_rng(0).random((8, 256, 12)) < 0.1).astype(np.float64)
    program = spikec.compile(graph, pipeline="discretize,quantize,retime{hop=0}", calibration=drive)
    found = compare(program, {"input": drive})
    assert found.equal, str(found)


def test_braille_at_a_millisecond_is_refused(data: Path) -> None:
    """dt = 1e-3 is 4.5 time constants of the synapse: an error that says so."""
    graph = spikec.load(
        data / "nir" / "03_rnn" / "braille_noDelay_bias_zero.nir", dt=1e-3, semantics="snntorch"
    )
    with pytest.raises(spikec.SpikecError) as error:
        spikec.compile(graph)
    assert str(error.value) == (
        "discretize: lif1.lif: tau_syn: dt / tau = 4.5 exceeds 1, so the Euler decay 1 - dt / tau "
        "is negative. Use a dt of at most 0.0002222 s, or --semantics "
        "'snntorch{discretisation=exponential}'. [SPK0405]"
    )


def test_bundled_digits(digits: tuple[Array, Array]) -> None:
    """The bundled network classifies 531 of the 540 held-out digits, and at least 528 at 8 bits."""
    spikes, wanted = digits
    graph = spikec.load("digits", dt=1e-3)
    trace = spikec.simulate(spikec.compile(graph), spikes)
    assert correct(trace, wanted) == 531
    assert (trace.counts["lif1"]["spikes"], trace.counts["lif2"]["spikes"]) == (58099, 7117)
    program = spikec.compile(graph, pipeline="discretize,quantize", calibration=spikes[:100])
    assert correct(spikec.simulate(program, spikes), wanted) >= 528
    found = compare(program, {"input": spikes})
    assert found.equal, str(found)
    evidence("digits", float=531, integer=correct(spikec.simulate(program, spikes), wanted))


FILES = {
    "01_lif/lif_norse": "norse",
    "01_lif/lif_rockpool": "rockpool",
    "01_lif/two_lif_neurons": "nir",
    "02_cnn/cnn_sinabs": "sinabs",
    "03_rnn/braille_noDelay_bias_zero": "snntorch",
    "03_rnn/braille_noDelay_noBias_subtract": "snntorch{reset=subtract}",
}


def test_every_file_loads_simulates_and_verifies(data: Path) -> None:
    """Each NIR file of the shared data runs in both engines with equal results."""
    found = {str(p.relative_to(data / "nir"))[:-4] for p in (data / "nir").rglob("*.nir")}
    assert {n for n in found if not n.startswith("malformed")} == FILES.keys()
    for name, semantics in FILES.items():
        graph = spikec.load(data / "nir" / f"{name}.nir", dt=1e-4, semantics=semantics)
        program = spikec.compile(graph)
        random = np.random.default_rng(0)
        drive = {i.name: random.random((2, 40, *i.shape)) < 0.2 for i in graph.inputs}
        comparison = compare(program, drive)
        assert comparison.equal, f"{name}: {comparison}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("braille_noDelay_bias_zero_subgraph", "lif1.input -> lif1.lif: there is no node"),
        ("braille_noDelay_noBias_subtract_subgraph", "lif1.input -> lif1.lif: there is no node"),
        ("missing_type_key", "type"),
    ],
)
def test_every_malformed_file_gives_its_own_error(data: Path, name: str, text: str) -> None:
    """One line that names the place."""
    with pytest.raises(spikec.SpikecError) as error:
        spikec.load(data / "nir" / "malformed" / f"{name}.nir", dt=1e-4)
    assert text in str(error.value)
    assert "\n" not in str(error.value)
