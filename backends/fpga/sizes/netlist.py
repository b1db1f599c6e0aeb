"""Reads a mapped netlist of Yosys: cells by kind, and the logic between registers.

Delays are not known without placement, so none are computed. What is counted is how many LUTs
stand in a row between two registers, and how many bits of carry, each at its worst.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

# LUTs that a memory cell takes (UG574, table of distributed RAM configurations).
LUTRAM = {
    "RAM32X1S": 1,
    "RAM64X1S": 1,
    "RAM128X1S": 2,
    "RAM256X1S": 4,
    "RAM512X1S": 8,
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "RAM128X1D": 4,
    "RAM256X1D": 8,
    "RAM32M": 4,
    "RAM64M": 4,
    "RAM32M16": 8,
    "RAM64M8": 8,
    "RAM32X16DR8": 8,
    "RAM64X8SW": 8,
    "SRL16E": 1,
    "SRLC16E": 1,
    "SRLC32E": 1,
}
FLIP_FLOPS = ("FDRE", "FDSE", "FDCE", "FDPE", "LDCE", "LDPE")
LUTS = ("LUT1", "LUT2", "LUT3", "LUT4", "LUT5", "LUT6", "INV")
WIDE = ("MUXF7", "MUXF8", "MUXF9")
CARRY = "CARRY4"
COUNTED = {"DSP48E2": "dsp", "RAMB36E2": "ramb36", "RAMB18E2": "ramb18", "URAM288": "uram"}


@dataclass(frozen=True, slots=True)
class Resources:
    """Cells of a part of a design.

    Attributes:
        lut: LUTs that compute; an inverter counts as one.
        lutram: LUTs that store.
        ff: Flip-flops.
        dsp: DSP48E2.
        ramb36: RAMB36E2.
        ramb18: RAMB18E2.
        uram: URAM288.
        carry8: CARRY8, two CARRY4 of a chain each.
    """

    lut: int = 0
    lutram: int = 0
    ff: int = 0
    dsp: int = 0
    ramb36: int = 0
    ramb18: int = 0
    uram: int = 0
    carry8: int = 0

    @property
    def luts(self) -> int:
        """LUTs in all."""
        return self.lut + self.lutram

    @property
    def bram36(self) -> float:
        """Block RAM in units of 36 kbit."""
        return self.ramb36 + self.ramb18 / 2

    @property
    def limited(self) -> dict[str, float]:
        """What a part has a limited number of, by the names in hw/targets/*.toml."""
        return {
            "lut": self.luts,
            "ff": self.ff,
            "dsp": self.dsp,
            "bram36": self.bram36,
            "uram": self.uram,
        }

    def __add__(self, other: "Resources") -> "Resources":
        """Return the sum."""
        names = [f.name for f in fields(self)]
        return Resources(**{n: getattr(self, n) + getattr(other, n) for n in names})


@dataclass(frozen=True, slots=True)
class Stage:
    """The logic in front of a register or memory.

    Attributes:
        part: Instance of the top module that the register is in; empty for the top itself.
        register: Its name, bits and lanes taken together.
        levels: LUTs in a row.
        carry: Bits of carry in a row, in fours.
    """

    part: str
    register: str
    levels: int
    carry: int


def part_of(name: str, parts: Iterable[str]) -> str:
    """Return which instance of the top module a cell or wire of the flat netlist is in."""
    inside = name.removeprefix("$flatten\\").removeprefix("\\")
    return next((p for p in parts if inside.startswith(f"{p}.")), "")


def resources(module: Mapping[str, Any], parts: Iterable[str]) -> dict[str, Resources]:
    """Return the cells of each part of a flat netlist, by instance; "" is the top itself."""
    listed = tuple(parts)
    counts: dict[str, dict[str, int]] = {p: {} for p in (*listed, "")}
    for name, cell in module["cells"].items():
        row, kind = counts[part_of(name, listed)], cell["type"]
        if kind in LUTS:
            what, amount = "lut", 1
        elif kind in LUTRAM:
            what, amount = "lutram", LUTRAM[kind]
        elif kind in FLIP_FLOPS:
            what, amount = "ff", 1
        elif kind in COUNTED:
            what, amount = COUNTED[kind], 1
        else:
            continue
        row[what] = row.get(what, 0) + amount
    for name, length in _chains(module).items():
        row = counts[part_of(name, listed)]
        row["carry8"] = row.get("carry8", 0) + (length + 1) // 2
    return {part: Resources(**row) for part, row in counts.items()}


def _chains(module: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of CARRY4 of every carry chain, by its first cell."""
    cells = {n: c["connections"] for n, c in module["cells"].items() if c["type"] == CARRY}
    by_carry = {c["CO"][3]: n for n, c in cells.items() if len(c["CO"]) > 3}
    before = {n: by_carry.get(c["CI"][0]) for n, c in cells.items()}
    length: dict[str, int] = {}
    for name in cells:
        first = name
        while (previous := before[first]) is not None:
            first = previous
        length[first] = length.get(first, 0) + 1
    return length


def stages(module: Mapping[str, Any], parts: Iterable[str]) -> list[Stage]:
    """Return the logic in front of every register of a flat netlist, worst first."""
    listed = tuple(parts)
    named = _names(module)
    arrival = _arrivals(module["cells"])
    worst: dict[tuple[str, str], tuple[int, int]] = {}
    for name, cell in module["cells"].items():
        ends = [a for bit in _ends(cell) if (a := arrival.get(bit)) is not None]
        if not ends:
            continue
        out = next((b for b in cell["connections"].get("Q", ()) if b in named), None)
        place = named[out] if out is not None else name.removeprefix("$flatten\\").lstrip("\\")
        part = part_of(place, listed)
        key = part, _register(place.removeprefix(f"{part}."))
        old = worst.get(key, (0, 0))
        worst[key] = max(old[0], *(e[0] for e in ends)), max(old[1], *(e[1] for e in ends))
    found = [Stage(part, name, *w) for (part, name), w in worst.items()]
    return sorted(found, key=lambda s: (-s.levels, -s.carry, s.part, s.register))


def _register(name: str) -> str:
    """Return the name of a register without lanes, and of a memory without its pieces."""
    whole = re.sub(r"\[\d+\]", "", name)
    return re.sub(r"\.memory\b.*|\.\$.*|\$.*", "", whole) or "unnamed"


def _names(module: Mapping[str, Any]) -> dict[Any, str]:
    """Return a name for every bit that has one: the shortest."""
    found: dict[Any, str] = {}
    for name, net in module["netnames"].items():
        if net.get("hide_name"):
            continue
        for bit in net["bits"]:
            if bit not in found or len(name) < len(found[bit]):
                found[bit] = name
    return found


def _through(cell: Mapping[str, Any]) -> list[str] | None:
    """Return the inputs from which outputs follow without a clock; None where there are none."""
    kind, ways = cell["type"], cell["port_directions"]
    inputs = [p for p, way in ways.items() if way == "input"]
    if kind in LUTS or kind in WIDE or kind == CARRY or kind.startswith("BUF"):
        return inputs
    if kind in LUTRAM and not kind.startswith("SRL"):
        # What is read follows from the address at once. H is the port that writes.
        return [p for p in inputs if p.startswith(("A", "DPRA")) and not p.endswith("H")]
    return None


def _ends(cell: Mapping[str, Any]) -> list[Any]:
    """Return the bits at the clocked inputs of a cell."""
    through = _through(cell)
    ways = cell["port_directions"]
    clocked = cell["type"] in LUTRAM or through is None
    if not clocked:
        return []
    names = [p for p, way in ways.items() if way == "input" and p not in (through or ())]
    return [bit for p in names for bit in cell["connections"].get(p, ())]


def _arrivals(cells: Mapping[str, Any]) -> dict[Any, tuple[int, int]]:
    """Return levels and bits of carry in front of every bit that logic drives."""
    waits: dict[str, int] = {}
    readers: dict[Any, list[str]] = {}
    driven: set[Any] = set()
    logic = {n: (c, through) for n, c in cells.items() if (through := _through(c)) is not None}
    for cell, _ in logic.values():
        driven.update(_outputs(cell))
    for name, (cell, through) in logic.items():
        bits = {b for p in through for b in cell["connections"].get(p, ()) if b in driven}
        waits[name] = len(bits)
        for bit in bits:
            readers.setdefault(bit, []).append(name)
    arrival: dict[Any, tuple[int, int]] = {}
    ready = [name for name, count in waits.items() if not count]
    while ready:
        name = ready.pop()
        cell, through = logic[name]
        before = [arrival.get(b, (0, 0)) for p in through for b in cell["connections"].get(p, ())]
        levels = max((b[0] for b in before), default=0)
        carry = max((b[1] for b in before), default=0)
        kind = cell["type"]
        levels += kind in LUTS or kind in LUTRAM
        carry += 4 * (kind == CARRY)
        for bit in _outputs(cell):
            arrival[bit] = levels, carry
            for reader in readers.get(bit, ()):
                waits[reader] -= 1
                if not waits[reader]:
                    ready.append(reader)
    return arrival


def _outputs(cell: Mapping[str, Any]) -> list[Any]:
    ways = cell["port_directions"]
    return [
        b
        for p, way in ways.items()
        if way == "output"
        for b in cell["connections"].get(p, ())
        if isinstance(b, int)
    ]
