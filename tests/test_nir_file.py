"""Reading HDF5 that is broken or hostile: one error with its place, never a traceback."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sizes
from nir_files import Spec, affine, chain, ends, lif, linear, network, node, write, write_group
from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends import hdf5_file, hdf5_text, nir_file
from spikec.compiler.frontends.nir import load_nir
from spikec.compiler.ir import Graph
from spikec.compiler.semantics import Semantics
from spikec.compiler.untyped import h5py

GOOD = chain([2], [3], fc=affine(3, 2), n=lif(3))
AGAIN = "Write the file again."


def load(path: Path) -> Graph:
    """Load a file in the plain meaning, with a step of 1 ms."""
    return load_nir(path, Semantics(), 1e-3)


def refuse(path: Path) -> str:
    """Return the error that loading a file gives."""
    with pytest.raises(SpikecError) as caught:
        load(path)
    return str(caught.value)


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[Callable[[Any], None]], str]:
    """Return a function that edits a good file and returns the error of loading it."""

    def run(edit: Callable[[Any], None]) -> str:
        path = write(tmp_path / "net.nir", GOOD)
        with h5py.File(path, "r+") as file:
            edit(file)
        return refuse(path)

    return run


def set_to(name: str, value: Any, **options: Any) -> Callable[[Any], None]:
    """Return an edit that replaces a dataset."""

    def edit(file: Any) -> None:
        if name in file:
            del file[name]
        file.create_dataset(name, data=value, **options)

    return edit


def remove(name: str) -> Callable[[Any], None]:
    """Return an edit that removes a member."""

    def edit(file: Any) -> None:
        del file[name]

    return edit


# ---------------------------------------------------------------- files


def test_metadata(tmp_path: Path) -> None:
    """The graph says which file it came from, with the SHA-256 of its bytes, in printable text."""
    path = write(tmp_path / "a b\n1.nir", GOOD, "0.2\n")
    graph = load(path)
    assert graph.name == "a_b_1"
    assert dict(graph.metadata) == {
        "format": "nir",
        "version": "0.2\\n",
        "file": "a b\\n1.nir",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "semantics": "nir",
    }


def test_no_such_file(tmp_path: Path) -> None:
    """A missing file and a folder are named."""
    for path in (tmp_path / "x.nir", tmp_path):
        assert refuse(path) == f"{path}: no such file. Check the path. [SPK1001]"


def test_not_hdf5(tmp_path: Path) -> None:
    """A file of another kind, and an empty one, are no HDF5."""
    path = tmp_path / "x.nir"
    for content in (b"", b"PK\x03\x04 something else"):
        path.write_bytes(content)
        assert refuse(path) == f"{path}: is not a HDF5 file. Give a .nir file. [SPK1018]"


def test_truncated(tmp_path: Path) -> None:
    """A file that ends early is an error wherever it ends."""
    path = write(tmp_path / "net.nir", GOOD)
    content = path.read_bytes()
    for size in range(8, len(content) - 1, sizes.size(397, 97)):
        path.write_bytes(content[:size])
        assert "[SPK10" in refuse(path)


def test_damaged(tmp_path: Path) -> None:
    """A file with wrong bytes loads or is an error, and nothing else."""
    path = write(tmp_path / "net.nir", GOOD)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    failed = 0
    for _ in range(sizes.size(80, 300)):
        damaged = bytearray(content)
        for place in rng.integers(len(content), size=rng.integers(1, 30)):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            load(path)
        except SpikecError:
            failed += 1
    assert failed > sizes.size(12, 50)


# ---------------------------------------------------------------- structure


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("version", "version: is missing."),
        ("node", "node: is missing."),
        ("node/nodes", "node.nodes: is missing."),
        ("node/edges", "node.edges: is missing."),
        ("node/nodes/fc/weight", "fc.weight: is missing."),
        ("node/nodes/fc/bias", "fc.bias: is missing."),
        ("node/nodes/in/shape", "in.shape: is missing."),
    ],
)
def test_missing_members(edited: Any, name: str, text: str) -> None:
    """A missing member is named."""
    assert edited(remove(name)) == f"{text} {AGAIN} [SPK1003]"


def test_missing_type(edited: Any) -> None:
    """A node without a type is named."""
    text = f"has no 'type', so it is not a NIR node. {AGAIN} [SPK1004]"
    assert edited(remove("node/nodes/fc/type")) == f"fc: {text}"
    assert edited(remove("node/type")) == f"node: {text}"


@pytest.mark.parametrize("kind", ["Identity", "Sigmoid"])
def test_unsupported_types(edited: Any, kind: str) -> None:
    """A type that is not supported is named with its node, and with what is."""
    assert edited(set_to("node/nodes/fc/type", kind)) == (
        f"fc: the NIR type '{kind}' is not supported yet. Use Input, Output, Affine, Linear, "
        "Scale, Conv1d, Conv2d, SumPool2d, AvgPool2d, Flatten, Delay, IF, LIF, LI, CubaLIF, I, "
        "CubaLI, Threshold or NIRGraph. [SPK1015]"
    )


def test_outermost_node_is_no_graph(tmp_path: Path) -> None:
    """A file with a single neuron is no network."""
    assert refuse(write(tmp_path / "net.nir", lif())) == (
        "node: the outermost node is a LIF, not a NIRGraph. Wrap it in one. [SPK1017]"
    )


def test_wrong_kinds_of_members(edited: Any) -> None:
    """A group where a dataset belongs, and the other way round."""

    def group(file: Any) -> None:
        del file["node/nodes/fc/weight"]
        file.create_group("node/nodes/fc/weight")

    assert edited(group) == f"fc.weight: is not a HDF5 dataset. {AGAIN} [SPK1006]"
    for name, where in (("node", "node"), ("node/nodes", "node.nodes"), ("node/nodes/fc", "fc")):
        assert edited(set_to(name, 1)) == f"{where}: is not a HDF5 group. {AGAIN} [SPK1006]"


@pytest.mark.parametrize("kind", ["SoftLink", "ExternalLink"])
def test_links(edited: Any, kind: str) -> None:
    """Links to elsewhere are not followed, wherever they stand."""

    def link(name: str) -> Callable[[Any], None]:
        def edit(file: Any) -> None:
            del file[name]
            target = ("/version",) if kind == "SoftLink" else ("/etc/passwd", "/")
            file[name] = getattr(h5py, kind)(*target)

        return edit

    for name, where in (
        ("version", "version"),
        ("node", "node"),
        ("node/nodes", "node.nodes"),
        ("node/nodes/fc", "node.nodes.fc"),
        ("node/nodes/fc/weight", "fc.weight"),
        ("node/nodes/fc/type", "fc.type"),
        ("node/edges", "node.edges"),
    ):
        assert edited(link(name)) == (
            f"{where}: is a {kind}, which is not followed. Copy the data. [SPK1005]"
        )


def test_data_in_other_files(edited: Any, tmp_path: Path) -> None:
    """Datasets whose numbers lie in another file are not read."""
    name, text = "node/nodes/fc/weight", "keeps its data in another file, which is not read."

    def external(file: Any) -> None:
        del file[name]
        file.create_dataset(name, (3, 2), "f8", external=[(str(tmp_path / "x"), 0, 48)])

    def virtual(file: Any) -> None:
        del file[name]
        layout = h5py.VirtualLayout((3, 2), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "x.h5"), "w", (3, 2))
        file.create_virtual_dataset(name, layout)

    for edit in (external, virtual):
        assert edited(edit) == f"fc.weight: {text} Copy the data. [SPK1009]"


# ---------------------------------------------------------------- sizes


def test_huge_dataset(edited: Any) -> None:
    """A dataset of 8 TB is refused before anything is allocated."""

    def huge(file: Any) -> None:
        del file["node/nodes/fc/weight"]
        file.create_dataset("node/nodes/fc/weight", (1 << 20, 1 << 20), "f8", chunks=(64, 64))

    assert edited(huge) == (
        "fc.weight: up to here the file declares 8796093022208 bytes of numbers, "
        "more than 134217728. Split the model, or store its numbers without compression. [SPK1008]"
    )


def test_huge_chunk(edited: Any) -> None:
    """A chunk counts whole, because it is decompressed whole."""

    def huge(file: Any) -> None:
        del file["node/nodes/fc/weight"]
        shape, most = (3, 2), (None, None)
        file.create_dataset(
            "node/nodes/fc/weight", shape, "u1", maxshape=most, chunks=(1 << 15, 1 << 14)
        )

    assert "[SPK1008]" in edited(huge)


def test_all_numbers_count(edited: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is for all numbers of a file together, read or declared."""
    monkeypatch.setattr(hdf5_file, "MAX_BYTES", 12_000_000)
    zeros = np.zeros((1000, 1000))

    def two(file: Any) -> None:
        for name in ("fc/bias", "fc/weight"):
            set_to(f"node/nodes/{name}", zeros, compression="gzip")(file)

    assert edited(two) == (
        "fc.bias: up to here the file declares 16000000 bytes of numbers, more than 12000000. "
        "Split the model, or store its numbers without compression. [SPK1008]"
    )


def test_too_many_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of nodes is limited."""
    monkeypatch.setattr(hdf5_file, "MAX_NODES", 5)
    load(write(tmp_path / "net.nir", GOOD))
    more = chain([2], [3], a=lif(2), fc=affine(3, 2), n=lif(3))
    assert refuse(write(tmp_path / "net.nir", more)) == (
        "out: there are more than 5 nodes. Split the model. [SPK1010]"
    )


def test_too_many_edges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of edges is limited."""
    monkeypatch.setattr(nir_file, "MAX_EDGES", 2)
    assert refuse(write(tmp_path / "net.nir", GOOD)) == (
        "node.edges: 3 edges are more than 2. Split the model. [SPK1014]"
    )


def test_nested_too_deep(tmp_path: Path) -> None:
    """Graphs nest up to 16 deep."""

    def nested(depth: int) -> Spec:
        inner = chain([1], [1])
        for _ in range(depth):
            inner = chain([1], [1], g=inner)
        return inner

    load(write(tmp_path / "net.nir", nested(16)))
    path = ".".join(["g"] * 17)
    assert refuse(write(tmp_path / "net.nir", nested(17))) == (
        f"{path}: graphs are nested more than 16 deep. Flatten the model. [SPK1011]"
    )


def test_group_that_contains_itself(edited: Any) -> None:
    """A graph that contains itself by a hard link ends at the depth limit."""

    def loop(file: Any) -> None:
        file["node/nodes/a"] = file["node"]

    assert "graphs are nested more than 16 deep" in edited(loop)


# ---------------------------------------------------------------- numbers and texts


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("text", "object"),
        (np.zeros((3, 2), "S4"), "|S4"),
        (np.zeros((3, 2), [("a", "f8"), ("b", "i4")]), "[('a', '<f8'), ('b', '<i4')]"),
        (np.zeros((3, 2), "c16"), "complex128"),
    ],
)
def test_not_numbers(edited: Any, value: Any, kind: str) -> None:
    """Text, compounds and complex numbers are no real numbers."""
    assert edited(set_to("node/nodes/fc/weight", value)) == (
        f"fc.weight: has the type {kind}, not real numbers. Store numbers. [SPK1007]"
    )


@pytest.mark.parametrize("kind", ["<f2", ">f4", ">i2", "u1", "?", "f8"])
def test_any_numbers(tmp_path: Path, kind: str) -> None:
    """Real numbers of any width and byte order are read."""
    weight = np.array([[1, 0], [0, 1], [1, 1]])
    spec = affine(3, 2, weight=weight.astype(kind))
    graph = load(write(tmp_path / "net.nir", chain([2], [3], fc=spec, n=lif(3))))
    assert np.array_equal(graph.projections[0].synapse.weight.data, weight)


def test_no_numbers(edited: Any) -> None:
    """An empty array is an error; a dataset without a value counts as missing."""
    assert edited(set_to("node/nodes/fc/weight", np.zeros((0, 2)))) == (
        "fc.weight: holds no number. Store at least one. [SPK1016]"
    )
    empty = set_to("node/nodes/fc/weight", h5py.Empty("f8"))
    assert edited(empty) == f"fc.weight: is missing. {AGAIN} [SPK1003]"


def test_text_for_a_padding(edited: Any) -> None:
    """Only the padding of a convolution may be text."""

    def pool(file: Any) -> None:
        del file["node/nodes/fc"]
        spec = node("SumPool2d", kernel_size=[1, 1], stride=[1, 1], padding="same")
        write_group(file.create_group("node/nodes/fc"), spec)
        set_to("node/nodes/in/shape", [2, 1, 1])(file)

    assert edited(pool) == (
        "fc.padding: has the type <U4, not real numbers. Store numbers. [SPK1007]"
    )


def test_input_shapes(edited: Any) -> None:
    """A shape is integers of at least 1."""
    assert edited(set_to("node/nodes/in/shape", [2.5])) == (
        "in.shape: [2.5] are not integers of 32 bits. Correct the file. [SPK1019]"
    )
    assert "[SPK1019]" in edited(set_to("node/nodes/in/shape", [1 << 40]))
    assert "[SPK1019]" in edited(set_to("node/nodes/in/shape", [np.nan]))
    for shape, shown in (([0], "(0,)"), ([-1, -2], "(-1, -2)"), ([60000, 60000], "(60000, 60000)")):
        assert edited(set_to("node/nodes/in/shape", shape)) == (
            f"in: a signal of shape {shown} is empty or has more than 33554432 elements. "
            "Correct the shape. [SPK1022]"
        )


@pytest.mark.parametrize("value", [1.0, ["a", "b"], np.zeros(3)])
def test_type_is_no_text(edited: Any, value: Any) -> None:
    """A type is one text."""
    assert edited(set_to("node/nodes/fc/type", value)) == (
        f"fc.type: is not one text. {AGAIN} [SPK1012]"
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (np.zeros((3, 2)), "float64 of shape (3, 2)"),
        (["in", "fc"], "object of shape (2,)"),
        ([["in", "fc", "n"]], "object of shape (1, 3)"),
        ("in", "object of shape ()"),
    ],
)
def test_edges_are_no_pairs(edited: Any, value: Any, shown: str) -> None:
    """Edges are pairs of names."""
    assert edited(set_to("node/edges", value)) == (
        f"node.edges: {shown} are not pairs of names. {AGAIN} [SPK1013]"
    )


def test_texts_of_fixed_length(tmp_path: Path) -> None:
    """Texts of a fixed length, with or without chunks, are read too."""
    spec = network(
        {**ends([1], [1]), "n": {**lif(), "type": np.array(b"LIF")}},
        np.array([(b"in", b"n"), (b"n", b"out")]),  # type: ignore[arg-type]
    )
    path = write(tmp_path / "net.nir", spec)
    assert [str(p) for p in load(path).projections] == ["in -> n"]
    with h5py.File(path, "r+") as file:
        set_to("node/edges", spec["edges"], compression="gzip", maxshape=(None, 2))(file)
    assert [str(p) for p in load(path).projections] == ["in -> n"]


def test_long_texts(edited: Any) -> None:
    """A long text is cut where it could not be a name any more; a long fixed one is refused."""
    assert "fc: the NIR type '" + "x" * 201 + "' is not" in edited(
        set_to("node/nodes/fc/type", "x" * 1000)
    )
    assert edited(set_to("node/nodes/fc/type", np.array(b"x" * 201))) == (
        "fc.type: texts of 201 bytes in chunks of None are too long. "
        "Use up to 200 bytes, and no chunks. [SPK1058]"
    )


def test_texts_in_chunks(edited: Any) -> None:
    """Texts of variable length are read by spikec itself, and only where they lie in a row."""
    rows = [("in", "fc"), ("fc", "n"), ("n", "out")]
    assert edited(set_to("node/edges", rows, chunks=(1, 2), dtype=h5py.string_dtype())) == (
        "node.edges: its texts are not stored in one row. "
        "Write them without chunks and compression, as nir.write does. [SPK1056]"
    )


def test_text_is_not_utf8(edited: Any) -> None:
    """Bytes that are no UTF-8 give a readable error."""
    raw = set_to("node/nodes/fc/type", np.array(b"\xff\xfe"))
    assert edited(raw).startswith("fc: the NIR type '\ufffd\ufffd' is not supported yet.")


def test_unusual_layout(tmp_path: Path) -> None:
    """A file with a user block is refused, because texts would be sought at wrong places."""
    with h5py.File(tmp_path / "net.nir", "w", userblock_size=512) as file:
        file["version"] = "1"
    assert refuse(tmp_path / "net.nir") == (
        "net.nir: its offsets take 8 bytes, its lengths 8, and its user block 512. "
        "Write it with 8, 8 and 0 bytes, as nir.write does. [SPK1055]"
    )


# ---------------------------------------------------------------- heaps of texts


def heap_of(content: bytearray) -> int:
    """Return where the first heap of texts begins."""
    return content.index(b"GCOL\x01")


@pytest.mark.parametrize(
    ("place", "value", "text"),
    [
        # The version is object 1, of length 5: the first object behind a header of 16 bytes.
        (0, b"G0OL", "there is no heap at byte {heap}"),
        (4, b"\x02", "there is no heap at byte {heap}"),
        (8, b"\xff" * 8, "there is no heap at byte {heap}"),
        (16, b"\x00\x00", "object 1 of 5 bytes is not there"),
        (24, b"\x00" * 8, "object 1 of 5 bytes is not there"),
        (24, b"\x04", "object 1 of 5 bytes is not there"),
        (24, b"\xf0" + b"\xff" * 7, "object 1 of 18446744073709551600 bytes leaves the heap"),
    ],
)
def test_broken_heap(tmp_path: Path, place: int, value: bytes, text: str) -> None:
    """A heap of texts that HDF5 would crash on or never leave is an error."""
    path = write(tmp_path / "net.nir", GOOD)
    content = bytearray(path.read_bytes())
    heap = heap_of(content)
    content[heap + place : heap + place + len(value)] = value
    path.write_bytes(content)
    assert refuse(path) == (
        f"version: its text is broken: {text.format(heap=heap)}. {AGAIN} [SPK1057]"
    )


def test_reference_with_huge_length(tmp_path: Path) -> None:
    """A reference that states 4 GB for a text of 5 bytes allocates nothing."""
    path = write(tmp_path / "net.nir", GOOD)
    with h5py.File(path) as file:
        offset = file["version"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[offset : offset + 4] = b"\xff" * 4
    path.write_bytes(content)
    assert refuse(path) == (
        f"version: its text is broken: object 1 of 4294967295 bytes is not there. {AGAIN} [SPK1057]"
    )


def test_heaps_that_overlap(tmp_path: Path) -> None:
    """Heaps cannot share bytes: a file of many of them would take the square of its size."""
    path = write(tmp_path / "net.nir", GOOD)
    reader_bytes = path.stat().st_size
    with path.open("rb") as stream, h5py.File(path) as file:
        reader = hdf5_text.TextReader(stream, file)
        reader.heap_bytes = reader_bytes
        with pytest.raises(SpikecError, match="the heaps overlap"):
            reader.read(file["version"], "version")


def test_many_texts_of_one_heap(tmp_path: Path) -> None:
    """Texts that fill several heaps are all found, in order."""
    names = [f"n{k}" for k in range(600)]
    rows = [*zip(["in", *names], [*names, "out"], strict=True)]
    spec = network({**ends([1], [1]), **dict.fromkeys(names, linear(1, 1, weight=[[1.0]]))}, rows)
    graph = load(write(tmp_path / "net.nir", spec))
    assert len(graph.projections) == 600
    assert str(graph.projections[-1]) == "n598 -> n599"
