"""A network as NIR nodes and edges.

A carrier (an input, neurons) is a node of its name. A projection is a row of nodes from its source
to its target: Delay, Flatten, the map, Flatten, of which none is needed where signal and target
agree. A Relay is the node of the map that ends in it; or, where it only sums what enters one map or
one output, nothing at all, since edges that meet are summed; else a Scale by one.

The frontend reads all of this back, with the same names where a network came from NIR.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from spikec.compiler.frontends.nir_cycles import Pair as Edge
from spikec.compiler.frontends.nir_cycles import back_edges, edges_in_cycles
from spikec.compiler.frontends.nir_losses import Losses, no_step, not_in_nir
from spikec.compiler.ir import Graph, Population, Projection
from spikec.compiler.neurons.relay import Relay
from spikec.compiler.synapses import Conv2d, Dense, OneToOne, Pair, Pool2d, Shape, Sparse, Synapse
from spikec.compiler.types import Array
from spikec.compiler.untyped import networkx as nx

MAX_MATRIX = 1 << 26  # elements of a matrix made of sparse weights: half a gigabyte
MOST_CHANGES = 3
MAX_BASE = 100  # characters of a made-up name, of 128, before what tells it from others

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Node:
    """A NIR node: its type, and its fields as arrays or text."""

    type: str
    fields: Fields = field(default_factory=dict[str, Any])


class Layout:
    """The nodes by name and the edges of a network; neurons are still missing among the nodes."""

    def __init__(self, graph: Graph, feedback: int, losses: Losses) -> None:
        """Lay out a graph.

        Args:
            graph: The network.
            feedback: Steps by which the reader delays what closes a cycle.
            losses: Collects what gets lost.

        Raises:
            SpikecError: SPK1049 when NIR has no node for a part of it, SPK1047 on a delay of steps
                that have no length.
        """
        if any(p.name == "." for p in (*graph.inputs, *graph.populations, *graph.outputs)):
            raise not_in_nir("population", "no HDF5 group can be called '.'", "Rename it")
        self.graph, self.losses = graph, losses
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.taken = {i.name for i in graph.inputs} | {p.name for p in graph.populations}
        self.out_of: dict[str, list[Projection]] = defaultdict(list)
        for p in graph.projections:
            self.out_of[p.source].append(p)
        self.taps = Counter(o.source for o in graph.outputs)
        self.relays = {p.name for p in graph.populations if isinstance(p.neuron, Relay)}
        self.mapped = {name for name in self.relays if self._is_map(name)}
        self.skipped = {name for name in self.relays - self.mapped if self._only_sums(name)}
        self.outputs = {o.name: self._output_name(o.name) for o in graph.outputs}
        self.shapes = _shapes(graph, self.mapped)
        self.plain: set[Edge] = set()
        implied = self._implied_delays(feedback)
        rows = [(p, self._row(p, 0 if id(p) in implied else p.delay)) for p in graph.projections]
        self.entry = {p.source: row[0] for p, row in rows if p.source in self.skipped}
        self._boundaries()
        self._connect(rows)
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
        return len(after) == 1 and not taps and not after[0].delay and self._maps(after[0])

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
        if delay or (is_plain(p.synapse) and _pair(p) in self.plain):
            row.append(self._add(f"{base}_delay", self._delay(shape, delay, p)))
        if is_plain(p.synapse):
            self.plain.add(_pair(p))
        if isinstance(p.synapse, Dense | Sparse) or _is_biased_scale(p.synapse):
            row += self._flatten(base, shape, (prod(shape),))
            shape = (prod(shape),)
        row += self._map(p, shape, base)
        shape = delivered(p.synapse, shape)
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
        if isinstance(synapse, Conv2d | Pool2d):
            if shape != synapse.in_shape:
                raise not_in_nir(
                    str(p),
                    f"its {synapse.kind} takes an image of {synapse.in_shape} but in NIR {shape} "
                    "arrives, which nothing can fold",
                    "Feed it from an input or a convolution of that shape",
                )
            if isinstance(synapse, Pool2d):
                return _pooling(synapse, bias)
            return [_convolution(synapse, synapse.weight.real(), bias)]
        if isinstance(synapse, OneToOne) and bias is None:
            if is_plain(synapse):
                return []
            return [
                Node(
                    "Scale",
                    {
                        "scale": np.full(
                            shape,
                            synapse.weight.real().reshape(
                                -1 if synapse.weight.data.size == 1 else shape
                            ),
                        )
                    },
                )
            ]
        if isinstance(synapse, Dense):
            return [_matrix(synapse.weight.real(), bias)]
        if isinstance(synapse, Sparse | OneToOne):
            return [_matrix(self._as_matrix(p), bias)]
        raise not_in_nir(str(p), f"NIR has no node for a {synapse.kind}", "Use another kind")

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
        matrix = np.asarray(p.synapse.to_sparse().toarray(), dtype=np.float64)
        return np.asarray(np.ldexp(matrix, -weight.frac) * weight.scale)

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
        fields = {"start_dim": axes[0], "end_dim": last, "input_type": _integers(shape)}
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
            self.nodes[i.name] = Node("Input", {"shape": np.array(i.shape, dtype=np.int64)})
        for o in self.graph.outputs:
            shape = np.array(self.shapes[o.source], dtype=np.int64)
            self.nodes[self.outputs[o.name]] = Node("Output", {"shape": shape})
            if o.source in self.skipped:
                self.entry[o.source] = self.outputs[o.name]
        for name in self.relays - self.mapped - self.skipped:
            self.nodes[name] = Node("Scale", {"scale": np.ones(self.shapes[name])})
        for p in self.graph.populations:
            if p.name not in self.relays and self.shapes[p.name] != p.shape:
                self.losses.add("shape", p.name, f"{p.shape} is written as {self.shapes[p.name]}")

    def _connect(self, rows: list[tuple[Projection, list[str]]]) -> None:
        for p, row in rows:
            target = self.entry.get(p.target, p.target)
            ends = [] if p.target in self.mapped else [target]
            names = [*([] if p.source in self.skipped else [p.source]), *row, *ends]
            self.edges += pairwise(names)
        for o in self.graph.outputs:
            if o.source not in self.skipped:
                self.edges.append((o.source, self.outputs[o.name]))

    def _note_order(self) -> None:
        """Note where more than two terms are added up in an order that the reader does not keep."""
        for population in self.graph.populations:
            into = self.graph.into(population.name)
            terms = len(into) + sum(p.synapse.bias is not None for p in into)
            keys = [(p.source, self._maps(p)) for p in into]
            moved = keys != sorted(keys) or any(
                p.source in self.relays and not self._is_canonical(p.source) for p in into
            )
            if terms > 2 and moved:
                self.losses.add("order", population.name, "sums may differ in their last bits")


def is_plain(synapse: Synapse) -> bool:
    """Return whether a synapse passes everything on unchanged, as an edge does."""
    plain = isinstance(synapse, OneToOne) and synapse.bias is None and synapse.weight.shape == ()
    return plain and float(synapse.weight.real()) == 1.0


def _is_biased_scale(synapse: Synapse) -> bool:
    return isinstance(synapse, OneToOne) and synapse.bias is not None


def _pair(p: Projection) -> Edge:
    return p.source, p.target


# ---------------------------------------------------------------- shapes


def delivered(synapse: Synapse, shape: Shape) -> Shape:
    """Return the shape of what a map sends on from a signal of ``shape``."""
    if isinstance(synapse, OneToOne):
        return (synapse.size,) if synapse.bias is not None else shape
    return synapse.out_shape


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
        if p.source in found or not isinstance(p.synapse, OneToOne) or p.synapse.bias is not None
    }
    images = {
        p.synapse.in_shape
        for p in graph.projections
        if p.source == population.name and isinstance(p.synapse, Conv2d | Pool2d)
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


# ---------------------------------------------------------------- maps


def _matrix(weight: Array, bias: Array | None) -> Node:
    if bias is None:
        return Node("Linear", {"weight": weight})
    return Node("Affine", {"weight": weight, "bias": bias})


def _convolution(conv: Conv2d, weight: Array, bias: Array | None) -> Node:
    fields = {
        "input_shape": _integers(conv.in_shape[1:]),
        "weight": weight,
        "stride": _integers(conv.stride),
        "padding": _integers(conv.padding),
        "dilation": _integers(conv.dilation),
        "groups": conv.groups,
        "bias": np.zeros(weight.shape[0]) if bias is None else bias,
    }
    return Node("Conv2d", fields)


def _pooling(pool: Pool2d, bias: Array | None) -> list[Node]:
    """Return a pooling, and what weights and biases of its windows do: a convolution of 1 x 1."""
    weight, window = float(pool.weight.real()), 1.0 / prod(pool.kernel)
    fields = {
        "kernel_size": _integers(pool.kernel),
        "stride": _integers(pool.stride),
        "padding": _integers(pool.padding),
    }
    if bias is None and weight in (1.0, window):
        return [Node("AvgPool2d" if weight != 1.0 else "SumPool2d", fields)]
    channels, m0, m1 = pool.out_shape
    each = np.full((channels, 1, 1, 1), weight)
    conv = Conv2d((channels, m0, m1), pool.weight.floats(each), groups=channels)
    return [Node("SumPool2d", fields), _convolution(conv, each, bias)]


def _integers(values: tuple[int, ...]) -> Array:
    return np.array(values, dtype=np.int64)
