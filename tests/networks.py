"""Generated networks for property tests: every neuron and synapse kind, recurrent and delayed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import spikec
from spikec.compiler.equation import Neuron
from spikec.compiler.synapses import Synapse, identity
from spikec.compiler.types import Array, Tensor

GRID = 1024
SPIKING = ("integrate_and_fire", "lif", "cuba_lif")


@dataclass(frozen=True)
class Style:
    """What a generated network may hold.

    Attributes:
        on_grid: Weights and parameters are multiples of 2^-10, so that sums are exact in float64.
        value_sources: Leaky integrators may feed other populations.
        cycles: Recurrent projections.
    """

    on_grid: bool = True
    value_sources: bool = False
    cycles: bool = True


@dataclass
class Maker:
    """Draws one network: structure by hypothesis, numbers by a seeded generator."""

    draw: Any
    style: Style

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.draw(st.integers(0, 2**16)))

    def pick(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def numbers(self, shape: tuple[int, ...], scale: float) -> Array:
        values = self.random.normal(size=shape) * scale
        return np.round(values * GRID) / GRID if self.style.on_grid else values

    def parameter(self, size: int, low: float, high: float, each: bool) -> Any:
        values = self.random.uniform(low, high, size if each else ())
        return np.round(values * GRID) / GRID if self.style.on_grid else values

    def tensor(self, shape: tuple[int, ...], scale: float) -> Tensor:
        return Tensor.floats(self.numbers(shape, scale))

    def neuron(self, kind: str, size: int) -> Neuron:
        each = self.pick(False, True)

        def number(low: float, high: float) -> Any:
            return self.parameter(size, low, high, each)

        if kind == "relay":
            return spikec.Relay()
        if kind == "leaky_integrator":
            return spikec.LeakyIntegrator(
                decay=number(0.5, 0.97),
                gain=number(0.5, 1.5),
                offset=number(-0.1, 0.1),
                v_init=number(-0.5, 0.5),
            )
        rule: dict[str, Any] = {
            "threshold": number(0.4, 1.5),
            "reset_value": number(-0.25, 0.25),
            "v_init": number(-0.25, 0.75),
            "gain": number(0.5, 1.5),
            "v_min": self.pick(None, -1.0),
            "compare": self.pick("gt", "ge"),
            "reset": self.pick("zero", "value", "subtract", "none"),
            "reset_phase": self.pick("same", "next"),
            "fire": self.pick("after", "before"),
            "max_spikes": self.pick(1, 1, 3),
        }
        if kind == "integrate_and_fire":
            return spikec.IntegrateAndFire(**rule)
        rule |= {"decay": number(0.5, 0.97), "offset": number(-0.1, 0.1)}
        if kind == "lif":
            return spikec.LIF(**rule)
        return spikec.CubaLIF(
            synapse_decay=number(0.3, 0.9),
            synapse_gain=number(0.5, 1.5),
            u_init=number(-0.2, 0.2),
            current_phase=self.pick("new", "old", "jump"),
            **rule,
        )

    def synapse(self, source: tuple[int, ...], target: tuple[int, ...] | None) -> Synapse:
        """Return a synapse from a shape to a shape, or to one of its own choice."""
        size = int(np.prod(source))
        kinds = ["dense", "sparse"]
        if target is None and len(source) == 3 and min(source[1:]) >= 2:
            kinds += ["conv2d", "pool2d"]
        if target is None and len(source) == 2:
            kinds += ["conv1d", "conv1d"]
        if target is None or int(np.prod(target)) == size:
            kinds += ["one_to_one", "all_but_self"]
        kind = self.pick(*kinds, "fixed_probability")
        if kind == "conv1d":
            return self.sequence_convolution(source)
        if kind == "all_but_self":
            each = self.pick(False, True)
            return spikec.AllButSelf(size, self.tensor((size,) if each else (), 0.3))
        if kind == "conv2d":
            return self.convolution(source)
        if kind == "pool2d":
            weight = Tensor.floats(self.pick(1.0, 0.25))
            channels, n0, n1 = list(source)
            return spikec.Pool2d((channels, n0, n1), (2, 2), weight, self.pick((2, 2), (1, 1)))
        if kind == "one_to_one":
            each = self.pick(False, True)
            return spikec.OneToOne(size, self.tensor((size,) if each else (), 1.0))
        out = self.draw(st.integers(1, 6)) if target is None else int(np.prod(target))
        bias = self.pick(None, self.tensor((out,), 0.1))
        if kind == "fixed_probability":
            chance, seed = self.draw(st.integers(1, 2**32)), self.draw(st.integers(0, 2**62 - 1))
            weights = self.tensor((self.pick(1, 3),), 1.2 / np.sqrt(size))
            pairs = self.pick("all", "others")
            return spikec.FixedProbability(size, out, chance, seed, weights, bias, pairs)
        matrix = self.numbers((out, size), 1.2 / np.sqrt(size))
        if kind == "dense":
            return spikec.Dense(Tensor.floats(matrix), bias)
        return spikec.Sparse.of(matrix * (self.random.random(matrix.shape) < 0.6), bias)

    def convolution(self, source: tuple[int, ...]) -> Synapse:
        channels = source[0]
        groups = self.pick(1, channels)
        out = groups * self.draw(st.integers(1, 2))
        kernel = (self.draw(st.integers(1, 2)), self.draw(st.integers(1, 2)))
        return spikec.Conv2d(
            (channels, source[1], source[2]),
            self.tensor((out, channels // groups, *kernel), 0.7),
            self.pick(None, self.tensor((out,), 0.1)),
            self.pick((1, 1), (2, 1)),
            self.pick((0, 0), (1, 1)),
            self.pick((1, 1), (1, 1)),
            groups,
            self.pick((0, 0), (0, 1)),
        )

    def sequence_convolution(self, source: tuple[int, ...]) -> Synapse:
        channels, out = source[0], self.draw(st.integers(1, 3))
        return spikec.Conv1d(
            (channels, source[1]),
            self.tensor((out, channels, self.draw(st.integers(1, 3))), 0.7),
            self.pick(None, self.tensor((out,), 0.1)),
            self.pick(1, 2),
            self.pick(0, 1),
            extra=self.pick(0, 1),
        )

    def projection(self, source: str, target: str, synapse: Synapse, delay: int) -> Any:
        """Return the projection, sometimes with delays for every synapse."""
        delays = None
        if isinstance(synapse, spikec.Dense | spikec.Sparse) and self.pick(False, False, True):
            delays = self.random.integers(0, 4, synapse.weight.shape)
            delays = None if delays.size == 0 else delays
        return spikec.Projection(source, target, synapse, delay=delay, delays=delays)

    def graph(self) -> spikec.Graph:
        inputs = [
            spikec.Input(f"in{k}", self.pick((4,), (2, 4, 4), (6,), (2, 5)))
            for k in range(self.draw(st.integers(1, 2)))
        ]
        populations: list[spikec.Population] = []
        projections: list[spikec.Projection] = []
        for k in range(self.draw(st.integers(1, 4))):
            sources: list[Any] = [*inputs, *(p for p in populations if self.may_send(p))]
            source = self.pick(*sources)
            synapse = self.synapse(source.shape, None)
            kind = self.pick(*SPIKING, "leaky_integrator", "relay")
            shape = tuple(synapse.out_shape)
            population = spikec.Population(f"p{k}", shape, self.neuron(kind, int(np.prod(shape))))
            populations.append(population)
            delay = self.draw(st.integers(0, 3))
            projections.append(self.projection(source.name, population.name, synapse, delay))
            if self.pick(False, True):
                extra = self.pick(*sources)
                synapse = self.synapse(extra.shape, shape)
                delay = self.draw(st.integers(0, 2))
                projections.append(self.projection(extra.name, f"p{k}", synapse, delay))
        if self.style.cycles:
            self.close_cycles(populations, projections)
        taps = [populations[-1], self.pick(*populations)]
        outputs = [spikec.Output(f"out{k}", p.name) for k, p in enumerate(taps)]
        return spikec.Graph("net", (*inputs, *populations, *outputs), tuple(projections), 1e-3)

    def may_send(self, population: spikec.Population) -> bool:
        """Return whether its sums stay exact, or need not."""
        values = population.model().emits == "values"
        return self.style.value_sources or not values or not population.model().states

    def close_cycles(
        self, populations: list[spikec.Population], projections: list[spikec.Projection]
    ) -> None:
        firing = [p for p in populations if p.model().emits != "values"]
        for _ in range(self.draw(st.integers(0, 2)) if firing else 0):
            source, target = self.pick(*firing), self.pick(*populations)
            if target.model().kind == "relay":
                continue
            synapse = self.synapse(source.shape, target.shape)
            delay = self.draw(st.integers(1, 3))
            projections.append(self.projection(source.name, target.name, synapse, delay))


@st.composite
def graphs(draw: Any, style: Style = Style()) -> spikec.Graph:
    """Draw a network."""
    return Maker(draw, style).graph()


def spikes_for(
    graph: spikec.Graph, samples: int, steps: int, seed: int, probability: float = 0.35
) -> dict[str, Array]:
    """Return random input spikes, (samples, steps, *shape) by input."""
    random = np.random.default_rng(seed)
    return {
        i.name: (random.random((samples, steps, *i.shape)) < probability).astype(np.float64)
        for i in graph.inputs
    }


__all__ = ["Style", "graphs", "identity", "spikes_for"]
