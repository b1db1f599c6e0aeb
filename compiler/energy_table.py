"""An energy report as text for people and as JSON values."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from textwrap import wrap
from typing import Any

from spikec.compiler.compare import counted
from spikec.compiler.counts import Counts, PopulationCounts
from spikec.compiler.energy import PERCENTILES, Band, EnergyReport, Place, Term
from spikec.compiler.errors import one_line
from spikec.compiler.prices import EVENTS, FLAGS, Price

COLUMNS = 100
PREFIXES = (
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "u"),
    (1e-9, "n"),
    (1e-12, "p"),
    (1e-15, "f"),
)


def joules(value: float | None, unit: str = "J") -> str:
    """Return a value with four digits and the prefix that suits it."""
    if value is None:
        return "unknown"
    if value == 0:
        return f"0 {unit}"
    size, prefix = next(((s, p) for s, p in PREFIXES if value >= s), PREFIXES[-1])
    return f"{value / size:.4g} {prefix}{unit}"


def table(report: EnergyReport) -> str:
    """Return the report as text."""
    parts = [counts_text(report.counts), neurobench_text(report.counts), energy_text(report)]
    return "\n\n".join(parts)


def energy_text(report: EnergyReport) -> str:
    """Return what a run costs under one book, what each price gave, and where it comes from."""
    sections = [_head(report), _ratios(report), _places(report), _prices(report), _notes(report)]
    return _text(sections)


def comparison(reports: Sequence[EnergyReport]) -> str:
    """Return a line per book: the energy of an inference and what it lacks."""
    rows = [["per inference", "", "low", "typical", "high", "static", "grade", "without"]]
    for r in reports:
        name = "" if r.book is None else r.book.name
        cells = _values(r.per_sample(r.total), r.lower_bound)
        static = r.per_sample(r.groups.get("static"))
        shown = "none" if static is None else joules(static.typical)
        rows.append([name, *cells, shown, r.grade or "", _joined(r.unpriced)])
    return _text([_aligned(rows, "<>>>>><<")])


def _text(sections: Iterable[list[str]]) -> str:
    """Return sections with an empty line between them, without control characters."""
    return "\n\n".join("\n".join(map(one_line, s)) for s in sections if s)


def _folded(lines: Iterable[str]) -> list[str]:
    """Return prose in lines of a hundred columns; rows of a table are never folded."""
    made: list[str] = []
    for line in map(one_line, lines):
        # What follows stands under the text that comes after a label and two blanks, or indented.
        label = re.match(r" *\S+ {2,}", line)
        indent = " " * (label.end() if label and label.end() < COLUMNS // 2 else 4)
        made += wrap(
            line,
            COLUMNS,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return made


def _head(report: EnergyReport) -> list[str]:
    c, book, total = report.counts, report.book, report.total
    if book is None:
        return [f"energy of '{c.network}': unknown, no price book"]
    run = "unknown" if report.seconds is None else joules(report.seconds, "s")
    lines = [f"energy of '{c.network}' by {book.name}", f"  book      {book.title}"]
    lines.append(f"  run time  {run}")
    if total is None:
        return [*lines, "  total     unknown"]
    sign = ">= " if report.lower_bound else ""
    lines.append(f"  total     {sign}{joules(total.typical)}{_range(total)}")
    if report.grade is not None and report.checked is not None:
        lines.append(f"  grade     {report.grade}: the worst basis of a price in the sum")
        lines.append(f"  sources   {FLAGS[report.checked]}: the worst of a price in the sum")
    if report.seconds is not None:
        delay = report.seconds / c.samples
        product = total.typical / c.samples * delay
        lines.append(
            f"  mean      {sign}{joules(total.typical / report.seconds, 'W')}, "
            f"energy-delay product {sign}{joules(product, 'J s')} per inference"
        )
    return _folded(lines)


def _range(band: Band) -> str:
    if band.low == band.high:
        return " (no price has a band)"
    low, high = PERCENTILES
    return f" ({joules(band.low)} to {joules(band.high)}, percentiles {low} to {high})"


def _ratios(report: EnergyReport) -> list[str]:
    if report.total is None:
        return []
    rows = [["energy per", "", "low", "typical", "high", "of"]]
    for name, (text, band) in report.ratios().items():
        lacks = _lacks(report, "synapse") if name == "synop alone" else report.lower_bound
        rows.append([name, *_values(band, bool(lacks)), text])
    return _aligned(rows, "<>>>><")


def _values(band: Band | None, bound: bool) -> list[str]:
    """Return >= for a lower bound, low, typical and high; the ends only of a price with a band."""
    if band is None:
        return ["", "", "unknown", ""]
    ends = ("", "") if band.low == band.high else (joules(band.low), joules(band.high))
    return [">=" if bound else "", ends[0], joules(band.typical), ends[1]]


def _lacks(report: EnergyReport, group: str) -> list[str]:
    """Return the events of a group that happened, or may have, and have no price."""
    return [event for event in report.unpriced if EVENTS[event] == group]


def _places(report: EnergyReport) -> list[str]:
    """Return the energy of an inference by what it is paid for, and by place."""
    if report.total is None:
        return []
    rows = [["energy per inference", "", "low", "typical", "high", "share", "terms"]]
    # Static power is a place of its own.
    for group, name in _GROUP_NAMES.items():
        used = [t for t in report.terms if t.group == group]
        rows += _place_row(report, name, report.groups[group], used, _lacks(report, group))
    for place, band in report.places.items():
        used = [t for t in report.terms if t.place == place]
        rows += _place_row(report, place[1], band, used, report.lacking[place])
    cells = _values(report.per_sample(report.total), report.lower_bound)
    rows.append(["total", *cells, "100.0 %", ""])
    return _aligned(rows, "<>>>>><")


_GROUP_NAMES = {"synapse": "all synapses", "neuron": "all neurons", "network": "all messages"}


def _place_row(
    report: EnergyReport, name: str, band: Band | None, used: list[Term], lacks: Sequence[str]
) -> list[list[str]]:
    """Return a row, or none where nothing is paid and nothing lacks."""
    if band is None and not lacks:
        return []
    events = list(dict.fromkeys(t.event for t in used if t.amount))
    whole = 0.0 if report.total is None else report.total.typical
    share = f"{100 * band.typical / whole:.1f} %" if band and whole else ""
    return [[name, *_values(report.per_sample(band), bool(lacks)), share, _joined(events)]]


def _joined(events: Iterable[str]) -> str:
    return ", ".join(events).replace("hop_x, hop_y", "hops")


def counts_text(counts: Counts) -> str:
    """Return what was counted, by place."""
    c = counts
    rows = [["", "neurons", "events", "synops", "effective", "update", "idle", *_MOVED]]
    moved = c.cores is not None
    for name, s in c.sources.items():
        p = c.populations.get(name)
        neurons = ["", "", ""] if p is None else _numbers(p.neurons, p.updates, _idle(p))
        sent = _numbers(s.messages, s.hops_x, s.hops_y) if moved else ["", "", ""]
        rows.append([name, neurons[0], f"{s.events:,}", "", "", *neurons[1:], *sent])
    for name, q in c.projections.items():
        rows.append([name, "", *_numbers(q.events, q.total, q.effective), "", "", "", "", ""])
    held = c.populations.values()
    neurons = _numbers(
        sum(p.neurons for p in held), sum(p.updates for p in held), sum(_idle(p) for p in held)
    )
    total = ["sum", neurons[0], "", *_numbers(c.synops, c.effective), *neurons[1:], "", "", ""]
    lines = [
        f"counts of '{c.network}', all of {counted(c.samples, 'sample')} and "
        f"{counted(c.steps, 'step')}",
        *_aligned([*rows, total], "<" + ">" * 9),
    ]
    crossings = sum(s.crossings or 0 for s in c.sources.values())
    if crossings:
        lines.append(
            f"  {crossings:,} steps of messages from chip to chip, of which no price is known"
        )
    if not moved:
        lines.append("  messages and hops are unknown: nothing is placed on cores")
    return _text([lines])


_MOVED = ("message", "hop_x", "hop_y")


def _idle(population: PopulationCounts) -> int:
    return population.accesses - population.updates


def _numbers(*values: int | None) -> list[str]:
    return ["unknown" if v is None else f"{v:,}" for v in values]


def _prices(report: EnergyReport) -> list[str]:
    """Return what each price contributed, then its condition, then the sources."""
    used: dict[str, list[Term]] = {}
    for t in report.terms:
        used.setdefault(t.event, []).append(t)
    if not used:
        return []
    rows = [["price", "count", "each", "band", "energy", "basis", "flag", "source"]]
    prices = {event: terms[0].price for event, terms in used.items()}
    sources = list(dict.fromkeys(p.source for p in prices.values()))
    for event, terms in used.items():
        row, amount = prices[event], sum(t.amount for t in terms)
        low, high = row.band
        rows.append(
            [
                event,
                _amount(event, amount),
                f"{row.value:g} {row.unit}",
                f"{low:g} to {high:g}" if low < high else "",
                joules(sum(t.joules for t in terms)),
                row.basis,
                row.checked,
                f"[{sources.index(row.source) + 1}]",
            ]
        )
    width = max(map(len, prices))
    prose = [f"  {e:{width}}  {p.condition}" for e, p in prices.items() if p.condition]
    prose += [f"  [{k + 1}]  {text}" for k, text in enumerate(sources)]
    return [*_aligned(rows, "<>>>><<<"), *_folded(prose)]


def _amount(event: str, amount: float) -> str:
    if event == "cycle":
        return f"{amount:,.0f}"
    return f"{amount:,}" if isinstance(amount, int) else f"{amount:.6g} s"


def _notes(report: EnergyReport) -> list[str]:
    lines: list[str] = []
    book = report.book
    if book is None:
        return lines
    if report.unpriced:
        missing = "; ".join(_missing(report))
        head = "unknown" if report.total is None else ">= is a lower bound, it lacks"
        lines.append(f"  {head}: {missing}")
    lines += [f"  doubtful: {w}" for w in report.warnings]
    if book.not_covered:
        lines.append(f"  unknown to this book: {', '.join(book.not_covered)}")
    if book.all_in:
        lines.append(
            "  an all-in price holds near its operating point only; nothing is added to it"
        )
    lines += [f"  {event} is not priced apart: {why}" for event, why in book.included.items()]
    used = {t.event: t.price.band for t in report.terms if t.amount}
    banded = [event for event, (low, high) in used.items() if low < high]
    if banded:
        low, high = PERCENTILES
        lines.append(
            f"  low and high: percentiles {low} and {high} of {report.options.draws:,} draws (seed "
            f"{report.options.seed}), log-uniform over the band of {', '.join(banded)}; typical "
            "where outside"
        )
    return _folded(lines)


def _missing(report: EnergyReport) -> Iterator[str]:
    """Yield each reason with the events it holds for."""
    for reason in dict.fromkeys(report.unpriced.values()):
        yield f"{', '.join(e for e, r in report.unpriced.items() if r == reason)} ({reason})"


def neurobench_text(counts: Counts) -> str:
    """Return NeuroBench's counts."""
    found = counts.neurobench()
    lines = [
        "NeuroBench 2.3.0 counts",
        f"  effective ACs {found['effective_acs']:,.1f}, MACs {found['effective_macs']:,.1f}, "
        f"dense operations {found['dense_operations']:,.1f} per sample",
        f"  activation sparsity {found['activation_sparsity']:.4f}, connection sparsity "
        f"{found['connection_sparsity']:.4f}, footprint {int(found['footprint_bytes']):,} bytes",
    ]
    return _text([_folded(lines)])


def _aligned(rows: list[list[str]], sides: str) -> list[str]:
    """Return rows in columns, each to the left (<) or right (>); empty columns are left out."""
    kept = [k for k in range(len(sides)) if any(row[k] for row in rows[1:])]
    widths = {k: max(len(row[k]) for row in rows) for k in kept}
    lines = (" ".join(f" {row[k]:{sides[k]}{widths[k]}}" for k in kept) for row in rows)
    return [f" {line}".rstrip() for line in lines]


def as_json(report: EnergyReport) -> dict[str, Any]:
    """Return the report as JSON values; joules and seconds, None where unknown."""
    book, c = report.book, report.counts
    return {
        "network": c.network,
        "book": None if book is None else book.name,
        "title": None if book is None else book.title,
        "samples": c.samples,
        "steps": c.steps,
        "run_time_s": report.seconds,
        "total_j": _band(report.total),
        "step_time": None if report.options.step is None else asdict(report.options.step),
        "lower_bound": report.lower_bound,
        "unpriced": dict(report.unpriced),
        "not_covered": [] if book is None else list(book.not_covered),
        "included": {} if book is None else dict(book.included),
        "warnings": list(report.warnings),
        "grade": report.grade,
        "checked": report.checked,
        "per": {
            name: {"of": text, "j": _band(band)} for name, (text, band) in report.ratios().items()
        },
        "groups_j": {name: _band(band) for name, band in report.groups.items()},
        "places": [_place(report, place) for place in report.places],
        "prices": [] if book is None else [_price(p) for p in book.prices],
        "monte_carlo": {
            "draws": report.options.draws,
            "seed": report.options.seed,
            "percentiles": list(PERCENTILES),
        },
        "counts": _counts(report),
        "neurobench": c.neurobench(),
    }


def _band(band: Band | None) -> dict[str, float] | None:
    return None if band is None else asdict(band)


def _price(row: Price) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if value is not None}


def _place(report: EnergyReport, place: Place) -> dict[str, Any]:
    terms: Iterable[Term] = (t for t in report.terms if t.place == place)
    listed = [{"event": t.event, "amount": t.amount, "j": t.joules} for t in terms]
    kind, name = place
    return {
        "kind": kind,
        "name": name,
        "j": _band(report.places[place]),
        "lacks": list(report.lacking[place]),
        "terms": listed,
    }


def _counts(report: EnergyReport) -> dict[str, Any]:
    c = report.counts
    return {
        "cores": c.cores,
        "synapses": c.synapses,
        "synops": c.synops,
        "effective_synops": c.effective,
        "sources": {name: asdict(s) for name, s in c.sources.items()},
        "populations": {name: asdict(p) for name, p in c.populations.items()},
        "projections": {name: asdict(p) for name, p in c.projections.items()},
    }
