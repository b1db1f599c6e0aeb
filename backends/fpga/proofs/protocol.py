"""Prove what carries events: no loss, no second copy, no reordering across a step, no standstill.

``hw/formal/<module>.sv`` holds properties of a module of ``hw/rtl``. They are written into the
module, Yosys gives it a meaning with the parameters it has in a design, and bitwuzla is asked two
questions: can a property fail within a few cycles of a reset, and can it fail in any state in which
none failed a cycle before. Two times no is a proof for every input and every length of run
(induction). That a network of such modules does not stand still follows from the depths of its
queues: docs/fpga_engines.md, "Events and time".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from spikec.backends.fpga.proofs.solvers import bitwuzla
from spikec.backends.fpga.tools import yosys

FORMAL = "formal"
# The questions: cycles after the reset, and seconds for an answer.
CYCLES = 4
SECONDS = 60.0
# What Yosys does to write the meaning of modules.
WRITTEN = "modules.smt2"
WRITE = (
    "async2sync",
    "chformal -lower",
    "memory_collect",
    "opt_clean",
    f"write_smt2 -wires {WRITTEN}",
)
# Properties hold from the first reset on.
# A module without a reset states for itself from when on they hold.
RESET = """
    logic started = 1'b0;
    always_ff @(posedge clk) if (rst) started <= 1'b1;
    always_comb if (!started) assume (rst);
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a module as a design uses it.

    Attributes:
        module: Its name.
        instance: Name that Yosys gives it with its parameters.
        status: proved; refuted, within a few cycles of a reset; open, where induction alone fails;
            unknown, without an answer in time.
        failed: Properties that a counterexample breaks.
    """

    module: str
    instance: str
    status: str
    failed: tuple[str, ...] = ()


def properties() -> dict[str, str]:
    """Return the properties by the name of the module."""
    folder = files("spikec.hw").joinpath(FORMAL)
    found = {f.name: f.read_text(encoding="utf-8") for f in folder.iterdir()}
    return {n.removesuffix(".sv"): found[n] for n in sorted(found) if n.endswith(".sv")}


def with_properties(name: str, text: str) -> str:
    """Return the text of a module with its properties, if it has any."""
    module = Path(name).stem
    known = properties()
    if module not in known:
        return text
    body, end, rest = text.rpartition("endmodule")
    reset = RESET if re.search(r"\binput +logic +rst\b", text) else ""
    return f"{body}{reset}{known[module]}{end}{rest}"


def prove(made: Mapping[str, str], top: str) -> list[Kept]:
    """Prove the properties of every module that a design uses, with the parameters it uses.

    Args:
        made: Files of a build.
        top: Its top module.

    Raises:
        SpikecError: SPK1801 without the tools, SPK1802 when Yosys does not read the text.
    """
    parts = {name: text for name, text in made.items() if name.startswith(("rtl/", "mem/"))}
    with TemporaryDirectory(prefix="spikec-") as place:
        folder = Path(place)
        for name, text in parts.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(with_properties(name, text), encoding="utf-8")
        sources = sorted(name for name in parts if name.endswith(".sv"))
        script = [f"read_verilog -defer -formal -sv {name}" for name in sources]
        yosys([*script, f"hierarchy -check -top {top}", "proc -norom", *WRITE], folder)
        return asked((folder / WRITTEN).read_text(encoding="utf-8"))


def asked(written: str) -> list[Kept]:
    """Return what is known of every module with properties in SMT-LIB that Yosys has written."""
    chunks = re.split(r"^; yosys-smt2-module ", written, flags=re.MULTILINE)[1:]
    pairs = sorted(chunk.split("\n", 1) for chunk in chunks)
    known = properties()
    return [_ask(plain(name), name, text) for name, text in pairs if plain(name) in known]


def plain(instance: str) -> str:
    """Return the module of an instance with parameters, as Yosys writes one."""
    parts = instance.split("/")
    # $paramod/<module>/<parameter>=<value>..., or $paramod$<hash>/<module>
    return parts[1] if len(parts) > 1 else instance


def _ask(module: str, instance: str, text: str) -> Kept:
    """Ask whether a property can fail soon after a reset, then whether it can do so anywhere."""
    names = re.findall(r"^; yosys-smt2-assert (\d+) (\S+)", text, re.MULTILINE)
    for status, question in (("refuted", _soon), ("open", _later)):
        answer = solve(text, question(instance))
        if answer != "unsat":
            failed = tuple(n for k, n in names if solve(text, question(instance, k)) != "unsat")
            return Kept(module, instance, status if answer == "sat" else "unknown", failed)
    return Kept(module, instance, "proved")


def _soon(instance: str, number: str = "") -> list[str]:
    return violated(instance, CYCLES, number)


def _later(instance: str, number: str = "") -> list[str]:
    """Return that a property fails in a state, and none in the state before."""
    ends = [f"(assert (|{instance}_a| s0))", f"(assert (not (|{instance}_a{_of(number)}| s1)))"]
    return [*path(instance, 2, initial=False), *ends]


def violated(instance: str, cycles: int, number: str = "") -> list[str]:
    """Return that a property, or one of all, fails within so many cycles of the beginning."""
    claim = " ".join(f"(|{instance}_a{_of(number)}| s{k})" for k in range(cycles + 1))
    return [*path(instance, cycles + 1, initial=True), f"(assert (not (and {claim})))"]


def _of(number: str) -> str:
    return f" {number}" if number else ""


def path(instance: str, states: int, initial: bool) -> list[str]:
    """Return states that follow one another, within what is assumed."""
    lines = [f"(declare-const s{k} |{instance}_s|)" for k in range(states)]
    lines += [f"(assert (|{instance}_i| s0))"] if initial else []
    for k in range(states):
        lines += [f"(assert (|{instance}_{kind}| s{k}))" for kind in ("u", "h")]
    lines += [f"(assert (|{instance}_t| s{k} s{k + 1}))" for k in range(states - 1)]
    return lines


def solve(text: str, lines: list[str], seconds: float = SECONDS) -> str:
    """Return what bitwuzla answers to a question on modules in SMT-LIB."""
    return bitwuzla(f"{text}\n" + "\n".join(lines) + "\n", [], seconds).result
