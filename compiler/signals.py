"""Signals in and out: inputs and labels from files, encodings of real values, read-outs.

Inputs are arrays (samples, steps, *shape) by input name. A file is .npy, .npz, an event list in a
.npz (see ``events``), or NIRData. An encoding turns (samples, *shape) into such an array:

    constant   the value in every step
    rate       a spike with the value as its probability, drawn by numpy's default_rng(seed)
    latency    0 never spikes; else one spike, in step floor((1 - value) * (steps - 1) + 1/2)
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.events import Clock, Report, grid_events, is_event_list, read_nir_data
from spikec.compiler.ir import Graph, Input
from spikec.compiler.npz import MAX_BYTES, read_npy, read_npz
from spikec.compiler.types import Array, Bool, FixedPoint, Float

Encoding = Literal["constant", "rate", "latency"]
Readout = Literal["count", "membrane", "last", "first"]

ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
READOUTS: tuple[Readout, ...] = get_args(Readout)

_HDF5 = b"\x89HDF\r\n\x1a\n"


def warn(finding: Finding) -> None:
    """Report a finding as a Python warning."""
    warnings.warn(str(finding), stacklevel=2)


def quiet(finding: Finding) -> None:
    """Drop a finding, where it is told elsewhere."""


@dataclass(frozen=True, slots=True)
class _Task:
    """What a file is read for."""

    path: Path
    inputs: tuple[Input, ...]
    clock: Clock
    encoding: str | None
    seed: int

    @property
    def where(self) -> str:
        """The file's name, for messages."""
        return str(self.path)


# ---------------------------------------------------------------- inputs


def read_inputs(
    path: str | Path,
    graph: Graph,
    dt: float | None = None,
    encoding: str | None = None,
    steps: int | None = None,
    seed: int = 0,
    report: Report = warn,
) -> dict[str, Array]:
    """Read the inputs of a network from a file.

    Args:
        path: .npy, .npz or NIRData; what it is is read from its first bytes.
        graph: The network.
        dt: Step in seconds, for data in continuous time.
        encoding: constant, rate or latency, for real values (samples, *shape); None otherwise.
        steps: Number of steps; needed by an encoding, else by default as many as the data have.
        seed: Of the rate encoding; input k of several uses seed + k.
        report: Takes findings.

    Raises:
        SpikecError: SPK0901 to SPK0939, and the errors of ``npz``.
    """
    if not graph.inputs:
        raise SpikecError("SPK0902", graph.name, "the network has no input", "Leave the data out")
    task = _Task(Path(path), graph.inputs, Clock(dt, steps, report), encoding, seed)
    try:
        return _read(task)
    except OSError as error:
        raise SpikecError(
            "SPK0901",
            task.where,
            f"it cannot be read ({error.strerror or error})",
            "Check the path",
        ) from error


def _read(task: _Task) -> dict[str, Array]:
    with task.path.open("rb") as stream:
        start = stream.read(8)
        stream.seek(0)
        if start == _HDF5:
            _refuse_encoding(task, "NIRData")
            return read_nir_data(task.path, task.inputs, task.clock)
        if start.startswith(b"PK"):
            members = read_npz(stream, task.where)
            if is_event_list(members, task.inputs):
                _refuse_encoding(task, "an event list")
                return {n.name: grid_events(task.where, members, n, task.clock) for n in _one(task)}
            return _shaped(task, _by_name(task, members))
    if not start.startswith(b"\x93NUMPY"):
        raise SpikecError(
            "SPK0903",
            task.where,
            "it is none of .npy, .npz and NIRData",
            "Write it with numpy.save, numpy.savez or nir.write_data",
        )
    return _shaped(task, {node.name: read_npy(task.path) for node in _one(task)})


def _one(task: _Task) -> tuple[Input, ...]:
    """Return the only input, for files that hold one."""
    if len(task.inputs) != 1:
        raise SpikecError(
            "SPK0904",
            task.where,
            f"it holds data for one input, the network has {_names(task)}",
            "Give a .npz with a member for each",
        )
    return task.inputs


def _names(task: _Task) -> str:
    return ", ".join(i.name for i in task.inputs)


def _refuse_encoding(task: _Task, what: str) -> None:
    if task.encoding is not None:
        raise SpikecError(
            "SPK0905", "--encode", f"{task.where} is {what}, which has steps", "Leave out --encode"
        )


def _by_name(task: _Task, members: Mapping[str, Array]) -> dict[str, Array]:
    """Return the members that are inputs; a single one may have any name."""
    found = {name: a for name, a in members.items() if name != "labels"}
    names = [i.name for i in task.inputs]
    if len(names) == 1 and len(found) == 1:
        return {names[0]: next(iter(found.values()))}
    if set(found) != set(names):
        raise SpikecError(
            "SPK0906",
            task.where,
            f"it has the members {', '.join(sorted(members)) or 'none'}, "
            f"the network the inputs {', '.join(names)}",
            "Name each member as its input",
        )
    return found


def _shaped(task: _Task, found: Mapping[str, Array]) -> dict[str, Array]:
    """Return arrays (samples, steps, *shape), encoded if that is asked for."""
    made: dict[str, Array] = {}
    for k, node in enumerate(task.inputs):
        data = found[node.name]
        if task.encoding is None:
            made[node.name] = _stepped(task, node, data)
        else:
            _check_shape(task, node, data, "samples")
            made[node.name] = encode(data, task.encoding, task.clock.steps, task.seed + k)
    return made


def _stepped(task: _Task, node: Input, data: Array) -> Array:
    if data.ndim == 1 + len(node.shape) and data.shape[1:] == node.shape:
        message = f"the array {list(data.shape)} is taken as one sample of {len(data)} steps"
        task.clock.report(Finding("SPK0907", f"input '{node.name}'", message))
        data = data[None]
    _check_shape(task, node, data, "samples, steps")
    if task.clock.steps not in (None, data.shape[1]):
        raise SpikecError(
            "SPK0908",
            "--steps",
            f"{task.clock.steps} steps are asked for, {task.where} has {data.shape[1]}",
            "Leave out --steps, or cut the data",
        )
    return data


def _check_shape(task: _Task, node: Input, data: Array, leading: str) -> None:
    axes = 1 + leading.count(",")
    if data.shape[axes:] != node.shape or data.ndim != axes + len(node.shape) or not data.size:
        other = "" if task.encoding else ", or turn values into spikes with --encode"
        sizes = ", ".join(str(n) for n in node.shape)
        raise SpikecError(
            "SPK0909",
            task.where,
            f"the array {list(data.shape)} is no ({leading}, {sizes}) for input '{node.name}'",
            f"Reshape the data{other}",
        )


# ---------------------------------------------------------------- encodings


def encode(values: Array, method: str, steps: int | None, seed: int = 0) -> Array:
    """Turn real values (samples, *shape) into a signal (samples, steps, *shape).

    Raises:
        SpikecError: SPK0911 to SPK0914 on the method, the steps, the values or the size.
    """
    if method not in ENCODINGS:
        raise SpikecError(
            "SPK0911", "--encode", f"'{method}' is unknown", f"Use one of {', '.join(ENCODINGS)}"
        )
    if steps is None or steps < 1:
        raise SpikecError("SPK0912", "--encode", f"'{method}' needs --steps", "Give 1 or more")
    if method == "constant":
        shape = (len(values), steps, *values.shape[1:])
        return np.broadcast_to(values[:, None], shape)
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        raise SpikecError(
            "SPK0913",
            "--encode",
            f"value {values[wrong].flat[0]:g} is outside 0 to 1, which '{method}' needs",
            "Scale the data, for instance divide by the largest value",
        )
    if values.size * steps > MAX_BYTES:
        raise SpikecError(
            "SPK0914",
            "--encode",
            f"{values.size} values in {steps} steps do not fit in memory",
            "Give fewer samples or steps",
        )
    return _rate(values, steps, seed) if method == "rate" else _latency(values, steps)


def _rate(values: Array, steps: int, seed: int) -> Array:
    """Return the same as ``default_rng(seed).random(all) < value``, in the memory of a sample."""
    random = np.random.default_rng(seed)
    made = np.empty((len(values), steps, *values.shape[1:]), dtype=np.bool_)
    for sample, row in zip(made, values, strict=True):
        sample[:] = random.random(sample.shape) < row
    return made


def _latency(values: Array, steps: int) -> Array:
    at = np.floor((1.0 - values.astype(np.float64)) * (steps - 1) + 0.5)
    at[values == 0] = -1
    every = np.arange(steps).reshape(1, steps, *(1,) * (values.ndim - 1))
    return np.asarray(at[:, None] == every)


def random_inputs(
    graph: Graph, samples: int, steps: int, probability: float, seed: int
) -> dict[str, Array]:
    """Return random data: spikes of a probability, or values uniform over what an input holds.

    A floating-point input holds any number; it gets 0 to 1.
    """
    random = np.random.default_rng(seed)
    made: dict[str, Array] = {}
    for node in graph.inputs:
        numbers = random.random((samples, steps, *node.shape))
        match node.signal:
            case Bool():
                made[node.name] = numbers < probability
            case FixedPoint(lo=lo, hi=hi, frac=frac):
                made[node.name] = (lo + numbers * (hi - lo)) * 2.0**-frac * node.scale
            case Float():
                made[node.name] = numbers
    return made


# ---------------------------------------------------------------- labels and read-outs


def read_labels(path: str | Path) -> Array:
    """Return classes (samples,) from a .npy, or from the member ``labels`` of a .npz.

    Raises:
        SpikecError: SPK0941 to SPK0943, and the errors of ``npz``.
    """
    place = Path(path)
    try:
        with place.open("rb") as stream:
            packed = stream.read(2) == b"PK"
            stream.seek(0)
            members = read_npz(stream, str(place)) if packed else {}
        labels = members.get("labels") if packed else read_npy(place)
    except OSError as error:
        raise SpikecError(
            "SPK0941", str(place), f"it cannot be read ({error.strerror})", "Check the path"
        ) from error
    if labels is None:
        raise SpikecError(
            "SPK0942",
            str(place),
            f"it has no member 'labels', only {', '.join(sorted(members))}",
            "Add the labels, or give another file to --labels",
        )
    whole = labels.dtype.kind in "iu" or (labels.dtype.kind == "f" and not np.any(labels % 1))
    if labels.ndim != 1 or not whole or bool(np.any(labels < 0)):
        raise SpikecError(
            "SPK0943",
            str(place),
            f"labels of type {labels.dtype} and shape {list(labels.shape)} are no classes",
            "Give one integer from 0 for each sample",
        )
    return labels.astype(np.int64)


def check_labels(labels: Array, samples: int) -> None:
    """Refuse labels that are not one for each sample.

    Raises:
        SpikecError: SPK0944.
    """
    if len(labels) != samples:
        raise SpikecError(
            "SPK0944",
            "--labels",
            f"{len(labels)} labels for {samples} samples",
            "Give one label for each sample",
        )


def read_out(output: Array, method: str) -> Array:
    """Return the class (samples,) that an output (samples, steps, *shape) stands for.

    count is the neuron that spikes most; first the one that spikes earliest; of an output of values
    membrane is the one with the largest value in any step, last the one in the last step. The
    lowest index wins a tie, so an output without spikes is class 0.

    Raises:
        SpikecError: SPK0945 on the method, SPK0946 where it does not fit the output.
    """
    if method not in READOUTS:
        raise SpikecError(
            "SPK0945", "--readout", f"'{method}' is unknown", f"Use one of {', '.join(READOUTS)}"
        )
    values = output.dtype.kind == "f"
    if values != (method in ("membrane", "last")):
        raise SpikecError(
            "SPK0946",
            "--readout",
            f"'{method}' does not fit an output of {'values' if values else 'spikes'}",
            "Use membrane or last" if values else "Use count or first",
        )
    flat = output.reshape(*output.shape[:2], -1)
    scores: Mapping[str, Callable[[Array], Array]] = {
        "count": lambda sent: np.asarray(sent.sum(axis=1)),
        "membrane": lambda values: np.asarray(values.max(axis=1)),
        "last": lambda values: np.asarray(values[:, -1]),
        "first": _earliness,
    }
    return np.asarray(np.argmax(scores[method](flat), axis=1))


def _earliness(sent: Array) -> Array:
    """Return minus the step of the first spike, or minus the number of steps without one."""
    fired = sent > 0
    step = np.argmax(fired, axis=1)
    step[~fired.any(axis=1)] = sent.shape[1]
    return np.asarray(-step)
