"""A NIR file as it comes out of the process that reads it: JSON, and its numbers in order."""

from collections.abc import Sequence
from typing import Any

from spikec.compiler.frontends.nir_raw import RawNode
from spikec.compiler.types import Array


def packed(node: RawNode, arrays: list[Array]) -> dict[str, Any]:
    """Return a node as a JSON value; append its numbers to ``arrays``."""
    fields: dict[str, Any] = {}
    for name, value in node.fields.items():
        if isinstance(value, str):
            fields[name] = value
        else:
            fields[name] = len(arrays)
            arrays.append(value)
    return {
        "name": node.name,
        "type": node.type,
        "fields": fields,
        "nodes": [packed(n, arrays) for n in node.nodes],
        "edges": node.edges,
        "ignored": node.ignored,
    }


def unpacked(value: dict[str, Any], arrays: Sequence[Array]) -> RawNode:
    """Return the node that ``packed`` was given."""
    fields: dict[str, Array | str] = {}
    for name, held in value["fields"].items():
        fields[name] = held if isinstance(held, str) else arrays[held]
    return RawNode(
        value["name"],
        value["type"],
        fields,
        tuple(unpacked(n, arrays) for n in value["nodes"]),
        tuple((a, b) for a, b in value["edges"]),
        tuple(value["ignored"]),
    )
