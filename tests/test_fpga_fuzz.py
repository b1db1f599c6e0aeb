"""Bursts, back-pressure and resets in mid-step: no event is lost, and a reset leaves nothing."""

import numpy as np
import pytest

import spikec
from rtl_networks import images, late, quantized, random_spikes, storm
from sizes import evidence, size
from spikec.backends.fpga import tools
from spikec.backends.fpga.build import texts
from spikec.backends.fpga.plan import plan
from spikec.backends.fpga.simulation.runner import CosimRunner
from spikec.backends.fpga.simulation.simulators import NEEDS
from spikec.compiler.compare import Comparison, compare
from spikec.compiler.errors import SpikecError
from spikec.compiler.signals import quiet
from spikec.compiler.simulator import Simulator
from spikec.compiler.types import Array

FULL = size(0, 1) == 1
CYCLES = size(100_000, 5_000_000)  # of each of two networks, at full size
SAMPLES, STEPS = size(60, 500), 8
pytestmark = pytest.mark.skipif(
    not tools.have(*NEEDS["verilator"]), reason="needs verilator, perl, g++ (spikec[fpga])"
)


def bursts(graph: spikec.Graph, seed: int) -> dict[str, Array]:
    """Return spikes of which some steps have all, and some none."""
    random = np.random.default_rng(seed)
    shape = (SAMPLES, STEPS)
    often = random.choice([0.0, 0.1, 0.5, 1.0], shape)
    found: dict[str, Array] = {}
    for i in graph.inputs:
        drawn = random.random((*shape, *i.shape))
        found[i.name] = drawn < often.reshape(*shape, *(1 for _ in i.shape))
    return found


def fuzz(program: spikec.Program, runner: CosimRunner, seed: int) -> tuple[Comparison, int]:
    """Compare what comes after each reset with the reference; return that and the cycles of it."""
    runner.seed = seed
    simulator = Simulator(program, "rtl", quiet, runner)
    cycles = 0

    def counted(*_: object) -> None:
        nonlocal cycles
        assert runner.last is not None
        cycles += sum(runner.last.cycles)

    found = compare(program, bursts(program.graph, seed), "reference", simulator, progress=counted)
    return found, cycles


@pytest.mark.parametrize("name", ["storm", "images"] if FULL else ["storm"])
def test_nothing_is_lost(name: str) -> None:
    """Before each sample another is cut short, by a restart or a reset, after up to 600 cycles."""
    if name == "storm":
        program = late(storm(5, 2), {"b": 2})
    else:
        program = quantized(images(), random_spikes(images(), 1, 8, 0))
    planned = plan(program, 2)
    runner = CosimRunner(planned, texts(planned), "verilator", cuts=600)
    total, seed, events = 0, 0, 0
    while total < CYCLES:
        seed += 1
        found, cycles = fuzz(program, runner, seed)
        assert found.equal, str(found)
        assert cycles > 100 * SAMPLES
        total += cycles
        assert runner.last is not None
        events += sum(c["events_out"] for c in runner.last.counters)
    assert events > total // 100
    evidence(f"fpga_fuzz_{name}", cycles=total, resets=seed * SAMPLES, events=events)


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("spikec_fifo", "held <= '0;", "held <= held;"),
        ("spikec_control", "phase <= FILL;\n            group", "group"),
        ("spikec_walker", "word_valid <= 1'b0;\n            done <= 1'b0;", "done <= 1'b0;"),
    ][: size(1, 3)],
)
def test_a_reset_that_leaves_something_is_found(module: str, old: str, new: str) -> None:
    """As a difference, a wrong stream or counter, or a hang."""
    program = late(storm(5, 2), {"b": 2})
    planned = plan(program, 2)
    made = texts(planned)
    name = f"rtl/{module}.sv"
    assert old in made[name]
    made[name] = made[name].replace(old, new, 1)
    runner = CosimRunner(planned, made, "verilator", cuts=600)
    try:
        found, _ = fuzz(program, runner, 1)
    except SpikecError:
        return
    assert not found.equal
