"""What a host may change at run time: weights, lesions, thresholds, each a memory with a number.

What was not asked for with the pass ``engines`` costs no logic. A word is written through the
registers of ``registers.py``; weights only while the design is stopped, the others also while it is
idle. What was written stays until it is written again: no reset changes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from spikec.backends.fpga.lanes.ops import literal
from spikec.backends.fpga.memory import Words, address_bits
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Graph, Population, Program
from spikec.compiler.target import load_target
from spikec.compiler.types import Exact

if TYPE_CHECKING:
    from spikec.backends.fpga.plan import Engine, Plan

REGISTER_BITS = 32
PARAMETER = "threshold"
MOST_SPAN = 1 << 16
# One URAM288 holds 4,096 words, a block RAM of the same width 512: less deep ones stay in those.
ULTRA_LEAST = 2048


@dataclass(frozen=True, slots=True)
class Controls:
    """What a host may change.

    Attributes:
        thresholds: From what part to what multiple of its value a threshold may go; 0 for never.
        lesions: Whether neurons can be silenced.
        upload: Whether weights can be replaced.
        ultra: Whether deep memories of weights are in ultra RAM, which the host fills.
    """

    thresholds: int = 0
    lesions: bool = False
    upload: bool = False
    ultra: bool = False

    def in_ultra(self, words: Words) -> bool:
        """Return whether weights are in ultra RAM."""
        return self.ultra and words.depth > ULTRA_LEAST


@dataclass(frozen=True, slots=True)
class Memory:
    """Words that the host may write.

    Attributes:
        kind: What they are.
        name: The weights of a channel, or a parameter, by its number or name; the lesions.
        depth: Words.
        width: Bits of a word.
        interval: Of a parameter; else None.
    """

    kind: Literal["weights", "lesions", "parameter"]
    name: str
    depth: int
    width: int
    interval: Exact | None = None


def controls(program: Program) -> Controls:
    """Return what the pass ``engines`` asked for.

    Raises:
        SpikecError: SPK1900 on what it cannot have asked for.
    """
    said: Any = program.reports.get("engines", {})
    found = {f.name: said[f.name] for f in fields(Controls) if f.name in said}
    span = found.get("thresholds", 0)
    flags = [found.get(name, False) for name in ("lesions", "upload", "ultra")]
    if not (type(span) is int and 0 <= span <= MOST_SPAN and all(type(f) is bool for f in flags)):
        raise SpikecError(
            "SPK1900",
            "engines",
            f"{found} are not a number from 0 to {MOST_SPAN} and three flags",
            "Give engines{thresholds=4,lesions=true,upload=true}",
        )
    asked = Controls(**found)
    if asked.ultra and not load_target(program.target).device.get("uram"):
        raise SpikecError(
            "SPK1969", "engines ultra", f"{program.target} has no ultra RAM", "Leave ultra out"
        )
    return replace(asked, upload=asked.upload or asked.ultra)


def intervals(graph: Graph, asked: Controls) -> dict[str, dict[str, Exact]]:
    """Return by population the interval of every parameter that becomes a register.

    Raises:
        SpikecError: SPK1901 when thresholds are asked for and no population has one that can be.
    """
    if not asked.thresholds:
        return {}
    found = {p.name: t for p in graph.populations if (t := _interval(p, asked.thresholds))}
    if not found:
        raise SpikecError(
            "SPK1901",
            "engines",
            "no population has one threshold, other than zero, for all its neurons",
            "Leave thresholds out",
        )
    return {name: {PARAMETER: t} for name, t in found.items()}


def _interval(population: Population, span: int) -> Exact | None:
    tensor = population.model().parameters().get(PARAMETER)
    if tensor is None or tensor.is_float or tensor.data.size != 1 or not tensor.data.any():
        return None
    value = int(tensor.data.flat[0])
    near, far = max(abs(value) // span, 1), abs(value) * span
    return Exact(near, far, tensor.frac) if value > 0 else Exact(-far, -near, tensor.frac)


def memories(engine: "Engine") -> tuple[Memory, ...]:
    """Return what the host may write of an engine, in the order of its write strobes."""
    found: list[Memory] = []
    if engine.controls.upload:
        for k, channel in enumerate(engine.channels):
            if channel.rows is not None:
                words = channel.rows.words
                found.append(Memory("weights", str(k), words.depth, words.width))
    if engine.controls.lesions:
        found.append(Memory("lesions", "", engine.groups, engine.lanes))
    for port in engine.registers:
        assert isinstance(port.dtype, Exact)
        found.append(Memory("parameter", port.source, 1, port.width, port.dtype))
    return tuple(found)


def strobe(engine: "Engine", kind: str, name: str) -> str:
    """Return the write strobe of a memory inside its engine."""
    listed = [(m.kind, m.name) for m in memories(engine)]
    return f"load[{listed.index((kind, name))}]"  # type: ignore[arg-type]


def numbered(plan: "Plan") -> list[tuple["Engine", Memory]]:
    """Return the memories of all engines; the place in the list is the number of a memory."""
    return [(engine, memory) for engine in plan.engines for memory in memories(engine)]


def sizes(found: Mapping[int, Memory]) -> tuple[int, int]:
    """Return the bits of an address and of a word that hold those of all memories."""
    address = max(address_bits(m.depth) for m in found.values())
    return address, max(m.width for m in found.values())


@dataclass(frozen=True, slots=True)
class Load:
    """The bits of the registers through which memories are written.

    Attributes:
        memory_bits: Of the number of a memory.
        word_bits: Of an address; every depth fits too, so that it can be compared.
        data_bits: Of a word, in whole words of the registers.
    """

    memory_bits: int
    word_bits: int
    data_bits: int


def load(plan: "Plan") -> Load | None:
    """Return the sizes of the load registers, or None where nothing can be written."""
    found = [memory for _, memory in numbered(plan)]
    if not found:
        return None
    width = max(m.width for m in found)
    depth = max(m.depth for m in found)
    return Load(
        address_bits(len(found)), depth.bit_length(), -(-width // REGISTER_BITS) * REGISTER_BITS
    )


def engine_ports(engine: "Engine") -> list[str]:
    """Return the ports of an engine through which its memories are written."""
    found = memories(engine)
    if not found:
        return []
    address, width = sizes(dict(enumerate(found)))
    return [
        "    // Words that the host writes, one strobe for each memory.",
        f"    input  logic [{len(found) - 1}:0] load,",
        "    /* verilator lint_off UNUSEDSIGNAL */",
        f"    input  logic [{address - 1}:0] load_address,",
        "    /* verilator lint_on UNUSEDSIGNAL */",
        f"    input  logic [{width - 1}:0] load_data,",
    ]


def engine_pins(plan: "Plan", engine: "Engine") -> list[str]:
    """Return the connections of those ports."""
    found = {k: m for k, (e, m) in enumerate(numbered(plan)) if e is engine}
    if not found:
        return []
    address, width = sizes(found)
    first = min(found)
    return [
        f".load(load_write[{first} +: {len(found)}])",
        f".load_address(load_word[{address - 1}:0])",
        f".load_data(load_data[{width - 1}:0])",
    ]


def engine_registers(engine: "Engine") -> list[str]:
    """Return the lines of lesions and parameters inside an engine."""
    lines: list[str] = []
    if engine.controls.lesions:
        group = engine.group_bits
        lines += [
            "",
            "    // A lesioned neuron goes on, but what it sends is lost.",
            "    logic [LANES-1:0] lesioned;",
            f"    spikec_lesions #(.LANES(LANES), .GROUPS({engine.groups}), .GB(GB)) lesions (",
            f"        .clk, .write({strobe(engine, 'lesions', '')}),",
            f"        .write_group(load_address[{group - 1}:0]),",
            "        .write_mask(load_data[LANES-1:0]), .group(late_group), .mask(lesioned)",
            "    );",
        ]
    for port in engine.registers:
        value = int(engine.population.model().parameters()[port.source].data.flat[0])
        lines += [
            "",
            f"    logic [{port.width - 1}:0] {port.name};",
            f"    initial {port.name} = {literal(value, port.width)};",
            "    always_ff @(posedge clk) begin",
            f"        if ({strobe(engine, 'parameter', port.source)}) "
            f"{port.name} <= load_data[{port.width - 1}:0];",
            "    end",
        ]
    return lines


def top_lines(plan: "Plan") -> list[str]:
    """Return the lines that decide which memory a word of the host goes to, and whether it may."""
    made = load(plan)
    if made is None:
        return []
    found = numbered(plan)
    lines = [
        "",
        "    // Words of the host: weights while stopped, lesions and thresholds while idle too.",
        f"    logic [{len(found) - 1}:0] load_write;",
        "    assign load_taken = load_write != '0;",
    ]
    for k, (engine, m) in enumerate(found):
        tests = [
            f"load_store & (load_memory == {made.memory_bits}'d{k})",
            f"(load_word < {made.word_bits}'d{m.depth})",
            "~started" if m.kind == "weights" else "(~started | idle)",
        ]
        if m.interval is not None:
            bits = -(-m.width // REGISTER_BITS) * REGISTER_BITS
            # Yosys stops at a $signed of a part that is all of a wire.
            part = "" if bits == made.data_bits else f"[{bits - 1}:0]"
            value = f"$signed(load_data{part})"
            tests.append(f"({value} >= {literal(m.interval.lo, bits)})")
            tests.append(f"({value} <= {literal(m.interval.hi, bits)})")
        about = f"{engine.label} {m.kind} {m.name}".rstrip()
        lines += [f"    assign load_write[{k}] = {_joined(tests)};  // {about}"]
    return lines


def _joined(tests: list[str]) -> str:
    return " &\n        ".join(tests)
