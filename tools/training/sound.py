"""Recordings of speech as spikes: a mel spectrum, cut at a few levels."""

from math import log10

import numpy as np

from spikec.compiler.types import Array

RATE, WINDOW, HOP = 8000, 256, 128  # samples a second; 32 ms every 16 ms
BANDS, LOWEST, HIGHEST = 32, 100.0, 4000.0  # mel bands, in Hz
LEVELS = (-45.0, -35.0, -25.0, -15.0)  # dB below the loudest band of the recording


def mel_filters() -> Array:
    """Return triangles (BANDS, WINDOW // 2 + 1), equally far apart in mel."""
    low, high = (2595 * log10(1 + f / 700) for f in (LOWEST, HIGHEST))
    edges: Array = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    at = np.fft.rfftfreq(WINDOW, 1 / RATE)
    return np.array([np.interp(at, edges[k : k + 3], [0, 1, 0]) for k in range(BANDS)])


def cut_levels(audio: Array, steps: int) -> Array:
    """Return spikes (steps, BANDS * len(LEVELS)) of one recording; what is longer is cut off.

    An input is one band and one level. It spikes in every step (of HOP samples) in which the power
    of the band lies above the level.
    """
    padded = np.zeros((steps - 1) * HOP + WINDOW)
    kept = audio[: len(padded)]
    padded[: len(kept)] = kept
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW), axis=1)) ** 2 @ mel_filters().T
    decibels = 10 * np.log10(np.maximum(power / max(power.max(), 1e-12), 1e-12))
    return np.asarray(decibels[:, :, None] > np.array(LEVELS)).reshape(steps, -1)
