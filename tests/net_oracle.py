"""What a lava-dl .net file does, step by step, from the equations of Lava and slayer, in numpy.

Nothing here is shared with spikec. Layers are those of ``net_files``; images are (channels, height,
width). Source: specs/toolchain.md, section 3.3; lava-dl's hdf5.py, slayer's Pool for pooling.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

Recording = dict[str, Any]
TOP = 1 << 23


def run(layers: Sequence[dict[str, Any]], spikes: Any) -> list[Recording]:
    """Return u, v and s (steps, neurons) of every layer with neurons, from spikes (steps, ...)."""
    sent, made = spikes.astype(np.int64), list[Recording]()
    for layer in layers:
        if layer["type"] in ("input", "average"):
            continue
        if layer["type"] == "flatten":
            sent = sent.reshape(len(sent), -1)
            continue
        arriving = _arriving(layer, sent)
        recorded = _neurons(layer, arriving)
        made.append({k: a.reshape(len(a), -1) for k, a in recorded.items()})
        sent = recorded["s"]
    return made


def _shifted(current: Any, steps: int) -> Any:
    """Return what arrives ``steps`` later."""
    late = np.zeros_like(current)
    late[steps:] = current[: len(current) - steps]
    return late


def _arriving(layer: dict[str, Any], sent: Any) -> Any:
    """Return the weighted sums that arrive in each step, all but the recurrent ones."""
    weight = np.asarray(layer["weight"]).astype(np.int64)
    delay = np.asarray(layer.get("delay", 0)).astype(np.int64)
    if layer["type"] in ("dense", "dense_rec"):
        if delay.ndim == 1:
            delay = delay[:, None] if len(delay) == len(weight) else delay[None, :]
        delays = np.broadcast_to(delay, weight.shape)
        flat = sent.reshape(len(sent), -1)
        return sum(
            _shifted(flat @ np.where(delays == d, weight, 0).T, 1 + d) for d in np.unique(delays)
        )
    current = (_pool if layer["type"] == "pool" else _conv)(layer, weight, sent)
    if delay.ndim == 0:
        return _shifted(current, 1 + int(delay))
    return np.stack([_shifted(current[:, c], 1 + int(d)) for c, d in enumerate(delay)], axis=1)


def _conv(layer: dict[str, Any], weight: Any, sent: Any) -> Any:
    """Cross-correlation, one place of the kernel at a time."""
    (sy, sx), (py, px), (dy, dx) = (layer[k] for k in ("stride", "padding", "dilation"))
    groups, (out, per_group, ky, kx) = layer["groups"], weight.shape[:4]
    kernel = weight.reshape(out, per_group, ky, kx)
    padded = np.pad(sent, ((0, 0), (0, 0), (py, py), (px, px)))
    _, height, width = layer["shape"]
    made = np.zeros((len(sent), *layer["shape"]), dtype=np.int64)
    for o in range(out):
        first = o // (out // groups) * per_group
        for c in range(per_group):
            for y in range(ky):
                for x in range(kx):
                    rows = slice(y * dy, y * dy + sy * (height - 1) + 1, sy)
                    columns = slice(x * dx, x * dx + sx * (width - 1) + 1, sx)
                    made[:, o] += kernel[o, c, y, x] * padded[:, first + c, rows, columns]
    return made


def _pool(layer: dict[str, Any], weight: Any, sent: Any) -> Any:
    """As slayer: zeros appended, the rows of all channels in one column, windows over that."""
    (sy, sx), (ky, kx) = layer["stride"], weight.shape[2:]
    steps, channels, height, width = sent.shape
    padded = np.pad(sent, ((0, 0), (0, 0), (0, height % ky), (0, width % kx)))
    column = padded.reshape(steps, channels * padded.shape[2], -1)
    rows, columns = (column.shape[1] - ky) // sy + 1, (column.shape[2] - kx) // sx + 1
    made = np.zeros((steps, rows, columns), dtype=np.int64)
    for r in range(rows):
        for c in range(columns):
            window = column[:, r * sy : r * sy + ky, c * sx : c * sx + kx]
            made[:, r, c] = (window * weight[0, 0]).sum(axis=(1, 2))
    return made.reshape(steps, channels, -1, columns)


def _neurons(layer: dict[str, Any], arriving: Any) -> Recording:
    shape = arriving.shape[1:]

    def each(value: Any) -> Any:
        numbers = np.asarray(value).astype(np.int64)
        return numbers.reshape(-1, *(1,) * (len(shape) - 1)) if numbers.size > 1 else numbers

    decay_u, decay_v = each(layer["neuron/iDecay"]), each(layer["neuron/vDecay"])
    threshold, bias = each(layer["neuron/vThMant"]) << 6, each(layer.get("bias", 0)) << 6
    factor = 2.0 ** (6 + layer.get("neuron/wgtExp", 0))
    again = layer.get("weight_rec")
    u = v = s = np.zeros(shape, dtype=np.int64)
    rows: dict[str, list[Any]] = {"u": [], "v": [], "s": []}
    for now in arriving:
        total = now if again is None else now + np.asarray(again).astype(np.int64) @ s
        u = _decayed(u, decay_u) + (total * factor).astype(np.int64)
        u = (u + TOP) % (2 * TOP) - TOP
        v = np.clip(_decayed(v, decay_v) + u + bias, 1 - TOP, TOP - 1)
        s = (v > threshold).astype(np.int64)
        v = v * (1 - s)
        for name, value in (("u", u), ("v", v), ("s", s)):
            rows[name].append(value)
    return {name: np.stack(values) for name, values in rows.items()}


def _decayed(x: Any, constant: Any) -> Any:
    """Return x (4096 - constant) / 4096, rounded toward zero."""
    return np.sign(x) * (np.abs(x) * (4096 - constant) // 4096)
