"""Run a program on inputs: check them, bring them into stored units, call a backend."""

import importlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.events import Report
from spikec.compiler.ir import Graph, Input, Program, Trace
from spikec.compiler.pipeline import by_input
from spikec.compiler.signals import quiet, warn
from spikec.compiler.types import Array, Bool, FixedPoint, Float
from spikec.compiler.verify import verify

RECORDS = ("spikes", "state")


class Simulator:
    """A program made ready once, to be called many times.

    Args:
        program: Discretised at least.
        backend: ``cpu``, or ``reference``, or any other that is found.
        report: Takes findings on the inputs, one for each input at most.
    """

    def __init__(
        self,
        program: Program,
        backend: str = "cpu",
        report: Report = warn,
        runner: Any = None,
    ) -> None:
        """Verify the program and compile it for the backend.

        A ``runner`` that was made elsewhere only takes the backend's name.

        Raises:
            SpikecError: SPK0641 on continuous time; errors of ``verify`` and of the backend.
        """
        if program.stage == "continuous":
            raise SpikecError(
                "SPK0641", "program", "it is still in continuous time", "Compile it first"
            )
        verify(program)
        self.program, self.backend = program, backend
        self._report, self._told = report, set[str]()
        self.runner: Any = runner or find_backend(backend).prepare(program)

    def run(self, inputs: Array | Mapping[str, Array], record: Collection[str] = ()) -> Trace:
        """Run a batch.

        Args:
            inputs: (samples, steps, *shape), or a dict of such arrays by input name.
            record: ``spikes`` and ``state`` for all populations, or neither.

        Raises:
            SpikecError: SPK0642 on ``record``; errors of ``stored_inputs``.
        """
        for name in record:
            if name not in RECORDS:
                raise SpikecError(
                    "SPK0642",
                    "record",
                    f"'{name}' cannot be recorded",
                    f"Use {' and '.join(RECORDS)}",
                )
        graph = self.program.graph
        stored = stored_inputs(graph, by_input(graph, inputs), self._tell)
        trace: Trace = self.runner.run(stored, record)
        if "spikes" in record:
            # Flags are not copied before; who asks for a record may change them afterwards.
            return replace(trace, inputs={name: a.copy() for name, a in stored.items()})
        return trace

    def _tell(self, finding: Finding) -> None:
        if finding.where not in self._told:
            self._told.add(finding.where)
            self._report(finding)


def simulate(
    program: Program,
    inputs: Array | Mapping[str, Array],
    record: Collection[str] = (),
    backend: str = "cpu",
) -> Trace:
    """Run a program once; see ``Simulator``."""
    return Simulator(program, backend).run(inputs, record)


def find_backend(name: str) -> Any:
    """Return a backend by name; the compiler imports none itself."""
    return importlib.import_module("spikec.backends").find(name)


def stored_inputs(
    graph: Graph, inputs: Mapping[str, Array], report: Report = quiet
) -> dict[str, Array]:
    """Check inputs and bring them into stored units, (samples, steps, size).

    Values that the format of an input does not hold are clipped to it and reported, SPK0829.

    Raises:
        SpikecError: SPK0643 to SPK0648: missing or unknown input, shape, type, or value.
    """
    known = {i.name for i in graph.inputs}
    for name in inputs:
        if name not in known:
            raise SpikecError(
                "SPK0643",
                f"input '{name}'",
                "the network has no such input",
                f"Use {', '.join(sorted(known))}",
            )
    stored: dict[str, Array] = {}
    for node in graph.inputs:
        if node.name not in inputs:
            raise SpikecError(
                "SPK0644", f"input '{node.name}'", "no data is given for it", "Give an array"
            )
        stored[node.name] = _stored(node, np.asarray(inputs[node.name]), report)
    sizes = {name: a.shape[:2] for name, a in stored.items()}
    if len(set(sizes.values())) > 1:
        raise SpikecError(
            "SPK0645", "inputs", f"samples and steps differ: {sizes}", "Give equally many of each"
        )
    return stored


def _stored(node: Input, data: Array, report: Report) -> Array:
    where = f"input '{node.name}'"
    if data.ndim != 2 + len(node.shape) or data.shape[2:] != node.shape:
        wanted = "(samples, steps, " + ", ".join(str(n) for n in node.shape) + ")"
        raise SpikecError(
            "SPK0646", where, f"the array has shape {data.shape}, not {wanted}", "Reshape the data"
        )
    if data.dtype.kind not in "biuf" or data.size == 0:
        raise SpikecError(
            "SPK0647",
            where,
            f"the array has type {data.dtype} and {data.size} elements",
            "Give at least one sample and step of numbers",
        )
    flat = data.reshape(*data.shape[:2], node.size)
    if data.dtype.kind == "f":
        # float16 would overflow below; a long double may overflow here.
        with np.errstate(over="ignore"):
            flat = flat.astype(np.float64)
        if not np.isfinite(flat).all():
            raise SpikecError(
                "SPK0648", where, "the data contain NaN or infinity", "Clean the data first"
            )
    match node.signal:
        case Float():
            return flat.astype(np.float64)
        case Bool():
            return _spikes(where, flat)
        case FixedPoint():
            return _fixed(where, flat, node.signal, node.scale, report)


def _fixed(where: str, flat: Array, form: FixedPoint, scale: float, report: Report) -> Array:
    with np.errstate(over="ignore"):  # infinite, and so clipped
        steps = np.rint(np.ldexp(flat / scale, form.frac))
        low, high = np.ldexp([float(form.lo), float(form.hi)], -form.frac) * scale
    outside = (steps < form.lo) | (steps > form.hi)
    if outside.any():
        text = (
            f"{np.count_nonzero(outside)} of {flat.size} values, as {flat[outside][0]:g}, are "
            f"clipped to {low:g} to {high:g}, which {form} holds; calibrate quantize with such data"
        )
        report(Finding("SPK0829", where, text))
    return np.asarray(np.clip(steps, form.lo, form.hi), dtype=np.int64)


def _spikes(where: str, flat: Array) -> Array:
    if flat.dtype == np.bool_:
        return flat
    wrong = flat[(flat != 0) & (flat != 1)]
    if wrong.size:
        raise SpikecError(
            "SPK0649",
            where,
            f"value {wrong[0]:g} is not a spike (0 or 1)",
            "Encode it with --encode, or calibrate quantize with such data",
        )
    return flat.astype(np.bool_)
