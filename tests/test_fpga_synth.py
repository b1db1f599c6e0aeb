"""Netlists of Yosys: cells, and the logic between registers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikec
from rtl_networks import quantized, storm
from spikec.backends.fpga import tools
from spikec.backends.fpga.build import texts
from spikec.backends.fpga.plan import plan
from spikec.backends.fpga.sizes import synth
from spikec.backends.fpga.sizes.netlist import Resources, resources, stages
from spikec.compiler.cli_synth import synthesis
from spikec.compiler.errors import SpikecError

YOSYS = pytest.mark.skipif(not tools.have("pyosys"), reason="needs pyosys (spikec[fpga])")


def cell(kind: str, ins: dict[str, list[Any]], outs: dict[str, list[Any]]) -> dict[str, Any]:
    ways = dict.fromkeys(ins, "input") | dict.fromkeys(outs, "output")
    return {"type": kind, "port_directions": ways, "connections": ins | outs}


def netlist() -> dict[str, Any]:
    """Return a register a, two LUTs, a chain of three CARRY4 and a RAM in front of register b."""
    clock = {"C": [1]}
    cells = {
        "$flatten\\e.$x1": cell("FDRE", clock | {"D": [10]}, {"Q": [11]}),
        "$flatten\\e.$l1": cell("LUT2", {"I0": [11], "I1": [2]}, {"O": [12]}),
        "$flatten\\e.$l2": cell("INV", {"I": [12]}, {"O": [13]}),
        "$flatten\\e.$ram": cell(
            "RAM32M16", {"ADDRA": [13], "ADDRH": [40], "DIA": [41]}, {"DOA": [14]}
        ),
        "$flatten\\e.$b": cell("FDRE", clock | {"D": [33]}, {"Q": [34]}),
        "$flatten\\ef.$far": cell("FDSE", clock | {"D": [14]}, {"Q": [35]}),
        "$top": cell("RAMB18E2", {"ADDRARDADDR": [12]}, {"DOUTADOUT": [60]}),
        "$dsp": cell("DSP48E2", {"A": [11]}, {"P": [61]}),
    }
    carry: list[Any] = ["0"]
    for k in range(3):
        out = [50 + 4 * k + j for j in range(4)]
        cells[f"$flatten\\e.$c{k}"] = cell(
            "CARRY4", {"CI": carry, "S": [14], "DI": [11]}, {"CO": out}
        )
        carry = [out[3]]
    cells["$flatten\\e.$l3"] = cell("LUT3", {"I0": carry}, {"O": [33]})
    names = {"e.a": [11], "e.lane[3].b": [34], "ef.far": [35]}
    return {"cells": cells, "netnames": {n: {"bits": b} for n, b in names.items()}}


def test_cells_of_each_part() -> None:
    """A part is the engine with exactly that name; chains make CARRY8 of pairs."""
    found = resources(netlist(), ["e"])
    assert found["e"] == Resources(lut=3, lutram=8, ff=2, carry8=2)
    assert found[""] == Resources(ff=1, dsp=1, ramb18=1)
    assert found["e"].luts == 11
    assert (found["e"] + found[""]).limited == {
        "lut": 11,
        "ff": 3,
        "dsp": 1,
        "bram36": 0.5,
        "uram": 0,
    }


def test_logic_between_registers() -> None:
    """LUTs in a row, an inverter and a memory that is read at once among them; carry in fours."""
    found = {(s.part, s.register): (s.levels, s.carry) for s in stages(netlist(), ["e"])}
    assert found["e", "lane.b"] == (4, 12)
    assert found["", "ef.far"] == (3, 0)
    assert found["", "unnamed"] == (1, 0)
    assert ("e", "a") not in found  # nothing drives it but a port


@YOSYS
def test_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Sums over the engines; a second time from the cache; too slow is an error."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    planned = plan(storm(3, 1), 3)
    made = texts(planned)
    with pytest.raises(SpikecError, match=r"more than 0\.01 s") as caught:
        synth.synthesise(planned, made, 0.01)
    assert caught.value.code == "SPK1930"
    found = synth.synthesise(planned, made)
    assert list(found.parts) == ["a", "b", ""]
    assert found.total.dsp == found.total.uram == 0
    for name in ("a", "b"):
        assert found.parts[name].ff > 300
        mine = [s for s in found.stages if s.part == name]
        assert any(s.register.startswith("counters.") and s.carry == 48 for s in mine)
        assert max(s.carry for s in mine) == 48
    monkeypatch.setattr(tools, "yosys", None)
    assert synth.synthesise(planned, made) == found


def test_a_build_for_something_else(tmp_path: Path) -> None:
    """Only a build for an FPGA has a part."""
    program = quantized(spikec.load("digits"), np.zeros((1, 2, 64)))
    spikec.emit(program, tmp_path / "b")
    with pytest.raises(SpikecError, match="no FPGA") as caught:
        synthesis(tmp_path / "b", 1.0)
    assert caught.value.code == "SPK1961"
