"""Which mutation of which seed a case number stands for, and making it.

Case ``n`` of a campaign is the same in every process: its generator is seeded with both numbers.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from random import Random

from fuzzing import builds, hdf5, hostile
from spikec.compiler.untyped import h5py

# Shares of the four kinds of cases: damaged bytes of files and builds, edited files and builds.
KINDS = {"file bytes": 25, "build bytes": 10, "file": 35, "build": 30}
STRUCTURED = ("file", "build")


@dataclass(frozen=True)
class Case:
    """A mutant on disk.

    Attributes:
        number: Its number in the campaign.
        kind: One of ``KINDS``.
        seed: Name of the good file or build.
        edits: Names of the mutations.
        path: The file or folder.
        refused: Whether it must not load.
    """

    number: int
    kind: str
    seed: str
    edits: tuple[str, ...]
    path: Path
    refused: bool


def generator(campaign: int, number: int, what: str = "mutation") -> Random:
    """Return the generator of a case."""
    return Random(f"{campaign}/{number}/{what}")


def make(campaign: int, number: int, seeds: Path, folder: Path) -> Case:
    """Write mutant ``number`` into an empty folder; ``seeds`` has networks, builds and outside."""
    rnd = generator(campaign, number)
    kind = rnd.choices(list(KINDS), list(KINDS.values()))[0]
    base = seeds / ("networks" if kind.startswith("file") else "builds")
    seed = rnd.choice(sorted(p for p in base.iterdir()))
    outside = seeds / "outside"
    if kind.startswith("file"):
        path = folder / "model.nir"
        shutil.copy(seed, path)
        edit = _damage_file if kind == "file bytes" else _edit_file
    else:
        path = folder / "build"
        shutil.copytree(seed, path)
        edit = _damage_build if kind == "build bytes" else _edit_build
    edits = edit(path, rnd, outside)
    # What another edit did before may have made the link or the hash irrelevant.
    refused = edits[:1] and edits[0] in (builds.REFUSED if path.is_dir() else hdf5.REFUSED)
    return Case(number, kind, seed.name, edits, path, bool(refused) and kind in STRUCTURED)


def _damage_file(path: Path, rnd: Random, outside: Path) -> tuple[str, ...]:
    data = bytearray(path.read_bytes())
    name = rnd.choice([*hostile.BYTES, "structure", "structure", "overwrite"])
    hostile.BYTES[name](data, rnd)
    path.write_bytes(data)
    return (name,)


def _damage_build(path: Path, rnd: Random, outside: Path) -> tuple[str, ...]:
    file = path / rnd.choice(builds.FILES)
    data = bytearray(file.read_bytes())
    name = rnd.choice(list(hostile.BYTES))
    hostile.BYTES[name](data, rnd)
    file.write_bytes(data)
    if rnd.random() < 0.8:
        builds.seal(path)
    return (name,)


def _edit_file(path: Path, rnd: Random, outside: Path) -> tuple[str, ...]:
    names, weights = list(hdf5.EDITS), [hdf5.WEIGHTS.get(n, 1) for n in hdf5.EDITS]
    done: list[str] = []
    with h5py.File(path, "r+") as file:
        for _ in range(rnd.choice([1, 1, 1, 2, 3])):
            name = rnd.choices(names, weights)[0]
            try:
                hdf5.EDITS[name](file, rnd, outside)
            except hdf5.NothingError:
                continue
            except (KeyError, ValueError, TypeError, AttributeError, OSError, RuntimeError):
                # h5py refuses to write it, perhaps with half of it written: good enough.
                name += "?"
            done.append(name)
            if name in hdf5.REFUSED:
                break
    return tuple(done)


def _edit_build(path: Path, rnd: Random, outside: Path) -> tuple[str, ...]:
    names, weights = list(builds.EDITS), [builds.WEIGHTS.get(n, 1) for n in builds.EDITS]
    first = rnd.choices(names, weights)[0]
    builds.EDITS[first](path, rnd, outside)
    if first in builds.REFUSED or rnd.random() < 0.7:
        return (first,)
    second = rnd.choices(names, weights)[0]
    try:
        builds.EDITS[second](path, rnd, outside)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return (first,)  # the first has left nothing to edit
    return (first, second)
