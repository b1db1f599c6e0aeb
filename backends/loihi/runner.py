"""A program on the core model, with its trace."""

from collections.abc import Collection, Mapping

import numpy as np

from spikec.backends.loihi.core import CoreModel
from spikec.backends.loihi.corners import DEFAULT, Corners
from spikec.backends.loihi.image import CoreImage
from spikec.compiler.ir import Program, Trace
from spikec.compiler.tracing import Recorder
from spikec.compiler.types import Array, Bool


class CoreRunner:
    """The core model of a program, ready to be run many times."""

    def __init__(self, program: Program, image: CoreImage, corners: Corners = DEFAULT) -> None:
        """Build the model of a program's image."""
        self.program = program
        self.model = CoreModel(image, corners)

    def run(self, inputs: Mapping[str, Array], record: Collection[str] = ()) -> Trace:
        """Run a batch; see ``Runner``."""
        samples, steps = next(iter(inputs.values())).shape[:2]
        populations = self.program.graph.populations
        signals = {p.name: Bool() for p in populations}
        recorder = Recorder(self.program, signals, samples, steps, record)
        run = self.model.start(samples)
        for step in range(steps + max((p.start for p in populations), default=0)):
            here = {
                name: x[:, step] if step < steps else np.zeros_like(x[:, 0])
                for name, x in inputs.items()
            }
            sent, hits = run.advance(here)
            for p in populations:
                if recorder.in_window(p, step):
                    spikes = int(sent[p.name].sum())
                    recorder.count({p.name: {"spikes": spikes, "saturations": hits[p.name]}})
                    held = self.model.somas[p.name].recorded(run.states[p.name])
                    recorder.keep(p, step, sent[p.name], held)
        return recorder.trace()
