"""Deliberate faults in the emitter: each must be refuted by proof and seen by simulation."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from spikec.backends.fpga.lanes.lane import LaneModule


@dataclass(frozen=True)
class Fault:
    """One edit of the text.

    Attributes:
        name: What is wrong.
        pattern: Where; the first match is edited.
        edit: Its replacement.
        small: So rarely of effect that only a lane of few bits shows it in simulation.
    """

    name: str
    pattern: str
    edit: str | Callable[[re.Match[str]], str]
    small: bool = False

    def apply(self, module: LaneModule, name: str) -> LaneModule | None:
        """Return the faulty module under another name, or None where there is no site."""
        text, count = re.subn(self.pattern, self.edit, module.text, count=1)
        if not count:
            return None
        text = text.replace(f"module {module.name} (", f"module {name} (")
        return replace(module, name=name, text=text)


def _next_digit(match: re.Match[str]) -> str:
    value = int(match[2], 16) ^ 1
    return f"{match[1]}{value:x}{match[3]}"


FAULTS = (
    Fault("floor for to_zero", r"\((\d+'\(\w+\)) \+ \(\w+\[\d+\] \? [^)]*\)\)", r"(\1)"),
    Fault("nearest for nearest_even", r" \+ \d+'\(\$signed\(\{1'b0, \w+\[\d+\]\}\)\)", ""),
    Fault("half too little", r"(\+ \d+'sh)(\w+)(\) >>>)", _next_digit, True),
    Fault("one bit dropped less", r">>> (\d+)\)", lambda m: f">>> {int(m[1]) - 1})"),
    Fault("ge for gt", r"(assign w\d+ = .*) > ", r"\1 >= ", True),
    Fault("gt for ge", r"(assign w\d+ = .*) >= ", r"\1 > ", True),
    Fault("no upper saturation", r"= over_w\d+ \? \S+ : ", "= "),
    Fault("no lower saturation", r"under_w\d+ \? \S+ : ", ""),
    Fault("wrong limit", r"(over_w\d+ \? \d+'sh)(\w+)( :)", _next_digit, True),
    Fault("limit one off", r"(assign over_w\d+ = .* > \d+'sh)(\w+)(;)", _next_digit, True),
    Fault("hit forgets a side", r"= over_\w+ \| (under_\w+);", r"= \1;"),
    Fault("difference for sum", r"(assign \w+ = [^;?]*\)?) \+ (\d+'\(\w+\);)", r"\1 - \2"),
    Fault("sum for difference", r"(assign x\w+ = \S+) - ", r"\1 + "),
    Fault("one shift too few", r"<<< (\d+);", lambda m: f"<<< {int(m[1]) - 1};"),
    Fault("wrong constant", r"(assign w\d+ = .*[+-] \d+'sh)(\w)(\w*;)", _next_digit),
    Fault("choice swapped", r"(assign w\d+ = \w+ \?) (\S+) : (\S+);", r"\1 \3 : \2;"),
    Fault("zero extension", r"(assign x\w+ = \S+ [+-] \d+'\()(\w+)(\);)", r"\1{1'b0, \2}\3"),
    Fault("wrap too narrow", r"\$signed\(\{1'b0, (\d+)'", lambda m: _narrower(m[0], m[1]), True),
    Fault("wrong table entry", r"(\d+'sh\w+: w\d+ = \d+'sh)(\w+)(;)", _next_digit),
    Fault("maximum for minimum", r"\((\S+) < (\S+)\) \?", r"(\1 > \2) ?"),
    Fault("or for and", r"(assign w\d+ = \S+) & ", r"\1 | "),
    Fault("lost negation", r"= ~(\w+);", r"= \1;"),
)
# These change which cycle a number is from, which reading the text back notices.
TIMING = (
    Fault("lost register", r"(r2_\w+) <= r1_(\w+);", r"\1 <= \2;"),
    Fault("register too many", r"(r2_\w+) <= (r1_\w+);", r"\1 <= r2_\2;"),
    Fault("operand from another cycle", r"(assign x\w+ = \w+ [+-] \d+'\()r1_(\w+\);)", r"\1\2"),
)


def _narrower(text: str, bits: str) -> str:
    return text.replace(f"{bits}'", f"{int(bits) - 1}'")
