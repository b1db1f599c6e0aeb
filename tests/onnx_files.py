"""ONNX files for tests: made by hand with the onnx package, or exported by torch."""

import importlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikec.compiler.types import Array


def onnx_package() -> Any:
    """Return the onnx package, or skip."""
    return pytest.importorskip("onnx", reason="the extra onnx is not installed")


def save(
    path: Path,
    nodes: Sequence[tuple[str, Sequence[str], str, Mapping[str, Any]]],
    constants: Mapping[str, Array],
    inputs: Mapping[str, Sequence[int]],
    outputs: Sequence[str],
    opset: int = 20,
) -> Path:
    """Write a model of nodes (operator, inputs, output, attributes) and return its path."""
    onnx = onnx_package()
    helper: Any = onnx.helper
    made = [helper.make_node(op, i, [o], name=o, **a) for op, i, o, a in nodes]
    held = [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    entries = [helper.make_tensor_value_info(k, 1, list(v)) for k, v in inputs.items()]
    ends = [helper.make_tensor_value_info(k, 1, None) for k in outputs]
    graph = helper.make_graph(made, "test", entries, ends, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    path.write_bytes(model.SerializeToString())
    return path


def export(module: Any, arguments: tuple[Any, ...], path: Path, dynamo: bool) -> Path:
    """Export a torch module and return the path."""
    torch: Any = importlib.import_module("torch")
    pytest.importorskip("onnxscript", reason="torch's exporter needs onnxscript")
    module.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extra = {"verbose": False} if dynamo else {}
        torch.onnx.export(module, arguments, str(path), dynamo=dynamo, **extra)
    return path


def run(path: Path, feeds: Mapping[str, Array]) -> list[Array]:
    """Return the outputs of onnxruntime."""
    runtime: Any = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    session = runtime.InferenceSession(str(path))
    made: list[Array] = session.run(None, dict(feeds))
    return made


def names(path: Path) -> list[str]:
    """Return the names of the inputs."""
    model = onnx_package().ModelProto.FromString(path.read_bytes())
    return [v.name for v in model.graph.input]
