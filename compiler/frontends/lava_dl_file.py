"""Reads a lava-dl ``.net`` file, HDF5 that may be hostile, in a process apart.

A file holds ``/layer/0``, ``/layer/1`` and so on. A layer is a group with its ``type``, its numbers
and, where it has neurons, a group ``neuron`` with theirs. Source of names and meaning: the public
code of lava-dl 0.6.0 (``slayer/block/base.py``, which writes, ``netx/hdf5.py``, which reads).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikec.compiler.apart import Result
from spikec.compiler.errors import SpikecError, one_line
from spikec.compiler.frontends.hdf5_file import (
    Limits,
    dataset_of,
    member,
    read_apart,
    read_numbers,
    read_text,
    wrong_kind,
)
from spikec.compiler.frontends.nir_process import packed, unpacked
from spikec.compiler.frontends.nir_raw import MAX_TEXT, RawNode, missing, readable
from spikec.compiler.types import Array
from spikec.compiler.untyped import h5py

NET_SUFFIX = ".net"
LAYER = (
    "shape",
    "weight",
    "weight_rec",
    "bias",
    "delay",
    "stride",
    "padding",
    "dilation",
    "groups",
)
NEURON = (
    "iDecay",
    "vDecay",
    "vThMant",
    "refDelay",
    "wgtExp",
    "weight_exp",
    "gradedSpike",
    "messageBits",
)
# What the numbers above say too, and what only training uses.
NOT_NEEDED = (
    "inFeatures",
    "outFeatures",
    "inChannels",
    "outChannels",
    "kernelSize",
    "neuron.theta",
    "neuron.tauRho",
    "neuron.scaleRho",
)


@dataclass(frozen=True, slots=True, eq=False)
class NetSource:
    """A whole network as read.

    Attributes:
        layers: In order. A neuron's fields are called ``neuron.``; its type is text.
        name: Name.
        metadata: Origin.
    """

    layers: tuple[RawNode, ...]
    name: str
    metadata: Mapping[str, str]


def read_net(path: Path) -> NetSource:
    """Read a file.

    Raises:
        SpikecError: SPK1001 to SPK1018, SPK1060, SPK1700, SPK1701.
    """
    with readable(str(path)):
        value, arrays = read_apart(path, NET_SUFFIX, _read)
    metadata = {"format": "lava-dl", "file": path.name, "sha256": value["sha256"]}
    layers = tuple(unpacked(layer, arrays) for layer in value["layers"])
    return NetSource(layers, path.stem, {k: one_line(v) for k, v in metadata.items()})


def _read(file: Any, limits: Limits) -> Result:
    """Read all layers."""
    group = member(file, "layer", "layer")
    if group is None:
        raise missing("layer")
    if not isinstance(group, h5py.Group):
        raise wrong_kind("layer", "group")
    names = set(group)
    for k in range(len(names)):
        if str(k) not in names:
            raise SpikecError(
                "SPK1700",
                "layer",
                f"it has {len(names)} members but none is called '{k}'",
                "Number the layers 0, 1, 2 and so on",
            )
    arrays: list[Array] = []
    layers = [packed(_layer(group, str(k), limits), arrays) for k in range(len(names))]
    return {"layers": layers}, arrays


def _layer(layers: Any, key: str, limits: Limits) -> RawNode:
    """Read one layer."""
    where = f"layer.{key}"
    limits.count_node(where)
    group = member(layers, key, where)
    kind = read_text(_in(group, "type", where), f"{where}.type", limits)
    if isinstance(member(group, "weight", f"{where}.weight"), h5py.Group):
        raise SpikecError(
            "SPK1701",
            f"{where} {kind}",
            "its weights are complex numbers, which resonate-and-fire neurons use",
            "Use layers of CUBA neurons",
        )
    fields = _fields(group, LAYER, where, "", limits)
    ignored = _unknown(group, (*LAYER, "type", "neuron"), "")
    neuron = member(group, "neuron", f"{where}.neuron")
    if neuron is not None:
        where = f"{where}.neuron"
        fields["neuron.type"] = read_text(_in(neuron, "type", where), f"{where}.type", limits)
        fields |= _fields(neuron, NEURON, where, "neuron.", limits)
        ignored += _unknown(neuron, (*NEURON, "type"), "neuron.")
    return RawNode(f"layer.{key}", kind, fields, ignored=ignored)


def _in(group: Any, name: str, where: str) -> Any:
    if not isinstance(group, h5py.Group):
        raise wrong_kind(where, "group")
    return dataset_of(group, name, f"{where}.{name}")


def _fields(
    group: Any, names: tuple[str, ...], where: str, prefix: str, limits: Limits
) -> dict[str, Array | str]:
    found: dict[str, Array | str] = {}
    for name in names:
        values = read_numbers(group, name, f"{where}.{name}", limits)
        if values is not None:
            found[prefix + name] = values
    return found


def _unknown(group: Any, known: tuple[str, ...], prefix: str) -> tuple[str, ...]:
    names = (prefix + n[:MAX_TEXT] for n in group if n not in known)
    return tuple(n for n in names if n not in NOT_NEEDED)
