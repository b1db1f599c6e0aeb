"""In which order importers evaluate the nodes of a file, which decides what is a step late.

An edge from a node that is evaluated later, or from the node itself, delivers what that node sent
in the step before. Source: nirtorch 2.6, nir_interpreter.py and graph_utils.py.
"""

from collections import deque
from collections.abc import Mapping, Sequence

from spikec.compiler.untyped import networkx as nx

Edge = tuple[str, str]
Types = Mapping[str, str]


def outputs_last(types: Types, edges: Sequence[Edge]) -> list[Edge]:
    """Return the edges so that, depth first, an Output is reached as late as can be.

    Args:
        types: Type of each node.
        edges: In any order.
    """
    back = nx.DiGraph((b, a) for a, b in edges)
    outputs = [name for name, kind in types.items() if kind == "Output"]
    distance = nx.multi_source_dijkstra_path_length(back, outputs, weight=None)
    return sorted(edges, key=lambda e: (-distance.get(e[1], len(types)), e))


def depth_first(types: Types, edges: Sequence[Edge]) -> list[str]:
    """Return the nodes as ``nirtorch.load`` evaluates them: depth first from the Input.

    Args:
        types: Type of each node, in the order of the file.
        edges: In the order of the file.
    """
    after: dict[str, list[str]] = {name: [] for name in types}
    for source, target in edges:
        after[source].append(target)
    order: list[str] = []
    waiting = [name for name, kind in types.items() if kind == "Input"]
    while waiting:
        name = waiting.pop()
        if name not in order:
            order.append(name)
            waiting += reversed(after[name])
    return order


def when_ready(types: Types, edges: Sequence[Edge]) -> list[str] | None:
    """Return the nodes as ``nirtorch.nir_to_torch`` evaluates them; None where it never ends.

    It goes round and round the nodes by name, and takes one when all that feeds it is there, except
    what depends on it.

    Args:
        types: Type of each node, in the order of the file.
        edges: In any order.
    """
    flow = nx.DiGraph(edges)
    flow.add_nodes_from(types)
    below = {name: nx.descendants(flow, name) | {name} for name in types}
    order: list[str] = []
    queue, idle = deque(types), 0
    while queue:
        name = queue.popleft()
        before = set(flow.predecessors(name))
        missing = before - set(order)
        if types[name] == "Input":
            ready = True
        elif types[name] == "Output":
            ready = not queue
        else:
            ready = bool(order) and (not missing or (len(before) > 1 and missing <= below[name]))
        if ready:
            order.append(name)
            idle = 0
            continue
        queue.append(name)
        idle += 1
        if idle > len(queue):
            return None
    return order
