"""A process that keeps what a population sends and holds, and writes it to a file at the end.

Lava's own monitor hands its numbers over one by one, which takes longer than the run itself. Lava
executes every file of the folder in which a process is defined: this one stays alone in its own.
"""

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Recorder(AbstractProcess):  # type: ignore[misc]
    """Spikes at ``s_in``, current and membrane through ``u`` and ``v`` where they are wanted.

    Lava runs what is connected: the recorders form a chain from ``out`` to ``chain``, so that parts
    of a network that share nothing run together.
    """

    def __init__(self, size: int, states: "list[str]", steps: int, path: str) -> None:
        """Declare the ports.

        Args:
            size: Neurons.
            states: Which of u and v to read.
            steps: Length of the run; the file is written in the last step.
            path: File to write: .npz with spikes and states, each (steps, size).
        """
        super().__init__(size=size, states=states, steps=steps, path=path)
        self.s_in = InPort(shape=(size,))
        self.chain = InPort(shape=(1,))
        self.out = OutPort(shape=(1,))
        self.u = RefPort(shape=(size,))
        self.v = RefPort(shape=(size,))


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
class PyRecorder(PyLoihiProcessModel):  # type: ignore[misc]
    """Runs on the CPU."""

    s_in: Any = LavaPyType(PyInPort.VEC_DENSE, int)
    chain: Any = LavaPyType(PyInPort.VEC_DENSE, int)
    out: Any = LavaPyType(PyOutPort.VEC_DENSE, int)
    u: Any = LavaPyType(PyRefPort.VEC_DENSE, int)
    v: Any = LavaPyType(PyRefPort.VEC_DENSE, int)

    def __init__(self, proc_params: Any) -> None:
        """Allocate."""
        super().__init__(proc_params)
        steps, size = proc_params["steps"], proc_params["size"]
        self.spikes = np.zeros((steps, size), dtype=np.uint8)
        self.held = {name: np.zeros((steps, size), np.int32) for name in proc_params["states"]}

    def run_spk(self) -> None:
        """Take the spikes of this step."""
        sent = self.s_in.recv()
        self.out.send(np.asarray(self.chain.recv()))
        self.spikes[self.time_step - 1] = np.asarray(sent) != 0

    def post_guard(self) -> bool:
        """Ask for the phase in which states can be read."""
        return True

    def run_post_mgmt(self) -> None:
        """Read the states; after the last step write everything."""
        for name, kept in self.held.items():
            kept[self.time_step - 1] = np.asarray(getattr(self, name).read()).reshape(-1)
        if self.time_step == self.proc_params["steps"]:
            everything: Any = {"spikes": self.spikes, **self.held}
            np.savez(self.proc_params["path"], **everything)
