"""Work that may crash, hang or exhaust memory, done in a process of its own.

The HDF5 library is written in C and does not survive every damaged file. What it reads is read in a
fork of this process, under limits, and comes back as JSON and numbers: this process never opens the
file with it, and nothing is unpickled.
"""

import faulthandler
import json
import os
import resource
import signal
from collections.abc import Callable, Sequence
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array

Result = tuple[Any, Sequence[Array]]

# Waiting is allowed longer than working: the machine may be busy.
_PATIENCE = 6


def run_apart(where: str, work: Callable[[], Result], seconds: int, memory: int) -> Result:
    """Return what ``work`` returns: a JSON value, and arrays of real numbers or flags.

    Args:
        where: The file, for messages.
        work: Runs in the fork; what it changes is lost.
        seconds: Processor time that it may take.
        memory: Bytes that it may use on top of what this process has.

    Raises:
        SpikecError: SPK1060 when it does not come back, or what ``work`` raises.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _run(work, writing, seconds, memory)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as stream:
            result = _receive(stream)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        _, status = os.waitpid(child, 0)
    if result is None:
        cause = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "an error"
        raise SpikecError(
            "SPK1060",
            where,
            f"reading it was ended by {cause}, with limits of {seconds} s and {memory >> 20} MiB",
            "Write the file again; it is damaged or was made to do harm",
        )
    value, arrays = result
    if "error" in value:
        raise SpikecError(*value["error"])
    return value["value"], arrays


def _receive(stream: BufferedReader) -> tuple[dict[str, Any], list[Array]] | None:
    """Return the message, or None where the other side died before it was whole."""
    head = stream.readline()
    if not head.endswith(b"\n"):
        return None
    value: dict[str, Any] = json.loads(head)
    arrays: list[Array] = []
    for kind, shape in value["arrays"]:
        flat: Array = np.empty(prod(shape), np.dtype(kind))
        if stream.readinto(flat.view(np.uint8).data) != flat.nbytes:
            return None
        arrays.append(flat.reshape(shape))
    return value, arrays


# ---------------------------------------------------------------- in the fork


def _run(work: Callable[[], Result], writing: int, seconds: int, memory: int) -> None:
    """Work, send the result, and end without any clean-up: it belongs to the other process."""
    code = 1
    try:
        _limit(seconds, memory)
        try:
            value, arrays = work()
            arrays = [np.asarray(a, _kind(a), order="C") for a in arrays]
            sent = [(a.dtype.str, a.shape) for a in arrays]
            message: dict[str, Any] = {"value": value, "arrays": sent}
        except SpikecError as error:
            message = {"error": error.args, "arrays": []}
            arrays = []
        with os.fdopen(writing, "wb") as stream:
            stream.write(json.dumps(message).encode() + b"\n")
            for array in arrays:
                stream.write(array.reshape(-1).view(np.uint8).data)
        code = 0
    finally:
        os._exit(code)


def _kind(array: Array) -> Any:
    """Return the type in which numbers are sent: their own, unless it is wider than float64."""
    return array.dtype.newbyteorder("=") if array.dtype.itemsize <= 8 else np.dtype(np.float64)


def _limit(seconds: int, memory: int) -> None:
    """Bound this process, and let it die in silence."""
    faulthandler.disable()
    for number in (signal.SIGALRM, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    signal.alarm(seconds * _PATIENCE)
    try:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return  # where that is not told, the limits on what a file may declare must do
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = used + memory
    resource.setrlimit(
        resource.RLIMIT_AS,
        (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard),
    )
