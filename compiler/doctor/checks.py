"""What is wrong with a NIR file, or easily read wrongly, node by node.

Numbers D1 to D20 in framework_semantics.md, section 7; what loading itself finds comes from there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from spikec.compiler.doctor.exporters import Guess
from spikec.compiler.errors import Finding, SpikecError, one_line
from spikec.compiler.frontends.nir_raw import RawNode
from spikec.compiler.untyped import networkx as nx

Level = Literal["error", "warning", "info"]
NEURONS = ("IF", "LIF", "LI", "I", "CubaLIF", "CubaLI", "Threshold")
SPIKING = ("IF", "LIF", "CubaLIF")
RESET_LOST = {
    "snntorch": "subtract, reset_delay and none are written as a reset to zero",
    "sinabs": "subtract is written as a reset to v_reset",
    "spikingjelly": "a soft reset is written as v_reset = 0",
}
# Findings of loading after which it goes on though the file says something that is not so: shapes
# that disagree, repeated edges, what leads nowhere.
WRONG = frozenset({1063, 1065, 1066, 1067, 1070, 1071})
_RECURRENT = re.compile(r"(^|[._])(w_?rec|rec|recurrent|lateral)([._0-9]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the user should know.

    Attributes:
        level: error: broken or ambiguous; warning: likely wrong somewhere; info.
        code: Stable code.
        where: Node or edge.
        message: What is seen, and what follows.
        remedy: What to do.
    """

    level: Level
    code: str
    where: str
    message: str
    remedy: str

    def __str__(self) -> str:
        """Return the one line."""
        remedy = f" {self.remedy}." if self.remedy else ""
        return one_line(f"{self.level}: {self.where}: {self.message}.{remedy} [{self.code}]")

    @staticmethod
    def of_error(error: SpikecError) -> "Check":
        """Return what stopped the loading."""
        return Check("error", error.code, error.where, error.problem, error.remedy)

    @staticmethod
    def of_finding(finding: Finding) -> "Check":
        """Return what loading found."""
        level: Level = "warning" if int(finding.code[3:]) in WRONG else "info"
        return Check(level, finding.code, finding.where, finding.message, "")


def checks(root: RawNode, nodes: Mapping[str, RawNode], flow: Any, guess: Guess) -> list[Check]:
    """Return what the nodes, edges and likely exporter give reason to say.

    Args:
        root: The outermost graph.
        nodes: All nodes that are no graphs and not dropped by loading, by path name.
        flow: networkx.MultiDiGraph of their names.
        guess: Who likely wrote the file.
    """
    neurons = [n for n in nodes.values() if n.type in NEURONS]
    return [
        *_nested(root),
        *_units(neurons, guess),
        *_reset(neurons, guess),
        *_jump(neurons, guess),
        *_recurrence(root, nodes, flow),
        *_uniform(neurons),
        *_dropped(nodes),
        *_alignment(nodes, flow),
    ]


def _nested(root: RawNode) -> Iterator[Check]:
    graphs = [n.name for n in root.nodes if n.type == "NIRGraph"]
    if graphs:
        text = f"{len(graphs)} nested graphs are dissolved; several importers refuse them"
        yield Check("info", "SPK1501", ", ".join(graphs[:5]), text, "")


# ---------------------------------------------------------------- units and gains


def _taus(neurons: Sequence[RawNode]) -> dict[str, Any]:
    fields = ("tau", "tau_mem", "tau_syn")
    return {f"{n.name}.{f}": n.numbers(f) for n in neurons for f in fields if f in n.fields}


def _units(neurons: Sequence[RawNode], guess: Guess) -> Iterator[Check]:
    taus = _taus(neurons)
    if not taus:
        return
    low = min(taus, key=lambda n: float(taus[n].min()))
    high = max(taus, key=lambda n: float(taus[n].max()))
    least, most = float(taus[low].min()), float(taus[high].max())
    if least < 1 <= most:
        yield Check(
            "error",
            "SPK1502",
            f"{low}, {high}",
            f"time constants from {least:g} to {most:g}: some in seconds, some in steps",
            "Write them all in seconds",
        )
    elif most < 2e-4 and guess.name == "norse":
        text = (
            f"time constants up to {most:g} s; Norse 1.1 writes dt / tau_inv, which is tau times "
            "dt (norse issue 411)"
        )
        yield Check("warning", "SPK1503", high, text, "Divide them by the dt of the export")


def _reset(neurons: Sequence[RawNode], guess: Guess) -> Iterator[Check]:
    spiking = [n for n in neurons if n.type in SPIKING]
    zero = not any("v_reset" in n.fields and n.numbers("v_reset").any() for n in spiking)
    if spiking and zero and guess.name in RESET_LOST:
        text = f"{guess.name} does not export the reset: {RESET_LOST[guess.name]}"
        remedy = f"Say which was trained, as in --semantics '{guess.name}{{reset=subtract}}'"
        yield Check("warning", "SPK1504", spiking[0].name, text, remedy)


def _jump(neurons: Sequence[RawNode], guess: Guess) -> Iterator[Check]:
    for n in neurons if guess.name == "norse" else ():
        if n.type == "CubaLIF" and "w_in" in n.fields and np.all(n.numbers("w_in") == 1):
            tau = float(n.numbers("tau_syn").min())
            factor = (1e-3 / tau) / max(1 - 1e-3 / tau, 1e-9)
            text = (
                "w_in = 1, but Norse's LIFCell adds its input unscaled: a reader that follows NIR "
                f"multiplies the current by {factor:.3g} at dt = 1 ms"
            )
            yield Check("warning", "SPK1505", n.name, text, "Read it with --semantics norse")


# ---------------------------------------------------------------- structure


def _recurrence(root: RawNode, nodes: Mapping[str, RawNode], flow: Any) -> Iterator[Check]:
    """Yield what is named as recurrent and lies on no cycle."""
    looping: set[str] = set()
    for part in nx.strongly_connected_components(flow):
        looping |= part if len(part) > 1 else {n for n in part if flow.has_edge(n, n)}
    for name, node in nodes.items():
        layer = node.type not in NEURONS and "weight" in node.fields
        if layer and name not in looping and _RECURRENT.search(name):
            fed = ", ".join(sorted(set(flow.predecessors(name))))
            yield Check(
                "error",
                "SPK1506",
                name,
                f"it is named as recurrent but fed by {fed}, and lies on no cycle",
                "Feed it from the neurons it leads to; some exporters wire the input here instead",
            )
    for name in filter(_RECURRENT.search, (n for n in _names(root) if n not in nodes)):
        yield Check(
            "warning",
            "SPK1507",
            name,
            "it is named as recurrent but leads nowhere; exporters drop self-connections",
            "Add the missing edge",
        )


def _names(graph: RawNode) -> Iterator[str]:
    """Yield the names of all nodes that are no graphs."""
    for node in graph.nodes:
        if node.type == "NIRGraph":
            yield from _names(node)
        else:
            yield node.name


def _alignment(nodes: Mapping[str, RawNode], flow: Any) -> Iterator[Check]:
    """Yield where paths of different numbers of neurons meet."""
    if not nx.is_directed_acyclic_graph(flow):
        return
    reach: dict[str, tuple[int, int]] = {}
    for name in nx.lexicographical_topological_sort(flow):
        before = [reach[p] for p in flow.predecessors(name) if p in reach]
        if nodes[name].type == "Input":
            before = [(0, 0)]
        if not before:
            continue
        low, high = min(b[0] for b in before), max(b[1] for b in before)
        hop = int(nodes[name].type in NEURONS)
        if low < high and all(b[0] == b[1] for b in before):
            text = (
                f"paths with {low} to {high} neurons in them meet here; where every connection "
                "takes a step (Lava, Loihi) they lose alignment"
            )
            yield Check("warning", "SPK1508", name, text, "retime inserts the delays")
        reach[name] = (low + hop, high + hop)


# ---------------------------------------------------------------- what importers would do


def _uniform(neurons: Sequence[RawNode]) -> Iterator[Check]:
    varied = {
        f"{n.name}.{name}"
        for n in neurons
        for name in n.fields
        if n.numbers(name).size and np.ptp(n.numbers(name)) > 0
    }
    if varied:
        text = (
            f"{', '.join(sorted(varied)[:5])} differ from neuron to neuron; snnTorch (threshold), "
            "SpikingJelly and snn-mlir refuse that"
        )
        yield Check("info", "SPK1509", "neurons", text, "")


def _dropped(nodes: Mapping[str, RawNode]) -> Iterator[Check]:
    """Yield fields with an effect that importers are known to drop."""
    known = {
        "v_leak": "snnTorch and snn-mlir require 0, Spyx ignores it",
        "v_reset": "Norse, Sinabs, Spyx and snnTorch ignore it",
    }
    for field, fate in known.items():
        used = [n.name for n in nodes.values() if field in n.fields and n.numbers(field).any()]
        if used:
            text = f"{field} is not 0 in {', '.join(used[:5])}: {fate}"
            yield Check("info", "SPK1510", used[0], text, "")
