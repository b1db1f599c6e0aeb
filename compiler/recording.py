"""What a framework made of a network's inputs: spikes and states of each step, by population."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikec.compiler.ir import Population, Program, Trace
from spikec.compiler.types import Array

ROUNDING = 1e-6  # float32 has 7 digits


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One run of a batch.

    Attributes:
        sent: By population, (samples, steps, *shape): bool spikes, int64 counts, or float64 values.
        state: By population and state of its model, what is known of the states after each step.
        thresholds: Where the framework's unit of the membrane may be another one than the model's:
            its threshold, one number or one per neuron. Its states are compared in units of it.
    """

    sent: Mapping[str, Array]
    state: Mapping[str, Mapping[str, Array]]
    thresholds: Mapping[str, Array]

    def trace(self, program: Program) -> Trace:
        """Return it in the units of a program, with the populations that the program has.

        States are left out of an integer program, which rounds them.
        """
        exact = program.stage == "integer"
        sent: dict[str, Array] = {}
        state: dict[str, dict[str, Array]] = {}
        for population in program.graph.populations:
            name, model = population.name, population.model()
            if name not in self.sent or (exact and model.emits == "values"):
                continue
            sent[name] = self.sent[name]
            state[name] = {} if exact else self.held(population)
        spikes = {n: 0 if a.dtype == np.float64 else int(a.sum()) for n, a in sent.items()}
        return Trace({}, sent, state, {n: {"spikes": k} for n, k in spikes.items()})

    def held(self, population: Population) -> dict[str, Array]:
        """Return the states that are known, in the unit of a population's model."""
        unit, states = self._unit(population), population.model().states
        known = {s: a for s, a in self.state.get(population.name, {}).items() if s in states}
        return {s: a * unit for s, a in known.items() if s == "v" or np.all(unit == 1)}

    def _unit(self, population: Population) -> Array:
        """Return the model's value of one unit of the framework's membrane."""
        theirs = self.thresholds.get(population.name)
        ours = population.model().parameters().get("threshold")
        if theirs is None or ours is None:
            return np.ones(())
        mine = ours.real().reshape(population.shape if ours.shape else ())
        with np.errstate(divide="ignore", invalid="ignore"):
            unit = np.asarray(mine / theirs)
        # One but for the rounding of the framework's own threshold.
        return np.where((np.abs(unit - 1) < ROUNDING) | ~np.isfinite(unit), 1.0, unit)
