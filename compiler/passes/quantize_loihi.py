"""To the integers of a Loihi core: formats and rounding of specs/loihi.md, sections 1.2, 1.3 and 3.

A weight is w 2^(6 + e): w is 0 to 255, -255 to 0, or, with both signs in one projection, an even
number from -256 to 254, and fewer weight bits clear further low bits; e, -7 to 7, is one per
population, the largest with which the synaptic sum (21 bits and sign), the membrane (23 and
sign), threshold and bias all fit. Where e is negative the lowest -e bits of w are zero too, since
emulators drop, each in its own way, what falls below 2^6. A decay is (4096 - dv) / 4096 for the
membrane and (4095 - du) / 4096 for the current, and the decayed state is rounded toward zero. A
threshold is a 17-bit mantissa times 64, a bias a mantissa of +-4095 times 2^0 to 2^7. Currents
wrap, membranes clip at +-(2^23 - 1).

Rewritten exactly: a reset to zero before the next update becomes one in the same step; a bias of a
synaptic current is sent by a neuron that always spikes. Approximated on request: ``ge_as_gt``.

Source of the formats: public emulators (Lava, nengo-loihi), listed with their confidence there.
"""

from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, ClassVar, Literal

import numpy as np

from spikec.compiler.agreement import compare_programs, float_ranges
from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.ir import Graph, Population, Program, Projection
from spikec.compiler.loihi_grid import (
    BIAS_EXPONENT,
    BIAS_MANTISSA,
    FORMATS,
    MOST_REFRACTORY,
    STATE_LIMIT,
    THRESHOLD_MANTISSA,
    decay_steps,
    fixed_parameters,
    is_core_program,
    mantissas,
    state_integers,
)
from spikec.compiler.neurons.cuba_lif import CubaLIF
from spikec.compiler.neurons.euler_cuba_lif import EulerCubaLIF
from spikec.compiler.neurons.euler_lif import EulerLIF
from spikec.compiler.neurons.integrate_and_fire import IntegrateAndFire
from spikec.compiler.neurons.lif import LIF
from spikec.compiler.neurons.refractory_lif import RefractoryLIF
from spikec.compiler.pipeline import Context
from spikec.compiler.rounding import relative_error, scale_synapse
from spikec.compiler.synapses import Dense, Synapse
from spikec.compiler.types import Array, Bool, Tensor

SUM_LIMIT = (1 << 21) - 1
WEIGHT_BITS = (1, 2, 3, 4, 5, 6, 8)


@dataclass(frozen=True, slots=True)
class QuantizeLoihi:
    """The Loihi policy.

    Attributes:
        generation: 1: CUBA-LIF, `>`, reset to zero, binary spikes. 2: also soft reset, `>=` and
            graded spikes, which its programmable neurons can do.
        weight_bits: 8, or 1 to 6.
        max_steps: Declared length of a run, which bounds membranes that do not leak; 0: unknown.
        ge_as_gt: Take `>=` for `>` on generation 1: the threshold, a multiple of 64, is rounded as
            for any other; a membrane that meets it exactly does not spike.
    """

    name: ClassVar[str] = "quantize_loihi"
    generation: Literal[1, 2] = 1
    weight_bits: int = 8
    max_steps: int = 0
    ge_as_gt: bool = False

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            SpikecError: SPK0681.
        """
        if self.weight_bits not in WEIGHT_BITS or self.generation not in (1, 2):
            raise SpikecError(
                "SPK0681",
                "quantize_loihi",
                f"generation {self.generation} with {self.weight_bits} weight bits is not known",
                "Use generation 1 or 2 and 1 to 6 or 8 weight bits",
            )

    def run(self, program: Program, context: Context) -> Program:
        """Return the integer program, with a report; one that is in a core's integers as it is.

        Raises:
            SpikecError: SPK0682 to SPK0686, where a core cannot run the network.
        """
        if is_core_program(program):
            report = {"unchanged": "it is in the integers of a core already"}
            return replace(program, reports={**program.reports, "quantize_loihi": report})
        if program.stage != "discrete":
            raise SpikecError(
                "SPK0682", "program", f"it is {program.stage}", "Quantize after discretize, once"
            )
        graph = driven_biases(program.graph)
        program = replace(program, graph=graph)
        ranges, findings = float_ranges(program, context), list(graph.findings)
        rows: dict[str, Any] = {}
        projections: dict[int, Projection] = {}
        populations: list[Population] = []
        for population in graph.populations:
            core = _Core(self, graph, population, ranges.get(population.name))
            populations.append(core.population())
            projections |= core.projections()
            rows[population.name] = core.report()
            findings += core.findings
        inputs = [replace(i, signal=Bool(), scale=1.0) for i in graph.inputs]
        made = replace(
            graph.with_nodes([*inputs, *populations]),
            projections=tuple(projections[id(p)] for p in graph.projections),
            findings=tuple(findings),
        )
        rounded = replace(program, graph=made)
        report = {"populations": rows} | compare_programs(program, rounded, context)
        return replace(rounded, reports={**program.reports, "quantize_loihi": report})


class _Core:
    """One population in the integers of a core."""

    def __init__(
        self, policy: QuantizeLoihi, graph: Graph, population: Population, seen: float | None
    ) -> None:
        self.policy, self.source, self.seen = policy, population, seen
        self.findings: list[Finding] = []
        model = same_phase(population.model())
        if policy.ge_as_gt and policy.generation == 1 and model.options().get("compare") == "ge":
            model = replace(model, compare="gt")
            message = "`>=` is taken as `>`: a membrane at its threshold does not spike"
            self.findings.append(Finding("SPK1661", population.name, message))
        self.model, gain = _supported(policy, population, model).fold_gain(population.size)
        self.arriving = graph.into(population.name)
        self.synapses = [scale_synapse(p.synapse, gain) for p in self.arriving]
        self.bias = self._bias()
        self.exponent, self.unit = self._scale()

    def _bias(self) -> Array:
        """Return the constant drive per neuron, real: leak and all biases."""
        parameters = self.model.broadcast(self.source.size)
        total = np.array(parameters.get("offset", np.zeros(self.source.size)))
        for synapse in self.synapses:
            vector = synapse.bias_vector()
            if vector is not None:
                total = total + vector
        return total

    # ------------------------------------------------------------ scale

    def _scale(self) -> tuple[int, float]:
        """Return the largest weight exponent with which everything fits, and the unit.

        Raises:
            SpikecError: SPK0685 when none fits.
        """
        largest = max(
            (float(np.abs(s.weight.data).max(initial=0.0)) for s in self.synapses), default=0.0
        )
        top = 254 if any(_range(s.weight.data)[2] for s in self.synapses) else 255
        needs: dict[str, float] = {}
        for exponent in range(7, -8, -1):
            unit = (largest or 1.0) / (top * 2.0 ** (6 + exponent))
            needs = self._excess(unit)
            if not needs:
                return exponent, unit
        what, value = next(iter(needs.items()))
        raise SpikecError(
            "SPK0685",
            self.source.name,
            f"{what} is {value:.3g} times what a core holds, even at weight exponent -7",
            "Rescale the weights, or normalise the threshold",
        )

    def _excess(self, unit: float) -> dict[str, float]:
        """Return what does not fit at this unit, and how many times too large it is."""
        threshold = float(self.model.threshold.real().max()) / unit / 64
        checks = {
            "the synaptic sum": (self._input_limit() / unit, SUM_LIMIT),
            "the membrane": (self._state_limit(unit), STATE_LIMIT),
            "the threshold": (threshold, THRESHOLD_MANTISSA),
            "the bias": (float(np.abs(self.bias).max()) / unit, BIAS_MANTISSA << BIAS_EXPONENT),
        }
        return {what: have / limit for what, (have, limit) in checks.items() if have > limit}

    def _input_limit(self) -> float:
        """Return the largest magnitude of the synaptic sum, real."""
        total = np.zeros(self.source.size)
        for synapse in self.synapses:
            low, high = synapse.sum_bounds()
            total = total + np.maximum(np.abs(low), np.abs(high))
        return float(total.max())

    def _state_limit(self, unit: float) -> float:
        """Return a bound of the membrane in LSB; where there is none, of the threshold alone."""
        drive = self._input_limit() + float(np.abs(self.bias).max())
        growth, threshold = self.model.growth(), float(self.model.threshold.real().max())
        if growth is not None:
            return (drive * float(np.max(growth)) + threshold) / unit
        if self.policy.max_steps:
            return (drive * self.policy.max_steps + threshold) / unit
        seen = threshold if self.seen is None else max(2.0 * self.seen, threshold)
        return (seen + drive) / unit

    def _current_limit(self) -> float:
        """Return a bound of the synaptic current in LSB; 0 where there is none."""
        if not isinstance(self.model, CubaLIF):
            return 0.0
        kept = np.clip(np.rint(self.model.synapse_decay.real() * 4096), 0, 4095).max() / 4096
        return self._input_limit() / (1.0 - float(kept)) / self.unit

    # ------------------------------------------------------------ results

    def projections(self) -> dict[int, Projection]:
        """Return the projections into the population, by the old ones' identity."""
        pairs = zip(self.arriving, self.synapses, strict=True)
        return {id(p): replace(p, synapse=self._rounded(s)) for p, s in pairs}

    def _rounded(self, synapse: Synapse) -> Synapse:
        lo, hi, mixed = _range(synapse.weight.data)
        # Emulators drop, each in its own way, what a negative exponent moves below 2^6.
        cleared = max(8 - self.policy.weight_bits + mixed, -self.exponent)
        step = 1 << cleared
        real = synapse.weight.data / (self.unit * 2.0 ** (6 + self.exponent))
        stored = np.clip(np.rint(real / step) * step, lo, (hi // step) * step)
        return synapse.with_numbers(mantissas(stored, self.exponent, self.unit), None)

    def population(self) -> Population:
        """Return the population with the parameters and formats of a core."""
        model, unit = self.model, self.unit
        decay = model.decay.real() if not isinstance(model, IntegrateAndFire) else np.ones(())
        mantissa = np.maximum(np.rint(model.threshold.real() / unit / 64), 1)
        values: dict[str, Any] = {
            "decay": _factor(decay, 4096, 1),
            "offset": state_integers(_bias_steps(self.bias / unit), unit),
            "threshold": state_integers(mantissa * 64, unit),
            "v_init": state_integers(np.rint(model.v_init.real() / unit), unit),
            **fixed_parameters(unit),
        }
        rule = {k: v for k, v in model.options().items() if k != "current_phase"}
        if isinstance(model, CubaLIF):
            made: LIF | CubaLIF | RefractoryLIF = CubaLIF(
                synapse_decay=_factor(model.synapse_decay.real(), 4095, 0),
                synapse_gain=values["gain"],
                u_init=state_integers(np.rint(model.u_init.real() / unit), unit),
                **values,
                **rule,
            )
        elif isinstance(model, RefractoryLIF):
            steps = state_integers(model.steps.real())
            made = RefractoryLIF(steps=steps, r_init=state_integers(np.zeros(())), **values, **rule)
        else:
            made = LIF(**values, **rule)
        return replace(self.source, neuron=made, formats=dict(FORMATS[made.kind]), scale=unit)

    def report(self) -> dict[str, Any]:
        """Return exponent, unit, modes, limits, and the relative error of every constant."""
        made = self.population().model().parameters()
        old = self.model.parameters()
        errors = {
            name: relative_error(made[name].real(), old[name].real())
            for name in ("decay", "synapse_decay", "threshold")
            if name in made and name in old
        }
        limit = self._state_limit(self.unit)
        if self.model.growth() is None and not self.policy.max_steps:
            message = "its membrane does not leak: it clips at +-(2^23 - 1), and that is counted"
            self.findings.append(Finding("SPK0687", self.source.name, message))
        if self._current_limit() > STATE_LIMIT:
            message = f"its current may reach {self._current_limit():.3g} and wraps at 2^23"
            self.findings.append(Finding("SPK1662", self.source.name, message))
        return {
            "exponent": self.exponent,
            "unit": self.unit,
            "weight_bits": self.policy.weight_bits,
            "modes": {
                str(p): _mode(s.weight.data)
                for p, s in zip(self.arriving, self.synapses, strict=True)
            },
            "state_limit_lsb": limit if isfinite(limit) else None,
            "relative_errors": errors,
        }


def driven_biases(graph: Graph) -> Graph:
    """Return the graph with every bias of a synaptic current sent by a neuron that always spikes.

    A core adds its bias to the membrane, so this one must be a weight: the float networks are
    equal, and the weight is rounded as all others are. Source: the held-back drive of ``retime``.
    """
    nodes, projections = list(graph.nodes), list(graph.projections)
    findings = list(graph.findings)
    for population in graph.populations:
        biased = [p for p in graph.into(population.name) if p.synapse.bias is not None]
        if not biased or not isinstance(population.neuron, CubaLIF | EulerCubaLIF):
            continue
        total = np.zeros(population.size)
        for p in biased:
            total = total + np.asarray(p.synapse.bias_vector())
            bare = replace(p, synapse=p.synapse.with_numbers(p.synapse.weight, None))
            projections[graph.projections.index(p)] = bare
        name = _new_name(f"{population.name[:100]}.bias", graph)
        always = LIF(decay=0.5, offset=2.0, threshold=1.0, reset="zero")
        nodes.append(Population(name, (1,), always))
        weights = Dense(Tensor.floats(total[:, None]))
        projections.append(Projection(name, population.name, weights))
        message = f"a core adds no bias to a synaptic current: neuron '{name}' sends it every step"
        findings.append(Finding("SPK0684", population.name, message))
    return replace(
        graph, nodes=tuple(nodes), projections=tuple(projections), findings=tuple(findings)
    )


def _new_name(name: str, graph: Graph) -> str:
    """Return a name that no node of the graph has."""
    while name in {n.name for n in graph.nodes}:
        name += "_"
    return name


def same_phase(model: Any) -> Any:
    """Return the model as a core takes it, where that spikes alike: same reset step, new current.

    Zeroing a membrane at the end of a step, or before the update of the next, gives one update;
    only what is held between the two differs, and an initial membrane above the threshold. Likewise
    a current that decays after its use (jump) is one that decays before the next, held undecayed.
    """
    if isinstance(model, EulerLIF | EulerCubaLIF):
        model = model.decaying()
    jumps = isinstance(model, CubaLIF) and model.current_phase == "jump"
    if jumps and not np.any(model.u_init.data):
        model = replace(model, current_phase="new")
    if not isinstance(model, LIF | IntegrateAndFire | CubaLIF):
        return model
    zero = model.reset == "zero" or (model.reset == "value" and not np.any(model.reset_value.data))
    if model.reset_phase != "next" or model.fire != "after" or not zero or model.max_spikes != 1:
        return model
    v, threshold = model.v_init.real(), model.threshold.real()
    above = v > threshold if model.compare == "gt" else v >= threshold
    start = Tensor.floats(np.where(above, 0.0, v))
    return replace(model, reset_phase="same", v_init=start)


def _supported(policy: QuantizeLoihi, population: Population, model: Any) -> Any:
    """Return the model, if a core can run it.

    Raises:
        SpikecError: SPK0683 naming the term, SPK0686 on values between populations.
    """
    if not isinstance(model, LIF | IntegrateAndFire | CubaLIF | RefractoryLIF):
        hint = "Run fuse before it" if model.kind == "relay" else "Use LIF, CUBA-LIF or IF neurons"
        raise SpikecError(
            "SPK0686", population.name, f"a core of Loihi runs CUBA-LIF, not {model.kind}", hint
        )
    zero_value = not np.any(model.reset_value.data)
    soft = ("zero", "subtract", "none") if policy.generation == 2 else ("zero",)
    terms = {
        f"compare={model.compare}": model.compare == "gt" or policy.generation == 2,
        f"reset={model.reset}": model.reset in soft or (model.reset == "value" and zero_value),
        f"reset_phase={model.reset_phase}": model.reset_phase == "same",
        f"fire={model.fire}": model.fire == "after",
        f"max_spikes={model.max_spikes}": model.max_spikes == 1 or policy.generation == 2,
        "v_min": model.v_min is None,
        "current_phase": not isinstance(model, CubaLIF) or model.current_phase == "new",
    }
    if isinstance(model, RefractoryLIF):
        steps = model.steps.real()
        whole = np.array_equal(steps, np.clip(np.rint(steps), 1, MOST_REFRACTORY))
        terms |= {
            f"refractory={model.refractory}": model.refractory == "zero",
            f"refractory period but whole steps from 1 to {MOST_REFRACTORY}": whole,
            "neuron that rests from the start": not np.any(model.r_init.data),
        }
    for term, fits in terms.items():
        if not fits:
            raise SpikecError(
                "SPK0683",
                population.name,
                f"Loihi {int(policy.generation)} has no {term}",
                "Train with `>`, reset to zero in the same step and the new current",
            )
    return model


def _range(weights: Array) -> tuple[int, int, int]:
    """Return least and greatest mantissa, and 1 where both signs occur."""
    if not np.any(weights < 0):
        return 0, 255, 0
    return (-255, 0, 0) if not np.any(weights > 0) else (-256, 254, 1)


def _mode(weights: Array) -> str:
    return {(0, 255, 0): "excitatory", (-255, 0, 0): "inhibitory"}.get(_range(weights), "mixed")


def _factor(values: Array, top: int, least: int) -> Tensor:
    """Return a decay in 1/4096: ``top`` minus the chip's 12-bit decay constant."""
    data = np.clip(np.rint(values * 4096), max(top - 4095, least), top).astype(np.int64)
    return decay_steps(data)


def _bias_steps(steps: Array) -> Array:
    """Round a bias to a mantissa of +-4095 times the least power of two that holds it."""
    excess = np.maximum(np.abs(steps) / BIAS_MANTISSA, 1.0)
    shift = 2.0 ** np.ceil(np.log2(excess))
    mantissa = np.clip(np.rint(steps / shift), -BIAS_MANTISSA, BIAS_MANTISSA)
    return np.asarray(mantissa * shift)
