"""The text form: print and parse are inverse, and no text whatever ends in a traceback."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spikec
from sizes import examples
from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.ir import Core, Input, Mapping, Output, Population, Projection, Slice
from spikec.compiler.semantics import PRESETS
from spikec.compiler.text import arrays, digest, models, parse_program, print_program
from spikec.compiler.types import Bool, FixedPoint, Format, Tensor
from spikec.compiler.verify import verify

ODD = (
    "a",
    "-",
    ".",
    "--",
    "..",
    "-a",
    "1e5",
    "nan",
    "none",
    "a-b.c_d",
    "input",
    "s8.0",
    "-1",
    "x" * 128,
)
STRINGS = (
    "",
    '"',
    "\\",
    "a\nb",
    "é\u2028\U0001f9e0",
    "\x00\x1b[31m",
    "{}=,*->",
    "\ud800",
    "' -> \"",
)


def reread(program: spikec.Program) -> spikec.Program:
    """Return the program after print and parse, having checked that nothing changed."""
    text = print_program(program)
    again = parse_program(text, arrays(program))
    assert print_program(again) == text
    assert list(arrays(again)) == list(arrays(program))
    for name, data in arrays(program).items():
        np.testing.assert_array_equal(arrays(again)[name].ravel(), data.ravel())
    return again


def one(neuron: Any = None, synapse: Any = None, **population: Any) -> spikec.Graph:
    synapse = synapse or spikec.Dense(Tensor.floats([[0.5]]))
    nodes = (
        Input("x", (synapse.in_size,)),
        Population("p", (synapse.out_size,), neuron or spikec.Relay(), **population),
        Output("y", "p"),
    )
    return spikec.Graph("g", nodes, (Projection("x", "p", synapse),))


# ---------------------------------------------------------------- round trips


def test_names_of_dots_and_dashes() -> None:
    """Every name that is allowed can stand in the text, numbers and words of the grammar too."""
    relay, weight = spikec.Relay(), spikec.Dense(Tensor.floats([[1.0]]))
    for name in ODD:
        other = name + "z" if len(name) < 128 else name[1:]
        nodes = (Input(other, (1,)), Population(name, (1,), relay), Output(name, name))
        graph = spikec.Graph(name, nodes, (Projection(other, name, weight),))
        program = spikec.Program(graph)
        verify(program)
        again = reread(program).graph
        assert (again.name, again.outputs) == (name, graph.outputs)
        assert [p.name for p in again.populations] == [name]


@pytest.mark.parametrize("string", STRINGS)
def test_any_string_may_stand_in_metadata_and_findings(string: str) -> None:
    """Quotes, line breaks, control characters, unicode and lone surrogates."""
    graph = replace(
        one(),
        name=string,
        metadata={string: string, "b": string},
        findings=(Finding("SPK0001", string, string),),
    )
    program = spikec.Program(graph, passes=string)
    text = print_program(program)
    assert text.isascii()
    assert text.count("\n") == 10
    again = reread(program)
    assert (again.graph.name, again.passes) == (string, string)
    assert (again.graph.metadata, again.graph.findings) == (graph.metadata, graph.findings)


@given(text=st.text(), number=st.floats(allow_nan=False), whole=st.integers(-(2**61), 2**61 - 1))
@examples(200, 2000)
def test_any_string_and_number_survives(text: str, number: float, whole: int) -> None:
    """Floating point to the last bit, integers of 62 bits, strings of any characters."""
    tensors: dict[str, Any] = {
        "threshold": Tensor(np.array(number), scale=number),
        "v_init": Tensor.integers(whole, FixedPoint(62, -7), abs(number)),
        "reset_value": Tensor.floats([number]),
        "decay": Tensor.integers([whole], FixedPoint(62, 99)),
    }
    graph = replace(one(spikec.LIF(**tensors)), metadata={text: text}, dt=number)
    again = reread(spikec.Program(graph, passes=text)).graph
    assert again.metadata == {text: text}
    assert again.dt == number
    for name, tensor in tensors.items():
        found = again.population("p").neuron.parameters()[name]
        assert (found.dtype, found.scale, found.shape) == (tensor.dtype, tensor.scale, tensor.shape)
        np.testing.assert_array_equal(found.data, tensor.data)
        assert found.data.tobytes() == tensor.data.tobytes()


def test_formats_scales_and_starts() -> None:
    """Negative and large fractions, a scale, a start, an empty set of formats."""
    formats = {
        "v": Format(FixedPoint(16, -8), "to_zero", "wrap"),
        "leak": Format(FixedPoint(1, 99, signed=False), "floor", "never"),
    }
    lif = spikec.LIF(decay=np.array([0.25]), reset="none", compare="ge", v_min=None, max_spikes=0)
    for given_formats in (formats, {}):
        made = one(lif, formats=given_formats, scale=1e-05, start=3)
        again = reread(spikec.Program(made)).graph.population("p")
        assert (again.formats, again.scale, again.start) == (given_formats, 1e-05, 3)
        assert again.model().options() == lif.options()
        assert again.neuron.parameters()["decay"].shape == (1,)


def test_signals_and_shapes() -> None:
    """Every kind of input, of one axis and of three."""
    signals: list[Any] = [spikec.Input("x", (1,)).signal, Bool(), FixedPoint(5, -3, signed=False)]
    for signal in signals:
        node = Input("x", (2, 1, 3), signal, 0.1)
        graph = one(None, spikec.Dense(Tensor.floats(np.ones((1, 6)))))
        assert reread(spikec.Program(graph.with_nodes([node]))).graph.inputs == (node,)


@pytest.mark.parametrize("name", PRESETS)
def test_semantics_of_continuous_models(name: str) -> None:
    """With overrides that hold parentheses, stars and none."""
    for options in ("", "{step_rule=tau*(1+r),dt=none}", "{dt=1e-05,reset=none,lower_clip=none}"):
        semantics = spikec.Semantics.parse(name + options)
        model = spikec.ContinuousLIF(tau=0.02, semantics=semantics)
        again = reread(spikec.Program(one(model))).graph.population("p").neuron
        assert again.options() == {"semantics": semantics}


def test_every_model_and_synapse_kind() -> None:
    """Each with all its default options, scalars and one number per neuron."""
    for kind in models().values():
        for value in (1.0, [1.0]):
            required = {n: value for n in kind.dimensions() if n != "v_min"}
            required |= {n: 0.5 for n in ("memory",) if n in required}
            assert reread(spikec.Program(one(kind(**required)))).graph.populations
    empty = np.array([], dtype=np.int64)
    for synapse in (
        spikec.Conv2d(
            (1, 2, 3), Tensor.floats(np.ones((2, 1, 1, 2))), stride=(2, 1), dilation=(3, 1)
        ),
        spikec.Pool2d((1, 2, 3), (2, 1), Tensor.integers(1, FixedPoint(1, 2, signed=False), 0.3)),
        spikec.OneToOne(3, Tensor.floats([1.0, -0.0, 5e-324]), Tensor.floats([1, 2, 3])),
        spikec.Sparse(3, np.array([0, 0]), empty, Tensor.floats([])),
        spikec.Sparse(
            3, np.array([0, 2]), np.array([2, 0]), Tensor.integers([1, -1], FixedPoint(8))
        ),
    ):
        again = reread(spikec.Program(one(None, synapse))).graph.projections[0].synapse
        np.testing.assert_array_equal(again.to_sparse().toarray(), synapse.to_sparse().toarray())


def test_mapping() -> None:
    """Cores in order, with several slices, one or none."""
    cores = (
        Core(0, 1, 2, (Slice("p", 0, 1), Slice("x", 0, 1))),
        Core(5, 0, 0, (), chip=2),
        Core(3, 0, 0, (Slice("-", 5, 9), Slice("p", 1, 2))),
    )
    mapping = Mapping.of(cores)
    assert mapping.cores == (cores[0], cores[1], replace(cores[2], slices=cores[2].slices[::-1]))
    again = reread(spikec.Program(one(), mapping=mapping)).mapping
    assert again is not None
    assert again.cores == mapping.cores


def test_arrays_of_equal_bytes_keep_their_meaning() -> None:
    """The integer 1 and the least floating-point number have one hash, and stay what they are."""
    tiny = spikec.LIF(decay=np.array([5e-324, 0.0]))
    rows = spikec.Sparse(2, np.array([0, 1, 1]), np.array([0]), Tensor.floats([5e-324]))
    whole = Tensor.integers([1, 0], FixedPoint(2))
    for graph in (one(tiny, spikec.Dense(Tensor.floats([[1.0], [0.0]]), whole)), one(tiny, rows)):
        program = spikec.Program(graph)
        again = reread(program).graph
        assert again.population("p").neuron.parameters()["decay"].data.tolist() == [5e-324, 0.0]
        first, second = (g.projections[0].synapse for g in (graph, again))
        np.testing.assert_array_equal(first.weight.data, second.weight.data)
        if first.bias is not None and second.bias is not None:
            assert second.bias.data.tolist() == [1, 0]


# ---------------------------------------------------------------- errors


HEAD = 'spikec 1\nprogram target=cpu passes=""\ngraph "g" dt=none\n'


LIF = "population p shape=[1] formats={} scale=1 start=0 lif"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("@", "'@' cannot be read"),
        ("wire a", "'wire' is not a kind of line"),
        ("meta a b", "'a' is not a string"),
        ("output y source=p q", "'q' is left over"),
        ("output y source", "'' stands where = should"),
        ("output", "'' stands where a value should"),
        ("input x shape=[1.5]", "'1.5' is not an integer of at most 19 digits"),
        ("input x shape=[1] signal=bool scale=a", "'a' is not a number"),
        (LIF.replace("{}", "{v:s8.0}"), "a format is not site:s16.8:rounding:overflow"),
        (LIF.replace("lif", "lift()"), f"'lift' is not one of {', '.join(models())}"),
        (f"{LIF}(threshold=[1,2])", "lif.threshold has the wrong type"),
        (f"{LIF}(threshold=1.5:s8.0)", "'1.5:s8.0' is not a fixed-point number"),
        ("mapping places=f64[1,4]", "'f64' stands where i64 should"),
    ],
)
def test_errors_are_pinned(line: str, problem: str) -> None:
    """The line of the text, and the token that does not fit."""
    with pytest.raises(SpikecError) as caught:
        parse_program(f"{HEAD}\n{line}\n", {})
    expected = f"program text line 5: {problem}. Write it again with spikec. [SPK0601]"
    assert str(caught.value) == expected


@pytest.mark.parametrize("text", ["", "spikec 2\n\n\n", HEAD[:9], "spikec\n1\na\n"])
def test_another_header_is_refused(text: str) -> None:
    """The first line is the version of the form."""
    with pytest.raises(SpikecError) as caught:
        parse_program(text, {})
    line = "program text: it does not begin with 'spikec 1'. Compile again. [SPK0603]"
    assert str(caught.value) == line


def test_hashes_do_not_depend_on_layout() -> None:
    """Strides, byte order and width of the machine's numbers are no part of a hash."""
    a = np.arange(12).reshape(3, 4)
    assert digest(a) == digest(np.asfortranarray(a)) == digest(a.astype(">i2"))
    assert digest(a[::2, ::-1]) == digest(np.ascontiguousarray(a[::2, ::-1]))
    assert digest(a) != digest(a.T)
