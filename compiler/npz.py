"""Arrays in .npy and .npz files: read within bounds, written byte for byte the same.

A .npy file, or member of a .npz, declares type and shape in a header. No data are unpacked before
every header has been read: nothing may be larger than its header says, and nothing is unpickled.
"""

import io
import zipfile
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.lib import format as _format

from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array

npy: Any = _format  # it is not typed throughout

MAX_BYTES = 8 << 30  # of all arrays of a file together, unpacked
MAX_MEMBERS = 100_000
MAX_HEADER = 10_000  # what numpy accepts
MAX_AXES = 32
MAX_DIRECTORY = 32 << 20  # the list of members of a zip file is read at once
CHUNK = 1 << 20

# Whatever zipfile, zlib and numpy raise on broken files.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


class Readable(Protocol):
    """A binary stream."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Header:
    """What an array declares.

    Attributes:
        dtype: Type of the numbers.
        shape: Shape.
        fortran: Whether the first axis varies fastest.
        length: Bytes of the header itself.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    length: int

    @property
    def size(self) -> int:
        """Bytes of the numbers."""
        return prod(self.shape) * self.dtype.itemsize


# ---------------------------------------------------------------- read


def read_npy(path: Path) -> Array:
    """Return the array of a .npy file.

    Raises:
        SpikecError: SPK0821 to SPK0826; OSError where the file cannot be read at all.
    """
    with path.open("rb") as stream, _readable(path.name):
        header = _header(stream, path.name)
        _check_sizes(path.name, header, path.stat().st_size)
        _check_total(path.name, [header], MAX_BYTES)
        return _data(stream, header)


def read_npz(
    stream: io.BufferedIOBase | Any, where: str, limit: int | None = None
) -> dict[str, Array]:
    """Return the arrays of a .npz file by name, up to ``limit`` bytes, or MAX_BYTES, of them.

    Raises:
        SpikecError: SPK0821 to SPK0827; OSError where the stream cannot be read at all.
    """
    with _readable(where), zipfile.ZipFile(cast(Any, _Bounded(stream))) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise SpikecError(
                "SPK0822",
                where,
                f"{len(members)} arrays exceed the {MAX_MEMBERS} that are read",
                "Write fewer, larger arrays",
            )
        headers: dict[str, Header] = {}
        for info in members:
            name = _member_name(where, info, headers)
            with archive.open(info) as member:
                headers[name] = _header(member, f"{where}: {name}")
            _check_sizes(f"{where}: {name}", headers[name], info.file_size)
        _check_total(where, list(headers.values()), MAX_BYTES if limit is None else limit)
        return {name: _member(archive, name, header) for name, header in headers.items()}


class _Bounded:
    """A stream that refuses to read more at once than a sane list of members takes."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable

    def read(self, size: int = -1) -> bytes:
        if size > MAX_DIRECTORY:
            raise ValueError("the list of members is too long")
        return bytes(self._stream.read(min(size, MAX_DIRECTORY) if size >= 0 else MAX_DIRECTORY))


@contextmanager
def _readable(where: str) -> Generator[None]:
    """Turn what libraries raise on broken files into one error."""
    try:
        yield
    except _BROKEN as error:
        raise SpikecError(
            "SPK0821",
            where,
            f"it is not a readable array file ({str(error)[:120] or type(error).__name__})",
            "Write it with numpy.save or numpy.savez",
        ) from None


def _member_name(where: str, info: zipfile.ZipInfo, seen: Mapping[str, Header]) -> str:
    name = info.filename.removesuffix(".npy")
    packed = info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if name == info.filename or name in seen or packed or info.flag_bits & 1:
        raise SpikecError(
            "SPK0827",
            where,
            f"member '{info.filename[:60]}' is no array, stands twice, or is packed otherwise",
            "Write it with numpy.savez",
        )
    return name


def _header(stream: Readable, where: str) -> Header:
    """Read a header without trusting the length it declares."""
    start = stream.read(12)
    if start[:6] != b"\x93NUMPY" or len(start) < 12 or start[6] not in (1, 2):
        raise ValueError(f"{where} does not begin as a numpy array")
    at, version_one = (10, True) if start[6] == 1 else (12, False)
    length = at + int.from_bytes(start[8:at], "little")
    if length > MAX_HEADER:
        raise ValueError(f"{where} has a header of {length} bytes")
    text = io.BytesIO(start + stream.read(length - len(start)))
    npy.read_magic(text)
    read = npy.read_array_header_1_0 if version_one else npy.read_array_header_2_0
    shape, fortran, dtype = read(text)
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise SpikecError(
            "SPK0823",
            where,
            f"it holds {dtype}, not plain numbers",
            "Store integers, floats or booleans; pickled objects are never read",
        )
    if len(shape) > MAX_AXES or min(shape, default=0) < 0:
        raise ValueError(f"{where} declares the shape {shape}")
    return Header(dtype, shape, fortran, length)


def _check_sizes(where: str, header: Header, size: int) -> None:
    if size != header.length + header.size:
        raise SpikecError(
            "SPK0824",
            where,
            f"{size} bytes of data where its header declares {header.length + header.size}",
            "Write the file again; it is damaged or was made to exhaust memory",
        )


def _check_total(where: str, headers: list[Header], limit: int) -> None:
    total = sum(h.size for h in headers)
    if total > limit:
        raise SpikecError(
            "SPK0825",
            where,
            f"its arrays take {total} bytes, more than the {limit} that are read",
            "Split it into several files",
        )


def _member(archive: zipfile.ZipFile, name: str, header: Header) -> Array:
    with archive.open(f"{name}.npy") as member:
        member.read(header.length)
        return _data(member, header)


def _data(stream: Readable, header: Header) -> Array:
    """Read the numbers that follow a header, a chunk at a time."""
    flat = np.empty(header.size, dtype=np.uint8)
    at = 0
    while at < header.size:
        part = stream.read(min(CHUNK, header.size - at))
        if not part:
            raise EOFError("the data end early")
        flat[at : at + len(part)] = np.frombuffer(part, np.uint8)
        at += len(part)
    order: Any = "F" if header.fortran else "C"
    return flat.view(header.dtype).reshape(header.shape, order=order)


# ---------------------------------------------------------------- write


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays by name, in order of name, without compression.

    The bytes depend on nothing but the numbers: no time stamps, no version of zlib.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            data = np.asarray(arrays[name], order="C")
            with archive.open(_info(name), "w", force_zip64=True) as member:
                _write_header(member, data.dtype, data.shape)
                for part in _parts(data):
                    member.write(part)


def _info(name: str, method: int = zipfile.ZIP_STORED) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
    info.compress_type, info.create_system = method, 3
    info.external_attr = 0o644 << 16
    return info


def _write_header(stream: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    descriptor = npy.dtype_to_descr(dtype.newbyteorder("<"))
    npy.write_array_header_1_0(
        stream, {"descr": descriptor, "fortran_order": False, "shape": shape}
    )


def _parts(data: Array) -> Iterator[bytes]:
    """Return the bytes of a C-ordered array, little-endian, a chunk at a time."""
    flat = data.reshape(-1)
    numbers = max(CHUNK // flat.itemsize, 1)
    for at in range(0, flat.size, numbers):
        yield flat[at : at + numbers].astype(flat.dtype.newbyteorder("<"), copy=False).tobytes()


class BatchWriter:
    """Writes a .npz whose arrays come in batches of samples, in bounded memory.

    Each array grows in a file of its own in ``folder``; ``finish`` packs them in order of name.

    Args:
        folder: An empty folder for the pieces, on the disk that also takes the result.
        samples: Length of the first axis of every array when all batches are in.
    """

    def __init__(self, folder: Path, samples: int) -> None:
        """Keep both."""
        self._folder, self._samples = folder, samples
        self._pieces: dict[str, tuple[Path, np.dtype[Any], tuple[int, ...]]] = {}

    def add(self, arrays: Mapping[str, Array]) -> None:
        """Append a batch to every array."""
        for name, data in arrays.items():
            piece = self._folder / str(len(self._pieces))
            path, *_ = self._pieces.setdefault(name, (piece, data.dtype, data.shape[1:]))
            with path.open("ab") as stream:
                for part in _parts(np.asarray(data, order="C")):
                    stream.write(part)

    def finish(self, path: Path) -> None:
        """Write the file; spikes are mostly zeros, so a little compression saves most of it."""
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, (piece, dtype, shape) in sorted(self._pieces.items()):
                info = _info(name, zipfile.ZIP_DEFLATED)
                with archive.open(info, "w", force_zip64=True) as member, piece.open("rb") as data:
                    _write_header(member, dtype, (self._samples, *shape))
                    while part := data.read(CHUNK):
                        member.write(part)
                piece.unlink()
