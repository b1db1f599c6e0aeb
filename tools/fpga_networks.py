"""Networks on which the estimate of FPGA resources is fitted, and others on which it is tested.

Drawn by number: sizes, lanes, kinds of neurons, dense, sparse and convolution, delays, recurrence,
widths. Numbers below 100 are fitted, those from 100 on are tested.
"""

from dataclasses import dataclass

import numpy as np

import spikec
from spikec.compiler.ir import Node
from spikec.compiler.synapses import Synapse
from spikec.compiler.types import Array, Bool, Tensor

FITTED = tuple(range(23))
TESTED = tuple(range(100, 115))
# Those of which the host may write something, and what.
WRITTEN = {
    19: "lesions=true",
    20: "lesions=true,upload=true",
    21: "upload=true",
    22: "lesions=true,thresholds=4",
    112: "lesions=true,thresholds=4,upload=true",
    113: "lesions=true",
    114: "upload=true",
}
# Cheap ones among them, for a quick test.
FEW = (101, 102, 111)


def lif(size: int, r: np.random.Generator) -> spikec.LIF:
    """Return one of any decay."""
    return spikec.LIF(decay=float(r.uniform(0.5, 0.98)))


def shift(size: int, r: np.random.Generator) -> spikec.LIF:
    """Return one that decays by a shift, and is reset by subtraction."""
    return spikec.LIF(decay=0.9375, reset="subtract")


def each(size: int, r: np.random.Generator) -> spikec.LIF:
    """Return one with a threshold per neuron."""
    return spikec.LIF(decay=0.75, threshold=r.uniform(0.5, 1.5, size))


def integrate(size: int, r: np.random.Generator) -> spikec.IntegrateAndFire:
    """Return one without leak."""
    return spikec.IntegrateAndFire(threshold=0.7)


def cuba(size: int, r: np.random.Generator) -> spikec.CubaLIF:
    """Return one with a current."""
    return spikec.CubaLIF(decay=0.9, synapse_decay=0.75)


def adaptive(size: int, r: np.random.Generator) -> spikec.AdaptiveLIF:
    """Return one of a threshold that moves."""
    return spikec.AdaptiveLIF(decay=0.9, adaptation_decay=0.8, adaptation_gain=0.2)


def counts(size: int, r: np.random.Generator) -> spikec.LIF:
    """Return one of up to three spikes a step."""
    return spikec.LIF(decay=0.8, threshold=0.3, max_spikes=3, reset="subtract")


def leak(size: int, r: np.random.Generator) -> spikec.LeakyIntegrator:
    """Return one that sends values."""
    return spikec.LeakyIntegrator(decay=0.875)


def refractory(size: int, r: np.random.Generator) -> spikec.RefractoryLIF:
    """Return one that rests."""
    return spikec.RefractoryLIF(decay=0.9, steps=2)


KINDS = (lif, shift, each, integrate, cuba, adaptive, counts, leak, refractory)


@dataclass(frozen=True, slots=True)
class Case:
    """A network and how it is compiled."""

    graph: spikec.Graph
    data: Array
    lanes: int
    pipeline: str

    def program(self) -> spikec.Program:
        """Return it in integers."""
        return spikec.compile(self.graph, pipeline=self.pipeline, calibration=self.data)


def case(number: int) -> Case:
    """Return a network by its number."""
    r = np.random.default_rng(number)
    layers = int(r.integers(1, 3))
    lanes = int(r.choice([1, 2, 3, 4, 6, 8, 10, 12, 16]))
    image = number % 6 == 3
    shape = (2, 8, 8) if image else (int(r.integers(8, 200)),)
    nodes: list[Node] = [spikec.Input("in", shape, Bool())]
    projections: list[spikec.Projection] = []
    before, width = "in", int(np.prod(shape))
    for k in range(layers):
        kind = KINDS[(number + k * 4) % len(KINDS)]
        made: Synapse
        place: tuple[int, ...]
        if image and k == 0:
            out = int(r.choice([4, 6, 8]))
            made = spikec.Conv2d((2, 8, 8), _weights(r, out, 2, 3, 3), None, (1, 1), (1, 1))
            size, place = out * 64, (out, 8, 8)
        else:
            size = int(r.integers(2, 120))
            density = float(r.choice([1.0, 1.0, 0.15]))
            made, place = _matrix(r, size, width, density), (size,)
        name = f"p{k}"
        nodes.append(spikec.Population(name, place, kind(size, r)))
        delay = int(r.choice([0, 0, 0, 1, 3]))
        projections.append(spikec.Projection(before, name, made, delay=delay))
        if r.random() < 0.25 and not image:
            back = _matrix(r, size, size, 1.0)
            projections.append(spikec.Projection(name, name, back, delay=1))
        before, width = name, size
    nodes.append(spikec.Output("out", before))
    graph = spikec.Graph(f"n{number}", tuple(nodes), tuple(projections), 1e-3)
    widths = f"weight_bits={r.integers(4, 11)},state_bits={r.choice([16, 20, 24])}"
    data = r.random((2, 10, *shape)) < 0.2
    asked = f",engines{{{WRITTEN[number]}}}" if number in WRITTEN else ""
    return Case(graph, data, lanes, f"discretize,fuse,quantize{{{widths}}}{asked}")


def _weights(r: np.random.Generator, *shape: int) -> Tensor:
    return Tensor.floats(r.normal(size=shape))


def _matrix(r: np.random.Generator, size: int, width: int, density: float) -> spikec.Dense:
    matrix = r.normal(size=(size, width)) * (r.random((size, width)) < density)
    return spikec.Dense(Tensor.floats(matrix * (2 / np.sqrt(width))))
