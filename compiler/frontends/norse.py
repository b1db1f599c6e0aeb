"""Norse 1.1: its cells and their forms over time, in the order of its own updates.

Constants such as dt / tau are computed by torch as Norse's own step does, in the type of the
parameters, so that they are the same numbers.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikec.compiler.equation import Neuron
from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.torch_cells import Cell, Keep, initial, refuse_start
from spikec.compiler.frontends.torch_layers import refuse_hooks
from spikec.compiler.frontends.torch_library import extra, numbers, per_neuron
from spikec.compiler.frontends.torch_roll import OUT
from spikec.compiler.frontends.torch_trace import Call, Leaf, Recorder, Sent, Stacked, Value, pick
from spikec.compiler.neurons.adex_lif import AdExLIF
from spikec.compiler.neurons.cuba_leaky_integrator import CubaLeakyIntegrator
from spikec.compiler.neurons.euler_cuba_lif import EulerCubaLIF
from spikec.compiler.neurons.euler_lif import EulerLIF
from spikec.compiler.neurons.integrate_and_fire import IntegrateAndFire
from spikec.compiler.neurons.leaky_integrator import LeakyIntegrator
from spikec.compiler.neurons.lsnn import LSNN
from spikec.compiler.synapses import Dense
from spikec.compiler.types import Array, Tensor


@dataclass(frozen=True, slots=True)
class _Class:
    """A class of Norse.

    Attributes:
        equation: Which of the equations below.
        step: The function in norse.torch.functional that it must call.
        over_time: Whether a call is a whole sequence, time first.
        recurrent: Whether it holds input and recurrent weights.
    """

    equation: str
    step: str
    over_time: bool = False
    recurrent: bool = False


CLASSES: dict[str, _Class] = {
    "IAFCell": _Class("iaf", "iaf.iaf_feed_forward_step"),
    "IAF": _Class("iaf", "iaf.iaf_feed_forward_step", True),
    "LIFBoxCell": _Class("lif_box", "lif_box.lif_box_feed_forward_step"),
    "LIFCell": _Class("lif", "lif.lif_feed_forward_step"),
    "LIF": _Class("lif", "lif.lif_feed_forward_step", True),
    "LIFRecurrentCell": _Class("lif", "lif.lif_step", False, True),
    "LIFRecurrent": _Class("lif", "lif.lif_step", True, True),
    "LIBoxCell": _Class("li_box", "leaky_integrator_box.li_box_feed_forward_step"),
    "LICell": _Class("li", "leaky_integrator.li_feed_forward_step"),
    "LI": _Class("li", "leaky_integrator.li_feed_forward_step", True),
    "LSNNCell": _Class("lsnn", "lsnn.lsnn_feed_forward_step"),
    "LSNN": _Class("lsnn", "lsnn.lsnn_feed_forward_step", True),
    "LSNNRecurrentCell": _Class("lsnn", "lsnn.lsnn_step", False, True),
    "LSNNRecurrent": _Class("lsnn", "lsnn.lsnn_step", True, True),
    "LIFAdExCell": _Class("adex", "lif_adex.lif_adex_feed_forward_step"),
    "LIFAdEx": _Class("adex", "lif_adex.lif_adex_feed_forward_step", True),
    "LIFAdExRecurrentCell": _Class("adex", "lif_adex.lif_adex_step", False, True),
    "LIFAdExRecurrent": _Class("adex", "lif_adex.lif_adex_step", True, True),
    "LIFExCell": _Class("ex", "lif_ex.lif_ex_feed_forward_step"),
    "LIFEx": _Class("ex", "lif_ex.lif_ex_feed_forward_step", True),
    "LIFExRecurrentCell": _Class("ex", "lif_ex.lif_ex_step", False, True),
    "LIFExRecurrent": _Class("ex", "lif_ex.lif_ex_step", True, True),
}
# These only call others, and are looked into.
CONTAINERS = ("SequentialState", "RecurrentSequential", "Lift")
# By the framework's name, the model's.
STATES = {"v": "v", "i": "u", "b": "b", "a": "a", OUT: "v"}


class Norse:
    """The neurons of Norse."""

    name = "norse"

    def owns(self, module: Any) -> bool:
        """Return whether Norse defines the module, and it is no container."""
        cls = module.__class__
        return cls.__module__.startswith("norse.") and cls.__name__ not in CONTAINERS

    @staticmethod
    def over_time(module: Any) -> bool:
        """Return whether a call of the module is a whole sequence."""
        known = CLASSES.get(type(module).__name__)
        own = type(module).__module__.startswith("norse.")
        return own and (type(module).__name__ == "Lift" or (known is not None and known.over_time))

    def nameless(self, module: Any) -> bool:
        """Return False: a neuron has a state, which must be found and begin anew."""
        return False

    def fresh(self, modules: Iterable[Any]) -> None:
        """Do nothing: states are handed from call to call."""

    def step(self, module: Any) -> float | None:
        """Return the step in seconds; an integrate-and-fire neuron uses none."""
        known = CLASSES.get(type(module).__name__)
        return None if known is None or known.equation == "iaf" else float(module.dt)

    def watch(self, module: Any, keep: Keep, hand_on: bool) -> None:
        """Tell ``keep`` of every step, at the function that makes it."""
        step, held = module.activation, None

        def activation(tensor: Any, state: Any, *rest: Any) -> Any:
            nonlocal held
            begins = held if hand_on and held is not None else state
            sent, held = step(tensor, begins, *rest)
            keep(sent, held._asdict())
            return sent, held

        module.activation = activation

    def run(self, recorder: Recorder, leaf: Leaf) -> Any:
        """Call a neuron and record its step, or all its steps.

        Raises:
            SpikecError: SPK1341 on a class or step that is not supported.
        """
        name, module = leaf.name, leaf.module
        known = CLASSES.get(type(module).__name__)
        if known is None or not _stock(module, known):
            raise SpikecError(
                "SPK1341",
                name,
                f"Norse's {type(module).__name__} is not supported"
                + ("" if known is None else " with a step function of its own"),
                f"Use {', '.join(CLASSES)}",
            )
        refuse_hooks(name, module)
        given = leaf.given(("input_tensor", "state"))
        tensor, state = given["input_tensor"], given.get("state")
        if state is None:
            state = module.state_fallback(tensor)
        taken: dict[str, Value | None] = {
            _port(known, field): recorder.value(value) for field, value in state._asdict().items()
        }
        result = leaf.result()
        source = recorder.value(tensor)
        if not known.over_time:
            sent, after = result
            call = Call(name, module, recorder.count(module), source, taken, tuple(sent.shape))
            recorder.calls.append(call)
            _keep(recorder, known, call, sent, after)
            return result
        return _keep_steps(recorder, known, (name, module, source, taken), result)

    def cell(self, call: Call) -> Cell:
        """Return what a neuron is, given its first call."""
        known = CLASSES[type(call.module).__name__]
        model = _EQUATIONS[known.equation](_Parameters(call))
        entry = feedback = None
        if known.recurrent:
            refuse_start(call, OUT, call.shape[1:])
            entry = Dense(Tensor.own(numbers(call.module.input_weights)))
            feedback = Dense(Tensor.own(numbers(call.module.recurrent_weights)))
        states = {port: state for port, state in STATES.items() if state in model.states}
        return Cell(model, states, entry, feedback)


def _stock(module: Any, known: _Class) -> bool:
    """Return whether a module calls the step function of its class."""
    file, _, function = known.step.partition(".")
    return module.activation is getattr(extra(f"norse.torch.functional.{file}"), function)


def _port(known: _Class, field: str) -> str:
    """Return the port of a field of a state; a leaky integrator sends its membrane."""
    sends_membrane = known.equation in ("li", "li_box")
    return OUT if field == ("v" if sends_membrane else "z") else field


def _keep(recorder: Recorder, known: _Class, call: Call, sent: Any, after: Any) -> None:
    for field, tensor in after._asdict().items():
        recorder.keep(tensor, Sent(call.shape, call, _port(known, field)))
    recorder.keep(sent, Sent(call.shape, call, OUT))


def _keep_steps(
    recorder: Recorder, known: _Class, what: tuple[str, Any, Value, dict[str, Value | None]],
    result: Any,
) -> Any:  # fmt: skip
    """Record every step of a call over time."""
    name, module, source, taken = what
    sent, after = result
    shape = tuple(sent.shape)
    calls: list[Call] = []
    for t in range(shape[0]):
        here = pick(source, 0, t)
        calls.append(Call(name, module, recorder.count(module), here, taken, shape[1:]))
        taken = dict[str, Value | None]((port, Sent(shape[1:], calls[-1], port)) for port in taken)
    recorder.calls.extend(calls)
    recorder.keep(sent, _stacked(calls, shape, OUT))
    for field, tensor in after._asdict().items():
        port = _port(known, field)
        whole = module.record_states
        value = _stacked(calls, shape, port) if whole else Sent(shape[1:], calls[-1], port)
        recorder.keep(tensor, value)
    return result


def _stacked(calls: Sequence[Call], shape: tuple[int, ...], port: str) -> Value:
    return Stacked(shape, tuple(Sent(shape[1:], call, port) for call in calls), 0)


# ---------------------------------------------------------------- equations


class _Parameters:
    """The parameters of a neuron, as one number or one per neuron."""

    def __init__(self, call: Call) -> None:
        self.call, self.p, self.dt = call, call.module.p, call.module.dt
        self.shape = call.shape[1:]

    def __getattr__(self, name: str) -> Array:
        return per_neuron(f"{self.call.name}.p.{name}", getattr(self.p, name), self.shape)

    def rate(self, name: str) -> Array:
        """Return dt times an inverse time constant."""
        where = f"{self.call.name}.p.{name}"
        return per_neuron(where, self.dt * getattr(self.p, name), self.shape)

    def start(self, state: str) -> Array:
        """Return a state before the first step."""
        return initial(self.call, state, self.shape)


def _iaf(p: _Parameters) -> Neuron:
    return IntegrateAndFire(
        threshold=p.v_th, reset="value", reset_value=p.v_reset, v_init=p.start("v")
    )


def _lif_box(p: _Parameters) -> Neuron:
    resets = extra("norse.torch.functional.reset")
    method = p.p.reset_method
    if method not in (resets.reset_value, resets.reset_subtract):
        raise SpikecError(
            "SPK1342",
            p.call.name,
            f"its reset_method {getattr(method, '__name__', method)} is not supported",
            "Use reset_value or reset_subtract",
        )
    return EulerLIF(
        rate=p.rate("tau_mem_inv"),
        leak=p.v_leak,
        threshold=p.v_th,
        reset="value" if method is resets.reset_value else "subtract",
        reset_value=p.v_reset,
        v_init=p.start("v"),
    )


def _lif(p: _Parameters) -> Neuron:
    return EulerCubaLIF(
        rate=p.rate("tau_mem_inv"),
        synapse_rate=p.rate("tau_syn_inv"),
        leak=p.v_leak,
        threshold=p.v_th,
        reset="value",
        reset_value=p.v_reset,
        v_init=p.start("v"),
        u_init=p.start("i"),
    )


def _li_box(p: _Parameters) -> Neuron:
    rate = p.rate("tau_mem_inv")
    return LeakyIntegrator(decay=1.0 - rate, gain=rate, offset=rate * p.v_leak, v_init=p.start(OUT))


def _li(p: _Parameters) -> Neuron:
    rate = p.rate("tau_mem_inv")
    return CubaLeakyIntegrator(
        synapse_decay=1.0 - p.rate("tau_syn_inv"),
        decay=1.0 - rate,
        gain=rate,
        offset=rate * p.v_leak,
        current_phase="jump",
        v_init=p.start(OUT),
        u_init=p.start("i"),
    )


def _lsnn(p: _Parameters) -> Neuron:
    return LSNN(
        rate=p.rate("tau_mem_inv"),
        synapse_rate=p.rate("tau_syn_inv"),
        adaptation_rate=p.rate("tau_adapt_inv"),
        leak=p.v_leak,
        threshold=p.v_th,
        reset_value=p.v_reset,
        beta=p.beta,
        v_init=p.start("v"),
        u_init=p.start("i"),
        b_init=p.start("b"),
    )


def _adex(p: _Parameters) -> Neuron:
    return _exponential(
        p,
        adaptation_rate=p.rate("tau_ada_inv"),
        coupling=p.adaptation_current,
        adaptation_gain=p.adaptation_spike,
        a_init=p.start("a"),
    )


def _exponential(p: _Parameters, **adaptation: Array) -> Neuron:
    return AdExLIF(
        rate=p.rate("tau_mem_inv"),
        synapse_rate=p.rate("tau_syn_inv"),
        sharpness=p.delta_T,
        steepness=np.asarray(1.0 / p.delta_T),
        leak=p.v_leak,
        threshold=p.v_th,
        reset_value=p.v_reset,
        v_init=p.start("v"),
        u_init=p.start("i"),
        **adaptation,
    )


_EQUATIONS: dict[str, Callable[[_Parameters], Neuron]] = {
    "iaf": _iaf,
    "lif_box": _lif_box,
    "lif": _lif,
    "li_box": _li_box,
    "li": _li,
    "lsnn": _lsnn,
    "adex": _adex,
    "ex": _exponential,
}
