"""The files of host/: the driver for PYNQ, and the map of what it reads and writes."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from spikec.backends.fpga.engines.controls import Memory, load, numbered
from spikec.backends.fpga.engines.registers import IDENTITY, markdown, present
from spikec.backends.fpga.memory import address_bits
from spikec.backends.fpga.plan import Engine, Plan
from spikec.backends.fpga.window import kernel
from spikec.compiler.artifact import json_text
from spikec.compiler.ir import Projection
from spikec.compiler.synapses import Conv2d, Pool2d

DRIVER = "driver.py"


def host_files(plan: Plan) -> dict[str, str]:
    """Return the files of host/ by their place in the build."""
    driver = files("spikec.hw").joinpath("host", DRIVER).read_text(encoding="utf-8")
    return {
        f"host/{DRIVER}": driver,
        "host/registers.json": json_text(register_map(plan)),
        "host/registers.md": _text(plan),
    }


def register_map(plan: Plan) -> Mapping[str, Any]:
    """Return registers and memories as the driver reads them."""
    return {
        "identity": IDENTITY,
        "registers": [
            {
                "name": r.name,
                "offset": r.offset,
                "access": r.access,
                "about": r.about,
                "bits": [name for name, _ in r.bits],
            }
            for r in present(load(plan))
        ],
        "memories": [
            {"number": k, **_memory(plan, engine, memory)}
            for k, (engine, memory) in enumerate(numbered(plan))
        ],
    }


def _memory(plan: Plan, engine: Engine, memory: Memory) -> dict[str, Any]:
    layout = engine.layout
    found: dict[str, Any] = {
        "kind": memory.kind,
        "name": memory.name,
        "population": engine.population.name,
        "depth": memory.depth,
        "width": memory.width,
        "neurons": layout.size,
        "lanes": layout.lanes,
        "groups": layout.groups,
        "places": layout.places,
    }
    if memory.kind == "parameter":
        value = engine.population.model().parameters()[memory.name]
        assert memory.interval is not None
        found |= {"lo": memory.interval.lo, "hi": memory.interval.hi, "frac": value.frac}
        found |= {"value": int(value.data.flat[0]), "scale": value.scale}
    elif memory.kind == "weights":
        found |= _weights(plan, engine, int(memory.name))
    return found


def _weights(plan: Plan, engine: Engine, k: int) -> dict[str, Any]:
    """Return where the weights of a channel stand, and what a sum may be."""
    channel = engine.channels[k]
    rows, source = channel.rows, channel.source
    assert rows is not None
    assert source is not None
    port, value = engine.ports[channel.port], source.value
    bias = engine.biases.get(channel.port)
    mem = f"mem/{engine.label}"
    found = {
        "source": source.name,
        "port": channel.port,
        "delay": channel.delay,
        "weight_bits": rows.weight_bits,
        "form": rows.form,
        "file": f"{mem}_weights{k}.hex",
        "filled": not engine.controls.in_ultra(rows.words),
        "pointers": None,
        "start_bits": 0,
        "group_bits": address_bits(engine.groups),
        "shape": [engine.population.size, source.size],
        "window": None,
        "shift": channel.shift,
        "sent": [0, 1] if value is None else [min(value.lo, 0), max(value.hi, 0)],
        "sum_lo": port.lo,
        "sum_hi": port.hi,
        "bias": 0 if bias is None else bias.tolist(),
    }
    if rows.pointers is not None:
        found["pointers"] = f"{mem}_pointers{k}.hex"
        found["start_bits"] = rows.pointers.fields[0][1]
    if rows.window is not None:
        found |= _window(_projection(plan, engine, k))
    return found


def _projection(plan: Plan, engine: Engine, k: int) -> Projection:
    """Return the projection of a channel."""
    into = plan.program.graph.into(engine.population.name)
    return [p for whole in into for p in whole.by_delay()][k]


def _window(projection: Projection) -> dict[str, Any]:
    plain = projection.synapse.plain()
    made = kernel(projection.synapse)
    assert isinstance(plain, Conv2d | Pool2d)
    assert made is not None
    weight, dilation, parts = made
    return {
        "shape": list(weight.shape),
        "window": {
            "in_shape": list(plain.in_shape),
            "out_shape": list(plain.out_shape),
            "stride": list(plain.stride),
            "padding": list(plain.padding),
            "dilation": list(dilation),
            "parts": parts,
        },
    }


def _text(plan: Plan) -> str:
    """Return the map for people."""
    lines = [f"# Registers of {plan.label}", "", markdown(load(plan))]
    found = numbered(plan)
    if not found:
        lines.append("Nothing can be changed at run time: engines{...} did not ask for it.")
        return "\n".join([*lines, ""])
    lines += ["Memories that the host may write:", "", "| number | what | words | bits | |"]
    lines.append("|---|---|---|---|---|")
    for k, (engine, m) in enumerate(found):
        name = engine.population.name
        note = f"{m.interval.lo} to {m.interval.hi}" if m.interval else ""
        if m.kind == "weights":
            note = engine.channels[int(m.name)].about
        what = f"{m.kind} {m.name}".strip()
        text = f"| {k} | {what} of {name} | {m.depth} | {m.width} | {note} |"
        lines.append(" ".join(text.split()))
    return "\n".join([*lines, ""])
