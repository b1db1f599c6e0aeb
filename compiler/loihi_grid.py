"""The numbers of a Loihi core as the IR holds them: formats of the states, and neurons of integers.

Membrane and current are integers of 24 bits; a decay is a multiple of 1/4096, and the decayed state
is rounded toward zero; currents wrap, membranes clip at +-(2^23 - 1). Source: specs/loihi.md,
sections 1.3 and 3.2.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from spikec.compiler.ir import Program
from spikec.compiler.neurons.cuba_lif import CubaLIF
from spikec.compiler.neurons.lif import LIF
from spikec.compiler.neurons.refractory_lif import RefractoryLIF
from spikec.compiler.types import Array, FixedPoint, Format, Tensor, fitting

STATE_LIMIT = (1 << 23) - 1
THRESHOLD_MANTISSA = (1 << 17) - 1
BIAS_MANTISSA, BIAS_EXPONENT = 4095, 7
MOST_REFRACTORY = 63  # steps from one spike to the next; 1 blocks none
WEIGHT_SHIFT = 6  # an effective weight is mantissa 2^(6 + exponent)

_STATE = FixedPoint(24, 0)
_LEAK = Format(_STATE, "to_zero", "never")
FORMATS: Mapping[str, Mapping[str, Format]] = {
    LIF.kind: {"v": Format(_STATE, "to_zero", "saturate"), "leak": _LEAK},
    CubaLIF.kind: {
        "v": Format(_STATE, "to_zero", "saturate"),
        "leak": _LEAK,
        "u": Format(_STATE, "to_zero", "wrap"),
        "synapse_leak": _LEAK,
    },
    RefractoryLIF.kind: {
        "v": Format(_STATE, "to_zero", "saturate"),
        "leak": _LEAK,
        "r": Format(FixedPoint(6, 0, signed=False), "floor", "never"),
    },
}


def is_core_program(program: Program) -> bool:
    """Return whether a program is in integers already, and all states in the formats of a core."""
    return program.stage == "integer" and all(
        dict(p.formats) == FORMATS.get(p.model().kind) for p in program.graph.populations
    )


def mantissas(values: Array, exponent: int, unit: float = 1.0) -> Tensor:
    """Return weight mantissas, -256 to 255, with an exponent."""
    return Tensor.integers(values, FixedPoint(9, -(WEIGHT_SHIFT + exponent)), unit)


def decay_steps(steps: Array) -> Tensor:
    """Return a decay of ``steps`` / 4096."""
    return Tensor.integers(steps, FixedPoint(13, 12, signed=False))


def state_integers(values: Array, unit: float = 1.0) -> Tensor:
    """Return whole numbers of the unit of the membrane; a scalar where all are equal."""
    data = np.asarray(values).astype(np.int64)
    if data.size and bool(np.all(data == data.flat[0])):
        data = data.reshape(-1)[:1].reshape(())
    return Tensor.integers(data, fitting(data, 0), unit)


def fixed_parameters(unit: float = 1.0) -> dict[str, Any]:
    """Return the parameters that are the same in all neurons of a core."""
    return {
        "reset_value": state_integers(np.zeros(()), unit),
        "v_min": state_integers(np.array(-STATE_LIMIT), unit),
        "gain": Tensor.integers(1, FixedPoint(1, 0, signed=False)),
    }
