# pyright: basic, reportMissingImports=false
"""The networks in torch: two streams of two-point cells, or of point neurons.

Per stream s and layer, from the layer below (specs/two_point_cells.md section 2.2):

R = W h + b;  u = tanh(M [R_audio; R_video]);  C = P R + D R_other + U u;  h = ReLU6(MOD(R, C))

with no term of P on its diagonal. Point neurons have h = ReLU6(R). ``fused`` ones of the second
layer see both streams, which is where their further parameters go. The estimate of clean speech is
linear in both streams of the last layer; the words are read from its activity over the clip.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from spikec.models.mcc.features import WORDS

STREAMS = ("audio", "video")
INPUTS = {"audio": 92, "video": 100}
OUTPUTS = 92
LAYERS = 2
BINS = 15  # of a clip, over which activity is averaged for the words

Kind = Literal["point", "fused", "tm1", "tm2", "tm3", "tm4", "co", "co_swap"]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a network is made of.

    Attributes:
        kind: point, fused, or the modulation of two-point cells.
        width: Cells per stream and layer.
        universal: Width of the universal context.
    """

    kind: Kind
    width: int = 48
    universal: int = 16

    @property
    def two_point(self) -> bool:
        """Whether its cells have context."""
        return self.kind not in ("point", "fused")

    def fan_in(self, stream: str, layer: int) -> int:
        """Return how many values feed a cell of a layer."""
        if layer == 0:
            return INPUTS[stream]
        return self.width * (2 if self.kind == "fused" else 1)

    def parameters(self) -> int:
        """Return the number of weights and biases, without those that read the words."""
        count = OUTPUTS * (2 * self.width + 1)
        for layer in range(LAYERS):
            count += sum(self.width * (self.fan_in(s, layer) + 1) for s in STREAMS)
            if self.two_point:
                count += 2 * self.width * (2 * self.width - 1 + self.universal)
                count += 2 * self.width * self.universal
        return count


def equal_parameters(shape: Shape) -> Shape:
    """Return the network of fused point neurons with the nearest number of parameters."""
    widths = (Shape("fused", w) for w in range(1, 4 * shape.width))
    return min(widths, key=lambda s: abs(s.parameters() - shape.parameters()))


def modulated(kind: Kind, r: Any, c: Any) -> Any:
    """Return MOD(R, C) (specs/two_point_cells.md section 2.1), R itself for point neurons."""
    match kind:
        case "tm1":
            # Beyond 3 the exponential is no longer that of the integer form.
            return 0.5 * r * (1 + torch.exp(torch.clamp(r * c, max=3.0)))
        case "tm2":
            return r + r * c
        case "tm3":
            return r * (1 + torch.tanh(r * c))
        case "tm4":
            return r * torch.exp2(torch.clamp(r * c, max=3.0))
        case "co":
            return r * r + 2 * r + c * (1 + r.abs())
        case "co_swap":
            return c * c + 2 * c + c * (1 + r.abs())
        case _:
            return r


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """What a batch did; lists by layer, dicts by stream.

    Attributes:
        estimate: Of clean features, (clips, frames, 92).
        sent: Activities, (clips, frames, width).
        received: Receptive fields.
        words: Scores of every word, (clips, all words).
    """

    estimate: Any
    sent: list[dict[str, Any]]
    received: list[dict[str, Any]]
    words: Any


class Net(nn.Module):  # type: ignore[misc]
    """One network; ``alive`` (2 layers, 2 streams, width) silences cells that are 0."""

    feed: Any
    context: Any
    alive: Any
    others: Any

    def __init__(self, shape: Shape) -> None:
        """Draw the first weights."""
        super().__init__()
        self.shape = shape
        n, m = shape.width, shape.universal
        self.feed, self.context = nn.ParameterDict(), nn.ParameterDict()
        for layer in range(LAYERS):
            for s in STREAMS:
                self.feed[f"w_{s}_{layer}"] = _normal(n, shape.fan_in(s, layer))
                self.feed[f"b_{s}_{layer}"] = nn.Parameter(torch.full((n,), 0.1))
                if shape.two_point:
                    for part, size in (("p", n), ("d", n), ("u", m)):
                        self.context[f"{part}_{s}_{layer}"] = _normal(n, size, 0.3)
            if shape.two_point:
                self.context[f"m_{layer}"] = _normal(m, 2 * n)
        self.out = nn.Linear(2 * n, OUTPUTS)
        self.words = nn.Linear(BINS * 2 * n, sum(len(w) for w in WORDS))
        self.register_buffer("alive", torch.ones(LAYERS, len(STREAMS), n))
        self.register_buffer("others", 1 - torch.eye(n))

    def forward(self, audio: Any, video: Any) -> Activity:
        """Run clips (clips, frames, features)."""
        h: dict[str, Any] = {"audio": audio, "video": video}
        sent: list[dict[str, Any]] = []
        received: list[dict[str, Any]] = []
        for layer in range(LAYERS):
            if layer and self.shape.kind == "fused":
                h = dict.fromkeys(STREAMS, torch.cat([h[s] for s in STREAMS], -1))
            r = {s: self._received(layer, s, h[s]) for s in STREAMS}
            c = self._context(layer, r) if self.shape.two_point else r
            h = {
                s: torch.clamp(modulated(self.shape.kind, r[s], c[s]), 0.0, 6.0)
                * self.alive[layer, k]
                for k, s in enumerate(STREAMS)
            }
            sent.append(h)
            received.append(r)
        top = torch.cat([h[s] for s in STREAMS], -1)
        clips, frames, width = top.shape
        binned = top.reshape(clips, BINS, frames // BINS, width).mean(2).flatten(1)
        words = self.words(nn.functional.dropout(binned, 0.5, self.training))
        return Activity(self.out(top), sent, received, words)

    def _received(self, layer: int, s: str, h: Any) -> Any:
        return nn.functional.linear(h, self.feed[f"w_{s}_{layer}"], self.feed[f"b_{s}_{layer}"])

    def _context(self, layer: int, r: dict[str, Any]) -> dict[str, Any]:
        # A lesioned cell is gone: its receptive field reaches nobody either.
        r = {s: r[s] * self.alive[layer, k] for k, s in enumerate(STREAMS)}
        u = torch.tanh(torch.cat([r[s] for s in STREAMS], -1) @ self.context[f"m_{layer}"].T)
        made = {}
        for s, other in zip(STREAMS, reversed(STREAMS), strict=True):
            proximal = self.context[f"p_{s}_{layer}"] * self.others
            made[s] = (
                r[s] @ proximal.T
                + r[other] @ self.context[f"d_{s}_{layer}"].T
                + u @ self.context[f"u_{s}_{layer}"].T
            )
        return made


def _normal(rows: int, columns: int, gain: float = 1.0) -> Any:
    return nn.Parameter(torch.randn(rows, columns) * gain * columns**-0.5)
