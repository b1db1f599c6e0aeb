"""Delays of single synapses, inhibition without a matrix, and connectivity from a seed."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spikec
from networks import Style, graphs, spikes_for
from sizes import evidence, examples, size
from spikec.compiler.errors import SpikecError
from spikec.compiler.fan_out import fan_out
from spikec.compiler.mapping.reach import reach
from spikec.compiler.synapses import Conv2d, Sparse, Synapse, same_padding
from spikec.compiler.types import Array, FixedPoint, Tensor

# ---------------------------------------------------------------- delays


def relay(synapse: Synapse, delays: Array | None, delay: int = 0, start: int = 0) -> spikec.Program:
    """Return a program that sends graded integers through one projection."""
    nodes = (
        spikec.Input("x", (synapse.in_size,), FixedPoint(12)),
        spikec.Population("p", (synapse.out_size,), spikec.Relay(), start=start),
        spikec.Output("y", "p"),
    )
    projection = spikec.Projection("x", "p", synapse, delay=delay, delays=delays)
    return spikec.compile(spikec.Graph("one", nodes, (projection,)), pipeline="")


def arriving(synapse: Synapse, delays: Array, x: Array) -> Array:
    """Return what arrives, one synapse, sample and step at a time."""
    samples, steps, _ = x.shape
    total = np.zeros((samples, steps, synapse.out_size), dtype=object)
    listed = synapse.listed()
    assert listed is not None
    rows = np.repeat(np.arange(listed.out_size), np.diff(listed.indptr))
    synapses = zip(rows, listed.indices, listed.weight.data, delays.reshape(-1), strict=True)
    for k, j, w, d in synapses:
        for step in range(steps - int(d)):
            for b in range(samples):
                total[b, step + int(d), k] += int(w) * int(x[b, step, j])
    bias = synapse.bias_vector()
    return total if bias is None else total + bias


def some_synapses(random: np.random.Generator) -> list[Synapse]:
    def numbers(*shape: int) -> Tensor:
        return Tensor.integers(random.integers(-99, 100, shape), FixedPoint(8))

    rows, columns = (int(v) for v in random.integers(1, 7, 2))
    sparse = Sparse.of(random.random((rows, columns)) < 0.6)
    weight = numbers(sparse.weight.data.size)
    return [
        spikec.Dense(numbers(rows, columns), numbers(rows)),
        spikec.OneToOne(rows, numbers(rows)),
        Sparse(columns, sparse.indptr, sparse.indices, weight, numbers(rows)),
    ]


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_every_synapse_has_its_delay(backend: str) -> None:
    """Each weight arrives at its own step, whatever the kind, the projection's delay and start."""
    compared = 0
    for seed in range(size(15, 150)):
        random = np.random.default_rng(seed)
        for synapse in some_synapses(random):
            if synapse.weight.data.size == 0:
                continue
            delays = random.integers(0, 7, synapse.weight.shape)
            delay = int(random.integers(0, 3))
            x = random.integers(-2048, 2048, (3, 14, synapse.in_size))
            program = relay(synapse, delays, delay)
            found = spikec.simulate(program, x, ("spikes",), backend).spikes["p"]
            wanted = arriving(synapse, delays + delay, x)
            assert found.tolist() == wanted.tolist()
            compared += found.size
            # Held back by two steps, the target meets what was sent before it began.
            late = spikec.simulate(relay(synapse, delays, delay + 2, 2), x, ("spikes",), backend)
            assert late.spikes["p"].tolist() == wanted.tolist()
    evidence(f"synaptic_delays_{backend}", numbers=compared)


def test_equal_delays_are_a_delay_of_the_projection() -> None:
    """What all synapses share is not kept per synapse."""
    synapse = some_synapses(np.random.default_rng(1))[0]
    made = spikec.Projection("a", "b", synapse, delay=2, delays=np.full(synapse.weight.shape, 3))
    assert (made.delay, made.delays, made.longest) == (5, None, 5)
    assert made.by_delay() == (made,)


@given(graph=graphs(Style(cycles=True)), seed=st.integers(0, 2**16))
@examples(7, 150)
def test_retiming_keeps_delays_of_synapses(graph: spikec.Graph, seed: int) -> None:
    """A program with hops computes the same; on the grid in floating point."""
    data = spikes_for(graph, 2, 12, seed)
    try:
        later = spikec.compile(graph, pipeline="retime")
    except SpikecError as error:
        assert error.code == "SPK0662"  # noqa: PT017
        return
    first, second = (
        spikec.simulate(p, data, ("spikes",)) for p in (spikec.compile(graph, pipeline=""), later)
    )
    for name, sent in first.spikes.items():
        assert np.array_equal(sent, second.spikes[name]), name


DENSE = spikec.Dense(Tensor.floats(np.ones((2, 3))))


@pytest.mark.parametrize(
    ("synapse", "delays", "problem"),
    [
        (DENSE, np.zeros((3, 2), int), "they have shape (3, 2), the weight (2, 3)"),
        (DENSE, np.full((2, 3), -1), "they are not whole numbers of steps from 0 to 1048576"),
        (DENSE, np.zeros((2, 3)), "they are not whole numbers of steps from 0 to 1048576"),
        (DENSE, np.full((2, 3), 2**40), "they are not whole numbers of steps from 0 to 1048576"),
        (
            spikec.AllButSelf(3, Tensor.floats(1.0)),
            np.array(1),
            "a synapse of kind all_but_self has no single weights",
        ),
    ],
)
def test_wrong_delays_are_refused(synapse: Synapse, delays: Array, problem: str) -> None:
    """In one line."""
    with pytest.raises(SpikecError) as caught:
        spikec.Projection("a", "b", synapse, delays=delays)
    line = f"a -> b delays: {problem}. Give one per weight, in steps. [SPK0532]"
    assert str(caught.value) == line


# ---------------------------------------------------------------- all but self


@pytest.mark.parametrize("storage", ["sparse", "dense"])
def test_inhibition_counts_as_its_matrix(storage: str) -> None:
    """Fan-out, arrivals and cores equal those of the same synapses written down."""
    for seed in range(size(20, 200)):
        random = np.random.default_rng(seed)
        n, cores = (int(v) for v in random.integers(1, 9, 2))
        weight = Tensor.floats(random.integers(-1, 2, n))
        short = spikec.AllButSelf(n, weight)
        matrix = 1.0 - np.eye(n)
        pattern = Sparse.of(matrix)
        long = pattern.with_numbers(
            Tensor.floats(np.repeat(weight.data, np.diff(pattern.indptr))), None
        )
        both = [spikec.Projection("x", "y", s, storage=storage) for s in (short, long)]
        a, b = (fan_out(p) for p in both)
        assert a.total.tolist() == b.total.tolist()
        assert a.effective.tolist() == b.effective.tolist()
        sent = random.random((5, n)) < 0.3
        assert (a.arrivals(sent) > 0).tolist() == (b.arrivals(sent) > 0).tolist()
        seats = random.integers(0, cores, n)
        found, wanted = (reach(p, seats, cores).toarray().tolist() for p in both)
        assert found == wanted


def test_inhibition_of_a_million_needs_no_matrix() -> None:
    """One number stands for 10^12 synapses; a spike reaches all others."""
    n = 1_000_000
    synapse = spikec.AllButSelf(n, Tensor.integers(-17, FixedPoint(8)))
    x = np.zeros((1, 1, n), np.int64)
    x[0, 0, [3, 5]] = 1
    found = spikec.simulate(relay(synapse, None), x, ("spikes",)).spikes["p"][0, 0]
    assert found[[3, 5]].tolist() == [-17, -17]
    assert (np.delete(found, [3, 5]) == -34).all()


# ---------------------------------------------------------------- from a seed


def test_probability_and_independence() -> None:
    """Counts of synapses per source are binomial, no target is preferred, seeds differ."""
    sources, targets, p = size(400, 4000), 3000, 0.02
    made = spikec.FixedProbability.of(sources, targets, p, 1.0, seed=7)
    matrix = made.to_sparse()
    spread = np.sqrt(p * (1 - p))
    for counts, trials in ((matrix.sum(axis=0), targets), (matrix.sum(axis=1), sources)):
        score = (counts - trials * p) / (spread * np.sqrt(trials))
        assert np.abs(score).max() < 6
        assert abs(score.mean()) < 6 / np.sqrt(score.size)
        assert abs(score.std() - 1) < 6 / np.sqrt(2 * score.size)
    other = spikec.FixedProbability.of(sources, targets, p, 1.0, seed=8).to_sparse()
    both = int(matrix.multiply(other).sum())
    expected = sources * targets * p * p
    assert abs(both - expected) < 6 * np.sqrt(expected)
    evidence("fixed_probability", synapses=int(matrix.sum()), expected=sources * targets * p)


def test_gaps_longer_than_the_table() -> None:
    """Rare synapses, thousands of targets apart, are drawn alike by both engines."""
    made = spikec.FixedProbability.of(20, 300_000, 1e-4, [1.0, 2.0, 4.0], seed=3)
    whole = made.with_numbers(Tensor.integers([1, 2, 4], FixedPoint(8)), None)
    x = (np.arange(20) % 3)[None, None, :]
    found = [
        spikec.simulate(relay(whole, None), x, ("spikes",), backend).spikes["p"]
        for backend in ("cpu", "reference")
    ]
    assert np.array_equal(found[0], found[1])
    matrix = whole.to_sparse()
    assert np.array_equal(found[0][0, 0], matrix @ x[0, 0])
    assert abs(matrix.nnz - 600) < 6 * np.sqrt(600)


def test_no_neuron_reaches_itself() -> None:
    """With pairs others, and within a cell of a grid."""
    square = spikec.FixedProbability.of(40, 40, 1.0, 1.0, 0, "others").to_sparse().toarray()
    assert np.array_equal(square, 1 - np.eye(40))
    grid = spikec.DistanceDependent.gaussian((4, 4, 4), 1.0, 100.0, 1.0, 0).to_sparse().toarray()
    assert np.all(np.diag(grid) == 0)


def test_distance_decides() -> None:
    """Share of connected pairs at each distance against P = C exp(-(D / lambda)^2)."""
    shape, peak, length = (10, 10, 10), 0.3, 3.0
    place = np.stack(np.unravel_index(np.arange(1000), shape))
    apart = ((place[:, :, None] - place[:, None, :]) ** 2).sum(axis=0)
    seeds = size(3, 20)
    hits, expected = np.zeros(244), np.zeros(244)
    for seed in range(seeds):
        made = spikec.DistanceDependent.gaussian(shape, peak, length, 1.0, seed)
        matrix = made.to_sparse().toarray()
        hits += np.bincount(apart.reshape(-1), matrix.reshape(-1), minlength=244)
    for squared, pairs in enumerate(np.bincount(apart.reshape(-1), minlength=244)):
        probability = peak * np.exp(-squared / length**2) if squared else 0.0
        expected[squared] = pairs * seeds * probability
    assert np.all(np.abs(hits - expected) <= 6 * np.sqrt(expected) + 3)
    assert hits[0] == 0
    evidence("distance_dependent", synapses=int(hits.sum()), expected=float(expected.sum()))


def test_stored_and_procedural_networks_are_equal() -> None:
    """A quantised network with synapses drawn again, or written down: every spike is the same."""
    random = np.random.default_rng(0)
    n = 60

    def network(written: bool) -> spikec.Program:
        drawn: list[Synapse] = [
            spikec.FixedProbability.of(10, n, 0.4, [0.4, 0.8], 1),
            spikec.FixedProbability.of(n, n, 0.1, [0.3, -0.4], 2, "others"),
            spikec.DistanceDependent.gaussian((3, 4, 5), 0.5, 2.0, 0.2, 3),
        ]
        parts = [s.plain() if written else s for s in drawn]
        nodes = (
            spikec.Input("x", (10,)),
            spikec.Population("n", (n,), spikec.LIF(decay=0.9, threshold=1.0, reset="zero")),
            spikec.Output("y", "n"),
        )
        links = (
            spikec.Projection("x", "n", parts[0]),
            spikec.Projection("n", "n", parts[1], delay=1),
            spikec.Projection("n", "n", parts[2], delay=2),
        )
        pipeline = "discretize,quantize{weight_bits=8}"
        return spikec.compile(spikec.Graph("g", nodes, links), calibration=data, pipeline=pipeline)

    data = random.random((4, 30, 10)) < 0.3
    traces = [spikec.simulate(network(w), data, ("spikes", "state")) for w in (False, True)]
    traces.append(spikec.simulate(network(False), data, ("spikes", "state"), "reference"))
    assert traces[0].spikes["n"].sum() > 500
    for other in traces[1:]:
        assert np.array_equal(traces[0].spikes["n"], other.spikes["n"])
        assert np.array_equal(traces[0].state["n"]["v"], other.state["n"]["v"])


ONE = Tensor.floats(1.0)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (
            lambda: spikec.FixedProbability.of(3, 4, 0.0, 1.0, 0),
            "fixed_probability: 3 to 4 neurons with probability 0 / 2^32. "
            "Give sizes of at least 1 and a probability above 0 and up to 1. [SPK0333]",
        ),
        (
            lambda: spikec.FixedProbability.of(3, 4, 0.5, 1.0, -1),
            "fixed_probability: seed -1 or weight of shape () is not allowed. "
            "Give a seed from 0 to 2^62 - 1, and one weight or a list of them. [SPK0332]",
        ),
        (
            lambda: spikec.FixedProbability.of(3, 4, 0.5, [[1.0]], 0),
            "fixed_probability: seed 0 or weight of shape (1, 1) is not allowed. "
            "Give a seed from 0 to 2^62 - 1, and one weight or a list of them. [SPK0332]",
        ),
        (
            lambda: spikec.DistanceDependent.gaussian((0, 1, 1), 1.0, 1.0, 1.0, 0),
            "distance_dependent: (0, 1, 1) is no grid. Give 1 to 2^25 cells. [SPK0334]",
        ),
        (
            lambda: spikec.DistanceDependent.gaussian(
                (2, 1, 1), 1.0, 1.0, 1.0, 0, target_cells=np.array([0, 0])
            ),
            "distance_dependent: the cells are not cells of the grid (2, 1, 1), or two targets "
            "share one. Give one cell per neuron, in C order. [SPK0335]",
        ),
        (
            lambda: spikec.DistanceDependent.gaussian(
                (2, 1, 1), 1.0, 1.0, 1.0, 0, source_cells=np.array([2])
            ),
            "distance_dependent: the cells are not cells of the grid (2, 1, 1), or two targets "
            "share one. Give one cell per neuron, in C order. [SPK0335]",
        ),
        (
            lambda: spikec.DistanceDependent(
                (2, 1, 1), np.arange(2), np.arange(2), np.array([2**33]), 0, ONE
            ),
            "distance_dependent: probabilities of shape (1,) are not 0 to 2^32 by squared "
            "distance. Use DistanceDependent.gaussian, or one number per squared distance. "
            "[SPK0336]",
        ),
        (
            lambda: spikec.Conv1d((2, 4), Tensor.floats(np.ones((2, 2)))),
            "conv1d: weight has shape (2, 2). Give (out, in / groups, k). [SPK0331]",
        ),
    ],
)
def test_errors_are_pinned(make: Any, line: str) -> None:
    """One line each."""
    with pytest.raises(SpikecError) as caught:
        make()
    assert str(caught.value) == line


# ---------------------------------------------------------------- same padding


def test_same_gives_one_output_per_stride() -> None:
    """ceil(size / stride) outputs, zeros shared out with the odd one behind, as torch does."""
    for n in range(1, 12):
        for kernel in range(1, 6):
            for stride in range(1, 4):
                for dilation in range(1, 4):
                    before, extra = same_padding(n, kernel, stride, dilation)
                    made = Conv2d(
                        (1, 1, n),
                        Tensor.floats(np.ones((1, 1, 1, kernel))),
                        None,
                        (1, stride),
                        (0, before),
                        (1, dilation),
                        1,
                        (0, extra),
                    )
                    assert made.out_shape == (1, 1, -(-n // stride))
                    if stride == 1:  # torch: left = total // 2, the rest behind
                        total = dilation * (kernel - 1)
                        assert (before, before + extra) == (total // 2, total - total // 2)
