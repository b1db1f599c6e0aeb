# pyright: basic, reportMissingImports=false
"""Training of the networks: clean features from noisy ones and lips, and words, with Adam."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from spikec.compiler.types import Array
from spikec.models.mcc.features import WORDS, Split
from spikec.models.mcc.nets import Activity, Net, Shape

BATCH, RATE, WORD_LOSS = 16, 2e-3, 0.1


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained.

    Attributes:
        shape: The network.
        penalty: Of the mean activity of all cells.
        labelled: Share of the clips whose words are known; all have clean features.
        steps: Batches of 16 clips.
        seed: Of weights, batches and noise.
    """

    shape: Shape
    penalty: float = 0.0
    labelled: float = 1.0
    steps: int = 800
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Lesion:
    """Cells that are silenced for good before a step.

    Attributes:
        step: Before which.
        alive: 0 or 1, (layers, streams, width).
    """

    step: int
    alive: Array


def seeded(seed: int) -> None:
    """Make torch deterministic, on one thread."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)


def train(
    recipe: Recipe,
    data: Split,
    lesion: Lesion | None = None,
    observe: Callable[[int, float], None] = lambda step, loss: None,
) -> Net:
    """Return a trained network; ``observe`` gets the squared error of every batch."""
    seeded(recipe.seed)
    net = Net(recipe.shape)
    optimiser = torch.optim.Adam(net.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    batches = _Batches(data, recipe)
    for step in range(recipe.steps):
        if lesion is not None and step == lesion.step:
            net.alive.copy_(torch.from_numpy(lesion.alive))
        noisy, lips, clean, words, known = batches.draw()
        ran = net(noisy, lips)
        error = nn.functional.mse_loss(ran.estimate, clean)
        loss = error + WORD_LOSS * _word_loss(ran.words, words, known)
        if recipe.penalty:
            loss = loss + recipe.penalty * mean_activity(ran)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        observe(step, float(error.detach()))
    net.eval()
    return net


class _Batches:
    """Draws clips, each with one of its noises."""

    def __init__(self, data: Split, recipe: Recipe) -> None:
        self.random = np.random.default_rng(recipe.seed)
        self.data = data
        self.known = np.zeros(len(data.words), dtype=bool)
        self.known[self.random.permutation(self.known.size)] = (
            np.arange(self.known.size) < recipe.labelled * self.known.size
        )

    def draw(self) -> Any:
        """Return noisy features, lips, clean features, words, and whose words are known."""
        data = self.data
        clips = self.random.integers(0, len(data.clean), BATCH)
        variants = self.random.integers(0, data.noisy.shape[1], BATCH)
        arrays = (data.noisy[clips, variants], data.lips[clips], data.clean[clips])
        drawn = [torch.from_numpy(a) for a in (*arrays, data.words[clips], self.known[clips])]
        return tuple(drawn)


def mean_activity(ran: Activity) -> Any:
    """Return the mean of all activities."""
    return torch.stack([h.mean() for layer in ran.sent for h in layer.values()]).mean()


def _word_loss(scores: Any, words: Any, known: Any) -> Any:
    """Return the mean cross-entropy of the six words, over the clips whose words are known."""
    parts = torch.split(scores, [len(w) for w in WORDS], dim=1)
    losses = [
        nn.functional.cross_entropy(p, words[:, k], reduction="none") for k, p in enumerate(parts)
    ]
    weight = known.float()
    return (torch.stack(losses).mean(0) * weight).sum() / weight.sum().clamp(min=1.0)


@dataclass(frozen=True, slots=True)
class Score:
    """How a network does on held-out clips.

    Attributes:
        nmse: Squared error of the estimate over the variance of clean features.
        words: Share of the words that are right.
        active: Share of the cells above zero.
    """

    nmse: float
    words: float
    active: float


def score(net: Any, data: Split) -> Score:
    """Return the score over all noises."""
    with torch.no_grad():
        ran = run(net, data)
    clean = torch.from_numpy(data.clean).repeat_interleave(data.noisy.shape[1], 0)
    words = torch.from_numpy(data.words).repeat_interleave(data.noisy.shape[1], 0)
    error = torch.square(ran.estimate - clean).mean() / clean.var(unbiased=False)
    parts = torch.split(ran.words, [len(w) for w in WORDS], dim=1)
    right = torch.stack([p.argmax(1) == words[:, k] for k, p in enumerate(parts)])
    active = torch.stack([(h > 0).float().mean() for layer in ran.sent for h in layer.values()])
    return Score(float(error), float(right.float().mean()), float(active.mean()))


def run(net: Any, data: Split) -> Activity:
    """Run all clips with all their noises, (clips x variants, frames, ...)."""
    variants = data.noisy.shape[1]
    noisy = torch.from_numpy(data.noisy.reshape(-1, *data.noisy.shape[2:]))
    ran: Activity = net(noisy, torch.from_numpy(data.lips).repeat_interleave(variants, 0))
    return ran


def lesion_mask(shape: Shape, share: float, seed: int) -> Array:
    """Return which cells stay alive when a share of each layer and stream is silenced."""
    random = np.random.default_rng([seed, round(share * 1000)])
    alive = np.ones((2, 2, shape.width), dtype=np.float32)
    for cells in alive.reshape(-1, shape.width):
        cells[random.permutation(shape.width)[: round(share * shape.width)]] = 0
    return alive


def smoothed(errors: Sequence[float], span: int = 20) -> Array:
    """Return the running mean of the last ``span`` errors."""
    sums = np.cumsum(np.concatenate([np.zeros(span), errors]))
    return np.asarray((sums[span:] - sums[:-span]) / np.minimum(np.arange(len(errors)) + 1, span))
