"""What each part of the mapper brings: specs/mapping.md, acceptance 5, over five seeds.

    python benchmarks/mapping_ablation.py [--full] [NAME ...]

Prints mean and standard deviation of spikes per step between cores and of the energy of their hops
in pJ per step, CPU seconds of a run, and the peak memory of the process so far.
"""

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from mapping_baselines import BASELINES, LOIHI, NETWORKS, messages, repaired
from mapping_networks import Network

from spikec.compiler.mapping.mesh import Mesh
from spikec.compiler.mapping.partition import Method, partition
from spikec.compiler.mapping.placement import place, sequential, way_weight
from spikec.compiler.mapping.usage import traffic
from spikec.compiler.types import Array

SEEDS = range(5)
SHOWN = ("synfire chain", "small world")  # where nothing is named


def ours(method: Method) -> Callable[[Network, int], Array]:
    """Return a method of the partition."""
    return lambda network, seed: partition(network.graph, LOIHI, seed, method)


def at_random(network: Network, seed: int) -> Array:
    """Return as many cores as sequential filling takes, each neuron in any of them, repaired."""
    cores = int(partition(network.graph, LOIHI, 0, "sequential").max()) + 1
    random = np.random.default_rng(seed).integers(0, cores, network.graph.neurons)
    return repaired(network.graph, LOIHI, random.astype(np.int32))


def best_of(name: str) -> Callable[[Network, int], Array]:
    """Return the best partition that a baseline finds for any number of parts, repaired."""

    def found(network: Network, seed: int) -> Array:
        parts = BASELINES[name](network, LOIHI, seed)
        seats = [repaired(network.graph, LOIHI, part) for part in parts]
        return min(seats, key=lambda seat: traffic(network.graph, seat))

    return found


# What finds cores, and whether they are placed or stay as they are numbered.
ROWS: dict[str, tuple[Callable[[Network, int], Array], bool]] = {
    "random": (at_random, False),
    "sequential": (ours("sequential"), False),
    "by connectivity": (ours("greedy"), False),
    "graph, METIS": (best_of("METIS"), False),
    "hypergraph, Mt-KaHyPar": (best_of("Mt-KaHyPar"), False),
    "multilevel, refined": (ours("multilevel"), False),
    "many starts, recombined": (ours("best"), False),
    "and placed": (ours("best"), True),
}


def row(find: Callable[[Network, int], Array], placed: bool, network: Network) -> Iterator[str]:
    """Give the cells of a row."""
    sent: list[float] = []
    ways: list[float] = []
    begin = time.process_time()
    for seed in SEEDS:
        seat = find(network, seed)
        between: Any = messages(network.graph, seat)
        mesh = Mesh().holding(between.shape[0])
        cores = between.shape[0]
        places = place(between, mesh, seed) if placed else sequential(cores, mesh)
        sent.append(traffic(network.graph, seat))
        ways.append(way_weight(between, places, mesh))
    seconds = (time.process_time() - begin) / len(SEEDS)
    for values in (sent, ways):
        yield f"{np.mean(values):.5g} ± {np.std(values):.2g}"
    yield f"{seconds:.2g}"
    yield f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}"


def main() -> None:
    """Print a table for every network that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("names", nargs="*", help=f"of networks; {', '.join(SHOWN)} if none")
    given = parser.parse_args()
    full: bool = given.full
    names: list[str] = given.names or list(SHOWN)
    for name in names:
        network = NETWORKS[name][full]()
        print(f"\n{name}, {network.graph.neurons:,}\n")
        print("| | spikes between cores | ways, pJ | CPU s | peak MiB |\n|---|---|---|---|---|")
        for method, (find, placed) in ROWS.items():
            print(f"| {method} | {' | '.join(row(find, placed, network))} |", flush=True)


if __name__ == "__main__":
    main()
