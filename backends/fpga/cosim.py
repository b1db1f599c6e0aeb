"""A design in a simulator, on events of the host."""

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spikec.backends.fpga.plan import Plan
from spikec.backends.fpga.records import Result, decode
from spikec.backends.fpga.simulators import PATIENCE, bench, write
from spikec.compiler.errors import SpikecError

LIMIT = 3600.0  # seconds that a run may take


def run(
    plan: Plan,
    made: Mapping[str, str],
    simulator: str,
    words: list[list[int]],
    steps: int,
    seed: int,
) -> Result:
    """Simulate samples, one after the other.

    Args:
        plan: Of the design.
        made: Its files.
        simulator: One of ``simulators.ALL``.
        words: By sample, the words of the input stream.
        steps: End-of-step words of each sample.
        seed: Of random pauses of both streams; 0 for none. HLS knows no pauses.

    Raises:
        SpikecError: SPK1855 when the design hangs or fails, SPK1856 when it takes too long; errors
            of ``bench``.
    """
    program = bench(plan, made, simulator) / "bench"
    with tempfile.TemporaryDirectory(prefix="spikec-cosim-") as temporary:
        folder = Path(temporary)
        write({name: text for name, text in made.items() if name.startswith("mem/")}, folder)
        numbers = [len(words)]
        for sample in words:
            numbers += [steps, len(sample), *sample]
        np.array(numbers, dtype="<u8").tofile(folder / "stimulus")
        _execute([str(program), "stimulus", "result", str(seed)], simulator, folder)
        return decode(plan, np.fromfile(folder / "result", dtype="<u4"), simulator == "hls")


def _execute(arguments: list[str], simulator: str, folder: Path) -> None:
    try:
        done = subprocess.run(
            arguments, cwd=folder, capture_output=True, timeout=LIMIT, check=False
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
        raise SpikecError("SPK1855", simulator, problem, "Report this as a bug")
