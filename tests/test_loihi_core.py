"""The core model of Loihi: arithmetic, every corner switch, and equality with both engines."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import small
import spikec
from loihi_networks import loihi_graphs
from networks import spikes_for
from sizes import evidence, examples
from spikec.backends.loihi.arithmetic import (
    EXPONENTS,
    RANGES,
    WEIGHT_BITS,
    Mode,
    bias_parts,
    bias_value,
    decay,
    effective,
    least_bits,
    truncate,
    wrap,
    wrap_current,
)
from spikec.backends.loihi.core import CoreModel
from spikec.backends.loihi.corners import BRIAN, DEFAULT, LAVA, NENGO, Corners
from spikec.backends.loihi.image import Compartments, CoreImage, Synapses, core_image
from spikec.compiler.compare import compare
from spikec.compiler.simulator import find_backend
from spikec.compiler.types import Array

PIPELINE = "discretize,fuse,quantize_loihi,retime"
TOP = 1 << 23


def one(weights: Any = (), exponent: int = 0, **changed: Any) -> CoreImage:
    """Return an input for each weight, onto one compartment."""
    values: dict[str, Any] = {"du": 4095, "dv": 0, "threshold": 131071, "bias_mantissa": 0}
    values |= {"bias_exponent": 0, "u": 0, "v": 0, "refractory": 1} | changed
    kept = {"vmin", "vmax", "compare", "reset"}
    arrays: Any = {k: v if k in kept else np.array([v], dtype=np.int64) for k, v in values.items()}
    body = Compartments("n", 0, ("u", "v"), **arrays)
    weight = np.array(weights, dtype=np.int64)
    count = weight.size
    synapses = Synapses(
        source="x", target="n", columns=max(count, 1), indptr=np.array([0, count]),
        indices=np.arange(count), weight=weight, exponent=exponent, mode="mixed", bits=8,
        delay=np.ones(count, dtype=np.int64), storage="dense",
    )  # fmt: skip
    return CoreImage("one", 1, {"x": max(count, 1)}, {"n": body}, (synapses,), {"y": "n"})


def run(image: CoreImage, steps: int, corners: Corners = DEFAULT, once: bool = True) -> Any:
    """Return u, v and spikes by step; all inputs spike in step 0, or in every step."""
    model = CoreModel(image, corners)
    going, size = model.start(1), image.inputs["x"]
    rows: list[tuple[int, int, bool]] = []
    for step in range(steps):
        sent, _ = going.advance({"x": np.full((1, size), step == 0 or not once)})
        held = model.somas["n"].recorded(going.states["n"])
        rows.append((int(held["u"][0, 0]), int(held["v"][0, 0]), bool(sent["n"][0, 0])))
    return rows


# ---------------------------------------------------------------- corners


@pytest.mark.parametrize(
    ("value", "twos", "lava"),
    [
        (TOP, -TOP, TOP),
        (-TOP, -TOP, TOP),
        (TOP + 1, 1 - TOP, 1 - TOP),
        (-TOP - 1, TOP - 1, TOP - 1),
        (TOP - 1, TOP - 1, TOP - 1),
        (0, 0, 0),
    ],
)
def test_corner_1_wrap_of_the_current(value: int, twos: int, lava: int) -> None:
    x = np.array([value])
    assert wrap_current(x, DEFAULT)[0] == twos
    assert wrap_current(x, NENGO)[0] == twos
    assert wrap_current(x, LAVA)[0] == lava
    assert wrap_current(x, BRIAN)[0] == value


def test_corner_2_synaptic_sum() -> None:
    """Two weights of 254 2^13 sum to more than 2^21."""
    image = one([254] * 2, exponent=7)  # 254 * 2^13 = 2080768 each
    total = 2 * (254 << 13)
    assert run(image, 2)[1][0] == wrap(np.array([total]), 1 << 21)[0] == total - (1 << 22)
    assert run(image, 2, LAVA)[1][0] == total
    clipped = one([-256] * 2, exponent=7)
    brian = replace(BRIAN, recorded_current="updated")
    assert run(clipped, 2, brian)[1][0] == -2 * ((1 << 21) - 64)
    assert run(clipped, 2, LAVA)[1][0] == -(1 << 22)


def test_corner_3_refractory() -> None:
    """Blocked steps: zero, frozen, or none; a period of 1 blocks nothing."""
    image = one(bias_mantissa=100, threshold=1, dv=0)  # spikes when v > 64
    assert [s for *_, s in run(image, 4)] == [True] * 4
    blocked = replace(image.compartments["n"], refractory=np.array([3]))
    image = replace(image, compartments={"n": blocked})
    assert [s for *_, s in run(image, 6)] == [True, False, False, True, False, False]
    assert [s for *_, s in run(image, 4, LAVA)] == [True] * 4
    start = replace(blocked, v=np.array([-200]), bias_mantissa=np.array([300]))
    frozen = replace(image, compartments={"n": start})
    brian = replace(BRIAN, bias="lava", recorded_current="updated")
    for corners in (DEFAULT, brian):
        assert [v for _, v, _ in run(frozen, 4, corners)] == [0, 0, 0, 0]
    # With a reset that leaves something, what is frozen shows.
    soft = replace(frozen, compartments={"n": replace(start, reset="subtract")})
    assert [v for _, v, _ in run(soft, 3, brian)] == [36, 36, 36]
    assert [v for _, v, _ in run(soft, 3)] == [36, 0, 0]


def test_corner_4_recorded_current() -> None:
    """B records after one more decay; membrane and spikes are the same."""
    image = one([64], exponent=0, du=2047)
    plain, late = run(image, 5), run(image, 5, replace(DEFAULT, recorded_current="decayed"))
    assert [u for u, *_ in plain] == [0, 4096, 2048, 1024, 512]
    assert [u for u, *_ in late] == [0, 2048, 1024, 512, 256]
    assert [v for _, v, _ in plain] == [v for _, v, _ in late]


@pytest.mark.parametrize(
    ("weight", "lava", "nengo", "brian"),
    [
        (-7, -8, -8, -6),
        (-5, -6, -4, -4),
        (-3, -4, -4, -2),
        (3, 2, 4, 2),
        (7, 6, 8, 6),
        (-256, -256, -254, -256),
    ],
)
def test_corner_5_truncation(weight: int, lava: int, nengo: int, brian: int) -> None:
    for corners, kept in ((LAVA, lava), (NENGO, nengo), (BRIAN, brian), (DEFAULT, lava)):
        assert truncate(np.array([weight]), 8, "mixed", corners)[0] == kept


def test_corner_5_inhibitory_weights_are_truncated_to_zero() -> None:
    weights = np.array([-7, -5, -255])
    assert truncate(weights, 6, "inhibitory", LAVA).tolist() == [-4, -4, -252]
    assert truncate(weights, 6, "inhibitory", BRIAN).tolist() == [-4, -4, -252]


def test_corner_6_255_in_mixed_mode() -> None:
    weight = np.array([255])
    assert truncate(weight, 8, "mixed", LAVA)[0] == 254
    assert truncate(weight, 8, "mixed", NENGO)[0] == 254
    with pytest.raises(spikec.SpikecError) as error:
        truncate(weight, 8, "mixed", BRIAN)
    assert str(error.value) == (
        "weight: 255 is outside -256 to 254, the range of mixed weights. Quantize again, or choose "
        "another sign mode. [SPK1601]"
    )


@pytest.mark.parametrize(
    ("corners", "total"), [(LAVA, 192), (NENGO, 256), (BRIAN, 128), (DEFAULT, 192)]
)
def test_corner_7_negative_exponents(corners: Corners, total: int) -> None:
    """Two mixed weights of 6 at exponent -2."""
    seen = replace(corners, recorded_current="updated")
    assert run(one([6, 6], exponent=-2), 2, seen)[1][0] == total


def test_corner_7_all_agree_on_multiples() -> None:
    """Weights whose low bits are zero, as the quantiser makes them, mean the same everywhere."""
    for exponent in range(-7, 0):
        weights = [-(1 << -exponent), 1 << -exponent, (200 >> -exponent) << -exponent]
        made = {
            run(one(weights, exponent), 2, replace(c, recorded_current="updated"))[1][0]
            for c in (DEFAULT, LAVA, NENGO, BRIAN)
        }
        assert made == {sum(weights) * 2 ** (6 + exponent) if exponent > -7 else sum(weights) / 2}


def test_corner_8_bias() -> None:
    assert bias_parts(np.array([-4096]), LAVA)[0][0] == -4096
    assert [p.tolist() for p in bias_parts(np.array([-4096]), NENGO)] == [[-2048], [1]]
    assert [p.tolist() for p in bias_parts(np.array([4095 << 7]))] == [[4095], [7]]
    assert bias_value(np.array([-7]), np.array([-1]))[0] == -4
    for bias, corners in ((8191, DEFAULT), (4096 << 7, DEFAULT), (1, BRIAN)):
        with pytest.raises(spikec.SpikecError) as error:
            bias_parts(np.array([bias]), corners)
        assert error.value.code == "SPK1602"


def test_corner_9_wrap_of_the_drive() -> None:
    """A current near its top plus a bias: it clips the membrane, or wraps below zero."""
    image = one(u=TOP - 1, du=-1, bias_mantissa=10)
    assert run(image, 1)[0][1] == 0  # clipped at the top, above the threshold: spiked and reset
    assert run(image, 1)[0][2]
    assert not run(image, 1, NENGO)[0][2]
    assert run(image, 1, NENGO)[0][1] == 9 - TOP


def test_corner_10_limits_of_the_membrane() -> None:
    image = one(bias_mantissa=-4095, bias_exponent=7, vmin=-100)
    assert run(image, 3)[2][1] == -100
    assert run(image, 3, LAVA)[2][1] == -3 * (4095 << 7)
    assert run(image, 20, LAVA)[19][1] == 1 - TOP
    assert run(image, 20, replace(BRIAN, bias="lava"))[19][1] == -20 * (4095 << 7)


# ---------------------------------------------------------------- properties


@given(st.integers(-TOP, TOP), st.integers(1, 4096))
@examples(200, 2000)
def test_every_state_decays_to_zero(x: int, constant: int) -> None:
    """Rounding toward zero leaves no rest, however slow the decay; nothing changes its sign."""
    value, steps = np.array([x]), 0
    while value[0]:
        below = decay(value, constant)
        assert abs(below[0]) < abs(value[0])
        assert np.sign(below[0]) in (0, np.sign(value[0]))
        value, steps = below, steps + 1
        if steps > 200:  # from here on one at a time or faster: it takes as many steps as it holds
            value = np.sign(value) * (np.abs(value) >> 1)


@pytest.mark.parametrize("mode", list(RANGES))
@pytest.mark.parametrize("exponent", EXPONENTS)
def test_weights_survive_encoding_and_decoding(mode: Mode, exponent: int) -> None:
    """Every mantissa of every width and mode is kept, and read back from its effective weight."""
    low, high = RANGES[mode]
    for bits in WEIGHT_BITS:
        step = 1 << (8 - bits + (mode == "mixed"))
        weights = np.arange(-(-low // step) * step, high + 1, step)
        assert weights.size >= 2
        np.testing.assert_array_equal(truncate(weights, bits, mode), weights)
        assert least_bits(weights, mode) == bits
        back = effective(weights, exponent) >> (exponent + 7)
        np.testing.assert_array_equal(back, weights)


@given(st.data())
@examples(20, 200)
def test_core_model_equals_the_reference(data: Any) -> None:
    """On generated networks: every spike, every state, and what wraps or clips."""
    graph = data.draw(loihi_graphs())
    program = compiled(graph)
    inputs = spikes_for(graph, 2, 25, data.draw(st.integers(0, 99)))
    found = compare(program, inputs, "reference", "loihi")
    assert found.equal, str(found)
    a, b = (spikec.simulate(program, inputs, (), name) for name in ("reference", "loihi"))
    assert a.counts == b.counts


def compiled(graph: spikec.Graph, target: str = "loihi1") -> spikec.Program:
    """Return the program, or assume another where the network is beyond a core."""
    from hypothesis import reject

    try:
        return spikec.compile(graph, target, pipeline=PIPELINE)
    except spikec.SpikecError as error:
        if error.code not in ("SPK0685", "SPK0662"):
            raise
        reject()


@pytest.mark.parametrize("target", ["loihi1", "loihi2"])
@pytest.mark.parametrize("steps", [1, 2, 63, None])
def test_refractory_periods(target: str, steps: int | None) -> None:
    """Neurons that fire whenever they may: every spike and state, and the steps between spikes."""
    each = np.arange(1.0, 64.0) if steps is None else np.full(3, float(steps))
    neuron = spikec.RefractoryLIF(
        decay=0.9, steps=each, threshold=0.5, offset=0.2, reset="zero", refractory="zero"
    )
    graph = spikec.Graph(
        "rest",
        (
            spikec.Input("x", (4,)),
            spikec.Population("p", (each.size,), neuron),
            spikec.Output("y", "p"),
        ),
        (spikec.Projection("x", "p", spikec.Dense(spikec.Tensor.floats(np.ones((each.size, 4))))),),
    )
    # Placed cores are another matter: 63 neurons of 63 kinds take a minute to place.
    passes = f"discretize,fuse,quantize_loihi{{generation={target[-1]}}},retime"
    program = spikec.compile(graph, target, pipeline=passes)
    found = compare(program, {"x": spikes_for(graph, 2, 150, 0)["x"]}, "reference", "loihi")
    assert found.equal, str(found)
    always = {"x": np.ones((1, 200, 4))}
    trace = spikec.simulate(program, always, ("spikes", "state"), "loihi")
    for k, period in enumerate(each):
        assert set(np.diff(np.flatnonzero(trace.spikes["p"][0, :, k]))) == {period}
    remarks = [str(f) for f in find_backend("loihi").remarks(program)]
    message = "p: no Lava program: its public fixed-point LIF has no refractory period. [SPK1631]"
    assert remarks == ([] if steps == 1 else [message])


def test_graded_spikes_are_refused() -> None:
    """Loihi 2 has them, our model of its cores has not."""
    neuron = spikec.LIF(decay=0.9, reset="subtract", max_spikes=7)
    graph = spikec.Graph(
        "graded",
        (spikec.Input("x", (1,)), spikec.Population("n", (1,), neuron), spikec.Output("y", "n")),
        (spikec.Projection("x", "n", spikec.Dense(spikec.Tensor.floats([[0.3]]))),),
    )
    program = spikec.compile(graph, "loihi2")
    assert program.mapping is None
    with pytest.raises(spikec.SpikecError) as error:
        spikec.simulate(program, {"x": np.ones((1, 3, 1))}, (), "loihi")
    assert str(error.value) == (
        "n: no core of Loihi runs it: the model of a Loihi 2 core has no max_spikes=7 (SPK1614). "
        "See all findings with spikec check. [SPK1610]"
    )
    with pytest.raises(spikec.SpikecError, match=r"Loihi 1 has no reset=subtract.*SPK0683"):
        spikec.compile(graph, "loihi1")


def test_image_holds_what_the_program_holds() -> None:
    """Weights, decays, thresholds and biases are read back from the image, number by number."""
    program = spikec.compile(spikec.load("digits"), "loihi1")
    image = core_image(program)
    for p, s in zip(program.graph.projections, image.synapses, strict=True):
        full = np.zeros((len(s.indptr) - 1, s.columns))
        full[s.rows, s.indices] = s.weight * 2.0 ** (6 + s.exponent)
        np.testing.assert_array_equal(full, np.ldexp(p.synapse.weight.data, -p.synapse.weight.frac))
        assert set(s.delay) == {p.delay}
    for population in program.graph.populations:
        c, numbers = image.compartments[population.name], population.model().parameters()
        assert np.all(4096 - c.dv == numbers["decay"].data)
        assert np.all(c.threshold << 6 == numbers["threshold"].data)
        bias = bias_value(c.bias_mantissa, c.bias_exponent)
        np.testing.assert_array_equal(bias, np.broadcast_to(numbers["offset"].data, c.size))
        assert c.start == population.start
    evidence("loihi_corners", corners=10, emulators=3)


def test_an_accumulator_beyond_its_width_is_found() -> None:
    """A synaptic sum that may exceed 21 bits is a finding, before anything runs."""
    program = compiled(small.network())
    graph = program.graph
    wide = graph.projections[0]
    weight = wide.synapse.weight
    format_ = spikec.FixedPoint(9, -13)
    stored: Array = np.where(weight.data < 0, -256, 254)
    heavy = spikec.Tensor.integers(stored, format_, weight.scale)
    synapse = wide.synapse.with_numbers(heavy, None)
    projections = (replace(wide, synapse=synapse), *graph.projections[1:])
    changed = replace(program, graph=replace(graph, projections=projections))
    with pytest.raises(spikec.SpikecError) as error:
        spikec.simulate(changed, small.data(), (), "loihi")
    assert error.value.code == "SPK1610"
    assert "synaptic sum may reach" in str(error.value)
    assert "a core holds 2097151" in str(error.value)
