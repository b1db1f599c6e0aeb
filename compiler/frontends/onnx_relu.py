"""Plain ReLU networks from ONNX: layers, linear maps between them, and what they compute.

The layers are populations of relays; ``relu_conversion`` turns those that rectify into neurons.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.frontends.onnx_file import read_onnx
from spikec.compiler.frontends.onnx_graph import Walk
from spikec.compiler.frontends.onnx_network import Network, live_atoms
from spikec.compiler.frontends.onnx_values import Above, Entry, Mapped, Rectified
from spikec.compiler.ir import Graph, Node, Output
from spikec.compiler.neurons.relay import Relay
from spikec.compiler.types import Array
from spikec.compiler.verify import verify_graph


@dataclass(frozen=True, slots=True, eq=False)
class ReluNetwork:
    """A ReLU network as populations and linear maps.

    Attributes:
        graph: Relays, in order of evaluation; the Output's source is the last layer.
        ceilings: Largest value of each rectifier, by population.
    """

    graph: Graph
    ceilings: Mapping[str, float]

    def activations(self, images: Array) -> dict[str, Array]:
        """Return what every population sends, (samples, size), for images (samples, *shape)."""
        (entry,) = self.graph.inputs
        values = {entry.name: np.asarray(images, dtype=np.float64).reshape(len(images), -1)}
        for population in self.graph.populations:
            total = np.zeros((len(images), population.size))
            for p in self.graph.into(population.name):
                total += p.synapse.apply(values[p.source])
                bias = p.synapse.bias_vector()
                total += 0.0 if bias is None else bias
            if population.name in self.ceilings:
                total = np.clip(total, 0.0, self.ceilings[population.name])
            values[population.name] = total
        return values


def read_relu(source: str | Path) -> ReluNetwork:
    """Read a ReLU network from an ONNX file.

    Raises:
        SpikecError: SPK1440 and SPK1441 when it is something else; errors of the file and graph.
    """
    model = read_onnx(source)
    walk = Walk(model)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise SpikecError(
            "SPK1440",
            str(source),
            f"it has {len(model.inputs)} inputs and {len(model.outputs)} outputs",
            "A network to convert has one each; a spiking network is loaded, not converted",
        )
    value = walk.output(model.outputs[0])
    live, network = live_atoms([value]), Network()
    ceilings: dict[str, float] = {}
    for atom in walk.atoms:
        if atom not in live:
            continue
        if isinstance(atom, Above):
            raise SpikecError(
                "SPK1441",
                atom.name,
                "a comparison is no part of a ReLU network",
                "Load a spiking network instead of converting it",
            )
        if isinstance(atom, Entry):
            network.add_input(atom)
        if isinstance(atom, Mapped):
            network.carry(atom.source)
        if isinstance(atom, Rectified):
            ceilings[network.rectify(atom)] = atom.ceiling
    last = network.add_population(model.outputs[0], value.shape, Relay())
    network.project(last, value)
    findings = [
        Finding("SPK1442", name, "a Softmax does not change which class is largest: it is left out")
        for name in walk.softmax
    ]
    output = Output(last, last)
    nodes: tuple[Node, ...] = (*network.inputs, *network.populations, output)
    metadata = dict(model.metadata)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", model.name)[:128] or "onnx"
    graph = Graph(name, nodes, tuple(network.projections), None, metadata, tuple(findings))
    verify_graph(graph)
    ordered: tuple[Node, ...] = (*graph.inputs, *graph.order(), *graph.outputs)
    return ReluNetwork(replace(graph, nodes=ordered), ceilings)
