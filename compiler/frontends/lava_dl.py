"""lava-dl ``.net`` files: trained integers for Loihi, to a graph that is integer already.

The meaning is that of the network which lava-dl's netx makes of the file on Lava (0.6.0, fixed
point), where it differs from slayer's training: a layer hears the layer before it one step later,
a bias drives from step 0 on, a delay lies on the synapses into its layer. See docs/lava_dl.md.
"""

import re
from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np

from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.frontends.lava_dl_file import read_net
from spikec.compiler.frontends.lava_dl_layers import Layer
from spikec.compiler.frontends.lava_dl_neurons import check_neuron, cuba_lif
from spikec.compiler.frontends.nir_raw import RawNode
from spikec.compiler.ir import Graph, Input, Output, Population, Projection
from spikec.compiler.loihi_grid import FORMATS
from spikec.compiler.synapses import Shape
from spikec.compiler.types import Bool
from spikec.compiler.verify import verify_graph

HOP = 1  # steps that every connection takes
SYNAPTIC = ("dense", "dense_rec", "conv", "pool")
# What lava-dl names but gives no numbers for, or numbers that no CUBA-LIF has.
OTHERS = ("convT", "unpool", "concat", "dense_comp")


def load_net(path: Path, dt: float | None = None) -> Graph:
    """Return the graph of a ``.net`` file.

    Args:
        path: The file.
        dt: Step in seconds; the file has none.

    Raises:
        SpikecError: SPK1700 to SPK1717, SPK1001 to SPK1019.
    """
    source = read_net(path)
    chain = _Chain()
    for k, raw in enumerate(source.layers):
        chain.add(raw, last=k == len(source.layers) - 1)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", source.name)[:128] or "net"
    graph = chain.graph(name, source.metadata, dt)
    verify_graph(graph)
    return graph


class _Chain:
    """Layers one after the other."""

    def __init__(self) -> None:
        self.input: Input | None = None
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self.findings: list[Finding] = []
        self.flat = False

    def add(self, raw: RawNode, last: bool) -> None:
        """Add a layer.

        Raises:
            SpikecError: SPK1702 on a type that cannot be had, SPK1703 on a layer in a place where
                it makes no sense.
        """
        if raw.ignored:
            text = f"members that lava-dl does not write are not read: {', '.join(raw.ignored)}"
            self.findings.append(Finding("SPK1720", raw.name, text))
        if raw.type in SYNAPTIC:
            self._synaptic(raw)
        elif raw.type == "input" and not (self.input or self.populations):
            self._input(raw)
        elif raw.type == "flatten":
            self.flat = True
        elif raw.type == "average" and last and self.populations:
            self._average(raw)
        elif raw.type in ("input", "average"):
            place = "first" if raw.type == "input" else "last, behind neurons"
            raise SpikecError(
                "SPK1703", f"{raw.name} {raw.type}", f"it does not stand {place}", "Reorder"
            )
        else:
            known = " of lava-dl" if raw.type in OTHERS else ""
            raise SpikecError(
                "SPK1702",
                f"{raw.name} {raw.type}",
                f"layers of this type{known} are not supported",
                f"Use input, flatten, average, {', '.join(SYNAPTIC)}",
            )

    def _input(self, raw: RawNode) -> None:
        """Take spikes of the shape of the layer; its own neurons, if it has any, are the host's."""
        if "shape" in raw.fields:
            self.input = Input("input", raw.integers("shape"), Bool())
        if "neuron.type" in raw.fields:
            check_neuron(raw)
            text = (
                "its neurons turn numbers into spikes on the host (weight "
                f"{_shown(raw, 'weight')}, bias {_shown(raw, 'bias')}): give the spikes they send"
            )
            self.findings.append(Finding("SPK1721", f"{raw.name} {raw.type}", text))

    def _average(self, raw: RawNode) -> None:
        """Leave the means of groups to whoever reads the output."""
        groups, size = prod(raw.integers("shape")) if "shape" in raw.fields else 0, self._size()
        if groups < 1 or size % groups:
            raise SpikecError(
                "SPK1704",
                f"{raw.name} average",
                f"{size} neurons are not {groups} groups of one size",
                "Correct the shape",
            )
        text = (
            f"the output is that of all {size} neurons: take the means of {groups} groups of "
            f"{size // groups} in a row on the host"
        )
        self.findings.append(Finding("SPK1722", f"{raw.name} average", text))

    def _synaptic(self, raw: RawNode) -> None:
        """Add a population and what projects onto it."""
        layer = Layer(raw, self._shape(raw), self.flat)
        shape, channels = layer.out_shape, layer.out_shape[0]
        neuron = cuba_lif(raw, prod(shape), channels)
        name = f"{raw.type}{raw.name.removeprefix('layer.')}"
        source = self.populations[-1].name if self.populations else "input"
        self.populations.append(Population(name, shape, neuron, dict(FORMATS[neuron.kind])))
        for from_, synapse, delays in layer.synapses(source, name):
            self.projections.append(Projection(from_, name, synapse, delay=HOP, delays=delays))
        self.findings += [*layer.findings, *_remarks(raw)]
        self.flat = False

    def _shape(self, raw: RawNode) -> Shape:
        """Return the shape of what the next layer hears, of the input where that is not known yet.

        Raises:
            SpikecError: SPK1705 when nothing says it.
        """
        if self.populations:
            return self.populations[-1].shape
        if self.input is None and raw.type.startswith("dense") and "weight" in raw.fields:
            out = prod(raw.integers("shape")) if "shape" in raw.fields else 1
            self.input = Input("input", (raw.numbers("weight").size // max(out, 1),), Bool())
        if self.input is None:
            raise SpikecError(
                "SPK1705",
                f"{raw.name} {raw.type}",
                "nothing says what shape the input has",
                "Put a layer of type input with its shape first",
            )
        return self.input.shape

    def _size(self) -> int:
        return self.populations[-1].size

    def graph(self, name: str, metadata: Mapping[str, str], dt: float | None) -> Graph:
        """Return the graph.

        Raises:
            SpikecError: SPK1706 without neurons.
        """
        if self.input is None or not self.populations:
            raise SpikecError(
                "SPK1706", name, "it has no layer of neurons behind its input", "Add one"
            )
        output = Output("output", self.populations[-1].name)
        return Graph(
            name,
            (self.input, *self.populations, output),
            tuple(self.projections),
            dt,
            dict(metadata),
            tuple(self.findings),
        )


def _shown(raw: RawNode, name: str) -> str:
    """Return a number for a message."""
    if name not in raw.fields:
        return "not given"
    values = raw.numbers(name).reshape(-1)
    return f"{values[0]:g}" if values.size == 1 else f"of {values.size} numbers"


def _remarks(raw: RawNode) -> list[Finding]:
    """Return where netx does something else than training did."""
    found: list[Finding] = []
    where = f"{raw.name} {raw.type}"
    if "neuron.type" not in raw.fields:
        text = (
            "it has no neuron; as in netx its current does not decay, and its membrane is the "
            "current, which never meets the threshold"
        )
        found.append(Finding("SPK1723", where, text))
    if np.any(raw.numbers("neuron.wgtExp") if "neuron.wgtExp" in raw.fields else 0):
        text = "wgtExp multiplies its weights by a power of two, as in training; netx ignores it"
        found.append(Finding("SPK1724", where, text))
    if np.any(raw.numbers("neuron.weight_exp") if "neuron.weight_exp" in raw.fields else 0):
        text = (
            "its batch normalisation also divided by a power of two (weight_exp); as in netx that "
            "is left out, so it is not what was trained"
        )
        found.append(Finding("SPK1725", where, text))
    return found
