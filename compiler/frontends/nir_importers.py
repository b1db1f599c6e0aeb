"""What the NIR importers of frameworks read, where their source and our tests say so.

A file under a convention that is named after a framework is written so that its importer can read
it: where there are two ways to say the same, the one that it knows. What it does not read, or reads
as something else, is a finding. docs/interop.md shows what each makes of a list of networks;
tests/test_interop.py holds both to the installed libraries.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spikec.compiler.errors import Finding
from spikec.compiler.frontends.nir_maps import Node
from spikec.compiler.frontends.nir_order import Edge, depth_first, outputs_last, when_ready
from spikec.compiler.semantics import Semantics
from spikec.compiler.types import Array

Nodes = Mapping[str, Node]

MAX_DIAGONAL = 4096  # elements of a Scale that is written as a matrix
SHOWN = 5
SPIKING = ("LIF", "CubaLIF")


@dataclass(frozen=True, slots=True)
class Row:
    """The nodes of one connection, its ends included.

    Attributes:
        names: In order.
        late: Whether it is meant to deliver what was sent in the step before.
    """

    names: tuple[str, ...]
    late: bool

    def __str__(self) -> str:
        """Return the two ends."""
        return f"{self.names[0]} -> {self.names[-1]}"


@dataclass(frozen=True, slots=True)
class Importer:
    """One library.

    Attributes:
        library: Name and version.
        reads: Node types, beside Input and Output.
        reads_if: Whether an IF stays one.
        fixed_r: Whether r of IF and LIF is taken as 1.
        mends_loops: Whether it wires a matrix from neurons back to themselves in another way, and
            wrongly, unless something is between.
        returns_last: Whether it returns what the last node sends, Output or not.
        order: Of names and edges, returns the nodes as they are evaluated, each once; None where
            it never ends.
        notes: Returns what it makes of neurons, by text, with the names.
    """

    library: str
    reads: frozenset[str]
    reads_if: bool
    fixed_r: bool
    mends_loops: bool
    returns_last: bool
    order: Callable[[Nodes, Sequence[Edge]], list[str] | None]
    notes: Callable[[Nodes, Semantics], Mapping[str, list[str]]]

    def known(self, node: Node) -> Node:
        """Return the same node as one that the importer knows, if there is one."""
        if node.type == "Delay" and not np.any(node.fields["delay"]):
            return identity(node.fields["delay"].shape)
        if node.type == "Scale":
            scale: Array = node.fields["scale"]
            if bool(np.all(scale == 1.0)):
                return identity(scale.shape)
            if scale.ndim == 1 and scale.size <= MAX_DIAGONAL:
                return Node("Linear", {"weight": np.diag(scale)})
        return _ungrouped(node) if node.type in ("Conv1d", "Conv2d") else node

    def ordered(self, nodes: Nodes, edges: Sequence[Edge]) -> list[Edge]:
        """Return the edges in the order that suits the importer best; NIR gives it no meaning."""
        return outputs_last(_types(nodes), edges) if self.returns_last else sorted(edges)

    def unread(
        self, nodes: Nodes, edges: Sequence[Edge], rows: Sequence[Row], semantics: Semantics
    ) -> tuple[Finding, ...]:
        """Return a finding for everything that the importer does not read as it is meant."""
        found: dict[str, list[str]] = {}
        for name, node in nodes.items():
            if node.type not in self.reads | {"Input", "Output"}:
                found.setdefault(f"has no {node.type}", []).append(name)
        # What is missing, or not used, would shift the order too.
        found |= _ports(nodes) or ({} if found else self._misplaced(nodes, edges, rows))
        found |= self.notes(nodes, semantics)
        return tuple(
            Finding(
                "SPK1460",
                ", ".join(names[:SHOWN]) + ", ..." * (len(names) > SHOWN),
                f"the NIR importer of {self.library} {what}",
            )
            for what, names in found.items()
            if names
        )

    def _misplaced(
        self, nodes: Nodes, edges: Sequence[Edge], rows: Sequence[Row]
    ) -> dict[str, list[str]]:
        """Return the connections that deliver a step too late, or too early."""
        order = self.order(nodes, edges)
        if order is None:
            return {"never ends": ["node"]}
        place = {name: k for k, name in enumerate(order)}
        found: dict[str, list[str]] = {}
        if self.returns_last and nodes[order[-1]].type != "Output":
            found["returns what this sends"] = [order[-1]]
        for row in rows:
            pairs = zip(row.names, row.names[1:], strict=False)
            late = sum(place.get(a, 0) >= place.get(b, 0) for a, b in pairs)
            if row.late and any(np.any(nodes[n].fields.get("bias", 0)) for n in row.names):
                found.setdefault("delivers no bias in the first step", []).append(str(row))
            if late != row.late:
                text = f"delivers this {'a step late' if late else 'at once, not a step later'}"
                found.setdefault(text, []).append(str(row))
        return found


def identity(shape: tuple[int, ...]) -> Node:
    """Return what passes a signal on, whatever its shape, and every importer knows."""
    return Node("Flatten", {"start_dim": 0, "end_dim": 0, "input_type": shape})


def _ungrouped(node: Node) -> Node:
    """Return a convolution without groups: with weights of zero between them."""
    groups, weight = int(node.fields["groups"]), node.fields["weight"]
    if groups == 1:
        return node
    out, each = weight.shape[0] // groups, weight.shape[1]
    full = np.zeros((weight.shape[0], each * groups, *weight.shape[2:]))
    for k in range(groups):
        full[k * out : (k + 1) * out, k * each : (k + 1) * each] = weight[k * out : (k + 1) * out]
    return Node(node.type, {**node.fields, "weight": full, "groups": 1})


def _ports(nodes: Nodes) -> dict[str, list[str]]:
    """Return Inputs and Outputs where there are several."""
    found: dict[str, list[str]] = {}
    for kind in ("Input", "Output"):
        names = [name for name, node in nodes.items() if node.type == kind]
        if len(names) > 1:
            found[f"takes one {kind}"] = names
    return found


# ---------------------------------------------------------------- the libraries


def _where(nodes: Nodes, kinds: Sequence[str], test: Callable[[Node], bool]) -> list[str]:
    return [name for name, node in nodes.items() if node.type in kinds and test(node)]


def _varies(values: Array) -> bool:
    return bool(np.any(values != values.flat[0]))


def _leaks_elsewhere(node: Node) -> bool:
    return bool(np.any(node.fields["v_leak"]))


def _snntorch(nodes: Nodes, _semantics: Semantics) -> dict[str, list[str]]:
    """Return what the assertions of snntorch/import_nir.py refuse."""
    varied = _where(nodes, SPIKING, lambda n: _varies(n.fields["v_threshold"]))
    return {
        "refuses a leak to other than 0": _where(nodes, SPIKING, _leaks_elsewhere),
        "refuses thresholds that differ between neurons": varied,
    }


def _norse(nodes: Nodes, semantics: Semantics) -> dict[str, list[str]]:
    """Return what norse/torch/utils/import_nir.py ignores, and where its cells begin."""
    firing = (*SPIKING, "IF")
    found = {
        "begins at the leak, and lets a current leak to it": _where(
            nodes, SPIKING, _leaks_elsewhere
        ),
        "resets to 0": _where(nodes, firing, lambda n: bool(np.any(n.fields["v_reset"]))),
    }
    if semantics.reset == "subtract":
        found["subtracts in a CubaLIF only"] = _where(nodes, ("IF", "LIF"), lambda _: True)
    if semantics.synapse_gain != "held" or semantics.current_phase == "old":
        text = "reads a CubaLIF as norse{synapse_gain=held}"
        found[text] = _where(nodes, ("CubaLIF",), lambda _: True)
    return found


_BOTH = frozenset({"Linear", "Affine", "Conv2d", "Flatten", "LIF", "CubaLIF", "SumPool2d"})
IMPORTERS: Mapping[str, Importer] = {
    "snntorch": Importer(
        library="snnTorch 1.0.0",
        reads=_BOTH | {"AvgPool2d", "Conv1d"},
        reads_if=False,
        fixed_r=False,
        mends_loops=True,
        returns_last=False,
        order=lambda nodes, edges: when_ready(_types(nodes), edges),
        notes=_snntorch,
    ),
    "norse": Importer(
        library="Norse 1.1.0",
        reads=_BOTH | {"IF"},
        reads_if=True,
        fixed_r=True,
        mends_loops=False,
        returns_last=True,
        order=lambda nodes, edges: depth_first(_types(nodes), edges),
        notes=_norse,
    ),
}


def _types(nodes: Nodes) -> dict[str, str]:
    return {name: nodes[name].type for name in sorted(nodes)}
