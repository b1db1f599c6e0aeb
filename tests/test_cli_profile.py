"""``spikec profile`` and the targets that stand for a chip's number formats."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small
import spikec
from spikec.compiler import cli_profile, plot
from spikec.compiler.counting import count_inputs
from spikec.compiler.energy import EnergyReport
from spikec.compiler.energy_plot import BARS, bars
from spikec.compiler.energy_table import COLUMNS
from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array
from test_cli import Terminal, terminal

__all__ = ["terminal"]

BOOK = """\
title = "My chip"
platform = "chip"

[[price]]
event = "synop"
value = 2.0
low = 1.0
high = 4.0
unit = "pJ"
basis = "measured"
scope = "marginal"
condition = "28 nm"
source = "me"
checked = "F"

[[price]]
event = "access"
unit = "pJ"
basis = "measured"
scope = "marginal"
condition = "not known"
source = "me"
checked = "F"
"""
ALL_IN = BOOK.replace('scope = "marginal"', 'scope = "all-in"', 1)


@pytest.fixture
def loihi(terminal: Terminal) -> Terminal:
    """A terminal with builds for Loihi that are not placed on cores, and books of the user."""
    graph = small.network()
    for name, generation in (("chip", 1), ("chip2", 2)):
        pipeline = f"discretize,fuse,quantize_loihi{{generation={generation}}},retime"
        program = spikec.compile(graph, f"loihi{generation}", pipeline=pipeline)
        spikec.emit(program, name)
    Path("mine.toml").write_text(BOOK)
    Path("two.toml").write_text(ALL_IN)
    return terminal


TABLE = """\
counts of 'small', all of 3 samples and 60 steps
                  neurons  events  synops  effective  update  idle
  in                           93
  hidden                4      99                        228    12
  last                  2      26                        110    10
  in -> hidden                 93     372        372
  hidden -> last               99     198        198
  sum                   6             570        570     338    22
  messages and hops are unknown: nothing is placed on cores

NeuroBench 2.3.0 counts
  effective ACs 190.0, MACs 0.0, dense operations 640.0 per sample
  activation sparsity 0.6528, connection sparsity 0.0000, footprint 80 bytes

energy of 'small' by mine
  book      My chip
  run time  unknown
  total     >= 1.14 nJ (610.8 pJ to 2.127 nJ, percentiles 5 to 95)
  grade     measured: the worst basis of a price in the sum
  sources   read in a tool or data file: the worst of a price in the sum

  energy per                low   typical      high  of
  inference        >=  203.6 pJ    380 pJ    709 pJ  all terms / samples
  step             >=  10.18 pJ     19 pJ  35.45 pJ  all terms / (samples x steps)
  synapse          >=  6.363 pJ  11.88 pJ  22.16 pJ  all terms / (samples x stored synapses)
  synop            >=  1.072 pJ      2 pJ  3.732 pJ  all terms / synops
  effective synop  >=  1.072 pJ      2 pJ  3.732 pJ  all terms / synops of non-zero weight
  synop alone          1.072 pJ      2 pJ  3.732 pJ  synaptic terms / synops

  energy per inference           low  typical      high    share  terms
  all synapses              203.6 pJ   380 pJ    709 pJ  100.0 %  synop
  all neurons                         unknown
  all messages                        unknown
  in                                  unknown
  hidden                              unknown
  last                                unknown
  in -> hidden              132.9 pJ   248 pJ  462.7 pJ   65.3 %  synop
  hidden -> last            70.73 pJ   132 pJ  246.3 pJ   34.7 %  synop
  total                 >=  203.6 pJ   380 pJ    709 pJ  100.0 %

  price  count  each    band   energy  basis     flag  source
  synop    570  2 pJ  1 to 4  1.14 nJ  measured  F     [1]
  synop  28 nm
  [1]  me

  >= is a lower bound, it lacks: update, idle, spike, message, hop_x, hop_y (no price)
  low and high: percentiles 5 and 95 of 10,000 draws (seed 0), log-uniform over the band of synop;
    typical where outside
"""


def test_the_table(loihi: Terminal) -> None:
    """Counts, NeuroBench, joules by numerator and by place, prices with condition and source."""
    out, err = loihi("profile chip -i x.npy --prices mine.toml")
    assert err == ""
    assert out == TABLE
    assert max(map(len, out.splitlines())) <= COLUMNS


def test_a_target_names_its_books(loihi: Terminal) -> None:
    """Those of loihi1 one after the other, and side by side at the end."""
    out, _ = loihi("profile chip -i x.npy --seconds 1e-3")
    assert max(map(len, out.splitlines())) <= COLUMNS
    assert out.count("\nenergy of 'small' by ") == 2
    assert out.count("NeuroBench") == 1
    last = [line.split() for line in out.splitlines()[-3:]]
    assert last[0][:5] == ["per", "inference", "low", "typical", "high"]
    assert [row[:2] for row in last[1:]] == [["davies_2018", ">="], ["sanafe_2_2_9", ">="]]
    assert last[2][-4:] == ["none", "calibrated", "message,", "hops"]


def test_json(loihi: Terminal) -> None:
    """What the Python API returns, a report per book."""
    line = "profile chip -i x.npy --seconds 2e-3 --draws 500 --seed 7"
    shown = loihi.json(f"{line} --backend reference")
    assert set(shown) == {"build", "target", "backend", "reports", "findings"}
    assert (shown["target"], shown["backend"]) == ("loihi1", "reference")
    program = spikec.open("chip")
    counts = count_inputs(program, small.data())
    options: Any = {"seconds": 2e-3, "draws": 500, "seed": 7}
    for found, name in zip(shown["reports"], ("davies_2018", "sanafe_2_2_9"), strict=True):
        assert found == spikec.profile(program, counts, name, **options).as_json()
    davies = shown["reports"][0]
    assert davies["lower_bound"]
    assert davies["monte_carlo"]["draws"] == 500
    assert davies["unpriced"]["spike"] == "no price"
    places = {p["name"]: p["lacks"] for p in davies["places"]}
    assert places["hidden"] == ["spike", "message", "hop_x", "hop_y"]
    assert places["in -> hidden"] == []
    assert places["static power"] == []


@pytest.mark.parametrize("build", ["build", "chip2"])
def test_without_a_book_there_are_counts(loihi: Terminal, build: str) -> None:
    """No error: the counts, and which books there are."""
    out, err = loihi(f"profile {build} -i x.npy")
    assert err == ""
    assert out.startswith("counts of 'small', all of 3 samples and 60 steps\n")
    assert f"energy unknown: the target {spikec.open(build).target} has no price book" in out
    assert out.rstrip().splitlines()[-1].split(", ")[0] == "  davies_2018"
    report = loihi.json(f"profile {build} -i x.npy")["reports"]
    assert [r["book"] for r in report] == [None]
    assert report[0]["total_j"] is None
    assert report[0]["counts"]["synops"] > 0


MISTAKES = {
    "profile chip -i x.npy --prices davis_2018": "--prices: 'davis_2018' is not a price book; the "
    "nearest is davies_2018. Use one of davies_2018, mcc_80pj, odin, rram40_assumed, sanafe_2_2_9, "
    "truenorth_affine, truenorth_all_in, ultrascale_prior, or a .toml file of your own. [SPK1110]",
    "profile chip -i x.npy --prices two.toml": "two.toml: an all-in price stands beside 1 more. An "
    "all-in price holds everything; remove the others, or find marginal prices. [SPK1121]",
    "profile chip -i x.npy --prices none.toml": "none.toml: No such file or directory. Give a "
    "readable price book. [SPK1111]",
    "profile chip2 -i x.npy --seconds 1": "--seconds: it has no effect without a price book. Leave "
    "it out, or name a book with --prices. [SPK1134]",
    "profile chip -i x.npy --clock-hz 1e6": "--clock-hz: it has no effect without a price per "
    "cycle. Leave it out, or name a book with --prices. [SPK1134]",
    "profile chip -i x.npy --prices mine.toml --chips 2": "--chips: it has no effect without a "
    "price per chip. Leave it out, or name a book with --prices. [SPK1134]",
    "profile chip -i x.npy --seconds -1": "--seconds: -1 is not positive. Give a positive number. "
    "[SPK1130]",
    "profile chip -i x.npy --seconds nan": "--seconds: nan is not positive. Give a positive "
    "number. [SPK1130]",
    "profile chip -i x.npy --static core": "--static: the book 'sanafe_2_2_9' has no static power "
    "per core. Use --static chip, or another book. [SPK1132]",
    "profile chip2 -i x.npy --plot a.png": "--plot: without prices there are no bars. Give "
    "--prices. [SPK1135]",
    "profile chip -i x.npy --plot a.bmp": "--plot: 'a.bmp' is no picture. Use .png, .pdf, .svg. "
    "[SPK0962]",
    "profile chip -i x.npy --plot /proc/a.png": "/proc/a.png: it cannot be written (No such file "
    "or directory). Check the place, its permissions and the free space. [SPK0801]",
    "profile chip -i x.npy --plot x.npy/a.png": "x.npy/a.png: it cannot be written (Not a "
    "directory). Check the place, its permissions and the free space. [SPK0801]",
    "profile nowhere -i x.npy": "nowhere: it cannot be read (No such file or directory). Check the "
    "path, or compile again. [SPK0811]",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_mistakes(loihi: Terminal, line: str) -> None:
    """One line on stderr, exit 1, nothing written."""
    before = sorted(os.listdir())
    assert loihi(line, code=1) == ("", f"{MISTAKES[line]}\n")
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(
    "options",
    ["", "-i x.npy --chips 2 --static core", "-i x.npy --chips 0", "-i x.npy --draws 0",
     "-i x.npy --draws 1000001", "-i x.npy --static tile", "-i x.npy --seconds soon"],
)  # fmt: skip
def test_wrong_usage(loihi: Terminal, options: str) -> None:
    """One line, exit 2."""
    out, err = loihi(f"profile chip {options}", code=2)
    assert out == ""
    assert err.startswith("spikec profile: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("where", ["count_inputs", "bars"])
def test_ctrl_c_leaves_nothing(
    loihi: Terminal, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """While it counts, and while the picture is written."""
    before = sorted(os.listdir())

    def stop(*given: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    if where == "bars":
        figure = plot.matplotlib_part("figure").Figure
        monkeypatch.setattr(figure, "savefig", _half)
    else:
        monkeypatch.setattr(cli_profile, where, stop)
    assert loihi("profile chip -i x.npy --plot new.png", code=130) == ("", "")
    assert sorted(os.listdir()) == before


def _half(self: Any, path: Path, **named: Any) -> None:
    path.write_text("half")
    raise KeyboardInterrupt


# ---------------------------------------------------------------- the chart


def drawn(monkeypatch: pytest.MonkeyPatch, draw: Callable[[], None]) -> Any:
    """Return the figure that is written."""
    kept: list[Any] = []

    def keep(self: Any, path: Path, **named: Any) -> None:
        kept.append(self)
        path.touch()

    monkeypatch.setattr(plot.matplotlib_part("figure").Figure, "savefig", keep)
    draw()
    return kept[0]


def reports(program: spikec.Program, **options: Any) -> list[EnergyReport]:
    counts = count_inputs(program, small.data())
    names = ("davies_2018", "sanafe_2_2_9")
    return [spikec.profile(program, counts, name, **options) for name in names]


def labels(axes: Any) -> list[str]:
    return [t.get_text() for t in axes.get_yticklabels()]


def test_the_chart(loihi: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A panel per book on one axis; what is unknown is named; bands are lines."""
    out, _ = loihi("profile chip -i x.npy --plot new/e.png")
    assert out.endswith("\npicture  new/e.png\n")
    assert Path("new/e.png").read_bytes().startswith(b"\x89PNG")
    made = reports(spikec.open("chip"))
    figure = drawn(monkeypatch, lambda: bars(made, "e.png"))
    first, second = figure.axes
    assert first.get_xlim() == second.get_xlim()
    assert first.get_xscale() == "linear"
    rows = ["in", "hidden", "last", "in -> hidden", "hidden -> last"]
    assert labels(first) == [*rows, "static power"]
    assert labels(second) == rows
    texts = [t.get_text() for t in first.texts]
    assert texts[0] == texts[5] == "unknown"
    assert texts[1].startswith(">= ")
    assert not texts[3].startswith(">= ")
    assert len(first.containers) == 4 + 2  # bars, and error bars of the two with a band


def test_the_axis_is_logarithmic_where_bars_differ_much(
    loihi: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Static power does not hide the rest."""
    made = reports(spikec.open("chip"), seconds=1.0)
    figure = drawn(monkeypatch, lambda: bars(made, "e.png"))
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "log"]
    assert figure.axes[1].get_xlabel().startswith("logarithmic axis")
    least, most = figure.axes[0].get_xlim()
    for axes in figure.axes:
        for patch in axes.patches:
            assert least < patch.get_x() + patch.get_width() < most


def chain(length: int) -> spikec.Program:
    names = [f"encoder.block_{k}.convolution.neurons.of_a_long_name" for k in range(length)]
    populations = [spikec.Population(n, (2,), spikec.LIF(decay=0.9)) for n in names]
    border: list[Any] = [spikec.Input("in", small.SHAPE), spikec.Output("out", names[-1])]
    ends = zip(["in", *names], names, strict=False)
    projections = (
        spikec.Projection(a, b, small.weights(2, 6 if a == "in" else 2)) for a, b in ends
    )
    return spikec.compile(spikec.Graph("chain", (*border, *populations), tuple(projections)))


def test_charts_of_many_populations_stay_of_a_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is summed, and said to be; long names lose their middle."""
    monkeypatch.chdir(tmp_path)
    program = chain(60)
    report = reports(program)[0]
    figure = drawn(monkeypatch, lambda: report.plot("e.png"))
    (axes,) = figure.axes
    assert len(labels(axes)) == BARS
    assert labels(axes)[-1] == f"{1 + 60 + 60 + 1 - BARS + 1} others, typical"
    assert max(map(len, labels(axes))) <= 44
    assert figure.get_size_inches()[1] < 16
    widths = sum(p.get_width() for p in axes.patches)
    total = report.per_sample(report.total)
    assert total is not None
    assert widths == pytest.approx(total.typical, rel=1e-9)
    trace = spikec.simulate(program, small.data(), ("spikes",))
    figure = drawn(monkeypatch, lambda: plot.raster(trace, program, "r.png"))
    assert len(figure.axes) == 2 * plot.PANELS
    assert figure.get_size_inches()[1] <= plot.TALLEST
    assert figure.get_suptitle().endswith("; 36 populations in the middle are not drawn")


# ---------------------------------------------------------------- targets


FINDING = (
    "loihi1: the emitted program was never run on a chip, only in Lava's simulator; how the chip's "
    "own compiler lays out its memories is not public. [SPK1133]\n"
)


def test_a_loihi_target_says_what_it_is_not(terminal: Terminal) -> None:
    """A finding at check and compile, kept in the build; integers; equal on both engines."""
    out, err = terminal("check small:network --target loihi1")
    assert out == (
        "small fits loihi1 as far as it is checked: 2 populations, 6 neurons, 2 projections, 32 "
        "weights, integers, latency 2 steps, 1 core\n"
    )
    assert err == FINDING
    out, err = terminal("compile small:network -t loihi1 -o chip --calibration x.npy")
    assert err == FINDING
    assert out.splitlines()[1].split()[:4] == ["population", "exponent", "weight", "bits"]
    assert out.splitlines()[2].split()[:1] == ["hidden"]
    assert terminal("show chip")[1] == FINDING
    assert "agree in every spike and state" in terminal("verify chip -i x.npy")[0]
    again = spikec.compile(spikec.open("chip").graph, "loihi1", pipeline="")
    assert [f.code for f in again.graph.findings] == ["SPK1133"]


def test_targets_that_chips_cannot_run(terminal: Terminal) -> None:
    """Generation 1 has no soft reset; generation 2 has."""
    soft = spikec.LIF(decay=0.9, reset="subtract")
    with pytest.raises(SpikecError) as caught:
        spikec.compile(small.network(soft, soft), "loihi1")
    assert caught.value.code == "SPK0683"
    assert spikec.compile(small.network(soft, soft), "loihi2").stage == "integer"


def test_the_bundled_network(terminal: Terminal, digits: tuple[Array, Array]) -> None:
    """The figures of docs/energy.md."""
    np.save("digits.npy", digits[0])
    terminal("compile digits -t loihi1 -o chip")
    shown = terminal.json("profile chip -i digits.npy")["reports"]
    typical = {r["book"]: r["per"]["inference"]["j"]["typical"] for r in shown}
    assert typical == {
        "davies_2018": pytest.approx(302.1e-9, rel=1e-3),
        "sanafe_2_2_9": pytest.approx(367.0e-9, rel=1e-3),
    }
