"""Lanes chosen by the compiler, and what does not fit a part."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikec
from spikec.backends import find
from spikec.backends.fpga.plan import plan
from spikec.backends.fpga.sizes import choice as module
from spikec.backends.fpga.sizes.choice import beyond
from spikec.backends.fpga.sizes.estimate import estimate
from spikec.backends.fpga.sizes.ledger import Ledger
from spikec.compiler.cli_synth import Size, pipeline
from spikec.compiler.errors import SpikecError
from spikec.compiler.target import Target, load_target
from spikec.compiler.types import Array, Bool, Tensor

PASSES = "discretize,fuse,quantize,engines"


def chosen(data: Any, options: str, target: str = "kv260") -> spikec.Program:
    graph = spikec.load("digits")
    passes = f"{PASSES}{{{options}}}" if options else PASSES
    return spikec.compile(graph, target, pipeline=passes, calibration=data)


def lanes(program: spikec.Program) -> list[int]:
    return [e.lanes for e in plan(program).engines]


def test_smallest_and_fastest(digits: tuple[Array, Array]) -> None:
    """One lane each; or so many that the slowest engine cannot have more."""
    data = digits[0][:20]
    assert lanes(chosen(data, "choose=fit")) == [1, 1]
    assert lanes(chosen(data, "")) == [16, 10]
    fast = chosen(data, "choose=fast")
    assert not beyond(estimate(plan(fast)).total, load_target("kv260"))
    means = [c.measured for c in estimate(plan(fast)).cycles.values()]
    slowest = int(np.argmax([m or 0 for m in means]))
    engine = plan(fast).engines[slowest]
    assert engine.lanes == engine.population.size


def test_a_part_that_is_nearly_full_stops_the_fastest(
    digits: tuple[Array, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Engines grow until the next step would not fit."""
    whole = load_target("kv260")
    small = replace(whole, device={**whole.device, "lut": 5000})

    def load(name: str) -> Target:
        return small

    monkeypatch.setattr(module, "load_target", load)
    found = estimate(plan(chosen(digits[0][:20], "choose=fast"))).total
    assert 1000 < found.luts <= 4000


def test_throughput_and_latency_with_few_lanes(digits: tuple[Array, Array]) -> None:
    """What is asked for is reached, with fewer lanes than the fastest."""
    data = digits[0][:20]
    slow = chosen(data, "steps_per_second=500000")
    fast = chosen(data, "steps_per_second=5e6")
    assert lanes(slow)[0] < lanes(fast)[0] < 128
    for program, wanted in ((slow, 5e5), (fast, 5e6)):
        for c in estimate(plan(program)).cycles.values():
            assert c.measured is not None
            assert c.measured <= 200e6 / wanted
    near = chosen(data, "latency=5e-7")
    far = chosen(data, "latency=5e-6,clock=100e6")
    assert sum(lanes(near)) > sum(lanes(far))
    total = sum(c.measured or 0 for c in estimate(plan(near)).cycles.values())
    assert total <= 200e6 * 5e-7
    with pytest.raises(SpikecError, match="with all the lanes that help") as caught:
        chosen(data, "steps_per_second=1e9")
    assert caught.value.code == "SPK1966"
    with pytest.raises(SpikecError) as caught:
        chosen(data, "latency=-1")
    assert caught.value.code == "SPK1967"


def test_measured_activity_is_that_of_the_counters(digits: tuple[Array, Array]) -> None:
    """The mean cycles of reading are the words that a run reads, and events without words."""
    data = digits[0][:20]
    program = chosen(data, "lanes=8")
    planned = plan(program)
    ledger = Ledger(planned)
    ledger.add(spikec.simulate(program, data, ("spikes", "state")))
    for name, c in estimate(planned).cycles.items():
        words = ledger.counters[name]["words"] / ledger.counters[name]["steps"]
        assert c.measured == pytest.approx(c.idle + words, abs=0.01)


def test_a_network_beyond_the_part(tmp_path: Path) -> None:
    """Limit, share and remedy; nothing is written."""
    n = 1500
    wide = spikec.Dense(Tensor.floats(np.random.default_rng(0).normal(size=(n, n))))
    nodes = (
        spikec.Input("in", (n,), Bool()),
        spikec.Population("big", (n,), spikec.LIF(decay=0.9)),
        spikec.Output("out", "big"),
    )
    graph = spikec.Graph("big", nodes, (spikec.Projection("in", "big", wide),), 1e-3)
    program = spikec.compile(graph, "kv260")
    found = find("fpga").supports(program)
    assert [f.code for f in found] == ["SPK1965"]
    assert "RAMB36" in found[0].message
    assert "of the 144 of xck26-sfvc784-2LV-c, and 90 % may be taken" in found[0].message
    with pytest.raises(SpikecError):
        spikec.emit(program, tmp_path / "b")
    assert not (tmp_path / "b").exists()
    assert not find("fpga").supports(spikec.compile(graph, "zcu102"))


def test_options_of_the_command_line() -> None:
    """They become options of the pass, or say what contradicts what."""
    full = "discretize,fuse,quantize,engines"
    assert pipeline("cpu", None, Size()) is None
    assert pipeline("kv260", None, Size(lanes="4")) == f"{full}{{lanes=4}}"
    assert pipeline("kv260", None, Size(fit=True)) == f"{full}{{choose=fit}}"
    assert pipeline("kv260", None, Size(lanes="auto")) == f"{full}{{choose=fast}}"
    wanted = Size(clock=1e8, latency=1e-3)
    assert (
        pipeline("kv260", None, wanted) == f"{full}{{choose=fit,latency=0.001,clock=100000000.0}}"
    )
    for size, text, target, code in (
        (Size(fit=True), None, "cpu", "SPK1962"),
        (Size(fit=True), "discretize,engines{lanes=3}", "kv260", "SPK1963"),
        (Size(fit=True, lanes="3"), None, "kv260", "SPK1964"),
        (Size(fit=True, fast=True), None, "kv260", "SPK1964"),
        (Size(lanes="x"), None, "kv260", "SPK1968"),
    ):
        with pytest.raises(SpikecError) as caught:
            pipeline(target, text, size)
        assert caught.value.code == code
