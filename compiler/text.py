"""The one text form of a program: print and parse.

One line per node and projection, stable under diff. Arrays appear as ``s8.0[128,64] sha:1f3c...``
(stored type, shape, start of the SHA-256 of the numbers), never as numbers; they travel beside the
text, by hash. Scalars appear as numbers: ``0.9`` floating point, ``3933:u12.12`` fixed point;
``*0.5`` behind either is the scale.
"""

import hashlib
import importlib
import json
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from math import prod
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin

import numpy as np

from spikec.compiler import neurons
from spikec.compiler.equation import Model
from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.ir import (
    Graph,
    Input,
    Node,
    Output,
    Population,
    Program,
    Projection,
)
from spikec.compiler.ir import Mapping as Placement
from spikec.compiler.semantics import Semantics
from spikec.compiler.synapses import KINDS as SYNAPSES
from spikec.compiler.types import (
    OVERFLOWS,
    ROUNDINGS,
    Array,
    Bool,
    FixedPoint,
    Float,
    Format,
    Overflow,
    Rounding,
    Tensor,
)

HEADER = "spikec 1"
CHUNK = 1 << 17  # numbers hashed at a time


def models() -> dict[str, type[Model]]:
    """Return every neuron model by kind, found by file name."""
    found: dict[str, type[Model]] = {}
    for module_info in pkgutil.iter_modules(neurons.__path__):
        module = importlib.import_module(f"spikec.compiler.neurons.{module_info.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Model) and "kind" in vars(value):
                found[value.kind] = value
    return found


# ---------------------------------------------------------------- arrays


def digest(data: Array) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of the numbers, in 64 bits each."""
    kind = "<f8" if data.dtype.kind == "f" else "<i8"
    found, flat = hashlib.sha256(kind.encode()), data.reshape(-1)
    for at in range(0, flat.size, CHUNK):
        found.update(flat[at : at + CHUNK].astype(kind).tobytes())
    return found.hexdigest()[:16]


def _data(value: Any) -> Array:
    return value.data if isinstance(value, Tensor) else np.asarray(value)


def arrays(program: Program) -> dict[str, Array]:
    """Return every array that the text names by hash."""
    found: dict[str, Array] = {}
    owners: list[Any] = [p.synapse for p in program.graph.projections]
    owners += [p.neuron for p in program.graph.populations]
    values: list[Any] = [p.delays for p in program.graph.projections]
    if program.mapping is not None:
        values += [program.mapping.places, *program.mapping.seats.values()]
    values += [getattr(owner, f.name) for owner in owners for f in fields(owner)]
    for value in values:
        if isinstance(value, Tensor | np.ndarray):
            data = _data(value)
            if data.ndim:
                found[digest(data)] = data
    return found


# ---------------------------------------------------------------- print


def print_program(program: Program) -> str:
    """Return the text form."""
    graph = program.graph
    lines = [
        HEADER,
        f"program target={program.target} passes={_quoted(program.passes)}",
        f"graph {_quoted(graph.name)} dt={_value(graph.dt)}",
    ]
    lines += [f"meta {_quoted(k)} {_quoted(v)}" for k, v in graph.metadata.items()]
    lines += [f"finding {f.code} {_quoted(f.where)} {_quoted(f.message)}" for f in graph.findings]
    lines += [_node(n) for n in graph.nodes]
    lines += [_edge(p) for p in graph.projections]
    if program.mapping is not None:
        lines.append(f"mapping places={_value(program.mapping.places)}")
        lines += [f"seats {n} cores={_value(a)}" for n, a in program.mapping.seats.items()]
    return "\n".join(lines) + "\n"


def _node(node: Node) -> str:
    if isinstance(node, Output):
        return f"output {node.name} source={node.source}"
    head = f"{node.name} shape={_value(node.shape)}"
    if isinstance(node, Input):
        return f"input {head} signal={_signal(node.signal)} scale={node.scale!r}"
    formats = ",".join(f"{site}:{form}" for site, form in node.formats.items())
    stream = f" stream={node.stream}" if node.stream else ""
    extra = f"formats={{{formats}}} scale={node.scale!r} start={node.start}{stream}"
    return f"population {head} {extra} {_call(node.neuron.kind, node.neuron)}"


def _edge(p: Projection) -> str:
    delays = "" if p.delays is None else f" delays={_value(p.delays)}"
    context = f" context={p.context}" if p.context else ""
    head = f"{p.source} -> {p.target} port={p.port} delay={p.delay}{delays}{context}"
    head += f" storage={p.storage}"
    return f"projection {head} {_call(p.synapse.kind, p.synapse)}"


def _signal(signal: Float | Bool | FixedPoint) -> str:
    return "float" if isinstance(signal, Float) else str(signal)


def _call(kind: str, owner: Any) -> str:
    inside = ", ".join(f"{f.name}={_value(getattr(owner, f.name))}" for f in fields(owner))
    return f"{kind}({inside})"


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Tensor):
        return _tensor(value)
    if isinstance(value, np.ndarray):
        index = _data(value)
        return f"i64{_value(index.shape)} sha:{digest(index)}"
    if isinstance(value, tuple):
        whole = cast(tuple[int, ...], value)
        return "[" + ",".join(str(int(v)) for v in whole) + "]"
    if isinstance(value, Semantics):
        return _quoted(str(value))
    return repr(value) if isinstance(value, float) else str(value)


def _tensor(t: Tensor) -> str:
    scale = "" if t.scale == 1.0 else f" *{t.scale!r}"
    if t.shape == ():
        number = repr(float(t.data)) if t.is_float else f"{int(t.data)}:{t.dtype}"
        return number + scale
    return f"{t.dtype}{_value(t.shape)} sha:{digest(t.data)}{scale}"


def _quoted(text: str) -> str:
    return json.dumps(text)


# ---------------------------------------------------------------- parse

_TOKEN = re.compile(
    r'\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<arrow>->)'
    r"|(?P<word>[A-Za-z0-9_.:+-]+)|(?P<mark>[\[\](){}=,*]))"
)
# 62 bits are 19 digits.
_NUMBER = re.compile(r"-?[0-9]{1,19}")
_FORMAT = re.compile(r"([^:]+):([^:]+):([^:]+):([^:]+)")
_ROUNDING: Mapping[str, Rounding] = {r: r for r in ROUNDINGS}
_OVERFLOW: Mapping[str, Overflow] = {o: o for o in OVERFLOWS}


class _Line:
    """The tokens of one line, read from left to right."""

    def __init__(self, number: int, text: str) -> None:
        self.at_line = number
        self.tokens = list(self._split(text))
        self.position = 0

    def _split(self, text: str) -> Iterator[str]:
        at, text = 0, text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise self.error(f"'{text[at : at + 20]}' cannot be read")
            yield match[0].strip()
            at = match.end()

    def error(self, problem: str) -> SpikecError:
        return SpikecError(
            "SPK0601", f"program text line {self.at_line}", problem, "Write it again with spikec"
        )

    def peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def take(self, expected: str | None = None) -> str:
        token = self.peek()
        if not token or (expected is not None and token != expected):
            raise self.error(f"'{token}' stands where {expected or 'a value'} should")
        self.position += 1
        return token

    def end(self) -> None:
        if self.peek():
            raise self.error(f"'{self.peek()}' is left over")

    def string(self) -> str:
        token = self.take()
        try:
            value = json.loads(token)
        except ValueError:
            value = None
        if not isinstance(value, str):
            raise self.error(f"'{token}' is not a string")
        return value

    def integer(self) -> int:
        token = self.take()
        if _NUMBER.fullmatch(token) is None:
            raise self.error(f"'{token}' is not an integer of at most 19 digits")
        return int(token)

    def number(self) -> float:
        token = self.take()
        try:
            return float(token)
        except ValueError:
            raise self.error(f"'{token}' is not a number") from None

    def key(self, name: str) -> None:
        self.take(name)
        self.take("=")

    def optional(self, name: str) -> str:
        """Read ``name=word`` where it stands there, else nothing."""
        if self.peek() != name:
            return ""
        self.key(name)
        return self.take()

    def integers(self) -> tuple[int, ...]:
        self.take("[")
        values: list[int] = []
        while self.peek() != "]":
            values.append(self.integer())
            if self.peek() == ",":
                self.take()
        self.take("]")
        return tuple(values)


def parse_program(text: str, stored: Mapping[str, Array]) -> Program:
    """Read the text form.

    Args:
        text: What ``print_program`` returned.
        stored: The arrays by hash, as ``arrays`` returned them.

    Raises:
        SpikecError: SPK0601 with the line; SPK0602 on an array that is missing or has changed.
    """
    lines = [_Line(k + 1, t) for k, t in enumerate(text.split("\n")) if t.strip()]
    if len(lines) < 3 or lines[0].tokens != HEADER.split():
        raise SpikecError(
            "SPK0603", "program text", f"it does not begin with '{HEADER}'", "Compile again"
        )
    reader = _Reader(stored)
    lines[1].take("program")
    lines[1].key("target")
    target = lines[1].take()
    lines[1].key("passes")
    passes = lines[1].string()
    lines[2].take("graph")
    name = lines[2].string()
    lines[2].key("dt")
    dt = lines[2].number() if lines[2].peek() != "none" else None
    if dt is None:
        lines[2].take()
    for line in lines[3:]:
        reader.line(line)
    for line in lines[1:]:
        line.end()
    graph = Graph(
        name,
        tuple(reader.nodes),
        tuple(reader.projections),
        dt,
        reader.metadata,
        tuple(reader.findings),
    )
    return Program(graph, target, passes, reader.mapping())


class _Reader:
    """Collects what the lines say."""

    def __init__(self, stored: Mapping[str, Array]) -> None:
        self.stored = stored
        self.models = models()
        self.nodes: list[Node] = []
        self.projections: list[Projection] = []
        self.places: Array | None = None
        self.seats: dict[str, Array] = {}
        self.metadata: dict[str, str] = {}
        self.findings: list[Finding] = []

    def line(self, line: _Line) -> None:
        match line.take():
            case "meta":
                key = line.string()
                self.metadata[key] = line.string()
            case "finding":
                self.findings.append(Finding(line.take(), line.string(), line.string()))
            case "input":
                self.nodes.append(self.input(line))
            case "output":
                name = line.take()
                line.key("source")
                self.nodes.append(Output(name, line.take()))
            case "population":
                self.nodes.append(self.population(line))
            case "projection":
                self.projections.append(self.projection(line))
            case "mapping":
                self.places = self.indices(line, "places")
            case "seats":
                name = line.take()
                if name in self.seats:
                    raise line.error(f"'{name}' is seated twice")
                self.seats[name] = self.indices(line, "cores")
            case other:
                raise line.error(f"'{other}' is not a kind of line")

    def input(self, line: _Line) -> Input:
        name = line.take()
        line.key("shape")
        shape = line.integers()
        line.key("signal")
        token = line.take()
        plain: dict[str, Float | Bool] = {"float": Float(), "bool": Bool()}
        signal = plain.get(token) or FixedPoint.parse(token)
        line.key("scale")
        return Input(name, shape, signal, line.number())

    def population(self, line: _Line) -> Population:
        name = line.take()
        line.key("shape")
        shape = line.integers()
        line.key("formats")
        formats = self.formats(line)
        line.key("scale")
        scale = line.number()
        line.key("start")
        start = line.integer()
        stream = line.optional("stream")
        return Population(name, shape, self.call(line, self.models), formats, scale, start, stream)

    def projection(self, line: _Line) -> Projection:
        source = line.take()
        line.take("->")
        target = line.take()
        line.key("port")
        port = line.take()
        line.key("delay")
        delay = line.integer()
        delays = None
        if line.peek() == "delays":
            delays = self.indices(line, "delays")
        context = line.optional("context")
        line.key("storage")
        storage = line.take()
        synapse = self.call(line, SYNAPSES)
        return Projection(source, target, synapse, port, delay, storage, delays, context)

    def indices(self, line: _Line, key: str) -> Array:
        """Read ``key=`` and an array of integers."""
        line.key(key)
        return _data(self.array(line, line.take("i64")))

    def mapping(self) -> Placement | None:
        """Return the mapping that the lines gave, if they did."""
        return None if self.places is None else Placement(self.places, self.seats)

    def formats(self, line: _Line) -> dict[str, Format]:
        found: dict[str, Format] = {}
        line.take("{")
        while line.peek() != "}":
            match = _FORMAT.fullmatch(line.take())
            rounding = _ROUNDING.get(match[3]) if match else None
            overflow = _OVERFLOW.get(match[4]) if match else None
            if match is None or rounding is None or overflow is None:
                raise line.error("a format is not site:s16.8:rounding:overflow")
            found[match[1]] = Format(FixedPoint.parse(match[2]), rounding, overflow)
            if line.peek() == ",":
                line.take()
        line.take("}")
        return found

    def call(self, line: _Line, kinds: Mapping[str, type[Any]]) -> Any:
        """Read ``kind(field=value, ...)``; every field must be there and of its type."""
        kind = line.take()
        if kind not in kinds:
            raise line.error(f"'{kind}' is not one of {', '.join(kinds)}")
        values: dict[str, Any] = {}
        line.take("(")
        for f in fields(kinds[kind]):
            line.key(f.name)
            value = self.value(line)
            if f.type is Semantics and isinstance(value, str):
                value = Semantics.parse(value)
            if _fits(0.0, f.type) and isinstance(value, Tensor) and not value.shape:
                value = float(value.data)
            if value is None and _fits("none", f.type):
                value = "none"  # the word, where it is one of the field's choices
            if not _fits(value, f.type):
                raise line.error(f"{kind}.{f.name} has the wrong type")
            values[f.name] = value
            if line.peek() == ",":
                line.take()
        line.take(")")
        return kinds[kind](**values)

    def value(self, line: _Line) -> Any:
        token = line.peek()
        if token == "[":
            return line.integers()
        if token.startswith('"'):
            return line.string()
        token = line.take()
        if line.peek() == "[":
            return self.array(line, token)
        if token == "none":
            return None
        if _NUMBER.fullmatch(token):
            return int(token)
        number, _, form = token.partition(":")
        if form:
            if _NUMBER.fullmatch(number) is None:
                raise line.error(f"'{token}' is not a fixed-point number")
            return Tensor.integers(int(number), FixedPoint.parse(form), self.scale(line))
        try:
            data = Tensor.floats(float(token)).data
        except ValueError:
            return token
        return Tensor(data, Float(), self.scale(line))

    def scale(self, line: _Line) -> float:
        if line.peek() != "*":
            return 1.0
        line.take()
        return line.number()

    def array(self, line: _Line, kind: str) -> Tensor | Array:
        shape = line.integers()
        name = line.take()
        if not name.startswith("sha:") or name[4:] not in self.stored:
            raise SpikecError(
                "SPK0602",
                f"program text line {line.at_line}",
                f"array '{name}' is not stored beside it",
                "Compile again",
            )
        data = self.stored[name[4:]]
        numbers = data.dtype.kind in ("iub" if kind == "i64" else "fiub")
        numbers = numbers and all(n >= 0 for n in shape)
        if not numbers or data.size != prod(shape) or digest(data) != name[4:]:
            raise SpikecError(
                "SPK0604",
                f"program text line {line.at_line}",
                f"array '{name}' has changed",
                "Compile again",
            )
        data = data.reshape(shape)
        if kind == "i64":
            return data
        scale = self.scale(line)
        if kind == "f64":
            return Tensor(Tensor.floats(data).data, Float(), scale)
        return Tensor.integers(data, FixedPoint.parse(kind), scale)


def _fits(value: Any, annotation: Any) -> bool:
    """Return whether a parsed value can be what a field of that annotation holds."""
    if get_origin(annotation) in (Union, UnionType):
        return any(_fits(value, a) for a in get_args(annotation))
    if get_origin(annotation) is Literal:
        return isinstance(value, str) and value in get_args(annotation)
    if get_origin(annotation) is tuple:
        wanted = get_args(annotation)
        return isinstance(value, tuple) and len(cast(tuple[int, ...], value)) == len(wanted)
    if annotation in (None, NoneType):
        return value is None
    plain = np.ndarray if get_origin(annotation) is np.ndarray else annotation
    return isinstance(value, plain)
