"""Run an ONNX file in onnxruntime as it is, and record what the neurons in it send and hold."""

import importlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.onnx_spiking import Parts, load_parts
from spikec.compiler.recording import Recording
from spikec.compiler.semantics import Semantics
from spikec.compiler.types import Array

NUMBERS = {"tensor(double)": np.float64, "tensor(float16)": np.float16}


class OnnxRun:
    """A spiking network in an ONNX file.

    Args:
        path: The file.
        dt: Step in seconds, or None.
    """

    convention: Semantics | None = None
    rounded = exact = False

    def __init__(self, path: str, dt: float | None) -> None:
        """Read the file, and open it in onnxruntime.

        Raises:
            SpikecError: SPK1474 without onnxruntime, SPK1475 when it refuses the file; errors of
                ``load_parts``.
        """
        self.path, self.parts = path, load_parts(path)
        self.graph = replace(self.parts.graph, dt=dt)
        try:
            self._runtime: Any = importlib.import_module("onnxruntime")
        except ImportError as error:
            raise SpikecError(
                "SPK1474",
                "onnxruntime",
                f"it is needed to run this file, and cannot be imported ({error})",
                "Run pip install onnxruntime",
            ) from error
        self.session = self._open()
        entries = {i.name: i for i in self.session.get_inputs()}
        self._data = next(iter(entries))
        self._batch = entries[self._data].shape[1 if self.parts.steps else 0]
        self._types = {n: NUMBERS.get(e.type, np.float32) for n, e in entries.items()}

    def _open(self) -> Any:
        """Open the file with every tensor that is recorded as an output."""
        onnx: Any = importlib.import_module("onnx")
        try:
            proto = onnx.load(self.path)
            there = {o.name for o in proto.graph.output}
            for name in self._tensors():
                if name not in there:
                    proto.graph.output.append(onnx.ValueInfoProto(name=name))
            options = self._runtime.SessionOptions()
            options.log_severity_level = 4
            return self._runtime.InferenceSession(
                proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # of either package, in many classes
            raise _failed("SPK1475", self.path, "opening it", error) from error

    def _tensors(self) -> tuple[str, ...]:
        """Return the tensors that are recorded or handed on, each once."""
        parts: Parts = self.parts
        names = [*parts.sent.values(), *(name for name, _ in parts.following.values())]
        names += [name for held in parts.state.values() for name in held.values()]
        return tuple(dict.fromkeys(names))

    def name(self, double: bool) -> str:
        """Return the version and the type of numbers."""
        kind = np.dtype(self._types[self._data]).name
        return f"onnxruntime {self._runtime.__version__} ({kind})"

    def single(self, double: bool) -> bool:
        """Return whether it computes in less than float64."""
        return self._types[self._data] != np.float64

    def fixed_steps(self) -> int | None:
        """Return how many steps the file holds, or None."""
        return self.parts.steps

    def whole(self) -> set[str]:
        """Return no input: each step has data of its own."""
        return set()

    def run(self, data: Mapping[str, Array], double: bool = False) -> Recording:
        """Run a batch: all samples at once, or one by one where the file fixes that.

        Args:
            data: By input, (samples, steps, *shape).
            double: Of no effect; the file says in which type it computes.

        Raises:
            SpikecError: SPK1476 on another number of steps than the file holds, SPK1477 when a run
                fails.
        """
        (values,) = data.values()
        samples, steps = values.shape[:2]
        if self.parts.steps not in (None, steps):
            raise SpikecError(
                "SPK1476",
                self.path,
                f"it holds {self.parts.steps} steps, the data have {steps}",
                f"Give --steps {self.parts.steps}, or as many steps of data",
            )
        size = 1 if isinstance(self._batch, int) else samples
        try:
            rows = [self._rows(values[k : k + size]) for k in range(0, samples, size)]
        except Exception as error:  # whatever the library raises
            raise _failed("SPK1477", self.path, "running it", error) from error
        return self._recording({n: np.concatenate([r[n] for r in rows]) for n in rows[0]})

    def _rows(self, values: Array) -> dict[str, Array]:
        """Return every recorded tensor, (samples, steps, *shape)."""
        names = self._tensors()
        if self.parts.steps:
            given = np.moveaxis(values, 1, 0).astype(self._types[self._data])
            made = self.session.run(names, {self._data: given})
            return {n: np.moveaxis(a, 0, 1) for n, a in zip(names, made, strict=True)}
        following = self.parts.following
        states = {
            name: np.zeros((len(values), *shape), self._types[name])
            for name, (_, shape) in following.items()
        }
        kept: dict[str, list[Array]] = {name: [] for name in names}
        for step in range(values.shape[1]):
            given = values[:, step].astype(self._types[self._data])
            made = dict(
                zip(names, self.session.run(names, {self._data: given, **states}), strict=True)
            )
            states = {name: made[output] for name, (output, _) in following.items()}
            for name in names:
                kept[name].append(made[name])
        return {name: np.stack(arrays, axis=1) for name, arrays in kept.items()}

    def _recording(self, rows: Mapping[str, Array]) -> Recording:
        sent: dict[str, Array] = {}
        for population in self.graph.populations:
            if population.name in self.parts.sent:
                out = rows[self.parts.sent[population.name]].astype(np.float64)
                out = out.reshape(*out.shape[:2], *population.shape)
                sent[population.name] = out if population.model().emits == "values" else out != 0
        state = {
            name: {s: rows[tensor].astype(np.float64) for s, tensor in held.items()}
            for name, held in self.parts.state.items()
        }
        return Recording(sent, state, {})


def _failed(code: str, path: str, action: str, error: Exception) -> SpikecError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200].rstrip(" .")
    return SpikecError(code, path, f"{action} in onnxruntime raised {reason}", "Export it again")
