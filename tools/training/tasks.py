"""What is learned: spikes of real data, with their classes.

Training data are drawn anew in every epoch: rates are drawn again, recordings are moved a little.
Test data are the same in every run.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from spikec.compiler.signals import encode
from spikec.compiler.types import Array
from training.digits import split_digits
from training.sound import cut_levels

STEPS = 25  # of images
SOUND_STEPS = 50  # 0.8 s; 97 of 100 spoken digits are shorter
EVENT_STEPS, EVENT_STEP_US, EVENT_CELL = 30, 10_000, 2  # frames of 10 ms, cells of 2 x 2 pixels
EVENT_SHAPE = (2, 17, 17)
TEST_SEED = 0  # of the rates that are drawn for test images


class Source(Protocol):
    """Training samples."""

    def draw(self, which: Array, random: np.random.Generator) -> Array:
        """Return spikes (samples, steps, inputs) of some samples, varied where ``random`` says."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Images (n, inputs) in 0 to 1, rate-coded: a spike with the pixel as its probability."""

    pixels: Array

    def draw(self, which: Array, random: np.random.Generator) -> Array:
        """Return newly drawn spikes."""
        rates = self.pixels[which].astype(np.float32)[:, None]
        shape = (len(which), STEPS, rates.shape[2])
        return np.asarray(random.random(shape, dtype=np.float32) < rates)


@dataclass(frozen=True, slots=True, eq=False)
class Recordings:
    """Spikes (n, steps, *grid), and how far they may be moved along each axis from steps on."""

    spikes: Array
    moves: tuple[int, ...]

    def draw(self, which: Array, random: np.random.Generator) -> Array:
        """Return the recordings, each moved as a whole."""
        made = np.zeros((len(which), *self.spikes.shape[1:]), dtype=np.bool_)
        for row, k in enumerate(which.tolist()):
            by = [int(random.integers(-m, m + 1)) for m in self.moves]
            made[row][_places(by)] = self.spikes[k][_places([-b for b in by])]
        return made.reshape(*made.shape[:2], -1)


def _places(by: list[int]) -> tuple[slice, ...]:
    """Return where something is found after a move, as far as it stays inside."""
    return tuple(slice(max(b, 0), min(b, 0) or None) for b in by)


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Training and test data.

    Attributes:
        source: Training samples.
        labels: Their classes.
        test: Test spikes (samples, steps, inputs).
        test_labels: Their classes.
        digest: SHA-256 of the data that this was made of.
    """

    source: Source
    labels: Array
    test: Array
    test_labels: Array
    digest: str

    def calibration(self, samples: int = 200) -> Array:
        """Return spikes of the first training samples, the same in every run."""
        return self.source.draw(np.arange(samples), np.random.default_rng(TEST_SEED))


def small_images() -> Task:
    """Return the digits of scikit-learn, rate-coded in 25 steps."""
    pixels, held_out, labels, wanted = split_digits()
    test = encode(held_out, "rate", STEPS, TEST_SEED)
    return Task(Images(pixels), labels, test, wanted, _digest(pixels, held_out))


def small_recordings() -> Task:
    """Return the digits of scikit-learn in 16 steps, moved by up to two steps.

    A pixel spikes in every step from the one of its latency code on: brighter ones begin earlier.
    """
    pixels, held_out, labels, wanted = split_digits()
    train, test = (
        np.logical_or.accumulate(encode(a, "latency", 16), axis=1) for a in (pixels, held_out)
    )
    return Task(Recordings(train, (2, 0)), labels, test, wanted, _digest(pixels, held_out))


def mnist(folder: Path) -> Task:
    """Return MNIST, rate-coded in 25 steps."""
    path = folder / "mnist" / "mnist.npz"
    with np.load(path) as file:
        train, test = (file[f"{part}_x"].reshape(-1, 784) / 255 for part in ("train", "test"))
        labels, wanted = (file[f"{part}_y"].astype(np.int64) for part in ("train", "test"))
    spikes = encode(test, "rate", STEPS, TEST_SEED)
    return Task(Images(train.astype(np.float32)), labels, spikes, wanted, _file_digest(path))


def spoken_digits(folder: Path) -> Task:
    """Return the Free Spoken Digit Dataset in its official split: an index below 5 is a test."""
    path = folder / "spoken_digits" / "fsdd_3000_8khz.npz"
    with np.load(path) as file:
        names, lengths, audio = file["names"], file["length"], file["audio"] / 32768
    parts = np.split(audio, np.cumsum(lengths)[:-1])
    spikes = np.array([cut_levels(part, SOUND_STEPS) for part in parts])
    fields = [name.split("_") for name in names.tolist()]
    labels = np.array([int(digit) for digit, _, _ in fields])
    tested = np.array([int(index) < 5 for _, _, index in fields])
    source = Recordings(spikes[~tested], (3, 0))
    return Task(source, labels[~tested], spikes[tested], labels[tested], _file_digest(path))


def nmnist(folder: Path) -> Task:
    """Return 1,000 and 100 recordings of N-MNIST in 30 frames of 10 ms, 2 x 17 x 17 cells."""
    path = folder / "nmnist" / "nmnist_small_1000_100.npz"
    with np.load(path) as file:
        made: list[Array] = []
        for part in ("train", "test"):
            fields = ("n", "t_us", "p", "yaddr", "x")
            made += [frames(*(file[f"{part}_{f}"] for f in fields)), file[f"{part}_y"]]
    train, labels, test, wanted = made
    flat = test.reshape(*test.shape[:2], -1)
    source = Recordings(train, (1, 0, 1, 1))
    return Task(source, labels.astype(np.int64), flat, wanted.astype(np.int64), _file_digest(path))


def frames(counts: Array, t_us: Array, p: Array, y: Array, x: Array) -> Array:
    """Return spikes (recordings, steps, 2, 17, 17): one where a cell had any event in a frame."""
    spikes = np.zeros((len(counts), EVENT_STEPS, *EVENT_SHAPE), dtype=np.bool_)
    sample, step = np.repeat(np.arange(len(counts)), counts), t_us // EVENT_STEP_US
    kept = step < EVENT_STEPS
    at = (sample, step, p, y // EVENT_CELL, x // EVENT_CELL)
    spikes[tuple(a[kept] for a in at)] = True
    return spikes


def _digest(*arrays: Array) -> str:
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


FULL: dict[str, Callable[[Path], Task]] = {
    "mnist": mnist,
    "recurrent": spoken_digits,
    "norse": nmnist,
    "norse_li": nmnist,
}
SMALL: dict[str, Callable[[], Task]] = {
    "mnist": small_images,
    "recurrent": small_recordings,
    "norse": small_recordings,
    "norse_li": small_recordings,
}
