"""NIR as it was written: nodes with their fields, edges, nested graphs; read from any ``Source``.

Which fields a type has is known here; whether their values make sense is not judged, only their
kind: real numbers or text.
"""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import check_name
from spikec.compiler.types import Array

MAX_DEPTH = 16
MAX_TEXT = 200  # characters; names have at most 128
MAX_INTEGER = (1 << 31) - 1
MAX_AXES = 32


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a node type: required ones, and ones that may be missing."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Both."""
        return self.required + self.optional


_CONV = Fields(("weight", "bias", "stride", "padding", "dilation", "groups"), ("input_shape",))
_POOL = Fields(("kernel_size", "stride", "padding"))
FIELDS: Mapping[str, Fields] = {
    "Input": Fields(("shape",)),
    "Output": Fields(("shape",)),
    "Affine": Fields(("weight", "bias")),
    "Linear": Fields(("weight",)),
    "Scale": Fields(("scale",)),
    "Conv1d": _CONV,
    "Conv2d": _CONV,
    "SumPool2d": _POOL,
    "AvgPool2d": _POOL,
    "Flatten": Fields(("start_dim", "end_dim"), ("input_type",)),
    "Delay": Fields(("delay",)),
    "IF": Fields(("r", "v_threshold"), ("v_reset",)),
    "LIF": Fields(("tau", "r", "v_leak", "v_threshold"), ("v_reset",)),
    "LI": Fields(("tau", "r", "v_leak")),
    "CubaLIF": Fields(("tau_syn", "tau_mem", "r", "v_leak", "v_threshold"), ("v_reset", "w_in")),
    "I": Fields(("r",)),
    "CubaLI": Fields(("tau_syn", "tau_mem", "r", "v_leak"), ("w_in",)),
    "Threshold": Fields(("threshold",)),
}


@dataclass(frozen=True, slots=True, eq=False)
class RawNode:
    """A node as the file has it.

    Attributes:
        name: Path from the outermost graph, ``outer.inner``; empty for that graph itself.
        type: NIR's name of the type.
        fields: Arrays of numbers, or text.
        nodes: Of a NIRGraph, in order of name.
        edges: Of a NIRGraph: (source, target), names within it.
        ignored: Members of the file that NIR does not know.
    """

    name: str
    type: str
    fields: Mapping[str, Array | str] = field(default_factory=dict[str, Array | str])
    nodes: tuple["RawNode", ...] = ()
    edges: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()

    def numbers(self, name: str) -> Array:
        """Return a field as float64.

        Raises:
            SpikecError: SPK1007 when it is text.
        """
        value = self.fields[name]
        return np.asarray(numeric(f"{self.name}.{name}", np.asarray(value)), dtype=np.float64)

    def integers(self, name: str) -> tuple[int, ...]:
        """Return a field as integers.

        Raises:
            SpikecError: SPK1019 when a number is none or is too large for a size.
        """
        values = self.numbers(name).reshape(-1)
        good = np.isfinite(values) & (np.abs(values) <= MAX_INTEGER)
        many = values.size > MAX_AXES
        if many or not bool(np.all(good & (np.trunc(values) == values))):
            shown = f"{values[:8].tolist()} are not integers of 32 bits"
            raise SpikecError(
                "SPK1019",
                f"{self.name}.{name}",
                f"{values.size} numbers are more than {MAX_AXES} axes" if many else shown,
                "Correct the file",
            )
        return tuple(int(v) for v in values)


@contextmanager
def readable(where: str) -> Generator[None]:
    """Turn whatever a library raises on a broken file into a SpikecError."""
    try:
        yield
    except SpikecError:
        raise
    except Exception as error:  # h5py raises a dozen types, and which one depends on its version
        reason = f"{type(error).__name__}: {error}"[:MAX_TEXT]
        raise SpikecError(
            "SPK1002", where, f"cannot be read ({reason})", "Write the file again"
        ) from error


# ---------------------------------------------------------------- a node, wherever it comes from


class Source(Protocol):
    """Where a node is read from; ``where`` is its name for messages."""

    def type(self, where: str) -> str | None:
        """Return the type, or None where there is none."""
        ...

    def field(self, name: str, where: str) -> Array | str | None:
        """Return a field, or None where there is none."""
        ...

    def names(self) -> list[str]:
        """Return the names of all members."""
        ...

    def nodes(self, where: str) -> Iterator[tuple[str, "Source"]]:
        """Return the nodes of a graph by name."""
        ...

    def edges(self, where: str) -> tuple[tuple[str, str], ...]:
        """Return the edges of a graph."""
        ...

    def count_node(self, where: str) -> None:
        """Count a node against the limit."""
        ...


def read_root(source: Source) -> RawNode:
    """Return the outermost graph and all in it.

    Raises:
        SpikecError: SPK1004, SPK1011, SPK1015, SPK1017, or on a name or a field.
    """
    root = _read_node(source, "", 0)
    if root.type == "NIRGraph":
        return root
    raise SpikecError(
        "SPK1017", "node", f"the outermost node is a {root.type}, not a NIRGraph", "Wrap it in one"
    )


def _read_node(source: Source, name: str, depth: int) -> RawNode:
    """Read one node and what is in it."""
    where = name or "node"
    source.count_node(where)
    kind = source.type(where)
    if kind is None:
        raise SpikecError(
            "SPK1004", where, "has no 'type', so it is not a NIR node", "Write the file again"
        )
    if kind == "NIRGraph":
        return _read_graph(source, name, depth)
    if kind not in FIELDS:
        raise SpikecError(
            "SPK1015",
            where,
            f"the NIR type '{kind}' is not supported yet",
            f"Use {', '.join(FIELDS)} or NIRGraph",
        )
    values = {key: source.field(key, f"{where}.{key}") for key in FIELDS[kind].all}
    for key in FIELDS[kind].required:
        if values[key] is None:
            raise missing(f"{where}.{key}")
    present = {key: value for key, value in values.items() if value is not None}
    return RawNode(name, kind, present, ignored=_unknown(source, FIELDS[kind].all))


def _read_graph(source: Source, name: str, depth: int) -> RawNode:
    where = name or "node"
    if depth > MAX_DEPTH:
        raise SpikecError(
            "SPK1011", where, f"graphs are nested more than {MAX_DEPTH} deep", "Flatten the model"
        )
    nodes: list[RawNode] = []
    for key, child in source.nodes(f"{where}.nodes"):
        path = f"{name}.{key}" if name else key
        check_name(path, "node")
        nodes.append(_read_node(child, path, depth + 1))
    nodes.sort(key=lambda n: n.name)
    edges = source.edges(f"{where}.edges")
    ignored = _unknown(source, ("nodes", "edges"))
    return RawNode(name, "NIRGraph", {}, tuple(nodes), edges, ignored)


def _unknown(source: Source, known: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(n[:MAX_TEXT] for n in source.names() if n not in (*known, "type", "metadata"))


def missing(where: str) -> SpikecError:
    """Return the error for a member that is not there."""
    return SpikecError("SPK1003", where, "is missing", "Write the file again")


def numeric(where: str, values: Any) -> Any:
    """Return ``values``, an array or a dataset, if they are real numbers.

    Raises:
        SpikecError: SPK1007 when they are not, SPK1016 when there are none.
    """
    if values.dtype.kind not in "biuf":
        raise SpikecError(
            "SPK1007", where, f"has the type {values.dtype}, not real numbers", "Store numbers"
        )
    if values.size == 0:
        raise SpikecError("SPK1016", where, "holds no number", "Store at least one")
    return values
