"""NALSM's liquid with frozen weights: inputs and liquid are leaky integrate-and-fire neurons.

Neurons on a grid, 80 % excitatory, connected with P = C exp(-(D / 3)^2); inputs reach 15 % of the
liquid, with either sign. Source: combra-lab/NALSM d2d303e, generate_spatial_network.py and
NALSM_LIF_v1.py (specs/liquid_state_machines.md sections 2.1, 2.2 and 2.4).

The authors' plasticity, which runs in inference too, is not here: this is a frozen liquid, for a
read-out trained on its counts. Every kernel is a population of its own; a spike acts in the step in
which the authors' code lets it act.
"""

from math import exp, inf, prod
from typing import Any

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Graph, Input, Output, Population, Projection
from spikec.compiler.neurons.last_spike import LastSpike
from spikec.compiler.neurons.nalsm_lif import NalsmLIF
from spikec.compiler.synapses import DistanceDependent, FixedProbability, OneToOne, identity
from spikec.compiler.synapses.procedural import Procedural
from spikec.compiler.types import Array, Bool, Tensor

# C by source and target, excitatory first; lambda in grid units.
CONNECTED = ((0.2, 0.1), (0.3, 0.05))
LENGTH = 3.0
INPUT_SHARE = 0.15
DRIVE = 100.0
TAU_KERNEL = 1.0
KINDS = ("excitatory", "inhibitory")


def liquid(
    seed: int = 0,
    *,
    inputs: int = 784,
    shape: tuple[int, int, int] = (10, 10, 10),
    weight: float = 3.0,
    stored: bool = True,
) -> Graph:
    """Return a liquid with outputs ``excitatory`` and ``inhibitory``; a step is 1 ms.

    An event at an input adds 100 to its neuron. Each pair of input and liquid neuron is connected
    with probability 0.15; the authors draw exactly 15 % of the pairs.

    Args:
        seed: Of places and synapses.
        inputs: Number of inputs: 784 for MNIST, 2,312 for N-MNIST.
        shape: Grid; its cells are the neurons of the liquid.
        weight: Magnitude of every weight; 3 is what the authors start from.
        stored: Write the synapses down; False draws them again when needed, in less memory and
            more time, with the same spikes.

    Raises:
        SpikecError: SPK1253.
    """
    if min(inputs, *shape) < 1 or prod(shape) < 3 or seed < 0 or not 0 < weight < 1e6:
        raise SpikecError(
            "SPK1253",
            "nalsm.liquid",
            f"{inputs} inputs, grid {shape}, weight {weight:g} and seed {seed} are not possible",
            "Give inputs, at least 3 cells, a positive weight and a seed of at least 0",
        )
    random = np.random.default_rng(seed)
    places = random.permutation(prod(shape))
    many = round(0.8 * places.size)
    cells = {"excitatory": places[:many], "inhibitory": places[many:]}
    seeds = iter(random.integers(0, 1 << 62, 6).tolist())
    cell, kernel = NalsmLIF(fire="after"), _kernel()
    nodes: list[Input | Population | Output] = [Input("events", (inputs,), Bool())]
    projections = [
        Projection("events", "input", OneToOne(inputs, Tensor.floats(DRIVE)), delay=1),
    ]
    for name, size in (("input", inputs), *((k, v.size) for k, v in cells.items())):
        nodes += [Population(name, (size,), cell), Population(f"{name}_kernel", (size,), kernel)]
        projections.append(Projection(name, f"{name}_kernel", identity(size)))

    def connect(source: str, target: str, synapse: Procedural) -> None:
        drawn = synapse.stored() if stored else synapse
        projections.append(Projection(f"{source}_kernel", target, drawn, delay=1))

    for target in KINDS:
        both, size = [weight, -weight], cells[target].size
        drawn = FixedProbability.of(inputs, size, INPUT_SHARE, both, next(seeds))
        connect("input", target, drawn)
    for source, row, sign in zip(KINDS, CONNECTED, (1.0, -1.0), strict=True):
        for target, peak in zip(KINDS, row, strict=True):
            ends: Any = {"source_cells": cells[source], "target_cells": cells[target]}
            near = DistanceDependent.gaussian(
                shape, peak, LENGTH, sign * weight, next(seeds), **ends
            )
            connect(source, target, near)
    nodes += [Output(kind, kind) for kind in KINDS]
    return Graph("nalsm", tuple(nodes), tuple(projections), 1e-3)


def _kernel() -> LastSpike:
    """Return exp(-t / tau) / tau of the steps since the last spike, which start at 20."""
    start = exp(-19 / TAU_KERNEL) / TAU_KERNEL  # it decays before it is first sent
    return LastSpike(decay=exp(-1 / TAU_KERNEL), peak=1 / TAU_KERNEL, v_init=start)


def draw_events(images: Array, seed: int = 0, *, steps: int = 250, scale: float = 0.0) -> Array:
    """Return events of images, (images, steps, pixels): each pixel is a probability in every step.

    Args:
        images: (images, ...), at least 0, none empty. Each is divided by its sum, so that all have
            the same number of events, and by ``scale``.
        seed: Of the events.
        steps: Steps of 1 ms.
        scale: Largest share of a pixel in the sum of its image; 0 takes it from these images. The
            authors take it from all images of training, or of test.

    Raises:
        SpikecError: SPK1254 on images, SPK1257 on steps or scale.
    """
    if steps < 1 or not 0 <= scale < inf:
        raise SpikecError(
            "SPK1257",
            "nalsm.draw_events",
            f"{steps} steps and scale {scale:g} are not possible",
            "Give at least one step and a scale above 0, or 0",
        )
    pixels = np.asarray(images, dtype=np.float64)
    flat = pixels.reshape(len(pixels), -1) if pixels.ndim > 1 else pixels[None, :0]
    sums = flat.sum(axis=1, keepdims=True)
    if not flat.size or not np.isfinite(flat).all() or flat.min() < 0 or not (sums > 0).all():
        raise SpikecError(
            "SPK1254",
            "nalsm.draw_events",
            f"an array of shape {pixels.shape} is not images with a sum above 0",
            "Give (images, pixels) of numbers from 0, no image all 0",
        )
    share = flat / sums
    chance = share / (scale or share.max())
    drawn = np.random.default_rng(seed).random((len(flat), steps, flat.shape[1]))
    return np.asarray(drawn < chance[:, None])
