"""An energy report as text for people and as JSON values."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from spikec.compiler.energy import GROUPS, MACHINE, PERCENTILES, Band, EnergyReport, Place, Term
from spikec.compiler.errors import one_line
from spikec.compiler.prices import EVENTS, FLAGS, Price

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
    sections = [_head(report), _ratios(report), _places(report), _prices(report), _notes(report)]
    sections.append(_neurobench(report))
    lines = [one_line(line) for section in sections if section for line in [*section, ""]]
    return "\n".join(lines[:-1])


def _head(report: EnergyReport) -> list[str]:
    c, book = report.counts, report.book
    run = "unknown" if report.seconds is None else joules(report.seconds, "s")
    lines = [
        f"energy of '{c.network}'",
        f"  prices    {'none: counts only' if book is None else f'{book.name}: {book.title}'}",
        f"  run       {c.samples:,} samples, {c.steps:,} steps, run time {run}",
    ]
    total = report.total
    if total is None:
        return [*lines, "  total     unknown"]
    sign = "at least " if report.lower_bound else ""
    lines.append(f"  total     {sign}{joules(total.typical)}{_range(total)}")
    if report.grade is not None and report.checked is not None:
        lines.append(
            f"  grade     {report.grade} (worst basis of a price in the sum), source "
            f"{FLAGS[report.checked]}"
        )
    if report.seconds is not None:
        delay = report.seconds / c.samples
        product = total.typical / c.samples * delay
        lines.append(
            f"  mean      {sign}{joules(total.typical / report.seconds, 'W')}, "
            f"energy-delay product {sign}{joules(product, 'J s')} per inference"
        )
    return lines


def _range(band: Band) -> str:
    if band.low == band.high:
        return " (no price has a band)"
    low, high = PERCENTILES
    return f" ({joules(band.low)} to {joules(band.high)}, percentiles {low} to {high})"


def _ratios(report: EnergyReport) -> list[str]:
    if report.total is None:
        return []
    rows = [["at least, per" if report.lower_bound else "per", "low", "typical", "high", "of"]]
    for name, (text, band) in report.ratios().items():
        rows.append([name, *_values(band), text])
    return _aligned(rows, "<>>><")


def _values(band: Band | None) -> list[str]:
    """Return low, typical and high; low and high only where a price has a band."""
    if band is None:
        return ["", "unknown", ""]
    ends = ("", "") if band.low == band.high else (joules(band.low), joules(band.high))
    return [ends[0], joules(band.typical), ends[1]]


def _places(report: EnergyReport) -> list[str]:
    """Return the counts and the energy of every place."""
    counted = ["neurons", "events", "synops", "effective", "updates", "messages"]
    rows = [["all samples", *counted, "hops x + y", *GROUPS, "total"]]
    c = report.counts
    for name, s in c.sources.items():
        p = c.populations.get(name)
        neurons, updates = ("", "") if p is None else (f"{p.neurons:,}", f"{p.updates:,}")
        moved = [_number(s.messages), _number(s.hops_x, s.hops_y)]
        cells = [name, neurons, f"{s.events:,}", "", "", updates, *moved]
        place = ("input" if p is None else "population", name)
        rows.append(cells + _energies(report, place))
    for name, q in c.projections.items():
        cells = [name, "", f"{q.events:,}", f"{q.total:,}", f"{q.effective:,}", "", "", ""]
        rows.append(cells + _energies(report, ("projection", name)))
    if report.places.get(MACHINE) is not None:
        rows.append([MACHINE[1], *[""] * 7, *_energies(report, MACHINE)])
    sums = [_sum(report, group) for group in GROUPS]
    rows.append(["sum", *[""] * 7, *sums, _whole(report)])
    return _aligned(rows, "<" + ">" * 12)


def _typical(band: Band | None) -> str:
    return "" if band is None else joules(band.typical)


def _sum(report: EnergyReport, group: str) -> str:
    """Return the joules of a group, unknown where one of its events has no price."""
    missing = any(EVENTS[event] == group for event in report.unpriced)
    return _bounded(_typical(report.groups.get(group)), missing)


def _whole(report: EnergyReport) -> str:
    return _bounded(_typical(report.total), report.lower_bound)


def _bounded(held: str, missing: bool) -> str:
    return (f">= {held}" if held else "unknown") if missing else held


def _energies(report: EnergyReport, place: Place) -> list[str]:
    """Return the joules of a place by group, empty where it has no term, and their sum."""
    made: list[str] = []
    for group in GROUPS:
        held = [t.joules for t in report.terms if t.place == place and t.group == group]
        made.append(joules(sum(held)) if held else "")
    return [*made, _typical(report.places.get(place))]


def _number(*values: int | None) -> str:
    known = [f"{v:,}" for v in values if v is not None]
    return " + ".join(known) if len(known) == len(values) else "unknown"


def _prices(report: EnergyReport) -> list[str]:
    """Return what each price contributed, and its source under it."""
    if report.book is None:
        return []
    rows = [["price", "count", "each", "band", "energy", "basis", "flag", "source"]]
    used: dict[str, list[Term]] = {}
    for t in report.terms:
        used.setdefault(t.event, []).append(t)
    sources: list[str] = []
    for event, terms in used.items():
        row = terms[0].price
        if row.source not in sources:
            sources.append(row.source)
        amount = sum(t.amount for t in terms)
        counted = f"{amount:,}" if isinstance(amount, int) else f"{amount:.6g} s"
        if event == "cycle":
            counted = f"{amount:,.0f}"
        low, high = row.band
        band = f"{low:g} to {high:g}" if low < high else ""
        number = f"[{sources.index(row.source) + 1}]"
        paid = joules(sum(t.joules for t in terms))
        rows.append(
            [
                event,
                counted,
                f"{row.value:g} {row.unit}",
                band,
                paid,
                row.basis,
                row.checked,
                number,
            ]
        )
    lines = _aligned(rows, "<>>>><<<")
    return lines + [f"  [{k + 1}] {text}" for k, text in enumerate(sources)]


def _notes(report: EnergyReport) -> list[str]:
    lines: list[str] = []
    if report.unpriced:
        missing = (f"{event} ({reason})" for event, reason in report.unpriced.items())
        head = "unknown" if report.total is None else "LOWER BOUND, the total lacks"
        lines.append(f"  {head}: {', '.join(missing)}")
    lines += [f"  doubtful: {w}" for w in report.warnings]
    book = report.book
    if book is None:
        return lines
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
    return lines


def _neurobench(report: EnergyReport) -> list[str]:
    found = report.counts.neurobench()
    return [
        "NeuroBench 2.3.0 counts",
        f"  effective ACs {found['effective_acs']:,.1f}, MACs {found['effective_macs']:,.1f}, "
        f"dense operations {found['dense_operations']:,.1f} per sample",
        f"  activation sparsity {found['activation_sparsity']:.4f}, connection sparsity "
        f"{found['connection_sparsity']:.4f}, footprint {int(found['footprint_bytes']):,} bytes",
    ]


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
    return {"kind": kind, "name": name, "j": _band(report.places[place]), "terms": listed}


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
