"""A network as NIR nodes and edges.

A carrier (an input, neurons) is a node of its name. A projection is a row of nodes from its source
to its target: Delay, Flatten, the map, Flatten, of which none is needed where signal and target
agree. A Relay is the node of the map that ends in it; or, where it only sums what enters one map or
one output, nothing at all, since edges that meet are summed; else a Scale by one.

The frontend reads all of this back, with the same names where a network came from NIR.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from math import prod

import numpy as np

from spikec.compiler.frontends.nir_cycles import Pair as Edge
from spikec.compiler.frontends.nir_cycles import back_edges, edges_in_cycles
from spikec.compiler.frontends.nir_importers import Importer, Row, identity
from spikec.compiler.frontends.nir_losses import Losses, no_step, not_in_nir
from spikec.compiler.frontends.nir_maps import (
    Image,
    Node,
    delivered,
    image_nodes,
    is_plain,
    is_scale,
    matrix,
    scale,
)
from spikec.compiler.ir import Graph, Population, Projection
from spikec.compiler.neurons.relay import Relay
from spikec.compiler.synapses import AllButSelf, Dense, OneToOne, Pair, Shape
from spikec.compiler.types import Array
from spikec.compiler.untyped import networkx as nx

MAX_MATRIX = 1 << 26  # elements of a matrix made of sparse weights: half a gigabyte
MOST_CHANGES = 3
MAX_BASE = 100  # characters of a made-up name, of 128, before what tells it from others


class Layout:
    """The nodes by name and the edges of a network; neurons are still missing among the nodes."""

    def __init__(
        self, graph: Graph, feedback: int, losses: Losses, importer: Importer | None = None
    ) -> None:
        """Lay out a graph.

        Args:
            graph: The network.
            feedback: Steps by which the reader delays what closes a cycle.
            losses: Collects what gets lost.
            importer: Who will read it, if that is known.

        Raises:
            SpikecError: SPK1049 when NIR has no node for a part of it, SPK1047 on a delay of steps
                that have no length.
        """
        if "." in (n.name for n in graph.nodes):
            raise not_in_nir("population", "no HDF5 group can be called '.'", "Rename it")
        # Synapses with delays of their own are as many maps as there are delays.
        split = tuple(q for p in graph.projections for q in p.by_delay())
        self.graph, self.losses = replace(graph, projections=split), losses
        self.importer = importer
        self.rows: list[Row] = []
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.taken = {i.name for i in graph.inputs} | {p.name for p in graph.populations}
        self.out_of: dict[str, list[Projection]] = defaultdict(list)
        for p in split:
            self.out_of[p.source].append(p)
        self.taps = Counter(o.source for o in graph.outputs)
        self.relays = {p.name for p in graph.populations if isinstance(p.neuron, Relay)}
        self.mapped = {name for name in self.relays if self._is_map(name)}
        self.skipped = {name for name in self.relays - self.mapped if self._only_sums(name)}
        self.outputs = {o.name: self._output_name(o.name) for o in graph.outputs}
        self.shapes = _shapes(self.graph, self.mapped)
        self.plain: set[Edge] = set()
        implied = self._implied_delays(feedback)
        rows = [(p, self._row(p, 0 if id(p) in implied else p.delay)) for p in split]
        self.entry = {p.source: row[0] for p, row in rows if p.source in self.skipped}
        self._boundaries()
        self._connect(rows, implied)
        if importer is not None:
            self.nodes = {name: importer.known(node) for name, node in self.nodes.items()}
        self._note_order()

    # ------------------------------------------------------------ relays

    def _is_map(self, relay: str) -> bool:
        """Return whether a relay is just where one map ends."""
        into = self.graph.into(relay)
        return len(into) == 1 and not is_plain(into[0].synapse)

    def _only_sums(self, relay: str) -> bool:
        """Return whether a relay only adds up what enters one map, or one output."""
        if not self.graph.into(relay):
            raise not_in_nir(
                relay, "nothing feeds this relay, and NIR has no constant", "Remove it"
            )
        after, taps = self.out_of[relay], self.taps[relay]
        if not after:
            return taps == 1
        # A delay then stands behind the map, which for a bias is not the same.
        prompt = after[0].delay == 0 or after[0].synapse.bias is None
        return len(after) == 1 and not taps and prompt and self._maps(after[0])

    def _maps(self, p: Projection) -> bool:
        return not is_plain(p.synapse)

    def _is_canonical(self, relay: str) -> bool:
        """Return whether the frontend makes the same relay of what is written for it."""
        after, taps = self.out_of[relay], self.taps[relay]
        if relay in self.mapped:
            (into,) = self.graph.into(relay)
            alone = len(after) == 1 and not taps
            held_back = alone and after[0].delay > 0 and into.synapse.bias is not None
            return not alone or held_back or self._maps(after[0])
        return relay in self.skipped and relay.endswith(".sum")

    # ------------------------------------------------------------ delays

    def _implied_delays(self, feedback: int) -> set[int]:
        """Return the projections, by identity, whose delay the reader adds by itself."""
        if not feedback or not all(self._is_canonical(r) for r in self.relays):
            return set()
        inputs = (i.name for i in self.graph.inputs)
        populations = (p.name for p in self.graph.populations)
        back = back_edges(inputs, populations, self.graph.projections)
        chosen = [p for p in self.graph.projections if p.delay == feedback and _pair(p) in back]
        while True:
            ids = {id(p) for p in chosen}
            prompt = [p for p in self.graph.projections if not p.delay or id(p) in ids]
            closing = back & edges_in_cycles(nx.DiGraph([_pair(p) for p in prompt]))
            if any(not p.delay and _pair(p) in closing for p in self.graph.projections):
                return set()
            kept = [p for p in chosen if _pair(p) in closing]
            if len(kept) == len(chosen):
                return ids
            chosen = kept

    # ------------------------------------------------------------ rows of nodes

    def _row(self, p: Projection, delay: int) -> list[str]:
        """Add the nodes of a projection and return their names in order; may be none."""
        base = f"{p.source}_to_{p.target}"[:MAX_BASE]
        if p.source in self.skipped and p.source.endswith(".sum"):
            base = p.source.removesuffix(".sum")
        shape = self.shapes[p.source]
        row: list[str] = []
        # NIR has no second edge between the same nodes, so that one has a delay, if of zero.
        behind = p.source in self.skipped
        if (delay and not behind) or (is_plain(p.synapse) and _pair(p) in self.plain):
            row.append(self._add(f"{base}_delay", self._delay(shape, delay, p)))
        if is_plain(p.synapse):
            self.plain.add(_pair(p))
        if not (isinstance(p.synapse, Image) or is_scale(p.synapse)):
            row += self._flatten(base, shape, (prod(shape),))
            shape = (prod(shape),)
        if p.source == p.target and self.importer is not None and self.importer.mends_loops:
            row.append(self._add(f"{base}_loop", identity(shape)))
        row += self._map(p, shape, base)
        shape = delivered(p.synapse, shape)
        if delay and behind:
            row.append(self._add(f"{base}_delay", self._delay(shape, delay, p)))
        row += self._flatten(base, shape, self.shapes[p.target])
        return row

    def _map(self, p: Projection, shape: Shape, base: str) -> list[str]:
        made = self._map_nodes(p, shape)
        names = [self._add(f"{base}_pool", node) for node in made[:-1]]
        for node in made[-1:]:
            if p.target in self.mapped:
                self.nodes[p.target] = node
                names.append(p.target)
            else:
                names.append(self._add(base, node))
        return names

    def _map_nodes(self, p: Projection, shape: Shape) -> list[Node]:
        """Return the nodes of a linear map from a signal of ``shape``; none for the identity.

        Raises:
            SpikecError: SPK1049 when the signal is not the image that it takes, or the matrix of
                its sparse weights would be too large.
        """
        synapse = p.synapse
        bias = None if synapse.bias is None else synapse.bias.real()
        if isinstance(synapse, Image):
            if shape == synapse.in_shape:
                return image_nodes(
                    str(p), synapse, bias, None if self.importer is None else self.importer.reads
                )
            raise not_in_nir(
                str(p),
                f"its {synapse.kind} takes an image of {synapse.in_shape} but in NIR {shape} "
                "arrives, which nothing can fold",
                "Feed it from an input or a convolution of that shape",
            )
        if is_plain(synapse):
            return []
        if isinstance(synapse, OneToOne) and bias is None:
            return [scale(synapse, shape)]
        weight = synapse.weight.real() if isinstance(synapse, Dense) else self._as_matrix(p)
        return [matrix(weight, bias)]

    def _as_matrix(self, p: Projection) -> Array:
        rows, columns = p.synapse.out_size, p.synapse.in_size
        if rows * columns > MAX_MATRIX:
            raise not_in_nir(
                str(p),
                f"its {p.synapse.kind} weights would be a matrix of {rows} x {columns}, more than "
                f"{MAX_MATRIX} elements",
                "Split the populations",
            )
        self.losses.add("sparse", str(p), f"{rows} x {columns} weights are written as a matrix")
        weight = p.synapse.weight
        stored = np.asarray(p.synapse.to_sparse().toarray(), dtype=np.float64)
        return np.asarray(np.ldexp(stored, -weight.frac) * weight.scale)

    def _delay(self, shape: Shape, steps: int, p: Projection) -> Node:
        if steps and self.graph.dt is None:
            raise no_step(str(p), f"its delay is {steps} steps")
        return Node("Delay", {"delay": np.full(shape, steps * (self.graph.dt or 0.0))})

    def _flatten(self, base: str, shape: Shape, wanted: Shape) -> list[str]:
        """Add a Flatten that makes ``wanted`` of ``shape``, if one is needed."""
        axes = _merge(shape, wanted)
        if axes is None or shape == wanted:
            return []
        last = -1 if axes[1] == len(shape) - 1 else axes[1]
        fields = {"start_dim": axes[0], "end_dim": last, "input_type": shape}
        return [self._add(f"{base}_flat", Node("Flatten", fields))]

    # ------------------------------------------------------------ names

    def _add(self, wanted: str, node: Node) -> str:
        name = self._free(wanted)
        self.nodes[name] = node
        return name

    def _free(self, wanted: str) -> str:
        """Return a name that nothing has; numbers keep the order of the alphabet."""
        name, number = wanted, 2
        while name in self.taken:
            name, number = f"{wanted}_{number:03d}", number + 1
        self.taken.add(name)
        return name

    def _output_name(self, output: str) -> str:
        name = self._free(output)
        if name != output:
            self.losses.add("name", output, f"the output is called {name}")
        return name

    # ------------------------------------------------------------ inputs, outputs, edges

    def _boundaries(self) -> None:
        for i in self.graph.inputs:
            self.nodes[i.name] = Node("Input", {"shape": i.shape})
        for o in self.graph.outputs:
            self.nodes[self.outputs[o.name]] = Node("Output", {"shape": self.shapes[o.source]})
            if o.source in self.skipped:
                self.entry[o.source] = self.outputs[o.name]
        for name in self.relays - self.mapped - self.skipped:
            self.nodes[name] = Node("Scale", {"scale": np.ones(self.shapes[name])})
        for p in self.graph.populations:
            if p.name not in self.relays and self.shapes[p.name] != p.shape:
                self.losses.add("shape", p.name, f"{p.shape} is written as {self.shapes[p.name]}")

    def _connect(self, rows: list[tuple[Projection, list[str]]], late: set[int]) -> None:
        for p, row in rows:
            target = self.entry.get(p.target, p.target)
            ends = [] if p.target in self.mapped else [target]
            names = [*([] if p.source in self.skipped else [p.source]), *row, *ends]
            self.edges += pairwise(names)
            self.rows.append(Row(tuple(names), id(p) in late))
        for o in self.graph.outputs:
            if o.source not in self.skipped:
                self.edges.append((o.source, self.outputs[o.name]))

    def _note_order(self) -> None:
        """Note where terms are added up in an order that the reader does not keep."""
        for population in self.graph.populations:
            into = self.graph.into(population.name)
            terms = len(into) + sum(p.synapse.bias is not None for p in into)
            keys = [(p.source, self._maps(p)) for p in into]
            moved = keys != sorted(keys) or any(
                p.source in self.relays and not self._is_canonical(p.source) for p in into
            )
            lateral = any(isinstance(p.synapse, AllButSelf) for p in into)
            if lateral or (terms > 2 and moved):
                self.losses.add("order", population.name, "sums may differ in their last bits")


def _pair(p: Projection) -> Edge:
    return p.source, p.target


# ---------------------------------------------------------------- shapes


def _shapes(graph: Graph, mapped: set[str]) -> dict[str, Shape]:
    """Return the shape that the signal of every carrier has in NIR.

    A population has its own shape where Flatten can make it of all that arrives; else what arrives,
    flat where that differs. The node of a map has the shape that the map gives.
    """
    found: dict[str, Shape] = {i.name: i.shape for i in graph.inputs}
    changes: Counter[str] = Counter()
    before: dict[str, Shape] = {}
    while before != found:
        before = dict(found)
        for population in graph.populations:
            name, own = population.name, None if population.name in mapped else population.shape
            shape = _meeting(graph, population, own, found)
            # Around a cycle shapes could change for ever; flat they are the same for all.
            flat = changes[name] > MOST_CHANGES
            if shape is not None and shape != found.get(name):
                changes[name] += 1
                found[name] = (population.size,) if flat else shape
            if flat:
                found[name] = (population.size,)
    return {p.name: p.shape for p in graph.populations} | found


def _meeting(
    graph: Graph, population: Population, own: Shape | None, found: Mapping[str, Shape]
) -> Shape | None:
    """Return the shape for what is known to arrive; None where nothing is known yet."""
    arriving = {
        delivered(p.synapse, found.get(p.source, ()))
        for p in graph.into(population.name)
        if p.source in found or not is_scale(p.synapse)
    }
    images = {
        p.synapse.in_shape
        for p in graph.projections
        if p.source == population.name and isinstance(p.synapse, Image)
    }
    if own is not None and not images - {own} and all(_merge(a, own) for a in arriving):
        return own if arriving else None
    if len(arriving) > 1:
        return (population.size,)
    return next(iter(arriving), None)


def _merge(shape: Shape, wanted: Shape) -> Pair | None:
    """Return the first and last axis of which a Flatten makes ``wanted``; None if none does."""
    for first in range(len(shape)):
        for last in range(first, len(shape)):
            if (*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :]) == wanted:
                return first, last
    return None
