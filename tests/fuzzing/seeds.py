"""Good NIR files and builds that the mutations begin with."""

from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

import small
import spikec
from nir_files import (
    Spec,
    affine,
    chain,
    conv,
    cuba_lif,
    ends,
    flat,
    lif,
    linear,
    network,
    node,
    pool,
    spiking,
    write,
)
from spikec.compiler.ir import Core, Input, Mapping, Output, Population, Projection, Slice
from spikec.compiler.types import Array, Bool, Tensor
from spikec.compiler.untyped import h5py


def _weights(*shape: int) -> Any:
    return np.round(np.random.default_rng(shape).normal(size=shape), 3)


def _leaky(size: int) -> Spec:
    ones = np.ones(size)
    return node("LI", tau=0.02 * ones, r=10 * ones, v_leak=0 * ones)


def _recurrent() -> Spec:
    nodes = {
        **ends([3], [2]),
        "fc": affine(4, 3, weight=_weights(4, 3)),
        "hidden": lif(4, tau=0.02 * np.ones(4), v_reset=np.zeros(4)),
        "back": linear(4, 4, weight=_weights(4, 4)),
        "late": node("Delay", delay=np.full(4, 0.002)),
        "read": linear(2, 4, weight=_weights(2, 4)),
        "last": cuba_lif(2, w_in=np.ones(2)),
    }
    rows = [("in", "fc"), ("fc", "hidden"), ("hidden", "late"), ("late", "back")]
    rows += [("back", "hidden"), ("hidden", "read"), ("read", "last"), ("last", "out")]
    return network(nodes, rows)


def _image() -> Spec:
    return chain(
        [2, 6, 6],
        [3],
        conv=conv(4, 2, 3, 3, weight=_weights(4, 2, 3, 3), padding="same"),
        first=spiking([4, 6, 6]),
        sum=pool(),
        mean=pool("AvgPool2d", kernel_size=[3, 3], stride=[1, 1]),
        flat=flat(),
        fc=linear(3, 4, weight=_weights(3, 4)),
        n=lif(3),
    )


NETWORKS: dict[str, Callable[[], Spec]] = {
    "dense": lambda: chain([4], [2], fc=affine(3, 4), n=lif(3), read=linear(2, 3), v=_leaky(2)),
    "recurrent": _recurrent,
    "image": _image,
    "nested": lambda: chain(
        [3], [2], g=chain([3], [3], scale=node("Scale", scale=np.full(3, 2.0)), n=lif(3)),
        h=chain([3], [2], fc=affine(2, 3), n=spiking(2, v_reset=np.zeros(2))),
    ),
    "sequence": lambda: chain(
        [2, 8],
        [2, 6],
        c=node(
            "Conv1d",
            **{"weight": _weights(2, 2, 3), "bias": np.zeros(2), "input_shape": 8},
            **{"stride": 1, "padding": 0, "dilation": 1, "groups": 1},
        ),
        t=node("Threshold", threshold=np.full((2, 6), 0.5)),
        i=node("I", r=np.ones((2, 6))),
        v=node("CubaLI", **{k: np.full((2, 6), 0.01) for k in ("tau_syn", "tau_mem")},
               **{k: np.ones((2, 6)) for k in ("r", "v_leak", "w_in")}),
    ),
    "scalars": lambda: chain([2], [2], n=lif(), m=spiking(1), s=node("Scale", scale=3.0)),
}  # fmt: skip


def write_networks(folder: Path) -> None:
    """Write the .nir files: the bundled model, small ones, and small ones in other layouts."""
    with as_file(files("spikec.models").joinpath("digits", "digits.nir")) as bundled:
        (folder / "digits.nir").write_bytes(bundled.read_bytes())
    for name, spec in NETWORKS.items():
        write(folder / f"{name}.nir", spec())
    for name, options in (("latest", {"libver": "latest"}), ("packed", {})):
        with h5py.File(folder / f"{name}.nir", "w", **options) as file:
            _copy(folder / "recurrent.nir", file, packed=name == "packed")


def _copy(source: Path, target: Any, packed: bool) -> None:
    """Copy a file into another layout; ``packed`` compresses the numbers."""

    def visit(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        options = {"compression": "gzip", "shuffle": True, "fletcher32": True}
        numbers = packed and item.dtype.kind == "f" and item.ndim > 0
        target.create_dataset(name, data=item[()], dtype=item.dtype, **options if numbers else {})

    with h5py.File(source) as file:
        file.visititems(visit)


# ---------------------------------------------------------------- builds


def _sparse() -> spikec.Graph:
    matrix = _weights(5, 6) * (_weights(6, 5).T > 0)
    nodes = (
        Input("in", (6,), Bool()),
        Population(
            "a", (5,), spikec.AdaptiveLIF(decay=0.9, adaptation_decay=0.99, adaptation_gain=0.1)
        ),
        Population("b", (5,), spikec.LeakyIntegrator(decay=0.75)),
        Output("spikes", "a"),
        Output("v", "b"),
    )
    projections = (
        Projection("in", "a", spikec.Sparse.of(matrix, Tensor.floats(_weights(5)))),
        Projection("a", "b", spikec.OneToOne(5, Tensor.floats(_weights(5)))),
        Projection("a", "a", spikec.Sparse.of(_weights(5, 5)), delay=3),
    )
    return spikec.Graph("sparse", nodes, projections, 1e-3)


def _convolution() -> spikec.Graph:
    nodes = (
        Input("in", (2, 5, 5), Bool()),
        Population("c", (3, 3, 3), spikec.IntegrateAndFire(reset="subtract")),
        Population("p", (3, 1, 1), spikec.LIF(decay=0.9, max_spikes=3)),
        Output("out", "p"),
    )
    projections = (
        Projection(
            "in", "c", spikec.Conv2d((2, 5, 5), Tensor.floats(_weights(3, 2, 3, 3)), groups=1)
        ),
        Projection("c", "p", spikec.Pool2d((3, 3, 3), (3, 3), Tensor.floats(0.25), (3, 3))),
    )
    return spikec.Graph("convolution", nodes, projections, 1e-3)


def _values() -> spikec.Graph:
    nodes = (
        Input("in", (3,)),
        Population("u", (4,), spikec.CubaLIF(decay=0.9, synapse_decay=0.5)),
        Population("w", (4,), spikec.RefractoryLIF(decay=0.9, steps=2)),
        Population("v", (4,), spikec.CubaLeakyIntegrator(decay=0.9, synapse_decay=0.5)),
        Output("out", "v"),
    )
    projections = (
        Projection("in", "u", spikec.Dense(Tensor.floats(_weights(4, 3)))),
        Projection("u", "w", spikec.Dense(Tensor.floats(_weights(4, 4))), delay=1),
        Projection("w", "v", spikec.OneToOne(4, Tensor.floats(0.5))),
    )
    return spikec.Graph("values", nodes, projections, 1e-3)


def _drawn() -> spikec.Graph:
    nodes = (
        Input("in", (6,), Bool()),
        Population("a", (8,), spikec.LIF(decay=0.9)),
        Population("b", (6,), spikec.LIF(decay=0.5)),
        Output("out", "b"),
    )
    steps = np.arange(48).reshape(6, 8) % 3
    projections = (
        Projection("in", "a", spikec.FixedProbability.of(6, 8, 0.5, [0.5, -0.25, 1.0], 7)),
        Projection(
            "a", "a", spikec.DistanceDependent.gaussian((2, 2, 2), 0.9, 2.0, 0.5, 3), delay=1
        ),
        Projection("a", "b", spikec.Dense(Tensor.floats(_weights(6, 8))), delays=steps),
        Projection("b", "b", spikec.AllButSelf(6, Tensor.floats(-0.5)), delay=2),
    )
    return spikec.Graph("drawn", nodes, projections, 1e-3)


QUANTIZED = "discretize,quantize{weight_bits=8}"
BUILDS: dict[str, tuple[Callable[[], spikec.Graph], str]] = {
    "float": (small.spiking, "discretize"),
    "integer": (small.spiking, QUANTIZED),
    "retimed": (small.spiking, f"{QUANTIZED},retime{{hop=1}}"),
    "sparse": (_sparse, "discretize"),
    "sparse8": (_sparse, QUANTIZED),
    "convolution": (_convolution, "discretize"),
    "convolution8": (_convolution, QUANTIZED),
    "drawn": (_drawn, "discretize"),
    "drawn8": (_drawn, QUANTIZED),
    "values": (_values, "discretize"),
    "values8": (_values, QUANTIZED),
}


def program(name: str) -> spikec.Program:
    """Compile one of the networks above, on random calibration data where that is of use."""
    make, pipeline = BUILDS[name]
    graph = make()
    data: dict[str, Array] = {}
    for i in graph.inputs:
        values = np.random.default_rng(1).random((2, 9, *i.shape))
        data[i.name] = values < 0.4 if isinstance(i.signal, Bool) else values
    calibration = data if "quantize" in pipeline else None
    return spikec.compile(graph, pipeline=pipeline, calibration=calibration)


def placed() -> spikec.Program:
    """Return a program with a mapping to cores."""
    cores = (
        Core(0, 0, 0, (Slice("hidden", 0, 4), Slice("last", 0, 1))),
        Core(1, 0, 0, (Slice("last", 1, 2),)),
    )
    return spikec.compile(small.spiking(), pipeline="discretize", mapping=Mapping.of(cores))


def write_builds(folder: Path) -> None:
    """Write the builds."""
    for name in BUILDS:
        spikec.emit(program(name), folder / name)
    spikec.emit(placed(), folder / "placed")
