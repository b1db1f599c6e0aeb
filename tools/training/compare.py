# pyright: basic, reportMissingImports=false
"""Compare a trained network with what spikec makes of it, on every test sample."""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import spikec
from spikec.compiler.signals import quiet, read_out
from spikec.compiler.simulator import Simulator
from spikec.compiler.types import Array
from training import networks
from training.precision import double_spikes
from training.train import Trained

CHUNK = 500  # samples at a time: 25 steps of 784 inputs in float64 are 80 MB
LIMITS = {"float32": 1e-4, "float64": 1e-9}  # of a membrane, whose threshold would be 1
EIGHT_BITS = "discretize,quantize{weight_bits=8}"


@dataclass
class Found:
    """What a comparison found.

    Attributes:
        samples: Test samples.
        right: Right classes by what ran: the framework in either precision, and each program.
        seconds: Wall time of each of them.
        differing: Samples whose output differs from spikec's floating point, by precision: any
            count of an output neuron, or a membrane of the output beyond LIMITS.
        hidden: The same for any single hidden spike.
        spikes: By population, as spikec sent them in floating point.
        largest: Largest difference of an output membrane, by precision.
        refused: What a target said that cannot run the network.
    """

    samples: int
    right: dict[str, int] = field(default_factory=dict[str, int])
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    differing: dict[str, int] = field(default_factory=dict[str, int])
    hidden: dict[str, int] = field(default_factory=dict[str, int])
    spikes: dict[str, int] = field(default_factory=dict[str, int])
    largest: dict[str, float] = field(default_factory=dict[str, float])
    refused: dict[str, str] = field(default_factory=dict[str, str])

    def points(self, name: str) -> float:
        """Return an accuracy in per cent."""
        return 100 * self.right[name] / self.samples

    def lost(self, name: str) -> float:
        """Return by how many points a program is below spikec's floating point."""
        return self.points("spikec float") - self.points(name)


def compare(trained: Trained, graph: spikec.Graph | None = None) -> Found:
    """Run framework and programs on all test samples.

    Args:
        trained: The network.
        graph: In place of the one that is loaded from it.
    """
    task, net = trained.task, trained.net
    method = networks.READOUTS[trained.recipe.name]
    graph = graph or spikec.load(net, sample=torch.zeros(4, 1, task.test.shape[2]))
    found = Found(len(task.test))
    program = spikec.compile(graph)
    mine = _run_program(program, task.test, task.test_labels, method, "spikec float", found)
    found.spikes = {name: int(sent.sum()) for name, sent in mine.items() if sent.dtype.kind != "f"}
    for dtype in (torch.float32, torch.float64):
        _run_framework(trained, dtype, mine, found)
    net.float()
    calibration = task.calibration()
    for name, target, pipeline in (("8 bits", "cpu", EIGHT_BITS), ("loihi1", "loihi1", None)):
        try:
            made = spikec.compile(graph, target, calibration, pipeline=pipeline)
        except spikec.SpikecError as error:
            found.refused[name] = str(error)
            continue
        _run_program(made, task.test, task.test_labels, method, name, found)
    return found


def _parts(samples: int) -> Iterator[slice]:
    return (slice(k, k + CHUNK) for k in range(0, samples, CHUNK))


def _run_program(
    program: spikec.Program, data: Array, labels: Array, method: str, name: str, found: Found
) -> dict[str, Array]:
    """Note the right classes; return what every population sent, (samples, steps, neurons)."""
    simulator = Simulator(program, report=quiet)
    simulator.run(data[:1])  # compiles kernels, or loads them
    begin, right = time.perf_counter(), 0
    kept: dict[str, list[Array]] = {}
    for part in _parts(len(data)):
        trace = simulator.run(data[part], ("spikes",))
        right += int((read_out(trace.output, method) == labels[part]).sum())
        for population, sent in {**trace.spikes, **trace.outputs}.items():
            kept.setdefault(population, []).append(sent)
    found.right[name], found.seconds[name] = right, time.perf_counter() - begin
    return {population: np.concatenate(sent) for population, sent in kept.items()}


def _run_framework(trained: Trained, dtype: Any, mine: dict[str, Array], found: Found) -> None:
    """Note the right classes of the framework, and where it differs."""
    precision = str(dtype).removeprefix("torch.")
    net = trained.net.to(dtype)
    differing = hidden = right = 0
    begin = time.perf_counter()
    for part in _parts(found.samples):
        sent = _sent(net, trained.task.test[part], dtype)
        *inner, last = sent
        method = networks.READOUTS[trained.recipe.name]
        right += int((read_out(sent[last], method) == trained.task.test_labels[part]).sum())
        differing += int(_differs(sent[last], mine[last][part], precision, found).sum())
        wrong = [(sent[n] != mine[n][part]).any(axis=(1, 2)) for n in inner]
        hidden += int(np.any(wrong, axis=0).sum())
    name = f"framework {precision}"
    found.right[name], found.seconds[name] = right, time.perf_counter() - begin
    found.differing[precision], found.hidden[precision] = differing, hidden


def _differs(theirs: Array, mine: Array, precision: str, found: Found) -> Array:
    """Return which samples have another count of an output neuron, or another membrane."""
    if mine.dtype.kind != "f":
        return np.asarray((theirs.sum(axis=1) != mine.sum(axis=1)).any(axis=1))
    gap = np.abs(theirs - mine).max(axis=(1, 2))
    found.largest[precision] = max(found.largest.get(precision, 0.0), float(gap.max()))
    return np.asarray(gap > LIMITS[precision])


def _sent(net: Any, data: Array, dtype: Any) -> dict[str, Array]:
    """Run the framework; return what each neuron sent, (samples, steps, neurons)."""
    sent: dict[str, list[Any]] = {}
    hooks: list[Any] = []
    for name, module in net.named_modules():
        if type(module).__module__.startswith(("snntorch.", "norse.")) and name:
            hooks.append(module.register_forward_hook(_keep(sent.setdefault(name, []))))
    try:
        with torch.no_grad(), double_spikes() if dtype == torch.float64 else nullcontext():
            networks.outputs(net, data, dtype)
    finally:
        for hook in hooks:
            hook.remove()
    # snnTorch is called step by step, Norse once for all steps.
    whole = {n: torch.stack(t) if t[0].ndim == 2 else t[0] for n, t in sent.items()}
    arrays = {n: t.transpose(0, 1).double().numpy() for n, t in whole.items()}
    values = {n: a for n, a in arrays.items() if np.any((a != 0) & (a != 1))}
    return {n: values.get(n, a.astype(np.bool_)) for n, a in arrays.items()}


def _keep(kept: list[Any]) -> Any:
    def hook(module: Any, given: Any, result: Any) -> None:
        kept.append(result[0] if isinstance(result, tuple) else result)

    return hook
