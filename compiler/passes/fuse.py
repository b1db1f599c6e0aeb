"""Fold relays into the projections round them, where that changes no result.

A relay that one projection feeds disappears when one of the two maps only pools or scales by a
power of two: A -(pool)-> relay -(conv)-> B becomes one convolution with a larger kernel. Such a
product of maps has the same weights, so the sums are the same. General products (dense after dense)
would round anew and stay as they are.
"""

from dataclasses import dataclass, replace
from math import frexp
from typing import ClassVar

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Graph, Program, Projection
from spikec.compiler.neurons.relay import Relay
from spikec.compiler.pipeline import Context
from spikec.compiler.synapses import Conv2d, Dense, OneToOne, Pool2d, Synapse
from spikec.compiler.types import Array, Tensor


@dataclass(frozen=True, slots=True)
class Fuse:
    """Fuse until nothing more can be."""

    name: ClassVar[str] = "fuse"

    def run(self, program: Program, context: Context) -> Program:
        """Return the program with fewer relays.

        Raises:
            SpikecError: SPK0671 when a mapping already says where the relays sit, SPK0672 when
                the program is quantised and there are relays.
        """
        if program.mapping is not None:
            raise SpikecError(
                "SPK0671", "mapping", "fuse would remove mapped populations", "Fuse before mapping"
            )
        if program.stage == "integer":
            if not any(isinstance(p.neuron, Relay) for p in program.graph.populations):
                return program
            raise SpikecError(
                "SPK0672", "program", "its weights are rounded already", "Fuse before quantize"
            )
        graph, changed = program.graph, True
        while changed:
            graph, changed = _fuse_one(graph)
        return replace(program, graph=graph)


def _fuse_one(graph: Graph) -> tuple[Graph, bool]:
    """Return the graph without the first relay that can go, and whether there was one."""
    tapped = {o.source for o in graph.outputs}
    for relay in graph.populations:
        if not isinstance(relay.neuron, Relay) or relay.name in tapped or relay.start:
            continue
        before = graph.into(relay.name)
        after = [p for p in graph.projections if p.source == relay.name]
        if len(before) != 1 or before[0].source == relay.name or not after:
            continue
        fused = [_through(before[0], p) for p in after]
        if all(p is not None for p in fused):
            made = dict(zip(map(id, after), fused, strict=True))
            projections = (made.get(id(p), p) for p in graph.projections if p is not before[0])
            return (
                replace(
                    graph,
                    nodes=tuple(n for n in graph.nodes if n is not relay),
                    projections=tuple(p for p in projections if p is not None),
                ),
                True,
            )
    return graph, False


def _through(first: Projection, second: Projection) -> Projection | None:
    """Return the one projection that does what two do, or None."""
    if first.delays is not None or second.delays is not None:
        return None
    if first.synapse.bias is not None and second.delay > 0:
        return None  # the relay holds its bias back by the delay; one projection would not
    synapse = product(first.synapse, second.synapse)
    if synapse is None:
        return None
    return replace(
        second,
        source=first.source,
        synapse=synapse,
        delay=first.delay + second.delay,
        storage=synapse.storage,
    )


def product(first: Synapse, second: Synapse) -> Synapse | None:
    """Return ``second`` after ``first`` as one synapse, where every weight stays exact."""
    factor = _power_of_two(first)
    if factor is not None:
        bias = second.bias
        if first.bias is not None:
            return None
        return second.with_numbers(_times(second.weight, factor), bias)
    factor = _power_of_two(second)
    if factor is not None and second.bias is None:
        bias = None if first.bias is None else _times(first.bias, factor)
        return first.with_numbers(_times(first.weight, factor), bias)
    if isinstance(first, Pool2d) and _plain(first):
        weight = float(first.weight.data)
        if isinstance(second, Conv2d) and second.dilation == (1, 1) and _divides(first):
            return _pooled_convolution(first, second, weight)
        if isinstance(second, Dense):
            columns = _pooled_index(first)
            spread = np.where(columns >= 0, second.weight.data[:, columns], 0.0) * weight
            return Dense(Tensor.floats(spread), second.bias)
    return None


def _power_of_two(synapse: Synapse) -> float | None:
    """Return the factor of a one-to-one map that only moves the binary point, else None."""
    if not isinstance(synapse, OneToOne) or synapse.weight.shape != ():
        return None
    factor = float(synapse.weight.real())
    return factor if abs(frexp(factor)[0]) == 0.5 else None


def _times(tensor: Tensor, factor: float) -> Tensor:
    return Tensor.floats(tensor.real() * factor)


def _plain(pool: Pool2d) -> bool:
    """Return whether windows do not overlap and the weight only moves the binary point."""
    exact = abs(frexp(float(pool.weight.data))[0]) == 0.5
    return exact and pool.stride == pool.kernel and pool.padding == (0, 0)


def _divides(pool: Pool2d) -> bool:
    return all(n % k == 0 for n, k in zip(pool.in_shape[1:], pool.kernel, strict=True))


def _pooled_convolution(pool: Pool2d, conv: Conv2d, weight: float) -> Conv2d:
    """Return the convolution of the unpooled image: every tap repeated over its window."""
    k0, k1 = pool.kernel
    taps = np.kron(conv.weight.data, np.ones((1, 1, k0, k1))) * weight
    return Conv2d(
        pool.in_shape,
        Tensor.floats(taps),
        conv.bias,
        (conv.stride[0] * k0, conv.stride[1] * k1),
        (conv.padding[0] * k0, conv.padding[1] * k1),
        (1, 1),
        conv.groups,
        (conv.extra[0] * k0, conv.extra[1] * k1),
    )


def _pooled_index(pool: Pool2d) -> Array:
    """Return for each source the window that it falls into, or -1."""
    channels, n0, n1 = pool.in_shape
    _, m0, m1 = pool.out_shape
    c, y, x = np.indices((channels, n0, n1))
    at0, at1 = y // pool.kernel[0], x // pool.kernel[1]
    inside = (at0 < m0) & (at1 < m1)
    return np.where(inside, (c * m0 + at0) * m1 + at1, -1).reshape(-1)
