"""Plain ReLU networks to spiking ones.

Every rectifier becomes an integrate-and-fire neuron that is reset by subtraction, so that its rate
follows its input. Activations are measured on calibration data; with scale s of a layer, the given
percentile of its positive activations, weights and biases are changed so that a rate of one spike a
step stands for s (Diehl et al. 2015, doi:10.1109/IJCNN.2015.7280696; the percentile: Rueckauer et
al. 2017, doi:10.3389/fnins.2017.00682). The membrane begins at half the threshold, which centres
the error of the counting (Deng and Gu 2021, arXiv:2103.00476; Bu et al. 2022, arXiv:2303.04347).

The input is a constant current or spikes at its rate. The read-out ``last`` is the membrane of a
non-spiking integrator in the last step, ``count`` the neuron that spikes most, ``first`` the one
that spikes earliest.
"""

from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from spikec.compiler.compare import batches
from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.frontends.onnx_network import rescaled
from spikec.compiler.frontends.onnx_relu import ReluNetwork, read_relu
from spikec.compiler.ir import Graph, Population
from spikec.compiler.neurons.integrate_and_fire import IntegrateAndFire
from spikec.compiler.neurons.integrator import Integrator
from spikec.compiler.pipeline import Progress, compile_graph, silent
from spikec.compiler.signals import check_labels, encode, read_out
from spikec.compiler.simulator import Simulator
from spikec.compiler.types import Array
from spikec.compiler.verify import verify_graph

BATCH = 64  # samples at a time through the network that is not spiking

ConversionReadout = Literal["last", "count", "first"]
ConversionEncoding = Literal["constant", "rate"]


@dataclass(frozen=True, slots=True)
class Layer:
    """What became of a rectifier.

    Attributes:
        name: Population.
        neurons: Its size.
        scale: Activation that one spike a step stands for.
        largest: Largest activation on the calibration data.
        active: Share of the activations that are positive.
    """

    name: str
    neurons: int
    scale: float
    largest: float
    active: float


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the curve of accuracy against latency.

    Attributes:
        steps: Latency in steps.
        agreeing: Samples whose class is that of the ReLU network.
        correct: Samples whose class is the label, or None without labels.
    """

    steps: int
    agreeing: int
    correct: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Conversion:
    """A converted network and what was measured on the calibration data.

    Attributes:
        graph: The spiking network.
        layers: Its spiking populations.
        curve: Accuracy against latency.
        samples: Number of calibration samples.
        relu_correct: Samples that the ReLU network itself classifies right, or None.
        readout: How the output is a class.
        encoding: How the calibration data became a signal.
        seed: Of the rate encoding.
    """

    graph: Graph
    layers: tuple[Layer, ...]
    curve: tuple[Point, ...]
    samples: int
    relu_correct: int | None
    readout: str
    encoding: str
    seed: int


def convert(
    source: str | Path,
    calibration: Array,
    labels: Array | None = None,
    steps: int = 64,
    percentile: float = 99.9,
    readout: ConversionReadout = "last",
    encoding: ConversionEncoding = "constant",
    seed: int = 0,
    progress: Progress = silent,
) -> Conversion:
    """Convert a ReLU network in an ONNX file to a spiking one.

    Args:
        source: The file.
        calibration: Images (samples, *shape) as the ReLU network takes them.
        labels: One class per image, for accuracies.
        steps: Longest latency of the curve.
        percentile: Of the positive activations of a layer, which a spike a step stands for.
        readout: last (membrane in the last step), count or first (spike).
        encoding: constant or rate: how images become a signal.
        seed: Of the rate encoding.
        progress: Called while long work goes on.

    Raises:
        SpikecError: SPK1440 to SPK1446; errors of the file, the graph and the encoding.
    """
    relu = read_relu(source)
    images = _checked(relu, calibration, labels)
    _check_options(steps, percentile, readout, encoding)
    classes, layers = _measure(relu, images, percentile, readout, progress)
    graph = _spiking(relu, layers, readout)
    note = f"percentile {percentile:g}, {len(images)} samples, readout {readout}"
    graph = replace(graph, metadata={**graph.metadata, "conversion": note})
    verify_graph(graph)
    inputs = encode(images, encoding, steps, seed)
    chosen = run_curve(graph, inputs, readout, progress)
    curve = tuple(
        Point(
            t,
            int((found == classes).sum()),
            None if labels is None else int((found == labels).sum()),
        )
        for t, found in chosen.items()
    )
    right = None if labels is None else int((classes == labels).sum())
    return Conversion(graph, layers, curve, len(images), right, readout, encoding, seed)


def _check_options(steps: int, percentile: float, readout: str, encoding: str) -> None:
    """Refuse options that are none.

    Raises:
        SpikecError: SPK1443.
    """
    if steps < 1:
        wrong, remedy = f"steps {steps}", "Give 1 or more"
    elif not 0 < percentile <= 100:
        wrong, remedy = f"percentile {percentile:g}", "Give one above 0, up to 100"
    elif readout not in get_args(ConversionReadout):
        wrong, remedy = (
            f"readout '{readout}'",
            f"Use one of {', '.join(get_args(ConversionReadout))}",
        )
    elif encoding not in get_args(ConversionEncoding):
        wrong, remedy = f"encoding '{encoding}'", "Use constant or rate"
    else:
        return
    raise SpikecError("SPK1443", "convert", f"{wrong} is none", remedy)


def _checked(relu: ReluNetwork, calibration: Array, labels: Array | None) -> Array:
    """Return the images, checked.

    Raises:
        SpikecError: SPK1444 on shape or type, SPK1445 on numbers that are not finite.
    """
    images, (entry,) = np.asarray(calibration), relu.graph.inputs
    if images.shape[1:] != entry.shape or not images.size or images.dtype.kind not in "biuf":
        sizes = ", ".join(str(n) for n in entry.shape)
        raise SpikecError(
            "SPK1444",
            "calibration",
            f"the array of type {images.dtype} and shape {images.shape} is no (samples, {sizes})",
            "Give the images as the ReLU network takes them",
        )
    if not np.isfinite(images).all():
        raise SpikecError(
            "SPK1445", "calibration", "the images contain NaN or infinity", "Clean the data first"
        )
    if labels is not None:
        check_labels(labels, len(images))
    return images


def _measure(
    relu: ReluNetwork, images: Array, percentile: float, readout: str, progress: Progress
) -> tuple[Array, tuple[Layer, ...]]:
    """Return the classes of the ReLU network, and the scale of every population that will spike."""
    last = relu.graph.outputs[0].source
    spiking = [p for p in relu.graph.populations if p.name in relu.ceilings]
    if readout != "last":
        spiking += [p for p in relu.graph.populations if p.name == last]
    tops = {p.name: _Top(len(images) * p.size, percentile) for p in spiking}
    classes: list[Array] = []
    for start in range(0, len(images), BATCH):
        values = relu.activations(images[start : start + BATCH])
        for name, top in tops.items():
            top.add(values[name])
        classes.append(np.argmax(values[last], axis=1))
        progress("measure", min(start + BATCH, len(images)), len(images))
    layers = tuple(
        Layer(p.name, p.size, *tops[p.name].found(relu.ceilings.get(p.name, np.inf)))
        for p in spiking
    )
    return np.concatenate(classes), layers


class _Top:
    """The largest of very many numbers, as many as a percentile of the positive ones needs."""

    def __init__(self, total: int, percentile: float) -> None:
        self._total, self._share, self._positive = total, percentile / 100, 0
        self._kept = np.zeros(0)

    def add(self, values: Array) -> None:
        """Take more numbers."""
        positive = values[values > 0]
        self._positive += positive.size
        kept = np.concatenate([self._kept, positive])
        needed = self._total - ceil(self._share * self._total) + 1
        self._kept = kept if kept.size <= needed else np.partition(kept, -needed)[-needed:]

    def found(self, ceiling: float) -> tuple[float, float, float]:
        """Return the percentile, at most the ceiling; the largest; and the share of positives."""
        if not self._positive:
            return 1.0, 0.0, 0.0
        from_top = self._positive - ceil(self._share * self._positive) + 1
        scale = float(np.partition(self._kept, -from_top)[-from_top])
        return min(scale, ceiling), float(self._kept.max()), self._positive / self._total


def _spiking(relu: ReluNetwork, layers: tuple[Layer, ...], readout: str) -> Graph:
    """Return the spiking network: neurons for rectifiers, weights in units of the scales."""
    graph = relu.graph
    scales = {i.name: 1.0 for i in graph.inputs} | {layer.name: layer.scale for layer in layers}
    last = graph.outputs[0].source
    populations: list[Population] = []
    for p in graph.populations:
        if p.name in scales:
            spiking = IntegrateAndFire(threshold=1.0, reset="subtract", v_init=0.5)
            populations.append(replace(p, neuron=spiking))
        elif p.name == last:
            scales[p.name] = 1.0
            populations.append(replace(p, neuron=Integrator()))
        else:
            # In the unit of its source, a pool keeps a weight that fuse can fold exactly.
            scales[p.name] = scales[graph.into(p.name)[0].source]
            populations.append(p)
    projections = tuple(rescaled(p, scales) for p in graph.projections)
    silent_layers = tuple(
        Finding("SPK1446", layer.name, "no activation is positive on the calibration data")
        for layer in layers
        if not layer.largest
    )
    return replace(
        graph.with_nodes(populations),
        projections=projections,
        findings=(*graph.findings, *silent_layers),
    )


def run_curve(
    graph: Graph, inputs: Array, readout: str, progress: Progress = silent
) -> dict[int, Array]:
    """Return the classes after 1, 2, 4, ... steps and after all, on floating-point numbers."""
    program = compile_graph(graph, pipeline="discretize,fuse")
    simulator, steps = Simulator(program), inputs.shape[1]
    points = sorted({1 << k for k in range(steps.bit_length())} | {steps})
    found: dict[int, list[Array]] = {t: [] for t in points}
    name = graph.inputs[0].name
    for part, total in batches(program, {name: inputs}, ()):
        output = simulator.run(np.asarray(inputs[part])).output
        for t in points:
            found[t].append(read_out(output[:, :t], readout))
        progress("simulate", part.stop, total)
    return {t: np.concatenate(parts) for t, parts in found.items()}
