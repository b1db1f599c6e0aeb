"""What the backend offers: whether a program fits cores, running it on their model, emitting it."""

from collections.abc import Mapping as Dict
from pathlib import Path
from typing import Any

from spikec.backends.loihi import emitters
from spikec.backends.loihi.image import core_image, misfits
from spikec.backends.loihi.lava_process import LavaRunner
from spikec.backends.loihi.resources import demand, overloads
from spikec.backends.loihi.runner import CoreRunner
from spikec.compiler.artifact import json_text
from spikec.compiler.errors import Finding
from spikec.compiler.ir import Mapping, Program
from spikec.compiler.mapping.demand import Demand
from spikec.compiler.mapping.tiles import MOST_UNROLLED, too_many


class Loihi:
    """The backend."""

    def supports(self, program: Program) -> tuple[Finding, ...]:
        """Return everything that no core of Loihi holds, or that is too much for its own."""
        return tuple(misfits(program)) or tuple(overloads(program))

    def demand(self, program: Program, changed: Dict[str, int]) -> Demand:
        """Return what a program asks of cores; see ``resources``."""
        return demand(program, changed)

    def prepare(self, program: Program) -> CoreRunner:
        """Return the core model of a program."""
        return CoreRunner(program, core_image(program))

    def emit(self, program: Program, folder: Path) -> tuple[str, ...]:
        """Write the program of every SDK that can express it, each into a folder of its name."""
        if program.mapping is not None:
            (folder / "mapping.json").write_text(json_text(mapping_json(program.mapping)))
        if not too_many(program):
            image = core_image(program)
            for name in emitters.names():
                emitter = emitters.find(name)
                if not emitter.refuses(image):
                    emitter.emit(image, program, folder / name)
        return tuple(sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*")))

    def remarks(self, program: Program) -> tuple[Finding, ...]:
        """Return what keeps SDKs from having a program of it: SPK1631 to SPK1634, SPK1786."""
        if too_many(program):
            message = f"no program of more than {MOST_UNROLLED} synapses is written for an SDK"
            return (Finding("SPK1786", program.graph.name, message),)
        image = core_image(program)
        return tuple(f for name in emitters.names() for f in emitters.find(name).refuses(image))

    def lava(self, program: Program, build: Path, python: str, limit: float) -> LavaRunner:
        """Return what runs the Lava program of a build in another interpreter."""
        return LavaRunner(program, build, python, limit)


def mapping_json(mapping: Mapping) -> dict[str, Any]:
    """Return where every neuron sits: by core, ranges of each population, the last one excluded."""
    cores: list[dict[str, Any]] = []
    for core in mapping.cores:
        holds: dict[str, list[tuple[int, int]]] = {}
        for part in core.slices:
            holds.setdefault(part.node, []).append((part.start, part.stop))
        place = {"chip": core.chip, "x": core.x, "y": core.y, "index": core.index}
        cores.append({**place, "holds": holds})
    return {"cores": cores}
