"""A whole network as Vitis HLS C++: hls/<network>_top.cpp, its header, and a test bench.

The top function makes one time step: it takes the words of a step, as the RTL does, and gives the
words that leave in it. Where no engine hears of a later one, all work at the same time (DATAFLOW).
"""

from collections.abc import Sequence
from importlib.resources import files

from spikec.backends.fpga.engines.top import digest
from spikec.backends.fpga.hls.engine import engine_function
from spikec.backends.fpga.hls.links import Links, event_type, stream_type
from spikec.backends.fpga.names import comment
from spikec.backends.fpga.plan import Plan, Source, Stream
from spikec.backends.fpga.simulation.simulators import bench_texts

FOLDER = "hls"


def hls_texts(plan: Plan, about: Sequence[str]) -> dict[str, str]:
    """Return the files of hls/ by their place in the build; ``about`` are lines for headers."""
    head = "\n".join(comment(line) for line in about)
    folder = files("spikec.hw").joinpath(FOLDER)
    made = {
        f"hls/{f.name}": f.read_text(encoding="utf-8")
        for f in sorted(folder.iterdir(), key=lambda f: f.name)
        if f.name.endswith(".h")
    }
    made["hls/records.h"] = bench_texts()["records.h"]
    made[f"hls/{plan.label}.h"] = _header(plan, head)
    made[f"hls/{plan.label}.cpp"] = _source(plan, head)
    made["hls/tb.cpp"] = _bench(plan, head)
    return made


def _header(plan: Plan, head: str) -> str:
    guard = f"{plan.label}_h".upper()
    inward, outward = Stream(plan.inputs), Stream(plan.outputs)
    return f"""{head}
#ifndef {guard}
#define {guard}

#include "spikec_hls.h"

// Words of the streams: {{eos, zeros, id, value}}; ids count through all inputs, or all outputs.
typedef ap_uint<{inward.bits}> {plan.label}_in;
typedef ap_uint<{outward.bits}> {plan.label}_out;

// One time step: takes words up to the end-of-step word, and gives words up to one.
// control, bit 0: first a new sample (initial states, empty queues), as before the first step of
// all; bit 1: all counters to zero. bad_id: an event of the step came for no input.
// Each input sends an id once at most in a step.
{_signature(plan)};

#endif
"""


def _signature(plan: Plan) -> str:
    ports = [
        f"hls::stream<{plan.label}_in> &s_axis",
        f"hls::stream<{plan.label}_out> &m_axis",
        "ap_uint<2> control",
        "bool &bad_id",
    ]
    ports += [f"spikec::Counter (&counts_{e.label})[spikec::COUNTERS]" for e in plan.engines]
    return f"void {plan.label}(\n    " + ",\n    ".join(ports) + "\n)"


def _source(plan: Plan, head: str) -> str:
    links = Links(plan)
    engines = [engine_function(e, k, links) for k, e in enumerate(plan.engines)]
    lines = [
        head,
        f'#include "{plan.label}.h"',
        "",
        *links.declared_queues(),
        *engines,
        *_receive(plan, links),
        *_transmit(plan, links),
        *_top(plan, links),
    ]
    return "\n".join([*lines, ""])


def _receive(plan: Plan, links: Links) -> list[str]:
    """Return the function that gives the words of the host to the inputs."""
    form = Stream(plan.inputs)
    low, high = form.value_bits, form.value_bits + form.id_bits - 1
    ports = [f"hls::stream<{plan.label}_in> &s_axis", "bool &bad_id"]
    body: list[str] = []
    ends: list[str] = []
    for n, s in enumerate(plan.inputs):
        here = [f"input{n}_{k}" for k in range(len(links.streams(s.name)))]
        ports += [f"{stream_type(s)} &{name}" for name in here]
        ends += [
            f"            {name}.write(spikec::end_of_step<{event_type(s)} >());" for name in here
        ]
        value = [f"            event.value = word({s.value_bits - 1}, 0);"] if s.value_bits else []
        body += [
            f"        }} else if ({_within(s)}) {{",
            f"            {event_type(s)} event;",
            "            event.eos = false;",
            f"            event.id = id - {s.start};" if s.start else "            event.id = id;",
            *value,
            *(f"            {name}.write(event);" for name in here),
        ]
    return [
        "",
        "// Words of the host to the inputs.",
        "static void receive(\n    " + ",\n    ".join(ports) + "\n) {",
        "    bool ended = false, bad = false;",
        "    while (!ended) {",
        "#pragma HLS PIPELINE II=1",
        f"#pragma HLS LOOP_TRIPCOUNT min=1 max={sum(s.size for s in plan.inputs) + 1}",
        f"        const {plan.label}_in word = s_axis.read();",
        f"        const ap_uint<{form.id_bits + 1}> id = word({high}, {low});",
        f"        ended = word[{form.bits - 1}];",
        "        if (ended) {",
        *ends,
        *body,
        "        } else {",
        "            bad = true;",
        "        }",
        "    }",
        "    bad_id = bad;",
        "}",
    ]


def _within(source: Source) -> str:
    last = f"id < {source.start + source.size}"
    return f"id >= {source.start} && {last}" if source.start else last


def _transmit(plan: Plan, links: Links) -> list[str]:
    """Return the function that sends the events of the outputs to the host."""
    form = Stream(plan.outputs)
    ports = [f"{stream_type(s)} &output{k}" for k, s in enumerate(plan.outputs)]
    ports.append(f"hls::stream<{plan.label}_out> &m_axis")
    body: list[str] = []
    for k, s in enumerate(plan.outputs):
        value: list[str] = []
        if form.value_bits:
            text = "event.value" if s.value_bits else "1"
            sent = f"ap_int<{form.value_bits}>({text})"
            value = [f"            word({form.value_bits - 1}, 0) = {sent};"]
        body += [
            f"    for (bool ended = false; !ended;) {{  {comment(s.name)}",
            "#pragma HLS PIPELINE II=1",
            f"#pragma HLS LOOP_TRIPCOUNT min=1 max={s.size + 1}",
            f"        const {event_type(s)} event = output{k}.read();",
            "        ended = event.eos;",
            "        if (!ended) {",
            f"            {plan.label}_out word = 0;",
            f"            word({form.value_bits + form.id_bits - 1}, {form.value_bits}) = "
            f"ap_uint<{form.id_bits}>(event.id + {s.start});",
            *value,
            "            m_axis.write(word);",
            "        }",
            "    }",
        ]
    return [
        "",
        "// Events for the host.",
        "static void transmit(\n    " + ",\n    ".join(ports) + "\n) {",
        *body,
        f"    {plan.label}_out end = 0;",
        f"    end[{form.bits - 1}] = 1;",
        "    m_axis.write(end);",
        "}",
    ]


def _top(plan: Plan, links: Links) -> list[str]:
    lines = ["", f"{_signature(plan)} {{"]
    lines += [f"#pragma HLS INTERFACE axis port={name}" for name in ("s_axis", "m_axis")]
    registers = ["control", "bad_id", *(f"counts_{e.label}" for e in plan.engines), "return"]
    lines += [f"#pragma HLS INTERFACE s_axilite port={name}" for name in registers]
    if links.feedback:
        lines.append("    // An engine hears of a later one: they work one after the other.")
    else:
        lines.append("#pragma HLS DATAFLOW")
    senders = [*plan.inputs, *(e.source for e in plan.engines)]
    for s in senders:
        for name in links.streams(s.name):
            lines += [
                f'    {stream_type(s)} {name}("{name}");',
                f"#pragma HLS STREAM variable={name} depth={s.size + 1}",
            ]
    given = [name for s in plan.inputs for name in links.streams(s.name)]
    lines.append(_call("receive", ["s_axis", "bad_id", *given]))
    for e in plan.engines:
        heard = [links.stream(e, k) for k, _ in links.heard(e)]
        told = links.streams(e.population.name)
        lines.append(_call(f"engine_{e.label}", ["control", *heard, *told, f"counts_{e.label}"]))
    lines.append(_call("transmit", [*(links.to_host(s) for s in plan.outputs), "m_axis"]))
    return [*lines, "}"]


def _call(function: str, arguments: Sequence[str]) -> str:
    return f"    {function}({', '.join(arguments)});"


def _bench(plan: Plan, head: str) -> str:
    counts = ", ".join(f"counts[{k}]" for k in range(len(plan.engines)))
    return f"""{head}
// The bench of spikec_tb.h for this network.
#include "{plan.label}.h"

typedef {plan.label}_in InWord;
typedef {plan.label}_out OutWord;
const int IN_BITS = {Stream(plan.inputs).bits}, OUT_BITS = {Stream(plan.outputs).bits};
const int ENGINES = {len(plan.engines)};
const unsigned HASH = 0x{digest(plan)[:8]};
static spikec::Counter counts[ENGINES][spikec::COUNTERS];

static void step(
    hls::stream<InWord> &in, hls::stream<OutWord> &out, ap_uint<2> control, bool &bad_id
) {{
    {plan.label}(in, out, control, bad_id, {counts});
}}

#include "spikec_tb.h"
"""
