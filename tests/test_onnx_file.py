"""Reading ONNX: what the file holds, and hostile files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnx_files
from spikec import SpikecError
from spikec.compiler.frontends.onnx_file import read_onnx
from spikec.compiler.frontends.onnx_relu import read_relu

WEIGHT = np.arange(6, dtype="f4").reshape(2, 3)


def dense(folder: Path, weight: Any = WEIGHT) -> Path:
    """Write a network of one layer."""
    nodes: list[Any] = [("Gemm", ("x", "w"), "h", {"transB": 1}), ("Relu", ("h",), "y", {})]
    return onnx_files.save(folder / "net.onnx", nodes, {"w": weight}, {"x": (1, 3)}, ["y"])


def message(action: Callable[[], object]) -> str:
    with pytest.raises(SpikecError) as caught:
        action()
    return str(caught.value)


def edited(path: Path, change: Callable[[Any], None]) -> Path:
    """Parse, change and write a model."""
    onnx = onnx_files.onnx_package()
    model = onnx.ModelProto.FromString(path.read_bytes())
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def external(model: Any, location: str, offset: str = "0", length: str = "24") -> None:
    """Say that the weight lies in a file beside the model."""
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def test_a_file_is_read(tmp_path: Path) -> None:
    """Nodes, constants, shapes, and where it comes from."""
    model = read_onnx(dense(tmp_path))
    assert [n.op for n in model.nodes] == ["Gemm", "Relu"]
    assert model.inputs == {"x": (1, 3)}
    assert model.outputs == ("y",)
    assert np.array_equal(model.constants["w"], WEIGHT)
    assert model.metadata["file"] == "net.onnx"


def test_weights_beside_the_file(tmp_path: Path) -> None:
    """Offset and length are followed, in a folder below too."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.bin").write_bytes(b"xxxx" + WEIGHT.tobytes())
    path = edited(dense(tmp_path), lambda m: external(m, "data/w.bin", "4"))
    assert np.array_equal(read_onnx(path).constants["w"], WEIGHT)


@pytest.mark.parametrize(
    "location",
    ["../w.bin", "/etc/passwd", "link.bin", "linked/w.bin", "", "none.bin", "..", "a\0b"],
)
def test_external_data_stay_in_the_folder(tmp_path: Path, location: str) -> None:
    """Neither a path nor a link leads out."""
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "w.bin")
    (folder / "linked").symlink_to(tmp_path)
    path = edited(dense(folder), lambda m: external(m, location))
    text = message(lambda: read_onnx(path))
    assert text.endswith(
        "is no file inside the folder of the model. Keep the data file beside the .onnx file. "
        "[SPK1415]"
    )


@pytest.mark.parametrize(
    ("offset", "length"), [("8", "24"), ("-1", "24"), ("0", "20"), ("9" * 30, "24"), ("0", "x")]
)
def test_external_data_are_as_long_as_they_say(tmp_path: Path, offset: str, length: str) -> None:
    """A tensor never reads beyond the file, or more than its shape."""
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    path = edited(dense(tmp_path), lambda m: external(m, "w.bin", offset, length))
    assert "[SPK1416]" in message(lambda: read_onnx(path))


def test_truncated_files(tmp_path: Path) -> None:
    """Any prefix is refused with one line, or is a smaller model that is incomplete."""
    path = dense(tmp_path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert "[SPK14" in message(lambda: read_relu(path))


def test_sizes_that_are_declared(tmp_path: Path) -> None:
    """Huge and negative shapes are refused before anything is made of them."""

    def dims(*sizes: int) -> Callable[[Any], None]:
        return lambda m: m.graph.initializer[0].dims.__setitem__(slice(None), sizes)

    assert "[SPK1412]" in message(
        lambda: read_onnx(edited(dense(tmp_path), dims(1 << 40, 1 << 40)))
    )
    assert "[SPK1411]" in message(lambda: read_onnx(edited(dense(tmp_path), dims(-2, -3))))
    assert message(lambda: read_onnx(edited(dense(tmp_path), dims(2, 4)))) == (
        "tensor 'w': shape [2, 4] takes 32 bytes, there are 24. Export it again. [SPK1413]"
    )


def test_an_input_of_a_huge_shape(tmp_path: Path) -> None:
    """The size of a layer is limited."""
    nodes: list[Any] = [("Relu", ("x",), "y", {})]
    path = onnx_files.save(tmp_path / "n.onnx", nodes, {}, {"x": (1, 1 << 30, 1 << 30)}, ["y"])
    assert "[SPK1423]" in message(lambda: read_relu(path))


def test_numbers_and_types(tmp_path: Path) -> None:
    """NaN, and types that are no plain numbers."""
    wrong = WEIGHT.copy()
    wrong[1, 1] = np.nan
    assert message(lambda: read_onnx(dense(tmp_path, wrong))) == (
        "tensor 'w': it holds NaN or infinity. Train again or repair the model. [SPK1414]"
    )
    assert message(lambda: read_onnx(dense(tmp_path, WEIGHT.astype("f2")))) == (
        "tensor 'w': data type 10 is not supported. Use float32, float64, int32, int64 or bool. "
        "[SPK1410]"
    )


def test_cycles_and_gaps(tmp_path: Path) -> None:
    """A value is made once, by an earlier node."""
    nodes: list[Any] = [("Add", ("x", "b"), "a", {}), ("Relu", ("a",), "b", {})]
    path = onnx_files.save(tmp_path / "c.onnx", nodes, {}, {"x": (1, 3)}, ["b"])
    assert message(lambda: read_relu(path)) == (
        "a: no earlier node makes the value 'b', so there is a cycle or a gap. Export it again. "
        "[SPK1427]"
    )
    nodes = [("Relu", ("x",), "a", {}), ("Relu", ("x",), "a", {})]
    path = onnx_files.save(tmp_path / "t.onnx", nodes, {}, {"x": (1, 3)}, ["a"])
    assert "[SPK1425]" in message(lambda: read_relu(path))


def test_what_is_not_supported(tmp_path: Path) -> None:
    """The node, the operator and what there is instead."""
    nodes: list[Any] = [("Sigmoid", ("x",), "y", {})]
    path = onnx_files.save(tmp_path / "s.onnx", nodes, {}, {"x": (1, 3)}, ["y"])
    text = message(lambda: read_relu(path))
    assert text.startswith("y: the operator Sigmoid is not supported. Use Add, AveragePool, ")
    path = onnx_files.save(tmp_path / "o.onnx", nodes, {}, {"x": (1, 3)}, ["y"], opset=5)
    assert "operator set 5 is not supported. Export with opset_version 7 to 23. [SPK1405]" in (
        message(lambda: read_relu(path))
    )
    assert "[SPK1401]" in message(lambda: read_onnx(tmp_path / "none.onnx"))
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [("Relu", ("x",), "r", {}), ("MaxPool", ("r",), "y", pool)]
    path = onnx_files.save(tmp_path / "m.onnx", nodes, {}, {"x": (1, 1, 4, 4)}, ["y"])
    assert message(lambda: read_relu(path)) == (
        "y (MaxPool): the maximum of what are no spikes has no exact spiking form. "
        "Use average pooling and train again. [SPK1421]"
    )


def test_expressions_that_would_explode(tmp_path: Path) -> None:
    """Sums of sums multiplied with each other are cut off, and fast."""
    nodes: list[Any] = [("Relu", ("x",), "v0", {}), ("Add", ("v0", "x"), "s0", {})]
    for k in range(60):
        nodes.append(("Mul", (f"s{k}", f"s{k}"), f"s{k + 1}", {}))
    path = onnx_files.save(tmp_path / "e.onnx", nodes, {}, {"x": (1, 3)}, ["s60"])
    assert "[SPK1420]" in message(lambda: read_relu(path))
