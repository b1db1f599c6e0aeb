"""Placeholder until the frontends are written."""

from spikec.compiler.ir import Graph
from spikec.compiler.semantics import Semantics


def load(
    source: object,
    dt: float | None = None,
    semantics: str | Semantics | None = None,
    sample: object | None = None,
) -> Graph:
    """Load a model."""
    raise NotImplementedError
