"""Neurons to cores: every limit kept, little traffic, the same bytes for the same seed."""

import itertools
from collections import defaultdict
from dataclasses import asdict, replace
from math import ceil
from pathlib import Path
from typing import Any

import mapping_baselines as baselines
import mapping_networks as networks
import numpy as np
import pytest

from sizes import FULL, evidence, size
from spikec.compiler.errors import SpikecError
from spikec.compiler.mapping.coarsen import coarsened
from spikec.compiler.mapping.foresee import foresee, foresight
from spikec.compiler.mapping.hypergraph import Edges, Hypergraph, Limits
from spikec.compiler.mapping.level import Level, contracted, finest
from spikec.compiler.mapping.partition import partition, traffic
from spikec.compiler.mapping.refine import shift
from spikec.compiler.mapping.renumber import renumbered
from spikec.compiler.mapping.spare import by_sparing
from spikec.compiler.mapping.state import state
from spikec.compiler.mapping.usage import exceeded, usage
from spikec.compiler.types import Array

LOIHI = baselines.LOIHI


def slow_usage(h: Hypergraph, seat: Array, limits: Limits) -> dict[str, Any]:
    """Count what every core uses, synapse by synapse, without the code under test."""
    inside: defaultdict[int, set[int]] = defaultdict(set)
    for neuron, core in enumerate(seat):
        inside[int(core)].add(neuron)
    lists: defaultdict[tuple[int, int, int], int] = defaultdict(int)
    for p, e in enumerate(h.edges):
        for row in range(e.indptr.size - 1):
            for t in e.targets[e.indptr[row] : e.indptr[row + 1]]:
                lists[e.first_source + row, p, int(seat[t])] += 1
    reached = {(source, core) for source, _, core in lists}
    bits: defaultdict[int, int] = defaultdict(int)
    for (_, p, core), n in lists.items():
        for first in range(0, n, limits.block):
            k = min(limits.block, n - first)
            stored = k * h.edges[p].bits + limits.block_bits
            bits[core] += ceil(stored / limits.word) * limits.word
    own = {s: int(seat[s - h.inputs]) for s in range(h.inputs, h.sources)}
    return {
        "neurons": {c: len(v) for c, v in inside.items()},
        "in_axons": {c: sum(d == c for _, d in reached) for c in inside},
        "out_axons": {c: sum(own.get(s) == c for s, _ in reached) for c in inside},
        "synapse_bits": {c: bits[c] for c in inside},
        "kinds": {c: [len({k[n] for n in v}) for k in h.kinds] for c, v in inside.items()},
        "traffic": sum(h.rates[s] for s, c in reached if own.get(s) != c),
    }


def check(h: Hypergraph, seat: Array, limits: Limits) -> float:
    """Assert that every neuron has one core within every limit; return the traffic."""
    assert seat.shape == (h.neurons,)
    assert seat.dtype == np.int32
    cores = int(seat.max()) + 1
    assert set(seat.tolist()) == set(range(cores))
    slow, fast = slow_usage(h, seat, limits), usage(h, seat, cores, limits)
    for name in ("neurons", "in_axons", "out_axons", "synapse_bits"):
        assert [slow[name][c] for c in range(cores)] == getattr(fast, name).tolist()
        assert max(slow[name].values()) <= getattr(limits, name), name
    for found in slow["kinds"].values():
        assert all(n <= most for n, most in zip(found, limits.kinds, strict=False))
    if h.room is not None:
        assert all(slow["neurons"][c] <= h.room[seat == c].min() for c in range(cores))
    assert not exceeded(fast, limits)
    assert fast.traffic == pytest.approx(slow["traffic"])
    return float(fast.traffic)


def random_graph(seed: int, neurons: int, inputs: int = 3) -> Hypergraph:
    """Return a small network of two projections, kinds and rooms."""
    random = np.random.default_rng(seed)
    edges: list[Edges] = []
    for first, sources in ((0, inputs + neurons), (inputs, neurons)):
        degree = random.integers(0, 5, sources)
        start = np.concatenate([np.zeros(1, np.int64), np.cumsum(degree)])
        target = random.integers(0, neurons, int(start[-1]), dtype=np.int32)
        edges.append(Edges(first, start, target, int(random.integers(1, 20))))
    kinds = random.integers(0, 4, (1, neurons), dtype=np.int32)
    room = random.choice([5, 1024], neurons)
    rate = random.random(inputs + neurons)
    return Hypergraph(neurons, inputs, tuple(edges), rate, kinds, room)


SMALL = Limits(6, 14, 30, 2048, (3,), block=3, block_bits=10, word=32)


@pytest.mark.parametrize("seed", range(size(30, 300)))
def test_random_networks_keep_every_limit(seed: int) -> None:
    """Two projections, inputs, kinds, rooms, synapses given twice, tight limits."""
    h = random_graph(seed, 40)
    sequential = check(h, partition(h, SMALL, seed, "sequential"), SMALL)
    assert check(h, partition(h, SMALL, seed), SMALL) <= sequential


# In the order of the time that all methods together take.
QUICK = ("MLP 784-128-10", "liquid of 1,000", "small world")
COMPARED = QUICK if not FULL else tuple(baselines.NETWORKS)


def least_of_all(name: str, network: networks.Network) -> None:
    """Assert that no baseline has less traffic or shorter ways; keep the figures."""
    found = dict(baselines.compared(network))
    known = {b: asdict(m) for b, m in found.items() if m}
    evidence(f"partition {name}", **known)
    ours = found["spikec"]
    assert ours is not None
    for baseline, other in found.items():
        if other is not None:
            assert ours.traffic <= other.traffic * (1 + 1e-9), baseline
            assert ours.ways <= other.ways * (1 + 1e-9), baseline


@pytest.mark.parametrize("name", COMPARED)
def test_published_networks(name: str) -> None:
    """No more traffic and no longer ways than any baseline."""
    least_of_all(name, baselines.NETWORKS[name][0]())


@pytest.mark.skipif(not FULL, reason="many minutes each")
@pytest.mark.parametrize("name", baselines.NETWORKS)
def test_published_networks_in_full(name: str) -> None:
    """Likewise at full size, but for baselines that would take hours."""
    least_of_all(name, baselines.NETWORKS[name][1]())


@pytest.mark.skipif(not FULL, reason="a minute")
def test_a_trained_network(data: Path) -> None:
    """Likewise for the CNN of the NIR paper, with the rates of recordings."""
    least_of_all("cnn_sinabs", baselines.recognizer(data))


def test_foreseen_excess_is_that_after_the_move() -> None:
    """Every sort of excess, fine and coarse, one net a source and several."""
    for seed in range(size(6, 200)):
        random = np.random.default_rng(seed)
        h = random_graph(seed, 40)
        if seed % 2:
            h = replace(h, edges=h.edges[:1])
        level = finest(h, SMALL)
        if seed % 3 == 0:
            level = coarsened(level, seed)[0][-1]
        s = state(level, random.integers(0, 9, level.vertices), 9)
        f = foresight(9)
        for _ in range(60):
            v, b = int(random.integers(level.vertices)), int(random.integers(9))
            if s.seat[v] != b:
                foresee(level, s, v, b, f)
                wanted = f.after.copy()
                shift(level, s, v, b)
                assert s.excess.tolist() == wanted.tolist()
                assert not f.out.any()


def test_renumbered_neurons_are_the_same_network() -> None:
    """Each neuron keeps its sources, what it reaches, its rate, kinds and room."""
    for edges in (1, 2):
        h = random_graph(4, 50)
        h = replace(h, edges=h.edges[:edges])
        level = finest(h, SMALL)
        order = np.random.default_rng(0).permutation(50).astype(np.int32)
        other = renumbered(level, order)
        seat = np.random.default_rng(1).integers(0, 5, 50)
        a, b = state(level, seat, 5), state(other, seat[order], 5)
        assert np.array_equal(a.use, b.use)
        assert np.array_equal(a.excess, b.excess)
        assert traffic(level, seat) == pytest.approx(traffic(other, seat[order]))
        assert np.array_equal(level.room[order], other.room)
        assert np.array_equal(level.rate[h.inputs :][order], other.rate[h.inputs :])


def test_equal_bytes_for_an_equal_seed() -> None:
    """Twice the same, and another seed differs."""
    h = networks.small_world(1500).graph
    seats = [partition(h, LOIHI, seed).tobytes() for seed in (3, 3, 4)]
    assert seats[0] == seats[1] != seats[2]


@pytest.mark.skipif(not FULL, reason="minutes")
def test_a_shuffled_plane_is_found_again() -> None:
    """Traffic at most 0.15 of the order of the ids, and at most 1.05 of the true geometry."""
    side = 316
    network, place = networks.torus(side, 32, 8.0, 0)
    h = network.graph
    seat = partition(h, LOIHI, 0)
    ours = usage(h, seat, int(seat.max()) + 1, LOIHI)
    assert not exceeded(ours, LOIHI)
    order = traffic(finest(h, LOIHI), partition(h, LOIHI, 0, "sequential"))
    true = baselines.geometry(h, place, side, LOIHI)
    evidence("partition shuffled plane", spikec=ours.traffic, sequential=order, geometry=true)
    assert ours.traffic <= 0.15 * order
    assert ours.traffic <= 1.05 * true


def optimum(h: Hypergraph, limits: Limits, cores: int) -> float:
    """Return the least traffic of all feasible assignments to so many cores."""
    best = np.inf
    for rest in itertools.product(range(cores), repeat=h.neurons - 1):
        used = usage(h, np.array((0, *rest), np.int32), cores, limits)
        if used.traffic < best and not exceeded(used, limits):
            best = used.traffic
    return float(best)


def test_against_brute_force() -> None:
    """Within 10 % of the optimum in the mean, and never infeasible where there is one."""
    ratios: list[float] = []
    for seed in range(size(12, 40)):
        neurons, cores = ((9, 2), (8, 3))[seed % 2] if not FULL else ((12, 2), (9, 3))[seed % 2]
        h = random_graph(seed, neurons)
        limits = Limits(ceil(neurons / cores) + 1, 4096, 4096, 1 << 20, (4,))
        best = optimum(h, limits, cores)
        seat = partition(h, limits, seed)
        ours = check(h, seat, limits)
        ratios.append(ours / best if best else 1.0 + ours)
    evidence("partition brute force", ratio=float(np.mean(ratios)), worst=max(ratios))
    assert np.mean(ratios) <= 1.10


def test_sources_spare_cores_of_a_network_without_structure() -> None:
    """In the order of the ids every source reaches every core of this one."""
    h = networks.brunel(1200).graph
    level = finest(h, LOIHI)
    seat = by_sparing(level, 400)
    assert np.bincount(seat).tolist() == [400, 400, 400]
    assert traffic(level, np.arange(1200) // 400) == pytest.approx(2 * h.rates.sum())
    assert traffic(level, seat) < 2 * h.rates.sum() - 3 * h.rates.max()


def test_a_large_ensemble_is_refined_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neurons share too few sources to be clustered, but partners lie in one core afterwards."""
    h = networks.places(size(1, 4)).graph

    def shared_little(level: Level) -> bool:
        return level.vertices < 0

    monkeypatch.setattr("spikec.compiler.mapping.partition.LARGE", 100_000)
    monkeypatch.setattr("spikec.compiler.mapping.partition._structured", shared_little)
    seat = partition(h, LOIHI)
    used = usage(h, seat, int(seat.max()) + 1, LOIHI)
    assert not exceeded(used, LOIHI)
    order = partition(h, LOIHI, 0, "sequential")
    assert seat.max() <= order.max()
    assert used.traffic < 0.98 * traffic(finest(h, LOIHI), order)


def test_counters_are_exact_at_every_level() -> None:
    """The state of a coarse level counts what its neurons use."""
    h = random_graph(5, 60)
    level = finest(h, SMALL)
    random = np.random.default_rng(0)
    cluster = random.integers(0, 20, 60).astype(np.int32)
    cluster[:20] = np.arange(20)
    coarse = contracted(level._replace(kinds=np.zeros((0, 60), np.int32)), cluster, 20)
    seat = random.integers(0, 4, 20).astype(np.int32)
    s = state(coarse._replace(most=np.zeros(0, np.int64)), seat, 4)
    used = usage(h, seat[cluster], 4, SMALL)
    wanted = [used.neurons, used.in_axons, used.out_axons, used.synapse_bits]
    assert np.array_equal(s.use, wanted)
    assert traffic(coarse, seat) == pytest.approx(used.traffic)


def test_many_small_populations_share_a_core() -> None:
    """100 populations of 10 neurons, each of its own, take one core and no traffic."""
    start = np.arange(0, 10_001, 10, dtype=np.int64)
    target = np.repeat(np.arange(1000).reshape(100, 10), 10, axis=0).reshape(-1)
    h = Hypergraph(1000, 0, (Edges(0, start, target.astype(np.int32), 8),))
    assert partition(h, LOIHI).max() == 0
    tight = Limits(200, 4096, 4096, 1 << 20)
    seat = partition(h, tight)
    assert (check(h, seat, tight), seat.max()) == (0.0, 4)


def wide(sources: int, bits: int = 8) -> Hypergraph:
    """Return a neuron with so many sources."""
    start = np.arange(sources + 1, dtype=np.int64)
    return Hypergraph(2, sources, (Edges(0, start, np.ones(sources, np.int32), bits),))


@pytest.mark.parametrize(
    ("h", "limits", "code", "where"),
    [
        (wide(9), Limits(in_axons=8), "SPK1732", "neuron 1"),
        (wide(9), Limits(synapse_bits=8 * 64), "SPK1733", "neuron 1"),
    ],
)
def test_a_neuron_that_fits_no_core_is_named(
    h: Hypergraph, limits: Limits, code: str, where: str
) -> None:
    """Alone it exceeds a limit."""
    with pytest.raises(SpikecError) as raised:
        partition(h, limits)
    assert (raised.value.code, raised.value.where) == (code, where)


def test_a_neuron_whose_targets_lie_in_too_many_cores_is_named() -> None:
    """Three targets that each need a core of their own, and two output axons."""
    edges = Edges(0, np.array([0, 3, 3, 3], np.int64), np.arange(3, dtype=np.int32), 8)
    with pytest.raises(SpikecError, match="SPK1734") as raised:
        partition(Hypergraph(3, 0, (edges,)), Limits(neurons=1, out_axons=2))
    assert raised.value.where == "neuron 0"


@pytest.mark.parametrize("value", [0, -1, 1.5, True, 1 << 41])
def test_limits_are_positive_whole_numbers(value: Any) -> None:
    """As a chip file may hold anything."""
    with pytest.raises(SpikecError, match="SPK1730"):
        Limits(neurons=value)


@pytest.mark.parametrize(
    "change",
    [
        {"neurons": 0},
        {"inputs": -1},
        {"rate": np.ones(1)},
        {"rate": np.array([1.0, np.nan, 1.0])},
        {"kinds": np.zeros((1, 3), np.int32)},
        {"room": np.zeros(2, np.int64)},
        {"edges": (Edges(0, np.array([0, 1], np.int64), np.array([2], np.int32), 8),)},
        {"edges": (Edges(0, np.array([0, 2], np.int64), np.array([1], np.int32), 8),)},
        {"edges": (Edges(3, np.array([0, 1], np.int64), np.array([1], np.int32), 8),)},
        {"edges": (Edges(0, np.array([0, 1], np.int64), np.array([1], np.int64), 8),)},
        {"edges": (Edges(0, np.array([0, 1], np.int64), np.array([1], np.int32), 65),)},
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(change: dict[str, Any]) -> None:
    """Two neurons and one input channel, and one thing wrong."""
    whole: dict[str, Any] = {"neurons": 2, "inputs": 1, "edges": ()}
    with pytest.raises(SpikecError, match="SPK1731"):
        Hypergraph(**(whole | change))
