"""Why a program takes the cores it takes: their use, where axons come from, what would help."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikec.compiler.cli_report import Block, Report, Table
from spikec.compiler.cli_tasks import Wanted
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Core, Graph, Program
from spikec.compiler.mapping.load import Load, load
from spikec.compiler.mapping.mesh_plot import mesh_plot
from spikec.compiler.passes.partition import demand_of, measured_rates
from spikec.compiler.pipeline import Context, run_pipeline
from spikec.compiler.target import load_target
from spikec.compiler.types import Array

SHOWN = 24  # cores in the table for people; the JSON has all
RUNS = 3  # of one population that a row names
WORDS = {
    "compartments": "compartments",
    "in_axons": "input axons",
    "out_axons": "output axons",
    "synapse_bits": "synapse bits",
    "configurations": "decays",
    "thresholds": "thresholds",
    "synapse_formats": "formats",
}


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """What is known about a mapped program.

    Attributes:
        program: With a mapping.
        held: Its load.
        profile: Whether the rates of sources were measured; otherwise each sends one spike a step.
    """

    program: Program
    held: Load
    profile: bool

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        assert self.program.mapping is not None
        held, binding = self.held, self.held.binding()
        return {
            "profile": self.profile,
            "cores": [
                {
                    "chip": c.chip,
                    "x": c.x,
                    "y": c.y,
                    "index": c.index,
                    "holds": _sizes(c),
                    "used": {name: int(a[k]) for name, a in held.used.items()},
                    "limit": {name: int(a[k]) for name, a in held.limits.items()},
                    "binding": binding[k],
                    "axons_from": {p: int(a[k]) for p, a in held.origins.items() if a[k]},
                }
                for k, c in enumerate(self.program.mapping.cores)
            ],
            "least_cores": least_cores(held),
            "spikes_between_cores": held.between_cores(),
        }

    def blocks(self) -> list[Block]:
        """Return tables for people: use, axons, and the reason for the number of cores."""
        assert self.program.mapping is not None
        held, cores = self.held, self.program.mapping.cores
        names = [n for n in WORDS if n in held.used]
        shares, binding = held.shares(), held.binding()
        fullest = np.argsort(-np.max(np.stack(list(shares.values())), axis=0), kind="stable")
        shown: list[int] = sorted(int(k) for k in fullest[:SHOWN])
        rows: list[tuple[str, ...]] = []
        for k in shown:
            figures = (f"{held.used[n][k]:,}/{held.limits[n][k]:,}" for n in names)
            rows.append((str(cores[k]), *figures, WORDS[binding[k]], _holds(cores[k])))
        header = ("core", *(WORDS[n] for n in names), "most used", "holds")
        blocks: list[Block] = [Table(header, tuple(rows))]
        if len(cores) > SHOWN:
            blocks.append(f"the {SHOWN} fullest of {len(cores):,} cores; --json has all")
        origins = [
            (str(cores[k]), p, f"{a[k]:,}") for k in shown for p, a in held.origins.items() if a[k]
        ]
        blocks += ["", Table(("core", "its input axons come from", "axons"), tuple(origins))]
        blocks += ["", self._reason()]
        return blocks

    def plot(self, path: Path) -> None:
        """Draw the mesh, each core by the part that it uses of its fullest resource."""
        mesh, mapping = load_target(self.program.target).mesh, self.program.mapping
        assert mesh is not None
        assert mapping is not None
        used = np.max(np.stack(list(self.held.shares().values())), axis=0)
        mesh_plot(
            mapping.places,
            used,
            self.held.traffic,
            mesh.holding(mapping.size),
            path,
            f"{self.program.graph.name} on {self.program.target}",
            "used part of the fullest resource",
        )

    def _reason(self) -> str:
        least = least_cores(self.held)
        parts = [f"{WORDS[name]} {number:,}" for name, number in least.items()]
        what = "spikes per step" if self.profile else "spikes per step if every source sends one"
        return (
            f"{self.held.cores:,} cores; least by {', '.join(parts)}. "
            f"{self.held.between_cores():,.1f} {what} go to another core"
        )


def report(
    wanted: Wanted, graph: Graph, program: Program, inputs: Mapping[str, Array] | None
) -> Report:
    """Return why a program takes the cores it takes, and what would help.

    Args:
        wanted: What of it.
        graph: What the program was compiled from.
        program: Compiled.
        inputs: Calibration data, for the rates.

    Raises:
        SpikecError: SPK1775 when the program has no mapping; errors of ``mesh_plot``.
    """
    if program.mapping is None:
        raise SpikecError(
            "SPK1775",
            "--explain" if wanted.explain else "--plot",
            f"target '{program.target}' placed nothing on cores",
            "Choose a target with cores, such as loihi1, and correct what does not fit",
        )
    context = Context(inputs or {})
    rate = measured_rates(program, context)
    told = Explanation(program, load(program, demand_of(program), rate), rate is not None)
    shown: dict[str, Any] = {}
    blocks: list[Block] = []
    if wanted.explain:
        found = remedies(graph, program, context)
        shown |= {"cores": told.as_json(), "remedies": [asdict(r) for r in found if r.text]}
        blocks += ["", *told.blocks(), *_remedy_blocks(program, found), ""]
    if wanted.plot is not None:
        told.plot(wanted.plot)
        shown["picture"] = str(wanted.plot)
        blocks.append(f"picture  {wanted.plot}")
    return Report(shown, blocks)


def _remedy_blocks(program: Program, found: list["Remedy"]) -> list[Block]:
    assert program.mapping is not None
    before = agreement(program)
    cores = next((r.cores for r in found if not r.text), program.mapping.size)
    rows: list[tuple[str, ...]] = []
    for remedy in (r for r in found if r.text):
        effect = "unknown: give --calibration"
        if before is not None and remedy.agreement is not None:
            effect = f"{100 * (before - remedy.agreement):+.2f} %"
        rows.append((remedy.text, f"{remedy.cores:,}", f"{remedy.cores - cores:+,}", effect))
    return [
        "",
        Table(("what would help", "cores, about", "difference", "spike error"), tuple(rows)),
    ]


def least_cores(held: Load) -> dict[str, int]:
    """Return how many cores each memory would need alone, were nothing stored twice or rounded up.

    Input axons: no axon serves more of a core's neurons than it does now.
    """
    total = {name: int(held.used[name].sum()) for name in ("compartments", "synapse_bits")}
    total["in_axons"] = int(held.used["in_axons"].sum())
    return {name: -(-used // int(held.limits[name].max())) for name, used in total.items()}


def _sizes(core: Core) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for part in core.slices:
        sizes[part.node] = sizes.get(part.node, 0) + part.stop - part.start
    return sizes


def _holds(core: Core) -> str:
    """Return the neurons of a core, as ranges where they are few."""
    texts: list[str] = []
    for name, size in _sizes(core).items():
        runs = [p for p in core.slices if p.node == name]
        if len(runs) <= RUNS:
            texts += [f"{p.node}[{p.start}:{p.stop}]" for p in runs]
        else:
            texts.append(f"{size} of {name}")
    return " ".join(texts)


# ---------------------------------------------------------------- what would help


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change of options and what it brings.

    Attributes:
        text: The change.
        cores: Cores afterwards.
        agreement: Share of spikes that coincide with the floating-point network, the least of all
            populations, or None without calibration data.
    """

    text: str
    cores: int
    agreement: float | None


def remedies(graph: Graph, program: Program, context: Context) -> list[Remedy]:
    """Try other options and return what each brings, the fewest cores first.

    Args:
        graph: What the program was compiled from.
        program: Mapped.
        context: Calibration data; without it the effect on spikes is unknown.
    """
    found: list[Remedy] = []
    for text, target, pipeline in _variants(program):
        try:
            made = run_pipeline(Program(graph, target), pipeline, context)
        except SpikecError:
            continue
        if made.mapping is not None:
            found.append(Remedy(text, made.mapping.size, agreement(made)))
    return sorted(found, key=lambda r: (r.cores, -(r.agreement or 0.0)))


def _variants(program: Program) -> list[tuple[str, str, str]]:
    """Return text, target and pipeline of changes that may take fewer cores; first of none."""
    passes = _quick(program.passes)
    found = [("", program.target, passes)]
    for bits in (6, 5, 4):
        if "weight_bits" not in passes:
            changed = passes.replace("quantize_loihi{", f"quantize_loihi{{weight_bits={bits},")
            found.append((f"{bits}-bit weights", program.target, changed))
    if "prune" not in passes:
        changed = passes.replace("retime", "prune,retime")
        found.append(("prune zero weights", program.target, changed))
    if program.target == "loihi1":
        there = _quick(load_target("loihi2").pipeline)
        found.append(("--target loihi2", "loihi2", there))
    return found


def _quick(pipeline: str) -> str:
    """Return the pipeline with a fast partition, whose number of cores is near that of the best."""
    whole = pipeline.removesuffix(",place")
    if "partition{" in whole:
        return whole.replace("partition{", "partition{method=greedy,")
    return whole.replace("partition", "partition{method=greedy}")


def agreement(program: Program) -> float | None:
    """Return the least share of coinciding spikes that quantisation reported, or None."""
    report: Mapping[str, Any] = program.reports.get("quantize_loihi", {}).get("agreement", {})
    shares = [row["spike_agreement"] for row in report.values() if "spike_agreement" in row]
    return min(shares) if shares else None
