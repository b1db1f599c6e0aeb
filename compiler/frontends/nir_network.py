"""A NIR network without nesting: its nodes, its edges, and the shape of every signal.

A nested graph dissolves into nodes called ``outer.inner``; its Input and Output nodes become ports,
which pass a signal on. What cannot act (a layer that nothing feeds or that feeds nothing) is
dropped with a finding. Shapes spread from the Inputs along the edges, cycles included.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.frontends.nir_nodes import MODELS, Part, own_shape, translate
from spikec.compiler.frontends.nir_raw import RawNode
from spikec.compiler.semantics import Semantics
from spikec.compiler.synapses import Shape
from spikec.compiler.untyped import networkx as nx

PORT = "Port"

Edge = tuple[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """What is left of a NIR graph when it is flat.

    Attributes:
        nodes: By name, in order of name.
        flow: networkx.MultiDiGraph of the names.
        parts: What each node means.
    """

    nodes: Mapping[str, RawNode]
    flow: Any
    parts: Mapping[str, Part]

    def of_type(self, name: str) -> list[str]:
        """Return the names of the nodes of one NIR type, in order."""
        return [n.name for n in self.nodes.values() if n.type == name]


def flatten(root: RawNode, semantics: Semantics, found: list[Finding]) -> Network:
    """Return the flat network of a graph; append findings to ``found``.

    Raises:
        SpikecError: SPK1035 to SPK1049.
    """
    nodes, graphs = _collect(root, found)
    edges = [edge for graph in (root, *graphs.values()) for edge in _edges(graph, nodes, graphs)]
    _boundaries(nodes, edges)
    flow = nx.MultiDiGraph()
    flow.add_nodes_from(nodes)
    flow.add_edges_from(_counted(edges, semantics, found))
    _drop_dangling(nodes, flow, found)
    kept = {name: node for name, node in nodes.items() if name in flow}
    return Network(kept, flow, _spread(kept, flow, semantics, found))


def _collect(root: RawNode, found: list[Finding]) -> tuple[dict[str, RawNode], dict[str, RawNode]]:
    """Return all nodes that are no graphs, sorted, and all nested graphs, by path name."""
    nodes: dict[str, RawNode] = {}
    graphs: dict[str, RawNode] = {}
    waiting = [root]
    while waiting:
        graph = waiting.pop()
        _report_ignored(graph, found)
        for node in graph.nodes:
            if node.name in nodes or node.name in graphs:
                raise SpikecError(
                    "SPK1035", node.name, "two nodes have this path name", "Rename one"
                )
            if node.type == "NIRGraph":
                graphs[node.name] = node
                waiting.append(node)
                continue
            _report_ignored(node, found)
            inner = graph is not root and node.type in ("Input", "Output")
            nodes[node.name] = replace(node, type=PORT) if inner else node
    return dict(sorted(nodes.items())), graphs


def _report_ignored(node: RawNode, found: list[Finding]) -> None:
    if node.ignored:
        names = ", ".join(f"'{n}'" for n in node.ignored[:5]) + ("..." * (len(node.ignored) > 5))
        text = f"{names} is not a field of {node.type} in NIR and is ignored"
        found.append(Finding("SPK1061", node.name or "node", text))


# ---------------------------------------------------------------- edges


def _edges(
    graph: RawNode, nodes: Mapping[str, RawNode], graphs: Mapping[str, RawNode]
) -> list[Edge]:
    """Return the edges of one graph between nodes that are no graphs."""
    prefix = f"{graph.name}." if graph.name else ""
    ends: list[Edge] = []
    for source, target in graph.edges:
        edge = f"{prefix}{source} -> {prefix}{target}"
        for name in (source, target):
            if prefix + name not in nodes and prefix + name not in graphs:
                raise SpikecError(
                    "SPK1036",
                    edge,
                    f"there is no node '{prefix}{name}'",
                    f"The nodes here are {', '.join(n.name for n in graph.nodes[:20])}",
                )
        ends.append(
            (
                _port(prefix + source, "Output", edge, graphs),
                _port(prefix + target, "Input", edge, graphs),
            )
        )
    return ends


def _port(path: str, kind: str, edge: str, graphs: Mapping[str, RawNode]) -> str:
    """Return the node at which an edge from or to ``path`` ends.

    Raises:
        SpikecError: SPK1037 when a nested graph has not exactly one such port.
    """
    if path not in graphs:
        return path
    ports = [n.name for n in graphs[path].nodes if n.type == kind]
    if len(ports) == 1:
        return ports[0]
    raise SpikecError(
        "SPK1037",
        edge,
        f"'{path}' has {len(ports)} {kind} nodes, so the edge does not say which it means",
        f"Name one, as in {path}.{kind.lower()}",
    )


def _counted(edges: list[Edge], semantics: Semantics, found: list[Finding]) -> list[Edge]:
    """Return the edges in order, a repeated one as often as the semantics says."""
    if semantics.duplicate_edges == "sum":
        return sorted(edges)
    times = Counter(edges)
    for source, target in sorted(edge for edge, n in times.items() if n > 1):
        n = times[source, target]
        text = f"the edge stands {n} times in the file and counts once"
        found.append(Finding("SPK1065", f"{source} -> {target}", text))
    return sorted(times)


def _boundaries(nodes: Mapping[str, RawNode], edges: list[Edge]) -> None:
    """Check that signals enter at Inputs and leave at Outputs, and only there."""
    types = {node.type for node in nodes.values()}
    for kind in ("Input", "Output"):
        if kind not in types:
            raise SpikecError("SPK1038", "node", f"there is no {kind} node", f"Add an {kind}")
    for source, target in edges:
        if nodes[target].type == "Input" or nodes[source].type == "Output":
            raise SpikecError(
                "SPK1039",
                f"{source} -> {target}",
                "an edge leads into an Input or out of an Output",
                "Remove it",
            )


def _drop_dangling(nodes: Mapping[str, RawNode], flow: Any, found: list[Finding]) -> None:
    """Remove layers without a way in or out; neurons, Inputs and Outputs stay.

    Raises:
        SpikecError: SPK1040 when that leaves an Output without a source.
    """
    waiting = deque(nodes)
    while waiting:
        name = waiting.popleft()
        if name not in flow or nodes[name].type in (*MODELS, "Input", "Output"):
            continue
        fed, used = flow.in_degree(name) > 0, flow.out_degree(name) > 0
        if fed and used:
            continue
        if used:
            _refuse_constant(nodes[name])
        text = "nothing reads what it sends" if fed else "nothing feeds it"
        found.append(Finding("SPK1066", name, f"{text}, so this {nodes[name].type} is dropped"))
        waiting.extend([*flow.predecessors(name), *flow.successors(name)])
        flow.remove_node(name)
    for name, node in nodes.items():
        if node.type == "Output" and not flow.in_degree(name):
            raise SpikecError("SPK1040", name, "nothing feeds this Output", "Connect it")


def _refuse_constant(node: RawNode) -> None:
    if "bias" in node.fields and node.numbers("bias").any():
        raise SpikecError(
            "SPK1041",
            node.name,
            "nothing feeds it, so its bias would be a constant drive, which is not supported yet",
            "Connect it, or remove it",
        )


# ---------------------------------------------------------------- shapes


def _spread(
    nodes: Mapping[str, RawNode], flow: Any, semantics: Semantics, found: list[Finding]
) -> dict[str, Part]:
    """Return what every node means, from the Inputs on; neurons beyond their reach come last."""
    parts: dict[str, Part] = {}
    inputs = [n for n in nodes.values() if n.type == "Input"]
    neurons = [n for n in nodes.values() if n.type in MODELS]
    for start in (*inputs, *neurons):
        waiting = deque([(start.name, own_shape(start))] if start.name not in parts else [])
        while waiting:
            name, arrives = waiting.popleft()
            if name in parts:
                continue
            parts[name] = translate(nodes[name], arrives, semantics, found)
            waiting.extend((target, parts[name].shape) for target in flow.successors(name))
    for name in nodes:
        if name not in parts:
            raise SpikecError(
                "SPK1042",
                name,
                "no path leads here from an Input, so its shape is unknown",
                "Connect it, or remove it",
            )
    for source, target in sorted(set(flow.edges())):
        _agree(f"{source} -> {target}", parts[source].shape, parts[target].arrives, found)
    return parts


def _agree(edge: str, sent: Shape, arrives: Shape, found: list[Finding]) -> None:
    """Compare the two ends of an edge.

    Raises:
        SpikecError: SPK1043 when they differ in size.
    """
    if prod(sent) != prod(arrives):
        raise SpikecError(
            "SPK1043",
            edge,
            f"{sent} is sent where other edges bring {arrives}",
            "Make all that feeds one node the same size",
        )
    if sent != arrives:
        text = f"{sent} is sent where other edges bring {arrives}; it is read in C order"
        found.append(Finding("SPK1067", edge, text))
