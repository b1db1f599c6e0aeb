"""What an engine is made of, in bits of each kind of logic, from the plan alone.

Each term is a physical quantity: bits of adders, of comparisons, of choices, of registers. How many
LUTs a bit takes is fitted (``estimate``); registers and memories are counted.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from spikec.backends.fpga.engines.controls import REGISTER_BITS, load, numbered
from spikec.backends.fpga.engines.engine import COUNTER_BITS, COUNTERS
from spikec.backends.fpga.lanes.wires import width
from spikec.backends.fpga.memory import address_bits
from spikec.backends.fpga.plan import Channel, Engine, Plan, Stream
from spikec.backends.fpga.sizes.memory import Cells, cells
from spikec.compiler.expr import Expr, topological
from spikec.compiler.types import Exact

# A DSP48E2 multiplies 27 by 18 bits; Yosys takes LUTs where the product or a factor is narrow.
DSP_WIDE, DSP_NARROW, DSP_LEAST, DSP_PRODUCT = 27, 18, 2, 9
DSP_PARTIAL = 17
# Of registers in a row that nothing reads in between, so many become a shift register in a LUT.
SHIFT_LEAST, SHIFT_MOST = 3, 16
_DECLARED = re.compile(r"^    logic (?:signed \[(\d+):0\] )?(r\d+_\w+);", re.MULTILINE)
_WIRED = re.compile(r"^    assign (\w+) = (?:\d+'\()?([a-z]\w*)\)?(?: <<< (\d+))?;$", re.MULTILINE)
_SHIFTED = re.compile(r"^    assign (\w+) = .* <<< (\d+);$", re.MULTILINE)
_CLOCKED = re.compile(r"^        (r\d+_\w+) <= (\w+);", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory of the design.

    Attributes:
        name: What it holds.
        width: Bits of a word.
        depth: Words.
        cells: What it becomes.
        register: Whether its data are registered once more, outside of it.
        at_once: Whether it is read without a clock and without a register.
    """

    name: str
    width: int
    depth: int
    cells: Cells
    register: bool = False
    at_once: bool = False

    @property
    def ff(self) -> int:
        """Flip-flops: of its words, of what is read, of the choice between rows."""
        read = 0 if self.at_once or self.cells.kind in ("block", "ultra") else self.width
        rows = (self.cells.rows - 1).bit_length() if self.cells.kind == "block" else 0
        return self.cells.ff + read + self.register * self.width + rows


def dsps(a: int, b: int, product: int) -> int:
    """Return the DSP48E2 of a signed product of a and b bits."""
    wide, narrow = max(a, b), min(a, b)
    if narrow < DSP_LEAST or product < DSP_PRODUCT:
        return 0
    columns = 1 + max(0, ceil((wide - DSP_WIDE) / DSP_PARTIAL))
    rows = 1 + max(0, ceil((narrow - DSP_NARROW) / DSP_PARTIAL))
    return columns * rows


def memories(engine: Engine) -> list[Memory]:
    """Return every memory of an engine."""
    lanes, groups = engine.lanes, engine.groups
    found = [
        Memory(f"sums {name}", lanes * t.width, groups, _sums(lanes * t.width, groups))
        for name, t in engine.ports.items()
    ]
    found += [
        Memory(f"state {p.source}", lanes * bits, groups, cells(lanes * bits, groups, True))
        for p, bits in engine.states
    ]
    for name, words in engine.memories().items():
        kind = name.removeprefix(f"{engine.label}_")
        weights = kind.startswith("weights")
        written = weights and engine.controls.upload
        style = words.style if weights and not written else "auto"
        if weights and engine.controls.in_ultra(words):
            style = "ultra"
        made, wide = cells(words.width, words.depth, written, style), words.width
        if made.kind == "logic":
            wide = words.columns()  # equal ones are made once
            made = cells(wide, words.depth, False)
        found.append(Memory(kind, wide, words.depth, made, weights))
    if engine.controls.lesions:
        made = cells(lanes, groups, True, "distributed")
        found.append(Memory("lesions", lanes, groups, made, at_once=True))
    for k, c in enumerate(engine.channels):
        made = cells(c.word_bits, c.depth, True)
        found.append(Memory(f"queue {k}", c.word_bits, c.depth, made))
    wide = 1 + lanes + lanes * engine.source.value_bits
    found.append(Memory("groups to send", wide, groups, cells(wide, groups, True)))
    return found


def _sums(wide: int, groups: int) -> Cells:
    return cells(wide, groups, True, "distributed")


def logic(engine: Engine) -> dict[str, float]:
    """Return the bits of each kind of logic of an engine."""
    lanes, held = engine.lanes, memories(engine)
    weighted = [c for c in engine.channels if c.rows is not None]
    sums = lanes * sum(t.width for t in engine.ports.values())
    states = lanes * sum(bits for _, bits in engine.states)
    made = {name: lanes * bits for name, bits in _arithmetic(engine).items()}
    made |= {
        "sums": sums,
        "states": states,
        "weights": lanes * sum(c.rows.weight_bits for c in weighted if c.rows is not None),
        "lanes": lanes,
        "hits": lanes * len(engine.role("hit")),
        "chosen": lanes * sum(engine.ports[p].width * (n - 1) for p, n in _shared_ports(engine)),
        "tables": sum(m.cells.table for m in held),
        "rows": sum((m.cells.rows - 1) * m.width for m in held),
        "queues": sum(address_bits(m.depth) for m in held if "queue" in m.name or "send" in m.name),
        "queue_words": sum(c.word_bits for c in engine.channels),
        "values": lanes * engine.source.value_bits,
        "addresses": sum(address_bits(c.rows.words.depth) for c in weighted if c.rows is not None),
        "windows": sum(_window_bits(c) for c in weighted),
        "engine": 1,
        "channels": len(engine.channels),
    }
    return made


def _shared_ports(engine: Engine) -> Iterator[tuple[str, int]]:
    for port in engine.ports:
        count = sum(c.port == port and c.rows is not None for c in engine.channels)
        if count > 1:
            yield port, count


def _window_bits(channel: Channel) -> int:
    assert channel.rows is not None
    w = channel.rows.window
    return 0 if w is None else w.address_bits + w.group_bits + w.count_bits


def _arithmetic(engine: Engine) -> dict[str, float]:
    """Return the bits of each kind of op in one lane."""
    bits: dict[str, float] = {"added": 0, "compared": 0, "selected": 0, "multiplied": 0}
    for node in topological(engine.lane.lane.roots()):
        for kind, amount in _op(node):
            bits[kind] += amount
    for c in engine.channels:
        if c.rows is not None and c.source is not None and c.source.value_bits:
            a, b = c.rows.weight_bits, c.source.value_bits
            bits["multiplied"] += 0 if dsps(a, b, a + b) else a * b
    return bits


def _op(node: Expr) -> Iterator[tuple[str, float]]:
    """Return which logic an op takes."""
    if not node.args or node.op == "shift":
        return
    wide, widths = width(node.dtype), [width(a.dtype) for a in node.args]
    match node.op:
        case "add" | "sub":
            yield "added", wide
        case "gt" | "ge" | "eq":
            yield "compared", max(widths)
        case "where":
            yield "selected", wide
        case "min" | "max":
            yield "compared", max(widths)
            yield "selected", wide
        case "saturate":
            yield "compared", _bounds(node)
            yield "selected", wide
        case "abs":
            yield "added", wide
            yield "selected", wide
        case "round" if isinstance(node.value, tuple) and node.value[1] != "floor":
            yield "added", int(node.value[0])  # bits that are not rounded off only pass a carry
        case "lookup":
            yield "selected", wide * 2 ** max(0, widths[0] - 6)
        case "mul" if not dsps(widths[0], widths[1], wide):
            yield "multiplied", widths[0] * widths[1]
        case _:
            return


def _bounds(node: Expr) -> int:
    """Return the bits that the comparisons of a saturation look at.

    Only of sides that can act, and the bits above a bound that is a power of two.
    """
    operand = node.args[0].dtype
    assert isinstance(node.value, tuple)
    assert isinstance(operand, Exact)
    lo, hi = (int(x) for x in node.value)
    total = 0
    for acts, size in ((operand.hi > hi, hi + 1), (operand.lo < lo, -lo)):
        if acts:
            low = size.bit_length() - 1 if size > 0 and size & (size - 1) == 0 else 0
            total += operand.width - low
    return total


def multipliers(engine: Engine) -> int:
    """Return the DSP48E2 of an engine."""
    count = 0
    for node in topological(engine.lane.lane.roots()):
        if node.op == "mul":
            a, b = (width(x.dtype) for x in node.args)
            count += dsps(a, b, width(node.dtype))
    for c in engine.channels:
        if c.rows is not None and c.source is not None and c.source.value_bits:
            a, b = c.rows.weight_bits, c.source.value_bits
            count += dsps(a, b, a + b)
    return engine.lanes * count


def lane_registers(engine: Engine) -> tuple[int, int]:
    """Return the flip-flops of a lane, and its shift registers in LUTs.

    A row of registers of one wire is one shift register, from the register of the memory that it
    comes from on, if nothing else reads them. Flip-flops saved in the memory count as negative.
    Bits that are always zero, below a constant shift, have no register.
    """
    text = engine.lane.text
    wired = {name: source for name, source, _ in _WIRED.findall(text)}

    def root(name: str) -> str:
        while name in wired:
            name = wired[name]
        return name

    zeros = {name: int(count) for name, count in _SHIFTED.findall(text)}
    bits = {
        name: int(top or 0) + 1 - zeros.get(name.partition("_")[2], 0)
        for top, name in _DECLARED.findall(text)
    }
    # Registers of one wire under two names are one.
    same: dict[str, str] = {}
    after: dict[str, str] = {}
    for name, clocked in _CLOCKED.findall(text):
        source = same.get(root(clocked), root(clocked))
        same[name] = after.setdefault(source, name)
    before = {name: source for source, name in after.items()}
    words = (n for line in _read_lines(text) for n in re.findall(r"[a-z]\w*", line))
    read = {same.get(root(n), root(n)) for n in words}
    ports = {p.name for p in engine.role("input", "state", "param")}
    flip_flops = shifted = 0
    for name, source in before.items():
        if source in before and source not in read:
            continue  # not the first of its row
        row, last = 1, name
        while last not in read and last in after:
            row, last = row + 1, after[last]
        from_memory = source in ports and source not in read
        if row + from_memory >= SHIFT_LEAST:
            shifted += bits[name] * ceil((row + from_memory) / SHIFT_MOST)
            flip_flops -= bits[name] * from_memory
        else:
            flip_flops += bits[name] * row
    return flip_flops, shifted


def _read_lines(text: str) -> Iterator[str]:
    """Return what reads wires in earnest: logic and tables, not registers and mere wiring."""
    for line in text.splitlines():
        if line.startswith("    assign") and not _WIRED.fullmatch(line):
            yield line.partition("=")[2]
        elif "case (" in line:
            yield line


def registers(engine: Engine) -> dict[str, float]:
    """Return the flip-flops of an engine by what they are for."""
    lanes, gb = engine.lanes, engine.group_bits
    held = memories(engine)
    lane, _ = lane_registers(engine)
    parts = 0
    for port, t in engine.ports.items():
        mine = [c for c in engine.channels if c.rows is not None and c.port == port]
        wide = [_term_bits(c) for c in mine]
        parts += min(t.width, max(wide, default=0))
    source = engine.source
    sender = lanes + lanes * source.value_bits + 3 * source.id_bits + source.value_bits + 5
    counted = COUNTER_BITS * len(COUNTERS) + sum(_steps(engine))
    return {
        "lane": lanes * lane,
        "memories": sum(m.ff for m in held),
        "parts": lanes * parts,
        "channels": sum(_channel_registers(c, gb) for c in engine.channels),
        "queues": sum(_queue_registers(m, engine) for m in held),
        "sender": sender,
        "counters": counted,
        "groups": (2 + gb) + (1 + gb) * engine.lane.latency + 2 * gb + lanes,
        "engine": 1,
    }


def _term_bits(channel: Channel) -> int:
    assert channel.rows is not None
    assert channel.source is not None
    return channel.rows.weight_bits + channel.source.value_bits


def _steps(engine: Engine) -> list[int]:
    """Return the bits by which each counter may grow in a cycle."""
    hits = engine.lanes * len(engine.role("hit"))
    return [
        len(engine.channels).bit_length(),
        engine.lanes.bit_length(),
        hits.bit_length(),
        1,
        *([1] * 7),
    ]


def _queue_registers(memory: Memory, engine: Engine) -> int:
    """Return head, tail, number of words, what is preloaded, and a flag."""
    if memory.name == "groups to send":
        delay = 0
    elif memory.name.startswith("queue"):
        delay = engine.channels[int(memory.name.split()[1])].delay
    else:
        return 0
    depth = memory.depth
    both = 2 * address_bits(depth) if depth > 1 else 0
    return both + (depth + 1 - 1).bit_length() + delay.bit_length() + 1


def _channel_registers(channel: Channel, group_bits: int) -> int:
    """Return the registers of a walker, and of what goes along with its words."""
    if channel.rows is None or channel.source is None:
        return 1
    value, ab = channel.source.value_bits, address_bits(channel.rows.words.depth)
    if channel.rows.window is not None:
        w = channel.rows.window
        walker = 3 * (w.address_bits + w.group_bits + w.count_bits) + value + 2
        rows = 6 + 3 * value + 2 * channel.source.id_bits
        return walker + rows + 2 * (group_bits + value)
    count = group_bits + 1
    along = 2 * value
    if channel.rows.pointers is None:
        along += 2 * group_bits
    else:
        along += 2 + value
    return ab + 2 * count + value + 2 + along + 3


def around(plan: Plan) -> dict[str, float]:
    """Return the terms of what stands around the engines."""
    inward, outward = Stream(plan.inputs), Stream(plan.outputs)
    ins, outs = 1 + inward.id_bits + inward.value_bits, 1 + outward.id_bits + outward.value_bits
    return {
        "design": 1,
        "engines": len(plan.engines),
        "words": ins + outs,
        "outputs": sum(s.word_bits for s in plan.outputs),
        **_written(plan),
    }


def _written(plan: Plan) -> dict[str, float]:
    """Return the terms of what the host may write: memories, bits of a word, bits compared."""
    made, found = load(plan), [m for _, m in numbered(plan)]
    if made is None:
        return {"written": 0, "loaded": 0, "bounded": 0}
    # What is compared with the bounds of a parameter is whole words of the registers.
    bounded = [-(-m.width // REGISTER_BITS) * REGISTER_BITS for m in found if m.interval]
    widest = max([*bounded, *(m.width for m in found)])
    return {
        "written": len(found),
        "loaded": widest + made.word_bits + made.memory_bits + 2,
        "bounded": 2 * sum(bounded),
    }


def around_memories(plan: Plan) -> list[Memory]:
    """Return the queues between host and engines."""
    inward = Stream(plan.inputs)
    wide = [1 + inward.id_bits + inward.value_bits, *(s.word_bits for s in plan.outputs)]
    return [Memory("host", w, 4, cells(w, 4, True)) for w in wide]
