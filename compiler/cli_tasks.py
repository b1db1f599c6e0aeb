"""What the commands do: each function does the work of one and returns its report."""

import json
import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from spikec.compiler.artifact import MANIFEST, emit, open_folder
from spikec.compiler.cli_report import Bar, Block, Findings, Report, Table
from spikec.compiler.compare import batches, counted
from spikec.compiler.disk import restore, whole_file
from spikec.compiler.errors import SpikecError
from spikec.compiler.expr import describe
from spikec.compiler.frontends import load
from spikec.compiler.frontends.nir_out import to_nir
from spikec.compiler.ir import Graph, Program, Trace
from spikec.compiler.npz import BatchWriter
from spikec.compiler.pipeline import compile_graph
from spikec.compiler.plot import raster
from spikec.compiler.signals import (
    check_labels,
    random_inputs,
    read_inputs,
    read_labels,
    read_out,
)
from spikec.compiler.simulator import Simulator, find_backend
from spikec.compiler.target import load_target, target_names
from spikec.compiler.text import print_program
from spikec.compiler.types import Array
from spikec.compiler.wiring import lanes

# What verify runs on where the user gives no input.
SAMPLES, STEPS, PROBABILITY, SEED = 8, 50, 0.2, 0
# Fewer samples and steps where a network has so many channels.
MOST_RANDOM = 1 << 25


@dataclass(frozen=True, slots=True)
class Source:
    """A model as the command line names it."""

    model: str
    dt: float | None
    semantics: str | None

    def load(self) -> Graph:
        """Return the graph; what the user's own module prints is no data of ours."""
        with redirect_stdout(sys.stderr):
            return load(self.model, self.dt, self.semantics)


@dataclass(frozen=True, slots=True)
class Data:
    """Input data as the command line names them."""

    path: Path | None
    encoding: str | None
    steps: int | None
    seed: int | None
    labels: Path | None = None

    def read(self, graph: Graph, findings: Findings) -> dict[str, Array]:
        """Return the inputs of a network."""
        assert self.path is not None
        chosen = self.encoding, self.steps, self.seed or 0
        return read_inputs(self.path, graph, graph.dt, *chosen, report=findings.tell)

    def read_labels(self, inputs: Mapping[str, Array]) -> Array | None:
        """Return the labels, if there are any, one for each sample of ``inputs``."""
        if self.labels is None:
            return None
        labels = read_labels(self.labels)
        for data in list(inputs.values())[:1]:
            check_labels(labels, len(data))
        return labels


@dataclass(frozen=True, slots=True)
class Arrays:
    """Resistive arrays that a program is to run on: their devices, and the seed of those."""

    devices: str
    seed: int = 0

    def runner(self, program: Program) -> Any:
        """Return the program on such arrays."""
        return find_backend("crossbar").prepare_devices(program, self.devices, self.seed)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user wants to see of the cores.

    Attributes:
        explain: Why it takes the cores it takes, and what would help.
        plot: A picture of the mesh to write.
    """

    explain: bool = False
    plot: Path | None = None


# ---------------------------------------------------------------- check and compile


def check(source: Source, target: str, pipeline: str | None, data: Data, wanted: Wanted) -> Report:
    """Compile in memory and ask the target's backend."""
    findings = Findings()
    program, why = _compile(source, target, pipeline, data, findings, None, wanted)
    chosen = load_target(target)
    misfits = find_backend(chosen.backend).supports(program)
    verdict = f"does not fit {target}" if misfits else f"fits {target}"
    if chosen.unchecked and not misfits:
        verdict += " as far as it is checked"
    line = f"{program.graph.name} {verdict}: {_sizes(program)}"
    shown = {"fits": not misfits, "program": _figures(program), **why.data}
    findings.tell(*misfits)
    return Report(shown, [line, *why.blocks], findings, code=1 if misfits else 0)


def compile_model(
    source: Source,
    target: str,
    output: Path,
    pipeline: str | None,
    data: Data,
    dump: Path | None,
    wanted: Wanted,
) -> Report:
    """Compile and write the build, unless something does not fit."""
    findings = Findings()
    program, why = _compile(source, target, pipeline, data, findings, dump, wanted)
    backend = find_backend(load_target(target).backend)
    misfits = backend.supports(program)
    figures, table = _estimated(backend, program)
    why = Report({**why.data, **figures}, [*why.blocks, *table])
    if misfits:
        lines = [f"{program.graph.name} does not fit {target}; nothing is written", *why.blocks]
        findings.tell(*misfits)
        return Report({"program": _figures(program), **why.data}, lines, findings, code=1)
    artifact = emit(program, output)
    if hasattr(backend, "remarks"):
        findings.tell(*backend.remarks(program))
    size = sum((output / name).stat().st_size for name in artifact.files)
    blocks: list[Block] = [f"{program.graph.name} for {target}: {_sizes(program)}"]
    blocks += _quantization(program)
    blocks += why.blocks
    blocks += [f"build  {output}  ({len(artifact.files)} files, {_bytes(size)})"]
    shown = {
        **why.data,
        "build": str(output),
        "files": list(artifact.files),
        "program": _figures(program),
        "reports": program.reports,
    }
    return Report(shown, blocks, findings)


def _estimated(backend: Any, program: Program) -> tuple[Mapping[str, Any], Sequence[Block]]:
    """Return what the backend says that a program takes, if it has such figures."""
    if program.stage != "integer" or not hasattr(backend, "figures"):
        return {}, []
    data, blocks = backend.figures(program)
    return data, blocks


def _compile(
    source: Source,
    target: str,
    pipeline: str | None,
    data: Data,
    findings: Findings,
    dump: Path | None,
    wanted: Wanted,
) -> tuple[Program, Report]:
    """Return the program, and if wanted why it takes the cores that it takes."""
    graph = source.load()
    findings.tell(*graph.findings)
    inputs = data.read(graph, findings) if data.path else None
    labels = data.read_labels(inputs or {})

    def observe(name: str, program: Program) -> None:
        if dump is not None:
            with whole_file(dump / f"{name}.txt") as temporary:
                temporary.write_text(print_program(program), encoding="utf-8")

    with Bar() as bar:
        program = compile_graph(
            graph, target, inputs, labels, pipeline, progress=bar, observe=observe
        )
    findings.tell(*program.graph.findings)
    if wanted == Wanted():
        return program, Report({}, [])
    backend = find_backend(load_target(target).backend)
    if wanted == Wanted(explain=True) and hasattr(backend, "explain"):
        return program, backend.explain(program)
    # Compiled kernels are behind it, which most commands start without.
    from spikec.compiler.cli_explain import report

    return program, report(wanted, graph, program, inputs)


def _figures(program: Program) -> dict[str, Any]:
    graph = program.graph
    return {
        "name": graph.name,
        "target": program.target,
        "pipeline": program.passes,
        "stage": program.stage,
        "dt_s": graph.dt,
        "latency_steps": program.latency,
        "populations": {p.name: p.size for p in graph.populations},
        "projections": len(graph.projections),
        "weights": sum(p.synapse.weight.data.size for p in graph.projections),
        "metadata": dict(graph.metadata),
    }


def _sizes(program: Program) -> str:
    shown = _figures(program)
    neurons = sum(shown["populations"].values())
    parts = [
        counted(len(shown["populations"]), "population"),
        counted(neurons, "neuron"),
        counted(shown["projections"], "projection"),
        counted(shown["weights"], "weight"),
        "integers" if program.stage == "integer" else "floating point",
    ]
    if program.latency:
        parts.append(f"latency {counted(program.latency, 'step')}")
    if program.mapping is not None:
        parts.append(counted(program.mapping.size, "core"))
    return ", ".join(parts)


def _bytes(size: int) -> str:
    return f"{size:,} bytes" if size < 10_000 else f"{size / 1000:,.0f} kB"


def _quantization(program: Program) -> list[Block]:
    """Return what quantize or quantize_loihi found out, by population."""
    columns, report = ("state", "bound"), program.reports.get("quantize")
    if not report:
        columns, report = ("exponent", "weight_bits"), program.reports.get("quantize_loihi")
    if not report:
        return []
    if "unchanged" in report:
        return [f"quantize_loihi  left the program as it is: {report['unchanged']}"]
    agreement: Mapping[str, Mapping[str, Any]] = report.get("agreement", {})
    header = ("population", *(c.replace("_", " ") for c in columns))
    measured = ("SQNR dB", "spikes float", "integer", "agreement", "saturations")
    rows: list[tuple[str, ...]] = []
    for name, row in report["populations"].items():
        seen = agreement.get(name, {})
        noise = seen.get("sqnr_db")
        figures = (
            "-" if noise is None else f"{noise:.1f}",
            f"{seen.get('spikes_float', 0):,}",
            f"{seen.get('spikes_integer', 0):,}",
            f"{100 * seen.get('spike_agreement', 0):.2f} %",
            f"{seen.get('saturations', 0):,}",
        )
        shown = (str(row[c]) for c in columns)
        rows.append((name, *shown, *(figures if agreement else ())))
    blocks: list[Block] = [Table(header + (measured if agreement else ()), tuple(rows))]
    if "correct" in report:
        of = report["samples"]
        counts = ", ".join(f"{k} {_share(n, of)}" for k, n in report["correct"].items())
        blocks.append(f"accuracy  {counts}")
    return blocks


def _share(correct: int, of: int) -> str:
    return f"{correct:,} of {of:,} = {100 * correct / of:.2f} %"


# ---------------------------------------------------------------- show


def show(
    source: Source, equations: bool, nir: Path | None = None, reader: str | None = None
) -> Report:
    """Print the text form of a model as loaded, or of a build; equations and a file if wanted.

    Raises:
        SpikecError: SPK0971 when options of a model are given with a build.
    """
    restore(Path(source.model))
    if os.path.lexists(os.path.join(source.model, MANIFEST)):
        if source.dt is not None or source.semantics is not None:
            raise SpikecError(
                "SPK0971",
                source.model,
                "a build has its own step and semantics",
                "Leave out --dt and --semantics, or show the model",
            )
        program = open_folder(source.model)
    else:
        program = Program(source.load())
    text = print_program(program)
    data: dict[str, Any] = {"text": text}
    blocks: list[Block] = [text.rstrip("\n")]
    if equations:
        discrete = program
        if program.stage == "continuous":
            discrete = compile_graph(program.graph, pipeline="discretize")
        made = {
            name: describe({"out": lane.output, **lane.states})
            for name, lane in lanes(discrete.graph).items()
        }
        data["equations"] = made
        for name, equation in made.items():
            kind = discrete.graph.population(name).model().kind
            blocks += [f"\n{name}: {kind}, each step", equation]
    findings = Findings()
    findings.tell(*program.graph.findings)
    if nir is not None:
        findings.tell(*to_nir(program, nir, reader))
        data["nir"] = str(nir)
        blocks.append(f"nir  {nir}")
    return Report(data, blocks, findings)


def show_tile(build: Path, output: Path, tile: int) -> Report:
    """Write a tile of a build as a netlist."""
    text = find_backend("crossbar").netlist(open_folder(build), tile)
    with whole_file(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    lines = text.count("\n")
    return Report(
        {"netlist": str(output), "lines": lines}, [f"netlist  {output} ({lines:,} lines)"]
    )


# ---------------------------------------------------------------- simulate


def simulate(
    build: Path,
    data: Data,
    output: Path | None,
    record: tuple[str, ...],
    backend: str,
    readout: str | None,
    plot: Path | None,
    arrays: Arrays | None = None,
) -> Report:
    """Run a build on data, a batch of samples at a time."""
    program = open_folder(build)
    findings = Findings()
    inputs = data.read(program.graph, findings)
    labels = data.read_labels(inputs)
    method = readout or (None if labels is None else "count")
    runner = None if arrays is None else arrays.runner(program)
    simulator = Simulator(program, backend, findings.tell, runner)
    parts = [part for part, _ in batches(program, inputs, record)]
    if plot is not None:
        first = {name: np.asarray(a)[:1] for name, a in inputs.items()}
        raster(simulator.run(first, ("spikes",)), program, plot)
    samples, steps = next(iter(inputs.values())).shape[:2]
    totals = {p.name: {"spikes": 0, "saturations": 0} for p in program.graph.order()}
    chosen: list[Array] = []
    with Bar() as bar, _written(output, samples) as add:
        for part in parts:
            trace = simulator.run({n: np.asarray(a)[part] for n, a in inputs.items()}, record)
            add(_arrays(trace))
            for name, counts in totals.items():
                for key in counts:
                    counts[key] += trace.counts[name][key]
            if method is not None:
                chosen.append(read_out(trace.output, method))
            bar("simulate", part.stop, samples)
    extent = f"{counted(samples, 'sample')} x {counted(steps, 'step')}"
    shown: dict[str, Any] = {"samples": samples, "steps": steps, "backend": backend}
    shown["populations"] = totals
    blocks: list[Block] = [f"{program.graph.name} on {backend}: {extent}"]
    blocks.append(_activity(program, totals, samples * steps))
    if runner is not None:
        shown["remarks"] = runner.remarks()
        blocks += runner.remarks()
    if method is not None:
        blocks.append(_classes(np.concatenate(chosen), labels, method, shown))
    for what, path in (("output", output), ("picture", plot)):
        if path is not None:
            shown[what] = str(path)
            blocks.append(f"{what}  {path}")
    return Report(shown, blocks, findings)


def _classes(classes: Array, labels: Array | None, method: str, shown: dict[str, Any]) -> str:
    """Return the accuracy, or the classes, as a line; add them to what JSON shows."""
    shown |= {"readout": method, "classes": classes.tolist()}
    if labels is None:
        return f"classes  {' '.join(str(c) for c in classes)}"
    right = int((classes == labels).sum())
    shown["accuracy"] = {"correct": right, "of": len(labels)}
    return f"accuracy  {_share(right, len(labels))}  (readout {method})"


def _activity(program: Program, totals: Mapping[str, Mapping[str, int]], steps: int) -> Table:
    """Return a row for each population."""
    rows: list[tuple[str, ...]] = []
    for population in program.graph.order():
        counts = totals[population.name]
        spiking = population.model().emits != "values"
        rate = counts["spikes"] / (steps * population.size)
        figures = (f"{counts['spikes']:,}", f"{rate:.4f}") if spiking else ("-", "-")
        rows.append(
            (population.name, f"{population.size:,}", *figures, f"{counts['saturations']:,}")
        )
    header = ("population", "neurons", "spikes", "per neuron and step", "saturations")
    return Table(header, tuple(rows))


def _arrays(trace: Trace) -> dict[str, Array]:
    """Return what a file of results holds, by name."""
    found = dict(trace.outputs)
    found |= {f"spikes/{name}": a for name, a in trace.spikes.items()}
    for name, states in trace.state.items():
        found |= {f"state/{name}/{state}": a for state, a in states.items()}
    return found


@contextmanager
def _written(output: Path | None, samples: int) -> Generator[Callable[[Mapping[str, Array]], None]]:
    """Give a function that takes batches of results; the file appears at the end."""
    if output is None:
        yield lambda arrays: None
        return
    with (
        whole_file(output) as temporary,
        TemporaryDirectory(prefix=".spikec-", dir=temporary.parent) as pieces,
    ):
        writer = BatchWriter(Path(pieces), samples)
        yield writer.add
        writer.finish(temporary)


# ---------------------------------------------------------------- verify


@dataclass(frozen=True, slots=True)
class Lava:
    """An interpreter that has Lava, and the seconds that a run in it may take."""

    python: str
    limit: float

    def runner(self, build: Path, program: Program) -> Any:
        """Return what runs the Lava program of a build.

        Raises:
            SpikecError: SPK1651 when its target has none.
        """
        backend = find_backend(load_target(program.target).backend)
        if not hasattr(backend, "lava"):
            raise SpikecError(
                "SPK1651",
                str(build),
                f"a build for {program.target} holds no Lava program",
                "Compile for loihi1 or loihi2",
            )
        return backend.lava(program, build, self.python, self.limit)


def verify_inputs(
    graph: Graph, data: Data, findings: Findings, fixed_steps: int | None = None
) -> tuple[dict[str, Array], str]:
    """Return the inputs that are given, or random ones, and what to call them.

    Args:
        graph: The network.
        data: As the command line names them.
        findings: Takes findings on the data.
        fixed_steps: Steps of random inputs where none are asked for, in place of ``STEPS``.
    """
    if data.path is not None:
        return data.read(graph, findings), str(data.path)
    channels = sum(i.size for i in graph.inputs)
    steps = data.steps or fixed_steps or max(1, min(STEPS, MOST_RANDOM // channels))
    samples = max(1, min(SAMPLES, MOST_RANDOM // (channels * steps)))
    seed = SEED if data.seed is None else data.seed
    origin = (
        f"random, {counted(samples, 'sample')} x {counted(steps, 'step')}, "
        f"spikes with probability {PROBABILITY}, values uniform, seed {seed}"
    )
    return random_inputs(graph, samples, steps, PROBABILITY, seed), origin


# ---------------------------------------------------------------- targets and models


def targets() -> Report:
    """List the targets."""
    listed = [load_target(name) for name in target_names()]
    rows = tuple((t.name, t.backend, ", ".join(t.prices) or "-", t.title) for t in listed)
    blocks: list[Block] = [Table(("target", "runs on", "prices", ""), rows), ""]
    blocks.append(Table(("target", "pipeline"), tuple((t.name, t.pipeline) for t in listed)))
    return Report({"targets": [asdict(t) for t in listed]}, blocks)


def models() -> Report:
    """List the bundled models."""
    found: list[dict[str, Any]] = []
    for folder in sorted(files("spikec.models").iterdir(), key=lambda f: f.name):
        described = folder / f"{folder.name}.json"
        if described.is_file():
            found.append({"name": folder.name, **json.loads(described.read_text())})
    rows = tuple((str(m["name"]), _accuracy(m), str(m.get("dataset", "-"))) for m in found)
    return Report({"models": found}, [Table(("model", "accuracy", "dataset"), rows)])


def _accuracy(model: Mapping[str, Any]) -> str:
    accuracy = model.get("accuracy")
    return _share(accuracy["correct"], accuracy["of"]) if accuracy else "-"
