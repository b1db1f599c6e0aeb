"""What NIR cannot hold of a network, and how ``to_nir`` tells it."""

from collections.abc import Mapping
from dataclasses import dataclass

from spikec.compiler.errors import Finding, SpikecError

# NIR 1.0 has no field for these; they are a convention of the whole file, which ``to_nir`` states
# in the metadata. Other tools apply their own.
CONVENTION: Mapping[str, str] = {
    "compare": "spikes at v >= threshold",
    "reset": "a reset by subtraction, or none",
    "reset_phase": "a reset in the next update",
    "fire": "a threshold that is tested before the update",
    "max_spikes": "several spikes per step",
    "lower_clip": "a membrane kept at or above minus the threshold",
    "current_phase": "a membrane that integrates the old current, or the jump",
    "input_gain": "an input gain other than r (1 - decay) in a continuous network",
    "synapse_gain": "a synaptic gain other than w_in (1 - decay) in a continuous network",
}
# These are gone when the file is read again.
LOST: Mapping[str, str] = {
    "rule": "a rule of firing in which one population differs from the rest of the file",
    "v_min": "any other lower bound of a membrane",
    "initial state": "a state that does not begin at zero",
    "start": "a population that is held back until a later step",
    "formats": "integer formats, roundings and saturation of states; the numbers are written as "
    "the real values they stand for",
    "signal": "an input that carries spikes only, or stored integers",
    "storage": "a way of storing weights that is not the natural one of their kind",
    "sparse": "weights kept as compressed rows, as a rule, or with delays of their own: they "
    "become matrices with zeros",
    "mapping": "the cores that a program was placed on",
    "shape": "a population's shape that its inputs do not have: NIR can flatten, not fold",
    "name": "an output that has the name of another node",
    "order": "the order in which several connections into one population are added up",
    "step": "the length of a step, where a named convention has one of its own",
    "hop": "a connection without the delay that every one has under a named convention",
    "gain": "an input gain other than 1 of what does not spike, under a named convention of gain 1",
    "rounding": "numbers whose inverse is not exact: they come back a few units in the last place "
    "off",
}
SHOWN = 5


def not_in_nir(where: str, problem: str, remedy: str) -> SpikecError:
    """Return the error for what NIR cannot hold at all."""
    return SpikecError("SPK1049", where, problem, remedy)


def no_step(where: str, problem: str) -> SpikecError:
    """Return the error for steps that are no time."""
    return SpikecError("SPK1047", where, f"{problem}, and there is no dt", "Give --dt in seconds")


@dataclass(frozen=True, slots=True)
class Loss:
    """One thing, and all nodes that lose it in the same way."""

    key: str
    detail: str


class Losses:
    """Collects what is lost, and tells each loss once with all its places."""

    def __init__(self) -> None:
        """Begin with none."""
        self._places: dict[Loss, list[str]] = {}

    def add(self, key: str, where: str, detail: str) -> None:
        """Note a loss; ``detail`` says what exactly, without a full stop."""
        assert key in CONVENTION or key in LOST
        self._places.setdefault(Loss(key, detail), []).append(where)

    def findings(self) -> tuple[Finding, ...]:
        """Return one finding for each loss, in the order in which they came up."""
        return tuple(self._finding(loss, places) for loss, places in self._places.items())

    def _finding(self, loss: Loss, places: list[str]) -> Finding:
        where = ", ".join(places[:SHOWN]) + ", ..." * (len(places) > SHOWN)
        if loss.key in CONVENTION:
            text = f"{loss.detail}: NIR has no field for it, only this file's metadata say so"
            return Finding("SPK1044", where, text)
        return Finding("SPK1045", where, f"{loss.detail}: NIR does not hold it ({loss.key})")
