"""Merge vertices that share many axons into clusters, each a small part of what a core holds."""

# An element of an array is a number in compiled code; the type checker sees an array.
# pyright: reportArgumentType=false, reportReturnType=false

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.mapping.fill import BUDGET, bits_alone, by_connectivity, uniform
from spikec.compiler.mapping.level import Level, contracted
from spikec.compiler.mapping.renumber import shuffled
from spikec.compiler.types import Array

PART = 8  # a cluster takes at most this part of a core's neurons
LARGE, LARGE_PART = 30_000, 32  # likewise from so many neurons on, where coarse moves cost too much
SAMPLE = 256  # pins that a neuron looks at where clusters are grown
SILENT = 1e-6  # spikes per step that a silent source counts as
# Rating, over that of the best cluster that is full. From one start LeNet-5 sends 5,460 spikes per
# step between cores with it and 6,460 with 0 (means of three seeds); with 0.5, as few as with it.
STRANGE = 0.1
SHRINK = 0.8  # coarsening ends where a level keeps more of its vertices


def coarsened(
    level: Level, seed: int, first: Array | None = None
) -> tuple[list[Level], list[Array]]:
    """Return ever coarser levels, the given one first, and the clusters that lead to each next.

    Args:
        level: The finest.
        seed: Of the order in which vertices choose.
        first: The first clusters; None makes them like the others.
    """
    levels: list[Level] = [level]
    clusters: list[Array] = []
    part = LARGE_PART if level.vertices >= LARGE else PART
    if first is not None:
        clusters.append(first)
        levels.append(contracted(level, first, int(first.max()) + 1))
    while True:
        cluster = _clusters(levels[-1], part, seed + len(levels))
        count = int(cluster.max()) + 1
        if count > SHRINK * levels[-1].vertices:
            return levels, clusters
        clusters.append(cluster)
        levels.append(contracted(levels[-1], cluster, count))


def grown(level: Level) -> Array:
    """Return clusters that grow like cores, from a sample of synapses: cheap, and compact."""
    cap = level.cap.copy()
    cap[0] = max(cap[0] // LARGE_PART, 2)
    cap[1], cap[3] = cap[1] // 2, cap[3] // 4
    alike = level._replace(cap=cap, most=np.ones_like(level.most))
    return by_connectivity(alike, np.zeros(level.vertices, np.int64), budget=SAMPLE)


def _clusters(level: Level, part: int, seed: int) -> Array:
    """Return the cluster of each vertex, int32, numbered without gaps."""
    order = shuffled(np.random.default_rng(seed), level.vertices)
    most = np.array([max(level.cap[0] // part, 2), level.cap[1] // 2, level.cap[3] // 4])
    cluster = np.arange(level.vertices, dtype=np.int32)
    _join(level, order, most, bits_alone(level), np.array([seed], np.uint64), cluster)
    return np.unique(cluster, return_inverse=True)[1].astype(np.int32)


@compiled
def _join(
    level: Level, order: Array, most: Array, bits: Array, random: Array, cluster: Array
) -> None:
    """Let every vertex that is still alone join the cluster that it shares most with."""
    n = cluster.size
    size = level.size.astype(np.int64)
    axons = level.in_start[1:] - level.in_start[:-1]
    alone = np.ones(n, np.bool_)
    rating = np.zeros(n, np.float64)
    near = np.empty(n, np.int32)
    for v in order:
        if not alone[v]:
            continue
        found = _rate(level, v, random, cluster, rating, near)
        best, chosen, refused = 0.0, -1, 0.0
        for i in range(found):
            c = near[i]
            value = rating[c] / size[c]
            rating[c] = 0.0
            if c == v or value <= best:
                continue
            if (
                size[c] + size[v] > most[0]
                or axons[c] + axons[v] > most[1]
                or bits[c] + bits[v] > most[2]
            ):
                refused = max(refused, value)
                continue
            if level.room[c] != level.room[v]:
                continue
            if (level.kinds[:, c] != level.kinds[:, v]).any():
                continue
            best, chosen = value, c
        # Rather alone than with strangers, where its own are in clusters that are full.
        if chosen >= 0 and best > STRANGE * refused:
            cluster[v] = chosen
            size[chosen] += size[v]
            axons[chosen] += axons[v]
            bits[chosen] += bits[v]
            alone[v] = alone[chosen] = False


@compiled
def _rate(level: Level, v: int, random: Array, cluster: Array, rating: Array, near: Array) -> int:
    """Add up what vertex ``v`` shares with each cluster near it; return how many there are."""
    found, total = 0, 0
    first, last = level.in_start[v], level.in_start[v + 1]
    for i in range(first, last):
        s = level.in_source[i]
        total += level.pin_start[s + 1] - level.pin_start[s]
    keep = BUDGET / total if total > BUDGET else 1.0
    for i in range(first, last + level.own_start[v + 1] - level.own_start[v]):
        if keep < 1.0 and uniform(random) > keep:
            continue
        s = level.in_source[i] if i < last else level.own[level.own_start[v] + i - last]
        begin, end = level.pin_start[s], level.pin_start[s + 1]
        # A source that never sends still takes an axon, and a rating of 0 says "not seen".
        weight = max(level.rate[s], SILENT) / max(end - begin, 1)
        for j in range(begin - 1, end):
            u = level.home[s] if j < begin else level.pin[j]
            if u < 0 or u == v:
                continue
            c = cluster[u]
            if rating[c] == 0.0:
                near[found] = c
                found += 1
            rating[c] += weight
    return found
