"""``spikec doctor``: who wrote a file, what is wrong with it, and whether it matters."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikec
from nir_files import affine, linear, network, node, spiking, write
from spikec.compiler.doctor.checks import Check
from spikec.compiler.doctor.diagnosis import Diagnosis, diagnose
from spikec.compiler.ir import Graph
from spikec.compiler.semantics import Semantics
from spikec.compiler.types import Array

Spec = dict[str, Any]


def feed(graph: Graph) -> Mapping[str, Array]:
    random = np.random.default_rng(0)
    return {i.name: random.random((1, 60, *i.shape)) < 0.5 for i in graph.inputs}


def lif(tau: float = 0.02, r: float = 1.0, **changed: Any) -> Spec:
    fields = {"tau": [tau] * 2, "r": [r] * 2, "v_leak": [0.0] * 2, "v_threshold": [1.0] * 2}
    return node("LIF", **{k: np.array(v) for k, v in (fields | changed).items()})


def cuba(tau_syn: float, tau_mem: float, r: float, w_in: float) -> Spec:
    fields = {"tau_syn": tau_syn, "tau_mem": tau_mem, "r": r, "w_in": w_in, "v_leak": 0.0}
    return node("CubaLIF", **{k: np.full(2, v) for k, v in (fields | {"v_threshold": 1.0}).items()})


@pytest.fixture
def examine(tmp_path: Path) -> Any:
    """Return a function that writes a network round some nodes and examines it."""

    def run(
        neuron: Spec,
        more: Mapping[str, Spec] | None = None,
        edges: list[tuple[str, str]] | None = None,
        **options: Any,
    ) -> Diagnosis:
        nodes = {
            "in": node("Input", shape=np.array([3])),
            "fc": affine(2, 3),
            "n": neuron,
            "out": node("Output", shape=np.array([2])),
            **(more or {}),
        }
        usual = [("in", "fc"), ("fc", "n"), ("n", "out")]
        path = write(tmp_path / "net.nir", network(nodes, usual if edges is None else edges))
        return diagnose(path, feed, **options)

    return run


def told(found: Diagnosis, code: str) -> Check:
    (check,) = [c for c in found.checks if c.code == code]
    return check


# ---------------------------------------------------------------- exporters


@pytest.mark.parametrize(
    ("neuron", "name", "certain"),
    [
        (lif(0.02, 0.02 / 1e-4), "snntorch", True),
        (cuba(0.01, 0.02, 200.0, 100.0), "snntorch", True),
        (cuba(0.01, 0.02, 200.0, 99.0), "hand", False),
        (lif(0.02, 0.02 * np.exp(-0.05) / 1e-3), "rockpool", True),
        (lif(0.02, 0.02 * np.exp(-0.05) / 1.003e-3), "hand", False),
        (lif(10.0, 0.9), "spyx", True),
        (node("IF", r=np.full(2, 1e4), v_threshold=np.ones(2)), "spikingjelly", True),
        (lif(20.0), "sinabs", True),
        (spiking(2), "sinabs", False),
        (lif(0.02), "norse", False),
        (cuba(0.01, 0.02, 1.0, 1.0), "norse", False),
        (lif(0.02, 1.7), "hand", False),
    ],
)
def test_exporters_leave_their_rule(examine: Any, neuron: Spec, name: str, certain: bool) -> None:
    """Numbers as each exporter writes them; slightly changed ones are nobody's."""
    found = examine(neuron)
    assert (found.guesses[0].name, found.guesses[0].certain) == (name, certain)
    assert any(g.name == "hand" for g in found.guesses) != certain


def test_a_file_of_ours_says_what_it_means(tmp_path: Path) -> None:
    """Metadata of NIR out leave nothing open, and the first reading is that convention."""
    spikec.to_nir(spikec.load("digits"), tmp_path / "out.nir")
    found = diagnose(tmp_path / "out.nir", feed)
    assert [(g.name, g.dt) for g in found.guesses] == [("spikec", 1e-3)]
    assert not found.broken
    assert found.readings[0].dt == 1e-3
    assert found.readings[0].semantics in found.guesses[0].evidence


def test_real_files(data: Path) -> None:
    """The exporter of every recorded file, or why it cannot be told."""
    wanted = {
        "01_lif/lif_norse": ["norse", "hand"],  # r = 1 is also what people write
        "01_lif/lif_rockpool": ["rockpool"],
        "01_lif/two_lif_neurons": ["norse", "hand"],
        "02_cnn/cnn_sinabs": ["sinabs", "norse", "hand"],  # IF nodes carry no time
        "03_rnn/braille_noDelay_bias_zero": ["snntorch"],
        "03_rnn/braille_noDelay_noBias_subtract": ["snntorch"],
    }
    for name, names in wanted.items():
        found = diagnose(data / "nir" / f"{name}.nir", feed)
        assert [g.name for g in found.guesses] == names
        assert found.readings[0].spikes, name
    codes = {
        "braille_noDelay_bias_zero_subgraph": "SPK1036",
        "braille_noDelay_noBias_subtract_subgraph": "SPK1036",
        "missing_type_key": "SPK1004",
    }
    for name, code in codes.items():
        found = diagnose(data / "nir" / "malformed" / f"{name}.nir", feed)
        assert found.broken
        assert found.checks[0].code == code
        assert not found.readings


# ---------------------------------------------------------------- checks


def test_what_an_exporter_loses_is_ambiguous(examine: Any) -> None:
    """snnTorch writes every reset as zero: both are run, they differ, and the user must say."""
    found = examine(lif(1e-3, 10.0))
    assert found.broken
    counts = {r.semantics: r.spikes for r in found.readings}
    assert counts["snntorch"] != counts["snntorch{reset=subtract}"]
    assert told(found, "SPK1504").where == "n"
    line = str(told(found, "SPK1512"))
    assert line.startswith(
        "error: snntorch: the file does not say which is meant, and it matters: "
        f"{counts['snntorch']} spikes as snntorch, {counts['snntorch{reset=subtract}']} as "
        "snntorch{reset=subtract}"
    )


def test_a_user_who_says_what_is_meant_is_believed(examine: Any) -> None:
    """With --semantics the file is not ambiguous, and that reading comes first."""
    meant = Semantics.parse("snntorch{reset=subtract}")
    found = examine(lif(1e-3, 10.0), semantics=meant)
    assert not found.broken
    assert found.readings[0].semantics == "snntorch{reset=subtract}"
    assert found.open == ()
    found = examine(lif(1e-3, 10.0), semantics=meant, dt=2e-4)
    assert found.readings[0].dt == 2e-4


def test_differences_are_where_the_readings_part(examine: Any) -> None:
    """Step, neuron and both counts, against two runs compared by hand."""
    found = examine(lif(20.0), semantics=Semantics.parse("sinabs"))
    other = next(r for r in found.readings if r.semantics == "nengo")
    sent: list[Any] = []
    for name, dt in (("sinabs", None), ("nengo", 1.0)):
        graph = spikec.load(found_path(examine), dt, name)
        program = spikec.compile(graph, pipeline="discretize")
        sent.append(spikec.simulate(program, feed(graph), ("spikes",)).spikes["n"][0].tolist())
    pairs = [
        (s, k, int(a), int(b))
        for s, (x, y) in enumerate(zip(*sent, strict=True))
        for k, (a, b) in enumerate(zip(x, y, strict=True))
        if a != b
    ]
    step, k, a, b = pairs[0]
    assert other.difference == f"step {step}, n[{k}]: {a} and {b}"
    totals = [sum(sum(map(int, row)) for row in rows) for rows in sent]
    assert [found.readings[0].spikes, other.spikes] == totals


def found_path(examine: Any) -> Path:
    """Return the file that the fixture wrote last."""
    path: Path = examine.__closure__[0].cell_contents / "net.nir"
    return path


def test_units(examine: Any) -> None:
    """Seconds and steps in one file; Norse's tau times dt."""
    found = examine(
        lif(0.02), {"m": lif(20.0)}, [("in", "fc"), ("fc", "n"), ("n", "m"), ("m", "out")]
    )
    assert told(found, "SPK1502").level == "error"
    assert told(examine(lif(2e-5)), "SPK1503").where == "n.tau"
    assert not [c for c in examine(lif(0.02)).checks if c.code in ("SPK1502", "SPK1503")]


def test_norse_current(examine: Any) -> None:
    """w_in = 1 of an LIFCell: the factor that a reader by the letter applies."""
    check = told(examine(cuba(5e-3, 0.02, 1.0, 1.0)), "SPK1505")
    assert "multiplies the current by 0.25 at dt = 1 ms" in check.message


@pytest.mark.parametrize(
    ("edges", "code"),
    [
        ([("n", "w_rec"), ("w_rec", "n")], None),
        ([("in2", "w_rec"), ("w_rec", "n")], "SPK1506"),
        ([("n", "w_rec")], "SPK1507"),
    ],
)
def test_recurrence_that_is_none(
    examine: Any, edges: list[tuple[str, str]], code: str | None
) -> None:
    """A layer named w_rec on no cycle: wired to the input, or its loop was dropped."""
    more = {"w_rec": linear(2, 2), "in2": node("Input", shape=np.array([2]))}
    usual = [("in", "fc"), ("fc", "n"), ("n", "out"), *edges]
    found = examine(lif(0.02), more, usual)
    codes = [c.code for c in found.checks if c.code in ("SPK1506", "SPK1507")]
    assert codes == ([] if code is None else [code])


def test_paths_of_unequal_length(examine: Any) -> None:
    """A skip connection loses alignment where every hop takes a step."""
    more = {"m": lif(0.02), "skip": linear(2, 3), "w": linear(2, 2)}
    edges = [("in", "fc"), ("fc", "n"), ("n", "w"), ("w", "m"), ("in", "skip"), ("skip", "m")]
    check = told(examine(lif(0.02), more, [*edges, ("m", "out")]), "SPK1508")
    assert check.where == "m"
    assert check.message.startswith("paths with 0 to 1 neurons")


def test_what_importers_refuse_or_drop(examine: Any) -> None:
    """Parameters that differ, leaks and resets that are not zero."""
    found = examine(lif(0.02, v_threshold=np.array([1.0, 2.0]), v_leak=np.full(2, 0.1)))
    assert "n.v_threshold differ" in told(found, "SPK1509").message
    assert "v_leak is not 0 in n" in told(found, "SPK1510").message


def test_a_convention_that_cannot_run_it(examine: Any) -> None:
    """The reading says why; if it is the one that is meant, that is an error."""
    found = examine(lif(0.02), semantics=Semantics.parse("spyx"))
    assert "exceeds 1" in told(found, "SPK1511").message
    assert found.readings[0].spikes is None


def test_silence_says_nothing(examine: Any) -> None:
    """Without a spike there is nothing to compare."""
    quiet = lif(0.02, v_threshold=np.full(2, 1e9))
    assert told(examine(quiet), "SPK1513").level == "warning"


# ---------------------------------------------------------------- the command


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "spikec", "doctor", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command(examine: Any) -> None:
    """Text for people, one object with --json, exit 1 where something must be done."""
    examine(lif(1e-3, 10.0))
    path = str(found_path(examine))
    done = command(path)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == [
        "file      net, NIR 1.0.8",
        "by        snntorch: r = tau / 1e-4 s in the one neuron node, the step that its exporter "
        "has fixed",
    ]
    assert lines[-1] == "verdict   see the errors above"
    shown = json.loads(command(path, "--json", "--semantics", "snntorch").stdout)
    assert shown["broken"] is False
    assert shown["readings"][0]["semantics"] == "snntorch"
    assert shown["input"] == "100 steps of random spikes, probability 0.2, seed 0"


def test_the_command_on_the_users_input(examine: Any, tmp_path: Path) -> None:
    """Data of the user's; a file that is not there is one line."""
    examine(lif(1e-3, 10.0))
    np.save(tmp_path / "x.npy", np.ones((1, 30, 3)))
    done = command(str(found_path(examine)), "--input", str(tmp_path / "x.npy"), "--json")
    assert json.loads(done.stdout)["readings"][0]["spikes"] > 0
    done = command(str(tmp_path / "none.nir"))
    assert done.returncode == 1
    assert "no such file" in done.stdout
