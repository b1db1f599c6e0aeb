"""Lanes of every neuron kind that has an integer form, and vectors for them."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from spikec.compiler.equation import Lane, Neuron, lower
from spikec.compiler.expr import Expr, topological
from spikec.compiler.text import models
from spikec.compiler.types import (
    ROUNDINGS,
    Array,
    Bool,
    Exact,
    FixedPoint,
    Format,
    Tensor,
    fitting,
)

NEURONS = 5
NO_INTEGER_FORM = {"adex_lif"}  # an exponential of a state
# Real ranges of parameters whose dimension does not say enough.
RANGES: dict[str, tuple[float, float]] = {
    "threshold": (0.5, 1.5),
    "reset_value": (-0.3, 0.3),
    "v_min": (-1.0, -0.4),
    "beta": (0.0, 0.5),
    "adaptation_gain": (0.0, 0.3),
    "ratio": (0.3, 2.0),
    "peak": (0.3, 1.0),
    "a_init": (0.0, 0.4),
    "frozen": (1, 4),
    "gate": (5, 9),
}
VOLTAGES: dict[str, tuple[float, float]] = {
    "v_rest": (-66, -64),
    "e_excitatory": (-1, 1),
    "e_inhibitory": (-101, -99),
    "threshold": (-53, -51),
    "reset_value": (-66, -64),
    "v_init": (-66, -64),
}
DIMENSIONS = {"factor": (0.5, 0.98), "gain": (0.5, 1.5), "steps": (2, 7), "flag": (0, 1)}
FIRING = {
    "compare": ("gt", "ge"),
    "reset": ("zero", "value", "subtract", "none"),
    "reset_phase": ("same", "next", "next_late", "undelayed"),
    "fire": ("after", "before"),
    "max_spikes": (1, 3, 0, 5),
}
OPTIONS: dict[str, dict[str, tuple[Any, ...]]] = {
    "cuba_lif": {"current_phase": ("new", "old", "jump")},
    "cuba_leaky_integrator": {"current_phase": ("new", "old", "jump")},
    "refractory_lif": {"refractory": ("freeze", "zero")},
    "threshold": {"compare": ("gt", "ge")},
    "conductance_lif": {"current_phase": ("old", "new")},
    "nalsm_lif": {"fire": ("before", "after")},
    "alpha_lif": {"reset": ("zero", "subtract", "none")},
    "two_point": {
        "mod": ("tm1", "tm2", "tm3", "tm4", "co", "co_swap"),
        "out": ("relu6", "none"),
        "sigma": (None, 0.75),
        "step_bits": (2,),
    },
    "universal_context": {"step_bits": (2,)},
}


def kinds() -> dict[str, type[Neuron]]:
    """Return every per-step model of compiler/neurons that has an integer form, by kind."""
    found = {k: m for k, m in models().items() if issubclass(m, Neuron)}
    return {k: found[k] for k in sorted(found) if k not in NO_INTEGER_FORM}


def choices(model: type[Neuron]) -> list[dict[str, Any]]:
    """Return every combination of the options of a model that has a meaning."""
    firing = FIRING if "max_spikes" in model.__dataclass_fields__ else {}  # type: ignore[attr-defined]
    options = firing | OPTIONS.get(model.kind, {})
    listed = [dict(zip(options, row, strict=True)) for row in itertools.product(*options.values())]
    return [o for o in listed if possible(o, model.kind)]


def possible(o: dict[str, Any], kind: str) -> bool:
    """Return whether the options go together."""
    if o.get("sigma") and o["out"] == "none":
        return False  # a filter of every value has a table of every value
    late = o.get("reset_phase", "same") != "same"
    if kind in ("adaptive_lif", "refractory_lif") and late and o["fire"] == "after":
        return False
    usual = (o.get("reset"), o.get("fire"), o.get("max_spikes")) == ("subtract", "after", 1)
    return o.get("reset_phase") != "undelayed" or usual


def neuron(model: Any, options: dict[str, Any], each: bool, seed: int, frac: int) -> Neuron:
    """Return a model with random integer parameters, one of each or one per neuron."""
    random = np.random.default_rng(seed)
    values: dict[str, Tensor] = {}
    dimensions: dict[str, Any] = model.dimensions()
    for name, dimension in dimensions.items():
        if name == "v_min" and seed % 2:
            continue
        low, high = DIMENSIONS.get(dimension, (-0.2, 0.2))
        low, high = RANGES.get(name, (low, high))
        if model.kind == "conductance_lif":
            low, high = VOLTAGES.get(name, (low, high))
        if "rate" in name:
            low, high = 0.01, 0.3
        digits = (
            0
            if dimension in ("steps", "flag")
            else 12
            if dimension in ("factor", "ratio")
            else frac
        )
        drawn = random.uniform(low, high, NEURONS if each else ())
        stored = np.asarray(np.rint(np.ldexp(drawn, digits))).astype(np.int64)
        values[name] = Tensor.integers(stored, fitting(stored, digits))
    made: Neuron = model(**values, **options)
    return made


def formats(model: Any, bits: int, seed: int) -> dict[str, Format]:
    """Return a format for every state, and for some seeds for the other sites too."""
    rounding = ROUNDINGS[seed % 4]
    overflow: Any = "wrap" if seed % 5 == 4 else "saturate"
    made: dict[str, Format] = {}
    for site in dict.fromkeys((*model.states, *model.sites)):
        if site in model.counters:
            made[site] = Format(FixedPoint(5, 0, False), rounding, overflow)
        elif site in ("ge", "gi") or (site, model.kind) == ("a", "adaptive_lif"):
            made[site] = Format(FixedPoint(bits, bits // 2, False), rounding, overflow)
        elif site in model.states:
            frac = bits // 2 if model.kind != "conductance_lif" else bits - 9
            made[site] = Format(FixedPoint(bits, frac), rounding, overflow)
        elif seed % 3 == 0:
            made[site] = Format(FixedPoint(bits + 12, bits // 2 + 2), "to_zero", "saturate")
    return made


def lane(model: Any, options: dict[str, Any], each: bool, seed: int, bits: int = 16) -> Lane:
    """Return the lane of a model with random parameters."""
    given = neuron(model, options, each, seed, bits // 2)
    low = 0 if model.kind == "conductance_lif" else -(1 << (bits - 3))
    port = Exact(low, (1 << (bits - 3)) - 1, bits // 2)
    return lower(given, formats(model, bits, seed), dict.fromkeys(model.ports, port))


def lanes(stride: int, bits: int = 16, shift: int = 0) -> Iterator[tuple[str, Lane]]:
    """Return lanes of every kind: every ``stride``-th combination of options, at least two."""
    for number, (kind, model) in enumerate(kinds().items()):
        listed = choices(model)
        picked = listed[::stride]
        picked = picked if len(picked) > 1 else [listed[0], listed[-1]]
        for k, options in enumerate(picked):
            seed = k + number + shift
            yield f"{kind}_{bits}_{k}", lane(model, options, bool(k % 2), seed, bits)


def leaves(lane: Lane) -> dict[tuple[str, str], Expr]:
    """Return the leaves that a lane uses, by kind and name."""
    nodes = topological(lane.roots())
    return {(n.op, str(n.value)): n for n in nodes if n.op in ("input", "state", "param")}


def vectors(lane: Lane, count: int, seed: int) -> Mapping[tuple[str, str], Array]:
    """Return values for every leaf: a half at or beside the corners, a half anywhere."""
    random = np.random.default_rng(seed)
    made: dict[tuple[str, str], Array] = {}
    for key, node in leaves(lane).items():
        if isinstance(node.dtype, Bool):
            made[key] = random.integers(0, 2, count).astype(bool)
            continue
        assert isinstance(node.dtype, Exact)
        lo, hi = node.dtype.lo, node.dtype.hi
        near = [lo, lo + 1, -2, -1, 0, 1, 2, hi - 1, hi, 1 << node.dtype.frac]
        corners = np.array([x for x in near if lo <= x <= hi], dtype=np.int64)
        anywhere = random.integers(lo, hi + 1, count)
        made[key] = np.where(random.random(count) < 0.5, random.choice(corners, count), anywhere)
    return made
