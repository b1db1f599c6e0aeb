"""Generated networks that a core of Loihi can run: every neuron and synapse kind it supports."""

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st

import spikec
from networks import Maker, Style
from spikec.compiler.equation import Neuron


class LoihiMaker(Maker):
    """Draws neurons of one spike per step, `>`, reset to zero; all else is that of ``Maker``."""

    def neuron(self, kind: str, size: int) -> Neuron:
        each = self.pick(False, False, True)

        def number(low: float, high: float) -> float:
            return float(self.random.uniform(low, high))

        rule: dict[str, Any] = {
            # Two values at most: each is a process of its own in Lava.
            "threshold": self.random.choice([0.5, 1.25], size) if each else number(0.4, 1.5),
            "v_init": self.parameter(size, -0.25, 0.5, each),
            "gain": self.parameter(size, 0.5, 1.5, each),
            "reset": "zero",
            "reset_phase": self.pick("same", "next"),
        }
        if kind == "integrate_and_fire":
            return spikec.IntegrateAndFire(**rule)
        rule |= {"decay": number(0.5, 0.97), "offset": self.parameter(size, -0.1, 0.2, each)}
        if kind == "cuba_lif":
            return spikec.CubaLIF(synapse_decay=number(0.3, 0.9), u_init=number(-0.2, 0.2), **rule)
        return spikec.LIF(**rule)


@st.composite
def loihi_graphs(draw: Any) -> spikec.Graph:
    """Draw a network."""
    return LoihiMaker(draw, Style(on_grid=False)).graph()


def every_kind(seed: int) -> spikec.Graph:
    """Return a network with a population of each neuron kind, and every synapse kind but one.

    Convolution, pooling or sequence first; recurrent at two places; biases, single delays, sparse,
    one to one, all but self, by probability; thresholds and initial states that differ.
    """
    random = np.random.default_rng(seed)

    def floats(*shape: int, scale: float = 0.4, mean: float = 0.1) -> spikec.Tensor:
        return spikec.Tensor.floats(random.normal(mean, scale, shape))

    def neuron(kind: str, size: int) -> Neuron:
        rule: dict[str, Any] = {
            "threshold": random.choice([0.7, 1.0], size) if seed % 2 else 1.0,
            "v_init": random.uniform(-0.2, 0.4, size),
            "reset": "zero",
            "reset_phase": ("same", "next")[int(random.integers(2))],
        }
        if kind == "if":
            return spikec.IntegrateAndFire(**rule)
        rule |= {"decay": random.uniform(0.6, 0.97), "offset": random.uniform(-0.1, 0.2, size)}
        if kind == "lif":
            return spikec.LIF(**rule)
        u = random.uniform(-0.1, 0.1, size)
        return spikec.CubaLIF(synapse_decay=random.uniform(0.3, 0.9), u_init=u, **rule)

    first: Any = (
        spikec.Conv2d((2, 6, 6), floats(2, 2, 3, 3), floats(2, scale=0.05), (2, 2), (1, 1)),
        spikec.Pool2d((2, 6, 6), (2, 2), spikec.Tensor.floats(0.4)),
        spikec.Conv1d((2, 36), floats(1, 2, 3), None, 2),
    )[seed % 3]
    size = first.out_size
    mask = random.random((size, size)) < 0.5
    late = random.integers(0, 5, (5, size))
    chance = spikec.FixedProbability(5, 4, 1 << 31, seed, floats(3, scale=0.8), floats(4))
    names = ["if", "lif", "cuba"]
    random.shuffle(names)
    sizes = {"a": size, "b": 5, "c": 4}
    populations = [
        spikec.Population(name, first.out_shape if name == "a" else (n,), neuron(kind, n))
        for kind, (name, n) in zip(names, sizes.items(), strict=True)
    ]
    recurrent = spikec.Sparse.of(random.normal(0, 0.4, (size, size)) * mask)
    projections = (
        spikec.Projection("x", "a", first),
        spikec.Projection("a", "a", recurrent, delay=int(random.integers(1, 4))),
        spikec.Projection("a", "b", spikec.Dense(floats(5, size), floats(5)), delays=late),
        spikec.Projection("b", "b", spikec.AllButSelf(5, floats(5, mean=-0.2)), delay=1),
        spikec.Projection("b", "c", chance),
        spikec.Projection("c", "c", spikec.OneToOne(4, floats(4)), delay=2),
        spikec.Projection("c", "b", spikec.Dense(floats(5, 4)), delay=3),
    )
    nodes: Any = (spikec.Input("x", (2, 6, 6)), *populations, spikec.Output("y", "c"))
    return spikec.Graph("every", nodes, projections, 1e-3)


def mlp(sizes: tuple[int, ...], seed: int = 0) -> spikec.Graph:
    """Return fully connected CUBA-LIF layers with random weights that keep it active."""
    random = np.random.default_rng(seed)
    nodes: list[Any] = [spikec.Input("x", sizes[:1])]
    projections: list[spikec.Projection] = []
    for k, (before, here) in enumerate(pairwise(sizes), start=1):
        signs = random.choice([-1.0, 1.0], (here, before))
        weights = signs * random.uniform(0.6, 1.0, (here, before)) * 2.0 / np.sqrt(before)
        neuron = spikec.CubaLIF(synapse_decay=0.5, decay=0.8, reset="zero")
        nodes.append(spikec.Population(f"h{k}", (here,), neuron))
        source = "x" if k == 1 else f"h{k - 1}"
        synapse = spikec.Dense(spikec.Tensor.floats(weights))
        projections.append(spikec.Projection(source, f"h{k}", synapse))
    nodes.append(spikec.Output("y", f"h{len(sizes) - 1}"))
    return spikec.Graph("mlp", tuple(nodes), tuple(projections), 1e-3)
