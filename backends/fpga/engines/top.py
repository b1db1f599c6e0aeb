"""The SystemVerilog of the top module: streams of the host, engines, and queues to the outputs.

A word of a stream is {eos, zeros, id, value}: eos is the highest bit and ends a time step; ids
count through all inputs, or all outputs, in their order. Two underscores part a name of the network
from what is added to it: in a mangled name there are none.
"""

import hashlib
from collections.abc import Sequence

from spikec.backends.fpga.engines.controls import engine_pins, load, top_lines
from spikec.backends.fpga.engines.engine import COUNTER_BITS, SELECT_BITS
from spikec.backends.fpga.engines.registers import ADDRESS_BITS, registers_module
from spikec.backends.fpga.memory import address_bits
from spikec.backends.fpga.names import comment
from spikec.backends.fpga.plan import WORD, Engine, Plan, Source, Stream
from spikec.compiler.text import print_program


def trace_words(engine: Engine) -> int:
    """Return the 32-bit words of what is shown of one group."""
    return -(-engine.trace_bits // WORD)


def top_module(plan: Plan, about: Sequence[str]) -> str:
    """Return the text of the top module; ``about`` are lines for its header."""
    lines = [
        *(comment(line) for line in about),
        *_ports(plan),
        *top_lines(plan),
        *_host(plan),
        *_output_wires(plan),
        *(line for engine in plan.engines for line in _engine(plan, engine)),
        *_forks(plan),
        *_outputs(plan),
        *_ends(plan),
    ]
    return "\n".join([*lines, "endmodule", ""])


def _ports(plan: Plan) -> list[str]:
    inward, outward = Stream(plan.inputs), Stream(plan.outputs)
    total = sum(trace_words(e) for e in plan.engines) * WORD
    return [
        f"module {plan.label} (",
        "    input  logic aclk,",
        "    input  logic aresetn,",
        "    // Events in, AXI4-Stream: {eos, zeros, id, value}.",
        "    input  logic s_axis_tvalid,",
        "    output logic s_axis_tready,",
        *_quiet([f"    input  logic [{inward.bits - 1}:0] s_axis_tdata,"]),
        "    // Events out, AXI4-Stream; tlast ends a step.",
        "    output logic m_axis_tvalid,",
        "    input  logic m_axis_tready,",
        f"    output logic [{outward.bits - 1}:0] m_axis_tdata,",
        "    output logic m_axis_tlast,",
        "`ifdef SPIKEC_TRACE",
        f"    output logic [{len(plan.engines) - 1}:0] trace_valid,",
        f"    output logic [{total - 1}:0] trace_data,",
        "`endif",
        "    output logic idle,           // nothing is left to do with what was sent",
        "    // Registers, AXI4-Lite: see spikec_registers.",
        "    input  logic s_axi_awvalid,",
        "    output logic s_axi_awready,",
        f"    input  logic [{ADDRESS_BITS - 1}:0] s_axi_awaddr,",
        "    input  logic s_axi_wvalid,",
        "    output logic s_axi_wready,",
        "    input  logic [31:0] s_axi_wdata,",
        "    output logic s_axi_bvalid,",
        "    input  logic s_axi_bready,",
        "    output logic [1:0] s_axi_bresp,",
        "    input  logic s_axi_arvalid,",
        "    output logic s_axi_arready,",
        f"    input  logic [{ADDRESS_BITS - 1}:0] s_axi_araddr,",
        "    output logic s_axi_rvalid,",
        "    input  logic s_axi_rready,",
        "    output logic [31:0] s_axi_rdata,",
        "    output logic [1:0] s_axi_rresp",
        ");",
        "    logic clk;",
        "    logic rst;",
        "    logic restart;",
        "    logic clear;",
        "    logic cleared;  // in the cycle of rst: what is given up is not counted",
        "    logic bad_id;",
        f"    logic [{select_bits(plan) - 1}:0] select;  // {{engine, counter}}",
        f"    logic [{COUNTER_BITS - 1}:0] counter;",
        "    assign clk = aclk;",
        "    logic started;",
        *_load_wires(plan),
        "    always_ff @(posedge aclk) rst <= ~aresetn | restart | ~started;",
        "    always_ff @(posedge aclk) cleared <= clear;",
        f"    spikec_registers #(.HASH(32'h{digest(plan)[:8]})) registers (",
        "        .clk(aclk), .rst(~aresetn), .awvalid(s_axi_awvalid), .awready(s_axi_awready),",
        "        .awaddr(s_axi_awaddr), .wvalid(s_axi_wvalid), .wready(s_axi_wready),",
        "        .wdata(s_axi_wdata), .bvalid(s_axi_bvalid), .bready(s_axi_bready),",
        "        .arvalid(s_axi_arvalid), .arready(s_axi_arready), .araddr(s_axi_araddr),",
        "        .rvalid(s_axi_rvalid), .rready(s_axi_rready), .rdata(s_axi_rdata),",
        *_load_pins(plan),
        "        .idle, .bad_id, .started, .restart, .clear, .select, .number(counter)",
        "    );",
        "    assign s_axi_bresp = 2'd0;",
        "    assign s_axi_rresp = 2'd0;",
    ]


def _load_wires(plan: Plan) -> list[str]:
    """Return the wires of what the host writes into memories, if there are any."""
    sizes = load(plan)
    if sizes is None:
        return []
    return [
        "    logic load_taken;",
        "    logic load_store;",
        f"    logic [{sizes.memory_bits - 1}:0] load_memory;",
        f"    logic [{sizes.word_bits - 1}:0] load_word;",
        *_quiet([f"    logic [{sizes.data_bits - 1}:0] load_data;"]),
    ]


def _load_pins(plan: Plan) -> list[str]:
    if load(plan) is None:
        return []
    return [
        "        .taken(load_taken), .store(load_store), .memory(load_memory), .word(load_word),",
        "        .data(load_data),",
    ]


def registers(plan: Plan) -> str:
    """Return the text of the module of the registers."""
    return registers_module(select_bits(plan), COUNTER_BITS, load(plan))


def digest(plan: Plan) -> str:
    """Return the start of the hash of the program, in hexadecimal."""
    return hashlib.sha256(print_program(plan.program).encode()).hexdigest()[:16]


def select_bits(plan: Plan) -> int:
    """Return the bits of the number of a counter."""
    return SELECT_BITS + address_bits(len(plan.engines))


def _quiet(lines: Sequence[str]) -> list[str]:
    return [
        "    /* verilator lint_off UNUSEDSIGNAL */",
        *lines,
        "    /* verilator lint_on UNUSEDSIGNAL */",
    ]


def _host(plan: Plan) -> list[str]:
    """Return the lines that give the words of the host to the inputs."""
    inward = Stream(plan.inputs)
    ib, vb = inward.id_bits, inward.value_bits
    width = 1 + ib + vb
    lines = [
        *(["    logic step_valid;", "    logic step_ready;"] if _waiting_for_steps(plan) else []),
        "",
        "    // Words of the host. End-of-step words go to all inputs.",
        "    logic host_valid;",
        "    logic host_ready;",
        f"    logic [{width - 1}:0] host_word;",
        "    logic host_room;",
        "    logic host_empty;",
        f"    spikec_fifo #(.WIDTH({width})) host (",
        "        .clk, .rst, .in_valid(s_axis_tvalid & ~rst), .in_ready(host_room),",
        f"        .in_data({{s_axis_tdata[{inward.bits - 1}], s_axis_tdata[{ib + vb - 1}:0]}}),",
        "        .out_valid(host_valid), .out_ready(host_ready), .out_data(host_word),",
        "        .empty(host_empty)",
        "    );",
        "    assign s_axis_tready = host_room & ~rst;",
        "    logic host_eos;",
        f"    logic [{ib - 1}:0] host_id;",
        f"    assign host_eos = host_word[{width - 1}];",
        f"    assign host_id = host_word[{vb} +: {ib}];",
    ]
    readies = ["step_ready"] if _waiting_for_steps(plan) else []
    for s in plan.inputs:
        wide = s.word_bits
        lines += [
            f"    logic {s.label}__valid;",
            f"    logic {s.label}__ready;",
            f"    logic {s.label}__mine;",
            f"    logic [{wide - 1}:0] {s.label}__data;",
            f"    assign {s.label}__mine = {_mine(s, plan, ib)};",
            f"    assign {s.label}__valid = host_valid & host_ready &",
            f"        (host_eos | {s.label}__mine);",
            f"    assign {s.label}__data = host_eos ? {wide}'(1) << {wide - 1} :",
            f"        {{1'b0, {s.id_bits}'(host_id - {ib}'d{s.start}){_value(s)}}};",
        ]
        readies.append(f"{s.label}__ready")
    if _waiting_for_steps(plan):
        lines.append("    assign step_valid = host_valid & host_ready & host_eos;")
    mine = " | ".join(f"{s.label}__mine" for s in plan.inputs)
    lines += [
        f"    assign host_ready = {' & '.join(readies)};",
        "    always_ff @(posedge clk) begin",
        "        if (rst) bad_id <= 1'b0;",
        f"        else if (host_valid & host_ready & ~host_eos & ~({mine})) bad_id <= 1'b1;",
        "    end",
    ]
    return lines


def _value(source: Source) -> str:
    return f", host_word[{source.value_bits - 1}:0]" if source.value_bits else ""


def _mine(source: Source, plan: Plan, bits: int) -> str:
    """Return whether an id is one of an input; comparisons that always hold are left out."""
    tests: list[str] = []
    if source.start:
        tests.append(f"(host_id >= {bits}'d{source.start})")
    last = source.start + source.size - 1
    if last < (1 << bits) - 1:
        tests.append(f"(host_id <= {bits}'d{last})")
    return " & ".join(tests) or "1'b1"


def _waiting_for_steps(plan: Plan) -> list[str]:
    """Return the channels, as engine label and number, that take step tokens of the host."""
    return [
        f"{e.label}__ch{k}" for e in plan.engines for k, c in enumerate(e.channels) if not c.source
    ]


def _engine(plan: Plan, engine: Engine) -> list[str]:
    label = engine.label
    index = plan.engines.index(engine)
    low = sum(trace_words(e) for e in plan.engines[:index]) * WORD
    bits = engine.trace_bits
    lines = ["", f"    {comment(f'population {engine.population.name}')}"]
    pins = [".clk", ".rst"]
    for k, channel in enumerate(engine.channels):
        name = f"{label}__ch{k}"
        lines += [f"    logic {name}_valid;", f"    logic {name}_ready;"]
        lines.append(f"    logic [{channel.word_bits - 1}:0] {name}_data;")
        pins += [f".ch{k}_{x}({name}_{x})" for x in ("valid", "ready", "data")]
    lines += [
        f"    logic {label}__valid;",
        f"    logic {label}__ready;",
        f"    logic [{engine.source.word_bits - 1}:0] {label}__data;",
        f"    logic {label}__idle;",
        f"    logic [{COUNTER_BITS - 1}:0] {label}__counter;",
        "`ifdef SPIKEC_TRACE",
        f"    logic [{bits - 1}:0] {label}__trace;",
        f"    assign trace_data[{low} +: {trace_words(engine) * WORD}] = "
        f"{trace_words(engine) * WORD}'({label}__trace);",
        "`endif",
    ]
    pins += [f".out_{x}({label}__{x})" for x in ("valid", "ready", "data")]
    pins += [f".idle({label}__idle)", *engine_pins(plan, engine), ".clear(cleared)"]
    pins += [f".select(select[{SELECT_BITS - 1}:0])", f".counter({label}__counter)"]
    joined = ",\n        ".join(pins)
    return [
        *lines,
        f"    engine_{label} {label}__engine (",
        "`ifdef SPIKEC_TRACE",
        f"        .trace_valid(trace_valid[{index}]), .trace_data({label}__trace),",
        "`endif",
        f"        {joined}",
        "    );",
    ]


def _output_wires(plan: Plan) -> list[str]:
    lines: list[str] = []
    for s in plan.outputs:
        lines += [f"    logic {s.label}__out_valid;", f"    logic {s.label}__out_ready;"]
    return lines


def _forks(plan: Plan) -> list[str]:
    """Return the lines that give every event to all who receive it, at once."""
    lines = ["", "    // Every event goes to all its receivers in the same cycle."]
    senders = [*plan.inputs, *(e.source for e in plan.engines)]
    for s in senders:
        receivers = [
            f"{e.label}__ch{k}"
            for e in plan.engines
            for k, c in enumerate(e.channels)
            if c.source is not None and c.source.name == s.name
        ]
        if s in plan.outputs:
            receivers.append(f"{s.label}__out")
        ready = " & ".join(f"{r}_ready" for r in receivers) or "1'b1"
        lines.append(f"    assign {s.label}__ready = {ready};")
        if not receivers:
            lines += [
                f"    logic {s.label}__unused;",
                f"    assign {s.label}__unused = &{{1'b0, {s.label}__valid, {s.label}__data}};",
            ]
        for r in receivers:
            valid = f"{s.label}__valid" + ("" if len(receivers) == 1 else f" & {s.label}__ready")
            lines.append(f"    assign {r}_valid = {valid};")
            if not r.endswith("__out"):
                lines.append(f"    assign {r}_data = {s.label}__data;")
    steps = _waiting_for_steps(plan)
    if steps:
        lines.append(f"    assign step_ready = {' & '.join(f'{r}_ready' for r in steps)};")
        for r in steps:
            lines += [f"    assign {r}_valid = step_valid;", f"    assign {r}_data = 1'b1;"]
    return lines


def _outputs(plan: Plan) -> list[str]:
    """Return the lines that send the events of the outputs to the host."""
    outward = Stream(plan.outputs)
    ib, vb, count = outward.id_bits, outward.value_bits, len(plan.outputs)
    width = 1 + ib + vb
    lines = [
        "",
        "    // Events for the host.",
        f"    logic [{count - 1}:0] merge_valid;",
        f"    logic [{count - 1}:0] merge_ready;",
        f"    logic [{count - 1}:0] merge_empty;",
        f"    logic [{count * width - 1}:0] merge_data;",
    ]
    for k, s in enumerate(plan.outputs):
        top = s.word_bits - 1
        value = f", {vb}'($signed({s.label}__event[{s.value_bits - 1}:0]))" if vb else ""
        if vb and not s.value_bits:
            value = f", {vb}'d1"
        lines += [
            f"    logic [{top}:0] {s.label}__event;",
            f"    spikec_fifo #(.WIDTH({s.word_bits})) {s.label}__queue (",
            f"        .clk, .rst, .in_valid({s.label}__out_valid),",
            f"        .in_ready({s.label}__out_ready),",
            f"        .in_data({s.label}__data), .out_valid(merge_valid[{k}]),",
            f"        .out_ready(merge_ready[{k}]), .out_data({s.label}__event),",
            f"        .empty(merge_empty[{k}])",
            "    );",
            f"    assign merge_data[{k * width} +: {width}] = {{{s.label}__event[{top}],",
            f"        {ib}'({s.label}__event[{s.value_bits} +: {s.id_bits}]) + {ib}'d{s.start}"
            f"{value}}};",
        ]
    zeros = outward.bits - width
    return [
        *lines,
        f"    logic [{width - 1}:0] merged;",
        "    logic merge_free;",
        f"    spikec_merge #(.SOURCES({count}), .WIDTH({width})) merge (",
        "        .clk, .rst, .in_valid(merge_valid), .in_ready(merge_ready), .in_data(merge_data),",
        "        .out_valid(m_axis_tvalid), .out_ready(m_axis_tready), .out_data(merged),",
        "        .free(merge_free)",
        "    );",
        f"    assign m_axis_tlast = merged[{width - 1}];",
        f"    assign m_axis_tdata = {{merged[{width - 1}]"
        f"{f', {zeros}' + chr(39) + 'd0' if zeros else ''}, merged[{width - 2}:0]}};",
    ]


def _ends(plan: Plan) -> list[str]:
    """Return the lines of what the host can ask for."""
    idle = " & ".join(f"{e.label}__idle" for e in plan.engines)
    lines = [
        "",
        "    assign idle = ~rst & host_empty & (&merge_empty) & merge_free",
        f"        & {idle};",
    ]
    # No always_comb: Icarus Verilog 11 does not come to an end with it.
    wide = select_bits(plan) - SELECT_BITS
    chosen = f"select[{select_bits(plan) - 1}:{SELECT_BITS}]"
    choices = [
        f"        {chosen} == {wide}'d{k} ? {engine.label}__counter :"
        for k, engine in enumerate(plan.engines)
    ]
    return [*lines, "    assign counter =", *choices, f"        {COUNTER_BITS}'d0;"]
