"""Weights in ultra RAM: no contents at power up, so that the host's driver fills it."""

from functools import cache

import numpy as np
import pytest

import board
import spikec
from rtl_networks import assert_exact
from sizes import evidence
from spikec.backends.fpga import tools
from spikec.backends.fpga.build import texts
from spikec.backends.fpga.plan import Plan, plan
from spikec.backends.fpga.simulation import simulators
from spikec.backends.fpga.sizes.estimate import estimate
from spikec.backends.fpga.sizes.synth import synthesise
from spikec.backends.fpga.sizes.table import misfits
from spikec.backends.reference import Interpreter
from spikec.compiler.simulator import stored_inputs
from spikec.compiler.types import Array, Bool, Tensor

LANES = 2
STEPS, PIPELINE = 12, "discretize,fuse,quantize,engines"
RTL = "rtl/spikec_weights.sv"


def network(sources: int, size: int) -> spikec.Graph:
    """Return one with a memory of ``sources * size / LANES`` words, and a small one behind it."""
    r = np.random.default_rng(7)
    weights = Tensor.floats(r.normal(size=(size, sources)) * (3 / np.sqrt(sources)))
    behind = Tensor.floats(r.normal(size=(3, size)))
    return spikec.Graph(
        "deep",
        (
            spikec.Input("in", (sources,), Bool()),
            spikec.Population("a", (size,), spikec.LIF(decay=0.875)),
            spikec.Population("b", (3,), spikec.LIF(decay=0.75)),
            spikec.Output("out", "b"),
        ),
        (
            spikec.Projection("in", "a", spikec.Dense(weights)),
            spikec.Projection("a", "b", spikec.Dense(behind)),
        ),
        1e-3,
    )


def data(sources: int) -> Array:
    """Return spikes of two samples."""
    return np.random.default_rng(1).random((2, STEPS, sources)) < 0.1


@cache
def program(asked: str = "{ultra=true}", target: str = "kv260") -> spikec.Program:
    """Return one whose first memory is deep enough, for a part with ultra RAM."""
    return spikec.compile(
        network(600, 8), pipeline=PIPELINE + asked, calibration=data(600), target=target
    )


def needs(*packages: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not tools.have(*packages), reason=f"needs {', '.join(packages)} (spikec[fpga])"
    )


@pytest.mark.parametrize(
    "simulator",
    [pytest.param(s, marks=needs(*simulators.NEEDS[s])) for s in ("verilator", "cxxrtl")],
)
def test_exact(simulator: str) -> None:
    """Simulations begin as after the host has filled it."""
    assert_exact(program(), data(600), simulator, LANES)


@needs(*simulators.NEEDS["verilator"])
@pytest.mark.parametrize("fills", [True, False])
def test_the_driver_fills_it(fills: bool) -> None:
    """As synthesised, without contents: right with what the driver writes, and only with that."""
    planned = plan(program(), LANES)
    made = dict(texts(planned))
    assert "`ifdef SYNTHESIS" in made[RTL]
    made[RTL] = made[RTL].replace("`ifdef SYNTHESIS", "`ifndef SYNTHESIS")
    assert made["host/registers.json"].count('"filled": false') == 1
    if not fills:
        text = made["host/registers.json"].replace('"filled": false', '"filled": true')
        made["host/registers.json"] = text
    stored = stored_inputs(planned.program.graph, {"in": data(600)})
    trace = Interpreter(planned.program).run(stored, ("spikes",))
    assert trace.spikes["b"].any()
    with board.connected(planned, "verilator", made=made) as driver:
        for k in range(2):
            out = driver.run({"in": stored["in"][k]})["b"]
            assert np.array_equal(out, trace.spikes["b"][k]) == fills


@needs("pyosys")
def test_estimate_against_yosys() -> None:
    """Ultra RAM exactly, block RAM within one, LUT and FF within 15 %."""
    planned = plan(program(), LANES)
    ours, theirs = estimate(planned).total, synthesise(planned, texts(planned)).total
    evidence("fpga_ultra", ours=str(ours), yosys=str(theirs))
    assert (ours.dsp, ours.uram) == (theirs.dsp, theirs.uram) == (0, 1)
    assert abs(ours.bram36 - theirs.bram36) <= 1
    assert abs(ours.luts / theirs.luts - 1) <= 0.15
    assert abs(ours.ff / theirs.ff - 1) <= 0.15


def test_a_part_without_it() -> None:
    """Is named."""
    with pytest.raises(spikec.SpikecError, match="zcu102 has no ultra RAM") as caught:
        program(target="zcu102")
    assert caught.value.code == "SPK1969"


def test_it_is_the_remedy_where_block_ram_is_too_small() -> None:
    """On a part that has it; with it the network fits."""
    sources, size = 1536, 1024

    def compiled(asked: str) -> Plan:
        made = spikec.compile(
            network(sources, size),
            pipeline=PIPELINE + asked,
            calibration=data(sources),
            target="kv260",
        )
        return plan(made)

    (found,) = misfits(compiled(""))
    assert "engines{ultra=true}" in found.message
    assert not misfits(compiled("{ultra=true}"))
