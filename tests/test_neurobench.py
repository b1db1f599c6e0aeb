"""NeuroBench's counts on layers small enough to count by hand."""

from typing import Any

import numpy as np

import spikec
from spikec.compiler.counting import RECORD, count
from spikec.compiler.counts import Counts
from spikec.compiler.synapses import Synapse, replace_data
from spikec.compiler.types import Array, Float


def run(graph: spikec.Graph, x: Array, pipeline: str = "discretize") -> Counts:
    program = spikec.compile(graph, pipeline=pipeline)
    return count(program, spikec.simulate(program, x, RECORD))


def network(synapse: Synapse, neuron: Any = None, **changed: Any) -> spikec.Graph:
    """Return one layer."""
    size, out = synapse.in_size, synapse.out_size
    nodes = (
        spikec.Input("x", (size,), changed.pop("signal", Float())),
        spikec.Population("p", (out,), neuron or spikec.LIF(decay=0.5, threshold=1e9), **changed),
        spikec.Output("y", "p"),
    )
    return spikec.Graph("layer", nodes, (spikec.Projection("x", "p", synapse),))


def layer(x: Array) -> dict[str, float]:
    """Return the counts of the check layer of the specification on steps ``x``."""
    w = [[1.3, 0, -3.2], [0, 1.2, -5.1], [-1.1, 2.7, 0]]
    biased = spikec.Dense(spikec.Tensor.floats(w), spikec.Tensor.floats([1.0, 2.0, 3.0]))
    return run(network(biased), x).neurobench()


def test_neurobench_check_value() -> None:
    """Section 4 of the specification: 4 effective and 9 dense operations, multiply-accumulates."""
    found = layer(np.array([[[0, 1.3, -1]]]))
    assert found["effective_macs"] == 4
    assert found["effective_acs"] == 0
    assert found["dense_operations"] == 9
    assert found["connection_sparsity"] == 3 / 9


def test_a_call_with_binary_inputs_counts_accumulates() -> None:
    """Each step of each sample is a call; -1 counts as binary; operations are per sample."""
    found = layer(np.array([[[0, 1, -1], [0, 0.5, 0]], [[1, 0, 0], [0, 0, 0]]]))
    assert found["effective_acs"] == (4 + 2) / 2
    assert found["effective_macs"] == 2 / 2
    assert found["dense_operations"] == 18
    assert found["activation_sparsity"] == 1.0


def test_footprint_is_bytes_at_stored_widths() -> None:
    """4-bit weights, 24-bit states and 5-bit thresholds, each array rounded up to bytes."""
    lif = spikec.IntegrateAndFire(
        threshold=spikec.Tensor.integers([20, 20, 30], spikec.FixedPoint(6)),
        reset_value=spikec.Tensor.integers(0, spikec.FixedPoint(8)),
        v_init=spikec.Tensor.integers(0, spikec.FixedPoint(8)),
        gain=spikec.Tensor.integers(1, spikec.FixedPoint(8)),
    )
    synapse = spikec.Dense(spikec.Tensor.integers(np.ones((3, 3)), spikec.FixedPoint(4)))
    formats = {"v": spikec.Format(spikec.FixedPoint(24))}
    graph = network(synapse, lif, formats=formats, signal=spikec.FixedPoint(2))
    found = run(graph, np.array([[[0, 1, 0]]]), pipeline="")
    # Weights 36 bits, thresholds 18, three scalars of 8, three states of 24.
    assert found.footprint.bytes == 5 + 3 + 3 + 9


def test_sparse_storage_is_a_matrix_with_zeros_to_neurobench() -> None:
    """As the same layer would be in torch: dense operations and sparsity over every pair."""
    matrix = spikec.Sparse(3, np.array([0, 1, 2]), np.array([0, 2]), spikec.Tensor.floats([1, 0]))
    found = run(network(matrix), np.ones((1, 1, 3)))
    assert found.neurobench()["dense_operations"] == 6
    assert found.neurobench()["connection_sparsity"] == 5 / 6
    assert found.projections["x -> p"].total == 2
    assert found.projections["x -> p"].effective == 1


def test_a_convolution_is_counted_as_neurobench_does() -> None:
    """Binarise weights and inputs, run the layer without bias, and sum its outputs."""
    random = np.random.default_rng(3)
    weight = random.normal(size=(4, 1, 3, 2)) * (random.random((4, 1, 3, 2)) < 0.6)
    bias = spikec.Tensor.floats(np.ones(4))
    conv = spikec.Conv2d((2, 5, 4), spikec.Tensor.floats(weight), bias, (2, 1), (1, 2), (1, 2), 2)
    x = random.normal(size=(3, 6, 40)) * (random.random((3, 6, 40)) < 0.3)
    binary = replace_data(conv, (weight != 0).astype(np.float64))
    ones = replace_data(conv, np.ones_like(weight))
    found = run(network(conv), x).neurobench()
    assert found["effective_macs"] == binary.apply((x != 0.0).reshape(18, 40) * 1.0).sum() / 3
    assert found["dense_operations"] == ones.apply(np.ones((18, 40))).sum() / 3
    assert found["connection_sparsity"] == np.mean(weight == 0)


def test_pooling_and_relays_are_not_counted() -> None:
    """Neither their operations, nor their weights, nor their activations."""
    pool = spikec.Pool2d((1, 4, 4), (2, 2), spikec.Tensor.floats(1.0), (2, 2))
    found = run(network(pool, spikec.Relay()), np.ones((1, 2, 16)))
    counted = found.neurobench()
    assert counted["effective_acs"] == counted["dense_operations"] == 0
    assert counted["activation_sparsity"] == counted["connection_sparsity"] == 0
    assert found.synops == 32


def test_values_of_real_unit_one_are_binary() -> None:
    """An input stored in fixed point counts by its real value, 2 of 0.5 being 1."""
    synapse = spikec.Dense(spikec.Tensor.integers([[1]], spikec.FixedPoint(4)))
    formats = {"v": spikec.Format(spikec.FixedPoint(24, 1))}
    lif = spikec.IntegrateAndFire(threshold=100.0)
    graph = network(synapse, lif, formats=formats, signal=spikec.FixedPoint(4, 1))
    found = run(graph, np.array([[[1.0], [0.5], [-1.0]]]), pipeline="").neurobench()
    assert (found["effective_acs"], found["effective_macs"]) == (2, 1)
