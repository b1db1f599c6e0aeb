"""1,000,000 neurons and 100,000,000 sparse synapses: built, compiled, saved, reopened, simulated.

Limits: everything up to the saved build in 2 minutes and 8 GiB, reopened in 20 s. The build is
opened and simulated by a process of its own.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import spikec
from spikec.compiler.synapses import Sparse
from spikec.compiler.types import Tensor
from spikec.compiler.verify import verify

NEURONS, FAN_IN, INPUTS, STEPS = 1_000_000, 100, 1000, 20
times: dict[str, float] = {}


@contextmanager
def timed(name: str) -> Generator[None]:
    """Keep how long the block takes, in seconds."""
    begin = time.perf_counter()
    yield
    times[name] = time.perf_counter() - begin


def network() -> spikec.Graph:
    """Return the network: every neuron has 100 random sources, one in 5 of them inhibitory."""
    random = np.random.default_rng(0)
    sources = random.integers(0, NEURONS, NEURONS * FAN_IN, dtype=np.int32)
    weights = random.random(sources.size) - 0.2
    weights *= 0.05
    weights.setflags(write=False)
    starts = np.arange(0, sources.size + 1, FAN_IN, dtype=np.int32)
    recurrent = Sparse(NEURONS, starts, sources, Tensor(weights))
    drive = spikec.FixedProbability.of(INPUTS, NEURONS, 0.02, 0.4, seed=1)
    lif = spikec.ContinuousLIF(tau=20e-3, r=20.0, v_leak=0.0, v_threshold=1.0)
    nodes = (
        spikec.Input("drive", (INPUTS,)),
        spikec.Population("neurons", (NEURONS,), lif),
        spikec.Output("out", "neurons"),
    )
    links = (
        spikec.Projection("drive", "neurons", drive),
        spikec.Projection("neurons", "neurons", recurrent, delay=1),
    )
    return spikec.Graph("large", nodes, links, 1e-3)


def peak() -> float:
    """Return the largest resident memory so far, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


def build(folder: Path) -> dict[str, float]:
    """Build, compile and save; return the figures."""
    with timed("build s"):
        graph = network()
    with timed("discretise, quantise, verify s"):
        program = spikec.compile(graph, pipeline="discretize,quantize{weight_bits=8}")
    with timed("verify once more s"):
        verify(program)
    with timed("save s"):
        spikec.emit(program, folder)
    size = sum(f.stat().st_size for f in folder.iterdir()) / (1 << 20)
    return times | {"peak GiB": peak(), "build MiB": size}


def use(folder: Path) -> dict[str, float]:
    """Reopen and simulate; return the figures."""
    with timed("reopen s"):
        program = spikec.open(folder)
    spikes = np.random.default_rng(2).random((1, STEPS, INPUTS)) < 0.05
    with timed("prepare s"):
        simulator = spikec.Simulator(program)
    with timed("simulate s"):
        trace = simulator.run(spikes)
    events = trace.counts["neurons"]["spikes"]
    return times | {
        "spikes": events,
        "synaptic events/s": events * FAN_IN / times["simulate s"],
        "peak GiB reopened": peak(),
    }


def main() -> None:
    """Print the rows as JSON; with an argument, the figures of one half."""
    if len(sys.argv) == 3:
        print(json.dumps({"build": build, "use": use}[sys.argv[1]](Path(sys.argv[2]))))
        return
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        for half in ("build", "use"):
            command = [sys.executable, __file__, half, str(Path(name) / "build")]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found |= json.loads(done.stdout)
    total = sum(found[k] for k in ("build s", "discretise, quantise, verify s", "save s"))
    found = {"built to saved s": total} | found
    limits = {"built to saved s": 120, "peak GiB": 8, "reopen s": 20}
    print(json.dumps([{"what": k, "figure": v, "limit": limits.get(k)} for k, v in found.items()]))


if __name__ == "__main__":
    main()
