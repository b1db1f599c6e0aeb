"""Writes lava-dl .net files as slayer lays them out, without lava-dl, and draws random networks."""

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from spikec.compiler.untyped import h5py

Record = dict[str, Any]


def neuron(i: Any = 1024, v: Any = 256, threshold: Any = 40, **changed: Any) -> Record:
    """Return the members of a CUBA neuron, with ``neuron/`` before their names."""
    values = {"type": "CUBA", "iDecay": i, "vDecay": v, "vThMant": threshold}
    values |= {"refDelay": 1, "gradedSpike": False, **changed}
    return {f"neuron/{name}": value for name, value in values.items()}


def dense(weight: Any, kind: str = "dense", **members: Any) -> Record:
    """Return a dense layer; its weights are floats, as slayer writes them."""
    matrix = np.asarray(weight, dtype=np.float32)
    shape = {"inFeatures": matrix.shape[1], "outFeatures": len(matrix), "shape": [len(matrix)]}
    return {"type": kind, **shape, "weight": matrix, **neuron(), **members}


def image(kind: str, shape: Sequence[int], weight: Any, **members: Any) -> Record:
    """Return a conv or pool layer with its shape (channels, height, width)."""
    kernel = np.asarray(weight, dtype=np.float32)
    return {"type": kind, "shape": list(shape), "weight": kernel, **neuron(), **members}


def write(path: Path, layers: Sequence[Record]) -> Path:
    """Write the layers in order."""
    with h5py.File(path, "w") as file:
        file.create_group("layer")
        file["simulation/Ts"] = 1
        for k, layer in enumerate(layers):
            group = file.create_group(f"layer/{k}")
            for name, value in layer.items():
                if name == "type":
                    group.create_dataset(name, (1,), "S10", [value.encode()])
                else:
                    group[name] = value
    return path


class _Draw:
    """One random network; ``seed`` picks the kind, so that every one occurs."""

    def __init__(self, seed: int, biased: bool) -> None:
        self.seed, self.biased = seed, biased
        self.random = np.random.default_rng(seed)

    def whole(self, low: int, high: int, *shape: int) -> Any:
        return self.random.integers(low, high + 1, shape)

    def weights(self, *shape: int) -> Any:
        """Even and of both signs, or odd, or of one sign."""
        kind = self.seed % 4
        if kind == 0:
            return 2 * self.whole(-60, 90, *shape)
        return self.whole(*((-40, 100), (0, 90), (-60, 127))[kind - 1], *shape)

    def cell(self, channels: int) -> Record:
        """Parameters for all, or one for each channel."""
        size = (channels,) if self.seed % 3 == 0 else ()
        made = neuron(
            self.whole(300, 4096, *size),
            self.whole(0, 1500, *size),
            self.whole(20, 120),
            type=("CUBA", "LOIHI")[self.seed % 2],
        )
        if self.biased and self.seed % 5 < 2:
            made["bias"] = self.whole(-20, 40, channels).astype(np.float32)
        return made

    def dense(self, into: int, delays: bool = False) -> Record:
        out = int(self.whole(2, 7))
        layer = dense(self.weights(out, into), **self.cell(out))
        if delays:
            shape = ((), (out,), (into,), (out, into))[int(self.whole(0, 3))]
            layer["delay"] = self.whole(0, 6, *shape).astype(np.float32)
        return layer

    def recurrent(self, into: int) -> Record:
        out = int(self.whole(2, 7))
        weight = self.weights(out, out).astype(np.float32)
        cell = {"weight_rec": weight, **self.cell(out)}
        return dense(self.weights(out, into), "dense_rec", **cell)

    def conv(self, shape: tuple[int, int, int], delays: bool = False) -> Record:
        groups = shape[0] if self.seed % 2 else 1
        out, kernel = 2 * shape[0], self.whole(1, 3, 2)
        stride, padding, dilation = self.whole(1, 2, 2), self.whole(0, 2, 2), self.whole(1, 2, 2)
        span = np.array(shape[1:]) + 2 * padding - dilation * (kernel - 1) - 1
        weight = self.weights(out, shape[0] // groups, *kernel, 1)
        geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        layer = image("conv", (out, *(span // stride + 1)), weight, **geometry, **self.cell(out))
        if delays:
            layer["delay"] = self.whole(0, 6, out).astype(np.float32)
        return layer

    def pool(self, shape: tuple[int, ...]) -> Record:
        """Windows of two rows, or of three where the height allows it; as slayer, no bias."""
        channels, height, width = shape
        tall, wide = (3 if height % 3 == 0 else 2), int(self.whole(1, min(3, width)))
        out = (channels, (height + height % tall) // tall, (width + width % wide) // wide)
        cell = {k: v for k, v in self.cell(channels).items() if k != "bias"}
        sizes = {"kernelSize": [tall, wide], "stride": [tall, wide]}
        zeros = {"padding": [0, 0], "dilation": [1, 1]}
        return image("pool", out, self.weights(1, 1, tall, wide), **sizes, **zeros, **cell)

    def layers(self) -> list[Record]:
        made: list[Record]
        kind = self.seed % 6
        if kind < 3:
            size = int(self.whole(3, 9))
            made = [{"type": "input", "shape": [size]}] if self.seed % 2 else []
            made.append(self.recurrent(size) if kind == 2 else self.dense(size, kind == 1))
            for _ in range(2):
                made.append(self.dense(made[-1]["shape"][0], kind == 1))
            return made
        shape = int(self.whole(1, 3)), int(self.whole(5, 9)), int(self.whole(5, 9))
        made = [{"type": "input", "shape": shape}, self.conv(shape, kind == 4)]
        before = tuple(int(n) for n in made[-1]["shape"])
        if kind == 5:
            made.append(self.pool(before))
        made.append({"type": "flatten", "shape": [prod(int(n) for n in made[-1]["shape"]), 1, 1]})
        made.append(self.dense(made[-1]["shape"][0]))
        return made


def random_net(seed: int, biased: bool = True) -> list[Record]:
    """Return the layers: dense, delayed, recurrent, convolution, that delayed, or pooled."""
    return _Draw(seed, biased).layers()
