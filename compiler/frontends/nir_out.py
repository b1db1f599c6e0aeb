"""A graph or a program as a NIR file, with what NIR cannot hold told and written beside it.

A continuous network is written as it is. One that is per step goes back to the continuous
parameters that the stated convention discretises to the same numbers; integers are written as the
real values that they stand for. Convention, step and losses stand in the metadata of the outermost
graph, from where ``load`` takes convention and step as defaults.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikec.compiler.disk import whole_file
from spikec.compiler.errors import Finding
from spikec.compiler.frontends.nir_convention import convention
from spikec.compiler.frontends.nir_file import SEMANTICS, STEP
from spikec.compiler.frontends.nir_importers import IMPORTERS, Importer
from spikec.compiler.frontends.nir_inverse import INVERTIBLE, continuous
from spikec.compiler.frontends.nir_layout import Layout
from spikec.compiler.frontends.nir_losses import Losses, no_step, not_in_nir
from spikec.compiler.frontends.nir_maps import Node, shape_is_wrong_in_nir
from spikec.compiler.frontends.nir_named import named
from spikec.compiler.frontends.nir_raw import FIELDS
from spikec.compiler.ir import Graph, Input, Population, Program
from spikec.compiler.neurons.cuba_leaky_integrator import ContinuousCubaLeakyIntegrator
from spikec.compiler.neurons.cuba_lif import ContinuousCubaLIF
from spikec.compiler.neurons.integrate_and_fire import ContinuousIntegrateAndFire
from spikec.compiler.neurons.integrator import ContinuousIntegrator
from spikec.compiler.neurons.leaky_integrator import ContinuousLeakyIntegrator
from spikec.compiler.neurons.lif import ContinuousLIF
from spikec.compiler.neurons.threshold import Threshold
from spikec.compiler.semantics import Semantics
from spikec.compiler.types import Float
from spikec.compiler.untyped import h5py, nir
from spikec.compiler.verify import verify

FINDINGS = "spikec_findings"

TYPES: Mapping[type, str] = {
    ContinuousIntegrateAndFire: "IF",
    ContinuousLIF: "LIF",
    ContinuousLeakyIntegrator: "LI",
    ContinuousCubaLIF: "CubaLIF",
    ContinuousIntegrator: "I",
    ContinuousCubaLeakyIntegrator: "CubaLI",
    Threshold: "Threshold",
}


def to_nir(
    network: Graph | Program, path: str | Path, semantics: str | Semantics | None = None
) -> tuple[Finding, ...]:
    """Write a network as a NIR file, in one step; the same network gives the same bytes.

    Args:
        network: A graph, or a program of any stage.
        path: The file, which is replaced if there is one.
        semantics: The convention of whoever will read it, as in ``snntorch`` or
            ``norse{reset=subtract}``; None for the one that the network keeps.

    Returns:
        What the file does not hold, as in docs/nir.md; the file's metadata say the same.

    Raises:
        SpikecError: SPK1049 on what NIR cannot hold at all, SPK1046 on a partly continuous
            network, SPK1047 or SPK0631 without a step, SPK04xx on the semantics, SPK0801 or SPK0802
            when it cannot be written.
    """
    program = network if isinstance(network, Program) else Program(network)
    verify(program)
    losses = Losses()
    graph, chosen, importer = _meaning(program.graph, semantics, losses)
    # A hop that the reader adds to all connections is a part of what it adds to a cycle.
    feedback = max(chosen.feedback_delay - chosen.hop_delay, 0)
    layout = Layout(graph, feedback, losses, importer)
    nodes = dict(layout.nodes)
    for population in graph.populations:
        if population.name not in layout.relays:
            shape = layout.shapes[population.name]
            nodes[population.name] = _neurons(graph, population, shape, chosen, losses, importer)
    _note_program(program, losses)
    edges = sorted(layout.edges)
    unread: tuple[Finding, ...] = ()
    if importer is not None:
        edges = importer.ordered(nodes, edges)
        unread = importer.unread(nodes, edges, layout.rows, chosen)
    findings = (*losses.findings(), *_untypable(nodes), *unread)
    stated = {SEMANTICS: str(chosen)}
    if graph.dt is not None:
        stated[STEP] = repr(float(graph.dt))
    if findings:
        stated[FINDINGS] = "\n".join(map(str, findings))
    image = _image(nodes, edges, stated)
    with whole_file(Path(path)) as temporary:
        temporary.write_bytes(image)
    return findings


def _meaning(
    graph: Graph, semantics: str | Semantics | None, losses: Losses
) -> tuple[Graph, Semantics, Importer | None]:
    """Return the network that the file is to hold, its convention, and who will read it."""
    if semantics is None:
        return graph, convention(graph, losses), None
    chosen = Semantics.parse(semantics) if isinstance(semantics, str) else semantics
    return named(graph, chosen, losses), chosen, IMPORTERS.get(chosen.name)


# ---------------------------------------------------------------- neurons


def _neurons(
    graph: Graph,
    population: Population,
    shape: tuple[int, ...],
    semantics: Semantics,
    losses: Losses,
    importer: Importer | None,
) -> Node:
    """Return the node of a population.

    Raises:
        SpikecError: SPK1049 on a kind of neuron that NIR has no node for, SPK1047 without a step.
    """
    model = population.neuron
    if isinstance(model, INVERTIBLE):
        if graph.dt is None:
            raise no_step(population.name, f"its {model.kind} is per step")
        model = continuous(population, model, semantics, graph.dt, losses, importer)
    kind = TYPES.get(model.__class__)
    if kind is None:
        raise not_in_nir(
            population.name,
            f"NIR has no node for a {model.kind}",
            f"Use neurons that are {', '.join(TYPES.values())} there",
        )
    values = model.broadcast(population.size)
    for name in ("v_init", "u_init"):
        if name in values and values[name].any():
            losses.add("initial state", population.name, f"{name} is not zero")
    fields = {name: values[name].reshape(shape) for name in FIELDS[kind].all}
    return Node(kind, fields)


# ---------------------------------------------------------------- losses


def _note_program(program: Program, losses: Losses) -> None:
    """Note what a node or an edge has no field for."""
    for node in program.graph.nodes:
        if isinstance(node, Input) and not isinstance(node.signal, Float):
            losses.add("signal", node.name, f"it takes {node.signal}")
        if isinstance(node, Population) and node.formats:
            losses.add("formats", node.name, "its states are integers")
        if isinstance(node, Population) and node.start:
            losses.add("start", node.name, f"it begins in step {node.start}")
    for p in program.graph.projections:
        if p.storage != p.synapse.storage:
            losses.add("storage", str(p), f"it is stored as {p.storage}")
    if program.mapping is not None:
        losses.add("mapping", "mapping", f"{program.mapping.size} cores hold the network")


def _untypable(nodes: Mapping[str, Node]) -> tuple[Finding, ...]:
    """Return a finding for convolutions whose shapes nir 1.0.8 infers wrongly."""
    wrong = [name for name, node in nodes.items() if shape_is_wrong_in_nir(node)]
    text = "nir 1.0.8 infers a wrong shape here: read the file with type_check=False"
    return (Finding("SPK1048", ", ".join(wrong[:5]), text),) if wrong else ()


# ---------------------------------------------------------------- HDF5


def _image(
    nodes: Mapping[str, Node], edges: list[tuple[str, str]], metadata: Mapping[str, str]
) -> bytes:
    """Return the bytes of the file: what nir writes, without compression and times."""
    # Kept in memory, so that all that can fail on a disk is one write.
    with h5py.File("nir", "w", driver="core", backing_store=False) as file:
        _put(file, "version", str(nir.version))
        root = file.create_group("node")
        _put(root, "type", "NIRGraph")
        group = root.create_group("nodes")
        for name in sorted(nodes):
            _put_node(group.create_group(name), nodes[name])
        root.create_dataset("edges", data=edges, dtype=h5py.string_dtype(), track_times=False)
        group = root.create_group("metadata")
        for key in sorted(metadata):
            _put(group, key, metadata[key])
        file.flush()
        image: bytes = file.id.get_file_image()
    return image


def _put_node(group: Any, node: Node) -> None:
    _put(group, "type", node.type)
    for name, value in node.fields.items():
        _put(group, name, value)


def _put(group: Any, name: str, value: Any) -> None:
    kind = h5py.string_dtype() if isinstance(value, str) else np.asarray(value).dtype
    group.create_dataset(name, data=value, dtype=kind, track_times=False)
