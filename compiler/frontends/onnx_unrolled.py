"""Rolls up a network that was unrolled over time, where every step is the same.

The data are (steps, batch, ...), a Gather takes one step, and a Concat puts the outputs of all
steps together. A step is what depends on its Gather and on no later one, but for what only the next
step reads. Steps are compared from the outputs backwards, node by node; what a step reads of the
one before is a state, unless it is computed of other states. The first step, in which the states
are constants, must compute what the others do with states of zero: their normal forms are compared
(``onnx_values``).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.onnx_constants import axes_of, fold
from spikec.compiler.frontends.onnx_file import OnnxModel, OnnxNode
from spikec.compiler.frontends.onnx_graph import Walk, constant_value, needed
from spikec.compiler.frontends.onnx_values import Above, Atom, Mapped, Rectified, Value, uniform
from spikec.compiler.types import Array

FEWEST = 4  # steps: the first may differ in form, and two others must be compared


@dataclass(frozen=True, slots=True, eq=False)
class Rolled:
    """A single step.

    Attributes:
        model: It, with its states as further inputs and their next values as further outputs.
        states: Name of the next value, by state.
        steps: How often it stood in the file.
    """

    model: OnnxModel
    states: Mapping[str, str]
    steps: int


def roll(model: OnnxModel) -> Rolled | None:
    """Return the step of an unrolled model, or None where it is not unrolled.

    Raises:
        SpikecError: SPK1450 when it is not the same step over and over.
    """
    nodes, data = needed(model), next(iter(model.inputs), "")
    takes = [n for n in nodes if n.op == "Gather" and n.inputs[:1] == (data,)]
    return _Unrolled(model, nodes, takes).rolled() if takes else None


class _Unrolled:
    """An unrolled model, its nodes by what they make, and the step of every value."""

    def __init__(self, model: OnnxModel, nodes: list[OnnxNode], takes: list[OnnxNode]) -> None:
        self.model, self.nodes = model, nodes
        self.takes = {n.outputs[0] for n in takes}
        self.data = next(iter(model.inputs))
        self.maker = {n.outputs[0]: n for n in nodes}
        self.constants: dict[str, Array] = dict(model.constants)
        self.step: dict[str, int] = {}
        self.before: dict[str, str] = {}

    def refuse(self, where: str, problem: str) -> SpikecError:
        """Return the error for a model that is not the same step over and over."""
        return SpikecError(
            "SPK1450",
            where,
            f"{problem}, so the network cannot be rolled up",
            "Export a single step, with states in and out",
        )

    def rolled(self) -> Rolled:
        """Return the single step."""
        self._place()
        steps, outputs = len(self.takes), self._outputs()
        self._place_late({part for parts in outputs for part in parts})
        if steps < FEWEST:
            raise self.refuse(self.model.name, f"it has {steps} steps, fewer than {FEWEST}")
        for parts in outputs:
            for late, early in zip(parts[:0:-1], parts[-2::-1], strict=True):
                self._compare(late, early)
        # The last step makes no states; the one before it does.
        kept = steps - 2
        following = self._crossing(kept)
        states = {self.before[name]: name for name in following}
        chosen = [n for n in self.nodes if self.step.get(n.outputs[0]) == kept]
        chosen = self._derived(states, kept) + chosen
        first = self._first([parts[1] for parts in outputs], states, kept)
        shapes = {s: first.known[self._earliest(s)] for s in states}
        take = next(n for n in chosen if n.op == "Gather" and n.inputs[0] == self.data)
        inputs: dict[str, tuple[int | None, ...]] = {}
        inputs[take.outputs[0]] = self.model.inputs[self.data][1:]
        for state, value in shapes.items():
            if not isinstance(value, Value):
                raise self.refuse(state, "it does not depend on the data in the first step")
            inputs[state] = (None, *value.shape)
        made = replace(
            self.model,
            nodes=tuple(n for n in chosen if n is not take),
            constants=self.constants,
            inputs=inputs,
            outputs=(*(parts[kept] for parts in outputs), *states.values()),
        )
        self._check_first(made, states, first, [(p[kept], p[0]) for p in outputs])
        return Rolled(made, states, steps)

    # ------------------------------------------------------------ which step a value belongs to

    def _place(self) -> None:
        """Find the step of every value, and the constants."""
        seen: set[int] = set()
        for node in self.nodes:
            name = node.outputs[0]
            if name in self.takes:
                index = self.constants.get(node.inputs[1])
                if index is None or index.size != 1 or node.attributes.get("axis", 0) != 0:
                    raise self.refuse(node.name, "it takes no single step of the first axis")
                self.step[name] = int(index.reshape(-1)[0])
                seen.add(self.step[name])
                continue
            if self.data in node.inputs:
                raise self.refuse(node.name, "it reads all steps at once")
            reached = [self.step[i] for i in node.inputs if i in self.step]
            if reached:
                self.step[name] = max(reached)
            elif node.op == "Constant":
                self.constants[name] = constant_value(node)
            else:
                given = [self.constants[i] if i else None for i in node.inputs]
                folded = fold(node, given)
                if folded is None:
                    raise self.refuse(node.name, f"a constant is made by {node.op}")
                self.constants[name] = folded
        declared = self.model.inputs[self.data][0]
        if seen != set(range(len(self.takes))) or declared not in (None, len(self.takes)):
            raise self.refuse(self.data, f"the steps {sorted(seen)[:8]} are not all that it has")

    def _place_late(self, outputs: set[str]) -> None:
        """Move what only later steps read into them: it is computed of their states."""
        readers: dict[str, int] = {}
        for node in reversed(self.nodes):
            name = node.outputs[0]
            if name not in self.step:
                continue
            if name in readers and name not in self.takes and name not in outputs:
                self.step[name] = readers[name]
            for value in node.inputs:
                readers[value] = min(readers.get(value, len(self.takes)), self.step[name])

    def _outputs(self) -> list[list[str]]:
        """Return for every output its value in each step."""
        found: list[list[str]] = []
        for name in self.model.outputs:
            node = self.maker.get(name)
            if node is None or node.op != "Concat" or node.attributes.get("axis") != 0:
                raise self.refuse(f"output '{name}'", "it is no Concat of all steps")
            parts = [self._unsqueezed(part) for part in node.inputs]
            if [self.step.get(part) for part in parts] != list(range(len(self.takes))):
                raise self.refuse(f"output '{name}'", "it is not one value of each step in order")
            found.append(parts)
            for part in (name, *node.inputs):
                self.step.pop(part, None)
        return found

    def _unsqueezed(self, name: str) -> str:
        node = self.maker.get(name)
        given = [None, *(self.constants.get(i) for i in node.inputs[1:])] if node else []
        if node is None or node.op != "Unsqueeze" or axes_of(node, given) != (0,):
            raise self.refuse(name, "it is not the output of one step")
        return node.inputs[0]

    # ------------------------------------------------------------ comparing steps

    def _compare(self, late: str, early: str) -> None:
        """Pair the values of two steps that follow each other, back to the first step."""
        waiting = [(late, early)]
        while waiting:
            a, b = waiting.pop()
            if self.before.get(a) == b:
                continue
            node, other = self.maker.get(a), self.maker.get(b)
            alike = self._alike(a, b, node, other)
            if not alike or a in self.before:
                raise self.refuse(
                    node.name if node else a,
                    f"it differs from {other.name if other else b} of the step before",
                )
            if a not in self.step:
                continue
            self.before[a] = b
            # The index of a Gather is another one, and has been read already.
            if self.step[b] > 0 and a not in self.takes and node and other:
                waiting.extend(zip(node.inputs, other.inputs, strict=True))

    def _alike(self, a: str, b: str, node: OnnxNode | None, other: OnnxNode | None) -> bool:
        """Return whether two values are made alike, one step apart, or are the same constant."""
        if a not in self.step or b not in self.step:
            return a not in self.step and b not in self.step and self._equal(a, b)
        if self.step[a] != self.step[b] + 1 or node is None or other is None:
            return False
        if self.step[b] == 0:
            return True  # compared by its normal form
        if a in self.takes or b in self.takes:
            return a in self.takes and b in self.takes
        return (
            node.op == other.op
            and len(node.inputs) == len(other.inputs)
            and repr(sorted(node.attributes.items())) == repr(sorted(other.attributes.items()))
        )

    def _equal(self, a: str, b: str) -> bool:
        """Return whether two constants are equal."""
        if a == b or not (a in self.constants and b in self.constants):
            return a == b
        return np.array_equal(self.constants[a], self.constants[b])

    # ------------------------------------------------------------ states

    def _crossing(self, step: int) -> list[str]:
        """Return the values of a step that the next one reads and that are no functions of others.

        What is computed of other such values alone is computed again instead.
        """
        later = [n for n in self.nodes if self.step.get(n.outputs[0]) == step + 1]
        read = {i for n in later for i in n.inputs if i in self.step and self.step[i] <= step}
        wrong = [name for name in read if self.step[name] < step or name not in self.before]
        if wrong:
            raise self.refuse(wrong[0], f"step {step + 1} reads it, which is no state")
        names = [n.outputs[0] for n in self.nodes if n.outputs[0] in read]
        return [name for name in names if not self._follows(name, read)]

    def _follows(self, name: str, others: set[str]) -> bool:
        """Return whether a value is computed of others alone, within its step."""
        waiting, seen = list(self.maker[name].inputs), set[str]()
        while waiting:
            value = waiting.pop()
            if value in others or value not in self.step or value in seen:
                continue
            seen.add(value)
            node = self.maker[value]
            if value in self.takes or self.step[value] != self.step[name]:
                return False
            waiting.extend(node.inputs)
        return name not in self.takes

    def _derived(self, states: Mapping[str, str], step: int) -> list[OnnxNode]:
        """Return the nodes of the step before that compute what is read, of the states alone."""
        wanted = {
            i
            for n in self.nodes
            if self.step.get(n.outputs[0]) == step
            for i in n.inputs
            if self.step.get(i, step) < step
        }
        kept: list[OnnxNode] = []
        for node in reversed(self.nodes):
            name = node.outputs[0]
            if name in wanted and name not in states:
                kept.append(node)
                wanted.update(i for i in node.inputs if i in self.step)
        return kept[::-1]

    def _earliest(self, name: str) -> str:
        """Return what a value is in the first step."""
        while self.step[name] > 0:
            name = self.before[name]
        return name

    # ------------------------------------------------------------ the first step

    def _first(self, outputs: list[str], states: Mapping[str, str], step: int) -> Walk:
        """Return what the values of the first step are."""
        nodes = [n for n in self.nodes if self.step.get(n.outputs[0], 0) == 0]
        take = next(n for n in nodes if n.outputs[0] in self.takes)
        ends = tuple(dict.fromkeys(self._earliest(n) for n in (*outputs, *states)))
        kept = tuple(n for n in nodes if n is not take and n.outputs[0] not in self.model.outputs)
        shape = self.model.inputs[self.data][1:]
        return Walk(replace(self.model, nodes=kept, inputs={take.outputs[0]: shape}, outputs=ends))

    def _check_first(
        self,
        made: OnnxModel,
        states: Mapping[str, str],
        first: Walk,
        outputs: list[tuple[str, str]],
    ) -> None:
        """Compare the first step with the one that is kept, its states zero."""
        shapes: dict[str, Array] = {}
        for state in states:
            value = first.known[self._earliest(state)]
            assert isinstance(value, Value)
            shapes[state] = np.zeros((1, *value.shape), dtype="f4")
        data = next(iter(made.inputs))
        zeros = replace(
            made,
            inputs={data: made.inputs[data]},
            constants={**made.constants, **shapes},
        )
        kept = Walk(zeros)
        late_keys, early_keys = _keys(kept), _keys(first)
        pairs = [*outputs, *((n, self._earliest(s)) for s, n in states.items())]
        for late, early in pairs:
            if _key(kept.known[late], late_keys) != _key(first.known[early], early_keys):
                raise self.refuse(
                    self.maker[early].name, "the first step is not one with states of zero"
                )


def _keys(walk: Walk) -> dict[Atom, str]:
    """Return a key of every atom; two have the same if they compute the same."""
    keys: dict[Atom, str] = {}
    for atom in walk.atoms:
        parts: list[object] = ["data", atom.shape]
        if isinstance(atom, Mapped):
            synapse = atom.synapse
            numbers = [t.data.tobytes() for t in (synapse.weight, synapse.bias) if t is not None]
            parts = [synapse.kind, atom.shape, *numbers, _key(atom.source, keys)]
        if isinstance(atom, Above):
            parts = [atom.compare, _key(atom.inner, keys)]
        if isinstance(atom, Rectified):
            parts = [atom.ceiling, _key(atom.inner, keys)]
        keys[atom] = hashlib.sha256(repr(parts).encode()).hexdigest()
    return keys


def _key(value: Array | Value, keys: Mapping[Atom, str]) -> str:
    """Return a key of a value, its coefficients to the precision of float32."""
    if not isinstance(value, Value):
        return repr(np.asarray(value).tolist())
    terms = (
        (sorted(keys[atom] for atom in product), [f"{x:.5g}" for x in uniform(v).flat])
        for product, v in value.terms.items()
    )
    return repr(sorted(terms))
