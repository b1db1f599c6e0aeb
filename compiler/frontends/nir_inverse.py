"""From per-step models back to the continuous ones of NIR: the inverse of ``discretize``.

tau = dt / (1 - decay) or -dt / ln(decay), r = gain / (1 - decay), v_leak = offset / (1 - decay). In
floating point none of these is exact by itself, but several numbers next to each other often lead
to the same decay: the one is taken that ``discretize`` turns into the number we started from.

Where a convention fixes the input gain, a spiking membrane is written in another unit: v,
threshold, reset and offset times one factor spike in the same steps.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from spikec.compiler.equation import Dynamics, Neuron
from spikec.compiler.frontends.nir_convention import leaks, note_bound
from spikec.compiler.frontends.nir_importers import Importer
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
# dt / tau of it is half a unit in the last place of 1, in float64.
ENDLESS = 2.0**53
INVERTIBLE = (IntegrateAndFire, LIF, CubaLIF, Integrator, LeakyIntegrator, CubaLeakyIntegrator)


def continuous(
    population: Population,
    model: Neuron,
    semantics: Semantics,
    dt: float,
    losses: Losses,
    importer: Importer | None = None,
) -> Dynamics:
    """Return the model that ``semantics`` turns into ``model``, one of ``INVERTIBLE``.

    Raises:
        SpikecError: SPK1049 on a decay that no time constant gives, an offset without a leak, or a
            gain that the convention cannot hold.
    """
    if isinstance(model, Firing):
        note_bound(population, model, semantics, losses)
    inverse = _Inverse(population, semantics, dt, importer)
    values = inverse.values()
    if inverse.off:
        names = ", ".join(f"{name} by {n:.3g}" for name, n in inverse.off.items())
        losses.add("rounding", population.name, f"units in the last place after reading: {names}")
    return _kind(model, "tau" in values)(semantics=semantics, **values)


def _kind(model: Neuron, leaky: bool) -> Callable[..., Dynamics]:
    if isinstance(model, CubaLIF):
        return ContinuousCubaLIF
    if isinstance(model, CubaLeakyIntegrator):
        return ContinuousCubaLeakyIntegrator
    if isinstance(model, Firing):
        return ContinuousLIF if leaky else ContinuousIntegrateAndFire
    return ContinuousLeakyIntegrator if leaky else ContinuousIntegrator


class _Inverse:
    """The continuous parameters of one population, and how far they are off."""

    def __init__(
        self, population: Population, semantics: Semantics, dt: float, importer: Importer | None
    ) -> None:
        self.population, self.semantics, self.dt = population, semantics, dt
        self.importer = importer
        self.model = population.model()
        broadcast = self.model.broadcast(population.size)
        self.old = {name: np.ascontiguousarray(value) for name, value in broadcast.items()}
        self.off: dict[str, float] = {}

    def values(self) -> dict[str, Array]:
        """Return the fields of the continuous model, one number per neuron."""
        found, unit = self._membrane()
        if isinstance(self.model, CubaLIF | CubaLeakyIntegrator):
            found |= self._current()
        if isinstance(self.model, Firing):
            zero = self.model.reset == "zero"
            found["v_threshold"] = self.old["threshold"] * unit
            reset = np.zeros(self.population.size) if zero else self.old["reset_value"]
            found["v_reset"] = reset * unit
        if "u_init" in self.old:
            found["u_init"] = self.old["u_init"]
        return found | {"v_init": self.old["v_init"] * unit}

    def _membrane(self) -> tuple[dict[str, Array], Array]:
        """Return time constant, r and leak, and the factor by which the membrane is written."""
        gain, has_current = self.old["gain"], isinstance(self.model, CubaLIF | CubaLeakyIntegrator)
        if not leaks(self.model) and not has_current:
            self._refuse_offset()
            unit = self._unit(np.ones(self.population.size))
            if isinstance(self.model, Firing) and self.importer and not self.importer.reads_if:
                return self._endless(), unit
            return {
                "r": self._gain(gain * unit / self.dt, gain * unit, lambda r: r * self.dt)
            }, unit
        tau, leak = self._tau("decay")
        unit = self._unit(leak)
        wanted = self.old["offset"] * unit
        offset = self._solve("offset", wanted / leak, lambda v: v * leak, wanted)
        r = self._resistance(tau, gain * unit, leak)
        return {"tau_mem" if has_current else "tau": tau, "r": r, "v_leak": offset}, unit

    def _unit(self, leak: Array) -> Array:
        """Return by what v is multiplied for the input gain that the convention or importer has.

        Raises:
            SpikecError: SPK1049 on a gain that is not positive.
        """
        one = np.ones(self.population.size)
        if not isinstance(self.model, Firing):
            return one
        gain = self.old["gain"]
        if self.semantics.input_gain != "held":
            wanted = one
        elif self.importer and self.importer.fixed_r and not isinstance(self.model, CubaLIF):
            wanted = leak
        else:
            return one
        if not bool(np.all(gain > 0)):
            raise not_in_nir(
                f"{self.population.name}.gain",
                f"{self.semantics.name} fixes the input gain, and {gain.min():g} cannot be moved "
                "to the threshold",
                "Move the gain into the weights",
            )
        return np.asarray(wanted / gain)

    def _endless(self) -> dict[str, Array]:
        """Return a LIF whose decay is one in float32, of gain one."""
        one = np.ones(self.population.size)
        return {"tau": self.dt * ENDLESS * one, "r": ENDLESS * one, "v_leak": 0.0 * one}

    def _resistance(self, tau: Array, gain: Array, leak: Array) -> Array:
        """Return r; where it is ignored it is what the step is derived from, if it is."""
        rule = self.semantics.step_rule
        if self.semantics.input_gain == "unit" and rule != "given":
            steps = tau / self.dt
            return {"tau/r": steps, "tau/(1+r)": steps - 1.0, "tau*(1+r)": 1.0 / steps - 1.0}[rule]
        return self._gain(gain / leak, gain, lambda r: r * leak)

    def _current(self) -> dict[str, Array]:
        """Return the time constant and the weight of the input.

        Raises:
            SpikecError: SPK1049 where the synaptic gain is the decay and that is 0.
        """
        tau, leak = self._tau("synapse_decay")
        gain = self.old["synapse_gain"]
        factors = {"held": leak, "unit": np.ones_like(leak), "decay": 1.0 - leak}
        factor = factors[self.semantics.synapse_gain]
        if not bool(np.all(factor > 0)):
            raise not_in_nir(
                f"{self.population.name}.synapse_decay",
                f"{self.semantics.name} multiplies the input by it, and it is 0",
                "Use a LIF",
            )
        w_in = self._solve("synapse_gain", gain / factor, lambda w: w * factor, gain)
        return {"tau_syn": tau, "w_in": w_in}

    def _gain(self, guess: Array, wanted: Array, forward: Callable[[Array], Array]) -> Array:
        if self.semantics.input_gain == "unit":
            return guess
        return self._solve("gain", guess, forward, wanted)

    def _tau(self, name: str) -> tuple[Array, Array]:
        """Return the time constants of decays, and one minus what they decay by."""
        decay, euler = self.old[name], self.semantics.discretisation == "euler"
        below = euler and self.semantics.stability == "allow"
        wrong = ~((decay < 1.0) & (below | (decay >= 0.0)))
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
