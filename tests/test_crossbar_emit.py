"""What is emitted: levels that give the weights back, windows of writing, netlists that solve."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import spikec
from spikec.backends.crossbar import Circuit
from spikec.backends.crossbar.plan import plan
from spikec.backends.crossbar.spice import netlist
from spikec.compiler import cli
from spikec.compiler.artifact import emit, open_folder
from spikec.compiler.types import Array


def solved(text: str) -> dict[str, float]:
    """Return the current of every voltage source of a netlist, by modified nodal analysis."""
    parts = [line.split() for line in text.splitlines() if line[:1] in ("r", "v")]
    names = sorted({n for p in parts for n in p[1:3]} - {"0"})
    node = {n: k for k, n in enumerate(names)}
    sources = [p for p in parts if p[0][0] == "v"]
    size = len(names) + len(sources)
    matrix, right = np.zeros((size, size)), np.zeros(size)
    for p in parts:
        ends = [(node[n], s) for n, s in ((p[1], 1), (p[2], -1)) if n != "0"]
        if p[0][0] == "r":
            for a, s in ends:
                for b, t in ends:
                    matrix[a, b] += s * t / float(p[3])
    for k, p in enumerate(sources, len(names)):
        for a, s in ((node[n], s) for n, s in ((p[1], 1), (p[2], -1)) if n != "0"):
            matrix[a, k] += s
            matrix[k, a] += s
        right[k] = float(p[4])
    found = np.linalg.solve(matrix, right)
    return {p[0]: float(found[k]) for k, p in enumerate(sources, len(names))}


@pytest.mark.parametrize(("word", "bit"), [(2.0, 3.0), (0.0, 3.0), (2.0, 0.0)])
def test_a_netlist_is_the_circuit(word: float, bit: float) -> None:
    """Its solution by another method gives the currents of ``Circuit``."""
    random = np.random.default_rng(0)
    g = random.uniform(1e-6, 40e-6, (5, 4)) * (random.random((5, 4)) > 0.2)
    volts = random.uniform(0, 0.2, 5)
    found = solved(netlist(g, volts, word, bit, "one"))
    output = Circuit(g, word, bit).solve(volts).output[0]
    np.testing.assert_allclose([found[f"vout{j}"] for j in range(4)], output, rtol=1e-9)


def test_files(tmp_path: Path) -> None:
    """Levels and columns give the weights back; a build opens again and has the same bytes."""
    passes = "discretize,fuse,quantize{weight_bits=8},tiles{rows=50,encoding=offset}"
    program = spikec.compile(spikec.load("digits"), "rram_40nm", pipeline=passes)
    first, again = (emit(program, tmp_path / name) for name in "ab")
    assert first.manifest == again.manifest
    made = plan(open_folder(tmp_path / "a"))
    shown = json.loads((tmp_path / "a" / "tiles.json").read_text())
    weights = {str(s.projection): s.held[0].matrix.weight for s in made.stored}
    found = {name: np.zeros_like(w) for name, w in weights.items()}
    with np.load(tmp_path / "a" / "levels.npz") as held:
        for n, row in enumerate(shown["tiles"]):
            level: Array = held[f"tile_{n}"].astype(np.int64)
            columns = zip(held[f"plus_{n}"], held[f"minus_{n}"], strict=True)
            total = sum(16**s * (level[:, p] - level[:, m]) for s, (p, m) in enumerate(columns))
            rows = slice(row["first_row"], row["first_row"] + row["rows"])
            sums = slice(row["first_sum"], row["first_sum"] + row["sums"])
            found[row["projection"]][rows, sums] = total
    for name, wanted in weights.items():
        np.testing.assert_array_equal(found[name], wanted)
    windows = shown["levels"]
    assert [w["level"] for w in windows] == list(range(16))
    assert (windows[0]["siemens"], windows[-1]["siemens"]) == (1e-6, pytest.approx(40e-6))
    for low, high in pairwise(windows):
        assert low["accept_from"] < low["siemens"] < low["accept_to"]
        assert low["accept_to"] == pytest.approx(high["accept_from"])


def test_netlist_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tile as a file; a tile that is not there as one line."""
    build, file = str(tmp_path / "build"), tmp_path / "tile.cir"
    assert cli.run(["compile", "digits", "--target", "rram_40nm", "-o", build]) == 0
    assert cli.run(["show", build, "--spice", str(file), "--tile", "1"]) == 0
    lines = file.read_text().splitlines()
    assert lines[0] == "* tile 1 of digits: lif1 -> lif2"
    assert sum(line.startswith("rc") for line in lines) == 128 * 20
    capsys.readouterr()
    assert cli.run(["show", build, "--spice", str(file), "--tile", "7"]) == 1
    wanted = "--tile: there is no tile 7. Give 0 to 1. [SPK2121]\n"
    assert capsys.readouterr().err.endswith(wanted)
