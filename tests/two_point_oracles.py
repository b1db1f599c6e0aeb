"""Slow oracles of two-point cells, written from specs/two_point_cells.md without ``Expr``.

``modulated`` is section 2.1 in float64. ``Cell`` is its integer form in exact fractions, one pair
at a time, with tables of its own. ``two_stream`` is section 2.2 in plain numpy.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from oracles import Rounding, cast

Floats = npt.NDArray[np.float64]

# R and C; argument of the table of exp, tanh or 2^x, from where to where; its value.
Q3_12, ARGUMENT, CURVE = (16, 12, True), (21, 16, True), (23, 16, True)
RANGES = {"tm1": (-10, 3), "tm3": (-8, 8), "tm4": (-16, 4)}
CURVES: dict[str, Callable[[float], float]] = {
    "tm1": math.exp,
    "tm3": math.tanh,
    "tm4": lambda x: 2.0**x,
}


def modulated(mod: str, r: Any, c: Any, c_gain: int = 1) -> Any:
    """Return MOD(R, C) of numbers or arrays."""
    return {
        "tm1": lambda: r * (1 + np.exp(r * c)) / 2,
        "tm2": lambda: r + r * c,
        "tm3": lambda: r * (1 + np.tanh(r * c)),
        "tm4": lambda: r * 2.0 ** (r * c),
        "co": lambda: r**2 + 2 * r + c_gain * c * (1 + abs(r)),
        "co_swap": lambda: c**2 + 2 * c + c * (1 + abs(r)),
    }[mod]()


def filtered(y: float, sigma: float, cut: float) -> float:
    """Return the half-Gaussian filter."""
    return y * (1 - math.exp(-(y**2) / (2 * sigma**2))) if y > 0 and y >= cut else 0.0


@dataclass
class Cell:
    """An integer cell; ``saturations`` counts what lay outside a format or the table."""

    mod: str
    c_gain: int = 1
    out: str = "relu6"
    sigma: float | None = None
    cut: float = 0.0
    step_bits: int = 6
    rounding: Rounding = "nearest_even"
    saturations: int = 0

    def stored(self, x: Fraction, form: tuple[int, int, bool]) -> Fraction:
        kept = cast(x, *form, self.rounding, "saturate")
        unit = Fraction(1, 2 ** form[1])
        wide = cast(x, 60, form[1], True, self.rounding, "never")
        self.saturations += abs(kept - wide) >= unit
        return kept

    def sends(self, basal: Fraction, apical: Fraction) -> Fraction:
        r, c = self.stored(basal, Q3_12), self.stored(apical, Q3_12)
        if self.mod in RANGES:
            e = self.curve(r * c)
            y = {"tm1": r * (1 + e) / 2, "tm3": r * (1 + e), "tm4": r * e}[self.mod]
        else:
            y = modulated(self.mod, r, c, self.c_gain)
        if self.out != "none":
            y = max(y, Fraction(0))
        if self.out == "relu6":
            y = min(y, Fraction(6))
        if self.sigma is not None:
            y = self.stored(y, Q3_12)
            sigma = self.sigma
            inside = self.table(lambda x: filtered(x, sigma, 0.0), 0, max(y, Fraction(0)))
            y = inside if y >= Fraction(self.cut) else Fraction(0)
        return self.stored(y, Q3_12)

    def curve(self, x: Fraction) -> Fraction:
        lo, hi = RANGES[self.mod]
        inside = min(max(x, Fraction(lo)), Fraction(hi))
        if self.mod != "tm3":
            self.saturations += inside != x
        argument = self.stored(inside, ARGUMENT)
        return self.stored(self.table(CURVES[self.mod], lo, argument), CURVE)

    def table(self, curve: Callable[[float], float], lo: int, x: Fraction) -> Fraction:
        """Return the straight line between the two entries round x."""
        step = Fraction(1, 2**self.step_bits)
        k = (x - lo) // step
        left, right = lo + k * step, lo + (k + 1) * step
        a, b = (Fraction(round(curve(float(p)) * 2**16), 2**16) for p in (left, right))
        return a if x == left else a + (b - a) * (x - left) / step


def two_stream(
    weights: Mapping[str, Floats], mod: str, inputs: Mapping[str, Floats], delay: int = 0,
    memory: float = 0.0,
) -> Floats:  # fmt: skip
    """Return the estimate, (samples, steps, outputs); ``mod`` empty for point neurons."""
    streams, outputs = ("audio", "video"), list[Floats]()
    layers = sum(name.startswith("feed.w_audio") for name in weights)
    samples, steps = inputs["audio"].shape[:2]
    old = [np.zeros(0)] * layers
    for t in range(steps):
        h = {s: inputs[s][:, t] for s in streams}
        for layer in range(layers):
            alive = weights["alive"][layer]
            into = {
                s: np.concatenate([h["audio"], h["video"]], 1)
                if weights[f"feed.w_{s}_{layer}"].shape[1] > h[s].shape[1]
                else h[s]
                for s in streams
            }
            r = {
                s: (into[s] @ weights[f"feed.w_{s}_{layer}"].T + weights[f"feed.b_{s}_{layer}"])
                * alive[k]
                for k, s in enumerate(streams)
            }
            if not mod:
                h = {s: np.clip(r[s], 0, 6) for s in streams}
                continue
            both = np.concatenate([r["audio"], r["video"]], 1)
            new = np.tanh(both @ weights[f"context.m_{layer}"].T)
            before = old[layer] if old[layer].size else np.zeros_like(new)
            u = memory * before + (1 - memory) * new
            old[layer] = u
            seen = before if delay else u
            for k, (s, other) in enumerate((streams, streams[::-1])):
                p = weights[f"context.p_{s}_{layer}"].copy()
                p[np.diag_indices(len(p))] = 0
                c = r[s] @ p.T + r[other] @ weights[f"context.d_{s}_{layer}"].T
                c = c + seen @ weights[f"context.u_{s}_{layer}"].T
                h[s] = np.clip(modulated(mod, r[s], c), 0, 6) * alive[k][None]
        top = np.concatenate([h["audio"], h["video"]], 1)
        outputs.append(top @ weights["out.weight"].T + weights["out.bias"])
    return np.stack(outputs, axis=1).reshape(samples, steps, -1)
