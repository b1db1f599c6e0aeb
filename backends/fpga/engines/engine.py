"""The SystemVerilog of one engine: queues, walkers, sums, lanes, states, events.

Everything with a behaviour of its own is a module of hw/rtl; here they are connected.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from spikec.backends.fpga.engines.channel import channel_lines
from spikec.backends.fpga.engines.controls import engine_ports, engine_registers
from spikec.backends.fpga.lanes.ops import literal
from spikec.backends.fpga.names import comment
from spikec.backends.fpga.plan import Engine, is_spike, stored_bits

COUNTERS = (
    "events_in",
    "words",
    "synops",
    "updates",
    "events_out",
    "saturations",
    "steps",
    "cycles_busy",
    "cycles_stall_in",
    "cycles_stall_send",
    "cycles_stall_out",
)
COUNTER_BITS = 48
SELECT_BITS = 4


def engine_module(engine: Engine, about: Sequence[str]) -> str:
    """Return the text of an engine; ``about`` are lines for its header."""
    lines = [
        *(comment(line) for line in about),
        comment(
            f"population {engine.population.name}: {engine.population.size} neurons, "
            f"{engine.lanes} lanes, {engine.groups} groups, lane latency {engine.lane.latency}"
        ),
        *_ports(engine),
        *_shared(engine),
    ]
    for k, channel in enumerate(engine.channels):
        lines += channel_lines(engine, k, channel)
    lines += [*_sums(engine), *_update(engine), *engine_registers(engine)]
    lines += [*_lanes(engine), *_events(engine)]
    lines += [*_counters(engine), "endmodule", ""]
    return "\n".join(lines)


def _ports(engine: Engine) -> list[str]:
    lines = [f"module engine_{engine.label} (", "    input  logic clk,", "    input  logic rst,"]
    for k, channel in enumerate(engine.channels):
        lines += [
            f"    {comment(f'channel {k}: {channel.about}')}",
            f"    input  logic ch{k}_valid,",
            f"    output logic ch{k}_ready,",
            f"    input  logic [{channel.word_bits - 1}:0] ch{k}_data,",
        ]
    return [
        *lines,
        "`ifdef SPIKEC_TRACE",
        "    // What every lane did, one group a cycle.",
        "    output logic trace_valid,",
        f"    output logic [{engine.trace_bits - 1}:0] trace_data,",
        "`endif",
        "    output logic out_valid,",
        "    input  logic out_ready,",
        f"    output logic [{engine.source.word_bits - 1}:0] out_data,",
        "    output logic idle,",
        *engine_ports(engine),
        "    input  logic clear,",
        f"    input  logic [{SELECT_BITS - 1}:0] select,",
        f"    output logic [{COUNTER_BITS - 1}:0] counter",
        ");",
    ]


def _shared(engine: Engine) -> list[str]:
    count, gb = len(engine.channels), engine.group_bits
    return [
        f"    localparam [31:0] LANES = {engine.lanes};",
        f"    localparam [31:0] GB = {gb};",
        "",
        f"    logic [{count - 1}:0] done;",
        f"    logic [{count - 1}:0] waiting;    // an event could be taken",
        f"    logic [{count - 1}:0] taken;      // an event was taken",
        f"    logic [{count - 1}:0] offered;    // a word could be read",
        f"    logic [{count - 1}:0] granted;    // a word is read: of the first that offers one",
        f"    logic [{count - 1}:0] read;       // its weights are there",
        "    logic integrating;",
        "    logic updating;",
        "    logic behind;",
        "    logic discard;",
        "    logic skip;",
        "    logic group_valid;",
        "    logic group_first;",
        "    logic [GB-1:0] group;",
        "    logic step_end;",
        "    logic sender_free;",
        "    // A group at the inputs of the lanes (now), and at their outputs (late).",
        "    logic now_valid;",
        "    logic now_first;",
        "    logic [GB-1:0] now_group;",
        "    logic late_valid;",
        "    logic [GB-1:0] late_group;",
        "",
        "    spikec_control #(",
        f"        .GROUPS({engine.groups}), .GB(GB), .DRAIN(1), .FLUSH({engine.lane.latency}),",
        f"        .START({engine.population.start})",
        "    ) control (",
        "        .clk, .rst, .all_done(&done), .sender_free, .integrating, .updating,",
        "        .sending(behind), .discard, .skip, .group_valid, .group_first, .group, .step_end",
        "    );",
        "",
        f"    assign granted = offered & (~offered + {count}'d1) & {{{count}{{integrating}}}};",
        f"    spikec_delay #(.WIDTH({count}), .CYCLES(2)) reading (",
        "        .clk, .rst, .in(granted), .out(read)",
        "    );",
    ]


def _sums(engine: Engine) -> list[str]:
    """Return the lines of the summed input of every port."""
    weighted = [(k, c) for k, c in enumerate(engine.channels) if c.rows is not None]
    lines = ["", "    // Sums of synaptic input: one word of weights per cycle."]
    lines += ["    logic added;", "    logic [GB-1:0] added_group;", "    logic [LANES-1:0] used;"]
    groups = _choose([(f"read[{k}]", f"ch{k}_group") for k, _ in weighted], "GB")
    not_zero = _choose([(f"read[{k}]", f"ch{k}_used") for k, _ in weighted], "LANES")
    clocked = [
        f"        added_group <= {groups};",
        f"        used <= {not_zero};",
    ]
    for name, t in engine.ports.items():
        here = [(k, c) for k, c in weighted if c.port == name]
        port = engine.wire(name)
        w = t.width
        if len(here) == 1:
            text = f"ch{here[0][0]}_part"
        else:
            text = _choose([(f"read[{k}]", f"ch{k}_part") for k, _ in here], f"(LANES*{w})")
        hit = f"({' | '.join(f'read[{k}]' for k, _ in here)})" if here else "1'b0"
        lines += [f"    logic add_{port};", f"    logic [LANES*{w}-1:0] part_{port};"]
        lines += [
            f"    logic [LANES*{w}-1:0] bias_{port};",
            f"    logic [LANES*{w}-1:0] sum_{port};",
        ]
        clocked += [
            f"        add_{port} <= ~rst & ({hit});",
            f"        part_{port} <= {hit} ? {text} : '0;"
            if here
            else f"        part_{port} <= '0;",
        ]
    lines += [
        "    always_ff @(posedge clk) begin",
        "        added <= ~rst & (read != '0);",
        *clocked,
        "    end",
    ]
    for name, t in engine.ports.items():
        port = engine.wire(name)
        lines += [
            f"    spikec_accumulator #(.LANES(LANES), .WIDTH({t.width}), "
            f".GROUPS({engine.groups}), .GB(GB)) sums_{port} (",
            f"        .clk, .add(add_{port}), .add_group(added_group), .add_data(part_{port}),",
            f"        .set(now_valid), .set_group(now_group), .set_data(bias_{port}),",
            f"        .read_group(group), .sum(sum_{port})",
            "    );",
        ]
    return lines


def _choose(options: Sequence[tuple[str, str]], width: str) -> str:
    """Return the last option, or an earlier one whose flag is set."""
    if not options:
        return f"{width}'(0)"
    text = options[-1][1]
    for flag, value in reversed(options[:-1]):
        text = f"{flag} ? {value} : {text}"
    return text


def _update(engine: Engine) -> list[str]:
    """Return the lines that read a group: sums, states and numbers of its neurons."""
    latency, states = engine.lane.latency, engine.states
    lines = [
        "",
        "    spikec_delay #(.WIDTH(2 + GB), .CYCLES(1)) reading_group (",
        "        .clk, .rst, .in({group_valid, group_first, group}),",
        "        .out({now_valid, now_first, now_group})",
        "    );",
        f"    spikec_delay #(.WIDTH(1 + GB), .CYCLES({latency})) updating_group (",
        "        .clk, .rst, .in({now_valid & ~now_first, now_group}),",
        "        .out({late_valid, late_group})",
        "    );",
    ]
    at: dict[str, str] = {}
    if engine.constants:
        width = engine.memories()[f"{engine.label}_neurons"].width
        low = 0
        for name, (numbers, bits) in engine.constants.items():
            at[name] = f"neurons[{low} +: {numbers.shape[1] * bits}]"
            low += numbers.shape[1] * bits
        lines += [
            f"    logic [{width - 1}:0] neurons;",
            f"    spikec_rom #(.WIDTH({width}), .DEPTH({engine.groups}), .AB(GB),",
            f'        .INIT("mem/{engine.label}_neurons.hex")) neurons_rom (',
            "        .clk, .address(group), .data(neurons)",
            "    );",
        ]
    for port, t in engine.ports.items():
        bias = int(engine.biases.get(port, np.zeros(1, np.int64))[0])
        text = at.get(f"b_{port}", repeated(bias, t.width))
        lines.append(f"    assign bias_{engine.wire(port)} = {text};")
    for p in engine.role("param"):
        if p in engine.registers:
            continue
        lines.append(f"    logic [LANES*{p.width}-1:0] {p.name};")
        lines.append(f"    assign {p.name} = {at[p.name]};")
    for p, bits in states:
        start = at.get(f"{p.name}_init", repeated(int(engine.initial(p.source)[0]), bits))
        lines += [
            f"    logic [LANES*{bits}-1:0] {p.name};",
            f"    logic [LANES*{bits}-1:0] {p.name}__after;",
            f"    spikec_memory #(.WIDTH(LANES*{bits}), .DEPTH({engine.groups}), .AB(GB)) "
            f"{p.name}__memory (",
            "        .clk, .write((now_valid & now_first) | late_valid),",
            "        .write_address(late_valid ? late_group : now_group),",
            f"        .write_data(late_valid ? {p.name}__after : {start}),",
            f"        .read_address(group), .read_data({p.name})",
            "    );",
        ]
    return lines


def repeated(value: int, bits: int) -> str:
    """Return a constant, once for each lane."""
    return f"{{LANES{{{literal(value, bits).replace('sh', 'h')}}}}}"


def _lanes(engine: Engine) -> list[str]:
    """Return the lanes, and wires for all their outputs."""
    hits = engine.role("hit")
    lines = [
        "",
        "    // The lanes. Those beyond the last neuron compute, but nothing of them is kept.",
        "    logic [LANES-1:0] present;",
    ]
    missing = engine.groups * engine.lanes - engine.population.size
    full = "{LANES{1'b1}}"
    if missing:
        last = f"{engine.lanes}'h{(1 << (engine.lanes - missing)) - 1:x}"
        lines.append(f"    assign present = {last_group(engine)} ? {last} : {full};")
    else:
        lines.append(f"    assign present = {full};")
    lines += [
        "    /* verilator lint_off UNUSEDSIGNAL */",
        f"    logic [LANES*{engine.out_bits}-1:0] sent;",
        "    /* verilator lint_on UNUSEDSIGNAL */",
        "    logic [LANES-1:0] flags;",
        *(f"    logic [LANES-1:0] {p.name};" for p in hits),
        "    for (genvar lane = 0; lane < LANES; lane++) begin : g_lane",
    ]
    pins = [".clk"] if engine.lane.latency else []
    for p in engine.lane.inputs:
        pins.append(f".{p.name}({_input(engine, p.name, p.role, p.source, p.width)})")
    body, after = _outputs(engine)
    pins += [f".{p.name}(one_{p.name})" for p in engine.lane.outputs]
    lines += body
    lines += [f"        {engine.lane.name} one (", f"            {_wrapped(pins)}", "        );"]
    return [*lines, *after, "    end"]


def _wrapped(pins: Sequence[str]) -> str:
    return ",\n            ".join(pins)


def last_group(engine: Engine) -> str:
    """Return whether the group at the outputs of the lanes is the last one."""
    return f"(late_group == {engine.group_bits}'d{engine.groups - 1})"


def _input(engine: Engine, name: str, role: str, source: str, width: int) -> str:
    if role == "input":
        if source not in engine.ports:
            return literal(0, width)
        return f"sum_{name}[lane*{width} +: {width}]"
    if name in [p.name for p in engine.registers]:
        return name
    bits = width
    if role == "state":
        port = next(p for p in engine.role("state") if p.name == name)
        bits = stored_bits(port)
    text = f"{name}[lane*{bits} +: {bits}]"
    # Without $signed, at which Yosys stops where the part is all of the wire.
    return text if bits == width else f"{{1'b0, {text}}}"


def _outputs(engine: Engine) -> tuple[list[str], list[str]]:
    """Return declarations of the outputs of a lane, and where they go."""
    stored = dict((p.source, (p, bits)) for p, bits in engine.states)
    lesions = engine.controls.lesions
    body: list[str] = []
    after: list[str] = []
    for p in engine.lane.outputs:
        signed = "" if p.role == "hit" or (p.role == "out" and is_spike(engine)) else " signed"
        size = "" if not signed else f" [{p.width - 1}:0]"
        if p.role == "next":
            state, bits = stored[p.source]
            if bits != p.width:
                body.append("        /* verilator lint_off UNUSEDSIGNAL */")
            body.append(f"        logic{signed}{size} one_{p.name};")
            if bits != p.width:
                body.append("        /* verilator lint_on UNUSEDSIGNAL */")
            after.append(
                f"        assign {state.name}__after[lane*{bits} +: {bits}] = "
                f"one_{p.name}{'' if bits == p.width else f'[{bits - 1}:0]'};"
            )
            continue
        body.append(f"        logic{signed}{size} one_{p.name};")
        if p.role == "hit":
            after.append(f"        assign {p.name}[lane] = one_{p.name} & present[lane];")
        else:
            wide = engine.out_bits
            value = f"one_{p.name}" if wide == p.width else f"{wide}'(one_{p.name})"
            if lesions:
                value = f"lesioned[lane] ? {wide}'d0 : {value}"
            after.append(f"        assign sent[lane*{wide} +: {wide}] = {value};")
            fires = f"one_{p.name}" if is_spike(engine) else f"(one_{p.name} != '0)"
            spared = " & ~lesioned[lane]" if lesions else ""
            after.append(f"        assign flags[lane] = {fires} & present[lane]{spared};")
    return body, after


def _events(engine: Engine) -> list[str]:
    """Return the lines that send what the lanes send, and show it."""
    source = engine.source
    vb = max(source.value_bits, 1)
    graded = int(source.value_bits > 0)
    values = engine.lanes * source.value_bits
    width = 1 + engine.lanes + values
    lines = [
        "",
        "    // Events: groups wait here until they are sent.",
        "    logic sending;",
        "    logic send_ready;",
        f"    logic [{width - 1}:0] send_word;",
        "    logic sender_idle;",
        "    logic waiting_empty;",
        "    /* verilator lint_off UNUSEDSIGNAL */",
        "    logic never_full;",
        "    /* verilator lint_on UNUSEDSIGNAL */",
        f"    spikec_fifo #(.WIDTH({width}), .DEPTH({engine.groups})) waiting_groups (",
        "        .clk, .rst, .in_valid(late_valid | skip), .in_ready(never_full),",
        f"        .in_data({_waiting(engine, graded)}),",
        "        .out_valid(sending), .out_ready(send_ready), .out_data(send_word),",
        "        .empty(waiting_empty)",
        "    );",
        f"    spikec_sender #(.LANES(LANES), .IB({source.id_bits}), .VB({vb}), .GRADED({graded}),",
        f"        .STRIDE({engine.layout.places}), .COLUMNS({engine.layout.columns})) sender (",
        "        .clk, .rst, .in_valid(sending), .in_ready(send_ready),",
        f"        .in_last(send_word[{width - 1}]), .in_flags(send_word[{values} +: LANES]),",
        f"        .in_values({f'send_word[0 +: {values}]' if graded else repeated(0, 1)}),",
        "        .out_valid, .out_ready, .out_data, .free(sender_idle)",
        "    );",
        "    assign sender_free = sender_idle & waiting_empty;",
        "    assign idle = integrating & (waiting == '0) & ~(&done) & sender_free;",
        "`ifdef SPIKEC_TRACE",
        "    assign trace_valid = late_valid;",
        f"    assign trace_data = {{{', '.join(reversed(_shown(engine)))}}};",
        "`endif",
    ]
    return lines


def _waiting(engine: Engine, graded: int) -> str:
    last = f"skip | {last_group(engine)}"
    values = ", sent" if graded else ""
    return f"{{{last}, skip ? {engine.lanes}'(0) : flags{values}}}"


def _shown(engine: Engine) -> list[str]:
    states = [f"{p.name}__after" for p, _ in engine.states]
    return ["sent", *states, *(p.name for p in engine.role("hit"))]


def _counters(engine: Engine) -> list[str]:
    """Return the lines that count; the order is that of ``COUNTERS``."""
    hits = engine.role("hit")
    most = max(engine.lanes * max(len(hits), 1), len(engine.channels))
    sb = most.bit_length()
    missing = engine.groups * engine.lanes - engine.population.size
    per_group = f"{sb}'d{engine.lanes}"
    if missing:
        per_group = f"({last_group(engine)} ? {sb}'d{engine.lanes - missing} : {per_group})"
    flags = {
        "sent_one": f"out_valid & out_ready & ~out_data[{engine.source.word_bits - 1}]",
        "busy": "(granted != '0) | updating",
        "starved": "integrating & (waiting == '0) & ~(&done)",
        "held_up": "out_valid & ~out_ready",
    }
    none = f"{sb}'d0"
    steps: Mapping[str, str] = {
        "events_in": "events",
        "words": f"{sb}'(added)",
        "synops": f"added ? weights : {none}",
        "updates": f"late_valid ? {per_group} : {none}",
        "events_out": f"{sb}'(sent_one)",
        "saturations": f"late_valid ? acted : {none}" if hits else none,
        "steps": f"{sb}'(step_end)",
        "cycles_busy": f"{sb}'(busy)",
        "cycles_stall_in": f"{sb}'(starved)",
        "cycles_stall_send": f"{sb}'(behind)",
        "cycles_stall_out": f"{sb}'(held_up)",
    }
    assert tuple(steps) == COUNTERS
    packed = ",\n        ".join(reversed(list(steps.values())))
    lines = ["", "    // Counters."]
    for name, text in flags.items():
        lines += [f"    logic {name};", f"    assign {name} = {text};"]
    return [
        *lines,
        *_totals(engine, sb),
        f"    logic [{len(COUNTERS) * sb - 1}:0] grown;",
        "    assign grown = {",
        f"        {packed}",
        "    };",
        f"    spikec_counters #(.COUNT({len(COUNTERS)}), .SB({sb}), .WIDTH({COUNTER_BITS}), "
        f".AB({SELECT_BITS})) counters (",
        "        .clk, .clear, .step(grown), .select, .value(counter)",
        "    );",
    ]


def _totals(engine: Engine, bits: int) -> list[str]:
    """Return the lines that count the flags of a cycle: events, weights other than zero, casts."""
    hits = engine.role("hit")
    sums = [("events", "taken", len(engine.channels)), ("weights", "used", engine.lanes)]
    lines: list[str] = []
    if hits:
        sums.append(("acted", "acted_flags", engine.lanes * len(hits)))
        lines += [
            f"    logic [{engine.lanes * len(hits) - 1}:0] acted_flags;",
            f"    assign acted_flags = {{{', '.join(p.name for p in hits)}}};",
        ]
    for name, flags, count in sums:
        lines += [
            f"    logic [{bits - 1}:0] {name};",
            "    always_comb begin",
            f"        {name} = '0;",
            f"        for (int unsigned k = 0; k < {count}; k++)",
            f"            {name} = {name} + {bits}'({flags}[k]);",
            "    end",
        ]
    return lines
