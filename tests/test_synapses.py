"""Synapse kinds against a matrix built from the definition, in numpy, scipy and every engine."""

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import spikec
from sizes import evidence, size
from spikec.compiler.errors import SpikecError
from spikec.compiler.synapses import (
    AllButSelf,
    Conv1d,
    Conv2d,
    Dense,
    DistanceDependent,
    FixedProbability,
    OneToOne,
    Pool2d,
    Sparse,
    Synapse,
    identity,
)
from spikec.compiler.types import Array, FixedPoint, Tensor
from spikec.compiler.untyped import sparse as sparse_arrays

S8, WIDE = FixedPoint(8), FixedPoint(40)


def integers(values: Any, form: FixedPoint = S8) -> Tensor:
    return Tensor.integers(values, form)


# ---------------------------------------------------------------- the definition


def matrix(s: Any) -> Array:
    """Return W as Python integers or floats, by nested loops from the definition of the kind."""
    weight, made = s.weight.data, np.zeros((s.out_size, s.in_size), dtype=object)
    if isinstance(s, Dense):
        for k, j in itertools.product(range(s.out_size), range(s.in_size)):
            made[k, j] = weight[k, j].item()
    elif isinstance(s, OneToOne):
        for k in range(s.size):
            made[k, k] = weight.item() if weight.ndim == 0 else weight[k].item()
    elif isinstance(s, AllButSelf):
        for k, j in itertools.product(range(s.size), range(s.size)):
            if j != k:
                made[k, j] = weight.item() if weight.ndim == 0 else weight[k].item()
    elif isinstance(s, Sparse):
        for k in range(s.out_size):
            for e in range(s.indptr[k], s.indptr[k + 1]):
                made[k, s.indices[e]] += weight[e].item()
    elif isinstance(s, FixedProbability | DistanceDependent):
        for j, k, choice in drawn_one_by_one(s):
            made[k, j] += weight.reshape(-1)[choice].item()
    elif isinstance(s, Conv1d):
        sequence(s, made)
    else:
        windows(s, made)
    return made


def sequence(s: Conv1d, made: Array) -> None:
    """Fill in a convolution of a sequence."""
    (channels, n), (outs, per_group, taps) = s.in_shape, s.weight.shape
    behind = n + s.padding + s.extra
    starts = [
        x for x in range(-s.padding, behind, s.stride) if x + s.dilation * (taps - 1) < behind
    ]
    assert s.out_shape == (outs, len(starts))
    for o, (m, start), c, a in itertools.product(
        range(outs), enumerate(starts), range(per_group), range(taps)
    ):
        at = start + a * s.dilation
        if 0 <= at < n:
            channel = o // (outs // s.groups) * (channels // s.groups) + c
            made[o * len(starts) + m, channel * n + at] += s.weight.data[o, c, a].item()


def windows(s: Any, made: Array) -> None:
    """Fill in a convolution or a pooling: target (o, y, x) sees image (c, y', x') through a tap."""
    pool = isinstance(s, Pool2d)
    channels, n0, n1 = s.in_shape
    k0, k1 = s.kernel if pool else s.weight.shape[2:]
    outs = channels if pool else s.weight.shape[0]
    dilation, groups = ((1, 1), channels) if pool else (s.dilation, s.groups)
    e0, e1 = (0, 0) if pool else s.extra
    m0 = len(range(0, n0 + 2 * s.padding[0] + e0 - dilation[0] * (k0 - 1), s.stride[0]))
    m1 = len(range(0, n1 + 2 * s.padding[1] + e1 - dilation[1] * (k1 - 1), s.stride[1]))
    assert s.out_shape == (outs, m0, m1)
    per_group = channels // groups
    taps = itertools.product(
        range(outs), range(m0), range(m1), range(per_group), range(k0), range(k1)
    )
    for o, y, x, c, a, b in taps:
        row = y * s.stride[0] - s.padding[0] + a * dilation[0]
        column = x * s.stride[1] - s.padding[1] + b * dilation[1]
        if 0 <= row < n0 and 0 <= column < n1:
            channel = o // (outs // groups) * per_group + c
            source = (channel * n0 + row) * n1 + column
            tap = s.weight.data if pool else s.weight.data[o, c, a, b]
            made[(o * m0 + y) * m1 + x, source] += tap.item()


MASK = (1 << 64) - 1


def splitmix(seed: int, key: int) -> int:
    """Return one number of splitmix64, on Python integers."""
    z = (seed + (key + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return (z ^ (z >> 31)) or 0x9E3779B97F4A7C15


def drawn_one_by_one(s: FixedProbability | DistanceDependent) -> Iterator[tuple[int, int, int]]:
    """Return source, target and weight number of every synapse that a seed stands for."""
    choices = s.weight.data.size
    if isinstance(s, DistanceDependent):
        n = s.shape
        for j, k in itertools.product(range(s.in_size), range(s.out_size)):
            a, b = (
                (c // (n[1] * n[2]), c // n[2] % n[1], c % n[2])
                for c in (int(s.source_cells[j]), int(s.target_cells[k]))
            )
            apart = sum((p - q) ** 2 for p, q in zip(a, b, strict=True))
            drawn = splitmix(s.seed, j * s.out_size + k)
            if apart < len(s.chance) and drawn >> 32 < s.chance[apart]:
                yield j, k, (drawn & 0xFFFFFFFF) * choices >> 32
        return
    # The number of pairs passed over is geometric: P(gap > g) = (1 - p)^(g + 1).
    beyond = [Fraction(2**32 - s.chance, 2**32) ** (g + 1) for g in range(s.targets)]
    for j in range(s.sources):
        state, k = splitmix(s.seed, j), -1
        while True:
            state = xorshift(state)
            left = Fraction(2**32 - (state >> 32), 2**32)
            k += 1 + sum(b * 2**32 // 1 >= left * 2**32 for b in beyond)
            if k >= s.targets:
                break
            if s.pairs == "others" and k == j:
                continue
            choice = 0
            if choices > 1:
                state = xorshift(state)
                choice = (state >> 32) * choices >> 32
            yield j, k, choice


def xorshift(state: int) -> int:
    state ^= state << 13 & MASK
    state ^= state >> 7
    return state ^ state << 17 & MASK


# ---------------------------------------------------------------- generated synapses


def convolution(
    random: np.random.Generator, numbers: Callable[[tuple[int, ...]], Tensor]
) -> Conv2d:
    """Return a convolution of any geometry: non-square images, kernels, strides, groups."""

    def pair(lo: int, hi: int) -> tuple[int, int]:
        return int(random.integers(lo, hi + 1)), int(random.integers(lo, hi + 1))

    while True:
        groups, per_group, share = (int(v) for v in random.integers(1, 3, 3))
        shape = (groups * per_group, *pair(1, 6))
        weight = numbers((groups * share, per_group, *pair(1, 4)))
        bias = numbers((groups * share,)) if random.random() < 0.5 else None
        options = pair(1, 3), pair(0, 3), pair(1, 3)
        try:
            return Conv2d(shape, weight, bias, *options, groups, pair(0, 2))
        except SpikecError as error:
            assert error.code == "SPK0306"  # noqa: PT017


def sequence_convolution(
    random: np.random.Generator, numbers: Callable[[tuple[int, ...]], Tensor]
) -> Conv1d:
    """Return a convolution of a sequence of any geometry."""
    while True:
        groups, per_group, share, taps, stride, dilation = (
            int(v) for v in random.integers(1, 4, 6)
        )
        shape = (groups * per_group, int(random.integers(1, 9)))
        weight = numbers((groups * share, per_group, taps))
        padding, extra = (int(v) for v in random.integers(0, 3, 2))
        try:
            return Conv1d(
                shape, weight, numbers((groups * share,)), stride, padding, dilation, groups, extra
            )
        except SpikecError as error:
            assert error.code == "SPK0306"  # noqa: PT017


def grid(
    random: np.random.Generator, numbers: Callable[[tuple[int, ...]], Tensor]
) -> DistanceDependent:
    """Return two populations that share the cells of a grid."""
    shape = (int(random.integers(1, 4)), int(random.integers(1, 4)), int(random.integers(1, 4)))
    cells = random.permutation(int(np.prod(shape)))
    cut = int(random.integers(1, cells.size + 1))
    return DistanceDependent(
        shape,
        cells[:cut],
        cells[-cut:],
        random.integers(0, 2**32, int(random.integers(1, 9)), endpoint=True),
        int(random.integers(2**62)),
        numbers((2,)),
        numbers((cut,)),
    )


def generated(seed: int, whole: bool, top: int = 127, form: FixedPoint = S8) -> list[Synapse]:
    """Return one synapse of every kind."""
    random = np.random.default_rng(seed)

    def numbers(shape: tuple[int, ...]) -> Tensor:
        if whole:
            return integers(random.integers(-top, top + 1, shape), form)
        return Tensor.floats(random.normal(size=shape))

    pool_shape = (int(random.integers(1, 4)), *(int(v) for v in random.integers(3, 7, 2)))
    rows, columns = (int(v) for v in random.integers(1, 9, 2))
    degrees = random.integers(0, 6, rows)
    pointers = np.concatenate([[0], np.cumsum(degrees)])
    entries = int(pointers[-1])
    return [
        convolution(random, numbers),
        Dense(numbers((rows, columns)), numbers((rows,))),
        OneToOne(rows, numbers(()), numbers((rows,))),
        OneToOne(rows, numbers((rows,))),
        AllButSelf(rows, numbers(()), numbers((rows,))),
        AllButSelf(columns, numbers((columns,))),
        sequence_convolution(random, numbers),
        FixedProbability(
            rows,
            columns,
            int(random.integers(1, 2**32, endpoint=True)),
            int(random.integers(2**62)),
            numbers((int(random.integers(1, 4)),)),
            numbers((columns,)),
            "others" if random.random() < 0.5 else "all",
        ),
        grid(random, numbers),
        # Unsorted sources, repeated synapses and empty rows.
        Sparse(columns, pointers, random.integers(0, columns, entries), numbers((entries,))),
        Pool2d(
            (pool_shape[0], pool_shape[1], pool_shape[2]),
            (int(random.integers(1, 4)), int(random.integers(1, 4))),
            numbers(()),
            (int(random.integers(1, 4)), int(random.integers(1, 3))),
            (int(random.integers(0, 2)), int(random.integers(0, 3))),
            numbers((pool_shape[0],)),
        ),
    ]


def exact(w: Array, x: Array) -> Array:
    """Return W x in Python integers."""
    return np.array([[sum(a * b for a, b in zip(row, s, strict=True)) for row in w] for s in x])


SEEDS = range(size(60, 400))


def test_apply_is_the_matrix_in_floating_point() -> None:
    """Every kind and geometry, on several samples at once."""
    for seed in SEEDS:
        for s in generated(seed, whole=False):
            x = np.random.default_rng(seed).normal(size=(3, s.in_size))
            w = matrix(s).astype(float)
            np.testing.assert_allclose(s.apply(x), x @ w.T, rtol=1e-12, atol=1e-12)
            np.testing.assert_array_equal(s.to_sparse().toarray(), w)


@pytest.mark.parametrize(("top", "reach"), [(127, 100), (2**29, 2**23), (2**35, 2**20)])
def test_apply_is_exact_in_integers(top: int, reach: int) -> None:
    """Every kind, up to sums above 2^53, where floating point would round."""
    compared = 0
    for seed in SEEDS:
        for s in generated(seed, True, top, WIDE):
            random = np.random.default_rng(seed)
            x = random.integers(-reach, reach + 1, (3, s.in_size))
            w = matrix(s)
            found = s.apply(x)
            assert found.dtype == np.int64
            assert found.tolist() == exact(w, x.tolist()).tolist(), s
            assert s.to_sparse().toarray().tolist() == w.tolist()
            assert s.to_sparse().dtype == np.int64
            compared += found.size
    evidence(f"synapses_{top}", compared=compared)


def test_sum_bounds_and_bias() -> None:
    """Sums of negative and positive weights by row; one bias per channel, in C order."""
    for seed in SEEDS:
        for s in generated(seed, whole=True):
            low, high = s.sum_bounds()
            parts = [np.minimum(matrix(s), 0), np.maximum(matrix(s), 0)]
            if isinstance(s, Sparse):  # repeated synapses may cancel; the bounds need not know
                assert np.all(low <= parts[0].sum(axis=1))
                assert np.all(high >= parts[1].sum(axis=1))
            else:
                assert low.tolist() == parts[0].sum(axis=1).tolist()
                assert high.tolist() == parts[1].sum(axis=1).tolist()
            vector = s.bias_vector()
            if s.bias is None:
                assert vector is None
                continue
            assert vector is not None
            places = s.out_size // s.bias.data.size
            assert vector.tolist() == [b for b in s.bias.data.tolist() for _ in range(places)]


# ---------------------------------------------------------------- exactness of products


def test_products_are_exact_where_blas_would_round() -> None:
    """Around 2^53: single weights, and sums that cancel but whose parts do not fit float64."""
    for n in range(2**53 - 2, 2**53 + 4):
        assert Dense(integers([[n]], FixedPoint(60))).apply(np.array([[1]])) == n
        assert Dense(integers([[n // 3, n - n // 3]], WIDE_60)).apply(np.array([[1, 1]])) == n
    for order in itertools.permutations([2**53, 1, -(2**53)]):
        assert Dense(integers([order], WIDE_60)).apply(np.ones((1, 3), dtype=np.int8)) == 1
    random = np.random.default_rng(0)
    for bits in range(40, 61):
        w = random.integers(-(1 << bits), 1 << bits, (4, 9)) >> random.integers(0, bits, (4, 9))
        x = random.integers(-7, 8, (3, 9))
        found = Dense(integers(w, FixedPoint(62))).apply(x)
        assert found.tolist() == exact(w.astype(object), x.tolist()).tolist()


WIDE_60 = FixedPoint(60)


def test_spikes_of_any_type_are_counted_exactly() -> None:
    """bool and uint8 spikes do not wrap in a sum of many."""
    w = Dense(integers(np.ones((1, 1000))))
    for kind in (np.bool_, np.uint8, np.int64):
        assert w.apply(np.ones((2, 1000), dtype=kind)).tolist() == [[1000], [1000]]


# ---------------------------------------------------------------- the engines


def relay(s: Synapse) -> spikec.Program:
    """Return a program that sends graded integers through one synapse."""
    nodes = (
        spikec.Input("x", (s.in_size,), FixedPoint(12)),
        spikec.Population("p", (s.out_size,), spikec.Relay()),
        spikec.Output("y", "p"),
    )
    graph = spikec.Graph("one", nodes, (spikec.Projection("x", "p", s),))
    return spikec.compile(graph, pipeline="")


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_delivery_is_the_matrix_and_the_bias(backend: str) -> None:
    """Every kind and geometry with graded values of both signs, none of them lost or doubled."""
    compared = 0
    for seed in SEEDS:
        for s in generated(seed, whole=True):
            random = np.random.default_rng(seed)
            x = random.integers(-2048, 2048, (3, 2, s.in_size)) * random.integers(
                0, 2, (3, 2, s.in_size)
            )
            sent = spikec.simulate(relay(s), x, ("spikes",), backend).spikes["p"]
            bias = s.bias_vector()
            wanted = np.array([exact(matrix(s), v) for v in x.tolist()])
            wanted = wanted if bias is None else wanted + bias
            assert sent.tolist() == wanted.reshape(sent.shape).tolist(), s
            compared += sent.size
    evidence(f"delivery_{backend}", compared=compared)


# ---------------------------------------------------------------- construction


def test_sparse_of_a_matrix() -> None:
    """Zeros are no synapses; coordinates given twice add up."""
    made = Sparse.of(np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 0.0]]))
    assert (made.in_size, made.out_size, made.weight.data.tolist()) == (3, 2, [2.0])
    twice = sparse_arrays.coo_array(([1.0, 2.5], ([0, 0], [1, 1])), shape=(1, 2))
    assert matrix(Sparse.of(twice)).tolist() == [[0, 3.5]]
    assert not made.indices.flags.writeable


def test_identity_passes_everything_on() -> None:
    """Weight one on the diagonal."""
    assert matrix(identity(3)).tolist() == np.eye(3).tolist()


def zeros(*shape: int) -> Tensor:
    return Tensor.floats(np.zeros(shape))


def conv(**options: Any) -> Conv2d:
    usual: dict[str, Any] = {"in_shape": (2, 4, 4), "weight": zeros(2, 2, 3, 3)}
    return Conv2d(**usual | options)


def pool(**options: Any) -> Pool2d:
    usual: dict[str, Any] = {"in_shape": (2, 4, 4), "kernel": (2, 2), "weight": zeros()}
    return Pool2d(**usual | options)


def sparse(columns: int, indptr: Any, indices: Any, entries: int = 2) -> Sparse:
    return Sparse(columns, np.array(indptr), np.array(indices), zeros(entries))


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (
            lambda: Dense(zeros(3)),
            "dense: weight has shape (3,). Give (out, in). [SPK0302]",
        ),
        (
            lambda: Dense(zeros(3, 2), zeros(2)),
            "dense: bias of shape (2,) for 3 channels. Give one each. [SPK0301]",
        ),
        (
            lambda: conv(weight=zeros(2, 2, 3)),
            "conv2d: weight has shape (2, 2, 3). Give (out, in / groups, k0, k1). [SPK0303]",
        ),
        (
            lambda: conv(groups=2),
            "conv2d: weight (2, 2, 3, 3) with 2 groups does not fit 2 input channels. in channels "
            "must be weight.shape[1] * groups and out a multiple of groups. [SPK0304]",
        ),
        (
            lambda: conv(stride=(0, 1)),
            "conv2d: stride (0, 1), padding (0, 0) or dilation (1, 1) is out of range. "
            "Use strides and dilations of at least 1 and padding of at least 0. [SPK0305]",
        ),
        (
            lambda: conv(dilation=(2, 1)),
            "conv2d: kernel (3, 3) does not fit the input (2, 4, 4). "
            "Check the input shape and padding. [SPK0306]",
        ),
        (
            lambda: pool(weight=zeros(2)),
            "pool2d: window (2, 2) with weight (2,) does not fit (2, 4, 4). "
            "Check the input shape and padding. [SPK0307]",
        ),
        (
            lambda: OneToOne(4, zeros(3)),
            "one_to_one: weight has shape (3,) for 4 neurons. "
            "Give one number, or one per neuron. [SPK0308]",
        ),
        (
            lambda: sparse(2, [0, 1], [0, 1]),
            "sparse: 1 rows, 2 indices and weights (2,) disagree. "
            "Give compressed rows as in scipy.sparse.csr_array. [SPK0309]",
        ),
        (
            lambda: sparse(2, [0, 2], [0, 2]),
            "sparse: source index 2 is outside 0 to 1. "
            "Check the number of source neurons. [SPK0310]",
        ),
    ],
)
def test_errors_are_pinned(make: Callable[[], object], line: str) -> None:
    """Shapes that disagree, in one line each."""
    with pytest.raises(SpikecError) as caught:
        make()
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: conv(weight=zeros(2, 2, 0, 3)), "SPK0306"),
        (lambda: conv(in_shape=(2, -4, -4), padding=(9, 9)), "SPK0306"),
        (lambda: conv(in_shape=(2, 0, 4), padding=(9, 9)), "SPK0306"),
        (lambda: conv(padding=(-1, 0)), "SPK0305"),
        (lambda: conv(groups=0), "SPK0304"),
        (lambda: conv(weight=zeros(0, 2, 1, 1)), "SPK0306"),
        (lambda: conv(bias=zeros(8)), "SPK0301"),
        (lambda: pool(kernel=(0, 2)), "SPK0305"),
        (lambda: pool(kernel=(5, 2)), "SPK0307"),
        (lambda: pool(in_shape=(2, -4, -4), padding=(9, 9)), "SPK0307"),
        (lambda: pool(bias=zeros(3)), "SPK0301"),
        (lambda: sparse(2, 0, [0, 1]), "SPK0309"),
        (lambda: sparse(2, [[0, 2]], [0, 1]), "SPK0309"),
        (lambda: sparse(2, [], [0, 1]), "SPK0309"),
        (lambda: sparse(2, [1, 2], [0, 1]), "SPK0309"),
        (lambda: sparse(2, [0, 2, 1, 2], [0, 1]), "SPK0309"),
        # A difference of two of these wraps round to a positive one.
        (lambda: sparse(2, [0, 2**63 - 1, -5, 2], [0, 1]), "SPK0309"),
        (lambda: sparse(0, [0, 2], [0, 1]), "SPK0309"),
        (lambda: sparse(2, [0, 2], [0, -1]), "SPK0310"),
    ],
)
def test_hostile_shapes_are_refused(make: Callable[[], object], code: str) -> None:
    """Zero, negative, wrapped and missing sizes never reach numpy."""
    with pytest.raises(SpikecError) as caught:
        make()
    assert caught.value.code == code
