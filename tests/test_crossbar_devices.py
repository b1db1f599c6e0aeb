"""Device stages: the moments that their equations state, with fixed seeds; and their grammar.

Tolerances are those of 200,000 draws: a mean to 5 standard errors, a standard deviation to 1 %.
"""

import numpy as np
import pytest

from sizes import evidence
from spikec.backends.crossbar import stages
from spikec.backends.crossbar.devices import KINDS, STATIC, Devices, generator
from spikec.backends.crossbar.tiles import Cells
from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array

CELLS = Cells(16, 1e-6, 40e-6, 0.2, 1.0)
DRAWS = 200_000
MICRO = 1e-6


def draw(text: str, micro: float, level: int = 8) -> Array:
    """Return many cells of one conductance behind a stage, in uS."""
    devices = Devices.parse(text)
    (name,) = devices.on
    g, of = np.full((400, DRAWS // 400), micro * MICRO), np.full((400, DRAWS // 400), level)
    random = generator(7, name, (0,))
    found: Array = devices.on[name].act(g, of, CELLS, random)
    return found / MICRO


def has(x: Array, mean: float, sd: float) -> None:
    """Assert both moments."""
    assert abs(x.mean() - mean) <= 5 * sd / np.sqrt(x.size) + 1e-12 * abs(mean)
    assert x.std() == pytest.approx(sd, rel=0.01, abs=1e-12)


# By hand: x = G / 40; 1 s at 20 uS: .348 + 16.03/2 - 43.853/4 + 45.393/8 - 16.815/16 = 2.0230.
PROGRAM = [
    ("kind=constant,sigma=0.5", 20.0, 20.0, 0.5),
    ("kind=proportional,sigma=0.03", 20.0, 20.0, 0.6),
    ("kind=neurram_1s", 20.0, 20.0, 2.0229375),
    ("kind=neurram_1s,sigma=0.5", 20.0, 20.0, 1.01146875),
    ("kind=neurram_1d", 20.0, 20.0, 3.9086875),
    ("kind=neurram_2d", 20.0, 20.0, 3.929875),
    ("kind=neurram_cubic", 20.0, 20.0, 2.3618),
    ("kind=milo_2021", 100.0, 100.0, 3.8713),
    ("kind=cmo_2", 20.0, 20.0, 0.23702),
    ("kind=cmo_02", 20.0, 20.0, 0.02221),
    ("kind=pcm", 20.0, 20.0, 1.084696),
]


@pytest.mark.parametrize(("options", "micro", "mean", "sd"), PROGRAM)
def test_programming(options: str, micro: float, mean: float, sd: float) -> None:
    """Every kind and every published fit, far enough from 0 that nothing is clipped."""
    has(draw(f"program{{{options}}}", micro), mean, sd)


def test_lognormal_and_clipping() -> None:
    """exp(s n) has the mean exp(s^2 / 2); a normal error never leaves less than nothing."""
    s = 0.2
    x = draw(f"program{{kind=lognormal,sigma={s}}}", 10)
    mean = 10 * np.exp(s * s / 2)
    has(x, mean, mean * np.sqrt(np.exp(s * s) - 1))
    half = draw("program{kind=constant,sigma=5}", 0)
    assert half.min() == 0
    assert (half == 0).mean() == pytest.approx(0.5, abs=0.005)
    assert half.mean() == pytest.approx(5 / np.sqrt(2 * np.pi), rel=0.01)


def test_write_verify() -> None:
    """Within one sigma lie 68.27 % of the first writes; the count of writes is geometric."""
    g = np.full((400, 500), 20 * MICRO)
    made, count = stages.written(g, "constant", 1.0, 1.0 * MICRO, 50, np.random.default_rng(1))
    assert np.abs(made - g).max() <= 1.0 * MICRO
    inside = 0.682689
    assert count.mean() == pytest.approx(1 / inside, rel=0.01)
    assert (count == 1).mean() == pytest.approx(inside, abs=0.005)
    # A normal cut off at one sigma.
    assert (made / MICRO).std() == pytest.approx(0.53956, rel=0.01)
    twice, most = stages.written(g, "constant", 1.0, 1.0 * MICRO, 2, np.random.default_rng(1))
    assert most.max() == 2
    assert (np.abs(twice - g) > MICRO).mean() == pytest.approx((1 - inside) ** 2, abs=0.003)


@pytest.mark.parametrize(
    ("name", "mean", "sd"), [("patch", 12.35, 1.86), ("simulator", 14.25, 2.46)]
)
def test_random_array(name: str, mean: float, sd: float) -> None:
    """The statistics of the random array: the part that is broken down, and its conductance."""
    x = draw(f"random{{kind={name}}}", 20)
    broken = x > 0.5
    part = float(broken.mean())
    assert part == pytest.approx(0.493, abs=0.005)
    has(x[broken], mean, sd)
    assert (x[~broken] == 0.1).all()
    figures = {"broken": part, "mean": float(x[broken].mean()), "sd": float(x[broken].std())}
    evidence(f"crossbar_random_{name}", **figures)


def test_random_pairs() -> None:
    """A pair of cells has mean 0; its spread follows from the mixture, 8.7 uS of the patch."""
    x = draw("random{kind=patch}", 20)
    pair = x[:, ::2] - x[:, 1::2]
    p, mean, sd, low = 0.493, 12.35, 1.86, 0.1
    first = p * mean + (1 - p) * low
    second = p * (mean**2 + sd**2) + (1 - p) * low**2
    wanted = np.sqrt(2 * (second - first**2))
    assert abs(pair.mean()) < 5 * wanted / np.sqrt(pair.size)
    assert pair.std() == pytest.approx(wanted, rel=0.01)


def test_stuck() -> None:
    """Parts of the cells, to five standard errors of a binomial."""
    for at, low in (("g_min", 1.0), ("open", 0.0)):
        x = draw(f"stuck{{off=0.02,on=0.05,at={at}}}", 20)
        off, on, free = (np.isclose(x, v).mean() for v in (low, 40.0, 20.0))
        assert off == pytest.approx(0.02, abs=5 * np.sqrt(0.02 / DRAWS))
        assert on == pytest.approx(0.05, abs=5 * np.sqrt(0.05 / DRAWS))
        assert off + on + free == pytest.approx(1)


def test_drift() -> None:
    """A power law, and a shift that grows with the logarithm of time."""
    nu = -0.0155 * np.log(0.2) + 0.0244  # 0.0493, at 5 uS
    x = draw("drift{kind=pcm,seconds=2000}", 5)
    np.testing.assert_allclose(x, 5 * 100**-nu)
    np.testing.assert_allclose(draw("drift{kind=pcm,seconds=2000}", 25), 25 * 100**-0.049)
    log = np.log(1000)
    has(draw("drift{kind=cmo,seconds=1000}", 20), 20 - 0.0890 * log, 0.0420 * log + 0.4118)


def test_read_noise() -> None:
    """Proportional, 1/f of phase change, and the fit of CMO, which is 0 where it is negative."""
    has(draw("read{c=0.02}", 20), 20, 0.4)
    q = 0.0088 / 0.8**0.65
    wanted = 20 * q * np.sqrt(np.log((1 + 250e-9) / 500e-9))
    has(draw("read{kind=pcm,c=1}", 20), 20, wanted)
    log = np.log((1 + 1e-6) / 2e-6)
    has(draw("read{kind=cmo,c=1}", 20), 20, 0.0277 * np.log10(20) * np.sqrt(log))
    assert (draw("read{kind=cmo,c=1}", 0.5) == 0.5).all()
    assert (draw("read{c=0.02,redraw=each}", 20) == 20).all()


def test_stages_without_chance() -> None:
    """Levels, the chord of a curve, temperature, wires."""
    np.testing.assert_allclose(draw("levels{count=4}", 21), 27)  # of 1, 14, 27, 40
    np.testing.assert_allclose(draw("levels{count=4}", 90), 40)
    np.testing.assert_allclose(draw("iv{a2=0.5,a3=2}", 20), 20 * (1 + 0.1 + 0.08))
    hot = np.exp(-0.1 / 8.617333262e-5 * (1 / 350 - 1 / 300))
    np.testing.assert_allclose(draw("heat{kelvin=350,ev=0.1}", 1, 0), hot)
    np.testing.assert_allclose(draw("heat{kelvin=350,ev=0.1}", 20, 8), 20)
    wires = Devices.parse("wire{ohm=2,bit_ohm=3},heat{kelvin=400}").wires(CELLS)
    np.testing.assert_allclose(wires, (2 * 1.451, 3 * 1.451))
    assert Devices.parse("wire").wires(CELLS) == (1.0, 1.0)
    assert Devices().wires(CELLS) == (0.0, 0.0)


def test_converter() -> None:
    """256 codes, clipped; gain and offset before the code; the sum in whole levels."""
    x = np.array([-200.0, -128, -1.4, 0, 3.5, 126.9, 128, 500])
    one, none = np.ones(1), np.zeros(1)
    found = stages.converted(x, 8, 128.0, one, none)
    np.testing.assert_array_equal(found, [-128, -128, -1, 0, 4, 127, 127, 127])
    # Steps of 4 levels: the error is uniform, 4 / sqrt(12).
    spread = np.linspace(-400, 400, 80_001)
    error = stages.converted(spread, 8, 512.0, one, none) - spread
    assert error.std() == pytest.approx(4 / np.sqrt(12), rel=0.01)
    moved = stages.converted(np.array([10.0]), 8, 128.0, np.array([1.1]), np.array([2.0]))
    assert moved[0] == 13


# ---------------------------------------------------------------- the stack


def test_each_stage_draws_its_own() -> None:
    """Leaving a stage out changes no other; a seed or a tile changes all; off is ideal."""
    level = np.random.default_rng(0).integers(0, 16, (30, 20))

    def made(text: str, seed: int = 0, tile: int = 0) -> Array:
        return Devices.parse(text).conductance(level, CELLS, seed, (0, tile))

    np.testing.assert_array_equal(made(""), CELLS.conductance(level))
    both = made("program{kind=constant,sigma=1},stuck{off=0.1,on=0.1}")
    alone = made("stuck{off=0.1,on=0.1}")
    held = (both == CELLS.g_min) | (both == CELLS.g_max)
    np.testing.assert_array_equal(both[held], alone[held])
    np.testing.assert_array_equal(both, made("stuck{on=0.1,off=0.1},program{kind=constant}"))
    for other in (made("program", 1), made("program", 0, 1)):
        assert not np.array_equal(made("program"), other)
    assert set(STATIC) <= set(KINDS)


def test_the_text_gives_the_same_stages() -> None:
    """Also some of them."""
    text = "read{c=0.05},program{kind=cmo_2},adc{bits=6},wire{ohm=2}"
    devices = Devices.parse(text)
    assert list(devices.on) == ["program", "read", "wire", "adc"]
    assert Devices.parse(str(devices)) == devices
    assert str(devices.only(["read"])).startswith("read{kind=proportional,c=0.05")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("noise", "SPK2114"),
        ("read,read", "SPK2115"),
        ("read{c=-1}", "SPK2116"),
        ("wire{ohm=-0.5}", "SPK2116"),
        ("stuck{off=0.6}", "SPK2116"),
        ("read{c=nan}", "SPK0406"),
        ("wire{ohm=inf}", "SPK0406"),
        ("program{kind=gold}", "SPK2117"),
        ("random{kind=gold}", "SPK2117"),
        ("read{d=1}", "SPK0403"),
        ("read{c", "SPK0402"),
    ],
)
def test_mistakes(text: str, code: str) -> None:
    """One line each."""
    with pytest.raises(SpikecError) as caught:
        Devices.parse(text)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)
