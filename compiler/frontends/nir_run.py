"""Let a framework's own importer read a NIR file, run what it makes, and record its neurons."""

import contextlib
import io
import warnings
from collections.abc import Callable, Generator, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from spikec.compiler.equation import Dynamics
from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.nir_order import when_ready
from spikec.compiler.frontends.torch_library import extra, numbers, torch
from spikec.compiler.frontends.torch_load import FRAMEWORKS, begin, owner, unchanged
from spikec.compiler.frontends.torch_run import Steps, in_type
from spikec.compiler.ir import Graph
from spikec.compiler.recording import Recording
from spikec.compiler.semantics import Semantics
from spikec.compiler.types import Array
from spikec.compiler.untyped import nir

# What each importer makes of a file, as docs/interop.md has it; Norse's takes any step.
CONVENTIONS = {"snntorch": "snntorch", "norse": "norse{synapse_gain=held,dt=none}"}


def _snntorch(graph: Any, dt: float | None) -> Any:
    types = {name: type(node).__name__ for name, node in graph.nodes.items()}
    if when_ready(types, graph.edges) is None:
        raise ValueError("it never ends on this graph")
    return extra("snntorch.import_nir").import_from_nir(graph)


def _norse(graph: Any, dt: float | None) -> Any:
    load = extra("norse.torch").from_nir
    return load(graph) if dt is None else load(graph, dt=dt)


IMPORTERS: Mapping[str, Callable[[Any, float | None], Any]] = {
    "snntorch": _snntorch,
    "norse": _norse,
}


class NirRun:
    """A NIR file as a framework imports it.

    Args:
        source: Path of the file, or a nir.NIRGraph.
        framework: Whose importer.
        graph: What spikec reads in the file.
    """

    convention: Semantics | None
    rounded, exact = True, False

    def __init__(self, source: Any, framework: str, graph: Graph) -> None:
        """Import the file.

        Raises:
            SpikecError: SPK1478 on several inputs, SPK1479 when the importer raises.
        """
        if len(graph.inputs) != 1:
            raise SpikecError(
                "SPK1478",
                graph.name,
                f"it has {len(graph.inputs)} inputs, and importers of NIR take one",
                "Compare a network with one input",
            )
        self.framework, self.graph = framework, graph
        self.convention = Semantics.parse(CONVENTIONS[framework])
        self._import = IMPORTERS[framework]
        extra(framework)
        try:
            with _quiet():
                read = source if isinstance(source, nir.NIRGraph) else nir.read(source)
                self.module = self._import(read, graph.dt)
        except SpikecError:
            raise
        except Exception as error:  # whatever an importer raises
            raise self._failed("SPK1479", "refuses it", error) from error
        self.neurons = self._neurons()

    def _failed(self, code: str, what: str, error: Exception) -> SpikecError:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200].rstrip(" .")
        return SpikecError(
            code,
            self.graph.name,
            f"the NIR importer of {self.framework} {version(self.framework)} {what} ({reason})",
            "See docs/interop.md for what it reads",
        )

    def _neurons(self) -> dict[str, tuple[Any, Any]]:
        """Return by population the module that spikes, and the one of its current or None."""
        parts = {_key(name): module for name, module in self.module.named_modules()}
        found: dict[str, tuple[Any, Any]] = {}
        for population in self.graph.populations:
            key = _key(population.name)
            # A recurrent neuron is a graph of its own, which becomes one module.
            outer = _key(population.name.split(".")[0])
            for name in (f"{key}_lif", key, outer):
                if name in parts and _is(parts[name], self.framework):
                    current = parts.get(f"{key}_synapse") if name == f"{key}_lif" else None
                    found[population.name] = parts[name], current
                    break
        return found

    def name(self, double: bool) -> str:
        """Return framework, version and type of numbers."""
        kind = "float64" if double else "float32"
        return f"the NIR importer of {self.framework} {version(self.framework)} ({kind})"

    def single(self, double: bool) -> bool:
        """Return whether it computes in less than float64."""
        return not double

    def fixed_steps(self) -> int | None:
        """Return None: a call is one step."""
        return None

    def whole(self) -> set[str]:
        """Return no input: each step has data of its own."""
        return set()

    def run(self, data: Mapping[str, Array], double: bool = False) -> Recording:
        """Run a batch, sample by sample, since what importers make has no batch axis.

        Args:
            data: By input, (samples, steps, *shape).
            double: In float64 rather than float32.

        Raises:
            SpikecError: SPK1480 when what was imported fails.
        """
        (values,) = data.values()
        kind = torch().float64 if double else torch().float32
        rows: list[dict[str, tuple[Steps, Steps]]] = []
        for sample in values:
            watched = {name: (Steps(), Steps()) for name in self.neurons}
            with unchanged(self.module), in_type(self.module, double), torch().no_grad(), _quiet():
                begin(self.module)
                for name, modules in self.neurons.items():
                    for module, seen in zip(modules, watched[name], strict=True):
                        if module is not None:
                            owner(module).watch(module, seen.keep, False)
                state: Any = None
                try:
                    for step in sample:
                        given = torch().tensor(np.ascontiguousarray(step), dtype=kind)
                        _, state = self.module(given, state)
                except Exception as error:  # whatever the module raises
                    raise self._failed("SPK1480", "makes what fails", error) from error
            rows.append(watched)
        return self._recording(rows)

    def _recording(self, rows: list[dict[str, tuple[Steps, Steps]]]) -> Recording:
        sent: dict[str, Array] = {}
        state: dict[str, dict[str, Array]] = {}
        thresholds: dict[str, Array] = {}
        for name, (module, current) in self.neurons.items():
            shape = self.graph.population(name).shape
            samples = [row[name] for row in rows]

            def stacked(parts: list[list[Array]], shape: Any = shape) -> Array:
                return np.stack([np.stack(p) for p in parts]).reshape(len(parts), -1, *shape)

            sent[name] = stacked([s.sent for s, _ in samples]) != 0
            names = set(samples[0][0].state)
            state[name] = {
                ours: stacked([s.state[theirs] for s, _ in samples])
                for theirs, ours in (("mem", "v"), ("v", "v"), ("syn", "u"))
                if theirs in names
            }
            if current is not None:
                state[name]["u"] = stacked([c.state["v"] for _, c in samples])
            if self._before_decay(name):
                state[name].pop("u", None)
            held = module.threshold if self.framework == "snntorch" else module.p.v_th
            thresholds[name] = numbers(held)
        return Recording(sent, state, thresholds)

    def _before_decay(self, name: str) -> bool:
        """Return whether our current is kept as it is after a decay that theirs has yet to make."""
        neuron = self.graph.population(name).neuron
        meaning = neuron.semantics if isinstance(neuron, Dynamics) else Semantics()
        return meaning.current_phase == "jump"


def _is(module: Any, framework: str) -> bool:
    """Return whether a module is a neuron of a framework."""
    return any(f.name == framework and f.owns(module) for f in FRAMEWORKS)


def _key(name: str) -> str:
    """Return a name as importers change it, or near enough."""
    return name.replace(".", "_").removeprefix("nir_node_")


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Hide what importers print and warn."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
