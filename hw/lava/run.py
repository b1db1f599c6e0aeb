"""Run the network of this folder in Lava.

    python run.py                 the golden inputs, compared with the golden spikes and states
    python run.py --hardware      the same on Loihi 2, output spikes only
    python run.py --inputs IN.npz --output OUT.npz

IN.npz holds one array (samples, steps, channels) of 0 and 1 for each input, under its identifier in
mapping.json. OUT.npz holds <identifier>.spikes, .u and .v of each population, (samples, steps,
neurons), aligned to source time: a population that starts at step k is recorded from step k on.

Exit codes: 0 done or equal, 1 different, 3 no Lava, 4 another version of Lava, 5 Lava failed,
6 time limit, 7 no hardware.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True  # the folder stays as it was written

LAVA = "0.10.0"
FOLDER = Path(__file__).resolve().parent
DIFFERENT, NO_LAVA, OTHER_LAVA, FAILED, TOO_LONG, NO_HARDWARE = 1, 3, 4, 5, 6, 7


def leave(code: int, message: str) -> None:
    """End at once, with every process that Lava has started."""
    print(message, file=sys.stderr, flush=True)
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(code)


def watch_clock(seconds: float) -> None:
    """End the run when it takes too long."""
    time.sleep(seconds)
    leave(TOO_LONG, f"it did not end within {seconds:g} s")


def watch_parent() -> None:
    """End the run when whoever started it is gone: its end of our standard input closes."""
    while os.read(0, 1024):  # not sys.stdin: its lock would be held in every forked process
        pass
    leave(TOO_LONG, "the process that started it is gone")


def check_lava(hardware: bool) -> None:
    """Leave unless the right Lava is here, and its extension for the chip if it is needed."""
    try:
        from importlib.metadata import version

        found = version("lava-nc")
    except ImportError:
        leave(NO_LAVA, f"lava-nc is not installed for Python {sys.version.split()[0]}")
    if found != LAVA:
        leave(OTHER_LAVA, f"lava-nc is {found}, and this network was checked with {LAVA}")
    if not hardware:
        return
    if not importlib.import_module("lava.utils.loihi").is_installed():
        leave(NO_HARDWARE, "the Lava-Loihi extension (package lava-loihi, Intel) is not installed")
    if not any(name in os.environ for name in ("SLURM", "NXSDKHOST", "BOARD")):
        leave(NO_HARDWARE, "no Loihi board is named: set SLURM=1 with BOARD, or NXSDKHOST")


class Run:
    """The network, its inputs, and what is recorded."""

    def __init__(self, inputs: Any, hardware: bool, scratch: str) -> None:
        """Build processes for ``inputs``, by identifier (samples, steps, channels)."""
        import numpy as np

        self.np, self.hardware, self.scratch = np, hardware, scratch
        self.mapping = json.loads((FOLDER / "mapping.json").read_text())
        with np.load(FOLDER / "arrays.npz") as file:
            self.arrays = {name: file[name] for name in file.files}
        self.groups = self.mapping["groups"]
        first = next(iter(inputs.values()))
        self.samples, self.steps = first.shape[:2]
        self.total = self.steps + max((g["start"] for g in self.groups.values()), default=0)
        self.neurons, self.synapses = self._build(inputs)
        self.recorded = self._record()

    def _build(self, inputs: Any) -> Any:
        """Connect one spike generator for each input with the network."""
        buffers = importlib.import_module("lava.proc.io.source")
        sources = {}
        for name, spikes in inputs.items():
            padded = self.np.zeros((self.samples, self.total, spikes.shape[2]), dtype=int)
            padded[:, : self.steps] = spikes
            sources[name] = buffers.RingBuffer(data=padded.reshape(-1, spikes.shape[2]).T).s_out
            if self.hardware:
                adapters = importlib.import_module("lava.proc.embedded_io.spike")
                adapter = adapters.PyToNxAdapter(shape=(spikes.shape[2],))
                sources[name].connect(adapter.inp)
                sources[name] = adapter.out
        return importlib.import_module("network").build(self.arrays, sources)

    def _record(self) -> Any:
        """Connect a recorder to every group, or on the chip to those that are outputs."""
        recorders = importlib.import_module("processes.recorder")
        kept: Any = []
        last: Any = None
        for name, group in self.groups.items():
            states = [] if self.hardware else group["states"]
            if self.hardware and not group["output"]:
                continue
            path = str(Path(self.scratch) / f"{name}.npz")
            recorder = recorders.Recorder(group["size"], states, self.samples * self.total, path)
            source = self.neurons[name].s_out
            if self.hardware:
                adapters = importlib.import_module("lava.proc.embedded_io.spike")
                adapter = adapters.NxToPyAdapter(shape=(group["size"],))
                source.connect(adapter.inp)
                source = adapter.out
            source.connect(recorder.s_in)
            if last is not None:
                last.out.connect(recorder.chain)
            last = recorder
            for state in states:
                getattr(recorder, state).connect_var(getattr(self.neurons[name], state))
            kept.append(name)
        return kept

    def run(self) -> None:
        """Run all samples one after the other; Lava is stopped whatever happens."""
        configs = importlib.import_module("lava.magma.core.run_configs")
        conditions = importlib.import_module("lava.magma.core.run_conditions")
        chosen = (
            configs.Loihi2HwCfg() if self.hardware else configs.Loihi2SimCfg(select_tag="fixed_pt")
        )
        one = next(iter(self.neurons.values()))
        held = sorted({g["start"] for g in self.groups.values() if g["held"]})
        try:
            for sample in range(self.samples):
                if sample:
                    self._rewind()
                at = 0
                for stop in [*held, self.total]:
                    if stop > at:
                        one.run(condition=conditions.RunSteps(num_steps=stop - at), run_cfg=chosen)
                        at = stop
                    self._release(stop)
        finally:
            one.stop()

    def _release(self, step: int) -> None:
        """Give groups that are held back until ``step`` their initial state and their bias."""
        for name, group in self.groups.items():
            if group["held"] and group["start"] == step:
                for key in ("u", "v", "bias_mant"):
                    getattr(self.neurons[name], key).set(self.arrays[f"{name}.{key}"])

    def _rewind(self) -> None:
        """Set everything as it was before the first step, and drop what is on its way."""
        for name, group in self.groups.items():
            for key in ("u", "v", "bias_mant"):
                value = self.arrays[f"{name}.{key}"]
                if group["held"]:
                    value = self.np.zeros_like(value)
                getattr(self.neurons[name], key).set(value)
        for process in self.synapses.values():
            process.a_buff.set(self.np.zeros(process.a_buff.shape, dtype=int))

    def results(self) -> Any:
        """Return what was recorded, by population."""
        found: Any = {}
        for name in self.recorded:
            group = self.groups[name]
            with self.np.load(Path(self.scratch) / f"{name}.npz") as file:
                for key in file.files:
                    flat = file[key].reshape(self.samples, self.total, -1)
                    part = flat[:, group["start"] : group["start"] + self.steps]
                    self._put(found, f"{group['population']}.{key}", name, part)
        return found

    def _put(self, found: Any, key: str, name: str, part: Any) -> None:
        """Put the neurons of a group in their places in the population."""
        population = self.mapping["populations"][self.groups[name]["population"]]
        if key not in found:
            found[key] = self.np.zeros((*part.shape[:2], population["size"]), dtype=part.dtype)
        found[key][..., self.arrays[f"{name}.neurons"]] = part


def compare(results: Any, golden: Any, mapping: Any) -> int:
    """Print equality or the first difference, and return the exit code."""
    import numpy as np

    numbers, firsts = 0, []
    for key, found in results.items():
        wanted = golden[key]
        numbers += found.size
        wrong = np.argwhere(np.moveaxis(found != wanted, 1, 0))
        if wrong.size:
            step, sample, neuron = (int(k) for k in wrong[0])
            at = (sample, step, neuron)
            firsts.append((step, key, sample, neuron, int(wanted[at]), int(found[at])))
    if not firsts:
        print(f"equal: {numbers} numbers of {len(results)} recordings")
        return 0
    step, key, sample, neuron, wanted, found = min(firsts)
    identifier, what = key.split(".")
    name = mapping["populations"][identifier]["name"]
    print(
        f"differs first at step {step}, population '{name}', neuron {neuron}, sample {sample}: "
        f"{what} is {wanted} in the golden vectors and {found} in Lava"
    )
    return DIFFERENT


def main() -> int:
    """Run and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--inputs", metavar="FILE", help="spikes; the golden ones if not given")
    parser.add_argument("--output", metavar="FILE", help="write what was recorded")
    parser.add_argument("--limit", type=float, default=600.0, metavar="SECONDS")
    parser.add_argument("--hardware", action="store_true", help="Loihi 2 in place of its simulator")
    parser.add_argument("--watch", action="store_true", help="end when standard input closes")
    options = parser.parse_args()
    threading.Thread(target=watch_clock, args=(options.limit,), daemon=True).start()
    if options.watch:
        threading.Thread(target=watch_parent, daemon=True).start()
    check_lava(options.hardware)
    import numpy as np

    sys.path.insert(0, str(FOLDER))
    with np.load(options.inputs or FOLDER / "golden.npz") as file:
        given = {name: file[name] for name in file.files}
    try:
        with tempfile.TemporaryDirectory() as scratch:
            inputs = {name: a for name, a in given.items() if "." not in name}
            run = Run(inputs, options.hardware, scratch)
            run.run()
            results = run.results()
    except Exception:
        traceback.print_exc()
        leave(FAILED, "Lava failed, see above")
    if options.output:
        np.savez(options.output, **results)
    return 0 if options.inputs else compare(results, given, run.mapping)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    leave(code, "done")
