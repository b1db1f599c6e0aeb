"""snnTorch in float64."""

import importlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


@contextmanager
def double_spikes() -> Generator[None]:
    """Let ``Tensor.float``, by which snnTorch makes spikes, give float64."""
    torch: Any = importlib.import_module("torch")
    original = torch.Tensor.float
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.Tensor.float = original
