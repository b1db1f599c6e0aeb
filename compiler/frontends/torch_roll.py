"""From a recorded forward, which may hold many time steps, to the wiring of one step.

Call k of a neuron is step k. Every step must be wired as the last one is; a reference to an earlier
step is a delay, and before it has anything to refer to, it must be zero, as the IR has it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.torch_layers import Layer
from spikec.compiler.frontends.torch_trace import (
    Call,
    Constant,
    Given,
    Mapped,
    Permuted,
    Picked,
    Reshaped,
    Scaled,
    Sent,
    Stacked,
    Summed,
    Unknown,
    Value,
)

OUT = "out"

# What a value is, relative to its step: kind, then what defines it; operands are numbers of keys.
Key: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Tap:
    """What the forward returns.

    Attributes:
        value: In the last step.
        note: What was done to it over time, or empty.
        state: Whether it is a state of a neuron, which is handed out to be handed in again.
    """

    value: Value
    note: str
    state: bool


@dataclass(slots=True, eq=False)
class Rolled:
    """The wiring of a step.

    Attributes:
        steps: Steps that were recorded.
        calls: By neuron, all its calls, in order.
        sliced: Arguments that are read step by step, with the axis of time.
    """

    steps: int
    calls: dict[str, list[Call]]
    sliced: dict[str, int] = field(default_factory=dict[str, int])
    _keys: list[Key] = field(default_factory=list[Key])
    _numbers: dict[Key, int] = field(default_factory=dict[Key, int])
    _memo: dict[tuple[int, int], tuple[Value, int]] = field(
        default_factory=dict[tuple[int, int], tuple[Value, int]]
    )
    _layers: dict[object, Layer] = field(default_factory=dict[object, Layer])
    _whole: set[str] = field(default_factory=set[str])

    # ------------------------------------------------------------ keys

    def key(self, value: Value, step: int) -> int:
        """Return the number of what a value is, seen from its step.

        Raises:
            SpikecError: SPK1312 on a value that is not understood, SPK1313 on time out of order.
        """
        at = (id(value), step)
        if at not in self._memo:
            key = self._key(value, step)
            number = self._numbers.setdefault(key, len(self._keys))
            if number == len(self._keys):
                self._keys.append(key)
            self._memo[at] = (value, number)
        return self._memo[at][1]

    def _key(self, value: Value, step: int) -> Key:
        match value:
            case Sent():
                if value.call.index > step:
                    raise _out_of_order(value.call.name, value.call.index, step)
                return ("sent", value.call.name, value.port, step - value.call.index)
            case Picked():
                name = value.source.name
                if value.index != step or self.sliced.setdefault(name, value.axis) != value.axis:
                    raise _out_of_order(f"argument '{name}'", value.index, step)
                self._once(name)
                return ("given", name)
            case Given():
                self._whole.add(value.name)
                self._once(value.name)
                return ("given", value.name)
            case Constant():
                if not value.number.any():
                    return ("zero",)
                return ("constant", value.number.shape, value.number.tobytes())
            case Mapped():
                self._layers.setdefault(value.layer.identity, value.layer)
                return ("mapped", value.name, value.layer.identity, self.key(value.source, step))
            case Scaled():
                factor = (value.factor.shape, value.factor.tobytes())
                return ("scaled", factor, self.key(value.source, step))
            case Reshaped():
                return ("reshaped", value.shape, self.key(value.source, step))
            case Summed():
                terms = Counter[tuple[int, int]]()
                for sign, term in value.terms:
                    number = self.key(term, step)
                    inner = self._keys[number]
                    if inner[0] == "summed":
                        for (s, n), times in inner[1]:
                            terms[sign * s, n] += times
                    else:
                        terms[sign, number] += 1
                return ("summed", tuple(sorted(terms.items())))
            case Unknown():
                what = value.what
            case Stacked():
                what = "a stack of several steps or signals"
            case Permuted():
                what = "axes in another order"
            case _:
                what = type(value).__name__
        raise SpikecError(
            "SPK1312",
            "forward",
            f"{what} lies between the layers, which is not supported",
            "Use layers, sums, constant factors, and one index of time",
        )

    def _once(self, name: str) -> None:
        """Refuse an argument that is read both whole and step by step.

        Raises:
            SpikecError: SPK1314.
        """
        if name in self._whole and name in self.sliced:
            raise SpikecError(
                "SPK1314",
                f"argument '{name}'",
                "it is read both whole and step by step",
                "Read it in one way",
            )

    # ------------------------------------------------------------ equal wiring

    def same(self, value: Value, step: int, last: Value, last_step: int) -> str:
        """Return what differs between a value and the one of the last step, or empty."""
        return self._same(self.key(value, step), self.key(last, last_step), step)

    def _same(self, a: int, b: int, step: int) -> str:
        if a == b:
            return ""
        x, y = self._keys[a], self._keys[b]
        if x[0] == "zero" and self._silent(b, step):
            return ""
        if y[0] == "summed":
            return self._same_sum(a, b, step)
        alike = x[0] == y[0] and x[0] in ("mapped", "scaled", "reshaped")
        if alike and (x[2] if x[0] == "mapped" else x[1]) == (y[2] if y[0] == "mapped" else y[1]):
            return self._same(x[-1], y[-1], step)
        return f"{self.describe(a)} in step {step}, {self.describe(b)} in step {self.steps - 1}"

    def _same_sum(self, a: int, b: int, step: int) -> str:
        """Compare sums, of which the first may lack what is still silent in its step."""
        x, y = self._keys[a], self._keys[b]
        mine = Counter[tuple[int, int]](dict(x[1]) if x[0] == "summed" else {(1, a): 1})
        theirs = Counter[tuple[int, int]](dict(y[1]))
        common = mine & theirs
        mine, theirs = mine - common, theirs - common
        for sign, number in list(theirs.elements()):
            found = next(
                (m for m in mine if m[0] == sign and not self._same(m[1], number, step)), None
            )
            if found is not None:
                mine -= Counter([found])
            elif not self._silent(number, step):
                break
        else:
            if not mine:
                return ""
        return f"{self.describe(a)} in step {step}, {self.describe(b)} in step {self.steps - 1}"

    def _silent(self, number: int, step: int) -> bool:
        """Return whether a value is zero in a step, as all that it refers to lies before it."""
        key = self._keys[number]
        match key[0]:
            case "sent":
                return bool(key[3] > step)
            case "zero":
                return True
            case "mapped":
                return not self._layers[key[2]].adds() and self._silent(key[3], step)
            case "scaled" | "reshaped":
                return self._silent(key[2], step)
            case "summed":
                return all(self._silent(n, step) for (_, n), _ in key[1])
            case _:
                return False

    def describe(self, number: int) -> str:
        """Return a short text, such as ``fc2(lif1)``."""
        key = self._keys[number]
        match key[0]:
            case "sent":
                port = "" if key[2] == OUT else f".{key[2]}"
                return f"{key[1]}{port}" + (f"[t-{key[3]}]" if key[3] else "")
            case "given":
                return f"argument '{key[1]}'"
            case "mapped":
                return f"{key[1]}({self.describe(key[3])})"
            case "scaled" | "reshaped":
                return self.describe(key[2])
            case "summed":
                return " + ".join(self.describe(n) for (_, n), _ in key[1][:4])
            case "zero":
                return "zeros"
            case _:
                return "a constant"


def _out_of_order(what: str, index: int, step: int) -> SpikecError:
    return SpikecError(
        "SPK1313",
        what,
        f"step {step} reads entry or step {index} of it",
        "Let step k read entry k, along one axis",
    )


# ---------------------------------------------------------------- rolling up


def roll(calls: Sequence[Call]) -> Rolled:
    """Return the wiring of a step.

    Raises:
        SpikecError: SPK1315 without neurons, SPK1316 to SPK1318 when the steps differ.
    """
    by_name: dict[str, list[Call]] = {}
    for call in calls:
        by_name.setdefault(call.name, []).append(call)
    if not by_name:
        raise SpikecError(
            "SPK1315",
            "forward",
            "it calls no neuron of snnTorch or Norse",
            "Give a spiking network; for others write them down with spikec.Graph",
        )
    counts = {name: len(listed) for name, listed in by_name.items()}
    steps = max(counts.values())
    few = min(counts, key=lambda n: counts[n])
    many = max(counts, key=lambda n: counts[n])
    if counts[few] != counts[many]:
        raise SpikecError(
            "SPK1316",
            many,
            f"it is called {counts[many]} times, '{few}' {counts[few]} times",
            "Call each neuron once a step; a neuron that serves two layers mixes their states",
        )
    rolled = Rolled(steps, by_name)
    for name, listed in by_name.items():
        for call in listed:
            problem = rolled.same(call.input, call.index, listed[-1].input, steps - 1)
            if problem or call.shape != listed[-1].shape:
                raise SpikecError(
                    "SPK1317",
                    name,
                    f"it receives {problem or 'another shape in another step'}",
                    "Wire every step alike, and give each layer a neuron of its own",
                )
            _check_states(call)
    return rolled


def _check_states(call: Call) -> None:
    """Check that a step goes on from the states of the step before.

    Raises:
        SpikecError: SPK1318.
    """
    for port, value in call.states.items():
        if call.index == 0:
            begins = value is None or isinstance(value, Constant | Given)
            if begins:
                continue
        elif isinstance(value, Sent):
            before = value.call
            if (before.name, before.index, value.port) == (call.name, call.index - 1, port):
                continue
        raise SpikecError(
            "SPK1318",
            f"{call.name}.{port}",
            f"step {call.index} does not go on from its own state of the step before",
            "Hand the state from step to step unchanged, and do not set it between steps",
        )


# ---------------------------------------------------------------- what is returned


def tap(rolled: Rolled, value: Value, within_state: bool) -> Tap:
    """Return what an output is in the last step, whichever way its steps were put together.

    Args:
        rolled: The wiring.
        value: What is returned.
        within_state: Whether it is part of a framework's record of states.

    Raises:
        SpikecError: SPK1319 when its steps differ or are not those of the neurons.
    """
    note = ""
    if isinstance(value, Scaled) and _sum_of_steps(rolled, value.source) is not None:
        value, note = value.source, "scaled and "
    parts = _sum_of_steps(rolled, value)
    if parts is not None:
        note += "summed over time"
    elif isinstance(value, Stacked):
        parts, note = list(value.parts), ""
    else:
        rolled.key(value, rolled.steps - 1)
        note = "returned for the last step only" if rolled.steps > 1 else ""
        return _tap(value, note, within_state)
    problem = f"{len(parts)} steps of it are returned, the neurons make {rolled.steps}"
    if len(parts) == rolled.steps:
        last = rolled.steps - 1
        found = (rolled.same(part, k, parts[-1], last) for k, part in enumerate(parts))
        problem = next((f"it is {p}" for p in found if p), "")
    if problem:
        raise SpikecError("SPK1319", "output", problem, "Return the same signal of every step")
    return _tap(parts[-1], note, within_state)


def _tap(value: Value, note: str, within_state: bool) -> Tap:
    return Tap(value, note, within_state or (isinstance(value, Sent) and value.port != OUT))


def _sum_of_steps(rolled: Rolled, value: Value) -> list[Value] | None:
    """Return the terms of a sum over all steps of one signal, in order, or None."""
    if rolled.steps == 1 or not isinstance(value, Summed):
        return None
    terms = list(_terms(value))
    if len(terms) != rolled.steps or any(sign != 1 for sign, _ in terms):
        return None
    moments = [_moment(term) for _, term in terms]
    if sorted(moments) != list(range(rolled.steps)):
        return None
    return [terms[moments.index(k)][1] for k in range(rolled.steps)]


def _moment(value: Value) -> int:
    """Return a step that a value refers to, or -1."""
    while isinstance(value, Mapped | Scaled | Reshaped):
        value = value.source
    if isinstance(value, Picked):
        return value.index
    return value.call.index if isinstance(value, Sent) else -1


def _terms(value: Summed) -> Iterable[tuple[int, Value]]:
    """Yield the terms of nested sums."""
    waiting: list[tuple[int, Value]] = [(1, value)]
    while waiting:
        sign, term = waiting.pop()
        if isinstance(term, Summed):
            waiting += [(sign * s, v) for s, v in term.terms]
        else:
            yield sign, term
