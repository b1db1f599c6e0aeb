"""ReLU networks: every linear operator as onnxruntime computes it, scales, accuracy by latency."""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnx_files
import spikec
from sizes import FULL, evidence, size
from spikec import SpikecError
from spikec.compiler.cli import run as command
from spikec.compiler.frontends.onnx_relu import read_relu
from spikec.compiler.relu_conversion import run_curve
from spikec.compiler.types import Array

RANDOM = np.random.default_rng(0)


def numbers(*shape: int) -> Array:
    return RANDOM.normal(size=shape).astype("f4")


def check(path: Path, shape: tuple[int, ...]) -> None:
    """Compare what our linear maps compute with onnxruntime."""
    network = read_relu(path)
    x = numbers(1, *shape)
    (want,) = onnx_files.run(path, {"x": x})
    got = network.activations(x)[network.graph.outputs[0].source]
    assert np.abs(want).max() > 0.01
    assert np.allclose(got, want.reshape(1, -1), rtol=1e-4, atol=1e-5)


def test_every_operator_of_a_relu_network(tmp_path: Path) -> None:
    """Convolutions, normalisation, pools, a residual sum, clips and reshapes."""
    constants: dict[str, Any] = {
        "w1": numbers(4, 2, 3, 3), "b1": numbers(4), "w2": numbers(4, 2, 3, 3),
        "s": numbers(4), "o": numbers(4), "m": numbers(4), "v": np.abs(numbers(4)) + 0.5,
        "w3": numbers(36, 10), "c": numbers(1, 10), "zero": np.float32(0), "six": np.float32(1.5),
        "pixels": numbers(1, 4, 6, 6), "to": np.array([1, -1]),
    }  # fmt: skip
    same = {"pads": [1, 1, 1, 1]}
    norm = ("BatchNormalization", ("h", "s", "o", "m", "v"), "n", {"epsilon": 1e-3})
    nodes: list[Any] = [
        ("Conv", ("x", "w1", "b1"), "h", same),
        norm,
        ("Relu", ("n",), "r", {}),
        ("Conv", ("r", "w2"), "g", {**same, "group": 2}),
        ("Add", ("g", "pixels"), "p", {}),
        ("Add", ("p", "r"), "a", {}),
        ("BatchNormalization", ("a", "s", "o", "m", "v"), "bn", {}),
        ("Clip", ("bn", "zero", "six"), "q", {}),
        ("AveragePool", ("q",), "l", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Reshape", ("l", "to"), "f", {}),
        ("MatMul", ("f", "w3"), "d", {}),
        ("Sub", ("d", "c"), "e", {}),
    ]
    path = onnx_files.save(tmp_path / "n.onnx", nodes, constants, {"x": (1, 2, 6, 6)}, ["e"])
    check(path, (2, 6, 6))


@pytest.mark.parametrize(
    ("attributes", "shape"),
    [
        ({"pads": [0, 1, 1, 2], "strides": [2, 1]}, (1, 2, 7, 6)),
        ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (1, 2, 7, 6)),
        ({"dilations": [2, 1]}, (1, 2, 7, 6)),
    ],
)
def test_paddings_of_convolutions(
    tmp_path: Path, attributes: dict[str, Any], shape: tuple[int, ...]
) -> None:
    """Unequal pads, automatic pads, dilation."""
    nodes: list[Any] = [
        ("Conv", ("x", "w"), "h", attributes),
        ("GlobalAveragePool", ("h",), "y", {}),
    ]
    path = onnx_files.save(
        tmp_path / "n.onnx", nodes, {"w": numbers(3, 2, 3, 2)}, {"x": shape}, ["y"]
    )
    check(path, shape[1:])


def mlp(folder: Path, end: str = "") -> tuple[Path, Array, Array]:
    """Return a network trained on the 8x8 digits, and the digits it has not seen."""
    data: Any = importlib.import_module("sklearn.datasets")
    classifier: Any = importlib.import_module("sklearn.neural_network")
    pixels, labels = data.load_digits(return_X_y=True)
    x = (pixels / 16).astype("f4")
    net = classifier.MLPClassifier((48,), random_state=0, max_iter=80, alpha=1e-3)
    with pytest.warns(match="Maximum iterations"):
        net.fit(x[:1200], labels[:1200])
    (w1, w2), (b1, b2) = net.coefs_, net.intercepts_
    constants = {"w1": w1, "b1": b1, "w2": w2, "b2": b2}
    constants = {k: v.astype("f4") for k, v in constants.items()}
    nodes: list[Any] = [
        ("Gemm", ("x", "w1", "b1"), "h", {}),
        ("Relu", ("h",), "r", {}),
        ("Gemm", ("r", "w2", "b2"), "y", {}),
    ]
    if end:
        nodes.append((end, ("y",), "z", {}))
    path = folder / "digits.onnx"
    onnx_files.save(path, nodes, constants, {"x": (1, 64)}, ["z" if end else "y"])
    return path, x[1200:].astype(np.float64), labels[1200:]


@pytest.mark.parametrize(("readout", "loss"), [("last", 0.5), ("count", 2.0), ("first", 12.0)])
def test_a_converted_network_keeps_its_accuracy(tmp_path: Path, readout: Any, loss: float) -> None:
    """Within half a point at 64 steps by the membrane; spikes alone tell less."""
    path, images, labels = mlp(tmp_path)
    made = spikec.convert(path, images, labels, readout=readout)
    assert made.relu_correct is not None
    last = made.curve[-1]
    assert last.steps == 64
    assert last.correct is not None
    assert 100 * (made.relu_correct - last.correct) / made.samples <= loss
    assert made.relu_correct > 0.85 * made.samples
    first = made.curve[0].correct
    assert first is not None
    assert first < last.correct


def test_scales_are_a_percentile_of_the_positive_activations(tmp_path: Path) -> None:
    """Exactly the value that so many of them do not exceed."""
    path, images, _ = mlp(tmp_path)
    sent = read_relu(path).activations(images)["r"]
    positive = np.sort(sent[sent > 0])
    for percentile in (100.0, 99.9, 90.0, 50.0):
        made = spikec.convert(path, images, steps=1, percentile=percentile)
        want = positive[int(np.ceil(percentile / 100 * positive.size)) - 1]
        assert made.layers[0].scale == want
        assert made.layers[0].largest == positive[-1]


def test_the_rate_follows_the_activation(tmp_path: Path) -> None:
    """With a constant current every neuron's count is within half a spike of steps * activation."""
    path, images, _ = mlp(tmp_path)
    made = spikec.convert(path, images, steps=1, percentile=100.0)
    program = spikec.compile(made.graph)
    current = np.broadcast_to(images[:20, None], (20, 40, 64))
    counts = spikec.simulate(program, current, record=("spikes",)).spikes["r"].sum(axis=1)
    want = read_relu(path).activations(images[:20])["r"] / made.layers[0].scale
    assert np.abs(counts - 40 * want).max() <= 0.5 + 1e-9
    assert counts.max() >= 30


def test_spikes_at_a_rate_as_input(tmp_path: Path) -> None:
    """The rate encoding works too, less accurately."""
    path, images, labels = mlp(tmp_path)
    made = spikec.convert(path, images, labels, encoding="rate", seed=3)
    assert made.curve[-1].agreeing > 0.85 * made.samples


def test_softmax_is_left_out(tmp_path: Path) -> None:
    """With a finding."""
    path, images, _ = mlp(tmp_path, "Softmax")
    made = spikec.convert(path, images, steps=64)
    assert [str(f) for f in made.graph.findings] == [
        "z: a Softmax does not change which class is largest: it is left out. [SPK1442]"
    ]
    assert made.curve[-1].agreeing > 0.98 * made.samples


def test_a_converted_network_is_an_ordinary_one(tmp_path: Path) -> None:
    """It is quantised to 8 bits, and both engines agree."""
    path, images, labels = mlp(tmp_path)
    made = spikec.convert(path, images, steps=1)
    current = np.broadcast_to(images[:60, None], (60, 32, 64))
    quantized = "discretize,quantize{weight_bits=8,max_steps=32}"
    program = spikec.compile(made.graph, pipeline=quantized, calibration=current)
    outputs = [spikec.simulate(program, current, backend=b).output for b in ("cpu", "reference")]
    assert np.array_equal(outputs[0], outputs[1])
    classes = outputs[0][:, -1].argmax(axis=1)
    assert (classes == labels[:60]).sum() >= 52


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Convert, read the curve, simulate the build: the same accuracy."""
    path, images, labels = mlp(tmp_path)
    np.save(tmp_path / "x.npy", images)
    np.save(tmp_path / "y.npy", labels)
    files = ["--calibration", str(tmp_path / "x.npy"), "--labels", str(tmp_path / "y.npy")]
    build, picture = str(tmp_path / "build"), str(tmp_path / "curve.svg")
    assert command(["convert", str(path), *files, "-o", build, "--plot", picture, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [p["steps"] for p in told["curve"]] == [1, 2, 4, 8, 16, 32, 64]
    assert Path(picture).read_text().count("<path") > 5
    data = ["--input", str(tmp_path / "x.npy"), "--labels", str(tmp_path / "y.npy")]
    data += ["--encode", "constant", "--steps", "64", "--readout", "last", "--json"]
    assert command(["simulate", build, *data]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["accuracy"]["correct"] == told["curve"][-1]["correct"]
    assert command(["convert", str(path), *files, "-o", build]) == 0
    text = capsys.readouterr().out
    assert "same class as ReLU" in text
    assert "ReLU network" in text


def message(*arguments: Any, **options: Any) -> str:
    with pytest.raises(SpikecError) as caught:
        spikec.convert(*arguments, **options)
    return str(caught.value)


def test_mistakes(tmp_path: Path) -> None:
    """Options and images that are none."""
    path, images, labels = mlp(tmp_path)
    assert message(path, images[:, :63]) == (
        "calibration: the array of type float64 and shape (597, 63) is no (samples, 64). "
        "Give the images as the ReLU network takes them. [SPK1444]"
    )
    assert "[SPK1445]" in message(path, np.where(images > 0.9, np.nan, images))
    assert message(path, images, percentile=0) == (
        "convert: percentile 0 is none. Give one above 0, up to 100. [SPK1443]"
    )
    assert "[SPK1443]" in message(path, images, steps=0)
    assert message(path, images, readout="membrane") == (
        "convert: readout 'membrane' is none. Use one of last, count, first. [SPK1443]"
    )
    assert "[SPK0944]" in message(path, images, labels[1:])
    assert "[SPK0913]" in message(path, images * 2, encoding="rate")


def cnn(folder: Path, data: Path) -> tuple[Path, dict[str, Array]]:
    """Train a CNN on MNIST for a few epochs and export it, with its weights beside it."""
    torch: Any = importlib.import_module("torch")
    torch.manual_seed(0)
    with np.load(data / "mnist" / "mnist.npz") as file:
        arrays = dict(file)
    count = size(4000, 60000)
    x = torch.tensor(arrays["train_x"][:count, None] / 255.0, dtype=torch.float32)
    y = torch.tensor(arrays["train_y"][:count].astype("i8"))
    nn: Any = torch.nn
    net = nn.Sequential(
        *(nn.Conv2d(1, 8, 5, padding=2, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Conv2d(8, 16, 5), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(16 * 25, 64), nn.ReLU(), nn.Linear(64, 10)),
    )
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    order = torch.cat([torch.randperm(count) for _ in range(size(4, 2))])
    for batch in order.split(128):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
        optimizer.step()
    return onnx_files.export(net, (x[:1],), folder / "cnn.onnx", dynamo=True), arrays


def test_a_cnn_for_mnist_keeps_its_accuracy(tmp_path: Path, data: Path) -> None:
    """Trained with torch, exported to ONNX, calibrated on 500 training images, 64 steps."""
    pytest.importorskip("torch", reason="torch is not installed")
    path, arrays = cnn(tmp_path, data)
    samples = size(200, 10000)
    images = arrays["test_x"][:samples, None] / 255.0
    labels = arrays["test_y"][:samples].astype(np.int64)
    calibration = arrays["train_x"][: size(100, 500), None] / 255.0
    made = spikec.convert(path, calibration, steps=1)
    relu = read_relu(path)
    last = relu.graph.outputs[0].source
    before = np.concatenate([relu.activations(part)[last] for part in np.array_split(images, 50)])
    right = int((before.argmax(axis=1) == labels).sum())
    signal = np.broadcast_to(images[:, None], (samples, 64, 1, 28, 28))
    curve = {t: int((c == labels).sum()) for t, c in run_curve(made.graph, signal, "last").items()}
    evidence("onnx_mnist", samples=samples, relu=right, curve=curve)
    assert right > size(85, 97) / 100 * samples
    assert right - curve[64] <= (0.005 if FULL else 0.02) * samples
