"""Which engines, channels and memories a program becomes, before any text is written.

One engine per population, one channel per projection of one delay. An engine has ``lanes`` lanes
and works through its neurons in groups of so many. Widths follow from the types of the wires.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spikec.backends.fpga.engines.controls import Controls, controls, intervals
from spikec.backends.fpga.lanes.lane import LaneModule, population_lane
from spikec.backends.fpga.lanes.wires import Port
from spikec.backends.fpga.memory import Layout, Rows, Words, address_bits, rows
from spikec.backends.fpga.names import Names
from spikec.backends.fpga.window import image, window_rows
from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.ir import Graph, Population, Program, Projection
from spikec.compiler.synapses import Synapse
from spikec.compiler.types import Array, Bool, Exact
from spikec.compiler.wiring import Signal, lanes, port_frac, product_frac, source_types

DEFAULT_LANES = 16
PER_STAGE = 2  # adders between two registers of a lane
SHALLOW = 4  # words of a queue that needs no depth
# Of one memory: more than any device has.
MOST_BITS = 1 << 30
WORD, MOST_WORD = 32, 64  # bits of the words of a stream
LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Source:
    """What sends events: an input, or a population.

    Attributes:
        name: In the network.
        label: Identifier.
        size: Number of channels or neurons.
        value: Interval of what an event carries; None for spikes.
        start: First id on the streams of the host.
    """

    name: str
    label: str
    size: int
    value: Exact | None
    start: int = 0

    @property
    def id_bits(self) -> int:
        """Bits of an id."""
        return address_bits(self.size)

    @property
    def value_bits(self) -> int:
        """Bits of a value; 0 for spikes."""
        return 0 if self.value is None else self.value.width

    @property
    def word_bits(self) -> int:
        """Bits of {eos, id, value}."""
        return 1 + self.id_bits + self.value_bits


@dataclass(frozen=True, slots=True)
class Stream:
    """The form of the words of a stream.

    Attributes:
        sources: Whose ids follow one another.
    """

    sources: tuple[Source, ...]

    @property
    def id_bits(self) -> int:
        """Bits of an id."""
        return address_bits(sum(s.size for s in self.sources))

    @property
    def value_bits(self) -> int:
        """Bits of a value, which has a sign; 0 where all send spikes.

        Beside values a spike is a 1, which takes two.
        """
        bits = [s.value_bits for s in self.sources]
        return max(2, *bits) if 0 in bits and any(bits) else max(bits)

    @property
    def bits(self) -> int:
        """Bits of a word, in whole bytes a power of two times 32."""
        return max(WORD, 1 << (self.id_bits + self.value_bits).bit_length())


@dataclass(frozen=True, slots=True, eq=False)
class Channel:
    """A queue of events into an engine, and the weights that they meet.

    Attributes:
        source: What sends; None for the step tokens of the host.
        port: Of the neuron.
        delay: Steps.
        shift: Bits by which a product is shifted to the fraction of the port.
        rows: Weights; None for step tokens.
        about: A line for people.
    """

    source: Source | None
    port: str
    delay: int
    shift: int
    rows: Rows | None
    about: str

    @property
    def word_bits(self) -> int:
        """Bits of an event word."""
        return 1 if self.source is None else self.source.word_bits

    @property
    def depth(self) -> int:
        """Words of the queue.

        The source may be ahead by the delay: all its steps must fit, else a cycle may wait for
        itself.
        """
        held = self.delay * (self.source.size + 1) + 1 if self.source and self.delay else 0
        return max(SHALLOW, held)


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """One population.

    Attributes:
        population: Of the program.
        label: Identifier; the module is ``engine_<label>``.
        lane: The module of a lane.
        layout: How many there are, and which neuron sits where.
        source: What it sends.
        channels: What it receives.
        biases: By port, one integer per neuron, in the fraction of the port.
        ports: Type of the summed input, of every port that receives anything or has a bias.
        controls: What the host may change.
        variable: Intervals of the parameters that are registers.
    """

    population: Population
    label: str
    lane: LaneModule
    layout: Layout
    source: Source
    channels: tuple[Channel, ...]
    biases: Mapping[str, Array]
    ports: Mapping[str, Exact]
    controls: Controls
    variable: Mapping[str, Exact]

    @property
    def registers(self) -> tuple[Port, ...]:
        """The parameters of all lanes that the host may change."""
        return tuple(p for p in self.role("param") if p.source in self.variable)

    @property
    def lanes(self) -> int:
        """Number of lanes."""
        return self.layout.lanes

    @property
    def groups(self) -> int:
        """Groups of neurons."""
        return self.layout.groups

    @property
    def group_bits(self) -> int:
        """Bits of a group number."""
        return address_bits(self.groups)

    @property
    def trace_bits(self) -> int:
        """Bits of what is shown of one group."""
        return self.lanes * sum(bits for _, bits, _ in self.trace)

    def role(self, *roles: str) -> tuple[Port, ...]:
        """Return the ports of a lane with one of some roles."""
        return tuple(p for p in (*self.lane.inputs, *self.lane.outputs) if p.role in roles)

    def wire(self, port: str) -> str:
        """Return the identifier of a port of the neuron, which is unlike those of its others."""
        return next(p.name for p in self.role("input") if p.source == port)

    @property
    def states(self) -> tuple[tuple[Port, int], ...]:
        """Every state with the bits that are stored: no sign where it is never negative."""
        return tuple((p, stored_bits(p)) for p in self.role("state"))

    @property
    def constants(self) -> Mapping[str, tuple[Array, int]]:
        """Numbers that differ between neurons, (groups, lanes), and their bits.

        Biases by ``b_<port>``, parameters by their lane port, initial states by that and ``_init``.
        """
        model = self.population.model()
        found: dict[str, tuple[Array, int]] = {}
        for port, values in self.biases.items():
            if values.min() != values.max():
                found[f"b_{port}"] = self.layout.grouped(values), self.ports[port].width
        for p in self.role("param"):
            if p in self.registers:
                continue
            values = model.parameters()[p.source].data.reshape(-1)
            found[p.name] = self.layout.grouped(values), p.width
        for p, bits in self.states:
            values = self.initial(p.source)
            if values.min() != values.max():
                found[f"{p.name}_init"] = self.layout.grouped(values), bits
        return found

    def initial(self, state: str) -> Array:
        """Return the initial value of a state, one integer per neuron."""
        data = self.population.model().initial(state).data.astype(np.int64)
        return np.broadcast_to(data.reshape(-1), self.population.size)

    def memories(self) -> Mapping[str, Words]:
        """Return the contents of every memory by the name of its file."""
        found: dict[str, Words] = {}
        for k, channel in enumerate(self.channels):
            if channel.rows is not None:
                found[f"{self.label}_weights{k}"] = channel.rows.words
                if channel.rows.pointers is not None:
                    found[f"{self.label}_pointers{k}"] = channel.rows.pointers
                if channel.rows.window is not None:
                    for name, words in channel.rows.window.tables.items():
                        found[f"{self.label}_{name}{k}"] = words
        if self.constants:
            found[f"{self.label}_neurons"] = Words(tuple(self.constants.values()))
        return found

    @property
    def out_bits(self) -> int:
        """Bits of what a neuron sends: of its value, or one for a spike."""
        return max(self.source.value_bits, 1)

    @property
    def trace(self) -> tuple[tuple[str, int, bool], ...]:
        """What a lane shows of every update: name, bits, and whether it is signed."""
        shown = [("out", self.out_bits, self.source.value is not None)]
        shown += [(p.source, bits, bits == p.width) for p, bits in self.states]
        return (*shown, *((p.name, 1, False) for p in self.role("hit")))


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A program as engines.

    Attributes:
        program: The program.
        label: Identifier of the top module.
        inputs: In the order of the network.
        engines: In the order of a step.
        outputs: Populations that are sent to the host.
    """

    program: Program
    label: str
    inputs: tuple[Source, ...]
    engines: tuple[Engine, ...]
    outputs: tuple[Source, ...]

    @property
    def warm_up(self) -> int:
        """Further steps until the last population has done as many as the inputs have."""
        return max(e.population.start for e in self.engines)


def stored_bits(port: Port) -> int:
    """Return the bits of a state in memory."""
    never_negative = isinstance(port.dtype, Exact) and port.dtype.lo >= 0 and port.width > 1
    return port.width - 1 if never_negative else port.width


def supports(program: Program) -> tuple[Finding, ...]:
    """Return everything that does not fit: SPK1850 to SPK1852, SPK1864."""
    if program.stage != "integer":
        text = f"the program is {program.stage}, engines compute in integers; run quantize"
        return (Finding("SPK1850", program.graph.name, text),)
    try:
        made = plan(program)
    except SpikecError as error:
        # What legalize refuses; the code and the place stay.
        return (Finding(error.code, error.where, f"{error.problem}. {error.remedy}"),)
    return tuple(_misfits(made))


def _misfits(made: Plan) -> list[Finding]:
    found: list[Finding] = []
    for what, stream in (("inputs", Stream(made.inputs)), ("outputs", Stream(made.outputs))):
        if stream.bits > MOST_WORD:
            text = f"an event of the {what} takes {stream.id_bits} + {stream.value_bits} bits"
            found.append(Finding("SPK1864", made.program.graph.name, f"{text} of {MOST_WORD - 1}"))
    for engine in made.engines:
        for name, words in engine.memories().items():
            if words.depth * words.width > MOST_BITS:
                text = f"memory {name} takes {words.depth * words.width} bits of {MOST_BITS}"
                found.append(Finding("SPK1851", engine.population.name, text))
        for channel in engine.channels:
            bits = channel.depth * channel.word_bits
            if bits > MOST_BITS:
                text = f"the queue of {channel.about} takes {bits} bits of {MOST_BITS}"
                found.append(Finding("SPK1852", engine.population.name, text))
    return found


def plan(program: Program, most_lanes: int | Mapping[str, int] | None = None) -> Plan:
    """Return the engines of an integer program.

    Args:
        program: In integers.
        most_lanes: Lanes of an engine at most, or by population; what the pass ``engines`` chose if
            not given.

    Raises:
        SpikecError: SPK1853 on a number of lanes; errors of ``legalize``.
    """
    if most_lanes is None:
        said: Any = program.reports.get("engines", {"lanes": DEFAULT_LANES})
        most_lanes = said.get("lanes") if hasattr(said, "get") else None
    most = _most_lanes(program.graph, most_lanes)
    graph, asked = program.graph, controls(program)
    variable = intervals(graph, asked)
    typed = lanes(graph, variable)
    signals, names = source_types(graph, typed), Names()
    sources: dict[str, Source] = {}
    start = 0
    for node in graph.inputs:
        label = names.take("", node.name[:LONGEST_NAME])
        sources[node.name] = Source(node.name, label, node.size, _value(signals[node.name]), start)
        start += node.size
    tapped = dict.fromkeys(o.source for o in graph.outputs)
    starts = np.cumsum([0, *(graph.source_size(name) for name in tapped)])
    first = dict(zip(tapped, starts.tolist(), strict=False))
    for p in graph.order():
        label = names.take("", p.name[:LONGEST_NAME])
        sent = _value(signals[p.name])
        sources[p.name] = Source(p.name, label, p.size, sent, first.get(p.name, 0))
    prompt = {i.name for i in graph.inputs}
    engines: list[Engine] = []
    for p in graph.order():
        layout = _layout(graph, p, most[p.name])
        channels = _channels(graph, p, sources, signals, layout)
        if not any(c.delay == 0 and c.source and c.source.name in prompt for c in channels):
            # Else it would not know when a step begins, or run ahead by a delay.
            channels = (*channels, Channel(None, "", 0, 0, None, "steps of the host"))
        prompt.add(p.name)
        lane = population_lane(replace(p, name=sources[p.name].label), typed[p.name], PER_STAGE)
        biases = {port: _bias(graph, p, port, signals) for port in typed[p.name].ports}
        biases = {port: b for port, b in biases.items() if b.any()}
        received = {c.port for c in channels} | set(biases)
        ports = {
            port: t
            for port, t in typed[p.name].ports.items()
            if port in received and isinstance(t, Exact)
        }
        source = sources[p.name]
        engines.append(
            Engine(
                p,
                source.label,
                lane,
                layout,
                source,
                channels,
                biases,
                ports,
                asked,
                variable.get(p.name, {}),
            )
        )
    modules = [f"engine_{e.label}" for e in engines] + [e.lane.name for e in engines]
    return Plan(
        program,
        Names(tuple(modules)).take("", f"{graph.name[:LONGEST_NAME]}_top"),
        tuple(sources[i.name] for i in graph.inputs),
        tuple(engines),
        tuple(sources[name] for name in tapped),
    )


def _most_lanes(graph: Graph, said: Any) -> dict[str, int]:
    """Return the most lanes of every population."""
    by_name = hasattr(said, "get")
    found: dict[str, Any] = {
        p.name: said.get(p.name) if by_name else said for p in graph.populations
    }
    for most in found.values():
        if not isinstance(most, int) or most < 1:
            raise SpikecError("SPK1853", "lanes", f"{most} is not 1 or more", "Give a number")
    return found


def chosen_lanes(size: int, most: int) -> int:
    """Return the lanes for a number of neurons: as few as keep the groups at their least number."""
    groups = -(-size // min(most, size))
    return -(-size // groups)


def _value(signal: Signal) -> Exact | None:
    return signal if isinstance(signal, Exact) else None


def _channels(
    graph: Graph,
    population: Population,
    sources: Mapping[str, Source],
    signals: Mapping[str, Signal],
    layout: Layout,
) -> tuple[Channel, ...]:
    made: list[Channel] = []
    for whole in graph.into(population.name):
        frac = port_frac(_arriving(graph, population, whole.port), signals)
        for p in whole.by_delay():
            shift = frac - product_frac(p, signals)
            about = f"{p}, {p.synapse.kind}, delay {p.delay}"
            found = _rows(p.synapse, layout)
            made.append(Channel(sources[p.source], p.port, p.delay, shift, found, about))
    return tuple(made)


def _layout(graph: Graph, population: Population, most: int) -> Layout:
    """Return channels in the lanes where a convolution or pool arrives, else neurons in order."""
    for p in graph.into(population.name):
        shape = image(p.synapse, most)
        if shape is not None:
            _, places, width = shape
            return Layout(population.size, width, places)
    return Layout(population.size, chosen_lanes(population.size, most))


def _rows(synapse: Synapse, layout: Layout) -> Rows:
    shape = image(synapse, layout.lanes)
    if shape is not None and shape[1:] == (layout.places, layout.lanes):
        return window_rows(synapse, layout.lanes)
    return rows(synapse.plain().to_sparse(), layout)


def _arriving(graph: Graph, population: Population, port: str) -> list[Projection]:
    return [p for p in graph.into(population.name) if p.port == port]


def _bias(graph: Graph, population: Population, port: str, signals: Mapping[str, Signal]) -> Array:
    """Return the summed bias of a port, one integer per neuron."""
    arriving = _arriving(graph, population, port)
    total: Array = np.zeros(population.size, np.int64)
    for p in arriving:
        vector = p.synapse.bias_vector()
        if p.synapse.bias is not None and vector is not None:
            total = total + (vector << (port_frac(arriving, signals) - p.synapse.bias.frac))
    return total


def is_spike(engine: Engine) -> bool:
    """Return whether a population sends spikes."""
    return isinstance(engine.role("out")[0].dtype, Bool)
