"""Files and folders that appear whole or not at all.

What is written goes under another name beside its destination and takes its place in one step: a
file by ``rename``, a folder by ``renameat2(RENAME_EXCHANGE)``. Where there is none, the old folder
is set aside for the moment between two renames, and ``restore`` brings it back after a crash. What
a killed process leaves under another name is removed when the same folder is written again.
"""

import ctypes
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from spikec.compiler.errors import SpikecError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_ATTEMPTS = 5  # another process may put a folder there between two calls


@contextmanager
def whole_file(path: Path) -> Generator[Path]:
    """Give a temporary path beside ``path`` that replaces it at the end.

    Raises:
        SpikecError: SPK0802 where ``path`` is no plain file; SPK0801 where the disk refuses.
    """
    place = Path(os.path.realpath(path))
    with _writable(path):
        if place.exists() and not place.is_file():
            raise SpikecError("SPK0802", str(path), "it is not a plain file", "Give another path")
        made = _make_parents(place)
        temporary = place.parent / f".spikec-{secrets.token_hex(8)}"
        try:
            yield temporary
            _flush(temporary)
            os.replace(temporary, place)
        finally:
            temporary.unlink(missing_ok=True)
            _remove_empty(made)


@contextmanager
def whole_folder(path: Path) -> Generator[Path]:
    """Give a temporary folder beside ``path`` that takes its place at the end.

    Raises:
        SpikecError: SPK0801 where the disk refuses.
    """
    place = Path(os.path.realpath(path))
    with _writable(path), ExitStack() as held:
        held.callback(_remove_empty, _make_parents(place))
        _remove_abandoned(place)
        temporary = _owned_folder(place, held)
        yield temporary
        for item in sorted(temporary.rglob("*")):
            _flush(item)
        _exchange(temporary, place)
        shutil.rmtree(_aside(place), ignore_errors=True)


def restore(path: Path) -> None:
    """Bring back a folder that a crash has left set aside."""
    place = Path(os.path.realpath(path))
    if not place.exists() and _aside(place).is_dir():
        with suppress(OSError):  # another process may have been faster
            os.rename(_aside(place), place)


def _owned_folder(place: Path, held: ExitStack) -> Path:
    """Make a temporary folder, locked while this process works on it, and removed at the end."""
    while True:
        temporary = place.parent / f"{_prefix(place)}{secrets.token_hex(8)}"
        temporary.mkdir()
        # After the exchange this is the old folder.
        held.callback(shutil.rmtree, temporary, ignore_errors=True)
        descriptor = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY)
        held.callback(os.close, descriptor)
        with suppress(OSError):  # where the disk knows no locks, nothing is ever abandoned
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Before it was locked, another process may have taken it for an abandoned one.
        if temporary.exists():
            return temporary


def _remove_abandoned(place: Path) -> None:
    """Remove the temporary folders of processes that were killed while they wrote to ``place``."""
    for leftover in place.parent.glob(f"{_prefix(place)}*"):
        with suppress(OSError), ExitStack() as held:
            descriptor = os.open(leftover, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            held.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(leftover, ignore_errors=True)


def _prefix(place: Path) -> str:
    """Return how the names of the temporary folders for ``place`` begin."""
    return f".spikec-{hashlib.sha256(os.fsencode(place.name)).hexdigest()[:16]}-"


def _aside(place: Path) -> Path:
    return place.parent / f".{place.name}.spikec-old"


@contextmanager
def _writable(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SpikecError(
            "SPK0801",
            str(path),
            f"it cannot be written ({reason})",
            "Check the place, its permissions and the free space",
        ) from error


def _make_parents(place: Path) -> list[Path]:
    """Create missing parents and return them, innermost first."""
    missing = [p for p in place.parents if not p.exists()]
    if place.parent.exists() and not place.parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    place.parent.mkdir(parents=True, exist_ok=True)
    return missing


def _remove_empty(folders: list[Path]) -> None:
    """Remove the parents that were made for something that was not written after all."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _flush(path: Path) -> None:
    """Bring a file or folder to the disk, so that a crash after the rename finds it whole."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(new: Path, place: Path) -> None:
    """Put ``new`` at ``place``; what was there ends up at ``new`` or is gone."""
    for attempt in range(_ATTEMPTS):
        try:
            os.rename(new, place)  # where there is nothing, or an empty folder
            return
        except OSError as error:
            occupied = error.errno in (errno.ENOTEMPTY, errno.EEXIST)
            if not occupied or attempt == _ATTEMPTS - 1:
                raise
        if rename_exchange(new, place):
            return
        _set_aside(new, place)
        if not new.exists():
            return


def rename_exchange(a: Path, b: Path) -> bool:
    """Exchange two names in one step; return whether the system can."""
    library: Any = ctypes.CDLL(None, use_errno=True)
    call: Any = getattr(library, "renameat2", None)
    if call is None:
        return False
    names = os.fsencode(a), os.fsencode(b)
    done: int = call(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
    return done == 0


def _set_aside(new: Path, place: Path) -> None:
    """Exchange by two renames; between them the old folder is set aside."""
    aside = _aside(place)
    shutil.rmtree(aside, ignore_errors=True)
    os.rename(place, aside)
    try:
        os.rename(new, place)
    except OSError as error:
        restore(place)
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
