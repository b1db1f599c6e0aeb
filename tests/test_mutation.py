"""Yosys makes faults in emitted RTL; what spikec checks finds them."""

from pathlib import Path

import pytest

from rtl_networks import assert_exact, busy, images, mixed, quantized, random_spikes
from sizes import evidence, size
from spikec.backends.fpga import tools
from spikec.backends.fpga.build import texts
from spikec.backends.fpga.plan import plan
from yosys_mutants import asked, equivalent, faulty, in_lane, refuted, simulated

COUNT = size(1, 67)  # in each design; 201 at full size
DESIGNS = {
    "busy": (busy, 3),
    "images": (lambda: quantized(images(), random_spikes(images(), 2, 20, 0)), 3),
    "mixed": (lambda: quantized(mixed(), random_spikes(mixed(), 2, 20, 0)), 4),
}


@pytest.mark.skipif(not tools.have("pyosys", "bitwuzla", "g++"), reason="needs spikec[fpga], g++")
@pytest.mark.skipif(COUNT < 20, reason="a minute for one design: at full size only")
@pytest.mark.parametrize("name", DESIGNS)
def test_faults_are_found(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least 95 in 100 of those that are not proved to change nothing."""
    make, lanes = DESIGNS[name]
    planned = plan(make(), lanes)
    graph = planned.program.graph
    given = [(random_spikes(graph, 2, 20, 0), 0), (random_spikes(graph, 3, 20, 1), 3)]
    most = 0
    for data, at in given:
        runner = assert_exact(planned.program, data, "cxxrtl", lanes, at, cuts=200 * (at > 0))
        assert runner.last is not None
        most = max(most, *(n for c in runner.last.counters for n in c.values()))
    design = faulty(planned, texts(planned), COUNT, 1, most.bit_length() + 1, tmp_path)
    assert not simulated(design, 0, given, monkeypatch), "without a fault there is none to find"
    found = dict.fromkeys(
        ("simulated", "vectors of a lane", "proof of a lane", "properties", "the same"), 0
    )
    missed: list[str] = []
    for number in range(1, len(design.faults) + 1):
        if simulated(design, number, given, monkeypatch):
            found["simulated"] += 1
        elif in_lane(design, number, tmp_path):
            found["vectors of a lane"] += 1
        elif (answer := asked(design, number)) == "sat":
            found["proof of a lane"] += 1
        elif refuted(design, number):
            found["properties"] += 1
        elif answer == "unsat" or equivalent(design, number):
            found["the same"] += 1
        else:
            missed.append(design.about(number))
    evidence(f"mutation_{name}", faults=COUNT, missed=missed, **found)
    assert len(missed) <= 0.05 * (COUNT - found["the same"]), missed
