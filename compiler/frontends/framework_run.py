"""A framework ready to run a model beside spikec: whichever way the model is given."""

from collections.abc import Mapping
from contextlib import ExitStack
from importlib.resources import as_file
from pathlib import Path
from typing import Protocol

from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends import (
    ONNX_SUFFIX,
    bundled_models,
    load,
    refuse_onnx_semantics,
    refuse_semantics,
    resolve,
)
from spikec.compiler.frontends.nir_run import NirRun
from spikec.compiler.frontends.onnx_run import OnnxRun
from spikec.compiler.frontends.torch_library import is_module, several
from spikec.compiler.frontends.torch_load import load_module
from spikec.compiler.frontends.torch_run import TorchRun
from spikec.compiler.ir import Graph
from spikec.compiler.recording import Recording
from spikec.compiler.semantics import Semantics
from spikec.compiler.types import Array

FRAMEWORKS = ("snntorch", "norse", "onnxruntime")


class FrameworkRun(Protocol):
    """A model in its framework.

    Attributes:
        graph: What spikec reads in the model.
        convention: How the framework reads what the model leaves open; None where it leaves
            nothing open.
        rounded: Whether it rounds numbers to float32 even where it computes in float64.
        exact: Whether in float64 it computes with the very numbers that spikec reads.
    """

    graph: Graph
    convention: Semantics | None
    rounded: bool
    exact: bool

    def name(self, double: bool) -> str:
        """Return framework, version and type of numbers."""
        ...

    def single(self, double: bool) -> bool:
        """Return whether it computes in less than float64."""
        ...

    def fixed_steps(self) -> int | None:
        """Return how many steps it makes whatever it is given, or None."""
        ...

    def whole(self) -> set[str]:
        """Return the inputs that are the same in every step."""
        ...

    def run(self, data: Mapping[str, Array], double: bool = False) -> Recording:
        """Run a batch, data (samples, steps, *shape) by input."""
        ...


def open_run(model: str, framework: str, dt: float | None, semantics: str | None) -> FrameworkRun:
    """Return a model in a framework.

    Args:
        model: As ``load`` takes it.
        framework: One of ``FRAMEWORKS``.
        dt: Step in seconds, as in ``load``.
        semantics: What a NIR file leaves open, as in ``load``.

    Raises:
        SpikecError: SPK1481 where the framework cannot run such a model; errors of the frontends.
    """
    source = resolve(model)
    pair = several(source)
    if is_module(source) or (pair is not None and len(pair) == 2 and is_module(pair[0])):
        _check(model, "a torch module", framework, ("snntorch", "norse"))
        module, sample = (source, None) if pair is None else pair
        refuse_semantics(module, semantics)
        return TorchRun(load_module(module, sample, dt), framework)
    if isinstance(source, Graph):
        _check(model, "a network written down for spikec", framework, ())
    if str(source).endswith(ONNX_SUFFIX):
        _check(model, "an ONNX file", framework, ("onnxruntime",))
        refuse_onnx_semantics(str(source), semantics)
        return OnnxRun(str(source), dt)
    graph = load(source, dt, semantics)
    _check(model, "a NIR file", framework, ("snntorch", "norse"))
    with ExitStack() as stack:
        bundled = bundled_models().get(str(source))
        file = source
        if bundled is not None and not Path(str(source)).is_file():
            file = stack.enter_context(as_file(bundled))
        return NirRun(file, framework, graph)


def _check(model: str, kind: str, framework: str, able: tuple[str, ...]) -> None:
    if framework not in able:
        raise SpikecError(
            "SPK1481",
            model,
            f"it is {kind}, which {framework} cannot run",
            f"Use --against {' or '.join(able)}" if able else "Give the framework's own model",
        )
