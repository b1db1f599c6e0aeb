"""The picture of a placement: a square for every core, a line for every link that is used."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikec.compiler import plot
from spikec.compiler.errors import SpikecError
from spikec.compiler.mapping import mesh_plot
from spikec.compiler.mapping.mesh import Mesh
from spikec.compiler.mapping.placement import place, sequential
from spikec.compiler.mapping.routes import routes
from spikec.compiler.types import Array
from spikec.compiler.untyped import sparse as sp

MESH = Mesh(chips=3)


def ring(cores: int) -> Any:
    """Return one to seven messages from every core to the next one and to another."""
    amount = np.arange(2 * cores) % 7 + 1
    core = np.arange(cores)
    source, target = np.tile(core, 2), np.concatenate(((core + 1) % cores, core * 7 % cores))
    return sp.csr_array((amount, (source, target)), shape=(cores, cores))


def drawn(path: Path, monkeypatch: pytest.MonkeyPatch, places: Array, traffic: Any) -> Any:
    """Return the figure that is written."""
    kept: list[Any] = []
    save = plot.save

    def keep(figure: Any, place: Path, form: str) -> None:
        kept.append(figure)
        save(figure, place, form)

    monkeypatch.setattr(mesh_plot, "save", keep)
    usage = np.linspace(0, 1, len(places))
    mesh_plot.mesh_plot(places, usage, traffic, MESH, path, "a $net")
    return kept[0]


def test_every_core_and_every_link_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its place, coloured by its use; a link wider the more goes over it."""
    places = sequential(300, MESH)
    figure = drawn(tmp_path / "a.svg", monkeypatch, places, ring(300))
    empty, lines, squares = figure.axes[0].collections
    assert len(empty.get_paths()) == 4 * 32  # the grid is a full rectangle
    assert np.array_equal(squares.get_array(), np.linspace(0, 1, 300))
    corners = np.array([p.vertices[0] for p in squares.get_paths()])
    assert len({tuple(c) for c in np.round(corners, 6).tolist()}) == 300
    ways = routes(ring(300), places, MESH)
    load, width = lines.get_array(), lines.get_linewidths()
    assert sorted(load) == sorted(ways.load[ways.load > 0])
    assert np.all(np.diff(width) >= 0)
    assert width[0] < width[-1]
    text = (tmp_path / "a.svg").read_text()
    assert text.startswith("<?xml")
    words = [t.get_text() for t in [*figure.texts, *figure.axes[0].texts]]
    assert words[0] == "a $net"
    assert f"300 cores on 3 chips; {ways.messages:,.0f} messages per step" in words[1]
    assert f"{ways.crossings:,.0f} crossings between chips" in words[1]
    assert words[2:] == [f"chip {k}: {n} of 128 cores" for k, n in enumerate((128, 128, 44, 0))]


def test_a_link_is_drawn_on_the_right_of_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From tile (1, 2) to (2, 2) below the middle, back above it."""
    one = sp.csr_array(([3], ([0], [1])), (2, 2))
    for columns, side in (((1, 2), -1), ((2, 1), 1)):
        places = np.array([(0, x, 2, 0) for x in columns])
        figure = drawn(tmp_path / "a.png", monkeypatch, places, one)
        (line,) = figure.axes[0].collections[1].get_segments()
        assert np.allclose(line[:, 1], 2 + side * mesh_plot.LANE)
        assert sorted(line[:, 0]) == pytest.approx([1.35, 1.65])


@pytest.mark.parametrize("cores", [1, 2, 129])
@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_pictures_of_all_sizes_are_the_same_again(tmp_path: Path, cores: int, ending: str) -> None:
    """Silent networks and full chips; use beyond 1 too."""
    traffic = ring(cores) if cores > 2 else sp.csr_array((cores, cores))
    places = place(traffic, MESH)
    files = [tmp_path / f"{k}.{ending}" for k in range(2)]
    for file in files:
        mesh_plot.mesh_plot(places, np.arange(cores) * 9.0, traffic, MESH, file)
    contents = [f.read_bytes() for f in files]
    assert len(contents[0]) > 2000
    assert contents[0] == contents[1]


def test_wrong_use_is_refused(tmp_path: Path) -> None:
    """Another number of cores, a negative or no number; another ending."""
    places = sequential(3, MESH)
    for usage in (np.ones(2), np.array([1, -1, 0]), np.array([1, np.nan, 0])):
        with pytest.raises(SpikecError) as caught:
            mesh_plot.mesh_plot(places, usage, ring(3), MESH, tmp_path / "a.png")
        assert caught.value.code == "SPK1761"
    with pytest.raises(SpikecError) as caught:
        mesh_plot.mesh_plot(places, np.ones(3), ring(3), MESH, tmp_path / "a.gif")
    assert caught.value.code == "SPK0962"
    assert not list(tmp_path.iterdir())
