"""Small networks written down in Python, also reached as ``module:attribute``."""

import os
from pathlib import Path
from typing import Any

import numpy as np

import spikec
from spikec.compiler.types import Bool, Float

SHAPE = (2, 3)
# For processes that import this module.
PATH = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])


def weights(out: int, size: int, scale: float = 1.0) -> spikec.Dense:
    values = np.abs(np.random.default_rng(out * size).normal(size=(out, size))) * scale
    values[:, ::3] *= -0.5
    return spikec.Dense(spikec.Tensor.floats(values))


def network(
    first: Any = None, last: Any = None, signal: Any = None, recurrent: int | None = None
) -> spikec.Graph:
    """Return in (2, 3) -> hidden (4) -> last (2), with a recurrent projection of a delay."""
    projections = [
        spikec.Projection("in", "hidden", weights(4, 6)),
        spikec.Projection("hidden", "last", weights(2, 4)),
    ]
    if recurrent is not None:
        projections.append(spikec.Projection("last", "hidden", weights(4, 2), delay=recurrent))
    nodes = (
        spikec.Input("in", SHAPE, Bool() if signal is None else signal),
        spikec.Population("hidden", (4,), first or spikec.LIF(decay=0.9)),
        spikec.Population("last", (2,), last or spikec.LIF(decay=np.array([0.5, 0.75]))),
        spikec.Output("out", "last"),
    )
    return spikec.Graph("small", nodes, tuple(projections), 1e-3, {"origin": "a test"})


def spiking() -> spikec.Graph:
    """Return a network that takes and sends spikes."""
    return network(recurrent=2)


def unknown_signal() -> spikec.Graph:
    """Return a network that takes any number."""
    return network(signal=Float())


def values() -> spikec.Graph:
    """Return a network that sends values."""
    return network(last=spikec.LeakyIntegrator(decay=0.9))


def counting() -> spikec.Graph:
    """Return a network that sends spike counts."""
    return network(last=spikec.LIF(decay=0.9, max_spikes=0, reset="subtract"))


def subtracting() -> spikec.Graph:
    """Return a network whose neurons reset by subtraction."""
    soft = spikec.LIF(decay=0.9, reset="subtract")
    return network(soft, soft)


def continuous() -> spikec.Graph:
    """Return a network in continuous time, without a step."""
    lif = spikec.ContinuousLIF(tau=0.02)
    graph = network(lif, lif)
    return spikec.Graph("small", graph.nodes, graph.projections)


def negative() -> spikec.Graph:
    """Return a network with a negative time constant."""
    return network(spikec.ContinuousLIF(tau=-0.02))


def cyclic() -> spikec.Graph:
    """Return a network with a cycle without delay."""
    return network(recurrent=0)


def not_a_number() -> spikec.Graph:
    """Return a network with a weight that is NaN."""
    graph = network()
    bad = weights(4, 6).weight.data.copy()
    bad[1, 2] = np.nan
    projections = (
        spikec.Projection("in", "hidden", spikec.Dense(spikec.Tensor.floats(bad))),
        *graph.projections[1:],
    )
    return spikec.Graph("small", graph.nodes, projections, 1e-3)


def two_inputs() -> spikec.Graph:
    """Return a network with two inputs."""
    graph = network()
    more = spikec.Projection("other", "hidden", weights(4, 5))
    nodes = (*graph.nodes, spikec.Input("other", (5,), Bool()))
    return spikec.Graph("small", nodes, (*graph.projections, more), 1e-3)


def data(samples: int = 3, steps: int = 20, seed: int = 0) -> Any:
    """Return random spikes for the input ``in``."""
    return np.random.default_rng(seed).random((samples, steps, *SHAPE)) < 0.3
