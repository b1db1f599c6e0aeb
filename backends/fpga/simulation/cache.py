"""Built simulations in the user's cache folder, by a hash of everything they were made of.

The folder is held below a size: what was used longest ago is removed, but nothing of the last hour,
so that no other process loses what it runs.
"""

import hashlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

MOST_BYTES = 2 << 30
SAFE = 3600.0  # seconds since the last use
ABANDONED = 86400.0  # seconds after which an unfinished folder was left by a killed process


def cache() -> Path:
    """Return the user's folder of built simulations."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "spikec" / "cosim"


def digest(kind: str, parts: Mapping[str, str]) -> str:
    """Return the name of what is built of some texts."""
    found = hashlib.sha256(kind.encode())
    for name in sorted(parts):
        found.update(f"{name}\0{len(parts[name])}\0{parts[name]}".encode())
    return f"{kind}-{found.hexdigest()[:32]}"


def kept(name: str, make: Callable[[Path, Path], None]) -> Path:
    """Return a folder of the cache, made if it is not there.

    Args:
        name: Of the folder.
        make: Given a folder to work in, and one to put into what is to be kept.
    """
    place = cache() / name
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".build-", dir=place.parent) as temporary:
            work, done = Path(temporary, "work"), Path(temporary, "done")
            work.mkdir()
            done.mkdir()
            make(work, done)
            _publish(done, place)
        prune(place.parent)
    with suppress(OSError):
        os.utime(place)
    return place


def prune(folder: Path) -> None:
    """Remove what was used longest ago, until the folder is small enough."""
    now, total = time.time(), 0
    for used, place in sorted(_used(folder), reverse=True):
        unfinished = place.name.startswith(".")
        total += 0 if unfinished else _bytes(place)
        too_old = now - used > (ABANDONED if unfinished else SAFE)
        if too_old and (unfinished or total > MOST_BYTES):
            _remove(place)


def _used(folder: Path) -> list[tuple[float, Path]]:
    """Return when each folder was used last."""
    found: list[tuple[float, Path]] = []
    for place in folder.iterdir():
        with suppress(FileNotFoundError):  # another process was faster
            found.append((place.stat().st_mtime, place))
    return found


def _bytes(place: Path) -> int:
    total = 0
    with suppress(FileNotFoundError):  # another process removes it
        for path in place.rglob("*"):
            total += path.lstat().st_size
    return total


def _remove(place: Path) -> None:
    """Remove a folder at once, as others see it."""
    away = place.parent / f".old-{secrets.token_hex(8)}"
    with suppress(OSError):
        place.rename(away)
        shutil.rmtree(away)


def _publish(done: Path, place: Path) -> None:
    """Move a finished folder to its place in the cache."""
    try:
        done.rename(place)
    except OSError:  # another process was faster
        shutil.rmtree(done)
