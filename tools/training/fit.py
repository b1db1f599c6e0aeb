# pyright: basic, reportMissingImports=false
"""Gradient descent: AdamW, a cosine schedule, cross entropy."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from rich.progress import Progress

# Called for every epoch; returns what gives the scores (batch, classes) of the samples of a batch.
Begin = Callable[[], Callable[[Any], Any]]


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train.

    Attributes:
        epochs: Passes through the data.
        batch: Samples a step.
        rate: First learning rate; it falls to 0 as a cosine.
        weight_decay: Of AdamW.
    """

    epochs: int
    batch: int
    rate: float
    weight_decay: float


def fit(weights: Iterable[Any], labels: Any, settings: Settings, begin: Begin) -> None:
    """Train weights, with a progress bar.

    Args:
        weights: Parameters.
        labels: Classes (samples,), a tensor.
        settings: How.
        begin: The network.
    """
    optimizer = torch.optim.AdamW(weights, lr=settings.rate, weight_decay=settings.weight_decay)
    steps = settings.epochs * math.ceil(len(labels) / settings.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    with Progress(transient=True) as shown:
        bar = shown.add_task("training", total=steps)
        for epoch in range(settings.epochs):
            scores = begin()
            for batch in torch.randperm(len(labels)).split(settings.batch):
                loss = torch.nn.functional.cross_entropy(scores(batch), labels[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                what = f"epoch {epoch + 1}, loss {loss.item():.3f}"
                shown.update(bar, advance=1, description=what)
