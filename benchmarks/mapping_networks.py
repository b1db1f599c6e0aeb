"""The networks that mappers are measured on, as hypergraphs, from their published descriptions.

Everything random is seeded. Rates are log-normal around 1 where a network has none of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spikec.compiler.mapping.hypergraph import Edges, Hypergraph
from spikec.compiler.types import Array

WEIGHT_BITS = 8
INDEX_BITS = 10  # of a target among 1,024 compartments, where a list is sparse


@dataclass(frozen=True, slots=True)
class Network:
    """A hypergraph and how many neurons each of its populations has."""

    graph: Hypergraph
    populations: tuple[int, ...]


def mlp() -> Network:
    """Return 784-128-10, fully connected."""
    links = [_all_to_all(0, 784, 0, 128), _all_to_all(784, 128, 128, 10)]
    return _network(784, (128, 10), links, 0, dense=True)


def lenet() -> Network:
    """Return LeNet-5 on 32 x 32 pixels with its pooling units: 9,118 units, inputs included."""
    shapes = [(1, 32), (6, 28), (6, 14), (16, 10), (16, 5)]
    sizes = [c * side * side for c, side in shapes] + [120, 84, 10]
    first = np.concatenate([[0], np.cumsum(sizes)])  # of each layer among the sources
    links = [
        _windows(shapes[i], shapes[i + 1], kernel, step, int(first[i]), int(first[i + 1]) - 1024)
        for i, (kernel, step) in enumerate(((5, 1), (2, 2), (5, 1), (2, 2)))
    ]
    links += [
        _all_to_all(int(first[i]), sizes[i], int(first[i + 1]) - 1024, sizes[i + 1])
        for i in range(4, 7)
    ]
    return _network(1024, tuple(sizes[1:]), links, 1)


def microcircuit(scale: float) -> Network:
    """Return the cortical microcircuit of Potjans and Diesmann (2014), probabilities kept."""
    full = (20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948)
    probability = (  # to each population (row) from each (column)
        (0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0),
        (0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0),
        (0.0077, 0.0059, 0.0497, 0.135, 0.0067, 0.0003, 0.0453, 0.0),
        (0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0),
        (0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0),
        (0.0548, 0.0269, 0.0257, 0.0022, 0.06, 0.3158, 0.0086, 0.0),
        (0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252),
        (0.0364, 0.001, 0.0034, 0.0005, 0.0277, 0.008, 0.0658, 0.1443),
    )
    hertz = (0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829)
    sizes = tuple(round(n * scale) for n in full)
    first = np.concatenate([[0], np.cumsum(sizes)])
    links = [
        _random(int(first[j]), sizes[j], int(first[i]), sizes[i], p, 8 * i + j)
        for i, row in enumerate(probability)
        for j, p in enumerate(row)
        if p
    ]
    rate = np.repeat(np.array(hertz) * 1e-4, sizes)  # per step of 0.1 ms
    return _network(0, sizes, links, 2, rate)


def brunel(neurons: int = 12_500) -> Network:
    """Return the balanced network of Brunel (2000): every pair connected with probability 0.1."""
    links = [_random(0, neurons, 0, neurons, 0.1, 3)]
    return _network(0, (neurons * 4 // 5, neurons - neurons * 4 // 5), links, 3)


def small_world(neurons: int, neighbours: int = 20, rewired: float = 0.1) -> Network:
    """Return a ring of Watts and Strogatz (1998), ids shuffled."""
    random = np.random.default_rng(4)
    source = np.repeat(np.arange(neurons), neighbours)
    step = np.tile(np.r_[-(neighbours // 2) : 0, 1 : neighbours - neighbours // 2 + 1], neurons)
    target = (source + step) % neurons
    far = random.random(target.size) < rewired
    target[far] = random.integers(0, neurons, int(far.sum()))
    name = random.permutation(neurons)
    return _network(0, (neurons,), [(name[source], name[target])], 4)


def synfire(groups: int, width: int = 100) -> Network:
    """Return a synfire chain (Abeles 1991): each group reaches all of the next; ids shuffled."""
    name = np.random.default_rng(5).permutation(groups * width)
    links = [_all_to_all(g * width, width, (g + 1) * width, width) for g in range(groups - 1)]
    source, target = np.concatenate(links, axis=1)
    return _network(0, (groups * width,), [(name[source], name[target])], 5)


def layered(layers: int, width: int, probability: float = 0.1) -> Network:
    """Return feed-forward layers, each pair of neighbours connected at random."""
    links = [
        _random((i - 1) * width, width, (i - 1) * width, width, probability, 60 + i)
        for i in range(1, layers)
    ]
    links = [(source, target + width) for source, target in links]
    first = _random(0, width, 0, width, probability, 60)
    shifted = [first, *((source + width, target) for source, target in links)]
    return _network(width, (width,) * layers, shifted, 6)


def liquid(neurons: int) -> Network:
    """Return a liquid: a column of 10 x 10 neurons, connected by distance (Maass 2002)."""
    random = np.random.default_rng(7)
    i = np.arange(neurons)
    place = np.stack([i % 10, i // 10 % 10, i // 100])
    distance: Array = ((place[:, :, None] - place[:, None]) ** 2).sum(axis=0)
    kind = (random.random(neurons) < 0.2).astype(int)
    chance = np.array([[0.3, 0.2], [0.4, 0.1]])[kind[:, None], kind] * np.exp(-distance / 4)
    np.fill_diagonal(chance, 0)
    recurrent = np.nonzero(np.asarray(random.random(chance.shape) < chance))
    links = [_random(0, 100, 0, neurons, 0.1, 7), (recurrent[0] + 100, recurrent[1])]
    return _network(100, (neurons,), links, 7)


def places(modules: int) -> Network:
    """Return the place-recognition ensemble: modules of 400 + 400 neurons on 784 shared inputs."""
    n = 400
    links: list[tuple[Array, Array]] = []
    for m in range(modules):
        e, i = m * 2 * n, m * 2 * n + n
        links.append(_all_to_all(0, 784, e, n))
        links.append((np.arange(784 + e, 784 + i), np.arange(i, i + n)))
        source, target = _all_to_all(784 + i, n, e, n)
        other = source - 784 - i != target - e
        links.append((source[other], target[other]))
    return _network(784, (n,) * (2 * modules), links, 8)


def gaussian(side: int, fan_out: int = 32, sigma: float = 8.0, seed: int = 0) -> Network:
    """Return side x side neurons on a torus, ids shuffled; targets at Gaussian distances."""
    return torus(side, fan_out, sigma, seed)[0]


def torus(side: int, fan_out: int, sigma: float, seed: int) -> tuple[Network, Array]:
    """Return the network of ``gaussian``, and where each of its neurons lies, y * side + x."""
    random = np.random.default_rng(seed)
    n = side * side
    name = random.permutation(n).astype(np.int32)  # of the neuron at each place
    place = np.empty(n, np.int64)
    place[name] = np.arange(n)
    target = np.empty(n * fan_out, np.int32)
    step = max(1, 10_000_000 // fan_out)
    for begin in range(0, n, step):
        at = place[begin : begin + step]
        away = np.rint(random.normal(0, sigma, (at.size, fan_out, 2))).astype(np.int64)
        y = (at[:, None] // side + away[..., 0]) % side
        x = (at[:, None] % side + away[..., 1]) % side
        target[begin * fan_out : (begin + at.size) * fan_out] = name[y * side + x].reshape(-1)
    return _fixed(n, target, fan_out, seed), place


def unstructured(neurons: int, fan_out: int, seed: int = 0) -> Network:
    """Return neurons that each reach random others."""
    random = np.random.default_rng(seed)
    target = random.integers(0, neurons, neurons * fan_out, dtype=np.int32)
    return _fixed(neurons, target, fan_out, seed)


def _fixed(neurons: int, target: Array, fan_out: int, seed: int) -> Network:
    start = np.arange(0, target.size + 1, fan_out, dtype=np.int64)
    edges = Edges(0, start, target, WEIGHT_BITS + INDEX_BITS)
    return Network(Hypergraph(neurons, 0, (edges,), _rates(neurons, seed)), (neurons,))


def _rates(sources: int, seed: int) -> Array:
    return np.random.default_rng([seed, 1]).lognormal(0.0, 0.5, sources)


def _network(
    inputs: int,
    populations: tuple[int, ...],
    links: list[tuple[Array, Array]],
    seed: int,
    rate: Array | None = None,
    dense: bool = False,
) -> Network:
    """Return the network of links, each the sources and targets of its synapses."""
    neurons = sum(populations)
    bits = WEIGHT_BITS + (0 if dense else INDEX_BITS)
    edges = tuple(_edges(source, target, bits) for source, target in links if source.size)
    rate = _rates(inputs + neurons, seed) if rate is None else rate
    return Network(Hypergraph(neurons, inputs, edges, rate), populations)


def _edges(source: Array, target: Array, bits: int) -> Edges:
    first = int(source.min())
    order = np.lexsort((target, source))
    size = np.bincount(source - first)
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(size)])
    return Edges(first, start, target[order].astype(np.int32), bits)


def _all_to_all(source: int, sources: int, target: int, targets: int) -> tuple[Array, Array]:
    s, t = np.divmod(np.arange(sources * targets), targets)
    return s + source, t + target


def _random(
    source: int, sources: int, target: int, targets: int, probability: float, seed: int
) -> tuple[Array, Array]:
    random = np.random.default_rng([9, seed])
    rows = [(s, np.flatnonzero(random.random(targets) < probability)) for s in range(sources)]
    s = np.repeat(np.arange(sources), [t.size for _, t in rows])
    return s + source, np.concatenate([t for _, t in rows]) + target


def _windows(
    inside: tuple[int, int],
    outside: tuple[int, int],
    kernel: int,
    step: int,
    source: int,
    target: int,
) -> tuple[Array, Array]:
    """Return the synapses of a convolution (stride 1, all channels) or of pooling (one channel)."""
    pairs = list(_taps(inside, outside, kernel, step))
    s, t = np.concatenate(pairs, axis=1)
    return s + source, t + target


def _taps(
    inside: tuple[int, int], outside: tuple[int, int], kernel: int, step: int
) -> Iterator[Array]:
    (channels, side), (out_channels, out_side) = inside, outside
    y, x = np.divmod(np.arange(out_side * out_side), out_side)
    for c in range(out_channels):
        for b in range(channels) if step == 1 else (c,):
            for dy, dx in np.ndindex(kernel, kernel):
                at = b * side * side + (y * step + dy) * side + x * step + dx
                yield np.stack([at, c * out_side * out_side + np.arange(y.size)])
