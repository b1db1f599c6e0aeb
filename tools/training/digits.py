"""The handwritten digits of scikit-learn, split as every figure about them splits them."""

from typing import Any

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from spikec.compiler.types import Array

SPLIT: dict[str, Any] = {"test_size": 0.3, "random_state": 0}


def split_digits() -> tuple[Array, Array, Array, Array]:
    """Return 1,257 training and 540 held-out images (n, 64) in 0 to 1, and both labels."""
    data: Any = load_digits()
    split: Any = train_test_split(data.data / 16, data.target, stratify=data.target, **SPLIT)
    return tuple(split)  # type: ignore[return-value]
