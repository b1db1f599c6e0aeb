"""A network of 10^9 convolutional synapses, partitioned and placed without unrolling it."""

import argparse
import resource
import time

import numpy as np

import spikec
from spikec.compiler.mapping.load import load
from spikec.compiler.passes.partition import demand_of
from spikec.compiler.types import Bool


def network(channels: int, side: int, layers: int) -> spikec.Graph:
    """Return layers of 3 x 3 convolutions of one size, with random weights."""
    random = np.random.default_rng(0)
    shape = (channels, side, side)
    nodes: list[spikec.Input | spikec.Population | spikec.Output] = [
        spikec.Input("x", shape, Bool())
    ]
    edges: list[spikec.Projection] = []
    for k in range(layers):
        weight = spikec.Tensor.floats(random.normal(0, 0.05, (channels, channels, 3, 3)))
        conv = spikec.Conv2d(shape, weight, padding=(1, 1))
        nodes.append(spikec.Population(f"conv{k}", shape, spikec.LIF(decay=0.9, threshold=1.0)))
        edges.append(spikec.Projection("x" if k == 0 else f"conv{k - 1}", f"conv{k}", conv))
    nodes.append(spikec.Output("y", f"conv{layers - 1}"))
    return spikec.Graph("convolutions", tuple(nodes), tuple(edges))


def main() -> None:
    """Build, compile, check every limit, and print time and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--side", type=int, default=120)
    parser.add_argument("--layers", type=int, default=2)
    given = parser.parse_args()
    graph = network(given.channels, given.side, given.layers)
    begun = time.perf_counter()
    program = spikec.compile(graph, "loihi1")
    took = time.perf_counter() - begun
    assert program.mapping is not None
    held = load(program, demand_of(program), None)
    assert not list(held.over())
    synapses = sum(int(s.sum()) for s in held.origins.values())
    chips = len(np.unique(program.mapping.places[:, 0]))
    print(f"compiled in {took:.0f} s, {program.mapping.size:,} cores, {chips} chips")
    print(f"{synapses:,} axons, {held.between_cores():,.0f} spikes per step between cores")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.1f} GiB")


if __name__ == "__main__":
    main()
