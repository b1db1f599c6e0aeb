"""Trained networks in integers: how far they are from floating point, and what they send."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikec.compiler.counting import Counter
from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Program
from spikec.compiler.neurons.two_point import MODULATIONS
from spikec.compiler.pipeline import compile_graph
from spikec.compiler.signals import quiet
from spikec.compiler.simulator import Simulator
from spikec.compiler.types import Array
from spikec.models.mcc.features import Features, Split
from spikec.models.mcc.ledger import Ledger, ledger
from spikec.models.mcc.network import two_stream

PIPELINE = "discretize,quantize_values{weight_bits=8}"
CALIBRATION = 40  # clips of the training data


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a network does in integers, on the test clips, one noise each.

    Attributes:
        exact: Squared error over the variance of clean features, in floating point.
        nmse: The same in integers.
        saturations: Values that were outside their formats.
        events: Of the integer network.
    """

    exact: float
    nmse: float
    saturations: int
    events: Ledger

    @property
    def change(self) -> float:
        """Return by how much of itself the error changes."""
        return self.nmse / self.exact - 1


def inputs(data: Split, clips: int | None = None) -> dict[str, Array]:
    """Return clips, each with one of its noises in turn, (clips, frames, features) by input."""
    chosen = np.arange(len(data.clean))[:clips]
    variants = chosen % data.noisy.shape[1]
    return {"audio": data.noisy[chosen, variants], "video": data.lips[chosen]}


def programs(
    weights: Mapping[str, Array], kind: str, features: Features
) -> tuple[Program, Program]:
    """Return a network in floating point and in integers, calibrated on training clips."""
    mod: Any = kind if kind in MODULATIONS else None
    graph = two_stream(weights, mod)
    calibration = inputs(features.train, CALIBRATION)
    exact = compile_graph(graph, pipeline="discretize")
    return exact, compile_graph(graph, calibration=calibration, pipeline=PIPELINE)


def deploy(
    weights: Mapping[str, Array], kind: str, features: Features, backend: str = "reference"
) -> Deployed:
    """Quantise a network and run it on the test clips, in ``backend`` and in cpu.

    Args:
        weights: As ``two_stream`` takes them.
        kind: point, fused, or a modulation.
        features: Of GRID.
        backend: What counts the events.

    Raises:
        SpikecError: SPK2224 when ``backend`` and cpu do not agree in every bit.
    """
    exact, rounded = programs(weights, kind, features)
    data, clean = inputs(features.test), features.test.clean
    record = ("spikes", "state")
    trace = Simulator(rounded, backend, quiet).run(data, record)
    again = Simulator(rounded, "cpu", quiet).run(data, record)
    same = trace.counts == again.counts and np.array_equal(trace.output, again.output)
    if not same or any(not np.array_equal(a, again.spikes[n]) for n, a in trace.spikes.items()):
        raise SpikecError(
            "SPK2224", kind, f"{backend} and cpu differ", "Report it as a fault of this program"
        )
    estimate = Simulator(exact, "cpu").run(data).output
    return Deployed(
        exact=_nmse(estimate, clean),
        nmse=_nmse(trace.output, clean),
        saturations=sum(c["saturations"] for c in trace.counts.values()),
        events=ledger(rounded, Counter(rounded).count(trace)),
    )


def _nmse(estimate: Array, clean: Array) -> float:
    return float(np.square(estimate - clean).mean() / clean.astype(np.float64).var())
