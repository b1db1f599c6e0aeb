"""Recordings in continuous time, binned into steps of dt: event lists in .npz, and NIRData.

An event at time t falls into step floor(t / dt). A time that is a step's edge up to the rounding of
its own number type belongs to the step that begins there: 0.043 s is step 43 of 1 ms, though
0.043 / 0.001 is 42.99999999999999.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from spikec.compiler.apart import Result, run_apart
from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.ir import Input
from spikec.compiler.npz import MAX_BYTES
from spikec.compiler.types import Array
from spikec.compiler.untyped import h5py

Report = Callable[[Finding], None]

# To read a file of NIRData at least; more for large files.
SECONDS, BYTES_PER_SECOND = 30, 20 << 20

TIMES = {"t": 1.0, "t_us": 1e6}  # units per second
AXES = ("p", "y", "x")
SAMPLES = ("sample", "n")


@dataclass(frozen=True, slots=True)
class Clock:
    """How time becomes steps.

    Attributes:
        dt: Step in seconds, or None where the network has none.
        steps: Number of steps, or None for as many as the data need.
        report: Takes findings.
    """

    dt: float | None
    steps: int | None
    report: Report

    def step(self, where: str) -> float:
        """Return dt.

        Raises:
            SpikecError: SPK0921 when there is none.
        """
        if self.dt is None:
            raise SpikecError(
                "SPK0921",
                where,
                "event times are in seconds but the network has no step",
                "Load the model with --dt",
            )
        return self.dt


def bins(times: Array, step: float) -> Array:
    """Return the step of each time, both in the same unit, as float64."""
    kind = times.dtype if times.dtype.kind == "f" else np.dtype(np.float64)
    exact = times.astype(np.float64) / step
    nearest = np.rint(exact)
    slack = 4 * float(np.finfo(kind).eps) * np.maximum(np.abs(exact), 1.0)
    return np.where(np.abs(exact - nearest) <= slack, nearest, np.floor(exact))


# ---------------------------------------------------------------- event lists


def is_event_list(members: Mapping[str, Array], inputs: tuple[Input, ...]) -> bool:
    """Return whether a .npz holds events: it has times, and no input is called so."""
    return any(name in members and name not in {i.name for i in inputs} for name in TIMES)


def grid_events(where: str, members: Mapping[str, Array], node: Input, clock: Clock) -> Array:
    """Return the spikes (samples, steps, *shape) of an event list.

    Raises:
        SpikecError: SPK0921 to SPK0929 on missing or unknown members, lengths, types, the first
            event outside the input, or a size no memory holds.
    """
    time, axes = _check_members(where, members, node)
    events = len(members[time])
    sample = _sample_of_event(where, members, events)
    channel = np.zeros(events, dtype=np.int64)
    for axis, size in zip(axes, node.shape, strict=True):
        at = members[axis].astype(np.int64)
        _check_events(where, axis, members[axis], (at < 0) | (at >= size), f"0 to {size - 1}")
        channel = channel * size + at
    times = members[time]
    _check_events(where, time, times, ~((times >= 0) & np.isfinite(times)), "0 and later")
    at_step = bins(times, clock.step(where) * TIMES[time])
    samples = len(members["n"]) if "n" in members else int(sample.max(initial=0)) + 1
    return _fill(where, node, clock, samples, (sample, at_step, channel))


def _check_members(
    where: str, members: Mapping[str, Array], node: Input
) -> tuple[str, tuple[str, ...]]:
    """Return the name of the times and those of the coordinates, in order of the axes."""
    axes = AXES[-len(node.shape) :] if len(node.shape) <= len(AXES) else ()
    times = [name for name in TIMES if name in members]
    allowed = {*times, *axes, *SAMPLES, "labels"}
    missing = [name for name in axes if name not in members]
    extra = [name for name in members if name not in allowed]
    if not axes or missing or extra or len(times) > 1 or set(SAMPLES) <= set(members):
        wanted = ", ".join([*axes, "t or t_us"]) if axes else "no event list"
        raise SpikecError(
            "SPK0922",
            where,
            f"members {', '.join(sorted(members))} do not describe events for input '{node.name}' "
            f"of shape {node.shape}",
            f"Give {wanted}, and sample (per event) or n (events per sample) where there are many",
        )
    lengths = {name: members[name].shape for name in (*times, *axes)}
    if "sample" in members:
        lengths["sample"] = members["sample"].shape
    if len(set(lengths.values())) > 1 or members[times[0]].ndim != 1 or not members[times[0]].size:
        sizes = ", ".join(f"{name} {list(shape)}" for name, shape in lengths.items())
        raise SpikecError(
            "SPK0923", where, f"the members have the lengths {sizes}", "Give one of each per event"
        )
    for name in {*axes, *SAMPLES} & set(members):
        if members[name].dtype.kind not in "biu":
            raise SpikecError(
                "SPK0924", where, f"'{name}' holds {members[name].dtype}", "Give integers"
            )
    return times[0], axes


def _sample_of_event(where: str, members: Mapping[str, Array], events: int) -> Array:
    if "sample" in members:
        sample = members["sample"].astype(np.int64)
        _check_events(where, "sample", members["sample"], sample < 0, "0 and up")
        return sample
    if "n" not in members:
        return np.zeros(events, dtype=np.int64)
    counts = members["n"].astype(np.int64)
    if counts.ndim != 1 or int(counts.min(initial=0)) < 0 or int(counts.sum()) != events:
        raise SpikecError(
            "SPK0925",
            where,
            f"'n' adds up to {int(counts.sum())} events of {events}",
            "Give the number of events of each sample",
        )
    return np.repeat(np.arange(len(counts)), counts)


def _check_events(where: str, name: str, values: Array, wrong: Array, allowed: str) -> None:
    if wrong.any():
        first = int(np.argmax(wrong))
        raise SpikecError(
            "SPK0926",
            where,
            f"event {first} has {name} = {values[first]}, outside {allowed}",
            "Correct the data or the input's shape",
        )


def _fill(
    where: str,
    node: Input,
    clock: Clock,
    samples: int,
    events: tuple[Array, Array, Array],
    values: Array | None = None,
) -> Array:
    """Return the grid; several events in one bin are one spike, or the last value counts."""
    sample, at_step, channel = events
    steps = int(at_step.max()) + 1 if clock.steps is None else clock.steps
    if samples * steps * node.size > MAX_BYTES:
        raise SpikecError(
            "SPK0927",
            where,
            f"{samples} samples of {steps} steps of {node.size} channels do not fit in memory",
            "Check the unit of t (seconds) or t_us (microseconds), dt and sample",
        )
    inside = at_step < steps
    late = int(np.count_nonzero(~inside))
    if late:
        clock.report(
            Finding("SPK0928", where, f"events left out, in or after step {steps}: {late:,}")
        )
    index = ((sample * steps + at_step.astype(np.int64)) * node.size + channel)[inside]
    shared = int(np.count_nonzero(np.unique(index, return_counts=True)[1] > 1))
    if shared:
        rule = "each counts as one spike" if values is None else "the last one's value counts"
        message = f"bins with more than one event: {shared:,}; {rule}"
        clock.report(Finding("SPK0929", where, message))
    grid: Array = np.zeros(samples * steps * node.size, np.bool_ if values is None else np.float64)
    grid[index] = True if values is None else values[inside]
    return grid.reshape(samples, steps, *node.shape)


# ---------------------------------------------------------------- NIRData


def read_nir_data(path: Path, inputs: tuple[Input, ...], clock: Clock) -> dict[str, Array]:
    """Return the inputs of a file that ``nir.write_data`` wrote, (samples, steps, *shape).

    Each input takes the observable ``spikes`` of the node of its name, or the only observable.

    Raises:
        SpikecError: SPK0931 to SPK0939.
    """
    found: list[Finding] = []
    told = replace(clock, report=found.append)

    def work() -> Result:
        made = _read_nir_data(path, inputs, told)
        return [[f.code, f.where, f.message] for f in found], list(made.values())

    seconds = SECONDS + path.stat().st_size // BYTES_PER_SECOND
    findings, arrays = run_apart(path.name, work, seconds, 2 * MAX_BYTES)
    for parts in findings:
        clock.report(Finding(*parts))
    return {node.name: array for node, array in zip(inputs, arrays, strict=True)}


def _read_nir_data(path: Path, inputs: tuple[Input, ...], clock: Clock) -> dict[str, Array]:
    with _readable(path.name), h5py.File(path, "r") as file:
        if _text(file.attrs.get("__type__")) != "NIRGraphData":
            raise SpikecError(
                "SPK0931",
                path.name,
                "it is HDF5 but holds no NIRData",
                "Write the input with nir.write_data; a network is given as MODEL",
            )
        nodes = dict(_nodes(file, ""))
        return {i.name: _observable(path.name, nodes, i, clock) for i in inputs}


@contextmanager
def _readable(where: str) -> Generator[None]:
    """Turn whatever h5py raises on a broken file into one error."""
    try:
        yield
    except (SpikecError, MemoryError):
        raise
    except Exception as error:  # h5py raises a dozen types, by version
        raise SpikecError(
            "SPK0932",
            where,
            f"it cannot be read as NIRData ({type(error).__name__}: {str(error)[:100]})",
            "Write it with nir.write_data",
        ) from error


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _nodes(group: Any, prefix: str) -> Generator[tuple[str, Any]]:
    """Give every node with data by its path, ``outer.inner``."""
    inside = _member(group, "nodes")
    for name in inside:
        node = _member(inside, name)
        if _text(node.attrs["__type__"]) == "NIRGraphData":
            yield from _nodes(node, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", node


def _member(group: Any, name: str) -> Any:
    """Return a member that lies in the file itself, not behind a link to another."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise KeyError(f"{name} is missing, or a link")
    return group[name]


def _numbers(group: Any, name: str) -> Array:
    data = _member(group, name)
    if data.dtype.kind not in "biuf" or data.is_virtual or data.external:
        raise TypeError(f"{name} holds {data.dtype}, or lies outside the file")
    if data.nbytes > MAX_BYTES:
        raise ValueError(f"{name} takes {data.nbytes} bytes")
    return np.asarray(data[()])


def _observable(where: str, nodes: Mapping[str, Any], node: Input, clock: Clock) -> Array:
    if node.name not in nodes:
        raise SpikecError(
            "SPK0933",
            where,
            f"there are no data for input '{node.name}', only for {', '.join(sorted(nodes))}",
            "Name the node as the network's input",
        )
    where = f"{where}: {node.name}"
    observables = _member(nodes[node.name], "observables")
    names = list(observables)
    if "spikes" not in names and len(names) != 1:
        raise SpikecError(
            "SPK0934",
            where,
            f"observables are {', '.join(sorted(names)) or 'none'}",
            "Give 'spikes', or one observable",
        )
    chosen = _member(observables, "spikes" if "spikes" in names else names[0])
    gridded = _text(chosen.attrs["__type__"]) == "TimeGriddedData"
    made = _gridded(where, chosen, clock) if gridded else _from_events(where, chosen, node, clock)
    if made.ndim != 3 or made.shape[2] != node.size:
        raise SpikecError(
            "SPK0935",
            where,
            f"data of shape {made.shape} do not fit the input's {node.shape}",
            "Give (samples, steps, neurons), neurons in C order",
        )
    return made.reshape(*made.shape[:2], *node.shape)


def _gridded(where: str, group: Any, clock: Clock) -> Array:
    dt = float(group.attrs["dt"])
    if clock.dt is None:
        message = f"the data have a step of {dt:g} s, which is not compared: the network has none"
        clock.report(Finding("SPK0936", where, message))
    elif abs(dt - clock.dt) > 1e-9 * clock.dt:
        raise SpikecError(
            "SPK0937",
            where,
            f"the data have a step of {dt:g} s, the network has {clock.dt:g} s",
            "Record the data again, or load the model with that --dt",
        )
    return _numbers(group, "data")


def _from_events(where: str, group: Any, node: Input, clock: Clock) -> Array:
    """Return the grid of EventData or ValuedEventData; index -1 and time inf mean no event."""
    index, times = _numbers(group, "idx"), _numbers(group, "time")
    present = index != -1
    size, end = int(group.attrs["n_neurons"]), float(group.attrs["t_max"])
    wrong = present & ((index < 0) | (index >= size) | ~(times >= 0) | ~(times < end))
    wrong |= ~present & np.isfinite(times)
    if index.ndim != 2 or index.shape != times.shape or wrong.any():
        at = tuple(int(k) for k in np.argwhere(wrong)[0]) if wrong.any() else ()
        what = f"neuron {index[at]} at {times[at]} s" if at else f"shape {index.shape}"
        raise SpikecError(
            "SPK0938",
            where,
            f"event {list(at)} has {what}, outside {size} neurons and {end:g} s",
            "Correct the data",
        )
    dt = clock.step(where)
    # As many steps as it takes to reach the end: a ceiling.
    steps = int(-bins(np.array([-end]), dt)[0]) if clock.steps is None else clock.steps
    events = (
        np.nonzero(present)[0],
        bins(times[present], dt),
        index[present].astype(np.int64),
    )
    valued = _text(group.attrs["__type__"]) == "ValuedEventData"
    values = _numbers(group, "value")[present] if valued else None
    flat, clocked = Input(node.name, (size,)), Clock(dt, steps, clock.report)
    return _fill(where, flat, clocked, len(index), events, values)
