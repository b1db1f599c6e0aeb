"""Generated kernels: kept on disk, loaded once."""

import hashlib
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from threading import Lock
from types import ModuleType

_loading = Lock()


def cache_folder() -> Path:
    """Return where generated kernels are kept: the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "spikec" / "kernels"


def load_source(source: str) -> ModuleType:
    """Return the module of a generated source, compiled at most once per content."""
    name = "spikec_kernel_" + hashlib.sha256(source.encode()).hexdigest()[:32]
    with _loading:
        if name in sys.modules:
            return sys.modules[name]
        path = _stored(name, source)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module


def _stored(name: str, source: str) -> Path:
    """Write the source where it is not there yet; numba keys its cache on the file's time."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / f"{name}.py"
        if not path.is_file() or path.read_text() != source:
            _replace(path, source)
        return path
    except OSError:
        # No writable cache: compile for this process only.
        path = Path(tempfile.mkdtemp(prefix="spikec-")) / f"{name}.py"
        path.write_text(source)
        return path


def _replace(path: Path, source: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    with os.fdopen(handle, "w") as stream:
        stream.write(source)
    os.replace(temporary, path)
