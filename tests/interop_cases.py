"""Networks, each of one construct, and what the NIR importers of frameworks make of them.

Numbers have few bits, so that float32 holds them exactly: what differs does so by rule.
"""

import contextlib
import io
import logging
import signal
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import spikec
from spikec.compiler.equation import Dynamics, Neuron
from spikec.compiler.synapses import Synapse, identity
from spikec.compiler.types import Array, Tensor
from spikec.compiler.untyped import nir

DT = 2.0**-10
STEPS, SAMPLES = 100, 2
SECONDS = 3.0
SIZE, LAST = 6, 4

LIF = spikec.LIF(decay=0.5, threshold=0.75, reset="zero")
CUBA = spikec.CubaLIF(decay=0.5, synapse_decay=0.5, synapse_gain=0.5, threshold=0.5, reset="zero")


# ---------------------------------------------------------------- networks


class Numbers:
    """Random multiples of 1/32."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(1)

    def __call__(self, *shape: int, spread: float = 0.7) -> Tensor:
        return Tensor.floats(np.round(self.random.normal(0.1, spread, shape) * 32) / 32)


def chain(neuron: Neuron = LIF, last: Neuron = LIF, bias: bool = False) -> spikec.Graph:
    """Return in -> a -> b -> out."""
    numbers = Numbers()
    biases = numbers(SIZE, spread=0.1) if bias else None
    return network(
        [("a", (SIZE,), neuron), ("b", (LAST,), last)],
        [
            ("in", "a", spikec.Dense(numbers(SIZE, 5), biases), 0),
            ("a", "b", spikec.Dense(numbers(LAST, SIZE)), 0),
        ],
    )


def network(
    populations: Sequence[tuple[str, tuple[int, ...], Neuron | Dynamics]],
    edges: Sequence[tuple[str, str, Synapse, int]],
    shape: tuple[int, ...] = (5,),
) -> spikec.Graph:
    """Return populations fed by ``in``; the last is the output."""
    made = [spikec.Population(name, size, neuron) for name, size, neuron in populations]
    nodes: list[Any] = [spikec.Input("in", shape), *made, spikec.Output("out", made[-1].name)]
    projections = tuple(spikec.Projection(a, b, s, delay=d) for a, b, s, d in edges)
    return spikec.Graph("g", tuple(nodes), projections, DT)


def lif(**changed: Any) -> spikec.Graph:
    """Return the chain with LIF neurons changed in layer a."""
    return chain(replace(LIF, **changed))


def cuba(**changed: Any) -> spikec.Graph:
    """Return the chain with CubaLIF neurons in layer a."""
    return chain(replace(CUBA, **changed))


def looped(*loop: tuple[str, str, Synapse, int], neuron: Neuron = LIF) -> spikec.Graph:
    """Return the chain with more connections."""
    graph = chain(neuron)
    more = tuple(spikec.Projection(a, b, s, delay=d) for a, b, s, d in loop)
    return replace(graph, projections=(*graph.projections, *more))


def recurrent(size: int = SIZE, bias: float | None = None) -> Synapse:
    biases = None if bias is None else Tensor.floats(np.full(size, bias))
    return spikec.Dense(Numbers()(size, size, spread=0.4), biases)


def image(
    synapse: Callable[[Numbers], Synapse], shape: tuple[int, ...] = (2, 6, 6)
) -> spikec.Graph:
    """Return an image, one map of it, neurons, and a dense layer."""
    numbers = Numbers()
    made = synapse(numbers)
    size = int(np.prod(made.out_shape))
    return network(
        [("a", made.out_shape, LIF), ("b", (LAST,), LIF)],
        [
            ("in", "a", made, 0),
            ("a", "b", spikec.Dense(numbers(LAST, size, spread=0.3)), 0),
        ],
        shape,
    )


def conv(kernel: tuple[int, int] = (3, 3), bias: bool = False, groups: int = 1, **more: Any) -> Any:
    def made(n: Numbers) -> Synapse:
        biases = n(4, spread=0.1) if bias else None
        return spikec.Conv2d(
            (2, 6, 6), n(4, 2 // groups, *kernel, spread=0.3), biases, groups=groups, **more
        )

    return image(made)


def pool(weight: float, kernel: tuple[int, int] = (2, 2), **more: Any) -> spikec.Graph:
    return image(lambda _: spikec.Pool2d((2, 6, 6), kernel, Tensor.floats(weight), kernel, **more))


def delayed_synapses() -> spikec.Graph:
    graph = chain()
    first, second = graph.projections
    delays = np.arange(SIZE * 5).reshape(SIZE, 5) % 3
    return replace(graph, projections=(replace(first, delays=delays), second))


def delay(steps: int) -> spikec.Graph:
    graph = chain()
    first, second = graph.projections
    return replace(graph, projections=(first, replace(second, delay=steps)))


def skip(scaled: bool = False) -> spikec.Graph:
    """Return in -> a -> b -> c and a -> c; scaled, with weights on the last two."""
    numbers = Numbers()
    last = spikec.OneToOne(SIZE, Tensor.floats(EACH)) if scaled else identity(SIZE)
    return network(
        [(name, (SIZE,), LIF) for name in "abc"],
        [
            ("in", "a", spikec.Dense(numbers(SIZE, 5)), 0),
            ("a", "b", recurrent(), 0),
            ("b", "c", last, 0),
            ("a", "c", last, 0),
        ],
    )


def both_fed() -> spikec.Graph:
    """Return in -> b -> a -> out, in -> a, and a back to b."""
    numbers = Numbers()
    return network(
        [("b", (SIZE,), LIF), ("a", (LAST,), LIF)],
        [
            ("in", "b", spikec.Dense(numbers(SIZE, 5)), 0),
            ("in", "a", spikec.Dense(numbers(LAST, 5)), 0),
            ("b", "a", spikec.Dense(numbers(LAST, SIZE)), 0),
            ("a", "b", spikec.Dense(numbers(SIZE, LAST)), 1),
        ],
    )


def twice(kind: str) -> spikec.Graph:
    """Return the chain with a second input or output."""
    graph = chain()
    if kind == "output":
        return replace(graph, nodes=(*graph.nodes, spikec.Output("other", "a")))
    more = spikec.Projection("other", "a", spikec.Dense(Numbers()(SIZE, 3)))
    nodes = (spikec.Input("other", (3,)), *graph.nodes)
    return replace(graph, nodes=nodes, projections=(*graph.projections, more))


EACH = np.array([0.5, 0.75, 0.25, 0.5, 0.5, 0.875])
TWO = np.array([1.0, 2.0, 1.0, 2.0, 4.0, 1.0])
SPARSE = np.round(np.random.default_rng(2).normal(size=(LAST, SIZE)) * 4) / 4

CASES: Mapping[str, Callable[[], spikec.Graph]] = {
    "LIF, feed-forward": chain,
    "LIF, bias": lambda: chain(bias=True),
    "LIF, decays per neuron": lambda: lif(decay=EACH),
    "LIF, decay 0": lambda: lif(decay=0.0),
    "LIF, input gain 4": lambda: lif(gain=4.0, threshold=3.0),
    "LIF, gains per neuron": lambda: lif(gain=TWO),
    "LIF, gains and thresholds per neuron": lambda: lif(gain=TWO, threshold=TWO),
    "LIF, thresholds per neuron": lambda: lif(threshold=EACH),
    "LIF, offset": lambda: lif(offset=0.3125),
    "LIF, reset to a value": lambda: lif(reset="value", reset_value=0.25),
    "LIF, reset by subtraction": lambda: lif(reset="subtract"),
    "LIF, no reset": lambda: lif(reset="none"),
    "LIF, reset by subtraction in the next step": lambda: lif(reset="subtract", reset_phase="next"),
    "LIF, v >= threshold": lambda: lif(compare="ge"),
    "LIF, several spikes per step": lambda: lif(reset="subtract", max_spikes=0, threshold=0.25),
    "LIF, lower bound": lambda: lif(v_min=-0.25),
    "LIF, initial state": lambda: lif(v_init=0.625),
    "IF": lambda: chain(spikec.IntegrateAndFire(reset="zero")),
    "IF, input gain 4": lambda: chain(spikec.IntegrateAndFire(reset="zero", gain=4.0)),
    "CubaLIF": cuba,
    "CubaLIF, gains 4 and 0.5": lambda: cuba(synapse_gain=4.0, gain=0.5),
    "CubaLIF, decays per neuron": lambda: cuba(synapse_decay=EACH, decay=EACH[::-1].copy()),
    "CubaLIF, offset": lambda: cuba(offset=0.125),
    "CubaLIF, reset by subtraction": lambda: chain(
        replace(CUBA, reset="subtract"), replace(CUBA, reset="subtract")
    ),
    "CubaLIF, old current": lambda: cuba(current_phase="old"),
    "CubaLIF, jump": lambda: cuba(current_phase="jump"),
    "LI": lambda: chain(last=spikec.LeakyIntegrator(decay=0.5)),
    "I": lambda: chain(last=spikec.Integrator()),
    "CubaLI": lambda: chain(last=spikec.CubaLeakyIntegrator(decay=0.5, synapse_decay=0.5)),
    "Threshold": lambda: chain(spikec.Threshold(threshold=0.5)),
    "Dense as output": lambda: chain(last=spikec.Relay()),
    "Sparse": lambda: looped(("a", "b", spikec.Sparse.of(SPARSE), 0)),
    "OneToOne": lambda: network(
        [("a", (5,), LIF)], [("in", "a", spikec.OneToOne(5, Tensor.floats(2 * EACH[:5])), 0)]
    ),
    "skip connection, weight 1": skip,
    "Conv2d": conv,
    "Conv2d, bias": lambda: conv(bias=True),
    "Conv2d, stride and padding": lambda: conv(stride=(2, 1), padding=(1, 1)),
    "Conv2d, dilation": lambda: conv(dilation=(2, 2)),
    "Conv2d, kernel 1 x 3": lambda: conv((1, 3)),
    "Conv2d, padding same": lambda: conv((2, 2), extra=(1, 1)),
    "Conv2d, 2 groups": lambda: conv(groups=2),
    "Conv1d": lambda: image(
        lambda n: spikec.Conv1d((2, 9), n(3, 2, 3, spread=0.3), n(3, spread=0.1)), (2, 9)
    ),
    "SumPool2d": lambda: pool(0.25 * 4),
    "SumPool2d, padding": lambda: pool(1.0, padding=(1, 1)),
    "AvgPool2d": lambda: pool(0.25),
    "AvgPool2d, padding": lambda: pool(0.25, padding=(1, 1)),
    "recurrence": lambda: looped(("a", "a", recurrent(), 1)),
    "recurrence, bias": lambda: looped(("a", "a", recurrent(bias=0.625), 1)),
    "recurrence, CubaLIF": lambda: looped(("a", "a", recurrent(), 1), neuron=CUBA),
    "recurrence, one to one": lambda: looped(
        ("a", "a", spikec.OneToOne(SIZE, Tensor.floats(-EACH)), 1)
    ),
    "recurrence, delay 2": lambda: looped(("a", "a", recurrent(), 2)),
    "recurrence of the output": lambda: network(
        [("z", (5,), LIF)],
        [
            ("in", "z", spikec.Dense(Numbers()(5, 5)), 0),
            ("z", "z", recurrent(5), 1),
        ],
    ),
    "recurrence over two layers": lambda: looped(
        ("b", "a", spikec.Dense(Numbers()(SIZE, LAST)), 1)
    ),
    "recurrence over two layers, both fed": both_fed,
    "two paths of unequal length": lambda: skip(scaled=True),
    "delay 2": lambda: delay(2),
    "delays of single synapses": delayed_synapses,
    "two inputs": lambda: twice("input"),
    "two outputs": lambda: twice("output"),
}


# ---------------------------------------------------------------- importers


@dataclass(frozen=True)
class Framework:
    """An importer and the options that docs/interop.md names.

    Attributes:
        semantics: What ``to_nir`` is given.
        package: What must be installed.
        load: Of a NIRGraph, returns the module.
        numbers: What the module computes in.
        dt: Step in seconds.
    """

    semantics: str
    package: str
    load: Callable[[Any], Any]
    numbers: str
    dt: float = DT


def _snntorch(graph: Any) -> Any:
    return import_module("snntorch.import_nir").import_from_nir(graph)


def _norse(**options: Any) -> Callable[[Any], Any]:
    def load(graph: Any) -> Any:
        return import_module("norse.torch").from_nir(graph, dt=DT, **options).double()

    return load


def _norse_subtract(graph: Any) -> Any:
    reset = import_module("norse.torch.functional.reset").reset_subtract
    return _norse(reset_method=reset)(graph)


CURRENT = "synapse_gain=held"
FRAMEWORKS: Mapping[str, Framework] = {
    "snnTorch": Framework("snntorch", "snntorch", _snntorch, "float32", 1e-4),
    "Norse": Framework(f"norse{{dt={DT},{CURRENT}}}", "norse", _norse(), "float64"),
}
SUBTRACTING = Framework(
    f"norse{{dt={DT},{CURRENT},reset=subtract}}", "norse", _norse_subtract, "float64"
)
REFUSALS = (AssertionError, NotImplementedError, ValueError)


@dataclass(frozen=True)
class Verdict:
    """What came of one network in one importer.

    Attributes:
        kind: same, differs, refused (an error that says what it does not take), crashes, hangs, or
            unwritten (our writer refuses).
        detail: The first step that differs, or the message.
        told: What ``to_nir`` told.
        spikes: How many of how many were ours.
    """

    kind: str
    detail: str
    told: tuple[str, ...]
    spikes: tuple[int, int]


def is_loss(told: str) -> bool:
    """Return whether a finding announces other spikes, which matrices and orders do not."""
    return "[SPK1460]" in told or (
        "[SPK1045]" in told and not any(key in told for key in ("(sparse)", "(order)"))
    )


@cache
def verdict(case: str, framework: str) -> Verdict:
    """Write a network for a framework, have its importer read it, and run both."""
    reader = FRAMEWORKS[framework]
    if framework == "Norse" and "subtraction" in case:
        reader = SUBTRACTING
    return judge(replace(CASES[case](), dt=reader.dt), reader)


def judge(graph: spikec.Graph, reader: Framework) -> Verdict:
    """Compare our spikes with those of an importer, on the same random input."""
    random = np.random.default_rng(7)
    data = {
        i.name: (random.random((SAMPLES, STEPS, *i.shape)) < 0.4).astype(np.float64)
        for i in graph.inputs
    }
    ours = spikec.simulate(spikec.compile(graph, pipeline="discretize"), data).outputs["out"]
    counts = int(np.count_nonzero(ours)), ours.size
    with TemporaryDirectory() as folder:
        path = Path(folder) / "net.nir"
        try:
            findings = spikec.to_nir(graph, path, reader.semantics)
        except spikec.SpikecError as error:
            return Verdict("unwritten", str(error), (), counts)
        told = tuple(str(f) for f in findings)
        checked = all("SPK1048" not in f for f in told)
        with quiet():
            try:
                with _limited():
                    graphs = [nir.read(path, type_check=checked) for _ in range(SAMPLES)]
                    modules = [reader.load(g) for g in graphs]
            except TimeoutError:
                return Verdict("hangs", "", told, counts)
            except Exception as error:  # whatever an importer raises is what we report
                kind = "refused" if isinstance(error, REFUSALS) else "crashes"
                return Verdict(kind, _message(error), told, counts)
            try:
                theirs = [
                    _run(m, data["in"][k].astype(reader.numbers)) for k, m in enumerate(modules)
                ]
            except Exception as error:
                return Verdict("crashes", _message(error), told, counts)
    return Verdict(*_compared(ours, np.stack(theirs)), told, counts)


def _compared(ours: Array, theirs: Array) -> tuple[str, str]:
    if ours.shape != theirs.shape:
        return "differs", f"shape {theirs.shape[2:]} instead of {ours.shape[2:]}"
    wrong = (ours != theirs).reshape(SAMPLES, STEPS, -1).any(axis=(0, 2))
    return ("differs", f"from step {int(np.argmax(wrong))} on") if wrong.any() else ("same", "")


def _run(module: Any, steps: Array) -> Array:
    """Return what a module gives for one sample, step by step, without a batch axis."""
    torch: Any = import_module("torch")
    state: Any = None
    out: list[Array] = []
    with torch.no_grad():
        for step in steps:
            result, state = module(torch.as_tensor(step), state)
            out.append(result.detach().numpy().astype(np.float64))
    return np.stack(out)


def _message(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:120]


@contextlib.contextmanager
def _limited() -> Generator[None]:
    """Interrupt what takes longer than ``SECONDS``."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """Hide what importers print, log and warn."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)
