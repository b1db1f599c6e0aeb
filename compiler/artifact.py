"""Placeholder until the artifact format is written."""

from pathlib import Path

from spikec.compiler.ir import Program


def emit(program: Program, folder: str | Path) -> None:
    """Write a build."""
    raise NotImplementedError


def open_folder(folder: str | Path) -> Program:
    """Read a build."""
    raise NotImplementedError
