"""The types of all wires between populations, and from them the equation of each population.

In integers the type of a port is the interval of its summed input, by the fan-in bound: per neuron
the positive weights times the largest and the negative times the least a source can send, plus the
bias. So no synaptic sum can overflow unseen.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from spikec.compiler.equation import NOTHING, Lane, lower
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Graph, Population, Projection
from spikec.compiler.synapses import Synapse, replace_data
from spikec.compiler.types import WIRE_BITS, Array, Bool, Exact, FixedPoint, Float

Signal = Float | Bool | Exact
NONE: Mapping[str, Mapping[str, Exact]] = MappingProxyType({})


def lanes(graph: Graph, variable: Mapping[str, Mapping[str, Exact]] = NONE) -> Mapping[str, Lane]:
    """Return the typed equation of every population, by name, in the order of a step.

    ``variable`` holds, by population, scalar parameters that may change, with their intervals.

    Raises:
        SpikecError: SPK0508 when a signal has no static bound, SPK0530 when a model sends something
            else than it declares; errors of ops with the population.
    """
    known: dict[str, Signal] = {i.name: input_type(i.signal) for i in graph.inputs}
    made: dict[str, Lane] = {}
    for population in graph.populations:
        fixed = _static_type(population)
        if fixed is not None:
            known[population.name] = fixed
    order = graph.order()
    pending = list(order)
    while pending:
        # Delays let a source run later in the step than its target; its type must come first.
        ready = (p for p in pending if all(q.source in known for q in graph.into(p.name)))
        population = next(ready, pending[0])
        pending.remove(population)
        try:
            ports = {
                port: port_type(graph, population, port, known) for port in population.model().ports
            }
            changing = variable.get(population.name, NOTHING)
            lane = lower(population.model(), population.formats, ports, changing)
        except SpikecError as error:
            raise error.at(population.name) from None
        made[population.name] = lane
        declared = known.setdefault(population.name, lane.output.dtype)
        if not _holds(declared, lane.output.dtype):
            raise SpikecError(
                "SPK0530",
                population.name,
                f"{population.neuron.kind} sends {lane.output.dtype}, not {declared}",
                "Correct the model's output, or what it emits",
            )
    return {p.name: made[p.name] for p in order}


def source_types(graph: Graph, made: Mapping[str, Lane]) -> Mapping[str, Signal]:
    """Return what every input and population sends."""
    known: dict[str, Signal] = {i.name: input_type(i.signal) for i in graph.inputs}
    for p in graph.populations:
        known[p.name] = _static_type(p) or made[p.name].output.dtype
    return known


def input_type(signal: Float | Bool | FixedPoint) -> Signal:
    """Return the type of what an input sends."""
    if isinstance(signal, FixedPoint):
        return Exact(min(signal.lo, 0), signal.hi, signal.frac)
    return signal


def _static_type(population: Population) -> Signal | None:
    """Return what a population sends where that does not depend on its input, else None."""
    model = population.model()
    if model.emits == "spikes":
        return Bool()
    if not population.formats:
        return None
    if model.emits == "values" and "v" in population.formats:
        form = population.formats["v"].type
        return Exact(form.lo, form.hi, form.frac)
    limit = model.options().get("max_spikes", 0)
    return Exact(0, limit, 0) if limit else None


def _holds(declared: Signal, sent: Signal) -> bool:
    """Return whether a wire of one type is what a signal of another promises."""
    if isinstance(declared, Exact) and isinstance(sent, Exact):
        inside = declared.lo <= sent.lo and sent.hi <= declared.hi
        return inside and declared.frac == sent.frac
    return declared == sent


def port_type(
    graph: Graph, population: Population, port: str, known: Mapping[str, Signal]
) -> Exact | Float:
    """Return the type of the summed input of a port.

    Raises:
        SpikecError: SPK0507 when floating point and integers meet, SPK0508 without a bound.
    """
    arriving = [p for p in graph.into(population.name) if p.port == port]
    floats = [p for p in arriving if p.synapse.weight.is_float]
    if not arriving:
        return Exact(0, 0, 0) if population.formats else Float()
    if floats and len(floats) < len(arriving):
        raise SpikecError(
            "SPK0507",
            str(floats[0]),
            "floating-point weights meet integer ones at one port",
            "Quantize all projections",
        )
    if floats:
        return Float()
    low: Array = np.zeros(population.size)
    high: Array = np.zeros(population.size)
    frac = port_frac(arriving, known)
    largest: Array = np.zeros(population.size)
    # What a shift takes out of float64 is infinite, or no number, and refused below.
    with np.errstate(over="ignore", invalid="ignore"):
        for p in arriving:
            lo, hi = _fan_in(p, known, frac)
            low, high = low + lo, high + hi
            largest = largest + np.maximum(np.abs(lo), np.abs(hi))
    # By magnitudes, since the biases of two projections may cancel what int64 does not hold.
    if not largest.max() < float(1 << (WIRE_BITS - 1)):
        raise SpikecError(
            "SPK0509",
            port,
            f"the summed input may need more than {WIRE_BITS} bits",
            "Use fewer bits for weights or inputs",
        )
    # Sums below 53 bits are exact in float64; wider ones are widened by the possible rounding.
    slack = np.where(largest < 2.0**52, 0.0, len(arriving) * 2.0**12)
    low, high = low - slack, high + slack
    return Exact(int(low.min()), int(high.max()), frac)


def port_frac(arriving: list[Projection], known: Mapping[str, Signal]) -> int:
    """Return the fraction bits to which all arriving products and biases are aligned."""
    fracs = [product_frac(p, known) for p in arriving]
    return max(fracs + [p.synapse.bias.frac for p in arriving if p.synapse.bias is not None])


def product_frac(projection: Projection, known: Mapping[str, Signal]) -> int:
    """Return the fraction bits of weight times signal.

    Raises:
        SpikecError: SPK0508 when the source's signal depends on this one and has no bound.
    """
    if projection.source not in known:
        raise SpikecError(
            "SPK0508",
            str(projection),
            f"'{projection.source}' sends values without a static bound round a cycle",
            "Limit max_spikes, or put a neuron with a state into the cycle",
        )
    signal = known[projection.source]
    return projection.synapse.weight.frac + (signal.frac if isinstance(signal, Exact) else 0)


def _fan_in(projection: Projection, known: Mapping[str, Signal], frac: int) -> tuple[Array, Array]:
    """Return least and greatest contribution per target neuron, in units of 2^-frac."""
    signal = known[projection.source]
    lo, hi = (signal.lo, signal.hi) if isinstance(signal, Exact) else (0, 1)
    lo, hi = min(lo, 0), max(hi, 0)
    negative, positive = _sum_bounds(projection.synapse)
    shift = frac - product_frac(projection, known)
    bias = projection.synapse.bias
    vector = projection.synapse.bias_vector()
    low = np.ldexp(positive * lo + negative * hi, shift)
    high = np.ldexp(positive * hi + negative * lo, shift)
    if bias is not None and vector is not None:
        aligned = np.ldexp(vector.astype(np.float64), frac - bias.frac)
        low, high = low + aligned, high + aligned
    return low, high


def _sum_bounds(synapse: Synapse) -> tuple[Array, Array]:
    """Return the sums of negative and of positive weights, as float64."""
    weights = synapse.weight.data
    # Not the magnitudes, since the least integer of a width has none in it.
    largest = max(-int(weights.min(initial=0)), int(weights.max(initial=0)))
    if largest * synapse.in_size >= 1 << WIRE_BITS:
        # In int64 such sums could wrap unseen.
        low, high = replace_data(synapse, weights.astype(np.float64)).sum_bounds()
        if max(-low.min(), high.max()) >= float(1 << (WIRE_BITS - 1)):
            return low, high
    low, high = synapse.sum_bounds()
    return low.astype(np.float64), high.astype(np.float64)
