"""Reads texts from a HDF5 file that may be hostile.

The HDF5 library cannot be trusted with texts of variable length: it believes the length that a
reference states (gigabytes) before it looks at the text, follows any number of references to one
long text, and walks for ever through a heap whose objects have no size. So they are read here.

A dataset of such texts is a row of references of 16 bytes: length (4), address of a heap (8), index
of an object in it (4). A heap is ``GCOL``, version 1, 3 bytes, its size (8), then objects: index
(2), 6 bytes, size (8), data padded to 8 bytes. Object 0 is the free rest.
"""

import os
import struct
from math import prod
from typing import Any, BinaryIO

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.nir_raw import MAX_TEXT
from spikec.compiler.untyped import h5py

MAX_CHUNK = 1 << 20

_HEAP = struct.Struct("<4sBxxxQ")
_OBJECT = struct.Struct("<HxxxxxxQ")
_REFERENCE = struct.Struct("<IQI")


class TextReader:
    """The texts of one file."""

    def __init__(self, stream: BinaryIO, file: Any) -> None:
        """Take the file twice: as bytes, and as h5py opened it.

        Raises:
            SpikecError: SPK1055 on a layout that HDF5 allows but hardly anyone writes.
        """
        self.stream = stream
        self.size = os.fstat(stream.fileno()).st_size
        self.heap_bytes = 0
        self.heaps: dict[int, dict[int, bytes]] = {}
        sizes = file.id.get_create_plist().get_sizes()
        if sizes != (8, 8) or file.userblock_size:
            raise SpikecError(
                "SPK1055",
                os.path.basename(str(file.filename)),
                f"its offsets take {sizes[0]} bytes, its lengths {sizes[1]}, and its user block "
                f"{file.userblock_size}",
                "Write it with 8, 8 and 0 bytes, as nir.write does",
            )

    def read(self, dataset: Any, where: str, most: int = MAX_TEXT) -> list[str]:
        """Return the texts of a dataset in order; each is cut behind ``most`` characters.

        Raises:
            SpikecError: SPK1056 on texts that are not stored in a row, SPK1057 on a broken heap,
                SPK1058 on texts that are too long.
        """
        length = h5py.check_string_dtype(dataset.dtype).length
        if length is None:
            references = self._references(dataset, where)
            return [
                _decoded(self._text(where, length, address, index), most)
                for length, address, index in _REFERENCE.iter_unpack(references)
            ]
        # A chunk is decompressed whole, and may be declared larger than its dataset.
        if length > most or prod(dataset.chunks or ()) > MAX_CHUNK:
            raise SpikecError(
                "SPK1058",
                where,
                f"texts of {length} bytes in chunks of {dataset.chunks} are too long",
                f"Use up to {most} bytes, and no chunks",
            )
        return [_decoded(text, most) for text in np.asarray(dataset[()]).reshape(-1).tolist()]

    def _references(self, dataset: Any, where: str) -> bytes:
        offset, size = dataset.id.get_offset(), _REFERENCE.size * dataset.size
        if offset is None or dataset.id.get_storage_size() != size or offset + size > self.size:
            raise SpikecError(
                "SPK1056",
                where,
                "its texts are not stored in one row",
                "Write them without chunks and compression, as nir.write does",
            )
        return self._bytes(offset, size)

    def _text(self, where: str, length: int, address: int, index: int) -> bytes:
        if length == 0:
            return b""
        if address not in self.heaps:
            self.heaps[address] = self._heap(address, where)
        data = self.heaps[address].get(index)
        if data is None or length > len(data):
            raise _broken(where, f"object {index} of {length} bytes is not there")
        return data[:length]

    def _heap(self, address: int, where: str) -> dict[int, bytes]:
        """Return the objects of a heap by index."""
        mark, version, size = _HEAP.unpack(self._bytes(address, _HEAP.size).ljust(_HEAP.size))
        if (mark, version) != (b"GCOL", 1) or size > self.size - address:
            raise _broken(where, f"there is no heap at byte {address}")
        # Heaps do not overlap, so all of them together are no larger than the file.
        self.heap_bytes += size
        if self.heap_bytes > self.size:
            raise _broken(where, "the heaps overlap")
        content = self._bytes(address, size)
        objects: dict[int, bytes] = {}
        place = _HEAP.size
        while place + _OBJECT.size <= size:
            index, length = _OBJECT.unpack_from(content, place)
            if index == 0:
                break
            place += _OBJECT.size
            if length > size - place:
                raise _broken(where, f"object {index} of {length} bytes leaves the heap")
            objects[index] = content[place : place + length]
            place += (length + 7) // 8 * 8
        return objects

    def _bytes(self, offset: int, size: int) -> bytes:
        # An address beyond what a file can have would not be accepted by seek.
        self.stream.seek(min(offset, self.size))
        return self.stream.read(size)


def _broken(where: str, problem: str) -> SpikecError:
    return SpikecError("SPK1057", where, f"its text is broken: {problem}", "Write the file again")


def _decoded(value: bytes | str, most: int) -> str:
    """Return the start of a text; what is cut off could not be a name anyway."""
    cut = value[: 4 * most]
    text = cut.decode("utf-8", "replace") if isinstance(cut, bytes) else cut
    return text[: most + 1]
