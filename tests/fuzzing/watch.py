"""What may not happen while a mutant is handled: writing elsewhere, running its code, reaching out.

An audit hook sees every attempt of Python code. What the HDF5 library does by itself is seen by
comparing the mutant before and after.
"""

import os
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fuzzing.hostile import CANARY

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FORBIDDEN = (
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "webbrowser.open"),
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "urllib.Request", "ftplib.connect"),
    *("os.kill", "os.chown", "os.setxattr", "sys.addaudithook", "sys.settrace"),
)
_CHANGING = (
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod"),
    *("os.truncate", "os.utime", "shutil.rmtree", "shutil.move", "shutil.copyfile"),
    *("tempfile.mkstemp", "tempfile.mkdtemp"),
)


class Watch:
    """The audit hook of a process; it cannot be taken off, only be told to look away."""

    def __init__(self, allowed: Iterable[Path]) -> None:
        """Allow writing in some folders."""
        self.allowed = tuple(os.path.realpath(p) + os.sep for p in (*allowed, Path("/dev")))
        self.active = False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    @contextmanager
    def watching(self) -> Generator[list[str]]:
        """Give a list into which everything forbidden is written."""
        self.seen = []
        self.active = True
        try:
            yield self.seen
        finally:
            self.active = False

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITING and not isinstance(path, int):
                self._place(event, path)
        elif event in _FORBIDDEN:
            self.seen.append(f"{event} {arguments!r}"[:200])
        elif event in _CHANGING:
            self._place(event, arguments[0])
            if event in ("os.rename", "os.link", "os.symlink"):
                self._place(event, arguments[1])
        elif event == "pickle.find_class":
            # numba unpickles its own cache of machine code.
            module, name = str(arguments[0]), str(arguments[1])
            safe = module.split(".")[0] in ("numba", "llvmlite", "copyreg")
            if not safe and (module, name) != ("builtins", "object"):
                self.seen.append(f"{event} {module}.{name}")
        elif event in ("compile", "import", "exec"):
            self._code(event, arguments)

    def _place(self, event: str, path: Any) -> None:
        kinds: tuple[type, ...] = type(path).__mro__
        if str in kinds or bytes in kinds or Path in kinds:
            text = os.path.realpath(os.path.abspath(os.fsdecode(path)))
            compiled = f"{os.sep}__pycache__{os.sep}" in text + os.sep
            if not compiled and not (text + os.sep).startswith(self.allowed):
                self.seen.append(f"{event} {text}"[:200])

    def _code(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Names from a mutant may not stand in source text or among imported modules."""
        subject = arguments[0]
        if event == "exec":
            subject = (subject.co_names, str(subject.co_consts), subject.co_filename)
        if CANARY in str(subject):
            self.seen.append(f"{event} {str(subject)[:150]!r}")


def tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return kind, size and time of everything below a folder, links not followed."""
    found: dict[str, tuple[int, int, int]] = {}
    waiting = [folder]
    while waiting:
        for entry in os.scandir(waiting.pop()):
            status = entry.stat(follow_symlinks=False)
            folder_size = 0 if entry.is_dir(follow_symlinks=False) else status.st_size
            found[entry.path] = (status.st_mode, folder_size, status.st_mtime_ns)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
    return found
