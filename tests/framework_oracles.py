"""Slow, independent oracles of the neurons of snnTorch and Norse, one step of one at a time.

Written from snntorch/_neurons/*.py (1.0.0) and norse/torch/functional/*.py (1.1.0), in the order of
their operations; on floats and on exact fractions with casts, as more_oracles.py explains.
"""

import math
from collections.abc import Sequence

from more_oracles import Formats, History, Number, Numbers, OneNeuron, State, run_neurons

Rows = Sequence[Sequence[Number]]


def leaky(inputs: Rows, values: Numbers, formats: Formats, reset: str, rule: str) -> History:
    """LIF of which the old membrane tells the reset: delayed, late, or undelayed.

    late: RLeaky and Lapicque, mem = base - reset * base, or base - reset * threshold.
    undelayed: Leaky with reset_delay=False, mem = mem - (spk - reset) * threshold.
    """

    def update(p: OneNeuron, s: State, i: Sequence[Number]) -> tuple[Number, State]:
        flag = 1 if s["v"] > p["threshold"] else 0
        base = p.cast("leak", p["decay"] * s["v"]) + p["gain"] * i[0] + p["offset"]
        if reset == "subtract":
            x = base - flag * p["threshold"]
        else:
            target = p["reset_value"] if reset == "value" else 0 * base
            x = base if reset == "none" or not flag else target
        x = p.cast("v", x)
        spike = 1 if x > p["threshold"] else 0
        after = x - (spike - flag) * p["threshold"] if rule == "undelayed" else x
        return spike, {"v": after}

    return run_neurons([inputs], values, formats, ("v",), update)


def alpha(inputs: Rows, values: Numbers, formats: Formats, reset: str) -> History:
    """snnTorch Alpha."""

    def update(p: OneNeuron, s: State, i: Sequence[Number]) -> tuple[Number, State]:
        flag = s["v"] > p["threshold"]
        e = p["excitatory_decay"] * s["e"] + i[0]
        h = p["inhibitory_decay"] * s["h"] - i[0]
        v = p["ratio"] * (e + h)
        if flag and reset == "zero":
            e, h, v = e - e, h - h, v - v
        if flag and reset == "subtract":
            e, h, v = e - p["threshold"], h - h, v + s["h"]
        e, h, v = p.cast("e", e), p.cast("h", h), p.cast("v", v)
        return int(v > p["threshold"]), {"e": e, "h": h, "v": v}

    return run_neurons([inputs], values, formats, ("e", "h", "v"), update)


def _norse_reset(p: OneNeuron, x: Number, z: int, reset: str) -> Number:
    if reset == "subtract":
        return (1 - z) * x + z * (x - p["threshold"])
    return (1 - z) * x + z * p["reset_value"]


def lif_box(inputs: Rows, values: Numbers, formats: Formats, reset: str) -> History:
    """Norse lif_box_feed_forward_step."""

    def update(p: OneNeuron, s: State, i: Sequence[Number]) -> tuple[Number, State]:
        dv = p["rate"] * (i[0] + p["leak"] - s["v"])
        x = p.cast("v", s["v"] + dv)
        z = int(x - p["threshold"] > 0)
        return z, {"v": _norse_reset(p, x, z, reset)}

    return run_neurons([inputs], values, formats, ("v",), update)


def lif(inputs: Rows, values: Numbers, formats: Formats, reset: str) -> History:
    """Norse lif_feed_forward_step."""

    def update(p: OneNeuron, s: State, i: Sequence[Number]) -> tuple[Number, State]:
        jump = s["u"] + i[0]
        x = p.cast("v", s["v"] + p["rate"] * (p["leak"] - s["v"] + jump))
        u = p.cast("u", jump + -p["synapse_rate"] * jump)
        z = int(x - p["threshold"] > 0)
        return z, {"u": u, "v": _norse_reset(p, x, z, reset)}

    return run_neurons([inputs], values, formats, ("u", "v"), update)


def lsnn(inputs: Rows, values: Numbers, formats: Formats) -> History:
    """Norse lsnn_feed_forward_step."""

    def update(p: OneNeuron, s: State, i: Sequence[Number]) -> tuple[Number, State]:
        x = p.cast("v", s["v"] + p["rate"] * (p["leak"] - s["v"] + s["u"]))
        u = p.cast("u", s["u"] + -p["synapse_rate"] * s["u"] + i[0])
        b = p.cast("b", s["b"] + p["adaptation_rate"] * (p["threshold"] - s["b"]))
        z = int(x - b > 0)
        return z, {"v": _norse_reset(p, x, z, "value"), "u": u, "b": b + z * p["beta"]}

    return run_neurons([inputs], values, formats, ("v", "u", "b"), update)


def adex(inputs: Rows, values: Numbers, formats: Formats) -> History:
    """Norse lif_adex_feed_forward_step, floating point."""

    def update(p: OneNeuron, s: State, i: Sequence[Number]) -> tuple[Number, State]:
        jump = s["u"] + i[0]
        rise = p["sharpness"] * math.exp((s["v"] - p["threshold"]) * p["steepness"])
        x = s["v"] + p["rate"] * (p["leak"] - s["v"] + rise + jump - s["a"])
        u = jump + -p["synapse_rate"] * jump
        a = s["a"] + p["adaptation_rate"] * (p["coupling"] * (s["v"] - p["leak"]) - s["a"])
        z = int(x - p["threshold"] > 0)
        v = _norse_reset(p, x, z, "value")
        return z, {"v": v, "u": u, "a": a + z * p["adaptation_gain"]}

    return run_neurons([inputs], values, formats, ("v", "u", "a"), update)
