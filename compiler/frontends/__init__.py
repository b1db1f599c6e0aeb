"""Frontends: a model in any form that is understood, to a ``Graph``."""

import importlib
import inspect
import json
import os
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.nir import load_nir
from spikec.compiler.frontends.onnx_spiking import load_onnx
from spikec.compiler.frontends.torch_file import SUFFIXES as TORCH_SUFFIXES
from spikec.compiler.frontends.torch_file import is_weights, refuse_file, refuse_weights
from spikec.compiler.frontends.torch_library import is_module, several
from spikec.compiler.ir import Graph
from spikec.compiler.semantics import Semantics
from spikec.compiler.untyped import nir
from spikec.compiler.verify import verify_graph

NIR_SUFFIXES = (".nir", ".h5", ".hdf5")
LATER_SUFFIXES = (".safetensors", ".pb", ".tflite", ".keras")
ONNX_SUFFIX = ".onnx"
ACCEPTED = (
    "Give a .nir or .onnx file, module:attribute, a nir.NIRGraph, a torch module, a spikec Graph, "
    "or a bundled model"
)

_ATTRIBUTE = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_][\w.]*)")


def load(
    source: object,
    dt: float | None = None,
    semantics: str | Semantics | None = None,
    sample: object | None = None,
) -> Graph:
    """Return the graph of a model.

    Args:
        source: A NIR file, an ONNX file of a spiking network, a nir.NIRGraph, a torch module of
            snnTorch or Norse neurons, or one and a sample as a tuple, the name of a bundled model,
            ``module:attribute`` (a function without arguments is called), or a Graph, which is
            returned as it is.
        dt: Step in seconds, for models in continuous time; a bundled model knows its own, and a
            file that ``to_nir`` has written states it.
        semantics: What the model leaves open, as a value or as text; if not given, what a file
            states, else ``nir``.
        sample: An example input (batch, ...), or (time, batch, ...), for a torch module; NIR needs
            none.

    Raises:
        SpikecError: SPK1081 to SPK1087, or errors of the frontend.
    """
    source = resolve(source)
    if isinstance(source, Graph):
        return _as_it_is(source, dt, semantics)
    if is_module(source):
        return _load_module(source, dt, semantics, sample)
    pair = several(source)
    if pair is not None and len(pair) == 2 and is_module(pair[0]):
        return _load_module(pair[0], dt, semantics, pair[1] if sample is None else sample)
    if is_weights(source):
        refuse_weights(source, "state_dict")
    bundled = None if _is_file_name(str(source)) else bundled_models().get(str(source))
    if bundled is not None:
        return _load_bundled(str(source), bundled, dt, semantics)
    meaning = Semantics.parse(semantics) if isinstance(semantics, str) else semantics
    if isinstance(source, nir.NIRGraph):
        return load_nir(source, meaning, dt)
    if isinstance(source, Path):
        return _load_file(str(source), meaning, dt)
    if not isinstance(source, str):
        raise SpikecError("SPK1081", "model", f"a {type(source).__name__} is no model", ACCEPTED)
    return _load_file(source, meaning, dt)


def resolve(source: object) -> object:
    """Return what ``module:attribute`` names, a path if it is text; anything else as it is.

    Raises:
        SpikecError: SPK1085 to SPK1087 when it cannot be imported, found or called.
    """
    if not isinstance(source, str) or _is_file_name(source):
        return source
    match = _ATTRIBUTE.fullmatch(source)
    if match is None:
        return source
    value = _attribute(match[1], match[2])
    return Path(value) if isinstance(value, str) else value


def bundled_models() -> dict[str, Any]:
    """Return the NIR file of every model system that comes with spikec, by name."""
    found = {f.name: f / f"{f.name}.nir" for f in files("spikec.models").iterdir() if f.is_dir()}
    return {name: file for name, file in sorted(found.items()) if file.is_file()}


def _load_bundled(
    name: str, file: Any, dt: float | None, semantics: str | Semantics | None
) -> Graph:
    """Load a bundled model; its description says what it was trained as."""
    trained = json.loads(files("spikec.models").joinpath(name, f"{name}.json").read_text())
    if not isinstance(semantics, Semantics):
        semantics = Semantics.parse(semantics or trained["semantics"])
    if dt is None and semantics.dt is None and semantics.step_rule == "given":
        dt = float(trained["dt"])
    with as_file(file) as path:
        return load_nir(path, semantics, dt)


def _as_it_is(graph: Graph, dt: float | None, semantics: object) -> Graph:
    if semantics is None and dt in (None, graph.dt):
        return graph
    raise SpikecError(
        "SPK1082",
        graph.name or "graph",
        "a Graph carries its own step and semantics",
        "Leave out dt and semantics, or change the Graph",
    )


def _load_module(
    module: object, dt: float | None, semantics: object, sample: object | None
) -> Graph:
    """Load a torch module; errors of ``refuse_semantics``."""
    refuse_semantics(module, semantics)
    loader = importlib.import_module("spikec.compiler.frontends.torch_load")
    graph: Graph = loader.load_module(module, sample, dt).graph
    return graph


def refuse_semantics(module: object, semantics: object) -> None:
    """Refuse semantics beside a torch module, which says what every number in it means.

    Raises:
        SpikecError: SPK1338.
    """
    if semantics is not None:
        raise SpikecError(
            "SPK1338",
            type(module).__name__,
            "a torch module has the semantics of its own framework",
            "Leave out semantics",
        )


# ---------------------------------------------------------------- files


def _is_file_name(text: str) -> bool:
    """Return whether ``text`` names a file, there or not, rather than a model or a module."""
    known = (*NIR_SUFFIXES, ONNX_SUFFIX, *TORCH_SUFFIXES, *LATER_SUFFIXES)
    return os.path.isfile(text) or text.endswith(known)


def _is_hdf5(path: Path) -> bool:
    """Return whether a file begins as HDF5; the library itself reads it only in a process apart."""
    with path.open("rb") as stream:
        return stream.read(8) == b"\x89HDF\r\n\x1a\n"


def _load_file(name: str, semantics: Semantics | None, dt: float | None) -> Graph:
    path = Path(name)
    if path.suffix == ONNX_SUFFIX:
        return _load_onnx(path, semantics, dt)
    if path.suffix in TORCH_SUFFIXES:
        refuse_file(path)
    if path.suffix in LATER_SUFFIXES:
        raise SpikecError(
            "SPK1083", name, f"{path.suffix} files are not supported yet", "Export it to NIR"
        )
    known = path.suffix in NIR_SUFFIXES or (os.path.isfile(name) and _is_hdf5(path))
    looks_missing = not os.path.lexists(name) and (path.suffix or os.sep in name)
    if known or looks_missing:
        return load_nir(path, semantics, dt)
    models = ", ".join(bundled_models())
    raise SpikecError("SPK1084", name, "is no model", f"{ACCEPTED} ({models})")


def _load_onnx(path: Path, semantics: Semantics | None, dt: float | None) -> Graph:
    """Return a network that is in steps already; ``dt`` says how long one is."""
    refuse_onnx_semantics(str(path), semantics)
    graph = replace(load_onnx(path), dt=dt)
    verify_graph(graph)
    return graph


def refuse_onnx_semantics(path: str, semantics: object) -> None:
    """Refuse semantics beside an ONNX file.

    Raises:
        SpikecError: SPK1435.
    """
    if semantics is not None:
        raise SpikecError(
            "SPK1435",
            path,
            "an ONNX file says itself what is computed, so semantics have no effect",
            "Leave out --semantics",
        )


# ---------------------------------------------------------------- module:attribute


def _attribute(module_name: str, path: str) -> object:
    """Return what ``module:attribute`` names; the working folder is searched too.

    Raises:
        SpikecError: SPK1085 to SPK1087 when it cannot be imported, found or called.
    """
    with _working_folder():
        try:
            value: Any = importlib.import_module(module_name)
        except Exception as error:  # whatever the user's own module raises
            raise _failed("SPK1085", module_name, "importing it", error) from error
        for name in path.split("."):
            if not hasattr(value, name):
                raise SpikecError(
                    "SPK1086", f"{module_name}:{path}", f"there is no '{name}'", "Check the name"
                )
            value = getattr(value, name)
        if not inspect.isfunction(value):
            return value
        try:
            return value()
        except Exception as error:  # as above
            raise _failed("SPK1087", f"{module_name}:{path}", "calling it", error) from error


def _failed(code: str, where: str, action: str, error: Exception) -> SpikecError:
    reason = f"{action} raised {type(error).__name__}: {error}"
    return SpikecError(code, where, reason[:200], "Correct the module")


@contextmanager
def _working_folder() -> Generator[None]:
    """Let imports find the working folder, as ``python -m`` does."""
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
