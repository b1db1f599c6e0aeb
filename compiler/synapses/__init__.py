"""Synapse kinds: linear maps from the spikes or values of a source to the input of a target.

y = W x + b. ``x`` and ``y`` are flat; a kind that needs geometry (convolutions, pools) carries its
own input shape, so a reshape or flatten in C order costs nothing and is not a node. ``apply`` is
the definition; on integers it is exact.
"""

from spikec.compiler.synapses.base import Shape, Synapse, replace_data
from spikec.compiler.synapses.convolution import Conv1d, Conv2d, same_padding
from spikec.compiler.synapses.dense import Dense
from spikec.compiler.synapses.one_to_one import AllButSelf, OneToOne, identity
from spikec.compiler.synapses.pooling import Pool2d
from spikec.compiler.synapses.procedural import DistanceDependent, FixedProbability, Procedural
from spikec.compiler.synapses.sparse import Sparse
from spikec.compiler.synapses.window import Pair

# In the order in which errors list them.
KINDS: dict[str, type[Synapse]] = {
    kind.kind: kind
    for kind in (
        Dense,
        Conv1d,
        Conv2d,
        Pool2d,
        OneToOne,
        AllButSelf,
        Sparse,
        FixedProbability,
        DistanceDependent,
    )
}

__all__ = [
    "KINDS",
    "AllButSelf",
    "Conv1d",
    "Conv2d",
    "Dense",
    "DistanceDependent",
    "FixedProbability",
    "OneToOne",
    "Pair",
    "Pool2d",
    "Procedural",
    "Shape",
    "Sparse",
    "Synapse",
    "identity",
    "replace_data",
    "same_padding",
]
