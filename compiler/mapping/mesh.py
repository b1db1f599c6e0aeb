"""Where cores can be: tiles on the meshes of chips that stand in a grid.

The meshes of neighbouring chips are taken as one plane, as Davies et al. (IEEE Micro 38(1) 2018)
draw it: a message goes along x first, then along y, from tile to tile and from the edge of a chip
to the next chip. Where exactly messages leave a chip is not public. The grid of chips is a full
rectangle: in its last row, messages may pass chips that hold no cores.
"""

from dataclasses import dataclass, replace
from math import ceil, isqrt

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array

MOST_CHIPS = 16_384  # Loihi's hierarchical addresses reach no further (Davies 2018)


@dataclass(frozen=True, slots=True)
class Mesh:
    """Tiles, cores and chips, and what a placement pays for a way between them.

    Attributes:
        columns: Of tiles on a chip.
        rows: Of tiles on a chip.
        cores_per_tile: Cores of a tile.
        chips: How many there are.
        chip_columns: Of chips in their grid; None makes the grid as square as it can be.
        weight_x: Of a hop east or west. The default is its energy in pJ (Davies 2018, Table 2).
        weight_y: Of a hop north or south, likewise.
        weight_chip: Of a step to the next chip. Its price is not public: the default is a
            heuristic, the weight of the longest way on a chip of 8 x 4 tiles.
    """

    columns: int = 8
    rows: int = 4
    cores_per_tile: int = 4
    chips: int = 1
    chip_columns: int | None = None
    weight_x: float = 3.0
    weight_y: float = 4.0
    weight_chip: float = 33.0

    def __post_init__(self) -> None:
        """Check the sizes and weights.

        Raises:
            SpikecError: SPK1750 on a size that is not positive, or a weight that is negative.
        """
        sizes = (self.columns, self.rows, self.cores_per_tile, self.chips, self.chip_columns or 1)
        weights = (self.weight_x, self.weight_y, self.weight_chip)
        if min(sizes) < 1 or self.chips > MOST_CHIPS or not all(0 <= w < 1e9 for w in weights):
            raise SpikecError(
                "SPK1750",
                "mesh",
                f"sizes {sizes} and weights {weights} make no mesh",
                f"Give sizes from 1, at most {MOST_CHIPS} chips, and weights from 0",
            )

    @property
    def cores_per_chip(self) -> int:
        """Cores of a chip."""
        return self.columns * self.rows * self.cores_per_tile

    @property
    def cores(self) -> int:
        """Cores of all chips."""
        return self.chips * self.cores_per_chip

    @property
    def width(self) -> int:
        """Chips in a row of their grid."""
        square = isqrt(self.chips - 1) + 1
        return min(square if self.chip_columns is None else self.chip_columns, self.chips)

    @property
    def height(self) -> int:
        """Rows of chips; in the last one, chips beyond ``chips`` hold no cores."""
        return ceil(self.chips / self.width)

    def holding(self, cores: int) -> "Mesh":
        """Return the mesh with as few chips as hold so many cores."""
        return replace(self, chips=max(1, ceil(cores / self.cores_per_chip)))

    def plane(self, places: Array) -> tuple[Array, Array]:
        """Return column and row of each place's tile on the plane of all chips.

        Args:
            places: Chip, column, row and number within the tile, (cores, 4).
        """
        at = places.astype(np.int64)
        across, down = at[:, 0] % self.width, at[:, 0] // self.width
        return across * self.columns + at[:, 1], down * self.rows + at[:, 2]

    def stretched(self) -> tuple[Array, Array]:
        """Return the positions of the columns and of the rows of the plane.

        The weight of the way between two tiles is the sum of the differences of their positions.
        """
        return (
            _positions(self.width, self.columns, self.weight_x, self.weight_chip),
            _positions(self.height, self.rows, self.weight_y, self.weight_chip),
        )

    def check(self, places: Array) -> None:
        """Check that every core has a place, inside the mesh, of its own.

        Raises:
            SpikecError: SPK1751 on another shape or type, SPK1752 on a place outside, SPK1753 on
                two cores in one place.
        """
        if places.ndim != 2 or places.shape[1:] != (4,) or places.dtype.kind not in "iu":
            raise SpikecError(
                "SPK1751",
                "places",
                f"they are {places.dtype} of shape {places.shape}",
                "Give integers (cores, 4): chip, column, row, number within the tile",
            )
        limits = np.array([self.chips, self.columns, self.rows, self.cores_per_tile])
        outside = np.flatnonzero(np.any((places < 0) | (places >= limits), axis=1))
        if outside.size:
            raise SpikecError(
                "SPK1752",
                f"core {outside[0]}",
                f"place {tuple(places[outside[0]].tolist())} is outside {tuple(limits.tolist())}",
                "Place it inside the mesh",
            )
        kept, times = np.unique(places, axis=0, return_counts=True)
        if np.any(times > 1):
            raise SpikecError(
                "SPK1753",
                "places",
                f"{times.max()} cores are at {tuple(kept[np.argmax(times)].tolist())}",
                "Give every core a place of its own",
            )


def _positions(chips: int, tiles: int, hop: float, crossing: float) -> Array:
    """Return the positions of a row of tiles on a row of chips."""
    steps = np.full(chips * tiles, hop)
    steps[::tiles] = crossing
    steps[0] = 0.0
    return np.asarray(np.cumsum(steps))
