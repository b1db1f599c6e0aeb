"""The synapses of a lava-dl layer: weights, geometry and delays.

Images are (channels, height, width), as slayer writes them; kernels are (out, in / groups, height,
width) and are not flipped (netx turns all of it round to (x, y, channel) and flips back). A weight
w stands for 64 w 2^wgtExp. Where a matrix has both signs and odd weights, which a core does not
store, 2 w with half the factor is the same number.
"""

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.frontends.lava_dl_neurons import spread, whole
from spikec.compiler.frontends.nir_raw import RawNode, missing
from spikec.compiler.loihi_grid import mantissas
from spikec.compiler.synapses import Conv2d, Dense, Pair, Shape, Sparse, Synapse
from spikec.compiler.types import Array, Tensor

WEIGHTS = (-256, 255)
MOST_DELAY = 62
EXPONENTS = (-7, 7)
DOUBLED = (-128, 127)
MOST_LISTED = 1 << 25  # neurons, or synapses of an image that are listed one by one


class Layer:
    """One layer with synapses.

    Attributes:
        out_shape: (neurons,), or (channels, height, width).
        findings: What is not as in netx.
    """

    def __init__(self, raw: RawNode, in_shape: Shape, flat: bool) -> None:
        """Read weights and geometry.

        Args:
            raw: As the file has it.
            in_shape: Shape of what it hears.
            flat: Whether a flatten layer stands before it.

        Raises:
            SpikecError: SPK1711 to SPK1717, SPK1727.
        """
        self.raw, self.findings = raw, list[Finding]()
        self.where = f"{raw.name} {raw.type}"
        if raw.type.startswith("dense"):
            self.main: Synapse = self._dense(in_shape, flat)
            self.out_shape: Shape = (self.main.out_size,)
        else:
            self.main = made = self._image(in_shape, flat)
            self.out_shape = made.out_shape
        self._check_shape()
        self._check_size()

    def synapses(self, source: str, here: str) -> Iterator[tuple[str, Synapse, Array | None]]:
        """Give source, synapse and delays beyond the hop of every projection onto the layer."""
        delays = self._delays()
        if delays is not None and isinstance(self.main, Conv2d):
            self.main = _listed(self.main)
            delays = np.repeat(delays, np.diff(self.main.indptr))
        yield source, self.main, delays
        if self.raw.type == "dense_rec":
            if delays is not None:
                raise SpikecError(
                    "SPK1717",
                    self.where,
                    "it has delays and recurrent synapses, whose weights netx then scales wrongly",
                    "Train it without delays",
                )
            weight = self._matrix("weight_rec")
            if weight.shape != (self.main.out_size,) * 2:
                raise self._mismatch(f"weight_rec has shape {weight.shape}")
            yield here, Dense(self._tensor(weight)), None

    # ------------------------------------------------------------ weights

    def _numbers(self, name: str) -> Array:
        if name not in self.raw.fields:
            raise missing(f"{self.raw.name}.{name}")
        return whole(self.raw, name, WEIGHTS)

    def _tensor(self, weight: Array) -> Tensor:
        """Return the weights on the grid of a core."""
        exponent = 0
        if "neuron.wgtExp" in self.raw.fields:
            exponent = int(spread(self.raw, "neuron.wgtExp", 1, 1, EXPONENTS))
        mixed = bool(np.any(weight < 0)) and bool(np.any((weight > 0) | (weight < -255)))
        low, high = DOUBLED
        small = low <= weight.min() and weight.max() <= high
        if mixed and small and exponent > EXPONENTS[0] and np.any(weight & 1):
            return mantissas(2 * weight, exponent - 1)
        return mantissas(weight, exponent)

    def _matrix(self, name: str) -> Array:
        weight = self._numbers(name)
        out = prod(self.raw.integers("shape")) if "shape" in self.raw.fields else len(weight)
        if weight.ndim == 1 and out > 0 and weight.size % out == 0:
            weight = weight.reshape(out, -1)
        if weight.ndim != 2:
            raise self._mismatch(f"{name} has shape {weight.shape}")
        return weight

    def _dense(self, in_shape: Shape, flat: bool) -> Dense:
        weight = self._matrix("weight")
        if weight.shape[1] != prod(in_shape):
            raise self._mismatch(f"weight has shape {weight.shape}, what it hears {in_shape}")
        if sum(n > 1 for n in in_shape) > 1 and not flat:
            raise SpikecError(
                "SPK1711",
                self.where,
                f"it hears an image of shape {in_shape} without a flatten layer between them",
                "Put one there: it says in which order the neurons are",
            )
        return Dense(self._tensor(weight))

    # ------------------------------------------------------------ images

    def _image(self, in_shape: Shape, flat: bool) -> Conv2d:
        if len(in_shape) != 3 or flat:
            raise SpikecError(
                "SPK1712",
                self.where,
                f"it hears {'a flat row' if flat else f'the shape {in_shape}'}, not an image",
                "Give it (channels, height, width)",
            )
        channels, height, width = in_shape
        image = (channels, height, width)
        if self.raw.type == "pool":
            return self._pool(image)
        weight = self._kernels()
        groups, same = self._pair("groups", (1, 1))
        if groups != same:
            raise self._mismatch(f"groups has the numbers {groups} and {same}")
        return self._conv2d(image, self._tensor(weight), None, *self._geometry((1, 1)), groups)

    def _kernels(self) -> Array:
        """Return kernels (out, in, height, width); an axis of one step of time may follow."""
        weight = self._numbers("weight")
        if weight.ndim == 5 and weight.shape[4] == 1:
            weight = weight[..., 0]
        if weight.ndim != 4:
            raise self._mismatch(f"weight has shape {weight.shape}")
        return weight

    def _pool(self, image: tuple[int, int, int]) -> Conv2d:
        """Return the weighted sum over windows of each channel.

        slayer puts the rows of all channels in one column first, and appends as many rows to each
        as its height leaves over the kernel's; the windows are those of the channels only where
        they follow on each other and the height so reached is a multiple of the kernel's.
        """
        weight = self._kernels()
        if weight.shape[:2] != (1, 1):
            raise self._mismatch(f"weight has shape {weight.shape}")
        channels, height, width = image
        tall, wide = weight.shape[2:]
        stride, padding, dilation = self._geometry((tall, wide))
        extra = (height % tall, width % wide)
        apart = stride[0] == tall and (dilation[0] == 1 or tall == 1) and padding[0] == 0
        if not apart or (height + extra[0]) % tall:
            raise SpikecError(
                "SPK1713",
                self.where,
                f"windows {tall} high with stride {stride[0]}, dilation {dilation[0]} and padding "
                f"{padding[0]} on {height} rows run over into the next channel in slayer",
                "Use windows that follow on each other and cover the image",
            )
        kernels = np.repeat(weight, channels, axis=0)
        geometry = (stride, padding, dilation, channels, extra)
        return self._conv2d(image, self._tensor(kernels), None, *geometry)

    def _conv2d(self, *parts: Any) -> Conv2d:
        """Return the convolution; an error of its geometry names the layer."""
        try:
            return Conv2d(*parts)
        except SpikecError as error:
            raise error.at(self.where) from None

    def _geometry(self, stride: Pair) -> tuple[Pair, Pair, Pair]:
        """Return stride, padding and dilation, (height, width)."""
        return (
            self._pair("stride", stride),
            self._pair("padding", (0, 0)),
            self._pair("dilation", (1, 1)),
        )

    def _pair(self, name: str, otherwise: Pair) -> Pair:
        values: Shape = self.raw.integers(name) if name in self.raw.fields else otherwise
        if len(values) == 1:
            values = (values[0], values[0])
        if len(values) != 2:
            raise self._mismatch(f"{name} has {len(values)} numbers")
        return values[0], values[1]

    # ------------------------------------------------------------ delays

    def _delays(self) -> Array | None:
        """Return steps beside the hop: one for each weight, or for each target of a convolution.

        Raises:
            SpikecError: SPK1714 when they fit neither targets, sources nor weights.
        """
        if "delay" not in self.raw.fields:
            return None
        given = whole(self.raw, "delay", (0, MOST_DELAY)).astype(np.int32)
        out, into = self.main.out_size, self.main.in_size
        if isinstance(self.main, Conv2d):
            text = "netx ignores the delays of an image; they are taken as those of a dense layer"
            self.findings.append(Finding("SPK1726", self.where, text))
            fitting = given.size in (1, out, self.out_shape[0])
            if fitting:
                return np.repeat(given.reshape(-1), out // given.size)
        elif given.size == 1:
            return np.full((out, into), given.flat[0])
        elif given.shape == (out, into):
            return given
        elif given.shape == (out,):
            return np.repeat(given[:, None], into, axis=1)
        elif given.shape == (into,):
            return np.repeat(given[None, :], out, axis=0)
        raise SpikecError(
            "SPK1714",
            self.where,
            f"delays of shape {given.shape} fit neither its {out} neurons nor its {into} sources",
            "Write the file again",
        )

    # ------------------------------------------------------------ shapes

    def _check_shape(self) -> None:
        """Compare with the shape that the file states.

        Raises:
            SpikecError: SPK1715.
        """
        if "shape" not in self.raw.fields:
            return
        stated = self.raw.integers("shape")
        dense = len(self.out_shape) == 1
        if prod(stated) != prod(self.out_shape) or not (dense or stated == self.out_shape):
            raise SpikecError(
                "SPK1715",
                self.where,
                f"its shape is {stated}, its weights and geometry give {self.out_shape}",
                "Write the file again",
            )

    def _check_size(self) -> None:
        """Refuse what a few numbers describe and no memory holds.

        Raises:
            SpikecError: SPK1727.
        """
        count = self.main.out_size
        if "delay" in self.raw.fields and isinstance(self.main, Conv2d):
            count *= prod(self.main.weight.shape[1:])
        if count > MOST_LISTED:
            raise SpikecError(
                "SPK1727",
                self.where,
                f"{count} neurons, or synapses with delays, are more than {MOST_LISTED}",
                "Split the layer, or leave out its delays",
            )

    def _mismatch(self, problem: str) -> SpikecError:
        return SpikecError("SPK1716", self.where, problem, "Correct the file: they do not fit")


def _listed(synapse: Conv2d) -> Sparse:
    """Return a convolution synapse by synapse."""
    rows = synapse.to_sparse().tocsr()
    weight = Tensor(rows.data.astype(synapse.weight.data.dtype), synapse.weight.dtype)
    return Sparse(synapse.in_size, rows.indptr, rows.indices, weight)
