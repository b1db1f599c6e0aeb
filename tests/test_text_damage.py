"""Damaged program text: an error of spikec or another program, never any other exception."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import small
import spikec
from sizes import evidence, size
from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.ir import Core, Input, Output, Population, Projection, Slice
from spikec.compiler.ir import Mapping as Placement
from spikec.compiler.semantics import PRESETS
from spikec.compiler.text import arrays, digest, parse_program, print_program
from spikec.compiler.types import Array, FixedPoint, Format, Tensor
from spikec.compiler.verify import verify

SEEN: Counter[str] = Counter()
HEAD = 'spikec 1\nprogram target=cpu passes=""\ngraph "g" dt=none\n'


@pytest.fixture(autouse=True, scope="module")
def keep_counts() -> Iterator[None]:
    """Record what the damaged texts led to."""
    yield
    evidence("damaged_text", **SEEN)


def rich() -> spikec.Program:
    """Return a program that uses all of the grammar."""
    nodes = (
        Input("x", (1, 2, 2), FixedPoint(4, 1), 0.5),
        Population("p", (4,), spikec.LIF(decay=[0.5, 0.25, 0.5, 0.5], v_min=-1.0), start=2),
        Population(
            "q",
            (1, 2, 1),
            spikec.CubaLIF(
                decay=Tensor.integers(3, FixedPoint(2, 2, signed=False)), synapse_decay=0.5
            ),
            {"u": Format(FixedPoint(9, -2), "floor", "wrap"), "v": Format(FixedPoint(16, 4))},
            0.25,
        ),
        Population("c", (2,), spikec.ContinuousLIF(tau=0.02, semantics=PRESETS["sinabs"])),
        Output("y", "q"),
        Output("z", "p"),
    )
    projections = (
        Projection("x", "p", spikec.Sparse.of(np.eye(4), Tensor.floats(np.arange(4)))),
        Projection(
            "x",
            "q",
            spikec.Conv2d((1, 2, 2), Tensor.integers([[[[1, -2]]]], FixedPoint(3))),
            delay=1,
        ),
        Projection("p", "c", spikec.Dense(Tensor.floats(np.ones((2, 4))))),
        Projection("q", "c", spikec.OneToOne(2, Tensor.floats(2.0)), delay=3, storage="sparse"),
    )
    findings = (Finding("SPK0653", "x", "taken to carry spikes"),)
    graph = spikec.Graph("net", nodes, projections, 1e-3, {"framework": "a test"}, findings)
    cores = (
        Core(0, 0, 1, (Slice("p", 0, 3), Slice("c", 0, 2))),
        Core(1, 0, 0, (Slice("q", 0, 2), Slice("p", 3, 4))),
    )
    return spikec.Program(graph, "cpu", "discretize", Placement.of(cores))


@dataclass(frozen=True)
class Whole:
    """A text, its arrays, and its tokens with the blanks between them."""

    text: str
    stored: Mapping[str, Array]
    tokens: tuple[str, ...]


def whole(program: spikec.Program) -> Whole:
    text = print_program(program)
    pattern = r'"(?:[^"\\]|\\.)*"|->|[A-Za-z0-9_.:+-]+|[\[\](){}=,*]|\s+'
    return Whole(text, arrays(program), tuple(re.findall(pattern, text)))


WHOLE = {
    "rich": whole(rich()),
    "integer": whole(
        spikec.compile(small.spiking(), pipeline="discretize,quantize", calibration=small.data())
    ),
}


def try_to_read(text: str, stored: Mapping[str, Array]) -> None:
    """Read a damaged text: an error of spikec, or a program that prints and reads as itself."""
    try:
        program = parse_program(text, stored)
        again = print_program(program)
        assert print_program(parse_program(again, arrays(program))) == again
        verify(program)
        SEEN["valid"] += 1
    except SpikecError as error:
        SEEN[error.code] += 1
        return
    if program.stage != "continuous" and all(p.start < 99 for p in program.graph.populations):
        run(program)


def run(program: spikec.Program) -> None:
    """What verify lets pass runs, and alike in both engines."""
    data = {i.name: np.ones((1, 3, *i.shape)) for i in program.graph.inputs}
    first, second = (
        spikec.simulate(program, data, ("spikes", "state"), b) for b in ("reference", "cpu")
    )
    for name, sent in first.spikes.items():
        np.testing.assert_array_equal(sent, second.spikes[name])
        for state, held in first.state[name].items():
            np.testing.assert_array_equal(held, second.state[name][state])
    assert first.counts == second.counts
    SEEN["ran"] += 1


@pytest.mark.parametrize("kind", WHOLE)
def test_the_undamaged_text_is_valid(kind: str) -> None:
    """The damage below begins with a text that reads, and whose every token is known."""
    begun = WHOLE[kind]
    assert "".join(begun.tokens) == begun.text
    program = parse_program(begun.text, begun.stored)
    verify(program)
    assert print_program(program) == begun.text


@pytest.mark.parametrize("kind", WHOLE)
def test_truncated_text(kind: str) -> None:
    """Cut after every character: an error, unless whole lines are left."""
    begun = WHOLE[kind]
    for k in range(len(begun.text)):
        try_to_read(begun.text[:k], begun.stored)


@pytest.mark.parametrize("kind", WHOLE)
def test_every_token_and_line_removed_and_doubled(kind: str) -> None:
    """One at a time."""
    begun = WHOLE[kind]
    for k, token in enumerate(begun.tokens):
        for middle in ((), (token, " ", token)):
            parts = (*begun.tokens[:k], *middle, *begun.tokens[k + 1 :])
            try_to_read("".join(parts), begun.stored)
    lines = begun.text.splitlines()
    for k in range(len(lines)):
        for rest in (lines[:k] + lines[k + 1 :], [*lines, lines[k]], [lines[k], *lines]):
            try_to_read("\n".join(rest), begun.stored)


WORDS = (
    *("0", "-1", "1", "7", "9" * 30, "9" * 5000, "-" + "9" * 18, "nan", "inf", "-inf", "1e999"),
    *("none", "float", "bool", "s8.0", "s99.0", "u1.-9999", "3:s8.0", "999:s8.0", "x:y:z", "i64"),
    *("f64", "sha:0000000000000000", '""', '"a"', '"\\ud800"', "[", "]", "(", ")", "{", "}", "="),
    *(",", "*", "->", "[2,2]", "[-1]", "[-2,-2]", "[4294967296,4294967296]", "[]", "relay()"),
    *("i64[]", "2.5", "1_0", "dense", "lif", "population", "*nan", "\u0664", "- >", "\x00"),
    *("9223372036854775808", "4611686018427387904", "zero", "s62.0", "u62.9999", "2147483648"),
)


@pytest.mark.parametrize("seed", range(size(3, 40)))
@pytest.mark.parametrize("kind", WHOLE)
def test_tokens_replaced_at_random(kind: str, seed: int) -> None:
    """One to three tokens become other ones, or hostile words: a thousand times a seed."""
    begun, random = WHOLE[kind], np.random.default_rng(seed)
    places = [k for k, t in enumerate(begun.tokens) if t.strip()]
    for _ in range(1000):
        damaged = list(begun.tokens)
        for place in random.choice(places, int(random.choice([1, 1, 2, 3]))):
            others = WORDS if random.random() < 0.6 else begun.tokens
            damaged[place] = others[int(random.integers(len(others)))]
        try_to_read("".join(damaged), begun.stored)


@pytest.mark.parametrize("kind", WHOLE)
def test_hostile_arrays(kind: str) -> None:
    """Every array of the text in turn is of another type, size or content."""
    begun = WHOLE[kind]
    for name, data in begun.stored.items():
        kinds: list[Any] = [np.float32, np.int8, np.bool_, np.complex128, str, object, "M8[s]"]
        others: list[Any] = [data.astype(np.int64).astype(k) for k in kinds]
        others += [np.array("x"), np.array([None]), data[:0], np.append(data, 1), data[..., None]]
        others += [np.array([np.nan, np.inf]), data.astype(">f8"), np.array(3.0)]
        for other in others:
            try_to_read(begun.text, {**begun.stored, name: other})


def test_a_missing_array_is_refused() -> None:
    """The line and the hash are shown."""
    begun = WHOLE["rich"]
    for name in begun.stored:
        with pytest.raises(SpikecError) as caught:
            parse_program(begun.text, {k: v for k, v in begun.stored.items() if k != name})
        assert re.fullmatch(
            rf"program text line \d+: array 'sha:{name}' is not stored beside it. "
            r"Compile again. \[SPK0602\]",
            str(caught.value),
        )


def test_a_changed_array_is_refused() -> None:
    """Its hash no longer fits."""
    begun = WHOLE["rich"]
    for name, data in begun.stored.items():
        with pytest.raises(SpikecError) as caught:
            parse_program(begun.text, {**begun.stored, name: data + 1})
        assert re.fullmatch(
            rf"program text line \d+: array 'sha:{name}' has changed. Compile again. \[SPK0604\]",
            str(caught.value),
        )


LIF = HEAD + "population p shape=[1] formats={} scale=1 start=0 lif(threshold="


@pytest.mark.parametrize(
    ("kind", "shape", "data"),
    [
        ("f64", "[1]", np.array(["x"])),
        ("f64", "[1]", np.array([None])),
        ("f64", "[1]", np.array([1j])),
        ("s8.0", "[-2,-2]", np.arange(4)),
        ("f64", "[-1]", np.arange(4.0)),
        # The product of this shape is zero in 64 bits.
        ("i64", "[4294967296,4294967296]", np.array([], dtype=np.int64)),
    ],
)
def test_an_array_of_no_numbers_or_no_shape_is_refused(kind: str, shape: str, data: Array) -> None:
    """Though its hash may be right."""
    name = digest(data) if data.dtype.kind in "if" else "00"
    with pytest.raises(SpikecError) as caught:
        parse_program(f"{LIF}{kind}{shape} sha:{name}", {name: data})
    line = f"program text line 4: array 'sha:{name}' has changed. Compile again. [SPK0604]"
    assert str(caught.value) == line


def test_an_array_stands_for_no_word() -> None:
    """Where a field has choices, an array is of the wrong type."""
    begun = WHOLE["integer"]
    name, data = next((n, a) for n, a in begun.stored.items() if a.size > 1)
    array = f"s62.0[{data.size}] sha:{name}"
    for choice in ("compare=gt", "reset=value", "max_spikes=1"):
        for kind in ("s62.0", "i64"):
            other = array.replace("s62.0", kind)
            text = begun.text.replace(choice, choice.split("=")[0] + "=" + other)
            with pytest.raises(SpikecError) as caught:
                parse_program(text, begun.stored)
            assert caught.value.code == "SPK0601"
