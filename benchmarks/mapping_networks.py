"""The networks that mappers are measured on, as hypergraphs, from their published descriptions.

Rates are seeded: log-normal around 1, as measured rates spread, unless a network has its own.
"""

import numpy as np

from spikec.compiler.mapping.hypergraph import Edges, Hypergraph
from spikec.compiler.types import Array

WEIGHT_BITS = 8
INDEX_BITS = 10  # of a target among 1,024 compartments, where a list is sparse


def gaussian(side: int, fan_out: int = 32, sigma: float = 8.0, seed: int = 0) -> Hypergraph:
    """Return side x side neurons on a torus, ids shuffled; targets at Gaussian distances.

    ``mapping.md`` section 4: the network whose true geometry is known.
    """
    return torus(side, fan_out, sigma, seed)[0]


def torus(side: int, fan_out: int, sigma: float, seed: int) -> tuple[Hypergraph, Array]:
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
    start = np.arange(0, target.size + 1, fan_out, dtype=np.int64)
    edges = Edges(0, start, target, WEIGHT_BITS + INDEX_BITS)
    return Hypergraph(n, 0, (edges,), rates(n, seed)), place


def rates(sources: int, seed: int) -> Array:
    """Return spikes per step of each source."""
    return np.random.default_rng([seed, 1]).lognormal(0.0, 0.5, sources)
