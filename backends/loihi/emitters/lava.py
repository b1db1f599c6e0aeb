"""The network as a Lava program: source and data, without importing Lava.

    lava/network.py              one Lava process per group of neurons and per connection
    lava/run.py                  runs it in the simulator or on the chip, and compares
    lava/processes/recorder.py   keeps spikes and states
    lava/arrays.npz              weights, biases, initial states
    lava/golden.npz              inputs, and what the core model makes of them
    lava/mapping.json            which process holds which neurons
    lava/README.md               how to run it

Lava's LIF has one du, dv and threshold per process, so a population becomes one process for each
combination that occurs: a group. A connection goes from group to group.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from spikec.backends.loihi.image import Compartments, CoreImage, Synapses
from spikec.backends.loihi.lava_text import network_text, readme_text
from spikec.backends.loihi.runner import CoreRunner
from spikec.compiler.artifact import json_text
from spikec.compiler.errors import Finding
from spikec.compiler.ir import Program
from spikec.compiler.npz import write_npz
from spikec.compiler.signals import random_inputs
from spikec.compiler.types import Array
from spikec.compiler.untyped import sparse as sp

FOLDER = "lava"
MOST_PROCESSES = 500  # each is a process of the operating system
DENSE_CELLS = 1 << 22  # a larger matrix is emitted as a sparse one
DENSE_SHARE = 0.25
# What the golden inputs are: so many samples and steps, this chance of a spike, this seed.
SAMPLES, STEPS, PROBABILITY, SEED = 2, 32, 0.2, 0


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Neurons of one population with one du, dv and threshold.

    Attributes:
        name: Identifier in the source text.
        population: Identifier of the population, ``p<k>``.
        compartments: The population.
        neurons: Their indices in it.
    """

    name: str
    population: str
    compartments: Compartments
    neurons: Array

    @property
    def held(self) -> bool:
        """Whether initial state or bias must be held back."""
        c, k = self.compartments, self.neurons
        return c.start > 0 and bool(np.any(c.u[k] | c.v[k] | c.bias_mantissa[k]))

    def arrays(self) -> dict[str, Array]:
        """Return what the process is built from, int64."""
        c, k = self.compartments, self.neurons
        values = {
            "neurons": k,
            "u": c.u[k],
            "v": c.v[k],
            "bias_mant": c.bias_mantissa[k],
            "bias_exp": c.bias_exponent[k],
        }
        return {f"{self.name}.{key}": a for key, a in values.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Connection:
    """Synapses between an input or group and a group.

    Attributes:
        name: Identifier in the source text.
        source: Identifier of the source.
        target: Identifier of the target.
        synapses: The projection they belong to.
        matrix: Mantissas, (targets, sources).
        extra: Steps beyond the hop, of the same shape, or None where there are none.
    """

    name: str
    source: str
    target: str
    synapses: Synapses
    matrix: Any
    extra: Any

    @property
    def dense(self) -> bool:
        """Whether it is emitted as a full matrix."""
        rows, columns = self.matrix.shape
        cells = rows * columns * (1 if self.extra is None else int(self.extra.max()) + 1)
        return bool(cells <= DENSE_CELLS and self.matrix.nnz >= DENSE_SHARE * rows * columns)

    @property
    def process(self) -> str:
        """Class of the Lava process."""
        return ("" if self.extra is None else "Delay") + ("Dense" if self.dense else "Sparse")

    def arrays(self) -> dict[str, Array]:
        """Return weights and delays, int64."""
        values: dict[str, Array] = {}
        for key, matrix in (("weights", self.matrix), ("delays", self.extra)):
            if matrix is None:
                continue
            if self.dense:
                values[key] = matrix.toarray()
            else:
                values |= {f"{key}.{part}": getattr(matrix, part) for part in PARTS}
        return {f"{self.name}.{key}": a for key, a in values.items()}


PARTS = ("data", "indices", "indptr")


class LavaEmitter:
    """The emitter."""

    def refuses(self, image: CoreImage) -> tuple[Finding, ...]:
        """Return what Lava 0.10.0's fixed-point processes cannot express exactly."""
        return tuple(_refusals(image))

    def emit(self, image: CoreImage, program: Program, folder: Path) -> None:
        """Write the program into ``folder``, which is made."""
        groups = make_groups(image)
        connections = make_connections(image, groups)
        (folder / "processes").mkdir(parents=True)
        own = files("spikec.hw").joinpath("lava")
        (folder / "run.py").write_text(own.joinpath("run.py").read_text())
        recorder = own.joinpath("recorder.py").read_text()
        (folder / "processes" / "recorder.py").write_text(recorder)
        (folder / "network.py").write_text(network_text(image, groups, connections))
        (folder / "README.md").write_text(readme_text(image, groups, connections))
        write_npz(folder / "arrays.npz", _arrays(groups, connections))
        write_npz(folder / "golden.npz", golden(image, program))
        (folder / "mapping.json").write_text(json_text(_mapping(image, groups, connections)))


def input_ids(image: CoreImage) -> dict[str, str]:
    """Return the identifier of each input."""
    return {name: f"x{k}" for k, name in enumerate(image.inputs)}


def population_ids(image: CoreImage) -> dict[str, str]:
    """Return the identifier of each population."""
    return {name: f"p{k}" for k, name in enumerate(image.compartments)}


def make_groups(image: CoreImage) -> list[Group]:
    """Return the groups of all populations."""
    groups: list[Group] = []
    for name, identifier in population_ids(image).items():
        c = image.compartments[name]
        keys = np.stack([c.du, c.dv, c.threshold], axis=1)
        kinds, member = np.unique(keys, axis=0, return_inverse=True)
        member = member.reshape(-1)
        for k in range(len(kinds)):
            suffix = f"_{k}" if len(kinds) > 1 else ""
            groups.append(Group(identifier + suffix, identifier, c, np.flatnonzero(member == k)))
    return groups


def make_connections(image: CoreImage, groups: list[Group]) -> list[Connection]:
    """Return the connections between groups that hold a weight."""
    inputs = input_ids(image)
    made: list[Connection] = []
    for k, s in enumerate(image.synapses):
        shape = len(s.indptr) - 1, s.columns
        places = s.rows, s.indices
        full = sp.csr_matrix((s.weight, places), shape=shape)
        delays = sp.csr_matrix((s.delay, places), shape=shape)
        for source, columns in _sources(s, inputs, groups):
            for target in (g for g in groups if g.compartments.name == s.target):
                part = full[target.neurons][:, columns].tocsr()
                extra = delays[target.neurons][:, columns].tocsr()
                extra.data = extra.data - 1
                part.eliminate_zeros()
                extra.eliminate_zeros()
                if part.nnz:
                    late = extra if extra.nnz else None
                    name = f"c{k}_{source}_{target.name}"
                    made.append(Connection(name, source, target.name, s, part, late))
    return made


def _sources(
    s: Synapses, inputs: Mapping[str, str], groups: list[Group]
) -> Iterator[tuple[str, Array]]:
    """Give the identifier and the neurons of every source process of a projection."""
    if s.source in inputs:
        yield inputs[s.source], np.arange(s.columns)
    for group in groups:
        if group.compartments.name == s.source:
            yield group.name, group.neurons


def golden(image: CoreImage, program: Program) -> dict[str, Array]:
    """Return random inputs, and what the core model sends and holds."""
    chosen = random_inputs(program.graph, SAMPLES, STEPS, PROBABILITY, SEED)
    flat = {n: np.asarray(a).reshape(*a.shape[:2], -1).astype(np.uint8) for n, a in chosen.items()}
    trace = CoreRunner(program, image).run(flat, ("spikes", "state"))
    found: dict[str, Array] = {i: flat[name] for name, i in input_ids(image).items()}
    for name, identifier in population_ids(image).items():
        shape = (SAMPLES, STEPS, -1)
        found[f"{identifier}.spikes"] = trace.spikes[name].reshape(shape).astype(np.uint8)
        for state, held in trace.state[name].items():
            found[f"{identifier}.{state}"] = held.reshape(shape).astype(np.int32)
    return found


def _arrays(groups: list[Group], connections: list[Connection]) -> dict[str, Array]:
    """Return all arrays by name, int32."""
    found: dict[str, Array] = {}
    for arrays in (*(g.arrays() for g in groups), *(c.arrays() for c in connections)):
        found |= {name: a.astype(np.int32) for name, a in arrays.items()}
    return found


def _mapping(
    image: CoreImage, groups: list[Group], connections: list[Connection]
) -> dict[str, Any]:
    """Return which process holds what; cores are Lava's own choice."""
    inputs = {v: {"name": k, "size": image.inputs[k]} for k, v in input_ids(image).items()}
    populations = {
        identifier: {"name": name, "size": image.compartments[name].size}
        for name, identifier in population_ids(image).items()
    }
    outputs = set(image.outputs.values())
    described = {
        g.name: {
            "population": g.population,
            "size": len(g.neurons),
            "start": g.compartments.start,
            "states": list(g.compartments.states),
            "held": g.held,
            "output": g.compartments.name in outputs,
        }
        for g in groups
    }
    edges = {
        c.name: {"source": c.source, "target": c.target, "process": c.process} for c in connections
    }
    return {
        "network": image.name,
        "generation": image.generation,
        "inputs": inputs,
        "populations": populations,
        "groups": described,
        "connections": edges,
        "outputs": dict(image.outputs),
        "cores": "chosen by Lava; spikec places nothing yet",
    }


# ---------------------------------------------------------------- what Lava lacks


def _refusals(image: CoreImage) -> Iterator[Finding]:
    for name, c in image.compartments.items():
        terms = {
            f"compare={c.compare}": c.compare == "gt",
            f"reset={c.reset}": c.reset == "zero",
            "refractory period": bool(np.all(c.refractory == 1)),
        }
        for term, fits in terms.items():
            if not fits:
                message = f"no Lava program: its public fixed-point LIF has no {term}"
                yield Finding("SPK1631", name, message)
    for s in image.synapses:
        where = f"{s.source} -> {s.target}"
        if s.exponent < 0 and np.any(s.weight & ((1 << -s.exponent) - 1)):
            message = (
                f"no Lava program: Lava drops the low bits of weights at exponent {s.exponent}"
            )
            yield Finding("SPK1632", where, message)
        pairs = s.rows * s.columns + s.indices
        if len(np.unique(pairs)) < len(pairs):
            message = "no Lava program: two synapses join one pair of neurons"
            yield Finding("SPK1633", where, message)
    needed = _processes(image)
    if needed > MOST_PROCESSES:
        message = (
            f"no Lava program: decays and thresholds differ so that it takes {needed} processes"
        )
        yield Finding("SPK1634", image.name, f"{message}, and at most {MOST_PROCESSES} are emitted")


def _processes(image: CoreImage) -> int:
    """Return a bound of the number of groups and connections."""
    groups = make_groups(image)
    kinds = Counter(g.compartments.name for g in groups)
    pairs = (kinds[s.target] * kinds.get(s.source, 1) for s in image.synapses)
    return len(groups) + sum(pairs)


emitter = LavaEmitter()
