"""Context between value populations: which projections may carry which kind.

P, proximal: from the receptive fields of the same stream, without the cell's own. D, distal: from
those of another stream. U, universal: from what all streams share, and into it. P and D end at the
port ``apical`` (specs/two_point_cells.md sections 1 and 5); without a delay, no context may close a
cycle, which ``Graph.order`` sees.
"""

from collections.abc import Mapping

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Graph, Population, Projection
from spikec.compiler.neurons.two_point import TwoPoint, UniversalContext
from spikec.compiler.synapses import AllButSelf

KINDS = ("P", "D", "U")


def verify_contexts(graph: Graph) -> None:
    """Check every projection that carries context, or should.

    Raises:
        SpikecError: SPK2210 to SPK2213.
    """
    populations = {p.name: p for p in graph.populations}
    for projection in graph.projections:
        _placed(projection, populations[projection.target])
        if projection.context in ("P", "D"):
            _streams(projection, populations)


def _placed(p: Projection, target: Population) -> None:
    if p.context and p.context not in KINDS:
        raise SpikecError(
            "SPK2210", f"{p} context", f"'{p.context}' is unknown", f"Use {', '.join(KINDS)}"
        )
    shared = p.context == "U" and isinstance(target.neuron, UniversalContext)
    apical = p.port == "apical" and isinstance(target.neuron, TwoPoint)
    if apical != bool(p.context) and not shared:
        has = f"context {p.context}" if p.context else "no kind of context"
        raise SpikecError(
            "SPK2211",
            f"{p} context",
            f"{has} at port {p.port}",
            "Give P, D or U to what ends at apical, U to what ends at a universal context, and "
            "none to the rest",
        )


def _streams(p: Projection, populations: Mapping[str, Population]) -> None:
    """Check that P stays in its stream and D leaves it, and that nobody is context of its own."""
    first, second = (
        populations[n].stream if n in populations else "" for n in (p.source, p.target)
    )
    if not (first and second) or (first == second) != (p.context == "P"):
        raise SpikecError(
            "SPK2212",
            f"{p} context",
            f"{p.context} leads from stream '{first}' to '{second}'",
            "Use P within a stream and D between two, and name the streams",
        )
    if p.context == "P" and not isinstance(p.synapse, AllButSelf):
        diagonal = p.synapse.to_sparse().diagonal()
        own = np.flatnonzero(diagonal)
        if own.size:
            raise SpikecError(
                "SPK2213",
                f"{p} weight",
                f"cell {own[0]} is its own context with weight {diagonal[own[0]]:g}",
                "Set the diagonal to 0",
            )
