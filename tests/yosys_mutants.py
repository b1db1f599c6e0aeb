"""Faults that Yosys makes in emitted RTL: all in one simulation, chosen by a number at run time."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from rtl_networks import assert_exact
from spikec.backends.fpga import cosim, tools
from spikec.backends.fpga.plan import Plan
from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array

BITS = 10  # of the number that chooses a fault; 0 is none
PATIENCE = 3000  # cycles without an event after which a faulty design hangs
SECONDS = 60  # of a run: a faulty design may send for ever

Given = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Faulty:
    """A design with faults.

    Attributes:
        plan: Of the design.
        made: Its files.
        folder: Holds them, ``bench``, and the Yosys commands ``faults.ys`` that made the faults.
        faults: Those commands; number 1 is the first.
    """

    plan: Plan
    made: Mapping[str, str]
    folder: Path
    faults: tuple[str, ...]

    def about(self, number: int) -> str:
        """Return what a fault is and where, for people."""
        words = self.faults[number - 1].split()
        mode, cell, port = (words[words.index(k) + 1] for k in ("-mode", "-cell", "-port"))
        places = [words[k + 1] for k, w in enumerate(words) if w == "-src"]
        return f"{mode} of {port} of {cell} ({', '.join(places)})"


def _read(plan: Plan, made: Mapping[str, str]) -> list[str]:
    sources = sorted(n for n in made if n.startswith("rtl/"))
    return [
        *(f"read_verilog -defer -sv -DSPIKEC_TRACE {name}" for name in sources),
        f"hierarchy -check -top {plan.label}",
        "proc",
        "flatten",
        "opt_clean",
    ]


def faulty(plan: Plan, made: Mapping[str, str], count: int, seed: int, folder: Path) -> Faulty:
    """Build a design with so many faults into ``folder``."""
    for name, text in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    chosen = f"mutate -list {count} -seed {seed} -ctrl fault {BITS} 1 -o faults.ys"
    tools.yosys([*_read(plan, made), chosen], folder)
    faults = (folder / "faults.ys").read_text().splitlines()
    tools.yosys([*_read(plan, made), *faults, "write_cxxrtl -g0 design.cc"], folder)
    header = cosim.design_header(plan, "cxxrtl")
    model = header.splitlines()[1].split("= ")[1].rstrip(";")
    choice = (
        "#include <cstdlib>\n"
        f"struct Faulty : {model} {{\n"
        '    Faulty() { p_fault.data[0] = uint32_t(atoi(getenv("FAULT"))); }\n'
        "};"
    )
    lines = header.splitlines()
    lines[1] = f"{choice}\nusing Model = Faulty;"
    lines = [f"constexpr uint64_t PATIENCE = {PATIENCE};" if "PATIENCE" in n else n for n in lines]
    (folder / "design.h").write_text("\n".join(lines) + "\n")
    (folder / cosim.BENCH).write_text(cosim.bench_text())
    include = tools.package_folder("pyosys") / "share/include/backends/cxxrtl/runtime"
    options = ["-std=c++17", "-O1", "-DSPIKEC_CXXRTL", f"-I{include}", "-I."]
    tools.command(["g++", *options, cosim.BENCH, "-o", "bench"], folder)
    return Faulty(plan, made, folder, tuple(faults))


def found(
    design: Faulty, number: int, given: list[tuple[Given, int]], patch: pytest.MonkeyPatch
) -> bool:
    """Return whether the comparison with the reference finds a fault.

    Args:
        design: With faults.
        number: Of the fault; 0 for none.
        given: Data and seeds of back-pressure, tried one after the other.
        patch: For the time of the call.
    """
    with patch.context() as changed:
        changed.setattr(cosim, "bench", lambda *_: design.folder)
        changed.setattr(cosim, "LIMIT", SECONDS)
        changed.setenv("FAULT", str(number))
        for data, seed in given:
            most = max(e.lanes for e in design.plan.engines)
            try:
                assert_exact(design.plan.program, data, "cxxrtl", most, seed, design.made)
            except (AssertionError, SpikecError):
                return True
    return False


def equivalent(design: Faulty, number: int) -> bool:
    """Return whether Yosys proves that a fault changes nothing: by induction over registers."""
    read = [*_read(design.plan, design.made), "memory -nordff", "opt_clean"]
    top = design.plan.label
    fault = design.faults[number - 1].split(" -ctrl ")
    plain = fault[0] + " " + " ".join(fault[1].split()[3:]) if len(fault) > 1 else fault[0]
    tools.yosys([*read, f"rename {top} gold", "write_rtlil gold.il"], design.folder)
    mutated = [*_read(design.plan, design.made), plain, "memory -nordff", "opt_clean"]
    tools.yosys([*mutated, f"rename {top} gate", "write_rtlil gate.il"], design.folder)
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
    except SpikecError:
        return False
    return True


