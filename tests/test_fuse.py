"""Fusing relays changes no spike, and removes what it can."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

import spikec
from networks import Style, graphs, spikes_for
from sizes import examples
from spikec.compiler.text import print_program
from spikec.compiler.types import Tensor


def same(first: spikec.Program, second: spikec.Program, data: dict[str, np.ndarray]) -> None:
    for backend in ("reference", "cpu"):
        a, b = (spikec.simulate(p, data, ("spikes", "state"), backend) for p in (first, second))
        for name, sent in b.spikes.items():
            np.testing.assert_array_equal(a.spikes[name], sent)
            for state, held in b.state[name].items():
                np.testing.assert_array_equal(a.state[name][state], held)


@given(graph=graphs(Style(on_grid=True)))
@examples(10, 120)
def test_fused_networks_give_the_same_spikes(graph: spikec.Graph) -> None:
    """On a grid, where sums are exact, every spike and state of what remains is equal."""
    plain = spikec.compile(graph, pipeline="discretize")
    fused = spikec.compile(graph, pipeline="discretize,fuse")
    same(plain, fused, spikes_for(graph, 3, 15, 7))


CASES = [
    (spikec.Pool2d((2, 6, 4), (2, 2), Tensor.floats(1.0), (2, 2)), "conv2d"),
    (spikec.Pool2d((2, 6, 4), (3, 2), Tensor.floats(0.25), (3, 2)), "conv2d"),
    (spikec.Pool2d((2, 7, 5), (2, 2), Tensor.floats(1.0), (2, 2)), "dense"),
    (spikec.OneToOne(48, Tensor.floats(0.5)), "dense"),
]


@pytest.mark.parametrize(("first", "kind"), CASES, ids=lambda v: str(v)[:12])
def test_pooling_and_scaling_disappear(first: spikec.Pool2d, kind: str) -> None:
    """Pool then convolution is one convolution, pool then dense one dense, with equal results."""
    random = np.random.default_rng(0)

    def grid(*shape: int) -> Tensor:
        return Tensor.floats(np.round(random.normal(size=shape) * 256) / 256)

    shape = tuple(first.out_shape)
    second: spikec.Conv2d | spikec.Dense = (
        spikec.Conv2d((2, shape[1], shape[2]), grid(3, 2, 2, 2), grid(3), (1, 1), (1, 1))
        if kind == "conv2d"
        else spikec.Dense(grid(5, first.out_size), grid(5))
    )
    in_shape = getattr(first, "in_shape", (first.in_size,))
    graph = spikec.Graph(
        "g",
        (
            spikec.Input("x", in_shape),
            spikec.Population("pool", shape, spikec.Relay()),
            spikec.Population("n", tuple(second.out_shape), spikec.LIF(decay=0.875)),
            spikec.Output("y", "n"),
        ),
        (
            spikec.Projection("x", "pool", first, delay=1),
            spikec.Projection("pool", "n", second, delay=0),
        ),
    )
    plain, fused = (spikec.compile(graph, pipeline=p) for p in ("", "fuse"))
    assert [p.name for p in fused.graph.populations] == ["n"]
    assert [p.delay for p in fused.graph.projections] == [1]
    assert fused.graph.projections[0].synapse.kind == kind
    same(plain, fused, spikes_for(graph, 4, 12, 1))


def dense_after_dense() -> spikec.Graph:
    one = Tensor.floats(np.eye(3) * 0.3)
    return spikec.Graph(
        "g",
        (
            spikec.Input("x", (3,)),
            spikec.Population("r", (3,), spikec.Relay()),
            spikec.Population("n", (3,), spikec.LIF(decay=0.875)),
            spikec.Output("y", "n"),
        ),
        (
            spikec.Projection("x", "r", spikec.Dense(one)),
            spikec.Projection("r", "n", spikec.Dense(one)),
        ),
    )


def test_what_is_not_exact_stays() -> None:
    """Dense after dense, overlapping windows, and a tapped relay are left alone."""
    fused = spikec.compile(dense_after_dense(), pipeline="fuse")
    assert [p.name for p in fused.graph.populations] == ["r", "n"]


def test_the_cnn_needs_no_relays(data: Path) -> None:
    """Both pooling layers of the NIR paper's CNN fold into the layer behind them."""
    path = data / "nir" / "02_cnn" / "cnn_sinabs.nir"
    graph = spikec.load(path, dt=1e-3, semantics="sinabs{max_spikes=1,compare=gt,reset=zero}")
    plain, fused = (spikec.compile(graph, pipeline=p) for p in ("discretize", "discretize,fuse"))
    assert [p.name for p in plain.graph.populations] == ["1", "3", "4", "6", "7", "10", "12"]
    assert [p.name for p in fused.graph.populations] == ["1", "3", "6", "10", "12"]
    inputs = np.random.default_rng(0).random((2, 20, 2, 34, 34)) < 0.05
    a, b = (spikec.simulate(p, inputs) for p in (plain, fused))
    assert {n: c["spikes"] for n, c in b.counts.items()} == {
        n: a.counts[n]["spikes"] for n in b.counts
    }


def test_fuse_refuses_integers() -> None:
    """Rounded weights are not multiplied again; where there is no relay, nothing would be."""
    with pytest.raises(spikec.SpikecError) as error:
        spikec.compile(dense_after_dense(), pipeline="quantize,fuse")
    assert str(error.value) == (
        "fuse: program: its weights are rounded already. Fuse before quantize. [SPK0672]"
    )
    digits = spikec.load("digits")
    plain, fused = (
        spikec.compile(digits, pipeline=f"discretize,quantize{p}") for p in ("", ",fuse")
    )
    assert print_program(replace(fused, passes="")) == print_program(replace(plain, passes=""))
