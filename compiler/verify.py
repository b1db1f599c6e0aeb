"""The invariants of a program, by stage. ``verify`` runs after every pass.

Always: unique valid names, endpoints and ports exist, sizes agree, every number finite, every cycle
with a delay. From discretize on: no population in seconds, and floating point throughout. From
quantize on: no floating point, and no wire, cast or sum that may overflow its type.
"""

from collections import Counter

import numpy as np

from spikec.compiler.context import verify_contexts
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import (
    Graph,
    Input,
    Mapping,
    Output,
    Population,
    Program,
    Projection,
    check_name,
    seat_error,
)
from spikec.compiler.types import FixedPoint, Float, Tensor
from spikec.compiler.wiring import lanes

STORAGES = ("dense", "sparse", "conv", "procedural")
# Neurons, input channels and ends of projections, all together: what a step touches besides weights
# fits in memory, and 32 bits index it.
MOST_ELEMENTS = 1 << 25
# A population waits for so many steps at most; ``retime`` lets it wait for one a hop.
MOST_START = 10_000


def verify(program: Program) -> None:
    """Check every invariant of the program's stage.

    Raises:
        SpikecError: The first that does not hold.
    """
    verify_graph(program.graph)
    if program.mapping is not None:
        _mapping(program.graph, program.mapping)
    if program.stage != "continuous":
        verify_graph_types(program.graph, integer=program.stage == "integer")


def verify_graph(graph: Graph) -> None:
    """Check names, endpoints, shapes, numbers and cycles.

    Raises:
        SpikecError: The first that does not hold.
    """
    _names(graph)
    _size(graph)
    if graph.dt is not None and not (np.isfinite(graph.dt) and graph.dt > 0):
        raise SpikecError(
            "SPK0510", "dt", f"{graph.dt} s is not a positive step", "Give --dt in seconds"
        )
    for node in graph.nodes:
        if isinstance(node, Output):
            continue
        if not node.shape or min(node.shape) < 1:
            raise SpikecError(
                "SPK0511", node.name, f"shape {node.shape} is empty", "Give sizes of at least 1"
            )
        if not (np.isfinite(node.scale) and node.scale > 0):
            raise SpikecError(
                "SPK0527", node.name, f"scale {node.scale} is not positive", "Correct the scale"
            )
        if isinstance(node, Population):
            _numbers(node)
            if node.stream:
                check_name(node.stream, f"{node.name} stream")
    nodes = _nodes(graph)
    for projection in graph.projections:
        _projection(nodes, projection)
    verify_contexts(graph)
    graph.order()


def _size(graph: Graph) -> None:
    """Refuse a network that is too large to hold, however few numbers describe it."""
    total = 0
    sizes = [(n.name, n.size) for n in graph.nodes if not isinstance(n, Output)]
    sizes += [(str(p), p.synapse.in_size + p.synapse.out_size) for p in graph.projections]
    for where, size in sizes:
        total += max(size, 0)
        if total > MOST_ELEMENTS:
            raise SpikecError(
                "SPK0531",
                where,
                f"up to here the network has {total} neurons, channels and ends of projections, "
                f"more than {MOST_ELEMENTS}",
                "Split the model",
            )


def _nodes(graph: Graph) -> dict[str, Input | Population]:
    """Return the inputs and populations by name."""
    named: dict[str, Input | Population] = {n.name: n for n in graph.inputs}
    return named | {n.name: n for n in graph.populations}


def _mapping(graph: Graph, mapping: Mapping) -> None:
    """Check that every neuron sits in one core that is there, and that no two are in one place."""
    nodes = _nodes(graph)
    places, count = np.unique(mapping.places, axis=0, return_counts=True)
    problem = ""
    if mapping.places.shape != (mapping.size, 4) or mapping.places.min(initial=0) < 0:
        problem = "a place is not a chip, a column, a row and a number, each from 0"
    elif np.any(count > 1):
        where = ", ".join(str(n) for n in places[count > 1][0])
        problem = f"two cores are at chip, column, row, number {where}"
    strays = [name for name in mapping.seats if name not in nodes]
    if strays:
        problem = f"it seats '{strays[0]}', which is not there"
    if problem:
        raise SpikecError("SPK0533", "mapping", problem, "Correct the mapping")
    for name, node in nodes.items():
        seats = mapping.seats.get(name)
        if seats is None and isinstance(node, Input):
            continue
        held = np.full(node.size, -1) if seats is None else seats
        if held.shape != (node.size,):
            raise SpikecError(
                "SPK0534",
                name,
                f"the mapping seats {held.size} of its {node.size} neurons",
                "Correct the mapping",
            )
        wrong = np.flatnonzero((held < 0) | (held >= mapping.size))
        if wrong.size:
            raise seat_error(name, int(wrong[0]), 0)


def _names(graph: Graph) -> None:
    sources = [n.name for n in graph.nodes if not isinstance(n, Output)]
    for group in (sources, [n.name for n in graph.outputs]):
        for name, times in Counter(group).items():
            check_name(name, "node")
            if times > 1:
                raise SpikecError("SPK0512", name, "two nodes have this name", "Rename one")
    populations = {p.name for p in graph.populations}
    for output in graph.outputs:
        if output.source not in populations:
            raise SpikecError(
                "SPK0513",
                output.name,
                f"its source '{output.source}' is not a population",
                f"Use one of {', '.join(sorted(populations))}",
            )
    if not graph.outputs:
        raise SpikecError("SPK0514", graph.name or "graph", "there is no output", "Add an Output")
    if not graph.inputs:
        # The length of a run is that of its input.
        raise SpikecError("SPK0528", graph.name or "graph", "there is no input", "Add an Input")


def _numbers(population: Population) -> None:
    model = population.neuron
    for name, tensor in model.parameters().items():
        check_finite(f"{population.name}.{name}", tensor)
    if not 0 <= population.start <= MOST_START:
        rule = "negative" if population.start < 0 else f"more than {MOST_START}"
        raise SpikecError(
            "SPK0515", population.name, f"start {population.start} is {rule}", "Use 0 or more"
        )


def check_finite(where: str, tensor: Tensor) -> None:
    """Refuse NaN and infinity.

    Raises:
        SpikecError: SPK0516.
    """
    bad = ~np.isfinite(tensor.data)
    if bad.any():
        index = tuple(int(k) for k in np.argwhere(bad)[0])
        raise SpikecError(
            "SPK0516",
            where,
            f"element {list(index)} is {tensor.data[index]}, not a finite number",
            "Train again or repair the model",
        )


def _projection(nodes: dict[str, Input | Population], p: Projection) -> None:
    for end in (p.source, p.target):
        if end not in nodes:
            raise SpikecError(
                "SPK0517", str(p), f"'{end}' is not a node", f"Use one of {', '.join(nodes)}"
            )
    source, target = nodes[p.source], nodes[p.target]
    if isinstance(target, Input):
        raise SpikecError(
            "SPK0518", str(p), f"'{p.target}' is an input", "Project onto a population"
        )
    ports = getattr(target.neuron, "ports", ("input",))
    if p.port not in ports:
        raise SpikecError(
            "SPK0519", str(p), f"there is no port '{p.port}'", f"Use one of {', '.join(ports)}"
        )
    if (p.synapse.in_size, p.synapse.out_size) != (source.size, target.size):
        raise SpikecError(
            "SPK0520",
            str(p),
            f"{p.synapse.kind} maps {p.synapse.in_size} to {p.synapse.out_size} but "
            f"'{p.source}' has {source.size} and '{p.target}' has {target.size}",
            "Correct the weight's shape",
        )
    if p.delay < 0:
        raise SpikecError("SPK0521", str(p), f"delay {p.delay} is negative", "Use 0 or more")
    if p.storage not in STORAGES:
        raise SpikecError(
            "SPK0522", str(p), f"storage '{p.storage}' is unknown", f"Use {', '.join(STORAGES)}"
        )
    check_finite(f"{p} weight", p.synapse.weight)
    if p.synapse.bias is not None:
        check_finite(f"{p} bias", p.synapse.bias)


def verify_graph_types(graph: Graph, integer: bool) -> None:
    """Check the stage: all is floating point, or all is integer; build every equation.

    Raises:
        SpikecError: SPK0523 on a number that is still floating point, SPK0529 on one that is not
            any more; errors of ``lanes``.
    """
    if integer:
        for where, is_float in _kinds(graph):
            if is_float:
                raise SpikecError(
                    "SPK0523", where, "is still floating point in an integer program", "Quantize it"
                )
    else:
        for where in _fixed(graph):
            raise SpikecError(
                "SPK0529", where, "is fixed point in a floating-point program", "Quantize the rest"
            )
    for name in lanes(graph):
        if integer:
            _initial_values(graph.population(name))


def _initial_values(population: Population) -> None:
    """Check that initial states are stored in the format of the state."""
    for state in population.model().states:
        initial, form = population.model().initial(state), population.formats[state].type
        lo, hi = int(initial.data.min()), int(initial.data.max())
        wrong_point = initial.data.any() and (initial.is_float or initial.frac != form.frac)
        if wrong_point or lo < form.lo or hi > form.hi:
            raise SpikecError(
                "SPK0524",
                f"{population.name}.{state}_init",
                f"initial values do not fit the state's format {form}",
                "Store them in that format",
            )


def _kinds(graph: Graph) -> list[tuple[str, bool]]:
    listed = [(i.name, isinstance(i.signal, Float)) for i in graph.inputs]
    for p in graph.projections:
        listed.append((f"{p} weight", p.synapse.weight.is_float))
        bias = p.synapse.bias
        listed.append((f"{p} bias", bias is not None and bias.is_float))
    for population in graph.populations:
        for name, tensor in population.model().parameters().items():
            # A scalar such as gain 1 stands for its exact dyadic value.
            listed.append((f"{population.name}.{name}", tensor.is_float and tensor.data.size > 1))
        for state in population.model().states:
            listed.append((f"{population.name}.{state}", state not in population.formats))
    return listed


def _fixed(graph: Graph) -> list[str]:
    """Return what has a format of its own."""
    listed = [i.name for i in graph.inputs if isinstance(i.signal, FixedPoint)]
    for p in graph.projections:
        listed += [] if p.synapse.weight.is_float else [f"{p} weight"]
        listed += [] if p.synapse.bias is None or p.synapse.bias.is_float else [f"{p} bias"]
    return listed + [p.name for p in graph.populations if p.formats]
