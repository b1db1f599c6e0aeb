"""Backends: what runs a program and what emits it. Found by file name, or by entry point.

A backend is a module or package in this folder with an object ``backend``. Third parties add one
through the entry-point group ``spikec.backends``.
"""

import importlib
import pkgutil
from collections.abc import Callable, Collection, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.ir import Program, Trace
from spikec.compiler.types import Array

Progress = Callable[[int, int], None]


class Runner(Protocol):
    """A program made ready to be run many times."""

    def run(self, inputs: Mapping[str, Array], record: Collection[str] = ()) -> Trace:
        """Run a batch.

        Args:
            inputs: By input name, (samples, steps, size), in stored units.
            record: ``spikes``, ``state``, or both.
        """
        ...


class Backend(Protocol):
    """What every backend offers."""

    def supports(self, program: Program) -> tuple[Finding, ...]:
        """Return everything about the program that does not fit."""
        ...

    def prepare(self, program: Program) -> Runner:
        """Return the program ready to run."""
        ...

    def emit(self, program: Program, folder: Path) -> tuple[str, ...]:
        """Write what the target needs into ``folder`` and return the file names."""
        ...


def names() -> tuple[str, ...]:
    """Return the names of all backends that are found."""
    return tuple(sorted({*_here(), *(e.name for e in entry_points(group="spikec.backends"))}))


def _here() -> list[str]:
    return [m.name for m in pkgutil.iter_modules(__path__)]


def find(name: str) -> Backend:
    """Return a backend by name.

    Raises:
        SpikecError: SPK0701 when there is none.
    """
    if name in _here():
        return cast(Backend, importlib.import_module(f"spikec.backends.{name}").backend)
    for entry in entry_points(group="spikec.backends", name=name):
        return cast(Backend, entry.load())
    raise SpikecError(
        "SPK0701", "backend", f"'{name}' is not a backend", f"Use one of {', '.join(names())}"
    )


def tally(name: str, sent: Array) -> int:
    """Return how many spikes a population sent.

    Raises:
        SpikecError: SPK0703 when a floating-point network has grown beyond all numbers.
    """
    total = sent.sum()
    if not np.isfinite(total):
        raise SpikecError(
            "SPK0703", name, f"it sends {total:g} spikes", "Check its decay, gain and threshold"
        )
    return int(total)
