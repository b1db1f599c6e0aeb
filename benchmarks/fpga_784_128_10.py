"""A 784-128-10 LIF network on MNIST, beside Spiker+: LUTs, registers, block RAM, cycles, lane use.

    python benchmarks/fpga_784_128_10.py [lanes ...]

Needs the shared data, pyosys and Verilator. Hidden weights are drawn from a seed, output weights
are fitted to counts of the hidden spikes by least squares: no training, and nothing is stored.
Images are rate coded, 100 steps. Resources are those of Yosys, with the registers of the host, and
beside them the estimate; cycles are simulated, from the first event in to the last out.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import spikec
from spikec.backends.fpga.build import texts
from spikec.backends.fpga.plan import Plan, plan
from spikec.backends.fpga.simulation.runner import CosimRunner
from spikec.backends.fpga.sizes.estimate import estimate
from spikec.backends.fpga.sizes.netlist import Resources
from spikec.backends.fpga.sizes.synth import synthesise
from spikec.compiler.signals import encode
from spikec.compiler.types import Array, Bool, Tensor

LANES = (4, 8, 16, 32, 64, 128)
STEPS, FITTED, SEED, CLOCK = 100, 4000, 0, 100e6
HIDDEN, CLASSES, PIXELS = 128, 10, 784
PIPELINE = "discretize,fuse,quantize{weight_bits=6,state_bits=16}"
# Carpegna et al., Spiker+, TETC 2024, abstract; the clock is recalled.
PUBLISHED = "Spiker+ (XC7Z020, published): 7,612 logic cells, 18 BRAM, 780 us at 100 MHz"


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One number of lanes.

    Attributes:
        plan: Engines.
        found: Cells by Yosys.
        guessed: Cells by the estimate.
        cycles: Of a sample, mean.
        use: By population, weight words read for each cycle in which an event is there.
        events: By population, events that arrive in a step, mean.
    """

    plan: Plan
    found: Resources
    guessed: Resources
    cycles: float
    use: Mapping[str, float]
    events: Mapping[str, float]


def images(folder: Path) -> tuple[Array, Array, Array, Array]:
    """Return pixels between 0 and 1, (samples, 784), and labels, to fit and to test."""
    with np.load(folder / "mnist" / "mnist.npz") as file:
        x, y = file["train_x"][:FITTED], file["train_y"][:FITTED]
        xt, yt = file["test_x"], file["test_y"]
    return x.reshape(-1, PIXELS) / 255, y, xt.reshape(-1, PIXELS) / 255, yt


def network(hidden: Array, output: Array) -> spikec.Graph:
    """Return the network with these weights, (targets, sources)."""
    lif = spikec.LIF(decay=0.9375, threshold=1.0, reset="subtract")
    nodes = (
        spikec.Input("image", (PIXELS,), Bool()),
        spikec.Population("hidden", (HIDDEN,), lif),
        spikec.Population("output", (CLASSES,), lif),
        spikec.Output("out", "output"),
    )
    projections = (
        spikec.Projection("image", "hidden", spikec.Dense(Tensor.floats(hidden))),
        spikec.Projection("hidden", "output", spikec.Dense(Tensor.floats(output))),
    )
    return spikec.Graph("mnist", nodes, projections, 1e-3)


def program(pixels: Array, labels: Array) -> spikec.Program:
    """Return the network in integers."""
    r = np.random.default_rng(SEED)
    hidden = r.normal(size=(HIDDEN, PIXELS)) * 0.06
    output: Array = np.zeros((CLASSES, HIDDEN))
    data = encode(pixels[:FITTED], "rate", 20, SEED)
    first = spikec.compile(network(hidden, output), pipeline="discretize")
    counts = spikec.simulate(first, data, ("spikes",)).spikes["hidden"].mean(axis=1)
    wanted = np.eye(CLASSES)[labels] - 0.1
    ridge = counts.T @ counts + 0.5 * np.eye(HIDDEN)
    output = np.asarray(np.linalg.solve(ridge, counts.T @ wanted), float).T
    given = encode(pixels[:64], "rate", STEPS, SEED + 1)
    return spikec.compile(network(hidden, output), pipeline=PIPELINE, calibration=given)


def measure(made: spikec.Program, lanes: int, data: Array, simulator: str | None) -> Measured:
    """Return cells and cycles of the network with so many lanes."""
    planned = plan(made, lanes)
    files = texts(planned)
    runner = CosimRunner(planned, files, simulator)
    runner.run({"image": data.astype(np.int64)})
    assert runner.last is not None
    cycles = sum(runner.last.cycles)
    names = [e.population.name for e in planned.engines]
    counted = dict(zip(names, runner.last.counters, strict=True))
    steps = data.shape[0] * data.shape[1]
    return Measured(
        planned,
        synthesise(planned, files).total,
        estimate(planned).total,
        cycles / len(data),
        {name: lane_use(row, cycles) for name, row in counted.items()},
        {name: row["events_in"] / steps for name, row in counted.items()},
    )


def lane_use(counters: Mapping[str, int], cycles: int) -> float:
    """Return words read for each cycle in which an event is there to be read.

    Those are the cycles of a run without updates, and without waiting for events or for the sender.
    A word fills N / G of P lanes on average, so this is lane use in units of N / (G P).
    """
    updating = counters["cycles_busy"] - counters["words"]
    waiting = counters["cycles_stall_in"] + counters["cycles_stall_send"]
    return counters["words"] / (cycles - updating - waiting)


def main() -> None:
    """Measure and print."""
    folder = Path(os.environ.get("SPIKEC_DATA", Path(__file__).parents[2] / "shared" / "data"))
    lanes = [int(a) for a in sys.argv[1:]] or list(LANES)
    pixels, labels, held, wanted = images(folder)
    made = program(pixels, labels)
    data = encode(held[:200], "rate", STEPS, SEED + 2)
    said = spikec.simulate(made, data, ("spikes",)).spikes["output"].sum(axis=1).argmax(axis=1)
    print(f"accuracy on 200 test images: {100 * np.mean(said == wanted[:200]):.1f} %")
    print(PUBLISHED)
    print(
        "| P | LUT (estimate) | FF (estimate) | DSP | BRAM36 (estimate) | cycles | us | lane use |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for most in lanes:
        m = measure(made, most, data[:20], None)
        use = m.use["hidden"]
        print(
            f"| {most} | {m.found.luts:,} ({m.guessed.luts:,}) | {m.found.ff:,} "
            f"({m.guessed.ff:,}) | {m.found.dsp} | {m.found.bram36:g} ({m.guessed.bram36:g}) | "
            f"{m.cycles:,.0f} | {1e6 * m.cycles / CLOCK:,.0f} | {100 * use:.1f} % |",
            flush=True,
        )
        if most == lanes[-1]:
            arriving = ", ".join(f"{k} {v:.1f}" for k, v in m.events.items())
            print(f"events a step: {arriving}")


if __name__ == "__main__":
    main()
