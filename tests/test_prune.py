"""Pruning removes only what changes nothing."""

import numpy as np
from hypothesis import given

import spikec
from networks import Style, graphs, spikes_for
from sizes import examples
from spikec.compiler.types import Tensor


@given(graph=graphs(Style(on_grid=True)))
@examples(8, 120)
def test_pruned_networks_give_the_same_outputs(graph: spikec.Graph) -> None:
    """Outputs, and every population that stays, are equal in floats and in integers."""
    data = spikes_for(graph, 3, 15, 8)
    for after in ("", ",quantize"):
        plain, pruned = (
            spikec.compile(graph, pipeline=f"discretize{p}{after}", calibration=data)
            for p in ("", ",prune")
        )
        a, b = (spikec.simulate(p, data, ("spikes",)) for p in (plain, pruned))
        for name, out in a.outputs.items():
            np.testing.assert_array_equal(out, b.outputs[name])
        for name, sent in b.spikes.items():
            np.testing.assert_array_equal(a.spikes[name], sent)


def test_dead_populations_and_zero_synapses_go() -> None:
    """What reaches no output is gone, with a finding; stored zeros are gone; the rest stays."""
    ones = Tensor.floats([1.0, 0.0, 0.5])
    synapse = spikec.Sparse(2, np.array([0, 2, 3]), np.array([0, 1, 1]), ones)
    graph = spikec.Graph(
        "g",
        (
            spikec.Input("x", (2,)),
            spikec.Population("n", (2,), spikec.LIF(decay=0.5)),
            spikec.Population("dead", (2,), spikec.LIF(decay=0.5)),
            spikec.Output("y", "n"),
        ),
        (
            spikec.Projection("x", "n", synapse),
            spikec.Projection("n", "dead", spikec.Dense(Tensor.floats(np.eye(2)))),
        ),
    )
    program = spikec.compile(graph, pipeline="prune")
    assert [p.name for p in program.graph.populations] == ["n"]
    (projection,) = program.graph.projections
    assert projection.synapse.weight.data.tolist() == [1.0, 0.5]
    np.testing.assert_array_equal(projection.synapse.to_sparse().toarray(), [[1, 0], [0, 0.5]])
    assert [str(f) for f in program.graph.findings] == [
        "dead: pruned: it reaches no output. [SPK0676]"
    ]
