"""The circuit of a crossbar: golden cases, closed forms, invariants, and reads line by line."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizes import evidence, examples, size
from spikec.backends.crossbar import Circuit, read
from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array

CASES = [
    "tiny_1x1_r5",
    "tiny_1x4_r5",
    "tiny_4x1_r5",
    "tiny_2x2_r5",
    "small_3x5_asym",
    "rand_64x64_r0",
    "rand_64x64_r1",
    "rand_64x64_r10",
    "rand_64x64_wl5_bl0",
    "bimodal_64x64_r2",
    "bipolar_64x64_r5",
    "rand_128x128_r1",
]


def drawn(rows: int, columns: int, seed: int) -> tuple[Array, Array]:
    """Return conductances of 2 to 50 uS, a tenth of them open, and inputs of -0.2 to 0.2 V."""
    random = np.random.default_rng(seed)
    g = random.uniform(2e-6, 50e-6, (rows, columns)) * (random.random((rows, columns)) > 0.1)
    return g, random.uniform(-0.2, 0.2, (3, rows))


def close(found: Array, wanted: Array, tolerance: float = 1e-9) -> float:
    """Assert equality to a part of full scale, and return the largest difference in such parts."""
    scale = max(float(np.abs(wanted).max()), 1e-300)
    worst = float(np.abs(found - wanted).max()) / scale
    assert worst <= tolerance
    return worst


@pytest.mark.parametrize("name", CASES)
def test_golden_cases(name: str, data: Path) -> None:
    """Currents and every voltage of badcrossbar, to 1e-9 of full scale; reads to 1e-6."""
    with np.load(data / "crossbar_golden" / f"{name}.npz") as case:
        g, v = case["conductance_S"], case["voltage_V"]
        word_ohm, bit_ohm = float(case["r_wordline_ohm"]), float(case["r_bitline_ohm"])
        circuit = Circuit(g, word_ohm, bit_ohm)
        found = circuit.solve(v)
        worst = close(found.output, case["current_out_A"])
        close(v @ circuit.effective(), case["current_out_A"])
        if "current_in_A" in case.files:
            close(found.driver, case["current_in_A"])
            close(found.word, case["v_wordline_node_V"])
            close(found.bit, case["v_bitline_node_V"])
            close(found.device, case["current_device_A"])
        figures = {"exact": worst}
        if word_ohm and bit_ohm:
            made = read(g, v, word_ohm, bit_ohm)
            figures["reads"] = close(made.output, case["current_out_A"], 1e-6)
            figures["iterations"] = int(made.iterations.max())
    evidence(f"crossbar_{name}", **figures)


def test_closed_forms(data: Path) -> None:
    """One cell, and a ladder, whose currents the file gives to nine digits."""
    text = (data / "crossbar_golden" / "closed_forms.json").read_text()
    forms = [f for f in json.loads(text)["closed_forms"] if "I_A" in f]
    assert {f["id"] for f in forms} >= {"1x1", "1xn"}
    for form in forms:
        circuit = Circuit(np.array(form["G_S"]), form["r_wl"], form["r_bl"])
        found = circuit.solve(np.array(form["V"])).output[0]
        np.testing.assert_allclose(found, form["I_A"], rtol=2e-9)


def ladder(g: Array, volt: float, word_ohm: float, bit_ohm: float) -> Array:
    """Return the currents of one word line, by the formula of a ladder."""
    y = 1 / (1 / g + bit_ohm)
    into = y.copy()
    for j in range(len(g) - 2, -1, -1):
        into[j] = y[j] + 1 / (word_ohm + 1 / into[j + 1])
    found, v = np.empty(len(g)), volt
    for j in range(len(g)):
        v = v / (1 + word_ohm * into[j])
        found[j] = v * y[j]
    return found


ARRAYS = {
    "rows": st.integers(1, 12),
    "columns": st.integers(1, 12),
    "seed": st.integers(0, 1 << 30),
    "word_ohm": st.sampled_from([0.5, 5.0, 300.0]),
    "bit_ohm": st.sampled_from([0.3, 7.0, 1000.0]),
}


@given(**ARRAYS)
@examples(40, 500)
def test_invariants(rows: int, columns: int, seed: int, word_ohm: float, bit_ohm: float) -> None:
    """Superposition, reciprocity, passivity, scaling, the balance of power, and reads."""
    g, v = drawn(rows, columns, seed)
    circuit = Circuit(g, word_ohm, bit_ohm)
    found, effective = circuit.solve(v), circuit.effective()
    close(found.output, v @ effective, 1e-11)
    assert (effective >= -1e-18).all()
    # Of a row: a cell alone may pass more than its own, by ways through other rows.
    assert (effective.sum(axis=1) <= g.sum(axis=1) * (1 + 1e-9)).all()
    turned = Circuit(g.T[::-1, ::-1], bit_ohm, word_ohm).effective()
    close(turned.T[::-1, ::-1], effective, 1e-11)
    close(Circuit(g / 3, 3 * word_ohm, 3 * bit_ohm).effective() * 3, effective, 1e-11)
    along = np.diff(found.word, axis=2, prepend=v[:, :, None]) ** 2 / word_ohm
    ground = np.zeros((len(v), 1, columns))
    down = np.diff(found.bit, axis=1, append=ground) ** 2 / bit_ohm
    lost = ((found.word - found.bit) ** 2 * g).sum((1, 2)) + (along.sum((1, 2)) + down.sum((1, 2)))
    close(found.power, lost, 1e-9)
    close(read(g, v, word_ohm, bit_ohm).output, found.output, 1e-7)


@given(columns=st.integers(1, 20), seed=st.integers(0, 1 << 30))
@examples(30, 300)
def test_one_line_is_a_ladder(columns: int, seed: int) -> None:
    """And without resistance of the bit lines every row is one; without any, an array is G."""
    random = np.random.default_rng(seed)
    g = random.uniform(2e-6, 50e-6, (4, columns))
    v = random.uniform(0, 0.2, 4)
    close(Circuit(g[:1], 5, 3).solve(v[:1]).output[0], ladder(g[0], v[0], 5, 3), 1e-11)
    rows = [ladder(g[i], v[i], 5, 0) for i in range(4)]
    close(Circuit(g, 5, 0).solve(v).output[0], np.sum(rows, axis=0), 1e-11)
    turned = Circuit(g.T[::-1, ::-1], 0, 5).effective().T[::-1, ::-1]
    close(turned, Circuit(g, 5, 0).effective(), 1e-11)
    ideal = Circuit(g, 0, 0)
    np.testing.assert_array_equal(ideal.effective(), g)
    close(ideal.solve(v).output[0], v @ g, 1e-14)


def test_reads_of_changing_arrays() -> None:
    """Gated rows are open, noise is added: as a circuit made for each read."""
    rows = size(24, 96)
    g, _ = drawn(rows, rows, 1)
    random = np.random.default_rng(2)
    v = random.uniform(0, 0.2, (4, rows))
    gate = random.random((4, rows)) < 0.4
    noise = random.normal(0, 0.02, (4, rows, rows)) * g
    made = read(g, v, 2, 3, gate, noise)
    for k in range(4):
        now = np.maximum(g + noise[k], 0) * gate[k][:, None]
        close(made.output[k], Circuit(now, 2, 3).solve(v[k]).output[0], 1e-8)
    assert not np.allclose(made.output, read(g, v, 2, 3).output, rtol=1e-2)
    assert read(g, np.zeros((1, rows)), 2, 3).iterations[0] == 0


@pytest.mark.parametrize(
    ("conductance", "word_ohm", "voltage", "told"),
    [
        (np.ones(3), 1, [0], "conductance: its shape is (3,). Give rows and columns. [SPK2100]"),
        ([[1, -1e-6]], 1, [0], "conductance[0, 1]: -1e-06 S is no conductance"),
        ([[np.inf]], 1, [0], "conductance[0, 0]: inf S is no conductance"),
        ([[np.nan]], 1, [0], "conductance[0, 0]: nan S is no conductance"),
        ([[1e-6]], -1, [0], "word_ohm: -1 ohm is no resistance"),
        ([[1e-6]], 1, [0, 1], "voltage: (1, 2) numbers, all finite: True"),
        ([[1e-6]], 1, [np.nan], "voltage: (1, 1) numbers, all finite: False"),
        ([[1e-6]], 0, [0.1], "wires: one has no resistance"),
    ],
)
def test_mistakes(conductance: Array, word_ohm: float, voltage: Array, told: str) -> None:
    """Each is one line."""
    with pytest.raises(SpikecError) as caught:
        read(conductance, voltage, word_ohm, 1)
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


def test_a_read_that_does_not_converge_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a silent result."""
    monkeypatch.setattr("spikec.backends.crossbar.lines.MOST", 1)
    g, v = drawn(20, 20, 3)
    with pytest.raises(SpikecError, match="after 1 iterations") as caught:
        read(g, v, 50, 50)
    assert caught.value.code == "SPK2105"
