"""Give every neuron a core, under every limit of the target, with little traffic between cores.

Traffic is the spikes per step that leave for another core, by the rates of the calibration data;
without data every neuron counts as one spike per step. A mapping of the user's own is kept.
"""

from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np

from spikec.compiler.agreement import chunks
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Program
from spikec.compiler.mapping.demand import Demand, network, seated
from spikec.compiler.mapping.partition import Method, partition
from spikec.compiler.mapping.placement import sequential
from spikec.compiler.mapping.tiles import by_blocks, too_many
from spikec.compiler.pipeline import Context
from spikec.compiler.signals import quiet
from spikec.compiler.simulator import Simulator, find_backend
from spikec.compiler.target import load_target
from spikec.compiler.types import Array


@dataclass(frozen=True, slots=True)
class Partition:
    """Split populations over cores.

    Attributes:
        seed: Of the search; equal seeds give equal mappings.
        method: best, or one of its parts: sequential, greedy, multilevel.
        compartments: Neurons per core; 0 for the target's limit, as for all that follow.
        in_axons: Sources that reach a core.
        out_axons: Pairs of a neuron of a core and a core that it reaches.
        synapse_bits: Synapse memory.
        configurations: Different decays and refractory periods in a core.
        thresholds: Different thresholds in a core.
        synapse_formats: Different formats of synapses in a core.
    """

    name: ClassVar[str] = "partition"
    seed: int = 0
    method: Method = "best"
    compartments: int = 0
    in_axons: int = 0
    out_axons: int = 0
    synapse_bits: int = 0
    configurations: int = 0
    thresholds: int = 0
    synapse_formats: int = 0

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            SpikecError: SPK1770.
        """
        for f in fields(self):
            if f.name != "method" and getattr(self, f.name) < 0:
                raise SpikecError(
                    "SPK1770", f"partition {f.name}", "it is negative", "Use 0 or more"
                )

    def run(self, program: Program, context: Context) -> Program:
        """Return the program with a mapping, its cores in the order of their numbers.

        A program that the target cannot run at all is left as it is, for ``check`` to say why.

        Raises:
            SpikecError: SPK1771 when the target has no cores; errors of ``partition``.
        """
        target = load_target(program.target)
        if target.mesh is None:
            raise SpikecError(
                "SPK1771",
                "partition",
                f"target '{target.name}' has no cores",
                "Leave the pass out, or choose another target",
            )
        backend = find_backend(target.backend)
        if program.mapping is not None or backend.supports(program):
            return program
        searched = ("seed", "method")
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in searched}
        rate = measured_rates(program, context)
        report = {
            "limits": {name: value for name, value in given.items() if value},
            "profile": rate is not None,
        }
        program = replace(program, reports={**program.reports, self.name: report})
        demand = demand_of(program)
        if too_many(program):
            seat = by_blocks(program, demand)
        else:
            try:
                seat = partition(
                    network(program, demand, rate), demand.limits, self.seed, self.method
                )
            except SpikecError as error:
                raise _named(program, error) from None
        cores = int(seat.max(initial=-1)) + 1
        return seated(program, seat, sequential(cores, target.mesh.holding(cores)))


def _named(program: Program, error: SpikecError) -> SpikecError:
    """Return the error with the population of the neuron that it is about."""
    kind, _, number = error.where.partition(" ")
    if kind != "neuron":
        return error
    at = int(number)
    for population in program.graph.populations:
        if at < population.size:
            where = f"{population.name}[{at}]"
            return SpikecError(error.code, where, error.problem, error.remedy)
        at -= population.size
    return error


def demand_of(program: Program) -> Demand:
    """Return what a program asks of cores, under the limits that its partition was given."""
    changed: dict[str, int] = program.reports.get("partition", {}).get("limits", {})
    demand: Demand = find_backend(load_target(program.target).backend).demand(program, changed)
    return demand


def measured_rates(program: Program, context: Context) -> Array | None:
    """Return the events per step of every source on the calibration data, or None without any.

    Measured once for a graph: where its neurons sit changes no spike.
    """
    data, graph = context.calibration, program.graph
    if not data:
        return None
    for known, rate in context.rates:
        if known is graph:
            return rate
    sums = {n.name: np.zeros(n.size) for n in graph.sources}
    simulator, steps = Simulator(program, report=quiet), 0
    for part in chunks(program, data):
        trace = simulator.run({n: a[part] for n, a in data.items()}, ("spikes",))
        for name, sent in {**trace.inputs, **trace.spikes}.items():
            flat = sent.reshape(*sent.shape[:2], -1)
            sums[name] += np.count_nonzero(flat, axis=(0, 1))
        steps += next(iter(data.values()))[part].shape[0] * next(iter(data.values())).shape[1]
    rate = np.concatenate(list(sums.values())) / max(steps, 1)
    context.rates.append((graph, rate))
    return rate
