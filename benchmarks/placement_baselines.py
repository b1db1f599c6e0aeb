"""Placement on meshes: the sum of weighted ways, over that of cores placed as they are numbered.

Baselines: random; the numbers along a Hilbert curve; and a particle swarm in the manner of SpiNeMap
(Balaji et al., TVLSI 2020), written from its description. Ours is to be the least everywhere.
"""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from spikec.compiler.mapping.mesh import Mesh
from spikec.compiler.mapping.orders import hilbert_order
from spikec.compiler.mapping.placement import place, sequential, way_weight
from spikec.compiler.types import Array
from spikec.compiler.untyped import sparse as sp

PARTICLES, ROUNDS = 50, 200
INERTIA, OWN, COMMON = 0.72, 1.5, 1.5  # Clerc's constriction, as usual


def local(cores: int, seed: int) -> Any:
    """Return traffic in a plane: as a Gaussian of the distance, numbers shuffled."""
    random = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(cores)))
    parts: list[tuple[Array, Array, Array]] = []
    x, y = np.arange(cores) % side, np.arange(cores) // side
    for dx in range(-3, 4):
        for dy in range(-3, 4):
            inside = (x + dx >= 0) & (x + dx < side) & (y + dy >= 0)
            target = (y + dy) * side + x + dx
            kept = np.flatnonzero(inside & (target < cores))
            amount = np.full(kept.size, round(100 * np.exp(-(dx * dx + dy * dy) / 2.9)))
            parts.append((kept, target[kept], amount))
    source, target, amount = (np.concatenate(p) for p in zip(*parts, strict=True))
    new = random.permutation(cores)
    return sp.csr_array((amount, (new[source], new[target])), shape=(cores, cores))


def layered(cores: int, seed: int) -> Any:
    """Return traffic of fully connected layers of eight cores, one after the other."""
    random = np.random.default_rng(seed)
    source, target = np.divmod(np.arange(cores * 16), 16)
    target = (source // 8 + 1) * 8 + target
    kept = (target < cores) & (target < (source // 8 + 2) * 8)
    amount = random.integers(1, 20, cores * 16)
    held = (amount[kept], (source[kept], target[kept]))
    return sp.csr_array(held, shape=(cores, cores))


def scattered(cores: int, seed: int) -> Any:
    """Return traffic to eight random cores each."""
    random = np.random.default_rng(seed)
    ends = (np.repeat(np.arange(cores), 8), random.integers(0, cores, cores * 8))
    return sp.csr_array((random.integers(1, 20, cores * 8), ends), shape=(cores, cores))


NETWORKS: dict[str, Callable[[int, int], Any]] = {
    "local": local,
    "layered": layered,
    "scattered": scattered,
}


def at_random(traffic: Any, mesh: Mesh, seed: int) -> Array:
    """Return random places on as few chips as hold the cores."""
    cores = traffic.shape[0]
    every = sequential(mesh.holding(cores).cores, mesh)
    return np.asarray(np.random.default_rng(seed).permutation(every)[:cores])


def hilbert(traffic: Any, mesh: Mesh, seed: int) -> Array:
    """Return places along a Hilbert curve, in the order of the numbers."""
    tiles = hilbert_order(mesh.columns, mesh.rows)
    cores: int = traffic.shape[0]
    number = np.arange(cores)
    chip, rest = np.divmod(number, mesh.cores_per_chip)
    tile, index = np.divmod(rest, mesh.cores_per_tile)
    return np.column_stack((chip, tiles[tile], index)).astype(np.int32)


def numbered(traffic: Any, mesh: Mesh, seed: int) -> Array:
    """Return places in the order of the numbers."""
    return sequential(traffic.shape[0], mesh)


def swarm(traffic: Any, mesh: Mesh, seed: int) -> Array:
    """Return the best places of a particle swarm.

    A particle has a number for each core; the cores take their places in the order of the numbers.
    """
    random = np.random.default_rng(seed)
    cores = traffic.shape[0]
    every = sequential(mesh.holding(cores).cores, mesh)

    def placed(key: Array) -> Array:
        return np.asarray(every[np.argsort(np.argsort(key, kind="stable"), kind="stable")])

    at = random.random((PARTICLES, cores))
    speed = random.normal(0, 0.1, at.shape)
    own, own_cost = at.copy(), np.array([way_weight(traffic, placed(k), mesh) for k in at])
    for _ in range(ROUNDS):
        best = own[np.argmin(own_cost)]
        pull, drift = random.random(at.shape), random.random(at.shape)
        speed = INERTIA * speed + OWN * pull * (own - at) + COMMON * drift * (best - at)
        at = at + speed
        cost = np.array([way_weight(traffic, placed(k), mesh) for k in at])
        gained = cost < own_cost
        own[gained], own_cost[gained] = at[gained], cost[gained]
    return placed(own[np.argmin(own_cost)])


BASELINES: dict[str, Callable[[Any, Mesh, int], Array]] = {
    "random": at_random,
    "numbered": numbered,
    "hilbert": hilbert,
    "swarm": swarm,
}


def rows() -> Iterator[dict[str, Any]]:
    """Give a row per network and way of placing."""
    for cores in (30, 128, 400, 3000, 25_000):
        for name, make in NETWORKS.items():
            traffic = make(cores, 0)
            mesh = Mesh().holding(cores)
            costs = {
                b: way_weight(traffic, f(traffic, mesh, 0), mesh)
                for b, f in BASELINES.items()
                if b != "swarm" or cores <= 128
            }
            begin = time.perf_counter()
            ours = way_weight(traffic, place(traffic, mesh), mesh)
            took = time.perf_counter() - begin
            what = f"{cores:,} cores, {name}"
            for b, cost in costs.items():
                if b != "numbered":
                    yield {"what": f"{what}: {b}", "figure": cost / costs["numbered"]}
            least = min(costs.values())
            figure = {"what": f"{what}: ours", "figure": ours / costs["numbered"]}
            yield figure | {"limit": least / costs["numbered"]}
            yield {"what": f"{what}: ours, s", "figure": took, "limit": 60}


if __name__ == "__main__":
    print(json.dumps(list(rows())))
