"""Slow, independent oracles of the further neuron models, one step and one neuron at a time.

Every oracle takes float64 numbers, or fractions and then the formats of its casts; the same lines
then give float64 in the stated order of operations, or exact arithmetic. A site without a format is
exact. Sites that are states are cast when the state is made, and once more when it is stored.

Sources: specs/framework_semantics.md section 2.1 (NIR), specs/expr.md sections 8 and 12,
specs/place_recognition.md sections 2.1 and 4.1, specs/liquid_state_machines.md section 2.2.
Nothing here is shared with spikec. The three networks at the end are written with plain loops over
steps, in the order of the authors' code.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from oracles import Format, after_reset, cast, spikes

Number: TypeAlias = Any  # a float, or a Fraction
Numbers: TypeAlias = Mapping[str, Any]  # by parameter: one number, or one a neuron
Formats: TypeAlias = Mapping[str, Format]
State: TypeAlias = dict[str, Number]
Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]


class History(NamedTuple):
    """What is sent and what each state is after each step: lists (steps, n)."""

    output: list[list[Number]]
    states: dict[str, list[list[Number]]]


@dataclass(frozen=True, slots=True)
class OneNeuron:
    """The numbers of one neuron, and the casts of its sites."""

    values: Mapping[str, Number]
    formats: Formats

    def __getitem__(self, name: str) -> Number:
        return self.values[name]

    def cast(self, site: str, x: Number) -> Number:
        return cast(x, *self.formats[site]) if site in self.formats else x


Update: TypeAlias = Callable[[OneNeuron, State, Sequence[Number]], tuple[Number, State]]


def run_neurons(
    inputs: Sequence[Sequence[Sequence[Number]]], values: Numbers, formats: Formats,
    states: Sequence[str], update: Update,
) -> History:  # fmt: skip
    """Run every neuron; ``inputs`` are (ports, steps, n)."""
    size, steps = len(inputs[0][0]), len(inputs[0])
    neurons = [OneNeuron({k: _one(v, j) for k, v in values.items()}, formats) for j in range(size)]
    now: list[State] = [{s: p[f"{s}_init"] for s in states} for p in neurons]
    history = History([], {s: [] for s in states})
    for t in range(steps):
        sent: list[Number] = []
        for j, p in enumerate(neurons):
            output, made = update(p, now[j], [port[t][j] for port in inputs])
            now[j] = {s: p.cast(s, x) for s, x in made.items()}
            sent.append(output)
        history.output.append(sent)
        for s in states:
            history.states[s].append([state[s] for state in now])
    return history


def _one(value: Any, neuron: int) -> Number:
    return value if np.ndim(value) == 0 else value[neuron]


# Values ----------------------------------------------------------------------------------------


def cuba_leaky_integrator(
    inputs: Sequence[Sequence[Number]], values: Numbers, formats: Formats, current_phase: str
) -> History:
    """NIR CubaLI, discrete: the current, then the membrane, which is the output.

    u' = synapse_decay u + synapse_gain i;  v' = (decay v + gain current) + offset
    current: u' (new), u (old), or u + synapse_gain i, of which u' is the decay (jump)
    """

    def update(p: OneNeuron, s: State, i: Sequence[Number]) -> tuple[Number, State]:
        if current_phase == "jump":
            current = s["u"] + p["synapse_gain"] * i[0]
            u = p.cast("u", p.cast("synapse_leak", p["synapse_decay"] * current))
        else:
            u = p.cast("synapse_leak", p["synapse_decay"] * s["u"]) + p["synapse_gain"] * i[0]
            u = p.cast("u", u)
            current = {"new": u, "old": s["u"]}[current_phase]
        v = p.cast("leak", p["decay"] * s["v"]) + p["gain"] * current + p["offset"]
        v = p.cast("v", v)
        return v, {"u": u, "v": v}

    return run_neurons([inputs], values, formats, ("u", "v"), update)


def integrator(inputs: Sequence[Sequence[Number]], values: Numbers, formats: Formats) -> History:
    """NIR I, discrete: v' = v + gain i; the output is v'."""

    def update(p: OneNeuron, s: State, i: Sequence[Number]) -> tuple[Number, State]:
        v = p.cast("v", s["v"] + p["gain"] * i[0])
        return v, {"v": v}

    return run_neurons([inputs], values, formats, ("v",), update)


def threshold(
    inputs: Sequence[Sequence[Number]], values: Numbers, formats: Formats, compare: str
) -> History:
    """NIR Threshold: 1 if i > threshold (or i >= threshold), else 0."""

    def update(p: OneNeuron, s: State, i: Sequence[Number]) -> tuple[Number, State]:
        fires = i[0] > p["threshold"] if compare == "gt" else i[0] >= p["threshold"]
        return int(fires), {}

    return run_neurons([inputs], values, formats, (), update)


def last_spike(inputs: Sequence[Sequence[Number]], values: Numbers, formats: Formats) -> History:
    """A trace that is set to peak by a spike and decays otherwise, never added to."""

    def update(p: OneNeuron, s: State, i: Sequence[Number]) -> tuple[Number, State]:
        v = p["peak"] if i[0] > 0 else p.cast("leak", p["decay"] * s["v"])
        v = p.cast("v", v)
        return v, {"v": v}

    return run_neurons([inputs], values, formats, ("v",), update)


# Spikes ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rule:
    """How a membrane spikes and is reset (oracles.py has the table)."""

    compare: Any = "gt"
    reset: Any = "zero"
    reset_phase: str = "same"
    fire: str = "after"
    max_spikes: int = 1


def _fire(
    p: OneNeuron, rule: Rule, v: Number, level: Number, blocked: bool,
    update: Callable[[Number], Number],
) -> tuple[int, Number]:  # fmt: skip
    """Return the spikes sent and the next membrane, for the threshold ``level`` of this step."""

    def count(x: Number) -> int:
        return 0 if blocked else spikes(x, level, rule.compare, rule.max_spikes)

    def reset(x: Number, n: int) -> Number:
        return after_reset(x, n, level, rule.reset, p["reset_value"])

    if rule.fire == "before":
        n = count(v)
        if rule.reset_phase == "next" and rule.reset == "subtract":
            after = p.cast("v", update(v) - n * level)
        else:
            after = p.cast("v", update(reset(v, n)))
    else:
        assert rule.reset_phase == "same"
        x = p.cast("v", update(v))
        n = count(x)
        after = reset(x, n)
    return n, after if p["v_min"] is None else max(after, p["v_min"])


def adaptive_lif(
    inputs: Sequence[Sequence[Number]], values: Numbers, formats: Formats, rule: Rule
) -> History:
    """LIF whose threshold in a step is threshold + beta a, a the state before the step.

    a' = adaptation_decay a + spikes * adaptation_gain
    """

    def update(p: OneNeuron, s: State, i: Sequence[Number]) -> tuple[Number, State]:
        level = p["threshold"] + p["beta"] * s["a"]

        def membrane(v: Number) -> Number:
            return p.cast("leak", p["decay"] * v) + p["gain"] * i[0] + p["offset"]

        n, v = _fire(p, rule, s["v"], level, False, membrane)
        a = p.cast("adaptation_leak", p["adaptation_decay"] * s["a"]) + n * p["adaptation_gain"]
        return n, {"v": v, "a": a}

    return run_neurons([inputs], values, formats, ("v", "a"), update)


def refractory_lif(
    inputs: Sequence[Sequence[Number]], values: Numbers, formats: Formats, rule: Rule,
    refractory: str,
) -> History:  # fmt: skip
    """LIF that for steps - 1 steps after a spike neither spikes nor integrates.

    The membrane stays as it is (freeze), or is zero (zero). The oracle keeps the number of steps
    that are still to be left out.
    """

    def update(p: OneNeuron, s: State, i: Sequence[Number]) -> tuple[Number, State]:
        resting = s["r"] >= 1

        def membrane(v: Number) -> Number:
            if resting:
                return v if refractory == "freeze" else 0
            return p.cast("leak", p["decay"] * v) + p["gain"] * i[0] + p["offset"]

        n, v = _fire(p, rule, s["v"], p["threshold"], resting, membrane)
        left = s["r"] - 1 if resting else 0
        if n:
            left = p["steps"] - 1 if p["steps"] >= 1 else 0
        return n, {"v": v, "r": left}

    return run_neurons([inputs], values, formats, ("v", "r"), update)


def nalsm_lif(
    inputs: Sequence[Sequence[Number]], values: Numbers, formats: Formats, leak_shift: int
) -> History:
    """NALSM's order: fire, reset, integrate (also while refractory), count down."""

    def update(p: OneNeuron, s: State, i: Sequence[Number]) -> tuple[Number, State]:
        fires = s["v"] >= p["threshold"] and s["r"] == 0
        v = 0 if fires else s["v"]
        v = p.cast("leak", v - v / 2**leak_shift) + p["gain"] * i[0]
        r = p["refractory"] if fires else max(s["r"] - 1, 0)
        return int(fires), {"v": v, "r": r}

    return run_neurons([inputs], values, formats, ("v", "r"), update)


def lens_iaf(inputs: Sequence[Sequence[Number]], values: Numbers, formats: Formats) -> History:
    """LENS: v <- v + i; n = trunc(v / th) if v > 0 else 0; v <- v - n th; v <- max(v, v_min)."""

    def update(p: OneNeuron, s: State, i: Sequence[Number]) -> tuple[Number, State]:
        v = p.cast("v", s["v"] + i[0])
        n = math.trunc(v / p["threshold"]) if v > 0 else 0
        return n, {"v": max(v - n * p["threshold"], p["v_min"])}

    return run_neurons([inputs], values, formats, ("v",), update)


def conductance_lif(
    inputs: Sequence[Sequence[Sequence[Number]]], values: Numbers, formats: Formats,
    current_phase: str,
) -> History:  # fmt: skip
    """Diehl-Cook, the line of specs/expr.md section 12, ports excitatory and inhibitory.

    x = where(r > gate - frozen, v, v + rate((rest - v) + ge(e_exc - v) + gi(e_inh - v)))
    out = x > th and not r > 0;  v' = where(out, reset, x);  r' = max(where(out, gate, r) - 1, 0)
    ge' = ge decay + excitatory; the membrane sees ge (old), or ge' (new)
    """

    def update(p: OneNeuron, s: State, i: Sequence[Number]) -> tuple[Number, State]:
        ge = p.cast("ge", p["ge_decay"] * s["ge"] + i[0])
        gi = p.cast("gi", p["gi_decay"] * s["gi"] + i[1])
        e, h = (s["ge"], s["gi"]) if current_phase == "old" else (ge, gi)
        x = v = s["v"]
        if not s["r"] > p["gate"] - p["frozen"]:
            pull = (p["v_rest"] - v) + e * (p["e_excitatory"] - v) + h * (p["e_inhibitory"] - v)
            x = p.cast("v", v + p.cast("change", p["rate"] * pull))
        fires = x > p["threshold"] and not s["r"] > 0
        r = max((p["gate"] if fires else s["r"]) - 1, 0)
        return int(fires), {"v": p["reset_value"] if fires else x, "ge": ge, "gi": gi, "r": r}

    return run_neurons(inputs, values, formats, ("v", "ge", "gi", "r"), update)


# Networks --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Liquid:
    """NALSM with frozen weights: w_in (liquid, inputs) and w (liquid, liquid), j in columns."""

    w_in: Floats
    w: Floats
    threshold: float = 20.0
    tau_v: float = 64.0
    tau_u: float = 1.0
    refractory: int = 2
    drive: float = 100.0


def nalsm(net: Liquid, events: Flags) -> tuple[Flags, Flags, Floats]:
    """Return the spikes of inputs and liquid, (steps, n), and the liquid's membranes.

    One loop over steps in the order of NALSM_LIF_v1.py (specs/liquid_state_machines.md 2.2); the
    kernel is exp(-t / tau_u) / tau_u of the time t since the last spike, which starts at 20.
    """
    size, inputs = net.w_in.shape
    v = np.zeros(inputs + size)
    refractory = np.zeros(inputs + size, dtype=np.int64)
    since = np.full(inputs + size, 20, dtype=np.int64)
    sent: list[Flags] = []
    membranes: list[Floats] = []
    for event in events:
        s = (v >= net.threshold) & (refractory == 0)
        v[s] = 0.0
        since[s] = 0
        kernel = np.exp(-since / net.tau_u) / net.tau_u
        v = v - v / net.tau_v
        v[:inputs] += net.drive * event
        for i in range(size):
            v[inputs + i] += np.dot(net.w_in[i], kernel[:inputs]) + np.dot(
                net.w[i], kernel[inputs:]
            )
        since = np.minimum(since + 1, 100)
        refractory = np.where(s, net.refractory, np.maximum(refractory - 1, 0))
        sent.append(s)
        membranes.append(v[inputs:].copy())
    spikes_sent = np.array(sent)
    return spikes_sent[:, :inputs], spikes_sent[:, inputs:], np.array(membranes)


@dataclass(frozen=True, slots=True)
class Module:
    """One Diehl-Cook module: weights and delays (cells, inputs) in steps, thresholds in mV.

    Times are in ms, but ``timer``, what the timer of a cell must exceed, is in seconds, as the
    authors count. ``rates`` and ``decays`` are those of membranes and conductances in a step;
    ``fractions`` are the fraction bits of v and of the conductances where states are stored as s18
    and u16.
    """

    weights: Floats
    delays: npt.NDArray[np.int64]
    threshold: Floats
    dt: float = 0.1
    timer: float = 5e-3
    rates: tuple[float, float] = (0.1 / 100, 0.1 / 10)
    decays: tuple[float, float] = (1 - 0.1 / 1.0, 1 - 0.1 / 0.5)
    to_inhibitory: float = 10.4
    to_excitatory: float = 17.0
    fractions: tuple[int, int] | None = None


class ModuleTrace(NamedTuple):
    """Spikes (steps, cells) of both populations, and v, ge and gi of the excitatory cells."""

    excitatory: Flags
    inhibitory: Flags
    v: Floats
    ge: Floats
    gi: Floats


def diehl_cook(net: Module, events: Flags) -> ModuleTrace:
    """Run a module in the order of its schedule: states, thresholds, synapses, resets.

    A spike of step t that has a delay of d steps acts on conductances at the end of step t + d,
    for connections without delay at the end of step t (specs/place_recognition.md 2.1 and 2.2).
    The membrane of an excitatory cell is frozen for 5 ms after a spike; its timer, which runs at a
    tenth of the time, gates its spikes. An inhibitory cell rests for 2 ms. All products of rounded
    numbers stay below 53 bits, so float64 is exact on them.
    """
    cells, (rate, fast), (de, di) = len(net.weights), net.rates, net.decays
    rest, rest_u = round(5 / net.dt), round(2 / net.dt)
    v, u = np.full(cells, -105.0), np.full(cells, -100.0)
    ge, gi, he = (np.zeros(cells) for _ in range(3))
    last = np.full(cells, -(10**6), dtype=np.int64)
    last_u = last.copy()
    timer = np.ones(cells)
    longest = int(net.delays.max()) + 1
    pending = np.zeros((longest, cells))
    every = np.arange(cells)
    rows: list[tuple[Any, ...]] = []
    for t, event in enumerate(events):
        moved = _membrane(net, v + rate * ((-65 - v) + ge * (0 - v) + gi * (-100 - v)))
        v = np.where(t - last < rest, v, moved)
        moved = _membrane(net, u + fast * ((-60 - u) + he * (0 - u)))
        u = np.where(t - last_u < rest_u, u, moved)
        timer = timer + 0.1 * (net.dt * 1e-3)
        fires = (v > net.threshold) & (timer > net.timer) & (t - last >= rest)
        inhibits = (u > -40) & (t - last_u >= rest_u)
        for j in np.flatnonzero(event):
            pending[(t + net.delays[:, j]) % longest, every] += net.weights[:, j]
        ge = _conductance(net, ge * de + pending[t % longest])
        he = _conductance(net, he * de + net.to_inhibitory * fires)
        gi = _conductance(net, gi * di + net.to_excitatory * (inhibits.sum() - inhibits))
        pending[t % longest] = 0
        v, u = np.where(fires, -65.0, v), np.where(inhibits, -45.0, u)
        last, last_u = np.where(fires, t, last), np.where(inhibits, t, last_u)
        timer = np.where(fires, 0.0, timer)
        rows.append((fires, inhibits, v, ge, gi))
    return ModuleTrace(*(np.array(column) for column in zip(*rows, strict=True)))


def _membrane(net: Module, v: Floats) -> Floats:
    if net.fractions is None:
        return v
    n = np.clip(np.rint(v * 2.0 ** net.fractions[0]), -(2**17), 2**17 - 1)
    return np.asarray(n / 2.0 ** net.fractions[0])


def _conductance(net: Module, g: Floats) -> Floats:
    if net.fractions is None:
        return g
    n = np.clip(np.rint(g * 2.0 ** net.fractions[1]), 0, 2**16 - 1)
    return np.asarray(n / 2.0 ** net.fractions[1])


def lens(
    weights: tuple[Floats, Floats], thresholds: Sequence[float], frames: Flags
) -> list[npt.NDArray[np.int64]]:
    """Return the spikes of LENS's tiles, features and places, (steps, n), for frames of events.

    The pixel (3, 3) of each 8 x 8 tile is read; v <- v + input; n = trunc(v / th) if v > 0 else 0;
    v <- max(v - n th, -1) (specs/place_recognition.md 4.1).
    """
    membranes = [np.zeros(n) for n in (weights[0].shape[1], len(weights[0]), len(weights[1]))]
    rows: list[list[npt.NDArray[np.int64]]] = []
    for frame in frames:
        arriving = frame[3::8, 3::8].astype(np.float64).reshape(-1)
        rows.append([])
        for k, (v, level) in enumerate(zip(membranes, thresholds, strict=True)):
            v += arriving
            n = np.where(v > 0, np.trunc(v / level), 0.0)
            v[:] = np.maximum(v - n * level, -1.0)
            rows[-1].append(n.astype(np.int64))
            if k < len(weights):
                arriving = np.array([float(np.dot(w, n)) for w in weights[k]])
    return [np.array(column) for column in zip(*rows, strict=True)]
