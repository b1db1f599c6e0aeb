"""Trained weights of the multisensory cooperative network as a ``Graph``.

Per stream and layer, a population of receptive fields R = W h + b, one of two-point cells that R
feeds one to one at ``basal``, and context at ``apical``: P from the R of the stream, D from that of
the other, U from a universal context u = tanh(M [R_audio; R_video]) of the layer
(specs/two_point_cells.md section 2.2). Point neurons are the same cells without context: every
tm is R where C is 0. Inputs are ``audio`` and ``video``, the output is ``estimate``.
"""

from collections.abc import Mapping

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Graph, Input, Output, Population, Projection
from spikec.compiler.neurons.relay import Relay
from spikec.compiler.neurons.two_point import (
    Activation,
    Modulation,
    ReceptiveField,
    TwoPoint,
    UniversalContext,
)
from spikec.compiler.synapses import Dense, identity
from spikec.compiler.types import Array, Tensor

STREAMS = ("audio", "video")
FRAME = 0.04  # seconds


def two_stream(
    weights: Mapping[str, Array],
    mod: Modulation | None,
    *,
    c_gain: int = 1,
    out: Activation = "relu6",
    memory: float = 0.0,
    delay: int = 0,
) -> Graph:
    """Return the network.

    Args:
        weights: By name: ``feed.w_STREAM_LAYER`` (cells, inputs) and ``feed.b_STREAM_LAYER``;
            ``context.p_``, ``d_`` and ``u_STREAM_LAYER`` (cells, sources) and ``context.m_LAYER``
            (universal, audio and video cells); ``out.weight`` and ``out.bias``; ``alive`` (layers,
            streams, cells), 0 for a lesioned cell.
        mod: Modulation; None for point neurons, which take no context.
        c_gain: Of the context.
        out: What cells send.
        memory: Of the universal context.
        delay: Steps from the universal context to the cells: 0 or 1.

    Raises:
        SpikecError: SPK2222 on a missing array or one of another rank, SPK2223 on a delay; errors
            of the models.
    """
    if delay not in (0, 1):
        raise SpikecError("SPK2223", "delay", f"{delay} is neither 0 nor 1", "Use 0 or 1")
    build = _Build(weights)
    layers = 0
    while f"feed.w_audio_{layers}" in weights:
        layers += 1
    for layer in range(max(layers, 1)):
        for s in STREAMS:
            build.receptive_field(layer, s)
        if mod is not None:
            build.universal(layer, memory)
        for s in STREAMS:
            cell = TwoPoint(mod=mod or "tm2", c_gain=c_gain, out=out, alive=build.alive(layer, s))
            build.cells(layer, s, cell, None if mod is None else delay)
    return build.graph(layers - 1)


def field(stream: str, layer: int) -> str:
    """Return the name of a population of receptive fields."""
    return f"{stream}_{layer}_field"


def cells(stream: str, layer: int) -> str:
    """Return the name of a population of two-point cells."""
    return f"{stream}_{layer}"


class _Build:
    """The nodes and projections so far."""

    def __init__(self, weights: Mapping[str, Array]) -> None:
        self.weights = weights
        self.nodes: list[Input | Population | Output] = [
            Input(s, (self.array(f"feed.w_{s}_0").shape[1],)) for s in STREAMS
        ]
        self.projections: list[Projection] = []

    def array(self, name: str, rank: int = 2) -> Array:
        found = self.weights.get(name)
        if found is None or found.ndim != rank:
            has = "is missing" if found is None else f"has shape {found.shape}"
            raise SpikecError("SPK2222", name, f"it {has}", f"Give an array of {rank} dimensions")
        return np.asarray(found, dtype=np.float64)

    def alive(self, layer: int, s: str) -> Array | float:
        """Return the mask of a population; one number where all cells live."""
        mask = self.weights.get("alive")
        if mask is None or np.all(mask == 1):
            return 1.0
        return np.asarray(self.array("alive", 3)[layer, STREAMS.index(s)])

    def receptive_field(self, layer: int, s: str) -> None:
        weight, name = self.array(f"feed.w_{s}_{layer}"), field(s, layer)
        bias = Tensor.floats(self.array(f"feed.b_{s}_{layer}", 1))
        model = ReceptiveField(alive=self.alive(layer, s))
        self.nodes.append(Population(name, (len(weight),), model, stream=s))
        sources: tuple[str, ...] = (s,) if layer == 0 else (cells(s, layer - 1),)
        if layer and weight.shape[1] > len(self.array(f"feed.w_{s}_{layer - 1}")):
            sources = tuple(cells(t, layer - 1) for t in STREAMS)  # fused
        for k, part in enumerate(np.split(weight, len(sources), axis=1)):
            synapse = Dense(Tensor.floats(part), None if k else bias)
            self.projections.append(Projection(sources[k], name, synapse))

    def universal(self, layer: int, memory: float) -> None:
        weight, name = self.array(f"context.m_{layer}"), f"universal_{layer}"
        model = UniversalContext(memory=memory)
        self.nodes.append(Population(name, (len(weight),), model))
        sizes = [len(self.array(f"feed.w_{s}_{layer}")) for s in STREAMS]
        parts = np.split(weight, [sizes[0]], axis=1)
        for s, part in zip(STREAMS, parts, strict=True):
            self._context(field(s, layer), name, part, "U", "input")

    def cells(self, layer: int, s: str, model: TwoPoint, delay: int | None) -> None:
        name, size = cells(s, layer), len(self.array(f"feed.w_{s}_{layer}"))
        self.nodes.append(Population(name, (size,), model, stream=s))
        self.projections.append(Projection(field(s, layer), name, identity(size), "basal"))
        if delay is None:
            return
        other = STREAMS[1 - STREAMS.index(s)]
        proximal = self.array(f"context.p_{s}_{layer}").copy()
        np.fill_diagonal(proximal, 0.0)
        self._context(field(s, layer), name, proximal, "P")
        self._context(field(other, layer), name, self.array(f"context.d_{s}_{layer}"), "D")
        universal = self.array(f"context.u_{s}_{layer}")
        self._context(f"universal_{layer}", name, universal, "U", delay=delay)

    def _context(
        self,
        source: str,
        target: str,
        weight: Array,
        kind: str,
        port: str = "apical",
        delay: int = 0,
    ) -> None:
        synapse = Dense(Tensor.floats(weight))
        self.projections.append(Projection(source, target, synapse, port, delay, context=kind))

    def graph(self, last: int) -> Graph:
        weight = self.array("out.weight")
        bias = Tensor.floats(self.array("out.bias", 1))
        self.nodes += [
            Population("estimate", (len(weight),), Relay()),
            Output("estimate", "estimate"),
        ]
        size = len(self.array(f"feed.w_audio_{last}"))
        for k, part in enumerate(np.split(weight, [size], axis=1)):
            synapse = Dense(Tensor.floats(part), None if k else bias)
            self.projections.append(Projection(cells(STREAMS[k], last), "estimate", synapse))
        return Graph("mcc", tuple(self.nodes), tuple(self.projections), FRAME)
