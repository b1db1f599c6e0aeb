"""The main job on real data: compile, simulate, verify and profile the bundled digits network.

Run by ``make demo``. Each step is one public call; the command line does the same (README).
"""

import time
from pathlib import Path

import spikec
from spikec.compiler.compare import compare
from spikec.compiler.counting import count_inputs
from spikec.compiler.energy_table import comparison, counts_text, energy_text, neurobench_text
from spikec.compiler.signals import encode, read_out
from spikec.compiler.target import load_target
from spikec.compiler.types import Array
from training.digits import split_digits

FOLDER = Path("build/demo")
# Name, target, and passes in place of the target's own.
BUILDS: tuple[tuple[str, str, str | None], ...] = (
    ("float", "cpu", None),
    ("8 bits", "cpu", "discretize,quantize{weight_bits=8}"),
    ("loihi1", "loihi1", None),
)


def held_out() -> tuple[Array, Array]:
    """Return the 540 held-out digits as spikes (samples, 16, 64), and their labels."""
    _, tested, _, wanted = split_digits()
    return encode(tested, "latency", 16), wanted


def main() -> None:
    """Print what was compiled, how accurate it is, what was compared, and where the build lies."""
    spikes, labels = held_out()
    graph = spikec.load("digits")
    sizes = [i.size for i in graph.inputs] + [p.size for p in graph.populations]
    neurons = " - ".join(str(size) for size in sizes)
    print(f"network   {graph.name}: {neurons}, LIF, hard reset; dt {graph.dt:g} s")
    print(f"data      {len(labels)} held-out 8x8 digits of scikit-learn, {spikes.shape[1]} steps")
    for name, target, pipeline in BUILDS:
        program = spikec.compile(graph, target, spikes[:100], pipeline=pipeline)
        artifact = spikec.emit(program, FOLDER / name.replace(" ", "_"))
        program = spikec.open(artifact.folder)
        simulator = spikec.Simulator(program)
        simulator.run(spikes[:1])  # the first call compiles, or loads, the kernels
        begin = time.perf_counter()
        trace = simulator.run(spikes)
        seconds = time.perf_counter() - begin
        right = int((read_out(trace.output, "count") == labels).sum())
        print()
        print(f"{name}")
        print(f"  accuracy  {right} of {len(labels)} = {100 * right / len(labels):.2f} %")
        print(f"  speed     {len(labels) / seconds:,.0f} digits/s")
        found = compare(program, {"input": spikes})
        print(f"  verified  {found}")
        print(f"  build     {artifact.folder}")
        if not found.equal:
            raise SystemExit(1)
        books = load_target(target).prices
        if books:
            show_energy(program, spikes, books)


def show_energy(program: spikec.Program, spikes: Array, books: tuple[str, ...]) -> None:
    """Print what the run counts, and what it costs by each price book."""
    for finding in program.graph.findings:
        print(f"  finding   {finding}")
    counts = count_inputs(program, spikes)
    reports = [spikec.profile(program, counts, book) for book in books]
    texts = [counts_text(counts), neurobench_text(counts), *map(energy_text, reports)]
    for text in [*texts, comparison(reports)]:
        print(f"\n{text}")


if __name__ == "__main__":
    main()
