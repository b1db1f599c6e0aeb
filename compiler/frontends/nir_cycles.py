"""Which connections close a cycle: those that the feedback delay of a convention falls on."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import chain
from typing import Any

from spikec.compiler.ir import Projection
from spikec.compiler.untyped import networkx as nx

Pair = tuple[str, str]


def edges_in_cycles(graph: Any) -> set[Pair]:
    """Return the edges of a networkx.DiGraph that lie on a cycle."""
    component = {n: k for k, c in enumerate(nx.strongly_connected_components(graph)) for n in c}
    return {(a, b) for a, b in graph.edges() if component[a] == component[b]}


def back_edges(
    inputs: Iterable[str], populations: Iterable[str], projections: Iterable[Projection]
) -> set[Pair]:
    """Return the edges that lead back in a depth-first search from the inputs, by name."""
    after: dict[str, set[str]] = defaultdict(set)
    for p in projections:
        after[p.source].add(p.target)
    back: set[Pair] = set()
    seen: set[str] = set()
    for start in chain(sorted(inputs), sorted(populations)):
        path = {} if start in seen else {start: iter(sorted(after[start]))}
        seen.add(start)
        while path:
            name = next(reversed(path))
            target = next(path[name], None)
            if target is None:
                del path[name]
            elif target in path:
                back.add((name, target))
            elif target not in seen:
                seen.add(target)
                path[target] = iter(sorted(after[target]))
    return back
