"""Errors: one code one place, one line each, no full stops in their parts."""

import ast
import pickle
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import spikec
from spikec.compiler.errors import Finding, SpikecError, one_line

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    p
    for top in ("compiler", "backends", "models", "src/spikec")
    for p in (ROOT / top).glob("**/*.py")
)
CODE = re.compile(r"SPK\d{4}")
RAISED = ("SpikecError", "Finding")


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in SOURCES:
        yield path, ast.parse(path.read_text())


def is_code(node: ast.AST) -> bool:
    """Return whether a node is a whole code, as in a call; docstrings only mention them."""
    text = node.value if isinstance(node, ast.Constant) else None
    return isinstance(text, str) and CODE.fullmatch(text) is not None


def sites() -> dict[str, list[str]]:
    """Return by code the places at which it is given to an error, a finding or a helper."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and is_code(node):
                found[str(node.value)].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def test_every_code_stands_at_one_place() -> None:
    """A code names one rule for ever."""
    found = sites()
    assert len(found) > 150
    doubled = {code: places for code, places in found.items() if len(places) > 1}
    assert not doubled


def pieces(node: ast.AST) -> list[str]:
    """Return the literal parts of a message."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return [str(p.value) if isinstance(p, ast.Constant) else "{}" for p in parts]


def calls() -> Iterator[tuple[str, list[ast.expr]]]:
    """Return place and arguments of every error and finding that is made with a code."""
    for path, tree in trees():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in RAISED
                and node.args
                and is_code(node.args[0])
            ):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.args


def test_the_parts_of_a_message_hold_no_line_break_and_end_in_no_full_stop() -> None:
    """The full stops are put in when the line is composed."""
    checked = 0
    for place, arguments in calls():
        for argument in arguments[1:]:
            text = "".join(pieces(argument))
            assert "\n" not in text, place
            assert not text.endswith((".", " ", "!", "?")), (place, text)
            assert not text.startswith((".", " ")), (place, text)
            checked += 1
    assert checked > 400


def test_errors_and_findings_have_all_their_parts() -> None:
    """Code, where, problem and remedy; code, where and message."""
    for place, arguments in calls():
        assert len(arguments) in (3, 4), place


def test_an_error_is_one_line_whatever_came_in() -> None:
    """Line breaks, control characters and lone surrogates are escaped; the rest stays."""
    error = SpikecError("SPK0000", "a\nb", "c\r\x1b[31m\u2028", "dé\ud800")
    assert str(error) == r"a\nb: c\r\x1b[31m\u2028. dé\ud800. [SPK0000]"
    assert str(Finding("SPK0000", "a\n", "b\tc")) == r"a\n: b\tc. [SPK0000]"
    for code in range(0x3000):
        assert one_line(chr(code)).isprintable()


def test_an_error_keeps_its_parts() -> None:
    """``at`` puts a place in front; errors cross process borders."""
    error = SpikecError("SPK0000", "v", "it is 3", "Use 2").at("p").at("quantize")
    assert str(error) == "quantize: p: v: it is 3. Use 2. [SPK0000]"
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.code) == (str(error), "SPK0000")
    assert (error.where, error.problem, error.remedy) == ("quantize: p: v", "it is 3", "Use 2")


def test_the_error_is_public() -> None:
    """Users catch spikec.SpikecError."""
    with pytest.raises(spikec.SpikecError):
        spikec.FixedPoint(0)
