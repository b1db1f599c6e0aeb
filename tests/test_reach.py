"""Which core each source reaches: against every synapse written down."""

import numpy as np
import pytest

import spikec
from sizes import size
from spikec.compiler.fan_out import entries
from spikec.compiler.mapping.reach import reach
from spikec.compiler.synapses import Synapse
from spikec.compiler.types import Array, FixedPoint, Tensor

WEIGHT = FixedPoint(8)


def weights(random: np.random.Generator, *shape: int) -> Tensor:
    """Return integers, some of them zero."""
    return Tensor.integers(random.integers(-2, 3, shape), WEIGHT)


def synapses(random: np.random.Generator) -> dict[str, Synapse]:
    """Return a synapse of every kind, of random geometry."""
    n, m, channels, groups = (int(v) for v in random.integers(1, 5, 4))
    k0, k1, stride, dilation = (int(v) for v in random.integers(1, 3, 4))
    image = (channels * groups, k0 * 2 + n, k1 * 2 + m)
    pattern = (random.random((m + 1, n + 1)) < 0.5).astype(float)
    return {
        "dense": spikec.Dense(weights(random, m, n)),
        "conv2d": spikec.Conv2d(
            image,
            weights(random, 2 * groups, channels, k0, k1),
            stride=(stride, 1),
            padding=(1, 0),
            dilation=(dilation, 1),
            groups=groups,
            extra=(0, 1),
        ),
        "conv1d": spikec.Conv1d((channels, 7), weights(random, m, channels, 3), padding=1),
        "pool2d": spikec.Pool2d(image, (k0, k1), Tensor.integers(1, WEIGHT), (stride, 1)),
        "one_to_one": spikec.OneToOne(n, weights(random, n)),
        "all_but_self": spikec.AllButSelf(n, weights(random, n)),
        "sparse": spikec.Sparse.of(pattern),
        "fixed_probability": spikec.FixedProbability.of(n + 5, m + 5, 0.3, 1.0, seed=n),
    }


def slow(projection: spikec.Projection, seats: Array, cores: int) -> Array:
    """Count synapse by synapse."""
    synapse = projection.synapse
    counts = np.zeros((synapse.in_size, cores), np.int64)
    if projection.storage == "dense":
        pairs = [(s, t) for s in range(synapse.in_size) for t in range(synapse.out_size)]
    elif isinstance(synapse, spikec.AllButSelf):
        pairs = [(s, t) for s in range(synapse.size) for t in range(synapse.size) if s != t]
    else:
        source, target, _ = entries(synapse.plain())
        pairs = list(zip(source.tolist(), target.tolist(), strict=True))
    for start, end in pairs:
        if seats[end] >= 0:
            counts[start, seats[end]] += 1
    return counts


@pytest.mark.parametrize("seed", range(size(15, 300)))
def test_reach_is_that_of_single_synapses(seed: int) -> None:
    """Every kind, in its own storage and dense, with some targets left out."""
    random = np.random.default_rng(seed)
    for kind, synapse in synapses(random).items():
        cores = int(random.integers(1, 6))
        seats = random.integers(-1, cores, synapse.out_size).astype(np.int32)
        for storage in (synapse.storage, "dense"):
            projection = spikec.Projection("x", "y", synapse, storage=storage)
            found = reach(projection, seats, cores)
            assert found.toarray().tolist() == slow(projection, seats, cores).tolist(), kind
