"""Yosys for the part: what a design takes, by engine, and the logic between its registers.

Engines keep their borders, everything inside of one is optimised as a whole. Results are kept in
the user's cache folder under a hash of everything they were made of.
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from spikec.backends.fpga import tools
from spikec.backends.fpga.build import write
from spikec.backends.fpga.plan import Plan
from spikec.backends.fpga.simulation.cache import cache
from spikec.backends.fpga.sizes.netlist import Resources, Stage, resources, stages
from spikec.compiler.artifact import json_text
from spikec.compiler.disk import whole_file

FAMILY = "xcup"
# Seconds that Yosys may take.
LIMIT = 3600.0


@dataclass(frozen=True, slots=True)
class Synthesis:
    """What Yosys made of a design.

    Attributes:
        tool: Name and version.
        parts: Cells by population; "" is what stands around the engines.
        stages: Logic between registers, worst first, with the population as ``part``.
    """

    tool: str
    parts: Mapping[str, Resources]
    stages: tuple[Stage, ...]

    @property
    def total(self) -> Resources:
        """Cells in all."""
        return sum(self.parts.values(), Resources())


def instance(label: str) -> str:
    """Return the name of an engine in the top module."""
    return f"{label}__engine"


def synthesise(plan: Plan, made: Mapping[str, str], limit: float = LIMIT) -> Synthesis:
    """Return what Yosys makes of a design for UltraScale+.

    Args:
        plan: Of the design.
        made: Its files.
        limit: Seconds that Yosys may take.

    Raises:
        SpikecError: SPK1801 and SPK1802 with what Yosys said, SPK1930 when it takes longer.
    """
    parts = {n: t for n, t in made.items() if n.startswith(("rtl/", "mem/"))}
    tools.package_folder("pyosys")
    script = _script(plan, sorted(n for n in parts if n.startswith("rtl/")))
    tool = f"Yosys (pyosys {version('pyosys')})"
    digest = hashlib.sha256(f"{tool}\n{script}\n{_READER}".encode())
    for name in sorted(parts):
        text = _COMMENT.sub("", parts[name])
        digest.update(f"{name}\0{len(text)}\0{text}".encode())
    place = cache().parent / "synth" / f"{digest.hexdigest()[:32]}.json"
    if place.is_file():
        return _read(json.loads(place.read_text("utf-8")))
    with tempfile.TemporaryDirectory(prefix="spikec-synth-") as temporary:
        folder = Path(temporary)
        write(parts, folder)
        tools.yosys(script, folder, limit)
        with (folder / "flat.json").open(encoding="utf-8") as stream:
            module = json.load(stream)["modules"][plan.label]
    found = _found(plan, tool, module)
    text = json_text(asdict(found))
    with whole_file(place) as half:
        half.write_text(text, encoding="utf-8")
    return found


# Comments, among them the hash of the program in a header.
_COMMENT = re.compile(r"\s*//.*|\s*/\*.*?\*/")
# What the netlist is read for; a change makes old results in the cache useless.
_READER = "1"


def _script(plan: Plan, sources: list[str]) -> list[str]:
    engines = [f"engine_{e.label}" for e in plan.engines]
    ultra = " -uram" if any(e.controls.ultra for e in plan.engines) else ""
    return [
        *(f"read_verilog -sv -defer {name}" for name in sources),
        f"hierarchy -check -top {plan.label}",
        *(f"setattr -mod -set keep_hierarchy 1 {name}" for name in engines),
        f"synth_xilinx -family {FAMILY} -noiopad -flatten{ultra} -top {plan.label}",
        *(f"setattr -mod -unset keep_hierarchy {name}" for name in engines),
        "flatten -noscopeinfo",
        "setattr -unset src -unset module_not_derived */c:*",
        "write_json flat.json",
    ]


def _found(plan: Plan, tool: str, module: Mapping[str, object]) -> Synthesis:
    names = {instance(e.label): e.population.name for e in plan.engines} | {"": ""}
    cells = resources(module, list(names)[:-1])
    paths = stages(module, list(names)[:-1])
    return Synthesis(
        tool,
        {names[part]: r for part, r in cells.items()},
        tuple(Stage(names[s.part], s.register, s.levels, s.carry) for s in paths),
    )


def _read(data: Mapping[str, object]) -> Synthesis:
    made: dict[str, dict[str, int]] = data["parts"]  # type: ignore[assignment]
    paths: list[dict[str, object]] = data["stages"]  # type: ignore[assignment]
    return Synthesis(
        str(data["tool"]),
        {name: Resources(**row) for name, row in made.items()},
        tuple(Stage(**row) for row in paths),  # type: ignore[arg-type]
    )
