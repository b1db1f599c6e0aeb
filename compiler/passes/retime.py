"""Give every projection a delay of at least one hop without changing what the network computes.

Chips have no connections without delay. Retiming (Leiserson and Saxe 1991) gives each population a
lag L: delay' = delay + L(target) - L(source), so that every path between two populations grows by
the same amount, and cycles keep their delay. A population that lags L steps also begins L steps
later, initial state and constant drives held back, or the trains would differ. The least lags are
longest paths; a cycle with fewer delays than hops has none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Graph, Program
from spikec.compiler.pipeline import Context
from spikec.compiler.untyped import networkx as nx

# No node can be called this: names are letters, digits, _ . and -.
_ORIGIN = "(origin)"


@dataclass(frozen=True, slots=True)
class Retime:
    """Retime a network.

    Attributes:
        hop: Least delay of every projection, in steps.
    """

    name: ClassVar[str] = "retime"
    hop: int = 1

    def __post_init__(self) -> None:
        """Check the hop.

        Raises:
            SpikecError: SPK0661.
        """
        if self.hop < 0:
            raise SpikecError("SPK0661", "retime hop", f"{self.hop} is negative", "Use 0 or more")

    def run(self, program: Program, context: Context) -> Program:
        """Return the program with lags.

        Raises:
            SpikecError: SPK0662 when a cycle holds fewer delays than hops.
        """
        graph = program.graph
        lags = _lags(graph, self.hop, {})
        latest = max((lags[o.source] for o in graph.outputs), default=0)
        aligned = _lags(graph, self.hop, {o.source: latest for o in graph.outputs})
        if max((aligned[o.source] for o in graph.outputs), default=0) == latest:
            lags = aligned
        populations = [replace(p, start=p.start + lags[p.name]) for p in graph.populations]
        projections = tuple(
            replace(p, delay=p.delay + lags[p.target] - lags[p.source]) for p in graph.projections
        )
        retimed = replace(graph.with_nodes(populations), projections=projections)
        return replace(program, graph=retimed)


def _lags(graph: Graph, hop: int, least: Mapping[str, int]) -> dict[str, int]:
    """Return the least lag of every node, where some must have at least a given one."""
    flow = nx.DiGraph()
    names = [*(i.name for i in graph.inputs), *(p.name for p in graph.populations)]
    flow.add_weighted_edges_from((_ORIGIN, n, -least.get(n, 0)) for n in names)
    for p in graph.projections:
        missing = p.delay - hop
        if flow.has_edge(p.source, p.target):
            missing = min(missing, flow[p.source][p.target]["weight"])
        flow.add_edge(p.source, p.target, weight=missing)
    try:
        distance: Mapping[str, int] = nx.single_source_bellman_ford_path_length(flow, _ORIGIN)
    except nx.NetworkXUnbounded:
        raise _too_few_delays(graph, nx.find_negative_cycle(flow, _ORIGIN), hop) from None
    return {n: -int(distance[n]) for n in names}


def _too_few_delays(graph: Graph, cycle: list[str], hop: int) -> SpikecError:
    steps = list(pairwise(cycle))
    delays = sum(
        min(p.delay for p in graph.projections if (p.source, p.target) == step) for step in steps
    )
    return SpikecError(
        "SPK0662",
        f"{cycle[-2]} -> {cycle[-1]}",
        f"cycle with {delays} steps of delay for {len(steps)} hops of {hop}: " + " -> ".join(cycle),
        "Give its projections more delay, or use a target without hop delay",
    )
