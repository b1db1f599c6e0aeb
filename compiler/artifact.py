"""A build: a folder that holds a program, whole or not at all, and is checked when it is opened.

    manifest.json   versions, target, pipeline, metadata of the network, SHA-256 of every other file
    program.txt     the text form
    arrays.npz      the arrays that the text names by hash
    reports.json    what the passes found out
    ...             what the target's backend writes

The same program gives the same bytes: no time stamps, no absolute paths, no hash order.
"""

import errno
import hashlib
import io
import json
import os
import re
import stat
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any, cast

import numpy as np

from spikec.compiler.disk import restore, whole_folder
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Program
from spikec.compiler.npz import read_npz, write_npz
from spikec.compiler.simulator import find_backend
from spikec.compiler.target import load_target
from spikec.compiler.text import arrays, parse_program, print_program
from spikec.compiler.types import Array, narrowest
from spikec.compiler.verify import verify

FORMAT = 1
MANIFEST, PROGRAM, ARRAYS, REPORTS = "manifest.json", "program.txt", "arrays.npz", "reports.json"
LIMITS = {MANIFEST: 64 << 20, PROGRAM: 256 << 20, REPORTS: 64 << 20, ARRAYS: 9 << 30}

_FILE = re.compile(r"(?!\.)[A-Za-z0-9_.-]{1,128}(/(?!\.)[A-Za-z0-9_.-]{1,128}){0,8}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TYPES: Mapping[str, type] = {
    "format": int,
    "spikec": str,
    "target": str,
    "pipeline": str,
    "metadata": dict,
    "files": dict,
}


@dataclass(frozen=True, slots=True)
class Artifact:
    """A build on disk.

    Attributes:
        folder: Where it lies.
        files: Names of all files, ``/`` between folders, in order.
        manifest: What ``manifest.json`` holds.
    """

    folder: Path
    files: tuple[str, ...]
    manifest: Mapping[str, Any]


# ---------------------------------------------------------------- write


def emit(program: Program, folder: str | Path) -> Artifact:
    """Write a build, in place of an older one if there is one.

    Raises:
        SpikecError: SPK0803 when the backend cannot take the program, SPK0804 when ``folder`` holds
            anything but a build, SPK0801 when it cannot be written.
    """
    verify(program)
    backend = find_backend(load_target(program.target).backend)
    misfits = backend.supports(program)
    if misfits:
        raise SpikecError(
            "SPK0803",
            misfits[0].where,
            f"target '{program.target}' cannot take it: {misfits[0].message}",
            "See all findings with spikec check",
        )
    place = Path(folder)
    _refuse_other_content(place)
    with whole_folder(place) as temporary:
        (temporary / PROGRAM).write_text(print_program(program), encoding="utf-8")
        write_npz(temporary / ARRAYS, {k: _narrow(a) for k, a in arrays(program).items()})
        (temporary / REPORTS).write_text(json_text(dict(program.reports)), encoding="utf-8")
        backend.emit(program, temporary)
        manifest = {
            "format": FORMAT,
            "spikec": version("spikec"),
            "target": program.target,
            "pipeline": program.passes,
            "metadata": dict(program.graph.metadata),
            "files": {name: _sha256(temporary / name) for name in _files(temporary)},
        }
        (temporary / MANIFEST).write_text(json_text(manifest), encoding="utf-8")
        files = _files(temporary)
    return Artifact(place, files, manifest)


def json_text(value: Any) -> str:
    """Return strict JSON with sorted keys; numbers that JSON cannot hold become text."""
    return json.dumps(_plain(value), indent=1, sort_keys=True, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Return what JSON knows; isinstance is avoided, as it would turn Any into unknown types."""
    kinds: tuple[type, ...] = type(value).__mro__
    if np.ndarray in kinds or np.generic in kinds:
        return _plain(value.tolist())
    if dict in kinds:
        return {str(k): _plain(v) for k, v in value.items()}
    if list in kinds or tuple in kinds:
        return [_plain(v) for v in value]
    return str(value) if float in kinds and not isfinite(value) else value


def _narrow(data: Array) -> Array:
    """Return float64, or the narrowest integers that hold the numbers."""
    if data.dtype.kind == "f":
        return data.astype(np.float64, copy=False)
    lo, hi = (int(data.min()), int(data.max())) if data.size else (0, 0)
    return data.astype(narrowest(lo, hi), copy=False)


def _files(folder: Path) -> tuple[str, ...]:
    """Return the names of all files below a folder, in order."""
    return tuple(
        sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _refuse_other_content(place: Path) -> None:
    """Protect what is not a build, or has been put into one, from being replaced."""
    if not os.path.lexists(place):
        return
    if not place.is_dir():
        problem = "it is a file, not a folder"
    else:
        ours = _manifest_files(place)
        strays = [name for name in _files(place) if name not in ours]
        if not strays:
            return
        problem = f"it holds '{strays[0]}', which is not part of a spikec build"
    raise SpikecError("SPK0804", str(place), problem, "Choose another folder, or move that away")


def _manifest_files(place: Path) -> set[str]:
    """Return the files a build says it has; none where there is no readable manifest."""
    try:
        return {MANIFEST, *_read_manifest(place)["files"]}
    except (SpikecError, OSError):
        return set()


# ---------------------------------------------------------------- read


def open_folder(folder: str | Path) -> Program:
    """Read a build, which may have been made to do harm.

    Every file must be a plain file inside the folder with the hash the manifest names; sizes are
    bounded, nothing is executed or unpickled, and the program must satisfy ``verify``.

    Raises:
        SpikecError: SPK0811 to SPK0828, and the errors of the text form and of ``verify``.
    """
    place = Path(folder)
    restore(place)
    try:
        return _open(place)
    except OSError as error:
        raise SpikecError(
            "SPK0811",
            str(place),
            f"it cannot be read ({error.strerror or type(error).__name__})",
            "Check the path, or compile again",
        ) from error


def _open(place: Path) -> Program:
    manifest = _read_manifest(place)
    names: Mapping[str, str] = manifest["files"]
    for name, digest in names.items():
        if name not in LIMITS:
            with _checked(place, name, digest):
                pass
    with _checked(place, PROGRAM, names[PROGRAM]) as stream:
        text = stream.read()
    with _checked(place, REPORTS, names[REPORTS]) as stream:
        reports = _json(f"{place}: {REPORTS}", stream.read())
    with _checked(place, ARRAYS, names[ARRAYS]) as stream:
        # Builds are written without compression, so no array is larger than the file.
        stored = read_npz(stream, f"{place}: {ARRAYS}", os.fstat(stream.fileno()).st_size)
    program = replace(_parse(place, text, stored), reports=reports)
    said = (manifest["target"], manifest["pipeline"], manifest["metadata"])
    if said != (program.target, program.passes, dict(program.graph.metadata)):
        raise SpikecError(
            "SPK0819", str(place), "manifest and program differ", "Compile again with spikec"
        )
    return program


def _parse(place: Path, text: bytes, stored: Mapping[str, Array]) -> Program:
    try:
        program = parse_program(text.decode("utf-8"), stored)
        verify(program)
    except SpikecError as error:
        raise error.at(str(place)) from None
    except (ArithmeticError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as e:
        raise SpikecError(
            "SPK0818",
            f"{place}: {PROGRAM}",
            f"it is no valid program ({type(e).__name__}: {str(e)[:120]})",
            "Compile again with spikec",
        ) from e
    return program


def _read_manifest(place: Path) -> Mapping[str, Any]:
    """Return the manifest with every field of the right type."""
    with _opened(place, MANIFEST) as stream:
        manifest = _json(f"{place}: {MANIFEST}", stream.read())
    wrong = [k for k, kind in _TYPES.items() if not isinstance(manifest.get(k), kind)]
    if not wrong:
        metadata, files = manifest["metadata"], manifest["files"]
        checks = {
            "format": type(manifest["format"]) is int,
            "metadata": all(isinstance(v, str) for v in metadata.values()),
            "files": {PROGRAM, ARRAYS, REPORTS} <= set(files) and len(files) <= 100_000,
            "names of files": all(_FILE.fullmatch(name) for name in files),
            "hashes": all(isinstance(h, str) and _SHA256.fullmatch(h) for h in files.values()),
        }
        wrong = [what for what, good in checks.items() if not good]
    if wrong:
        raise SpikecError(
            "SPK0813",
            f"{place}: {MANIFEST}",
            f"{', '.join(wrong)} missing or of the wrong form",
            "Compile again with spikec",
        )
    if manifest["format"] != FORMAT:
        raise SpikecError(
            "SPK0814",
            str(place),
            f"the build has format {manifest['format']}, this spikec reads format {FORMAT}",
            f"Use spikec {manifest['spikec'][:40]}, or compile again",
        )
    return manifest


def _json(where: str, text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise SpikecError("SPK0812", where, "it is not a JSON object", "Compile again with spikec")
    return cast(dict[str, Any], value)


@contextmanager
def _checked(place: Path, name: str, digest: str) -> Generator[io.BufferedReader]:
    """Open a file of a build after comparing its hash, without opening it twice."""
    with _opened(place, name) as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != digest:
            raise SpikecError(
                "SPK0815",
                f"{place}: {name}",
                "the file is not the one the manifest describes (its SHA-256 differs)",
                "Compile again with spikec",
            )
        stream.seek(0)
        yield stream


@contextmanager
def _opened(place: Path, name: str) -> Generator[io.BufferedReader]:
    """Open a plain file below a folder; no part of its name may be a link."""
    *folders, last = name.split("/")
    with ExitStack() as stack:
        at = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, at)
        try:
            for part in folders:
                at = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
                stack.callback(os.close, at)
            # A pipe would block without O_NONBLOCK.
            descriptor = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
        except FileNotFoundError:
            raise _missing(place, name) from None
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
                raise
            raise _not_plain(place, name) from None
        stream = stack.enter_context(os.fdopen(descriptor, "rb"))
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise _not_plain(place, name)
        if status.st_size > LIMITS.get(name, status.st_size):
            raise SpikecError(
                "SPK0817",
                f"{place}: {name}",
                f"{status.st_size} bytes exceed the {LIMITS[name]} that are read",
                "Compile again with spikec",
            )
        yield stream


def _missing(place: Path, name: str) -> SpikecError:
    problem = "it is not a spikec build, as" if name == MANIFEST else "the build is incomplete:"
    return SpikecError(
        "SPK0810",
        str(place),
        f"{problem} there is no {name} in it",
        "Make one with spikec compile MODEL -o BUILD",
    )


def _not_plain(place: Path, name: str) -> SpikecError:
    return SpikecError(
        "SPK0816",
        f"{place}: {name}",
        "it is a link, a folder or a device, not a plain file",
        "Compile again with spikec",
    )
