"""Neuron models with one semantic choice changed, as another framework might have made it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, get_args, get_type_hints

import numpy as np

from spikec.compiler.equation import Dynamics, Neuron
from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.nir_importers import IMPORTERS
from spikec.compiler.semantics import PRESETS, Semantics
from spikec.compiler.types import Array, Tensor

# The class of a choice, where it is not the choice's own name.
KINDS = {"discretisation": "dt", "reset_phase": "reset"}
# Choices of ``Semantics`` about a neuron; the others are about connections or the reading.
CHOICES = (
    "discretisation", "input_gain", "synapse_gain", "current_phase", "compare", "reset",
    "reset_phase", "fire", "max_spikes", "lower_clip",
)  # fmt: skip
# Steps that another may take, in steps of ours.
FACTORS = (1e-4, 1e-3, 1e-2, 0.1, 0.2, 0.5, 2.0, 5.0, 10.0, 100.0, 1e3, 1e4)
GAINS = {"decay": ("gain", "offset"), "synapse_decay": ("synapse_gain",)}


@dataclass(frozen=True, slots=True)
class Cause:
    """What the framework does otherwise.

    Attributes:
        kind: dt, compare, reset, delay, rounding, another choice of ``Semantics``, or convention.
        text: What it does, and what spikec does.
    """

    kind: str
    text: str

    def __str__(self) -> str:
        """Return both."""
        return f"{self.kind} ({self.text})"


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A population's model, and what it was made of.

    Attributes:
        model: Per step.
        origin: In continuous time, or None.
        dt: Step in seconds, or None.
    """

    model: Neuron
    origin: Dynamics | None
    dt: float | None


Changed = tuple[Cause, Neuron]
Rule = Callable[[Array], Array]


def single_changes(subject: Subject) -> Iterator[Changed]:
    """Yield the model with one choice changed."""
    if subject.origin is None or subject.dt is None:
        yield from _options(subject.model)
        yield from _decays(subject.model, subject.dt)
        return
    semantics = subject.origin.semantics
    for name in CHOICES:
        ours = getattr(semantics, name)
        for theirs in _alternatives(semantics, name, ours):
            cause = Cause(KINDS.get(name, name), f"{theirs} in place of {ours}")
            yield from _again(subject, cause, replace(semantics, **{name: theirs}))
    if _has_gain(subject):
        cause = Cause("gain", "r = 1 in place of the file's")
        yield from _again(_without_gain(subject), cause, semantics)
    known = {s.dt for s in PRESETS.values() if s.dt} | {f * subject.dt for f in FACTORS}
    for dt in sorted(known - {subject.dt}):
        cause = Cause("dt", f"{dt:g} s in place of {subject.dt:g} s")
        yield from _again(replace(subject, dt=dt), cause, semantics)


def reset_changes(subject: Subject) -> Iterator[Changed]:
    """Yield the model with another reset in another phase."""
    holder: Any = subject.model if subject.origin is None else subject.origin.semantics
    if not (hasattr(holder, "reset") and hasattr(holder, "reset_phase")):
        return
    names = ("reset", "reset_phase")
    for pair in product(*(_alternatives(holder, n, getattr(holder, n)) for n in names)):
        cause = Cause("reset", f"{' '.join(pair)} in place of {holder.reset} {holder.reset_phase}")
        chosen = dict(zip(names, pair, strict=True))
        if subject.origin is None:
            yield from _replaced(cause, subject.model, **chosen)
        else:
            yield from _again(subject, cause, replace(holder, **chosen))


def differing(subject: Subject, convention: Semantics) -> list[str]:
    """Return in what an importer differs from us: choices, the step it has fixed, r it ignores."""
    if subject.origin is None or subject.dt is None:
        return []
    ours = replace(subject.origin.semantics, dt=subject.dt if convention.dt else None)
    names = [n for n in (*CHOICES, "dt") if getattr(ours, n) != getattr(convention, n)]
    importer = IMPORTERS.get(convention.name)
    ignored = importer is not None and importer.fixed_r and _has_gain(subject)
    return [*names, "r"] if ignored else names


def convention_change(
    subject: Subject, convention: Semantics, names: Sequence[str]
) -> list[Changed]:
    """Return the model with some choices of another convention; empty where that cannot be."""
    assert subject.origin is not None
    values: dict[str, Any] = {n: getattr(convention, n) for n in names if n != "r"}
    origin = _without_gain(subject).origin if "r" in names else subject.origin
    shown = values | ({"r": 1} if "r" in names else {})
    cause = Cause("convention", ", ".join(f"{n}={v}" for n, v in shown.items()))
    dt = values.pop("dt", subject.dt)
    changed = replace(subject, origin=origin, dt=dt)
    return _again(changed, cause, replace(subject.origin.semantics, **values))


def _has_gain(subject: Subject) -> bool:
    """Return whether it is an IF or LIF of a file with an r that is not 1."""
    r = None if subject.origin is None else subject.origin.parameters().get("r")
    return r is not None and "cuba" not in subject.model.kind and bool(np.any(r.real() != 1))


def _without_gain(subject: Subject) -> Subject:
    origin: Any = subject.origin
    return replace(subject, origin=replace(origin, r=1.0))


def _alternatives(holder: object, name: str, ours: Any) -> tuple[Any, ...]:
    """Return the other values that a choice of a model or of ``Semantics`` may have."""
    every = (1, 0) if name == "max_spikes" else get_args(get_type_hints(type(holder))[name])
    return tuple(v for v in every if v != ours)


def _again(subject: Subject, cause: Cause, semantics: Semantics) -> list[Changed]:
    """Return the model discretised once more, unless that cannot be."""
    origin: Any = subject.origin
    assert subject.dt is not None
    try:
        with np.errstate(all="ignore"):
            return [(cause, replace(origin, semantics=semantics).discretize(subject.dt))]
    except SpikecError:
        return []


def _replaced(cause: Cause, model: Any, **values: Any) -> list[Changed]:
    """Return the model with fields replaced, unless it has no such form."""
    try:
        return [(cause, replace(model, **values))]
    except SpikecError:
        return []


def _options(model: Neuron) -> Iterator[Changed]:
    for name, ours in model.options().items():
        for theirs in _alternatives(model, name, ours):
            cause = Cause(KINDS.get(name, name), f"{theirs} in place of {ours}")
            yield from _replaced(cause, model, **{name: theirs})


# ---------------------------------------------------------------- decays


def _decays(model: Neuron, dt: float | None) -> Iterator[Changed]:
    """Yield the model with its decays by the other rule, or for another step.

    A gain that the decay had part in follows it, or does not.
    """
    factors = [name for name, kind in model.dimensions().items() if kind == "factor"]
    if not factors:
        return
    for (text, rule), follow in product(_rules(dt), (False, True)):
        with np.errstate(all="ignore"):
            values = _decayed(model, factors, rule, follow)
        if all(np.isfinite(v.data).all() for v in values.values()):
            yield from _replaced(Cause("dt", text), model, **values)


def _rules(dt: float | None) -> Iterator[tuple[str, Rule]]:
    """Yield what may make another decay of ours."""
    yield "decay 1 - dt/tau in place of exp(-dt/tau)", lambda d: np.asarray(1.0 + np.log(d))
    yield "decay exp(-dt/tau) in place of 1 - dt/tau", lambda d: np.asarray(np.exp(d - 1.0))
    for k in FACTORS:
        text = f"a step {k:g} times as long" if dt is None else f"{k * dt:g} s in place of {dt:g} s"
        yield text, _longer(k)
        yield text, _longer_by_euler(k)


def _longer(k: float) -> Rule:
    return lambda d: np.asarray(d**k)


def _longer_by_euler(k: float) -> Rule:
    return lambda d: np.asarray(1.0 - k * (1.0 - d))


def _decayed(model: Neuron, factors: list[str], rule: Rule, follow: bool) -> dict[str, Tensor]:
    made: dict[str, Tensor] = {}
    for name in factors:
        value = getattr(model, name).real()
        is_rate = name.endswith("rate")
        decay = rule(1.0 - value if is_rate else value)
        made[name] = Tensor.floats(1.0 - decay if is_rate else decay)
        for gain in GAINS.get(name, ()) if follow else ():
            if hasattr(model, gain):
                share = (1.0 - decay) / (1.0 - value)
                made[gain] = Tensor.floats(getattr(model, gain).real() * share)
    return made
