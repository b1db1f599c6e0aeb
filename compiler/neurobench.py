"""NeuroBench's counts (2.3.0, revision e521c28), from the same trace as the event counts.

Effective operations: per connection layer and call, non-zero inputs times non-zero weights, biases
left out. Dense: the same with every weight and input set to 1. A call counts as accumulates (AC) if
all its inputs are in {-1, 0, 1}, else as multiply-accumulates (MAC); a call here is one step of one
sample. Connection layers are dense, sparse (a matrix whose missing entries are zeros) and
convolutions; pooling and one-to-one projections are not counted. Activation sparsity is over all
populations but relays. The footprint is the bytes of parameters and states at their stored widths,
each array rounded up to whole bytes, without the indices of sparse matrices.
"""

from dataclasses import dataclass

import numpy as np

from spikec.compiler.fan_out import FanOut
from spikec.compiler.ir import Graph, Population, Projection
from spikec.compiler.types import Array, Float, Tensor

NOT_LAYERS = ("pool2d", "one_to_one")


@dataclass(frozen=True, slots=True)
class Operations:
    """Operations of connection layers, over all samples.

    Attributes:
        acs: Effective accumulates.
        macs: Effective multiply-accumulates.
        dense: Operations with every weight and input set to 1.
    """

    acs: int
    macs: int
    dense: int


@dataclass(frozen=True, slots=True)
class Activity:
    """Activations (neurons times steps), and how many of them are zero."""

    activations: int
    zeros: int


@dataclass(frozen=True, slots=True)
class Footprint:
    """Weights of the connection layers, zeros among them, and bytes of parameters and states."""

    weights: int
    zeros: int
    bytes: int


def operations(projection: Projection, fan: FanOut, sent: Array, unit: float) -> Operations:
    """Return the operations of one projection.

    Args:
        projection: The projection.
        fan: Its fan-out.
        sent: What the source sent, (samples, steps, sources), in stored units.
        unit: Real value of one stored unit.
    """
    if projection.synapse.kind in NOT_LAYERS:
        return Operations(0, 0, 0)
    binary = np.isin(sent * unit, (-1, 0, 1)).all(axis=2)
    events = sent != 0
    simple = events[binary].sum(axis=0, dtype=np.int64) @ fan.effective
    every = events.sum(axis=(0, 1), dtype=np.int64) @ fan.effective
    calls = sent.shape[0] * sent.shape[1]
    return Operations(int(simple), int(every - simple), calls * _dense(projection, fan))


def _dense(projection: Projection, fan: FanOut) -> int:
    """Return the operations of one call with every weight and input set to 1."""
    synapse = projection.synapse
    if synapse.kind.startswith("conv"):
        # Padding stays zero, so taps outside the image do not count.
        return fan.synapses
    return synapse.in_size * synapse.out_size


def activity(population: Population, sent: Array) -> Activity:
    """Return the activations of a population; none for a relay."""
    if population.model().kind == "relay":
        return Activity(0, 0)
    return Activity(sent.size, sent.size - int(np.count_nonzero(sent)))


def footprint(graph: Graph) -> Footprint:
    """Return what does not depend on the run."""
    weights = zeros = 0
    for p in graph.projections:
        if p.synapse.kind not in NOT_LAYERS:
            data = p.synapse.weight.data
            held = (
                p.synapse.in_size * p.synapse.out_size if p.synapse.kind == "sparse" else data.size
            )
            weights, zeros = weights + held, zeros + held - int(np.count_nonzero(data))
    return Footprint(weights, zeros, _bytes_of(graph))


def _bytes_of(graph: Graph) -> int:
    total = 0
    for p in graph.projections:
        total += sum(_bytes(t) for t in (p.synapse.weight, p.synapse.bias) if t is not None)
    for population in graph.populations:
        model = population.model()
        total += sum(_bytes(t) for t in model.parameters().values())
        for state in model.states:
            form = population.formats.get(state)
            bits = Float().bits if form is None else form.type.bits
            total += -(-population.size * bits // 8)
    return total


def _bytes(tensor: Tensor) -> int:
    return -(-tensor.data.size * tensor.dtype.bits // 8)
