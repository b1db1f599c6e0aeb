"""Inputs from files, encodings, labels and read-outs."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small
import spikec
from spikec.compiler import signals
from spikec.compiler.events import bins
from spikec.compiler.signals import encode, random_inputs, read_inputs, read_labels, read_out
from spikec.compiler.types import Array, Bool, FixedPoint, Float
from spikec.compiler.untyped import h5py, nir

GRAPH = small.network()
PIXELS = spikec.Graph("camera", (spikec.Input("in", (2, 3, 4), Bool()),), (), 1e-3)
LINE = spikec.Graph("line", (spikec.Input("in", (5,), Bool()),), (), 1e-3)


class Reader:
    """Reads files written into a folder and keeps the findings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.findings: list[str] = []

    def __call__(self, graph: spikec.Graph, data: Any, **options: Any) -> dict[str, Array]:
        """Write an array or a dict of arrays, and read it for a network."""
        path = self.folder / ("x.npz" if isinstance(data, dict) else "x.npy")
        if isinstance(data, dict):
            np.savez(path, **data)  # pyright: ignore[reportUnknownArgumentType]
        else:
            np.save(path, data)
        return self.read(graph, path, **options)

    def read(self, graph: spikec.Graph, path: Path, **options: Any) -> dict[str, Array]:
        options = {"dt": graph.dt, **options}
        return read_inputs(path, graph, report=self.keep, **options)

    def keep(self, finding: spikec.Finding) -> None:
        self.findings.append(str(finding).replace(f"{self.folder}/", ""))

    def error(self, graph: spikec.Graph, data: Any, **options: Any) -> str:
        return message(lambda: self(graph, data, **options))


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """A reader of files in a folder of this test."""
    return Reader(tmp_path)


def message(call: Callable[[], object]) -> str:
    """Return the line of the SpikecError, without the folder of this test run."""
    with pytest.raises(spikec.SpikecError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return re.sub(r"/\S*/test_\S*?/", "", str(caught.value))


# ---------------------------------------------------------------- arrays


def test_one_array(reader: Reader) -> None:
    """(samples, steps, *shape) is taken as it is."""
    data = small.data()
    assert np.array_equal(reader(GRAPH, data)["in"], data)
    assert reader.findings == []


def test_an_array_without_samples_is_one_sample(reader: Reader) -> None:
    """And that is said."""
    data = small.data(1)[0]
    assert np.array_equal(reader(GRAPH, data)["in"], data[None])
    assert reader.findings == [
        "input 'in': the array [20, 2, 3] is taken as one sample of 20 steps. [SPK0907]"
    ]


def test_members_by_name(reader: Reader) -> None:
    """A single member may have any name; labels are none."""
    data, other = small.data(), np.ones((3, 20, 5))
    for members in ({"in": data}, {"anything": data}, {"x": data, "labels": np.arange(3)}):
        assert np.array_equal(reader(GRAPH, members)["in"], data)
    found = reader(small.two_inputs(), {"other": other, "in": data, "labels": np.arange(3)})
    assert np.array_equal(found["other"], other)
    assert np.array_equal(found["in"], data)


def test_mistakes_with_arrays(reader: Reader, tmp_path: Path) -> None:
    """Each names the file, what it holds and what is wanted."""
    data = small.data()
    assert reader.error(GRAPH, data[:, :, 0]) == (
        "x.npy: the array [3, 20, 3] is no (samples, steps, 2, 3) for input 'in'. Reshape the "
        "data, or turn values into spikes with --encode. [SPK0909]"
    )
    assert reader.error(GRAPH, data[:0]).startswith("x.npy: the array [0, 20, 2, 3] is no")
    assert reader.error(GRAPH, data, steps=10) == (
        "--steps: 10 steps are asked for, x.npy has 20. Leave out --steps, or cut the data. "
        "[SPK0908]"
    )
    assert reader.error(GRAPH, {"a": data, "b": data}) == (
        "x.npz: it has the members a, b, the network the inputs in. Name each member as its "
        "input. [SPK0906]"
    )
    assert reader.error(GRAPH, {"labels": data}).startswith("x.npz: it has the members labels, ")
    assert reader.error(small.two_inputs(), data) == (
        "x.npy: it holds data for one input, the network has in, other. Give a .npz with a member "
        "for each. [SPK0904]"
    )
    assert message(lambda: reader.read(GRAPH, tmp_path / "no.npy")) == (
        "no.npy: it cannot be read (No such file or directory). Check the path. [SPK0901]"
    )
    (tmp_path / "x.csv").write_text("1,0,1")
    assert message(lambda: reader.read(GRAPH, tmp_path / "x.csv")) == (
        "x.csv: it is none of .npy, .npz and NIRData. Write it with numpy.save, numpy.savez or "
        "nir.write_data. [SPK0903]"
    )
    assert message(lambda: reader.read(GRAPH, tmp_path)) == (
        f"{tmp_path}: it cannot be read (Is a directory). Check the path. [SPK0901]"
    )
    assert message(lambda: read_inputs("x", spikec.Graph("quiet", (), ()))) == (
        "quiet: the network has no input. Leave the data out. [SPK0902]"
    )


def test_pickles_are_never_read(tmp_path: Path, reader: Reader) -> None:
    """An array of objects would run code."""
    np.save(tmp_path / "x.npy", np.array([{}, None]), allow_pickle=True)
    assert message(lambda: reader.read(GRAPH, tmp_path / "x.npy")) == (
        "x.npy: it holds object, not plain numbers. Store integers, floats or booleans; pickled "
        "objects are never read. [SPK0823]"
    )
    data = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(data.replace(b"'|O'", b"'<f8'"))
    assert "bytes of data where its header declares" in message(
        lambda: reader.read(GRAPH, tmp_path / "x.npy")
    )


def test_findings_become_warnings_in_python(tmp_path: Path) -> None:
    """Where nobody takes them."""
    np.save(tmp_path / "x.npy", small.data(1)[0])
    with pytest.warns(UserWarning, match="is taken as one sample"):
        read_inputs(tmp_path / "x.npy", GRAPH)


# ---------------------------------------------------------------- encodings


def test_constant() -> None:
    """The value in every step, whatever it is."""
    values = np.array([[0.5, -3.0]])
    assert encode(values, "constant", 3).tolist() == [[[0.5, -3.0]] * 3]


def test_rate_is_numpys_generator_in_order() -> None:
    """The same numbers as one call for the whole batch."""
    values = np.random.default_rng(1).random((4, 2, 3))
    whole = np.random.default_rng(7).random((4, 50, 2, 3)) < values[:, None]
    assert np.array_equal(encode(values, "rate", 50, seed=7), whole)
    assert not np.array_equal(encode(values, "rate", 50, seed=8), whole)
    extremes = encode(np.array([[0.0, 1.0]]), "rate", 100)
    assert extremes.sum(axis=1).tolist() == [[0, 100]]


def test_latency_by_its_definition() -> None:
    """0 never spikes; any other value exactly once, the largest first."""
    values = np.array([[0.0, 1.0, 0.5, 1e-9, 0.25]])
    steps = 16
    spikes = encode(values, "latency", steps)
    for value, train in zip(values[0], spikes[0].T, strict=True):
        wanted = [] if value == 0 else [math.floor((1 - value) * (steps - 1) + 0.5)]
        assert np.flatnonzero(train).tolist() == wanted
    assert encode(np.array([[1.0, 0.0]]), "latency", 1).tolist() == [[[True, False]]]


def test_encoded_files(reader: Reader) -> None:
    """(samples, *shape); every input of several has a seed of its own."""
    values = np.random.default_rng(0).random((3, 2, 3))
    options = {"encoding": "rate", "steps": 9, "seed": 4}
    assert np.array_equal(reader(GRAPH, values, **options)["in"], encode(values, "rate", 9, 4))
    other = np.random.default_rng(0).random((3, 5))
    found = reader(small.two_inputs(), {"in": values, "other": other}, **options)
    assert np.array_equal(found["other"], encode(other, "rate", 9, 5))


def test_mistakes_with_encodings(reader: Reader) -> None:
    """Each names the value or the option."""
    values = np.full((3, 2, 3), 0.5)
    assert reader.error(GRAPH, values, encoding="rate") == (
        "--encode: 'rate' needs --steps. Give 1 or more. [SPK0912]"
    )
    assert reader.error(GRAPH, values, encoding="poisson", steps=5) == (
        "--encode: 'poisson' is unknown. Use one of constant, rate, latency. [SPK0911]"
    )
    assert reader.error(GRAPH, values * 32, encoding="latency", steps=5) == (
        "--encode: value 16 is outside 0 to 1, which 'latency' needs. Scale the data, for instance "
        "divide by the largest value. [SPK0913]"
    )
    assert "value nan is outside" in reader.error(GRAPH, values * np.nan, encoding="rate", steps=5)
    assert reader.error(GRAPH, small.data(), encoding="rate", steps=5) == (
        "x.npy: the array [3, 20, 2, 3] is no (samples, 2, 3) for input 'in'. Reshape the data. "
        "[SPK0909]"
    )
    events = {"x": np.array([0]), "t": np.array([0.0])}
    assert reader.error(LINE, events, encoding="rate", steps=5) == (
        "--encode: x.npz is an event list, which has steps. Leave out --encode. [SPK0905]"
    )
    assert "do not fit in memory" in reader.error(GRAPH, values, encoding="rate", steps=10**12)


# ---------------------------------------------------------------- event lists


def test_events_in_three_axes(reader: Reader) -> None:
    """(p, y, x) of two samples; time in microseconds."""
    events = {
        "x": np.array([3, 0, 1], np.uint16),
        "y": np.array([2, 0, 1], np.uint16),
        "p": np.array([True, False, True]),
        "t_us": np.array([2999, 0, 4000]),
        "sample": np.array([0, 1, 1]),
    }
    grid = reader(PIXELS, events)["in"]
    assert grid.shape == (2, 5, 2, 3, 4)
    assert np.argwhere(grid).tolist() == [[0, 2, 1, 2, 3], [1, 0, 0, 0, 0], [1, 4, 1, 1, 1]]
    del events["sample"]
    events |= {"n": np.array([1, 0, 2, 0])}
    by_count = reader(PIXELS, events)["in"]
    assert by_count.shape[0] == 4
    assert np.array_equal(by_count[[0, 2]], grid)
    assert reader.findings == []


def test_a_time_on_an_edge_belongs_to_the_step_that_begins_there() -> None:
    """For all multiples of a step, in double and in single precision, and just below them."""
    edges = np.arange(100_000)
    assert 0.043 / 0.001 < 43
    assert bins(np.array([0.043]), 0.001)[0] == 43
    for kind in (np.float64, np.float32):
        times = (edges / 1000).astype(kind)
        assert np.array_equal(bins(times, 1e-3), edges)
    assert bins(np.array([0.0429999]), 1e-3)[0] == 42
    assert np.array_equal(bins(edges, 1000.0), edges // 1000)


def test_events_that_share_a_bin(reader: Reader) -> None:
    """Are one spike, also for an input that takes numbers; it is said how many there were."""
    events = {"x": np.array([1, 1, 1, 2]), "t": np.array([0.0, 0.0004, 0.0021, 0.0])}
    for signal in (Bool(), Float()):
        graph = spikec.Graph("line", (spikec.Input("in", (5,), signal),), (), 1e-3)
        reader.findings.clear()
        grid = reader(graph, events)["in"]
        assert np.argwhere(grid).tolist() == [[0, 0, 1], [0, 0, 2], [0, 2, 1]]
        assert grid.max() == 1
        assert reader.findings == [
            "x.npz: bins with more than one event: 1; each counts as one spike. [SPK0929]"
        ]


def test_steps_of_events(reader: Reader) -> None:
    """--steps adds silence, or leaves events out and says how many."""
    events = {"x": np.array([1, 2]), "t": np.array([0.0, 0.005])}
    assert reader(LINE, events)["in"].shape == (1, 6, 5)
    assert reader(LINE, events, steps=9)["in"].shape == (1, 9, 5)
    assert reader.findings == []
    assert reader(LINE, events, steps=5)["in"].sum() == 1
    assert reader.findings == ["x.npz: events left out, in or after step 5: 1. [SPK0928]"]


def test_recordings_of_nmnist(data: Path, reader: Reader) -> None:
    """The shared recordings as an event list: the same tensor, and 451 crowded bins."""
    with np.load(data / "nmnist" / "nmnist_small_1000_100.npz") as file:
        events = {k: file[f"test_{k}"] for k in ("x", "p", "t_us", "n")}
        events["y"] = file["test_yaddr"]
        sample = np.repeat(np.arange(100), file["test_n"])
    graph = spikec.Graph("net", (spikec.Input("in", (2, 34, 34)),), (), 1e-3)
    grid = reader(graph, events, steps=350)["in"]
    wanted = np.zeros((100, 350, 2, 34, 34), bool)
    wanted[sample, events["t_us"] // 1000, events["p"], events["y"], events["x"]] = True
    assert np.array_equal(grid, wanted)
    assert "bins with more than one event: 451;" in reader.findings[0]


def test_mistakes_with_events(reader: Reader) -> None:
    """The first event at fault is named."""
    x, t = np.array([1, 7]), np.array([0.0, 0.001])
    assert reader.error(LINE, {"x": x, "t": t}) == (
        "x.npz: event 1 has x = 7, outside 0 to 4. Correct the data or the input's shape. [SPK0926]"
    )
    fine = np.array([1, 2])
    assert "event 0 has x = -1, outside" in reader.error(LINE, {"x": fine - 2, "t": t})
    assert "event 1 has t = -0.001, outside 0 and later" in reader.error(LINE, {"x": fine, "t": -t})
    assert "event 0 has t = nan" in reader.error(LINE, {"x": fine, "t": t * np.nan})
    assert reader.error(LINE, {"x": fine, "t": t}, dt=None) == (
        "x.npz: event times are in seconds but the network has no step. Load the model with --dt. "
        "[SPK0921]"
    )
    assert reader.error(PIXELS, {"x": fine, "t": t}) == (
        "x.npz: members t, x do not describe events for input 'in' of shape (2, 3, 4). Give p, y, "
        "x, t or t_us, and sample (per event) or n (events per sample) where there are many. "
        "[SPK0922]"
    )
    assert "members t, x, y do not describe" in reader.error(LINE, {"x": fine, "y": fine, "t": t})
    assert reader.error(LINE, {"x": fine, "t": t[:1]}) == (
        "x.npz: the members have the lengths t [1], x [2]. Give one of each per event. [SPK0923]"
    )
    assert reader.error(LINE, {"x": fine + 0.5, "t": t}) == (
        "x.npz: 'x' holds float64. Give integers. [SPK0924]"
    )
    assert reader.error(LINE, {"x": fine, "t": t, "n": np.array([1, 2])}) == (
        "x.npz: 'n' adds up to 3 events of 2. Give the number of events of each sample. [SPK0925]"
    )
    assert reader.error(LINE, {"x": fine, "t": t * 1e12}) == (
        "x.npz: 1 samples of 1000000000001 steps of 5 channels do not fit in memory. Check the "
        "unit of t (seconds) or t_us (microseconds), dt and sample. [SPK0927]"
    )
    assert "it holds data for one input" in reader.error(small.two_inputs(), {"x": fine, "t": t})


# ---------------------------------------------------------------- NIRData


def write_nir(folder: Path, **observables: Any) -> Path:
    """Write observables of the node ``in`` beside those of another one."""
    nodes = {"in": observables, "lif": {"v": nir.TimeGriddedData(np.zeros((1, 2, 1)), 1e-3)}}
    data = nir.NIRGraphData({k: nir.NIRNodeData(v) for k, v in nodes.items()})
    nir.write_data(str(folder / "x.nir"), data)
    return folder / "x.nir"


def test_nir_data(tmp_path: Path, reader: Reader) -> None:
    """Gridded, as events, and as events with values, of a node beside others."""
    spikes = small.data().reshape(3, 20, 6)
    gridded = nir.TimeGriddedData(spikes, 1e-3)
    events = gridded.to_event(200)
    for observable in (gridded, events):
        for name in ("spikes", "anything"):
            found = reader.read(GRAPH, write_nir(tmp_path, **{name: observable}))["in"]
            assert np.array_equal(found.reshape(3, 20, 6), spikes)
    both = {"spikes": gridded, "v": nir.TimeGriddedData(np.zeros((3, 20, 6)), 1e-3)}
    assert np.array_equal(reader.read(GRAPH, write_nir(tmp_path, **both))["in"].sum(), spikes.sum())
    valued = nir.ValuedEventData(
        idx=np.array([[4, 4, 0, -1]]),
        time=np.array([[0.001, 0.0012, 0.029, np.inf]]),
        n_neurons=6,
        t_max=0.043,  # 0.043 / 0.001 is 42.99999999999999
        value=np.array([[0.5, 0.25, -1.5, 9.0]]),
    )
    found = reader.read(GRAPH, write_nir(tmp_path, spikes=valued))["in"].reshape(43, 6)
    assert {tuple(at): found[tuple(at)] for at in np.argwhere(found).tolist()} == {
        (1, 4): 0.25,
        (29, 0): -1.5,
    }
    assert reader.findings == [
        "x.nir: in: bins with more than one event: 1; the last one's value counts. [SPK0929]"
    ]


def test_the_last_step_of_events_may_be_a_part_of_one(tmp_path: Path, reader: Reader) -> None:
    """2.5 ms are three steps of 1 ms, or no event in the last half could be kept."""
    late = nir.EventData(np.array([[5]]), np.array([[0.0024]]), 6, 0.0025)
    found = reader.read(GRAPH, write_nir(tmp_path, spikes=late))["in"]
    assert np.argwhere(found).tolist() == [[0, 2, 1, 2]]
    assert found.shape[1] == 3


def test_nir_data_without_a_step(tmp_path: Path, reader: Reader) -> None:
    """Gridded data fit a network without a step, which is said."""
    path = write_nir(tmp_path, spikes=nir.TimeGriddedData(np.zeros((1, 2, 6), bool), 1e-4))
    assert reader.read(GRAPH, path, dt=None)["in"].shape == (1, 2, 2, 3)
    assert reader.findings == [
        "x.nir: in: the data have a step of 0.0001 s, which is not compared: the network has none. "
        "[SPK0936]"
    ]


def test_mistakes_with_nir_data(tmp_path: Path, reader: Reader) -> None:
    """Another step, node, size or file; events outside."""

    def error(**observables: Any) -> str:
        path = write_nir(tmp_path, **observables)
        return message(lambda: reader.read(GRAPH, path))

    grid = np.zeros((1, 2, 6), bool)
    assert error(spikes=nir.TimeGriddedData(grid, 1e-4)) == (
        "x.nir: in: the data have a step of 0.0001 s, the network has 0.001 s. Record the data "
        "again, or load the model with that --dt. [SPK0937]"
    )
    assert error(spikes=nir.TimeGriddedData(grid[:, :, :5], 1e-3)) == (
        "x.nir: in: data of shape (1, 2, 5) do not fit the input's (2, 3). Give (samples, steps, "
        "neurons), neurons in C order. [SPK0935]"
    )
    one = nir.TimeGriddedData(grid, 1e-3)
    assert error(a=one, b=one) == (
        "x.nir: in: observables are a, b. Give 'spikes', or one observable. [SPK0934]"
    )
    late = nir.EventData(np.array([[1, 2]]), np.array([[0.0, 0.5]]), 6, 0.1)
    assert error(spikes=late) == (
        "x.nir: in: event [0, 1] has neuron 2 at 0.5 s, outside 6 neurons and 0.1 s. Correct the "
        "data. [SPK0938]"
    )
    path = write_nir(tmp_path, spikes=one)
    assert message(lambda: reader.read(LINE, path)).startswith("x.nir: in: data of shape (1, 2, 6)")
    assert message(lambda: reader.read(small.two_inputs(), path)) == (
        "x.nir: there are no data for input 'other', only for in, lif. Name the node as the "
        "network's input. [SPK0933]"
    )
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["version"] = "1"
    assert message(lambda: reader.read(GRAPH, tmp_path / "y.h5")) == (
        "y.h5: it is HDF5 but holds no NIRData. Write the input with nir.write_data; a network is "
        "given as MODEL. [SPK0931]"
    )
    with h5py.File(path, "a") as file:
        del file["nodes/in"]
        file["nodes/in"] = h5py.ExternalLink("/etc/passwd", "/")
    assert "it cannot be read as NIRData (KeyError: 'in is missing, or a link')" in message(
        lambda: reader.read(GRAPH, path)
    )
    path.write_bytes(path.read_bytes()[:300])
    assert "it cannot be read as NIRData (OSError" in message(lambda: reader.read(GRAPH, path))


# ---------------------------------------------------------------- random data, labels, read-outs


def test_random_inputs() -> None:
    """Spikes of a probability; values over what the input can hold; the same for the same seed."""
    nodes = (
        spikec.Input("spikes", (50,), Bool()),
        spikec.Input("values", (50,), Float()),
        spikec.Input("stored", (50,), FixedPoint(8, 4), 0.5),
    )
    graph = spikec.Graph("net", nodes, ())
    made = random_inputs(graph, 8, 50, 0.2, 0)
    assert made["spikes"].dtype == np.bool_
    assert abs(made["spikes"].mean() - 0.2) < 0.01
    assert (made["values"].min(), made["values"].max()) == pytest.approx((0, 1), abs=0.01)
    extremes = made["stored"].min(), made["stored"].max()
    assert extremes == pytest.approx((-128 / 16 * 0.5, 127 / 16 * 0.5), abs=0.02)
    again = random_inputs(graph, 8, 50, 0.2, 0)
    assert all(np.array_equal(made[n], again[n]) for n in made)


def test_labels(tmp_path: Path) -> None:
    """Integers, also when they are stored as floats."""
    np.save(tmp_path / "y.npy", np.array([1.0, 0.0]))
    np.savez(tmp_path / "y.npz", x=np.zeros(3), labels=np.array([1, 0], np.uint8))
    for name in ("y.npy", "y.npz"):
        assert read_labels(tmp_path / name).tolist() == [1, 0]


def test_mistakes_with_labels(tmp_path: Path) -> None:
    """Missing, of another kind, too few."""
    np.savez(tmp_path / "x.npz", x=np.zeros(3), y=np.zeros(3))
    assert message(lambda: read_labels(tmp_path / "x.npz")) == (
        "x.npz: it has no member 'labels', only x, y. Add the labels, or give another file to "
        "--labels. [SPK0942]"
    )
    assert message(lambda: read_labels(tmp_path / "no.npy")) == (
        "no.npy: it cannot be read (No such file or directory). Check the path. [SPK0941]"
    )
    for wrong in (np.zeros((2, 10)), np.array([0.5]), np.array([-1])):
        np.save(tmp_path / "y.npy", wrong)
        assert message(lambda: read_labels(tmp_path / "y.npy")) == (
            f"y.npy: labels of type {wrong.dtype} and shape {list(wrong.shape)} are no classes. "
            "Give one integer from 0 for each sample. [SPK0943]"
        )
    (tmp_path / "y.txt").write_text("0 1 2 3 4 5 6 7 8 9")
    assert "does not begin as a numpy array" in message(lambda: read_labels(tmp_path / "y.txt"))
    assert message(lambda: signals.check_labels(np.arange(3), 4)) == (
        "--labels: 3 labels for 4 samples. Give one label for each sample. [SPK0944]"
    )


def test_read_outs() -> None:
    """Ties go to the lowest index; an output without spikes is class 0."""
    spikes = np.zeros((4, 5, 3), bool)
    spikes[0, [2, 3], 2] = spikes[0, 0, 1] = True
    spikes[1, 1, 2] = spikes[1, 1, 1] = True
    spikes[3, 4, 1] = True
    assert read_out(spikes, "count").tolist() == [2, 1, 0, 1]
    assert read_out(spikes, "first").tolist() == [1, 1, 0, 1]
    assert read_out(spikes.astype(np.int64) * 2, "first").tolist() == [1, 1, 0, 1]
    values = np.zeros((2, 4, 2, 2))
    values[0, 3, 1, 0] = values[1, 0, 0, 1] = 0.5
    assert read_out(values, "membrane").tolist() == [2, 1]


def test_read_outs_of_networks() -> None:
    """Spikes and counts are counted, also in floating point; values are not."""
    for build, method in (
        (small.spiking, "count"),
        (small.counting, "count"),
        (small.values, "membrane"),
    ):
        for pipeline in ("discretize", "discretize,quantize"):
            program = spikec.compile(build(), pipeline=pipeline)
            output = spikec.simulate(program, small.data()).output
            assert read_out(output, method).shape == (3,)


def test_mistakes_with_read_outs() -> None:
    """A read-out that does not fit its output would give arbitrary classes."""
    assert message(lambda: read_out(np.zeros((1, 2, 3), bool), "membrane")) == (
        "--readout: 'membrane' does not fit an output of spikes. Use count or first. [SPK0946]"
    )
    assert message(lambda: read_out(np.zeros((1, 2, 3)), "count")) == (
        "--readout: 'count' does not fit an output of values. Use membrane or last. [SPK0946]"
    )
    assert message(lambda: read_out(np.zeros((1, 2, 3)), "vote")) == (
        "--readout: 'vote' is unknown. Use one of count, membrane, last, first. [SPK0945]"
    )
