"""The stack of what is not ideal: which stages are on, in the one order in which they act.

``program{kind=neurram_1s},stuck{off=0.001,on=0.001},read{c=0.02},wire{ohm=1},adc{bits=8}``: the
grammar of passes. A stage that is not named is ideal; the order of the text does not matter. What a
stage draws depends on the seed, the stage and the tile, so leaving one out changes no other.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal

import numpy as np

from spikec.backends.crossbar import stages
from spikec.backends.crossbar.tiles import Cells
from spikec.compiler.errors import SpikecError
from spikec.compiler.semantics import parse_options, split_calls, typed_replace
from spikec.compiler.types import Array

WHERE = "--devices"


@dataclass(frozen=True, slots=True)
class Levels:
    """Conductances are the nearest of ``count`` levels."""

    name: ClassVar[str] = "levels"
    bounds: ClassVar[Mapping[str, tuple[float, float]]] = {"count": (2, 65536)}
    count: int = 16

    def act(self, g: Array, level: Array, cells: Cells, random: stages.Generator) -> Array:
        """Return the conductances behind the stage."""
        return stages.levels(g, self.count, cells.g_min, cells.g_max)


@dataclass(frozen=True, slots=True)
class Program:
    """Errors of programming, and write-verify.

    Attributes:
        kind: constant (sigma in uS), proportional, lognormal, or a fit (sigma times that of the
            fit).
        sigma: See kind.
        tolerance: uS; a cell that is further away is written again. 0: written once.
        tries: Writes of a cell at most.
    """

    name: ClassVar[str] = "program"
    bounds: ClassVar[Mapping[str, tuple[float, float]]] = {
        "sigma": (0, 1e3),
        "tolerance": (0, 1e6),
        "tries": (1, 10_000),
    }
    kind: str = "neurram_1s"
    sigma: float = 1.0
    tolerance: float = 0.0
    tries: int = 1

    def act(self, g: Array, level: Array, cells: Cells, random: stages.Generator) -> Array:
        """Return the conductances behind the stage."""
        return self.written(g, random)[0]

    def written(self, g: Array, random: stages.Generator) -> tuple[Array, Array]:
        """Return conductances and the writes that each took."""
        within = self.tolerance * stages.MICRO
        return stages.written(g, self.kind, self.sigma, within, self.tries, random)


@dataclass(frozen=True, slots=True)
class Random:
    """Cells keep what breakdown gave them; what was to be programmed does not matter."""

    name: ClassVar[str] = "random"
    bounds: ClassVar[Mapping[str, tuple[float, float]]] = {}
    kind: str = "patch"

    def act(self, g: Array, level: Array, cells: Cells, random: stages.Generator) -> Array:
        """Return the conductances behind the stage."""
        return stages.random_array(g.shape, self.kind, random)


@dataclass(frozen=True, slots=True)
class Stuck:
    """A part of the cells stuck: off, at g_min or open, or on, at g_max (MNSIM 2.0: 0.1 % each)."""

    name: ClassVar[str] = "stuck"
    bounds: ClassVar[Mapping[str, tuple[float, float]]] = {"off": (0, 0.5), "on": (0, 0.5)}
    off: float = 0.001
    on: float = 0.001
    at: Literal["g_min", "open"] = "g_min"

    def act(self, g: Array, level: Array, cells: Cells, random: stages.Generator) -> Array:
        """Return the conductances behind the stage."""
        low = cells.g_min if self.at == "g_min" else 0.0
        return stages.stuck(g, self.off, self.on, low, cells.g_max, random)


@dataclass(frozen=True, slots=True)
class Drift:
    """Conductances some seconds after programming."""

    name: ClassVar[str] = "drift"
    bounds: ClassVar[Mapping[str, tuple[float, float]]] = {"seconds": (1, 1e10)}
    kind: Literal["pcm", "cmo"] = "cmo"
    seconds: float = 86400.0

    def act(self, g: Array, level: Array, cells: Cells, random: stages.Generator) -> Array:
        """Return the conductances behind the stage."""
        if self.kind == "pcm":
            return stages.drift_pcm(g, self.seconds)
        return stages.drift_cmo(g, self.seconds, random)


@dataclass(frozen=True, slots=True)
class Heat:
    """Temperature, of wires and of cells of level 0; their energy must be given."""

    name: ClassVar[str] = "heat"
    bounds: ClassVar[Mapping[str, tuple[float, float]]] = {"kelvin": (1, 2000), "ev": (0, 10)}
    kelvin: float = 300.0
    ev: float = 0.0

    def act(self, g: Array, level: Array, cells: Cells, random: stages.Generator) -> Array:
        """Return the conductances behind the stage."""
        return stages.heated(g, level, self.ev, self.kelvin)


@dataclass(frozen=True, slots=True)
class Read:
    """Noise of reading: drawn once, or anew for each read.

    Attributes:
        kind: proportional, c G; pcm or cmo, c times the fit at ``seconds``.
        c: See kind.
        seconds: Time of the fits.
        redraw: once for an array; each for every read of it.
    """

    name: ClassVar[str] = "read"
    bounds: ClassVar[Mapping[str, tuple[float, float]]] = {"c": (0, 100), "seconds": (1e-6, 1e10)}
    kind: Literal["proportional", "pcm", "cmo"] = "proportional"
    c: float = 0.02
    seconds: float = 1.0
    redraw: Literal["once", "each"] = "once"

    def act(self, g: Array, level: Array, cells: Cells, random: stages.Generator) -> Array:
        """Return the conductances behind the stage; as they are where each read draws its own."""
        if self.redraw == "each":
            return g
        return np.maximum(g + self.sigma(g) * random.standard_normal(g.shape), 0.0)

    def sigma(self, g: Array) -> Array:
        """Return the standard deviation of a read, siemens."""
        return stages.read_sigma(g, self.kind, self.c, self.seconds)


@dataclass(frozen=True, slots=True)
class Iv:
    """Cells with I = G V (1 + a2 V + a3 V^2), by their chord at the read voltage.

    Exact without wires; with wires a cell is taken as if it had the whole read voltage.
    """

    name: ClassVar[str] = "iv"
    bounds: ClassVar[Mapping[str, tuple[float, float]]] = {"a2": (-1, 1e3), "a3": (0, 1e3)}
    a2: float = 0.0
    a3: float = 0.0

    def act(self, g: Array, level: Array, cells: Cells, random: stages.Generator) -> Array:
        """Return the conductances behind the stage."""
        return stages.chord(g, self.a2, self.a3, cells.v_read)


@dataclass(frozen=True, slots=True)
class Wire:
    """Resistance of the segments of word and bit lines.

    Attributes:
        ohm: Of word lines; none: that of the target.
        bit_ohm: Of bit lines; none: as word lines.
        gated: Cells of rows without an input are open (1T1R, gates on the word line); otherwise
            these rows are held at 0 V and conduct.
    """

    name: ClassVar[str] = "wire"
    bounds: ClassVar[Mapping[str, tuple[float, float]]] = {"ohm": (0, 1e6), "bit_ohm": (0, 1e6)}
    ohm: float | None = None
    bit_ohm: float | None = None
    gated: bool = False

    def resistances(self, cells: Cells, kelvin: float) -> tuple[float, float]:
        """Return those of word and bit lines."""
        word = cells.wire_ohm if self.ohm is None else self.ohm
        bit = word if self.bit_ohm is None else self.bit_ohm
        return stages.wire_ohm(word, kelvin), stages.wire_ohm(bit, kelvin)


@dataclass(frozen=True, slots=True)
class Adc:
    """A converter of each difference of columns; without it the nearest whole level is right.

    Attributes:
        bits: Of its code, sign included.
        span: Its range, as a part of the largest difference that a column of the tile can give, or
            of the percentile.
        percentile: Of the differences of a tile on the first samples of the first run, before any
            converter; 0: none is taken.
        gain: Standard deviation of the gain of a column.
        offset: The same of its offset, in levels.
        noise: The same of a conversion, in levels, drawn for each.
    """

    name: ClassVar[str] = "adc"
    bounds: ClassVar[Mapping[str, tuple[float, float]]] = {
        "bits": (2, 24),
        "span": (1e-6, 1e3),
        "percentile": (0, 100),
        "gain": (0, 1),
        "offset": (0, 1e6),
        "noise": (0, 1e6),
    }
    bits: int = 8
    span: float = 1.0
    percentile: float = 0.0
    gain: float = 0.0
    offset: float = 0.0
    noise: float = 0.0


KINDS: dict[str, Any] = {
    k.name: k for k in (Levels, Program, Random, Stuck, Drift, Heat, Read, Iv, Wire, Adc)
}
STATIC = ("levels", "program", "random", "stuck", "drift", "heat", "read", "iv")
NONE: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Devices:
    """Stages that are on, by name, in their order."""

    on: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @staticmethod
    def parse(text: str) -> "Devices":
        """Read ``name{option=value,...},name``.

        Raises:
            SpikecError: SPK2114 on an unknown stage, SPK2115 on one that stands twice, SPK2116 on
                a number out of range, SPK2117 on an unknown fit; errors of the option grammar.
        """
        found: dict[str, Any] = {}
        for part in split_calls(text):
            name, options = parse_options(part, WHERE)
            if name not in KINDS:
                raise SpikecError(
                    "SPK2114", WHERE, f"'{name}' is not a stage", f"Use {', '.join(KINDS)}"
                )
            if name in found:
                raise SpikecError("SPK2115", WHERE, f"'{name}' stands twice", "Give it once")
            found[name] = typed_replace(KINDS[name](), options, f"{WHERE} {name}")
            _check(name, found[name])
        return Devices({name: found[name] for name in KINDS if name in found})

    def only(self, names: Collection[str]) -> "Devices":
        """Return some of the stages."""
        return replace(self, on={name: stage for name, stage in self.on.items() if name in names})

    def conductance(self, level: Array, cells: Cells, seed: int, tile: tuple[int, ...]) -> Array:
        """Return the conductances of a tile, siemens, behind every stage that acts on cells.

        Args:
            level: Of every cell, (rows, columns).
            cells: What a level is.
            seed: Of the devices.
            tile: Numbers of the tile, that no other has.
        """
        g = cells.conductance(level)
        for name in STATIC:
            if name in self.on:
                g = self.on[name].act(g, level, cells, generator(seed, name, tile))
        return g

    @property
    def each(self) -> "Read | None":
        """Noise that every read draws anew, if there is any."""
        found: Read | None = self.on.get("read")
        return found if found is not None and found.redraw == "each" else None

    @property
    def gated(self) -> bool:
        """Whether rows without an input are open, where that matters."""
        wire: Wire | None = self.on.get("wire")
        return wire is not None and wire.gated

    def wires(self, cells: Cells) -> tuple[float, float]:
        """Return the resistances of word and bit lines; 0 where wires are ideal."""
        wire: Wire | None = self.on.get("wire")
        heat: Heat | None = self.on.get("heat")
        kelvin = stages.KELVIN if heat is None else heat.kelvin
        return (0.0, 0.0) if wire is None else wire.resistances(cells, kelvin)

    def __str__(self) -> str:
        """Return the text that gives these stages."""

        def written(value: object) -> str:
            return str(value).lower() if value is None or isinstance(value, bool) else str(value)

        texts: list[str] = []
        for name, stage in self.on.items():
            options = {f.name: getattr(stage, f.name) for f in fields(stage)}
            said = (f"{k}={written(v)}" for k, v in options.items())
            texts.append(f"{name}{{{','.join(said)}}}")
        return ",".join(texts)


def generator(seed: int, stage: str, tile: tuple[int, ...]) -> stages.Generator:
    """Return the generator of a stage on a tile."""
    key = (list(KINDS).index(stage), *tile)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _check(name: str, stage: Any) -> None:
    for option, (low, high) in stage.bounds.items():
        value = getattr(stage, option)
        if value is not None and not low <= value <= high:
            raise SpikecError(
                "SPK2116",
                f"{WHERE} {name}",
                f"{option} {value:g} is outside {low:g} to {high:g}",
                "Choose a value in that range",
            )
    known = {
        "program": ("constant", "proportional", "lognormal", *stages.fit_names("program")),
        "random": stages.fit_names("random"),
    }.get(name)
    if known is not None and stage.kind not in known:
        raise SpikecError(
            "SPK2117", f"{WHERE} {name}", f"'{stage.kind}' is no kind", f"Use {', '.join(known)}"
        )
