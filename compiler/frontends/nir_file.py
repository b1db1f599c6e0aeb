"""Reads NIR from a HDF5 file that may be hostile, in a process apart, or from a nir.NIRGraph.

A file holds ``/version`` and ``/node``. A node is a group with its ``type`` and its fields; a
NIRGraph has ``nodes`` and ``edges`` (n, 2) instead of fields. Sizes are known before anything is
read, and nothing outside the file is.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from spikec.compiler.apart import Result, run_apart
from spikec.compiler.errors import SpikecError, one_line
from spikec.compiler.frontends.hdf5_text import TextReader
from spikec.compiler.frontends.nir_process import packed, unpacked
from spikec.compiler.frontends.nir_raw import (
    MAX_TEXT,
    RawNode,
    missing,
    numeric,
    read_root,
    readable,
)
from spikec.compiler.types import Array
from spikec.compiler.untyped import h5py, nir

MAX_BYTES = 2 << 30  # of all numbers as float64
# A small file may not declare as many: trained weights hardly compress.
SMALL_BYTES, BYTES_PER_BYTE = 128 << 20, 16
# To read at least; more for large files.
SECONDS, BYTES_PER_SECOND = 5, 20 << 20
MAX_NODES = 100_000
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
    if not path.is_file():
        raise SpikecError("SPK1001", str(path), "no such file", "Check the path")
    size = path.stat().st_size
    allowed = min(MAX_BYTES, max(SMALL_BYTES, BYTES_PER_BYTE * size))
    _limit_size(str(path), size, MAX_BYTES)
    value, arrays = run_apart(
        str(path), lambda: _read(path, allowed), SECONDS + size // BYTES_PER_SECOND, 4 * allowed
    )
    metadata = {"format": "nir", "version": value["version"], "file": path.name}
    metadata["sha256"] = value["sha256"]
    root = unpacked(value["node"], arrays)
    shown = {k: one_line(v) for k, v in metadata.items()}
    return NirSource(root, path.stem, shown, value["stated"])


def _stated(metadata: Any, limits: "_Limits") -> dict[str, str]:
    """Return what spikec wrote into the metadata, if it did; the rest of them is not read."""
    found: dict[str, str] = {}
    if not isinstance(metadata, h5py.Group):
        return found
    for key in (STEP, SEMANTICS):
        dataset = _dataset(metadata, key, f"metadata.{key}")
        if dataset is not None:
            found[key] = _read_text(dataset, f"metadata.{key}", limits, MAX_STATED)
    return found


def _read(path: Path, allowed: int) -> Result:
    """Read a file in which up to ``allowed`` bytes of numbers may be declared."""
    with readable(str(path)):
        if not h5py.is_hdf5(path):
            raise SpikecError("SPK1018", str(path), "is not a HDF5 file", "Give a .nir file")
        with path.open("rb") as stream, h5py.File(path, "r") as file:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            limits = _Limits(TextReader(stream, file), allowed)
            version = _read_text(_dataset(file, "version", "version"), "version", limits)
            node = _member(file, "node", "node")
            if node is None:
                raise missing("node")
            arrays: list[Array] = []
            tree = packed(read_root(_Group(node, limits)), arrays)
            stated = _stated(_member(node, "metadata", "metadata"), limits)
            told = {"version": version, "sha256": digest, "node": tree, "stated": stated}
            return told, arrays


# ---------------------------------------------------------------- from HDF5


@dataclass(slots=True)
class _Limits:
    """What a file has used up, and what reads its texts."""

    texts: TextReader
    allowed: int
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
        _limit_size(where, 8 * self.numbers, self.allowed)


def _limit_size(where: str, size: int, allowed: int) -> None:
    if size > allowed:
        raise SpikecError(
            "SPK1008",
            where,
            f"up to here the file declares {size} bytes of numbers, more than {allowed}",
            "Split the model, or store its numbers without compression",
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
        return None if dataset is None else _read_text(dataset, f"{where}.type", self.limits)

    def field(self, name: str, where: str) -> Array | str | None:
        """Return a field; only a padding may be text."""
        dataset = _dataset(self.group, name, where)
        if dataset is None:
            return None
        if name == "padding" and h5py.check_string_dtype(dataset.dtype) is not None:
            return _read_text(dataset, where, self.limits)
        # A chunk is decompressed whole, and may be declared larger than its dataset.
        self.limits.count_numbers(where, max(dataset.size, prod(dataset.chunks or ())))
        return np.asarray(numeric(where, dataset)[()])

    def names(self) -> list[str]:
        """Return the names of all members."""
        return list(self.group)

    def nodes(self, where: str) -> Iterator[tuple[str, "_Group"]]:
        """Return the nodes."""
        nodes = _member(self.group, "nodes", where)
        if nodes is None:
            raise missing(where)
        if not isinstance(nodes, h5py.Group):
            raise _wrong_kind(where, "group")
        for name in nodes:
            yield name, _Group(_member(nodes, name, f"{where}.{name}"), self.limits)

    def edges(self, where: str) -> tuple[tuple[str, str], ...]:
        """Return the edges."""
        dataset = _dataset(self.group, "edges", where)
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


def _read_text(dataset: Any, where: str, limits: _Limits, most: int = MAX_TEXT) -> str:
    """Return one text.

    Raises:
        SpikecError: SPK1003 when it is missing, SPK1012 when it is anything else.
    """
    if dataset is None:
        raise missing(where)
    if dataset.size != 1 or h5py.check_string_dtype(dataset.dtype) is None:
        raise SpikecError("SPK1012", where, "is not one text", "Write the file again")
    return limits.texts.read(dataset, where, most)[0]


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
