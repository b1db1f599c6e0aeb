"""Runs a .net file through lava-dl's netx in Lava; a child process in an environment with lava-dl.

    python lava_dl_run.py NET IN.npz OUT.npz

IN holds spikes ``x`` (steps, ...), images as (channels, height, width). OUT gets ``0.u``, ``0.v``,
``0.s`` (steps, neurons) of every layer in turn, neurons in that order.
"""

import importlib
import sys
from typing import Any

import numpy as np


def main(net_file: str, given: str, wanted: str) -> None:
    """Run and record."""
    configs: Any = importlib.import_module("lava.magma.core.run_configs")
    conditions: Any = importlib.import_module("lava.magma.core.run_conditions")
    source: Any = importlib.import_module("lava.proc.io.source")
    monitor: Any = importlib.import_module("lava.proc.monitor.process")
    utils: Any = importlib.import_module("lava.proc.conv.utils")
    utils.TORCH_IS_AVAILABLE = False  # with torch in it, Lava's processes may hang
    hdf5: Any = importlib.import_module("lava.lib.dl.netx.hdf5")

    x = np.load(given)["x"].astype(np.int64)
    net = hdf5.Network(net_config=net_file)
    # Lava wants (width, height, channels, steps).
    ports = net.in_layer.inp.shape
    data = x.T if len(ports) == 3 else x.reshape(len(x), -1).T
    buffer = source.RingBuffer(data=data)
    buffer.s_out.connect(net.in_layer.inp)
    probes: dict[str, Any] = {}
    for k, layer in enumerate(net.layers):
        for name, variable in (("u", "u"), ("v", "v"), ("s", "s_out")):
            probe = probes[f"{k}.{name}"] = monitor.Monitor()
            probe.probe(getattr(layer.neuron, variable), len(x))
    made: dict[str, Any] = {}
    try:
        config = configs.Loihi2SimCfg(select_tag="fixed_pt")
        net.run(condition=conditions.RunSteps(num_steps=len(x)), run_cfg=config)
        for name, probe in probes.items():
            (process,) = probe.get_data().values()
            (values,) = process.values()
            axes = (0, *range(values.ndim - 1, 0, -1))
            made[name] = values.transpose(axes).reshape(len(x), -1)
    finally:
        net.stop()
    np.savez(wanted, **made)


if __name__ == "__main__":
    main(*sys.argv[1:])
