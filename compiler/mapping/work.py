"""What every core does in every step of a run, and how long the steps take by a price book."""

from typing import Any

import numpy as np

from spikec.compiler.counting import Counter, mesh_under
from spikec.compiler.ir import Program, Trace
from spikec.compiler.mapping.reach import reach
from spikec.compiler.mapping.routes import Routes, routes
from spikec.compiler.mapping.step_time import StepTime, step_time
from spikec.compiler.prices import PriceBook
from spikec.compiler.types import Array
from spikec.compiler.untyped import sparse as sp

# Numbers of one count that are kept; steps beyond them are not timed.
MOST_KEPT = 1 << 24
STORED = {"dense": "synop_dense", "conv": "synop_conv"}  # everything else is a list


class Work:
    """Collects the work of the cores of a mapped program over traces."""

    def __init__(self, program: Program) -> None:
        """Lay out which core each source reaches."""
        assert program.mapping is not None
        self.mapping, self.counter = program.mapping, Counter(program)
        self.mesh, self.graph = mesh_under(program), program.graph
        cores = self.mapping.size
        self.synapses = [
            (p, reach(p, self.mapping.seats[p.target], cores)) for p in self.graph.projections
        ]
        self.reached: dict[str, Any] = {}
        for p, counts in self.synapses:
            held = (counts > 0).astype(np.int32)
            before = self.reached.get(p.source)
            self.reached[p.source] = held if before is None else before.maximum(held)
        self.kept: list[dict[str, Array]] = []
        self.steps = 0
        self.traffic: Any = sp.csr_array((cores, cores))
        self.complete = True

    def add(self, trace: Trace) -> None:
        """Count a trace that recorded ``spikes`` and ``state``."""
        sent = self.counter.sent(trace)
        samples, steps, _ = next(iter(sent.values())).shape
        if (self.steps + samples * steps) * self.mapping.size > MOST_KEPT and self.kept:
            self.complete = False
            return
        self.steps += samples * steps
        self.kept.append(self._counts(sent, trace, samples * steps))

    def _counts(self, sent: dict[str, Array], trace: Trace, steps: int) -> dict[str, Array]:
        cores = self.mapping.size
        names = ("update", "spike", "message", "message_in", *STORED.values(), "synop_sparse")
        done = {name: np.zeros((steps, cores), np.int64) for name in names}
        held = np.bincount(np.concatenate(list(self._seats().values())), minlength=cores)
        done["access"] = np.broadcast_to(held, (steps, cores))
        for population in self.graph.populations:
            seats = self._onto(population.name, population.size)
            parts = range(len(sent[population.name]))
            active = [self.counter.updates(population, sent, trace, k) for k in parts]
            done["update"] += _product(np.concatenate(active), seats)
            done["spike"] += _product(sent[population.name].reshape(steps, -1) != 0, seats)
        for source, pairs in self.reached.items():
            events = sp.csr_array(sent[source].reshape(steps, -1) != 0).astype(np.int64)
            done["message_in"] += (events @ pairs).toarray()
            seats = self._onto(source, pairs.shape[0])
            away = seats.multiply(np.diff(pairs.indptr)[:, None].astype(np.int64))
            done["message"] += (events @ away).toarray()
            times = np.asarray(events.sum(axis=0)).reshape(-1, 1)
            self.traffic = self.traffic + seats.multiply(times).T @ pairs
        for p, counts in self.synapses:
            events = sp.csr_array(sent[p.source].reshape(steps, -1) != 0).astype(np.int64)
            done[STORED.get(p.storage, "synop_sparse")] += (events @ counts).toarray()
        return done

    def _seats(self) -> dict[str, Array]:
        names = {p.name for p in self.graph.populations}
        return {name: a for name, a in self.mapping.seats.items() if name in names}

    def _onto(self, node: str, size: int) -> Any:
        """Return the core of each neuron as a sparse matrix (size, cores); of none, a row of 0."""
        seats = self.mapping.core_of(node, size)
        placed = np.flatnonzero(seats >= 0)
        parts = (np.ones(placed.size, np.int64), (placed, seats[placed]))
        return sp.csr_array(parts, shape=(size, self.mapping.size))

    def routes(self) -> Routes:
        """Return the ways of all messages of the run."""
        return routes(sp.csr_array(self.traffic), self.mapping.places, self.mesh)

    def time(self, book: PriceBook) -> StepTime | None:
        """Return the mean time of a step, or None where the book holds no times."""
        if not book.times or not self.kept:
            return None
        names = self.kept[0]
        work = {name: np.concatenate([k[name] for k in self.kept]) for name in names}
        tiles = len(np.unique(self.mapping.places[:, :3], axis=0))
        return step_time(work, self.routes(), tiles, book.times)


def _product(events: Array, onto: Any) -> Array:
    return np.asarray((sp.csr_array(events).astype(np.int64) @ onto).toarray())
