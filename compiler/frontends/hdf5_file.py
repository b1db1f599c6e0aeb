"""What all HDF5 frontends share: limits, members that lie in the file itself, numbers and texts.

A file that may be hostile is read in a process apart (``read_apart``). Sizes are known before
anything is read, and nothing outside the file is.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from spikec.compiler.apart import Result, run_apart
from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.hdf5_text import TextReader
from spikec.compiler.frontends.nir_raw import MAX_TEXT, missing, numeric, readable
from spikec.compiler.types import Array
from spikec.compiler.untyped import h5py

MAX_BYTES = 2 << 30  # of all numbers as float64
# A small file may not declare as many: trained weights hardly compress.
SMALL_BYTES, BYTES_PER_BYTE = 128 << 20, 16
# To read at least; more for large files.
SECONDS, BYTES_PER_SECOND = 5, 20 << 20
MAX_NODES = 100_000


def read_apart(path: Path, suffix: str, read: Callable[[Any, "Limits"], Result]) -> Result:
    """Return what ``read`` makes of an open file, and its ``sha256``; it runs in a process apart.

    Args:
        path: The file.
        suffix: What to give instead of a file that is none.
        read: Gets the file and its limits; returns a JSON object and arrays.

    Raises:
        SpikecError: SPK1001, SPK1002, SPK1008, SPK1018, SPK1060, or what ``read`` raises.
    """
    if not path.is_file():
        raise SpikecError("SPK1001", str(path), "no such file", "Check the path")
    size = path.stat().st_size
    allowed = min(MAX_BYTES, max(SMALL_BYTES, BYTES_PER_BYTE * size))
    limit_size(str(path), size, MAX_BYTES)
    seconds = SECONDS + size // BYTES_PER_SECOND
    return run_apart(str(path), lambda: _read(path, suffix, allowed, read), seconds, 4 * allowed)


def _read(path: Path, suffix: str, allowed: int, read: Callable[[Any, "Limits"], Result]) -> Result:
    """Read a file in which up to ``allowed`` bytes of numbers may be declared."""
    with readable(str(path)):
        if not h5py.is_hdf5(path):
            raise SpikecError("SPK1018", str(path), "is not a HDF5 file", f"Give a {suffix} file")
        with path.open("rb") as stream, h5py.File(path, "r") as file:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            value, arrays = read(file, Limits(TextReader(stream, file), allowed))
            return {**value, "sha256": digest}, arrays


@dataclass(slots=True)
class Limits:
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
        limit_size(where, 8 * self.numbers, self.allowed)


def limit_size(where: str, size: int, allowed: int) -> None:
    """Refuse bytes of numbers beyond what is allowed.

    Raises:
        SpikecError: SPK1008.
    """
    if size > allowed:
        raise SpikecError(
            "SPK1008",
            where,
            f"up to here the file declares {size} bytes of numbers, more than {allowed}",
            "Split the model, or store its numbers without compression",
        )


def member(group: Any, name: str, where: str) -> Any:
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


def dataset_of(group: Any, name: str, where: str) -> Any:
    """Return a dataset with numbers or text in this file, or None.

    Raises:
        SpikecError: SPK1009 when its data lie in another file.
    """
    dataset = member(group, name, where)
    if dataset is None:
        return None
    if not isinstance(dataset, h5py.Dataset):
        raise wrong_kind(where, "dataset")
    if dataset.shape is None:
        return None
    if dataset.is_virtual or dataset.external:
        raise SpikecError(
            "SPK1009", where, "keeps its data in another file, which is not read", "Copy the data"
        )
    return dataset


def wrong_kind(where: str, wanted: str) -> SpikecError:
    """Return the error for a group that is a dataset, or the other way round."""
    return SpikecError("SPK1006", where, f"is not a HDF5 {wanted}", "Write the file again")


def read_text(dataset: Any, where: str, limits: Limits, most: int = MAX_TEXT) -> str:
    """Return one text.

    Raises:
        SpikecError: SPK1003 when it is missing, SPK1012 when it is anything else.
    """
    if dataset is None:
        raise missing(where)
    if dataset.size != 1 or h5py.check_string_dtype(dataset.dtype) is None:
        raise SpikecError("SPK1012", where, "is not one text", "Write the file again")
    return limits.texts.read(dataset, where, most)[0]


def read_numbers(group: Any, name: str, where: str, limits: Limits) -> Array | None:
    """Return a dataset of numbers, or None where there is none."""
    dataset = dataset_of(group, name, where)
    if dataset is None:
        return None
    # A chunk is decompressed whole, and may be declared larger than its dataset.
    limits.count_numbers(where, max(dataset.size, prod(dataset.chunks or ())))
    return np.asarray(numeric(where, dataset)[()])
