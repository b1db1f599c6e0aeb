"""Assign neurons to cores: as few spikes between cores as possible, every limit kept exactly."""

# An element of an array is a number in compiled code; the type checker sees an array.
# pyright: reportArgumentType=false, reportReturnType=false

from typing import Any, Literal, NoReturn

import numpy as np

from spikec.compiler.compiled import compiled
from spikec.compiler.errors import SpikecError
from spikec.compiler.mapping.coarsen import coarsened, grown
from spikec.compiler.mapping.cuts import best_cuts
from spikec.compiler.mapping.fill import bits_alone, by_connectivity, in_order
from spikec.compiler.mapping.hypergraph import Hypergraph, Limits
from spikec.compiler.mapping.level import Level, contracted, finest
from spikec.compiler.mapping.merge import merge
from spikec.compiler.mapping.orders import breadth_order
from spikec.compiler.mapping.refine import anneal
from spikec.compiler.mapping.renumber import renumbered
from spikec.compiler.mapping.spare import by_sparing
from spikec.compiler.mapping.state import OUT, State, state
from spikec.compiler.types import Array
from spikec.compiler.untyped import sparse as sp

Method = Literal["best", "sequential", "greedy", "multilevel"]
MARGINS = (1.0, 0.97, 0.9, 0.75, 0.5)  # of the out axons that an estimate may use
SWEEPS, PINS = 30, 3_000_000  # annealed on a level of so many pins; others by the root of theirs
COARSEST, BETWEEN, FINEST = 300, 20, 30  # sweeps at most on such levels
SETTLE = 10  # sweeps without temperature, at most
COLD = 4  # likewise on a finest level of more than LARGE pins, half on others; not annealed
HOT = 0.05  # first temperature, as a part of a vertex's mean incoming rate
SOFT = 1.0  # pins of a source at which a core costs half of its rate first, over their mean
STARTS = 8  # at most, each hotter on its coarsest level than the one before, up to 16 times
STARTED = 2_000_000  # pins of all starts together
PROBE = 16  # cores that are filled to see whether a large network has structure
LARGE = 10_000_000  # pins of a large network
FEW = 100_000  # neurons up to which cores in order are refined as well


def partition(h: Hypergraph, limits: Limits, seed: int = 0, method: Method = "best") -> Array:
    """Return the core of every neuron, int32 (neurons,), cores numbered from 0 without gaps.

    Args:
        h: The network.
        limits: Of one core.
        seed: The same seed gives the same assignment.
        method: ``sequential`` fills cores in the order of the neurons, ``greedy`` by connectivity,
            ``multilevel`` refines a start by connectivity from coarse to fine; ``best`` compares
            it with the sequential one, refined as well up to ``FEW`` neurons, and begins several
            times where the network is small. Of more than ``LARGE`` synapses it is the sequential
            one where neurons share few sources.

    Raises:
        SpikecError: SPK1732 or SPK1733 when a neuron fits no core even alone, SPK1734 when its
            targets lie in more cores than it has output axons for.
    """
    level = finest(h, limits)
    _check_alone(level, limits)
    found = [_compact(s) for s in _candidates(level, seed, method) if s is not None]
    if not found:
        _no_out_axons(level, limits)
    return min(found, key=lambda seat: (traffic(level, seat), int(seat.max())))


def _candidates(level: Level, seed: int, method: Method) -> list[Array | None]:
    if level.pin.size > LARGE and method in ("best", "multilevel") and _structured(level):
        large = _large(level, seed * STARTS)
        if large is not None:
            return [large]
    sequential = _filled(level)
    if method == "sequential" or (sequential is not None and not sequential.any()):
        return [sequential]  # one core
    if method == "greedy":
        return [_filled(level, by_growth=True)]
    starts = int(np.clip(STARTED / max(level.pin.size, 1), 1, STARTS)) if method == "best" else 1
    refined: list[Array | None] = []
    if method == "best" and sequential is not None and level.vertices <= FEW:
        hot = HOT if starts > 1 else 0.0
        refined.append(_kept(_annealed(level, sequential, seed, hot, FINEST)))
    if level.pin.size > LARGE:
        return [*refined, sequential]
    seeds = range(seed * STARTS, seed * STARTS + starts)
    found = [_multilevel(level, s, HOT * 4 ** (i % 3)) for i, s in enumerate(seeds)]
    if starts > 1:
        found += [_multilevel(level, s, HOT, linear=True) for s in seeds]
        kept = [s for s in found + refined if s is not None]
        if kept:
            best = _recombined(level, kept, seed)
            even = level.vertices // (int(best.max()) + 1)
            spared = _kept(_annealed(level, by_sparing(level, even), seed, 0.0, FINEST))
            found = [best if spared is None else _recombined(level, [best, spared], seed)]
    return [*found, *refined, sequential]


def _recombined(level: Level, found: list[Array], seed: int) -> Array:
    """Return the best assignment refined on what it has in common with each of the others.

    Neurons that two assignments put together are one vertex, so that whole regions move in which
    they differ: the combination of Sanders and Schulz (KaFFPaE, 2012). Never worse than the best.
    """
    found = sorted(map(_compact, found), key=lambda s: traffic(level, s))
    for other in found[1:]:
        best = found[0]
        pair = best.astype(np.int64) * (int(other.max()) + 1) + other
        common = np.unique(pair, return_inverse=True)[1].astype(np.int32)
        coarse = contracted(level, common, int(common.max()) + 1)
        begun = np.zeros(coarse.vertices, np.int32)
        begun[common] = best
        seat = _compact(_annealed(coarse, begun, seed, HOT, COARSEST).seat)[common]
        s = _annealed(level, seat, seed, HOT, FINEST)
        if _kept(s) is not None and traffic(level, s.seat) < traffic(level, best):
            found[0] = _compact(s.seat)
    return found[0]


def _large(level: Level, seed: int) -> Array | None:
    """Return cores of a large network, renumbered by clusters; None if it does not fit."""
    cluster = grown(level)
    order = np.argsort(cluster, kind="stable").astype(np.int32)
    seat = np.empty(level.vertices, np.int32)
    found = _multilevel(renumbered(level, order), seed, HOT, first=cluster[order])
    if found is None:
        return None
    seat[order] = found
    return seat


def _multilevel(
    level: Level, seed: int, hot: float, linear: bool = False, first: Array | None = None
) -> Array | None:
    """Return cores begun on a coarse level and refined from there to the finest; None if none.

    Args:
        level: The network.
        seed: Of clusters and draws.
        hot: First temperature on the coarsest level, see ``anneal``.
        linear: Begin with cores cut from an order from one end of the network to the other,
            which suits chains, rather than grown.
        first: The first clusters, where they are known.
    """
    levels, clusters = coarsened(level, seed, first)
    coarsest = levels[-1]
    if linear:
        seat = best_cuts(coarsest, breadth_order(_graph(coarsest)))
    else:
        seat = by_connectivity(coarsest, np.zeros(coarsest.vertices, np.int64))
        out = reach(coarsest, seat)
        if np.bincount(seat, out).max() > level.cap[OUT]:
            seat = by_connectivity(coarsest, out)
    most = COARSEST
    while True:
        s = _annealed(levels.pop(), seat, seed, hot, most)
        if not levels:
            return _kept(s)
        seat = _compact(s.seat)[clusters.pop()]
        hot, most = HOT, BETWEEN if len(levels) > 1 else FINEST


def _graph(level: Level) -> Any:
    """Return which vertices reach which, symmetric csr (vertices, vertices)."""
    source = np.repeat(level.home, np.diff(level.pin_start))
    target = level.pin[source >= 0]
    held = (np.ones(target.size), (source[source >= 0], target))
    one = sp.csr_array(held, shape=(level.vertices, level.vertices))
    return one + one.T


def _annealed(level: Level, seat: Array, seed: int, hot: float, most: int) -> State:
    """Return a refined assignment; it may exceed limits that a coarse level cannot mend.

    Args:
        level: The network.
        seat: Where the vertices are.
        seed: Of the draws.
        hot: See ``anneal``; 0 descends at once.
        most: Sweeps at most; large levels have fewer.
    """
    cores = int(seat.max()) + 1
    s = state(level, seat, cores + 2 + cores // 16)  # some empty ones, for repair
    sweeps = max(int(SWEEPS * (PINS / max(level.in_source.size, 1)) ** 0.5), 6)
    if most == BETWEEN:
        sweeps = max(sweeps // 3, 4)
    settle = 2 if most == BETWEEN else SETTLE
    if level.in_source.size > LARGE:  # a sweep takes minutes: descent alone
        sweeps, settle = 0, COLD if most == FINEST else COLD // 2
    if hot == 0.0:
        sweeps = 0
    anneal(level, s, seed, hot, SOFT, min(sweeps, most), settle)
    if most == FINEST or level.in_source.size <= LARGE:
        merge(level, s)
    return s


def _kept(s: State) -> Array | None:
    """Return the assignment, or None where it exceeds a limit."""
    return None if s.excess.any() else s.seat


def _compact(seat: Array) -> Array:
    """Return the same assignment with cores numbered from 0 without gaps."""
    return np.unique(seat, return_inverse=True)[1].astype(np.int32)


def _structured(level: Level) -> bool:
    """Return whether neurons share sources, so that another order than theirs saves axons."""
    free = np.zeros(level.vertices, np.int64)
    first = np.arange(min(level.vertices, PROBE * level.cap[0]))
    grown, in_turn = by_connectivity(level, free, PROBE), in_order(level, first, free)
    return _axons(level, grown) < 0.9 * _axons(level, in_turn)


def _axons(level: Level, seat: Array) -> float:
    """Return the in axons per neuron of the first cores."""
    axons, neurons = 0, 0
    for c in range(PROBE):
        inside = np.flatnonzero(seat == c)
        neurons += int(level.size[inside].sum())
        lists = [level.in_source[level.in_start[v] : level.in_start[v + 1]] for v in inside]
        axons += np.unique(np.concatenate([*lists, np.zeros(0, np.int32)])).size
    return axons / neurons


def _filled(level: Level, by_growth: bool = False) -> Array | None:
    """Return cores filled one after the other; None where out axons do not fit."""
    out = np.zeros(level.vertices, np.int64)
    order = np.arange(level.vertices)
    for margin in (1.0, *MARGINS, 1.0):
        tight = level.cap.copy()
        tight[OUT] = max(int(tight[OUT] * margin), 1)
        at = level._replace(cap=tight)
        seat = by_connectivity(at, out) if by_growth else in_order(at, order, out)
        reached = reach(level, seat)
        if np.bincount(seat, reached).max() <= level.cap[OUT]:
            return seat
        out = reached
        if margin == MARGINS[-1]:  # no estimate any more: at most one core for each target
            out = np.minimum(_own_sum(level, np.diff(level.pin_start)), level.cap[OUT])
    return None


def reach(level: Level, seat: Array) -> Array:
    """Return how many cores the sources inside each vertex reach, int64."""
    return _own_sum(level, _reached(level.pin_start, level.pin, seat))


def _own_sum(level: Level, number: Array) -> Array:
    """Return the sum over the sources inside each vertex."""
    total = np.concatenate([np.zeros(1, np.int64), np.cumsum(number[level.own])])
    return np.diff(total[level.own_start])


@compiled
def _reached(start: Array, pin: Array, seat: Array) -> Array:
    last = np.full(seat.max() + 1, -1, np.int64)
    reached = np.zeros(start.size - 1, np.int64)
    for s in range(start.size - 1):
        for i in range(start[s], start[s + 1]):
            c = seat[pin[i]]
            if last[c] != s:
                last[c] = s
                reached[s] += 1
    return reached


def _check_alone(level: Level, limits: Limits) -> None:
    """Refuse a neuron that fits no core even alone."""
    axons = np.diff(level.in_start)
    v = int(axons.argmax())
    if axons[v] > limits.in_axons:
        raise SpikecError(
            "SPK1732",
            f"neuron {v}",
            f"{axons[v]} sources reach it, a core takes {limits.in_axons} input axons",
            "Prune its synapses, or make it a tree of neurons",
        )
    bits = bits_alone(level)
    v = int(bits.argmax())
    if bits[v] > limits.synapse_bits:
        raise SpikecError(
            "SPK1733",
            f"neuron {v}",
            f"its synapses take {bits[v]} bits, a core holds {limits.synapse_bits}",
            "Prune its synapses, or store them with fewer bits",
        )


def _no_out_axons(level: Level, limits: Limits) -> NoReturn:
    """Report that neurons reach more cores than a core has output axons."""
    out = reach(level, in_order(level, np.arange(level.vertices), np.zeros(level.vertices, int)))
    v = int(out.argmax())
    raise SpikecError(
        "SPK1734",
        f"neuron {v}",
        f"its targets lie in {out[v]} cores, a core has {limits.out_axons} output axons",
        "Prune synapses, so that fewer cores hold the network",
    )


@compiled
def traffic(level: Level, seat: Array) -> float:
    """Return the spikes per step from core to core, as ``usage`` does."""
    last = np.full(seat.max() + 1, -1, np.int64)
    total = 0.0
    for s in range(level.rate.size):
        if level.home[s] >= 0:
            last[seat[level.home[s]]] = s
        for i in range(level.pin_start[s], level.pin_start[s + 1]):
            c = seat[level.pin[i]]
            if last[c] != s:
                last[c] = s
                total += level.rate[s]
    return total
