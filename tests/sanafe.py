"""SANA-FE's golden network B, its two placements, and the spikes it recorded."""

from pathlib import Path

import numpy as np

import spikec
from spikec.compiler.ir import Mapping as Placement
from spikec.compiler.types import Array, Bool

STATE = spikec.FixedPoint(24, 6)
# 0.9 rounded up, as double arithmetic has it: a multiple of ten keeps all its nine tenths.
DECAY = spikec.Tensor.integers(966367642, spikec.FixedPoint(31, 30))
WEIGHT = spikec.FixedPoint(8)
Tile = tuple[int, int, list[tuple[str, int, int]]]


def neurons(name: str, size: int, threshold: float) -> spikec.Population:
    """Return LIF neurons: v <- trunc(64 * 0.9 v) / 64 + i, strict threshold, reset to zero."""
    formats = {"v": spikec.Format(STATE), "leak": spikec.Format(STATE, "to_zero")}
    lif = spikec.LIF(decay=DECAY, threshold=threshold, compare="gt", reset="zero")
    return spikec.Population(name, (size,), lif, formats)


def graph(w1: Array, w2: Array) -> spikec.Graph:
    """Return the network; the second matrix is stored sparse, with its zeros."""
    shape: tuple[int, ...] = w2.shape
    hidden, out = shape
    first = spikec.Dense(spikec.Tensor.integers(w1.T, WEIGHT))
    second = spikec.Sparse(
        hidden,
        np.arange(out + 1) * hidden,
        np.tile(np.arange(hidden), out),
        spikec.Tensor.integers(w2.T.reshape(-1), WEIGHT),
    )
    nodes = (
        spikec.Input("in", (len(w1),), Bool()),
        neurons("hid", hidden, 20.0),
        neurons("out", out, 30.0),
        spikec.Output("y", "out"),
    )
    projections = (
        spikec.Projection("in", "hid", first, delay=1),
        spikec.Projection("hid", "out", second, delay=1),
    )
    return spikec.Graph("sanafe_b", nodes, projections)


def placement(*tiles: Tile) -> Placement:
    """Return a mapping of (tile, core, slices); tile k is at column k // 4, row k % 4."""
    return Placement.of(
        tuple(
            spikec.Core(tile // 4, tile % 4, core, tuple(spikec.Slice(*s) for s in slices))
            for tile, core, slices in tiles
        )
    )


B1 = placement((0, 0, [("in", 0, 16), ("hid", 0, 32), ("out", 0, 8)]))
B2 = placement(
    (0, 0, [("in", 0, 16)]),
    (1, 0, [("hid", 0, 16)]),
    (1, 1, [("hid", 16, 32)]),
    (4, 0, [("out", 0, 8)]),
)


def program(data: Path, mapping: Placement) -> tuple[spikec.Program, Array]:
    """Return the program with a placement, and its input (1, 50, 16)."""
    with np.load(data / "sanafe_golden" / "B_network.npz") as file:
        made = spikec.compile(graph(file["w1"], file["w2"]), pipeline="", mapping=mapping)
        return made, file["spikes"].T[None]


def recorded(data: Path) -> set[tuple[str, int, int]]:
    """Return (population, neuron, step) of every recorded spike; the file's steps start at 1."""
    lines = (data / "sanafe_golden" / "B1_onecore.spikes.csv").read_text().splitlines()
    assert lines[0] == "neuron,timestep"
    rows = (line.replace(".", ",").split(",") for line in lines[1:])
    return {(name, int(neuron), int(step) - 1) for name, neuron, step in rows}
