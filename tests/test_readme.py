"""The programs of the README and of docs/networks.md, and the README's commands, run as written."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spikec.backends.fpga import tools
from spikec.backends.fpga.simulation import simulators

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PROGRAMS = re.findall(
    r"```python\n(.*?)```", README + (ROOT / "docs/networks.md").read_text(), flags=re.DOTALL
)
COMMANDS = re.findall(
    r"^    (spikec (?:compile|verify|show|simulate|profile) .*digits.*)$", README, re.MULTILINE
)


@pytest.mark.parametrize("source", PROGRAMS)
def test_programs(source: str, tmp_path: Path) -> None:
    """Each Python block runs by itself in an empty folder."""
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_commands(tmp_path: Path) -> None:
    """The commands on the bundled model run in their order."""
    np.save(tmp_path / "digits.npy", np.random.default_rng(0).random((4, 64)))
    assert len(COMMANDS) == 12
    for command in COMMANDS:
        if "--backend fpga" in command and not tools.have(*simulators.NEEDS["verilator"]):
            continue
        done = subprocess.run(
            [sys.executable, "-m", *shlex.split(command)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
