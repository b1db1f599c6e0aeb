"""From per-step models back to the continuous ones of NIR: the inverse of ``discretize``.

tau = dt / (1 - decay) or -dt / ln(decay), r = gain / (1 - decay), v_leak = offset / (1 - decay). In
floating point none of these is exact by itself, but several numbers next to each other often lead
to the same decay: the one is taken that ``discretize`` turns into the number we started from.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from spikec.compiler.equation import Dynamics, Neuron
from spikec.compiler.frontends.nir_convention import leaks, note_bound
from spikec.compiler.frontends.nir_losses import Losses, not_in_nir
from spikec.compiler.ir import Population
from spikec.compiler.neurons.cuba_leaky_integrator import (
    ContinuousCubaLeakyIntegrator,
    CubaLeakyIntegrator,
)
from spikec.compiler.neurons.cuba_lif import ContinuousCubaLIF, CubaLIF
from spikec.compiler.neurons.firing import Firing
from spikec.compiler.neurons.integrate_and_fire import ContinuousIntegrateAndFire, IntegrateAndFire
from spikec.compiler.neurons.integrator import ContinuousIntegrator, Integrator
from spikec.compiler.neurons.leaky_integrator import ContinuousLeakyIntegrator, LeakyIntegrator
from spikec.compiler.neurons.lif import LIF, ContinuousLIF
from spikec.compiler.semantics import Semantics
from spikec.compiler.types import Array

# So far around the first guess is looked for an exact inverse, in units in the last place.
REACH = 4
# A decay of 0 is a time constant so small that the exponential vanishes.
VANISHES = 1024.0
INVERTIBLE = (IntegrateAndFire, LIF, CubaLIF, Integrator, LeakyIntegrator, CubaLeakyIntegrator)


def continuous(
    population: Population, model: Neuron, semantics: Semantics, dt: float, losses: Losses
) -> Dynamics:
    """Return the model that ``semantics`` turns into ``model``, one of ``INVERTIBLE``.

    Raises:
        SpikecError: SPK1049 on a decay that no time constant gives, or an offset without a leak.
    """
    if isinstance(model, Firing):
        note_bound(population, model, semantics, losses)
    inverse = _Inverse(population, semantics, dt)
    values = inverse.values()
    if inverse.off:
        names = ", ".join(f"{name} by {n:.3g}" for name, n in inverse.off.items())
        losses.add("rounding", population.name, f"units in the last place after reading: {names}")
    return _kind(model)(semantics=semantics, **values)


def _kind(model: Neuron) -> Callable[..., Dynamics]:
    if isinstance(model, CubaLIF):
        return ContinuousCubaLIF
    if isinstance(model, CubaLeakyIntegrator):
        return ContinuousCubaLeakyIntegrator
    if isinstance(model, Firing):
        return ContinuousLIF if leaks(model) else ContinuousIntegrateAndFire
    return ContinuousLeakyIntegrator if leaks(model) else ContinuousIntegrator


class _Inverse:
    """The continuous parameters of one population, and how far they are off."""

    def __init__(self, population: Population, semantics: Semantics, dt: float) -> None:
        self.population, self.semantics, self.dt = population, semantics, dt
        self.model = population.model()
        broadcast = self.model.broadcast(population.size)
        self.old = {name: np.ascontiguousarray(value) for name, value in broadcast.items()}
        self.off: dict[str, float] = {}

    def values(self) -> dict[str, Array]:
        """Return the fields of the continuous model, one number per neuron."""
        found = self._membrane()
        if isinstance(self.model, CubaLIF | CubaLeakyIntegrator):
            found |= self._current()
        if isinstance(self.model, Firing):
            zero = self.model.reset == "zero"
            found["v_threshold"] = self.old["threshold"]
            found["v_reset"] = np.zeros(self.population.size) if zero else self.old["reset_value"]
        return found | {n: self.old[n] for n in ("v_init", "u_init") if n in self.old}

    def _membrane(self) -> dict[str, Array]:
        gain, has_current = self.old["gain"], isinstance(self.model, CubaLIF | CubaLeakyIntegrator)
        if not leaks(self.model) and not has_current:
            self._refuse_offset()
            return {"r": self._gain(gain / self.dt, lambda r: r * self.dt)}
        name = "tau_mem" if has_current else "tau"
        tau, leak = self._tau("decay")
        offset = self._solve(
            "offset", self.old["offset"] / leak, lambda v: v * leak, self.old["offset"]
        )
        return {name: tau, "r": self._gain(gain / leak, lambda r: r * leak), "v_leak": offset}

    def _current(self) -> dict[str, Array]:
        tau, leak = self._tau("synapse_decay")
        gain = self.old["synapse_gain"]
        w_in = self._solve("synapse_gain", gain / leak, lambda w: w * leak, gain)
        return {"tau_syn": tau, "w_in": w_in}

    def _gain(self, guess: Array, forward: Callable[[Array], Array]) -> Array:
        if self.semantics.input_gain == "unit":
            return guess
        return self._solve("gain", guess, forward, self.old["gain"])

    def _tau(self, name: str) -> tuple[Array, Array]:
        """Return the time constants of decays, and one minus what they decay by."""
        decay, euler = self.old[name], self.semantics.discretisation == "euler"
        wrong = ~((decay < 1.0) & (euler | (decay >= 0.0)))
        if wrong.any():
            raise not_in_nir(
                f"{self.population.name}.{name}",
                f"{decay[wrong][0]:g} is not the decay of any time constant",
                "NIR takes decays from 0 to below 1, or 1 in a whole LIF or leaky integrator "
                "without offset",
            )
        with np.errstate(divide="ignore"):
            guess = self.dt / (1.0 - decay) if euler else -self.dt / np.log(decay)
        guess = np.where((decay == 0.0) & (not euler), self.dt / VANISHES, guess)
        forward = self._decay
        tau = self._solve(name, guess, forward, decay)
        return tau, 1.0 - forward(tau)

    def _decay(self, tau: Array) -> Array:
        # A guess beside a decay of 0 may be below it.
        return replace(self.semantics, stability="allow").decay("tau", tau, self.dt)

    def _solve(
        self, name: str, guess: Array, forward: Callable[[Array], Array], wanted: Array
    ) -> Array:
        """Return the numbers near ``guess`` that ``forward`` brings nearest to ``wanted``."""
        best, error = guess, np.abs(forward(guess) - wanted)
        for k in range(1, REACH + 1):
            for near in (guess - k * np.spacing(guess), guess + k * np.spacing(guess)):
                other = np.abs(forward(near) - wanted)
                best, error = np.where(other < error, near, best), np.minimum(other, error)
        most = float(np.max(error / np.spacing(np.abs(wanted))))
        if most:
            self.off[name] = most
        return best

    def _refuse_offset(self) -> None:
        offset: Any = self.old.get("offset")
        if offset is not None and offset.any():
            raise not_in_nir(
                f"{self.population.name}.offset",
                "a membrane that does not leak has a constant drive, which NIR cannot hold",
                "Use a bias of what feeds it",
            )
