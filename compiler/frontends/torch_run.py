"""Run a torch module on data as it is, and record every step of every neuron."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.torch_library import numbers, torch
from spikec.compiler.frontends.torch_load import Loaded, begin, float_type, owner, unchanged
from spikec.compiler.frontends.torch_trace import tensors
from spikec.compiler.recording import Recording
from spikec.compiler.semantics import Semantics
from spikec.compiler.types import Array


class Steps:
    """The steps of one neuron, as they come."""

    def __init__(self) -> None:
        """Begin with none."""
        self.sent: list[Array] = []
        self.state: dict[str, list[Array]] = {}

    def keep(self, sent: Any, states: Mapping[str, Any]) -> None:
        """Keep a step."""
        self.sent.append(numbers(sent))
        for name, tensor in states.items():
            self.state.setdefault(name, []).append(numbers(tensor))


class TorchRun:
    """A module of snnTorch or Norse neurons.

    Args:
        loaded: The module and what it was read as.
        framework: The framework whose neurons it must have.
    """

    convention: Semantics | None = None
    exact = True

    def __init__(self, loaded: Loaded, framework: str) -> None:
        """Check that it has neurons of the framework.

        Raises:
            SpikecError: SPK1470 when it has none.
        """
        parts = dict(loaded.module.named_modules())
        # The name of the network itself is empty there.
        parts[type(loaded.module).__name__.lower()] = loaded.module
        self.loaded, self.graph, self.framework = loaded, loaded.graph, framework
        self.modules = {n.path: parts[n.path] for n in loaded.neurons}
        # ``double`` does not reach the parameters that Norse keeps beside torch's own.
        held = [t for m in self.modules.values() for t in tensors(m.__dict__.get("p", ()))]
        self.rounded = any(t.dtype != torch().float64 for t in held)
        found = sorted({owner(m).name for m in self.modules.values()})
        if framework not in found:
            raise SpikecError(
                "SPK1470",
                type(loaded.module).__name__,
                f"it has no neurons of {framework}",
                f"Use --against {found[0]}",
            )

    def name(self, double: bool) -> str:
        """Return framework, version and type of numbers."""
        kind = torch().float64 if double else float_type(self.loaded.module)
        return f"{self.framework} {version(self.framework)} ({str(kind).removeprefix('torch.')})"

    def single(self, double: bool) -> bool:
        """Return whether it computes in less than float64."""
        return not double and float_type(self.loaded.module) != torch().float64

    def fixed_steps(self) -> int | None:
        """Return how many steps the forward makes whatever it is given, or None."""
        return self.loaded.steps if self.loaded.steps > 1 and not self.loaded.axes else None

    def whole(self) -> set[str]:
        """Return the inputs that a forward over time shows whole in every step."""
        names = {i.name for i in self.graph.inputs}
        return set() if self._by_step() else names - set(self.loaded.axes)

    def _by_step(self) -> bool:
        """Return whether a call of the module is one step."""
        return self.loaded.steps == 1 and not self.loaded.axes

    def run(self, data: Mapping[str, Array], double: bool = False) -> Recording:
        """Run a batch.

        Args:
            data: By input, (samples, steps, *shape).
            double: In float64, whatever the module's type.

        Raises:
            SpikecError: SPK1471 on an input that changes where the forward shows it whole, SPK1472
                when the forward fails, SPK1473 when it makes another number of steps.
        """
        module, watched = self.loaded.module, {path: Steps() for path in self.modules}
        samples, steps = next(iter(data.values())).shape[:2]
        with unchanged(module), in_type(module, double), torch().no_grad():
            begin(module)
            for path, part in self.modules.items():
                owner(part).watch(part, watched[path].keep, self._by_step())
            kind = torch().float64 if double else float_type(module)
            for given in self._calls(data, kind):
                try:
                    module(*given)
                except Exception as error:  # whatever the user's own forward raises
                    raise _failed(type(module).__name__, samples, steps, error) from error
        return self._recording(watched, samples, steps)

    def _calls(self, data: Mapping[str, Array], kind: Any) -> Generator[tuple[Any, ...]]:
        """Yield the arguments of every call: one for each step, or one for all of them."""
        samples, steps = next(iter(data.values())).shape[:2]
        whole = self.whole()
        for name in whole:
            if np.any(data[name] != data[name][:, :1]):
                raise SpikecError(
                    "SPK1471",
                    f"input '{name}'",
                    "the forward shows it whole in every step, and the data change over time",
                    "Give values with --encode constant",
                )
        for step in range(steps if self._by_step() else 1):
            made: list[Any] = []
            for name, example in self.loaded.arguments.items():
                if name not in data:
                    made.append(_other(example, samples, kind))
                    continue
                axis = self.loaded.axes.get(name)
                values = data[name][:, step] if axis is None else np.moveaxis(data[name], 1, axis)
                made.append(torch().tensor(np.ascontiguousarray(values), dtype=kind))
            yield tuple(made)

    def _recording(self, watched: Mapping[str, Steps], samples: int, steps: int) -> Recording:
        sent: dict[str, Array] = {}
        state: dict[str, dict[str, Array]] = {}
        for neuron in self.loaded.neurons:
            seen = watched[neuron.path]
            if len(seen.sent) != steps:
                raise SpikecError(
                    "SPK1473",
                    neuron.path,
                    f"the forward makes {len(seen.sent)} steps of it, the data have {steps}",
                    f"Give --steps {len(seen.sent)}, or as many steps of data",
                )
            held = {n: np.stack(a, axis=1) for n, a in seen.state.items()}
            out = np.stack(seen.sent, axis=1) if neuron.sends is None else held[neuron.sends]
            model = self.graph.population(neuron.population).model()
            sent[neuron.population] = out if model.emits == "values" else out != 0
            state[neuron.population] = {
                ours: held[theirs] for theirs, ours in neuron.states.items() if theirs in held
            }
        return Recording(sent, state, {})


def _other(example: Any, samples: int, kind: Any) -> Any:
    """Return an argument that is no input, such as an initial state: alike in all samples."""
    if not isinstance(example, torch().Tensor):
        return example
    return example[:1].expand(samples, *example.shape[1:]).to(kind)


def _failed(where: str, samples: int, steps: int, error: Exception) -> SpikecError:
    reason = f"{type(error).__name__}: {error}".splitlines()[0][:200].rstrip(" .")
    return SpikecError(
        "SPK1472",
        where,
        f"its forward fails on {samples} samples of {steps} steps: {reason}",
        "Give --input that it accepts",
    )


@contextmanager
def in_type(module: Any, double: bool) -> Generator[None]:
    """Let a module compute in float64 meanwhile, with the numbers that it has.

    snnTorch makes spikes by ``Tensor.float``, which is bent to ``double`` too.
    """
    if not double:
        yield
        return
    kept = [(p, p.data, p.grad) for p in module.parameters()]
    tensor = torch().Tensor
    original = tensor.float
    for parameter, _, _ in kept:
        parameter.grad = None
    tensor.float = tensor.double
    try:
        module.double()
        yield
    finally:
        tensor.float = original
        for parameter, data, grad in kept:
            parameter.data, parameter.grad = data, grad
