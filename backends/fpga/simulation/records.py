"""What a simulation gave: the records of its result file, read and decoded."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikec.backends.fpga.engines.engine import COUNTERS
from spikec.backends.fpga.engines.top import trace_words
from spikec.backends.fpga.plan import Engine, Plan
from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array

OUT, TRACE, STOP, COUNTER, FLAGS = 1, 2, 3, 4, 5
HLS_COUNTERS = COUNTERS[:7]  # those that do not count clock cycles


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What came out of a simulation.

    Attributes:
        out: Words of the output stream, by sample; those that are cut short are left out.
        trace: What each engine did, by sample, by engine, by name, (updates, neurons).
        counters: By engine, by name, over all samples that are not cut short.
        cycles: Clock cycles of each sample; steps in HLS.
    """

    out: tuple[Array, ...]
    trace: tuple[tuple[Mapping[str, Array], ...], ...]
    counters: tuple[Mapping[str, int], ...]
    cycles: tuple[int, ...]


def decode(plan: Plan, data: Array, hls: bool) -> Result:
    """Return the records of a result file.

    Args:
        plan: Of the design.
        data: The file, numbers of 32 bits.
        hls: Whether its traces are numbers, one after the other, not the bits of lanes.

    Raises:
        SpikecError: SPK1857 when the design says that something is wrong.
    """
    out: list[Array] = []
    trace: list[list[Mapping[str, Array]]] = []
    cycles: list[int] = []
    counters: list[dict[str, int]] = [{} for _ in plan.engines]
    names = HLS_COUNTERS if hls else COUNTERS
    at = 0
    while at < len(data):
        kind, length = int(data[at]), int(data[at + 1])
        held = data[at + 2 : at + 2 + length]
        at += 2 + length
        if kind == OUT:
            out.append(_wide(held, np.uint64))
            trace.append([])
        elif kind == TRACE:
            engine = plan.engines[int(held[0])]
            trace[-1].append((number_fields if hls else bit_fields)(engine, held[1:]))
        elif kind == STOP:
            cycles.append(int(_wide(held, np.int64)[0]))
        elif kind == COUNTER:
            of, name = counters[int(held[0])], names[int(held[1])]
            of[name] = of.get(name, 0) + int(_wide(held[2:], np.int64)[0])
        elif held[0] != 1:
            raise SpikecError(
                "SPK1857",
                plan.label,
                f"its status is {held[0]}: not idle, or an event came for no input",
                "Report this as a bug",
            )
    return Result(tuple(out), tuple(tuple(t) for t in trace), tuple(counters), tuple(cycles))


def _wide(words: Array, kind: type[np.generic]) -> Array:
    """Return numbers of 64 bits, low halves first."""
    return np.ascontiguousarray(words.astype("<u4")).view(kind)


def number_fields(engine: Engine, words: Array) -> dict[str, Array]:
    """Return what the lanes did, (updates, neurons) by name, from numbers of each neuron in turn.

    Neurons come by group and lane, without those that are not there.
    """
    seats = np.argsort(engine.layout.seats)
    size, names = engine.population.size, [name for name, _, _ in engine.trace]
    numbers = _wide(words, np.int64).reshape(-1, size, len(names))
    found = np.empty_like(numbers)
    found[:, seats] = numbers
    return {name: found[:, :, k] for k, name in enumerate(names)}


def bit_fields(engine: Engine, words: Array) -> dict[str, Array]:
    """Return the same from the bits of all lanes, in words of 32 bits for each group."""
    rows = words.reshape(-1, trace_words(engine)).astype("<u4")
    bits = np.unpackbits(np.ascontiguousarray(rows).view(np.uint8), axis=1, bitorder="little")
    found: dict[str, Array] = {}
    low = 0
    for name, wide, signed in engine.trace:
        field = bits[:, low : low + wide * engine.lanes].reshape(-1, engine.lanes, wide)
        low += wide * engine.lanes
        numbers = field.astype(np.int64) @ (np.int64(1) << np.arange(wide, dtype=np.int64))
        if signed:
            numbers -= field[:, :, -1].astype(np.int64) << wide
        updates = numbers.reshape(-1, engine.groups * engine.lanes)
        found[name] = updates[:, engine.layout.seats]
    return found
