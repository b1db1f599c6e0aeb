"""Spiking networks in ONNX, one step: x and states in, spikes and next states out.

The first input of the graph is the data, every other one a state. A state belongs to the output
whose equation reads it; what that leaves open (spikes that only weights read) is settled by the
order of inputs and outputs, and told. States begin at zero.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.frontends.onnx_file import OnnxModel, read_onnx
from spikec.compiler.frontends.onnx_graph import Walk
from spikec.compiler.frontends.onnx_linear import OPERATORS as LINEAR
from spikec.compiler.frontends.onnx_network import Carrier, Network, live_atoms
from spikec.compiler.frontends.onnx_neurons import Cell, MismatchError, match
from spikec.compiler.frontends.onnx_unrolled import roll
from spikec.compiler.frontends.onnx_values import (
    Above,
    Atom,
    Entry,
    Mapped,
    Rectified,
    Value,
    close,
)
from spikec.compiler.ir import Graph, Node, Output
from spikec.compiler.neurons.threshold import Threshold
from spikec.compiler.synapses import Shape
from spikec.compiler.types import Tensor
from spikec.compiler.verify import verify_graph

SHOWN = 16  # nodes of a subgraph that are named


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """A network, and where its signals are in the file.

    Attributes:
        graph: The network.
        steps: How many steps the file holds, unrolled; None where it is a single one.
        following: Of a single step: by state, the output that is its next value, and its shape.
        sent: By population, the tensor that it sends.
        state: Of a single step: by population and state, the tensor that is its next value.
    """

    graph: Graph
    steps: int | None
    following: Mapping[str, tuple[str, Shape]]
    sent: Mapping[str, str]
    state: Mapping[str, Mapping[str, str]]


def load_onnx(source: str | Path) -> Graph:
    """Return the graph of a spiking network in an ONNX file; errors of ``load_parts``."""
    return load_parts(source).graph


def load_parts(source: str | Path) -> Parts:
    """Return a spiking network in an ONNX file, and where its signals are.

    Raises:
        SpikecError: SPK1401 to SPK1437.
    """
    model = read_onnx(source)
    rolled = roll(model)
    if rolled is None:
        return build(model, {})
    parts = build(rolled.model, rolled.states)
    text = f"{rolled.steps} equal steps are rolled up into one"
    findings = (*parts.graph.findings, Finding("SPK1451", parts.graph.name, text))
    # The outputs of the file hold all steps of those of the one step, in the same order.
    whole = dict(zip(rolled.model.outputs, model.outputs, strict=False))
    sent = {population: whole[name] for population, name in parts.sent.items() if name in whole}
    return Parts(replace(parts.graph, findings=findings), rolled.steps, {}, sent, {})


def build(model: OnnxModel, states: Mapping[str, str]) -> Parts:
    """Return a single-step model.

    Args:
        model: The step.
        states: Output that is the next value of a state, by input, as far as that is known.

    Raises:
        SpikecError: SPK1420 to SPK1437.
    """
    walk = Walk(model)
    outputs = {name: walk.output(name) for name in model.outputs}
    live = live_atoms(outputs.values())
    _check_kind(model, walk, live)
    found: list[Finding] = []
    pairs = _pairs(walk, outputs, states, found)
    names = {id(value): name for name, value in outputs.items()}
    cells = _cells(model, walk, pairs, names)
    network = Network()
    placed = _place(network, walk, cells, pairs, names)
    for atom in walk.atoms:
        if atom not in live:
            continue
        if isinstance(atom, Mapped):
            network.carry(atom.source)
        if isinstance(atom, Above) and atom not in network.carriers and not _own(atom, pairs):
            _compare(network, atom)
    for name, cell in placed.items():
        network.project(name, cell.input)
    ends = _outputs(network, outputs, pairs)
    nodes: tuple[Node, ...] = (*network.inputs, *network.populations, *ends)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", model.name)[:128] or "onnx"
    metadata = dict(model.metadata)
    graph = Graph(name, nodes, tuple(network.projections), None, metadata, tuple(found))
    verify_graph(graph)
    return _parts(graph, outputs, network, pairs, names, dict(zip(placed, cells, strict=True)))


def _parts(
    graph: Graph,
    outputs: Mapping[str, Value],
    network: Network,
    pairs: Mapping[Entry, Value],
    names: Mapping[int, str],
    membranes: Mapping[str, Entry],
) -> Parts:
    """Return the network with where its signals are."""
    following = {s.name: (names[id(value)], s.shape) for s, value in pairs.items()}
    sent = {
        carrier.name: atom.name
        for atom, carrier in network.carriers.items()
        if isinstance(atom, Above) and not carrier.delay
    }
    # An output of the file is preferred to what it is made of.
    sent |= {
        network.carriers[atom].name: name
        for name, value in outputs.items()
        if (atom := value.single()) in network.carriers and not network.carriers[atom].delay
    }
    state: dict[str, dict[str, str]] = {}
    for name, v in membranes.items():
        held = {"v": following[v.name][0]}
        for u in pairs:
            if u is not v and u in pairs[v].atoms and not isinstance(pairs[u].single(), Above):
                held["u"] = following[u.name][0]
        state[name] = held
        if graph.population(name).model().emits == "values":
            sent[name] = held["v"]
    return Parts(graph, None, following, sent, state)


def _check_kind(model: OnnxModel, walk: Walk, live: set[Atom]) -> None:
    """Refuse a network that is not spiking.

    Raises:
        SpikecError: SPK1430 on a rectifier or a Softmax.
    """
    wrong = [a.name for a in walk.atoms if isinstance(a, Rectified) and a in live]
    if wrong or walk.softmax or not any(isinstance(a, Above) for a in live):
        text = f"'{wrong[0]}' is a rectifier" if wrong else "nothing in it spikes"
        raise SpikecError(
            "SPK1430",
            model.name,
            f"it is no spiking network: {text}",
            "Convert a ReLU network with spikec convert, or spikec.convert",
        )


# ---------------------------------------------------------------- states


def _pairs(
    walk: Walk, outputs: Mapping[str, Value], known: Mapping[str, str], found: list[Finding]
) -> dict[Entry, Value]:
    """Return the next value of every state.

    Raises:
        SpikecError: SPK1431 on a state without a single output that can be its next value.
    """
    entries = [a for a in walk.atoms if isinstance(a, Entry)]
    waiting, free = entries[1:], dict(outputs)
    pairs: dict[Entry, Value] = {}

    def pair(state: Entry, name: str) -> None:
        pairs[state] = free.pop(name)
        waiting.remove(state)

    for state in tuple(waiting):
        if state.name in known:
            pair(state, known[state.name])
    changed = True
    while changed:
        changed = False
        for name, value in list(free.items()):
            reads = [s for s in waiting if s in value.atoms and s.shape == value.shape]
            if len(reads) == 1 and not isinstance(value.single(), Above):
                pair(reads[0], name)
                changed = True
    for state in tuple(waiting):
        fitting = [n for n, v in free.items() if v.shape == state.shape]
        alike = [s for s in waiting if s.shape == state.shape]
        if len(fitting) != len(alike):
            raise SpikecError(
                "SPK1431",
                f"input '{state.name}'",
                f"of the outputs {', '.join(fitting) or 'none'} it is not clear which is its next "
                "value",
                "Return every state, in the order in which the inputs take them",
            )
        text = f"is taken as output '{fitting[0]}' of the step before, by their order"
        found.append(Finding("SPK1432", f"input '{state.name}'", text))
        pair(state, fitting[0])
    return pairs


def _cells(
    model: OnnxModel, walk: Walk, pairs: Mapping[Entry, Value], names: Mapping[int, str]
) -> dict[Entry, Cell]:
    """Return the neuron of every membrane.

    Raises:
        SpikecError: SPK1433 on an equation that is none.
    """
    steps = [a for a in walk.atoms if isinstance(a, Above)]
    values = {s: v for s, v in pairs.items() if not isinstance(v.single(), Above)}
    read = {s: [u for u in values if u in v.atoms and u is not s] for s, v in values.items()}
    currents = {u for listed in read.values() for u in listed}
    cells: dict[Entry, Cell] = {}
    for v, following in values.items():
        if v in currents and not read[v]:
            continue
        try:
            if len(read[v]) > 1 or v in currents:
                raise MismatchError(f"it depends on {len(read[v])} other states")
            current = next(((u, values[u]) for u in read[v]), None)
            cells[v] = match(v, following, current, steps)
        except MismatchError as mismatch:
            raise SpikecError(
                "SPK1433",
                f"state '{v.name}'",
                f"its equation {v.name} <- {str(following)[:300]} is no neuron model: {mismatch}; "
                f"nodes {_subgraph(model, names[id(following)])}",
                "See docs/onnx.md for those that are recognised",
            ) from None
    return cells


def _subgraph(model: OnnxModel, output: str) -> str:
    """Return the nodes that compute an output, back to linear maps and inputs."""
    makers = {name: node for node in model.nodes for name in node.outputs}
    waiting, seen = [output], dict[str, str]()
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or node.op == "Constant" or node.name in seen:
            continue
        seen[node.name] = f"{node.name} ({node.op})"
        if node.op not in LINEAR:
            waiting.extend(node.inputs)
    shown = list(reversed(seen.values()))
    return ("..., " if len(shown) > SHOWN else "") + ", ".join(shown[-SHOWN:])


# ---------------------------------------------------------------- populations


def _place(
    network: Network,
    walk: Walk,
    cells: Mapping[Entry, Cell],
    pairs: Mapping[Entry, Value],
    names: Mapping[int, str],
) -> dict[str, Cell]:
    """Add the data input and a population for every neuron; say what carries their signals."""
    entries = [a for a in walk.atoms if isinstance(a, Entry)]
    network.add_input(entries[0])
    placed: dict[str, Cell] = {}
    for v, cell in cells.items():
        following = pairs[v]
        name = network.add_population(names[id(following)], v.shape, cell.neuron)
        placed[name] = cell
        if cell.spike is None:
            network.carry_as(following, Carrier(name))
            continue
        network.carriers[cell.spike] = Carrier(name)
        for atom in walk.atoms:
            if isinstance(atom, Above) and _is_old(atom, v, cell):
                network.carriers[atom] = Carrier(name, 1)
    for state, following in pairs.items():
        spike = following.single()
        if spike in network.carriers:
            network.carriers[state] = Carrier(network.carriers[spike].name, 1)
    return placed


def _is_old(atom: Above, v: Entry, cell: Cell) -> bool:
    """Return whether a step is the spike of the step before, told from the old membrane."""
    fields = cell.neuron.parameters()
    if cell.neuron.options()["reset_phase"] != "next" or atom is cell.spike:
        return False
    difference = Value.of(v).plus(atom.inner, -1.0)
    threshold = fields["threshold"].real().reshape(-1)
    constant = difference.constant.reshape(-1)
    return not difference.atoms and atom.shape == v.shape and close(constant, threshold)


def _own(atom: Above, pairs: Mapping[Entry, Value]) -> bool:
    """Return whether a step reads a state, so that it is a neuron's own."""
    return not atom.inner.atoms.isdisjoint(pairs)


def _compare(network: Network, atom: Above) -> None:
    """Add neurons without a state: they spike where their input is above a threshold."""
    threshold = Tensor.floats(-atom.inner.constant)
    neuron = Threshold(threshold=threshold, compare=atom.compare)
    name = network.add_population(atom.name, atom.shape, neuron)
    network.project(name, atom.inner, bias=False)
    network.carriers[atom] = Carrier(name)


def _outputs(
    network: Network, outputs: Mapping[str, Value], pairs: Mapping[Entry, Value]
) -> list[Output]:
    """Return the outputs: all that are no states of a spiking neuron."""
    states = {id(v) for v in pairs.values()}
    made: list[Output] = []
    for name, value in outputs.items():
        spikes = isinstance(value.single(), Above)
        if spikes or id(value) not in states or network.carries(value):
            made.append(Output(network.free_output(name), network.carry(value).name))
    return made
