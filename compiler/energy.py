"""Joules of a run: exact counts times the prices of a book.

energy = sum over events of count * price + static power * run time. ``typical`` takes the prices as
they stand. ``low`` and ``high`` are the 5th and the 95th percentile of a Monte Carlo over the bands
of the prices, log-uniform and independent of each other, or the typical value where that lies
outside. A count without a price makes the total a lower bound that names the event; nothing is
ever priced at zero unless the book says zero. An all-in price stands for everything and takes no
second term.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import fsum, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from spikec.compiler.counting import count
from spikec.compiler.counts import Counts
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Program, Trace
from spikec.compiler.prices import BASES, EVENTS, FLAGS, PAID_BY, Price, PriceBook, load_prices
from spikec.compiler.types import Array

if TYPE_CHECKING:
    from spikec.compiler.mapping.step_time import StepTime

PERCENTILES = (5, 95)
GROUPS = ("synapse", "neuron", "network", "static")
# Kind of place and its name: an input, a population, a projection, or the machine as a whole.
Place = tuple[str, str]
Static = Literal["chip", "core"]
MACHINE: Place = ("machine", "static power")


@dataclass(frozen=True, slots=True)
class Options:
    """What an energy depends on beside counts and prices; see ``profile``.

    ``step`` is the modelled time of a step. Without ``seconds``, the run time is that of its steps,
    overlapped: the shorter one.
    """

    seconds: float | None = None
    clock_hz: float | None = None
    chips: int = 1
    static: Static = "chip"
    draws: int = 10_000
    seed: int = 0
    step: "StepTime | None" = None

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            SpikecError: SPK1130 on one that is not positive, SPK1131 on ``static``.
        """
        for name in ("seconds", "clock_hz", "chips", "draws"):
            value = getattr(self, name)
            if value is not None and not (isfinite(value) and value > 0):
                option = f"--{name.replace('_', '-')}"
                raise SpikecError(
                    "SPK1130", option, f"{value:g} is not positive", "Give a positive number"
                )
        if self.static not in ("chip", "core"):
            raise SpikecError(
                "SPK1131", "--static", f"'{self.static}' has no power", "Use chip or core"
            )


@dataclass(frozen=True, slots=True)
class Band:
    """Joules."""

    low: float
    typical: float
    high: float


@dataclass(frozen=True, slots=True)
class Term:
    """One product: so many of an event, at one place, at a price.

    Attributes:
        place: Where.
        event: What.
        amount: How many, or seconds of static power.
        price: At what.
    """

    place: Place
    event: str
    amount: float
    price: Price

    @property
    def group(self) -> str:
        """synapse, neuron, network or static."""
        return EVENTS[self.event]

    @property
    def joules(self) -> float:
        """The product."""
        return self.amount * (self.price.value or 0.0) * self.price.scale


@dataclass(frozen=True, slots=True)
class EnergyReport:
    """What a run costs.

    Attributes:
        counts: What was counted.
        book: Prices, or None: then every energy is unknown.
        options: What else the prices depend on.
        seconds: Run time, or None where it is unknown.
        terms: The products.
        total: Their sum; None, unknown, where there is no term.
        groups: The sum by group.
        places: The sum by place.
        unpriced: By event that the total lacks, the reason.
        lacking: By place, those of these events that happened there, or may have.
        warnings: What is doubtful about the sum.
    """

    counts: Counts
    book: PriceBook | None
    options: Options
    seconds: float | None
    terms: tuple[Term, ...]
    total: Band | None
    groups: Mapping[str, Band | None]
    places: Mapping[Place, Band | None]
    unpriced: Mapping[str, str]
    lacking: Mapping[Place, tuple[str, ...]]
    warnings: tuple[str, ...]

    @property
    def lower_bound(self) -> bool:
        """Whether something that was counted has no price."""
        return bool(self.unpriced)

    @property
    def grade(self) -> str | None:
        """The worst basis among the prices in the sum."""
        used = {t.price.basis for t in self.terms if t.amount}
        return max(used, key=BASES.index, default=None)

    @property
    def checked(self) -> str | None:
        """The worst flag among the prices in the sum."""
        used = {t.price.checked for t in self.terms if t.amount}
        return max(used, key=tuple(FLAGS).index, default=None)

    def per_sample(self, band: Band | None) -> Band | None:
        """Return a sum per inference."""
        return _divided(band, self.counts.samples)

    def ratios(self) -> dict[str, tuple[str, Band | None]]:
        """Return by name what is divided by what, and the quotient in joules, None if unknown."""
        c = self.counts
        synaptic = self.groups.get("synapse")
        made: list[tuple[str, str, Band | None, int]] = [
            ("inference", "all terms / samples", self.total, c.samples),
            ("step", "all terms / (samples x steps)", self.total, c.steps),
            (
                "synapse",
                "all terms / (samples x stored synapses)",
                self.total,
                c.samples * c.synapses,
            ),
            ("synop", "all terms / synops", self.total, c.synops),
            ("effective synop", "all terms / synops of non-zero weight", self.total, c.effective),
            ("synop alone", "synaptic terms / synops", synaptic, c.synops),
        ]
        return {name: (text, _divided(band, by)) for name, text, band, by in made}

    # What follows is imported late: those modules need this one.
    def table(self) -> str:
        """Return the report as text."""
        from spikec.compiler.energy_table import table

        return table(self)

    def __str__(self) -> str:
        """Return the report as text."""
        return self.table()

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        from spikec.compiler.energy_table import as_json

        return as_json(self)

    def plot(self, path: str | Path) -> None:
        """Write a bar chart: .png, .pdf or .svg; needs matplotlib."""
        from spikec.compiler.energy_plot import bars

        bars([self], path)


def profile(
    program: Program,
    trace: Trace | Counts,
    prices: str | Path | PriceBook | None = None,
    *,
    seconds: float | None = None,
    clock_hz: float | None = None,
    chips: int = 1,
    static: Static = "chip",
    draws: int = 10_000,
    seed: int = 0,
) -> EnergyReport:
    """Return what a run costs.

    Args:
        program: What was run.
        trace: Of a run that recorded ``spikes`` and ``state``, or the counts of one or more.
        prices: Name of a book, path of a .toml file, or a book; None counts only.
        seconds: Run time of everything that was counted, where the book does not know it.
        clock_hz: Clock, for a book with a price per cycle.
        chips: How many chips draw static power.
        static: Whether static power is that of whole chips, or of the cores of the mapping.
        draws: Monte Carlo draws.
        seed: Of the draws.

    Raises:
        SpikecError: Errors of ``Options``, ``load_prices``, ``count`` and ``price``.
    """
    options = Options(seconds, clock_hz, chips, static, draws, seed)
    book = prices if isinstance(prices, PriceBook) or prices is None else load_prices(prices)
    return price(trace if isinstance(trace, Counts) else count(program, trace), book, options)


def price(counts: Counts, book: PriceBook | None, options: Options = Options()) -> EnergyReport:
    """Return what counts cost; see ``profile``.

    Raises:
        SpikecError: SPK1132 when the book has no static power per core and it is asked for.
    """
    if book is None:
        everything = dict.fromkeys(PAID_BY, "no price book")
        return EnergyReport(counts, None, options, None, (), None, {}, {}, everything, {}, ())
    seconds = options.seconds
    if seconds is None and options.step is not None:
        seconds = options.step.overlapped * counts.steps
    if seconds is None and book.real_time and counts.dt is not None:
        seconds = counts.dt * counts.steps
    amounts = _amounts(counts) | {MACHINE: _machine(counts, options, seconds)}
    rows = _rows(book, options)
    terms = tuple(
        Term(place, row.event, amount, row)
        for row in rows
        if row.value is not None
        for place, held in amounts.items()
        if (amount := held.get(row.event)) is not None
    )
    sums = _Sums(rows, options)
    unpriced = dict(_unpriced(book, rows, amounts))
    return EnergyReport(
        counts,
        book,
        options,
        seconds,
        terms,
        sums.band(terms),
        {g: sums.band(t for t in terms if t.group == g) for g in GROUPS},
        {p: sums.band(t for t in terms if t.place == p) for p in amounts},
        unpriced,
        {p: tuple(e for e in unpriced if held.get(e, 0) != 0) for p, held in amounts.items()},
        tuple(_warnings(rows, seconds, options)),
    )


def _rows(book: PriceBook, options: Options) -> list[Price]:
    """Return the rows to use: one of the two static powers."""
    chosen = options.static
    if chosen == "core" and all(p.event != "core" for p in book.prices):
        raise SpikecError(
            "SPK1132",
            "--static",
            f"the book '{book.name}' has no static power per core",
            "Use --static chip, or another book",
        )
    return [p for p in book.prices if p.scope != "static" or p.event == chosen]


def _amounts(counts: Counts) -> dict[Place, dict[str, int | None]]:
    """Return how often every event happened at every place; None is unknown."""
    made: dict[Place, dict[str, int | None]] = {}
    for name, s in counts.sources.items():
        kind = "population" if name in counts.populations else "input"
        made[kind, name] = {"message": s.messages, "hop_x": s.hops_x, "hop_y": s.hops_y}
        if s.crossings:
            made[kind, name]["crossing"] = s.crossings
    for name, p in counts.populations.items():
        made["population", name] |= {
            "access": p.accesses,
            "update": p.updates,
            "idle": p.accesses - p.updates,
            "spike": p.spikes,
        }
    for name, accesses in counts.hardware.items():
        made["population", name] |= accesses
    for name, q in counts.projections.items():
        made["projection", name] = {
            f"synop_{q.storage}": q.total,
            "synop": q.total,
            "synop_effective": q.effective,
        }
    return made


def _machine(counts: Counts, options: Options, seconds: float | None) -> dict[str, float | None]:
    """Return chip-seconds, core-seconds and clock cycles."""
    if seconds is None:
        return {"chip": None, "core": None, "cycle": None}
    clock, cores = options.clock_hz, counts.cores
    return {
        "chip": options.chips * seconds,
        "core": None if cores is None else cores * seconds,
        "cycle": None if clock is None else clock * seconds,
    }


def _unpriced(
    book: PriceBook, rows: list[Price], amounts: Mapping[Place, Mapping[str, float | None]]
) -> Iterable[tuple[str, str]]:
    """Return the events that the total lacks, each with the reason."""
    for event in PAID_BY:
        held = [place[event] for place in amounts.values() if event in place]
        unknown = any(amount is None for amount in held)
        if book.all_in or event in book.included or not (unknown or any(held)):
            continue
        if not book.pays(event):
            yield event, "no price"
        elif unknown:
            yield event, "not counted: no mapping"
    for row in rows:
        if row.event in PAID_BY or EVENTS[row.event] != "static":
            continue
        if row.value is None:
            yield row.event, "no price"
        elif amounts[MACHINE][row.event] is None:
            yield row.event, _MISSING[row.event]


_MISSING = {
    "chip": "run time unknown: give seconds",
    "core": "run time or mapping unknown: give both",
    "cycle": "run time or clock unknown: give both",
}


def _warnings(rows: list[Price], seconds: float | None, options: Options) -> Iterable[str]:
    """Return a line for prices not known to hold at one voltage, and for a modelled run time."""
    step = options.step
    if step is not None and options.seconds is None:
        lacks = f"it lacks {', '.join(step.unknown)}" if step.unknown else "all of it overlaps"
        longer = "unknown" if step.serial is None else f"{1e6 * step.serial:.4g} us"
        yield (
            f"the run time is modelled, {1e6 * step.overlapped:.4g} us a step where {lacks}; "
            f"{longer} where nothing overlaps; congestion is not in it"
        )
    static = {p.volts for p in rows if p.scope == "static"}
    events = {p.volts for p in rows if p.scope != "static"}
    if static and events and seconds is not None and (None in static | events or static != events):
        yield (
            f"static power ({_volts(static)}) and event prices ({_volts(events)}) "
            "may not hold at one voltage"
        )


def _volts(held: set[float | None]) -> str:
    known = [f"{v:g} V" for v in sorted(v for v in held if v is not None)]
    return ", ".join(known + ["voltage not stated"] * (None in held))


class _Sums:
    """Adds terms up, and the same terms under drawn prices."""

    def __init__(self, rows: list[Price], options: Options) -> None:
        """Draw every price that has a band, in the order of the book."""
        random = np.random.default_rng(options.seed)
        self.drawn: dict[str, Array] = {}
        for row in rows:
            low, high = row.band
            if row.value is not None and low < high:
                logs = random.uniform(np.log(low), np.log(high), options.draws)
                self.drawn[row.event] = np.exp(logs) * row.scale

    def band(self, terms: Iterable[Term]) -> Band | None:
        """Return the sum of some terms, None where there is none."""
        listed = list(terms)
        if not listed:
            return None
        typical = fsum(t.joules for t in listed)
        varied = [t for t in listed if t.event in self.drawn and t.amount]
        if not varied:
            return Band(typical, typical, typical)
        sums: Array = np.sum([t.amount * self.drawn[t.event] for t in varied], axis=0)
        sums = sums + fsum(t.joules for t in listed if t.event not in self.drawn)
        ends: Array = np.percentile(sums, PERCENTILES)
        low, high = float(ends[0]), float(ends[1])
        return Band(min(low, typical), typical, max(high, typical))


def _divided(band: Band | None, by: int) -> Band | None:
    if band is None or by == 0:
        return None
    return Band(band.low / by, band.typical / by, band.high / by)
