"""Errors and findings: one line that says where, what value, which rule, and what to do.

Format: ``<where>: <value and rule>. <what to do> [SPKnnnn]``. A code names one rule for ever;
no two places raise the same code (``tests/test_errors.py`` holds that).
"""

from dataclasses import dataclass

MOST_TEXT = 600  # characters of each part of a message


class SpikecError(Exception):
    """A problem in the user's model, data or options; never a bug in spikec.

    Args:
        code: Stable code, ``SPK`` and four digits.
        where: The node, file or option at fault.
        problem: The offending value and the rule it breaks, without a full stop.
        remedy: What to do about it, without a full stop.
    """

    def __init__(self, code: str, where: str, problem: str, remedy: str) -> None:
        """Compose the one line."""
        super().__init__(code, where, problem, remedy)
        self.code = code
        self.where = where
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        """Return the one line, whatever line breaks came in from outside."""
        where, problem, remedy = (_short(t) for t in (self.where, self.problem, self.remedy))
        return one_line(f"{where}: {problem}. {remedy}. [{self.code}]")

    def at(self, where: str) -> "SpikecError":
        """Return the same error with ``where`` put in front of its place."""
        return SpikecError(self.code, f"{where}: {self.where}", self.problem, self.remedy)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the user should know that does not stop the compilation."""

    code: str
    where: str
    message: str

    def __str__(self) -> str:
        """Return the one line."""
        return one_line(f"{_short(self.where)}: {_short(self.message)}. [{self.code}]")


def _short(text: str) -> str:
    """Return ``text``, cut where a hostile file would fill the screen."""
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}..."


def one_line(text: str) -> str:
    """Return ``text`` with every control character escaped, so that it prints as one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
