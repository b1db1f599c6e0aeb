"""The tiles of a projection as devices: how each is read, and how well that is known.

map     the array does not change: its effective conductances, exact.
noise   every read draws its own noise: the map, and a normal error of the current whose variance
        is sum_i (V x_i)^2 sigma_ij^2, each cell's scaled by what its wires leave of it. Exact
        without wires; with them compared with the adjoint solution on drawn inputs.
read    the array changes with every read and wires matter (gated rows; or noise for which the
        comparison found more than ``ROUGH``): each read is solved.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikec.backends.crossbar.circuit import Circuit
from spikec.backends.crossbar.devices import Adc, Devices, generator
from spikec.backends.crossbar.effective import effective
from spikec.backends.crossbar.lines import read
from spikec.backends.crossbar.plan import Plan, Stored
from spikec.backends.crossbar.stages import converted
from spikec.backends.crossbar.tiles import Tile
from spikec.compiler.types import Array

ROUGH = 0.1  # relative error of a standard deviation, beyond which reads are solved
DRAWN = 4  # inputs on which it is estimated, with this part of the rows active
ACTIVE = 0.1
SOLVED = 1 << 21  # cells of arrays that are solved at once

# By tile and devices: found once for all seeds.
Estimates = dict[tuple[tuple[int, ...], str], float]


@dataclass(frozen=True, slots=True)
class Method:
    """How a tile is read.

    Attributes:
        projection: Whose it is.
        tile: Its number in the projection.
        name: map, noise or read.
        error: Estimated relative error: of the currents, or of the deviation of noise; 1e-10 is
            the residual to which reads are solved.
    """

    projection: str
    tile: int
    name: str
    error: float


class DeviceTile:
    """A tile with its devices.

    Attributes:
        conductance: Of every cell, siemens.
        map: Siemens of each sum, (rows, slices * outputs), where wires do not change with reads.
        method: How it is read.
    """

    def __init__(
        self,
        tile: Tile,
        stored: Stored,
        plan: Plan,
        devices: Devices,
        seed: int,
        key: Sequence[int],
        estimates: Estimates,
    ) -> None:
        """Draw the devices and solve the wires."""
        self.tile, self.plan, self.devices = tile, plan, devices
        self.seed, self.key = seed, tuple(key)
        self.conductance = devices.conductance(tile.level, plan.cells, seed, self.key)
        self.wires = devices.wires(plan.cells)
        self.noise = devices.each
        name = "read" if devices.gated and all(self.wires) else "map"
        error = 1e-10 if name == "read" else 0.0
        self.map: Array = np.empty((0, 0))
        self.variance: Array = np.empty((0, 0))
        if name == "map":
            self.map, self.variance = self._maps(self.conductance)
        if name == "map" and self.noise is not None:
            known = self.key, str(devices)
            if known not in estimates:
                estimates[known] = self._noise_error()
            error = estimates[known]
            name = "read" if error > ROUGH and all(self.wires) else "noise"
            error = 1e-10 if name == "read" else error
        self.method = Method(str(stored.projection), self.key[-1], name, error)
        self.restart()

    def restart(self) -> None:
        """Begin with the noise of reads anew."""
        self.random = generator(self.seed, "read", (*self.key, 1))

    def currents(self, volts: Array, turn: slice) -> Array:
        """Return the difference of columns of every sum, ampere, (reads, slices * outputs).

        Args:
            volts: Of the rows of a turn, (reads, rows).
            turn: Which rows of the tile these are.
        """
        if self.method.name == "read":
            return self._solved(volts, turn)
        found = volts @ self.map[turn]
        if self.method.name == "noise":
            sigma = np.sqrt(volts**2 @ self.variance[turn])
            found += sigma * self.random.standard_normal(found.shape)
        return np.asarray(found)

    def _maps(self, g: Array) -> tuple[Array, Array]:
        """Return the map of sums, and the variance of each cell's part in them by noise."""
        held = effective(g, *self.wires)
        if self.noise is None:
            return difference(held, self.tile), np.empty((0, 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            left = np.where(g > 0, held / g, 1.0)
        variance = (self.noise.sigma(g) * left) ** 2
        return difference(held, self.tile), total(variance, self.tile)

    def _solved(self, volts: Array, turn: slice) -> Array:
        g = self.conductance
        found = np.empty((len(volts), self.tile.plus.size))
        step = max(1, SOLVED // g.size)
        for first in range(0, len(volts), step):
            some = volts[first : first + step]
            rows = np.zeros((len(some), len(g)))
            rows[:, turn] = some
            noise = None
            if self.noise is not None:
                sigma = self.noise.sigma(g)
                noise = sigma * self.random.standard_normal((len(some), *g.shape))
            gate = rows != 0 if self.devices.gated else None
            output = read(g, rows, *self.wires, gate, noise).output
            found[first : first + step] = difference(output, self.tile)
        return found

    def _noise_error(self) -> float:
        """Return the largest relative error of the deviation of noise, on drawn inputs.

        Of the devices of seed 0, so that every seed is read in the same way.

        The exact first order is dI = v' dG a: v the voltages of the cells for the input, a those
        for one volt at the output, which is the array turned by reciprocity.
        """
        if not any(self.wires):
            return 0.0
        assert self.noise is not None
        g = self.devices.conductance(self.tile.level, self.plan.cells, 0, self.key)
        variance, (word, bit) = self._maps(g)[1], self.wires
        random = generator(0, "read", (*self.key, 2))
        x = (random.random((DRAWN, len(g))) < ACTIVE).astype(np.float64)
        x[:, 0] = 1.0
        sums = np.arange(self.tile.plus.size)[:: max(1, self.tile.plus.size // DRAWN)]
        ends = np.zeros((len(sums), g.shape[1]))
        ends[np.arange(len(sums)), self.tile.plus.ravel()[sums]] += 1
        ends[np.arange(len(sums)), self.tile.minus.ravel()[sums]] -= 1
        forward = _across(Circuit(g, word, bit), x)
        back = _across(Circuit(g.T[::-1, ::-1], bit, word), ends[:, ::-1])
        back = back.transpose(0, 2, 1)[:, ::-1, ::-1]
        sigma = self.noise.sigma(g)
        exact = np.sqrt(np.einsum("pij,kij,ij->pk", forward**2, back**2, sigma**2))
        made = np.sqrt(x**2 @ variance)[:, sums]
        return float((np.abs(made - exact) / np.maximum(exact, 1e-300)).max(initial=0.0))


class Converters:
    """What makes levels of the currents of some tiles that are converted together."""

    def __init__(
        self, tiles: list[Tile], largest: int, devices: Devices, seed: int, key: Sequence[int]
    ) -> None:
        """Draw gains and offsets."""
        self.adc: Adc | None = devices.on.get("adc")
        self.seed, self.key = seed, tuple(key)
        if self.adc is not None:
            random = generator(seed, "adc", self.key)
            size = tiles[0].plus.size
            self.gain = 1 + self.adc.gain * random.standard_normal(size)
            self.offset = self.adc.offset * random.standard_normal(size)
            pairs = [difference(t.level.astype(np.int64), t) for t in tiles]
            high = sum(np.maximum(p, 0).sum(axis=0) for p in pairs)
            low = sum(np.maximum(-p, 0).sum(axis=0) for p in pairs)
            most = float(np.maximum(high, low).max(initial=1))
            self.full = max(self.adc.span * largest * most, 1e-9)
        self.seen: Array | None = None
        self.restart()

    def watch(self) -> None:
        """Begin to count differences, each rounded to a whole level, in place of converting."""
        self.seen = np.zeros(1, np.int64)

    def calibrate(self) -> None:
        """Make the percentile of what was seen the range; without any, it stays as it is."""
        assert self.adc is not None
        if self.seen is not None and self.seen.sum():
            share = np.cumsum(self.seen) / self.seen.sum()
            level = int(np.searchsorted(share, self.adc.percentile / 100))
            self.full = self.adc.span * max(level, 1)
        self.seen = None

    def restart(self) -> None:
        """Begin with the noise of conversions anew, and with the counts."""
        self.random = generator(self.seed, "adc", (*self.key, 1))
        self.clipped = self.conversions = 0

    def __call__(self, levels: Array) -> Array:
        """Return whole levels."""
        self.conversions += levels.size
        if self.adc is None or self.seen is not None:
            whole = np.asarray(np.rint(levels), dtype=np.int64)
            if self.seen is not None:
                more = np.bincount(np.abs(whole).ravel(), minlength=len(self.seen))
                more[: len(self.seen)] += self.seen
                self.seen = more
            return whole
        if self.adc.noise:
            levels = levels + self.adc.noise * self.random.standard_normal(levels.shape)
        self.clipped += int((np.abs(self.gain * levels + self.offset) > self.full).sum())
        found = converted(levels, self.adc.bits, self.full, self.gain, self.offset)
        return np.asarray(found, dtype=np.int64)


def difference(columns: Array, tile: Tile) -> Array:
    """Return plus minus minus of every slice and output, (..., slices * outputs)."""
    return columns[:, tile.plus.ravel()] - columns[:, tile.minus.ravel()]


def total(columns: Array, tile: Tile) -> Array:
    """Return plus and minus together of every slice and output, (..., slices * outputs)."""
    return columns[:, tile.plus.ravel()] + columns[:, tile.minus.ravel()]


def _across(circuit: Circuit, volts: Array) -> Array:
    """Return the voltage across every cell, (inputs, rows, columns)."""
    found = circuit.solve(volts)
    return found.word - found.bit
