"""What the NIR importers of frameworks read, where their source and our tests say so.

A file under a convention that is named after a framework is written so that its importer can read
it: where there are two ways to say the same, the one that it knows. What it does not read, or reads
as something else, is a finding. docs/interop.md shows what each makes of a list of networks;
tests/test_interop.py holds it to the installed libraries.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from spikec.compiler.errors import Finding
from spikec.compiler.frontends.nir_maps import Node
from spikec.compiler.semantics import Semantics
from spikec.compiler.types import Array

Nodes = Mapping[str, Node]
Edges = Sequence[tuple[str, str]]

MAX_DIAGONAL = 4096  # elements of a Scale that is written as a matrix
SPIKING = ("LIF", "CubaLIF")
DENSE = ("Linear", "Affine")
# Passes on what arrives, whatever its shape; every importer knows it.
IDENTITY = {"start_dim": 0, "end_dim": 0}


@dataclass(frozen=True, slots=True)
class Importer:
    """One library.

    Attributes:
        library: Name and version.
        reads: Node types, beside Input and Output.
        reads_if: Whether an IF stays one.
        fixed_r: Whether r of IF and LIF is taken as 1.
        loops_by_name: Whether a dense loop of one population is wired wrongly when it is found.
        notes: By what a node is, what becomes of it.
    """

    library: str
    reads: frozenset[str]
    reads_if: bool
    fixed_r: bool
    loops_by_name: bool
    notes: "Callable[[Nodes, Semantics], Mapping[str, list[str]]]"

    def adapted(self, nodes: Nodes, edges: Edges) -> tuple[dict[str, Node], list[tuple[str, str]]]:
        """Return the same network in nodes that the importer knows, as far as there are any."""
        made = {name: self._known(node, edges, name) for name, node in nodes.items()}
        wired = list(edges)
        if self.loops_by_name:
            for name, matrix in _loops(made, edges):
                between = _free(f"{matrix}_loop", made)
                made[between] = Node("Flatten", {**IDENTITY, "input_type": _size(made[name])})
                wired.remove((name, matrix))
                wired += [(name, between), (between, matrix)]
        return made, wired

    def _known(self, node: Node, edges: Edges, name: str) -> Node:
        if node.type == "Delay" and not np.any(node.fields["delay"]):
            return _identity(node.fields["delay"])
        if node.type == "Scale" and "Scale" not in self.reads:
            scale: Array = node.fields["scale"]
            if bool(np.all(scale == 1.0)):
                return _identity(scale)
            if scale.ndim == 1 and scale.size <= MAX_DIAGONAL:
                return Node("Linear", {"weight": np.diag(scale)})
        return node

    def unread(self, nodes: Nodes, edges: Edges, semantics: Semantics) -> tuple[Finding, ...]:
        """Return a finding for everything that the importer does not read as it is meant."""
        found: dict[str, list[str]] = {}
        for name, node in nodes.items():
            if node.type not in self.reads | {"Input", "Output"}:
                found.setdefault(f"has no {node.type}", []).append(name)
        found |= _ports(nodes)
        found |= self.notes(nodes, semantics)
        return tuple(
            Finding("SPK1460", ", ".join(names[:5]) + ", ..." * (len(names) > 5), text)
            for text, names in ((f"{self.library} {what}", names) for what, names in found.items())
        )


def _identity(values: Array) -> Node:
    return Node("Flatten", {**IDENTITY, "input_type": values.shape})


def _size(node: Node) -> tuple[int, ...]:
    shape: tuple[int, ...] = node.fields["v_threshold"].shape
    return shape


def _free(wanted: str, nodes: Nodes) -> str:
    return wanted if wanted not in nodes else _free(f"{wanted}_", nodes)


def _loops(nodes: Nodes, edges: Edges) -> list[tuple[str, str]]:
    """Return neurons and the matrix over which alone they feed back to themselves."""
    both = set(edges)
    return sorted(
        (a, b)
        for a, b in both
        if nodes[a].type in SPIKING and nodes[b].type in DENSE and (b, a) in both
    )


def _ports(nodes: Nodes) -> dict[str, list[str]]:
    """Return Inputs and Outputs where there are several, of which importers take one."""
    found: dict[str, list[str]] = {}
    for kind in ("Input", "Output"):
        names = [name for name, node in nodes.items() if node.type == kind]
        if len(names) > 1:
            found[f"takes one {kind}"] = names
    return found


def _where(nodes: Nodes, kinds: Sequence[str], test: Callable[[Node], bool]) -> list[str]:
    return [name for name, node in nodes.items() if node.type in kinds and test(node)]


def _varies(values: Array) -> bool:
    return bool(np.any(values != values.flat[0]))


def _snntorch(nodes: Nodes, _semantics: Semantics) -> dict[str, list[str]]:
    """snntorch/import_nir.py: asserts on leak and threshold."""
    found = {
        "refuses a leak to other than 0": _where(
            nodes, SPIKING, lambda n: bool(np.any(n.fields["v_leak"]))
        ),
        "refuses thresholds that differ between neurons": _where(
            nodes, SPIKING, lambda n: _varies(n.fields["v_threshold"])
        ),
    }
    return {what: names for what, names in found.items() if names}


def _norse(nodes: Nodes, semantics: Semantics) -> dict[str, list[str]]:
    """norse/torch/utils/import_nir.py: ignores r and v_reset, and begins at v_leak."""
    firing = (*SPIKING, "IF")
    found = {
        "begins at the leak, and a CubaLIF's current leaks to it too": _where(
            nodes, SPIKING, lambda n: bool(np.any(n.fields["v_leak"]))
        ),
        "resets to 0": _where(nodes, firing, lambda n: bool(np.any(n.fields["v_reset"]))),
    }
    if (semantics.synapse_gain, semantics.current_phase) != ("held", "new"):
        text = "reads a CubaLIF as norse{synapse_gain=held,current_phase=new}"
        found[text] = _where(nodes, ("CubaLIF",), lambda n: True)
    return {what: names for what, names in found.items() if names}


_BOTH = frozenset({"Linear", "Affine", "Conv2d", "Flatten", "LIF", "CubaLIF", "SumPool2d"})
IMPORTERS: Mapping[str, Importer] = {
    "snntorch": Importer("snntorch 1.0.0", _BOTH | {"AvgPool2d", "Conv1d"}, False, False, True, _snntorch),
    "norse": Importer("norse 1.1.0", _BOTH | {"IF"}, True, True, False, _norse),
}
