"""The Vitis HLS C++ of one engine: the tables, sums, states and lanes of its RTL.

An engine is a function that makes one time step; what it keeps from step to step is static.
"""

from collections.abc import Sequence

import numpy as np

from spikec.backends.fpga.hls.lane import hls_function, type_name
from spikec.backends.fpga.hls.links import Links, event_type, stream_type
from spikec.backends.fpga.names import comment
from spikec.backends.fpga.plan import Channel, Engine, is_spike
from spikec.compiler.types import Array

# C types of tables, by bits: plain numbers, which compilers read fast.
NATIVE = ((8, "signed char"), (16, "short"), (32, "int"), (64, "long long"))
PER_LINE = 24


def engine_function(engine: Engine, number: int, links: Links) -> str:
    """Return the text of an engine and its lane; ``number`` is its place among all."""
    p = engine.population
    about = f"population {p.name}: {p.size} neurons, {engine.lanes} lanes, {engine.groups} groups"
    ports = ["ap_uint<2> control"]
    ports += [f"{stream_type(c.source)} &ch{k}" for k, c in links.heard(engine) if c.source]
    ports += [f"{stream_type(engine.source)} &to{k}" for k in range(len(links.streams(p.name)))]
    ports.append("spikec::Counter (&counted)[spikec::COUNTERS]")
    body = [
        f"const int GROUPS = {engine.groups}, LANES = {engine.lanes};",
        *_tables(engine, links),
        *_kept(engine),
        *_restart(engine, links),
        "",
        *(line for k, c in links.weighted(engine) for line in _integrate(engine, k, c, links)),
        "counts[spikec::STEPS] += 1;",
        *_update(engine, number),
        *_send(engine, links),
        *_each("k", "spikec::COUNTERS", ["counted[k] = counts[k];"], "UNROLL"),
    ]
    indented = [line if not line or line.startswith("#") else f"    {line}" for line in body]
    lane = f"static void {hls_function(engine.label, engine.lane.lane).text}"
    head = f"static void engine_{engine.label}(\n    " + ",\n    ".join(ports) + "\n) {"
    return "\n".join(["", comment(about), lane, head, *indented, "}", ""])


def _each(name: str, bound: str, body: Sequence[str], pragma: str = "") -> list[str]:
    """Return a loop."""
    lines = [f"for (int {name} = 0; {name} < {bound}; {name}++) {{"]
    if pragma:
        lines.append(f"#pragma HLS {pragma}")
    inner = [line if line.startswith("#") else f"    {line}" for line in body]
    return [*lines, *inner, "}"]


# ---------------------------------------------------------------- tables


def _tables(engine: Engine, links: Links) -> list[str]:
    lines: list[str] = []
    for k, channel in links.weighted(engine):
        assert channel.rows is not None
        fields = channel.rows.words.fields
        lines += _table(f"weights{k}", fields[0][0], True)
        if channel.rows.pointers is not None:
            first, many = (numbers[:, 0] for numbers, _ in channel.rows.pointers.fields)
            lines += _table(f"groups{k}", fields[1][0][:, 0])
            lines += [*_table(f"first{k}", first), *_table(f"many{k}", many)]
        if channel.rows.window is not None:
            for name, words in channel.rows.window.tables.items():
                numbers = np.concatenate([column for column, _ in words.fields], axis=1)
                lines += _rows(f"static const spikec::Axis {name}{k}[{len(numbers)}]", numbers)
            steps = ", ".join(map(str, channel.rows.window.steps))
            lines.append(f"static const spikec::Steps steps{k} = {{{steps}}};")
    for name, (numbers, _) in engine.constants.items():
        lines += _table(_constant(engine, name), numbers, True)
    return lines


def _constant(engine: Engine, name: str) -> str:
    """Return the identifier of a table of ``Engine.constants``."""
    for port in engine.biases:
        if name == f"b_{port}":
            return f"bias_{engine.wire(port)}"
    return name


def _table(name: str, numbers: Array, lanes: bool = False) -> list[str]:
    """Return a constant table; with lanes, one word holds a row."""
    low, high = int(numbers.min()), int(numbers.max())
    bits = max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + 1
    kind = next(text for most, text in NATIVE if bits <= most)
    sizes = "".join(f"[{n}]" for n in numbers.shape)
    lines = _rows(f"static const {kind} {name}{sizes}", numbers)
    if lanes:
        lines.append(f"#pragma HLS ARRAY_RESHAPE variable={name} dim=2 complete")
    return lines


def _rows(declaration: str, numbers: Array) -> list[str]:
    """Return a table with its contents, a row in a line."""
    rows = numbers.tolist()
    if numbers.ndim == 1:
        parts = [rows[k : k + PER_LINE] for k in range(0, len(rows), PER_LINE)]
        listed = [f"    {', '.join(map(str, part))}," for part in parts]
    else:
        listed = [f"    {{{', '.join(map(str, row))}}}," for row in rows]
    return [f"{declaration} = {{", *listed, "};"]


# ---------------------------------------------------------------- what is kept


def _kept(engine: Engine) -> list[str]:
    lines: list[str] = []
    for port, t in engine.ports.items():
        lines += _lanes_array(f"static ap_int<{t.width}> sum_{engine.wire(port)}")
    for p, _ in engine.states:
        lines += _lanes_array(f"static ap_int<{p.width}> {p.name}")
    if engine.population.start:
        bits = engine.population.start.bit_length()
        lines.append(f"static ap_uint<{bits}> early;  // steps still to come before the first")
    return [
        *lines,
        "static spikec::Counter counts[spikec::COUNTERS];",
        "#pragma HLS ARRAY_PARTITION variable=counts complete",
    ]


def _lanes_array(declaration: str) -> list[str]:
    name = declaration.split()[-1]
    return [
        f"{declaration}[GROUPS][LANES];",
        f"#pragma HLS ARRAY_PARTITION variable={name} dim=2 complete",
    ]


def _restart(engine: Engine, links: Links) -> list[str]:
    """Return the lines that begin a sample, and clear the counters."""
    values = [f"{p.name}[g][k] = {_initial(engine, p.source)};" for p, _ in engine.states]
    values += _biases(engine)
    lanes = _each("k", "LANES", values, "UNROLL")
    start = engine.population.start
    sample = [
        *(_each("g", "GROUPS", lanes, "PIPELINE II=1") if values else []),
        *(f"{name}.restart();" for name in links.queues_of(engine)),
        *([f"early = {start};"] if start else []),
    ]
    lines = ["if (control[0]) {", *_indented(sample), "}"] if sample else []
    clear = _each("k", "spikec::COUNTERS", ["counts[k] = 0;"], "UNROLL")
    return [*lines, "if (control[1]) {", *_indented(clear), "}"]


def _indented(lines: Sequence[str]) -> list[str]:
    return [line if line.startswith("#") else f"    {line}" for line in lines]


def _initial(engine: Engine, state: str) -> str:
    port = next(p for p, _ in engine.states if p.source == state)
    name = f"{port.name}_init"
    return f"{name}[g][k]" if name in engine.constants else f"{engine.initial(state)[0]}LL"


def _biases(engine: Engine) -> list[str]:
    """Return the lines that set the sums of a lane back."""
    lines: list[str] = []
    for port in engine.ports:
        wire = engine.wire(port)
        varies = f"b_{port}" in engine.constants
        same = int(engine.biases.get(port, np.zeros(1, np.int64))[0])
        lines.append(f"sum_{wire}[g][k] = {f'bias_{wire}[g][k]' if varies else f'{same}LL'};")
    return lines


# ---------------------------------------------------------------- a step


def _integrate(engine: Engine, k: int, channel: Channel, links: Links) -> list[str]:
    """Return the lines that add the weights of a channel."""
    assert channel.source is not None
    assert channel.rows is not None
    source = links.queue(engine, k) if channel.delay else f"ch{k}"
    walked, window = channel.rows, channel.rows.window
    fixed = f"{event_type(channel.source)}, {walked.weight_bits}, {channel.shift}"
    if window is not None:
        form, tables = f"window<{fixed}, {window.groups}>", "channels rows columns steps"
    elif walked.pointers is not None:
        form, tables = f"sparse<{fixed}>", "groups first many"
    else:
        form, tables = f"dense<{fixed}>", ""
    given = [source, f"weights{k}", *(f"{name}{k}" for name in tables.split())]
    given += [
        f"sum_{engine.wire(channel.port)}",
        "early != 0" if engine.population.start else "false",
    ]
    lines = [comment(channel.about), f"spikec::{form}(", f"    {', '.join(given)}, counts", ");"]
    if channel.delay and not links.loops(engine, k):
        lines.append(f"{source}.fill(ch{k});")
    return lines


def _update(engine: Engine, number: int) -> list[str]:
    """Return the lines that update every group, if it is time."""
    size = engine.population.size
    missing = engine.groups * engine.lanes - size
    present = f"g != GROUPS - 1 || k < {engine.lanes - missing}" if missing else "true"
    hits = engine.role("hit")
    acted = [f"acted += present && {p.name};" for p in hits]
    lane = [
        *(f"{type_name(p.dtype)} {p.name};" for p in engine.lane.outputs),
        f"{engine.lane.name}(",
        f"    {', '.join(_arguments(engine))}",
        ");",
        *(f"{p.name}[g][k] = {_after(engine, p.source)};" for p, _ in engine.states),
        *_biases(engine),
        f"const bool present = {present};",
        f"fired[g][k] = present && {'out' if is_spike(engine) else 'out != 0'};",
        *([] if is_spike(engine) else ["value[g][k] = out;"]),
        *acted,
        *_shown(engine, number),
    ]
    group = [*(["int acted = 0;"] if hits else []), *_each("k", "LANES", lane, "UNROLL")]
    group += ["counts[spikec::SATURATIONS] += acted;"] if hits else []
    groups = _each("g", "GROUPS", group, "PIPELINE II=1")
    groups.append(f"counts[spikec::UPDATES] += {size};")
    lines = _lanes_array("bool fired")
    if not is_spike(engine):
        lines += _lanes_array(f"ap_int<{engine.source.value_bits}> value")
    if not engine.population.start:
        return [*lines, *groups]
    nothing = _each("g", "GROUPS", _each("k", "LANES", ["fired[g][k] = false;"], "UNROLL"))
    lines += ["if (early != 0) {", "    early -= 1;", *_indented(nothing)]
    return [*lines, "} else {", *_indented(groups), "}"]


def _arguments(engine: Engine) -> list[str]:
    given: list[str] = []
    for p in engine.lane.inputs:
        if p.role == "input":
            given.append(f"sum_{p.name}[g][k]" if p.source in engine.ports else "0LL")
        elif p in engine.registers:  # this C++ has no registers: the compiled value
            value = engine.population.model().parameters()[p.source].data.flat[0]
            given.append(f"{int(value)}LL")
        else:
            given.append(f"{p.name}[g][k]")
    return [*given, *(p.name for p in engine.lane.outputs)]


def _after(engine: Engine, state: str) -> str:
    return next(p.name for p in engine.role("next") if p.source == state)


def _shown(engine: Engine, number: int) -> list[str]:
    """Return the lines that show a bench what a lane did."""
    out = "out" if is_spike(engine) else "out.to_int64()"
    shown = [out, *(f"{_after(engine, p.source)}.to_int64()" for p, _ in engine.states)]
    shown += [p.name for p in engine.role("hit")]
    calls = [f"if (present) spikec::show({number}, {text});" for text in shown]
    return ["#ifdef SPIKEC_TRACE", *calls, "#endif"]


def _send(engine: Engine, links: Links) -> list[str]:
    """Return the lines that send what the lanes fired, and the end of the step."""
    receivers = [f"to{k}" for k in range(len(links.streams(engine.population.name)))]
    receivers += links.loop_queues(engine.population.name)
    kind = event_type(engine.source)
    columns, places = engine.layout.columns, engine.layout.places
    name = "g * LANES + k"
    if places > 1:
        name = f"g / {columns} + (g % {columns} * LANES + k) * {places}"
    lane = [
        "if (fired[g][k]) {",
        f"    {kind} event;",
        "    event.eos = false;",
        f"    event.id = {name};",
        *([] if is_spike(engine) else ["    event.value = value[g][k];"]),
        *(f"    {r}.write(event);" for r in receivers),
        "    counts[spikec::EVENTS_OUT] += 1;",
        "}",
    ]
    ends = [f"{r}.write(spikec::end_of_step<{kind} >());" for r in receivers]
    return [*_each("g", "GROUPS", _each("k", "LANES", lane, "PIPELINE II=1")), *ends]
