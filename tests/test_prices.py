"""Price books: what ships is what the specification says; what is wrong is refused in one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from priced import ROW, counted, typical
from spikec.compiler.energy import price
from spikec.compiler.errors import SpikecError
from spikec.compiler.prices import PriceBook, load_prices

# ---------------------------------------------------------------- the books themselves

ROWS = {
    ("davies_2018", "synop"): ("Loihi 1", "synaptic spike op (min)"),
    ("davies_2018", "update"): ("Loihi 1", "neuron update, active"),
    ("davies_2018", "idle"): ("Loihi 1", "neuron update, inactive"),
    ("davies_2018", "message"): ("Loihi 1", "within-tile spike"),
    ("davies_2018", "hop_x"): ("Loihi 1", "tile hop E-W"),
    ("davies_2018", "hop_y"): ("Loihi 1", "tile hop N-S"),
    ("davies_2018", "chip"): ("Loihi 1", "static power per chip"),
    ("davies_2018", "core"): ("Loihi 1", "static power per core (upper bound)"),
    ("sanafe_2_2_9", "access"): (
        "Loihi 1 (SANA-FE)",
        "soma access, every mapped neuron every step",
    ),
    ("sanafe_2_2_9", "update"): ("Loihi 1 (SANA-FE)", "soma update, if active"),
    ("sanafe_2_2_9", "spike"): ("Loihi 1 (SANA-FE)", "spike out"),
    ("sanafe_2_2_9", "synop_dense"): ("Loihi 1 (SANA-FE)", "synaptic event, dense format"),
    ("sanafe_2_2_9", "synop_sparse"): ("Loihi 1 (SANA-FE)", "synaptic event, sparse format"),
    ("sanafe_2_2_9", "synop_conv"): ("Loihi 1 (SANA-FE)", "synaptic event, convolution format"),
    ("sanafe_2_2_9", "message"): ("Loihi 1 (SANA-FE)", "message out (per destination core)"),
    ("sanafe_2_2_9", "hop_x"): ("Loihi 1 (SANA-FE)", "hop E/W"),
    ("sanafe_2_2_9", "hop_y"): ("Loihi 1 (SANA-FE)", "hop N/S"),
    ("truenorth_affine", "synop_effective"): (
        "TrueNorth",
        "synaptic event, marginal (routing inside)",
    ),
    ("truenorth_affine", "chip"): ("TrueNorth", "static power, chip"),
    ("truenorth_all_in", "synop_effective"): (
        "TrueNorth",
        "synaptic event, ALL-IN at 20 Hz, 128 synapses",
    ),
    ("odin", "synop"): ("ODIN", "synaptic op, incremental (neuron update inside)"),
    ("mcc_80pj", "synop"): ("FPGA: MCC paper", "synapse"),
}
# One row of the specification holds both: 27.3 uW / 1.78 uW per MHz.
ODIN_IDLE = {("odin", "chip"), ("odin", "cycle")}


def test_books_say_what_the_specification_says(data: Path) -> None:
    """Every number, band, unit, scope, source and flag is that of energy_prices.json."""
    rows = json.loads((data.parent / "specs" / "energy_prices.json").read_text())["rows"]
    written = {(r["platform"], r["event"]): r for r in rows}
    for book in spikec_books():
        for p in book.prices:
            if (book.name, p.event) in ODIN_IDLE:
                continue
            row = written.pop(ROWS[book.name, p.event])
            assert row["platform"] == book.platform
            for name in ("value", "low", "high", "unit", "scope", "source", "checked"):
                assert getattr(p, name) == row[name], (book.name, p.event, name)
            assert row["condition"].split(";")[0] in p.condition
            assert p.basis == row["basis"].split()[0]
    idle = written["ODIN", "leakage / idle"]
    odin = {p.event: p for p in load_prices("odin").prices}
    assert idle["value"] == f"{odin['chip'].value} uW / {odin['cycle'].value} uW per MHz"
    assert idle["basis"] == odin["chip"].basis == odin["cycle"].basis


def spikec_books() -> list[PriceBook]:
    names = [
        "davies_2018",
        "mcc_80pj",
        "odin",
        "sanafe_2_2_9",
        "truenorth_affine",
        "truenorth_all_in",
    ]
    return [load_prices(name) for name in names]


def test_there_is_no_book_for_loihi_2() -> None:
    """Nothing public could stand in it."""
    with pytest.raises(SpikecError) as caught:
        load_prices("loihi2")
    assert str(caught.value) == (
        "--prices: 'loihi2' is not a price book. Use one of davies_2018, mcc_80pj, odin, "
        "rram40_assumed, sanafe_2_2_9, truenorth_affine, truenorth_all_in, ultrascale_prior, or a "
        ".toml file of your own. [SPK1110]"
    )


def toml(values: dict[str, Any]) -> str:
    return "".join(f"{k} = {json.dumps(v)}\n" for k, v in values.items() if v is not None)


def book_text(*rows: dict[str, Any], head: str = "", tail: str = "") -> str:
    text = 'title = "mine"\nplatform = "chip"\n' + head
    return text + "".join("[[price]]\n" + toml(ROW | row) for row in rows) + tail


WRONG = {
    "SPK1112": ("title = ", "book.toml: it is not TOML: Invalid value (at end of document)"),
    "SPK1113": (
        book_text({"prize": 3}),
        "book.toml: price 1: there is no field 'prize'. Use event, unit, basis, scope, condition, "
        "source, checked, value, low, high, volts",
    ),
    "SPK1114": (
        book_text({"source": None}),
        "book.toml: price 1: 'source' is missing. Give a text",
    ),
    "SPK1115": (
        book_text({"basis": "guessed"}),
        "book.toml: price 1: 'guessed' is not a basis. "
        "Use one of measured, calibrated, simulated, derived, estimated",
    ),
    "SPK1116": (
        'title = "mine"\nplatform = "chip"\nprice = [3]\n',
        "book.toml: price 1: it is not a table. Write [[price]] and its fields",
    ),
    "SPK1117": (
        book_text({"value": -2}),
        "book.toml: price 1: 'value' is -2, not a price. Give zero or more",
    ),
    "SPK1118": (
        book_text({"unit": "mW"}),
        "book.toml: price 1: a marginal price of a synop in 'mW' has no meaning. Power of a chip "
        "or core is static, in W, mW, uW, nW; all else is energy, in J, mJ, uJ, nJ, pJ, fJ",
    ),
    "SPK1119": (
        book_text({"low": 3, "high": 4}),
        "book.toml: price 1: the band 3 to 4 is not positive, or not around the value. "
        "Give low <= value <= high",
    ),
    "SPK1120": (
        'title = "mine"\nplatform = "chip"\nprice = []\n',
        "book.toml: there is no price. Write a [[price]]",
    ),
    "SPK1121": (
        book_text({"scope": "all-in"}, {"event": "chip", "scope": "static", "unit": "W"}),
        "book.toml: an all-in price stands beside 1 more. "
        "An all-in price holds everything; remove the others, or find marginal prices",
    ),
    "SPK1122": (
        book_text({}, {"event": "synop_dense"}),
        "book.toml: 'synop_dense' is paid for twice. Keep one of the prices",
    ),
}


@pytest.mark.parametrize("code", WRONG)
def test_a_wrong_book_is_refused(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says where, what and what to do."""
    monkeypatch.chdir(tmp_path)
    text, line = WRONG[code]
    Path("book.toml").write_text(text)
    with pytest.raises(SpikecError) as caught:
        load_prices("book.toml")
    assert caught.value.code == code
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"value": True}, "SPK1114"),
        ({"value": "2"}, "SPK1114"),
        ({"value": 10**400}, "SPK1117"),
        ({"low": 0, "high": 4}, "SPK1119"),
        ({"value": None, "low": 1, "high": 4}, "SPK1119"),
        ({"event": "synops"}, "SPK1115"),
        ({"scope": "macro"}, "SPK1115"),
        ({"checked": "X"}, "SPK1115"),
        ({"event": "chip"}, "SPK1118"),
        ({"unit": "pJ/conv"}, "SPK1118"),
        ({"source": 3}, "SPK1114"),
    ],
)
def test_a_wrong_row_is_refused(change: dict[str, Any], code: str, tmp_path: Path) -> None:
    path = tmp_path / "book.toml"
    path.write_text(book_text(change))
    with pytest.raises(SpikecError) as caught:
        load_prices(path)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("head", "tail", "code"),
    [
        ("flags = 3\n", "", "SPK1113"),
        ("real_time = 1\n", "", "SPK1114"),
        ("not_covered = [1]\n", "", "SPK1114"),
        ("", "[included]\nchip = 'inside'\n", "SPK1115"),
        ("", "[included]\nsynop_conv = 'inside'\n", "SPK1122"),
        ("price = 1\n", "", "SPK1112"),
        ("a = " + "[" * 5000 + "\n", "", "SPK1112"),
    ],
)
def test_a_wrong_head_is_refused(head: str, tail: str, code: str, tmp_path: Path) -> None:
    path = tmp_path / "book.toml"
    path.write_text(book_text({}, head=head, tail=tail))
    with pytest.raises(SpikecError) as caught:
        load_prices(path)
    assert caught.value.code == code


def test_an_unreadable_book_is_refused(tmp_path: Path) -> None:
    """No file, no text, and more than a mebibyte."""
    binary, large = tmp_path / "binary.toml", tmp_path / "large.toml"
    binary.write_bytes(b"\xff")
    large.write_bytes(b"#" * (1 << 21))
    found: list[str] = []
    for path in (tmp_path / "none.toml", binary, large):
        with pytest.raises(SpikecError) as caught:
            load_prices(path)
        found.append(str(caught.value).removeprefix(f"{path}: "))
    assert found == [
        "No such file or directory. Give a readable price book. [SPK1111]",
        "it is not text in UTF-8. Give a readable price book. [SPK1111]",
        "it is larger than 1048576 bytes. Give a readable price book. [SPK1111]",
    ]


def test_a_book_of_ones_own(tmp_path: Path) -> None:
    """It is named after its file and takes part in the sum."""
    path = tmp_path / "mine.toml"
    path.write_text(book_text({}, {"event": "access"}))
    report = price(counted(synops=3, accesses=5), load_prices(path))
    assert report.book is not None
    assert report.book.name == "mine"
    assert typical(report) == pytest.approx(16e-12)
    assert list(report.unpriced) == ["message", "hop_x", "hop_y"]
