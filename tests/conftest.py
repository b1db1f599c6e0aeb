"""Shared fixtures."""

import os
from pathlib import Path

import numpy as np
import pytest

from spikec.compiler.signals import encode
from spikec.compiler.types import Array
from training.digits import split_digits


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder of shared data, or skip."""
    folder = Path(os.environ.get("SPIKEC_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set SPIKEC_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def recordings(data: Path) -> tuple[Array, Array]:
    """Return the 100 N-MNIST test recordings (samples, 350, 2, 34, 34) and their labels."""
    with np.load(data / "nmnist" / "nmnist_small_1000_100.npz") as file:
        sample = np.repeat(np.arange(100), file["test_n"])
        spikes = np.zeros((100, 350, 2, 34, 34), dtype=bool)
        at = (sample, file["test_t_us"] // 1000, file["test_p"], file["test_yaddr"], file["test_x"])
        spikes[at] = True
        return spikes, file["test_y"].astype(np.int64)


@pytest.fixture(scope="session")
def digits() -> tuple[Array, Array]:
    """Return the 540 held-out digits as spikes (samples, 16, 64), and their labels."""
    _, held_out, _, wanted = split_digits()
    return encode(held_out, "latency", 16, 0), wanted
