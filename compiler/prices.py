"""Price books: what one event costs, and on whose word, as data in ``hw/prices/*.toml``.

A book is a title, a platform, ``[[price]]`` rows and, optionally,

    real_time      true where a run takes steps times dt, so that static power has a run time
    not_covered    names of costs that the book knows nothing about
    [included]     event = "why": events that are paid for inside another price
    [[time]]       rows: how long a core takes for an event, a message for a hop, all for a barrier

A row without ``value`` says that the price is unknown. A missing band is the value alone.
"""

import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from importlib.resources import files
from math import inf, isfinite
from pathlib import Path
from typing import Any

from spikec.compiler.errors import SpikecError

# What is counted, by the group it is reported under.
EVENTS: Mapping[str, str] = {
    "synop": "synapse",
    "synop_dense": "synapse",
    "synop_sparse": "synapse",
    "synop_conv": "synapse",
    "synop_effective": "synapse",
    "bram_access": "synapse",
    "uram_access": "synapse",
    "dsp_product": "synapse",
    "array_nanowatt": "synapse",
    "word_line": "synapse",
    "adc_conversion": "synapse",
    "partial_sum": "synapse",
    "access": "neuron",
    "update": "neuron",
    "idle": "neuron",
    "spike": "neuron",
    "message": "network",
    "hop_x": "network",
    "hop_y": "network",
    "crossing": "network",
    "cycle": "static",
    "chip": "static",
    "core": "static",
}
# Every event that must be paid for, and the prices that pay for it.
PAID_BY: Mapping[str, tuple[str, ...]] = {
    "synop_dense": ("synop_dense", "synop", "synop_effective"),
    "synop_sparse": ("synop_sparse", "synop", "synop_effective"),
    "synop_conv": ("synop_conv", "synop", "synop_effective"),
    "update": ("update", "access"),
    "idle": ("idle", "access"),
    "spike": ("spike",),
    "message": ("message",),
    "hop_x": ("hop_x",),
    "hop_y": ("hop_y",),
    "crossing": ("crossing",),
    "array_nanowatt": ("array_nanowatt",),
    "word_line": ("word_line",),
    "adc_conversion": ("adc_conversion",),
    "partial_sum": ("partial_sum",),
}
# What takes time in a core, by what it is busy with, and outside of cores.
TIMED: Mapping[str, str] = {
    "access": "neurons",
    "update": "neurons",
    "idle": "neurons",
    "spike": "neurons",
    "message": "neurons",
    "message_in": "messages",
    "synop": "messages",
    "synop_dense": "messages",
    "synop_sparse": "messages",
    "synop_conv": "messages",
    "hop_x": "hops",
    "hop_y": "hops",
    "crossing": "hops",
    "barrier": "barrier",
}
# Prices of the same thing in other words; a book may use one of each.
RIVALS: tuple[tuple[str, ...], ...] = (
    ("synop", "synop_dense"),
    ("synop", "synop_sparse"),
    ("synop", "synop_conv"),
    ("synop", "synop_effective"),
    ("synop_effective", "synop_dense"),
    ("synop_effective", "synop_sparse"),
    ("synop_effective", "synop_conv"),
    ("access", "idle"),
)
ENERGY = {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "nJ": 1e-9, "pJ": 1e-12, "fJ": 1e-15}
POWER = {"W": 1.0, "mW": 1e-3, "uW": 1e-6, "nW": 1e-9}
TIME = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}
# From best to worst.
BASES = ("measured", "calibrated", "simulated", "derived", "estimated")
SCOPES = ("marginal", "all-in", "static")
FLAGS: Mapping[str, str] = {
    "F": "read in a tool or data file",
    "Q": "secondary note that quotes the primary with page",
    "A": "abstract or page excerpt",
    "N": "digest",
    "R": "recalled or estimated, not checked",
}
LARGEST_FILE = 1 << 20


@dataclass(frozen=True, slots=True)
class Price:
    """One row of a book.

    Attributes:
        event: What is priced; static power is that of a ``chip`` or a ``core``.
        unit: Of the three numbers: J, or W where static, with a prefix.
        basis: measured, calibrated, simulated, derived or estimated.
        scope: marginal, all-in or static.
        condition: Node, voltage, temperature, rate.
        source: Citation.
        checked: How far the source was read, one of ``FLAGS``.
        value: The price, or None where it is unknown.
        low: Lower end of the band, which is log-uniform.
        high: Upper end.
        volts: Supply voltage it holds at, where it is stated.
    """

    event: str
    unit: str
    basis: str
    scope: str
    condition: str
    source: str
    checked: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    volts: float | None = None

    @property
    def scale(self) -> float:
        """Joules, or watts, per unit."""
        return (POWER if self.scope == "static" else ENERGY)[self.unit]

    @property
    def band(self) -> tuple[float, float]:
        """Low and high, in units; both the value where there is no band."""
        value = self.value or 0.0
        return (
            value if self.low is None else self.low,
            value if self.high is None else self.high,
        )


@dataclass(frozen=True, slots=True)
class Duration:
    """How long an event takes.

    Attributes:
        event: One of ``TIMED``.
        unit: s, with a prefix.
        basis: measured, calibrated, simulated, derived or estimated.
        condition: What it holds for.
        source: Citation.
        checked: How far the source was read, one of ``FLAGS``.
        value: The time.
        tiles: Of a barrier: how many tiles it holds for.
    """

    event: str
    unit: str
    basis: str
    condition: str
    source: str
    checked: str
    value: float
    tiles: int | None = None

    @property
    def seconds(self) -> float:
        """The time in seconds."""
        return self.value * TIME[self.unit]


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Prices of one platform.

    Attributes:
        name: File name without the ending.
        title: One line for people.
        platform: Chip.
        prices: Rows.
        real_time: Whether a run takes steps times dt.
        not_covered: Costs that the book knows nothing about.
        included: By event, why it is paid for inside another price.
        times: How long events take, where that is known.
    """

    name: str
    title: str
    platform: str
    prices: tuple[Price, ...]
    real_time: bool
    not_covered: tuple[str, ...]
    included: Mapping[str, str]
    times: tuple[Duration, ...] = ()

    @property
    def all_in(self) -> bool:
        """Whether the one price stands for everything."""
        return any(p.scope == "all-in" for p in self.prices)

    def pays(self, event: str) -> bool:
        """Return whether an event of ``PAID_BY`` has a known price, or is inside another."""
        known = {p.event for p in self.prices if p.value is not None}
        return self.all_in or event in self.included or bool(known & set(PAID_BY[event]))


def book_names() -> tuple[str, ...]:
    """Return the names of all books that come with spikec."""
    folder = files("spikec.hw").joinpath("prices")
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def load_prices(name_or_path: str | Path) -> PriceBook:
    """Return a book by name, or from a file that ends with .toml.

    Raises:
        SpikecError: SPK1110 to SPK1112 on the file; SPK1113 to SPK1122 on what it says.
    """
    text = str(name_or_path)
    if text.endswith(".toml"):
        return _parse(Path(text).stem, text, _read(Path(text)))
    if text not in book_names():
        raise SpikecError(
            "SPK1110",
            "--prices",
            f"'{text}' is not a price book{_nearest(text)}",
            f"Use one of {', '.join(book_names())}, or a .toml file of your own",
        )
    held = files("spikec.hw").joinpath("prices", f"{text}.toml").read_text("utf-8")
    return _parse(text, text, held)


def _nearest(text: str) -> str:
    """Return which book may have been meant."""
    near = get_close_matches(text, book_names(), 1)
    return f"; the nearest is {near[0]}" if near else ""


def _read(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
        if len(data) <= LARGEST_FILE:
            return data.decode("utf-8")
        problem = f"it is larger than {LARGEST_FILE} bytes"
    except OSError as error:
        problem = error.strerror or "it cannot be read"
    except ValueError:
        problem = "it is not text in UTF-8"
    raise SpikecError("SPK1111", str(path), problem, "Give a readable price book")


def _parse(name: str, where: str, text: str) -> PriceBook:
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SpikecError("SPK1112", where, f"it is not TOML: {error}", "Correct it") from None
    _known(where, data, BOOK)
    rows: list[Any] = _typed(where, data, "price", list)
    times: list[Any] = _typed(where, data, "time", list, [])
    left_out: list[Any] = _typed(where, data, "not_covered", list, [])
    book = PriceBook(
        name,
        _typed(where, data, "title", str),
        _typed(where, data, "platform", str),
        tuple(_price(f"{where}: price {k + 1}", row) for k, row in enumerate(rows)),
        _typed(where, data, "real_time", bool, False),
        tuple(_texts(where, {f"not_covered {k + 1}": v for k, v in enumerate(left_out)})),
        _included(where, _typed(where, data, "included", dict, {})),
        tuple(_duration(f"{where}: time {k + 1}", row) for k, row in enumerate(times)),
    )
    _check_times(where, book.times)
    _check_book(where, book)
    return book


BOOK = ("title", "platform", "price", "real_time", "not_covered", "included", "time")


def _known(where: str, data: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    for key in data:
        if key not in allowed:
            raise SpikecError(
                "SPK1113", where, f"there is no field '{key}'", f"Use {', '.join(allowed)}"
            )


def _typed(where: str, data: Mapping[str, Any], key: str, kind: type, default: Any = None) -> Any:
    value = data.get(key, default)
    if not isinstance(value, kind):
        problem = f"'{key}' is missing" if value is None else f"'{key}' is not {_NAMES[kind]}"
        raise SpikecError("SPK1114", where, problem, f"Give {_NAMES[kind]}")
    return value


_NAMES = {
    str: "a text",
    bool: "true or false",
    float: "a number",
    list: "a list",
    dict: "a table",
}


def _texts(where: str, data: Mapping[str, Any]) -> list[str]:
    return [_typed(where, data, key, str) for key in data]


def _included(where: str, data: Mapping[str, Any]) -> Mapping[str, str]:
    for event in data:
        _one_of(f"{where}: included", event, "an event to be paid for", tuple(PAID_BY))
    return dict(zip(data, _texts(f"{where}: included", data), strict=True))


def _one_of(where: str, value: str, what: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SpikecError(
            "SPK1115", where, f"'{value}' is not {what}", f"Use one of {', '.join(allowed)}"
        )


def _price(where: str, row: Any) -> Price:
    names = tuple(f.name for f in fields(Price))
    data = _table(where, "price", row, names)
    texts: dict[str, Any] = {n: _typed(where, data, n, str) for n in names[:7]}
    numbers: dict[str, Any] = {n: _number(where, data, n) for n in names[7:]}
    price = Price(**texts, **numbers)
    _check_price(where, price)
    return price


def _table(where: str, kind: str, row: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return a row with fields of these names."""
    if not isinstance(row, dict):
        raise SpikecError("SPK1116", where, "it is not a table", f"Write [[{kind}]] and its fields")
    data: dict[str, Any] = {str(k): v for k, v in row.items()}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    _known(where, data, names)
    return data


def _duration(where: str, row: Any) -> Duration:
    names = tuple(f.name for f in fields(Duration))
    data = _table(where, "time", row, names)
    texts: dict[str, Any] = {n: _typed(where, data, n, str) for n in names[:6]}
    value, tiles = _number(where, data, "value"), data.get("tiles")
    _one_of(where, texts["event"], "an event that takes time", tuple(TIMED))
    _one_of(where, texts["unit"], "a unit of time", tuple(TIME))
    _one_of(where, texts["basis"], "a basis of a time", BASES)
    _one_of(where, texts["checked"], "a flag of a time", tuple(FLAGS))
    counted = type(tiles) is int and tiles > 0
    if value is None or counted != (texts["event"] == "barrier") or counted != (tiles is not None):
        raise SpikecError(
            "SPK1757",
            where,
            f"a {texts['event']} of value {value} and tiles {tiles} is no time",
            "Give a value, and the number of tiles of a barrier and of nothing else",
        )
    return Duration(**texts, value=value, tiles=tiles)


def _check_times(where: str, times: tuple[Duration, ...]) -> None:
    rows = [(t.event, t.tiles) for t in times]
    events = {event for event, _ in rows}
    twice = [event for event, tiles in rows if rows.count((event, tiles)) > 1]
    twice += [pair[1] for pair in RIVALS if set(pair) <= events]
    barriers = sorted((t.tiles or 0, t.seconds) for t in times if t.event == "barrier")
    if any(a[1] > b[1] for a, b in itertools.pairwise(barriers)):
        twice.append("barrier")
    if twice:
        raise SpikecError(
            "SPK1758",
            where,
            f"the times of '{twice[0]}' contradict each other",
            "Keep one of each; a barrier of more tiles takes no less",
        )


def _number(where: str, data: Mapping[str, Any], key: str) -> float | None:
    value = data.get(key)
    if value is None:
        return None
    if type(value) is int:
        value = float(value) if value.bit_length() < 1000 else inf
    number: float = _typed(where, {key: value}, key, float)
    if not (isfinite(number) and number >= 0):
        raise SpikecError(
            "SPK1117", where, f"'{key}' is {number:g}, not a price", "Give zero or more"
        )
    return number


def _check_price(where: str, price: Price) -> None:
    _one_of(where, price.event, "an event", tuple(EVENTS))
    _one_of(where, price.basis, "a basis", BASES)
    _one_of(where, price.scope, "a scope", SCOPES)
    _one_of(where, price.checked, "a flag", tuple(FLAGS))
    units = tuple(POWER if price.scope == "static" else ENERGY)
    if price.unit not in units or (price.event in ("chip", "core")) != (price.scope == "static"):
        raise SpikecError(
            "SPK1118",
            where,
            f"a {price.scope} price of a {price.event} in '{price.unit}' has no meaning",
            f"Power of a chip or core is static, in {', '.join(POWER)}; all else is energy, in "
            f"{', '.join(ENERGY)}",
        )
    low, high = price.band
    banded = price.low is not None or price.high is not None
    wrong = price.value is None or not low <= price.value <= high or (low <= 0 and low != high)
    if banded and wrong:
        raise SpikecError(
            "SPK1119",
            where,
            f"the band {low:g} to {high:g} is not positive, or not around the value",
            "Give low <= value <= high",
        )


def _check_book(where: str, book: PriceBook) -> None:
    events = [p.event for p in book.prices]
    if not events:
        raise SpikecError("SPK1120", where, "there is no price", "Write a [[price]]")
    if book.all_in and len(events) > 1:
        raise SpikecError(
            "SPK1121",
            where,
            f"an all-in price stands beside {len(events) - 1} more",
            "An all-in price holds everything; remove the others, or find marginal prices",
        )
    twice = [e for e in events if events.count(e) > 1]
    twice += [pair[1] for pair in RIVALS if set(pair) <= set(events)]
    twice += [e for e in book.included if set(PAID_BY[e]) & set(events)]
    if twice:
        raise SpikecError(
            "SPK1122", where, f"'{twice[0]}' is paid for twice", "Keep one of the prices"
        )
