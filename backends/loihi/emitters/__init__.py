"""Emitters: an image as a program for an SDK. One file each, with an object ``emitter``."""

import importlib
import pkgutil
from pathlib import Path
from typing import Protocol, cast

from spikec.backends.loihi.image import CoreImage
from spikec.compiler.errors import Finding
from spikec.compiler.ir import Program


class Emitter(Protocol):
    """What every emitter offers."""

    def refuses(self, image: CoreImage) -> tuple[Finding, ...]:
        """Return everything about the image that the SDK cannot express exactly."""
        ...

    def emit(self, image: CoreImage, program: Program, folder: Path) -> None:
        """Write the SDK's program into a new folder."""
        ...


def names() -> tuple[str, ...]:
    """Return the names of all emitters."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__)))


def find(name: str) -> Emitter:
    """Return an emitter by name."""
    return cast(Emitter, importlib.import_module(f"{__name__}.{name}").emitter)
