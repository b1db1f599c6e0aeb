"""Drives a design made by spikec from a board with PYNQ. It needs numpy only, and pynq on a board.

    network = Network.on_board("build", "design.bit")
    out = network.run({"input": spikes})        # (steps, size) in, {output: (steps, size)} out
    print(network.counts())

Numbers are stored integers, as in the program. What may be changed at run time depends on what the
build was compiled with; registers.md lists it. Every mistake is a ValueError of one line.
"""

import importlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# Bytes of a DMA transfer at most, and seconds to wait for the design.
BUFFER = 1 << 20
PATIENCE = 10.0
COUNTERS_PER_ENGINE = 16


class Network:
    """A network in the programmable logic."""

    def __init__(
        self, build: str | Path, mmio: Any, dma: Any, allocate: Callable[..., Any]
    ) -> None:
        """Connect to a design.

        Args:
            build: The folder of the build: fpga.json, host/ and mem/ of it are read.
            mmio: Its registers, with ``read(offset)`` and ``write(offset, value)``.
            dma: With ``sendchannel`` and ``recvchannel``, as of ``pynq.lib.DMA``.
            allocate: ``pynq.allocate``.
        """
        self.build = Path(build)
        self.design = json.loads((self.build / "fpga.json").read_text())
        self.map = json.loads((self.build / "host" / "registers.json").read_text())
        self._mmio, self._dma = mmio, dma
        self._offset = {r["name"]: r["offset"] for r in self.map["registers"]}
        self._bit = {
            r["name"]: {name: k for k, name in enumerate(r["bits"])} for r in self.map["registers"]
        }
        self._check()
        self._out = _Words(self.design["output_word"])
        self._in = _Words(self.design["input_word"])
        held = max(self._most("outputs"), 1)
        self._came = allocate(shape=(held,), dtype=self._out.dtype)
        room = max(self._most("inputs"), BUFFER // self._in.dtype.itemsize)
        self._sent = allocate(shape=(room,), dtype=self._in.dtype)
        self._images: dict[int, Array] = {}  # weights that were uploaded, by memory
        self.samples = self.steps = 0
        self._fill()

    @classmethod
    def on_board(
        cls, build: str | Path, bitstream: str, core: str = "network", dma: str = "dma"
    ) -> "Network":
        """Load a bitstream with PYNQ and connect to it."""
        pynq: Any = importlib.import_module("pynq")
        overlay = pynq.Overlay(bitstream)
        where = overlay.ip_dict[core]
        mmio = pynq.MMIO(where["phys_addr"], where["addr_range"])
        return cls(build, mmio, getattr(overlay, dma), pynq.allocate)

    def _check(self) -> None:
        found = self._read("identity"), self._read("program")
        wanted = self.map["identity"], int(self.design["program"][:8], 16)
        if found != wanted:
            raise ValueError(f"the device holds another design: {found[0]:08x} {found[1]:08x}")

    def _fill(self) -> None:
        """Write the weights that are in ultra RAM, which holds nothing at power up."""
        empty = [m for m in self.map["memories"] if m["kind"] == "weights" and not m["filled"]]
        if empty:
            self.stop()
            for memory in empty:
                self._store(memory, _lines(self.build, memory["file"]))
            self.start()

    def _most(self, side: str) -> int:
        """Return the words of a step at most: an event of everyone, and the end of the step."""
        return int(sum(s["size"] for s in self.design[side])) + 1

    def _read(self, name: str) -> int:
        return int(self._mmio.read(self._offset[name]))

    def _write(self, name: str, value: int) -> None:
        self._mmio.write(self._offset[name], int(value))

    def _do(self, *names: str) -> None:
        self._write("control", sum(1 << self._bit["control"][n] for n in names))

    # ------------------------------------------------------------------ control

    def status(self) -> dict[str, bool]:
        """Return the bits of the status."""
        value = self._read("status")
        return {name: bool(value >> k & 1) for name, k in self._bit["status"].items()}

    def reset(self) -> None:
        """Begin a new sample: initial states, empty queues. What was set stays."""
        self._do("reset")

    def clear(self) -> None:
        """Set all counters to zero."""
        self._do("clear")
        self.samples = self.steps = 0

    def stop(self) -> None:
        """Hold the design in its reset; weights can be replaced."""
        self._do("stop")

    def start(self) -> None:
        """Leave the stop, at the begin of a new sample."""
        self._do("start")

    def wait(self) -> None:
        """Wait until nothing is left to do."""
        until = time.monotonic() + PATIENCE
        while not self.status()["idle"]:
            if time.monotonic() > until:
                raise ValueError(f"the design is not idle after {PATIENCE:g} s")

    # ------------------------------------------------------------------ events

    def run(self, inputs: Mapping[str, Array], restart: bool = True) -> dict[str, Array]:
        """Run one sample, or go on with it.

        Args:
            inputs: By input name, stored integers (steps, *shape); spikes are 0 and 1.
            restart: Whether it is a new sample, from the initial states.

        Returns:
            By output population, what it sent, (steps, size).
        """
        given, steps = self._given(inputs)
        if not restart and self.design["warm_up_steps"]:
            raise ValueError("a network whose populations start later can only run whole samples")
        if self.status()["stopped"]:
            raise ValueError("the design is stopped: call start first")
        if restart:
            self.reset()
            self.wait()
            self.samples += 1
        total = steps + self.design["warm_up_steps"]
        came = {s["name"]: np.zeros((total, s["size"]), np.int64) for s in self.design["outputs"]}
        step = 0
        while step < total:
            end, count = self._pack(given, step, total)
            self._dma.sendchannel.transfer(self._sent[:count])
            for k in range(step, end):
                self._dma.recvchannel.transfer(self._came)
                self._dma.recvchannel.wait()
                self._unpack(came, k)
            self._dma.sendchannel.wait()
            step = end
        self.wait()
        self.steps += steps
        if self.status()["bad_id"]:
            raise ValueError("an event came for no input")
        starts = {e["population"]: e["start"] for e in self.design["engines"]}
        return {name: a[starts[name] : starts[name] + steps] for name, a in came.items()}

    def _given(self, inputs: Mapping[str, Array]) -> tuple[dict[str, Array], int]:
        wanted = {s["name"]: s for s in self.design["inputs"]}
        if set(inputs) != set(wanted):
            raise ValueError(f"the inputs are {sorted(wanted)}, not {sorted(inputs)}")
        steps = {len(a) for a in inputs.values()}
        if len(steps) != 1 or 0 in steps:
            raise ValueError(f"the inputs have {sorted(steps)} steps, not one number above 0")
        given = {n: np.asarray(a).reshape(len(a), -1) for n, a in inputs.items()}
        for name, a in given.items():
            if a.dtype.kind not in "biu":
                raise ValueError(f"input {name} holds {a.dtype}, not stored integers")
            if a.shape[1] != wanted[name]["size"]:
                raise ValueError(
                    f"input {name} has {wanted[name]['size']} channels, not {a.shape[1]}"
                )
            bits = wanted[name]["value_bits"]
            low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if bits else (0, 1)
            if a.min() < low or a.max() > high:
                raise ValueError(f"input {name} holds values outside {low} to {high}")
        return {name: a.astype(np.int64) for name, a in given.items()}, steps.pop()

    def _pack(self, given: Mapping[str, Array], step: int, total: int) -> tuple[int, int]:
        """Fill the buffer with as many steps as it holds; return their end and the words."""
        count = 0
        while step < total and count + self._most("inputs") <= len(self._sent):
            for s in self.design["inputs"]:
                values = given[s["name"]]
                row = values[step] if step < len(values) else values[0] * 0
                at = np.flatnonzero(row)
                words = self._in.words(at + s["first_id"], row[at])
                self._sent[count : count + len(at)] = words
                count += len(at)
            self._sent[count] = self._in.end
            step, count = step + 1, count + 1
        return step, count

    def _unpack(self, came: Mapping[str, Array], step: int) -> None:
        """Read the events of a step, which end at the first word that says so."""
        held = np.asarray(self._came)
        count = int(np.argmax(held >= self._out.end))
        ids, values = self._out.fields(held[:count])
        for s in self.design["outputs"]:
            mine = (ids >= s["first_id"]) & (ids < s["first_id"] + s["size"])
            came[s["name"]][step, ids[mine] - s["first_id"]] = values[mine]

    # ------------------------------------------------------------------ counters

    def counters(self) -> dict[str, dict[str, int]]:
        """Return the counters of every engine by population, since the last ``clear``."""
        found: dict[str, dict[str, int]] = {}
        for k, engine in enumerate(self.design["engines"]):
            here = found[engine["population"]] = {}
            for c, name in enumerate(self.design["counters"]):
                self._write("counter", k * COUNTERS_PER_ENGINE + c)
                here[name] = self._read("counter_low") | self._read("counter_high") << 32
        return found

    def counts(self) -> dict[str, Any]:
        """Return the counters in the words of spikec's Counts; None is not measured.

        Synops are those of weights other than zero, in the step of arrival, of all projections into
        a population together.
        """
        found = self.counters()
        sizes = {e["population"]: e["neurons"] for e in self.design["engines"]}
        return {
            "samples": self.samples,
            "steps": self.steps,
            "populations": {
                name: {
                    "neurons": sizes[name],
                    "accesses": c["updates"],
                    "updates": None,
                    "spikes": c["events_out"],
                }
                for name, c in found.items()
            },
            "into": {
                name: {"events": c["events_in"], "total": None, "effective": c["synops"]}
                for name, c in found.items()
            },
        }

    # ------------------------------------------------------------------ what may be changed

    def set_threshold(self, population: str, value: int) -> None:
        """Set the threshold of a population, in its stored unit."""
        memory = self._memory("parameter", population, name="threshold")
        if value != int(value) or not memory["lo"] <= value <= memory["hi"]:
            raise ValueError(
                f"threshold of {population}: {value} is not {memory['lo']} to {memory['hi']}"
            )
        self._store(memory, [int(value)])

    def lesion(self, population: str, neurons: Iterable[int]) -> None:
        """Silence these neurons of a population, and no others; an empty list heals all."""
        memory = self._memory("lesions", population)
        chosen = np.asarray(sorted(set(neurons)), np.int64)
        if chosen.size and not 0 <= chosen[0] <= chosen[-1] < memory["neurons"]:
            raise ValueError(f"lesions of {population}: neurons are 0 to {memory['neurons'] - 1}")
        flags = np.zeros((memory["groups"], memory["lanes"]), np.int64)
        flags.reshape(-1)[_seats(memory)[chosen]] = 1
        self._store(memory, _packed(flags, 1))

    def set_weights(
        self, source: str, population: str, values: Array, port: str = "input", delay: int = 0
    ) -> None:
        """Replace the weights of a projection; the design must be stopped.

        Args:
            source: Of the projection.
            population: Its target.
            values: Stored integers: (targets, sources); of a convolution or pool that is stored as
                a window (out, in / groups, k0, k1). Where a sparse memory has no place they are 0.
            port: Of the target.
            delay: Of the projection.
        """
        memory = self._memory("weights", population, source=source, port=port, delay=delay)
        where = f"weights of {source} -> {population}"
        given = np.asarray(values)
        if given.dtype.kind not in "biu":
            raise ValueError(f"{where}: stored integers, not {given.dtype}")
        bits = memory["weight_bits"]
        if given.size and (given.min() < -(1 << (bits - 1)) or given.max() >= 1 << (bits - 1)):
            raise ValueError(f"{where}: a weight has {bits} bits")
        image = _image(self.build, memory, given.astype(np.int64), where)
        self._check_sums(memory, image, where)
        if not self.status()["stopped"]:
            raise ValueError(f"{where}: call stop first")
        groups = _groups(self.build, memory) if memory["form"] == "sparse" else None
        self._store(memory, _packed(image, bits, groups, memory["group_bits"]))
        self._images[memory["number"]] = image

    def _check_sums(self, memory: Mapping[str, Any], image: Array, where: str) -> None:
        """Refuse weights with which a sum could leave the interval that the widths are made for."""
        low: Any = 0
        high: Any = 0
        for m in self.map["memories"]:
            same = (m["kind"], m["population"]) == ("weights", memory["population"])
            if not same or m["port"] != memory["port"]:
                continue
            held = image if m is memory else self._images.get(m["number"])
            if held is None:
                held = _read_words(self.build, m)
            negative, positive = _sums(self.build, m, held)
            least, most = m["sent"]
            low = low + ((positive * least + negative * most) << m["shift"])
            high = high + ((positive * most + negative * least) << m["shift"])
        seats = _seats(memory)
        bias = np.asarray(memory["bias"], np.int64)
        low, high = low.reshape(-1)[seats] + bias, high.reshape(-1)[seats] + bias
        outside = np.flatnonzero((low < memory["sum_lo"]) | (high > memory["sum_hi"]))
        if outside.size:
            k = outside[0]
            raise ValueError(
                f"{where}: the sum of neuron {k} could be {low[k]} to {high[k]}, the design was "
                f"made for {memory['sum_lo']} to {memory['sum_hi']}"
            )

    def _memory(self, kind: str, population: str, **wanted: Any) -> dict[str, Any]:
        for m in self.map["memories"]:
            same = (m["kind"], m["population"]) == (kind, population)
            if same and all(m[key] == value for key, value in wanted.items()):
                found: dict[str, Any] = m
                return found
        chosen = f" ({', '.join(f'{k} {v}' for k, v in wanted.items())})" if wanted else ""
        raise ValueError(f"the build has no {kind} of {population}{chosen} that can be written")

    def _store(self, memory: Mapping[str, Any], words: Iterable[int]) -> None:
        """Write the words of a memory from its first."""
        status = self.status()
        if not (status["stopped"] or status["idle"]):
            raise ValueError("the design is at work: wait until it is idle, or stop it")
        parts = -(-memory["width"] // 32)
        self._write("memory", memory["number"])
        self._write("word", 0)
        for word in words:
            for k in reversed(range(1, parts)):
                self._write("part", word >> (32 * k) & 0xFFFFFFFF)
            self._write("last", word & 0xFFFFFFFF)
        if self.status()["refused"]:
            raise ValueError(f"the design refused what was written to {memory['population']}")


class _Words:
    """Words of a stream: {eos, zeros, id, value}."""

    def __init__(self, form: Mapping[str, int]) -> None:
        self.id_bits, self.value_bits = form["id"], form["value"]
        self.dtype = np.dtype(np.uint32 if form["bits"] == 32 else np.uint64)
        self.end = self.dtype.type(1 << (form["bits"] - 1))

    def words(self, ids: Array, values: Array) -> Array:
        mask = (1 << self.value_bits) - 1
        return np.asarray(ids << self.value_bits | values & mask).astype(self.dtype)

    def fields(self, words: Array) -> tuple[Array, Array]:
        numbers = words.astype(np.int64)
        ids = numbers >> self.value_bits & ((1 << self.id_bits) - 1)
        if not self.value_bits:
            return ids, np.ones_like(ids)
        values = numbers & ((1 << self.value_bits) - 1)
        return ids, values - ((values >> (self.value_bits - 1)) << self.value_bits)


# ---------------------------------------------------------------------- words of memories


def _seats(memory: Mapping[str, Any]) -> Array:
    """Return for each neuron group * lanes + lane."""
    neuron = np.arange(memory["neurons"])
    lanes, places = memory["lanes"], memory["places"]
    place, channel = neuron % places, neuron // places
    columns = memory["groups"] // places
    return np.asarray((place * columns + channel // lanes) * lanes + channel % lanes)


def _packed(
    numbers: Array, bits: int, above: Array | None = None, above_bits: int = 0
) -> list[int]:
    """Return rows of numbers as words, lowest bits first."""
    mask = (1 << bits) - 1
    words = [
        sum((int(x) & mask) << (bits * k) for k, x in enumerate(row)) for row in numbers.tolist()
    ]
    if above is None:
        return words
    mask = (1 << above_bits) - 1
    shift = bits * numbers.shape[1]
    return [w | (int(g) & mask) << shift for w, g in zip(words, above.tolist(), strict=True)]


def _lines(build: Path, name: str) -> list[int]:
    return [int(line, 16) for line in (build / name).read_text().split()]


def _read_words(build: Path, memory: Mapping[str, Any]) -> Array:
    """Return the weights of a memory as compiled, (words, lanes)."""
    bits, lanes = memory["weight_bits"], memory["lanes"]
    mask, sign = (1 << bits) - 1, 1 << (bits - 1)
    rows = [
        [((word >> (bits * k) & mask) ^ sign) - sign for k in range(lanes)]
        for word in _lines(build, memory["file"])
    ]
    return np.array(rows, np.int64).reshape(-1, lanes)


def _groups(build: Path, memory: Mapping[str, Any]) -> Array:
    """Return the group of every word of a dense or sparse memory."""
    if memory["form"] == "dense":
        return np.asarray(np.arange(memory["depth"]) % memory["groups"])
    shift = memory["weight_bits"] * memory["lanes"]
    mask = (1 << memory["group_bits"]) - 1
    return np.array([word >> shift & mask for word in _lines(build, memory["file"])], np.int64)


def _sources(build: Path, memory: Mapping[str, Any]) -> Array:
    """Return the source of every word of a dense or sparse memory; -1 for words of none."""
    if memory["form"] == "dense":
        return np.asarray(np.arange(memory["depth"]) // memory["groups"])
    found = np.full(memory["depth"], -1)
    start_bits = memory["start_bits"]
    for source, pointer in enumerate(_lines(build, memory["pointers"])):
        start, count = pointer & ((1 << start_bits) - 1), pointer >> start_bits
        found[start : start + count] = source
    return found


def _image(build: Path, memory: Mapping[str, Any], values: Array, where: str) -> Array:
    """Return the words (words, lanes) of weights."""
    shape = tuple(memory["shape"])
    if values.shape != shape:
        raise ValueError(f"{where}: the shape is {shape}, not {values.shape}")
    if memory["form"] == "window":
        return _kernel_words(memory, values)
    groups, sources = _groups(build, memory), _sources(build, memory)
    padded = np.zeros((memory["groups"] * memory["lanes"], shape[1]), np.int64)
    padded[_seats(memory)] = values
    image = padded.reshape(memory["groups"], memory["lanes"], shape[1])[groups, :, sources]
    image[sources < 0] = 0
    if np.count_nonzero(image) != np.count_nonzero(values):
        raise ValueError(f"{where}: a weight other than zero has no place in the sparse memory")
    return np.asarray(image)


def _first_columns(memory: Mapping[str, Any]) -> tuple[Array, int, int]:
    """Return, for each source channel, the first column of lanes that it reaches; and their number.

    The last is how many channels share a part of a grouped convolution.
    """
    w, lanes = memory["window"], memory["lanes"]
    out, per_part = memory["shape"][:2]
    share = out // w["parts"]
    part = np.arange(w["in_shape"][0]) // per_part
    first = part * share // lanes
    width = int((((part * share + share - 1) // lanes) - first).max()) + 1
    return np.minimum(first, out // lanes - width), width, share


def _kernel_words(memory: Mapping[str, Any], kernel: Array) -> Array:
    """Return words [channel, k0, k1, column][lane] of a kernel (out, in / groups, k0, k1)."""
    lanes = memory["lanes"]
    out, per_part, k0, k1 = kernel.shape
    first, width, share = _first_columns(memory)
    words = np.zeros((len(first), k0, k1, width, lanes), np.int64)
    for o in range(out):
        for c in range(o // share * per_part, o // share * per_part + per_part):
            words[c, :, :, o // lanes - first[c], o % lanes] = kernel[o, c % per_part]
    return words.reshape(-1, lanes)


def _sums(build: Path, memory: Mapping[str, Any], image: Array) -> tuple[Array, Array]:
    """Return the sums of negative and of positive weights of every neuron, (groups, lanes)."""
    found: list[Array] = []
    for sign in (-1, 1):
        part = np.where(image * sign > 0, image, 0)
        total = np.zeros((memory["groups"], memory["lanes"]), np.int64)
        if memory["form"] == "window":
            _add_windows(memory, part, total)
        else:
            np.add.at(total, _groups(build, memory), part)
        found.append(total)
    return found[0], found[1]


def _add_windows(memory: Mapping[str, Any], part: Array, total: Array) -> None:
    w, lanes = memory["window"], memory["lanes"]
    _, _, k0, k1 = memory["shape"]
    first, width, _ = _first_columns(memory)
    words = part.reshape(len(first), k0, k1, width, lanes)
    (_, n0, n1), (_, m0, m1) = w["in_shape"], w["out_shape"]
    down = _meets(n0, m0, k0, w["stride"][0], w["padding"][0], w["dilation"][0])
    along = _meets(n1, m1, k1, w["stride"][1], w["padding"][1], w["dilation"][1])
    places = total.reshape(m0, m1, -1, lanes)
    for c, column in enumerate(first.tolist()):
        places[:, :, column : column + width] += np.einsum(
            "yk,xl,klwp->yxwp", down, along, words[c]
        )


def _meets(sources: int, targets: int, taps: int, stride: int, padding: int, gap: int) -> Array:
    """Return whether a tap of a target lies inside the image along one axis, (targets, taps)."""
    at = np.arange(targets)[:, None] * stride - padding + np.arange(taps) * gap
    return ((at >= 0) & (at < sources)).astype(np.int64)
