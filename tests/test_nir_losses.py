"""NIR out: every loss is told, every refusal is one line, and files state their convention."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small
import spikec
from nir_files import chain, lif, write
from spikec.compiler.frontends.nir_losses import CONVENTION, LOST
from spikec.compiler.ir import Program
from spikec.compiler.types import Tensor
from spikec.compiler.untyped import h5py, nir
from test_nir_out import DT, KINDS, again, discrete, losses, one, spikes

DOCUMENT = (Path(__file__).parents[1] / "docs" / "nir.md").read_text()


def image_of(source: tuple[int, ...]) -> spikec.Graph:
    """Return a network whose population has a shape that its weights do not give."""
    nodes = (
        spikec.Input("in", source),
        spikec.Population("n", (2, 2), spikec.LIF(decay=0.5)),
        spikec.Output("out", "n"),
    )
    weight = Tensor.floats(np.ones((4, int(np.prod(source)))))
    return spikec.Graph("i", nodes, (spikec.Projection("in", "n", spikec.Dense(weight)),), DT)


def rule_of(**changed: Any) -> spikec.Graph:
    return one(spikec.LIF(decay=0.5, **changed))


def with_first(graph: spikec.Graph, **changed: Any) -> spikec.Graph:
    """Return the graph with its first projection changed."""
    first, *rest = graph.projections
    return replace(graph, projections=(replace(first, **changed), *rest))


def sparse() -> spikec.Graph:
    return with_first(one(KINDS["LIF"]), synapse=spikec.Sparse.of(np.eye(3)), storage="sparse")


def ordered() -> spikec.Graph:
    graph = one(spikec.LIF(decay=0.5))
    more = spikec.Input("also", (3,))
    edges = [replace(graph.projections[0], source=s) for s in ("in", "also", "in")]
    return replace(graph, nodes=(*graph.nodes, more), projections=tuple(edges))


def placed() -> Program:
    core = spikec.Core(0, 0, 0, (spikec.Slice("n", 0, 3),))
    return Program(one(KINDS["LIF"]), mapping=spikec.Mapping.of((core,)))


def continuous(semantics: str) -> spikec.Graph:
    meant = spikec.Semantics.parse(semantics)
    return one(
        spikec.ContinuousCubaLIF(
            tau_syn=0.01, tau_mem=0.02, r=5, v_reset=[1, 0, 0], semantics=meant
        )
    )


def held_back() -> spikec.Graph:
    graph = one(KINDS["LIF"])
    return graph.with_nodes([replace(graph.population("n"), start=2)])


LOSSES: dict[str, Any] = {
    "compare": lambda: rule_of(compare="ge"),
    "reset": lambda: rule_of(reset="subtract"),
    "reset_phase": lambda: rule_of(reset_phase="next"),
    "fire": lambda: rule_of(fire="before"),
    "max_spikes": lambda: rule_of(max_spikes=0),
    "lower_clip": lambda: rule_of(v_min=-1.0),
    "current_phase": lambda: one(replace(KINDS["CubaLIF"], current_phase="old")),  # type: ignore[type-var]
    "input_gain": lambda: continuous("snntorch"),
    "synapse_gain": lambda: continuous("norse"),
    "rule": lambda: small.network(spikec.LIF(decay=0.5), spikec.LIF(decay=0.5, compare="ge")),
    "v_min": lambda: rule_of(v_min=-2.0),
    "initial state": lambda: rule_of(v_init=0.25),
    "start": held_back,
    "formats": lambda: spikec.compile(small.spiking(), pipeline="discretize,quantize"),
    "signal": small.spiking,
    "storage": lambda: with_first(one(KINDS["LIF"]), storage="sparse"),
    "sparse": sparse,
    "mapping": placed,
    "shape": lambda: image_of((3,)),
    "name": lambda: replace(
        one(KINDS["LIF"]), nodes=(*one(KINDS["LIF"]).nodes[:2], spikec.Output("n", "n"))
    ),
    "order": ordered,
    "rounding": lambda: one(spikec.LIF(decay=0.3), metadata={"semantics": "norse"}),
}
# Lost under the convention that is named, of these networks.
NAMED: dict[str, Any] = {
    "step": ("snntorch", lambda: one(KINDS["LIF"])),
    "hop": ("lava", lambda: one(KINDS["LIF"])),
    "gain": ("sinabs", lambda: one(spikec.LeakyIntegrator(decay=0.5, gain=2.0))),
}


@pytest.mark.parametrize("key", NAMED)
def test_losses_under_a_named_convention(tmp_path: Path, key: str) -> None:
    """They are told, and are none where nothing is named."""
    semantics, made = NAMED[key]
    told = [str(f) for f in spikec.to_nir(made(), tmp_path / "out.nir", semantics)]
    assert key in losses(told)
    assert key not in losses([str(f) for f in spikec.to_nir(made(), tmp_path / "out.nir")])


@pytest.mark.parametrize("key", LOSSES)
def test_every_loss_is_told(tmp_path: Path, key: str) -> None:
    """On the report and in the metadata; a convention is kept, what is lost is named."""
    graph = LOSSES[key]()
    found, told = again(graph, tmp_path)
    if key in CONVENTION:
        assert [f for f in told if f"{key}=" in f and f.endswith(" [SPK1044]")], told
        assert not losses(told)
        if not isinstance(graph, Program):
            assert lines_of(found) == lines_of(discrete(graph).graph) or key == "synapse_gain"
    else:
        assert key in losses(told), told
    stated = nir.read(tmp_path / "out.nir", type_check=False).metadata["spikec_findings"]
    assert stated.splitlines() == told


def lines_of(graph: spikec.Graph) -> list[list[Any]]:
    """Return the models that a network is discretised to, by their options."""
    return [[p.model().kind, p.model().options()] for p in discrete(graph).graph.populations]


def test_the_losses_are_all_there_are() -> None:
    """Each key of the tables has its case above, and each its row in docs/nir.md."""
    assert set(LOSSES) | set(NAMED) == set(CONVENTION) | set(LOST)
    for key, text in {**CONVENTION, **LOST}.items():
        assert f"| {key} | {text} |" in DOCUMENT, key
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| ") and " | " in line]
    listed = {row.split(" | ")[0][2:] for row in rows}
    assert set(LOSSES) <= listed


def test_nothing_lost_is_nothing_told(tmp_path: Path) -> None:
    """A plain network has no findings, and none in its file."""
    _, told = again(one(spikec.LIF(decay=0.5)), tmp_path)
    assert told == []
    assert set(nir.read(tmp_path / "out.nir").metadata) == {"spikec_dt", "spikec_semantics"}


def test_many_places_are_one_line(tmp_path: Path) -> None:
    """A loss that all populations share is one finding."""
    names = [f"n{k}" for k in range(8)]
    cells = [spikec.Population(n, (3,), spikec.LIF(decay=0.5, compare="ge")) for n in names]
    graph = one(spikec.LIF(decay=0.5, compare="ge"))
    _, told = again(replace(graph, nodes=(*graph.nodes, *cells)), tmp_path)
    assert told == [
        "n, n0, n1, n2, n3, ...: compare=ge: NIR has no field for it, only this file's metadata "
        "say so. [SPK1044]"
    ]


# ---------------------------------------------------------------- refusals

IMAGE = spikec.Conv2d((1, 2, 2), Tensor.floats(np.ones((1, 1, 2, 2))))
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "kind": (
        lambda: one(spikec.RefractoryLIF(decay=0.5, steps=3)),
        "n: NIR has no node for a refractory_lif. Use neurons that are IF, LIF, LI, CubaLIF, I, "
        "CubaLI, Threshold there. [SPK1049]",
    ),
    "no step": (
        lambda: one(spikec.LIF(decay=0.5), dt=None),
        "n: its lif is per step, and there is no dt. Give --dt in seconds. [SPK1047]",
    ),
    "no step for a delay": (
        lambda: with_first(one(spikec.Threshold(), dt=None), delay=2),
        "in -> n: its delay is 2 steps, and there is no dt. Give --dt in seconds. [SPK1047]",
    ),
    "decay": (
        lambda: one(spikec.LIF(decay=[0.5, 1.5, 0.5])),
        "n.decay: 1.5 is not the decay of any time constant. NIR takes decays from 0 to below 1, "
        "or 1 in a whole LIF or leaky integrator without offset. [SPK1049]",
    ),
    "negative decay": (
        lambda: one(spikec.CubaLIF(decay=0.5, synapse_decay=-0.25)),
        "n.synapse_decay: -0.25 is not the decay of any time constant. NIR takes decays from 0 to "
        "below 1, or 1 in a whole LIF or leaky integrator without offset. [SPK1049]",
    ),
    "offset": (
        lambda: one(spikec.LIF(decay=1.0, offset=0.5)),
        "n.offset: a membrane that does not leak has a constant drive, which NIR cannot hold. "
        "Use a bias of what feeds it. [SPK1049]",
    ),
    "shape": (
        lambda: folded(),
        "n -> m: its conv2d takes an image of (1, 2, 2) but in NIR (4,) arrives, which nothing can "
        "fold. Feed it from an input or a convolution of that shape. [SPK1049]",
    ),
    "partly continuous": (
        lambda: small.network(spikec.ContinuousLIF(tau=0.02)),
        "last: lif is per step where other populations are continuous. Discretize the network "
        "first. [SPK1046]",
    ),
    "matrix": (
        lambda: large(),
        "in -> n: its sparse weights would be a matrix of 10000 x 10000, more than 67108864 "
        "elements. Split the populations. [SPK1049]",
    ),
    "constant": (
        lambda: silent(),
        "r: nothing feeds this relay, and NIR has no constant. Remove it. [SPK1049]",
    ),
    "name": (
        lambda: dotted(),
        "population: no HDF5 group can be called '.'. Rename it. [SPK1049]",
    ),
    "broken": (lambda: small.not_a_number(), "in -> hidden weight: element [1, 2] is nan, not a "
        "finite number. Train again or repair the model. [SPK0516]"),
}  # fmt: skip


def folded() -> spikec.Graph:
    graph = image_of((3,))
    cells = spikec.Population("m", (1,), spikec.LIF(decay=0.5))
    edges = (*graph.projections, spikec.Projection("n", "m", IMAGE))
    return replace(graph, nodes=(*graph.nodes, cells), projections=edges)


def large() -> spikec.Graph:
    size = 10_000
    nodes = (
        spikec.Input("in", (size,)),
        spikec.Population("n", (size,), spikec.LIF(decay=0.5)),
        spikec.Output("out", "n"),
    )
    few = spikec.Sparse(size, np.arange(size + 1), np.arange(size), Tensor.floats(np.ones(size)))
    return spikec.Graph("large", nodes, (spikec.Projection("in", "n", few),), DT)


def silent() -> spikec.Graph:
    graph = one(spikec.LIF(decay=0.5))
    return replace(graph, nodes=(*graph.nodes, spikec.Population("r", (3,), spikec.Relay())))


def dotted() -> spikec.Graph:
    graph = one(spikec.LIF(decay=0.5))
    cells = spikec.Population(".", (3,), spikec.LIF(decay=0.5))
    return replace(graph, nodes=(*graph.nodes, cells))


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_written_is_one_line(tmp_path: Path, case: str) -> None:
    """It names the place and the kind, and nothing is written."""
    build, text = REFUSED[case]
    with pytest.raises(spikec.SpikecError) as caught:
        spikec.to_nir(build(), tmp_path / "out.nir")
    assert str(caught.value) == text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "neuron",
    [
        spikec.AdaptiveLIF(decay=0.5, adaptation_decay=0.5, adaptation_gain=0.5),
        spikec.NalsmLIF(),
        spikec.LastSpike(decay=0.5),
    ],
)
def test_kinds_without_a_node(tmp_path: Path, neuron: Any) -> None:
    """Every further kind of neuron is refused by its name."""
    with pytest.raises(spikec.SpikecError, match=f"^n: NIR has no node for a {neuron.kind}"):
        spikec.to_nir(one(neuron), tmp_path / "out.nir")


def test_conductance_neurons_have_no_node(tmp_path: Path) -> None:
    """Nor have those with two ports."""
    cell = spikec.ConductanceLIF(
        rate=0.1, ge_decay=0.5, gi_decay=0.5, threshold=-50, gate=3, frozen=2
    )
    graph = one(spikec.LIF(decay=0.5))
    graph = with_first(graph.with_nodes([spikec.Population("n", (3,), cell)]), port="excitatory")
    with pytest.raises(spikec.SpikecError, match="NIR has no node for a conductance_lif"):
        spikec.to_nir(graph, tmp_path / "out.nir")


# ---------------------------------------------------------------- places


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder, something below a file: one line each, and nothing changes."""
    graph = one(spikec.LIF(decay=0.5))
    (tmp_path / "file").write_text("x")
    for place, code in ((tmp_path, "SPK0802"), (tmp_path / "file" / "out.nir", "SPK0801")):
        with pytest.raises(spikec.SpikecError) as caught:
            spikec.to_nir(graph, place)
        assert caught.value.code == code
        assert "\n" not in str(caught.value)
    with pytest.raises(spikec.SpikecError, match=r"\[SPK0801\]$"):
        spikec.to_nir(graph, Path("/proc/nowhere/out.nir"))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_older_file_is_replaced_whole(tmp_path: Path) -> None:
    """What was there stays when the network is refused, and is gone when it is not."""
    path = tmp_path / "out.nir"
    path.write_text("old")
    with pytest.raises(spikec.SpikecError):
        spikec.to_nir(one(spikec.NalsmLIF()), path)
    assert path.read_text() == "old"
    spikec.to_nir(one(spikec.LIF(decay=0.5)), path)
    assert spikec.load(path).dt == DT


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    """No time and no path is in the file."""
    graph = small.spiking()
    spikec.to_nir(graph, tmp_path / "a.nir")
    time.sleep(1.1)
    (tmp_path / "deeper").mkdir()
    spikec.to_nir(graph, tmp_path / "deeper" / "b.nir")
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "deeper" / "b.nir").read_bytes()


# ---------------------------------------------------------------- what a file states


def test_stated_convention_is_a_default(tmp_path: Path) -> None:
    """Step and semantics of the file hold unless others are given; a finding says so."""
    graph = one(spikec.LIF(decay=0.5, reset="subtract", compare="ge"), dt=2e-3)
    found, _ = again(graph, tmp_path)
    meant = "nir{input_gain=unit,compare=ge,reset=subtract}"
    assert (found.dt, found.metadata["semantics"]) == (2e-3, meant)
    assert [str(f) for f in found.findings] == [
        f"semantics: {meant} is what the file states. [SPK1059]",
        "dt: dt = 0.002 s is what the file states. [SPK1068]",
    ]
    other = spikec.load(tmp_path / "out.nir", 1e-3, "norse")
    assert (other.dt, other.metadata["semantics"], other.findings) == (1e-3, "norse", ())
    assert spikec.load(tmp_path / "out.nir", semantics="norse").dt == 2e-3
    memory = spikec.load(nir.read(tmp_path / "out.nir"))  # type: ignore[arg-type,unused-ignore]
    assert (memory.dt, memory.metadata["semantics"]) == (2e-3, meant)


def test_a_convention_that_differs_everywhere(tmp_path: Path) -> None:
    """The longest text comes back whole."""
    meant = spikec.Semantics(
        "nir", "euler", "normalised", "decay", "jump", "ge", "subtract", "next", "before", 12345,
        "integrate_and_fire", 0, 3, "sum", "tau/(1+r)", 0.00012345678, "allow",
    )  # fmt: skip
    graph = one(spikec.ContinuousLIF(tau=0.02, r=5, semantics=meant))
    found, _ = again(graph, tmp_path)
    assert found.metadata["semantics"] == str(meant)
    assert len(str(meant)) > 200


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("spikec_dt", "soon", "metadata.spikec_dt: 'soon' is not a number. Write the file again. "
                              "[SPK1032]"),
        ("spikec_dt", "nan", "--dt: nan s is not a positive step. Give --dt in seconds. [SPK1050]"),
        ("spikec_dt", 0.5, "metadata.spikec_dt: is not one text. Write the file again. [SPK1012]"),
        ("spikec_semantics", "mine", None),
    ],
)  # fmt: skip
def test_stated_nonsense(tmp_path: Path, key: str, value: Any, text: str | None) -> None:
    """It is refused, not taken for a default; other metadata are not read."""
    path = write(tmp_path / "net.nir", chain([2], [2], n=lif(2)))
    with h5py.File(path, "r+") as file:
        file["node/metadata/anything"] = np.zeros(3)
    assert spikec.load(path, 1e-3).metadata["semantics"] == "nir"
    with h5py.File(path, "r+") as file:
        file["node/metadata/spikec_dt"] = "0.001"
        if key in file["node/metadata"]:
            del file[f"node/metadata/{key}"]
        file[f"node/metadata/{key}"] = value
    with pytest.raises(spikec.SpikecError) as caught:
        spikec.load(path)
    unknown = (
        "metadata.spikec_semantics: --semantics: 'mine' is not a known convention. Use one of "
    )
    assert str(caught.value).startswith(text or unknown)


def test_metadata_that_is_no_group(tmp_path: Path) -> None:
    """It states nothing."""
    path = write(tmp_path / "net.nir", chain([2], [2], n=lif(2)))
    with h5py.File(path, "r+") as file:
        file["node/metadata"] = 3.0
    assert spikec.load(path, 1e-3).dt == 1e-3


def test_mixed_rules_keep_those_of_the_most(tmp_path: Path) -> None:
    """A population of its own rule gets that of the rest, and is named."""
    graph = small.network(spikec.LIF(decay=0.5, reset="subtract"), spikec.LIF(decay=0.5))
    found, told = again(graph, tmp_path)
    assert "last: its reset is value, not subtract: NIR does not hold it (rule). [SPK1045]" in told
    models = [p.model() for p in discrete(found).graph.populations]
    assert [m.options()["reset"] for m in models] == ["subtract", "subtract"]
    assert spikes(discrete(found))["out"].shape == (2, 20, 2)
