"""The convention under which a file means the network that it was written from.

NIR is continuous and says nothing about steps, so a file needs a ``Semantics``. A continuous
network has one. For a per-step network it is worked out here: the rules of firing are those of most
of its populations, the gain is the held one, and the decay follows the convention the network was
made with, else the exponential.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spikec.compiler.equation import Dynamics, Neuron
from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.nir_losses import Losses
from spikec.compiler.ir import Graph, Population
from spikec.compiler.neurons.cuba_leaky_integrator import (
    ContinuousCubaLeakyIntegrator,
    CubaLeakyIntegrator,
)
from spikec.compiler.neurons.cuba_lif import ContinuousCubaLIF, CubaLIF
from spikec.compiler.neurons.firing import ContinuousFiring, Firing
from spikec.compiler.neurons.relay import Relay
from spikec.compiler.neurons.threshold import Threshold
from spikec.compiler.semantics import Semantics

NIR = Semantics()
FIRING = ("compare", "reset", "reset_phase", "fire", "max_spikes", "lower_clip")
CUBA = (CubaLIF, CubaLeakyIntegrator, ContinuousCubaLIF, ContinuousCubaLeakyIntegrator)


@dataclass(frozen=True, slots=True)
class Rules:
    """The choices of a convention that concern one population, by field of ``Semantics``."""

    population: str
    values: dict[str, Any]


def convention(graph: Graph, losses: Losses) -> Semantics:
    """Return the semantics of the file, and note what they cannot say.

    Raises:
        SpikecError: SPK1046 when a network is partly continuous.
    """
    models = [p.neuron for p in graph.populations]
    if not any(isinstance(m, Dynamics) for m in models):
        return _per_step(graph, losses)
    for p in graph.populations:
        if isinstance(p.neuron, Neuron) and not isinstance(p.neuron, Relay | Threshold):
            raise SpikecError(
                "SPK1046",
                p.name,
                f"{p.neuron.kind} is per step where other populations are continuous",
                "Discretize the network first",
            )
    return _continuous(graph, losses)


def _continuous(graph: Graph, losses: Losses) -> Semantics:
    semantics = [p.neuron.semantics for p in graph.populations if isinstance(p.neuron, Dynamics)]
    # Delays are written out, and so are the hops among them.
    most: Semantics = _most(semantics)
    chosen = replace(most, hop_delay=0)
    rules = [_rules(p) for p in graph.populations]
    for p in graph.populations:
        if isinstance(p.neuron, Dynamics) and replace(p.neuron.semantics, hop_delay=0) != chosen:
            losses.add("rule", p.name, f"its semantics are {p.neuron.semantics}, not {chosen}")
    _compare(rules, chosen, losses)
    return chosen


def _per_step(graph: Graph, losses: Losses) -> Semantics:
    rules = [_rules(p) for p in graph.populations]
    chosen: dict[str, Any] = {}
    for field in (*FIRING[:-1], "current_phase"):
        values = [r.values[field] for r in rules if field in r.values]
        if values:
            chosen[field] = _most(values)
    gains = [
        bool(np.all(value.real() == 1.0))
        for p in graph.populations
        for name, value in p.neuron.parameters().items()
        if name == "gain"
    ]
    decays = [
        value.real()
        for p in graph.populations
        for name, value in p.neuron.parameters().items()
        if p.neuron.dimensions()[name] == "factor"
    ]
    made = replace(
        NIR,
        discretisation=_origin(graph).discretisation,
        # A gain of one is then exactly one again, whatever r (1 - decay) rounds to.
        input_gain="unit" if gains and all(gains) else "held",
        lower_clip=_clip(graph.populations),
        stability="allow" if any(bool(np.any(d < 0)) for d in decays) else "refuse",
        **chosen,
    )
    _compare(rules, made, losses)
    return made


def _origin(graph: Graph) -> Semantics:
    """Return the semantics that the network was discretised by, if it says so."""
    try:
        return Semantics.parse(graph.metadata.get("semantics", "nir"))
    except SpikecError:  # networks written in Python may carry anything there
        return NIR


def _most(values: Sequence[Any]) -> Any:
    """Return the value that occurs most often; of several the first."""
    return Counter(values).most_common(1)[0][0]


# ---------------------------------------------------------------- the rules of a population


def _rules(population: Population) -> Rules:
    model = population.neuron
    source: Any = model.semantics if isinstance(model, Dynamics) else model
    names: list[str] = []
    if isinstance(model, Firing | ContinuousFiring):
        names += FIRING[:-1]
    if isinstance(model, Threshold):
        names.append("compare")
    if isinstance(model, CUBA):
        names.append("current_phase")
    if isinstance(model, Dynamics):
        names += ["input_gain", "synapse_gain"] if isinstance(model, CUBA) else ["input_gain"]
    values = {name: getattr(source, name) for name in names}
    if values.get("reset") == "zero" and _resets_to_zero(model):
        values["reset"] = "value"
    if isinstance(model, ContinuousFiring) and model.clips():
        values["lower_clip"] = source.lower_clip
    return Rules(population.name, values)


def _resets_to_zero(model: Neuron | Dynamics) -> bool:
    """Return whether a reset to zero can be written as one to a value, which is NIR's."""
    return isinstance(model, Firing) or not np.any(model.parameters()["v_reset"].data)


def _clip(populations: Iterable[Population]) -> Any:
    """Return which membranes are kept at or above minus their threshold."""
    firing = [p.neuron for p in populations if isinstance(p.neuron, Firing)]
    clipped = [m for m in firing if is_clipped(m)]
    if firing and len(clipped) == len(firing):
        return "all"
    only = [m for m in firing if not leaks(m)]
    return "integrate_and_fire" if only and clipped == only else "none"


def is_clipped(model: Firing) -> bool:
    """Return whether the lower bound of a membrane is minus its threshold."""
    return model.v_min is not None and bool(np.all(model.v_min.real() == -model.threshold.real()))


def compare_rules(graph: Graph, chosen: Semantics, losses: Losses, usual: Semantics) -> None:
    """Note what differs from a given convention, and where that differs from a usual one."""
    _compare([_rules(p) for p in graph.populations], chosen, losses, usual)


def _compare(
    rules: Iterable[Rules], chosen: Semantics, losses: Losses, usual: Semantics = NIR
) -> None:
    """Note what differs from the chosen convention, and where that differs from a usual one."""
    for rule in rules:
        for field, value in rule.values.items():
            used = getattr(chosen, field)
            if field == "reset" and (value, used) == ("value", "zero"):
                continue
            # From a current of 0 on both are the same.
            if field == "current_phase" and "old" not in (value, used):
                continue
            if value != used:
                losses.add("rule", rule.population, f"its {field} is {value}, not {used}")
            elif value != getattr(usual, field):
                losses.add(field, rule.population, f"{field}={value}")


def note_bound(population: Population, model: Firing, chosen: Semantics, losses: Losses) -> None:
    """Note the lower bound of a per-step model: as a convention, or as lost."""
    if model.v_min is None:
        return
    applies = chosen.lower_clip == "all" or (chosen.lower_clip != "none" and not leaks(model))
    if applies and is_clipped(model):
        losses.add("lower_clip", population.name, f"lower_clip={chosen.lower_clip}")
        return
    lowest = float(model.v_min.real().min())
    losses.add("v_min", population.name, f"its membrane is kept at or above {lowest:g}")


def leaks(model: Neuron) -> bool:
    """Return whether a membrane leaks; one that does not is an IF or I node, whatever its kind."""
    decay = model.parameters().get("decay")
    return decay is not None and not bool(np.all(decay.real() == 1.0))
