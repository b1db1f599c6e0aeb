"""From floating point to integers for networks of value populations, with unit 1 throughout.

Equations that are not proportional to their input (R^2 + 2 R + ...) leave no unit to choose, so a
stored number is the real value times a power of two: every weight array has its own binary point,
and every value the fraction that its range on calibration data leaves it. What lies beyond that
range saturates and is counted. Curves become tables, whose largest error stands in the model.
"""

from dataclasses import dataclass, replace
from math import ceil, log2
from typing import Any, ClassVar

import numpy as np

from spikec.compiler.agreement import chunks, compare_programs
from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.ir import Graph, Input, Population, Program, Projection
from spikec.compiler.neurons.relay import Relay
from spikec.compiler.neurons.two_point import ReceptiveField, TwoPoint, UniversalContext
from spikec.compiler.pipeline import Context
from spikec.compiler.rounding import round_factor, round_weights
from spikec.compiler.signals import quiet
from spikec.compiler.simulator import Simulator
from spikec.compiler.types import Array, Bool, FixedPoint, Format, Rounding, Tensor

# Argument and value of a table: what R C is limited to, and exp(3) or 2^4 (neurons/two_point.py).
ARGUMENT, CURVE = FixedPoint(21, 16), FixedPoint(23, 16)
# Without calibration data: Q3.12 at 16 bits (specs/two_point_cells.md section 3).
INTEGER_BITS = 3
_MODELS = (ReceptiveField, TwoPoint, UniversalContext, Relay)
_PORTS = {"r": "basal", "c": "apical"}
_LIMITS = {
    "weight_bits": (2, 16),
    "value_bits": (6, 24),
    "integer_bits": (0, 16),
    "constant_bits": (2, 24),
}


@dataclass(frozen=True, slots=True)
class QuantizeValues:
    """The policy.

    Attributes:
        weight_bits: Bits of a weight, sign included; symmetric range.
        value_bits: Bits of an input, a receptive field, a context and an activity, sign included.
        integer_bits: How many of them stand before the binary point; none: by calibration.
        constant_bits: Significant bits of a memory.
        rounding: Of all values.
    """

    name: ClassVar[str] = "quantize_values"
    weight_bits: int = 8
    value_bits: int = 16
    integer_bits: int | None = None
    constant_bits: int = 12
    rounding: Rounding = "nearest_even"

    def __post_init__(self) -> None:
        """Check the ranges of the options.

        Raises:
            SpikecError: SPK2230.
        """
        for option, (lo, hi) in _LIMITS.items():
            value = getattr(self, option)
            if value is not None and not lo <= value <= hi:
                raise SpikecError(
                    "SPK2230",
                    f"quantize_values {option}",
                    f"{value} is outside {lo} to {hi}",
                    "Choose a value in that range",
                )

    def run(self, program: Program, context: Context) -> Program:
        """Return the integer program, with a report.

        Raises:
            SpikecError: SPK2231 when the program is not discrete floating point, SPK2232 on a
                model without an integer form of unit 1.
        """
        if program.stage != "discrete":
            raise SpikecError(
                "SPK2231", "program", f"it is {program.stage}", "Quantize after discretize, once"
            )
        for population in program.graph.populations:
            if not isinstance(population.neuron, _MODELS):
                raise SpikecError(
                    "SPK2232",
                    population.name,
                    f"{population.neuron.kind} has no integer form of unit 1",
                    "Use two-point cells, their contexts and relays only, or quantize",
                )
        seen = ranges(program, context)
        made = replace(program, graph=self._graph(program.graph, seen))
        report: dict[str, Any] = {"ranges": {" ".join(k): v for k, v in seen.items()}}
        report["formats"] = {
            p.name: {s: str(f.type) for s, f in p.formats.items()} for p in made.graph.populations
        }
        report |= compare_programs(program, made, context)
        return replace(made, reports={**program.reports, "quantize_values": report})

    def _graph(self, graph: Graph, seen: dict[tuple[str, str], float]) -> Graph:
        findings = list(graph.findings)
        if not seen and self.integer_bits is None:
            message = (
                f"there is no calibration data, so every value has {INTEGER_BITS} integer bits; "
                "what lies beyond saturates and is counted"
            )
            findings.append(Finding("SPK2233", graph.name or "graph", message))
        nodes: list[Input | Population] = [self._input(i, seen) for i in graph.inputs]
        nodes += [self._population(p, seen) for p in graph.populations]
        projections = tuple(self._projection(p) for p in graph.projections)
        return replace(graph.with_nodes(nodes), projections=projections, findings=tuple(findings))

    def _type(self, largest: float | None) -> FixedPoint:
        """Return the format of values up to a magnitude; None where none was seen."""
        top = self.integer_bits
        if top is None:
            top = INTEGER_BITS if largest is None else 0
            # The largest storable value is one step short of the power of two.
            while largest is not None and largest > 2.0**top * (1 - 2.0 ** (1 - self.value_bits)):
                top += 1
        return FixedPoint(self.value_bits, self.value_bits - 1 - top)

    def _input(self, node: Input, seen: dict[tuple[str, str], float]) -> Input:
        if isinstance(node.signal, Bool):
            return node
        return replace(node, signal=self._type(seen.get((node.name, "sent"))), scale=1.0)

    def _population(self, p: Population, seen: dict[tuple[str, str], float]) -> Population:
        model, types = p.neuron, dict[str, FixedPoint]()
        sent = self._type(seen.get((p.name, "sent")))
        if isinstance(model, ReceptiveField):
            types = {"v": sent}
        elif isinstance(model, TwoPoint):
            types = {s: self._type(seen.get((p.name, port))) for s, port in _PORTS.items()}
            types |= {"x": ARGUMENT, "e": CURVE, "y": sent, "v": sent}
            table, cut = model.table(), model.filter_table(1)
            model = replace(
                model,
                table_error=table.error if table else 0.0,
                filter_error=cut.error if cut else 0.0,
            )
        elif isinstance(model, UniversalContext):
            types = {"v": sent, "x": ARGUMENT, "e": CURVE}
            memory = round_factor(model.memory.real(), self.constant_bits)
            start = np.rint(np.ldexp(model.v_init.real(), sent.frac))
            model = replace(
                model,
                memory=memory,
                v_init=Tensor.integers(np.clip(start, sent.lo, sent.hi), sent),
                table_error=model.table().error,
            )
        if not isinstance(model, Relay):
            mask = np.rint(model.parameters()["alive"].real())
            model = model.with_parameters(
                {"alive": Tensor.integers(mask, FixedPoint(1, 0, signed=False))}
            )
        formats = {s: Format(t, self.rounding, "saturate") for s, t in types.items()}
        return replace(p, neuron=model, formats=formats, scale=1.0)

    def _projection(self, p: Projection) -> Projection:
        synapse = round_weights(p.synapse, self.weight_bits, keep_all=True, scale=1.0)
        bias = p.synapse.bias
        if bias is not None:
            # A bias is added once: it has a value's bits, and all of them before its largest.
            largest = float(np.abs(bias.data).max(initial=0.0))
            frac = self.value_bits - 2 - max(ceil(log2(largest or 1.0)), 0)
            stored = np.rint(np.ldexp(bias.data, frac))
            bias = Tensor.integers(stored, FixedPoint(self.value_bits, frac))
        return replace(p, synapse=synapse.with_numbers(synapse.weight, bias))


def ranges(program: Program, context: Context) -> dict[tuple[str, str], float]:
    """Return the largest magnitude seen on calibration data, by node and ``sent`` or a port."""
    data = context.calibration
    seen: dict[tuple[str, str], float] = {}
    if not data:
        return seen
    graph = program.graph
    simulator, total = Simulator(program, report=quiet), next(iter(data.values())).shape[0]
    for part in chunks(program, data):
        trace = simulator.run({n: a[part] for n, a in data.items()}, ("spikes",))
        sent = {**trace.inputs, **trace.spikes}
        found = {(n.name, "sent"): sent[n.name] for n in graph.sources}
        for p in graph.populations:
            if isinstance(p.neuron, TwoPoint):
                found |= {
                    (p.name, port): _arriving(graph, p, port, sent) for port in p.neuron.ports
                }
        for key, values in found.items():
            seen[key] = max(seen.get(key, 0.0), float(np.abs(values).max(initial=0.0)))
        context.progress("calibrate", part.stop, total)
    return seen


def _arriving(graph: Graph, p: Population, port: str, sent: dict[str, Array]) -> Array:
    """Return what arrived at a port, (samples, steps, neurons)."""
    samples, steps = next(iter(sent.values())).shape[:2]
    total = np.zeros((samples, steps, p.size))
    for whole in graph.into(p.name):
        for q in whole.by_delay() if whole.port == port else ():
            vector = q.synapse.bias_vector()
            total += 0.0 if vector is None else vector
            if q.delay < steps:
                values = sent[q.source].reshape(samples, steps, -1)[:, : steps - q.delay]
                product = q.synapse.apply(values.reshape(-1, values.shape[2]).astype(np.float64))
                total[:, q.delay :] += product.reshape(samples, -1, p.size)
    return total
