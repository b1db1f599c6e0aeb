"""What the accuracies of many draws say: their mean and spread, and how many are good enough."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from spikec.compiler.untyped import special


@dataclass(frozen=True, slots=True)
class Spread:
    """Accuracies of a case over its seeds.

    Attributes:
        name: Of the case.
        runs: How many.
        mean: Of the accuracies.
        low: Of the 95 % interval of the mean, by Student's t over the seeds.
        high: The other end.
        deviation: Standard deviation over the seeds.
        least: The worst run.
        percentiles: 5th, 50th and 95th of the runs.
        cost: Accuracy of ideal cells minus the mean.
    """

    name: str
    runs: int
    mean: float
    low: float
    high: float
    deviation: float
    least: float
    percentiles: tuple[float, float, float]
    cost: float


@dataclass(frozen=True, slots=True)
class Yield:
    """Part of the drawn arrays that reach an accuracy, with its 95 % interval (Wilson)."""

    bound: float
    reached: int
    runs: int
    low: float
    high: float


def spread(name: str, right: Sequence[int], samples: int, best: float) -> Spread:
    """Return what the runs of a case say.

    Args:
        name: Of the case.
        right: Samples that are right, by run.
        samples: Of a run.
        best: Accuracy of ideal cells.
    """
    x = np.asarray(right, dtype=np.float64) / samples
    mean, deviation = float(x.mean()), float(x.std(ddof=1)) if x.size > 1 else 0.0
    half = (
        float(special.stdtrit(x.size - 1, 0.975)) * deviation / sqrt(x.size) if x.size > 1 else 0.0
    )
    low, middle, high = (float(p) for p in np.percentile(x, (5, 50, 95)))
    return Spread(
        name,
        x.size,
        mean,
        max(0.0, mean - half),
        min(1.0, mean + half),
        deviation,
        float(x.min()),
        (low, middle, high),
        best - mean,
    )


def reached(right: Sequence[int], samples: int, bound: float) -> Yield:
    """Return how many runs have at least an accuracy."""
    n, good = len(right), sum(r >= bound * samples for r in right)
    z, p = 1.959963984540054, good / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Yield(bound, good, n, max(0.0, middle - half), min(1.0, middle + half))
