"""A Diehl-Cook module as in modular VPRSNN, with frozen weights and thresholds.

784 Poisson inputs -> 400 excitatory cells, every pair with a delay of its own; each excitatory cell
-> an inhibitory one of its own -> all other excitatory cells. Source of equations and numbers:
QVPR/VPRSNN d38f30c, snn_model.py (specs/place_recognition.md sections 2.1, 2.2 and 2.4).

Within a step the authors update states, then test thresholds, then let synapses act, so whatever a
spike of step t does is seen in step t + 1: every projection here has one step more than its delay.
Nothing learns: weights and thresholds stay as they are given.
"""

from math import floor

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Graph, Input, Output, Population, Projection
from spikec.compiler.neurons.conductance_lif import ConductanceLIF
from spikec.compiler.synapses import AllButSelf, Dense, OneToOne
from spikec.compiler.types import Array, Bool, Tensor

INPUTS, CELLS = 784, 400
COLUMN_SUM = 78.0
# Milliseconds.
TAU_EXCITATORY, TAU_INHIBITORY = 100.0, 10.0
REST_EXCITATORY, REST_INHIBITORY = 5.0, 2.0
LONGEST_DELAY = 10.0
# Weights are multiples of 2^-30, so that sums of them are the same in any order.
GRID = 30


def untrained_weights(seed: int, cells: int = CELLS, inputs: int = INPUTS) -> Array:
    """Return the authors' initial weights (cells, inputs): 0.3 (U(0, 1) + 0.01), rows of sum 78.

    They are rounded to multiples of 2^-30.
    """
    weights = 0.3 * (np.random.default_rng([seed, 0]).random((cells, inputs)) + 0.01)
    weights *= COLUMN_SUM / weights.sum(axis=1, keepdims=True)
    return np.asarray(np.ldexp(np.rint(np.ldexp(weights, GRID)), -GRID))


def module(
    seed: int = 0,
    *,
    weights: Array | None = None,
    delays: Array | None = None,
    theta: float | Array = 20.0,
    inputs: int = INPUTS,
    cells: int = CELLS,
    dt: float = 0.1,
    gate: float = 50.0,
    tau_conductance: tuple[float, float] = (1.0, 0.5),
) -> Graph:
    """Return one module, with outputs ``excitatory`` and ``inhibitory``.

    Args:
        seed: Of weights and delays that are not given.
        weights: (cells, inputs), at least 0, kept as they are; untrained ones by default. Where
            they are no multiples of a power of two, sums may differ between engines in their last
            bits.
        delays: (cells, inputs) in steps; by default uniform over the steps below 10 ms.
        theta: What lies on the thresholds of the excitatory cells, theta - 72 mV: one number, or
            one per cell. It is 20 before training and grows with every spike in it.
        inputs: Number of inputs, if no weights are given.
        cells: Number of cells of each kind, if no weights are given.
        dt: Step in ms.
        gate: An excitatory cell may spike again when more than so many ms have passed. The authors'
            timer runs at a tenth of the time and must pass 5 ms; 5 gives the nominal refractory
            time.
        tau_conductance: Time constants in ms of excitation and inhibition; (1, 2) are Diehl and
            Cook's.

    Raises:
        SpikecError: SPK1250 on sizes or seed, SPK1251 on times; SPK0502 on theta, SPK0532 on
            delays.
    """
    _check(seed, inputs, cells, dt, gate, tau_conductance)
    if weights is None:
        weights = untrained_weights(seed, cells, inputs)
    synapse = Dense(Tensor.floats(weights))
    cells, inputs = synapse.out_size, synapse.in_size
    if delays is None:
        longest = max(floor(LONGEST_DELAY / dt + 1e-9), 1)
        delays = np.random.default_rng([seed, 1]).integers(0, longest, (cells, inputs))
    excitatory, inhibitory = _cells(theta, dt, gate, tau_conductance)
    nodes = (
        Input("pixels", (inputs,), Bool()),
        Population("excitatory", (cells,), excitatory),
        Population("inhibitory", (cells,), inhibitory),
        Output("excitatory", "excitatory"),
        Output("inhibitory", "inhibitory"),
    )
    own, others = (Tensor.floats(w) for w in (10.4, 17.0))
    projections = (
        Projection("pixels", "excitatory", synapse, "excitatory", 1, delays=delays),
        Projection("excitatory", "inhibitory", OneToOne(cells, own), "excitatory", 1),
        Projection("inhibitory", "excitatory", AllButSelf(cells, others), "inhibitory", 1),
    )
    return Graph("diehl_cook", nodes, projections, dt * 1e-3)


def _check(
    seed: int, inputs: int, cells: int, dt: float, gate: float, taus: tuple[float, float]
) -> None:
    if min(inputs, cells) < 1 or seed < 0:
        raise SpikecError(
            "SPK1250",
            "diehl_cook",
            f"{inputs} inputs, {cells} cells and seed {seed} are not possible",
            "Give sizes of at least 1 and a seed of at least 0",
        )
    # Written so that NaN fails too.
    if not (0 < dt <= min(taus) and REST_EXCITATORY <= gate < 1e6):
        raise SpikecError(
            "SPK1251",
            "diehl_cook",
            f"a step of {dt:g} ms does not fit conductances of {taus[0]:g} and {taus[1]:g} ms and "
            f"a gate of {gate:g} ms",
            f"Use a step below the time constants and a gate from {REST_EXCITATORY:g} ms",
        )


def _cells(
    theta: float | Array, dt: float, gate: float, taus: tuple[float, float]
) -> tuple[ConductanceLIF, ConductanceLIF]:
    """Return both models; they start 40 mV below rest, as the authors' do."""
    ge_decay, gi_decay = (1 - dt / tau for tau in taus)
    # A time that must be passed takes a step more than one that must be reached.
    passed = floor(gate / dt + 1e-9) + 1
    resting = [max(round(rest / dt), 1) for rest in (REST_EXCITATORY, REST_INHIBITORY)]
    excitatory = ConductanceLIF(
        rate=dt / TAU_EXCITATORY,
        ge_decay=ge_decay,
        gi_decay=gi_decay,
        threshold=np.asarray(theta, dtype=np.float64) - 20.0 - 52.0,
        gate=passed,
        frozen=resting[0],
        v_init=-105.0,
        current_phase="new",
    )
    inhibitory = ConductanceLIF(
        rate=dt / TAU_INHIBITORY,
        v_rest=-60.0,
        e_inhibitory=-85.0,
        ge_decay=ge_decay,
        gi_decay=gi_decay,
        threshold=-40.0,
        reset_value=-45.0,
        gate=resting[1],
        frozen=resting[1],
        v_init=-100.0,
        current_phase="new",
    )
    return excitatory, inhibitory


def show(
    images: Array,
    seed: int = 0,
    *,
    dt: float = 0.1,
    before: float = 500.0,
    shown: float = 350.0,
    rest: float = 150.0,
) -> Array:
    """Return Poisson spikes of images shown one after another, (1, steps, pixels).

    Args:
        images: (images, ...) with pixels of 0 to 255; a pixel spikes at a quarter of it in Hz.
        seed: Of the spikes.
        dt: Step in ms.
        before: Milliseconds without input before the first image.
        shown: Milliseconds of each image.
        rest: Milliseconds without input behind each image.

    Raises:
        SpikecError: SPK1252 on pixels outside 0 to 255, SPK1256 on times.
    """
    # Written so that NaN fails too.
    if not (0 < dt <= shown < 1e9 and 0 <= before < 1e9 and 0 <= rest < 1e9):
        raise SpikecError(
            "SPK1256",
            "diehl_cook.show",
            f"steps of {dt:g} ms and times of {before:g}, {shown:g} and {rest:g} ms are not "
            "possible",
            "Give a positive step and times of at least 0, shown at least one step",
        )
    pixels = np.asarray(images, dtype=np.float64)
    if pixels.ndim < 2 or not pixels.size or not ((pixels >= 0) & (pixels <= 255)).all():
        raise SpikecError(
            "SPK1252",
            "diehl_cook.show",
            f"an array of shape {pixels.shape} is not images with pixels of 0 to 255",
            "Give (images, pixels), or (images, height, width)",
        )
    random = np.random.default_rng(seed)
    flat = pixels.reshape(len(pixels), -1)
    quiet, steps, after = (round(time / dt) for time in (before, shown, rest))
    spikes = np.zeros((1, quiet + len(flat) * (steps + after), flat.shape[1]), np.bool_)
    for k, image in enumerate(flat):
        start = quiet + k * (steps + after)
        chance = image / 4 * dt * 1e-3
        spikes[0, start : start + steps] = random.random((steps, image.size)) < chance
    return spikes
