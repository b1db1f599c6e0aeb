"""A program on its RTL or HLS C++: events, states and counters come out, and all are checked.

The trace holds what the lanes did. What left on the output stream and what the counters say must
agree with it, else the run is an error: so a comparison of traces compares those too.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from spikec.backends.fpga.plan import Plan, Stream
from spikec.backends.fpga.simulation import cosim
from spikec.backends.fpga.simulation.cosim import Sample, Waves
from spikec.backends.fpga.simulation.expected import counters
from spikec.backends.fpga.simulation.records import Result
from spikec.backends.fpga.simulation.simulators import available
from spikec.backends.fpga.simulation.waves import window
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Trace
from spikec.compiler.tracing import Recorder
from spikec.compiler.types import Array
from spikec.compiler.wiring import lanes, source_types


class CosimRunner:
    """The RTL of a program in a simulator, or its HLS C++.

    Attributes:
        last: What the last run gave, with its counters and clock cycles.
    """

    def __init__(
        self,
        plan: Plan,
        made: Mapping[str, str],
        simulator: str | None = None,
        seed: int = 0,
        cuts: int = 0,
    ) -> None:
        """Keep the design; it is built when it first runs.

        Args:
            plan: Of the design.
            made: Its files.
            simulator: verilator, cxxrtl or hls; the first of the RTL that is installed if not
                given.
            seed: Of random pauses of both streams; 0 for none.
            cuts: Before each sample comes one that is cut short after up to so many clock cycles;
                0 for none.
        """
        self.plan, self.made, self.seed, self.cuts = plan, made, seed, cuts
        self.simulator = simulator
        self.last: Result | None = None

    def run(self, inputs: Mapping[str, Array], record: Collection[str] = ()) -> Trace:
        """Run a batch; see ``Runner``.

        Raises:
            SpikecError: SPK1858 and SPK1859 when stream or counters contradict the lanes; errors of
                ``cosim``.
        """
        plan = self.plan
        samples, steps = next(iter(inputs.values())).shape[:2]
        total = steps + plan.warm_up
        padded = self._padded(inputs)
        result = self.simulate(inputs)
        self.last = result
        sent, held, hits = self._fields(result, samples, total)
        self._check_stream(result, sent)
        self._check_counters(result, padded, sent, hits)
        program = plan.program
        signals = source_types(program.graph, lanes(program.graph))
        recorder = Recorder(program, signals, samples, steps, record)
        for engine in plan.engines:
            p, name = engine.population, engine.population.name
            for step in range(p.start, p.start + steps):
                now = sent[name][:, step]
                spikes = 0 if p.model().emits == "values" else int(now.sum())
                acted = int(hits[name][:, step].sum())
                recorder.count({name: {"spikes": spikes, "saturations": acted}})
                recorder.keep(p, step, now, {s: a[:, step] for s, a in held[name].items()})
        return recorder.trace()

    def simulate(self, inputs: Mapping[str, Array], waves: Waves | None = None) -> Result:
        """Run a batch and return what came out, unchecked; see ``cosim.run``."""
        padded = self._padded(inputs)
        samples, steps = next(iter(padded.values())).shape[:2]
        words = [stimulus(self.plan, {n: a[k] for n, a in padded.items()}) for k in range(samples)]
        simulator = self.simulator or available()
        sent = self._samples(words, steps)
        return cosim.run(self.plan, self.made, simulator, sent, self.seed, waves)

    @property
    def waves(self) -> bool:
        """Whether it has clock cycles to show."""
        return self.simulator != "hls"

    def show(
        self, inputs: Mapping[str, Array], path: Path, place: tuple[str, int] | None = None
    ) -> str:
        """Write a waveform (VCD) of the last sample, and return what it shows.

        Args:
            inputs: As of ``run``.
            path: The file.
            place: A population and a step in which it did something else; the beginning if not
                given.
        """
        shown, about = window(self.plan, path, place)
        self.simulate(inputs, shown)
        return about

    def _padded(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the inputs with the steps in which late populations catch up."""
        late = ((0, 0), (0, self.plan.warm_up), (0, 0))
        return {name: np.pad(a.astype(np.int64), late) for name, a in inputs.items()}

    def _samples(self, words: Sequence[list[int]], steps: int) -> list[Sample]:
        """Return the samples, and those between them that are cut short."""
        whole = [Sample(w, steps) for w in words]
        if not self.cuts:
            return whole
        random = np.random.default_rng(self.seed)
        drawn = random.integers(1, self.cuts + 1, len(whole)).tolist()
        others = random.integers(len(whole), size=len(whole)).tolist()
        sent: list[Sample] = []
        for sample, cut, other in zip(whole, drawn, others, strict=True):
            sent += [Sample(whole[int(other)].words, steps, int(cut)), sample]
        return sent

    def _fields(
        self, result: Result, samples: int, total: int
    ) -> tuple[dict[str, Array], dict[str, dict[str, Array]], dict[str, Array]]:
        """Return what was sent, the states and the saturations, (samples, steps, neurons)."""
        sent: dict[str, Array] = {}
        held: dict[str, dict[str, Array]] = {}
        hits: dict[str, Array] = {}
        for e, engine in enumerate(self.plan.engines):
            p = engine.population
            shape = (samples, total - p.start, p.size)
            traces = [result.trace[k][e] for k in range(samples)]
            updates, wanted = [len(t["out"]) for t in traces], total - p.start
            if updates != [wanted] * samples:
                raise SpikecError(
                    "SPK1860",
                    p.name,
                    f"it updated {updates} times in the samples, not {wanted} times in each",
                    "Report this as a bug",
                )
            fields = {
                name: np.pad(
                    np.stack([t[name] for t in traces]).reshape(shape),
                    ((0, 0), (p.start, 0), (0, 0)),
                )
                for name in traces[0]
            }
            sent[p.name] = fields["out"]
            held[p.name] = {s.source: fields[s.source] for s, _ in engine.states}
            acted = [fields[h.name] for h in engine.role("hit")]
            hits[p.name] = sum(acted, np.zeros((samples, total, p.size), np.int64))
        return sent, held, hits

    def _check_stream(self, result: Result, sent: Mapping[str, Array]) -> None:
        """Compare the events of the output stream, step by step, with what the lanes sent."""
        form = Stream(self.plan.outputs)
        for sample, words in enumerate(result.out):
            eos = (words >> np.uint64(form.bits - 1)).astype(np.int64)
            step = np.cumsum(eos) - eos
            event = eos == 0
            ids = (words >> np.uint64(form.value_bits)).astype(np.int64)
            ids = ids & ((1 << form.id_bits) - 1)
            value = words.astype(np.int64) & ((1 << form.value_bits) - 1)
            value -= (
                (value >> max(form.value_bits - 1, 0)) & int(form.value_bits > 0)
            ) << form.value_bits
            value = value if form.value_bits else np.ones_like(value)
            for s in self.plan.outputs:
                wanted: Array = sent[s.name][sample]
                mine = event & (ids >= s.start) & (ids < s.start + s.size) & (step < len(wanted))
                came: Array = np.zeros(wanted.shape, np.int64)
                np.add.at(came, (step[mine], ids[mine] - s.start), value[mine])
                once = int(mine.sum()) == np.count_nonzero(came)
                if eos.sum() != len(wanted) or not once or (came != wanted).any():
                    raise SpikecError(
                        "SPK1858",
                        s.name,
                        f"in sample {sample} other events left than the lanes sent",
                        "Report this as a bug",
                    )

    def _check_counters(
        self,
        result: Result,
        inputs: Mapping[str, Array],
        sent: Mapping[str, Array],
        hits: Mapping[str, Array],
    ) -> None:
        clocked = self.simulator != "hls"
        for k, wanted in enumerate(counters(self.plan, inputs, sent, hits, clocked)):
            for name, value in wanted.items():
                if result.counters[k][name] != value:
                    raise SpikecError(
                        "SPK1859",
                        f"{self.plan.engines[k].population.name}.{name}",
                        f"the counter says {result.counters[k][name]}, the events {value}",
                        "Report this as a bug",
                    )


def stimulus(plan: Plan, inputs: Mapping[str, Array]) -> list[int]:
    """Return the words of the input stream for one sample, from (steps, size) by input name."""
    form = Stream(plan.inputs)
    eos, mask = 1 << (form.bits - 1), (1 << form.value_bits) - 1
    steps = len(next(iter(inputs.values())))
    words: list[int] = []
    for step in range(steps):
        for s in plan.inputs:
            row = inputs[s.name][step]
            for k in np.flatnonzero(row).tolist():
                value = int(row[k]) & mask
                words.append((s.start + k) << form.value_bits | value)
        words.append(eos)
    return words
