"""What others do with neurons and cores, made feasible by one common repair.

pymetis and mtkahypar come with the extra ``test``. Run as a program it prints the table of all
networks.
"""

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import mapping_networks as networks
import numpy as np
from mapping_networks import Network

from spikec.compiler.mapping.fill import in_order
from spikec.compiler.mapping.hypergraph import Hypergraph, Limits
from spikec.compiler.mapping.level import finest
from spikec.compiler.mapping.merge import merge
from spikec.compiler.mapping.partition import partition, reach, traffic
from spikec.compiler.mapping.state import state
from spikec.compiler.mapping.usage import exceeded, usage
from spikec.compiler.types import Array

LOIHI = Limits(1024, 4096, 4096, 1 << 20, (31,))  # loihi.md section 1
SLACK = (1.0, 1.1, 1.3, 1.7)  # parts that partitioners are asked for, over the least there can be

Baseline = Callable[[Network, Limits, int], Iterator[Array]]


def sequential(network: Network, limits: Limits, seed: int) -> Iterator[Array]:
    """Yield cores filled in the order of the neurons."""
    yield partition(network.graph, limits, seed, "sequential")


def populations(network: Network, limits: Limits, seed: int) -> Iterator[Array]:
    """Yield cores of one population each, split in order, as nengo-loihi does."""
    first = np.concatenate([[0], np.cumsum(network.populations)])
    yield np.repeat(np.arange(first.size - 1), np.diff(first)).astype(np.int32)


def metis(network: Network, limits: Limits, seed: int) -> Iterator[Array]:
    """Yield partitions by METIS of the graph of neurons, each edge with its source's rate."""
    pymetis: Any = importlib.import_module("pymetis")
    start, neighbour, weight = _graph(network.graph)
    for parts in _parts(network, limits):
        options = pymetis.Options(seed=seed, contig=0)
        adjacency = pymetis.CSRAdjacency(start, neighbour)
        _, part = pymetis.part_graph(parts, adjacency, eweights=weight, options=options)
        yield np.array(part, np.int32)


def mt_kahypar(network: Network, limits: Limits, seed: int) -> Iterator[Array]:
    """Yield partitions by Mt-KaHyPar, connectivity (KM1), deterministic, 3 % imbalance."""
    package: Any = importlib.import_module("mtkahypar")
    kahypar = _initialized(package)
    h = network.graph
    level = finest(h, limits)
    nets: list[list[int]] = []
    for s in range(h.sources):
        pins = set(level.pin[level.pin_start[s] : level.pin_start[s + 1]].tolist())
        nets.append(sorted(pins | ({s - h.inputs} if s >= h.inputs else set())))
    used = [s for s in range(h.sources) if len(nets[s]) > 1]
    weight = np.maximum(np.rint(h.rates / h.rates.mean() * 1000), 1).astype(int)
    for parts in _parts(network, limits):
        context = kahypar.context_from_preset(package.PresetType.DETERMINISTIC)
        context.set_partitioning_parameters(parts, 0.03, package.Objective.KM1)
        context.logging = False
        package.set_seed(seed)
        graph = kahypar.create_hypergraph(
            context,
            h.neurons,
            len(used),
            [nets[s] for s in used],
            [1] * h.neurons,
            weight[used].tolist(),
        )
        yield np.array(graph.partition(context).get_partition(), np.int32)


def swarm(network: Network, limits: Limits, seed: int) -> Iterator[Array]:
    """Yield the best of a particle swarm over assignments, as PSOPART (DATE 2018) searches."""
    level = finest(network.graph, limits)
    random = np.random.default_rng(seed)
    parts = next(_parts(network, limits, 1.1))
    most = -(-level.vertices // parts) * 1.1
    x = random.random((20, level.vertices)) * parts
    x[0] = np.arange(level.vertices) * parts / level.vertices
    v = np.zeros_like(x)
    own, own_cost = x.copy(), np.full(len(x), np.inf)
    for _ in range(60):
        for i, particle in enumerate(x):
            seat = particle.astype(np.int32)
            crowd = np.maximum(np.bincount(seat, minlength=parts) - most, 0).sum()
            cost = traffic(level, seat) + crowd * float(level.rate.mean()) * parts
            if cost < own_cost[i]:
                own[i], own_cost[i] = particle, cost
        best = own[own_cost.argmin()]
        pull = random.random((2, *x.shape)) * 1.5
        v = 0.7 * v + pull[0] * (own - x) + pull[1] * (best - x)
        x = np.clip(x + v, 0, parts - 1e-9)
    yield own[own_cost.argmin()].astype(np.int32)


BASELINES: dict[str, Baseline] = {
    "sequential": sequential,
    "one population a core": populations,
    "METIS": metis,
    "Mt-KaHyPar": mt_kahypar,
    "particle swarm": swarm,
}


def best(name: str, network: Network, limits: Limits, seed: int = 0) -> tuple[float, int]:
    """Return the least traffic of a baseline, repaired, and its cores.

    Raises:
        ModuleNotFoundError: When its package is not installed.
    """
    found: list[tuple[float, int]] = []
    for part in BASELINES[name](network, limits, seed):
        seat = repaired(network.graph, limits, part)
        used = usage(network.graph, seat, int(seat.max()) + 1, limits)
        if not exceeded(used, limits):
            found.append((used.traffic, used.neurons.size))
    return min(found, default=(float("inf"), 0))


def repaired(h: Hypergraph, limits: Limits, part: Array) -> Array:
    """Return parts split where they break a limit, and cores merged where that breaks none."""
    level = finest(h, limits)
    out = reach(level, part)
    seat, cores = np.empty(h.neurons, np.int32), 0
    for p in np.unique(part):
        inside = np.flatnonzero(part == p)
        split = in_order(level, inside, out)[inside]
        seat[inside] = split + cores
        cores += int(split.max()) + 1
    s = state(level, seat, cores)
    merge(level, s)
    return np.unique(s.seat, return_inverse=True)[1].astype(np.int32)


def geometry(h: Hypergraph, where: Array, side: int, limits: Limits) -> float:
    """Return the traffic of the fewest rectangles of a square that keep the limits.

    Args:
        h: The network.
        where: Of each neuron, y * side + x.
        side: Of the square.
        limits: Of one core.

    Raises:
        ValueError: When no rectangles do.
    """
    y, x = np.divmod(where, side)
    fewest = int(np.sqrt(h.neurons / limits.neurons))
    for cuts in range(2 * fewest, 2 * side + 1):
        rows, columns = (cuts + 1) // 2, cuts // 2
        if rows * columns * limits.neurons < h.neurons:
            continue
        tile = y * rows // side * columns + x * columns // side
        used = usage(h, tile, rows * columns, limits)
        if not exceeded(used, limits):
            return used.traffic
    raise ValueError("no rectangles keep the limits")


def _parts(network: Network, limits: Limits, *slack: float) -> Iterator[int]:
    """Yield how many parts to ask for: at least what sequential filling shows to be needed."""
    level = finest(network.graph, limits)
    grown = partition(network.graph, limits, 0, "greedy")
    neurons = -(-level.vertices // limits.neurons)
    yield from sorted({max(round(neurons * s), 2) for s in slack or SLACK} | {int(grown.max()) + 1})


def _graph(h: Hypergraph) -> tuple[Array, Array, Array]:
    """Return the graph of neurons as METIS takes it, weights summed over both directions."""
    sparse: Any = importlib.import_module("scipy.sparse")
    n = h.nets
    source = np.repeat(n.source, np.diff(n.start)) - h.inputs
    kept = (source >= 0) & (source != n.target)
    source, target = source[kept], n.target[kept]
    weight = h.rates[source + h.inputs] / h.rates.mean()
    one = sparse.csr_array((weight, (source, target)), shape=(h.neurons, h.neurons))
    both = (one + one.T).tocsr()
    return both.indptr, both.indices, np.maximum(np.rint(both.data * 100), 1).astype(int)


_kahypar: list[Any] = []


def _initialized(package: Any) -> Any:
    """Return the library, which a process may start once."""
    if not _kahypar:
        _kahypar.append(package.initialize(1))
    return _kahypar[0]


NETWORKS: dict[str, tuple[Callable[[], Network], Callable[[], Network]]] = {
    "MLP 784-128-10": (networks.mlp, networks.mlp),
    "LeNet-5": (networks.lenet, networks.lenet),
    "microcircuit": (lambda: networks.microcircuit(0.02), lambda: networks.microcircuit(0.1)),
    "Brunel": (lambda: networks.brunel(1200), networks.brunel),
    "small world": (lambda: networks.small_world(2000), lambda: networks.small_world(20_000)),
    "synfire chain": (lambda: networks.synfire(30), lambda: networks.synfire(100)),
    "layered": (lambda: networks.layered(6, 400), lambda: networks.layered(10, 1000)),
    "liquid": (lambda: networks.liquid(1500), lambda: networks.liquid(2000)),
    "place recognition": (lambda: networks.places(1), lambda: networks.places(108)),
    "2-D Gaussian": (lambda: networks.gaussian(50), lambda: networks.gaussian(141)),
}


def main() -> None:
    """Print traffic and cores of every network under every baseline and under ``partition``."""
    full = "--full" in sys.argv
    for name, makers in NETWORKS.items():
        network = makers[full]()
        begin = time.perf_counter()
        seat = partition(network.graph, LOIHI)
        used = usage(network.graph, seat, int(seat.max()) + 1, LOIHI)
        took = time.perf_counter() - begin
        print(f"{name}: spikec {used.traffic:.6g} in {used.neurons.size} cores, {took:.1f} s")
        for baseline in BASELINES:
            begin = time.perf_counter()
            try:
                least, cores = best(baseline, network, LOIHI)
            except ModuleNotFoundError as error:
                print(f"  {baseline}: not installed ({error.name})")
                continue
            took = time.perf_counter() - begin
            print(f"  {baseline}: {least:.6g} in {cores} cores, {took:.1f} s", flush=True)


if __name__ == "__main__":
    main()
