"""Work in a process apart: results come back whole, and no crash, hang or hunger does."""

import ctypes
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import net_files
from nir_files import chain, lif, write
from spikec.compiler import apart
from spikec.compiler.apart import Result, run_apart
from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends import hdf5_file
from spikec.compiler.frontends.lava_dl_file import read_net
from spikec.compiler.frontends.nir_file import read_nir

SECONDS, MEMORY = 2, 256 << 20


def run(work: Callable[[], Result]) -> Result:
    return run_apart("x.nir", work, SECONDS, MEMORY)


def failure(work: Callable[[], Any]) -> str:
    with pytest.raises(SpikecError) as caught:
        run(work)
    return str(caught.value)


def test_results_come_back() -> None:
    """JSON values, and arrays of every kind of number, in their own types and shapes."""
    kinds = ["f8", "f4", "f2", ">f4", "i8", ">i2", "u1", "u8", "?"]
    arrays = [np.arange(6).reshape(2, 3).astype(k) for k in kinds]
    arrays += [np.array(2.5), np.zeros((0, 3)), np.arange(6).reshape(2, 3).T]
    wide = np.array([1.5], np.longdouble)
    value, found = run(lambda: ({"a": [1, "é\n"]}, [*arrays, wide]))
    assert value == {"a": [1, "é\n"]}
    for given, got in zip(arrays, found, strict=False):
        assert np.array_equal(given, got)
        assert given.shape == got.shape
        assert given.dtype.newbyteorder("=") == got.dtype
    assert found[-1].dtype == np.float64
    assert found[-1] == 1.5


def test_large_results_come_back() -> None:
    """More than a pipe holds."""
    big = np.random.default_rng(0).random(3_000_000)
    _, (found,) = run(lambda: (None, [big]))
    assert np.array_equal(found, big)


def test_errors_come_back() -> None:
    """With all their parts."""

    def work() -> Result:
        raise SpikecError("SPK0000", "here", "it is 3", "Use 2")

    assert failure(work) == "here: it is 3. Use 2. [SPK0000]"


def crash() -> Result:
    ctypes.string_at(0)
    raise AssertionError


def hang() -> Result:
    while True:
        pass


def sleep() -> Result:
    time.sleep(60)
    raise AssertionError


def eat() -> Result:
    return None, [np.ones(200 << 20)]


def leave() -> Result:
    os._exit(0)


def stumble() -> Result:
    raise KeyError("a bug")


@pytest.mark.parametrize(
    ("work", "cause"),
    [
        (crash, f"signal {signal.SIGSEGV.value}"),
        (hang, f"signal {signal.SIGXCPU.value}"),
        (sleep, f"signal {signal.SIGALRM.value}"),
        (eat, "an error"),
        (leave, "an error"),
        (stumble, "an error"),
    ],
)
def test_what_does_not_come_back(
    work: Callable[[], Result],
    cause: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """One line, and silence from the process that died."""
    if work is sleep:
        monkeypatch.setattr(apart, "_PATIENCE", 1)
    assert failure(work) == (
        f"x.nir: reading it was ended by {cause}, with limits of 2 s and 256 MiB. Write the file "
        "again; it is damaged or was made to do harm. [SPK1060]"
    )
    assert capfd.readouterr() == ("", "")


def test_a_half_sent_result_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies between the numbers."""

    class Dying:
        dtype, shape = np.dtype("f8"), (4,)

    def as_it_is(a: Any, *_: Any, **__: Any) -> Any:
        return a

    array: Any = Dying()
    monkeypatch.setattr(np, "asarray", as_it_is)
    assert "was ended by an error" in failure(lambda: (None, [array]))


def test_the_library_reads_no_file_in_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash of HDF5 on a NIR or lava-dl file is an error of that file."""
    path = write(tmp_path / "net.nir", chain([1], [1], n=lif()))
    other = net_files.write(tmp_path / "net.net", net_files.random_net(0))
    read_nir(path)
    read_net(other)

    def crashing(*_: Any) -> None:
        crash()

    monkeypatch.setattr(hdf5_file, "TextReader", crashing)
    with pytest.raises(SpikecError, match=r"net.nir: reading it was ended by signal 11.*SPK1060"):
        read_nir(path)
    with pytest.raises(SpikecError, match=r"net.net: reading it was ended by signal 11.*SPK1060"):
        read_net(other)


def test_no_process_is_left() -> None:
    """Each is waited for."""
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
