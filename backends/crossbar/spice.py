"""A tile as a SPICE netlist: cells, wires and drivers, for any simulator of circuits."""

from collections.abc import Iterator

from spikec.backends.crossbar.circuit import checked, voltages
from spikec.compiler.types import Array


def netlist(conductance: Array, volts: Array, word_ohm: float, bit_ohm: float, title: str) -> str:
    """Return the netlist of one read; ``.op`` gives the currents of the sources ``vout``.

    Word line i has a driver ``vin<i>`` at its left end, bit line j a source of 0 V ``vout<j>`` at
    its bottom, through which its current flows to ground. Nodes are ``w<i>_<j>`` and ``b<i>_<j>``.
    A cell of 0 S is left out; a wire without resistance is a source of 0 V.

    Args:
        conductance: Of every cell, siemens (m, n).
        volts: Of every driver, (m,).
        word_ohm: Of a segment of a word line.
        bit_ohm: Of a segment of a bit line.
        title: First line.

    Raises:
        SpikecError: As ``circuit.checked`` and ``circuit.voltages``.
    """
    g = checked(conductance, word_ohm, bit_ohm)
    v = voltages(volts, len(g))[0]
    lines = [f"* {' '.join(title.split())}"]
    lines += [f"vin{i} in{i} 0 dc {float(x)!r}" for i, x in enumerate(v)]
    lines += _wires(g, word_ohm, bit_ohm)
    lines += [
        f"rc{i}_{j} w{i}_{j} b{i}_{j} {1 / float(g[i, j])!r}"
        for i in range(len(g))
        for j in range(g.shape[1])
        if g[i, j] > 0
    ]
    lines += [f"vout{j} out{j} 0 dc 0" for j in range(g.shape[1])]
    return "\n".join([*lines, ".op", ".end", ""])


def _wires(g: Array, word_ohm: float, bit_ohm: float) -> Iterator[str]:
    """Give the segments: word lines from the left, bit lines to the bottom."""
    rows, columns = g.shape
    for i in range(rows):
        for j in range(columns):
            before = f"w{i}_{j - 1}" if j else f"in{i}"
            below = f"b{i + 1}_{j}" if i < rows - 1 else f"out{j}"
            yield _segment(f"w{i}_{j}", before, f"w{i}_{j}", word_ohm)
            yield _segment(f"b{i}_{j}", f"b{i}_{j}", below, bit_ohm)


def _segment(name: str, first: str, second: str, ohm: float) -> str:
    if ohm:
        return f"r{name} {first} {second} {float(ohm)!r}"
    return f"v{name} {first} {second} dc 0"
