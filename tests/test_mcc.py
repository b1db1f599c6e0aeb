# pyright: basic, reportMissingImports=false
"""The multisensory cooperative network: ledger, features, torch and IR, a small training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikec
from spikec.compiler.counting import count
from spikec.compiler.types import Array
from spikec.models.mcc import features as fe
from spikec.models.mcc import ledger as led
from spikec.models.mcc.network import two_stream

torch = pytest.importorskip("torch")

from spikec.models.mcc import experiment, nets, report, training  # noqa: E402
from spikec.models.mcc.deploy import deploy  # noqa: E402

KINDS: tuple[nets.Kind, ...] = ("point", "fused", "tm1", "tm2", "tm3", "tm4", "co", "co_swap")


def arrays_of(net: Any) -> dict[str, Array]:
    return {n: t.numpy() for n, t in net.state_dict().items()}


def random_net(kind: nets.Kind, seed: int, width: int = 7) -> Any:
    training.seeded(seed)
    net = nets.Net(nets.Shape(kind, width, 4)).eval()
    if seed % 2:
        mask = training.lesion_mask(net.shape, 0.3, seed)
        net.alive.copy_(torch.from_numpy(mask))
    return net


def test_the_papers_saving() -> None:
    """Section 10: 3,071,987,500 events are 245,759 uJ at 80 pJ."""
    assert led.microjoules(led.PAPER_EVENTS) == pytest.approx(led.PAPER_MICROJOULES, rel=1e-12)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_torch_is_the_network(kind: nets.Kind, seed: int) -> None:
    """What is trained is what is compiled, lesions included."""
    net = random_net(kind, seed)
    random = np.random.default_rng(seed)
    data = {s: random.normal(0, 1, (2, 15, n)).astype(np.float32) for s, n in nets.INPUTS.items()}
    with torch.no_grad():
        ran = net(*(torch.from_numpy(data[s]) for s in nets.STREAMS))
    mod: Any = kind if net.shape.two_point else None
    program = spikec.compile(two_stream(arrays_of(net), mod), pipeline="discretize")
    trace = spikec.Simulator(program).run(data, ("spikes",))
    if kind not in ("tm1", "tm4"):  # their exponents are limited in training
        assert np.allclose(trace.output, ran.estimate, rtol=1e-4, atol=1e-3)
    for layer in range(1 if kind in ("tm1", "tm4") else nets.LAYERS):
        for s in nets.STREAMS:
            sent, wanted = trace.spikes[f"{s}_{layer}"], ran.sent[layer][s].numpy()
            far = np.abs(sent - wanted) > 1e-3 + 1e-3 * np.abs(wanted)
            assert far.mean() < (0.02 if kind in ("tm1", "tm4") else 1e-9)
            assert np.count_nonzero(wanted) > 20
    held = [p for n, p in net.named_parameters() if not n.startswith("words")]
    diagonals = 4 * net.shape.width if net.shape.two_point else 0
    assert sum(p.numel() for p in held) - diagonals == net.shape.parameters()


def test_equal_parameters() -> None:
    """The rival has the nearest number of parameters."""
    co = nets.Shape("co")
    rival = nets.equal_parameters(co)
    assert abs(rival.parameters() / co.parameters() - 1) < 0.01
    for width in (rival.width - 1, rival.width + 1):
        other = replace(rival, width=width)
        assert abs(other.parameters() - co.parameters()) >= abs(
            rival.parameters() - co.parameters()
        )


@pytest.mark.parametrize("kind", ["fused", "co"])
def test_ledger_counts_every_synapse(kind: nets.Kind) -> None:
    """Against plain sums over what was sent."""
    net = random_net(kind, 3)
    mod: Any = kind if kind == "co" else None
    random = np.random.default_rng(0)
    data = {s: random.normal(0, 1, (2, 9, n)) for s, n in nets.INPUTS.items()}
    data["audio"][0, :4] = 0
    graph = two_stream(arrays_of(net), mod)
    program = spikec.compile(graph, calibration=data, pipeline="discretize,quantize_values")
    trace = spikec.Simulator(program, "reference").run(data, ("spikes", "state"))
    found = led.ledger(program, count(program, trace))
    n, m = net.shape.width, 4

    def events(name: str) -> int:
        return int(np.count_nonzero({**trace.spikes, **trace.inputs}[name]))

    wide = 2 if kind == "fused" else 1
    assert found.inputs == sum(n * events(s) for s in nets.STREAMS)
    assert found.cells == sum(
        wide * n * events(f"{s}_0") + nets.OUTPUTS * events(f"{s}_1") for s in nets.STREAMS
    )
    fields = sum(events(f"{s}_{layer}_field") for s in nets.STREAMS for layer in (0, 1))
    universal = sum(events(f"universal_{layer}") for layer in (0, 1)) if mod else 0
    context = fields * (n - 1 + n + m) + universal * 2 * n if mod else 0
    assert found.context == context
    assert found.samples == 18
    assert sum(found.synapses) + (4 * n + nets.OUTPUTS) == net.shape.parameters()


def test_flipped_bits() -> None:
    """Rate 0 only rounds; rate 1 turns every bit; between, about so many."""
    random = np.random.default_rng(0)
    weights = random.normal(0, 1, (64, 64)).astype(np.float32)
    step = 2.0 ** -np.floor(np.log2(127) - np.log2(np.abs(weights).max()))
    plain = experiment._flipped(weights, 0.0, random)
    assert np.abs(plain - weights).max() <= step / 2
    assert np.array_equal(experiment._flipped(weights, 1.0, random), -plain - step)
    hurt = experiment._flipped(weights, 0.01, random)
    bits = np.unpackbits(
        ((hurt / step).astype(np.int8) ^ (plain / step).astype(np.int8)).view(np.uint8)
    )
    assert 0.007 < bits.mean() < 0.013


def test_recovery() -> None:
    """Back when the mean of ten batches is within 1.1 of that before."""
    errors = [1.0] * 40 + [2.0] * 5 + [1.0] * 40
    assert experiment._recovery(errors, 40) == {"drop": 2.0, "recovery": 14}
    assert experiment._recovery([1.0] * 40 + [2.0] * 40, 40)["recovery"] is None


def test_words_bands_and_shapes() -> None:
    """A name's words, a tone in its band, an even picture in the first coefficient."""
    assert fe.spoken("bbaf2n") == [0, 0, 0, 5, 1, 1]
    time = np.arange(24000) / fe.RATE
    tones = np.stack([np.sin(2 * np.pi * f * time) for f in (200, 1000, 3000)])
    bands = fe.filter_bank(tones)
    assert bands.shape == (3, 75, 92)
    peaks = bands[:, 40, :23].argmax(axis=1)
    mels = [1127 * np.log1p(f / 700) for f in (64, 200, 1000, 3000, 4000)]
    wanted = [(m - mels[0]) / (mels[-1] - mels[0]) * 24 - 1 for m in mels[1:4]]
    assert np.abs(peaks - wanted).max() <= 0.75
    crops = np.full((1, 3, 23, 70), 10, dtype=np.uint8)
    crops[0, 2] = 20
    shapes = fe.lip_shapes(crops)
    assert np.allclose(shapes[0, :, 0], np.array([10, 10, 20]) * np.sqrt(23 * 70))
    assert np.allclose(shapes[0, :, 1:50], 0)
    assert np.allclose(shapes[0, 2, 50], 10 * np.sqrt(23 * 70))


def test_bad_data(tmp_path: Path, data: Path) -> None:
    """No file, too few clips."""
    with pytest.raises(spikec.SpikecError, match=r"there is no such file.*SPK2220"):
        fe.load_features(tmp_path)
    with pytest.raises(spikec.SpikecError, match=r"clips: 19 is not 20 to 400\..*SPK2221"):
        fe.load_features(data, 19)


def test_a_small_experiment(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained, kept, deployed: within 1 % of floating point, engines equal; every table is full."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plan = experiment.Plan(clips=24, steps=12, seeds=1, width=8)
    results = experiment.experiment(plan, data, 1)
    assert len(results) == 5 * (4 + 3)
    # What is kept is not trained again, and is the same.
    monkeypatch.setattr(training, "train", None)
    again = experiment.experiment(plan, data, 1)
    assert [r.figures for r in again] == [r.figures for r in results]
    features = fe.load_features(data, 24)
    rows: list[report.Row] = []
    for network in plan.shapes():
        (found,) = experiment.selected(results, network, penalty=False, semi=False)
        made = deploy(found.weights, network, features)
        assert made.exact == pytest.approx(found.figures["nmse"], rel=0.1)  # on a part of it
        assert abs(made.change) < 0.01
        assert (made.events.context > 0) == (network in ("tm1", "co"))
        rows.append(report.Row(network, False, False, [found.figures], [made]))
    hurt = {(r.run.network, r.run.lesion): [r.figures] for r in results if r.run.lesion}
    tables = [report.training_table(rows), report.energy_table(rows), report.ratio_table(rows)]
    tables.append(report.resilience_table(rows, hurt))
    assert [len(t) for t in tables] == [6, 6, 7, 26]
    assert all(len(line) == len(t[0]) for t in tables for line in t)
    assert report.markdown(tables[0]).count("\n") == 6
    report.plot(tmp_path / "mcc.svg", rows, hurt)
    assert (tmp_path / "mcc.svg").read_text().startswith("<?xml")
