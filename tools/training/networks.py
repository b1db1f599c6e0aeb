# pyright: basic, reportMissingImports=false
"""The networks: snnTorch's Leaky and RLeaky, and Norse's LIF, each over time."""

from typing import Any

import norse.torch as norse
import snntorch as snn
import torch
from snntorch import surrogate
from torch import nn

from spikec.compiler.types import Array

CLASSES = 10
SURROGATE = surrogate.fast_sigmoid(slope=10)
STEP = 0.01  # seconds, of a frame of events
FIRST_DRIVE = 4.0  # of Norse's weights, so that neurons spike from the start


class Leaky(nn.Module):  # type: ignore[misc]
    """Two layers of snnTorch's Leaky; spikes (steps, samples, inputs) in, (..., 10) out."""

    def __init__(self, inputs: int, hidden: int) -> None:
        """Draw the weights."""
        nn.Module.__init__(self)
        options: dict[str, Any] = {"reset_mechanism": "zero", "spike_grad": SURROGATE}
        self.fc1, self.lif1 = nn.Linear(inputs, hidden), snn.Leaky(beta=0.9, **options)
        self.fc2, self.lif2 = nn.Linear(hidden, CLASSES), snn.Leaky(beta=0.9, **options)

    def forward(self, x: Any) -> Any:
        """Return the output spikes."""
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        sent: list[Any] = []
        for current in self.fc1(x):
            spikes, mem1 = self.lif1(current, mem1)
            spikes, mem2 = self.lif2(self.fc2(spikes), mem2)
            sent.append(spikes)
        return torch.stack(sent)


class Recurrent(nn.Module):  # type: ignore[misc]
    """A layer of snnTorch's RLeaky, all to all, before one of Leaky."""

    def __init__(self, inputs: int, hidden: int) -> None:
        """Draw the weights."""
        nn.Module.__init__(self)
        options: dict[str, Any] = {
            "reset_mechanism": "zero",
            "reset_delay": False,
            "spike_grad": SURROGATE,
        }
        self.fc1 = nn.Linear(inputs, hidden)
        self.lif1 = snn.RLeaky(beta=0.9, linear_features=hidden, **options)
        self.fc2, self.lif2 = nn.Linear(hidden, CLASSES), snn.Leaky(beta=0.95, **options)

    def forward(self, x: Any) -> Any:
        """Return the output spikes."""
        (sent1, mem1), mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        sent: list[Any] = []
        for current in self.fc1(x):
            sent1, mem1 = self.lif1(current, sent1, mem1)
            spikes, mem2 = self.lif2(self.fc2(sent1), mem2)
            sent.append(spikes)
        return torch.stack(sent)


def norse_net(inputs: int, hidden: int, readout: str) -> Any:
    """Return Linear, LIF, Linear, and LIF, or LI where the membrane is read."""
    rates = {"tau_syn_inv": torch.tensor(50.0), "tau_mem_inv": torch.tensor(20.0)}
    p = norse.LIFParameters(alpha=torch.tensor(10.0), **rates)
    spiking = readout == "count"
    last = norse.LIF(p, dt=STEP) if spiking else norse.LI(norse.LIParameters(**rates), dt=STEP)
    lines = [nn.Linear(a, b, bias=False) for a, b in ((inputs, hidden), (hidden, CLASSES))]
    for line in lines:
        line.weight.data.mul_(FIRST_DRIVE)
    return norse.SequentialState(lines[0], norse.LIF(p, dt=STEP), lines[1], last)


def make(name: str, inputs: int, hidden: int) -> Any:
    """Return a network by its name, its weights drawn by torch's global generator."""
    if name == "mnist":
        return Leaky(inputs, hidden)
    if name == "recurrent":
        return Recurrent(inputs, hidden)
    return norse_net(inputs, hidden, READOUTS[name])


def entering(name: str, net: Any) -> list[list[Any]]:
    """Return the Linear layers that enter each population."""
    if name.startswith("norse"):
        return [[net[0]], [net[2]]]
    back = [net.lif1.recurrent] if name == "recurrent" else []
    return [[net.fc1, *back], [net.fc2]]


# How a class is read from the output: by count of spikes, or by the largest membrane of all steps.
READOUTS = {"mnist": "count", "recurrent": "count", "norse": "count", "norse_li": "membrane"}


def outputs(net: Any, spikes: Array, dtype: Any = torch.float32) -> Any:
    """Return what a network sends, a tensor (steps, samples, 10), for (samples, steps, inputs)."""
    made = net(torch.from_numpy(spikes).transpose(0, 1).to(dtype))
    return made[0] if isinstance(made, tuple) else made


def scores(name: str, sent: Any) -> Any:
    """Return (samples, 10), of which the largest is the class."""
    return sent.sum(0) if READOUTS[name] == "count" else sent.amax(0)
