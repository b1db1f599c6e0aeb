"""Collects what populations send and hold, aligned to source time."""

from collections.abc import Collection, Mapping

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Population, Program, Trace
from spikec.compiler.types import Array, Bool, Exact, Float


class Recorder:
    """Arrays for one batch.

    A population that starts at step k is recorded from k on, so that entry t is what it would have
    sent at source time t.
    """

    def __init__(
        self,
        program: Program,
        signals: Mapping[str, Bool | Exact | Float],
        samples: int,
        steps: int,
        record: Collection[str],
    ) -> None:
        """Allocate what is asked for, and the outputs."""
        self.program = program
        self.signals = signals
        self.steps = steps
        tapped = {o.source for o in program.graph.outputs}
        self.populations = populations = program.graph.populations
        self.spikes = {
            p.name: np.zeros((samples, steps, p.size), dtype=dtype(signals[p.name]))
            for p in populations
            if "spikes" in record or p.name in tapped
        }
        number = np.float64 if program.stage == "discrete" else np.int64
        self.state = {
            p.name: {s: np.zeros((samples, steps, p.size), number) for s in p.model().states}
            for p in (populations if "state" in record else ())
        }
        self.wanted = {p.name for p in populations} if "spikes" in record else set[str]()
        self.counts = {p.name: {"spikes": 0, "saturations": 0} for p in populations}

    def in_window(self, population: Population, step: int) -> bool:
        """Return whether what happens in ``step`` is part of the trace."""
        return 0 <= step - population.start < self.steps

    def count(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Add to the counts."""
        for name, parts in counts.items():
            for key, value in parts.items():
                self.counts[name][key] += value

    def keep(
        self,
        population: Population,
        step: int,
        sent: Array,
        state: Mapping[str, Array],
        samples: slice = slice(None),
    ) -> None:
        """Keep what a population sent and holds after ``step``, which is in the window."""
        name, at = population.name, step - population.start
        if name in self.spikes:
            self.spikes[name][samples, at] = sent
        for key, held in self.state.get(name, {}).items():
            held[samples, at] = state[key]

    def trace(self) -> Trace:
        """Return the trace, shaped as the populations are."""
        shapes = {p.name: p.shape for p in self.populations}

        def shaped(name: str, a: Array) -> Array:
            return a.reshape(*a.shape[:2], *shapes[name])

        outputs = {
            o.name: shaped(o.source, self._real(o.source)) for o in self.program.graph.outputs
        }
        spikes = {n: shaped(n, self.spikes[n]) for n in self.wanted}
        state = {n: {k: shaped(n, a) for k, a in s.items()} for n, s in self.state.items()}
        return Trace(outputs, spikes, state, self.counts)

    def _real(self, name: str) -> Array:
        """Return the output of a population, values in real units.

        Raises:
            SpikecError: SPK0826 when a count is larger than any integer.
        """
        population = next(p for p in self.populations if p.name == name)
        signal = self.signals[name]
        sent = self.spikes[name]
        if population.model().emits == "counts":
            most = np.abs(sent).max(initial=0)
            if not most < 2.0**63:
                raise SpikecError(
                    "SPK0826",
                    name,
                    f"it sends {most:g} spikes in a step, which no integer holds",
                    "Check its threshold, or limit max_spikes",
                )
            return sent.astype(np.int64)
        if population.model().emits != "values" or not isinstance(signal, Exact):
            return sent
        return np.ldexp(sent.astype(np.float64), -signal.frac) * population.scale


def dtype(signal: Bool | Exact | Float) -> type[np.generic]:
    """Return how a signal is recorded: bool, int64 or float64."""
    if isinstance(signal, Bool):
        return np.bool_
    return np.int64 if isinstance(signal, Exact) else np.float64
