"""Golden vectors: events in, and what must come out by the reference, to test hardware with."""

from collections.abc import Mapping

import numpy as np

from spikec.backends.fpga.build import header
from spikec.backends.fpga.plan import Plan, Stream
from spikec.backends.fpga.simulation.expected import counters
from spikec.backends.fpga.simulation.runner import stimulus
from spikec.backends.fpga.simulation.selftest import selftest
from spikec.backends.fpga.simulation.simulators import bench_texts, design_header
from spikec.compiler.artifact import json_text
from spikec.compiler.ir import Trace
from spikec.compiler.signals import quiet, random_inputs
from spikec.compiler.simulator import Simulator, stored_inputs
from spikec.compiler.types import Array

STEPS, PROBABILITY, SEED = 16, 0.2, 0
# Fewer steps where there are more channels.
MOST_NUMBERS = 1 << 18


def golden(plan: Plan) -> dict[str, str]:
    """Return the files of tb/: test benches, a stimulus, and what must come out."""
    graph = plan.program.graph
    channels = sum(i.size for i in graph.inputs)
    steps = max(1, min(STEPS, MOST_NUMBERS // channels)) + plan.warm_up
    given = random_inputs(graph, 1, steps, PROBABILITY, SEED)
    for values in given.values():
        values[:, steps - plan.warm_up :] = 0
    # The reference runs on by the warm-up once more, so that every step of the hardware is there.
    trace = Simulator(plan.program, "reference", quiet).run(given, ("spikes", "state"))
    stored = {n: a.astype(np.int64) for n, a in stored_inputs(graph, given).items()}
    sent = {e.population.name: _sent(plan, trace, k, steps) for k, e in enumerate(plan.engines)}
    nothing = {name: np.zeros_like(a) for name, a in sent.items()}
    counted = counters(plan, stored, sent, nothing)
    for row in counted:
        del row["saturations"]  # the trace has no single ones
    words = stimulus(plan, {name: a[0] for name, a in stored.items()})
    expected = _expected(plan, sent, steps)
    named = {e.population.name: c for e, c in zip(plan.engines, counted, strict=True)}
    return {
        **{f"tb/{name}": text for name, text in bench_texts().items()},
        "tb/verilator/design.h": design_header(plan, "verilator"),
        "tb/cxxrtl/design.h": design_header(plan, "cxxrtl"),
        "tb/selftest.sv": selftest(plan, header(plan), len(words), len(expected)),
        "tb/stimulus.hex": _hex(words, Stream(plan.inputs).bits),
        "tb/expected.hex": _hex(expected, Stream(plan.outputs).bits),
        "tb/counters.json": json_text({"steps": steps, "counters": named}),
    }


def _sent(plan: Plan, trace: Trace, k: int, steps: int) -> Array:
    """Return what an engine sends in every step of the hardware, (1, steps, size)."""
    population = plan.engines[k].population
    found = trace.spikes[population.name].reshape(1, steps, population.size).astype(np.int64)
    late = np.pad(found, ((0, 0), (population.start, 0), (0, 0)))
    return np.asarray(late[:, :steps])


def _expected(plan: Plan, sent: Mapping[str, Array], steps: int) -> list[int]:
    """Return the words of the output stream, in each step by rising id."""
    form = Stream(plan.outputs)
    eos, mask = 1 << (form.bits - 1), (1 << form.value_bits) - 1
    words: list[int] = []
    for step in range(steps):
        for s in plan.outputs:
            row = sent[s.name][0, step]
            for k in np.flatnonzero(row).tolist():
                words.append((s.start + k) << form.value_bits | (int(row[k]) & mask))
        words.append(eos)
    return words


def _hex(words: list[int], bits: int) -> str:
    return "".join(f"{w:0{bits // 4}x}\n" for w in words)
