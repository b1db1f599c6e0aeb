"""Sums, bands and ratios of an energy report, and the report as text, JSON and picture."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sanafe
import spikec
from priced import COMPLETE, FULL, book, counted, row, typical
from sizes import examples
from spikec.compiler.counting import RECORD, count
from spikec.compiler.counts import Counts
from spikec.compiler.energy import GROUPS, Options, price, profile
from spikec.compiler.errors import SpikecError
from spikec.compiler.prices import load_prices

# ---------------------------------------------------------------- sums and bands


PRICES = st.lists(st.floats(0.01, 1000), min_size=6, max_size=6)
NUMBERS = st.lists(st.integers(0, 10**6), min_size=4, max_size=4)


def some(numbers: list[int]) -> Counts:
    synops, accesses, spikes, messages = numbers
    return counted(synops=synops, accesses=accesses, spikes=spikes, messages=messages, cores=1)


@given(values=PRICES, first=NUMBERS, second=NUMBERS)
@examples(50, 500)
def test_energy_is_linear_in_the_counts(
    values: list[float], first: list[int], second: list[int]
) -> None:
    """That of a sum of runs is the sum of theirs, by group and by place."""
    rows = [replace(p, value=v) for p, v in zip(COMPLETE, values, strict=True)]
    a, b = (price(some(n), book(*rows)) for n in (first, second))
    both = price(some(first) + some(second), book(*rows))
    assert typical(both) == pytest.approx(typical(a) + typical(b), rel=1e-12)
    parts = [band.typical for band in both.places.values() if band]
    groups = [band.typical for band in both.groups.values() if band]
    assert sum(parts) == pytest.approx(typical(both), rel=1e-12)
    assert sum(groups) == pytest.approx(typical(both), rel=1e-12)


def test_the_band_of_one_price_is_log_uniform() -> None:
    """Percentiles 5 and 95 of a band from 1 to 100 are 100^0.05 and 100^0.95."""
    report = price(counted(synops=1), book(row("synop", 10.0, low=1.0, high=100.0)))
    assert report.total is not None
    assert report.total.typical == 10e-12
    assert report.total.low == pytest.approx(100**0.05 * 1e-12, rel=0.05)
    assert report.total.high == pytest.approx(100**0.95 * 1e-12, rel=0.05)


def test_bands_of_many_places_share_one_draw_of_a_price() -> None:
    """A price is one unknown number: the band of a sum is the sum of the bands."""
    banded = book(row("access", 10.0, low=1.0, high=100.0))
    single = price(counted(accesses=1), banded).total
    run = counted(accesses=1)
    wider = replace(run, populations={**run.populations, "q": run.populations["p"]})
    wider = replace(wider, sources={**run.sources, "q": run.sources["p"]})
    double = price(wider, banded).total
    assert single is not None
    assert double is not None
    assert double.high == pytest.approx(2 * single.high)


def test_the_same_seed_gives_the_same_band() -> None:
    """And another seed another one."""
    rows = book(row("synop", 10.0, low=1.0, high=100.0), row("spike", 5.0, low=4.0, high=9.0))
    first, again, other = (price(FULL, rows, Options(seed=s)).total for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_typical_is_never_outside_the_band() -> None:
    """Davies' 23.6 pJ is the low end of its band, below the 5th percentile."""
    report = price(counted(synops=100), load_prices("davies_2018"))
    assert report.total is not None
    assert report.total.low == report.total.typical == pytest.approx(2360e-12)
    assert 3400e-12 < report.total.high < 3550e-12


def test_the_grade_is_the_worst_basis_in_the_sum() -> None:
    """A price that nothing was multiplied with has no say."""
    rows = book(row("synop", 1.0, checked="Q"), row("access", 1.0, basis="estimated", checked="R"))
    assert price(counted(synops=1, accesses=1), rows).grade == "estimated"
    unused = price(counted(synops=1), rows)
    assert unused.grade == "measured"
    assert unused.checked == "Q"


# ---------------------------------------------------------------- the report


def test_every_ratio_names_what_is_divided_by_what() -> None:
    """Per inference, step, synapse and synop are different numbers."""
    run = counted(samples=2, steps=10, synops=40, effective=20)
    report = price(run, book(row("synop", 6.0)))
    assert {n: (text, band and band.typical) for n, (text, band) in report.ratios().items()} == {
        "inference": ("all terms / samples", 120e-12),
        "step": ("all terms / (samples x steps)", pytest.approx(24e-12)),
        "synapse": ("all terms / (samples x stored synapses)", 120e-12),
        "synop": ("all terms / synops", pytest.approx(6e-12)),
        "effective synop": ("all terms / synops of non-zero weight", pytest.approx(12e-12)),
        "synop alone": ("synaptic terms / synops", pytest.approx(6e-12)),
    }
    assert price(counted(), book(row("synop", 6.0))).ratios()["synop"][1] is None


TABLE = """\
counts of 'by hand', all of 1 sample and 10 steps
          neurons  events  synops  effective  update  idle  message  hop_x  hop_y
  x                     3                                         4      4      4
  p             1       3                          2     3        4      4      4
  x -> p                3       7          7
  sum           1               7          7       2     3

NeuroBench 2.3.0 counts
  effective ACs 0.0, MACs 0.0, dense operations 0.0 per sample
  activation sparsity 0.0000, connection sparsity 0.0000, footprint 0 bytes

energy of 'by hand' by davies_2018
  book      Loihi 1, pre-silicon energies of Davies 2018, static power of Frady 2020
  run time  unknown
  total     >= 552.8 pJ (552.8 pJ to 631.1 pJ, percentiles 5 to 95)
  grade     simulated: the worst basis of a price in the sum
  sources   secondary note that quotes the primary with page: the worst of a price in the sum

  energy per                low   typical      high  of
  inference        >=  552.8 pJ  552.8 pJ  631.1 pJ  all terms / samples
  step             >=  55.28 pJ  55.28 pJ  63.11 pJ  all terms / (samples x steps)
  synapse          >=  552.8 pJ  552.8 pJ  631.1 pJ  all terms / (samples x stored synapses)
  synop            >=  78.97 pJ  78.97 pJ  90.15 pJ  all terms / synops
  effective synop  >=  78.97 pJ  78.97 pJ  90.15 pJ  all terms / synops of non-zero weight
  synop alone           23.6 pJ   23.6 pJ  34.78 pJ  synaptic terms / synops

  energy per inference           low   typical      high    share  terms
  all synapses              165.2 pJ  165.2 pJ  243.5 pJ   29.9 %  synop
  all neurons           >=              318 pJ             57.5 %  update, idle
  all messages                         69.6 pJ             12.6 %  message, hops
  x                                    34.8 pJ              6.3 %  message, hops
  p                     >=            352.8 pJ             63.8 %  update, idle, message, hops
  x -> p                    165.2 pJ  165.2 pJ  243.5 pJ   29.9 %  synop
  static power                         unknown
  total                 >=  552.8 pJ  552.8 pJ  631.1 pJ  100.0 %

  price    count     each          band    energy  basis      flag  source
  synop        7  23.6 pJ  23.6 to 35.5  165.2 pJ  simulated  Q     [1]
  update       2    81 pJ                  162 pJ  simulated  Q     [1]
  idle         3    52 pJ                  156 pJ  simulated  Q     [1]
  message      8   1.7 pJ                 13.6 pJ  simulated  Q     [1]
  hop_x        8     3 pJ                   24 pJ  simulated  Q     [1]
  hop_y        8     4 pJ                   32 pJ  simulated  Q     [1]
  synop    synaptic spike op (min); pre-silicon SDF+SPICE, 0.75 V, 14 nm; the band ends at SANA-FE's
           35.5
  update   neuron update, active; pre-silicon SDF+SPICE, 0.75 V, 14 nm
  idle     neuron update, inactive; pre-silicon SDF+SPICE, 0.75 V, 14 nm
  message  within-tile spike, charged for every message, hops on top; pre-silicon SDF+SPICE, 0.75 V,
           14 nm
  hop_x    tile hop E-W; pre-silicon SDF+SPICE, 0.75 V, 14 nm
  hop_y    tile hop N-S; pre-silicon SDF+SPICE, 0.75 V, 14 nm
  [1]  Davies et al., IEEE Micro 38(1) 2018, Table 2, p.96

  >= is a lower bound, it lacks: spike (no price); chip (run time unknown: give seconds)
  unknown to this book: barrier synchronisation, x86 cores, host, chip reset
  low and high: percentiles 5 and 95 of 10,000 draws (seed 0), log-uniform over the band of synop;
    typical where outside"""


def test_the_table_as_text() -> None:
    """A lower bound, with its reasons and its sources."""
    assert str(price(FULL, load_prices("davies_2018"))) == TABLE


def test_what_a_book_says_cannot_break_the_table() -> None:
    """Control characters are shown, not obeyed."""
    text = str(price(FULL, book(*COMPLETE, title="a\x1b[2Jb\nc")))
    assert "\x1b" not in text
    assert "a\\x1b[2Jb\\nc" in text


def test_json_holds_the_whole_report(data: Path) -> None:
    """Plain JSON values; the terms of all places add up to the total."""
    program, inputs = sanafe.program(data, sanafe.B2)
    trace = spikec.simulate(program, inputs, RECORD)
    found = json.loads(json.dumps(profile(program, trace, "sanafe_2_2_9").as_json()))
    terms = [t["j"] for place in found["places"] for t in place["terms"]]
    assert sum(terms) == pytest.approx(found["total_j"]["typical"], rel=1e-12)
    assert found["counts"]["projections"]["in -> hid"]["total"] == 5_376
    assert found["neurobench"]["effective_acs"] == 4_890 + 2_598
    assert found["per"]["inference"]["of"] == "all terms / samples"
    assert found["monte_carlo"] == {"draws": 10_000, "seed": 0, "percentiles": [5, 95]}
    assert set(found["groups_j"]) == set(GROUPS)


def test_profile_takes_counts_and_traces(data: Path) -> None:
    """Counts that were summed over many runs are priced as one."""
    program, inputs = sanafe.program(data, sanafe.B1)
    trace = spikec.simulate(program, inputs, RECORD)
    once = spikec.profile(program, trace, prices="sanafe_2_2_9")
    summed = count(program, trace) + count(program, trace)
    twice = spikec.profile(program, summed, prices=load_prices("sanafe_2_2_9"))
    assert typical(twice) == pytest.approx(2 * typical(once), rel=1e-12)
    assert twice.ratios()["inference"][1] == pytest.approx(once.ratios()["inference"][1])


def test_the_bar_chart(data: Path, tmp_path: Path) -> None:
    """It is written in the format of its ending, the same bytes each time."""
    program, inputs = sanafe.program(data, sanafe.B2)
    report = profile(program, spikec.simulate(program, inputs, RECORD), "davies_2018")
    for name, magic in (("a.png", b"\x89PNG"), ("b.pdf", b"%PDF"), ("c.svg", b"<?xml")):
        report.plot(tmp_path / name)
        written = (tmp_path / name).read_bytes()
        assert written.startswith(magic)
    report.plot(tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "a.png").read_bytes()


def test_no_chart_without_a_price(tmp_path: Path) -> None:
    with pytest.raises(SpikecError) as caught:
        price(FULL, None).plot(tmp_path / "a.png")
    assert str(caught.value) == "--plot: no energy is known. Give a price book. [SPK1140]"
