"""Partition and place a large network, and print what it took: time, peak memory, cores, traffic.

    python benchmarks/mapped_network.py [local | random] [side] [synapses per neuron]

``local`` is side x side neurons on a torus with targets at Gaussian distances (sigma 8), ids
shuffled; ``random`` has targets anywhere.
"""

import resource
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import mapping_networks as networks
from mapping_baselines import LOIHI, geometry, messages

from spikec.compiler.mapping.hypergraph import Hypergraph
from spikec.compiler.mapping.mesh import Mesh
from spikec.compiler.mapping.partition import partition
from spikec.compiler.mapping.placement import place, sequential, way_weight
from spikec.compiler.mapping.usage import exceeded, usage
from spikec.compiler.types import Array

T = TypeVar("T")


def timed(name: str, run: Callable[[], T]) -> T:
    """Run, and print wall time, time of all threads, and the most memory so far."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{name}: {wall:.1f} s, {cpu:.1f} s of CPU, peak so far {peak:.2f} GiB", flush=True)
    return found


def report(h: Hypergraph, seat: Array, order: Array) -> None:
    """Print cores, traffic and what binds."""
    cores = int(seat.max()) + 1
    used = usage(h, seat, cores, LOIHI)
    if exceeded(used, LOIHI):
        raise AssertionError(exceeded(used, LOIHI))
    print(f"{cores} cores, {used.neurons.mean():.1f} neurons each; of its limit a core uses")
    for name in ("neurons", "in_axons", "out_axons", "synapse_bits"):
        share = getattr(used, name) / getattr(LOIHI, name)
        print(f"  {name}: {share.mean():.0%} on average, {share.max():.0%} at most")
    by_order = usage(h, order, int(order.max()) + 1, LOIHI).traffic
    print(f"traffic {used.traffic:.6g} spikes per step, {by_order:.6g} in order")
    fan_in = h.synapses / h.neurons
    print(
        f"mean fan-in {fan_in:.1f}: {LOIHI.in_axons} input axons hold {LOIHI.in_axons / fan_in:.0f}"
        f" neurons without a common source, {h.neurons * fan_in / LOIHI.in_axons:.0f} cores"
    )


def main() -> None:
    """Map one network."""
    kind, side, fan_out = (*sys.argv[1:], *("local", "1000", "100")[len(sys.argv) - 1 :])
    n, k = int(side), int(fan_out)
    if kind == "local":
        network, where = networks.torus(n, k, 8.0, 0)
    else:
        network, where = networks.unstructured(n * n, k), None
    h = network.graph
    print(f"{kind}: {h.neurons} neurons, {h.synapses} synapses", flush=True)
    seat = timed("partition", lambda: partition(h, LOIHI))
    cores = int(seat.max()) + 1
    report(h, seat, partition(h, LOIHI, 0, "sequential"))
    if where is not None:
        true = geometry(h, where, n, LOIHI)
        print(f"geometry: {true:.6g}, ours {usage(h, seat, cores, LOIHI).traffic / true:.3f} of it")
    between = timed("traffic between cores", lambda: messages(h, seat))
    mesh = Mesh().holding(cores)
    places = timed("placement", lambda: place(between, mesh))
    ours, plain = (way_weight(between, p, mesh) for p in (places, sequential(cores, mesh)))
    print(f"{mesh.chips} chips; weighted ways {ours:.6g}, of cores as numbered {plain:.6g}")


if __name__ == "__main__":
    main()
