"""From the wiring of one step to a ``Graph``.

Every neuron is a population. A projection is one linear map, so where two maps follow each other,
or a sum enters a map, or a map's output leaves, a stateless Relay in between carries the values; a
batch norm is folded into the map before it. A maximum of spikes is an OR: a sum over the window
into a ``Threshold`` at zero.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from spikec.compiler.equation import Neuron
from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.frontends.torch_cells import Cell
from spikec.compiler.frontends.torch_layers import Layer, scale_rows
from spikec.compiler.frontends.torch_library import per_neuron
from spikec.compiler.frontends.torch_roll import OUT, Rolled, Tap
from spikec.compiler.frontends.torch_trace import (
    Call,
    Constant,
    Given,
    Mapped,
    Picked,
    Reshaped,
    Scaled,
    Sent,
    Summed,
    Value,
)
from spikec.compiler.ir import Input, Output, Population, Projection
from spikec.compiler.neurons.cuba_leaky_integrator import CubaLeakyIntegrator
from spikec.compiler.neurons.cuba_lif import CubaLIF
from spikec.compiler.neurons.leaky_integrator import LeakyIntegrator
from spikec.compiler.neurons.lif import LIF
from spikec.compiler.neurons.relay import Relay
from spikec.compiler.neurons.threshold import Threshold
from spikec.compiler.rounding import scale_synapse
from spikec.compiler.synapses import (
    Conv1d,
    Conv2d,
    Dense,
    OneToOne,
    Pool2d,
    Shape,
    Synapse,
    identity,
)
from spikec.compiler.types import Array, Tensor


@dataclass(frozen=True, slots=True, eq=False)
class _Term:
    """What one carrier adds: ``synapse`` of what ``source`` sent ``delay`` steps before."""

    source: str
    delay: int
    synapse: Synapse

    @property
    def plain(self) -> bool:
        """Whether the numbers pass on unchanged."""
        s = self.synapse
        return isinstance(s, OneToOne) and s.bias is None and bool(np.all(s.weight.data == 1))


@dataclass(slots=True, eq=False)
class Builder:
    """Nodes and projections, as they are made.

    Attributes:
        rolled: The wiring.
        cell_of: Returns what a neuron is, given its first call.
    """

    rolled: Rolled
    cell_of: Callable[[Call], Cell]
    inputs: dict[str, Input] = field(default_factory=dict[str, Input])
    populations: dict[str, Population] = field(default_factory=dict[str, Population])
    projections: list[Projection] = field(default_factory=list[Projection])
    outputs: list[Output] = field(default_factory=list[Output])
    findings: list[Finding] = field(default_factory=list[Finding])
    cells: dict[str, Cell] = field(default_factory=dict[str, Cell])
    _names: dict[str, str] = field(default_factory=dict[str, str])
    _terms: dict[int, tuple[_Term, ...]] = field(default_factory=dict[int, tuple[_Term, ...]])
    _carriers: dict[int, str] = field(default_factory=dict[int, str])
    _readouts: dict[str, str] = field(default_factory=dict[str, str])

    # ------------------------------------------------------------ neurons

    def add_neurons(self) -> None:
        """Add every neuron, then what leads to it."""
        for name, calls in self.rolled.calls.items():
            self.cells[name] = self.cell_of(calls[0])
            made = self._name(name)
            self._names[name] = made
            self.populations[made] = Population(made, calls[0].shape[1:], self.cells[name].model)
        for name, calls in self.rolled.calls.items():
            self._into_neuron(name, calls[-1])

    def _into_neuron(self, name: str, call: Call) -> None:
        cell, target = self.cells[name], self._names[name]
        terms = self.terms(call.input)
        if cell.entry is not None:
            terms = self._through(cell.entry, call.input, f"{name}.in")
        self._project(terms, target)
        if cell.feedback is not None:
            term = self._sent(Sent(call.shape, call, OUT))
            synapse = _columns(cell.feedback, term.synapse)
            if synapse is None:
                carrier = self._carry((term,), call.shape[1:], f"{name}.graded")
                self.projections.append(Projection(carrier, target, cell.feedback, delay=1))
            else:
                self.projections.append(Projection(target, target, synapse, delay=1))

    def _project(self, terms: tuple[_Term, ...], target: str) -> None:
        for t in terms:
            self.projections.append(Projection(t.source, target, t.synapse, delay=t.delay))

    # ------------------------------------------------------------ values

    def terms(self, value: Value) -> tuple[_Term, ...]:
        """Return what a value of the last step is a sum of."""
        key = self.rolled.key(value, self.rolled.steps - 1)
        if key not in self._terms:
            self._terms[key] = self._make_terms(value)
        return self._terms[key]

    def _make_terms(self, value: Value) -> tuple[_Term, ...]:
        match value:
            case Sent():
                return (self._sent(value),)
            case Picked():
                return (self._given(value.source.name, value.shape),)
            case Given():
                return (self._given(value.name, value.shape),)
            case Constant():
                return self._constant(value)
            case Reshaped():
                return self.terms(value.source)
            case Summed():
                return tuple(t for sign, v in value.terms for t in self._added(value, sign, v))
            case Scaled():
                return self._scaled(value)
            case Mapped():
                return self._mapped(value)
            case _:
                raise AssertionError(value)

    def _sent(self, value: Sent) -> _Term:
        """Return a neuron's output, its grading included, or a state that it sends as values."""
        call = value.call
        delay = self.rolled.steps - 1 - call.index
        size = prod(call.shape[1:])
        cell = self.cells[call.name]
        if value.port != OUT:
            return _Term(self._membrane(call, value.port), delay, identity(size))
        graded = cell.graded
        synapse = identity(size) if graded is None else OneToOne(size, _flat(graded))
        return _Term(self._names[call.name], delay, synapse)

    def _membrane(self, call: Call, port: str) -> str:
        """Return the population that sends a state of a neuron as values.

        A neuron that is never reset is a leaky integrator beside its spikes.

        Raises:
            SpikecError: SPK1330 when spikes reset the membrane.
        """
        cell, name = self.cells[call.name], self._names[call.name]
        is_membrane = cell.states.get(port) == "v"
        if is_membrane and cell.model.emits == "values":
            return name
        silent = _without_spikes(cell.model) if is_membrane else None
        if silent is not None:
            if name not in self._readouts:
                made = self._readouts[name] = self._name(f"{name}.membrane")
                self.populations[made] = Population(made, call.shape[1:], silent)
            return self._readouts[name]
        raise SpikecError(
            "SPK1330",
            f"{call.name}.{port}",
            "a state of a neuron with a reset is used as a signal, which is not supported",
            "Use its spikes, reset_mechanism='none', or Norse's LI",
        )

    def _given(self, name: str, shape: Shape) -> _Term:
        if name not in self.inputs:
            self.inputs[name] = Input(name, shape[1:])
        return _Term(name, 0, identity(prod(shape[1:])))

    def _constant(self, value: Constant) -> tuple[_Term, ...]:
        """Return nothing for zeros.

        Raises:
            SpikecError: SPK1320 on other numbers.
        """
        if value.number.any():
            raise SpikecError(
                "SPK1320",
                "forward",
                f"a constant tensor of shape {value.number.shape} is added to a signal",
                "Use the bias of a layer",
            )
        return ()

    def _added(self, value: Summed, sign: int, term: Value) -> tuple[_Term, ...]:
        """Return a term of a sum.

        Raises:
            SpikecError: SPK1321 when shapes differ.
        """
        if term.shape != value.shape and not isinstance(term, Constant):
            raise SpikecError(
                "SPK1321",
                "forward",
                f"signals of shapes {term.shape} and {value.shape} are added",
                "Add signals of one shape",
            )
        made = self.terms(term)
        return made if sign == 1 else tuple(_times(t, np.array(-1.0)) for t in made)

    def _scaled(self, value: Scaled) -> tuple[_Term, ...]:
        shape = value.shape[1:]
        factor = per_neuron("a factor in the forward", value.factor, shape)
        return tuple(_times(t, factor) for t in self.terms(value.source))

    # ------------------------------------------------------------ layers

    def _mapped(self, value: Mapped) -> tuple[_Term, ...]:
        layer, arrives, leaves = value.layer, value.source.shape[1:], value.shape[1:]
        if layer.is_or:
            return (self._or(layer, value, arrives, leaves),)
        if layer.is_norm:
            folded = self._normed(layer, value.source)
            if folded is not None:
                return folded
        return self._through(layer.synapse(arrives, leaves), value.source, layer.name)

    def _through(self, synapse: Synapse, source: Value, name: str) -> tuple[_Term, ...]:
        """Return a map of a value, on a relay where the value is no plain signal."""
        terms = self.terms(source)
        if len(terms) == 1:
            (term,) = terms
            made = synapse if term.plain else _columns(synapse, term.synapse)
            if made is not None:
                return (replace(term, synapse=made),)
        carrier = self._carrier(source, name)
        return (_Term(carrier, 0, synapse),)

    def _normed(self, layer: Layer, source: Value) -> tuple[_Term, ...] | None:
        factor, shift = layer.affine()
        made: list[_Term] = []
        for t in self.terms(source):
            synapse = scale_rows(t.synapse, factor, shift if not made else None)
            if synapse is None:
                return None
            made.append(replace(t, synapse=synapse))
        return tuple(made) or None

    def _or(self, layer: Layer, value: Mapped, arrives: Shape, leaves: Shape) -> _Term:
        """Return the population that spikes where a spike falls into its window.

        Raises:
            SpikecError: SPK1322 when it is not given spikes.
        """
        terms = self.terms(value.source)
        spikes = len(terms) == 1 and terms[0].plain and self._spikes(terms[0].source)
        if not spikes:
            raise SpikecError(
                "SPK1322",
                layer.name,
                f"this {layer.kind} is not fed by spikes alone, so it is no OR",
                "Pool behind the neuron, or use an average",
            )
        made = self._name(layer.name)
        self.populations[made] = Population(made, leaves, Threshold(threshold=0.0))
        self._project((replace(terms[0], synapse=layer.synapse(arrives, leaves)),), made)
        return _Term(made, 0, identity(prod(leaves)))

    def _spikes(self, source: str) -> bool:
        population = self.populations.get(source)
        return population is not None and population.model().emits == "spikes"

    # ------------------------------------------------------------ relays

    def _carrier(self, value: Value, name: str) -> str:
        """Return the relay that carries a value."""
        key = self.rolled.key(value, self.rolled.steps - 1)
        if key not in self._carriers:
            base: Value = value
            while isinstance(base, Reshaped | Scaled):
                base = base.source
            wanted = base.name if isinstance(base, Mapped) else f"{name}.sum"
            self._carriers[key] = self._carry(self.terms(value), value.shape[1:], wanted)
        return self._carriers[key]

    def _carry(self, terms: tuple[_Term, ...], shape: Shape, wanted: str) -> str:
        made = self._name(wanted)
        self.populations[made] = Population(made, shape, Relay())
        self._project(terms, made)
        return made

    def _name(self, wanted: str) -> str:
        """Return a name that is free and valid."""
        base = re.sub(r"[^A-Za-z0-9_.-]", "_", wanted)[:120] or "node"
        name, number = base, 2
        while name in self.populations or name in self.inputs:
            name, number = f"{base}.{number}", number + 1
        return name

    # ------------------------------------------------------------ outputs

    def add_outputs(self, taps: Sequence[Tap]) -> None:
        """Add an output for every signal that is returned, and say what becomes of states.

        Raises:
            SpikecError: SPK1331 when none is left.
        """
        signals = [t for t in taps if not t.state] or [t for t in taps if self._is_membrane(t)]
        for tap in signals:
            value = tap.value
            if isinstance(value, Constant):
                continue
            self._output(value)
            if tap.note:
                name = self.outputs[-1].name
                text = f"is {tap.note} by the forward; here it is the signal of every step"
                self.findings.append(Finding("SPK1332", name, text))
        for tap in taps:
            if tap not in signals and isinstance(tap.value, Sent):
                self._mention(tap.value)
        self._feed_readouts()
        if not self.outputs:
            raise SpikecError(
                "SPK1331",
                "forward",
                "it returns no signal of a neuron or layer",
                "Return the spikes of the last layer",
            )

    def neurons(self) -> Iterator[tuple[str, str, Mapping[str, str], str | None]]:
        """Yield module, population, names of states, and the state that is sent as values."""
        for name, cell in self.cells.items():
            if self._names[name] in self.populations:
                yield name, self._names[name], cell.states, None
            if self._names[name] in self._readouts:
                sends = next(theirs for theirs, ours in cell.states.items() if ours == "v")
                yield name, self._readouts[self._names[name]], cell.states, sends

    def _is_membrane(self, tap: Tap) -> bool:
        value = tap.value
        return isinstance(value, Sent) and self.cells[value.call.name].states.get(value.port) == "v"

    def _feed_readouts(self) -> None:
        """Give each readout what its neuron receives; drop neurons whose spikes nobody uses."""
        for name, made in self._readouts.items():
            self.projections += [
                replace(p, target=made) for p in self.projections if p.target == name
            ]
            sources = {p.source for p in self.projections} | {o.source for o in self.outputs}
            if name not in sources:
                del self.populations[name]
                self.projections = [p for p in self.projections if p.target != name]

    def _output(self, value: Value) -> None:
        terms = self.terms(value)
        at_once = len(terms) == 1 and terms[0].plain and not terms[0].delay
        if at_once and terms[0].source in self.populations:
            source = terms[0].source
        else:
            source = self._carrier(value, "output")
        if source not in (o.source for o in self.outputs):
            self.outputs.append(Output(source, source))

    def _mention(self, value: Sent) -> None:
        name, port = value.call.name, value.port
        state = self.cells[name].states.get(port)
        if state is not None and port != OUT:
            text = (
                f"is returned too; record it as state '{state}' of population '{self._names[name]}'"
            )
            finding = Finding("SPK1333", f"{name}.{port}", text)
            if finding not in self.findings:
                self.findings.append(finding)


def _without_spikes(model: Neuron) -> Neuron | None:
    """Return the model whose output is the membrane of one that is never reset, or None."""
    if not isinstance(model, LIF | CubaLIF) or model.reset != "none":
        return None
    kind = CubaLeakyIntegrator if isinstance(model, CubaLIF) else LeakyIntegrator
    kept: dict[str, Any] = {n: t for n, t in model.parameters().items() if n in kind.dimensions()}
    phase: dict[str, Any] = {}
    if isinstance(model, CubaLIF):
        phase["current_phase"] = model.current_phase
    return kind(**kept, **phase)


def _flat(values: Array) -> Tensor:
    return Tensor.floats(values.reshape(-1) if values.ndim else values)


def _times(term: _Term, factor: Array) -> _Term:
    """Return a term with the rows of its map scaled."""
    gain = np.broadcast_to(factor.reshape(-1), term.synapse.out_size)
    synapse = term.synapse
    if isinstance(synapse, OneToOne) and factor.ndim and not synapse.weight.shape:
        synapse = replace(
            synapse, weight=Tensor.floats(synapse.weight.data * np.ones(synapse.size))
        )
    return replace(term, synapse=scale_synapse(synapse, gain))


def _columns(synapse: Synapse, before: Synapse) -> Synapse | None:
    """Return ``synapse`` after a one-to-one map without bias as one synapse, or None."""
    if not isinstance(before, OneToOne) or before.bias is not None:
        return None
    factor = before.weight.data
    if np.all(factor == 1):
        return synapse
    if factor.ndim == 0 and isinstance(synapse, Dense | Conv1d | Conv2d | Pool2d | OneToOne):
        return replace(synapse, weight=Tensor.floats(synapse.weight.data * factor))
    if isinstance(synapse, Dense):
        return replace(synapse, weight=Tensor.floats(synapse.weight.data * factor[None, :]))
    return None
