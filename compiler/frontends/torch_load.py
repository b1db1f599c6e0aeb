"""A torch module to a ``Graph``: run it on an example, roll up its steps, build the network."""

import inspect
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.frontends.norse import Norse
from spikec.compiler.frontends.snntorch import SnnTorch
from spikec.compiler.frontends.torch_cells import Cell, Framework
from spikec.compiler.frontends.torch_functions import record
from spikec.compiler.frontends.torch_graph import Builder
from spikec.compiler.frontends.torch_layers import Layers
from spikec.compiler.frontends.torch_library import is_tuple, several, table, torch
from spikec.compiler.frontends.torch_roll import roll, tap
from spikec.compiler.frontends.torch_trace import Call, Given, Tracer, tensors
from spikec.compiler.ir import Graph
from spikec.compiler.verify import verify_graph

FRAMEWORKS: tuple[Framework, ...] = (SnnTorch(), Norse())


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """A neuron module and the population that it became.

    Attributes:
        path: Of the module.
        population: Name.
        states: By the framework's name of a state, the model's.
        sends: The state that is sent as values; None where it is what the neuron returns.
    """

    path: str
    population: str
    states: Mapping[str, str]
    sends: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A torch module and what it was read as.

    Attributes:
        graph: The network.
        module: The module.
        arguments: Of its forward, by name, as in the sample.
        axes: The axis of time of each argument that is read step by step.
        steps: Steps that the forward made of the sample.
        neurons: The neuron modules.
    """

    graph: Graph
    module: Any
    arguments: Mapping[str, Any]
    axes: Mapping[str, int]
    steps: int
    neurons: tuple[Watched, ...]


def load_module(module: Any, sample: object | None, dt: float | None) -> Loaded:
    """Return a torch module and its graph.

    Args:
        module: The module; it is not changed.
        sample: A tensor or array, or a tuple of them, that its forward accepts; the first axis is
            the batch, or for a forward over time the axis that it indexes is time and the next one
            is the batch. None where the first layer says its size.
        dt: Step in seconds; None for that of the framework, if it has one.

    Raises:
        SpikecError: SPK1301 to SPK1349, or what ``verify_graph`` finds.
    """
    try:
        return _loaded(module, sample, dt)
    except RecursionError:
        raise SpikecError(
            "SPK1347",
            type(module).__name__,
            "its forward builds a chain of sums that is too long to follow",
            "Stack the steps with torch.stack, and sum the stack",
        ) from None


def _loaded(module: Any, sample: object | None, dt: float | None) -> Loaded:
    tracer, result, arguments = _recorded(module, sample)
    rolled = roll(tracer.calls)
    builder = Builder(rolled, _cell)
    builder.add_neurons()
    builder.add_outputs(
        [tap(rolled, tracer.value(t), s) for t, s in _returned(result) if tracer.known(t)]
    )
    owners = {owner(calls[0].module) for calls in rolled.calls.values()}
    modules = [calls[0].module for calls in rolled.calls.values()]
    graph = Graph(
        re.sub(r"[^A-Za-z0-9_.-]", "_", type(module).__name__)[:128] or "network",
        (*builder.inputs.values(), *builder.populations.values(), *builder.outputs),
        tuple(builder.projections),
        _step(modules, dt),
        _metadata(owners),
        (*builder.findings, *_shown_whole(builder, arguments)),
    )
    verify_graph(graph)
    neurons = tuple(Watched(*part) for part in builder.neurons())
    return Loaded(graph, module, arguments, rolled.sliced, rolled.steps, neurons)


def _returned(result: Any, state: bool = False) -> Iterator[tuple[Any, bool]]:
    """Yield every tensor that a forward returned, and whether it is part of a neuron's state."""
    held, parts = table(result), several(result)
    if isinstance(result, torch().Tensor):
        yield result, state
    elif held is not None:
        for part in held.values():
            yield from _returned(part, state)
    elif parts is not None:
        inside = state or type(result).__module__.startswith("norse.")
        for part in parts:
            yield from _returned(part, inside)


def owner(module: Any) -> Framework:
    """Return the framework of a neuron module."""
    return next(f for f in FRAMEWORKS if f.owns(module))


def _cell(call: Call) -> Cell:
    return owner(call.module).cell(call)


def _shown_whole(builder: Builder, names: Iterable[str]) -> Iterable[Finding]:
    """Yield a finding for what is shown unchanged in every step of a forward over time."""
    for name in names:
        if (
            builder.rolled.steps > 1
            and name in builder.inputs
            and name not in builder.rolled.sliced
        ):
            text = "the forward shows it whole in every step; feed it so, as --encode constant does"
            yield Finding("SPK1334", name, text)


def _metadata(owners: Iterable[Framework]) -> dict[str, str]:
    from importlib.metadata import version

    names = sorted(f.name for f in owners)
    listed = {name: version(name) for name in (*names, "torch")}
    return {"framework": " ".join(names)} | {f"{n} version": v for n, v in listed.items()}


def _step(modules: Sequence[Any], dt: float | None) -> float | None:
    """Return the step in seconds: that of the neurons, or the one given.

    Raises:
        SpikecError: SPK1335 when they differ.
    """
    steps = {s for s in (owner(m).step(m) for m in modules) if s is not None}
    if dt is not None:
        steps.add(float(dt))
    if len(steps) > 1:
        raise SpikecError(
            "SPK1335",
            "dt",
            f"the neurons and --dt give steps of {', '.join(f'{s:g}' for s in sorted(steps))} s",
            "Give every neuron the same dt, and leave out --dt",
        )
    return steps.pop() if steps else None


# ---------------------------------------------------------------- recording


def _recorded(module: Any, sample: object | None) -> tuple[Tracer, Any, dict[str, Any]]:
    """Run the module once and return the recording, what it returned, and its arguments."""
    args = _sample(module, sample)
    arguments = dict(zip(_arguments(module, len(args)), args, strict=True))
    tracer = Tracer((*FRAMEWORKS, Layers()), _names(module), record)
    tracer.constant([m.__dict__ for m in module.modules()])
    tracer.constant(args)
    for name, arg in arguments.items():
        if isinstance(arg, torch().Tensor):
            tracer.keep(arg, Given(tuple(arg.shape), name, arg))
    with unchanged(module):
        begin(module)
        tracer.constant([m._buffers for m in module.modules()])
        result = tracer.run(module, args)
    return tracer, result, arguments


def begin(module: Any) -> None:
    """Bring a module into evaluation mode, and its hidden states to those of a new sequence."""
    module.eval()
    for framework in FRAMEWORKS:
        framework.fresh(module.modules())


def _names(module: Any) -> dict[int, str]:
    """Return the path of every module, by id."""
    return {id(m): n or type(module).__name__.lower() for n, m in module.named_modules()}


def _arguments(module: Any, count: int) -> list[str]:
    """Return names for the positional arguments of the forward."""
    listed = inspect.signature(module.forward).parameters.values()
    names = [p.name for p in listed if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    names += [f"input{k}" for k in range(len(names), count)]
    return [n.rstrip("_") or f"input{k}" for k, n in enumerate(names[:count])]


def _sample(module: Any, sample: object | None) -> tuple[Any, ...]:
    """Return the positional arguments.

    Raises:
        SpikecError: SPK1336 without a sample where none can be derived, SPK1337 on one that is no
            tensor with a batch axis.
    """
    if sample is None:
        sample = _derived(module)
    if sample is None:
        raise SpikecError(
            "SPK1336",
            type(module).__name__,
            "what its forward takes cannot be told from its layers",
            "Give sample=, a tensor that its forward accepts",
        )
    given = sample if is_tuple(sample) else (sample,)
    return tuple(_argument(module, k, a) for k, a in enumerate(given))


def _argument(module: Any, place: int, given: Any) -> Any:
    """Return a tensor of the module's own type; what is no array stays as it is."""
    value: Any = torch().as_tensor(given) if isinstance(given, np.ndarray) else given
    if not isinstance(value, torch().Tensor):
        if place:
            return value
        problem = f"a {type(value).__name__}"
    elif value.ndim < 2 or not value.numel():
        problem = f"of shape {tuple(value.shape)}" if value.ndim else "a number"
    else:
        # A new tensor, so that two arguments that are one stay apart.
        return value.detach().clone().to(float_type(module))
    raise SpikecError(
        "SPK1337",
        "sample",
        f"argument {place} is {problem}, not a tensor with a batch axis",
        "Give (batch, ...), or (time, batch, ...) for a forward over time",
    )


def float_type(module: Any) -> Any:
    """Return the type of numbers that a module holds."""
    dtypes = (p.dtype for p in (*module.parameters(), *module.buffers()))
    return next((d for d in dtypes if d.is_floating_point), torch().get_default_dtype())


def _derived(module: Any) -> Any:
    """Return a sample for a chain whose first layer is a Linear, or None."""
    nn = torch().nn
    chain = module
    over_time = False
    while isinstance(chain, nn.Sequential) and len(chain):
        chain = chain[0]
    if not isinstance(module, nn.Sequential):
        return None
    if isinstance(chain, nn.Linear):
        size = chain.in_features
    elif hasattr(chain, "input_size") and any(f.owns(chain) for f in FRAMEWORKS):
        size = int(chain.input_size)
    else:
        return None
    over_time = any(Norse.over_time(m) for m in module.modules())
    return torch().zeros((3, 1, size) if over_time else (1, size))


@contextmanager
def unchanged(module: Any) -> Generator[None]:
    """Put back everything that running a module may set on it and on its parts."""
    kept: list[tuple[Any, dict[str, Any], list[tuple[dict[Any, Any], dict[Any, Any]]]]] = []
    for part in module.modules():
        held = dict(part.__dict__)
        tables = (table(v) for v in held.values())
        inner = [(t, t.copy()) for t in tables if t is not None]
        kept.append((part, held, inner))
    grads = [(t, t.requires_grad) for t in _loose(module)]
    try:
        yield
    finally:
        for part, held, inner in kept:
            part.__dict__.clear()
            part.__dict__.update(held)
            for target, before in inner:
                target.clear()
                target.update(before)
        for tensor, flag in grads:
            if tensor.is_leaf:
                tensor.requires_grad = flag


def _loose(module: Any) -> list[Any]:
    """Return the tensors in the parameters that Norse keeps beside torch's own."""
    return [t for m in module.modules() for t in tensors(m.__dict__.get("p", ()))]
