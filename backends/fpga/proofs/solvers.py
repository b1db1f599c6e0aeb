"""Ask bitwuzla, z3 or Yosys whether something can happen."""

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

from spikec.backends.fpga.tools import package_folder

Result = Literal["unsat", "sat", "unknown"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Unsat: it cannot happen. Sat: it can, for these values of the 64-bit constants."""

    result: Result
    values: dict[str, int] = field(default_factory=dict[str, int])


def bitwuzla(problem: str, constants: list[str], seconds: float) -> Answer:
    """Ask bitwuzla.

    Args:
        problem: SMT-LIB declarations and assertions.
        constants: 64-bit constants whose values a model shall give.
        seconds: After so long the answer is unknown.

    Raises:
        SpikecError: SPK1801 when it is not installed.
    """
    package_folder("bitwuzla")
    solver: Any = import_module("bitwuzla")
    options = solver.Options()
    options.set(solver.Option.PRODUCE_MODELS, True)
    options.set(solver.Option.TIME_LIMIT_PER, int(seconds * 1000))
    parser = solver.Parser(solver.TermManager(), options)
    parser.parse(problem, True, False)
    engine = parser.bitwuzla()
    result = engine.check_sat()
    if result == solver.Result.UNSAT:
        return Answer("unsat")
    if result != solver.Result.SAT:
        return Answer("unknown")
    values = {c: int(engine.get_value(parser.parse_term(c)).value(10)) for c in constants}
    return Answer("sat", {c: _signed(v) for c, v in values.items()})


def z3(problem: str, constants: list[str], seconds: float) -> Answer:
    """Ask z3, with the same arguments."""
    solver: Any = import_module("z3")
    engine = solver.SolverFor("QF_BV")
    engine.set("timeout", int(seconds * 1000))
    engine.from_string(problem)
    result = engine.check()
    if result == solver.unsat:
        return Answer("unsat")
    if result != solver.sat:
        return Answer("unknown")
    model = engine.model()
    found = {str(d): model[d] for d in model.decls()}
    return Answer("sat", {c: _signed(found[c].as_long()) if c in found else 0 for c in constants})


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
