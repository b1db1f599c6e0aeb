"""Reads NIR into plain nodes, from a HDF5 file that may be hostile or from a nir.NIRGraph.

A file holds ``/version`` and ``/node``. A node is a group with its ``type`` and its fields; a
NIRGraph has ``nodes`` and ``edges`` (n, 2) instead of fields. Sizes are known before anything is
read, and nothing outside the file is. Values are not judged here, only their kind: numbers or text.
"""

import hashlib
import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from spikec.compiler.errors import SpikecError, one_line
from spikec.compiler.ir import check_name
from spikec.compiler.types import Array
from spikec.compiler.untyped import h5py, nir

MAX_BYTES = 2 << 30  # of all numbers as float64
MAX_NODES = 100_000
MAX_EDGES = 1_000_000
MAX_DEPTH = 16
MAX_TEXT = 200  # characters; names have at most 128
MAX_INTEGER = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a node type: required ones, and ones that may be missing."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Both."""
        return self.required + self.optional


_POOL = Fields(("kernel_size", "stride", "padding"))
FIELDS: Mapping[str, Fields] = {
    "Input": Fields(("shape",)),
    "Output": Fields(("shape",)),
    "Affine": Fields(("weight", "bias")),
    "Linear": Fields(("weight",)),
    "Scale": Fields(("scale",)),
    "Conv2d": Fields(
        ("weight", "bias", "stride", "padding", "dilation", "groups"), ("input_shape",)
    ),
    "SumPool2d": _POOL,
    "AvgPool2d": _POOL,
    "Flatten": Fields(("start_dim", "end_dim"), ("input_type",)),
    "Delay": Fields(("delay",)),
    "IF": Fields(("r", "v_threshold"), ("v_reset",)),
    "LIF": Fields(("tau", "r", "v_leak", "v_threshold"), ("v_reset",)),
    "LI": Fields(("tau", "r", "v_leak")),
    "CubaLIF": Fields(
        ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold"), ("v_reset", "w_in")
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class RawNode:
    """A node as the file has it.

    Attributes:
        name: Path from the outermost graph, ``outer.inner``; empty for that graph itself.
        type: NIR's name of the type.
        fields: Arrays of numbers, or text.
        nodes: Of a NIRGraph, in order of name.
        edges: Of a NIRGraph: (source, target), names within it.
        ignored: Members of the file that NIR does not know.
    """

    name: str
    type: str
    fields: Mapping[str, Array | str] = field(default_factory=dict[str, Array | str])
    nodes: tuple["RawNode", ...] = ()
    edges: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()

    def numbers(self, name: str) -> Array:
        """Return a field as float64.

        Raises:
            SpikecError: SPK1007 when it is text.
        """
        value = self.fields[name]
        return np.asarray(_numeric(f"{self.name}.{name}", np.asarray(value)), dtype=np.float64)

    def integers(self, name: str) -> tuple[int, ...]:
        """Return a field as integers.

        Raises:
            SpikecError: SPK1019 when a number is none or is too large for a size.
        """
        values = self.numbers(name).reshape(-1)
        good = np.isfinite(values) & (np.abs(values) <= MAX_INTEGER)
        if not bool(np.all(good & (np.trunc(values) == values))):
            raise SpikecError(
                "SPK1019",
                f"{self.name}.{name}",
                f"{values.tolist()[:8]} are not integers of 32 bits",
                "Correct the file",
            )
        return tuple(int(v) for v in values)


@dataclass(frozen=True, slots=True, eq=False)
class NirSource:
    """A whole network as read, with its name and origin."""

    root: RawNode
    name: str
    metadata: Mapping[str, str]


def read_nir(source: object) -> NirSource:
    """Read a file, or convert a nir.NIRGraph.

    Raises:
        SpikecError: SPK1001 to SPK1018.
    """
    if isinstance(source, nir.NIRGraph):
        with _readable("nir.NIRGraph"):
            root = _read_root(_Object(source))
        return NirSource(root, "nir", {"format": "nir", "version": str(nir.version)})
    path = Path(os.fspath(source))  # type: ignore[call-overload]  # anything else raises TypeError
    with _readable(str(path)):
        return _read_file(path)


def _read_file(path: Path) -> NirSource:
    if not path.is_file():
        raise SpikecError("SPK1001", str(path), "no such file", "Check the path")
    _limit_size(str(path), path.stat().st_size)
    if not h5py.is_hdf5(path):
        raise SpikecError("SPK1018", str(path), "is not a HDF5 file", "Give a .nir file")
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    with h5py.File(path, "r") as file:
        limits = _Limits()
        version = _read_text(_dataset(file, "version", "version"), "version")
        node = _member(file, "node", "node")
        if node is None:
            raise _missing("node")
        root = _read_root(_Group(node, limits))
    metadata = {"format": "nir", "version": version, "file": path.name, "sha256": digest}
    return NirSource(root, path.stem, {k: one_line(v) for k, v in metadata.items()})


@contextmanager
def _readable(where: str) -> Generator[None]:
    """Turn whatever a library raises on a broken file into a SpikecError."""
    try:
        yield
    except SpikecError:
        raise
    except Exception as error:  # h5py raises a dozen types, and which one depends on its version
        reason = f"{type(error).__name__}: {error}"[:MAX_TEXT]
        raise SpikecError(
            "SPK1002", where, f"cannot be read ({reason})", "Write the file again"
        ) from error


# ---------------------------------------------------------------- a node, wherever it comes from


class _Source(Protocol):
    """Where a node is read from; ``where`` is its name for messages."""

    def type(self, where: str) -> str | None:
        """Return the type, or None where there is none."""
        ...

    def field(self, name: str, where: str) -> Array | str | None:
        """Return a field, or None where there is none."""
        ...

    def names(self) -> list[str]:
        """Return the names of all members."""
        ...

    def nodes(self, where: str) -> Iterator[tuple[str, "_Source"]]:
        """Return the nodes of a graph by name."""
        ...

    def edges(self, where: str) -> tuple[tuple[str, str], ...]:
        """Return the edges of a graph."""
        ...

    def count_node(self, where: str) -> None:
        """Count a node against the limit."""
        ...


def _read_root(source: _Source) -> RawNode:
    root = _read_node(source, "", 0)
    if root.type == "NIRGraph":
        return root
    raise SpikecError(
        "SPK1017", "node", f"the outermost node is a {root.type}, not a NIRGraph", "Wrap it in one"
    )


def _read_node(source: _Source, name: str, depth: int) -> RawNode:
    """Read one node and what is in it."""
    where = name or "node"
    source.count_node(where)
    kind = source.type(where)
    if kind is None:
        raise SpikecError(
            "SPK1004", where, "has no 'type', so it is not a NIR node", "Write the file again"
        )
    if kind == "NIRGraph":
        return _read_graph(source, name, depth)
    if kind not in FIELDS:
        raise SpikecError(
            "SPK1015",
            where,
            f"the NIR type '{kind}' is not supported yet",
            f"Use {', '.join(FIELDS)} or NIRGraph",
        )
    values = {key: source.field(key, f"{where}.{key}") for key in FIELDS[kind].all}
    for key in FIELDS[kind].required:
        if values[key] is None:
            raise _missing(f"{where}.{key}")
    present = {key: value for key, value in values.items() if value is not None}
    return RawNode(name, kind, present, ignored=_unknown(source, FIELDS[kind].all))


def _read_graph(source: _Source, name: str, depth: int) -> RawNode:
    where = name or "node"
    if depth > MAX_DEPTH:
        raise SpikecError(
            "SPK1011", where, f"graphs are nested more than {MAX_DEPTH} deep", "Flatten the model"
        )
    nodes: list[RawNode] = []
    for key, child in source.nodes(f"{where}.nodes"):
        path = f"{name}.{key}" if name else key
        check_name(path, "node")
        nodes.append(_read_node(child, path, depth + 1))
    nodes.sort(key=lambda n: n.name)
    edges = source.edges(f"{where}.edges")
    ignored = _unknown(source, ("nodes", "edges"))
    return RawNode(name, "NIRGraph", {}, tuple(nodes), edges, ignored)


def _unknown(source: _Source, known: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(n[:MAX_TEXT] for n in source.names() if n not in (*known, "type", "metadata"))


def _missing(where: str) -> SpikecError:
    return SpikecError("SPK1003", where, "is missing", "Write the file again")


def _numeric(where: str, values: Any) -> Any:
    """Return ``values``, an array or a dataset, if they are real numbers.

    Raises:
        SpikecError: SPK1007 when they are not, SPK1016 when there are none.
    """
    if values.dtype.kind not in "biuf":
        raise SpikecError(
            "SPK1007", where, f"has the type {values.dtype}, not real numbers", "Store numbers"
        )
    if values.size == 0:
        raise SpikecError("SPK1016", where, "holds no number", "Store at least one")
    return values


# ---------------------------------------------------------------- from HDF5


@dataclass(slots=True)
class _Limits:
    """What a file may still use up."""

    numbers: int = 0
    nodes: int = 0

    def count_node(self, where: str) -> None:
        """Count a node."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise SpikecError(
                "SPK1010", where, f"there are more than {MAX_NODES} nodes", "Split the model"
            )

    def count_numbers(self, where: str, count: int) -> None:
        """Count numbers before they are read."""
        self.numbers += count
        _limit_size(where, 8 * self.numbers)


def _limit_size(where: str, size: int) -> None:
    if size > MAX_BYTES:
        raise SpikecError(
            "SPK1008",
            where,
            f"up to here the file declares {size} bytes of numbers, more than {MAX_BYTES}",
            "Split the model",
        )


@dataclass(frozen=True, slots=True)
class _Group:
    """A node in a HDF5 file."""

    group: Any
    limits: _Limits

    def type(self, where: str) -> str | None:
        """Return the type."""
        if not isinstance(self.group, h5py.Group):
            raise _wrong_kind(where, "group")
        dataset = _dataset(self.group, "type", f"{where}.type")
        return None if dataset is None else _read_text(dataset, f"{where}.type")

    def field(self, name: str, where: str) -> Array | str | None:
        """Return a field; only a padding may be text."""
        dataset = _dataset(self.group, name, where)
        if dataset is None:
            return None
        if name == "padding" and h5py.check_string_dtype(dataset.dtype) is not None:
            return _read_text(dataset, where)
        # A chunk is decompressed whole, and may be declared larger than its dataset.
        self.limits.count_numbers(where, max(dataset.size, prod(dataset.chunks or ())))
        return np.asarray(_numeric(where, dataset)[()])

    def names(self) -> list[str]:
        """Return the names of all members."""
        return list(self.group)

    def nodes(self, where: str) -> Iterator[tuple[str, "_Group"]]:
        """Return the nodes."""
        nodes = _member(self.group, "nodes", where)
        if nodes is None:
            raise _missing(where)
        if not isinstance(nodes, h5py.Group):
            raise _wrong_kind(where, "group")
        for name in nodes:
            check_name(name, where)
            yield name, _Group(_member(nodes, name, f"{where}.{name}"), self.limits)

    def edges(self, where: str) -> tuple[tuple[str, str], ...]:
        """Return the edges, read row by row.

        Each name is a reference into a heap, and many may share one long text, so reading all
        rows at once could take far more memory than the file has.
        """
        dataset = _dataset(self.group, "edges", where)
        if dataset is None:
            raise _missing(where)
        if dataset.size == 0:
            return ()
        text = h5py.check_string_dtype(dataset.dtype)
        if text is None or len(dataset.shape) != 2 or dataset.shape[1] != 2:
            raise SpikecError(
                "SPK1013",
                where,
                f"{dataset.dtype} of shape {dataset.shape} are not pairs of names",
                "Write the file again",
            )
        if dataset.shape[0] > MAX_EDGES or (text.length or 0) > MAX_TEXT:
            raise SpikecError(
                "SPK1014",
                where,
                f"{dataset.shape[0]} edges of {text.length or 'any'} characters exceed the limits "
                f"of {MAX_EDGES} and {MAX_TEXT}",
                "Split the model",
            )
        rows = (dataset[k] for k in range(dataset.shape[0]))
        return tuple((_decoded(a), _decoded(b)) for a, b in rows)

    def count_node(self, where: str) -> None:
        """Count a node."""
        self.limits.count_node(where)


def _member(group: Any, name: str, where: str) -> Any:
    """Return a member of a group, or None.

    Raises:
        SpikecError: SPK1005 when it is a link to elsewhere.
    """
    link = group.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise SpikecError(
            "SPK1005", where, f"is a {type(link).__name__}, which is not followed", "Copy the data"
        )
    return group[name]


def _dataset(group: Any, name: str, where: str) -> Any:
    """Return a dataset with numbers or text in this file, or None.

    Raises:
        SpikecError: SPK1009 when its data lie in another file.
    """
    dataset = _member(group, name, where)
    if dataset is None:
        return None
    if not isinstance(dataset, h5py.Dataset):
        raise _wrong_kind(where, "dataset")
    if dataset.shape is None:
        return None
    if dataset.is_virtual or dataset.external:
        raise SpikecError(
            "SPK1009", where, "keeps its data in another file, which is not read", "Copy the data"
        )
    return dataset


def _wrong_kind(where: str, wanted: str) -> SpikecError:
    return SpikecError("SPK1006", where, f"is not a HDF5 {wanted}", "Write the file again")


def _read_text(dataset: Any, where: str) -> str:
    """Return one text of a moderate length.

    Raises:
        SpikecError: SPK1003 when it is missing, SPK1012 when it is anything else.
    """
    if dataset is None:
        raise _missing(where)
    text = h5py.check_string_dtype(dataset.dtype)
    if text is not None and dataset.size == 1 and (text.length or 0) <= MAX_TEXT:
        return _decoded(np.asarray(dataset[()]).reshape(-1)[0])
    raise SpikecError("SPK1012", where, "is not one short text", "Write the file again")


def _decoded(value: bytes | str) -> str:
    """Return the start of a text; what is cut off could not be a name anyway."""
    cut = value[: MAX_TEXT + 1]
    return cut.decode("utf-8", "replace") if isinstance(cut, bytes) else cut


# ---------------------------------------------------------------- from memory


# Fields that nir keeps inside another attribute.
_ATTRIBUTES = {
    ("Input", "shape"): ("input_type", "input"),
    ("Output", "shape"): ("output_type", "output"),
    ("Flatten", "input_type"): ("input_type", "input"),
}


@dataclass(frozen=True, slots=True)
class _Object:
    """A node of the nir library; what nir itself inferred about shapes is not used."""

    node: Any

    def type(self, where: str) -> str | None:
        """Return the type."""
        return type(self.node).__name__

    def field(self, name: str, where: str) -> Array | str | None:
        """Return a field."""
        attribute, key = _ATTRIBUTES.get((type(self.node).__name__, name), (name, ""))
        value = getattr(self.node, attribute, None)
        value = value.get(key) if key and value is not None else value
        if value is None or isinstance(value, str):
            return value
        return np.asarray(_numeric(where, np.asarray(value)))

    def names(self) -> list[str]:
        """Return nothing: a node in memory has the fields of its type."""
        return []

    def nodes(self, where: str) -> Iterator[tuple[str, "_Object"]]:
        """Return the nodes."""
        return ((str(name), _Object(node)) for name, node in self.node.nodes.items())

    def edges(self, where: str) -> tuple[tuple[str, str], ...]:
        """Return the edges."""
        return tuple((str(a), str(b)) for a, b in self.node.edges)

    def count_node(self, where: str) -> None:
        """Accept: what is in memory has been paid for."""
