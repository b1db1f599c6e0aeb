"""Remove what provably changes nothing: populations that reach no output, and zero synapses.

A population without a path to an output changes no output, and nothing else is asked for. A sparse
synapse of weight zero adds zero. Dense and convolution storage keep their zeros: there they cost no
memory to find, and a target that skips them does so by itself.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.ir import Graph, Program, Projection
from spikec.compiler.pipeline import Context
from spikec.compiler.synapses import Sparse
from spikec.compiler.untyped import networkx as nx


@dataclass(frozen=True, slots=True)
class Prune:
    """Prune populations and sparse synapses."""

    name: ClassVar[str] = "prune"

    def run(self, program: Program, context: Context) -> Program:
        """Return the smaller program, with a finding for every population that went.

        Raises:
            SpikecError: SPK0675 when a mapping says where everything sits.
        """
        if program.mapping is not None:
            raise SpikecError(
                "SPK0675", "mapping", "prune would change what is mapped", "Prune before mapping"
            )
        graph = program.graph
        kept = _needed(graph)
        gone = [p.name for p in graph.populations if p.name not in kept]
        findings = [Finding("SPK0676", n, "pruned: it reaches no output") for n in gone]
        projections = (p for p in graph.projections if p.target not in gone)
        pruned = replace(
            graph,
            nodes=tuple(n for n in graph.nodes if n not in graph.populations or n.name not in gone),
            projections=tuple(_without_zeros(p) for p in projections),
            findings=(*graph.findings, *findings),
        )
        return replace(program, graph=pruned)


def _needed(graph: Graph) -> set[str]:
    """Return the names of all nodes with a path to an output."""
    flow = nx.DiGraph()
    flow.add_nodes_from(p.name for p in graph.populations)
    flow.add_edges_from((p.target, p.source) for p in graph.projections)
    needed = {o.source for o in graph.outputs}
    for output in tuple(needed):
        needed |= set(nx.descendants(flow, output))
    return needed


def _without_zeros(projection: Projection) -> Projection:
    synapse = projection.synapse
    if not isinstance(synapse, Sparse) or projection.storage != "sparse":
        return projection
    if not np.any(synapse.weight.data == 0):
        return projection
    kept = synapse.weight.data != 0
    rows = np.repeat(np.arange(synapse.out_size), np.diff(synapse.indptr))[kept]
    counts = np.bincount(rows, minlength=synapse.out_size)
    weight = replace(synapse.weight, data=synapse.weight.data[kept])
    weight.data.setflags(write=False)
    made = Sparse(
        synapse.columns,
        np.concatenate([[0], np.cumsum(counts)]),
        synapse.indices[kept],
        weight,
        synapse.bias,
    )
    delays = None if projection.delays is None else projection.delays[kept]
    return replace(projection, synapse=made, delays=delays)
