"""The handwritten digits of scikit-learn, split as every figure about them splits them."""

import importlib
from typing import Any

from spikec.compiler.types import Array

SPLIT: dict[str, Any] = {"test_size": 0.3, "random_state": 0}


def split_digits() -> tuple[Array, Array, Array, Array]:
    """Return 1,257 training and 540 held-out images (n, 64) in 0 to 1, and the labels of both."""
    datasets: Any = importlib.import_module("sklearn.datasets")
    selection: Any = importlib.import_module("sklearn.model_selection")
    pixels, labels = datasets.load_digits(return_X_y=True)
    train, test, known, wanted = selection.train_test_split(
        pixels / 16, labels, stratify=labels, **SPLIT
    )
    return train, test, known, wanted
