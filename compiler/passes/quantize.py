"""From floating point to integers of chosen widths, with everything rounded exactly once.

Per population one unit (the real value of one weight step): the input gain is folded into the
weights, then every weight, bias, threshold, reset and state is a multiple of the unit times a power
of two; decays are rounded to significant bits. The models are homogeneous in the membrane, so the
unit changes nothing but rounding. Between leaves and states the arithmetic stays exact; only the
states are cast.

The width of a membrane follows from a bound, never from hope: I_max / (1 - decay) where it leaks;
max_steps * I_max where it does not and ``max_steps`` is declared; else the range seen on
calibration data, and a saturating state with a counter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil, inf, isfinite, log2
from typing import Any, ClassVar, Literal

import numpy as np

from spikec.compiler.agreement import compare_programs, float_ranges
from spikec.compiler.equation import Neuron
from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.ir import Graph, Input, Population, Program, Projection
from spikec.compiler.pipeline import Context
from spikec.compiler.rounding import (
    Clip,
    relative_error,
    round_factor,
    round_membrane,
    round_ratio,
    round_weights,
    scale_synapse,
    weight_unit,
)
from spikec.compiler.synapses import Synapse, replace_data
from spikec.compiler.types import (
    Array,
    Bool,
    Exact,
    FixedPoint,
    Format,
    Rounding,
    Tensor,
    fitting,
)
from spikec.compiler.wiring import Signal, input_type, lanes, source_types

_LIMITS = {
    "weight_bits": (2, 24),
    "state_bits": (4, 48),
    "fraction_bits": (0, 40),
    "constant_bits": (2, 24),
    "input_bits": (2, 24),
    "percentile": (1, 100),
    "max_steps": (0, 10**9),
}


@dataclass(frozen=True, slots=True)
class Quantize:
    """The generic policy: any widths.

    Attributes:
        weight_bits: Bits of a weight, sign included; symmetric range.
        state_bits: Bits of a membrane or current, sign included.
        fraction_bits: At most so many of them are fraction.
        constant_bits: Significant bits of a decay, and of one minus the decay.
        input_bits: Bits of a real-valued input, sign included.
        inputs: spikes, values, or auto: what the calibration data are.
        unit: free, or a power_of_two.
        clip: Weight range: max; percentile; or error, the range of least squared error.
        percentile: Percentile of the weight magnitudes for ``clip=percentile``.
        max_steps: Declared length of a run, which bounds membranes that do not leak; 0: unknown.
        rounding: Rounding of the states.
    """

    name: ClassVar[str] = "quantize"
    weight_bits: int = 8
    state_bits: int = 24
    fraction_bits: int = 12
    constant_bits: int = 12
    input_bits: int = 8
    inputs: Literal["auto", "spikes", "values"] = "auto"
    unit: Literal["free", "power_of_two"] = "free"
    clip: Clip = "max"
    percentile: float = 99.9
    max_steps: int = 0
    rounding: Rounding = "nearest_even"

    def __post_init__(self) -> None:
        """Check the ranges of the options.

        Raises:
            SpikecError: SPK0651.
        """
        for option, (lo, hi) in _LIMITS.items():
            if not lo <= getattr(self, option) <= hi:
                raise SpikecError(
                    "SPK0651",
                    f"quantize {option}",
                    f"{getattr(self, option)} is outside {lo} to {hi}",
                    "Choose a value in that range",
                )

    def run(self, program: Program, context: Context) -> Program:
        """Return the integer program, with a report.

        Raises:
            SpikecError: SPK0652 when the program is not discrete floating point.
        """
        if program.stage != "discrete":
            raise SpikecError(
                "SPK0652", "program", f"it is {program.stage}", "Quantize after discretize, once"
            )
        ranges = float_ranges(program, context)
        graph, report = _Quantizer(self, program.graph, context.calibration, ranges).result()
        made = replace(program, graph=graph)
        report |= compare_programs(program, made, context)
        return replace(made, reports={**program.reports, "quantize": report})


@dataclass(frozen=True, slots=True, eq=False)
class _Folded:
    """A population whose input gain has moved into its weights."""

    population: Population
    model: Neuron
    gain: Array
    unit: float = 1.0

    def largest(self, dimensions: tuple[str, ...]) -> float:
        """Return the largest magnitude, in units, among the parameters of some dimensions."""
        known = self.model.dimensions()
        values = [t.real() for n, t in self.model.parameters().items() if known[n] in dimensions]
        return max((float(np.abs(v).max()) for v in values), default=0.0) / self.unit


class _Quantizer:
    """One run of the pass: inputs, then units, then weights, then populations."""

    def __init__(
        self,
        policy: Quantize,
        graph: Graph,
        calibration: Mapping[str, Array],
        ranges: Mapping[str, float],
    ) -> None:
        self.policy, self.graph, self.ranges = policy, graph, ranges
        self.findings: list[Finding] = []
        self.rows: dict[str, dict[str, Any]] = {}
        self.inputs = {i.name: self._input(i, calibration.get(i.name)) for i in graph.inputs}
        self.folded: dict[str, _Folded] = {}
        for population in graph.order():
            self.folded[population.name] = self._fold(population)

    def result(self) -> tuple[Graph, dict[str, Any]]:
        """Return the integer graph and the static part of the report."""
        weights = [self._weights(p) for p in self.graph.projections]
        limits = self._input_limits(weights)
        made = {n: self._population(f, limits[n]) for n, f in self.folded.items()}
        projections = tuple(
            self._with_bias(p, synapse, made[p.target][1])
            for p, synapse in zip(self.graph.projections, weights, strict=True)
        )
        graph = replace(
            self.graph.with_nodes([*self.inputs.values(), *(p for p, _ in made.values())]),
            projections=projections,
            findings=(*self.graph.findings, *self.findings),
        )
        signals = source_types(graph, lanes(graph))
        for old, new in zip(self.graph.projections, projections, strict=True):
            self._state_error(old, new, _largest(signals[old.source]))
        return graph, {"populations": self.rows}

    # ------------------------------------------------------------ inputs

    def _input(self, node: Input, data: Array | None) -> Input:
        kind = self.policy.inputs
        if isinstance(node.signal, Bool) and kind == "auto":
            return node
        if kind == "auto" and data is None:
            message = "taken to carry spikes, as there is no calibration data"
            self.findings.append(Finding("SPK0653", node.name, message))
            kind = "spikes"
        values = np.zeros(1) if data is None else np.asarray(data, dtype=np.float64)
        if kind == "spikes" or (kind == "auto" and bool(np.all((values == 0) | (values == 1)))):
            return replace(node, signal=Bool(), scale=1.0)
        bits = self.policy.input_bits
        whole = np.all((values >= 0) & (values < 1 << bits) & (values == np.rint(values)))
        if bool(whole) and bool(values.any()):
            return replace(node, signal=FixedPoint(bits, 0, signed=False), scale=1.0)
        top = (1 << (bits - 1)) - 1
        scale = float(np.abs(values).max()) / top or 1.0 / top
        return replace(node, signal=FixedPoint(bits, 0), scale=scale)

    def _source_scale(self, name: str) -> float | None:
        """Return the real value of one unit of what a source sends; None if not known yet."""
        if name in self.inputs:
            return self.inputs[name].scale
        if self.graph.population(name).model().emits != "values":
            return 1.0
        return self.folded[name].unit if name in self.folded else None

    # ------------------------------------------------------------ units and weights

    def _fold(self, population: Population) -> _Folded:
        policy = self.policy
        try:
            model, gain = population.model().fold_gain(population.size)
        except SpikecError as error:
            raise error.at(population.name) from None
        magnitudes = [np.zeros(1)]
        for p in self.graph.into(population.name):
            # A value that feeds back from a later population has no unit yet; it does not count.
            scale = self._source_scale(p.source)
            if scale is not None:
                weights = scale_synapse(p.synapse, gain).weight.data
                with np.errstate(invalid="ignore"):
                    magnitudes.append(np.abs(weights * scale).reshape(-1))
        every = np.concatenate(magnitudes)
        _check_range(population.name, every, 2.0**-400)
        top = (1 << (policy.weight_bits - 1)) - 1
        unit = weight_unit(
            every,
            top,
            policy.clip,
            policy.percentile,
            policy.unit == "power_of_two",
        )
        folded = _Folded(population, model, gain)
        # Thresholds, resets and initial values must fit the state too, however small the weights.
        least = folded.largest(("membrane", "current")) * 2.0 ** (2 - policy.state_bits)
        return replace(folded, unit=max(unit, 2.0 ** ceil(log2(least)) if least else unit))

    def _in_units(self, p: Projection) -> Synapse:
        """Return the synapse, still real, from units of the source to units of the target."""
        folded, scale = self.folded[p.target], self._source_scale(p.source)
        assert scale is not None
        scaled = scale_synapse(p.synapse, folded.gain / folded.unit)
        bias = scaled.bias
        _check_range(str(p), scaled.weight.data, 0.0)
        return scaled.with_numbers(Tensor.own(scaled.weight.data * scale), bias)

    def _weights(self, p: Projection) -> Synapse:
        scale = self._source_scale(p.source)
        assert scale is not None
        real_unit = self.folded[p.target].unit / scale
        keep_all = self.policy.clip == "max"
        return round_weights(self._in_units(p), self.policy.weight_bits, keep_all, real_unit)

    def _with_bias(self, p: Projection, synapse: Synapse, frac: int) -> Projection:
        """Return the projection with its bias stored at the fraction of the target's state."""
        if synapse.bias is not None:
            unit = self.folded[p.target].unit
            bias = round_membrane(f"{p} bias", synapse.bias.data * unit, unit, frac)
            synapse = synapse.with_numbers(synapse.weight, bias)
        storage = p.storage if synapse.kind == p.synapse.kind else synapse.storage
        return replace(p, synapse=synapse, storage=storage)

    # ------------------------------------------------------------ bounds

    def _input_limits(self, weights: list[Synapse]) -> dict[str, float]:
        """Return by population the largest magnitude of its summed input, in units."""
        sent = {i.name: _largest(input_type(i.signal)) for i in self.inputs.values()}
        found: dict[str, float] = {}
        for name, folded in self.folded.items():
            total = np.zeros(folded.population.size)
            for p, synapse in zip(self.graph.projections, weights, strict=True):
                if p.target == name:
                    if p.source not in sent:
                        # What feeds back from a later population is bounded only by its kind.
                        source = self.folded[p.source]
                        sent[p.source] = self._sends(source, self._own_bound(source))
                    total = total + _reach(synapse, sent[p.source])
            found[name] = float(total.max())
            bound, _ = self._bound(folded, found[name])
            sent[name] = self._sends(folded, bound)
        return found

    def _sends(self, folded: _Folded, bound: float) -> float:
        """Return the largest magnitude of what a population sends, in its units."""
        model = folded.model
        if model.emits == "values":
            return bound
        limit = int(model.options().get("max_spikes", 1))
        if limit:
            return float(limit)
        least = float(model.parameters()["threshold"].real().min()) / folded.unit
        return bound / least if least else inf

    def _bound(self, folded: _Folded, input_limit: float) -> tuple[float, str]:
        """Return the largest magnitude of a state in units, and where the bound comes from."""
        if not folded.model.states:
            return input_limit, "static"
        drive = input_limit + folded.model.drive() / folded.unit
        extra = folded.largest(("membrane", "current"))
        growth = folded.model.growth()
        if isfinite(self._own_bound(folded)):
            return self._own_bound(folded), "static"
        if growth is not None and isfinite(drive):
            return drive * float(np.max(growth)) + extra, "static"
        if self.policy.max_steps and isfinite(drive):
            return drive * self.policy.max_steps + extra, "max_steps"
        seen = self.ranges.get(folded.population.name)
        if seen is None:
            return inf, "none"
        # Twice what was seen, and one more step of the largest possible input.
        one_step = drive if isfinite(drive) else 0.0
        return 2.0 * seen / folded.unit + one_step + extra, "calibration"

    def _own_bound(self, folded: _Folded) -> float:
        """Return the bound in units of states that no input moves further; else infinity."""
        growth = folded.model.growth()
        if growth is None or np.any(growth) or folded.model.drive():
            return inf
        return folded.largest(("membrane", "current"))

    # ------------------------------------------------------------ populations

    def _population(self, folded: _Folded, input_limit: float) -> tuple[Population, int]:
        """Return the integer population and the fraction bits of its states."""
        policy, population = self.policy, folded.population
        bound, origin = self._bound(folded, input_limit)
        needed = ceil(log2(max(bound, 1.0) * 1.001)) if isfinite(bound) else policy.state_bits
        spare = policy.state_bits - 1 - needed
        frac = max(min(policy.fraction_bits, spare), 0)
        shared = FixedPoint(policy.state_bits, frac)
        types = {s: self._state_type(folded, s, shared) for s in folded.model.states}
        model, errors = self._parameters(folded, frac, types)
        formats = {s: Format(t, policy.rounding, "saturate") for s, t in types.items()}
        # A counter stays inside its type by its own equation.
        counted = {s: Format(types[s], "floor", "never") for s in model.counters}
        tight = any(self._exceeds(folded, s, t) for s, t in types.items())
        saturates = spare < 0 or tight or origin in ("none", "calibration")
        made = replace(population, neuron=model, formats={**formats, **counted}, scale=folded.unit)
        if model.states:
            self._report(folded, made, input_limit, (bound, origin, saturates), errors)
        return made, frac

    def _report(
        self,
        folded: _Folded,
        made: Population,
        input_limit: float,
        bound: tuple[float, str, bool],
        errors: dict[str, float],
    ) -> None:
        limit, origin, saturates = bound
        form = made.formats["v"].type
        if saturates:
            message = (
                f"no static bound holds its membrane inside {form}: it saturates there, and "
                "saturations are counted; declare max_steps, or give calibration data"
            )
            self.findings.append(Finding("SPK0654", made.name, message))
        self.rows[made.name] = {
            "unit": folded.unit,
            "state": str(form),
            "input_limit": input_limit * folded.unit if isfinite(input_limit) else None,
            "state_limit": limit * folded.unit if isfinite(limit) else None,
            "bound": origin,
            "may_saturate": saturates,
            "relative_errors": errors,
            "update_error": self._own_error(folded, made),
            "weight_step": 0.0,
        }

    def _state_type(self, folded: _Folded, state: str, shared: FixedPoint) -> FixedPoint:
        """Return how a state is stored: as the membrane, or by a limit of its own."""
        limit, bits = folded.model.limit(state), self.policy.state_bits
        if limit is None:
            return shared
        if state in folded.model.counters:
            return FixedPoint(max(int(limit).bit_length(), 1), 0, signed=False)
        if not isfinite(limit):
            return replace(shared, signed=False)
        needed = ceil(log2(max(limit / folded.unit, 1.0) * 1.001))
        frac = max(min(self.policy.fraction_bits, bits - needed), 0)
        return FixedPoint(bits, frac, signed=False)

    def _exceeds(self, folded: _Folded, state: str, form: FixedPoint) -> bool:
        """Return whether the limit of a state's own does not fit its type."""
        limit = folded.model.limit(state)
        if limit is None or not isfinite(limit) or state in folded.model.counters:
            return False
        return limit / folded.unit > form.hi * 2.0**-form.frac

    def _parameters(
        self, folded: _Folded, frac: int, types: Mapping[str, FixedPoint]
    ) -> tuple[Neuron, dict[str, float]]:
        """Return the model with every parameter stored as an integer, and relative errors.

        Initial values are stored as their states are, other membrane values at ``frac``.
        """
        initial = {f"{state}_init": form.frac for state, form in types.items()}
        changed: dict[str, Tensor] = {}
        dimensions = folded.model.dimensions()
        old = folded.model.parameters()
        for name, tensor in old.items():
            if dimensions[name] == "factor":
                changed[name] = round_factor(tensor.real(), self.policy.constant_bits)
            elif dimensions[name] == "ratio":
                changed[name] = round_ratio(tensor.real(), self.policy.constant_bits)
            elif dimensions[name] == "gain":
                changed[name] = Tensor.integers(1, FixedPoint(1, 0, signed=False))
            elif dimensions[name] == "steps":
                steps = tensor.real().astype(np.int64)
                changed[name] = Tensor.integers(steps, fitting(steps, 0))
            else:
                where, own = f"{folded.population.name}.{name}", initial.get(name, frac)
                changed[name] = round_membrane(where, tensor.real(), folded.unit, own)
        errors = {n: relative_error(t.real(), old[n].real()) for n, t in changed.items()}
        return folded.model.with_parameters(changed), errors

    # ------------------------------------------------------------ stated errors

    def _own_error(self, folded: _Folded, made: Population) -> dict[str, float]:
        """Return the error of one update without its weights: constant, and per unit of state."""
        old, new = folded.model.parameters(), made.model().parameters()
        gaps = {n: float(np.abs(new[n].real() - old[n].real()).max()) for n in old}
        dimensions = folded.model.dimensions()
        half_steps = 0.5 * 2.0 ** -made.formats["v"].type.frac * folded.unit * len(made.formats)
        slope = sum(gap for n, gap in gaps.items() if dimensions[n] == "factor")
        return {"constant": half_steps + gaps.get("offset", 0.0), "per_state": slope}

    def _state_error(self, old: Projection, new: Projection, largest: float) -> None:
        """Add what a projection's rounding contributes to its target's stated update error."""
        row = self.rows.get(old.target)
        if row is None:
            return
        exact, unit = self._in_units(old), self.folded[old.target].unit
        stored = np.ldexp(new.synapse.weight.data.astype(np.float64), -new.synapse.weight.frac)
        difference = replace_data(exact, np.abs(stored - exact.weight.data))
        error = float(_reach(difference.with_numbers(difference.weight, None), largest).max())
        if exact.bias is not None and new.synapse.bias is not None:
            error += float(np.abs(new.synapse.bias.real() / unit - exact.bias.data).max())
        row["update_error"]["constant"] += error * unit
        row["weight_step"] = max(row["weight_step"], 2.0**-new.synapse.weight.frac * unit)


def _check_range(where: str, weights: Array, least: float) -> None:
    """Refuse weights whose largest is no number, or so large or small that its unit is none.

    Raises:
        SpikecError: SPK0656.
    """
    largest = float(np.abs(weights).max(initial=0.0))
    if largest != 0 and not least < largest < 2.0**400:
        raise SpikecError(
            "SPK0656",
            where,
            f"the largest weight times its gain and input is {largest:g}, which no unit can hold",
            "Rescale the model",
        )


def _largest(signal: Signal) -> float:
    """Return the largest magnitude an integer signal can carry, in its units."""
    if isinstance(signal, Exact):
        return float(max(abs(signal.lo), abs(signal.hi)) * 2.0**-signal.frac)
    return 1.0


def _reach(synapse: Synapse, largest: float) -> Array:
    """Return per target neuron the largest magnitude of W x + b for abs(x) <= largest."""
    low, high = (np.ldexp(b.astype(np.float64), -synapse.weight.frac) for b in synapse.sum_bounds())
    weights = np.maximum(np.abs(low), np.abs(high)) if largest == 1.0 else high - low
    with np.errstate(invalid="ignore"):  # 0 times infinity, which is not taken
        reach = np.where(weights == 0, 0.0, weights * largest)
    bias = synapse.bias_vector()
    return reach if bias is None else reach + np.abs(bias)
