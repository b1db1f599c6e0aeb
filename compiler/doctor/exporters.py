"""Who wrote a NIR file: no field says it, but each exporter fills in r, tau and w_in by a rule.

Source of the rules: framework_semantics.md, sections 3.2 and 3.3.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from spikec.compiler.frontends.nir_raw import RawNode
from spikec.compiler.types import Array

# Files hold float32, which has 7 digits.
CLOSE = 1e-5
SNNTORCH_DT = 1e-4
# Steps that people use; a rule that holds for one of them is no accident.
ROUND_STEPS = tuple(m * 10.0**-e for e in range(6, -1, -1) for m in (1, 2, 5))


@dataclass(frozen=True, slots=True)
class Guess:
    """A framework that may have written the file.

    Attributes:
        name: The framework, as ``--semantics`` calls it, or hand.
        certain: Whether the numbers would be a coincidence otherwise.
        evidence: What speaks for it.
        dt: Step in seconds that follows, or None.
    """

    name: str
    certain: bool
    evidence: str
    dt: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Leaky:
    """A node with a membrane time constant."""

    name: str
    tau: Array
    r: Array
    node: RawNode


def guesses(nodes: Sequence[RawNode]) -> list[Guess]:
    """Return who may have written these nodes, the likeliest first; never empty."""
    leaky = [_leaky(n) for n in nodes if n.type in ("LIF", "LI", "CubaLIF", "CubaLI")]
    flat = [n for n in nodes if n.type == "IF"]
    rules: tuple[Callable[[list[Leaky], list[RawNode]], Guess | None], ...] = (
        _snntorch,
        _rockpool,
        _spyx,
        _spikingjelly,
        _sinabs,
        _norse,
    )
    found = [g for rule in rules if (g := rule(leaky, flat)) is not None]
    found.sort(key=lambda g: not g.certain)
    if not any(g.certain for g in found):
        found.append(Guess("hand", False, "no rule of an exporter excludes a file by hand"))
    return found


def _leaky(node: RawNode) -> Leaky:
    tau = node.numbers("tau_mem" if node.type.startswith("Cuba") else "tau")
    return Leaky(node.name, tau, node.numbers("r"), node)


def _equal(a: Array, b: Array | float) -> bool:
    return bool(np.all(np.abs(a - b) <= CLOSE * np.maximum(np.abs(a), np.abs(b))))


def _snntorch(leaky: list[Leaky], flat: list[RawNode]) -> Guess | None:
    """R = tau / dt with dt = 1e-4, hard-coded; w_in = tau_syn / dt."""
    if not leaky or flat or not all(_equal(n.r * SNNTORCH_DT, n.tau) for n in leaky):
        return None
    for n in leaky:
        fields = n.node.fields
        if "w_in" in fields and not _equal(
            n.node.numbers("w_in") * SNNTORCH_DT, n.node.numbers("tau_syn")
        ):
            return None
    text = f"r = tau / 1e-4 s in {_nodes(len(leaky))}, the step that its exporter has fixed"
    return Guess("snntorch", True, text, SNNTORCH_DT)


def _rockpool(leaky: list[Leaky], flat: list[RawNode]) -> Guess | None:
    """R = tau exp(-dt / tau) / dt."""
    for dt in ROUND_STEPS if leaky and not flat else ():
        with np.errstate(all="ignore"):
            if all(_equal(n.r, n.tau * np.exp(-dt / n.tau) / dt) for n in leaky):
                text = f"r = tau exp(-dt / tau) / dt with dt = {dt:g} s in {_nodes(len(leaky))}"
                return Guess("rockpool", True, text, dt)
    return None


def _spyx(leaky: list[Leaky], flat: list[RawNode]) -> Guess | None:
    """Tau = dt / (1 - b) with dt = 1, and r = b."""
    if not leaky or flat or not all(np.all(n.tau > 1) for n in leaky):
        return None
    if not all(_equal(n.r, 1.0 - 1.0 / n.tau) for n in leaky):
        return None
    return Guess("spyx", True, f"r = 1 - 1 / tau in {_nodes(len(leaky))}", 1.0)


def _spikingjelly(leaky: list[Leaky], flat: list[RawNode]) -> Guess | None:
    """IF: r = 1 / dt. LIF: v_leak = v_reset, and r is 1 or tau in steps."""
    for dt in ROUND_STEPS:
        if not flat or dt == 1.0 or not all(_equal(n.numbers("r"), 1.0 / dt) for n in flat):
            continue
        with np.errstate(all="ignore"):
            if all(_equal(n.r, 1.0) or _equal(n.r, n.tau / dt) for n in leaky):
                text = f"IF with r = 1 / {dt:g} s in {_nodes(len(flat))}"
                return Guess("spikingjelly", True, text, dt)
    return None


def _sinabs(leaky: list[Leaky], flat: list[RawNode]) -> Guess | None:
    """R = 1; tau in steps."""
    if not (leaky or flat) or not all(_equal(n.numbers("r"), 1.0) for n in flat):
        return None
    if not all(_equal(n.r, 1.0) and np.all(n.tau >= 1) for n in leaky):
        return None
    if leaky:
        return Guess("sinabs", True, "r = 1 and tau of 1 and more: it counts in steps", 1.0)
    text = f"IF with r = 1 in {_nodes(len(flat))}; snnTorch writes no IF, SpikingJelly r = 1 / dt"
    return Guess("sinabs", False, text, 1.0)


def _norse(leaky: list[Leaky], flat: list[RawNode]) -> Guess | None:
    """R = 1, tau in seconds, w_in = 1."""
    if not (leaky or flat) or not all(_equal(n.numbers("r"), 1.0) for n in flat):
        return None
    if not all(_equal(n.r, 1.0) and np.all(n.tau < 1) for n in leaky):
        return None
    if not all(_equal(n.node.numbers("w_in"), 1.0) for n in leaky if "w_in" in n.node.fields):
        return None
    unit = ", tau below 1: it is in seconds" if leaky else ""
    return Guess("norse", False, f"r = 1{unit}")


def _nodes(n: int) -> str:
    return "the one neuron node" if n == 1 else f"all {n} neuron nodes"
