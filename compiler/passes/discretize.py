"""From continuous models in SI units to per-step, dimensionless ones, by each model's semantics."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from spikec.compiler.equation import Dynamics, Neuron
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Population, Program
from spikec.compiler.pipeline import Context
from spikec.compiler.types import Tensor


@dataclass(frozen=True, slots=True)
class Discretize:
    """Discretise every continuous population.

    Attributes:
        dt: Step in seconds, in place of the graph's.
    """

    name: ClassVar[str] = "discretize"
    dt: float | None = None

    def run(self, program: Program, context: Context) -> Program:
        """Return the program with per-step models.

        Raises:
            SpikecError: SPK0631 without a step; the semantics' errors with the population.
        """
        graph = program.graph
        dt = graph.dt if self.dt is None else self.dt
        made: list[Population] = []
        for population in graph.populations:
            model = population.neuron
            if not isinstance(model, Dynamics):
                continue
            if dt is None:
                raise SpikecError(
                    "SPK0631",
                    population.name,
                    f"{model.kind} is in continuous time and no step is given",
                    "Give --dt in seconds",
                )
            try:
                with np.errstate(all="ignore"):  # verify refuses what is no finite number then
                    discrete = model.discretize(dt)
                made.append(replace(population, neuron=_narrowed(discrete)))
            except SpikecError as error:
                raise error.at(population.name) from None
        return replace(program, graph=replace(graph.with_nodes(made), dt=dt))


def _narrowed(model: Neuron) -> Neuron:
    """Return the model with a scalar for every parameter that is equal in all neurons.

    Files give one number per neuron; a scalar is a constant of the equation on every target.
    """
    uniform = {
        name: Tensor.floats(tensor.data.flat[0])
        for name, tensor in model.parameters().items()
        if tensor.data.size > 1 and bool((tensor.data == tensor.data.flat[0]).all())
    }
    return model.with_parameters(uniform)
