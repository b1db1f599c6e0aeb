"""The reference: a program interpreted step by step in plain numpy. It defines what is right.

Floating point runs in float64, integers in exact int64; the batch is the leading axis.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from spikec.backends import tally
from spikec.compiler.errors import Finding
from spikec.compiler.evaluate import evaluate, saturations
from spikec.compiler.ir import Population, Program, Projection, Trace
from spikec.compiler.tracing import Recorder
from spikec.compiler.types import Array, Exact
from spikec.compiler.wiring import lanes, port_frac, product_frac, source_types

UNHURT: Mapping[str, Array] = MappingProxyType({})


class Reference:
    """The backend."""

    def supports(self, program: Program) -> tuple[Finding, ...]:
        """Return nothing: every discrete program runs here."""
        return ()

    def prepare(self, program: Program) -> "Interpreter":
        """Return the interpreter of a program."""
        return Interpreter(program)

    def emit(self, program: Program, folder: Path) -> tuple[str, ...]:
        """Write nothing: the program's text is all there is."""
        return ()


class Interpreter:
    """A program with the equations of its populations.

    Args:
        program: The program.
        silenced: By population, neurons that are lesioned: bool, (size,) or (steps, size). Their
            state goes on as if nothing were, but what they send is lost.
    """

    def __init__(self, program: Program, silenced: Mapping[str, Array] = UNHURT) -> None:
        """Build the equations."""
        self.program, self.silenced = program, silenced
        self.graph = program.graph
        self.lanes = lanes(self.graph)
        self.signals = source_types(self.graph, self.lanes)
        self.order = self.graph.order()
        self.projections = [q for p in self.graph.projections for q in p.by_delay()]

    def run(self, inputs: Mapping[str, Array], record: Collection[str] = ()) -> Trace:
        """Run a batch; see ``Runner``."""
        # Floating point that outgrows float64 is infinite, as in any engine.
        with np.errstate(over="ignore", invalid="ignore"):
            return self._run(inputs, record)

    def _run(self, inputs: Mapping[str, Array], record: Collection[str]) -> Trace:
        samples, steps = next(iter(inputs.values())).shape[:2]
        recorder = Recorder(self.program, self.signals, samples, steps, record)
        history: dict[str, dict[int, Array]] = {name: {} for name in self.signals}
        states = {p.name: self._initial(p, samples) for p in self.order}
        for step in range(steps + max((p.start for p in self.order), default=0)):
            for source in self.graph.inputs:
                x = inputs[source.name]
                here = x[:, step] if step < steps else np.zeros_like(x[:, 0])
                history[source.name][step] = self._number(here)
            for population in self.order:
                sent = np.zeros((samples, population.size), dtype=np.int64)
                if step >= population.start:
                    leaves = self._leaves(population, states[population.name], history, step)
                    lane = self.lanes[population.name]
                    sent, *after = (
                        np.broadcast_to(a, (samples, population.size))
                        for a in evaluate(lane.roots(), leaves)
                    )
                    states[population.name] = dict(zip(lane.states, after, strict=True))
                    sent = self._spared(population, sent, step)
                    if recorder.in_window(population, step):
                        hits = np.broadcast_to(saturations(lane.roots(), leaves), sent.shape).sum()
                        values = population.model().emits == "values"
                        spikes = 0 if values else tally(population.name, sent)
                        recorder.count(
                            {population.name: {"spikes": spikes, "saturations": int(hits)}}
                        )
                        recorder.keep(population, step, sent, states[population.name])
                history[population.name][step] = self._number(sent)
            self._forget(history, step)
        return recorder.trace()

    def _spared(self, population: Population, sent: Array, step: int) -> Array:
        """Return what is sent by the neurons that are not lesioned."""
        lost = self.silenced.get(population.name)
        if lost is None:
            return sent
        now = lost if lost.ndim == 1 else lost[step]
        return np.where(now, np.zeros_like(sent), sent)

    def _initial(self, population: Population, samples: int) -> dict[str, Array]:
        model = population.model()
        shape = (samples, population.size)
        return {
            s: self._number(np.broadcast_to(model.initial(s).data, shape)) for s in model.states
        }

    def _number(self, x: Array) -> Array:
        """Return spikes and values as the numbers that weights multiply."""
        return x.astype(np.float64 if self.program.stage == "discrete" else np.int64)

    def _leaves(
        self,
        population: Population,
        state: Mapping[str, Array],
        history: Mapping[str, Mapping[int, Array]],
        step: int,
    ) -> dict[tuple[str, str], Array]:
        ports = self.lanes[population.name].ports
        leaves = {("input", port): self._port(population, port, history, step) for port in ports}
        leaves |= {("state", name): value for name, value in state.items()}
        parameters = population.model().parameters()
        return leaves | {
            ("param", name): value.data.astype(value.number) for name, value in parameters.items()
        }

    def _port(
        self,
        population: Population,
        port: str,
        history: Mapping[str, Mapping[int, Array]],
        step: int,
    ) -> Array:
        """Return the summed input of a port, (samples, neurons) or (1, neurons)."""
        arriving = [p for p in self.projections if (p.target, p.port) == (population.name, port)]
        integer = isinstance(self.lanes[population.name].ports[port], Exact)
        total: Array = np.zeros((1, population.size), dtype=np.int64 if integer else np.float64)
        frac = port_frac(arriving, self.signals) if integer and arriving else 0
        for p in arriving:
            bias, vector = p.synapse.bias, p.synapse.bias_vector()
            if bias is not None and vector is not None:
                total = total + (vector << (frac - bias.frac) if integer else vector)
        for p in arriving:
            sent = history[p.source].get(step - p.delay)
            if sent is not None:
                product = self.product(p, sent)
                shift = frac - product_frac(p, self.signals) if integer else 0
                total = total + (product << shift if integer else product)
        return total

    def product(self, projection: Projection, sent: Array) -> Array:
        """Return W x, without the bias; a backend that sums in another way has another."""
        return projection.synapse.apply(sent)

    def _forget(self, history: dict[str, dict[int, Array]], step: int) -> None:
        """Drop what no delay can reach any more."""
        for name, sent in history.items():
            reach = max((p.delay for p in self.projections if p.source == name), default=0)
            sent.pop(step - reach, None)


backend = Reference()
