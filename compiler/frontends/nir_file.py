"""Reads NIR from a HDF5 file that may be hostile, in a process apart, or from a nir.NIRGraph.

A file holds ``/version`` and ``/node``. A node is a group with its ``type`` and its fields; a
NIRGraph has ``nodes`` and ``edges`` (n, 2) instead of fields. Sizes are known before anything is
read, and nothing outside the file is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikec.compiler.apart import Result
from spikec.compiler.errors import SpikecError, one_line
from spikec.compiler.frontends.hdf5_file import (
    Limits,
    dataset_of,
    member,
    read_apart,
    read_numbers,
    read_text,
    wrong_kind,
)
from spikec.compiler.frontends.nir_process import packed, unpacked
from spikec.compiler.frontends.nir_raw import (
    RawNode,
    missing,
    numeric,
    read_root,
    readable,
)
from spikec.compiler.types import Array
from spikec.compiler.untyped import h5py, nir

MAX_EDGES = 1_000_000

# What spikec itself writes into the metadata of the outermost graph, and reads again.
STEP, SEMANTICS = "spikec_dt", "spikec_semantics"
MAX_STATED = 1000  # characters


@dataclass(frozen=True, slots=True, eq=False)
class NirSource:
    """A whole network as read.

    Attributes:
        root: The outermost graph.
        name: Name.
        metadata: Origin.
        stated: What the file says of its step and semantics (``STEP``, ``SEMANTICS``), if it does.
    """

    root: RawNode
    name: str
    metadata: Mapping[str, str]
    stated: Mapping[str, str]


def read_nir(source: object) -> NirSource:
    """Read a file, or convert a nir.NIRGraph.

    Raises:
        SpikecError: SPK1001 to SPK1018.
    """
    if isinstance(source, nir.NIRGraph):
        with readable("nir.NIRGraph"):
            root = read_root(_Object(source))
        metadata = {"format": "nir", "version": str(nir.version)}
        said: Mapping[str, Any] = getattr(source, "metadata", {})
        stated = {key: str(said[key]) for key in (STEP, SEMANTICS) if key in said}
        return NirSource(root, "nir", metadata, stated)
    path = Path(str(source))
    with readable(str(path)):
        return _read_file(path)


def _read_file(path: Path) -> NirSource:
    value, arrays = read_apart(path, ".nir", _read)
    metadata = {"format": "nir", "version": value["version"], "file": path.name}
    metadata["sha256"] = value["sha256"]
    root = unpacked(value["node"], arrays)
    shown = {k: one_line(v) for k, v in metadata.items()}
    return NirSource(root, path.stem, shown, value["stated"])


def _stated(metadata: Any, limits: Limits) -> dict[str, str]:
    """Return what spikec wrote into the metadata, if it did; the rest of them is not read."""
    found: dict[str, str] = {}
    if not isinstance(metadata, h5py.Group):
        return found
    for key in (STEP, SEMANTICS):
        dataset = dataset_of(metadata, key, f"metadata.{key}")
        if dataset is not None:
            found[key] = read_text(dataset, f"metadata.{key}", limits, MAX_STATED)
    return found


def _read(file: Any, limits: Limits) -> Result:
    """Read the whole network."""
    version = read_text(dataset_of(file, "version", "version"), "version", limits)
    node = member(file, "node", "node")
    if node is None:
        raise missing("node")
    arrays: list[Array] = []
    tree = packed(read_root(_Group(node, limits)), arrays)
    stated = _stated(member(node, "metadata", "metadata"), limits)
    return {"version": version, "node": tree, "stated": stated}, arrays


# ---------------------------------------------------------------- from HDF5


@dataclass(frozen=True, slots=True)
class _Group:
    """A node in a HDF5 file."""

    group: Any
    limits: Limits

    def type(self, where: str) -> str | None:
        """Return the type."""
        if not isinstance(self.group, h5py.Group):
            raise wrong_kind(where, "group")
        dataset = dataset_of(self.group, "type", f"{where}.type")
        return None if dataset is None else read_text(dataset, f"{where}.type", self.limits)

    def field(self, name: str, where: str) -> Array | str | None:
        """Return a field; only a padding may be text."""
        dataset = dataset_of(self.group, name, where)
        if dataset is None:
            return None
        if name == "padding" and h5py.check_string_dtype(dataset.dtype) is not None:
            return read_text(dataset, where, self.limits)
        return read_numbers(self.group, name, where, self.limits)

    def names(self) -> list[str]:
        """Return the names of all members."""
        return list(self.group)

    def nodes(self, where: str) -> Iterator[tuple[str, "_Group"]]:
        """Return the nodes."""
        nodes = member(self.group, "nodes", where)
        if nodes is None:
            raise missing(where)
        if not isinstance(nodes, h5py.Group):
            raise wrong_kind(where, "group")
        for name in nodes:
            yield name, _Group(member(nodes, name, f"{where}.{name}"), self.limits)

    def edges(self, where: str) -> tuple[tuple[str, str], ...]:
        """Return the edges."""
        dataset = dataset_of(self.group, "edges", where)
        if dataset is None:
            raise missing(where)
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
        if dataset.shape[0] > MAX_EDGES:
            raise SpikecError(
                "SPK1014",
                where,
                f"{dataset.shape[0]} edges are more than {MAX_EDGES}",
                "Split the model",
            )
        names = self.limits.texts.read(dataset, where)
        return tuple(zip(names[::2], names[1::2], strict=True))

    def count_node(self, where: str) -> None:
        """Count a node."""
        self.limits.count_node(where)


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
        return np.asarray(numeric(where, np.asarray(value)))

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
