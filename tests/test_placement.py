"""Every core a place of its own, near the cores it talks to; ways and links counted one by one."""

import itertools
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sanafe
import spikec
from sizes import evidence, size
from spikec.compiler.counting import RECORD, count
from spikec.compiler.errors import SpikecError
from spikec.compiler.mapping.mesh import Mesh
from spikec.compiler.mapping.orders import hilbert_order
from spikec.compiler.mapping.placement import place, sequential, way_weight
from spikec.compiler.mapping.routes import EAST, NORTH, SOUTH, WEST, Routes, routes
from spikec.compiler.types import Array
from spikec.compiler.untyped import sparse as sp

ROOT = Path(__file__).parents[1]
BENCHMARK: dict[str, Any] = runpy.run_path(str(ROOT / "benchmarks" / "placement_baselines.py"))
NETWORKS: dict[str, Any] = BENCHMARK["NETWORKS"]
BASELINES: dict[str, Any] = BENCHMARK["BASELINES"]


def dense(rows: list[list[int]]) -> Any:
    return sp.csr_array(np.array(rows))


# ---------------------------------------------------------------- validity


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("cores", [1, 2, 3, 33, 129])
def test_every_core_has_a_place_of_its_own(name: str, cores: int) -> None:
    """Inside the mesh, on as few chips as hold the cores, whatever more there are."""
    places = place(NETWORKS[name](cores, 1), Mesh(chips=9))
    assert places.shape == (cores, 4)
    assert places.dtype == np.int32
    assert len({tuple(p) for p in places.tolist()}) == cores
    assert np.all(places >= 0)
    assert np.all(places < (-(-cores // 128), 8, 4, 4))


def test_cores_that_do_not_talk_are_placed_too() -> None:
    """Without traffic in the order of their numbers; alone beside others somewhere."""
    silent = sp.csr_array((200, 200))
    assert np.array_equal(place(silent, Mesh(chips=2)), sequential(200, Mesh(chips=2)))
    some = sp.csr_array(([5, 2], ([3, 9], [150, 9])), shape=(200, 200))
    mesh = Mesh(chips=2)
    places = place(some, mesh)
    mesh.check(places)
    assert routes(some, places, mesh).mean_hops == 0


PROGRAM = """
import sys
import numpy as np
from spikec.compiler.mapping.mesh import Mesh
from spikec.compiler.mapping.placement import place
from spikec.compiler.untyped import sparse as sp
np.save(sys.argv[2], place(sp.csr_array(np.load(sys.argv[1])), Mesh(chips=6), seed=3))
"""


def test_equal_arguments_give_equal_places(tmp_path: Path) -> None:
    """Here and in another process; regular networks too, on which ARPACK would start at random."""
    cores = 608
    regular = np.kron(np.eye(cores // 8, k=1), np.ones((8, 8)))
    first = place(sp.csr_array(regular), Mesh(chips=6), seed=3)
    assert np.array_equal(first, place(sp.csr_array(regular), Mesh(chips=6), seed=3))
    files = [str(tmp_path / name) for name in ("traffic.npy", "places.npy")]
    np.save(files[0], regular)
    subprocess.run([sys.executable, "-c", PROGRAM, *files], check=True)
    assert np.array_equal(first, np.load(files[1]))


def test_the_seed_counts() -> None:
    traffic = NETWORKS["scattered"](100, 0)
    assert not np.array_equal(place(traffic, Mesh(), seed=0), place(traffic, Mesh(), seed=1))


# ---------------------------------------------------------------- quality

SMALL = [
    Mesh(4, 2, 1),
    Mesh(2, 2, 2),
    Mesh(2, 1, 2, chips=2),
    Mesh(2, 2, 1, chips=2),
    Mesh(1, 2, 1, chips=4, weight_chip=5),
]


def least(traffic: Any, mesh: Mesh) -> float:
    """Return the weight of the best placement, by trying all."""
    cores: int = traffic.shape[0]
    every = sequential(mesh.cores, mesh)
    px, py = mesh.stretched()
    x, y = mesh.plane(every)
    apart = np.abs(px[x][:, None] - px[x]) + np.abs(py[y][:, None] - py[y])
    orders: list[tuple[int, ...]] = list(itertools.permutations(range(mesh.cores), cores))
    tried = np.array(orders)
    pairs = traffic.tocoo()
    cost = np.zeros(len(tried))
    for i, j, n in zip(pairs.row, pairs.col, pairs.data, strict=True):
        cost += n * apart[tried[:, i], tried[:, j]]
    return float(cost.min())


@pytest.mark.parametrize("mesh", SMALL, ids=str)
def test_small_networks_are_placed_best(mesh: Mesh) -> None:
    """As short as the best of all placements of up to 8 cores on 8 places."""
    networks = size(3, 40)
    for seed in range(networks):
        random = np.random.default_rng(seed)
        cores = int(random.integers(mesh.cores - mesh.cores_per_chip + 1, mesh.cores + 1))
        cores = max(cores, 2)
        amount = random.integers(0, 9, (cores, cores)) * (random.random((cores, cores)) < 0.6)
        traffic = sp.csr_array(amount)
        places = place(traffic, mesh, seed)
        assert way_weight(traffic, places, mesh) == least(traffic, mesh), seed
    evidence(f"placement_best_{SMALL.index(mesh)}", networks=networks)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("cores", [8, 30, size(128, 300)])
def test_no_baseline_is_better(name: str, cores: int) -> None:
    """Random, numbered, along a curve, and a particle swarm where it has a chance."""
    mesh = Mesh().holding(cores)
    for seed in range(size(1, 5)):
        traffic = NETWORKS[name](cores, seed)
        ours = way_weight(traffic, place(traffic, mesh, seed), mesh)
        for kind, baseline in BASELINES.items():
            if kind == "swarm" and cores > size(30, 128):
                continue
            assert ours <= way_weight(traffic, baseline(traffic, mesh, seed), mesh)


def test_a_large_network_in_a_plane() -> None:
    """Shuffled, on many chips: at most 0.15 of the ways of the order of its numbers."""
    cores = size(1000, 25_000)
    traffic, mesh = NETWORKS["local"](cores, 0), Mesh().holding(cores)
    places = place(traffic, mesh)
    mesh.check(places)
    before = way_weight(traffic, sequential(cores, mesh), mesh)
    assert way_weight(traffic, places, mesh) <= 0.15 * before
    ways = routes(traffic, places, mesh)
    assert ways.crossings <= 0.15 * routes(traffic, sequential(cores, mesh), mesh).crossings


def test_congestion_trades_ways_for_the_busiest_link() -> None:
    """The sum of both never grows; between layers, the busiest link carries less."""
    for name in NETWORKS:
        traffic, mesh = NETWORKS[name](60, 0), Mesh()
        plain = place(traffic, mesh)
        known = routes(traffic, plain, mesh).max_load
        busiest = known
        for weight in (1.0, 30.0, 300.0):
            places = place(traffic, mesh, congestion=weight)
            mesh.check(places)
            busiest = routes(traffic, places, mesh).max_load
            total = way_weight(traffic, places, mesh) + weight * busiest
            assert total <= way_weight(traffic, plain, mesh) + weight * known
        assert busiest < known or name != "layered"


# ---------------------------------------------------------------- the mesh


def test_a_step_east_costs_3_north_4_and_to_the_next_chip_33() -> None:
    """By hand, on 2 x 2 chips."""
    mesh = Mesh(chips=4)
    corner = [0, 0, 0, 0]
    far = {
        (0, 0, 0, 3): 0,
        (0, 1, 0, 0): 3,
        (0, 0, 1, 0): 4,
        (0, 7, 3, 0): 33,
        (1, 0, 0, 0): 7 * 3 + 33,
        (2, 0, 0, 0): 3 * 4 + 33,
        (3, 1, 1, 0): 8 * 3 + 33 + 4 * 4 + 33,
    }
    for target, cost in far.items():
        places = np.array([corner, target], dtype=np.int32)
        assert way_weight(dense([[0, 1], [0, 0]]), places, mesh) == cost


def test_tiles_are_numbered_column_by_column() -> None:
    """As in SANA-FE's file: tile k is at column k // 4, row k % 4."""
    places = sequential(300, Mesh(chips=3))
    assert places[4 * 13 + 2].tolist() == [0, 3, 1, 2]
    assert places[128 + 5].tolist() == [1, 0, 1, 1]


def test_chips_stand_in_a_square_or_in_rows_of_a_given_width() -> None:
    """As few rows as hold them."""
    square = [(1, None, (1, 1)), (2, None, (2, 1)), (5, None, (3, 2)), (9, None, (3, 3))]
    for chips, columns, shape in [*square, (5, 2, (2, 3)), (3, 8, (3, 1))]:
        mesh = Mesh(chips=chips, chip_columns=columns)
        assert (mesh.width, mesh.height) == shape


@pytest.mark.parametrize(("width", "height"), [(8, 4), (4, 4), (1, 1), (4, 8), (2, 1), (16, 8)])
def test_the_curve_visits_every_tile_without_a_jump(width: int, height: int) -> None:
    cells = hilbert_order(width, height)
    every = [(x, y) for x in range(width) for y in range(height)]
    assert sorted((x, y) for x, y in cells.tolist()) == every
    assert np.all(np.abs(np.diff(cells, axis=0)).sum(axis=1) == 1)


def test_the_curve_visits_every_tile_of_other_shapes() -> None:
    assert len({tuple(c) for c in hilbert_order(7, 3).tolist()}) == 21


# ---------------------------------------------------------------- ways and links


def walked(traffic: Any, places: Array, mesh: Mesh) -> tuple[Counter[Any], dict[str, int]]:
    """Return the load of every link and the sums, by walking with every message."""
    load: Counter[Any] = Counter()
    sums = {"hops_x": 0, "hops_y": 0, "crossings": 0, "longest": 0}

    def tile(core: int) -> tuple[int, int]:
        chip, x, y, _ = places[core].tolist()
        return chip % mesh.width * mesh.columns + x, chip // mesh.width * mesh.rows + y

    for i, j in zip(*np.nonzero(traffic.toarray()), strict=True):
        for _ in range(int(traffic[i, j])):
            (x, y), (to_x, to_y), length = tile(int(i)), tile(int(j)), 0
            while (x, y) != (to_x, to_y):
                if x != to_x:
                    direction, new = (EAST, x + 1) if x < to_x else (WEST, x - 1)
                    kind = "hops_x" if x // mesh.columns == new // mesh.columns else "crossings"
                    load[direction, y, x] += 1
                    x = new
                else:
                    direction, new = (NORTH, y + 1) if y < to_y else (SOUTH, y - 1)
                    kind = "hops_y" if y // mesh.rows == new // mesh.rows else "crossings"
                    load[direction, y, x] += 1
                    y = new
                sums[kind] += 1
                length += 1
            sums["longest"] = max(sums["longest"], length)
    return load, sums


@pytest.mark.parametrize(
    "mesh", [Mesh(), Mesh(3, 2, 2, chips=5), Mesh(2, 2, 1, chips=16, chip_columns=3)], ids=str
)
def test_links_carry_what_a_walk_with_every_message_finds(mesh: Mesh) -> None:
    """Loads, hops, crossings and the longest way, of random placements."""
    for seed in range(size(3, 30)):
        random = np.random.default_rng(seed)
        cores = int(random.integers(1, mesh.cores + 1))
        places = random.permutation(sequential(mesh.cores, mesh))[:cores]
        count = 4 * cores
        ends = (random.integers(0, cores, count), random.integers(0, cores, count))
        traffic = sp.csr_array((random.integers(0, 4, count), ends), shape=(cores, cores))
        found = routes(traffic, places, mesh)
        load, sums = walked(traffic, places, mesh)
        held = {k: int(n) for k, n in np.ndenumerate(found.load) if n}
        assert held == dict(load)
        assert (found.hops_x, found.hops_y) == (sums["hops_x"], sums["hops_y"])
        assert (found.crossings, found.max_hops) == (sums["crossings"], sums["longest"])
        assert found.load[found.crosses].sum() == sums["crossings"]
        assert (found.links, found.max_load) == (len(load), max(load.values(), default=0))
        weight = 3 * found.hops_x + 4 * found.hops_y + 33 * found.crossings
        assert way_weight(traffic, places, mesh) == pytest.approx(weight, rel=1e-12)


def b_routes(data: Path, places: Array, seats: dict[str, Array]) -> Routes:
    """Return the ways of a run of SANA-FE's network: a message per spike and target core."""
    program, inputs = sanafe.program(data, sanafe.B1)
    trace = spikec.simulate(program, inputs, RECORD)
    sent = {**trace.inputs, **trace.spikes}
    traffic = np.zeros((len(places), len(places)), dtype=np.int64)
    for source, target in (("in", "hid"), ("hid", "out")):
        events = np.count_nonzero(sent[source][0], axis=0)
        for core in np.unique(seats[target]):
            np.add.at(traffic[:, core], seats[source], events)
    return routes(sp.csr_array(traffic), places, Mesh())


def test_hops_are_those_of_the_counts(data: Path) -> None:
    """On one chip: SANA-FE's own placement, and random ones."""
    sizes = {"in": 16, "hid": 32, "out": 8}
    for seed in range(size(4, 20)):
        random = np.random.default_rng(seed)
        tiles = random.choice(32, 4, replace=False).tolist() if seed else [0, 1, 2, 4]
        mapping = sanafe.placement(
            (tiles[0], 0, [("in", 0, 16)]),
            (tiles[1], 0, [("hid", 0, 20)]),
            (tiles[2], 1, [("hid", 20, 32)]),
            (tiles[3], 0, [("out", 0, 8)]),
        )
        program, inputs = sanafe.program(data, mapping)
        counts = count(program, spikec.simulate(program, inputs, RECORD)).sources.values()
        places = np.array([(0, c.x, c.y, c.index) for c in mapping.cores])
        seats = {n: np.asarray(mapping.core_of(n, k)) for n, k in sizes.items()}
        found = b_routes(data, places, seats)
        assert found.messages == sum(s.messages or 0 for s in counts)
        assert found.hops_x == sum(s.hops_x or 0 for s in counts)
        assert found.hops_y == sum(s.hops_y or 0 for s in counts)


# ---------------------------------------------------------------- errors

TWO = dense([[0, 1], [1, 0]])
ERRORS: list[tuple[str, Any, str]] = [
    ("SPK1750", lambda: Mesh(columns=0), "sizes (0, 4, 4, 1, 1) and weights (3.0, 4.0, 33.0)"),
    ("SPK1750", lambda: Mesh(weight_x=float("nan")), "make no mesh"),
    ("SPK1751", lambda: Mesh().check(np.zeros((3, 4))), "they are float64 of shape (3, 4)"),
    ("SPK1752", lambda: Mesh().check(np.array([[0, 8, 0, 0]])), "place (0, 8, 0, 0) is outside"),
    ("SPK1753", lambda: Mesh().check(np.zeros((2, 4), int)), "2 cores are at (0, 0, 0, 0)"),
    ("SPK1754", lambda: place(sp.csr_array((129, 129)), Mesh()), "129 cores exceed the 128 of 1"),
    ("SPK1755", lambda: place(sp.csr_array((2, 3)), Mesh()), "it has shape (2, 3)"),
    ("SPK1756", lambda: place(dense([[0, -1], [0, 0]]), Mesh()), "it holds -1.0 messages"),
    ("SPK1760", lambda: routes(TWO, np.zeros((1, 4), int), Mesh()), "shape (2, 2) for 1 cores"),
    ("SPK1762", lambda: place(TWO, Mesh(), congestion=-1.0), "congestion is -1.0"),
]


@pytest.mark.parametrize(("code", "call", "text"), ERRORS)
def test_what_cannot_be_placed_is_refused_in_one_line(code: str, call: Any, text: str) -> None:
    with pytest.raises(SpikecError) as caught:
        call()
    assert caught.value.code == code
    assert text in str(caught.value)
