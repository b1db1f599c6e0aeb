"""What others do with neurons and cores, made feasible by one common repair.

pymetis and mtkahypar come with the extra ``test``. Run as a program it prints the table of all
networks, or of those that are named:

    python benchmarks/mapping_baselines.py [--full] [--data FOLDER] [NAME ...]
"""

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mapping_networks as networks
import numpy as np
from mapping_networks import Network
from placement_baselines import BASELINES as PLACEMENTS

import spikec
from spikec.compiler.mapping.demand import network as unroll
from spikec.compiler.mapping.fill import in_order
from spikec.compiler.mapping.hypergraph import UNLIMITED, Hypergraph, Limits
from spikec.compiler.mapping.level import finest
from spikec.compiler.mapping.merge import merge
from spikec.compiler.mapping.mesh import Mesh
from spikec.compiler.mapping.partition import partition, reach, traffic
from spikec.compiler.mapping.placement import place, way_weight
from spikec.compiler.mapping.state import state
from spikec.compiler.mapping.usage import exceeded, usage
from spikec.compiler.passes.partition import demand_of, measured_rates
from spikec.compiler.pipeline import Context
from spikec.compiler.types import Array
from spikec.compiler.untyped import sparse as sp

LOIHI = Limits(1024, 4096, 4096, 1 << 20, (31,))  # loihi.md section 1
AT_ONCE = 50_000  # sources whose targets are looked at together
# Synapses beyond which a baseline is not run: it takes hours or all memory.
MOST_SYNAPSES = {"METIS": 20_000_000, "Mt-KaHyPar": 20_000_000, "particle swarm": 1_000_000}
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


@dataclass(frozen=True, slots=True)
class Mapped:
    """A network on cores.

    Attributes:
        traffic: Spikes per step that go to another core, those of inputs included.
        ways: Messages between cores times the energy of their hops (``Mesh``), in pJ per step;
            crossings between chips at the mesh's heuristic weight. Inputs have no place, no way.
        cores: How many.
    """

    traffic: float
    ways: float
    cores: int


def ours(network: Network, limits: Limits, seed: int = 0) -> Mapped:
    """Return what ``partition`` and ``place`` make of a network.

    Raises:
        AssertionError: When a limit is broken.
    """
    h = network.graph
    seat = partition(h, limits, seed)
    between = messages(h, seat)
    used = usage(h, seat, between.shape[0], limits)
    if exceeded(used, limits):
        raise AssertionError(exceeded(used, limits))
    mesh = Mesh().holding(between.shape[0])
    ways = way_weight(between, place(between, mesh, seed), mesh)
    return Mapped(used.traffic, ways, between.shape[0])


def best(name: str, network: Network, limits: Limits, seed: int = 0) -> Mapped | None:
    """Return the least traffic and the least ways of a baseline, repaired; None if none fits.

    Its cores go to their places as they are numbered, along a Hilbert curve, and, up to a chip of
    them, by a particle swarm: whatever is the least.

    Raises:
        ModuleNotFoundError: When its package is not installed.
    """
    found: list[Mapped] = []
    h = network.graph
    for part in BASELINES[name](network, limits, seed):
        seat = repaired(h, limits, part)
        cores = int(seat.max()) + 1
        used = usage(h, seat, cores, limits)
        if exceeded(used, limits):
            continue
        between, mesh = messages(h, seat), Mesh().holding(cores)
        ways = [
            way_weight(between, put(between, mesh, seed), mesh)
            for name, put in PLACEMENTS.items()
            if name != "random" and (name != "swarm" or cores <= mesh.cores_per_chip)
        ]
        found.append(Mapped(used.traffic, min(ways), cores))
    if not found:
        return None
    least = min(found, key=lambda m: (m.traffic, m.cores))
    return replace(least, ways=min(m.ways for m in found))


def messages(h: Hypergraph, seat: Array) -> Any:
    """Return the messages per step from core to core, csr (cores, cores); inputs have no core."""
    nets, cores = h.nets, int(seat.max()) + 1
    total = sp.csr_array((cores, cores))
    for begin in range(0, nets.source.size, AT_ONCE):
        start = nets.start[begin : begin + AT_ONCE + 1]
        source = np.repeat(nets.source[begin : begin + AT_ONCE].astype(np.int64), np.diff(start))
        pairs = np.unique(source * cores + seat[nets.target[start[0] : start[-1]]])
        source, core = pairs // cores, pairs % cores
        held = source >= h.inputs
        source, core = source[held], core[held]
        ends = (h.rates[source], (seat[source - h.inputs], core))
        total = total + sp.csr_array(ends, shape=(cores, cores))
    return total


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


def recognizer(data: Path) -> Network:
    """Return the spiking CNN of the NIR paper with the rates of two N-MNIST recordings."""
    semantics = "sinabs{max_spikes=1,compare=gt,reset=zero,lower_clip=none}"
    graph = spikec.load(data / "nir" / "02_cnn" / "cnn_sinabs.nir", dt=1e-3, semantics=semantics)
    with np.load(data / "nmnist" / "nmnist_small_1000_100.npz") as file:
        sample = np.repeat(np.arange(100), file["test_n"])
        spikes = np.zeros((2, 350, 2, 34, 34))
        inside = sample < 2
        at = [file[f"test_{axis}"][inside] for axis in ("p", "yaddr", "x")]
        spikes[(sample[inside], file["test_t_us"][inside] // 1000, *at)] = 1
    program = spikec.compile(graph, "loihi1", calibration=spikes)
    rate = measured_rates(program, Context({graph.inputs[0].name: spikes}))
    unrolled = unroll(program, demand_of(program), rate)
    return Network(unrolled, tuple(p.size for p in program.graph.populations))


NETWORKS: dict[str, tuple[Callable[[], Network], Callable[[], Network]]] = {
    "MLP 784-128-10": (networks.mlp, networks.mlp),
    "LeNet-5": (networks.lenet, networks.lenet),
    "microcircuit": (lambda: networks.microcircuit(0.02), lambda: networks.microcircuit(0.1)),
    "Brunel": (lambda: networks.brunel(1200), networks.brunel),
    "small world": (lambda: networks.small_world(2000), lambda: networks.small_world(20_000)),
    "synfire chain": (lambda: networks.synfire(30), lambda: networks.synfire(100)),
    "layered": (lambda: networks.layered(6, 400), lambda: networks.layered(10, 1000)),
    "liquid of 1,000": (lambda: networks.liquid(1000), lambda: networks.liquid(1000)),
    "liquid": (lambda: networks.liquid(1500), lambda: networks.liquid(2000)),
    "place recognition": (lambda: networks.places(1), lambda: networks.places(108)),
    "2-D Gaussian": (lambda: networks.gaussian(50), lambda: networks.gaussian(141)),
}


def compared(network: Network, limits: Limits = LOIHI) -> Iterator[tuple[str, Mapped | None]]:
    """Give ours and every baseline that is installed and not too slow; None where none fits."""
    yield "spikec", ours(network, limits)
    for name in BASELINES:
        if network.graph.synapses > MOST_SYNAPSES.get(name, UNLIMITED):
            continue
        try:
            yield name, best(name, network, limits)
        except ModuleNotFoundError:
            continue


def main() -> None:
    """Print a row for every network: traffic, cores and ways of ours and of every baseline."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--data", type=Path, help="folder of shared data, for cnn_sinabs")
    parser.add_argument("names", nargs="*", help="of networks; all where none is given")
    given = parser.parse_args()
    full: bool = given.full
    makers: dict[str, Callable[[], Network]] = {name: made[full] for name, made in NETWORKS.items()}
    if given.data:
        data: Path = given.data
        makers["cnn_sinabs"] = lambda: recognizer(data)
    names: list[str] = given.names or list(makers)
    for name in names:
        begin = time.perf_counter()
        network = makers[name]()
        cells = {
            b: f"{m.traffic:.5g} / {m.ways:.5g} ({m.cores})" if m else "none fits"
            for b, m in compared(network)
        }
        row = [cells.get(b, "not run") for b in ("spikec", *BASELINES)]
        size = f"{network.graph.neurons:,}"
        print(f"| {name}, {size} | {' | '.join(row)} |", flush=True)
        print(f"{name}: {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
