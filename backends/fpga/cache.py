"""Built simulations in the user's cache folder, by a hash of everything they were made of."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path


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
    return place


def _publish(done: Path, place: Path) -> None:
    """Move a finished folder to its place in the cache."""
    try:
        done.rename(place)
    except OSError:  # another process was faster
        shutil.rmtree(done)
