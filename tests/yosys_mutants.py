"""Faults that Yosys makes in emitted RTL, and the checks of a build that find them.

All faults are in one simulation, chosen by a number at run time. A fault that no simulation shows
may lie in a lane, whose vectors are tried then, or in a module with proved properties, which are
proved again. What is left changes nothing, where Yosys can prove that, or is missed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pytest

import benches
from lanes import vectors
from rtl_networks import assert_exact
from spikec.backends.fpga import tools
from spikec.backends.fpga.lanes.lane import LaneModule
from spikec.backends.fpga.lanes.ops import literal
from spikec.backends.fpga.lanes.wires import Port
from spikec.backends.fpga.plan import Plan
from spikec.backends.fpga.proofs import protocol
from spikec.backends.fpga.simulation import cosim, simulators
from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array, Bool, Exact

BITS = 10  # of the number that chooses a fault; 0 is none
PATIENCE = 2000  # cycles without an event after which a faulty design hangs
SECONDS = 20  # of a run: a faulty design may send for ever,
MOST_BYTES = 64 << 20  # and so may fill disk and memory
ROWS = 200_000  # vectors of a lane: a low bit of a product shows once in thousands
MINUTES = 2  # of a solver, for a lane

Given = Sequence[tuple[Mapping[str, Array], int]]


@dataclass(frozen=True)
class Faulty:
    """A design with faults.

    Attributes:
        plan: Of the design.
        made: Its files.
        folder: Holds them, and ``bench`` with all faults.
        faults: Yosys commands that make them; number 1 is the first.
    """

    plan: Plan
    made: Mapping[str, str]
    folder: Path
    faults: tuple[str, ...]

    def option(self, number: int, name: str) -> str:
        """Return an option of the command that makes a fault."""
        words = self.faults[number - 1].split()
        return words[words.index(name) + 1]

    def about(self, number: int) -> str:
        """Return what a fault is and where, for people."""
        mode, cell, port = (self.option(number, k) for k in ("-mode", "-cell", "-port"))
        return f"{mode} of {port} of {cell}"

    @cached_property
    def modules(self) -> dict[str, dict[str, str]]:
        """The module of every instance, by the module that holds it, as Yosys names them."""
        tools.yosys([*_read(self.plan, self.made), "write_rtlil all.il"], self.folder)
        found: dict[str, dict[str, str]] = {}
        inside: dict[str, str] = {}
        for line in (self.folder / "all.il").read_text().splitlines():
            words = line.split()
            if words[:1] == ["module"]:
                inside = found.setdefault(words[1], {})
            elif words[:1] == ["cell"]:
                inside[words[2]] = words[1]
        return found

    def place(self, number: int) -> tuple[str, str]:
        """Return the module that a fault is in, and its cell there."""
        module, cell = "\\" + self.plan.label, self.option(number, "-cell")
        if not cell.startswith("$flatten"):
            return module, cell
        cell = cell.removeprefix("$flatten")
        while True:
            inside = self.modules[module]
            if cell in inside:
                return module, cell
            instance = next(
                i for i, m in inside.items() if cell.startswith(f"{i}.") and m in self.modules
            )
            module, cell = inside[instance], cell.removeprefix(f"{instance}.")

    def command(self, number: int) -> str:
        """Return the command that makes a fault for good, in the module that it is in."""
        module, cell = self.place(number)
        text = re.sub(r" -ctrl \S+ \S+ \S+", "", self.faults[number - 1])
        text = text.replace(f" -cell {self.option(number, '-cell')} ", f" -cell {cell} ")
        return text.replace(f" -module {self.plan.label} ", f" -module {module.lstrip(chr(92))} ")


def _read(plan: Plan, made: Mapping[str, str]) -> list[str]:
    """Return the commands that read a design, with its properties.

    Cells get their numbers here: all faults and checks must begin with the same commands.
    """
    sources = sorted(n for n in made if n.startswith("rtl/"))
    return [
        *(f"read_verilog -defer -formal -sv -DSPIKEC_TRACE {name}" for name in sources),
        f"hierarchy -check -top {plan.label}",
        "proc -norom",
    ]


def _flat(plan: Plan, made: Mapping[str, str]) -> list[str]:
    return [*_read(plan, made), "chformal -remove", "flatten", "opt_clean"]


def faulty(
    plan: Plan, made: Mapping[str, str], count: int, seed: int, bits: int, folder: Path
) -> Faulty:
    """Build a design with so many faults into ``folder``.

    Its counters have no more bits than a simulation fills; none fills 48.
    """
    short = {n: t.replace(".WIDTH(48), .AB", f".WIDTH({bits}), .AB") for n, t in made.items()}
    assert short != made
    short = {n: t for n, t in short.items() if n.startswith(("rtl/", "mem/"))}
    simulators.write({n: protocol.with_properties(n, t) for n, t in short.items()}, folder)
    chosen = f"mutate -list {2 * count} -seed {seed} -o faults.ys"
    tools.yosys([*_flat(plan, short), chosen], folder)
    # What a memory holds at the start must stay a constant, and Yosys reads it at every edge.
    fixed = re.compile(r"-cell \S*\$meminit|-cell \S*\$memrd\S* -port (EN|CLK)")
    listed = [f for f in (folder / "faults.ys").read_text().splitlines() if not fixed.search(f)]
    faults = [f"{f} -ctrl fault {BITS} {k + 1}" for k, f in enumerate(listed[:count])]
    tools.yosys([*_flat(plan, short), *faults, "write_cxxrtl -g0 design.cc"], folder)
    lines = simulators.design_header(plan, "cxxrtl").splitlines()
    model = lines[1].split("= ")[1].rstrip(";")
    lines[1] = (
        "#include <cstdlib>\n"
        f"struct Faulty : {model} {{\n"
        '    Faulty() { p_fault.data[0] = uint32_t(atoi(getenv("FAULT"))); }\n'
        "};\n"
        "using Model = Faulty;"
    )
    lines = [f"constexpr uint64_t PATIENCE = {PATIENCE};" if "PATIENCE" in n else n for n in lines]
    simulators.write({**simulators.bench_texts(), "design.h": "\n".join(lines) + "\n"}, folder)
    include = tools.package_folder("pyosys") / "share/include/backends/cxxrtl/runtime"
    # A bit that a fault cuts out of a register settles later than the others: until then an address
    # may lie outside, which is no error.
    options = ["-std=c++17", "-O1", "-DSPIKEC_CXXRTL", "-DCXXRTL_NDEBUG", f"-I{include}", "-I."]
    tools.command(["g++", *options, simulators.BENCH, "-o", "bench"], folder)
    return Faulty(plan, short, folder, tuple(faults))


def simulated(design: Faulty, number: int, given: Given, patch: pytest.MonkeyPatch) -> bool:
    """Return whether the comparison with the reference finds a fault.

    Args:
        design: With faults.
        number: Of the fault; 0 for none.
        given: Data, and a seed of back-pressure and resets; tried one after the other.
        patch: For the time of the call.
    """

    def built(*_: object) -> Path:
        return design.folder

    with patch.context() as changed:
        changed.setattr(cosim, "bench", built)
        if number:  # without a fault the machine may take its time
            changed.setattr(cosim, "LIMIT", SECONDS)
            changed.setattr(cosim, "MOST_BYTES", MOST_BYTES)
        changed.setenv("FAULT", str(number))
        for data, seed in given:
            most = max(e.lanes for e in design.plan.engines)
            cuts = 200 if seed else 0
            try:
                assert_exact(
                    design.plan.program, data, "cxxrtl", most, seed, design.made, cuts=cuts
                )
            except (AssertionError, SpikecError):
                return True
    return False


def in_lane(design: Faulty, number: int, folder: Path) -> bool:
    """Return whether the vectors of the lane that a fault is in find it."""
    module, _ = design.place(number)
    lane = next((e.lane for e in design.plan.engines if f"\\{e.lane.name}" == module), None)
    if lane is None:
        return False
    keep = [f"select {lane.name}", "write_verilog -noattr -selected lane.v"]
    tools.yosys([*_read(design.plan, design.made), design.command(number), *keep], design.folder)
    bad = replace(lane, text=(design.folder / "lane.v").read_text())
    given = vectors(lane.lane, ROWS, number)
    found = benches.run("cxxrtl", [bad], [given], ROWS, folder)
    return bool(benches.differences([bad], [given], ROWS, found))


def asked(design: Faulty, number: int) -> str:
    """Ask bitwuzla whether a fault in a lane can change what it gives.

    Returns:
        ``sat`` where it can, for operands in their intervals, ``unsat`` where it cannot, and else
        ``unknown``, also for a fault in no lane.
    """
    module, _ = design.place(number)
    lane = next((e.lane for e in design.plan.engines if f"\\{e.lane.name}" == module), None)
    if lane is None:
        return "unknown"
    for name, more in (("gold", []), ("gate", [design.command(number)])):
        keep = [f"rename {lane.name} {name}", f"select {name}", f"write_rtlil -selected {name}.il"]
        tools.yosys([*_read(design.plan, design.made), *more, *keep], design.folder)
    (design.folder / "both.sv").write_text(_both(lane))
    script = ["read_rtlil gold.il", "read_rtlil gate.il", "read_verilog -formal -sv both.sv"]
    script += ["hierarchy -check -top both", "proc -norom", "flatten", *protocol.WRITE]
    tools.yosys(script, design.folder)
    # What stood in the pipeline at first has left it in the last state.
    states = lane.latency + 2
    end = f"(assert (not (|both_a| s{states - 1})))"
    text = (design.folder / protocol.WRITTEN).read_text()
    return protocol.solve(text, [*protocol.path("both", states, initial=False), end], MINUTES * 60)


def _both(lane: LaneModule) -> str:
    """Return a module with a lane and a faulty one side by side, on the same operands."""
    clock = ["clk"] if lane.latency else []
    ports = [f"input logic {name}" for name in clock]
    ports += [f"input logic{_size(p)} {p.name}" for p in lane.inputs]
    lines = [f"module both ({', '.join(ports)});"]
    for name in ("gold", "gate"):
        lines += [f"    logic{_size(p)} {name}_{p.name};" for p in lane.outputs]
        pins = [f".{n}({n})" for n in (*clock, *(p.name for p in lane.inputs))]
        pins += [f".{p.name}({name}_{p.name})" for p in lane.outputs]
        lines.append(f"    {name} {name}_lane ({', '.join(pins)});")
    lines.append("    always_comb begin")
    for p in lane.inputs:
        if isinstance(p.dtype, Exact):
            low, high = literal(p.dtype.lo, p.width), literal(p.dtype.hi, p.width)
            lines.append(f"        assume ({p.name} >= {low} && {p.name} <= {high});")
    lines += [f"        assert (gold_{p.name} == gate_{p.name});" for p in lane.outputs]
    return "\n".join([*lines, "    end", "endmodule", ""])


def _size(port: Port) -> str:
    return "" if isinstance(port.dtype, Bool) else f" signed [{port.width - 1}:0]"


def refuted(design: Faulty, number: int) -> bool:
    """Return whether the properties of the module that a fault is in do not hold any more."""
    module, _ = design.place(number)
    name = module.lstrip("\\").replace("\\", "/")
    if protocol.plain(name) not in protocol.properties():
        return False
    script = [*_read(design.plan, design.made), design.command(number), *protocol.WRITE]
    tools.yosys(script, design.folder)
    text = (design.folder / protocol.WRITTEN).read_text()
    return any(k.status != "proved" for k in protocol.asked(text) if k.instance == name)


def equivalent(design: Faulty, number: int) -> bool:
    """Return whether Yosys proves that a fault changes nothing: by induction over registers."""
    top = design.plan.label
    plain = re.sub(r" -ctrl \S+ \S+ \S+", "", design.faults[number - 1])
    for name, more in (("gold", []), ("gate", [plain])):
        script = [*_flat(design.plan, design.made), *more, "memory -nordff", "opt_clean"]
        tools.yosys([*script, f"rename {top} {name}", f"write_rtlil {name}.il"], design.folder)
    script = [
        "read_rtlil gold.il",
        "read_rtlil gate.il",
        "memory_map",
        "equiv_make gold gate equiv",
        "hierarchy -top equiv",
        "equiv_simple -seq 1",
        "equiv_induct -seq 3",
        "equiv_status -assert",
    ]
    try:
        tools.yosys(script, design.folder)
    except SpikecError as error:
        if "unproven" not in error.problem:
            raise
        return False
    return True
