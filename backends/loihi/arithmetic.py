"""The integer arithmetic of a core: decay, registers, weight formats.

Written from the Loihi specification (sections 1.2, 1.3, 3.1 and 4), without ``expr``, so that it is
a second meaning to compare with. All arrays are int64.
"""

from typing import Literal

import numpy as np

from spikec.backends.loihi.corners import DEFAULT, Corners
from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array

STATE = 1 << 23  # magnitude of the sign bit of current and membrane
SUM = 1 << 21  # of the synaptic sum
THRESHOLD_MANTISSA = (1 << 17) - 1
WEIGHT_BITS = (1, 2, 3, 4, 5, 6, 8)
EXPONENTS = range(-7, 8)

Mode = Literal["mixed", "excitatory", "inhibitory"]
RANGES: dict[Mode, tuple[int, int]] = {
    "mixed": (-256, 254),
    "excitatory": (0, 255),
    "inhibitory": (-255, 0),
}


def decay(x: Array, constant: Array | int) -> Array:
    """Return x (4096 - constant) / 4096, rounded toward zero."""
    return np.asarray(np.sign(x) * ((np.abs(x) * (4096 - constant)) >> 12))


def wrap(x: Array, half: int) -> Array:
    """Return x in two's complement, from -half to half - 1."""
    return ((x + half) & (2 * half - 1)) - half


def wrap_current(x: Array, corners: Corners) -> Array:
    """Return the current as its register holds it."""
    if corners.current_wrap == "none":
        return x
    wrapped = wrap(x, STATE)
    if corners.current_wrap == "lava":
        return np.where(wrapped == -STATE, STATE, wrapped)
    return wrapped


def mode_of(weights: Array) -> Mode:
    """Return the sign mode of mantissas."""
    if not np.any(weights < 0):
        return "excitatory"
    return "mixed" if np.any((weights > 0) | (weights < -255)) else "inhibitory"


def dropped_bits(bits: int, mode: Mode) -> int:
    """Return how many low bits of a mantissa are not stored."""
    return 8 - bits + (mode == "mixed")


def truncate(weights: Array, bits: int, mode: Mode, corners: Corners = DEFAULT) -> Array:
    """Return the mantissas a synapse holds: clipped to the sign mode, low bits cleared.

    Args:
        weights: Whole numbers, -256 to 255.
        bits: Width, 1 to 6 or 8.
        mode: Sign mode.
        corners: Rounding, and what becomes of 255 in mixed mode.

    Raises:
        SpikecError: SPK1601 on a weight that the sign mode does not hold at all.
    """
    dropped = dropped_bits(bits, mode)
    low, high = RANGES[mode]
    high += mode == "mixed" and corners.mixed_255 != "reject"
    wrong = (weights < low) | (weights > high)
    if np.any(wrong):
        raise SpikecError(
            "SPK1601",
            "weight",
            f"{weights[wrong].flat[0]} is outside {low} to {high}, the range of {mode} weights",
            "Quantize again, or choose another sign mode",
        )
    size = np.abs(weights)
    if corners.truncation == "to_zero" or (corners.truncation == "floor" and mode != "mixed"):
        return np.asarray(np.sign(weights) * (size >> dropped << dropped))
    if corners.truncation == "floor":
        return weights >> dropped << dropped
    top = (1 << (8 - dropped)) - 1
    return np.clip(np.rint(weights / 2.0**dropped), -top, top).astype(np.int64) << dropped


def least_bits(weights: Array, mode: Mode) -> int:
    """Return the fewest weight bits with which no bit of the mantissas is lost."""
    for bits in WEIGHT_BITS:
        if not np.any(weights & ((1 << dropped_bits(bits, mode)) - 1)):
            return bits
    return 8


def effective(weights: Array, exponent: int, corners: Corners = DEFAULT) -> Array:
    """Return twice the effective weight, 2 w 2^(6 + exponent); each with corner 7 applied.

    Twice, since at exponent -7 the least weight is one half. ``sum_then_shift`` acts on sums, see
    ``core``, and here is exact.
    """
    exact = weights << (exponent + 7)
    if exponent < 0 and corners.negative_exponent == "round_each":
        exact = np.rint(exact / 128.0).astype(np.int64) * 128
    if exponent < 0 and corners.negative_exponent == "floor_each":
        exact = np.sign(exact) * (np.abs(exact) >> 7 << 7)
    if corners.synaptic_sum == "clip":
        limit = 2 * (SUM - 64)
        exact = np.clip(exact, -limit, limit)
    return exact


def bias_parts(bias: Array, corners: Corners = DEFAULT) -> tuple[Array, Array]:
    """Return mantissa and exponent of each bias, with the least exponent that holds it.

    Raises:
        SpikecError: SPK1602 on a bias that has none.
    """
    low, high = {"lava": (-4096, 4095), "symmetric": (-4095, 4095), "none": (0, 0)}[corners.bias]
    mantissa, exponent = bias.copy(), np.zeros_like(bias)
    for _ in range(7):
        wide = (mantissa < low) | (mantissa > high)
        mantissa = np.where(wide & (mantissa & 1 == 0), mantissa >> 1, mantissa)
        exponent = np.where(wide, exponent + 1, exponent)
    wrong = (mantissa < low) | (mantissa > high) | (mantissa << exponent != bias)
    if np.any(wrong):
        raise SpikecError(
            "SPK1602",
            "bias",
            f"{bias[wrong].flat[0]} is no mantissa of {low} to {high} times 2^0 to 2^7",
            "Quantize again with quantize_loihi",
        )
    return mantissa, exponent


def bias_value(mantissa: Array, exponent: Array) -> Array:
    """Return mantissa 2^exponent; a negative exponent shifts right (Lava only)."""
    return np.where(exponent >= 0, mantissa << np.maximum(exponent, 0), mantissa >> -exponent)
