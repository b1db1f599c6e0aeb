"""Passes and pipelines: ``quantize{weight_bits=6},retime``.

A pass is a frozen dataclass in the file of its name under ``passes``; its fields are its options.
``verify`` runs before the first pass and after every one.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from spikec.compiler import passes
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Graph, Program
from spikec.compiler.ir import Mapping as Placement
from spikec.compiler.semantics import parse_options, split_calls, typed_replace
from spikec.compiler.target import load_target
from spikec.compiler.types import Array
from spikec.compiler.verify import verify

Observer = Callable[[str, Program], None]
Progress = Callable[[str, int, int], None]


def silent(what: str, done: int, total: int) -> None:
    """Report no progress."""


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What passes may use beside the program.

    Attributes:
        calibration: User data by input name, (samples, steps, *shape), real values; or empty.
        labels: One class per calibration sample, or None.
        progress: Called with what is being done, how much is done, and of how much.
        rates: Events per step of the sources of each graph that was measured, for passes to come.
    """

    calibration: Mapping[str, Array] = field(default_factory=dict[str, Array])
    labels: Array | None = None
    progress: Progress = silent
    rates: list[tuple[Graph, Array]] = field(default_factory=list[tuple[Graph, Array]])


class Pass(Protocol):
    """Program to program."""

    name: ClassVar[str]

    def run(self, program: Program, context: Context) -> Program:
        """Return the changed program."""
        ...


def pass_names() -> tuple[str, ...]:
    """Return the names of all passes, by file name."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(passes.__path__)))


def parse_pipeline(text: str) -> tuple[Pass, ...]:
    """Read ``name{option=value,...},name``.

    Raises:
        SpikecError: SPK0611 on an unknown pass; errors of the option grammar.
    """
    return tuple(_parse_pass(part) for part in split_calls(text))


def _parse_pass(text: str) -> Pass:
    name, options = parse_options(text, "--pipeline")
    if name not in pass_names():
        raise SpikecError(
            "SPK0611",
            "--pipeline",
            f"'{name}' is not a pass",
            f"Use one of {', '.join(pass_names())}",
        )
    module = importlib.import_module(f"spikec.compiler.passes.{name}")
    kind: Any = getattr(module, name.title().replace("_", ""))
    made: Pass = typed_replace(kind(), options, f"--pipeline {name}")
    return made


def run_pipeline(
    program: Program, text: str, context: Context, observe: Observer | None = None
) -> Program:
    """Run the passes that ``text`` names, verifying the program after each.

    Args:
        program: Where to begin.
        text: The pipeline.
        context: Calibration data and progress.
        observe: Called with ``0_load``, ``1_discretize``, ... and the program at that point.

    Raises:
        SpikecError: From a pass, or from ``verify``, with the pass that had run.
    """
    chain = parse_pipeline(text)
    verify(program)
    if observe:
        observe("0_load", program)
    for k, step in enumerate(chain):
        try:
            with np.errstate(over="ignore"):  # it is infinite then, which verify refuses
                program = step.run(program, context)
            verify(program)
        except SpikecError as error:
            raise error.at(step.name) from None
        if observe:
            observe(f"{k + 1}_{step.name}", program)
    return replace(program, passes=text)


def compile_graph(
    graph: Graph,
    target: str = "cpu",
    calibration: Array | Mapping[str, Array] | None = None,
    labels: Array | None = None,
    pipeline: str | None = None,
    mapping: Placement | None = None,
    progress: Progress = silent,
    observe: Observer | None = None,
) -> Program:
    """Compile a graph for a target.

    Args:
        graph: The network, as ``load`` returned it.
        target: Name of a target; see ``spikec targets``.
        calibration: Inputs (samples, steps, *shape), or a dict of them by input name, on which
            ranges are measured and the quantisation report is made.
        labels: One class per calibration sample, for accuracies in the report.
        pipeline: Passes, in place of the target's own.
        mapping: Where every neuron sits; energy and messages are counted by it.
        progress: Called while long work goes on.
        observe: Called with the program after every pass.

    Raises:
        SpikecError: When the network, the options or the target do not allow it.
    """
    if labels is not None and calibration is None:
        raise SpikecError(
            "SPK0613", "labels", "labels are given without calibration data", "Give both"
        )
    chosen = load_target(target)
    context = Context(by_input(graph, calibration), labels, progress)
    text = chosen.pipeline if pipeline is None else pipeline
    new = (f for f in chosen.findings if f not in graph.findings)
    told = replace(graph, findings=(*graph.findings, *new))
    return run_pipeline(Program(told, target, mapping=mapping), text, context, observe)


def by_input(graph: Graph, data: Array | Mapping[str, Array] | None) -> Mapping[str, Array]:
    """Return data by input name; a bare array belongs to the only input.

    Raises:
        SpikecError: SPK0614 when a bare array meets several inputs.
    """
    if data is None:
        return {}
    if isinstance(data, Mapping):
        return data
    names: Sequence[str] = [i.name for i in graph.inputs]
    if len(names) != 1:
        raise SpikecError(
            "SPK0614",
            "inputs",
            f"one array for the {len(names)} inputs {', '.join(names)}",
            "Give a dict by input name",
        )
    return {names[0]: data}
