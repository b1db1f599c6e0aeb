"""Record what the forward of a torch module does to tensors: the wiring between its layers.

The user's own forward runs once, on an example input. Layers and neurons are recorded as they are
called, and between them the few tensor functions that only add, scale, or move numbers. Everything
else that touches a recorded tensor gives an ``Unknown`` value, which is an error only where a
neuron or an output needs it; a branch on a recorded value is an error at once.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any, Protocol

from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.torch_library import extra, several, table, torch
from spikec.compiler.synapses import Shape
from spikec.compiler.types import Array


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A recorded tensor; the first axis of ``shape`` is the batch, or time before it."""

    shape: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Given(Value):
    """An argument of the forward."""

    name: str
    tensor: Any


@dataclass(frozen=True, slots=True, eq=False)
class Constant(Value):
    """A tensor that no argument reaches."""

    number: Array


@dataclass(frozen=True, slots=True, eq=False)
class Picked(Value):
    """Entry ``index`` of an axis of an argument: one step of it."""

    source: Given
    axis: int
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class Permuted(Value):
    """An argument with its axes in another order."""

    source: Given
    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Sent(Value):
    """What a neuron returns in one of its calls: ``spikes``, or a state."""

    call: "Call"
    port: str


@dataclass(frozen=True, slots=True, eq=False)
class Mapped(Value):
    """A layer's output."""

    name: str
    layer: Any
    source: Value


@dataclass(frozen=True, slots=True, eq=False)
class Summed(Value):
    """The sum of values, each times 1 or -1."""

    terms: tuple[tuple[int, Value], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Scaled(Value):
    """A value times numbers that do not change, which broadcast."""

    factor: Array
    source: Value


@dataclass(frozen=True, slots=True, eq=False)
class Reshaped(Value):
    """The same numbers in the same order."""

    source: Value


@dataclass(frozen=True, slots=True, eq=False)
class Stacked(Value):
    """Values side by side along a new axis."""

    parts: tuple[Value, ...]
    axis: int


@dataclass(frozen=True, slots=True, eq=False)
class Unknown(Value):
    """The result of something that is not understood."""

    what: str


@dataclass(slots=True, eq=False)
class Call:
    """One step of a neuron.

    Attributes:
        name: Of its module.
        module: The module.
        index: How many calls of the module came before.
        input: What it receives.
        states: What each of its states is taken from; None where it begins or goes on by itself.
        shape: Of what it sends, batch first.
    """

    name: str
    module: Any
    index: int
    input: Value
    states: dict[str, Value | None]
    shape: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """A call of a module that is not looked into.

    Attributes:
        name: Of the module.
        module: The module.
        args: What it is given by position.
        keywords: What it is given by name.
        forward: What computes the result.
    """

    name: str
    module: Any
    args: Sequence[Any]
    keywords: Mapping[str, Any]
    forward: Callable[..., Any]

    def given(self, names: Sequence[str]) -> dict[str, Any]:
        """Return what it is given, by the names of its parameters."""
        return dict(zip(names, self.args, strict=False)) | dict(self.keywords)

    def result(self) -> Any:
        """Compute."""
        return self.forward(*self.args, **self.keywords)


class Recorder(Protocol):
    """What adapters and layers use of the tracer."""

    calls: list[Call]

    def value(self, tensor: Any) -> Value:
        """Return what is known of a tensor."""
        ...

    def known(self, tensor: Any) -> bool:
        """Return whether a tensor is recorded."""
        ...

    def keep(self, tensor: Any, value: Value) -> None:
        """Record a tensor."""
        ...

    def held(self) -> list[Any]:
        """Return every recorded tensor."""
        ...

    def constant(self, result: Any) -> None:
        """Record that tensors are constants."""
        ...

    def count(self, module: Any) -> int:
        """Return the number of calls of a module so far, and count one more."""
        ...


class Library(Protocol):
    """The modules of one framework, and of torch itself."""

    def owns(self, module: Any) -> bool:
        """Return whether the module is a leaf: its own forward is not looked into."""
        ...

    def nameless(self, module: Any) -> bool:
        """Return whether the module may be one that is no part of the network."""
        ...

    def run(self, recorder: Recorder, leaf: Leaf) -> Any:
        """Call the leaf, record what it returns, and return it."""
        ...


@dataclass(slots=True, eq=False)
class Tracer:
    """One recording.

    Attributes:
        libraries: Who knows which modules.
        names: Of the modules, by id.
        functions: Runs and records a tensor function: (tracer, function, args, keywords).
        calls: Steps of neurons, in order.
        constants: Tensors that no argument reaches, by id: those that were there before, and those
            that functions make of such alone.
    """

    libraries: Sequence[Library]
    names: Mapping[int, str]
    functions: Callable[..., Any]
    calls: list[Call] = field(default_factory=list[Call])
    constants: dict[int, Any] = field(default_factory=dict[int, Any])
    _values: dict[int, tuple[Any, Value]] = field(default_factory=dict[int, tuple[Any, Value]])
    _counts: dict[int, int] = field(default_factory=dict[int, int])
    _inside: bool = False

    def value(self, tensor: Any) -> Value:
        """Return what is known of a tensor; one that is not recorded is a constant.

        What compiled code makes is neither: nobody saw what it was made of.
        """
        found = self._values.get(id(tensor))
        if found is not None:
            return found[1]
        if id(tensor) not in self.constants:
            return Unknown(tuple(tensor.shape), "a tensor of compiled or outside code")
        number = tensor.detach().to("cpu", torch().float64, copy=True).numpy()
        return Constant(tuple(tensor.shape), number)

    def known(self, tensor: Any) -> bool:
        """Return whether a tensor is recorded."""
        return id(tensor) in self._values

    def keep(self, tensor: Any, value: Value) -> None:
        """Record a tensor; it stays alive, so that no other takes its id."""
        self._values[id(tensor)] = (tensor, value)

    def held(self) -> list[Any]:
        """Return every recorded tensor."""
        return [tensor for tensor, _ in self._values.values()]

    def constant(self, result: Any) -> None:
        """Record that tensors are constants; they stay alive, as those of ``keep``."""
        self.constants.update((id(t), t) for t in tensors(result))

    def count(self, module: Any) -> int:
        """Return the number of calls of a module so far, and count one more."""
        index = self._counts.get(id(module), 0)
        self._counts[id(module)] = index + 1
        return index

    def run(self, module: Any, args: Sequence[Any]) -> Any:
        """Run the module and return what its forward returns.

        Raises:
            SpikecError: SPK1302 when the user's forward raises.
        """
        with torch().no_grad(), _watching(self):
            try:
                return module(*args)
            except SpikecError:
                raise
            except Exception as error:  # whatever the user's own forward raises
                reason = f"{type(error).__name__}: {error}".splitlines()[0][:200].rstrip(" .")
                raise SpikecError(
                    "SPK1302",
                    type(module).__name__,
                    f"its forward fails on the sample: {reason}",
                    "Give a sample that it accepts, or correct the module",
                ) from error

    def called(self, module: Any, args: Any, keywords: Any, forward: Callable[..., Any]) -> Any:
        """Run one module: a leaf is recorded, anything else is looked into."""
        owner = next((lib for lib in self.libraries if lib.owns(module)), None)
        if self._inside or owner is None:
            return forward(*args, **keywords)
        name = self.names.get(id(module))
        if name is None and not owner.nameless(module):
            raise SpikecError(
                "SPK1346",
                type(module).__name__,
                "the forward calls a module that is no part of the network",
                "Make it an attribute, or put it into an nn.ModuleList",
            )
        name = type(module).__name__ if name is None else name

        def quietly(*a: Any, **k: Any) -> Any:
            self._inside = True
            try:
                return forward(*a, **k)
            finally:
                self._inside = False

        return owner.run(self, Leaf(name, module, args, keywords, quietly))

    def function(self, function: Callable[..., Any], args: Any, keywords: Any) -> Any:
        """Run one tensor function and record its result where an operand is recorded."""
        if self._inside:
            return function(*args, **keywords)
        operands = list(tensors((args, keywords)))
        if not any(self.known(t) for t in operands):
            result = function(*args, **keywords)
            if all(id(t) in self.constants for t in operands):
                self.constant(result)
            return result
        return self.functions(self, function, args, keywords)


def tensors(value: Any) -> Iterator[Any]:
    """Yield every tensor in nested tuples, lists and dicts."""
    if isinstance(value, torch().Tensor):
        yield value
        return
    held = table(value)
    for part in several(value) or (() if held is None else held.values()):
        yield from tensors(part)


@contextmanager
def _watching(tracer: Tracer) -> Generator[None]:
    """Let the tracer see every call of a module and of a tensor function."""
    modules = torch().nn.Module
    original = modules.__call__

    def call(module: Any, *args: Any, **keywords: Any) -> Any:
        return tracer.called(module, args, keywords, lambda *a, **k: original(module, *a, **k))

    def handle(_: Any, function: Any, __: Any, args: Any = (), keywords: Any = None) -> Any:
        return tracer.function(function, args, keywords or {})

    base = extra("torch.overrides").TorchFunctionMode
    mode: Any = type("Recording", (base,), {"__torch_function__": handle})
    modules.__call__ = call
    try:
        with mode():
            yield
    finally:
        modules.__call__ = original


# ---------------------------------------------------------------- parts of values


def pick(value: Value, axis: int, index: int) -> Value:
    """Return entry ``index`` of an axis: one step of a value that holds all of them."""
    axis %= max(len(value.shape), 1)
    shape = value.shape[:axis] + value.shape[axis + 1 :]
    match value:
        case Given():
            return Picked(shape, value, axis, index)
        case Permuted():
            rest = [a for k, a in enumerate(value.axes) if k != axis]
            if rest == sorted(rest):
                return Picked(shape, value.source, value.axes[axis], index)
        case Stacked() if value.axis == axis:
            return value.parts[index]
        case Constant():
            return Constant(shape, value.number.take(index, axis))
        case Mapped() if value.layer.over_time and axis < len(value.shape) - 1:
            return Mapped(shape, value.name, value.layer, pick(value.source, axis, index))
        case Summed() if all(v.shape == value.shape for _, v in value.terms):
            return Summed(shape, tuple((s, pick(v, axis, index)) for s, v in value.terms))
        case Scaled() if value.factor.ndim < len(value.shape) - axis:
            return Scaled(shape, value.factor, pick(value.source, axis, index))
        case Reshaped() if value.shape[: axis + 1] == value.source.shape[: axis + 1]:
            return reshape(pick(value.source, axis, index), shape)
        case Unknown():
            return Unknown(shape, value.what)
        case _:
            pass
    return Unknown(shape, "an index of an axis that is not time")


def reshape(value: Value, shape: Shape) -> Value:
    """Return the same numbers in another shape, where the leading axes stay apart."""
    if shape == value.shape:
        return value
    if isinstance(value, Unknown):
        return Unknown(shape, value.what)
    if isinstance(value, Constant):
        return Constant(shape, value.number.reshape(shape))
    if prod(shape) != prod(value.shape) or not shape or shape[0] != value.shape[0]:
        return Unknown(shape, f"a reshape of {value.shape} to {shape}, which moves the batch axis")
    return Reshaped(shape, value.source if isinstance(value, Reshaped) else value)
