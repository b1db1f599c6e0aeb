"""Connectivity that a seed stands for: no weight is kept, every synapse is drawn again when needed.

Integer arithmetic throughout, so that every target draws the same synapses. A stream of numbers
per source begins at splitmix64 (Steele, Lea and Flood 2014) of seed and source and goes on by
xorshift64 (Marsaglia 2003); of each the upper 32 bits are used. ``stored`` writes the synapses
down.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import exp, isqrt, log, prod
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from spikec.compiler.errors import SpikecError
from spikec.compiler.synapses.base import Synapse, check_bias
from spikec.compiler.synapses.sparse import Sparse
from spikec.compiler.types import Array, Tensor
from spikec.compiler.untyped import sparse as sp

# A probability is a number of 32 bits: what is drawn falls below it or not.
ONE = 1 << 32
GOLDEN, MIX_1, MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
# A gap longer than the table takes a further draw; longer tables take longer to search.
LONGEST_TABLE = 4096
MOST_SEED = (1 << 62) - 1
# Drawing them all takes memory and time: synapses expected, draws or pairs of cells looked at.
MOST_SYNAPSES, MOST_TRIED, MOST_CELLS = 1 << 27, 1 << 29, 1 << 25

Draws = tuple[Array, Array, Array]


class Procedural(Synapse):
    """Base of the kinds.

    Attributes:
        seed: Of the draws, 0 to 2^62 - 1.
        weight: One number, or several of which each synapse has one, all equally likely.
    """

    __slots__ = ()
    storage: ClassVar[str] = "procedural"
    seed: int

    def draws(self) -> Draws:
        """Return source, target and number of the weight of every synapse, in any order."""
        raise NotImplementedError

    def stored(self) -> Sparse:
        """Return the same synapses written down."""
        return _stored(self)

    def plain(self) -> Synapse:
        """Return the same synapses written down."""
        return self.stored()

    def apply(self, x: Array) -> Array:
        """Return W x."""
        return self.stored().apply(x)

    def to_sparse(self) -> Any:
        """Return W."""
        return self.stored().to_sparse()

    def sum_bounds(self) -> tuple[Array, Array]:
        """Return per target neuron the sums of negative and of positive weights."""
        return self.stored().sum_bounds()

    def tried(self) -> tuple[float, float]:
        """Return the expected number of synapses, and of what is looked at to draw them."""
        raise NotImplementedError

    def _check(self) -> None:
        """Check the size, seed, weights and bias.

        Raises:
            SpikecError: SPK0820, SPK0332; SPK0301 on the bias.
        """
        expected, tried = self.tried()
        if expected > MOST_SYNAPSES or tried > MOST_TRIED:
            raise SpikecError(
                "SPK0820",
                self.kind,
                f"{expected:.3g} synapses in {tried:.3g} draws are more than {MOST_SYNAPSES} in "
                f"{MOST_TRIED}",
                "Split the model",
            )
        table = len(self.weight.shape) <= 1 and self.weight.data.size > 0
        if not 0 <= self.seed <= MOST_SEED or not table:
            raise SpikecError(
                "SPK0332",
                self.kind,
                f"seed {self.seed} or weight of shape {self.weight.shape} is not allowed",
                "Give a seed from 0 to 2^62 - 1, and one weight or a list of them",
            )
        check_bias(self.kind, self.bias, self.out_size)


@lru_cache(maxsize=8)
def _stored(synapse: Procedural) -> Sparse:
    source, target, choice = synapse.draws()
    shape = (synapse.out_size, synapse.in_size)
    rows = sp.csr_array(sp.coo_array((choice, (target, source)), shape=shape))
    data = synapse.weight.data.reshape(-1)[rows.data]
    data.setflags(write=False)
    weight = Tensor(data, synapse.weight.dtype, synapse.weight.scale)
    return Sparse(synapse.in_size, rows.indptr, rows.indices, weight, synapse.bias)


@dataclass(frozen=True, slots=True, eq=False)
class FixedProbability(Procedural):
    """Each pair is connected with the same probability.

    Attributes:
        sources: Number of source neurons.
        targets: Number of target neurons.
        chance: Probability, in units of 2^-32, 1 to 2^32.
        pairs: all, or others: never neuron k to neuron k.
    """

    kind: ClassVar[str] = "fixed_probability"
    sources: int
    targets: int
    chance: int
    seed: int
    weight: Tensor
    bias: Tensor | None = None
    pairs: Literal["all", "others"] = "all"

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            SpikecError: SPK0333; errors of ``_check``.
        """
        if min(self.sources, self.targets) < 1 or not 1 <= self.chance <= ONE:
            raise SpikecError(
                "SPK0333",
                self.kind,
                f"{self.sources} to {self.targets} neurons with probability {self.chance} / 2^32",
                "Give sizes of at least 1 and a probability above 0 and up to 1",
            )
        self._check()

    @staticmethod
    def of(
        sources: int,
        targets: int,
        probability: float,
        weight: npt.ArrayLike,
        seed: int,
        pairs: Literal["all", "others"] = "all",
    ) -> "FixedProbability":
        """Return the synapses of a probability from 0 to 1 and of real weights."""
        chance = min(max(round(probability * ONE), 0), ONE)
        return FixedProbability(sources, targets, chance, seed, Tensor.floats(weight), None, pairs)

    @property
    def in_size(self) -> int:
        """Number of source neurons."""
        return self.sources

    @property
    def out_size(self) -> int:
        """Number of target neurons."""
        return self.targets

    def tried(self) -> tuple[float, float]:
        """Return the expected number of synapses, and of draws."""
        pairs, chance = self.sources * self.targets, self.chance / ONE
        return pairs * chance, self.sources + pairs * max(chance, 1 / LONGEST_TABLE)

    def draws(self) -> Draws:
        """Return every synapse; all sources advance together, by one synapse each."""
        table = gap_table(self.chance)
        state = first_state(self.seed, np.arange(self.sources))
        live = np.arange(self.sources)
        at = np.full(self.sources, -1)
        choices = self.weight.data.size
        listed: list[Draws] = []
        while live.size:
            drawn = next_state(state, live)
            gap = np.searchsorted(table, drawn, side="right")
            at[live] += np.minimum(gap + 1, table.size)
            found = live[gap < table.size]
            found = found[at[found] < self.targets]
            if self.pairs == "others":
                found = found[at[found] != found]
            choice = np.zeros_like(found)
            if choices > 1:
                choice = ((next_state(state, found) * np.uint64(choices)) >> 32).astype(np.int64)
            listed.append((found, at[found].copy(), choice))
            live = live[at[live] < self.targets]
        return _joined(listed)


@dataclass(frozen=True, slots=True, eq=False)
class DistanceDependent(Procedural):
    """Neurons on a grid, connected with a probability that depends on their distance.

    Attributes:
        shape: Cells of the grid along each axis.
        source_cells: Cell of each source neuron, in C order.
        target_cells: Cell of each target neuron; no two share one.
        chance: Probability by squared distance in grid units, in units of 2^-32; zero beyond.
    """

    kind: ClassVar[str] = "distance_dependent"
    shape: tuple[int, int, int]
    source_cells: Array
    target_cells: Array
    chance: Array
    seed: int
    weight: Tensor
    bias: Tensor | None = None

    def __post_init__(self) -> None:
        """Check the grid; keep the arrays read-only.

        Raises:
            SpikecError: SPK0334 to SPK0336; errors of ``_check``.
        """
        if min(self.shape) < 1 or prod(self.shape) > MOST_CELLS:
            raise SpikecError(
                "SPK0334", self.kind, f"{self.shape} is no grid", "Give 1 to 2^25 cells"
            )
        for name in ("source_cells", "target_cells", "chance"):
            array = np.array(getattr(self, name), dtype=np.int64)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        self._check_cells()
        chance = self.chance
        if chance.ndim != 1 or not chance.size or chance.min() < 0 or chance.max() > ONE:
            raise SpikecError(
                "SPK0336",
                self.kind,
                f"probabilities of shape {chance.shape} are not 0 to 2^32 by squared distance",
                "Use DistanceDependent.gaussian, or one number per squared distance",
            )
        self._check()

    def _check_cells(self) -> None:
        """Check where the neurons sit.

        Raises:
            SpikecError: SPK0335.
        """
        for cells in (self.source_cells, self.target_cells):
            flat = cells.ndim == 1 and cells.size > 0
            if not flat or cells.min() < 0 or cells.max() >= prod(self.shape):
                break
        else:
            if np.unique(self.target_cells).size == self.target_cells.size:
                return
        raise SpikecError(
            "SPK0335",
            self.kind,
            f"the cells are not cells of the grid {self.shape}, or two targets share one",
            "Give one cell per neuron, in C order",
        )

    @staticmethod
    def gaussian(
        shape: tuple[int, int, int],
        peak: float,
        length: float,
        weight: npt.ArrayLike,
        seed: int,
        source_cells: Array | None = None,
        target_cells: Array | None = None,
    ) -> "DistanceDependent":
        """Return the synapses of P = peak exp(-(distance / length)^2), none within a cell.

        Args:
            shape: Cells of the grid along each axis.
            peak: Probability at distance 0, up to 1.
            length: Length of the decay, in grid units.
            weight: Real weights.
            seed: Of the draws.
            source_cells: Cell of each source neuron; every cell in order if not given.
            target_cells: The same of the targets.
        """
        every = np.arange(prod(shape))
        farthest = sum((n - 1) ** 2 for n in shape)
        # Beyond this a probability is under half of 2^-32.
        reach = length**2 * max(log(max(peak, 1e-300) * 2 * ONE), 0.0)
        last = min(farthest, int(reach) if reach < 1 << 31 else farthest)
        chance = [0] + [round(peak * exp(-d / length**2) * ONE) for d in range(1, last + 1)]
        return DistanceDependent(
            shape,
            every if source_cells is None else source_cells,
            every if target_cells is None else target_cells,
            np.array(chance),
            seed,
            Tensor.floats(weight),
        )

    @property
    def in_size(self) -> int:
        """Number of source neurons."""
        return self.source_cells.size

    @property
    def out_size(self) -> int:
        """Number of target neurons."""
        return self.target_cells.size

    def radius(self) -> tuple[int, int, int]:
        """Return along each axis how far a synapse may reach, in cells."""
        reach = isqrt(self.chance.size - 1)
        a, b, c = (min(reach, n - 1) for n in self.shape)
        return a, b, c

    def occupants(self) -> Array:
        """Return the target neuron of each cell, or -1; shape of the grid."""
        found = np.full(prod(self.shape), -1, dtype=np.int32)
        found[self.target_cells] = np.arange(self.out_size)
        return found.reshape(self.shape)

    def tried(self) -> tuple[float, float]:
        """Return the expected number of synapses, and of pairs of cells that are looked at."""
        # An offset costs a thousand sources' time by itself.
        tried = prod(2 * r + 1 for r in self.radius()) * (self.in_size + 1000)
        if tried > MOST_TRIED:
            return 0.0, tried
        a, b, c = (np.arange(-r, r + 1) ** 2 for r in self.radius())
        squared = a[:, None, None] + b[:, None] + c
        reached = squared[squared < self.chance.size]
        return self.in_size * float(self.chance[reached].sum()) / ONE, tried

    def draws(self) -> Draws:
        """Return every synapse, by offsets of cells."""
        place = np.stack(np.unravel_index(self.source_cells, self.shape))
        occupants, limits = self.occupants(), np.array(self.shape)[:, None]
        choices = np.uint64(self.weight.data.size)
        listed: list[Draws] = []
        for offset in np.ndindex(*(2 * r + 1 for r in self.radius())):
            apart = np.subtract(offset, self.radius())
            squared = int((apart**2).sum())
            if squared >= self.chance.size or self.chance[squared] == 0:
                continue
            cell = place + apart[:, None]
            source = np.flatnonzero(((cell >= 0) & (cell < limits)).all(axis=0))
            target = occupants[tuple(cell[:, source])].astype(np.int64)
            source, target = source[target >= 0], target[target >= 0]
            drawn = first_state(self.seed, source * self.out_size + target)
            hit = (drawn >> 32) < np.uint64(self.chance[squared])
            choice = ((drawn & np.uint64(ONE - 1)) * choices) >> 32
            listed.append((source[hit], target[hit], choice[hit].astype(np.int64)))
        return _joined(listed)


def _joined(listed: list[Draws]) -> Draws:
    """Return the synapses of all parts together."""
    if not listed:
        none = np.zeros(0, np.int64)
        return none, none, none
    source, target, choice = (np.concatenate(parts) for parts in zip(*listed, strict=True))
    return source, target, choice


def gap_table(chance: int) -> Array:
    """Return by number of pairs passed over, plus one, how likely at most so many are, times 2^32.

    Computed on integers of 64 bits after the point, so every machine has the same table.
    """
    miss, left = (ONE - chance) << 32, 1 << 64
    table: list[int] = []
    while len(table) < LONGEST_TABLE and left >= ONE:
        left = (left * miss) >> 64
        table.append(ONE - (left >> 32))
    return np.array(table, dtype=np.uint64)


def first_state(seed: int, key: Array) -> Array:
    """Return splitmix64 of seed and key, never zero."""
    z = np.uint64(seed) + (key.astype(np.uint64) + np.uint64(1)) * np.uint64(GOLDEN)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(MIX_1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(MIX_2)
    z = z ^ (z >> np.uint64(31))
    return np.where(z == 0, np.uint64(GOLDEN), z)


def next_state(state: Array, which: Array) -> Array:
    """Advance some streams by xorshift64; return the upper 32 bits of each."""
    s = state[which]
    s ^= s << np.uint64(13)
    s ^= s >> np.uint64(7)
    s ^= s << np.uint64(17)
    state[which] = s
    return s >> np.uint64(32)
