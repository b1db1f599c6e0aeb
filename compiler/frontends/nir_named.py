"""A network under a convention that the user names, for the framework of that name to read.

``nir_convention`` finds the convention that a network keeps. Here the convention is given, and what
the network does otherwise is noted as lost.
"""

from dataclasses import replace

import numpy as np

from spikec.compiler.equation import Dynamics
from spikec.compiler.frontends.nir_convention import compare_rules, leaks
from spikec.compiler.frontends.nir_losses import Losses
from spikec.compiler.ir import Graph, Population, Program, Projection
from spikec.compiler.neurons.cuba_leaky_integrator import CubaLeakyIntegrator
from spikec.compiler.neurons.firing import Firing
from spikec.compiler.neurons.integrator import Integrator
from spikec.compiler.neurons.leaky_integrator import LeakyIntegrator
from spikec.compiler.neurons.relay import Relay
from spikec.compiler.passes.discretize import Discretize
from spikec.compiler.pipeline import Context
from spikec.compiler.semantics import PRESETS, Semantics

READ_OUTS = (LeakyIntegrator, Integrator, CubaLeakyIntegrator)


def named(graph: Graph, chosen: Semantics, losses: Losses) -> Graph:
    """Return the per-step network that the file is to mean under ``chosen``.

    Its step is that of the convention, and its delays lack the hop that the convention adds.

    Raises:
        SpikecError: SPK0631 on a continuous network without a step, SPK04xx of its own semantics.
    """
    if any(isinstance(p.neuron, Dynamics) for p in graph.populations):
        graph = Discretize().run(Program(graph), Context()).graph
    compare_rules(graph, chosen, losses, PRESETS.get(chosen.name, PRESETS["nir"]))
    for population in graph.populations:
        _note(population, chosen, losses)
    graph = _without_hops(graph, chosen, losses)
    step = graph.dt if chosen.dt is None else chosen.dt
    if graph.dt not in (None, step):
        losses.add("step", "dt", f"a step is {graph.dt:g} s, and {step:g} s in the file")
    return replace(graph, dt=step)


def _note(population: Population, chosen: Semantics, losses: Losses) -> None:
    """Note what the convention does to one population and the network does not."""
    model = population.neuron
    if isinstance(model, READ_OUTS):
        gain = model.gain.real()
        if chosen.input_gain == "unit" and bool(np.any(gain != 1.0)):
            losses.add("gain", population.name, "its input gain is not 1")
    if not isinstance(model, Firing):
        return
    elsewhere = model.reset == "value" and bool(np.any(model.reset_value.real()))
    if chosen.reset == "zero" and elsewhere:
        losses.add("rule", population.name, "its reset is to a value that is not zero")
    clips = chosen.lower_clip == "all" or (chosen.lower_clip != "none" and not leaks(model))
    if clips and model.v_min is None:
        losses.add("rule", population.name, f"lower_clip={chosen.lower_clip} would bound it")


def _without_hops(graph: Graph, chosen: Semantics, losses: Losses) -> Graph:
    """Return the network with the delays that are left when the reader adds its hops."""
    hop = chosen.hop_delay
    relays = {p.name for p in graph.populations if isinstance(p.neuron, Relay)}
    made: list[Projection] = []
    for p in (q for projection in graph.projections for q in projection.by_delay()):
        added = 0 if p.source in relays else hop
        if p.delay < added:
            losses.add("hop", str(p), f"its delay is {p.delay}, and {added} in the convention")
        made.append(replace(p, delay=max(p.delay - added, 0)))
    return replace(graph, projections=tuple(made)) if hop else graph
