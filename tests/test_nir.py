"""NIR to the IR: populations, projections, relays, delays, steps, findings and errors."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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
    without,
    write,
)
from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.nir import load_nir
from spikec.compiler.ir import Graph, Program
from spikec.compiler.neurons.cuba_lif import ContinuousCubaLIF
from spikec.compiler.neurons.integrate_and_fire import ContinuousIntegrateAndFire
from spikec.compiler.neurons.leaky_integrator import ContinuousLeakyIntegrator
from spikec.compiler.neurons.lif import ContinuousLIF
from spikec.compiler.semantics import Semantics
from spikec.compiler.synapses import Conv1d, Conv2d, Dense, OneToOne, Pool2d
from spikec.compiler.untyped import nir
from spikec.compiler.verify import verify

NIR = Semantics()
ADVICE = (
    "Give --dt in seconds, for instance --dt 1e-3, or a --semantics that implies one. [SPK1020]"
)


@pytest.fixture
def load(tmp_path: Path) -> Any:
    """Return a function that writes a network and loads it."""

    def run(root: Spec, semantics: str = "nir", dt: float | None = 1e-3) -> Graph:
        return load_nir(write(tmp_path / "net.nir", root), Semantics.parse(semantics), dt)

    return run


@pytest.fixture
def refuse(load: Any) -> Any:
    """Return a function that loads a network and returns the error."""

    def run(root: Spec, semantics: str = "nir", dt: float | None = 1e-3) -> str:
        with pytest.raises(SpikecError) as caught:
            load(root, semantics, dt)
        return str(caught.value)

    return run


def edges(graph: Graph) -> dict[str, tuple[str, int]]:
    """Return kind and delay of every projection."""
    return {str(p): (p.synapse.kind, p.delay) for p in graph.projections}


def names(graph: Graph) -> dict[str, str]:
    """Return the kind of every population, in order."""
    return {p.name: p.neuron.kind for p in graph.populations}


def findings(graph: Graph) -> list[str]:
    """Return the findings as text."""
    return [str(f) for f in graph.findings]


def synapse(graph: Graph, source: str, target: str) -> Any:
    """Return the synapse of the only projection between two carriers."""
    (found,) = [p for p in graph.projections if (p.source, p.target) == (source, target)]
    return found.synapse


# ---------------------------------------------------------------- neurons


def test_lif_fields(load: Any) -> None:
    """A LIF becomes a continuous LIF with its parameters, the semantics and the metadata."""
    graph = load(chain([2], [2], n=lif(2, v_threshold=[1.0, 2.0], v_reset=[-1.0, -2.0])))
    model = graph.population("n").neuron
    assert isinstance(model, ContinuousLIF)
    assert model.semantics == NIR
    values = {name: tensor.data.tolist() for name, tensor in model.parameters().items()}
    assert values == {
        "tau": [0.01, 0.01],
        "r": [10.0, 10.0],
        "v_leak": [0.0, 0.0],
        "v_threshold": [1.0, 2.0],
        "v_reset": [-1.0, -2.0],
        "v_init": 0.0,
    }
    assert graph.name == "net"
    assert graph.metadata["format"] == "nir"
    assert graph.metadata["version"] == "1.0.8"
    assert graph.metadata["file"] == "net.nir"
    assert graph.metadata["semantics"] == "nir"
    assert findings(graph) == []


@pytest.mark.parametrize(
    ("spec", "model"),
    [
        (spiking(2), ContinuousIntegrateAndFire),
        (cuba_lif(2), ContinuousCubaLIF),
        (
            node("LI", tau=np.ones(2), r=np.ones(2), v_leak=np.ones(2)),
            ContinuousLeakyIntegrator,
        ),
    ],
)
def test_models(load: Any, spec: Spec, model: type) -> None:
    """IF, CubaLIF and LI become their continuous models."""
    assert isinstance(load(chain([2], [2], n=spec)).population("n").neuron, model)


def test_missing_optional_fields(load: Any) -> None:
    """A missing v_reset reads as 0 and a missing w_in as 1."""
    model = load(chain([1], [1], n=cuba_lif())).population("n").neuron
    assert (model.v_reset.real(), model.w_in.real()) == (0.0, 1.0)


def test_missing_parameter(refuse: Any) -> None:
    """Any other missing field is an error that names node and field."""
    text = refuse(chain([1], [1], n=without(lif(), "tau")))
    assert text == "n.tau: is missing. Write the file again. [SPK1003]"


def test_scalar_parameters(load: Any) -> None:
    """One number for many neurons is broadcast, with a finding."""
    graph = load(chain([3], [3], n=lif(3, tau=0.01, r=[10.0])))
    assert graph.population("n").neuron.tau.shape == ()
    assert findings(graph) == ["n.tau,r: one number stands for all 3 elements. [SPK1062]"]


def test_reshaped_parameters(load: Any) -> None:
    """Parameters of another shape and the same size are read in C order, with a finding."""
    threshold = np.arange(1.0, 7.0)
    spec = lif((1, 2, 3), v_threshold=threshold)
    graph = load(chain([1, 2, 3], [1, 2, 3], n=spec))
    assert graph.population("n").neuron.v_threshold.data.tolist() == threshold.tolist()
    assert findings(graph) == ["n.v_threshold: (6,) is read as (1, 2, 3) in C order. [SPK1064]"]


def test_wrong_parameter_size(refuse: Any) -> None:
    """Parameters of another size than what arrives are refused."""
    assert refuse(chain([2], [2], n=lif(2, tau=np.ones(3)))) == (
        "n.tau: shape (3,) does not fit the 2 elements of (2,). "
        "Give one number, or one per element. [SPK1023]"
    )


# ---------------------------------------------------------------- linear maps


def test_affine(load: Any) -> None:
    """An Affine becomes Dense with its weight and bias."""
    graph = load(chain([3], [2], fc=affine(2, 3), n=lif(2)))
    found = synapse(graph, "in", "n")
    assert isinstance(found, Dense)
    assert found.weight.data.tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    assert found.bias is not None
    assert found.bias.data.tolist() == [1.0, 2.0]
    assert names(graph) == {"n": "continuous_lif"}


def test_zero_bias(load: Any) -> None:
    """A bias of zeros is dropped, which changes nothing and is no finding."""
    graph = load(chain([3], [2], fc=affine(2, 3, bias=np.zeros(2)), n=lif(2)))
    assert synapse(graph, "in", "n").bias is None
    assert findings(graph) == []


def test_scalar_bias(load: Any) -> None:
    """One bias for several channels is broadcast, with a finding."""
    graph = load(chain([3], [2], fc=affine(2, 3, bias=4.0), n=lif(2)))
    assert synapse(graph, "in", "n").bias.data.tolist() == [4.0, 4.0]
    assert findings(graph) == ["fc.bias: one number stands for all 2 elements. [SPK1062]"]


def test_scale(load: Any) -> None:
    """A Scale becomes one weight per neuron."""
    found = synapse(load(chain([2], [2], s=node("Scale", scale=[2.0, 3.0]), n=lif(2))), "in", "n")
    assert isinstance(found, OneToOne)
    assert found.weight.data.tolist() == [2.0, 3.0]


def test_pools(load: Any) -> None:
    """SumPool2d has weight 1, AvgPool2d one over the size of the window."""
    for kind, weight in (("SumPool2d", 1.0), ("AvgPool2d", 1 / 6)):
        spec = pool(kind, kernel_size=[2, 3], stride=[2, 1])
        graph = load(chain([1, 4, 4], [1, 2, 2], p=spec, n=spiking((1, 2, 2))))
        found = synapse(graph, "in", "n")
        assert isinstance(found, Pool2d)
        assert found.weight.data == weight
        assert (found.kernel, found.stride) == ((2, 3), (2, 1))


def test_neurons_in_a_row(load: Any) -> None:
    """Neurons that feed neurons directly do so one to one with weight 1."""
    graph = load(chain([2], [2], a=lif(2), b=lif(2)))
    assert edges(graph) == {"in -> a": ("one_to_one", 0), "a -> b": ("one_to_one", 0)}
    assert synapse(graph, "a", "b").weight.data == 1.0


def test_affine_after_image(refuse: Any) -> None:
    """A weight for the flattened image needs a Flatten before it."""
    advice = (
        "Correct the weight, or flatten all axes before it (Flatten with start_dim 0: NIR shapes "
        "have no batch axis). [SPK1025]"
    )
    assert refuse(chain([8, 2, 2], [4], fc=linear(4, 32), n=lif(4))) == (
        "fc.weight: (4, 32) takes 32 numbers on the last axis but (8, 2, 2) arrives. " + advice
    )
    assert refuse(chain([8, 2, 2], [4], f=flat(1), fc=linear(4, 32), n=lif(4))) == (
        "fc.weight: (4, 32) takes 32 numbers on the last axis but (8, 4) arrives. " + advice
    )


def test_affine_on_rows(refuse: Any) -> None:
    """A weight that would act on each row of an image is not supported yet."""
    assert refuse(chain([8, 2, 2], [8, 2, 3], fc=linear(3, 2), n=lif((8, 2, 3)))) == (
        "fc.weight: (3, 2) would act on each of the 16 rows of (8, 2, 2), which is not supported "
        "yet. Flatten the signal before it. [SPK1026]"
    )


def test_affine_on_one_row(load: Any) -> None:
    """Leading axes of one element do no harm."""
    graph = load(chain([1, 1, 2], [1, 1, 3], fc=linear(3, 2), n=lif((1, 1, 3))))
    assert graph.population("n").shape == (1, 1, 3)


def test_affine_with_more_axes(refuse: Any) -> None:
    """A weight with more than two axes is not supported yet."""
    assert refuse(chain([2, 2], [2, 3], fc=linear(2, 3, 2), n=lif((2, 3)))) == (
        "fc.weight: a weight of shape (2, 3, 2) is not supported yet. Give (out, in). [SPK1024]"
    )


def test_flatten(load: Any) -> None:
    """A Flatten reorders nothing and is no node of the graph."""
    graph = load(chain([2, 2, 2], [3], f=flat(), fc=linear(3, 8), n=lif(3)))
    assert edges(graph) == {"in -> n": ("dense", 0)}
    graph = load(chain([2, 3, 4], [6, 4], f=flat(0, 1), n=lif((6, 4))))
    assert graph.population("n").shape == (6, 4)
    graph = load(chain([2, 3, 4], [2, 12], f=flat(-2, -1), n=lif((2, 12))))
    assert graph.population("n").shape == (2, 12)


def test_flatten_without_such_axes(refuse: Any) -> None:
    """A Flatten of axes that do not exist is refused."""
    advice = "NIR shapes have no batch axis: start_dim 0 flattens all. [SPK1030]"
    assert refuse(chain([4], [4], f=flat(1), n=lif(4))) == (
        f"f: start_dim 1 to end_dim -1 are not axes of (4,). {advice}"
    )
    assert refuse(chain([2, 2], [4], f=flat(1, 0), n=lif(4))) == (
        f"f: start_dim 1 to end_dim 0 are not axes of (2, 2). {advice}"
    )


def test_flatten_input_type(load: Any) -> None:
    """The input shape that a Flatten states is only compared."""
    graph = load(chain([2, 3], [6], f=flat(input_type=[3, 2]), n=lif(6)))
    assert findings(graph) == [
        "f.input_type: the file says (3, 2) but (2, 3) arrives, which is used. [SPK1063]"
    ]


# ---------------------------------------------------------------- convolutions


@pytest.mark.parametrize(
    ("spec", "shape", "out"),
    [
        (conv(4, 1, 5, 3), (1, 20, 20), (4, 16, 18)),
        (conv(4, 2, 3, 3, groups=2), (4, 6, 6), (4, 4, 4)),
        (conv(2, 1, 3, 3, stride=[2, 2], padding=[1, 1]), (1, 20, 20), (2, 10, 10)),
        (conv(2, 1, 5, 3, padding="same"), (1, 20, 20), (2, 20, 20)),
        (conv(2, 1, 2, 3, padding="same", dilation=[2, 1]), (1, 9, 9), (2, 9, 9)),
        (conv(2, 1, 2, 4, padding="same"), (1, 9, 9), (2, 9, 9)),
        (conv(2, 1, 3, 3, padding="valid"), (1, 20, 20), (2, 18, 18)),
        (conv(2, 1, 3, 3, stride=2, padding=1, dilation=1), (1, 20, 20), (2, 10, 10)),
    ],
    ids=["5x3", "groups", "stride", "same", "same dilated", "same even", "valid", "single"],
)
def test_conv_shapes(load: Any, spec: Spec, shape: tuple[int, ...], out: tuple[int, ...]) -> None:
    """Shapes follow from the weight's last two axes, where nir 1.0.8 gets some wrong."""
    graph = load(chain(shape, out, c=spec, n=spiking(out)))
    assert graph.population("n").shape == out
    assert isinstance(synapse(graph, "in", "n"), Conv2d)
    assert findings(graph) == []


def test_same_with_a_stride(load: Any) -> None:
    """NIR does not say what it means; TensorFlow's reading is taken and told."""
    spec = conv(2, 1, 3, 3, padding="same", stride=[2, 3])
    graph = load(chain((1, 9, 9), (2, 5, 3), c=spec, n=spiking((2, 5, 3))))
    assert findings(graph) == [
        "c.padding: same with stride (2, 3) is read as TensorFlow's: ceil(size / stride) outputs. "
        "[SPK1029]"
    ]


@pytest.mark.parametrize(
    ("changed", "out"),
    [
        ({}, 7),
        ({"stride": 2, "padding": 1}, 5),
        ({"dilation": 3}, 3),
        ({"padding": "same"}, 9),
        ({"padding": "same", "weight": np.ones((2, 3, 4))}, 9),
        ({"padding": "valid"}, 7),
        ({"weight": np.ones((3, 1, 3)), "groups": 3, "bias": np.zeros(3)}, 7),
    ],
)
def test_conv1d(load: Any, changed: dict[str, Any], out: int) -> None:
    """Sequences of 9 with 3 channels; weights and bias arrive, and the shape follows."""
    fields: dict[str, Any] = {
        "weight": np.arange(18.0).reshape(2, 3, 3),
        "bias": np.array([0.5, -1.0]),
        "stride": 1,
        "padding": 0,
        "dilation": 1,
        "groups": 1,
        "input_shape": 9,
    } | changed
    shape = (len(fields["weight"]), out)
    graph = load(chain((3, 9), shape, c=node("Conv1d", **fields), n=spiking(shape)))
    made = synapse(graph, "in", "n")
    assert isinstance(made, Conv1d)
    assert np.array_equal(made.weight.data, fields["weight"])
    assert graph.population("n").shape == shape
    assert findings(graph) == []


def test_conv1d_wants_channels(load: Any) -> None:
    """A vector is no sequence."""
    fields = {"weight": np.ones((2, 3, 3)), "bias": np.zeros(2), "stride": 1, "padding": 0}
    spec = node("Conv1d", **fields, dilation=1, groups=1)
    with pytest.raises(SpikecError) as caught:
        load(chain((9,), (2, 7), c=spec, n=spiking((2, 7))))
    line = "c: Conv1d takes (channels, n) but (9,) arrives. Correct the shape of what is before it."
    assert str(caught.value) == f"{line} [SPK1027]"


def test_conv_after_nirs_wrong_shape(load: Any) -> None:
    """A conv whose stated input shape nir inferred wrongly is read right, with a finding."""
    root = chain(
        [1, 20, 20],
        [1, 14, 16],
        a=conv(4, 1, 5, 3, input_shape=[20, 20]),
        n=spiking((4, 16, 18)),
        b=conv(1, 4, 3, 3, input_shape=[16, 16]),
        m=spiking((1, 14, 16)),
    )
    assert findings(load(root)) == [
        "b.input_shape: the file says (16, 16) but (16, 18) arrives, which is used. [SPK1063]"
    ]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        (
            {"padding": "full"},
            "c.padding: 'full' is not a padding. Use same, valid or integers. [SPK1028]",
        ),
        (
            {"stride": [1, 1, 1]},
            "c.stride: (1, 1, 1) is not a pair. Give one or two integers. [SPK1021]",
        ),
        (
            {"stride": [1.5, 1]},
            "c.stride: [1.5, 1.0] are not integers of 32 bits. Correct the file. [SPK1019]",
        ),
        ({"groups": [1, 1]}, "c.groups: (1, 1) is not one number. Give one integer. [SPK1034]"),
        (
            {"groups": 2},
            "c: conv2d: weight (2, 1, 3, 3) with 2 groups does not fit 1 input channels. "
            "in channels must be weight.shape[1] * groups and out a multiple of groups. [SPK0304]",
        ),
        (
            {"weight": np.ones((2, 1, 3))},
            "c: conv2d: weight has shape (2, 1, 3). Give (out, in / groups, k0, k1). [SPK0303]",
        ),
        (
            {"weight": 1.0, "bias": 1.0, "padding": "same"},
            "c: conv2d: weight has shape (). Give (out, in / groups, k0, k1). [SPK0303]",
        ),
        (
            {"padding": [1 << 20, 1 << 20]},
            "c: conv2d: 4398130397584 elements with padding, 39583098080100 in all windows and 2 "
            "channels are more than 67108864, 134217728 or 4294967296 products. Split the model. "
            "[SPK0828]",
        ),
    ],
)
def test_conv_errors(refuse: Any, changed: dict[str, Any], text: str) -> None:
    """A convolution that makes no sense is refused with its name."""
    assert refuse(chain([1, 20, 20], [1], c=conv(2, 1, 3, 3, **changed), n=spiking(1))) == text


def test_image_operations_need_images(refuse: Any) -> None:
    """Convolution and pooling take three axes."""
    assert refuse(chain([20], [1], p=pool(), n=spiking(1))) == (
        "p: SumPool2d takes (channels, n0, n1) but (20,) arrives. "
        "Correct the shape of what is before it. [SPK1027]"
    )


def test_pool_larger_than_image(refuse: Any) -> None:
    """A window larger than the image is refused with the node's name."""
    assert refuse(chain([1, 1, 1], [1], p=pool(), n=spiking(1))) == (
        "p: pool2d: window (2, 2) with weight () does not fit (1, 1, 1). "
        "Check the input shape and padding. [SPK0307]"
    )


# ---------------------------------------------------------------- relays


def test_pool_then_conv(load: Any) -> None:
    """Of two maps in a row the first ends in a relay of its name."""
    root = chain([1, 4, 4], [1, 1, 1], p=pool(), c=conv(1, 1, 2, 2), n=spiking((1, 1, 1)))
    graph = load(root)
    assert names(graph) == {"p": "relay", "n": "continuous_integrate_and_fire"}
    assert graph.population("p").shape == (1, 2, 2)
    assert edges(graph) == {"in -> p": ("pool2d", 0), "p -> n": ("conv2d", 0)}


def test_fan_out(load: Any) -> None:
    """A map that feeds two populations is computed once, in a relay."""
    nodes = {**ends([1], [2]), "fc": affine(2, 1), "a": lif(2), "b": lif(2)}
    graph = load(
        network(nodes, [("in", "fc"), ("fc", "a"), ("fc", "b"), ("a", "out"), ("b", "out")])
    )
    assert edges(graph) == {
        "in -> fc": ("dense", 0),
        "fc -> a": ("one_to_one", 0),
        "fc -> b": ("one_to_one", 0),
        "a -> out.sum": ("one_to_one", 0),
        "b -> out.sum": ("one_to_one", 0),
    }
    assert graph.outputs[0].source == "out.sum"


def test_fan_in_of_a_map(load: Any) -> None:
    """What enters a map from two places is added up first, so that its bias counts once."""
    nodes = {**ends([2], [3]), "x": node("Input", shape=[2]), "fc": affine(3, 2), "n": lif(3)}
    graph = load(network(nodes, [("in", "fc"), ("x", "fc"), ("fc", "n"), ("n", "out")]))
    assert names(graph) == {"fc.sum": "relay", "n": "continuous_lif"}
    assert graph.population("fc.sum").shape == (2,)
    assert edges(graph) == {
        "in -> fc.sum": ("one_to_one", 0),
        "x -> fc.sum": ("one_to_one", 0),
        "fc.sum -> n": ("dense", 0),
    }


def test_fan_in_of_neurons(load: Any) -> None:
    """Several maps into one population are several projections, a skip connection one of them."""
    nodes = {**ends([2], [2]), "a": linear(2, 2), "m": lif(2), "b": linear(2, 2), "n": lif(2)}
    rows = [("in", "a"), ("a", "m"), ("m", "b"), ("b", "n"), ("in", "n"), ("n", "out")]
    graph = load(network(nodes, rows))
    assert edges(graph) == {
        "in -> m": ("dense", 0),
        "in -> n": ("one_to_one", 0),
        "m -> n": ("dense", 0),
    }


def test_maps_into_a_sum(load: Any) -> None:
    """Maps that meet in front of another map end in its sum, without relays of their own."""
    nodes = {**ends([2], [2]), "a": linear(2, 2), "b": linear(2, 2), "c": linear(2, 2)}
    rows = [("in", "a"), ("in", "b"), ("a", "c"), ("b", "c"), ("c", "n"), ("n", "out")]
    graph = load(network(nodes | {"n": lif(2)}, rows))
    assert [(str(p), p.synapse.kind) for p in graph.projections] == [
        ("in -> c.sum", "dense"),
        ("in -> c.sum", "dense"),
        ("c.sum -> n", "dense"),
    ]


def test_map_to_output(load: Any) -> None:
    """A map that feeds an Output ends in a relay, which is tapped."""
    graph = load(chain([1], [2], n=lif(), fc=affine(2, 1)))
    assert edges(graph) == {"in -> n": ("one_to_one", 0), "n -> fc": ("dense", 0)}
    assert [(o.name, o.source) for o in graph.outputs] == [("out", "fc")]


def test_input_to_output(load: Any) -> None:
    """An Input that is an Output passes a relay; without neurons no step is needed."""
    graph = load(chain([2], [2]), dt=None)
    assert graph.dt is None
    assert names(graph) == {"out.sum": "relay"}
    assert edges(graph) == {"in -> out.sum": ("one_to_one", 0)}


def test_two_inputs_and_outputs(load: Any) -> None:
    """Every Input and every Output keeps its name; an Output of neurons is a tap."""
    nodes = {**ends([1], [1]), "b": node("Input", shape=[1]), "o": node("Output", shape=[1])}
    nodes |= {"n": lif(), "m": lif()}
    rows = [("in", "n"), ("b", "m"), ("n", "m"), ("n", "out"), ("m", "o")]
    graph = load(network(nodes, rows))
    assert [i.name for i in graph.inputs] == ["b", "in"]
    assert {o.name: o.source for o in graph.outputs} == {"o": "m", "out": "n"}
    assert list(names(graph)) == ["n", "m"]


def test_name_of_a_relay_is_taken(load: Any) -> None:
    """A relay whose name is taken gets a number."""
    nodes = {**ends([1], [1]), "out.sum": lif(), "out.sum.2": lif()}
    rows = [("in", "out.sum"), ("in", "out.sum.2"), ("out.sum", "out"), ("out.sum.2", "out")]
    assert "out.sum.3" in names(load(network(nodes, rows)))


# ---------------------------------------------------------------- delays


def test_delay_before_map(load: Any) -> None:
    """A Delay before a map becomes the delay of its projection, in steps."""
    graph = load(chain([1], [2], d=node("Delay", delay=[0.005]), fc=affine(2, 1), n=lif(2)))
    assert edges(graph) == {"in -> n": ("dense", 5)}


def test_delay_after_map(load: Any) -> None:
    """A Delay after a map without bias is the same; a bias it would delay too, so in a relay."""
    delay = node("Delay", delay=np.array([0.1, 0.1], dtype=np.float32))
    graph = load(chain([1], [2], fc=linear(2, 1), d=delay, n=lif(2)), dt=1e-4)
    assert edges(graph) == {"in -> n": ("dense", 1000)}
    graph = load(chain([1], [2], fc=affine(2, 1), d=delay, n=lif(2)), dt=1e-4)
    assert edges(graph) == {"in -> fc": ("dense", 0), "fc -> n": ("one_to_one", 1000)}


def test_delay_of_output(load: Any) -> None:
    """A Delay before an Output needs a relay behind it."""
    graph = load(chain([1], [1], n=lif(), d=node("Delay", delay=0.002), e=node("Delay", delay=0.0)))
    assert edges(graph) == {"in -> n": ("one_to_one", 0), "n -> out.sum": ("one_to_one", 2)}


def test_delay_errors(refuse: Any) -> None:
    """A Delay is a whole number of steps from 0 on, the same for all elements."""

    def text(delay: Any, dt: float | None = 1e-3) -> str:
        return str(refuse(chain([2], [2], d=node("Delay", delay=delay), n=lif(2)), dt=dt))

    rule = "not a whole number from 0. Choose a --dt that divides the delay. [SPK1054]"
    assert text([0.0015] * 2) == f"d.delay: 0.0015 s is 1.5 steps of 0.001 s, {rule}"
    assert text([-0.001] * 2) == f"d.delay: -0.001 s is -1 steps of 0.001 s, {rule}"
    same = "Give all elements the same delay. [SPK1033]"
    assert text([0.001, 0.002]) == (
        f"d.delay: delays from 0.001 to 0.002 s in one node are not supported yet. {same}"
    )
    assert text([np.nan, 0.001]) == (
        f"d.delay: delays from nan to nan s in one node are not supported yet. {same}"
    )
    assert text([1e300] * 2).startswith("d.delay: 1e+300 s is 1e+303 steps")
    assert text([0.001] * 3).endswith("Give one number, or one per element. [SPK1023]")


def test_delay_needs_a_step(refuse: Any) -> None:
    """A Delay without a step asks for --dt, even where there are no neurons."""
    text = refuse(chain([1], [1], d=node("Delay", delay=[0.001])), dt=None)
    assert text == f"--dt: a NIR file is in continuous time and gives no step. {ADVICE}"


# ---------------------------------------------------------------- the step


def test_no_step(refuse: Any) -> None:
    """Neurons without a step are refused with what to do."""
    text = refuse(chain([1], [1], n=spiking()), dt=None)
    assert text == f"--dt: a NIR file is in continuous time and gives no step. {ADVICE}"


def test_step_is_not_positive(refuse: Any) -> None:
    """A step of zero, below zero or without end is refused."""
    for dt, shown in ((0.0, "0"), (-1e-3, "-0.001"), (np.inf, "inf"), (np.nan, "nan")):
        assert refuse(chain([1], [1], n=lif()), dt=dt) == (
            f"--dt: {shown} s is not a positive step. Give --dt in seconds. [SPK1050]"
        )


def test_step_given(load: Any) -> None:
    """A step that is given goes before the one of the semantics, without a finding."""
    graph = load(chain([1], [1], n=lif()), "snntorch", 2e-3)
    assert graph.dt == 2e-3
    assert findings(graph) == []


def test_step_of_semantics(load: Any) -> None:
    """A step that the semantics assumes is a finding."""
    graph = load(chain([1], [1], n=lif()), "snntorch", None)
    assert graph.dt == 1e-4
    assert findings(graph) == ["dt: dt = 0.0001 s is the step that snntorch assumes. [SPK1068]"]


@pytest.mark.parametrize(
    ("spec", "rule", "dt"),
    [
        (lif(2), "tau/r", 0.001),
        (lif(2, tau=0.011), "tau/(1+r)", 0.001),
        (cuba_lif(2), "tau/r", 0.002),
    ],
)
def test_step_derived(load: Any, spec: Spec, rule: str, dt: float) -> None:
    """A step that the parameters imply is a finding."""
    graph = load(chain([2], [2], n=spec), f"nir{{step_rule={rule}}}", None)
    assert graph.dt == pytest.approx(dt)
    assert findings(graph)[-1] == f"dt: dt = {dt:g} s is {rule} of the LIF nodes. [SPK1068]"


def test_step_is_not_uniform(refuse: Any) -> None:
    """Nodes that imply different steps are refused."""
    assert refuse(chain([1], [1], a=lif(), b=cuba_lif()), "snn_mlir", None) == (
        "a, b: tau/r gives steps from 0.001 to 0.002 s. Give --dt in seconds. [SPK1051]"
    )


def test_step_of_zero_resistance(refuse: Any) -> None:
    """A resistance of zero implies no step, and warns of nothing else."""
    text = refuse(chain([1], [1], a=lif(r=[0.0])), "snn_mlir", None)
    assert text == "a, a: tau/r gives steps from inf to inf s. Give --dt in seconds. [SPK1051]"


def test_nothing_implies_a_step(refuse: Any) -> None:
    """IF nodes alone imply no step."""
    assert refuse(chain([1], [1], a=spiking()), "snn_mlir", None).endswith(ADVICE)


# ---------------------------------------------------------------- cycles and hops


def ring(*more: tuple[str, str], **nodes: Spec) -> Spec:
    """Return in -> a -> b -> out with further nodes and edges."""
    made = {**ends([1], [1]), "a": lif(), "b": lif(), **nodes}
    return network(made, [("in", "a"), ("a", "b"), ("b", "out"), *more])


def test_self_loop(load: Any) -> None:
    """A population that feeds itself does so one step later, with a finding."""
    graph = load(ring(("a", "a")))
    assert edges(graph)["a -> a"] == ("one_to_one", 1)
    assert findings(graph) == [
        "a -> a: closes a cycle, so it is delayed by 1 step (feedback_delay of nir). [SPK1069]"
    ]


def test_feedback(load: Any) -> None:
    """The projection that leads back gets the feedback delay; the others none."""
    graph = load(ring(("b", "w"), ("w", "a"), w=affine(1, 1)), "nir{feedback_delay=2}")
    assert edges(graph) == {
        "in -> a": ("one_to_one", 0),
        "b -> a": ("dense", 2),
        "a -> b": ("one_to_one", 0),
    }
    assert findings(graph) == [
        "b -> a: closes a cycle, so it is delayed by 2 steps (feedback_delay of nir). [SPK1069]"
    ]


def test_feedback_with_explicit_delay(load: Any) -> None:
    """A cycle with a Delay is left alone."""
    graph = load(ring(("b", "d"), ("d", "a"), d=node("Delay", delay=[0.003])))
    assert edges(graph)["b -> a"] == ("one_to_one", 3)
    assert findings(graph) == []


def test_cycle_beside_explicit_delay(load: Any) -> None:
    """A cycle without delay gets one even where a Delay lies beside it."""
    graph = load(ring(("b", "d"), ("d", "a"), ("b", "a"), d=node("Delay", delay=[0.003])))
    delays = sorted(p.delay for p in graph.projections if str(p) == "b -> a")
    assert delays == [1, 3]


def test_no_feedback_delay(refuse: Any) -> None:
    """Without a feedback delay the cycle is left, and refused."""
    text = refuse(ring(("b", "a")), "nir{feedback_delay=0}")
    assert text.endswith("Give one projection a delay of at least 1. [SPK0505]")


def test_hop_delay(load: Any) -> None:
    """Every connection costs a hop; a relay in it costs no other."""
    graph = load(chain([1], [1], x=linear(1, 1), y=linear(1, 1), n=lif()), "lava")
    assert edges(graph) == {"in -> x": ("dense", 1), "x -> n": ("dense", 0)}


def test_hop_and_feedback(load: Any) -> None:
    """In a loop the larger of hop and feedback delay counts, not their sum."""
    root = ring(("b", "a"))
    assert edges(load(root, "lava"))["b -> a"] == ("one_to_one", 1)
    assert findings(load(root, "lava", 1e-3)) == []
    assert edges(load(root, "lava{feedback_delay=3}"))["b -> a"] == ("one_to_one", 3)


def test_hop_and_feedback_through_relay(load: Any) -> None:
    """Where a relay closes the loop, the hop before it counts too."""
    loop = network(
        {**ends([1], [1]), "n": lif(), "w": linear(1, 1)},
        [("in", "n"), ("n", "w"), ("w", "n"), ("w", "out")],
    )
    found = {kind: edges(load(loop, f"lava{{feedback_delay={kind}}}")) for kind in (1, 3)}
    assert (found[1]["n -> w"], found[1]["w -> n"]) == (("dense", 1), ("one_to_one", 0))
    assert (found[3]["n -> w"], found[3]["w -> n"]) == (("dense", 1), ("one_to_one", 2))
    assert edges(load(loop))["w -> n"] == ("one_to_one", 1)


def test_linear_loop(load: Any) -> None:
    """A map that feeds itself is a recurrence; it gets the whole feedback delay."""
    loop = network({**ends([1], [1]), "w": linear(1, 1)}, [("in", "w"), ("w", "w"), ("w", "out")])
    for semantics in ("nir", "lava"):
        assert edges(load(loop, semantics))["w -> w.sum"] == ("one_to_one", 1)


def test_explicit_delay_adds_to_hop(load: Any) -> None:
    """A Delay adds to the hop."""
    graph = load(chain([1], [1], d=node("Delay", delay=[0.002]), n=lif()), "lava")
    assert edges(graph) == {"in -> n": ("one_to_one", 3)}


def test_cycle_of_nothing(refuse: Any) -> None:
    """A cycle without neurons or weights is refused with its path."""
    made = {**ends([1], [1]), "p": node("Delay", delay=[0.001]), "q": flat(), "n": lif()}
    rows = [("in", "p"), ("p", "q"), ("q", "p"), ("q", "n"), ("n", "out")]
    assert refuse(network(made, rows)) == (
        "p: cycle without neurons or weights: p -> q -> p. "
        "Put a neuron into it, or remove it. [SPK1052]"
    )


# ---------------------------------------------------------------- edges, nesting, dead ends


def test_duplicate_edges(load: Any) -> None:
    """A repeated edge counts once, with a finding, or each time if the semantics says so."""
    root = ring(("a", "b"))
    assert findings(load(root)) == [
        "a -> b: the edge stands 2 times in the file and counts once. [SPK1065]"
    ]
    graph = load(root, "nir{duplicate_edges=sum}")
    assert [str(p) for p in graph.projections] == ["in -> a", "a -> b", "a -> b"]
    assert findings(graph) == []


INNER = network(
    {"i": node("Input", shape=[1]), "n": lif(), "o": node("Output", shape=[1])},
    [("i", "n"), ("n", "o")],
)


def test_nested(load: Any) -> None:
    """A nested graph dissolves into nodes with path names; its ports pass signals on."""
    outer = network({"i": node("Input", shape=[1]), "g": INNER, "o": node("Output", shape=[1])},
                    [("i", "g"), ("g", "o")])  # fmt: skip
    graph = load(chain([1], [1], fc=affine(1, 1), g=outer))
    assert names(graph) == {"g.g.n": "continuous_lif"}
    assert edges(graph) == {"in -> g.g.n": ("dense", 0)}
    assert graph.outputs[0].source == "g.g.n"
    assert findings(graph) == []


def test_nested_fan(load: Any) -> None:
    """A port that several feed and several read connects each with each."""
    made = {**ends([1], [1]), "x": lif(), "y": lif(), "g": INNER, "p": lif(), "q": lif()}
    rows = [("in", "x"), ("in", "y"), ("x", "g"), ("y", "g"), ("g", "p"), ("g", "q")]
    graph = load(network(made, [*rows, ("p", "out"), ("q", "out")]))
    assert {"x -> g.n", "y -> g.n", "g.n -> p", "g.n -> q"} <= set(edges(graph))


def test_nested_with_two_inputs(load: Any, refuse: Any) -> None:
    """An edge to a graph with two inputs has to name one."""
    inner = network({**INNER["nodes"], "j": node("Input", shape=[1])}, [("i", "n"), ("j", "n"),
                    ("n", "o")])  # fmt: skip
    made = {**ends([1], [1]), "g": inner}
    assert refuse(network(made, [("in", "g"), ("g", "out")])) == (
        "in -> g: 'g' has 2 Input nodes, so the edge does not say which it means. "
        "Name one, as in g.input. [SPK1037]"
    )
    graph = load(network(made, [("in", "g.i"), ("g", "out")]))
    assert findings(graph) == ["g.j: nothing feeds it, so this Port is dropped. [SPK1066]"]


def test_nested_port_shape(load: Any, refuse: Any) -> None:
    """A port of another shape is a finding, one of another size an error."""
    inner = {**INNER, "nodes": {**INNER["nodes"], "i": node("Input", shape=[1, 1])}}
    assert findings(load(chain([1], [1], g=inner))) == [
        "g.i.shape: the file says (1, 1) but (1,) arrives, which is used. [SPK1063]"
    ]
    inner = {**INNER, "nodes": {**INNER["nodes"], "i": node("Input", shape=[2])}}
    assert refuse(chain([1], [1], g=inner)) == (
        "g.i.shape: (2,) is declared but (1,) arrives. "
        "Correct the shape or the layer before it. [SPK1031]"
    )


def test_missing_node(refuse: Any) -> None:
    """An edge to a node that is not there is refused with the edge and what there is."""
    assert refuse(ring(("b", "c"))) == (
        "b -> c: there is no node 'c'. The nodes here are a, b, in, out. [SPK1036]"
    )
    inner = {**INNER, "edges": [("i", "lif"), ("n", "o")]}
    assert refuse(chain([1], [1], g=inner)) == (
        "g.i -> g.lif: there is no node 'g.lif'. The nodes here are g.i, g.n, g.o. [SPK1036]"
    )
    assert "there is no node ''" in refuse(ring(("b", "")))


def test_two_nodes_of_one_path(refuse: Any) -> None:
    """A node whose name is the path of another is refused."""
    made = {**ends([1], [1]), "g": INNER, "g.n": lif()}
    rows = [("in", "g"), ("g", "out")]
    assert refuse(network(made, rows)) == (
        "g.n: two nodes have this path name. Rename one. [SPK1035]"
    )


def test_wrong_name(refuse: Any) -> None:
    """A node's path is at most 128 letters, digits and _ . - in a file as in memory."""
    rule = "is not 1 to 128 of A-Z a-z 0-9 _ . -. Rename it. [SPK0501]"
    assert refuse(chain([1], [1], **{"a b": lif()})) == f"node: name 'a b' {rule}"
    assert refuse(chain([1], [1], **{"g" * 127: INNER})).endswith(rule)
    one = np.array([1])
    graph = nir.NIRGraph(nodes={"a\nb": nir.Input(one)}, edges=[], type_check=False)
    with pytest.raises(SpikecError) as caught:
        load_nir(graph, NIR, 1e-3)
    assert str(caught.value) == f"node: name 'a\\nb' {rule}"


def test_no_input_or_output(refuse: Any) -> None:
    """A graph needs an Input and an Output."""
    made = ends([1], [1])
    for kind, left in (("Input", "out"), ("Output", "in")):
        assert refuse(network({left: made[left]}, [])) == (
            f"node: there is no {kind} node. Add an {kind}. [SPK1038]"
        )


def test_edge_into_input(refuse: Any) -> None:
    """Nothing leads into an Input or out of an Output."""
    rule = "an edge leads into an Input or out of an Output. Remove it. [SPK1039]"
    assert refuse(ring(("a", "in"))) == f"a -> in: {rule}"
    assert refuse(ring(("out", "a"))) == f"out -> a: {rule}"


def test_output_without_source(refuse: Any) -> None:
    """An Output that nothing feeds is refused."""
    root = network({**ends([1], [1]), "n": lif()}, [("in", "n")])
    assert refuse(root) == "out: nothing feeds this Output. Connect it. [SPK1040]"


def test_output_shape(load: Any, refuse: Any) -> None:
    """An Output of another shape is a finding, one of another size an error."""
    assert findings(load(chain([1], [1, 1, 1], n=lif()))) == [
        "out.shape: the file says (1, 1, 1) but (1,) arrives, which is used. [SPK1063]"
    ]
    assert refuse(chain([1], [2], n=lif())) == (
        "out.shape: (2,) is declared but (1,) arrives. "
        "Correct the shape or the layer before it. [SPK1031]"
    )


def test_fan_in_of_different_shapes(load: Any, refuse: Any) -> None:
    """Signals that meet have one size; another shape is a finding."""
    made = {**ends([4], [4]), "x": node("Input", shape=[2, 2]), "n": lif(4)}
    rows = [("in", "n"), ("x", "n"), ("n", "out")]
    assert findings(load(network(made, rows))) == [
        "x -> n: (2, 2) is sent where other edges bring (4,); it is read in C order. [SPK1067]"
    ]
    made["x"] = node("Input", shape=[3])
    assert refuse(network(made, rows)) == (
        "x -> n: (3,) is sent where other edges bring (4,). "
        "Make all that feeds one node the same size. [SPK1043]"
    )


def test_dangling_maps(load: Any) -> None:
    """A layer that nothing feeds or that feeds nothing is dropped with a finding, and so on."""
    more = {"v": linear(1, 1), "u": linear(1, 1), "d": affine(1, 1), "w": node("Delay", delay=[0])}
    graph = load(ring(("v", "u"), ("u", "a"), ("a", "d"), ("d", "w"), **more))
    assert names(graph) == {"a": "continuous_lif", "b": "continuous_lif"}
    assert sorted(findings(graph)) == [
        "d: nothing reads what it sends, so this Affine is dropped. [SPK1066]",
        "u: nothing feeds it, so this Linear is dropped. [SPK1066]",
        "v: nothing feeds it, so this Linear is dropped. [SPK1066]",
        "w: nothing reads what it sends, so this Delay is dropped. [SPK1066]",
    ]


def test_constant_drive(load: Any, refuse: Any) -> None:
    """A bias that nothing feeds would be a constant drive, and is not dropped."""
    assert refuse(ring(("u", "a"), u=affine(1, 1))) == (
        "u: nothing feeds it, so its bias would be a constant drive, which is not supported yet. "
        "Connect it, or remove it. [SPK1041]"
    )
    graph = load(ring(("u", "a"), u=affine(1, 1, bias=[0.0])))
    assert findings(graph) == ["u: nothing feeds it, so this Affine is dropped. [SPK1066]"]


def test_idle_populations(load: Any) -> None:
    """Populations and Inputs that cannot matter stay, with a finding."""
    more = {"c": lif((2,)), "d": lif(1), "x": node("Input", shape=[1])}
    graph = load(ring(("c", "c"), ("a", "d"), **more))
    assert graph.population("c").shape == (2,)
    assert findings(graph) == [
        "c -> c: closes a cycle, so it is delayed by 1 step (feedback_delay of nir). [SPK1069]",
        "x: no path leads from here to an Output. [SPK1071]",
        "c: no path leads here from an Input. [SPK1070]",
        "c: no path leads from here to an Output. [SPK1071]",
        "d: no path leads from here to an Output. [SPK1071]",
    ]


def test_maps_without_shape(refuse: Any) -> None:
    """A cycle of maps that no Input reaches has no shape, and is refused."""
    assert refuse(ring(("u", "v"), ("v", "u"), u=linear(1, 1), v=linear(1, 1))) == (
        "u: no path leads here from an Input, so its shape is unknown. "
        "Connect it, or remove it. [SPK1042]"
    )


def test_too_many_connections(refuse: Any) -> None:
    """Ports that multiply connections without bound are refused before memory runs out."""
    steps = [f"p{k:02d}" for k in range(30)]
    rows = [("in", "p00"), *[pair for pair in pairwise(steps) for _ in "ab"]]
    made = {**ends([1], [1]), "n": lif(), **{s: flat() for s in steps}}
    root = network(made, [*rows, ("p29", "n"), ("n", "out")])
    assert refuse(root, "nir{duplicate_edges=sum}") == (
        "p19: more than 1000000 connections meet. Split the model. [SPK1053]"
    )


def test_ignored_fields(load: Any) -> None:
    """A member that NIR does not know is a finding; metadata are not."""
    spec = lif(refractory=[0.002], metadata={"note": 1})
    assert findings(load({**chain([1], [1], n=spec), "extra": 1})) == [
        "node: 'extra' is not a field of NIRGraph in NIR and is ignored. [SPK1061]",
        "n: 'refractory' is not a field of LIF in NIR and is ignored. [SPK1061]",
    ]


def test_numbers_are_verified(refuse: Any) -> None:
    """What is not finite is left to the verifier, which runs at the end."""
    assert refuse(chain([1], [1], n=lif(tau=[np.nan]))) == (
        "n.tau: element [] is nan, not a finite number. Train again or repair the model. [SPK0516]"
    )


# ---------------------------------------------------------------- from memory


def test_memory_equals_file(tmp_path: Path) -> None:
    """A nir.NIRGraph and the file that nir writes of it give the same network."""
    rng = np.random.default_rng(0)
    three = np.ones(3)
    inner = nir.NIRGraph(
        nodes={"i": nir.Input(np.array([3])),
               "n": nir.CubaLIF(tau_syn=three, tau_mem=three, r=three, v_leak=three,
                                v_threshold=three, w_in=2.0),
               "w": nir.Linear(rng.standard_normal((3, 3))), "o": nir.Output(np.array([3]))},
        edges=[("i", "n"), ("n", "w"), ("w", "n"), ("n", "o")], type_check=False)  # fmt: skip
    graph = nir.NIRGraph(
        nodes={"in": nir.Input(np.array([1, 4, 4])),
               "c": nir.Conv2d(None, rng.standard_normal((1, 1, 3, 3)), 1, "same", 1, 1, three[:1]),
               "p": nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
               "f": nir.Flatten(None, 0), "fc": nir.Affine(rng.standard_normal((3, 4)), three),
               "g": inner, "out": nir.Output(np.array([3]))},
        edges=[("in", "c"), ("c", "p"), ("p", "f"), ("f", "fc"), ("fc", "g"), ("g", "out")],
        type_check=False)  # fmt: skip
    memory = load_nir(graph, NIR, 1e-3)
    # nir cannot write the None of a missing shape.
    graph.nodes["c"].input_shape = (4, 4)
    graph.nodes["f"].input_type = {"input": np.array([1, 2, 2])}
    nir.write(tmp_path / "net.nir", graph)
    file = load_nir(tmp_path / "net.nir", NIR, 1e-3)
    assert memory.name == "nir"
    assert memory.metadata == {"format": "nir", "version": nir.version, "semantics": "nir"}
    assert edges(memory) == edges(file)
    assert findings(memory) == findings(file)
    assert names(memory) == names(file)
    for a, b in zip(memory.projections, file.projections, strict=True):
        assert np.array_equal(a.synapse.weight.data, b.synapse.weight.data)
    assert memory.population("g.n").neuron.parameters()["w_in"].data.tolist() == [2.0] * 3


def test_memory_that_is_broken() -> None:
    """A NIRGraph that holds something else gives an error, not a traceback."""
    broken = nir.NIRGraph(nodes={"in": nir.Input(np.array([1]))}, edges=[], type_check=False)
    broken.nodes["x"] = nir.Linear(np.ones((2, 2)))
    broken.nodes["x"].weight = [[1, 2], [3]]
    with pytest.raises(SpikecError, match=r"^nir.NIRGraph: cannot be read \(ValueError: .*SPK1002"):
        load_nir(broken, NIR, 1e-3)
    broken.nodes["x"] = broken
    with pytest.raises(SpikecError) as caught:
        load_nir(broken, NIR, 1e-3)
    path = ".".join(["x"] * 17)
    assert str(caught.value) == (
        f"{path}: graphs are nested more than 16 deep. Flatten the model. [SPK1011]"
    )


# ---------------------------------------------------------------- files of other tools


@pytest.mark.parametrize(
    ("name", "semantics", "kinds"),
    [
        ("01_lif/lif_norse", "norse", {"1": "continuous_lif"}),
        ("01_lif/lif_rockpool", "rockpool", {"1_LIFNeuronTorch": "continuous_lif"}),
        ("01_lif/two_lif_neurons", "nengo{dt=1e-4}", dict.fromkeys(["lif1", "lif2"],
                                                                   "continuous_lif")),
        ("03_rnn/braille_noDelay_bias_zero", "snntorch",
         dict.fromkeys(["lif1.lif", "lif2"], "continuous_cuba_lif")),
        ("03_rnn/braille_noDelay_noBias_subtract", "snntorch",
         dict.fromkeys(["lif1.lif", "lif2"], "continuous_cuba_lif")),
        ("02_cnn/cnn_sinabs", "sinabs", {
            **dict.fromkeys(["1", "3"], "continuous_integrate_and_fire"), "4": "relay",
            "6": "continuous_integrate_and_fire", "7": "relay",
            **dict.fromkeys(["10", "12"], "continuous_integrate_and_fire")}),
    ],
)  # fmt: skip
def test_published_files(data: Path, name: str, semantics: str, kinds: dict[str, str]) -> None:
    """The published files load under the convention of their exporter, and verify."""
    graph = load_nir(data / "nir" / f"{name}.nir", Semantics.parse(semantics), None)
    verify(Program(graph))
    assert names(graph) == kinds
    loops = [p.delay for p in graph.projections if p.source == p.target]
    assert loops == ([1] if name.startswith("03_rnn") else [])


@pytest.mark.parametrize("name", ["bias_zero", "noBias_subtract"])
def test_published_file_with_missing_node(data: Path, name: str) -> None:
    """Two published files have edges to an inner node that is not there."""
    path = data / "nir" / "malformed" / f"braille_noDelay_{name}_subgraph.nir"
    with pytest.raises(SpikecError) as caught:
        load_nir(path, Semantics.parse("snntorch"), None)
    assert str(caught.value) == (
        "lif1.input -> lif1.lif: there is no node 'lif1.lif'. "
        "The nodes here are lif1.input, lif1.lif1, lif1.lin, lif1.output. [SPK1036]"
    )


def test_published_file_without_type(data: Path) -> None:
    """One published file has a graph without a type."""
    with pytest.raises(SpikecError) as caught:
        load_nir(data / "nir" / "malformed" / "missing_type_key.nir", NIR, 1e-3)
    assert str(caught.value) == (
        "node: has no 'type', so it is not a NIR node. Write the file again. [SPK1004]"
    )
