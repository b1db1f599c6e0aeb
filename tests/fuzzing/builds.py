"""Mutations of a build folder that know its structure.

Each takes the folder, a generator, and a folder outside with decoys. ``seal`` makes the manifest
fit again, as an attacker would, so that what lies behind the hashes is reached. Those in
``REFUSED`` must lead to an error.
"""

import hashlib
import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fuzzing import hostile
from spikec.compiler.errors import SpikecError
from spikec.compiler.npz import npy, read_npz
from spikec.compiler.text import digest

MANIFEST, PROGRAM, ARRAYS, REPORTS = "manifest.json", "program.txt", "arrays.npz", "reports.json"
FILES = (MANIFEST, PROGRAM, ARRAYS, REPORTS)
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|->|[A-Za-z0-9_.:+-]+|[\[\](){}=,*]|\s+')
WORDS = (
    *("none", "float", "bool", "s8.0", "u1.0", "s62.0", "u62.9999", "s8.-9999", "s99.0", "f64[2]"),
    *(
        "i64",
        "nan",
        "inf",
        "-inf",
        "1e999",
        "1e-999",
        "-1",
        "0",
        "1",
        "2",
        "2.5",
        "1e300",
        "9" * 19,
    ),
    *("9" * 400, "3:s8.0", "999:s8.0", "4611686018427387903:s62.0", "*0.5", "*nan", "*0", "*1e300"),
    *("[2,2]", "[-1]", "[]", "[0]", "[4294967296,4294967296]", "[1000000,2000]", "[16777216]"),
    *(
        "lif",
        "cuba_lif",
        "relay",
        "dense",
        "conv2d",
        "one_to_one",
        "zero",
        "subtract",
        "ge",
        "next",
    ),
    *("before", "old", "sha:0000000000000000", '""', '"\\ud800"', "2147483647", "2147483648"),
    *("10000", "1000000", "9223372036854775807", "cpu", "discretize", "v:s16.8:floor:wrap", "wrap"),
    *(json.dumps(n) for n in hostile.NAMES if len(n) < 200),
    *(n for n in hostile.NAMES if 0 < len(n) < 200),
)


def seal(folder: Path) -> None:
    """Make the hashes, and what else the manifest repeats, fit the files."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
        for name in manifest["files"]:
            manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        text = (folder / PROGRAM).read_text()
        manifest["metadata"] = {
            json.loads(a): json.loads(b)
            for a, b in re.findall(r'^meta ("(?:[^"\\]|\\.)*") ("(?:[^"\\]|\\.)*")$', text, re.M)
        }
        head = re.search(r'^program target=(\S+) passes=("(?:[^"\\]|\\.)*")$', text, re.M)
        if head:
            manifest["target"], manifest["pipeline"] = head[1], json.loads(head[2])
        path.write_text(json.dumps(manifest))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return  # it is damaged already


# ---------------------------------------------------------------- the text


def _text(folder: Path) -> str:
    return (folder / PROGRAM).read_text(errors="replace")


def _write(folder: Path, text: str) -> None:
    (folder / PROGRAM).write_bytes(text.encode("utf-8", "surrogatepass"))


def tokens(folder: Path, rnd: Random, outside: Path) -> None:
    """One to three tokens become other ones, or hostile words."""
    parts = TOKEN.findall(_text(folder))
    places = [k for k, t in enumerate(parts) if t.strip()]
    for _ in range(rnd.choice([1, 1, 1, 2, 3])):
        place = rnd.choice(places)
        kind = rnd.random()
        if kind < 0.45:
            parts[place] = rnd.choice(WORDS)
        elif kind < 0.8:
            parts[place] = rnd.choice([parts[k] for k in places])
        else:
            parts[place] = rnd.choice(["", parts[place] + " " + parts[place]])
    _write(folder, "".join(parts))
    seal(folder)


def number(folder: Path, rnd: Random, outside: Path) -> None:
    """One number in the text becomes another that fits the grammar."""
    text = _text(folder)
    found = list(re.finditer(r"(?<=[=\[,: ])-?\d+(\.\d+)?(e-?\d+)?(?=[,\s\])])", text))
    for match in sorted(rnd.sample(found, min(len(found), rnd.choice([1, 1, 2]))), reverse=True,
                        key=lambda m: m.start()):  # fmt: skip
        whole = "." not in match[0]
        other = rnd.choice(hostile.INTEGERS) if whole else hostile.number(rnd)
        if rnd.random() < 0.4:
            near = float(match[0]) + rnd.choice([-1, 1, 2, 0.5])
            other = int(near) if whole else near * rnd.choice([1, -1, 10])
        text = text[: match.start()] + repr(other) + text[match.end() :]
    _write(folder, text)
    seal(folder)


def field(folder: Path, rnd: Random, outside: Path) -> None:
    """The value of one field becomes that of another, or a word that may stand there."""
    text = _text(folder)
    found = list(re.finditer(r"(\w+)=([^\s,()\[\]{}\"]+)", text))
    a, b = rnd.choice(found), rnd.choice(found)
    words = ["zero", "value", "subtract", "none", "same", "next", "before", "after", "gt", "ge"]
    words += ["new", "old", "jump", "freeze", "dense", "sparse", "conv", "input", "bool", "float"]
    new = rnd.choice([b[2], rnd.choice(words), rnd.choice(WORDS)])
    _write(folder, text[: a.start(2)] + new + text[a.end(2) :])
    seal(folder)


def lines(folder: Path, rnd: Random, outside: Path) -> None:
    """A line is lost, doubled, moved, or taken from another build."""
    rows = _text(folder).splitlines()
    at = rnd.randrange(len(rows))
    match rnd.randrange(5):
        case 0:
            del rows[at]
        case 1:
            rows.insert(rnd.randrange(len(rows) + 1), rows[at])
        case 2:
            rows.insert(rnd.randrange(len(rows)), rows.pop(at))
        case 3:
            rows[at:at] = [rows[at].replace("hidden", "other").replace(" in ", " more ")]
        case _:
            rows[at:at] = (outside / "text").read_text().splitlines()[rnd.randrange(3, 9) :]
    _write(folder, "\n".join(rows) + "\n")
    seal(folder)


def names(folder: Path, rnd: Random, outside: Path) -> None:
    """A node gets another name, hostile or not, everywhere."""
    text = _text(folder)
    found = re.findall(r"^(?:input|population|output) (\S+)", text, re.M)
    if found:
        old, new = rnd.choice(found), hostile.name(rnd)[:300]
        text = re.sub(rf"\b{re.escape(old)}\b", lambda _: new, text)
    _write(folder, text)
    seal(folder)


def edges(folder: Path, rnd: Random, outside: Path) -> None:
    """A projection ends elsewhere, closes a cycle, comes later, arrives at another port."""
    text = _text(folder)
    nodes = [*re.findall(r"^(?:input|population|output) (\S+)", text, re.M), "nothing"]
    found = list(re.finditer(r"^projection (\S+) -> (\S+) port=(\S+) delay=(\S+)", text, re.M))
    if not found:
        return
    match, group = rnd.choice(found), rnd.randrange(1, 5)
    new = str(rnd.choice([nodes, nodes, ["basal", "excitatory", ""], hostile.INTEGERS][group - 1]))
    if group < 3 and rnd.random() < 0.7:
        new = rnd.choice(nodes)
    text = text[: match.start(group)] + new + text[match.end(group) :]
    _write(folder, text)
    seal(folder)


# ---------------------------------------------------------------- JSON


def manifest(folder: Path, rnd: Random, outside: Path) -> None:
    """A value of the manifest or of the reports is another, of another type, or missing."""
    path = folder / rnd.choice([MANIFEST, MANIFEST, REPORTS])
    try:
        whole: Any = json.loads(path.read_text())
    except ValueError:
        return
    if dict not in type(whole).__mro__:
        return
    at: dict[str, Any] = whole
    while at:
        key = rnd.choice(sorted(at))
        inner: Any = at[key]
        if dict not in type(inner).__mro__ or rnd.random() < 0.4:
            others: list[Any] = [None, -1, 1 << 70, 1e308, "", "x" * 999, [], {}, True]
            others += hostile.NAMES
            at[key] = rnd.choice(others)
            if rnd.random() < 0.2:
                at[hostile.name(rnd)] = at.pop(key)
            break
        at = inner
    path.write_text(json.dumps(whole))
    if path.name == REPORTS:
        seal(folder)


def odd_json(folder: Path, rnd: Random, outside: Path) -> None:
    """JSON that is deep, long, doubled, not JSON, or no object."""
    path = folder / rnd.choice([MANIFEST, REPORTS])
    whole = path.read_text(errors="replace")
    forms = ["[" * 200_000, '{"a":' * 5000, "null", "[]", "NaN", "", "1" * 100_000, whole * 2]
    forms += [whole.replace("{", '{"files": {}, ', 1), "\ufeff" + whole, whole.replace('"', "'")]
    forms += [f'{{"a": {"9" * 10_000}}}', '{"a": 1e400}', '{"a": "\\ud800"}']
    path.write_text(forms[rnd.randrange(len(forms))])
    if path.name == REPORTS:
        seal(folder)


def tamper(folder: Path, rnd: Random, outside: Path) -> None:
    """A file or a hash changes, and the manifest does not."""
    if rnd.random() < 0.5:
        path = folder / rnd.choice(FILES[1:])
        with path.open("ab") as stream:
            stream.write(b" ")
        return
    whole = json.loads((folder / MANIFEST).read_text())
    name = rnd.choice(sorted(whole["files"]))
    whole["files"][name] = hashlib.sha256(rnd.randbytes(8)).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(whole))


def listed(folder: Path, rnd: Random, outside: Path) -> None:
    """The manifest names files that are elsewhere or not there, with a right hash."""
    whole = json.loads((folder / MANIFEST).read_text())
    good = hashlib.sha256((outside / "text").read_bytes()).hexdigest()
    far = [str(outside / "text"), f"../{outside.name}/text", "/etc/passwd", "a/../../b", "missing"]
    far += [".", "..", "", "a//b", "./program.txt", "\0", "a\n", "deep/" * 20 + "x", "PROGRAM.TXT"]
    whole["files"][far[rnd.randrange(len(far))]] = good
    (folder / MANIFEST).write_text(json.dumps(whole))


# ---------------------------------------------------------------- arrays


def _members(folder: Path) -> dict[str, Any]:
    try:
        with (folder / ARRAYS).open("rb") as stream:
            return read_npz(stream, ARRAYS, 1 << 20)
    except (OSError, SpikecError):
        return {}


def _store(folder: Path, arrays: dict[str, Any], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(folder / ARRAYS, "w", method) as packed:
        for name, data in arrays.items():
            stream = io.BytesIO()
            np.save(stream, data, allow_pickle=True)
            packed.writestr(f"{name}.npy", stream.getvalue())


def numbers(folder: Path, rnd: Random, outside: Path) -> None:
    """Numbers of an array change, and its hash in the text with them."""
    arrays = _members(folder)
    if not arrays:
        return
    name = rnd.choice(sorted(arrays))
    data = np.array(arrays.pop(name))
    flat = data.reshape(-1)
    for _ in range(rnd.choice([1, 1, flat.size])):
        with np.errstate(all="ignore"):
            new: Any = rnd.choice(hostile.INTEGERS) if data.dtype.kind in "iu" else 0
            new = hostile.number(rnd) if data.dtype.kind == "f" else new
            wide = flat.astype(np.int64) if data.dtype.kind in "iu" else flat
            wide[rnd.randrange(flat.size)] = np.int64(new) if abs(new) < 1 << 62 else 5
            flat = wide
    data = flat.reshape(data.shape)
    arrays[digest(data)] = data
    _write(folder, _text(folder).replace(name, digest(data)))
    _store(folder, arrays)
    seal(folder)


def resized(folder: Path, rnd: Random, outside: Path) -> None:
    """An array has another size, and the text says so, or does not."""
    arrays = _members(folder)
    if not arrays:
        return
    name = rnd.choice(sorted(arrays))
    data = np.array(arrays.pop(name))
    other = np.resize(data, rnd.choice([(1,), (2, 2), (3, 1, 2, 2), (0,), (), (7,), (4, 6)]))
    arrays[digest(other)] = other
    sizes = str(list(other.shape)).replace(" ", "")
    text = re.sub(rf"\[[0-9,]*\] sha:{name}", f"{sizes} sha:{digest(other)}", _text(folder))
    _write(folder, text)
    _store(folder, arrays)
    seal(folder)


def member(folder: Path, rnd: Random, outside: Path) -> None:
    """A member is of another type or name, doubled, missing, or no array."""
    arrays = _members(folder)
    if not arrays:
        return
    name = rnd.choice(sorted(arrays))
    data = arrays[name]
    objects = np.array([Bomb()], dtype=object)
    others = [objects, data.astype(str), data.astype(complex), data.astype("M8[s]"), data[None]]
    others += [data.astype(np.float32), data.astype(bool), np.array("x"), data.astype(">i4")]
    others += [
        np.zeros(3, [("a", "f8")]),
        data.astype(np.longdouble),
        data.reshape((1,) * 30 + data.shape),
    ]
    arrays[name] = others[rnd.randrange(len(others))]
    if rnd.random() < 0.2:
        arrays[hostile.name(rnd)[:200].replace("\0", "0").encode("ascii", "replace").decode()] = (
            data
        )
    _store(
        folder, arrays, rnd.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
    )
    seal(folder)


class Bomb:
    """What runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        run: Any = vars(os)["system"]  # posix.system, by its name in a pickle
        return run, (f"touch {hostile.CANARY}",)


def zip_bomb(folder: Path, rnd: Random, outside: Path) -> None:
    """A member that unpacks to more than its header, or the archive, says; or far too many."""
    arrays = _members(folder)
    name = rnd.choice(sorted(arrays)) if arrays else "a"
    honest = rnd.random() < 0.2  # it holds what it declares, and nothing but zeros
    declared = rnd.choice([(10,), (1 << 40,), (1 << 31,), (1 << 28,), (1 << 62, 4), (-1,)])
    kind = rnd.choice(["|i1", "<f8", "|O"])
    if honest:
        declared, kind = (1 << 26,), "|i1"
    header = {"descr": kind, "fortran_order": False, "shape": declared}
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, header)
    with zipfile.ZipFile(folder / ARRAYS, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        size = 1 << 26 if honest else rnd.choice([0, 10, 20_000_000])
        packed.writestr(f"{name}.npy", stream.getvalue() + bytes(size))
        for k in range(rnd.choice([0, 0, 2000])):
            packed.writestr(f"m{k}.npy", b"")
        if rnd.random() < 0.3:
            packed.writestr("../../escape.npy", b"x")
    if rnd.random() < 0.4:
        data = bytearray((folder / ARRAYS).read_bytes())
        for mark in (b"PK\x01\x02", b"PK\x03\x04"):
            at = data.find(mark) + (24 if mark[2] == 1 else 22)
            data[at : at + 4] = rnd.choice([b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", bytes(4)])
        (folder / ARRAYS).write_bytes(data)
    seal(folder)


# ---------------------------------------------------------------- the folder


def link(folder: Path, rnd: Random, outside: Path) -> None:
    """A file becomes a link to one that is as good, or to one that is secret."""
    path = folder / rnd.choice(FILES)
    twin = outside / f"twin-{folder.name}"
    if rnd.random() < 0.8:
        shutil.copy(path, twin)
    else:
        twin = Path("/etc/passwd")
    path.unlink()
    path.symlink_to(twin)


def special(folder: Path, rnd: Random, outside: Path) -> None:
    """A file becomes a pipe, a folder, a device, a link to itself, or is gone."""
    path = folder / rnd.choice(FILES)
    path.unlink()
    match rnd.randrange(5):
        case 0:
            os.mkfifo(path)
        case 1:
            path.mkdir()
        case 2:
            path.symlink_to("/dev/zero")
        case 3:
            path.symlink_to(path)
        case _:
            pass


def extra(folder: Path, rnd: Random, outside: Path) -> None:
    """Files that the manifest does not know, also ones that Python would run."""
    for name in rnd.sample(["conftest.py", "numpy.py", "json.py", "sitecustomize.py", "x.pth"], 2):
        (folder / name).write_text(f"open('{hostile.CANARY}', 'w')\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "link").symlink_to("/")


Edit = Callable[[Path, Random, Path], None]
EDITS: dict[str, Edit] = {
    f.__name__: f
    for f in (
        *(tokens, number, field, lines, names, edges, manifest, odd_json, tamper, listed),
        *(numbers, resized, member, zip_bomb, link, special, extra),
    )
}
REFUSED = frozenset({"tamper", "link", "special", "listed"})
WEIGHTS = {"number": 6, "field": 5, "edges": 4, "numbers": 6, "tokens": 4, "resized": 3, "lines": 2}
