"""The types of all wires between populations, and from them the equation of each population.

In integers the type of a port is the interval of its summed input, by the fan-in bound: per neuron
the positive weights times the largest and the negative times the least a source can send, plus the
bias. So no synaptic sum can overflow unseen.
"""

from collections.abc import Mapping

import numpy as np

from spikec.compiler.equation import Lane, lower
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Graph, Population, Projection
from spikec.compiler.types import WIRE_BITS, Array, Bool, Exact, FixedPoint, Float

Signal = Float | Bool | Exact


def lanes(graph: Graph) -> Mapping[str, Lane]:
    """Return the typed equation of every population, by name, in the order of a step.

    Raises:
        SpikecError: SPK0508 when a signal has no static bound; errors of ops with the population.
    """
    known: dict[str, Signal] = {i.name: input_type(i.signal) for i in graph.inputs}
    made: dict[str, Lane] = {}
    for population in graph.populations:
        fixed = _static_type(population)
        if fixed is not None:
            known[population.name] = fixed
    for population in graph.order():
        try:
            ports = {
                port: port_type(graph, population, port, known) for port in population.model().ports
            }
            lane = lower(population.model(), population.formats, ports)
        except SpikecError as error:
            raise error.at(population.name) from None
        made[population.name] = lane
        known.setdefault(population.name, lane.output.dtype)
    return made


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
    for p in arriving:
        lo, hi = _fan_in(p, known, frac)
        low, high = low + lo, high + hi
    if max(np.abs(low).max(), np.abs(high).max()) >= float(1 << (WIRE_BITS - 1)):
        raise SpikecError(
            "SPK0509",
            port,
            f"the summed input may need more than {WIRE_BITS} bits",
            "Use fewer bits for weights or inputs",
        )
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
    """Return least and greatest contribution per target neuron, in units of 2^-frac.

    Sums of up to 62 bits are kept in float64; below 53 bits they are exact, above they are
    rounded, so a wide result is widened by its possible rounding error.
    """
    signal = known[projection.source]
    lo, hi = (signal.lo, signal.hi) if isinstance(signal, Exact) else (0, 1)
    lo, hi = min(lo, 0), max(hi, 0)
    negative, positive = (b.astype(np.float64) for b in projection.synapse.sum_bounds())
    shift = 2.0 ** (frac - product_frac(projection, known))
    low = (positive * lo + negative * hi) * shift
    high = (positive * hi + negative * lo) * shift
    bias = projection.synapse.bias
    vector = projection.synapse.bias_vector()
    if bias is not None and vector is not None:
        aligned = vector * 2.0 ** (frac - bias.frac)
        low, high = low + aligned, high + aligned
    slack = np.where(np.maximum(abs(low), abs(high)) < 2.0**52, 0.0, 2.0**12)
    return low - slack, high + slack
