"""Mutations of an open NIR file that know its structure.

Each takes the file, open for writing, a generator, and a folder outside with decoys. A mutation
that finds nothing to change raises ``NothingError``. Those in ``REFUSED`` must lead to an error.
"""

from collections.abc import Callable
from math import prod
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fuzzing import hostile
from spikec.compiler.frontends.nir_raw import FIELDS
from spikec.compiler.untyped import h5py

TEXT = h5py.string_dtype()
MOST = 10_000  # numbers of a field that is edited; another edit may have made it huge


class NothingError(Exception):
    """The mutation does not apply to this file."""


def _nodes(file: Any) -> list[Any]:
    """Return the groups of all nodes, nested ones included."""
    found: list[Any] = []

    def visit(_: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and "type" in item:
            found.append(item)

    file["node"].visititems(visit)
    return found


def _some_node(file: Any, rnd: Random) -> Any:
    nodes = _nodes(file)
    if not nodes:
        raise NothingError
    return rnd.choice(nodes)


def _fields(file: Any) -> list[Any]:
    """Return all datasets that hold numbers, not too many."""
    found: list[Any] = []

    def visit(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(item)

    file.visititems(visit)
    return [d for d in found if d.dtype.kind in "fiu" and 0 < d.size <= MOST]


def _some_field(file: Any, rnd: Random) -> Any:
    fields = _fields(file)
    if not fields:
        raise NothingError
    return rnd.choice(fields)


def _replace(dataset: Any, value: Any, **options: Any) -> Any:
    """Put another dataset in the place of one."""
    name, parent = dataset.name.rsplit("/", 1)[1], dataset.parent
    del parent[name]
    return parent.create_dataset(name, data=value, **options)


# ---------------------------------------------------------------- numbers


def value(file: Any, rnd: Random, outside: Path) -> None:
    """Some elements become NaN, infinity, huge, tiny or negative."""
    field = _some_field(file, rnd)
    data = np.array(field[()], dtype=np.float64).reshape(-1)
    for _ in range(rnd.choice([1, 1, 3, data.size])):
        data[rnd.randrange(data.size)] = hostile.number(rnd)
    _replace(field, data.reshape(field.shape))


def all_values(file: Any, rnd: Random, outside: Path) -> None:
    """Every element becomes the same number, or is scaled."""
    field = _some_field(file, rnd)
    with np.errstate(all="ignore"):
        other = np.array(field[()], np.float64) * hostile.number(rnd)
        same = np.full(field.shape, hostile.number(rnd))
    _replace(field, rnd.choice([other, same]))


def integer(file: Any, rnd: Random, outside: Path) -> None:
    """A shape, stride, padding, kernel, group or axis becomes another integer."""
    fields = [d for d in _fields(file) if d.dtype.kind in "iu"]
    if not fields:
        raise NothingError
    field = rnd.choice(fields)
    data = np.array(field[()], dtype=object).reshape(-1)
    data[rnd.randrange(data.size)] = rnd.choice(hostile.INTEGERS)
    kind = np.int64 if all(-(1 << 63) <= n < 1 << 63 for n in data) else np.float64
    _replace(field, data.astype(kind).reshape(field.shape))


def dtype(file: Any, rnd: Random, outside: Path) -> None:
    """Numbers of another type: text, complex, compound, half, huge integers, flags, references."""
    field = _some_field(file, rnd)
    shape, name, parent = field.shape, field.name.rsplit("/", 1)[1], field.parent
    kinds: list[Any] = ["f2", ">f4", "i1", ">i8", "u8", "?", "c16", "S3", TEXT, h5py.ref_dtype]
    kinds += [h5py.regionref_dtype, h5py.vlen_dtype("f8"), h5py.enum_dtype({"a": 1}), "V7", "g"]
    kinds += [[("a", "f8"), ("b", TEXT)], np.dtype(("f8", (2,))), "O"]
    kind = rnd.choice(kinds)
    if isinstance(kind, str) and kind in ("f2", ">f4", "i1", ">i8", "u8", "?", "c16", "g"):
        with np.errstate(all="ignore"):
            _replace(field, np.array(field[()], np.float64).astype(kind))
    elif kind != "O":
        del parent[name]
        parent.create_dataset(name, shape, kind)
    else:
        _replace(field, np.array(["x"] * int(prod(shape)), object).reshape(shape), dtype=TEXT)


def shape(file: Any, rnd: Random, outside: Path) -> None:
    """The same numbers in another shape, or more, fewer or none of them."""
    field = _some_field(file, rnd)
    data = np.array(field[()])
    flat = data.reshape(-1)
    more = np.concatenate([flat, flat])
    choices = [flat, data.T, data[None], data[..., None], more, flat[:-1], flat[:0], flat[0]]
    choices += [data.reshape((1,) * 20 + data.shape), np.resize(flat, (3, 5)), np.resize(flat, 4)]
    choices += [np.resize(flat, (2, 2, 2)), np.resize(flat, (1, 2, 3, 3)), h5py.Empty("f8")]
    _replace(field, choices[rnd.randrange(len(choices))])


def huge(file: Any, rnd: Random, outside: Path) -> None:
    """Billions of elements are declared and none is stored."""
    field = _some_field(file, rnd)
    name, parent = field.name.rsplit("/", 1)[1], field.parent
    sizes = [(1 << 20, 1 << 20), (1 << 34,), (1 << 14, 1 << 14), (5000, 5000), (1 << 62,), (3000,)]
    sizes += [(1 << 31, 1 << 31, 1 << 31), (60_000, 60_000), (1 << 27,), (4, 1 << 24)]
    size = rnd.choice(sizes)
    options: dict[str, Any] = {"chunks": tuple(min(n, 512) for n in size)}
    if rnd.random() < 0.3:
        options = {}
    if rnd.random() < 0.3:
        options["fillvalue"] = 1.0
    del parent[name]
    try:
        parent.create_dataset(name, size, rnd.choice(["f8", "f4", "i1", "f2"]), **options)
    except (ValueError, OSError):
        raise NothingError from None


def bomb(file: Any, rnd: Random, outside: Path) -> None:
    """A few bytes that unpack into megabytes, or a chunk far larger than its dataset."""
    field = _some_field(file, rnd)
    if rnd.random() < 0.5:
        zeros = np.zeros((rnd.choice([100, 1000, 2000]), 1000))
        _replace(field, zeros, compression="gzip", chunks=zeros.shape)
        return
    _replace(
        field,
        np.ones((1, 1), "u1"),
        maxshape=(None, None),
        chunks=(1 << 12, 1 << rnd.randint(4, 14)),
        compression=rnd.choice([None, "gzip"]),
    )


# ---------------------------------------------------------------- nodes


def rename(file: Any, rnd: Random, outside: Path) -> None:
    """A node gets a hostile name, in its edges too."""
    node = _some_node(file, rnd)
    old, new, parent = node.name.rsplit("/", 1)[1], hostile.name(rnd), node.parent
    try:
        parent.move(old, new.replace("/", "_") or "_")
    except (ValueError, KeyError, UnicodeError, RuntimeError):
        raise NothingError from None
    edges = _edges(parent.parent)
    if edges is not None and rnd.random() < 0.8:
        rows = [[new if n == old else n for n in row] for row in edges]
        _write_edges(parent.parent, rows)


def type_name(file: Any, rnd: Random, outside: Path) -> None:
    """A node claims another type, known or not."""
    node = _some_node(file, rnd)
    words = [*FIELDS, "NIRGraph", "NIRNode", "object", "os.system", "lif", *hostile.NAMES]
    _set_text(node, "type", rnd.choice(words))


def drop(file: Any, rnd: Random, outside: Path) -> None:
    """A node or a field is gone."""
    node = _some_node(file, rnd)
    victim = rnd.choice([node, *node.values()])
    del file[victim.name]


def add_field(file: Any, rnd: Random, outside: Path) -> None:
    """A node gets a field that belongs to another type, or to none."""
    node = _some_node(file, rnd)
    words = sorted({f for fields in FIELDS.values() for f in fields.all}) + list(hostile.NAMES)
    name = rnd.choice(words)
    data = rnd.choice([hostile.number(rnd), [hostile.number(rnd)] * 3, "text", [[1.0, 2.0]]])
    try:
        if name in node:
            del node[name]
        node[name] = data
    except (ValueError, KeyError, UnicodeError, OSError, RuntimeError):
        raise NothingError from None


def add_node(file: Any, rnd: Random, outside: Path) -> None:
    """A node of any known type, its fields small and random, stands between two others."""
    graph = rnd.choice(_graphs(file))
    edges = _edges(graph)
    if not edges:
        raise NothingError
    kind, name = rnd.choice(list(FIELDS)), f"new{rnd.randrange(100)}"
    if name in graph["nodes"]:
        raise NothingError
    made = graph["nodes"].create_group(name)
    made["type"] = kind
    fitting, size = rnd.random() < 0.6, rnd.choice([2, 3, 4])
    for key in FIELDS[kind].all:
        if key in FIELDS[kind].required or rnd.random() < 0.3:
            made[key] = _likely(key, size, rnd) if fitting else _small(rnd)
    row = rnd.randrange(len(edges))
    source, target = edges[row]
    edges[row : row + 1] = [[source, name], [name, target]]
    _write_edges(graph, edges)


def _likely(key: str, size: int, rnd: Random) -> Any:
    """Return a value that has a fair chance to fit its field."""
    if key in ("stride", "padding", "dilation", "kernel_size", "groups", "start_dim", "end_dim"):
        return rnd.choice([0, 1, 1, 1, 2, -1])
    if key in ("shape", "input_shape", "input_type"):
        return np.array([size])
    if key == "weight":
        return np.random.default_rng(size).normal(size=(size, size))
    return rnd.choice([0.001, 0.01, 0.5, 1.0, 2.0])


def _small(rnd: Random) -> Any:
    size = rnd.choice([(), (1,), (2,), (3,), (4,), (2, 3), (4, 4), (3, 4), (2, 2, 3, 3)])
    if rnd.random() < 0.4:
        return np.array(rnd.choice([0, 1, 2, 3, -1]) * np.ones(size, dtype=np.int64))
    return np.abs(np.random.default_rng(rnd.randrange(1 << 30)).normal(size=size))


def nest(file: Any, rnd: Random, outside: Path) -> None:
    """A node becomes a graph with itself inside, or graphs are stacked, or one holds itself."""
    node = _some_node(file, rnd)
    path, parent = node.name, node.parent
    if rnd.random() < 0.3:
        parent[f"self{rnd.randrange(9)}"] = file["node"]
        return
    for _ in range(rnd.choice([1, 1, 2, 20])):
        name = path.rsplit("/", 1)[1]
        parent.move(name, "moved")
        graph = parent.create_group(name)
        graph["type"] = "NIRGraph"
        inner = graph.create_group("nodes")
        parent.move("moved", f"{graph.name}/nodes/{name}")
        for end in ("Input", "Output"):
            port = inner.create_group(end.lower())
            port["type"], port["shape"] = end, np.array([rnd.choice([1, 2, 3, 4])])
        _write_edges(graph, [["input", name], [name, "output"]])


def version(file: Any, rnd: Random, outside: Path) -> None:
    """The version is another, of another type, or missing."""
    del file["version"]
    if rnd.random() < 0.8:
        words = [*hostile.NAMES, 3.5, np.zeros(3), "0.0", "999.0", b"raw"]
        try:
            file["version"] = words[rnd.randrange(len(words))]
        except (ValueError, UnicodeError):
            raise NothingError from None


# ---------------------------------------------------------------- edges


def _graphs(file: Any) -> list[Any]:
    return [file["node"], *(n for n in _nodes(file) if "nodes" in n)]


def _edges(graph: Any) -> list[list[str]] | None:
    if "edges" not in graph or graph["edges"].ndim != 2:
        return None
    return [[_decoded(n) for n in row] for row in graph["edges"][()].tolist()]


def _decoded(text: Any) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def _write_edges(graph: Any, rows: Any) -> None:
    if "edges" in graph:
        del graph["edges"]
    try:
        graph.create_dataset("edges", data=np.array(rows, dtype=object), dtype=TEXT)
    except (ValueError, UnicodeError, TypeError):
        raise NothingError from None


def edges(file: Any, rnd: Random, outside: Path) -> None:
    """Edges to nothing, doubled, lost, reversed, retargeted, to themselves, or to other names."""
    graph = rnd.choice(_graphs(file))
    rows = _edges(graph)
    if not rows:
        raise NothingError
    names = sorted({n for row in rows for n in row})
    at, end = rnd.randrange(len(rows)), rnd.randrange(2)
    match rnd.randrange(8):
        case 0:
            del rows[at]
        case 1:
            rows += [rows[at]] * rnd.choice([1, 5, 1000])
        case 2:
            rows[at] = rows[at][::-1]
        case 3:
            rows.append([rnd.choice(names)] * 2)
        case 4:
            rows[at][end] = hostile.name(rnd)
        case 5:
            rows = []
        case 6:
            rows = [[a, b] for a in names for b in names]
        case _:
            rows[at][end] = rnd.choice(names)
    _write_edges(graph, rows)


def edge_form(file: Any, rnd: Random, outside: Path) -> None:
    """Edges are no pairs of texts."""
    graph = rnd.choice(_graphs(file))
    forms = [np.zeros((3, 2)), [["a", "b", "c"]], "in", [b"in", b"out"], np.zeros((2, 2, 2)), []]
    if "edges" in graph:
        del graph["edges"]
    graph.create_dataset("edges", data=forms[rnd.randrange(len(forms))])


# ---------------------------------------------------------------- what leads elsewhere


def link(file: Any, rnd: Random, outside: Path) -> None:
    """A member that is needed becomes a link to elsewhere, though what is there is good."""
    name = rnd.choice(["node", "version", "node/nodes", "node/edges", "node/type"])
    other = outside / "good.nir"
    kept = "/kept"
    file.move(f"/{name}", kept)
    file[name] = rnd.choice([h5py.SoftLink(kept), h5py.ExternalLink(str(other), f"/{name}")])


def external(file: Any, rnd: Random, outside: Path) -> None:
    """A field that is needed keeps its numbers in another file."""
    weights = [d for d in _fields(file) if d.name.endswith("weight")]
    if not weights:
        raise NothingError
    field = rnd.choice(weights)
    name, parent, shape = field.name.rsplit("/", 1)[1], field.parent, field.shape
    del parent[name]
    if rnd.random() < 0.5:
        size = 8 * int(prod(shape))
        parent.create_dataset(name, shape, "f8", external=[(str(outside / "zeros"), 0, size)])
        return
    layout = h5py.VirtualLayout(shape, "f8")
    layout[...] = h5py.VirtualSource(str(outside / "good.nir"), "w", shape)
    parent.create_virtual_dataset(name, layout)


def attributes(file: Any, rnd: Random, outside: Path) -> None:
    """Attributes that nobody asked for, and members that NIR does not know."""
    node = _some_node(file, rnd)
    node.attrs["__class__"] = hostile.NAMES[rnd.randrange(8)]
    node.attrs["ref"] = file.ref
    extra = node.create_group(f"extra{rnd.randrange(1000)}")
    extra["ref"] = np.array([file.ref, node.ref], dtype=h5py.ref_dtype)
    extra["text"] = hostile.NAMES[rnd.randrange(8)]
    if rnd.random() < 0.5:
        node["metadata"] = extra


def texts(file: Any, rnd: Random, outside: Path) -> None:
    """A text is of fixed length, long, doubled, in chunks, or not UTF-8."""
    node = _some_node(file, rnd)
    kind = _decoded(node["type"][()]) if node["type"].shape == () else "LIF"
    forms: list[Any] = [
        np.array(kind.encode()),
        [kind],
        [kind, kind],
        kind + "\0",
        kind + "x" * 999,
    ]
    forms += [np.array(b"\xff\xfe"), np.array(b"x" * 100_000), kind.encode("utf-16")]
    del node["type"]
    node["type"] = forms[rnd.randrange(len(forms))]


def _set_text(node: Any, name: str, text: str) -> None:
    if name in node:
        del node[name]
    try:
        node[name] = text
    except (ValueError, UnicodeError):
        raise NothingError from None


Edit = Callable[[Any, Random, Path], None]
EDITS: dict[str, Edit] = {
    f.__name__: f
    for f in (
        *(value, all_values, integer, dtype, shape, huge, bomb, rename, type_name, drop),
        *(add_field, add_node, nest, version, edges, edge_form, link, external, attributes, texts),
    )
}
# What is in the file is good, but lies elsewhere.
REFUSED = frozenset({"link", "external"})
# Those that leave the rest of the file as it was are worth more tries.
WEIGHTS = {"value": 4, "all_values": 3, "integer": 4, "shape": 3, "edges": 4, "add_node": 4}
