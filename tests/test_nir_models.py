"""I, CubaLI and Threshold through a NIR file, against oracles that share nothing with spikec."""

from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import more_oracles
import spikec
from nir_files import Spec, chain, node, write
from spikec.compiler.types import Array

DT = 1e-3
STEPS, SIZE = 40, 3
TAU_SYN, TAU_MEM = np.array([0.004, 0.01, 0.003]), np.array([0.02, 0.005, 0.0123])
R, W_IN, V_LEAK = np.array([1.0, -2.0, 7.5]), np.array([0.5, 1.0, 3.0]), np.array([0.0, 0.3, -1.0])
# By semantics: whether decays are exponential, whether r counts, what scales the synaptic input.
RULES = {
    "nir": (True, True, "held", "new"),
    "norse": (False, True, "unit", "jump"),
    "sinabs": (True, False, "decay", "new"),
    "snntorch": (False, True, "held", "new"),
    "spyx": (False, True, "held", "new"),
    "nir{current_phase=old}": (True, True, "held", "old"),
}


def drive() -> Array:
    return np.random.default_rng(3).normal(size=(1, STEPS, SIZE))


def run(folder: Path, spec: Spec, semantics: str, backend: str, dt: float | None = DT) -> Array:
    """Return what a node sends, (steps, neurons), through a file, discretize and a backend."""
    path = write(folder / "net.nir", chain([SIZE], [SIZE], n=spec))
    program = spikec.compile(spikec.load(path, dt, semantics), pipeline="discretize")
    return np.asarray(spikec.simulate(program, drive(), backend=backend).output[0])


def decays(tau: Array, exponential: bool) -> list[float]:
    return [exp(-DT / t) if exponential else 1 - DT / t for t in tau.tolist()]


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("semantics", RULES)
def test_cuba_li(tmp_path: Path, semantics: str, backend: str) -> None:
    """tau_syn I' = -I + w_in S; tau_mem v' = (v_leak - v) + R I; v is sent."""
    exponential, held, synapse, phase = RULES[semantics]
    a, b = (np.array(decays(tau, exponential)) for tau in (TAU_SYN, TAU_MEM))
    values = {
        "synapse_decay": a,
        "synapse_gain": {"held": W_IN * (1 - a), "unit": W_IN, "decay": W_IN * a}[synapse],
        "decay": b,
        "gain": R * (1 - b) if held else np.ones(SIZE),
        "offset": V_LEAK * (1 - b),
        "u_init": 0.0,
        "v_init": 0.0,
    }
    wanted = more_oracles.cuba_leaky_integrator(drive()[0].tolist(), values, {}, phase).output
    spec = node("CubaLI", tau_syn=TAU_SYN, tau_mem=TAU_MEM, r=R, v_leak=V_LEAK, w_in=W_IN)
    found = run(tmp_path, spec, semantics, backend)
    assert np.allclose(found, wanted, rtol=1e-12, atol=1e-14)
    assert np.abs(found).max() > 0.1


def test_cuba_li_against_the_differential_equation(tmp_path: Path) -> None:
    """For an input that is held, fine Euler steps of the equation end in the same values."""
    spec = node("CubaLI", tau_syn=TAU_SYN, tau_mem=TAU_MEM, r=R, v_leak=V_LEAK, w_in=W_IN)
    path = write(tmp_path / "net.nir", chain([SIZE], [SIZE], n=spec))
    program = spikec.compile(spikec.load(path, 1e-5), pipeline="discretize")
    found = spikec.simulate(program, np.ones((1, 2000, SIZE))).output[0, -1]
    current, v, fine = np.zeros(SIZE), np.zeros(SIZE), 1e-6
    for _ in range(20_000):
        v = v + fine / TAU_MEM * (V_LEAK - v + R * current)
        current = current + fine / TAU_SYN * (W_IN - current)
    assert np.allclose(found, v, rtol=2e-3)


def test_cuba_li_without_w_in(tmp_path: Path) -> None:
    """A missing w_in reads as 1."""
    spec = node("CubaLI", tau_syn=TAU_SYN, tau_mem=TAU_MEM, r=R, v_leak=V_LEAK)
    ones = run(tmp_path, {**spec, "w_in": np.ones(SIZE)}, "nir", "cpu")
    assert np.array_equal(run(tmp_path, spec, "nir", "cpu"), ones)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("semantics", ["nir", "snntorch", "sinabs"])
def test_integrator(tmp_path: Path, semantics: str, backend: str) -> None:
    """v' = R x: the input is held over the step, or (sinabs) R is ignored."""
    gain = np.ones(SIZE) if semantics == "sinabs" else R * DT
    values = {"gain": gain, "v_init": 0.0}
    wanted = more_oracles.integrator(drive()[0].tolist(), values, {}).output
    found = run(tmp_path, node("I", r=R), semantics, backend)
    assert np.allclose(found, wanted, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize(("semantics", "compare"), [("nir", "gt"), ("sinabs", "ge")])
def test_threshold(tmp_path: Path, semantics: str, compare: str, backend: str) -> None:
    """z = [x > threshold], or >= where the convention says so; equality occurs."""
    data = drive()
    limits = np.array([0.0, data[0, 5, 1], -0.5])
    wanted = more_oracles.threshold(data[0].tolist(), {"threshold": limits}, {}, compare).output
    found = run(tmp_path, node("Threshold", threshold=limits), semantics, backend)
    assert np.array_equal(found, np.array(wanted))
    assert found[5, 1] == (compare == "ge")


def test_threshold_needs_no_step(tmp_path: Path) -> None:
    """There is no time in it; a network of thresholds alone has no step."""
    spec = node("Threshold", threshold=np.zeros(SIZE))
    path = write(tmp_path / "net.nir", chain([SIZE], [SIZE], n=spec))
    assert spikec.load(path).dt is None
    assert run(tmp_path, spec, "nir", "cpu", None).any()


@pytest.mark.parametrize("kind", ["I", "CubaLI", "Threshold"])
def test_missing_parameter(tmp_path: Path, kind: str) -> None:
    """A missing field is an error that names node and field."""
    path = write(tmp_path / "net.nir", chain([SIZE], [SIZE], n=node(kind)))
    first = {"I": "r", "CubaLI": "tau_syn", "Threshold": "threshold"}[kind]
    with pytest.raises(spikec.SpikecError, match=rf"^n\.{first}: is missing\. .*\[SPK1003\]$"):
        spikec.load(path, DT)


def test_a_negative_time_constant(tmp_path: Path) -> None:
    """It is refused with the population when it is discretised."""
    changed: dict[str, Any] = {"tau_syn": TAU_SYN, "tau_mem": -TAU_MEM, "r": R, "v_leak": V_LEAK}
    with pytest.raises(spikec.SpikecError, match=r"^discretize: n: tau_mem: .*\[SPK0404\]$"):
        run(tmp_path, node("CubaLI", **changed), "nir", "cpu")
