"""Writes small NIR files as they stand in HDF5, right or wrong, without the nir library."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from spikec.compiler.untyped import h5py

Spec = dict[str, Any]
Edges = Sequence[tuple[str, str]]


def node(kind: str, **fields: Any) -> Spec:
    """Return a node of a NIR type."""
    return {"type": kind, **fields}


def network(nodes: Mapping[str, Spec], edges: Edges) -> Spec:
    """Return a NIRGraph."""
    return {"type": "NIRGraph", "nodes": dict(nodes), "edges": list(edges)}


def ends(shape: Sequence[int], out: Sequence[int]) -> dict[str, Spec]:
    """Return an Input and an Output."""
    return {"in": node("Input", shape=list(shape)), "out": node("Output", shape=list(out))}


def chain(shape: Sequence[int], out: Sequence[int], **middle: Spec) -> Spec:
    """Return Input ``in``, the nodes in order, Output ``out``, connected in a row."""
    names = ["in", *middle, "out"]
    edges = list(pairwise(names))
    return network({**ends(shape, out), **middle}, edges)


def lif(size: int | Sequence[int] = 1, **changed: Any) -> Spec:
    """Return a LIF node whose tau / r is 1 ms."""
    ones = np.ones(size)
    fields = {"tau": 0.01 * ones, "r": 10 * ones, "v_leak": 0 * ones, "v_threshold": ones}
    return node("LIF", **{**fields, **changed})


def cuba_lif(size: int = 1, **changed: Any) -> Spec:
    """Return a CubaLIF node whose tau_mem / r is 2 ms."""
    ones = np.ones(size)
    fields = {"tau_syn": 0.005 * ones, "tau_mem": 0.02 * ones, "r": 10 * ones}
    return node("CubaLIF", **{**fields, "v_leak": 0 * ones, "v_threshold": ones, **changed})


def spiking(size: int | Sequence[int] = 1, **changed: Any) -> Spec:
    """Return an IF node."""
    return node("IF", **{"r": np.ones(size), "v_threshold": np.ones(size), **changed})


def linear(*shape: int, **changed: Any) -> Spec:
    """Return a Linear node with weights 1, 2, 3 and so on."""
    return node("Linear", **{"weight": 1.0 + np.arange(np.prod(shape)).reshape(shape), **changed})


def affine(out: int, into: int, **changed: Any) -> Spec:
    """Return an Affine node with weights 1, 2, 3 and so on, and biases 1, 2, 3 and so on."""
    weight = 1.0 + np.arange(out * into).reshape(out, into)
    return node("Affine", **{"weight": weight, "bias": 1.0 + np.arange(out), **changed})


def conv(*shape: int, **changed: Any) -> Spec:
    """Return a Conv2d node with weights and biases 1, 2, 3 and so on."""
    weight = 1.0 + np.arange(np.prod(shape)).reshape(shape)
    fields = {"weight": weight, "bias": 1.0 + np.arange(shape[0]), "stride": [1, 1]}
    fields |= {"padding": [0, 0], "dilation": [1, 1], "groups": 1}
    return node("Conv2d", **{**fields, **changed})


def pool(kind: str = "SumPool2d", **changed: Any) -> Spec:
    """Return a pooling of 2 x 2 windows."""
    return node(kind, **{"kernel_size": [2, 2], "stride": [2, 2], "padding": [0, 0], **changed})


def flat(start: int = 0, end: int = -1, **changed: Any) -> Spec:
    """Return a Flatten node."""
    return node("Flatten", start_dim=start, end_dim=end, **changed)


def without(spec: Spec, *fields: str) -> Spec:
    """Return a node with some fields missing."""
    return {key: value for key, value in spec.items() if key not in fields}


def write(path: Path, root: Spec, version: str = "1.0.8") -> Path:
    """Write a file."""
    with h5py.File(path, "w") as file:
        file["version"] = version
        write_group(file.create_group("node"), root)
    return path


def write_group(group: Any, members: Any) -> None:
    """Write members: groups, and everything else as a dataset."""
    for name, value in members.items():
        if isinstance(value, Mapping):
            write_group(group.create_group(name), value)
        elif name == "edges" and len(value) == 0:
            group[name] = np.zeros((0,))
        else:
            group[name] = value
