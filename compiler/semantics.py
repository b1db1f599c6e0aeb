"""What a continuous model means in discrete time: every choice a framework makes, named.

A NIR file is continuous and carries no unit, step, discretisation or reset phase, so the same file
is a different network in each framework. ``Semantics`` says which one is meant. A name stands for
what that framework does to a NIR file with its default arguments (source: framework_semantics.md,
sections 3 and 4); any field can be overridden: ``sinabs{max_spikes=1,reset=zero}``.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from math import isfinite
from typing import Any, Literal, get_args

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array

Compare = Literal["gt", "ge"]
Reset = Literal["zero", "value", "subtract", "none"]
ResetPhase = Literal["same", "next", "next_late", "undelayed"]
Fire = Literal["after", "before"]
CurrentPhase = Literal["new", "old", "jump"]
Clip = Literal["none", "integrate_and_fire", "all"]
StepRule = Literal["given", "tau/r", "tau/(1+r)", "tau*(1+r)"]


@dataclass(frozen=True, slots=True)
class Semantics:
    """The choices.

    Attributes:
        name: Framework whose convention this is.
        discretisation: Decay 1 - dt/tau (euler) or exp(-dt/tau) (exponential).
        input_gain: held: r (1 - decay), the input is constant over the step; unit: 1, r is
            ignored; normalised: 1, and threshold, reset and leak are divided by r (1 - decay).
        synapse_gain: Input gain of a synaptic current: held: w_in (1 - decay); unit: 1; decay: the
            decay itself, as in i = decay (i + x).
        current_phase: The membrane integrates the new current, the old one, or the one between
            jump and decay.
        compare: Spike when v > threshold (gt) or v >= threshold (ge).
        reset: To zero, to v_reset (value), by subtracting the threshold, or none.
        reset_phase: At the end of the step that spikes (same); in the next update (next), or at its
            end (next_late); or as snnTorch does without delay (undelayed): see ``neurons/firing``.
        fire: Test the threshold after the update, or before it.
        max_spikes: Spikes per step; 0 means as many as thresholds fit.
        lower_clip: Whether the membrane is kept at or above minus the threshold.
        hop_delay: Delay in steps of every connection.
        feedback_delay: Least delay in steps of a connection that closes a cycle.
        duplicate_edges: Two equal edges of an old file count once (one) or twice (sum).
        step_rule: given: dt is given; else dt is derived from the parameters of every node.
            Rockpool's rule is tau/(1+r); tau*(1+r) is what the published comparison of importers
            (framework_semantics.md, 4.1) in fact ran.
        dt: Step in seconds that the framework assumes, if it does; --dt overrides it.
        stability: refuse or allow decays outside 0 to 1.
    """

    name: str = "nir"
    discretisation: Literal["euler", "exponential"] = "exponential"
    input_gain: Literal["held", "unit", "normalised"] = "held"
    synapse_gain: Literal["held", "unit", "decay"] = "held"
    current_phase: CurrentPhase = "new"
    compare: Compare = "gt"
    reset: Reset = "value"
    reset_phase: ResetPhase = "same"
    fire: Fire = "after"
    max_spikes: int = 1
    lower_clip: Clip = "none"
    hop_delay: int = 0
    feedback_delay: int = 1
    duplicate_edges: Literal["one", "sum"] = "one"
    step_rule: StepRule = "given"
    dt: float | None = None
    stability: Literal["refuse", "allow"] = "refuse"

    def __str__(self) -> str:
        """Return ``name{field=value,...}`` with the fields that differ from the preset."""
        name = self.name if self.name in PRESETS else "nir"
        base, mine = asdict(PRESETS[name]), asdict(replace(self, name=name))
        texts = {k: "none" if v is None else v for k, v in mine.items() if v != base[k]}
        changed = ",".join(f"{k}={v}" for k, v in texts.items())
        return f"{name}{{{changed}}}" if changed else name

    @staticmethod
    def parse(text: str) -> "Semantics":
        """Read ``name`` or ``name{field=value,...}``.

        Raises:
            SpikecError: SPK0401 on an unknown name, SPK0402 or SPK0403 on a field.
        """
        name, options = parse_options(text, "--semantics")
        if name not in PRESETS:
            raise SpikecError(
                "SPK0401",
                "--semantics",
                f"'{name}' is not a known convention",
                f"Use one of {', '.join(PRESETS)}",
            )
        made: Semantics = typed_replace(PRESETS[name], options, f"--semantics {name}")
        return made

    def decay(self, where: str, tau: Array, dt: float) -> Array:
        """Return the decay per step for time constants ``tau`` in seconds.

        Raises:
            SpikecError: SPK0404 when tau is not positive, SPK0405 when the decay is unstable.
        """
        if not np.all(tau > 0):
            raise SpikecError(
                "SPK0404",
                where,
                f"time constant {tau[~(tau > 0)].flat[0]:g} is not positive",
                "Correct the model",
            )
        ratio = dt / tau
        if self.discretisation == "exponential":
            return np.exp(-ratio)
        decay = 1.0 - ratio
        if self.stability == "refuse" and bool(np.any(decay < 0)):
            raise SpikecError(
                "SPK0405",
                where,
                f"dt / tau = {ratio.max():.4g} exceeds 1, so the Euler decay 1 - dt / tau is "
                "negative",
                f"Use a dt of at most {tau.min():.4g} s, or --semantics "
                f"'{self.name}{{discretisation=exponential}}'",
            )
        return decay


PRESETS: Mapping[str, Semantics] = {
    "nir": Semantics(),
    "norse": Semantics("norse", "euler", synapse_gain="unit", current_phase="jump", dt=1e-3),
    "snntorch": Semantics("snntorch", "euler", "normalised", reset="zero", dt=1e-4),
    "spikingjelly": Semantics("spikingjelly", "euler", compare="ge", dt=1e-4),
    "sinabs": Semantics(
        "sinabs",
        input_gain="unit",
        synapse_gain="decay",
        compare="ge",
        reset="subtract",
        max_spikes=0,
        lower_clip="integrate_and_fire",
        dt=1.0,
    ),
    "rockpool": Semantics(
        "rockpool",
        input_gain="unit",
        synapse_gain="decay",
        compare="ge",
        reset="subtract",
        max_spikes=0,
        step_rule="tau/(1+r)",
    ),
    "nengo": Semantics("nengo", reset="zero"),
    "spyx": Semantics("spyx", "euler", reset="subtract", reset_phase="next", fire="before", dt=1.0),
    "lava": Semantics("lava", "euler", reset="zero", hop_delay=1, dt=1e-4),
    "snn_mlir": Semantics("snn_mlir", "euler", "unit", step_rule="tau/r"),
    "sc_neurocore": Semantics("sc_neurocore", "euler", dt=1.0, stability="allow"),
}


_CALL = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(?:\{([^{}]*)\})?\s*")
_PAIR = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*([^=,{}]+?)\s*")


def split_calls(text: str) -> list[str]:
    """Split ``name{key=value,...},name`` at the commas outside of braces."""
    return [part for part in re.findall(r"(?:[^,{]|\{[^}]*\}?)+", text) if part.strip()]


def parse_options(text: str, where: str) -> tuple[str, dict[str, str]]:
    """Split ``name{key=value,...}``.

    Raises:
        SpikecError: SPK0402 when the text has another form, SPK0408 when a key stands twice.
    """
    match = _CALL.fullmatch(text)
    pairs = [p for p in (match[2] or "").split(",") if p.strip()] if match else []
    parsed = [_PAIR.fullmatch(p) for p in pairs]
    if match is None or not all(parsed):
        raise SpikecError(
            "SPK0402", where, f"'{text}' is not of the form name{{field=value,...}}", "Rewrite it"
        )
    found = {p[1]: p[2] for p in parsed if p is not None}
    if len(found) < len(parsed):
        raise SpikecError("SPK0408", where, f"'{text}' gives one option twice", "Give it once")
    return match[1], found


def typed_replace(base: Any, options: Mapping[str, str], where: str) -> Any:
    """Return the dataclass ``base`` with fields set from text, each checked against its type.

    Raises:
        SpikecError: SPK0403 on an unknown field, SPK0406 on a value of the wrong type.
    """
    known = {f.name: f.type for f in fields(base) if f.name != "name"}
    values: dict[str, Any] = {}
    for key, text in options.items():
        if key not in known:
            raise SpikecError(
                "SPK0403", where, f"'{key}' is not an option", f"Use one of {', '.join(known)}"
            )
        values[key] = _typed(text, known[key], f"{where} {key}")
    return replace(base, **values)


def _typed(text: str, kind: Any, where: str) -> Any:
    """Read one value of an annotated type: Literal, int, float, bool, str, or optional."""
    literals = get_args(kind)
    if literals and all(isinstance(v, str) for v in literals):
        if text in literals:
            return text
        wanted = f"one of {', '.join(literals)}"
    elif kind is str:
        return text
    elif kind is bool:
        if text in ("true", "false"):
            return text == "true"
        wanted = "true or false"
    elif type(None) in literals and text == "none":
        return None
    else:
        number = int if int in (kind, *literals) else float
        try:
            value = number(text)
            if isfinite(value):
                return value
        except (ValueError, OverflowError):
            pass
        wanted = "an integer" if number is int else "a number"
    raise SpikecError("SPK0406", where, f"'{text}' is not {wanted}", "Correct the value")
