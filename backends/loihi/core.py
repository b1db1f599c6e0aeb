"""The integer core model: what cores of Loihi compute, step by step, from a core image.

One step (Loihi specification, section 3.2): the spikes of step t - delay arrive; the current decays
and takes their sum; the membrane decays and takes current and bias; a membrane above the threshold
spikes and is set to zero. It is written from that text in plain numpy, over all samples and
compartments at once, and knows nothing of ``expr``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikec.backends.loihi.arithmetic import (
    STATE,
    SUM,
    bias_value,
    decay,
    effective,
    wrap,
    wrap_current,
)
from spikec.backends.loihi.corners import DEFAULT, Corners
from spikec.backends.loihi.image import Compartments, CoreImage, Synapses
from spikec.compiler.types import Array
from spikec.compiler.untyped import sparse as sp


class Dendrite:
    """The synapses of one delay of one projection."""

    def __init__(self, synapses: Synapses, delay: int, corners: Corners) -> None:
        """Build the matrix of effective weights, or of mantissas where sums are shifted."""
        self.source, self.target, self.delay = synapses.source, synapses.target, delay
        self.shift = 0
        weight = effective(synapses.weight, synapses.exponent, corners)
        if corners.negative_exponent == "sum_then_shift" and synapses.exponent < 0:
            weight, self.shift = synapses.weight, -synapses.exponent
        here = synapses.delay == delay
        parts = weight[here], (synapses.rows[here], synapses.indices[here])
        shape = len(synapses.indptr) - 1, synapses.columns
        self.matrix: Any = sp.csr_array(parts, shape=shape)

    def arriving(self, spikes: Array) -> Array:
        """Return twice what arrives, (samples, targets), for spikes (samples, sources)."""
        total = np.asarray((self.matrix @ spikes.T).T)
        return (total >> self.shift) << 7 if self.shift else total


@dataclass(slots=True)
class State:
    """What the compartments of one population hold, (samples, size).

    Attributes:
        u: Current.
        v: Membrane.
        blocked: Steps for which the membrane is still blocked.
    """

    u: Array
    v: Array
    blocked: Array


class Soma:
    """The update of the compartments of one population."""

    def __init__(self, compartments: Compartments, corners: Corners) -> None:
        """Keep the constants."""
        self.compartments, self.corners = compartments, corners
        self.bias = bias_value(compartments.bias_mantissa, compartments.bias_exponent)
        self.threshold = compartments.threshold << 6
        limits = {
            "fixed": (1 - STATE, STATE - 1),
            "programmable": (compartments.vmin, compartments.vmax),
            "none": (-(1 << 62), 1 << 62),
        }
        self.vmin, self.vmax = limits[corners.membrane_limits]

    def initial(self, samples: int) -> State:
        """Return the state before the first step."""
        shape = samples, self.compartments.size
        u, v = (np.broadcast_to(a, shape) for a in (self.compartments.u, self.compartments.v))
        return State(u.copy(), v.copy(), np.zeros(shape, dtype=np.int64))

    def update(self, state: State, arriving: Array) -> tuple[Array, int]:
        """Advance ``state`` by a step.

        Args:
            state: Changed in place.
            arriving: Twice the synaptic sum, (samples, size).

        Returns:
            The spikes, and how often the sum or the current wrapped or the membrane clipped.
        """
        c, corners = self.compartments, self.corners
        doubled = arriving
        if corners.synaptic_sum == "wrap":
            doubled = wrap(arriving, 2 * SUM)
        whole = 2 * decay(state.u, c.du + 1) + doubled
        whole = np.sign(whole) * (np.abs(whole) >> 1)
        state.u = wrap_current(whole, corners)
        drive = state.u + self.bias
        if corners.drive_wrap == "wrap":
            drive = wrap(drive, STATE)
        before = state.v
        full = decay(before, c.dv) + drive
        state.v = np.clip(full, self.vmin, self.vmax)
        events = (doubled != arriving) | (state.u != whole)
        hits = int(events.sum()) + int(((state.v != full) & (state.blocked == 0)).sum())
        if corners.refractory == "zero":
            state.v = np.where(state.blocked > 0, 0, state.v)
        if corners.refractory == "frozen":
            state.v = np.where(state.blocked > 0, before, state.v)
        spikes = state.v > self.threshold if c.compare == "gt" else state.v >= self.threshold
        state.v = state.v - spikes * self.removed(state.v)
        if corners.refractory != "absent":
            blocked = np.where(spikes, c.refractory, state.blocked)
            state.blocked = np.maximum(blocked - 1, 0)
        return spikes, hits

    def removed(self, v: Array) -> Array:
        """Return what a spike takes from the membrane."""
        if self.compartments.reset == "zero":
            return v
        return self.threshold if self.compartments.reset == "subtract" else np.zeros_like(v)

    def recorded(self, state: State) -> dict[str, Array]:
        """Return current, membrane and blocked steps as a probe reads them after the step."""
        u = state.u
        if self.corners.recorded_current == "decayed":
            u = decay(u, self.compartments.du + 1)
        return {"u": u, "v": state.v, "r": state.blocked}


class CoreModel:
    """All populations and projections of an image."""

    def __init__(self, image: CoreImage, corners: Corners = DEFAULT) -> None:
        """Build matrices and constants."""
        self.image = image
        self.somas = {name: Soma(c, corners) for name, c in image.compartments.items()}
        self.dendrites = [
            Dendrite(s, int(delay), corners) for s in image.synapses for delay in np.unique(s.delay)
        ]
        self.reach = max((d.delay for d in self.dendrites), default=0)

    def start(self, samples: int) -> "Run":
        """Return a run of so many samples, before its first step."""
        return Run(self, samples)


class Run:
    """A batch on its way through the steps."""

    def __init__(self, model: CoreModel, samples: int) -> None:
        """Set every state to its initial value."""
        self.model, self.samples, self.step = model, samples, 0
        self.states = {name: soma.initial(samples) for name, soma in model.somas.items()}
        self.history: dict[int, Mapping[str, Array]] = {}

    def advance(self, inputs: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, int]]:
        """Run one step.

        Args:
            inputs: Spikes by input, (samples, channels).

        Returns:
            By population the spikes (samples, size), and how many registers wrapped or clipped.
        """
        sent: dict[str, Array] = {}
        hits: dict[str, int] = {}
        for name, soma in self.model.somas.items():
            compartments = soma.compartments
            if self.step < compartments.start:
                sent[name] = np.zeros((self.samples, compartments.size), dtype=bool)
                hits[name] = 0
                continue
            sent[name], hits[name] = soma.update(self.states[name], self.arriving(name))
        self.history[self.step] = {**inputs, **sent}
        self.history.pop(self.step - self.model.reach, None)
        self.step += 1
        return sent, hits

    def arriving(self, name: str) -> Array:
        """Return twice the synaptic sum of a population."""
        size = self.model.image.compartments[name].size
        total = np.zeros((self.samples, size), dtype=np.int64)
        for dendrite in self.model.dendrites:
            past = self.history.get(self.step - dendrite.delay)
            if dendrite.target == name and past is not None:
                total += dendrite.arriving(past[dendrite.source].astype(np.int64))
        return total
