"""NIR to the IR, in the meaning that a ``Semantics`` gives it.

A projection of the IR is one linear map between two carriers (an Input, neurons, or a stateless
Relay). So Flatten, ports and Delay become properties of connections, and where two maps follow each
other, or what a map sends is needed twice or is an output, a Relay named after the map carries it.
What enters a map or an Output from several places is first added up in a Relay ``<node>.sum``.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.frontends.nir_file import MAX_EDGES, MAX_INTEGER, read_nir
from spikec.compiler.frontends.nir_network import Network, flatten
from spikec.compiler.frontends.nir_nodes import Part
from spikec.compiler.ir import Graph, Input, Output, Population, Projection
from spikec.compiler.neurons.cuba_lif import ContinuousCubaLIF
from spikec.compiler.neurons.lif import ContinuousLIF
from spikec.compiler.neurons.relay import Relay
from spikec.compiler.semantics import Semantics
from spikec.compiler.synapses import identity
from spikec.compiler.untyped import networkx as nx
from spikec.compiler.verify import verify_graph

# Time constants in a file are often float32, which has 7 digits.
TOLERANCE = 1e-6


def load_nir(source: object, semantics: Semantics, dt: float | None = None) -> Graph:
    """Return the graph of a .nir file or of a nir.NIRGraph.

    Args:
        source: Path or nir.NIRGraph.
        semantics: What the file leaves open.
        dt: Step in seconds; None where ``semantics`` implies one.

    Raises:
        SpikecError: SPK1001 to SPK1057, or what ``verify_graph`` finds.
    """
    file = read_nir(source)
    found: list[Finding] = []
    network = flatten(file.root, semantics, found)
    step = _step(network, semantics, dt, found)
    wiring = _Wiring(network, _links(network, step))
    projections = _schedule(wiring, semantics, found)
    graph = Graph(
        re.sub(r"[^A-Za-z0-9_.-]", "_", file.name)[:128] or "nir",
        (*wiring.inputs, *_ordered(wiring, projections), *wiring.outputs),
        projections,
        step,
        {**file.metadata, "semantics": str(semantics)},
        (*found, *_idle(wiring, projections)),
    )
    verify_graph(graph)
    return graph


# ---------------------------------------------------------------- the step


def _step(
    network: Network, semantics: Semantics, dt: float | None, found: list[Finding]
) -> float | None:
    """Return the step in seconds: the one given, assumed by the semantics, or derived.

    Raises:
        SpikecError: SPK1020 when there is none and something needs it, SPK1050 when it is not
            positive.
    """
    step, origin = dt, ""
    if step is None and semantics.dt is not None:
        step, origin = semantics.dt, f"is the step that {semantics.name} assumes"
    if step is None and semantics.step_rule != "given":
        step, origin = _derived(network, semantics), f"is {semantics.step_rule} of the LIF nodes"
    if step is None:
        if any(p.neuron is not None for p in network.parts.values()) or network.of_type("Delay"):
            raise SpikecError(
                "SPK1020",
                "--dt",
                "a NIR file is in continuous time and gives no step",
                "Give --dt in seconds, for instance --dt 1e-3, or a --semantics that implies one",
            )
        return None
    if not (np.isfinite(step) and step > 0):
        raise SpikecError(
            "SPK1050", "--dt", f"{step:g} s is not a positive step", "Give --dt in seconds"
        )
    if origin:
        found.append(Finding("SPK1068", "dt", f"dt = {step:g} s {origin}"))
    return float(step)


def _derived(network: Network, semantics: Semantics) -> float | None:
    """Return the step that the time constants and gains of all LIF nodes imply.

    Raises:
        SpikecError: SPK1051 when they imply different ones.
    """
    steps: dict[str, np.ndarray] = {}
    for name, part in network.parts.items():
        if isinstance(part.neuron, ContinuousLIF | ContinuousCubaLIF):
            lif = isinstance(part.neuron, ContinuousLIF)
            tau = part.neuron.tau if lif else part.neuron.tau_mem
            r = part.neuron.r.real()
            with np.errstate(all="ignore"):
                steps[name] = tau.real() / (r if semantics.step_rule == "tau/r" else 1 + r)
    if not steps:
        return None
    low = min(steps, key=lambda n: float(steps[n].min()))
    high = max(steps, key=lambda n: float(steps[n].max()))
    least, most = float(steps[low].min()), float(steps[high].max())
    if not most - least <= TOLERANCE * abs(most):
        raise SpikecError(
            "SPK1051",
            f"{low}, {high}",
            f"{semantics.step_rule} gives steps from {least:.7g} to {most:.7g} s",
            "Give --dt in seconds",
        )
    return least
