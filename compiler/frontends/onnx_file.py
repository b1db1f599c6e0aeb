"""Reads an ONNX file that may be hostile: nodes, constants, inputs and outputs, as plain values.

Only the ``onnx`` package's protobuf classes are used; its checker, its shape inference and its own
reader of external data are not. The file is limited before it is parsed. Weights beside the file
(external data) are read only from regular files inside the model's folder, links resolved, and only
as many bytes as the tensor's shape and type say.
"""

import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from spikec.compiler.errors import SpikecError, one_line
from spikec.compiler.types import Array

MAX_FILE = (
    256 << 20
)  # of the .onnx itself: parsed, it takes tens of times as much in the worst case
MAX_BYTES = 2 << 30  # of all constants
MAX_NODES = 100_000
MAX_AXES = 8
OPSETS = range(7, 24)

# By the number of TensorProto.DataType: the type, and the field that holds what is not raw.
_TYPES: Mapping[int, tuple[str, str]] = {
    1: ("<f4", "float_data"),
    6: ("<i4", "int32_data"),
    7: ("<i8", "int64_data"),
    9: ("|b1", "int32_data"),
    11: ("<f8", "double_data"),
}
TYPE_NAMES = "float32, float64, int32, int64 or bool"

Attribute = int | float | str | tuple[int, ...] | tuple[float, ...] | Array


@dataclass(frozen=True, slots=True, eq=False)
class OnnxNode:
    """One operation.

    Attributes:
        name: Name for messages.
        op: Operator.
        inputs: Names of values; empty where an optional one is left out.
        outputs: Names of values.
        attributes: By name.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True, slots=True, eq=False)
class OnnxModel:
    """A graph as the file has it.

    Attributes:
        name: Stem of the file.
        nodes: In the order of the file.
        constants: Initialisers by name.
        inputs: Shapes by name, in order; None for a size that the file leaves open.
        outputs: Names, in order.
        metadata: Format, producer, file and its SHA-256.
    """

    name: str
    nodes: tuple[OnnxNode, ...]
    constants: Mapping[str, Array]
    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: tuple[str, ...]
    metadata: Mapping[str, str]


def read_onnx(source: str | Path) -> OnnxModel:
    """Read a file.

    Raises:
        SpikecError: SPK1401 to SPK1415.
    """
    path = Path(source)
    proto, digest = _parse(path)
    opset = [o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")]
    if len(opset) != 1 or opset[0] not in OPSETS:
        raise SpikecError(
            "SPK1405",
            str(path),
            f"operator set {', '.join(map(str, opset)) or 'of no version'} is not supported",
            f"Export with opset_version {OPSETS[0]} to {OPSETS[-1]}",
        )
    graph = proto.graph
    if len(graph.node) > MAX_NODES:
        raise SpikecError(
            "SPK1406",
            str(path),
            f"{len(graph.node)} nodes exceed {MAX_NODES}",
            "Export a single step",
        )
    tensors = _Tensors(path.resolve().parent)
    constants = {t.name: tensors.read(t, f"tensor '{t.name}'") for t in graph.initializer}
    if graph.sparse_initializer:
        raise SpikecError(
            "SPK1407", str(path), "sparse tensors are not supported", "Export dense weights"
        )
    nodes = tuple(_node(n, k, tensors) for k, n in enumerate(graph.node))
    metadata = {
        "format": "onnx",
        "version": f"{proto.producer_name} {proto.producer_version}, opset {opset[0]}"[:200],
        "file": path.name,
        "sha256": digest,
    }
    return OnnxModel(
        path.stem,
        nodes,
        constants,
        {v.name: _shape(v) for v in graph.input if v.name not in constants},
        tuple(v.name for v in graph.output),
        {k: one_line(v) for k, v in metadata.items()},
    )


def _parse(path: Path) -> tuple[Any, str]:
    """Return the parsed file and its SHA-256."""
    if not path.is_file():
        raise SpikecError("SPK1401", str(path), "no such file", "Check the path")
    size = path.stat().st_size
    if size > MAX_FILE:
        raise SpikecError(
            "SPK1402",
            str(path),
            f"{size} bytes exceed the {MAX_FILE} that are read of a .onnx file",
            "Export with external data",
        )
    try:
        onnx: Any = importlib.import_module("onnx")
    except ImportError:
        raise SpikecError(
            "SPK1403",
            str(path),
            "the package onnx is not installed",
            "Install it with pip install 'spikec[onnx]'",
        ) from None
    with path.open("rb") as stream:
        content = stream.read(MAX_FILE)
    try:
        proto = onnx.ModelProto.FromString(content)
    except Exception as error:  # protobuf's DecodeError, of another module in every version
        reason = f"{type(error).__name__}: {error}"[:200]
        raise SpikecError(
            "SPK1404", str(path), f"is not an ONNX file ({reason})", "Export it again"
        ) from error
    return proto, hashlib.sha256(content).hexdigest()


def _shape(value: Any) -> tuple[int | None, ...]:
    """Return the declared shape; None for a size that is a name or not there."""
    sizes = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.dim_value > 0 and not d.dim_param else None for d in sizes)


# ---------------------------------------------------------------- nodes


def _node(proto: Any, index: int, tensors: "_Tensors") -> OnnxNode:
    name = (proto.name or f"{proto.op_type} {index}")[:200]
    if proto.domain not in ("", "ai.onnx"):
        raise SpikecError(
            "SPK1408",
            name,
            f"the operator {proto.domain}.{proto.op_type} is not one of ONNX itself",
            "Export with standard operators",
        )
    attributes = {a.name: _attribute(a, name, tensors) for a in proto.attribute}
    return OnnxNode(name, proto.op_type, tuple(proto.input), tuple(proto.output), attributes)


def _attribute(proto: Any, node: str, tensors: "_Tensors") -> Attribute:
    """Return the value of an attribute; graphs, and so loops and branches, are refused."""
    match proto.type:
        case 1:
            return float(proto.f)
        case 2:
            return int(proto.i)
        case 3:
            return bytes(proto.s).decode("utf-8", "replace")[:200]
        case 4:
            return tensors.read(proto.t, f"{node}.{proto.name}")
        case 6:
            return tuple(float(v) for v in proto.floats)
        case 7:
            return tuple(int(v) for v in proto.ints)
        case _:
            raise SpikecError(
                "SPK1409",
                f"{node}.{proto.name}",
                "graphs inside a node and other such attributes are not supported",
                "Export a single step, without loops or branches",
            )


# ---------------------------------------------------------------- tensors


class _Tensors:
    """Reads tensors, and counts their bytes against the limit before they are read."""

    def __init__(self, folder: Path) -> None:
        """Keep the folder, links resolved, that external data must lie in."""
        self._folder = folder
        self._bytes = 0

    def read(self, proto: Any, where: str) -> Array:
        """Return a tensor.

        Raises:
            SpikecError: SPK1410 to SPK1415.
        """
        kind, field = self._type(proto, where)
        shape = tuple(int(n) for n in proto.dims)
        if len(shape) > MAX_AXES or min(shape, default=0) < 0:
            raise SpikecError(
                "SPK1411", where, f"shape {list(shape[:9])} is none", "Export it again"
            )
        size = prod(shape) * np.dtype(kind).itemsize
        self._bytes += size
        if self._bytes > MAX_BYTES:
            raise SpikecError(
                "SPK1412",
                where,
                f"up to here the file declares {self._bytes} bytes of numbers, over {MAX_BYTES}",
                "Split the model",
            )
        if proto.data_location == 1:
            raw = self._external(proto, where, size)
        else:
            raw = proto.raw_data or np.asarray(getattr(proto, field), dtype=kind).tobytes()
        if len(raw) != size:
            raise SpikecError(
                "SPK1413",
                where,
                f"shape {list(shape)} takes {size} bytes, there are {len(raw)}",
                "Export it again",
            )
        values = np.frombuffer(raw, dtype=kind).reshape(shape)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise SpikecError(
                "SPK1414", where, "it holds NaN or infinity", "Train again or repair the model"
            )
        return values

    def _type(self, proto: Any, where: str) -> tuple[str, str]:
        known = _TYPES.get(proto.data_type)
        if known is None:
            raise SpikecError(
                "SPK1410",
                where,
                f"data type {proto.data_type} is not supported",
                f"Use {TYPE_NAMES}",
            )
        return known

    def _external(self, proto: Any, where: str, size: int) -> bytes:
        """Return the bytes of a tensor from a file inside the model's folder."""
        given = {e.key: e.value for e in proto.external_data}
        location = given.get("location", "")
        place = PurePosixPath(location)
        file = self._folder / location
        confined = (
            location != ""
            and location.isprintable()
            and not place.is_absolute()
            and not {"..", "\\", ":"} & {*place.parts, *location}
            and file.resolve().is_relative_to(self._folder)
            and file.is_file()
        )
        if not confined:
            raise SpikecError(
                "SPK1415",
                where,
                f"external data '{location[:100]}' is no file inside the folder of the model",
                "Keep the data file beside the .onnx file",
            )
        offset, length = (_count(given.get(k), d) for k, d in (("offset", 0), ("length", size)))
        with file.resolve().open("rb") as stream:
            there = stream.seek(0, 2)
            if not (0 <= offset <= there - size) or length != size:
                raise SpikecError(
                    "SPK1416",
                    where,
                    f"{length} bytes from {offset} are declared in '{location[:100]}' of {there} "
                    f"bytes, for a tensor of {size}",
                    "Export it again",
                )
            stream.seek(offset)
            return bytes(stream.read(size))


def _count(text: str | None, default: int) -> int:
    """Return a number of bytes; -1 for what is none."""
    if text is None:
        return default
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
