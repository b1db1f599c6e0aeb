"""The core image: a program as plain arrays of what the registers and memories of cores hold.

This is the one place where a program is read; the core model and every emitter start from the
image. Nothing is placed on cores here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikec.backends.loihi.arithmetic import (
    EXPONENTS,
    STATE,
    SUM,
    THRESHOLD_MANTISSA,
    Mode,
    bias_parts,
    least_bits,
    mode_of,
    truncate,
)
from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.ir import Population, Program, Projection
from spikec.compiler.loihi_grid import MOST_REFRACTORY
from spikec.compiler.mapping.tiles import MOST_UNROLLED, too_many
from spikec.compiler.neurons.cuba_lif import CubaLIF
from spikec.compiler.neurons.lif import LIF
from spikec.compiler.neurons.refractory_lif import RefractoryLIF
from spikec.compiler.target import load_target
from spikec.compiler.types import Array, Bool

MOST_DELAY = 62  # synaptic delay, beside the hop


@dataclass(frozen=True, slots=True, eq=False)
class Compartments:
    """The compartments of one population; arrays are int64, one number per compartment.

    Attributes:
        name: Population.
        start: First step in which it runs.
        states: Which of u, v and r the program keeps; only CUBA-LIF keeps u.
        du: 12-bit decay constant of the current: it keeps (4095 - du) / 4096.
        dv: 12-bit decay constant of the membrane: it keeps (4096 - dv) / 4096.
        threshold: Mantissa of 17 bits, times 64.
        bias_mantissa: Bias, times 2^bias_exponent.
        bias_exponent: 0 to 7.
        u: Current before the first step.
        v: Membrane before the first step.
        refractory: 1 to 63 steps; 1 blocks none.
        compare: gt, or ge on Loihi 2.
        reset: zero, or subtract or none on Loihi 2.
        vmin: Least membrane.
        vmax: Greatest membrane.
    """

    name: str
    start: int
    states: tuple[str, ...]
    du: Array
    dv: Array
    threshold: Array
    bias_mantissa: Array
    bias_exponent: Array
    u: Array
    v: Array
    refractory: Array
    compare: str = "gt"
    reset: str = "zero"
    vmin: int = -STATE + 1
    vmax: int = STATE - 1

    @property
    def size(self) -> int:
        """Number of compartments."""
        return self.du.size


@dataclass(frozen=True, slots=True, eq=False)
class Synapses:
    """The synapses of one projection, in compressed rows by target.

    Attributes:
        source: Input or population.
        target: Population.
        columns: Number of source neurons.
        indptr: Row k holds entries indptr[k] to indptr[k + 1].
        indices: Source of each synapse.
        weight: Mantissas, int64.
        exponent: -7 to 7: the effective weight is mantissa 2^(6 + exponent).
        mode: Sign mode.
        bits: Weight bits, the fewest that lose nothing.
        delay: Steps from sending to arrival, at least 1, the hop included; one per synapse.
        storage: dense, sparse, conv or procedural, as in the program.
    """

    source: str
    target: str
    columns: int
    indptr: Array
    indices: Array
    weight: Array
    exponent: int
    mode: Mode
    bits: int
    delay: Array
    storage: str

    @property
    def rows(self) -> Array:
        """Target of each synapse."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))


@dataclass(frozen=True, slots=True, eq=False)
class CoreImage:
    """A network as cores hold it.

    Attributes:
        name: Of the network.
        generation: 1 or 2.
        inputs: Channels by input.
        compartments: By population, in order.
        synapses: By projection, in order.
        outputs: Population by output.
    """

    name: str
    generation: int
    inputs: dict[str, int]
    compartments: dict[str, Compartments]
    synapses: tuple[Synapses, ...]
    outputs: dict[str, str]


# ---------------------------------------------------------------- what does not fit


def misfits(program: Program) -> Iterator[Finding]:
    """Give everything about a program that a core cannot hold."""
    if program.stage != "integer":
        message = f"it is {program.stage}, and cores run integers: use quantize_loihi,retime"
        yield Finding("SPK1611", program.graph.name, message)
        return
    for node in program.graph.inputs:
        if not isinstance(node.signal, Bool):
            yield Finding("SPK1612", node.name, f"it sends {node.signal}, and cores take spikes")
    generation = generation_of(program)
    fitting: set[str] = set()
    for population in program.graph.populations:
        found = list(_neuron_misfits(population, generation))
        yield from found
        if not found:
            fitting.add(population.name)
    for projection in program.graph.projections:
        yield from _projection_misfits(program, projection)
    for name in fitting:
        yield from _sum_misfits(program, name)


def generation_of(program: Program) -> int:
    """Return 2 for the target loihi2, else 1."""
    return 2 if load_target(program.target).name == "loihi2" else 1


def _neuron_misfits(population: Population, generation: int) -> Iterator[Finding]:
    model: Any = population.model()
    name = population.name
    if not isinstance(model, LIF | CubaLIF | RefractoryLIF):
        yield Finding("SPK1613", name, f"a core runs CUBA-LIF, not {model.kind}")
        return
    zero = model.reset == "value" and not np.any(model.reset_value.data)
    soft = ("subtract", "none") if generation == 2 else ()
    terms = {
        f"compare={model.compare}": model.compare == "gt" or generation == 2,
        f"reset={model.reset}": model.reset == "zero" or zero or model.reset in soft,
        f"reset_phase={model.reset_phase}": model.reset_phase == "same",
        f"fire={model.fire}": model.fire == "after",
        f"max_spikes={model.max_spikes}": model.max_spikes == 1,
        "v_min": model.v_min is None or np.array_equal(np.unique(model.v_min.data), [1 - STATE]),
        "current_phase": not isinstance(model, CubaLIF) or model.current_phase == "new",
        "refractory=freeze": not isinstance(model, RefractoryLIF) or model.refractory == "zero",
    }
    # What neuron programs of Loihi 2 can do is more than its model here does.
    who = "Loihi 1" if generation == 1 else "the model of a Loihi 2 core"
    for term, fits in terms.items():
        if not fits:
            yield Finding("SPK1614", name, f"{who} has no {term}")
    yield from _number_misfits(population)


def _number_misfits(population: Population) -> Iterator[Finding]:
    """Give the parameters and formats that are not those of a core."""
    values = population.model().parameters()
    formats = {k: str(f) for k, f in population.formats.items()}
    wanted = {"v": "s24.0:to_zero:saturate", "leak": "s24.0:to_zero:never"}
    if isinstance(population.neuron, CubaLIF):
        wanted |= {"u": "s24.0:to_zero:wrap", "synapse_leak": "s24.0:to_zero:never"}
    if isinstance(population.neuron, RefractoryLIF):
        wanted |= {"r": "u6.0:floor:never"}
    gains = [values[k] for k in ("gain", "synapse_gain") if k in values]
    decays = {"decay": (1, 4096), "synapse_decay": (0, 4095)}
    threshold = values["threshold"]
    checks = {
        "the formats of its states": formats == wanted,
        "a gain": all(g.frac == 0 and bool(np.all(g.data == 1)) for g in gains),
        "a decay": all(
            values[k].frac == 12 and low <= values[k].data.min() and values[k].data.max() <= high
            for k, (low, high) in decays.items()
            if k in values
        ),
        "the threshold": threshold.frac == 0
        and not np.any(threshold.data % 64)
        and threshold.data.min() > 0
        and threshold.data.max() >> 6 <= THRESHOLD_MANTISSA,
        "the bias": values["offset"].frac == 0 and _has_parts(values["offset"].data),
        "the refractory period": "steps" not in values
        or (
            values["steps"].frac == 0
            and values["steps"].data.min() >= 1
            and values["steps"].data.max() <= MOST_REFRACTORY
            and not np.any(values["r_init"].data)
        ),
    }
    for what, fits in checks.items():
        if not fits:
            message = f"{what} is not what a core's registers hold"
            yield Finding("SPK1615", population.name, message)


def _has_parts(bias: Array) -> bool:
    try:
        bias_parts(np.atleast_1d(bias).astype(np.int64))
    except SpikecError:
        return False
    return True


def _projection_misfits(program: Program, projection: Projection) -> Iterator[Finding]:
    graph, where = program.graph, str(projection)
    weight, bias = projection.synapse.weight, projection.synapse.bias
    exponent = -weight.frac - 6
    if projection.delay < 1:
        yield Finding("SPK1616", where, "it has no delay, and every hop takes a step: run retime")
    if projection.longest - 1 > MOST_DELAY:
        message = f"its delay of {projection.longest} steps exceeds a hop and {MOST_DELAY}"
        yield Finding("SPK1617", where, message)
    if not _stored_exactly(weight.data.astype(np.int64), exponent):
        message = "a weight is outside its sign mode's range, odd beside both signs, or half an LSB"
        yield Finding("SPK1618", where, message)
    if exponent not in EXPONENTS or bias is not None:
        message = "it has a bias" if bias is not None else f"its exponent is {exponent}"
        yield Finding("SPK1619", where, f"{message}, which a synapse does not hold")
    starts = {p.name: p.start for p in graph.populations}
    if starts.get(projection.source, 0) + projection.delay < starts[projection.target]:
        yield Finding("SPK1620", where, "its spikes arrive before the target starts: run retime")


def _stored_exactly(weights: Array, exponent: int) -> bool:
    """Return whether a synapse holds every weight without loss."""
    mode = mode_of(weights)
    try:
        kept = truncate(weights, 8, mode)
    except SpikecError:
        return False
    return np.array_equal(kept, weights) and not (exponent == -7 and np.any(weights & 1))


def _sum_misfits(program: Program, name: str) -> Iterator[Finding]:
    """Give a finding where the fan-in bound of the synaptic sum exceeds the accumulator."""
    low: Array = np.zeros(1)
    high: Array = np.zeros(1)
    for p in program.graph.into(name):
        less, more = p.synapse.sum_bounds()
        low = low + np.ldexp(less.astype(np.float64), -p.synapse.weight.frac)
        high = high + np.ldexp(more.astype(np.float64), -p.synapse.weight.frac)
    largest = max(-float(low.min()), float(high.max()))
    if largest > SUM - 1:
        message = f"its synaptic sum may reach {largest:.0f}, and a core holds {SUM - 1}"
        yield Finding("SPK1621", name, message)


# ---------------------------------------------------------------- extraction


def core_image(program: Program) -> CoreImage:
    """Return the image of a program.

    Raises:
        SpikecError: SPK1610 with the first thing that does not fit, SPK1622 when it is too large.
    """
    if too_many(program):
        raise SpikecError(
            "SPK1622",
            program.graph.name,
            f"it has more than {MOST_UNROLLED} synapses, and the core model unrolls them",
            "Run it on cpu",
        )
    for finding in misfits(program):
        raise SpikecError(
            "SPK1610",
            finding.where,
            f"no core of Loihi runs it: {finding.message} ({finding.code})",
            "See all findings with spikec check",
        )
    graph = program.graph
    return CoreImage(
        graph.name,
        generation_of(program),
        {i.name: i.size for i in graph.inputs},
        {p.name: compartments(p) for p in graph.populations},
        tuple(_synapses(p) for p in graph.projections),
        {o.name: o.source for o in graph.outputs},
    )


def compartments(population: Population) -> Compartments:
    """Return the registers of a population that a core can run."""
    model: Any = population.model()

    def each(name: str, otherwise: int = 0) -> Array:
        value = model.parameters().get(name)
        data = np.asarray(otherwise if value is None else value.data).astype(np.int64).reshape(-1)
        return np.broadcast_to(data, population.size).copy()

    mantissa, exponent = bias_parts(each("offset"))
    return Compartments(
        name=population.name,
        start=population.start,
        states=model.states,
        du=4095 - each("synapse_decay"),
        dv=4096 - each("decay"),
        threshold=each("threshold") >> 6,
        bias_mantissa=mantissa,
        bias_exponent=exponent,
        u=each("u_init"),
        v=each("v_init"),
        refractory=each("steps", 1),
        compare=model.compare,
        reset="zero" if model.reset == "value" else model.reset,
    )


def _synapses(projection: Projection) -> Synapses:
    synapse = projection.synapse
    listed = synapse.listed()
    if listed is None:
        matrix = synapse.to_sparse().tocsr()
        indptr, indices, weight = matrix.indptr, matrix.indices, matrix.data
    else:
        indptr, indices, weight = listed.indptr, listed.indices, listed.weight.data
    weight = np.asarray(weight).astype(np.int64)
    delay = np.full(weight.size, projection.delay, dtype=np.int64)
    if projection.delays is not None:
        delay += projection.delays.reshape(-1)
    mode = mode_of(weight)
    return Synapses(
        source=projection.source,
        target=projection.target,
        columns=synapse.in_size,
        indptr=np.asarray(indptr).astype(np.int64),
        indices=np.asarray(indices).astype(np.int64),
        weight=weight,
        exponent=-synapse.weight.frac - 6,
        mode=mode,
        bits=least_bits(weight, mode),
        delay=delay,
        storage=projection.storage,
    )
