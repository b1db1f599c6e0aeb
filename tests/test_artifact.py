"""Builds: the same bytes every time, whole or not at all, and safe to open whoever made them."""

import errno
import hashlib
import io
import json
import os
import random
import re
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small
import spikec
from spikec.backends.cpu.engine import Engine
from spikec.compiler import disk, npz
from spikec.compiler.artifact import json_text
from spikec.compiler.text import arrays, print_program


def program(pipeline: str = "discretize") -> spikec.Program:
    return spikec.compile(small.spiking(), pipeline=pipeline)


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A build of a small quantised network."""
    spikec.emit(program("discretize,quantize"), tmp_path / "build")
    return tmp_path / "build"


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def message(call: Callable[[], object]) -> str:
    """Return the line of the SpikecError, without the folder of this test run."""
    with pytest.raises(spikec.SpikecError) as caught:
        call()
    return re.sub(r"/\S*/test_\S*?/", "", str(caught.value))


# ---------------------------------------------------------------- what is written


@pytest.mark.parametrize("pipeline", ["discretize", "discretize,quantize,retime"])
def test_open_returns_what_was_emitted(tmp_path: Path, pipeline: str) -> None:
    """Text, arrays, reports and outputs survive."""
    made = program(pipeline)
    artifact = spikec.emit(made, tmp_path / "build")
    found = spikec.open(tmp_path / "build")
    assert artifact.files == ("arrays.npz", "manifest.json", "program.txt", "reports.json")
    assert print_program(found) == print_program(made)
    assert found.reports == made.reports
    inputs = small.data()
    assert np.array_equal(
        spikec.simulate(found, inputs).output, spikec.simulate(made, inputs).output
    )


def test_reports_travel(tmp_path: Path) -> None:
    """The report of quantize, measured figures included, is read back."""
    made = spikec.compile(small.spiking(), calibration=small.data(), pipeline="discretize,quantize")
    spikec.emit(made, tmp_path / "build")
    found = spikec.open(tmp_path / "build").reports["quantize"]
    assert found["samples"] == 3
    assert found == json.loads(json_text(made.reports))["quantize"]


def test_integers_are_stored_narrow(build: Path) -> None:
    """8-bit weights take a byte each; numpy reads the file."""
    stored = spikec.open(build)
    with np.load(build / "arrays.npz") as file:
        kinds = {file[name].dtype.name for name in file.files}
        assert set(file.files) == set(arrays(stored))
    assert "int8" in kinds
    assert kinds <= {"int8", "uint8", "int16", "uint16", "int32", "uint32"}


def test_the_manifest_names_every_other_file(build: Path) -> None:
    """Versions, target, pipeline, metadata, and the SHA-256 of each file; keys are sorted."""
    text = (build / "manifest.json").read_text()
    manifest = json.loads(text)
    assert set(manifest) == {"files", "format", "metadata", "pipeline", "spikec", "target"}
    assert list(manifest) == sorted(manifest)
    assert manifest["metadata"] == {"origin": "a test"}
    assert manifest["pipeline"] == "discretize,quantize"
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((build / name).read_bytes()).hexdigest() == digest


def test_json_holds_what_json_has_no_number_for() -> None:
    """numpy values become plain ones; infinities become text, since JSON has none."""
    value = {"b": np.float64(0.5), "a": np.arange(2), "c": float("inf"), "d": (None, True)}
    assert json.loads(json_text(value)) == {"a": [0, 1], "b": 0.5, "c": "inf", "d": [None, True]}


# ---------------------------------------------------------------- whole or not at all


def unsupported(a: Path, b: Path) -> bool:
    """Stand for a system without renameat2."""
    return False


def test_an_older_build_is_replaced(tmp_path: Path) -> None:
    """And nothing else is left beside it."""
    for pipeline in ("discretize", "discretize,quantize"):
        spikec.emit(program(pipeline), tmp_path / "build")
    assert spikec.open(tmp_path / "build").passes == "discretize,quantize"
    assert os.listdir(tmp_path) == ["build"]


def test_a_link_to_a_folder_is_followed(tmp_path: Path) -> None:
    """The build goes where the link points."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "build").symlink_to(tmp_path / "disk")
    for _ in range(2):
        spikec.emit(program(), tmp_path / "build")
    assert (tmp_path / "build").is_symlink()
    assert (tmp_path / "disk" / "manifest.json").is_file()
    assert spikec.open(tmp_path / "build").passes == "discretize"


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
@pytest.mark.parametrize("existing", [True, False])
def test_an_interrupted_emit_leaves_the_old_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, existing: bool
) -> None:
    """Disk full or Ctrl-C in the middle: the old build is untouched, and nothing else is there."""
    place = tmp_path / "new" / "build"
    if existing:
        spikec.emit(program(), place)
    before = content(place) if existing else {}

    def fail(self: Engine, program: spikec.Program, folder: Path) -> tuple[str, ...]:
        assert (folder / "program.txt").is_file()
        raise error

    monkeypatch.setattr(Engine, "emit", fail)
    with pytest.raises((spikec.SpikecError, KeyboardInterrupt)) as caught:
        spikec.emit(program("discretize,quantize"), place)
    if isinstance(caught.value, spikec.SpikecError):
        assert str(caught.value) == (
            f"{place}: it cannot be written (No space left on device). Check the place, its "
            "permissions and the free space. [SPK0801]"
        )
    if existing:
        assert content(place) == before
        assert os.listdir(place.parent) == ["build"]
    else:
        assert os.listdir(tmp_path) == []


def test_where_folders_cannot_be_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old build is set aside for a moment, and gone afterwards."""
    monkeypatch.setattr(disk, "rename_exchange", unsupported)
    for pipeline in ("discretize", "discretize,quantize"):
        spikec.emit(program(pipeline), tmp_path / "build")
    assert spikec.open(tmp_path / "build").passes == "discretize,quantize"
    assert os.listdir(tmp_path) == ["build"]


def test_open_restores_a_build_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between the two renames leaves the old build under another name."""
    place = tmp_path / "build"
    spikec.emit(program(), place)
    monkeypatch.setattr(disk, "rename_exchange", unsupported)
    rename = os.rename

    class Crash(BaseException):
        """The process dies here: nothing that follows may run."""

    def dying(source: Any, target: Any) -> None:
        if Path(target) == place and not place.exists():
            raise Crash
        rename(source, target)

    with monkeypatch.context() as dead:
        dead.setattr(os, "rename", dying)
        with pytest.raises(Crash):
            spikec.emit(program("discretize,quantize"), place)
    assert not place.exists()
    assert spikec.open(place).passes == "discretize"
    assert os.listdir(tmp_path) == ["build"]
    spikec.emit(program("discretize,quantize"), place)
    assert spikec.open(place).passes == "discretize,quantize"


def test_a_failing_second_rename_puts_the_old_build_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk refuses the new name after the old build has been set aside."""
    place = tmp_path / "build"
    spikec.emit(program(), place)
    monkeypatch.setattr(disk, "rename_exchange", unsupported)
    rename = os.rename

    def refusing(source: Any, target: Any) -> None:
        if Path(target) == place and not place.exists() and "old" not in Path(source).name:
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refusing)
    assert "Input/output error" in message(lambda: spikec.emit(program(), place))
    assert place.is_dir()
    assert spikec.open(place).passes == "discretize"
    assert os.listdir(tmp_path) == ["build"]


def test_what_is_not_a_build_is_not_replaced(tmp_path: Path) -> None:
    """A file, a folder with other content, and a build into which something was put."""
    (tmp_path / "thesis.txt").write_text("years of work")
    assert message(lambda: spikec.emit(program(), tmp_path)) == (
        f"{tmp_path}: it holds 'thesis.txt', which is not part of a spikec build. Choose another "
        "folder, or move that away. [SPK0804]"
    )
    assert "it is a file, not a folder" in message(
        lambda: spikec.emit(program(), tmp_path / "thesis.txt")
    )
    spikec.emit(program(), tmp_path / "build")
    (tmp_path / "build" / "results").mkdir()
    (tmp_path / "build" / "results" / "a.npz").touch()
    assert "it holds 'results/a.npz'" in message(lambda: spikec.emit(program(), tmp_path / "build"))
    (tmp_path / "empty").mkdir()
    spikec.emit(program(), tmp_path / "empty")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """One line that names the path and the reason."""
    (tmp_path / "file").touch()
    assert message(lambda: spikec.emit(program(), tmp_path / "file" / "build")) == (
        "file/build: it cannot be written (Not a directory). Check the place, its "
        "permissions and the free space. [SPK0801]"
    )


def test_a_target_that_cannot_take_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written; the finding is the error."""

    def refuse(self: Engine, program: spikec.Program) -> tuple[spikec.Finding, ...]:
        return (spikec.Finding("SPK9999", "hidden", "too large"),)

    monkeypatch.setattr(Engine, "supports", refuse)
    assert message(lambda: spikec.emit(program(), tmp_path / "build")) == (
        "hidden: target 'cpu' cannot take it: too large. See all findings with spikec check. "
        "[SPK0803]"
    )
    assert os.listdir(tmp_path) == []


# ---------------------------------------------------------------- hostile builds


def reseal(build: Path, **changes: Any) -> None:
    """Make the manifest fit the files again, as an attacker would."""
    manifest = json.loads((build / "manifest.json").read_text())
    for name in manifest["files"]:
        manifest["files"][name] = hashlib.sha256((build / name).read_bytes()).hexdigest()
    manifest |= changes
    (build / "manifest.json").write_text(json.dumps(manifest))


def test_a_changed_file_is_noticed(build: Path) -> None:
    """Every file, by its hash."""
    for name in ("program.txt", "arrays.npz", "reports.json"):
        original = (build / name).read_bytes()
        (build / name).write_bytes(original + b" ")
        assert message(lambda: spikec.open(build)) == (
            f"build: {name}: the file is not the one the manifest describes (its SHA-256 differs). "
            "Compile again with spikec. [SPK0815]"
        )
        (build / name).write_bytes(original)
    spikec.open(build)


def link(build: Path) -> None:
    (build / "program.txt").rename(build / "elsewhere")
    (build / "program.txt").symlink_to(build / "elsewhere")


def pipe(build: Path) -> None:
    (build / "program.txt").unlink()
    os.mkfifo(build / "program.txt")


def outside(build: Path) -> None:
    (build.parent / "secret").write_text("secret")
    manifest = json.loads((build / "manifest.json").read_text())
    manifest["files"]["../secret"] = "0" * 64
    (build / "manifest.json").write_text(json.dumps(manifest))


def deep(build: Path) -> None:
    (build / "manifest.json").write_text("[" * 1_000_000)


def no_arrays(build: Path) -> None:
    np.savez(build / "arrays.npz")
    reseal(build)


def huge_number(build: Path) -> None:
    text = (build / "program.txt").read_text().replace("start=0", "start=" + "9" * 5000)
    (build / "program.txt").write_text(text)
    reseal(build)


def negative_delay(build: Path) -> None:
    text = (build / "program.txt").read_text().replace("delay=2", "delay=-2")
    (build / "program.txt").write_text(text)
    reseal(build)


def other_program(build: Path) -> None:
    text = (build / "program.txt").read_text().replace("a test", "a lie")
    (build / "program.txt").write_text(text)
    reseal(build)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (
        lambda b: (b / "manifest.json").unlink(),
        "build: it is not a spikec build, as there is no manifest.json in it. Make one with spikec "
        "compile MODEL -o BUILD. [SPK0810]",
    ),
    "file missing": (
        lambda b: (b / "arrays.npz").unlink(),
        "build: the build is incomplete: there is no arrays.npz in it. Make one with spikec "
        "compile MODEL -o BUILD. [SPK0810]",
    ),
    "link": (
        link,
        "build: program.txt: it is a link, a folder or a device, not a plain file. Compile again "
        "with spikec. [SPK0816]",
    ),
    "pipe": (
        pipe,
        "build: program.txt: it is a link, a folder or a device, not a plain file. Compile again "
        "with spikec. [SPK0816]",
    ),
    "path outside": (
        outside,
        "build: manifest.json: names of files missing or of the wrong form. Compile again with "
        "spikec. [SPK0813]",
    ),
    "deep json": (
        deep,
        "build: manifest.json: it is not a JSON object. Compile again with spikec. [SPK0812]",
    ),
    "wrong type": (
        lambda b: reseal(b, metadata=3, target=None),
        "build: manifest.json: target, metadata missing or of the wrong form. Compile again with "
        "spikec. [SPK0813]",
    ),
    "later format": (
        lambda b: reseal(b, format=2, spikec="9.9"),
        "build: the build has format 2, this spikec reads format 1. Use spikec 9.9, or compile "
        "again. [SPK0814]",
    ),
    "no arrays": (no_arrays, ""),
    "huge number": (huge_number, ""),
    "program that does not hold together": (
        negative_delay,
        "build: last -> hidden: delay -2 is negative. Use 0 or more. [SPK0521]",
    ),
    "other program": (
        other_program,
        "build: manifest and program differ. Compile again with spikec. [SPK0819]",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_builds_are_refused(build: Path, case: str) -> None:
    """Each in one line that says what is wrong."""
    change, expected = HOSTILE[case]
    change(build)
    found = message(lambda: spikec.open(build))
    assert "\n" not in found
    assert found == expected if expected else found


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """The system's reason is given."""
    assert message(lambda: spikec.open(tmp_path / "build")) == (
        "build: it cannot be read (No such file or directory). Check the path, or "
        "compile again. [SPK0811]"
    )


def test_damaged_programs_are_refused_in_one_line(build: Path) -> None:
    """Whatever is cut from, repeated in or replaced in the text, opening never fails otherwise."""
    text = (build / "program.txt").read_text()
    draw = random.Random(0)
    words = [*sorted(set(re.findall(r"\w+|[^\w\s]", text))), "-1", "9" * 30, "nan"]
    refused: list[str] = []
    for _ in range(400):
        at = draw.randrange(len(text))
        end = min(len(text), at + draw.randrange(1, 12))
        damaged = text[:at] + draw.choice(["", text[at:end] * 2, draw.choice(words)]) + text[end:]
        (build / "program.txt").write_text(damaged)
        reseal(build)
        try:
            spikec.open(build)
        except spikec.SpikecError as error:
            refused.append(str(error))
    assert len(refused) > 200
    assert not any("\n" in line for line in refused)


# ---------------------------------------------------------------- hostile arrays


def npy(shape: tuple[int, ...], data: bytes, dtype: str = "|i1") -> bytes:
    """Return a .npy file whose header says what we like."""
    stream = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    npz.npy.write_array_header_1_0(stream, header)
    return stream.getvalue() + data


def archive(**members: bytes) -> io.BytesIO:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    stream.seek(0)
    return stream


def read(stream: io.BytesIO) -> str:
    return message(lambda: npz.read_npz(stream, "x.npz"))


def test_arrays_survive(tmp_path: Path) -> None:
    """All plain types and orders, and batches that are written one after another."""
    given = {
        "a": np.arange(6, dtype=">i4").reshape(2, 3),
        "b": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "empty": np.zeros((0, 3)),
        "scalar": np.array(2.5),
        "flags": np.array([True, False]),
    }
    npz.write_npz(tmp_path / "x.npz", given)
    with (tmp_path / "x.npz").open("rb") as stream:
        found = npz.read_npz(stream, "x.npz")
    (tmp_path / "pieces").mkdir()
    writer = npz.BatchWriter(tmp_path / "pieces", 5)
    for size in (2, 3):
        writer.add({"s/a": np.full((size, 2), size), "b": np.ones((size, 1), bool)})
    writer.finish(tmp_path / "y.npz")
    for name, array in given.items():
        assert np.array_equal(found[name], array)
        assert found[name].shape == array.shape
        with np.load(tmp_path / "x.npz") as file:
            assert np.array_equal(file[name], array)
    for name in ("x.npz", "y.npz"):
        with zipfile.ZipFile(tmp_path / name) as packed:
            assert {info.date_time for info in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    with np.load(tmp_path / "y.npz") as file:
        assert file.files == ["b", "s/a"]
        assert file["s/a"].tolist() == [[2, 2]] * 2 + [[3, 3]] * 3


def test_what_numpy_writes_is_read(tmp_path: Path) -> None:
    """Compressed, Fortran-ordered, half precision."""
    given = {"a": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "b": np.ones(3, np.float16)}
    np.savez_compressed(tmp_path / "x.npz", **given)  # type: ignore[arg-type]
    with (tmp_path / "x.npz").open("rb") as stream:
        found = npz.read_npz(stream, "x.npz")
    assert all(np.array_equal(found[name], given[name]) for name in given)
    np.save(tmp_path / "x.npy", given["a"])
    assert np.array_equal(npz.read_npy(tmp_path / "x.npy"), given["a"])


def test_bombs_are_refused_unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    """More data than a header declares, a header of gigabytes, a size beyond all memory."""
    again = "Write the file again; it is damaged or was made to exhaust memory. [SPK0824]"
    zeros = bytes(50_000_000)
    unpacked: list[int] = []
    reading = zipfile.ZipExtFile.read

    def counting(self: zipfile.ZipExtFile, n: int | None = -1) -> bytes:
        data = reading(self, n)
        unpacked.append(len(data))
        return data

    monkeypatch.setattr(zipfile.ZipExtFile, "read", counting)
    assert read(archive(a=npy((10,), zeros))) == (
        f"x.npz: a: 50000128 bytes of data where its header declares 138. {again}"
    )
    assert read(archive(a=npy((1 << 40,), zeros))) == (
        f"x.npz: a: 50000128 bytes of data where its header declares {128 + (1 << 40)}. {again}"
    )
    long_header = b"\x93NUMPY\x02\x00" + (1 << 30).to_bytes(4, "little") + zeros
    assert "x.npz: a has a header of 1073741836 bytes" in read(archive(a=long_header))
    monkeypatch.setattr(npz, "MAX_BYTES", 100)
    assert read(archive(a=npy((60,), bytes(60)), b=npy((60,), bytes(60)))) == (
        "x.npz: its arrays take 120 bytes, more than the 100 that are read. Split it into several "
        "files. [SPK0825]"
    )
    assert sum(unpacked) < 2000


def test_other_hostile_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pickles, text, members of other kinds, too many of them, and what is no archive at all."""
    assert read(archive(a=npy((1,), b"", "|O"))) == (
        "x.npz: a: it holds object, not plain numbers. Store integers, floats or booleans; pickled "
        "objects are never read. [SPK0823]"
    )
    assert "holds <U3" in read(archive(a=npy((1,), bytes(12), "<U3")))
    assert "declares the shape" in read(archive(a=npy((-1,), b"")))
    assert "does not begin as a numpy array" in read(archive(a=b"PNG"))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("setup.py", "import os")
    assert read(stream) == (
        "x.npz: member 'setup.py' is no array, stands twice, or is packed otherwise. Write it with "
        "numpy.savez. [SPK0827]"
    )
    assert read(io.BytesIO(b"PK\x03\x04 and no more")) == (
        "x.npz: it is not a readable array file (File is not a zip file). Write it with numpy.save "
        "or numpy.savez. [SPK0821]"
    )
    damaged = archive(a=npy((1000,), bytes(range(250)) * 4)).getvalue()
    for at in range(0, len(damaged), 7):
        broken = damaged[:at] + bytes([damaged[at] ^ 0x55]) + damaged[at + 1 :]
        with suppress(spikec.SpikecError):
            npz.read_npz(io.BytesIO(broken), "x.npz")
    monkeypatch.setattr(npz, "MAX_MEMBERS", 1)
    assert "2 arrays exceed the 1 that are read" in read(archive(a=npy((), b"1"), b=npy((), b"1")))


def test_a_build_with_a_bomb(build: Path) -> None:
    """Reaches the user as one line."""
    with zipfile.ZipFile(build / "arrays.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.npy", npy((10,), bytes(1_000_000)))
    reseal(build)
    assert message(lambda: spikec.open(build)) == (
        "build: arrays.npz: a: 1000128 bytes of data where its header declares 138. Write the file "
        "again; it is damaged or was made to exhaust memory. [SPK0824]"
    )
