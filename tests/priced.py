"""Counts, prices and books written down by hand."""

from dataclasses import replace
from typing import Any

from spikec.compiler.counts import Counts, PopulationCounts, ProjectionCounts, SourceCounts
from spikec.compiler.energy import EnergyReport
from spikec.compiler.neurobench import Activity, Footprint, Operations
from spikec.compiler.prices import Price, PriceBook

ROW = {
    "event": "synop",
    "value": 2,
    "unit": "pJ",
    "basis": "measured",
    "scope": "marginal",
    "condition": "",
    "source": "me",
    "checked": "F",
}


def counted(
    samples: int = 1,
    steps: int = 1,
    dt: float | None = None,
    synops: int = 0,
    effective: int | None = None,
    storage: str = "dense",
    accesses: int = 0,
    updates: int = 0,
    spikes: int = 0,
    messages: int | None = None,
    cores: int | None = None,
) -> Counts:
    """Return counts written down by hand: an input, a population and the projection between."""
    some = synops if effective is None else effective
    return Counts(
        network="by hand",
        dt=dt,
        cores=cores,
        footprint=Footprint(0, 0, 0),
        samples=samples,
        steps=steps,
        sources={
            "x": SourceCounts(spikes, messages, messages, messages),
            "p": SourceCounts(spikes, messages, messages, messages),
        },
        populations={
            "p": PopulationCounts(1, accesses, updates, spikes, spikes, Activity(accesses, 0))
        },
        projections={
            "x -> p": ProjectionCounts(storage, 1, 1, spikes, synops, some, Operations(0, 0, 0))
        },
    )


def typical(report: EnergyReport) -> float:
    assert report.total is not None
    return report.total.typical


def row(event: str, value: float | None, **changed: Any) -> Price:
    made: dict[str, Any] = ROW | {"event": event, "value": value} | changed
    return Price(**made)


def book(*rows: Price, **changed: Any) -> PriceBook:
    return replace(PriceBook("b", "b", "b", rows, False, (), {}), **changed)


FULL = counted(synops=7, accesses=5, updates=2, spikes=3, messages=4, cores=2, dt=1e-3, steps=10)
COMPLETE = tuple(
    row(e, k + 1.0) for k, e in enumerate(["synop", "access", "spike", "message", "hop_x", "hop_y"])
)
