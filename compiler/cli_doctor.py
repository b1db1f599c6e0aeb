"""What ``spikec doctor`` does: diagnose a NIR file and print it."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from spikec.compiler.cli_report import Block, Findings, Report, Table
from spikec.compiler.cli_tasks import Data
from spikec.compiler.doctor.diagnosis import Diagnosis, diagnose
from spikec.compiler.doctor.readings import Feed, Reading
from spikec.compiler.frontends import bundled_models
from spikec.compiler.ir import Graph
from spikec.compiler.semantics import Semantics
from spikec.compiler.types import Array

STEPS, PROBABILITY, SEED = 100, 0.2, 0


def doctor(model: str, data: Data, semantics: str | None, dt: float | None) -> Report:
    """Diagnose a file; exit code 1 where it is broken or ambiguous in a way that matters."""
    findings = Findings()
    source = bundled_models().get(model, Path(model))
    meant = None if semantics is None else Semantics.parse(semantics)
    feed, text = _feed(data, findings)
    found = diagnose(source, feed, meant, dt)
    shown = asdict(found) | {"broken": found.broken, "input": text}
    return Report(shown, _blocks(found, text), findings, code=int(found.broken))


def _feed(data: Data, findings: Findings) -> tuple[Feed, str]:
    """Return what gives a graph its inputs, and how that is called."""
    if data.path is not None:
        return lambda graph: data.read(graph, findings), str(data.path)
    steps, seed = data.steps or STEPS, data.seed or SEED

    def spikes(graph: Graph) -> Mapping[str, Array]:
        random = np.random.default_rng(seed)
        return {i.name: random.random((1, steps, *i.shape)) < PROBABILITY for i in graph.inputs}

    return spikes, f"{steps} steps of random spikes, probability {PROBABILITY}, seed {seed}"


def _blocks(found: Diagnosis, text: str) -> list[Block]:
    blocks: list[Block] = [f"file      {found.name}, NIR {found.version}"]
    for k, guess in enumerate(found.guesses):
        label = "by" if k == 0 else "or by"
        sure = "" if guess.certain else "perhaps "
        blocks.append(f"{label:<10}{sure}{guess.name}: {guess.evidence}")
    blocks += ["", *map(str, found.checks)] if found.checks else []
    if found.readings:
        blocks += ["", f"spikes under each convention, on {text}", _table(found)]
    verdict = "see the errors above" if found.broken else "nothing is broken or ambiguous"
    return [*blocks, "", f"verdict   {verdict}"]


def _table(found: Diagnosis) -> Table:
    rows = [_row(k, r, r.semantics in found.open) for k, r in enumerate(found.readings)]
    return Table(("convention", "", "dt s", "spikes", "first difference"), tuple(rows))


def _row(k: int, reading: Reading, still_open: bool) -> tuple[str, ...]:
    mark = "taken" if k == 0 else "open" if still_open else ""
    dt = "-" if reading.dt is None else f"{reading.dt:g}"
    if reading.spikes is None:
        return reading.semantics, mark, dt, "-", "cannot be run: " + _short(reading.problem)
    same = "" if k == 0 else "none"
    return reading.semantics, mark, dt, f"{reading.spikes:,}", reading.difference or same


def _short(problem: str) -> str:
    """Return an error without the pass it came from and without its remedy."""
    return problem.removeprefix("discretize: ").split(". ")[0]
