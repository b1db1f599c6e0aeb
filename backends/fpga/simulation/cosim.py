"""A design in a simulator, on events of the host."""

import resource
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE

import numpy as np

from spikec.backends.fpga.plan import Plan
from spikec.backends.fpga.simulation.records import Result, decode
from spikec.backends.fpga.simulation.simulators import PATIENCE, bench, write
from spikec.compiler.errors import SpikecError

LIMIT = 3600.0  # seconds that a run may take
MOST_BYTES = 2 << 30  # that a run may write: a design that is wrong may send for ever


@dataclass(frozen=True, slots=True)
class Sample:
    """What the host sends.

    Attributes:
        words: Of the input stream.
        steps: End-of-step words among them.
        cut: Clock cycles after which it is cut short by a restart, or, where odd, by a reset;
            nothing is known of it then. 0 to run it to its end.
    """

    words: Sequence[int]
    steps: int
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Waves:
    """Which clock cycles of the last sample to show.

    Attributes:
        path: Of a VCD file.
        engine: Number of the engine whose groups are counted.
        first: From when so many groups are updated.
        last: Until more than so many are.
        most: Clock cycles at most.
    """

    path: Path
    engine: int
    first: int
    last: int
    most: int


def run(
    plan: Plan,
    made: Mapping[str, str],
    simulator: str,
    samples: Sequence[Sample],
    seed: int,
    waves: Waves | None = None,
) -> Result:
    """Simulate samples, one after the other.

    Args:
        plan: Of the design.
        made: Its files.
        simulator: One of ``simulators.ALL``.
        samples: What the host sends.
        seed: Of random pauses of both streams; 0 for none. HLS knows no pauses.
        waves: A waveform to write; not in HLS.

    Raises:
        SpikecError: SPK1855 when the design hangs or fails, SPK1856 when it takes too long; errors
            of ``bench``.
    """
    program = bench(plan, made, simulator, waves is not None) / "bench"
    with tempfile.TemporaryDirectory(prefix="spikec-cosim-") as temporary:
        folder = Path(temporary)
        write({name: text for name, text in made.items() if name.startswith("mem/")}, folder)
        parts = [[len(samples)]]
        for s in samples:
            parts += [[s.steps, s.cut, len(s.words)], list(s.words)]
        np.concatenate([np.array(p, dtype="<u8") for p in parts]).tofile(folder / "stimulus")
        arguments = [str(program), "stimulus", "result", str(seed)]
        if waves is not None:
            numbers = waves.engine, waves.first, waves.last, waves.most
            arguments += [str(waves.path.absolute()), *map(str, numbers)]
        _execute(arguments, simulator, folder)
        return decode(plan, np.fromfile(folder / "result", dtype="<u4"), simulator == "hls")


def _execute(arguments: list[str], simulator: str, folder: Path) -> None:
    try:
        done = subprocess.run(
            arguments,
            cwd=folder,
            stdout=DEVNULL,
            stderr=PIPE,
            timeout=LIMIT,
            check=False,
            preexec_fn=_bounded,
        )
    except subprocess.TimeoutExpired:
        raise SpikecError(
            "SPK1856", simulator, f"it ran for more than {LIMIT:g} s", "Use fewer samples"
        ) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-200:]
        problem = f"it ended with code {done.returncode} {said}".rstrip()
        if done.returncode == 3:
            problem = f"no event moved for {PATIENCE} clock cycles"
        if done.returncode == -signal.SIGXFSZ:
            problem = f"it wrote more than {MOST_BYTES:,} bytes of events"
        raise SpikecError("SPK1855", simulator, problem, "Report this as a bug")


def _bounded() -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    most = MOST_BYTES if hard == resource.RLIM_INFINITY else min(MOST_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
