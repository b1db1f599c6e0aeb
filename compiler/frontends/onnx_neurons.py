"""Matches equations against neuron models.

An equation is the next value of a state in normal form (``onnx_values``). A membrane is

    v' = A + h B,    A = decay v + gain u + input + offset,

where h, if there is one, is the step that resets it: h = [A > threshold] resets in the same step,
h = [v > threshold] in the next one. B = -threshold subtracts; B = reset_value - A (same step) or
decay (reset_value - v) (next step) sets the membrane. The spike is [A > threshold], or
[v' > threshold] where the reset comes in the next step. A current is u' = synapse_decay u + input;
the membrane reads the new one, the old one, or (jump) the one before its decay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikec.compiler.equation import Neuron
from spikec.compiler.frontends.onnx_values import Above, Atom, Entry, Value, close, uniform
from spikec.compiler.neurons.cuba_leaky_integrator import CubaLeakyIntegrator
from spikec.compiler.neurons.cuba_lif import CubaLIF
from spikec.compiler.neurons.integrate_and_fire import IntegrateAndFire
from spikec.compiler.neurons.integrator import Integrator
from spikec.compiler.neurons.leaky_integrator import LeakyIntegrator
from spikec.compiler.neurons.lif import LIF
from spikec.compiler.types import Array, Tensor


class MismatchError(Exception):
    """An equation is no model that is known; the text says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """A recognised neuron.

    Attributes:
        neuron: Model and parameters.
        input: What arrives at its input.
        spike: The step that is its spike, or None where it sends its membrane.
    """

    neuron: Neuron
    input: Value
    spike: Above | None


@dataclass(frozen=True, slots=True, eq=False)
class _Reset:
    """How a membrane is reset: A, the spike, and fields of ``Firing``."""

    drive: Value
    spike: Above | None
    fields: dict[str, Any]


def match(
    v: Entry, following: Value, current: tuple[Entry, Value] | None, steps: Sequence[Above]
) -> Cell:
    """Return the neuron whose membrane is ``v``.

    Args:
        v: The membrane.
        following: Its next value.
        current: The synaptic current and its next value, or None.
        steps: All steps of the graph.

    Raises:
        MismatchError: When it is none.
    """
    reset = _reset(v, following, steps)
    decay, arriving = _linear(v, reset.drive)
    fields: dict[str, Any] = {"decay": _tensor(decay)}
    if current is not None:
        u, u_following = current
        arriving, offset, read = _current(u, u_following, arriving)
        fields |= read
    else:
        offset, arriving = arriving.constant, _without_constant(arriving)
    fields["offset"] = _tensor(offset)
    plain = current is None and bool(np.all(decay == 1)) and not offset.any()
    if reset.spike is None:
        if plain:
            return Cell(Integrator(), arriving, None)
        kind: Any = LeakyIntegrator if current is None else CubaLeakyIntegrator
        return Cell(kind(**fields), arriving, None)
    if plain:
        return Cell(IntegrateAndFire(**reset.fields), arriving, reset.spike)
    kind = LIF if current is None else CubaLIF
    return Cell(kind(**fields, **reset.fields), arriving, reset.spike)


def _tensor(values: Array) -> Tensor:
    return Tensor.floats(uniform(values))


def _constant(value: Value) -> Array | None:
    """Return a value that is a constant, or None; rounding of float32 is let through."""
    rest = _without_constant(value)
    zero = all(close(np.asarray(v), np.zeros(())) for v in rest.terms.values())
    return value.constant if zero else None


def _without_constant(value: Value) -> Value:
    return Value(value.shape, {p: v for p, v in value.terms.items() if p})


def _reset(v: Entry, following: Value, steps: Sequence[Above]) -> _Reset:
    own = [a for a in following.atoms if isinstance(a, Above) and v in a.inner.atoms]
    if len(own) > 1:
        raise MismatchError(f"{len(own)} different thresholds act on it")
    if not own:
        spike, threshold = _fires(following, steps)
        if spike is None:
            return _Reset(following, None, {})
        return _Reset(following, spike, _fields(spike, threshold, "none", None, "same"))
    (h,) = own
    drive, jump = following.split(h)
    same = _constant(drive.plus(h.inner, -1.0))
    if same is not None:
        kind, value = _kind(jump, drive, same, 1.0)
        return _Reset(drive, h, _fields(h, same, kind, value, "same"))
    old = _constant(Value.of(v).plus(h.inner, -1.0))
    if old is None:
        raise MismatchError(f"its threshold acts on {str(h.inner)[:120]}, not on the membrane")
    spike, threshold = _fires(following, steps)
    if spike is None or not close(threshold, old) or spike.compare != h.compare:
        raise MismatchError("its spikes are not those that it is reset by in the next step")
    decay = drive.coefficient(v)
    kind, value = _kind(jump, Value.of(v).scaled(decay), old, decay)
    return _Reset(drive, spike, _fields(spike, old, kind, value, "next"))


def _fires(membrane: Value, steps: Sequence[Above]) -> tuple[Above | None, Array]:
    """Return the step that compares a membrane with a constant, and that constant."""
    for step in steps:
        if step.shape == membrane.shape:
            threshold = _constant(membrane.plus(step.inner, -1.0))
            if threshold is not None:
                return step, threshold
    return None, np.zeros(())


def _kind(jump: Value, drive: Value, threshold: Array, decay: Any) -> tuple[str, Array | None]:
    """Return the kind of reset that ``jump`` is, and where it sets the membrane to."""
    subtracted = _constant(jump)
    if subtracted is not None and close(subtracted, np.asarray(-threshold)):
        return "subtract", None
    target = _constant(jump.plus(drive))
    if target is None or not np.all(decay != 0):
        raise MismatchError(f"a spike adds {str(jump)[:120]}, which is no reset")
    value = np.asarray(target / decay)
    return ("value", value) if value.any() else ("zero", None)


def _fields(
    spike: Above, threshold: Array, kind: str, value: Array | None, phase: str
) -> dict[str, Any]:
    made: dict[str, Any] = {"threshold": _tensor(threshold), "compare": spike.compare}
    made |= {"reset": kind, "reset_phase": phase}
    return made if value is None else {**made, "reset_value": _tensor(value)}


def _linear(state: Atom, value: Value) -> tuple[Array, Value]:
    """Return the factor of a state and the rest, in which it does not occur."""
    factor = value.coefficient(state)
    rest = Value(value.shape, {p: x for p, x in value.terms.items() if p != (state,)})
    if state in rest.atoms:
        raise MismatchError("it is not linear in its state")
    return factor, rest


def _current(u: Entry, following: Value, arriving: Value) -> tuple[Value, Array, dict[str, Any]]:
    """Return the input of a current, the offset of the membrane, and fields of ``CubaLIF``."""
    synapse_decay, enters = _linear(u, following)
    gain, direct = _linear(u, arriving)
    fields: dict[str, Any] = {"synapse_decay": _tensor(synapse_decay)}
    readings: list[tuple[str, Value, Array]] = [("old", enters, gain)]
    if np.all(synapse_decay != 0):
        readings.append(("new", enters, np.asarray(gain / synapse_decay)))
        readings.append(("jump", enters.scaled(np.asarray(1.0 / synapse_decay)), gain))
    # Several may fit; the one that leaves the weights as they are is how it was written.
    readings.sort(key=lambda reading: not _unscaled(reading[1]))
    for phase, arrives, factor in readings:
        seen = Value(arriving.shape) if phase == "old" else arrives.scaled(factor)
        offset = _constant(direct.plus(seen, -1.0))
        if offset is not None:
            fields |= {"current_phase": phase, "gain": _tensor(factor)}
            return arrives, offset, fields
    raise MismatchError("the membrane reads the current in a way that is not known")


def _unscaled(arrives: Value) -> bool:
    return all(close(np.asarray(v), np.ones(())) for v in arrives.terms.values())
