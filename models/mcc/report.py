"""Figures of the experiment over seeds: error, activity, events, resilience; tables and a plot."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikec.compiler.plot import matplotlib_part, picture_format, save
from spikec.models.mcc.deploy import Deployed
from spikec.models.mcc.ledger import microjoules

NAMES = {
    "point": "point neurons, equal width",
    "narrow": "point neurons, fused, equal width",
    "fused": "point neurons, fused, equal parameters",
    "tm1": "two-point cells, tm1",
    "co": "two-point cells, co",
}
COLOURS = {
    "point": "#8a8f99",
    "narrow": "#5c9d6b",
    "fused": "#1f2a44",
    "tm1": "#3d7ec8",
    "co": "#c8553d",
}
BASELINES = ("point", "narrow", "fused")
SHARES = (0.1, 0.3, 0.5)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One network and training, over seeds.

    Attributes:
        network: point, narrow, fused, tm1 or co.
        penalty: Whether activity had a price.
        semi: Whether a part of the words was known only.
        figures: Of each seed.
        deployed: Of each seed.
    """

    network: str
    penalty: bool
    semi: bool
    figures: Sequence[Mapping[str, Any]]
    deployed: Sequence[Deployed]

    def over(self, pick: Callable[[Mapping[str, Any]], float]) -> tuple[float, float]:
        """Return mean and deviation of a figure."""
        return spread([pick(f) for f in self.figures])

    def events(self) -> tuple[float, float, float]:
        """Return the mean events of inputs, cells and context per frame."""
        means = np.mean([d.events.per_sample() for d in self.deployed], axis=0)
        return float(means[0]), float(means[1]), float(means[2])


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation (of a sample)."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def training_table(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return error, words right, active cells, and the change of the error in integers."""
    listed: list[tuple[str, ...]] = [
        ("network", "training", "penalty", "nMSE", "words right %", "active %", "8 bits, worst")
    ]
    for row in rows:
        worst = max((d.change for d in row.deployed), key=abs)
        listed.append(
            (
                row.network,
                _training(row.semi),
                "yes" if row.penalty else "no",
                _text(*row.over(lambda f: f["nmse"]), 4),
                _text(*row.over(lambda f: 100 * f["words"]), 1),
                _text(*row.over(lambda f: 100 * f["active"]), 1),
                f"{100 * worst:+.2f} %",
            )
        )
    return listed


def energy_table(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return events per frame and their energy at the paper's constant."""
    listed: list[tuple[str, ...]] = [
        (
            *("network", "training", "penalty", "cells", "cells, inputs", "all with context"),
            *("uJ cells", "uJ cells, inputs", "uJ all"),
        )
    ]
    for row in rows:
        inputs, cells, context = row.events()
        listed.append(
            (
                row.network,
                _training(row.semi),
                "yes" if row.penalty else "no",
                f"{cells:.0f}",
                f"{cells + inputs:.0f}",
                f"{cells + inputs + context:.0f}",
                f"{microjoules(cells):.3f}",
                f"{microjoules(cells + inputs):.3f}",
                f"{microjoules(cells + inputs + context):.3f}",
            )
        )
    return listed


def ratio_table(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return events of two-point cells over those of the baselines of the same training."""
    found = {(r.network, r.penalty, r.semi): r for r in rows}
    listed: list[tuple[str, ...]] = [
        ("two-point cells", "training", "penalty", "over", "error", "cells", "all with context")
    ]
    for (network, penalty, semi), row in found.items():
        if network in BASELINES:
            continue
        for base in BASELINES:
            other = found[base, penalty, semi]
            (error, _), (rival, _) = (r.over(lambda f: f["nmse"]) for r in (row, other))
            mine, theirs = row.events(), other.events()
            listed.append(
                (
                    network,
                    _training(semi),
                    "yes" if penalty else "no",
                    base,
                    f"{error / rival:.3f}",
                    f"{mine[1] / theirs[1]:.2f}",
                    f"{sum(mine) / sum(theirs):.2f}",
                )
            )
    return listed


def resilience_table(
    plain: Sequence[Row], hurt: Mapping[tuple[str, float], Sequence[Mapping[str, Any]]]
) -> list[tuple[str, ...]]:
    """Return what lesions and faults do to supervised networks without penalty.

    Args:
        plain: Their rows.
        hurt: Figures of trainings with a lesion, by network and share.
    """
    listed: list[tuple[str, ...]] = [
        ("network", "damage", "measure", *(f"{100 * s:.0f} %" for s in SHARES))
    ]
    for row in plain:
        base = [f["nmse"] for f in row.figures]
        trained = [hurt[row.network, s] for s in SHARES]
        now = [row.over(_lesioned(k, True)) for k in range(len(SHARES))]
        final = [
            spread([f["nmse"] / b for f, b in zip(found, base, strict=True)]) for found in trained
        ]
        rise = [spread([f["drop"] for f in found]) for found in trained]
        listed += [
            (row.network, "at inference", "error", *(_text(*x, 2) for x in now)),
            (
                row.network,
                "half way in training",
                "error at the end",
                *(_text(*x, 3) for x in final),
            ),
            (row.network, "half way in training", "error at once", *(_text(*x, 2) for x in rise)),
            (row.network, "half way in training", "steps to 1.1", *(_steps(x) for x in trained)),
        ]
        fault = row.over(_faulted)
        listed.append((row.network, "one weight bit of 10^4", "error", _text(*fault, 4), "", ""))
    return listed


def _lesioned(k: int, relative: bool) -> Callable[[Mapping[str, Any]], float]:
    """Return what picks the error under the k-th lesion at inference."""
    return lambda f: float(f["lesions"][k]) / (f["nmse"] if relative else 1.0)


def _faulted(figures: Mapping[str, Any]) -> float:
    """Return the mean error with bits flipped over that without."""
    whole, *hurt = (float(error) for error in figures["faults"])
    return sum(hurt) / len(hurt) / whole


def _steps(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the recovery, and how many seeds did not recover."""
    back = [float(f["recovery"]) for f in found if f["recovery"] is not None]
    never = len(found) - len(back)
    text = _text(*spread(back), 0) if back else "-"
    return text + (f" ({never} never)" if never else "")


def _training(semi: bool) -> str:
    return "semi" if semi else "supervised"


def _text(mean: float, deviation: float, digits: int) -> str:
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def markdown(table: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown."""
    head, *rows = (f"| {' | '.join(row)} |" for row in table)
    return "\n".join([head, "|" + "---|" * len(table[0]), *rows])


def plot(
    path: Path,
    rows: Sequence[Row],
    hurt: Mapping[tuple[str, float], Sequence[Mapping[str, Any]]],
) -> None:
    """Write a picture: events over error, and the error under lesions.

    Raises:
        SpikecError: Without matplotlib, and on an ending that is no picture's.
    """
    form = picture_format(path)
    figure: Any = matplotlib_part("figure").Figure(figsize=(10, 3.6), layout="constrained")
    first, second, third = figure.subplots(1, 3)
    for row in (r for r in rows if not r.semi):
        _, cells, context = row.events()
        error, spread_ = row.over(lambda f: f["nmse"])
        style = {"color": COLOURS[row.network], "capsize": 2, "xerr": spread_}
        label = NAMES[row.network] if not row.penalty else None
        first.errorbar(error, cells, fmt="o" if row.penalty else "s", label=label, **style)
        if context:
            mark = "o" if row.penalty else "s"
            first.errorbar(error, cells + context, fmt=mark, markerfacecolor="white", **style)
    first.set_xlabel("nMSE (circles: with a penalty)")
    first.set_ylabel("events per frame\n(open: with context)")
    first.set_ylim(0)
    first.legend(fontsize=6, frameon=False, loc="center right", bbox_to_anchor=(1, 0.63))
    shares = [0.0, *SHARES]
    for row in (r for r in rows if not r.semi and not r.penalty):
        now = [row.over(_lesioned(k, False)) for k in range(len(SHARES))]
        whole = row.over(lambda f: f["nmse"])
        later = [spread([f["nmse"] for f in hurt[row.network, s]]) for s in SHARES]
        for axes, line in ((second, now), (third, later)):
            means, deviations = zip(whole, *line, strict=True)
            axes.errorbar(
                [100 * s for s in shares], means, deviations, color=COLOURS[row.network], capsize=2
            )
    for axes, title in (
        (second, "silenced at inference"),
        (third, "silenced half way in training"),
    ):
        axes.set_xlabel(f"% of cells {title}", fontsize=8)
        axes.set_ylabel("nMSE")
        axes.set_ylim(0)
    for axes in (first, second, third):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7)
    save(figure, path, form)
