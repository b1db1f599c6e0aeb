"""snnTorch 1.0: its neurons, in the order of its own updates (snntorch/_neurons/*.py).

reset is told from the old membrane: r = [mem > threshold]. Numbers are those that the module holds;
decays are clamped to 0..1 as its forward does.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.torch_cells import Cell, Keep, initial, refuse_start
from spikec.compiler.frontends.torch_layers import Layer, refuse_hooks
from spikec.compiler.frontends.torch_library import extra, numbers, per_neuron, several, torch
from spikec.compiler.frontends.torch_roll import OUT
from spikec.compiler.frontends.torch_trace import Call, Leaf, Recorder, Sent, Value
from spikec.compiler.neurons.alpha_lif import AlphaLIF
from spikec.compiler.neurons.cuba_lif import CubaLIF
from spikec.compiler.neurons.lif import LIF
from spikec.compiler.semantics import ResetPhase
from spikec.compiler.synapses import OneToOne, Shape, Synapse
from spikec.compiler.types import Array, Tensor

# The states of each class, in the order of arguments and results; spk is what it sends.
STATES: dict[str, tuple[str, ...]] = {
    "Leaky": ("mem",),
    "Synaptic": ("syn", "mem"),
    "Lapicque": ("mem",),
    "Alpha": ("syn_exc", "syn_inh", "mem"),
    "RLeaky": ("spk", "mem"),
    "RSynaptic": ("spk", "syn", "mem"),
}
# Where a reset that is delayed acts before the update rather than after it.
EARLY_ZERO = ("Leaky",)
RESETS: dict[str, Literal["subtract", "zero", "none"]] = {
    "_base_sub": "subtract",
    "_base_zero": "zero",
    "_base_int": "none",
}
PROBE = (-2.0, -1e-6, 0.0, 1e-6, 2.0)


class SnnTorch:
    """The neurons of snnTorch."""

    name = "snntorch"

    def owns(self, module: Any) -> bool:
        """Return whether a module is a neuron of snnTorch, or anything else that it defines."""
        loaded = sys.modules.get("snntorch")
        if loaded is None:
            return False
        own = type(module).__module__.startswith("snntorch.")
        return own or isinstance(module, loaded.SpikingNeuron)

    def nameless(self, module: Any) -> bool:
        """Return False: a neuron has a state, which must be found and begin anew."""
        return False

    def fresh(self, modules: Iterable[Any]) -> None:
        """Forget hidden states, so that the next forward begins with zeros."""
        for module in modules:
            for state in STATES.get(self._class(module) or "", ()):
                if state in module._buffers:
                    setattr(module, state, torch().zeros(0, dtype=module.threshold.dtype))

    def step(self, module: Any) -> float | None:
        """Return None: snnTorch counts steps."""
        return None

    def watch(self, module: Any, keep: Keep, hand_on: bool) -> None:
        """Tell ``keep`` of every step, by forward hooks."""
        names = STATES[self._class(module) or ""]
        held: dict[str, Any] = {}

        def before(_: Any, args: Any, keywords: Any) -> Any:
            if not (hand_on and held):
                return None
            if module.init_hidden:
                for name, tensor in held.items():
                    setattr(module, name, tensor)
                return None
            given = args[0] if args else keywords["input_"]
            return (given, *held.values()), {}

        def after(_: Any, __: Any, result: Any) -> None:
            held.update((name, getattr(module, name)) for name in names)
            keep((several(result) or (result,))[0], held)

        module.register_forward_pre_hook(before, with_kwargs=True)
        module.register_forward_hook(after)

    def _class(self, module: Any) -> str | None:
        """Return the class whose forward a module has, if it is one that is known."""
        if not self.owns(module):
            return None
        for name in STATES:
            known, cls = getattr(extra("snntorch"), name), module.__class__
            if isinstance(module, known) and cls.forward is known.forward:
                return name
        return None

    def run(self, recorder: Recorder, leaf: Leaf) -> Any:
        """Call a neuron and record the step.

        Raises:
            SpikecError: SPK1325 on a class that is not supported.
        """
        module, kind = leaf.module, self._class(leaf.module)
        if kind is None:
            raise SpikecError(
                "SPK1325",
                leaf.name,
                f"snntorch's {type(module).__name__} is not supported",
                f"Use {', '.join(STATES)}",
            )
        refuse_hooks(leaf.name, module)
        states = STATES[kind]
        given = leaf.given(("input_", *states))
        shape = tuple(given["input_"].shape)
        taken: dict[str, Value | None] = {}
        for state in states:
            tensor = getattr(module, state) if given.get(state) is None else given[state]
            # A state of another shape is replaced by zeros.
            taken[_port(state)] = recorder.value(tensor) if tensor.shape == shape else None
        source = recorder.value(given["input_"])
        call = Call(leaf.name, module, recorder.count(module), source, taken, shape)
        result = leaf.result()
        recorder.calls.append(call)
        returned = several(result) or (result,)
        recorder.keep(returned[0], Sent(shape, call, OUT))
        for state in states:
            recorder.keep(getattr(module, state), Sent(shape, call, _port(state)))
        return result

    def cell(self, call: Call) -> Cell:
        """Return what a neuron is, given its first call.

        Raises:
            SpikecError: SPK1326 to SPK1329.
        """
        m, kind, shape = call.module, self._class(call.module) or "", call.shape[1:]
        _refuse_options(call)
        threshold = per_neuron(f"{call.name}.threshold", m.threshold, shape)
        start = initial(call, "mem", shape)
        reset, phase = _reset(call, kind, threshold, start)
        shared: dict[str, Any] = {"threshold": threshold, "v_init": start, "reset": reset}
        beta = per_neuron(f"{call.name}.beta", m.beta, shape)
        graded = per_neuron(f"{call.name}.graded_spikes_factor", m.graded_spikes_factor, shape)
        factor = None if np.all(graded == 1) else graded
        feedback = _feedback(call, shape) if kind.startswith("R") else None
        if kind == "Alpha":
            return _alpha_cell(call, shared, factor)
        if kind == "Lapicque":
            decay, gain = _lapicque(call, shape)
            model = LIF(decay=decay, gain=gain, reset_phase=phase, **shared)
            return Cell(model, {"mem": "v"}, graded=factor)
        decay = np.clip(beta, 0.0, 1.0)
        if kind in ("Leaky", "RLeaky"):
            model = LIF(decay=decay, reset_phase=phase, **shared)
            return Cell(model, {"mem": "v"}, feedback=feedback, graded=factor)
        alpha = np.clip(per_neuron(f"{call.name}.alpha", m.alpha, shape), 0.0, 1.0)
        cuba = CubaLIF(
            synapse_decay=alpha,
            decay=decay,
            u_init=initial(call, "syn", shape),
            reset_phase=phase,
            **shared,
        )
        return Cell(cuba, {"mem": "v", "syn": "u"}, feedback=feedback, graded=factor)


def _port(state: str) -> str:
    return OUT if state == "spk" else state


def _refuse_options(call: Call) -> None:
    """Refuse what changes the equation.

    Raises:
        SpikecError: SPK1326.
    """
    m, problem = call.module, ""
    if m.inhibition:
        problem = "inhibition=True, where only the largest membrane may fire"
    elif m.state_quant:
        problem = "state_quant, which rounds its state by a function"
    else:
        probe = torch().tensor(PROBE, dtype=m.threshold.dtype)
        with torch().no_grad():
            fired = numbers(m.spike_grad(probe))
        if not np.array_equal(fired, np.asarray(PROBE) > 0):
            problem = "a spike_grad that is not 1 above the threshold and 0 elsewhere"
    if problem:
        raise SpikecError(
            "SPK1326",
            call.name,
            f"this {type(m).__name__} has {problem}, which is not supported",
            "Train without it",
        )


def _reset(call: Call, kind: str, threshold: Array, start: Array) -> tuple[Any, ResetPhase]:
    """Return how the module resets, and when.

    Raises:
        SpikecError: SPK1327 when it was changed after it was made, SPK1328 on a zero reset without
            delay that acts twice.
    """
    m = call.module
    reset = RESETS[m.state_function.__name__]
    # RSynaptic's forward subtracts from an argument that it does not return: no effect.
    delayed = getattr(m, "reset_delay", True) or kind == "RSynaptic"
    if not delayed and reset != list(RESETS.values())[int(m.reset_mechanism_val)]:
        raise SpikecError(
            "SPK1327",
            call.name,
            f"it was made with reset '{reset}' and changed to '{m.reset_mechanism}', and uses both",
            "Make the neuron with the reset that is meant",
        )
    if reset == "none":
        return reset, "same"
    if reset == "subtract":
        return reset, "next" if delayed else "undelayed"
    if delayed:
        return reset, "next" if kind in EARLY_ZERO else "next_late"
    if np.any(threshold < 0) or np.any(start > threshold):
        raise SpikecError(
            "SPK1328",
            call.name,
            "a zero reset without delay, at a threshold below zero or a start above it, doubles "
            "the membrane in snnTorch, which is not supported",
            "Use thresholds of at least 0, or reset_delay=True",
        )
    # The reset membrane, zero, is never above the threshold: no spike is seen twice.
    return reset, "same"


def _lapicque(call: Call, shape: Shape) -> tuple[Array, Array]:
    """Return the factor of the membrane and of the input, in the order of snnTorch's operations."""
    m = call.module
    r, c, step = (
        per_neuron(f"{call.name}.{name}", getattr(m, name), shape)
        for name in ("R", "C", "time_step")
    )
    return 1 - step / (r * c), r * (1 / (r * c)) * step


def _alpha_cell(call: Call, shared: Mapping[str, Any], graded: Array | None) -> Cell:
    m, shape = call.module, call.shape[1:]
    double = torch().float64
    alpha, beta = m.alpha.detach().to(double).clamp(0, 1), m.beta.detach().to(double).clamp(0, 1)
    log = torch().log
    ratio = log(alpha) / (log(beta) - log(alpha)) + 1
    model = AlphaLIF(
        excitatory_decay=per_neuron(f"{call.name}.alpha", alpha, shape),
        inhibitory_decay=per_neuron(f"{call.name}.beta", beta, shape),
        ratio=per_neuron(f"{call.name}.tau_alpha", ratio, shape),
        e_init=initial(call, "syn_exc", shape),
        h_init=initial(call, "syn_inh", shape),
        **shared,
    )
    return Cell(model, {"mem": "v", "syn_exc": "e", "syn_inh": "h"}, graded=graded)


def _feedback(call: Call, shape: Shape) -> Synapse:
    """Return the synapse from the spikes of the step before.

    Raises:
        SpikecError: SPK1329 on a recurrent module that was exchanged.
    """
    refuse_start(call, OUT, shape)
    m = call.module.recurrent
    kind = type(m).__name__
    where = f"{call.name}.recurrent"
    if kind == "RecurrentOneToOne":
        size = int(np.prod(shape))
        weight = per_neuron(where, m.V, shape)
        return OneToOne(size, Tensor.floats(weight.reshape(-1) if weight.ndim else weight))
    if kind not in ("Linear", "Conv2d"):
        raise SpikecError(
            "SPK1329", where, f"a recurrent {kind} is not supported", "Use Linear or Conv2d"
        )
    return Layer(where, kind, m).synapse(shape, shape)
