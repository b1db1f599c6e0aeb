"""Random NIR networks of linear layers and delays, against plain loops over the NIR nodes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nir_files import Spec, affine, conv, flat, linear, network, node, pool, write
from spikec.compiler.frontends.nir import load_nir
from spikec.compiler.ir import Graph
from spikec.compiler.semantics import Semantics
from spikec.compiler.types import Array

STEPS = 6
DT = 1e-3
IMAGE = (2, 3, 4)


class Network:
    """A random network: layers on images, a Flatten, layers on vectors, some loops."""

    def __init__(self, seed: int) -> None:
        """Draw it."""
        self.rng = np.random.default_rng(seed)
        self.nodes: dict[str, Spec] = {"in": node("Input", shape=IMAGE)}
        self.edges: list[tuple[str, str]] = []
        images = self._stage("a", ["in"], self._image_layer)
        self._add("f", flat(), images)
        self._add("fc", self._random(affine(5, 24)), ["f"])
        vectors = self._stage("b", ["fc"], self._vector_layer)
        for name in ("o", "p"):
            self._add(name, node("Output", shape=[5]), vectors)
        for source in list(self.nodes):
            if source not in {a for a, _ in self.edges} | {"o", "p"}:
                shape = IMAGE if source.startswith("a") else [5]
                self._add(f"{source}.out", node("Output", shape=shape), [source])
        self.root = network(self.nodes, self.edges)

    def _add(self, name: str, spec: Spec, sources: list[str]) -> None:
        count = int(self.rng.integers(1, 3))
        chosen = self.rng.permutation(sources)[:count]
        self.nodes[name] = spec
        self.edges += [(str(source), name) for source in chosen]

    def _stage(self, letter: str, names: list[str], layer: Any) -> list[str]:
        """Add layers that read any earlier ones, and a delayed loop back into the first."""
        first = f"{letter}0"
        for k in range(5):
            spec = layer(int(self.rng.integers(6)))
            self._add(f"{letter}{k}", spec, names)
            names = [*names, f"{letter}{k}"]
        self._add(f"{letter}_back", node("Delay", delay=2 * DT), names[1:])
        shape = IMAGE if letter == "a" else 5
        self._add(f"{letter}_loop", self._random(node("Scale", scale=np.ones(shape))), [first])
        self.edges[-1:] = [(f"{letter}_back", f"{letter}_loop"), (f"{letter}_loop", first)]
        return names

    def _image_layer(self, kind: int) -> Spec:
        padded = {"kernel_size": [3, 3], "stride": [1, 1], "padding": [1, 1]}
        made = [
            conv(2, 2, 3, 3, padding=[1, 1]),
            conv(2, 1, 3, 1, padding="same", groups=2),
            pool("SumPool2d", **padded),
            pool("AvgPool2d", **padded),
            node("Scale", scale=np.ones(IMAGE)),
            node("Delay", delay=DT),
        ]
        return self._random(made[kind])

    def _vector_layer(self, kind: int) -> Spec:
        made = [
            affine(5, 5),
            linear(5, 5),
            node("Scale", scale=np.ones(5)),
            node("Delay", delay=DT),
            node("Delay", delay=0.0),
            affine(5, 5),
        ]
        return self._random(made[kind])

    def _random(self, spec: Spec) -> Spec:
        drawn = {k: v for k, v in spec.items() if k in ("weight", "bias", "scale")}
        return spec | {k: 0.3 * self.rng.standard_normal(np.shape(v)) for k, v in drawn.items()}


def loops(root: Spec, x: Array) -> dict[str, Array]:
    """Return what each Output gets in each step, straight from the definition of the nodes."""
    nodes: dict[str, Spec] = root["nodes"]
    sent: dict[str, list[Array]] = {name: [] for name in nodes}
    before = {n: [a for a, b in root["edges"] if b == n] for n in nodes}

    def total(name: str, t: int) -> Array:
        return np.asarray(sum(value(a, t) for a in before[name]))

    def value(name: str, t: int) -> Array:
        while len(sent[name]) <= t:
            sent[name].append(act(name, len(sent[name])))
        return sent[name][t]

    def act(name: str, t: int) -> Array:
        spec = nodes[name]
        if spec["type"] == "Input":
            return np.asarray(x[t])
        if spec["type"] == "Delay":
            steps = round(float(spec["delay"]) / DT)
            return total(name, t - steps) if t >= steps else np.zeros(shape_of(name))
        return layer(spec, total(name, t))

    def shape_of(name: str) -> tuple[int, ...]:
        return IMAGE if name.startswith("a") else (5,)

    outputs = [n for n in nodes if nodes[n]["type"] == "Output"]
    return {n: np.array([total(n, t).reshape(-1) for t in range(STEPS)]) for n in outputs}


def layer(spec: Spec, x: Array) -> Array:
    """Return what one layer makes of ``x``."""
    match spec["type"]:
        case "Flatten":
            return x.reshape(-1)
        case "Affine":
            return np.asarray(spec["weight"] @ x + spec["bias"])
        case "Linear":
            return np.asarray(spec["weight"] @ x)
        case "Scale":
            return np.asarray(spec["scale"] * x)
        case "Conv2d":
            y = correlate(x, spec["weight"], spec["groups"])
            return np.asarray(y + spec["bias"][:, None, None])
        case kind:
            window = np.zeros((2, 1, 3, 3)) + (1 / 9 if kind == "AvgPool2d" else 1.0)
            return correlate(x, window, 2)


def correlate(x: Array, weight: Array, groups: int) -> Array:
    """Return the cross-correlation with as much padding as keeps the size."""
    out, share, k0, k1 = weight.shape
    y = np.zeros((out, *x.shape[1:]))
    for o, c, i, j in np.ndindex(*weight.shape):
        channel = c + share * (o // (out // groups))
        for m, n in np.ndindex(*x.shape[1:]):
            p, q = m + i - k0 // 2, n + j - k1 // 2
            if 0 <= p < x.shape[1] and 0 <= q < x.shape[2]:
                y[o, m, n] += weight[o, c, i, j] * x[channel, p, q]
    return y


def run(graph: Graph, x: Array) -> Mapping[str, Array]:
    """Return what each Output of the IR gets in each step, by the synapses' own definition."""
    sent = {n: np.zeros((STEPS, graph.source_size(n))) for n in ("in", *names(graph))}
    sent["in"] = x.reshape(STEPS, -1)
    for t in range(STEPS):
        for population in graph.order():
            for p in graph.into(population.name):
                bias = p.synapse.bias_vector()
                past = sent[p.source][t - p.delay] if t >= p.delay else 0 * sent[p.source][0]
                sent[population.name][t] += p.synapse.apply(past[None])[0]
                sent[population.name][t] += 0.0 if bias is None else bias
    return {o.name: sent[o.source] for o in graph.outputs}


def names(graph: Graph) -> list[str]:
    """Return the names of the populations."""
    return [p.name for p in graph.populations]


@pytest.mark.parametrize("seed", range(60))
def test_linear_networks(tmp_path: Path, seed: int) -> None:
    """Chains, sums, fan-outs, pools, biases, delays and loops compute what the NIR nodes say."""
    made = Network(seed)
    graph = load_nir(write(tmp_path / "net.nir", made.root), Semantics(), DT)
    x = np.random.default_rng(seed).standard_normal((STEPS, *IMAGE))
    expected, found = loops(made.root, x), run(graph, x)
    assert expected.keys() == found.keys()
    for name, values in expected.items():
        assert np.allclose(found[name], values, rtol=1e-9, atol=1e-9), name
