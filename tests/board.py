"""A board without hardware: what PYNQ offers, over the emitted RTL in a simulator."""

import importlib.util
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import numpy as np

from spikec.backends.fpga.build import texts, write
from spikec.backends.fpga.plan import Plan
from spikec.backends.fpga.simulation import simulators
from spikec.compiler.types import Array

WRITE, READ, SEND, TAKE, FLUSH = range(5)


class Board:
    """The registers (MMIO) and both channels of the DMA, by the names that PYNQ gives them."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in: IO[bytes] = process.stdin
        self._out: IO[bytes] = process.stdout
        self.sendchannel, self.recvchannel = SendChannel(self), ReceiveChannel(self)

    def say(self, *numbers: int) -> None:
        self._in.write(np.array(numbers, np.uint64).tobytes())
        self._in.flush()

    def hear(self, count: int) -> Array:
        data = self._out.read(8 * count)
        assert len(data) == 8 * count, "the simulation ended"
        return np.frombuffer(data, np.uint64)

    def write(self, offset: int, value: int) -> None:
        self.say(WRITE, offset, value)

    def read(self, offset: int) -> int:
        self.say(READ, offset)
        return int(self.hear(1)[0])


class SendChannel:
    """What sends a buffer into the design."""

    def __init__(self, board: Board) -> None:
        self.board = board

    def transfer(self, buffer: Array) -> None:
        self.board.say(SEND, len(buffer), *buffer.tolist())

    def wait(self) -> None:
        self.board.say(FLUSH)
        self.board.hear(1)


class ReceiveChannel:
    """What takes a packet of the design into a buffer."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.buffer: Any = None

    def transfer(self, buffer: Array) -> None:
        assert self.buffer is None
        self.buffer = buffer

    def wait(self) -> None:
        self.board.say(TAKE)
        count = int(self.board.hear(1)[0])
        self.buffer[:count] = self.board.hear(count)
        self.buffer = None


def allocate(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return a buffer, with what a memory may hold at first."""
    return np.full(shape, -1).astype(dtype)


def driver(build: Path) -> ModuleType:
    """Return the driver that lies in a build."""
    spec = importlib.util.spec_from_file_location("emitted_driver", build / "host" / "driver.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def connected(
    plan: Plan, simulator: str, seed: int = 0, made: Mapping[str, str] | None = None
) -> Generator[Any]:
    """Yield the emitted driver, connected to the RTL of a plan in a simulator."""
    made = made or texts(plan)
    extra = (Path(__file__).parent / "board.cpp").read_text()
    text = f"#define main batch\n{simulators.bench_texts()[simulators.BENCH]}#undef main\n{extra}"
    program = simulators.bench(plan, made, simulator, text=text) / "bench"
    with tempfile.TemporaryDirectory() as temporary:
        build = Path(temporary)
        write(made, build)
        with subprocess.Popen(
            [str(program), str(seed)],
            cwd=build,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            try:
                board = Board(process)
                yield driver(build).Network(build, board, board, allocate)
            finally:
                process.kill()


def words(network: Any, memory: Any) -> list[int]:
    """Return the words of a memory as compiled."""
    text = (network.build / memory["file"]).read_text()
    return [int(line, 16) for line in text.split()]
