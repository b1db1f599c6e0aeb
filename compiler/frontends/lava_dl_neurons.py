"""The neurons of a lava-dl layer: CUBA-LIF in the registers of Loihi.

Per step, as Lava's fixed-point LIF: u keeps (4096 - iDecay) / 4096, v keeps (4096 - vDecay) / 4096,
both rounded toward zero; v adds u and 64 bias; it spikes above 64 vThMant and becomes zero.
"""

from math import prod

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.nir_raw import RawNode, missing
from spikec.compiler.loihi_grid import WEIGHT_SHIFT, decay_steps, fixed_parameters, state_integers
from spikec.compiler.neurons.cuba_lif import CubaLIF
from spikec.compiler.types import Array

DECAY = 1 << 12
MOST_THRESHOLD = 1 << 24  # beyond any membrane; slayer writes 2^18 - 1 for a neuron without spikes
MOST_BIAS = 1 << 24
TYPES = ("CUBA", "LOIHI")
# What netx takes for a layer without neurons: u sums up, and v is u.
PLAIN = {"iDecay": 0, "vDecay": DECAY, "vThMant": 1 << 17}


def check_neuron(raw: RawNode) -> None:
    """Refuse neurons that are not CUBA-LIF.

    Raises:
        SpikecError: SPK1707 on another type, SPK1708 on what netx leaves out.
    """
    kind = raw.fields.get("neuron.type", "CUBA")
    if kind not in TYPES:
        what = "sigma-delta neurons" if kind == "SDNN" else f"neurons of type {kind}"
        raise SpikecError(
            "SPK1707",
            f"{raw.name} {raw.type}",
            f"it has {what}, and a core of Loihi is compiled with CUBA-LIF alone",
            f"Use neurons of type {' or '.join(TYPES)}",
        )
    for name, usual in (("refDelay", 1), ("gradedSpike", 0), ("messageBits", 0)):
        values = raw.numbers(f"neuron.{name}") if f"neuron.{name}" in raw.fields else usual
        if np.any(values != usual):
            raise SpikecError(
                "SPK1708",
                f"{raw.name} {raw.type}",
                f"{name} is {np.max(values):g}, and even netx leaves refractory periods and graded "
                "spikes out",
                f"Train with {name} {usual}",
            )


def cuba_lif(raw: RawNode, size: int, channels: int) -> CubaLIF:
    """Return the neurons of a layer.

    Args:
        raw: The layer.
        size: Number of neurons.
        channels: Number of channels, each of which may have parameters of its own; the neurons are
            ordered by channel.

    Raises:
        SpikecError: SPK1707 to SPK1710.
    """
    check_neuron(raw)

    def each(name: str, most: int) -> Array:
        if "neuron.type" not in raw.fields:
            return np.array(PLAIN[name])
        if f"neuron.{name}" not in raw.fields:
            raise missing(f"{raw.name}.neuron.{name}")
        return spread(raw, f"neuron.{name}", size, channels, (0, most))

    bias = np.zeros((), dtype=np.int64)
    if "bias" in raw.fields:
        bias = spread(raw, "bias", size, channels, (-MOST_BIAS, MOST_BIAS))
    fixed = fixed_parameters()
    return CubaLIF(
        synapse_decay=decay_steps(DECAY - each("iDecay", DECAY)),
        synapse_gain=fixed["gain"],
        decay=decay_steps(DECAY - each("vDecay", DECAY)),
        threshold=state_integers(each("vThMant", MOST_THRESHOLD) << WEIGHT_SHIFT),
        offset=state_integers(bias << WEIGHT_SHIFT),
        reset="zero",
        **fixed,
    )


def whole(raw: RawNode, name: str, limits: tuple[int, int]) -> Array:
    """Return a field as integers within limits.

    Raises:
        SpikecError: SPK1709.
    """
    values, (low, high) = raw.numbers(name), limits
    good = np.isfinite(values) & (values == np.rint(values)) & (values >= low) & (values <= high)
    if not np.all(good):
        raise SpikecError(
            "SPK1709",
            f"{raw.name}.{name}",
            f"{values[~good].flat[0]:g} is no whole number from {low} to {high}",
            "Export the network with quantised numbers",
        )
    return values.astype(np.int64)


def spread(raw: RawNode, name: str, size: int, channels: int, limits: tuple[int, int]) -> Array:
    """Return a field as one number, or as one for each neuron.

    Raises:
        SpikecError: SPK1710 when it is neither one number nor one for each channel.
    """
    values = whole(raw, name, limits).reshape(-1)
    if values.size == 1:
        return np.asarray(values[0])
    if prod(values.shape) != channels:
        raise SpikecError(
            "SPK1710",
            f"{raw.name}.{name}",
            f"{values.size} numbers are neither 1 nor one for each of {channels} channels",
            "Write the file again",
        )
    return np.repeat(values, size // channels)
