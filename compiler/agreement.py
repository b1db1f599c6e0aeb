"""How well an integer program agrees with the floating-point one it was made from, on user data.

Both run on the calibration data; per population: the ratio of signal to quantisation noise of the
membrane (closed loop: once a spike differs, so does what follows), the share of spikes that
coincide, and the saturations; with labels the accuracy of both.
"""

from collections.abc import Iterator, Mapping
from math import inf, log10
from typing import Any

import numpy as np

from spikec.compiler.ir import Program, Trace
from spikec.compiler.pipeline import Context
from spikec.compiler.signals import quiet
from spikec.compiler.simulator import Simulator
from spikec.compiler.types import Array

# Recorded numbers per chunk of samples; keeps a calibration of any size in constant memory.
CHUNK_NUMBERS = 16_000_000


def chunks(program: Program, data: Mapping[str, Array]) -> Iterator[slice]:
    """Return slices of samples small enough to record every state."""
    samples, steps = next(iter(data.values())).shape[:2]
    neurons = sum(p.size * (1 + len(p.model().states)) for p in program.graph.populations)
    size = max(1, CHUNK_NUMBERS // max(steps * neurons, 1))
    return (slice(k, min(k + size, samples)) for k in range(0, samples, size))


def float_ranges(program: Program, context: Context) -> dict[str, float]:
    """Return by population the largest membrane magnitude seen on the calibration data."""
    data = context.calibration
    seen: dict[str, float] = {}
    if not data:
        return seen
    simulator, total = Simulator(program, report=quiet), next(iter(data.values())).shape[0]
    for part in chunks(program, data):
        trace = simulator.run({n: a[part] for n, a in data.items()}, ("state",))
        for name, states in trace.state.items():
            for held in states.values():
                seen[name] = max(seen.get(name, 0.0), float(np.abs(held).max(initial=0.0)))
        context.progress("calibrate", part.stop, total)
    return seen


def compare_programs(exact: Program, rounded: Program, context: Context) -> dict[str, Any]:
    """Return the measured part of the quantisation report; empty without calibration data."""
    data = context.calibration
    if not data:
        return {}
    simulators = Simulator(exact), Simulator(rounded, report=quiet)
    total = next(iter(data.values())).shape[0]
    tally = {p.name: _Tally() for p in exact.graph.populations}
    chosen: tuple[list[Array], list[Array]] = ([], [])
    for part in chunks(exact, data):
        inputs = {n: a[part] for n, a in data.items()}
        first, second = (s.run(inputs, ("spikes", "state")) for s in simulators)
        for population in rounded.graph.populations:
            tally[population.name].add(rounded, population.name, first, second)
        for kept, trace in zip(chosen, (first, second), strict=True):
            kept.append(classes(next(iter(trace.outputs.values()))))
        context.progress("compare", part.stop, total)
    report: dict[str, Any] = {
        "samples": total,
        "agreement": {name: t.result() for name, t in tally.items()},
    }
    if context.labels is not None:
        correct = [int((np.concatenate(c) == context.labels).sum()) for c in chosen]
        report["correct"] = {"float": correct[0], "integer": correct[1]}
    return report


def classes(output: Array) -> Array:
    """Return per sample the channel of the largest sum over steps, the lowest on ties."""
    sums = output.reshape(*output.shape[:2], -1).sum(axis=1)
    return np.asarray(sums.argmax(axis=1))


class _Tally:
    """Sums for one population."""

    def __init__(self) -> None:
        self.signal = self.noise = 0.0
        self.spikes = [0, 0]
        self.common = self.saturations = 0

    def add(self, rounded: Program, name: str, first: Trace, second: Trace) -> None:
        population = rounded.graph.population(name)
        if "v" in first.state[name]:
            frac = population.formats["v"].type.frac
            real = np.ldexp(second.state[name]["v"].astype(np.float64), -frac) * population.scale
            self.signal += float(np.square(first.state[name]["v"]).sum())
            self.noise += float(np.square(first.state[name]["v"] - real).sum())
        if population.model().emits != "values":
            a, b = first.spikes[name].astype(np.int64), second.spikes[name].astype(np.int64)
            self.common += int(np.minimum(a, b).sum())
            self.spikes = [self.spikes[0] + int(a.sum()), self.spikes[1] + int(b.sum())]
        self.saturations += second.counts[name]["saturations"]

    def result(self) -> dict[str, Any]:
        """Return the figures; the agreement is twice the common spikes over all spikes."""
        both = sum(self.spikes)
        ratio = self.signal / self.noise if self.noise else inf
        return {
            "sqnr_db": round(10 * log10(ratio), 2) if 0 < ratio < inf else None,
            "spikes_float": self.spikes[0],
            "spikes_integer": self.spikes[1],
            "spike_agreement": 2 * self.common / both if both else 1.0,
            "saturations": self.saturations,
        }
