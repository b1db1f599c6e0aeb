"""LENS: one pixel of each tile -> feature -> place, all neurons that spike several times a step.

An 80 x 80 frame of events -> one pixel of each 8 x 8 tile, written as a convolution with stride 8
and a single 1 -> 200 features -> one neuron per place. Neurons integrate without a leak, spike as
often as the threshold fits, subtract, and stay at or above -1. Source: AdamDHines/LENS f44a08c,
run_model.py (specs/place_recognition.md section 4).
"""

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Graph, Input, Output, Population, Projection
from spikec.compiler.neurons.integrate_and_fire import IntegrateAndFire
from spikec.compiler.synapses import Conv2d, Dense
from spikec.compiler.types import Array, Bool, Tensor

TILE = 8
PIXEL = (3, 3)
FEATURES_PER_TILE = 2
# Weights are multiples of 2^-30, so that sums of them are the same in any order.
GRID = 30


def random_weights(seed: int, tiles: int, features: int, places: int) -> tuple[Array, Array]:
    """Return random weights (features, tiles) and (places, features), multiples of 2^-30.

    Signs are as frequent, and magnitudes, here exponential, as large on average as in the model
    that the authors ship for 100 tiles and 200 features; with other sizes, row sums are kept. The
    authors' own weights before training leave the features silent.
    """
    random = np.random.default_rng(seed)
    first = _drawn(random, (features, tiles), ((0.303, 14.7), (0.529, 8.9)))
    return first, _drawn(random, (places, features), ((0.56, 1.6), (0.44, 2.0)))


def _drawn(
    random: np.random.Generator, shape: tuple[int, int], parts: tuple[tuple[float, float], ...]
) -> Array:
    """Return weights of which a share is positive and one negative, each with a mean by row."""
    (up, plus), (down, minus) = parts
    kind, size = random.random(shape), random.exponential(1 / shape[1], shape)
    matrix = size * np.where(kind < up, plus, np.where(kind < up + down, -minus, 0.0))
    return np.asarray(np.ldexp(np.rint(np.ldexp(matrix, GRID)), -GRID))


def network(
    seed: int = 0,
    *,
    weights: tuple[Array, Array] | None = None,
    side: int = 10,
    places: int = 100,
    thresholds: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Graph:
    """Return the network, with output ``place``.

    Args:
        seed: Of weights that are not given.
        weights: Trained weights (features, side^2) and (places, features); random by default.
        side: Tiles along each side of the frame, which has 8 side x 8 side pixels.
        places: Number of places, if no weights are given.
        thresholds: Of input, feature and place neurons; (1, 10, 2) on the authors' chip.

    Raises:
        SpikecError: SPK1255; SPK0314 on thresholds; errors of ``Dense``.
    """
    tiles = side * side
    if min(side, places) < 1 or seed < 0:
        raise SpikecError(
            "SPK1255",
            "lens.network",
            f"{side} x {side} tiles, {places} places and seed {seed} are not possible",
            "Give sizes of at least 1 and a seed of at least 0",
        )
    if weights is None:
        weights = random_weights(seed, tiles, FEATURES_PER_TILE * tiles, places)
    feature, place = (Dense(Tensor.floats(w)) for w in weights)
    pick = np.zeros((1, 1, TILE, TILE))
    pick[0, 0, PIXEL[0], PIXEL[1]] = 1.0
    frame = (1, TILE * side, TILE * side)
    chosen = Conv2d(frame, Tensor.floats(pick), stride=(TILE, TILE))
    cells = [
        IntegrateAndFire(
            threshold=threshold, v_min=-1.0, max_spikes=0, compare="ge", reset="subtract"
        )
        for threshold in thresholds
    ]
    nodes = (
        Input("events", frame, Bool()),
        Population("tile", (1, side, side), cells[0]),
        Population("feature", (feature.out_size,), cells[1]),
        Population("place", (place.out_size,), cells[2]),
        Output("place", "place"),
    )
    projections = (
        Projection("events", "tile", chosen),
        Projection("tile", "feature", feature),
        Projection("feature", "place", place),
    )
    return Graph("lens", nodes, projections, 1e-3)
