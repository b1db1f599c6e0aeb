# pyright: basic, reportMissingImports=false
"""Training with rounded weights (quantisation-aware), straight-through gradients.

The step is that of ``quantize``: one for all weights that enter a population, the largest of them
over 2^(bits - 1) - 1. So what is learned is what the integers can hold.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize


class Rounded(nn.Module):  # type: ignore[misc]
    """Rounds a weight to the common step of some."""

    def __init__(self, weights: Sequence[Any], bits: int) -> None:
        """Keep the weights that share a step."""
        nn.Module.__init__(self)
        self._all, self._top = list(weights), (1 << (bits - 1)) - 1

    def forward(self, weight: Any) -> Any:
        """Return the rounded weight, with the gradient of the weight itself."""
        step = torch.stack([w.detach().abs().max() for w in self._all]).max() / self._top
        return weight + (torch.round(weight / step) * step - weight).detach()


@contextmanager
def rounded(groups: Sequence[Sequence[Any]], bits: int | None) -> Generator[None]:
    """Round the weights of Linear layers meanwhile, and leave them rounded.

    Args:
        groups: The layers that enter each population.
        bits: Of a weight with its sign; None to leave everything as it is.
    """
    every = [layer for group in groups for layer in group] if bits else []
    for group in groups if bits else ():
        weights = [layer.weight for layer in group]
        for layer in group:
            parametrize.register_parametrization(layer, "weight", Rounded(weights, bits or 0))
    try:
        yield
    finally:
        for layer in every:
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
