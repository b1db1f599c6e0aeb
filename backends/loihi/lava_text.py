"""Text of the Lava program: the network's source and its README.

Names from outside stand in comments only, where they cannot break out; identifiers are made here.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from spikec.backends.loihi.image import CoreImage

if TYPE_CHECKING:
    from spikec.backends.loihi.emitters.lava import Connection, Group

_HEAD = '''"""{title} as Lava processes.

Written by spikec {version} for lava-nc 0.10.0 (Python 3.10). {sizes}.
Every connection takes one step (its hop); further delays are in DelayDense and DelaySparse.
A held group begins without bias, at zero; run.py gives it state and bias at its first step.
"""

from lava.proc.dense.process import DelayDense, Dense
from lava.proc.lif.process import LIF
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix


def matrix(arrays, name, shape):
    """Return the sparse matrix kept under a name."""
    parts = tuple(arrays[name + "." + part] for part in ("data", "indices", "indptr"))
    return csr_matrix(parts, shape=shape)


def build(arrays, sources):
    """Return neurons and connections by identifier.

    arrays: what arrays.npz holds. sources: an output port for each input, by identifier.
    """
    neurons, synapses = {{}}, {{}}
'''

_LIF = """
    # {population}: {size} neurons, from step {start}
    neurons["{name}"] = LIF(
        shape=({size},),
        du={du},
        dv={dv},
        vth={vth},
        u={u},
        v={v},
        bias_mant={bias},
        bias_exp=arrays["{name}.bias_exp"],
    )
    sources["{name}"] = neurons["{name}"].s_out
"""

_SYNAPSES = """
    # {projection}
    synapses["{name}"] = {process}(
        weights={weights},{delays}
        weight_exp={exponent},
        num_weight_bits={bits},
        sign_mode=SignMode.{mode},
    )
    sources["{source}"].connect(synapses["{name}"].s_in)
    synapses["{name}"].a_out.connect(neurons["{target}"].a_in)
"""


def network_text(
    image: CoreImage, groups: "Sequence[Group]", connections: "Sequence[Connection]"
) -> str:
    """Return the source that builds the network."""
    text = _HEAD.format(
        title=_comment(image.name).capitalize(),
        version=version("spikec"),
        sizes=_sizes(groups, connections),
    )
    return (
        text
        + "".join(_group(g) for g in groups)
        + "".join(_connection(c) for c in connections)
        + "    return neurons, synapses\n"
    )


def _sizes(groups: "Sequence[Group]", connections: "Sequence[Connection]") -> str:
    neurons = sum(len(g.neurons) for g in groups)
    synapses = sum(c.matrix.nnz for c in connections)
    return f"{neurons} neurons, {synapses} synapses, {len(groups) + len(connections)} processes"


def _comment(name: str) -> str:
    """Return a name with nothing but characters that no comment or string ends at."""
    return "".join(c if c.isalnum() or c in "_.-" else "_" for c in name)


def _group(group: "Group") -> str:
    c, first = group.compartments, group.neurons[0]

    def initial(key: str) -> str:
        return "0" if group.held else f'arrays["{group.name}.{key}"]'

    return _LIF.format(
        name=group.name,
        population=_comment(c.name),
        size=len(group.neurons),
        start=c.start,
        du=c.du[first],
        dv=c.dv[first],
        vth=c.threshold[first],
        u=initial("u"),
        v=initial("v"),
        bias=initial("bias_mant"),
    )


def _connection(c: "Connection") -> str:
    def kept(key: str) -> str:
        name = f"{c.name}.{key}"
        return f'arrays["{name}"]' if c.dense else f'matrix(arrays, "{name}", {c.matrix.shape})'

    s = c.synapses
    return _SYNAPSES.format(
        projection=f"{_comment(s.source)} to {_comment(s.target)}, {c.matrix.nnz} synapses",
        name=c.name,
        process=c.process,
        weights=kept("weights"),
        delays="" if c.extra is None else f"\n        delays={kept('delays')}.astype(int),",
        exponent=s.exponent,
        bits=s.bits,
        mode=s.mode.upper(),
        source=c.source,
        target=c.target,
    )


def readme_text(
    image: CoreImage, groups: "Sequence[Group]", connections: "Sequence[Connection]"
) -> str:
    """Return how to run it."""
    held = sorted({g.compartments.start for g in groups if g.held})
    pauses = f"steps {', '.join(map(str, held))}" if held else "no step"
    return f"""# {_comment(image.name)} for Lava

{_sizes(groups, connections)}. Written by spikec {version("spikec")}; needs no spikec to run.

## In the simulator

Lava needs Python 3.10:

    python3.10 -m venv .venv-lava
    .venv-lava/bin/pip install lava-nc==0.10.0
    .venv-lava/bin/python run.py

runs the golden inputs under Loihi2SimCfg in fixed point and compares every spike and state with
golden.npz, which the integer core model of spikec made. `--inputs IN.npz --output OUT.npz` runs
other spikes; `run.py --help` tells the rest.

## On Loihi 2

    .venv-lava/bin/python run.py --hardware

needs Intel's Lava-Loihi extension and a board, named as Lava asks for it (SLURM and BOARD, or
NXSDKHOST). The network then runs under Loihi2HwCfg; output spikes are compared, states are not
read. This path has never run on a chip: no board was at hand.

## What to know

- A connection takes one step; mapping.json says in which step each group of neurons begins.
- Bias and initial state of groups that begin late are held back: the run pauses after {pauses} and
  sets them. Between samples it sets all states back, and empties what is on its way.
- Lava models no 22-bit synaptic sum, and keeps a current of exactly +2^23 where 24 bits hold
  -2^23. The weights were chosen so that neither sum nor membrane overflows.
- Where every neuron sits on the chip is Lava's choice.
"""
