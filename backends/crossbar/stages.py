"""What real cells do to a conductance, one pure function a stage.

Conductances are in siemens, ``random`` is the generator of that stage and array alone, so that
one stage draws the same whatever the others do. Equations: crossbar.md sections 1 to 3; sources of
fitted numbers: ``hw/devices/fits.toml``.
"""

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from spikec.compiler.types import Array

MICRO = 1e-6
KELVIN = 300.0  # at which all numbers hold
BOLTZMANN = 8.617333262e-5  # eV / K
Generator = np.random.Generator


@cache
def fits() -> Mapping[str, Mapping[str, Any]]:
    """Return the published fits by name."""
    return tomllib.loads(files("spikec.hw").joinpath("devices", "fits.toml").read_text("utf-8"))


def fit_names(stage: str) -> tuple[str, ...]:
    """Return the names of the fits of a stage."""
    return tuple(name for name, fit in fits().items() if fit["stage"] == stage)


def polynomial_sigma(g: Array, scale: float, sigma: Sequence[float]) -> Array:
    """Return max(sum_k sigma_k (G / scale)^k, 0); G, scale and result in uS."""
    return np.asarray(np.maximum(np.polynomial.polynomial.polyval(g / scale, sigma), 0.0))


def levels(g: Array, count: int, g_min: float, g_max: float) -> Array:
    """Return the nearest of ``count`` conductances that lie equally far apart."""
    step = (g_max - g_min) / (count - 1)
    return np.asarray(g_min + np.clip(np.rint((g - g_min) / step), 0, count - 1) * step)


def programmed(g: Array, kind: str, sigma: float, random: Generator) -> Array:
    """Return conductances with an error of programming, never below 0.

    constant G + s uS n, proportional G (1 + s n), lognormal G exp(s n) (of median G), or a fit,
    G + s sigma(G) n; n ~ N(0, 1), one draw a cell.
    """
    n = random.standard_normal(g.shape)
    if kind == "lognormal":
        return np.asarray(g * np.exp(sigma * n))
    if kind == "constant":
        wide: Array = np.full(g.shape, sigma * MICRO)
    elif kind == "proportional":
        wide = sigma * g
    else:
        fit = fits()[kind]
        wide = sigma * MICRO * polynomial_sigma(g / MICRO, fit["scale"], fit["sigma"])
    return np.maximum(g + wide * n, 0.0)


def written(
    g: Array, kind: str, sigma: float, tolerance: float, tries: int, random: Generator
) -> tuple[Array, Array]:
    """Return conductances and how often each cell was written: again while it is out of tolerance.

    Write-verify: a cell that is further than ``tolerance`` (siemens) from its target is programmed
    anew, ``tries`` times at most; then it keeps what it has. A tolerance of 0 writes once.
    """
    made = programmed(g, kind, sigma, random)
    count: Array = np.ones(g.shape, np.int64)
    for _ in range(tries - 1 if tolerance else 0):
        off = np.abs(made - g) > tolerance
        if not off.any():
            break
        made[off] = programmed(g[off], kind, sigma, random)
        count[off] += 1
    return made, count


def random_array(shape: tuple[int, ...], name: str, random: Generator) -> Array:
    """Return N(mean, sd) for a cell that is broken down, which so many are, else pristine."""
    fit = fits()[name]
    broken = random.random(shape) < fit["broken"]
    drawn = np.maximum(random.normal(fit["mean"], fit["sd"], shape), 0.0)
    return MICRO * np.where(broken, drawn, fit["pristine"])


def stuck(g: Array, off: float, on: float, low: float, high: float, random: Generator) -> Array:
    """Return conductances of which a part ``off`` is ``low`` and a part ``on`` is ``high``."""
    u = random.random(g.shape)
    return np.where(u < off, low, np.where(u < off + on, high, g))


def drift_pcm(g: Array, seconds: float) -> Array:
    """Return G (t / 20 s)^-nu of phase-change cells.

    nu = clip(-0.0155 ln x + 0.0244, 0.049, 0.1), x = G / 25 uS (aihwkit 4545f11, mean of nu only).
    """
    x = np.maximum(g / (25 * MICRO), 1e-12)
    nu = np.clip(-0.0155 * np.log(x) + 0.0244, 0.049, 0.1)
    return np.asarray(g * (seconds / 20.0) ** -nu)


def drift_cmo(g: Array, seconds: float, random: Generator) -> Array:
    """Return G - 0.0890 ln t + (0.0420 ln t + 0.4118) n, in uS, of CMO/HfOx (aihwkit 4545f11)."""
    log = np.log(seconds)
    moved = -0.0890 * log + max(0.0420 * log + 0.4118, 0.0) * random.standard_normal(g.shape)
    return np.asarray(np.maximum(g + MICRO * moved, 0.0))


def read_sigma(g: Array, kind: str, c: float, seconds: float) -> Array:
    """Return the standard deviation of a read, siemens.

    proportional: c G. pcm: 1/f, G Q sqrt(ln((t + t_r) / (2 t_r))), Q = min(0.0088 / x^0.65, 0.2),
    x = G / 25 uS, t_r = 250 ns. cmo: 0.0277 log10(G) sqrt(ln((t + 1e-6) / 2e-6)) uS, 0 below 1 uS,
    where the fit is negative. Both aihwkit 4545f11, times ``c``.
    """
    if kind == "proportional":
        return np.asarray(c * g)
    if kind == "pcm":
        x = np.maximum(g / (25 * MICRO), 1e-12)
        q = np.minimum(0.0088 / x**0.65, 0.2)
        return np.asarray(c * g * q * np.sqrt(np.log((seconds + 250e-9) / 500e-9)))
    log = np.log10(np.maximum(g / MICRO, 1.0))
    return np.asarray(c * MICRO * 0.0277 * log * np.sqrt(np.log((seconds + 1e-6) / 2e-6)))


def chord(g: Array, a2: float, a3: float, volt: float) -> Array:
    """Return I / V at a voltage of cells with I = G V (1 + a2 V + a3 V^2)."""
    return g * (1 + a2 * volt + a3 * volt**2)


def heated(g: Array, level: Array, electronvolt: float, kelvin: float) -> Array:
    """Return conductances at a temperature: those of level 0 by exp(-Ea / k (1 / T - 1 / 300 K)).

    Arrhenius on the high-resistance state only; Ea is data of a device, not known here.
    """
    factor = np.exp(-electronvolt / BOLTZMANN * (1 / kelvin - 1 / KELVIN))
    return np.where(level == 0, g * factor, g)


def wire_ohm(ohm: float, kelvin: float) -> float:
    """Return the resistance of a segment at a temperature: 1 + 0.00451 |T - 300| (NeuroSim)."""
    return ohm * (1 + 0.00451 * abs(kelvin - KELVIN))


def converted(level: Array, bits: int, full: Array | float, gain: Array, offset: Array) -> Array:
    """Return what a converter gives, in levels.

    2^b codes from -full to just below full, nearest and clipped, of gain x + offset, in steps of
    full / 2^(b - 1). A code times the step, rounded to whole levels, is what is added.
    """
    step = np.asarray(full) / 2 ** (bits - 1)
    code = np.clip(np.rint((gain * level + offset) / step), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return np.asarray(np.rint(code * step))
