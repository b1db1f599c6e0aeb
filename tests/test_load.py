"""``load``: every form in which a model may be given, and what is said of anything else."""

import sys
from pathlib import Path

import numpy as np
import pytest

import spikec
from nir_files import chain, ends, lif, write
from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends import bundled_models, load
from spikec.compiler.semantics import Semantics
from spikec.compiler.untyped import nir

ACCEPTED = (
    "Give a .nir, .onnx or .net file, module:attribute, a nir.NIRGraph, a torch module, a spikec "
    "Graph, or a bundled model"
)
MODULE = """
import nir, numpy, pathlib, spikec
path = "net.nir"
folder = pathlib.Path("net.nir")
one = numpy.array([1])
nodes = {"in": nir.Input(one), "out": nir.Output(one)}
network = nir.NIRGraph(nodes=nodes, edges=[("in", "out")], type_check=False)
def made():
    return network
def needs(one):
    return one
def fails():
    raise ValueError("no data")
class Inside:
    graph = spikec.load(network)
number = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder, with ``net.nir`` and the module ``my_model_for_load`` in it."""
    write(tmp_path / "net.nir", chain([1], [1], n=lif()))
    (tmp_path / "my_model_for_load.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_model_for_load", raising=False)
    return tmp_path


def refuse(source: object, **options: object) -> str:
    """Return the error that loading gives."""
    with pytest.raises(SpikecError) as caught:
        load(source, **options)  # type: ignore[arg-type]
    return str(caught.value)


def test_path(folder: Path) -> None:
    """A path as text or as Path, and any HDF5 file whatever its name."""
    assert spikec.load is load
    (folder / "copy.bin").write_bytes((folder / "net.nir").read_bytes())
    for source in ("net.nir", folder / "net.nir", "copy.bin", Path("copy.bin")):
        assert load(source, dt=1e-3).dt == 1e-3


def test_semantics(folder: Path) -> None:
    """Semantics as text or as a value; the plain meaning of NIR if not given."""
    for semantics in ("snntorch", Semantics.parse("snntorch")):
        graph = load("net.nir", semantics=semantics)
        assert (graph.dt, graph.metadata["semantics"]) == (1e-4, "snntorch")
    assert load("net.nir", dt=1.0).metadata["semantics"] == "nir"
    assert refuse("net.nir", semantics="brian").startswith("--semantics: 'brian' is not")


def test_network_of_nir() -> None:
    """A nir.NIRGraph in memory."""
    one = np.array([1])
    graph = nir.NIRGraph(
        nodes={"in": nir.Input(one), "out": nir.Output(one)}, edges=[("in", "out")]
    )
    assert load(graph).name == "nir"


def test_graph(folder: Path) -> None:
    """A Graph is returned as it is; a step or semantics beside it would be without effect."""
    graph = load("net.nir", dt=1e-3)
    assert load(graph) is graph
    assert load(graph, dt=1e-3) is graph
    text = (
        "net: a Graph carries its own step and semantics. "
        "Leave out dt and semantics, or change the Graph. [SPK1082]"
    )
    assert refuse(graph, dt=1e-4) == text
    assert refuse(graph, semantics="nir") == text


def test_bundled_model() -> None:
    """A bundled model goes by its name."""
    assert "digits" in bundled_models()
    assert load("digits", semantics="snntorch").name == "digits"


def test_attribute(folder: Path) -> None:
    """module:attribute takes an object, a path, or what a function without arguments returns."""
    path = list(sys.path)
    for name in ("network", "made", "Inside.graph", "path", "folder"):
        dt = None if name == "Inside.graph" else 1e-3
        assert load(f"my_model_for_load:{name}", dt=dt).inputs[0].name == "in"
    assert sys.path == path


def test_attribute_errors(folder: Path) -> None:
    """A module or attribute that is not there or fails is one line with the reason."""
    name = "my_model_for_load"
    assert refuse("no_such_module:x") == (
        "no_such_module: importing it raised ModuleNotFoundError: No module named "
        "'no_such_module'. Correct the module. [SPK1085]"
    )
    assert refuse(f"{name}:other") == (
        f"{name}:other: there is no 'other'. Check the name. [SPK1086]"
    )
    assert refuse(f"{name}:fails") == (
        f"{name}:fails: calling it raised ValueError: no data. Correct the module. [SPK1087]"
    )
    assert refuse(f"{name}:needs").startswith(f"{name}:needs: calling it raised TypeError: needs()")
    assert refuse(f"{name}:number") == f"model: a int is no model. {ACCEPTED}. [SPK1081]"


def test_missing_file(folder: Path) -> None:
    """What looks like a file and is not there is a missing file."""
    for name in ("x.nir", "x.h5", "sub/x", "x.data"):
        assert refuse(name) == f"{name}: no such file. Check the path. [SPK1001]"
    assert refuse("x" * 5000 + ".nir").endswith("[SPK1002]")


@pytest.mark.parametrize("suffix", [".pb", ".safetensors"])
def test_formats_for_later(folder: Path, suffix: str) -> None:
    """Other formats of models are not supported yet, there or not."""
    text = f"m{suffix}: {suffix} files are not supported yet. Export it to NIR. [SPK1083]"
    assert refuse(f"m{suffix}") == text
    (folder / f"m{suffix}").write_bytes(b"x")
    assert refuse(f"m{suffix}") == text


def test_no_model(folder: Path) -> None:
    """Anything else is answered with what is accepted."""
    (folder / "notes.txt").write_text("x")
    models = ", ".join(bundled_models())
    for name in ("digit", "notes.txt", str(folder), ""):
        assert refuse(name) == f"{name}: is no model. {ACCEPTED} ({models}). [SPK1084]"
    assert refuse(3) == f"model: a int is no model. {ACCEPTED}. [SPK1081]"
    assert refuse(ends([1], [1])).startswith("model: a dict is no model.")
