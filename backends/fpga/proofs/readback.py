"""Read the text of a lane back, and find the text of every node in it.

Nothing of the emitter is trusted here but the names of the wires: what drives a wire, from which
operands, how wide they are and through how many registers they come is taken from the text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from spikec.backends.fpga.lanes import ops
from spikec.backends.fpga.lanes.lane import LaneModule
from spikec.backends.fpga.lanes.wires import Operand, Port, Wires, width
from spikec.compiler.errors import SpikecError
from spikec.compiler.expr import Expr
from spikec.compiler.types import Bool

_DECLARED = re.compile(r" *(?:input +|output +)?logic (?:signed \[(\d+):0\] )?(\w+)[,;]?")
_ASSIGN = re.compile(r"    assign (\w+) = .*;")
_REGISTER = re.compile(r"        (\w+) <= (\w+);")
_TOKEN = re.compile(r"\d*'s?[bh][0-9a-f]+|[A-Za-z_$]\w*")
_OTHER = re.compile(
    r"|//.*|module \w+ \(|\);|endmodule|    always_ff @\(posedge clk\) begin|    end"
    r"|    /\* verilator lint_o(n|ff) UNUSEDSIGNAL \*/"
)
_WORDS = frozenset(("assign", "always_comb", "begin", "end", "case", "endcase", "default"))


@dataclass
class Text:
    """A module, line by line.

    Attributes:
        width: Bits of every port and wire.
        driver: Lines that drive each wire.
        register: What each register holds a cycle later.
    """

    width: dict[str, int] = field(default_factory=dict[str, int])
    driver: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    register: dict[str, str] = field(default_factory=dict[str, str])

    def source(self, name: str) -> tuple[str, int]:
        """Return what a wire is behind registers, and through how many it comes."""
        cycles = 0
        while name in self.register:
            name, cycles = self.register[name], cycles + 1
        return name, cycles


def read(name: str, text: str) -> Text:
    """Return the parts of a module.

    Raises:
        SpikecError: SPK1804 on a line that no lane holds, or a wire that is driven twice.
    """
    found, block = Text(), list[str]()
    for line in text.splitlines():
        if block or line == "    always_comb begin":
            block.append(line)
            if line == "    end":
                target = block[-3].split(":")[1].split("=")[0].strip()
                _once(name, found, target, line)
                found.driver[target] = block
                block = []
        elif declared := _DECLARED.fullmatch(line):
            found.width[declared[2]] = int(declared[1]) + 1 if declared[1] else 1
        elif assigned := _ASSIGN.fullmatch(line):
            _once(name, found, assigned[1], line)
            found.driver[assigned[1]] = [line]
        elif register := _REGISTER.fullmatch(line):
            _once(name, found, register[1], line)
            found.register[register[1]] = register[2]
        elif not _OTHER.fullmatch(line):
            raise _wrong(name, line)
    return found


def _once(name: str, text: Text, wire: str, line: str) -> None:
    if wire in text.driver or wire in text.register:
        raise _wrong(name, line)


def _wrong(name: str, line: str) -> SpikecError:
    return SpikecError(
        "SPK1804",
        name,
        f"'{line.strip()}' is not what the equation gives",
        "Compile again, and do not edit the generated text",
    )


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """The text of one node with its operands renamed a, b, c and its result y.

    Attributes:
        wire: Its name in the module.
        node: What it computes.
        operands: One for every argument; equal arguments have equal names.
        lines: What drives y.
    """

    wire: str
    node: Expr
    operands: tuple[Operand, ...]
    lines: tuple[str, ...]


def pieces(module: LaneModule, text: str) -> list[Piece]:
    """Return the pieces of which ``text`` consists, if it is the module of the lane.

    Raises:
        SpikecError: SPK1804 where the text does not follow from the lane.
    """
    found, wires = read(module.name, text), Wires(module.lane)
    arrival = {p.name: 0 for p in wires.inputs}
    made: list[Piece] = []
    used: set[str] = set()
    for node in wires.nodes:
        if not node.args or node.op == "shift":
            continue
        target = wires[node]
        names = [name for name, _ in ops.declarations(node, target.name)]
        for name, dtype in ops.declarations(node, target.name):
            _expect(module, found.width.get(name) == width(dtype), name)
        lines = [line for n in reversed(names) for line in found.driver.get(n, [])]
        piece = _piece(module, found, node, target, [wires[a] for a in node.args], lines, arrival)
        used.update(names)
        made.append(piece)
    for port, wire, _ in wires.outputs:
        made.append(_end(module, found, port, wire, arrival))
        used.add(port.name)
    _expect(module, used == set(found.driver), ", ".join(sorted(used ^ set(found.driver))))
    return made


def _end(
    module: LaneModule, found: Text, port: Port, wire: Operand, arrival: dict[str, int]
) -> Piece:
    """Return the piece that drives an output, which must come after all registers."""
    node, target = Expr("bound", (), None, port.dtype), Operand(port.name, port.dtype)
    lines = found.driver.get(port.name, [])
    piece = _piece(module, found, node, target, [wire], lines, arrival)
    late = wire.value is not None or arrival[port.name] == module.latency
    _expect(module, late and found.width[port.name] == port.width, lines[0])
    return piece


def _piece(
    module: LaneModule,
    found: Text,
    node: Expr,
    target: Operand,
    arguments: Sequence[Operand],
    lines: list[str],
    arrival: dict[str, int],
) -> Piece:
    """Rename operands and result, and hold that all operands arrive in the same cycle."""
    letters: dict[str, str] = {}
    for a in arguments:
        if a.value is None:
            letters.setdefault(a.name, "abc"[len(letters)])
    widths = {a.name: a.width for a in arguments if a.value is None}
    cycles: set[int] = set()

    def rename(match: re.Match[str]) -> str:
        token = match[0]
        if token in _WORDS or token[0] in "$'" or token[0].isdigit():
            return token
        stem, _, rest = token.partition("_")
        if token == target.name or (rest == target.name and stem in ("over", "under", "act")):
            return token[: len(token) - len(target.name)] + "y"
        source, late = found.source(token)
        _expect(module, source in letters and found.width[token] == widths[source], match.string)
        cycles.add(arrival[source] + late)
        return letters[source]

    _expect(module, bool(lines), target.name)
    renamed = tuple(_TOKEN.sub(rename, line).strip() for line in lines)
    _expect(module, len(cycles) <= 1, lines[0])
    for name in (target.name, f"act_{target.name}"):
        arrival[name] = next(iter(cycles), 0)
    operands = tuple(
        a if a.value is not None else Operand(letters[a.name], a.dtype) for a in arguments
    )
    return Piece(target.name, node, operands, renamed)


def _expect(module: LaneModule, holds: bool, line: str) -> None:
    if not holds:
        raise _wrong(module.name, line)


def is_flag(node: Expr) -> bool:
    """Return whether a node is a Bool."""
    return isinstance(node.dtype, Bool)
