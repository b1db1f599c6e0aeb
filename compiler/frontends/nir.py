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
from typing import Any

import numpy as np

from spikec.compiler.equation import Dynamics
from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.frontends.nir_cycles import back_edges, edges_in_cycles
from spikec.compiler.frontends.nir_file import MAX_EDGES, SEMANTICS, STEP, NirSource, read_nir
from spikec.compiler.frontends.nir_network import Network, flatten
from spikec.compiler.frontends.nir_nodes import Part
from spikec.compiler.frontends.nir_raw import MAX_INTEGER
from spikec.compiler.ir import Graph, Input, Output, Population, Projection
from spikec.compiler.neurons.cuba_lif import ContinuousCubaLIF
from spikec.compiler.neurons.lif import ContinuousLIF
from spikec.compiler.neurons.relay import Relay
from spikec.compiler.semantics import Semantics
from spikec.compiler.synapses import identity
from spikec.compiler.types import Array, Tensor
from spikec.compiler.untyped import networkx as nx
from spikec.compiler.verify import verify_graph

# Time constants in a file are often float32, which has 7 digits.
TOLERANCE = 1e-6


def load_nir(source: object, semantics: Semantics | None = None, dt: float | None = None) -> Graph:
    """Return the graph of a .nir file or of a nir.NIRGraph.

    A file that spikec has written states semantics and step in its metadata; they hold where none
    are given.

    Args:
        source: Path, nir.NIRGraph, or what ``read_nir`` returned.
        semantics: What the file leaves open; ``nir`` if neither given nor stated.
        dt: Step in seconds; None where it is stated, or ``semantics`` implies one.

    Raises:
        SpikecError: SPK1001 to SPK1058, SPK04xx on semantics that the file states, or what
            ``verify_graph`` finds.
    """
    file = source if isinstance(source, NirSource) else read_nir(source)
    found: list[Finding] = []
    if semantics is None:
        semantics = stated_semantics(file, found)
    network = flatten(file.root, semantics, found)
    step = _step(network, semantics, dt, stated_step(file), found)
    wiring = _Wiring(network, _links(network, step))
    populations = _ordered(wiring)
    projections = _schedule(wiring, populations, semantics, found)
    graph = Graph(
        re.sub(r"[^A-Za-z0-9_.-]", "_", file.name)[:128] or "nir",
        (*wiring.inputs, *populations, *wiring.outputs),
        projections,
        step,
        {**file.metadata, "semantics": str(semantics)},
        (*found, *_idle(wiring, projections)),
    )
    verify_graph(graph)
    return graph


# ---------------------------------------------------------------- what the file states


def stated_semantics(file: NirSource, found: list[Finding]) -> Semantics:
    """Return the semantics in the metadata, or the default; errors of ``Semantics.parse``."""
    text = file.stated.get(SEMANTICS)
    if text is None:
        return Semantics()
    try:
        semantics = Semantics.parse(text)
    except SpikecError as error:
        raise error.at(f"metadata.{SEMANTICS}") from None
    found.append(Finding("SPK1059", "semantics", f"{semantics} is what the file states"))
    return semantics


def stated_step(file: NirSource) -> float | None:
    """Return the step in the metadata.

    Raises:
        SpikecError: SPK1032 when it is no number.
    """
    text = file.stated.get(STEP)
    try:
        return None if text is None else float(text)
    except ValueError:
        raise SpikecError(
            "SPK1032", f"metadata.{STEP}", f"'{text}' is not a number", "Write the file again"
        ) from None


# ---------------------------------------------------------------- the step


def _step(
    network: Network,
    semantics: Semantics,
    dt: float | None,
    stated: float | None,
    found: list[Finding],
) -> float | None:
    """Return the step in seconds: given, stated, assumed by the semantics, or derived.

    Raises:
        SpikecError: SPK1020 when there is none and something needs it, SPK1050 when it is not
            positive.
    """
    step, origin = dt, ""
    if step is None and stated is not None:
        step, origin = stated, "is what the file states"
    if step is None and semantics.dt is not None:
        step, origin = semantics.dt, f"is the step that {semantics.name} assumes"
    if step is None and semantics.step_rule != "given":
        step, origin = _derived(network, semantics), f"is {semantics.step_rule} of the LIF nodes"
    if step is None:
        if any(isinstance(p.neuron, Dynamics) or p.delay for p in network.parts.values()):
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
    steps: dict[str, Array] = {}
    for name, part in network.parts.items():
        if isinstance(part.neuron, ContinuousLIF):
            steps[name] = _implied(part.neuron.tau, part.neuron.r, semantics)
        if isinstance(part.neuron, ContinuousCubaLIF):
            steps[name] = _implied(part.neuron.tau_mem, part.neuron.r, semantics)
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


def _implied(tau: Tensor, r: Tensor, semantics: Semantics) -> Array:
    factor = r.real() if semantics.step_rule == "tau/r" else 1.0 + r.real()
    with np.errstate(all="ignore"):
        product = semantics.step_rule == "tau*(1+r)"
        return np.asarray(tau.real() * factor if product else tau.real() / factor)


# ---------------------------------------------------------------- connections


@dataclass(frozen=True, slots=True)
class _Link:
    """A connection between nodes that carry or map a signal, with its delay in steps."""

    source: str
    target: str
    delay: int


def _links(network: Network, dt: float | None) -> list[_Link]:
    """Return the connections that remain when nodes which only reshape or delay are gone.

    Raises:
        SpikecError: SPK1052 when such nodes form a cycle, SPK1053 on too many connections.
    """
    ends = {name for name in network.nodes if _is_end(network, name)}
    through = network.flow.subgraph(set(network.nodes) - ends)
    if not nx.is_directed_acyclic_graph(through):
        cycle = [a for a, *_ in nx.find_cycle(through, sorted(through))]
        raise SpikecError(
            "SPK1052",
            cycle[0],
            f"cycle without neurons or weights: {' -> '.join([*cycle, cycle[0]])}",
            "Put a neuron into it, or remove it",
        )
    arriving: dict[str, list[tuple[str, int]]] = {}
    total = 0
    for name in chain(nx.lexicographical_topological_sort(through), sorted(ends)):
        delay = _delay_steps(network, name, dt)
        arriving[name] = []
        for source, _ in sorted(network.flow.in_edges(name)):
            before = [(source, 0)] if source in ends else arriving[source]
            total += len(before)
            if total > MAX_EDGES:
                raise SpikecError(
                    "SPK1053", name, f"more than {MAX_EDGES} connections meet", "Split the model"
                )
            arriving[name] += [(origin, steps + delay) for origin, steps in before]
    return [_Link(source, name, steps) for name in sorted(ends) for source, steps in arriving[name]]


def _is_end(network: Network, name: str) -> bool:
    """Return whether a node carries or maps a signal, rather than reshape or delay it."""
    part = network.parts[name]
    boundary = network.nodes[name].type in ("Input", "Output")
    return boundary or part.neuron is not None or part.synapse is not None


def _delay_steps(network: Network, name: str, dt: float | None) -> int:
    """Return the delay of a Delay node in steps; 0 for any other.

    Raises:
        SpikecError: SPK1054 when it is not a whole number of steps.
    """
    if network.nodes[name].type != "Delay" or dt is None:
        return 0
    seconds = network.parts[name].delay
    steps = seconds / dt
    if 0 <= steps <= MAX_INTEGER and abs(steps - round(steps)) <= TOLERANCE * max(steps, 1.0):
        return round(steps)
    raise SpikecError(
        "SPK1054",
        f"{name}.delay",
        f"{seconds:g} s is {steps:g} steps of {dt:g} s, not a whole number from 0",
        "Choose a --dt that divides the delay",
    )


# ---------------------------------------------------------------- populations and projections


class _Wiring:
    """Carriers and the linear maps between them, with the delays of the file."""

    def __init__(self, network: Network, links: list[_Link]) -> None:
        """Decide which relays are needed, then wire."""
        self.parts: Mapping[str, Part] = network.parts
        self.maps = {n: p.synapse for n, p in self.parts.items() if p.synapse is not None}
        self.inputs = [Input(n, self.parts[n].shape) for n in network.of_type("Input")]
        self.into: dict[str, list[_Link]] = defaultdict(list)
        self.out_of: dict[str, list[_Link]] = defaultdict(list)
        for link in links:
            self.into[link.target].append(link)
            self.out_of[link.source].append(link)
        outputs = network.of_type("Output")
        summed = [n for n in sorted(self.maps) if len(self.into[n]) > 1]
        summed += [n for n in outputs if not self._can_tap(n)]
        taken = set(network.nodes)
        self.sums = {name: _free_name(f"{name}.sum", taken) for name in summed}
        self.relayed = {name for name in self.maps if self._needs_relay(name)}
        self.relays = self.relayed | set(self.sums.values())
        self.populations = {p.name: p for p in self._populations()}
        self.outputs = [Output(n, self.sums.get(n, self.into[n][0].source)) for n in outputs]
        self.projections = [*self._passed_on(links), *map(self._mapped, sorted(self.maps))]
        inputs = [i.name for i in self.inputs]
        self.back = back_edges(inputs, self.populations, self.projections)

    def _can_tap(self, output: str) -> bool:
        """Return whether an output is just what one population sends in the same step."""
        inputs = {i.name for i in self.inputs}
        return [(n.source in inputs, n.delay) for n in self.into[output]] == [(False, 0)]

    def _needs_relay(self, name: str) -> bool:
        """Return whether a map cannot end in the one population that reads it."""
        if len(self.out_of[name]) != 1:
            return True
        (link,) = self.out_of[name]
        # In a projection the bias acts from the first step on; a delayed sum holds it back.
        held_back = link.delay > 0 and self.maps[name].bias is not None
        neuron = self.parts[link.target].neuron is not None
        return held_back or not (neuron or link.target in self.sums)

    def _populations(self) -> Iterable[Population]:
        for name, part in self.parts.items():
            if part.neuron is not None:
                yield Population(name, part.shape, part.neuron)
            if name in self.relayed:
                yield Population(name, part.shape, Relay())
            if name in self.sums:
                yield Population(self.sums[name], part.arrives, Relay())

    def _passed_on(self, links: list[_Link]) -> Iterable[Projection]:
        """Yield the connections from a carrier to a carrier without a map in between."""
        for link in links:
            carried = link.source not in self.maps or link.source in self.relayed
            target = self.sums.get(link.target, link.target)
            if carried and target in self.populations and target not in self.relayed:
                size = self.populations[target].size
                yield Projection(link.source, target, identity(size), delay=link.delay)

    def _mapped(self, name: str) -> Projection:
        """Return the projection that is one linear map."""
        synapse, before = self.maps[name], self.into[name][0]
        source, delay = (self.sums[name], 0) if name in self.sums else (before.source, before.delay)
        if name in self.relayed:
            return Projection(source, name, synapse, delay=delay)
        (after,) = self.out_of[name]
        target = self.sums.get(after.target, after.target)
        return Projection(source, target, synapse, delay=delay + after.delay)


def _free_name(wanted: str, taken: set[str]) -> str:
    """Return ``wanted``, or with .2, .3 and so on behind it; take it."""
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}.{number}", number + 1
    taken.add(name)
    return name


# ---------------------------------------------------------------- delays of hops and of feedback


def _schedule(
    wiring: _Wiring,
    populations: list[Population],
    semantics: Semantics,
    found: list[Finding],
) -> tuple[Projection, ...]:
    """Return the projections with the delays that the semantics adds.

    A connection through relays is one hop, which its first projection carries. A cycle that has
    an explicit delay is left alone; any other gets the feedback delay where it closes.
    """
    prompt = nx.DiGraph([(p.source, p.target) for p in wiring.projections if p.delay == 0])
    closing = wiring.back & edges_in_cycles(prompt)
    relay_loops = edges_in_cycles(prompt.subgraph(wiring.relays))
    looping = {name for edge in relay_loops for name in edge}
    made: list[Projection] = []
    position = {p.name: k for k, p in enumerate(populations)}
    for p in sorted(wiring.projections, key=lambda p: (position[p.target], p.source)):
        hop = 0 if p.source in wiring.relays else semantics.hop_delay
        added = hop
        if p.delay == 0 and (p.source, p.target) in closing:
            within = p.source in wiring.relays and p.source not in looping
            before = semantics.hop_delay if within else 0
            added = max(hop, semantics.feedback_delay - before)
        if added > hop:
            text = f"closes a cycle, so it is delayed by {added} step{'s' * (added > 1)}"
            found.append(Finding("SPK1069", str(p), f"{text} (feedback_delay of {semantics.name})"))
        made.append(replace(p, delay=p.delay + added))
    return tuple(made)


# ---------------------------------------------------------------- order and idle populations


def _ordered(wiring: _Wiring) -> list[Population]:
    """Return the populations from the inputs to the outputs, those side by side by name."""
    flow = nx.DiGraph()
    flow.add_nodes_from(wiring.populations)
    flow.add_edges_from(
        (p.source, p.target)
        for p in wiring.projections
        if p.source in wiring.populations and (p.source, p.target) not in wiring.back
    )
    return [wiring.populations[n] for n in nx.lexicographical_topological_sort(flow)]


def _idle(wiring: _Wiring, projections: Iterable[Projection]) -> Iterable[Finding]:
    """Yield a finding for what no input reaches and for what reaches no output."""
    flow = nx.DiGraph([(p.source, p.target) for p in projections])
    flow.add_nodes_from(chain(wiring.populations, (i.name for i in wiring.inputs)))
    reached = _reachable(flow, [i.name for i in wiring.inputs])
    used = _reachable(flow.reverse(copy=False), [o.source for o in wiring.outputs])
    for name in (*(i.name for i in wiring.inputs), *sorted(wiring.populations)):
        if name not in reached:
            yield Finding("SPK1070", name, "no path leads here from an Input")
        if name not in used:
            yield Finding("SPK1071", name, "no path leads from here to an Output")


def _reachable(flow: Any, starts: Iterable[str]) -> set[str]:
    """Return all nodes on paths from ``starts``, themselves included."""
    seen = set(starts)
    waiting = list(seen)
    while waiting:
        new = set(flow.successors(waiting.pop())) - seen
        seen |= new
        waiting.extend(new)
    return seen
