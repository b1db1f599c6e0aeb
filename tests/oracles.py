"""Slow, independent oracles of the neuron models, one step and one neuron at a time.

    update(v)    (decay*v + drive) + offset, in this order; drive = gain*input, or gain*current
    spikes(x)    [x > threshold] or [x >= threshold]; a count when max_spikes is not 1
    reset(x, n)  n = 0 or "none": x; "zero": 0; "value": reset_value; "subtract": x - n*threshold

    fire    reset_phase  membrane                                  emitted
    after   same         x = update(v), v' = reset(x, spikes(x))   spikes(x)
    after   next         x = update(reset(v, spikes(v))), v' = x   spikes(x)
    before  same         the same                                  spikes(v)
    before  next         the same                                  spikes(v)

In phase "next", "subtract" takes the threshold after the decay, as snnTorch and Spyx do:
x = update(v) - spikes(v)*threshold. At the very end of a step v' = max(v', v_min).
The float oracles compute in float64, the integer ones in exact fractions with `cast`.

Source: specs/framework_semantics.md sections 2, 3 and 6; specs/expr.md sections 4, 8 and 12.
Nothing here is shared with spikec.
"""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral
from typing import Generic, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

Compare: TypeAlias = Literal["gt", "ge"]
Reset: TypeAlias = Literal["zero", "value", "subtract", "none"]
ResetPhase: TypeAlias = Literal["same", "next"]
Fire: TypeAlias = Literal["after", "before"]
CurrentPhase: TypeAlias = Literal["new", "old", "jump"]
Rounding: TypeAlias = Literal["floor", "to_zero", "nearest", "nearest_even"]
Overflow: TypeAlias = Literal["saturate", "wrap", "never"]

Counts: TypeAlias = npt.NDArray[np.int64]
Exact: TypeAlias = int | Fraction
ExactRow: TypeAlias = Exact | Sequence[Exact] | npt.NDArray[np.int64] | npt.NDArray[np.object_]
ExactInputs: TypeAlias = Sequence[Sequence[Exact]] | npt.NDArray[np.int64] | npt.NDArray[np.object_]

Real = TypeVar("Real", float, Fraction)
Stored = TypeVar("Stored", np.float64, np.object_)


class SpikeTrace(NamedTuple, Generic[Stored]):
    """Spike counts and the membrane stored at the end of each step, both (steps, n).

    The float oracles store float64; the integer ones store `Fraction` objects.
    """

    output: Counts
    v: npt.NDArray[Stored]


class CurrentTrace(NamedTuple, Generic[Stored]):
    """A `SpikeTrace` with the synaptic current u stored at the end of each step."""

    output: Counts
    v: npt.NDArray[Stored]
    u: npt.NDArray[Stored]


class ValueTrace(NamedTuple, Generic[Stored]):
    """The values that a leaky integrator puts out, equal to its membrane, both (steps, n)."""

    output: npt.NDArray[Stored]
    v: npt.NDArray[Stored]


class Format(NamedTuple):
    """A storage format and the way a value enters it; the arguments of `cast`."""

    bits: int
    frac: int
    signed: bool
    rounding: Rounding
    overflow: Overflow


def cast(
    x: Fraction, bits: int, frac: int, signed: bool, rounding: Rounding, overflow: Overflow
) -> Fraction:
    """Round x to frac fraction bits, then fit it into bits bits.

    Source: specs/expr.md section 4.

    Raises:
        OverflowError: overflow is "never" and the rounded value does not fit.
        ValueError: the rounding or overflow mode is unknown.
    """
    n = _rounded(x * Fraction(2) ** frac, rounding)
    low = -(2 ** (bits - 1)) if signed else 0
    high = low + 2**bits - 1
    if overflow == "saturate":
        n = min(max(n, low), high)
    elif overflow == "wrap":
        n = (n - low) % 2**bits + low
    elif overflow != "never":
        raise ValueError(f"overflow mode {overflow!r} is unknown")
    elif not low <= n <= high:
        raise OverflowError(f"{x} does not fit {bits} bits with {frac} of fraction")
    return n / Fraction(2) ** frac


def _rounded(x: Fraction, rounding: Rounding) -> int:
    if rounding == "floor":
        return math.floor(x)
    if rounding == "to_zero":
        return math.trunc(x)
    if rounding == "nearest":
        return math.floor(x + Fraction(1, 2))
    if rounding == "nearest_even":
        return round(x)
    raise ValueError(f"rounding mode {rounding!r} is unknown")


def raw(values: npt.NDArray[np.object_], frac: int) -> Counts:
    """Return the stored integers value * 2**frac; all of them must be whole."""
    scaled = [Fraction(value) * Fraction(2) ** frac for value in values.ravel().tolist()]
    if any(value.denominator != 1 for value in scaled):
        raise ValueError(f"values have more than {frac} fraction bits")
    return np.array([int(value) for value in scaled], dtype=np.int64).reshape(values.shape)


def spikes(x: Real, threshold: Real, compare: Compare, max_spikes: int) -> int:
    """Count the spikes of membrane x: at most max_spikes, 0 for no limit.

    max_spikes = 1: [x > threshold] or [x >= threshold]. Otherwise threshold > 0 and
    ge: floor(x / threshold); gt: ceil(x / threshold) - 1, so k*threshold exactly counts k - 1.
    """
    if compare == "gt":
        fires = x > threshold
    elif compare == "ge":
        fires = x >= threshold
    else:
        raise ValueError(f"compare {compare!r} is unknown")
    if not fires:
        return 0
    if max_spikes == 1:
        return 1
    if threshold <= 0:
        raise ValueError(f"threshold {threshold} must be positive for several spikes a step")
    ratio = x / threshold
    count = math.floor(ratio) if compare == "ge" else math.ceil(ratio) - 1
    return count if max_spikes == 0 else min(count, max_spikes)


def after_reset(x: Real, n: int, threshold: Real, reset: Reset, reset_value: Real) -> Real:
    """Return membrane x after n spikes."""
    if reset == "none":
        return x
    if reset == "zero":
        return x if n == 0 else x - x  # the zero of its own type
    if reset == "value":
        return x if n == 0 else reset_value
    if reset == "subtract":
        return x - n * threshold
    raise ValueError(f"reset {reset!r} is unknown")


@dataclass(frozen=True, slots=True)
class _Rule:
    """The firing rule, common to all neurons of a call."""

    compare: Compare
    reset: Reset
    reset_phase: ResetPhase
    fire: Fire
    max_spikes: int


@dataclass(frozen=True, slots=True)
class _Neuron(Generic[Real]):
    """The parameters of one neuron; `leak` casts decay*v, `store` casts x and v'."""

    decay: Real
    gain: Real
    offset: Real
    threshold: Real
    reset_value: Real
    v_min: Real | None
    leak: Callable[[Real], Real]
    store: Callable[[Real], Real]


@dataclass(frozen=True, slots=True)
class _Synapse(Generic[Real]):
    """The synapse of one neuron; `leak` casts synapse_decay*u, `store` casts u'."""

    decay: Real
    gain: Real
    phase: CurrentPhase
    leak: Callable[[Real], Real]
    store: Callable[[Real], Real]


def _neurons(
    n: int, rows: list[list[Real]], lowest: list[Real] | None,
    leak: Callable[[Real], Real], store: Callable[[Real], Real],
) -> list[_Neuron[Real]]:  # fmt: skip
    decay, gain, offset, threshold, reset_value = rows
    return [
        _Neuron(
            decay[k], gain[k], offset[k], threshold[k], reset_value[k],
            None if lowest is None else lowest[k], leak, store,
        )
        for k in range(n)
    ]  # fmt: skip


def _step(p: _Neuron[Real], rule: _Rule, v: Real, drive: Real) -> tuple[int, Real]:
    """Return the emitted spikes and v' of one step, by the table in the module docstring."""
    n_old = spikes(v, p.threshold, rule.compare, rule.max_spikes)
    if rule.reset_phase == "same" and rule.fire == "after":
        x = p.store(_update(p, v, drive))
        n = spikes(x, p.threshold, rule.compare, rule.max_spikes)
        return n, _stored(p, after_reset(x, n, p.threshold, rule.reset, p.reset_value))
    if rule.reset_phase == "next" and rule.reset == "subtract":
        x = p.store(_update(p, v, drive) - n_old * p.threshold)
    else:
        v_reset = after_reset(v, n_old, p.threshold, rule.reset, p.reset_value)
        x = p.store(_update(p, v_reset, drive))
    n_new = spikes(x, p.threshold, rule.compare, rule.max_spikes)
    return (n_old if rule.fire == "before" else n_new), _stored(p, x)


def _update(p: _Neuron[Real], v: Real, drive: Real) -> Real:
    return (p.leak(p.decay * v) + drive) + p.offset


def _stored(p: _Neuron[Real], v: Real) -> Real:
    return p.store(v if p.v_min is None else max(v, p.v_min))


def _spiking(
    neurons: list[_Neuron[Real]], rule: _Rule, inputs: list[list[Real]], starts: list[Real]
) -> tuple[Counts, list[list[Real]]]:
    """Run every neuron over its inputs or currents; return the spikes and each one's membranes."""
    if rule.fire not in ("after", "before") or rule.reset_phase not in ("same", "next"):
        raise ValueError(f"fire {rule.fire!r} or reset_phase {rule.reset_phase!r} is unknown")
    outputs: list[list[int]] = []
    membranes: list[list[Real]] = []
    for p, row, start in zip(neurons, inputs, starts, strict=True):
        v = start
        output: list[int] = []
        membrane: list[Real] = []
        for i in row:
            n, v = _step(p, rule, v, p.gain * i)
            output.append(n)
            membrane.append(v)
        outputs.append(output)
        membranes.append(membrane)
    return np.array(outputs, dtype=np.int64).T, membranes


def _currents(
    synapses: list[_Synapse[Real]], inputs: list[list[Real]], starts: list[Real]
) -> tuple[list[list[Real]], list[list[Real]]]:
    """Return, for every neuron, the currents that v integrates and the currents u' stored."""
    integrated: list[list[Real]] = []
    stored: list[list[Real]] = []
    for s, row, start in zip(synapses, inputs, starts, strict=True):
        u = start
        currents: list[Real] = []
        states: list[Real] = []
        for i in row:
            current, u = _synapse_step(s, u, i)
            currents.append(current)
            states.append(u)
        integrated.append(currents)
        stored.append(states)
    return integrated, stored


def _synapse_step(s: _Synapse[Real], u: Real, i: Real) -> tuple[Real, Real]:
    if s.phase == "jump":
        jumped = u + s.gain * i
        return jumped, s.store(s.leak(s.decay * jumped))
    u_new = s.store(s.leak(s.decay * u) + s.gain * i)
    if s.phase == "new":
        return u_new, u_new
    if s.phase == "old":
        return u, u_new
    raise ValueError(f"current_phase {s.phase!r} is unknown")


# Float64 oracles -------------------------------------------------------------------------------


def lif(
    inputs: npt.ArrayLike, *, decay: npt.ArrayLike, gain: npt.ArrayLike, offset: npt.ArrayLike,
    threshold: npt.ArrayLike, reset_value: npt.ArrayLike = 0.0, v_init: npt.ArrayLike = 0.0,
    compare: Compare = "gt", reset: Reset = "zero", reset_phase: ResetPhase = "same",
    fire: Fire = "after", max_spikes: int = 1, v_min: npt.ArrayLike | None = None,
) -> SpikeTrace[np.float64]:  # fmt: skip
    """Leaky integrate-and-fire: x = (decay*v + gain*input) + offset, then the module's table.

    Source: specs/framework_semantics.md sections 2.1, 3.1 and 6.

    Args:
        inputs: Input of every step, (steps, n).
        decay, gain, offset, threshold, reset_value, v_init, v_min: Scalars or one value a neuron.
        compare, reset, reset_phase, fire: Attributes of section 6; see the module docstring.
        max_spikes: Most spikes in one step; 0 for no limit.
    """
    rows = _float_inputs(inputs)
    neurons = _float_neurons(len(rows), decay, gain, offset, threshold, reset_value, v_min)
    rule = _Rule(compare, reset, reset_phase, fire, max_spikes)
    output, v = _spiking(neurons, rule, rows, _float_row(v_init, len(rows)))
    return SpikeTrace(output, _floats(v))


def integrate_and_fire(
    inputs: npt.ArrayLike, *, gain: npt.ArrayLike, threshold: npt.ArrayLike,
    reset_value: npt.ArrayLike = 0.0, v_init: npt.ArrayLike = 0.0,
    compare: Compare = "gt", reset: Reset = "zero", reset_phase: ResetPhase = "same",
    fire: Fire = "after", max_spikes: int = 1, v_min: npt.ArrayLike | None = None,
) -> SpikeTrace[np.float64]:  # fmt: skip
    """Integrate-and-fire: `lif` with decay 1 and offset 0, x = v + gain*input."""
    return lif(
        inputs, decay=1.0, gain=gain, offset=0.0, threshold=threshold, reset_value=reset_value,
        v_init=v_init, compare=compare, reset=reset, reset_phase=reset_phase, fire=fire,
        max_spikes=max_spikes, v_min=v_min,
    )  # fmt: skip


def cuba_lif(
    inputs: npt.ArrayLike, *, synapse_decay: npt.ArrayLike, synapse_gain: npt.ArrayLike,
    decay: npt.ArrayLike, gain: npt.ArrayLike, offset: npt.ArrayLike, threshold: npt.ArrayLike,
    reset_value: npt.ArrayLike = 0.0, v_init: npt.ArrayLike = 0.0, u_init: npt.ArrayLike = 0.0,
    compare: Compare = "gt", reset: Reset = "zero", reset_phase: ResetPhase = "same",
    fire: Fire = "after", max_spikes: int = 1, v_min: npt.ArrayLike | None = None,
    current_phase: CurrentPhase = "new",
) -> CurrentTrace[np.float64]:  # fmt: skip
    """Current-based LIF: `lif` that integrates gain*current in place of gain*input.

        new:   u' = synapse_decay*u + synapse_gain*input; current = u'
        old:   the same u'; current = u
        jump:  current = u + synapse_gain*input; u' = synapse_decay*current

    Source: specs/framework_semantics.md sections 2.1, 3.1 and 6 (`current_phase`).
    """
    rows = _float_inputs(inputs)
    n = len(rows)
    neurons = _float_neurons(n, decay, gain, offset, threshold, reset_value, v_min)
    rule = _Rule(compare, reset, reset_phase, fire, max_spikes)
    decays, gains = _float_row(synapse_decay, n), _float_row(synapse_gain, n)
    synapses = [_Synapse(decays[k], gains[k], current_phase, _same, _same) for k in range(n)]
    integrated, u = _currents(synapses, rows, _float_row(u_init, n))
    output, v = _spiking(neurons, rule, integrated, _float_row(v_init, n))
    return CurrentTrace(output, _floats(v), _floats(u))


def leaky_integrator(
    inputs: npt.ArrayLike, *, decay: npt.ArrayLike, gain: npt.ArrayLike, offset: npt.ArrayLike,
    v_init: npt.ArrayLike = 0.0,
) -> ValueTrace[np.float64]:  # fmt: skip
    """Leaky integrator: v' = (decay*v + gain*input) + offset; the output is v'."""
    v = lif(
        inputs, decay=decay, gain=gain, offset=offset, threshold=0.0, v_init=v_init, reset="none"
    ).v
    return ValueTrace(v, v)


def _same(x: float) -> float:
    return x


def _float_inputs(inputs: npt.ArrayLike) -> list[list[float]]:
    """Return one list of inputs for each neuron."""
    array = np.asarray(inputs, dtype=np.float64)
    if array.ndim != 2:
        raise ValueError(f"inputs of shape {array.shape} must be (steps, n)")
    return [[float(i) for i in array[:, k]] for k in range(array.shape[1])]


def _float_row(value: npt.ArrayLike, n: int) -> list[float]:
    return [float(x) for x in np.broadcast_to(np.asarray(value, dtype=np.float64), (n,))]


def _float_neurons(
    n: int, decay: npt.ArrayLike, gain: npt.ArrayLike, offset: npt.ArrayLike,
    threshold: npt.ArrayLike, reset_value: npt.ArrayLike, v_min: npt.ArrayLike | None,
) -> list[_Neuron[float]]:  # fmt: skip
    rows = [_float_row(value, n) for value in (decay, gain, offset, threshold, reset_value)]
    lowest = None if v_min is None else _float_row(v_min, n)
    return _neurons(n, rows, lowest, _same, _same)


def _floats(columns: list[list[float]]) -> npt.NDArray[np.float64]:
    return np.array(columns, dtype=np.float64).T


# Exact oracles ---------------------------------------------------------------------------------


def lif_integer(
    inputs: ExactInputs, *, decay: ExactRow, gain: ExactRow, offset: ExactRow, threshold: ExactRow,
    membrane: Format, leak_format: Format | None = None, reset_value: ExactRow = 0,
    v_init: ExactRow = 0, compare: Compare = "gt", reset: Reset = "zero",
    reset_phase: ResetPhase = "same", fire: Fire = "after", max_spikes: int = 1,
    v_min: ExactRow | None = None,
) -> SpikeTrace[np.object_]:  # fmt: skip
    """`lif` in exact arithmetic: x is cast to `membrane` before the spike test, v' at the end.

    Source: specs/expr.md sections 4, 8 and 12; for `leak_format`, specs/loihi.md section 3.

    Args:
        inputs: Integers or fractions, (steps, n); floats are refused, here and below.
        membrane: Format of x and of v'.
        leak_format: Format of the product decay*v alone, before the sum; None keeps it exact.
        decay, gain, offset, threshold, reset_value, v_init, v_min: Scalars or one value a neuron.
        compare, reset, reset_phase, fire, max_spikes: As in `lif`.
    """
    rows = _exact_inputs(inputs)
    neurons = _exact_neurons(
        len(rows), decay, gain, offset, threshold, reset_value, v_min, leak_format, membrane
    )
    rule = _Rule(compare, reset, reset_phase, fire, max_spikes)
    output, v = _spiking(neurons, rule, rows, _exact_row(v_init, len(rows)))
    return SpikeTrace(output, _objects(v))


def integrate_and_fire_integer(
    inputs: ExactInputs, *, gain: ExactRow, threshold: ExactRow, membrane: Format,
    reset_value: ExactRow = 0, v_init: ExactRow = 0, compare: Compare = "gt",
    reset: Reset = "zero", reset_phase: ResetPhase = "same", fire: Fire = "after",
    max_spikes: int = 1, v_min: ExactRow | None = None,
) -> SpikeTrace[np.object_]:  # fmt: skip
    """`integrate_and_fire` in exact arithmetic: `lif_integer` with decay 1 and offset 0."""
    return lif_integer(
        inputs, decay=1, gain=gain, offset=0, threshold=threshold, membrane=membrane,
        reset_value=reset_value, v_init=v_init, compare=compare, reset=reset,
        reset_phase=reset_phase, fire=fire, max_spikes=max_spikes, v_min=v_min,
    )  # fmt: skip


def cuba_lif_integer(
    inputs: ExactInputs, *, synapse_decay: ExactRow, synapse_gain: ExactRow, decay: ExactRow,
    gain: ExactRow, offset: ExactRow, threshold: ExactRow, membrane: Format, current: Format,
    leak_format: Format | None = None, synapse_leak_format: Format | None = None,
    reset_value: ExactRow = 0, v_init: ExactRow = 0, u_init: ExactRow = 0,
    compare: Compare = "gt", reset: Reset = "zero", reset_phase: ResetPhase = "same",
    fire: Fire = "after", max_spikes: int = 1, v_min: ExactRow | None = None,
    current_phase: CurrentPhase = "new",
) -> CurrentTrace[np.object_]:  # fmt: skip
    """`cuba_lif` in exact arithmetic; u' is cast to `current` once it is updated.

    `synapse_leak_format` is the format of the product with synapse_decay alone. In phase "jump"
    the current that v integrates, u + synapse_gain*input, stays exact: only u' is cast.
    """
    rows = _exact_inputs(inputs)
    n = len(rows)
    neurons = _exact_neurons(
        n, decay, gain, offset, threshold, reset_value, v_min, leak_format, membrane
    )
    rule = _Rule(compare, reset, reset_phase, fire, max_spikes)
    decays, gains = _exact_row(synapse_decay, n), _exact_row(synapse_gain, n)
    leak, store = _caster(synapse_leak_format), _caster(current)
    synapses = [_Synapse(decays[k], gains[k], current_phase, leak, store) for k in range(n)]
    integrated, u = _currents(synapses, rows, _exact_row(u_init, n))
    output, v = _spiking(neurons, rule, integrated, _exact_row(v_init, n))
    return CurrentTrace(output, _objects(v), _objects(u))


def leaky_integrator_integer(
    inputs: ExactInputs, *, decay: ExactRow, gain: ExactRow, offset: ExactRow, membrane: Format,
    leak_format: Format | None = None, v_init: ExactRow = 0,
) -> ValueTrace[np.object_]:  # fmt: skip
    """`leaky_integrator` in exact arithmetic; v' is cast to `membrane`."""
    v = lif_integer(
        inputs, decay=decay, gain=gain, offset=offset, threshold=0, membrane=membrane,
        leak_format=leak_format, v_init=v_init, reset="none",
    ).v  # fmt: skip
    return ValueTrace(v, v)


def _caster(form: Format | None) -> Callable[[Fraction], Fraction]:
    def apply(x: Fraction) -> Fraction:
        return x if form is None else cast(x, *form)

    return apply


def _exact(value: object) -> Fraction:
    if isinstance(value, Fraction):
        return value
    if isinstance(value, Integral):
        return Fraction(int(value))
    raise TypeError(f"{value!r} is no integer and no fraction")


def _exact_row(value: ExactRow, n: int) -> list[Fraction]:
    if isinstance(value, Sequence | np.ndarray):
        row = [_exact(item) for item in value]
        if len(row) != n:
            raise ValueError(f"{len(row)} values given for {n} neurons")
        return row
    return [_exact(value)] * n


def _exact_inputs(inputs: ExactInputs) -> list[list[Fraction]]:
    """Return one list of inputs for each neuron."""
    rows = [[_exact(i) for i in row] for row in inputs]
    return [list(column) for column in zip(*rows, strict=True)]


def _exact_neurons(
    n: int, decay: ExactRow, gain: ExactRow, offset: ExactRow, threshold: ExactRow,
    reset_value: ExactRow, v_min: ExactRow | None, leak_format: Format | None, membrane: Format,
) -> list[_Neuron[Fraction]]:  # fmt: skip
    rows = [_exact_row(value, n) for value in (decay, gain, offset, threshold, reset_value)]
    lowest = None if v_min is None else _exact_row(v_min, n)
    return _neurons(n, rows, lowest, _caster(leak_format), _caster(membrane))


def _objects(columns: list[list[Fraction]]) -> npt.NDArray[np.object_]:
    return np.array(columns, dtype=np.object_).T


# Self-check: the tables of specs/expr.md section 4 -----------------------------------------------

_DROPPED = (-8, -7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 5, 6, 7)
_ROUNDED: dict[Rounding, tuple[int, ...]] = {
    "floor": (-2, -2, -2, -2, -1, -1, -1, -1, 0, 0, 0, 1, 1, 1),
    "to_zero": (-2, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 1, 1, 1),
    "nearest": (-2, -2, -1, -1, -1, -1, 0, 0, 0, 1, 1, 1, 2, 2),
    "nearest_even": (-2, -2, -2, -1, -1, -1, 0, 0, 0, 0, 1, 1, 2, 2),
}
_OVERFLOWING = (-17, -9, -8, -1, 7, 8, 15, 16, 23, 24)
_FITTED: dict[tuple[Overflow, bool], tuple[int, ...]] = {
    ("saturate", True): (-8, -8, -8, -1, 7, 7, 7, 7, 7, 7),
    ("wrap", True): (-1, 7, -8, -1, 7, -8, -1, 0, 7, -8),
    ("saturate", False): (0, 0, 0, 0, 7, 8, 15, 15, 15, 15),
    ("wrap", False): (15, 7, 8, 15, 7, 8, 15, 0, 7, 8),
}


def cast_mismatches() -> list[str]:
    """Return one line for each entry of expr.md section 4 that `cast` does not reproduce."""
    found: list[str] = []
    for rounding, expected in _ROUNDED.items():
        for x, wanted in zip(_DROPPED, expected, strict=True):
            got = cast(Fraction(x, 4), 8, 0, True, rounding, "never")
            if got != wanted:
                found.append(f"{rounding} of {x}/4: {got}, expected {wanted}")
    for (overflow, signed), fitted in _FITTED.items():
        for x, wanted in zip(_OVERFLOWING, fitted, strict=True):
            got = cast(Fraction(x), 4, 0, signed, "floor", overflow)
            if got != wanted:
                found.append(f"{overflow} of {x}, signed {signed}: {got}, expected {wanted}")
    return found


if __name__ == "__main__":
    mismatches = cast_mismatches()
    print("\n".join(mismatches) or "cast: both tables of expr.md section 4 hold")
    sys.exit(1 if mismatches else 0)
