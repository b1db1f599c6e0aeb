"""Targets: what a piece of hardware is, as data in ``hw/targets/*.toml``."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files

from spikec.compiler.errors import Finding, SpikecError


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
        device: Name and resources of its part, with source and confidence; empty if it has none.
    """

    name: str
    title: str
    backend: str
    pipeline: str
    prices: tuple[str, ...] = ()
    unchecked: str = ""
    device: Mapping[str, int | str] = field(default_factory=dict[str, int | str])

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
    prices = tuple(data.get("prices", ()))
    unchecked = data.get("unchecked", "")
    device = data.get("device", {})
    return Target(name, data["title"], data["backend"], data["pipeline"], prices, unchecked, device)
