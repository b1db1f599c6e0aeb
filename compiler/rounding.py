"""Rounding of weights, decays and membrane parameters: the arithmetic of ``quantize``."""

from math import ceil, floor, log2
from typing import Literal

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.synapses import AllButSelf, Dense, OneToOne, Sparse, Synapse
from spikec.compiler.types import WIRE_BITS, Array, FixedPoint, Tensor, fitting

Clip = Literal["max", "percentile", "error"]


def scale_synapse(synapse: Synapse, gain: Array) -> Synapse:
    """Return W and b with the row of each target neuron multiplied by its gain, (out_size,)."""
    bias = synapse.bias
    if bool(np.all(gain == gain.flat[0])):
        weight = Tensor.own(synapse.weight.data * gain.flat[0])
        return synapse.with_numbers(
            weight, None if bias is None else Tensor.floats(bias.data * gain.flat[0])
        )
    match synapse:
        case Dense():
            weight = Tensor.own(synapse.weight.data * gain[:, None])
        case OneToOne() | AllButSelf():
            weight = Tensor.own(synapse.weight.data * gain)
        case Sparse():
            weight = Tensor.floats(synapse.weight.data * np.repeat(gain, np.diff(synapse.indptr)))
        case _:
            # Gains that differ within a channel leave no kernel to share.
            vector = synapse.bias_vector()
            rows = synapse.to_sparse().multiply(gain[:, None])
            return Sparse.of(rows, None if vector is None else Tensor.floats(vector * gain))
    return synapse.with_numbers(weight, None if bias is None else Tensor.floats(bias.data * gain))


def weight_unit(
    magnitudes: Array, top: int, clip: Clip, percentile: float, power_of_two: bool
) -> float:
    """Return the real value of one weight step.

    Args:
        magnitudes: Of all weights into a population; zeros do not count.
        top: Largest stored weight.
        clip: What the largest stored weight stands for.
        percentile: For ``clip`` percentile.
        power_of_two: Round the step up to a power of two.
    """
    used = magnitudes[magnitudes > 0]
    if not used.size:
        return 1.0
    if used.min() == used.max():
        # One magnitude only, as in pooling or identity: one step is that weight, exactly.
        return float(used.max())
    unit = _weight_range(used, top, clip, percentile) / top
    return 2.0 ** ceil(log2(unit)) if power_of_two else unit


def _weight_range(used: Array, top: int, clip: Clip, percentile: float) -> float:
    largest = float(used.max())
    if clip == "max":
        return largest
    if clip == "percentile":
        return float(np.percentile(used, percentile))

    def squared_error(limit: float) -> float:
        step = limit / top
        return float(np.square(np.clip(np.rint(used / step), 0, top) * step - used).sum())

    return float(min(largest * np.linspace(0.3, 1.0, 71), key=squared_error))


def round_weights(synapse: Synapse, bits: int, keep_all: bool, scale: float) -> Synapse:
    """Return the synapse with integer weights; the bias stays real.

    Args:
        synapse: Weights and bias in units of the target.
        bits: Width, sign included; the range is symmetric.
        keep_all: No weight was clipped, so weights much smaller than the population's largest may
            have their own binary point.
        scale: Real value of one unit, kept with the tensor.
    """
    units = synapse.weight.data
    top = (1 << (bits - 1)) - 1
    magnitudes = np.abs(units[units != 0])
    least, largest = (magnitudes.min(), magnitudes.max()) if magnitudes.size else (0.0, 0.0)
    frac = 0
    if least and least == largest == 2.0 ** round(log2(largest)):
        frac = -round(log2(largest))
    elif keep_all and largest:
        frac = min(floor(log2(top) - log2(largest) + 1e-9), WIRE_BITS // 4)
    stored = np.clip(np.rint(np.ldexp(units, frac)), -top, top)
    return synapse.with_numbers(
        Tensor.integers(stored, FixedPoint(bits, frac), scale), synapse.bias
    )


def round_factor(values: Array, significant: int) -> Tensor:
    """Round decays so that they and one minus them keep ``significant`` bits.

    A membrane with decay d forgets over 1 / (1 - d) steps: rounding d to fraction bits alone would
    change that time much more than d (expr.md section 9).
    """
    both = np.concatenate([np.abs(values).reshape(-1), np.abs(1.0 - values).reshape(-1)])
    used = both[both > 0]
    # Beyond eight further bits a tiny decay is not worth the width of every product.
    least = max(float(used.min()), float(used.max()) * 2.0**-8)
    return _rounded(values, significant - floor(log2(least)) - 1)


def round_ratio(values: Array, significant: int) -> Tensor:
    """Round multipliers so that the largest keeps ``significant`` bits."""
    largest = float(np.abs(values).max())
    return _rounded(values, significant - floor(log2(largest or 1.0)) - 1)


def _rounded(values: Array, most: int) -> Tensor:
    """Round to at most so many fraction bits, and drop those that all are zero."""
    frac = max(most, 0)
    data = np.rint(np.ldexp(values, frac)).astype(np.int64)
    while frac > 0 and not np.any(data & 1):
        data, frac = data >> 1, frac - 1
    return Tensor.integers(data, fitting(data, frac))


def round_membrane(where: str, values: Array, unit: float, frac: int) -> Tensor:
    """Round values in the unit of a membrane to ``frac`` fraction bits.

    Raises:
        SpikecError: SPK0655 when a value needs more than a machine word.
    """
    steps = np.rint(np.ldexp(values / unit, frac))
    if steps.size and float(np.abs(steps).max()) >= 2.0 ** (WIRE_BITS - 1):
        raise SpikecError(
            "SPK0655",
            where,
            f"value {np.abs(values).max():g} is too large beside one weight step of {unit:g}",
            "Rescale the model, or use more weight_bits",
        )
    data = steps.astype(np.int64)
    return Tensor.integers(data, fitting(data, frac), unit)


def relative_error(new: Array, old: Array) -> float:
    """Return the largest relative error of the values that are not zero."""
    used = old != 0
    return float((np.abs(new - old)[used] / np.abs(old[used])).max()) if used.any() else 0.0
