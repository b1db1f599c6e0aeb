"""The time of a step: SANA-FE's own, by hand, and what is not known."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sanafe
import spikec
from priced import book, counted, row
from sizes import evidence
from spikec.compiler.counting import RECORD
from spikec.compiler.energy import Options, price
from spikec.compiler.errors import SpikecError
from spikec.compiler.mapping.mesh import Mesh
from spikec.compiler.mapping.routes import Routes, routes
from spikec.compiler.mapping.step_time import StepTime, step_time
from spikec.compiler.prices import TIME, Duration, load_prices
from spikec.compiler.types import Array
from spikec.compiler.untyped import sparse as sp

NEURONS = ("hid", "out")


def core_work(data: Path, seats: dict[str, Array], cores: int) -> tuple[dict[str, Array], Array]:
    """Return counts (steps, cores) of SANA-FE's network and its messages, core to core.

    A neuron is updated when its membrane was not zero before the step, when an event arrived, or
    when it fired; synapses count in the step in which the event is sent.
    """
    program, inputs = sanafe.program(data, sanafe.B1)
    trace = spikec.simulate(program, inputs, RECORD)
    sent = {n: a[0] != 0 for n, a in {**trace.inputs, **trace.spikes}.items()}
    steps = len(sent["in"])
    names = ("access", "update", "spike", "message", "message_in", "synop_dense", "synop_sparse")
    work = {name: np.zeros((steps, cores), dtype=np.int64) for name in names}
    traffic = np.zeros((cores, cores), dtype=np.int64)
    for name, source in zip(NEURONS, ("in", "hid"), strict=True):
        arrived = np.append(False, sent[source].any(axis=1)[:-1])
        charged = np.vstack((np.zeros_like(sent[name][:1]), trace.state[name]["v"][0][:-1] != 0))
        updated = charged | arrived[:, None] | sent[name]
        for t in range(steps):
            np.add.at(work["access"][t], seats[name], 1)
            np.add.at(work["update"][t], seats[name], updated[t])
            np.add.at(work["spike"][t], seats[name], sent[name][t])
    for source, target, kind in (("in", "hid", "synop_dense"), ("hid", "out", "synop_sparse")):
        held = np.bincount(seats[target], minlength=cores)
        for t, neuron in np.argwhere(sent[source]):
            home = seats[source][neuron]
            work["message"][t, home] += np.count_nonzero(held)
            work["message_in"][t] += held > 0
            work[kind][t] += held
            traffic[home] += held > 0
    return work, traffic


CASES: dict[str, tuple[float, list[list[int]], list[int]]] = {
    "B1": (75.53, [[0, 0, 0, 0]], [0, 0, 0, 0]),
    "B2": (72.90, [[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1], [0, 1, 0, 0]], [0, 1, 2, 3]),
}


@pytest.mark.parametrize("case", CASES)
def test_sanafe_simple_timing(data: Path, case: str) -> None:
    """SANA-FE 2.2.9's simple timing model, to its four digits; its detailed one lies above.

    Source: 75.53 and 72.90 us (simple), 75.69 and 75.37 us (detailed), for 50 steps.
    """
    microseconds, rows, (first, low, high, last) = CASES[case]
    seats = {
        "in": np.full(16, first),
        "hid": np.repeat([low, high], 16),
        "out": np.full(8, last),
    }
    places = np.array(rows)
    work, traffic = core_work(data, seats, len(rows))
    ways = routes(sp.csr_array(traffic), places, Mesh())
    tiles = len(np.unique(places[:, :3], axis=0))
    found = step_time(work, ways, tiles, load_prices("sanafe_2_2_9").times)
    assert round(50e6 * found.overlapped, 2) == microseconds
    assert found.serial is not None
    assert 50e6 * found.serial > 75.69
    assert not found.lower_bound
    evidence(f"step_time_{case}", us=50e6 * found.overlapped)

    davies = step_time(work, ways, tiles, load_prices("davies_2018").times)
    assert davies.serial is None
    assert set(davies.unknown) == {"spike", "message", "message_in"}


# ---------------------------------------------------------------- by hand


def duration(event: str, value: float, tiles: int | None = None) -> Duration:
    return Duration(event, "ns", "measured", "", "me", "F", value, tiles)


TIMES = (
    duration("access", 1),
    duration("update", 2),
    duration("spike", 10),
    duration("message", 5),
    duration("message_in", 20),
    duration("synop", 3),
    duration("hop_x", 4),
    duration("hop_y", 7),
    duration("crossing", 1000),
    duration("barrier", 100, 1),
    duration("barrier", 300, 4),
)


def two_cores(mesh: Mesh, *goal: int) -> Routes:
    """Return the ways of one message between two cores."""
    places = np.array([[0, 0, 0, 0], goal])
    return routes(sp.csr_array(np.array([[0, 1], [0, 0]])), places, mesh)


WORK = {
    "access": np.array([[10, 20], [10, 20]]),
    "update": np.array([[10, 0], [0, 1]]),
    "spike": np.array([[2, 0], [0, 0]]),
    "message": np.array([[2, 0], [0, 0]]),
    "message_in": np.array([[0, 2], [0, 0]]),
    "synop_dense": np.array([[0, 4], [0, 0]]),
    "synop_sparse": np.array([[0, 1], [0, 0]]),
}


ONE, TWO = Mesh(), Mesh(chips=2)


def made(mesh: Mesh = ONE, goal: tuple[int, ...] = (0, 2, 1, 0), **changed: Any) -> StepTime:
    given: dict[str, Any] = {"work": WORK, "tiles": 2, "times": TIMES, **changed}
    return step_time(ways=two_cores(mesh, *goal), **given)


def test_two_steps_of_two_cores() -> None:
    """Step 1: neurons 60 and 20 ns, messages 0 and 55; step 2: neurons 10 and 22; the way 15."""
    found = made()
    assert found.overlapped == pytest.approx((60 + 22) / 2 * 1e-9 + 100e-9)
    assert found.serial == pytest.approx((75 + 22) / 2 * 1e-9 + 15e-9 + 300e-9)
    parts = {"neurons": 41e-9, "messages": 27.5e-9, "hops": 15e-9, "barrier": 100e-9}
    assert found.parts == pytest.approx(parts)
    assert (found.slowest, found.bottleneck, found.unknown) == (1, "barrier", ())


def test_a_long_way_is_not_hidden() -> None:
    """A crossing of 1 us is longer than what any core does."""
    found = made(TWO, (1, 0, 0, 0))
    assert found.overlapped == pytest.approx(1028e-9 + 100e-9)
    assert found.bottleneck == "hops"


def test_means_are_at_most_the_steps() -> None:
    """The maximum of the mean counts is no more than the mean of the maxima."""
    mean = {name: n.mean(axis=0, keepdims=True) for name, n in WORK.items()}
    assert made(work=mean).overlapped < made().overlapped


@pytest.mark.parametrize("gone", ["spike", "message", "message_in", "hop_x", "hop_y"])
def test_what_has_no_time_is_named(gone: str) -> None:
    """Then the one is a lower bound and the other unknown; nothing takes no time."""
    found = made(times=tuple(t for t in TIMES if t.event != gone))
    assert (found.unknown, found.serial, found.lower_bound) == ((gone,), None, True)
    assert found.overlapped <= made().overlapped


def test_names_that_stand_for_others() -> None:
    """Idle and update are in an access; dense and sparse are synops; crossings only where made."""
    gone = {"access", "update", "synop", "crossing"}
    found = made(times=tuple(t for t in TIMES if t.event not in gone))
    assert set(found.unknown) == {"update", "idle", "synop_dense", "synop_sparse"}
    idle = (*TIMES[1:], duration("idle", 1))
    assert made(times=idle).serial is not None
    known = tuple(t for t in TIMES if t.event != "crossing")
    assert made(TWO, (1, 0, 0, 0), times=known).unknown == ("crossing",)


@pytest.mark.parametrize(("tiles", "ends"), [(1, (100, 100)), (3, (100, 300)), (4, (300, 300))])
def test_a_barrier_lies_between_its_neighbours(tiles: int, ends: tuple[int, int]) -> None:
    """As listed, or the shorter for overlapped and the longer for serial."""
    found = made(tiles=tiles)
    assert found.parts["barrier"] == pytest.approx(ends[0] * 1e-9)
    assert found.serial == pytest.approx((75 + 22) / 2 * 1e-9 + 15e-9 + ends[1] * 1e-9)


def test_a_barrier_beyond_the_list_is_unknown() -> None:
    """It takes no less than the largest listed."""
    found = made(tiles=5)
    assert (found.unknown, found.serial) == (("barrier",), None)
    assert found.parts["barrier"] == pytest.approx(300e-9)


def test_a_report_takes_the_run_time_of_its_steps() -> None:
    """The shorter one, with a word on what it is; a run time that is given counts more."""
    static = row("chip", 2.0, unit="W", scope="static")
    counts = counted(steps=10, synops=1)
    step = made()
    report = price(counts, book(row("synop", 1.0), static), Options(step=step))
    assert report.seconds == 10 * step.overlapped
    assert report.groups["static"] is not None
    assert report.groups["static"].typical == pytest.approx(20 * step.overlapped)
    assert "0.141 us a step where all of it overlaps; 0.3635 us where nothing" in report.warnings[0]
    assert report.as_json()["step_time"]["serial"] == step.serial
    assert "the run time is modelled" in report.table()
    given = price(counts, book(row("synop", 1.0), static), Options(seconds=3.0, step=step))
    assert given.seconds == 3.0
    assert not any("modelled" in w for w in given.warnings)
    lacking = made(times=tuple(t for t in TIMES if t.event != "spike"))
    partly = price(counts, book(static), Options(step=lacking))
    assert "where it lacks spike; unknown where nothing overlaps" in partly.warnings[0]


def test_other_counts_are_refused() -> None:
    wrong: list[dict[str, Array]] = [
        {},
        {"synops": np.zeros((1, 2))},
        {"access": np.zeros(2)},
        {"access": np.zeros((1, 2)), "spike": np.zeros((2, 2))},
    ]
    for work in wrong:
        with pytest.raises(SpikecError) as caught:
            made(work=work)
        assert caught.value.code == "SPK1759"


# ---------------------------------------------------------------- what ships

SANAFE = {
    "access": "soma_access",
    "update": "soma_update",
    "spike": "soma_spike_out",
    "synop_dense": "synapse_dense",
    "synop_sparse": "synapse_sparse",
    "synop_conv": "synapse_conv",
    "message": "message_out",
    "message_in": "message_in",
    "hop_x": "hop_east_west",
    "hop_y": "hop_north_south",
}


def test_sanafe_times_are_those_of_its_file(data: Path) -> None:
    held = json.loads((data / "sanafe_golden" / "loihi_event_prices.json").read_text())
    times = load_prices("sanafe_2_2_9").times
    found = {t.event: t.seconds for t in times if t.event != "barrier"}
    assert found == pytest.approx({e: held["latency_s"][name] for e, name in SANAFE.items()})
    barrier = {str(t.tiles): t.seconds for t in times if t.event == "barrier"}
    assert barrier == pytest.approx(held["sync_latency_s_by_active_tiles"])


def test_davies_times_are_those_of_the_specification(data: Path) -> None:
    rows = json.loads((data.parent / "specs" / "energy_prices.json").read_text())["rows"]
    held = {r["event"]: r for r in rows if r["platform"] == "Loihi 1" and r["scope"] == "time"}
    words = {
        "synop": ("time: synaptic op (max) / STDP update", 0),
        "update": ("time: neuron update active / inactive", 0),
        "idle": ("time: neuron update active / inactive", 1),
        "hop_x": ("time: within-tile spike / hop E-W / hop N-S", 1),
        "hop_y": ("time: within-tile spike / hop E-W / hop N-S", 2),
        "barrier 1": ("time: mesh-wide barrier sync, 1 to 32 tiles", 0),
        "barrier 32": ("time: mesh-wide barrier sync, 1 to 32 tiles", 1),
        "barrier 8192": ("time: barrier, 256-chip column / 768 chips", 0),
        "barrier 24576": ("time: barrier, 256-chip column / 768 chips", 1),
    }
    times = load_prices("davies_2018").times
    assert len(times) == len(words)
    for t in times:
        name, part = words[f"barrier {t.tiles}" if t.event == "barrier" else t.event]
        row = held[name]
        value = float(str(row["value"]).replace("-", " / ").split(" / ")[part])
        assert t.seconds == pytest.approx(value * TIME[row["unit"]])
        assert (t.basis, t.source, t.checked) == (row["basis"], row["source"], row["checked"])


BOOK = """
title = "t"
platform = "p"
[[price]]
event = "synop"
value = 1
unit = "pJ"
basis = "measured"
scope = "marginal"
condition = ""
source = "me"
checked = "F"
"""
ROW = {
    "event": '"spike"',
    "value": "1",
    "unit": '"ns"',
    "basis": '"measured"',
    "condition": '""',
    "source": '"me"',
    "checked": '"F"',
}
TIME_ERRORS: list[tuple[str, list[dict[str, str | None]], str]] = [
    ("SPK1757", [{"value": None}], "value None and tiles None"),
    ("SPK1757", [{"event": '"barrier"'}], "a barrier of value 1.0 and tiles None"),
    ("SPK1757", [{"event": '"barrier"', "tiles": "0"}], "tiles 0"),
    ("SPK1757", [{"tiles": "3"}], "a spike of value 1.0 and tiles 3"),
    ("SPK1758", [{}, {}], "the times of 'spike' contradict"),
    ("SPK1758", [{"event": '"synop"'}, {"event": '"synop_conv"'}], "'synop_conv'"),
    (
        "SPK1758",
        [{"event": '"barrier"', "tiles": n, "value": v} for n, v in (("1", "9"), ("2", "8"))],
        "'barrier'",
    ),
    ("SPK1115", [{"event": '"chip"'}], "'chip' is not an event that takes time"),
    ("SPK1115", [{"unit": '"pJ"'}], "'pJ' is not a unit of time"),
    ("SPK1113", [{"volts": "1"}], "there is no field 'volts'"),
    ("SPK1117", [{"value": "-1"}], "'value' is -1"),
]


@pytest.mark.parametrize(("code", "rows", "text"), TIME_ERRORS)
def test_wrong_times_are_refused(
    tmp_path: Path, code: str, rows: list[dict[str, str | None]], text: str
) -> None:
    """In one line that names the file and the row."""
    file = tmp_path / "b.toml"
    tables = [{k: v for k, v in {**ROW, **row}.items() if v is not None} for row in rows]
    written = ("[[time]]\n" + "\n".join(f"{k} = {v}" for k, v in t.items()) for t in tables)
    file.write_text(BOOK + "\n".join(written))
    with pytest.raises(SpikecError) as caught:
        load_prices(file)
    assert caught.value.code == code
    assert text in str(caught.value)


def test_right_times_are_read(tmp_path: Path) -> None:
    file = tmp_path / "b.toml"
    file.write_text(BOOK + "[[time]]\n" + "\n".join(f"{k} = {v}" for k, v in ROW.items()))
    assert [t.seconds for t in load_prices(file).times] == [1e-9]
