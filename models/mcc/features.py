"""Audio-visual features of GRID clips: noisy and clean filter banks, lip shapes, words.

A sample is one video frame of 40 ms: four audio frames of 10 ms (Hann windows of 32 ms, 23 mel
bands from 64 to 4000 Hz, logarithm of the power), and the 50 lowest coefficients of the mouth's
two-dimensional cosine transform with their change since the frame before. Every feature has mean 0
and deviation 1 over the training clips, so that predicting the mean has a squared error of 1, and
is limited to 6 deviations.

Noise is another clip of the same split, white, or pink, at -12 to 6 dB; held-out clips meet each of
-12, -6, 0 and 6 dB. Clips are split, not frames. Equations and choices: specs/two_point_cells.md
section 9.
"""

import hashlib
import os
from dataclasses import dataclass
from math import log1p
from pathlib import Path

import numpy as np

from spikec.compiler.disk import whole_file
from spikec.compiler.errors import SpikecError
from spikec.compiler.npz import read_npz
from spikec.compiler.types import Array
from spikec.compiler.untyped import fft

FILE = Path("grid_s1") / "grid_s1_400_lips23x70_audio8k.npz"
RATE, HOP, WINDOW, BANDS, PER_FRAME = 8000, 80, 256, 23, 4
SHAPES = 50
LARGEST = 6.0  # a crop that jumps changes a shape by fifty deviations
SNRS = (-12.0, -6.0, 0.0, 6.0)
TRAIN_VARIANTS = 6
HELD_OUT = {"validation": 40, "test": 60}
# One letter a word: command, colour, preposition, letter, digit, adverb.
WORDS = ("blps", "bgrw", "abiw", "abcdefghijklmnopqrstuvxyz", "123456789z", "anps")


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Clips of one part of the data.

    Attributes:
        noisy: Log filter bank of noisy speech, (clips, variants, frames, 92), float32.
        clean: Of clean speech, (clips, frames, 92), float32.
        lips: (clips, frames, 100), float32.
        words: Which word stands in each of the six places, (clips, 6).
    """

    noisy: Array
    clean: Array
    lips: Array
    words: Array


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """All three parts.

    Attributes:
        train: Variants of noise are drawn at random.
        validation: Variant k has a noise of ``SNRS[k]``.
        test: As validation.
        origin: SHA-256 of the data and of this file, to name what is made of them.
    """

    train: Split
    validation: Split
    test: Split
    origin: str


def cache_folder() -> Path:
    """Return where features and weights are kept: the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "spikec" / "mcc"


def load_features(data: Path, clips: int | None = None) -> Features:
    """Return the features, computed now or earlier.

    Args:
        data: Folder that holds ``grid_s1``.
        clips: Use so many clips only, in the same proportions.

    Raises:
        SpikecError: SPK2220 when the file is not there, SPK2221 on a number of clips; errors of
            ``npz`` and of the disk.
    """
    path = data / FILE
    if not path.is_file():
        raise SpikecError(
            "SPK2220", str(path), "there is no such file", "Give the folder of GRID's clips"
        )
    digest = hashlib.sha256(Path(__file__).read_bytes())
    with path.open("rb") as stream:
        digest.update(hashlib.file_digest(stream, "sha256").digest())
    origin = digest.hexdigest()[:16]
    kept = cache_folder() / f"features_{origin}_{clips or 'all'}.npz"
    if not kept.is_file():
        # The names are text, which ``read_npz`` does not take; no pickled object is read here.
        with np.load(path, allow_pickle=False) as held:
            made = _features(_few(dict(held), clips))
        with whole_file(kept) as temporary, temporary.open("wb") as out:
            np.savez(out, allow_pickle=False, **made)
    with kept.open("rb") as stream:
        found = read_npz(stream, str(kept))

    def split(name: str) -> Split:
        parts = ("noisy", "clean", "lips", "words")
        return Split(*(found[f"{name}_{part}"] for part in parts))

    return Features(split("train"), split("validation"), split("test"), origin)


def _few(held: dict[str, Array], clips: int | None) -> dict[str, Array]:
    total = len(held["names"])
    if clips is None:
        return held
    if not 20 <= clips <= total:
        raise SpikecError(
            "SPK2221", "clips", f"{clips} is not 20 to {total}", "Choose a number in that range"
        )
    chosen = np.random.default_rng(1).permutation(total)[:clips]
    return {name: a[chosen] for name, a in held.items()}


def _features(held: dict[str, Array]) -> dict[str, Array]:
    """Return the arrays of all splits by ``split_part``."""
    random = np.random.default_rng(0)
    total = len(held["names"])
    order, at = random.permutation(total), 0
    made: dict[str, Array] = {}
    sizes = {s: total * n // 400 for s, n in HELD_OUT.items()}
    for split, size in {"train": total - sum(sizes.values()), **sizes}.items():
        clips, at = order[at : at + size], at + size
        audio = _level(held["audio"][clips].astype(np.float64))
        training = split == "train"
        variants = range(TRAIN_VARIANTS if training else len(SNRS))
        noisy = [
            filter_bank(_mixed(audio, None if training else SNRS[k], random)) for k in variants
        ]
        made[f"{split}_noisy"] = np.stack(noisy, axis=1)
        made[f"{split}_clean"] = filter_bank(audio)
        made[f"{split}_lips"] = lip_shapes(held["lips"][clips])
        made[f"{split}_words"] = np.array([spoken(str(n)) for n in held["names"][clips]])
    for part in ("noisy", "clean", "lips"):
        train = made[f"train_{part}"].reshape(-1, made[f"train_{part}"].shape[-1])
        mean, deviation = train.mean(axis=0), train.std(axis=0)
        for split in ("train", *HELD_OUT):
            scaled = (made[f"{split}_{part}"] - mean) / deviation
            made[f"{split}_{part}"] = np.clip(scaled, -LARGEST, LARGEST).astype(np.float32)
    return made


def spoken(name: str) -> list[int]:
    """Return the six words of a clip's name, for instance ``bbaf2n``, by number."""
    return [words.index(letter) for letter, words in zip(name, WORDS, strict=True)]


def filter_bank(audio: Array) -> Array:
    """Return the log filter bank of clips (clips, samples) as (clips, frames, 92)."""
    padded = np.pad(audio, ((0, 0), (WINDOW - HOP, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1)[:, ::HOP]
    power = np.square(np.abs(np.fft.rfft(windows * np.hanning(WINDOW), axis=2)))
    bands = np.log(power @ _mel_weights().T + 0.1)
    return np.asarray(bands.reshape(len(audio), -1, PER_FRAME * BANDS))


def lip_shapes(crops: Array) -> Array:
    """Return the features of mouth crops (clips, frames, height, width), (clips, frames, 100)."""
    height, width = crops.shape[2:]
    rows, columns = np.mgrid[:height, :width]
    # The lowest frequencies along both axes, each in units of its own extent.
    order = np.argsort((rows / height + columns / width).reshape(-1), kind="stable")[:SHAPES]
    made = np.zeros((*crops.shape[:2], 2 * SHAPES))
    for clip, frames in enumerate(crops):
        spectrum = fft.dctn(frames.astype(np.float64), axes=(1, 2), norm="ortho")
        made[clip, :, :SHAPES] = spectrum.reshape(len(frames), -1)[:, order]
    made[:, 1:, SHAPES:] = np.diff(made[:, :, :SHAPES], axis=1)
    return made


def _level(audio: Array) -> Array:
    """Return clips of mean power 1."""
    return np.asarray(audio / np.sqrt(np.square(audio).mean(axis=1, keepdims=True)))


def _mixed(audio: Array, snr: float | None, random: np.random.Generator) -> Array:
    """Return clips with noise; ``snr`` in dB, or None for any of -12 to 6."""
    size = len(audio)
    others = audio[(np.arange(size) + random.integers(1, size, size)) % size]
    white = random.standard_normal(audio.shape)
    spectrum: Array = np.fft.rfft(random.standard_normal(audio.shape), axis=1)
    falling: Array = np.arange(1.0, spectrum.shape[1] + 1) ** -0.5
    pink = np.fft.irfft(spectrum * falling, audio.shape[1])
    kinds = random.choice(4, size)  # half of the noise is speech
    noise: Array = np.choose(kinds[:, None], [others, others, _level(white), _level(pink)])
    level = random.uniform(SNRS[0], SNRS[-1], size) if snr is None else np.full(size, snr)
    return np.asarray(audio + noise * 10.0 ** (-level[:, None] / 20.0))


def _mel_weights() -> Array:
    """Return triangular filters of equal width on the mel scale, (bands, frequencies)."""
    mels: Array = np.linspace(log1p(64 / 700), log1p(RATE / 2 / 700), BANDS + 2)
    edges = 700.0 * np.expm1(mels)
    frequencies = np.fft.rfftfreq(WINDOW, 1 / RATE)[None]
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    up: Array = (frequencies - low) / (middle - low)
    down: Array = (high - frequencies) / (high - middle)
    return np.asarray(np.clip(np.minimum(up, down), 0.0, None))
