"""Targets: what a piece of hardware is, as data in ``hw/targets/*.toml``."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.mapping.mesh import Mesh


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of the hardware.

    Attributes:
        value: The largest number that fits.
        source: Who says so.
        confidence: high, medium or low.
    """

    value: int
    source: str
    confidence: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of the hardware.

    Attributes:
        value: How much.
        unit: Of what.
        source: Who says so.
        confidence: high, medium or low.
    """

    value: float
    unit: str
    source: str
    confidence: str


@dataclass(frozen=True, slots=True)
class Target:
    """A target.

    Attributes:
        name: File name without the ending.
        title: One line for people.
        backend: Which backend runs and emits it.
        pipeline: Passes that make a program for it, unless the user gives others.
        prices: Price books for its energy, unless the user names others.
        unchecked: What the compiler does not know or do about it yet; empty if nothing.
        limits: Of a core, and ``cores`` of a chip, by name; empty where there are no cores.
        mesh: Where the cores of a chip lie, or None.
        device: Name and resources of its part, with source and confidence; empty if it has none.
        array: Of a resistive array: its size, cells and wires, by name; empty if it has none.
    """

    name: str
    title: str
    backend: str
    pipeline: str
    prices: tuple[str, ...] = ()
    unchecked: str = ""
    limits: Mapping[str, Limit] = field(default_factory=dict[str, Limit])
    mesh: Mesh | None = None
    device: Mapping[str, int | float | str] = field(default_factory=dict[str, int | float | str])
    array: Mapping[str, Quantity] = field(default_factory=dict[str, Quantity])

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What a user of the target must know: SPK1133."""
        return (Finding("SPK1133", self.name, self.unchecked),) if self.unchecked else ()


def target_names() -> tuple[str, ...]:
    """Return the names of all targets."""
    folder = files("spikec.hw").joinpath("targets")
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def load_target(name: str) -> Target:
    """Return a target by name.

    Raises:
        SpikecError: SPK0621 when there is none.
    """
    if name not in target_names():
        raise SpikecError(
            "SPK0621",
            "--target",
            f"'{name}' is not a target",
            f"Use one of {', '.join(target_names())}",
        )
    text = files("spikec.hw").joinpath("targets", f"{name}.toml").read_text()
    data = tomllib.loads(text)
    return Target(
        name,
        data["title"],
        data["backend"],
        data["pipeline"],
        tuple(data.get("prices", ())),
        data.get("unchecked", ""),
        {k: Limit(**v) for k, v in data.get("limits", {}).items()},
        _mesh(data["mesh"]) if "mesh" in data else None,
        data.get("device", {}),
        {k: Quantity(**v) for k, v in data.get("array", {}).items()},
    )


def _mesh(data: Mapping[str, Any]) -> Mesh:
    return Mesh(**{k: v for k, v in data.items() if k not in ("source", "confidence")})
