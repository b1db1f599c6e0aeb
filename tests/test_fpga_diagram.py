"""The block diagram of a design: everything is there, and nothing lies on anything else."""

import re
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

from hypothesis import Phase, given, settings

import spikec
from networks import Style, graphs, spikes_for
from rtl_networks import ASKED, images, late, mixed, quantized, random_spikes, storm
from sizes import examples
from spikec.backends.fpga.board.diagram import diagram
from spikec.backends.fpga.build import texts
from spikec.backends.fpga.plan import Plan, plan

SVG = "{http://www.w3.org/2000/svg}"
Rect = tuple[float, float, float, float]
Segment = tuple[tuple[float, float], tuple[float, float]]


def read(text: str) -> tuple[list[Rect], list[list[Segment]], list[str]]:
    """Return boxes with the queues on them, the segments of every line, and all texts."""
    root = ElementTree.fromstring(text)
    rects = [
        tuple(float(r.attrib[k]) for k in ("x", "y", "width", "height"))
        for r in root.iter(f"{SVG}rect")
        if "class" in r.attrib
    ]
    lines: list[list[Segment]] = []
    for path in root.iter(f"{SVG}path"):
        if "class" in path.attrib:
            found = re.findall(r"(-?[\d.]+) (-?[\d.]+)", path.attrib["d"])
            lines.append(list(pairwise((float(a), float(b)) for a, b in found)))
    words = [t.text or "" for t in root.iter(f"{SVG}text")]
    return [(x, y, x + w, y + h) for x, y, w, h in rects], lines, words


def crosses(segment: Segment, box: Rect) -> bool:
    """Return whether a segment goes through the inside of a box."""
    (a, b), (c, d) = segment
    left, top, right, bottom = box
    inside = max(a, c) > left + 1 and min(a, c) < right - 1
    return inside and max(b, d) > top + 1 and min(b, d) < bottom - 1


def along(one: Segment, other: Segment) -> bool:
    """Return whether two segments lie on each other."""
    for k in (0, 1):
        flat = abs(one[0][k] - one[1][k]) < 0.2 and abs(other[0][k] - other[1][k]) < 0.2
        if flat and abs(one[0][k] - other[0][k]) < 2:
            spans = [sorted((s[0][1 - k], s[1][1 - k])) for s in (one, other)]
            return min(spans[0][1], spans[1][1]) > max(spans[0][0], spans[1][0]) + 1
    return False


def check(planned: Plan) -> None:
    text = diagram(planned)
    rects, lines, words = read(text)
    for a, b in combinations(rects, 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, (a, b)
    for line in lines:
        for segment in line:
            assert not [box for box in rects if crosses(segment, box)], segment
    for one, other in combinations(lines, 2):
        assert not [(s, t) for s in one for t in other if along(s, t)], (one, other)
    channels = [c for e in planned.engines for c in e.channels]
    assert len(lines) == sum(c.source is not None for c in channels) + len(planned.outputs)
    for e in planned.engines:
        assert e.population.name in words
        assert any(f"{e.lanes} lanes (P), {e.groups:,} group" in w for w in words)
    for c in channels:
        assert any(f"queue {c.depth:,}" in w for w in words)


def test_diagrams() -> None:
    """Cycles, skips, delays, several outputs; what may be changed at run time."""
    for program in (
        quantized(images(), random_spikes(images(), 1, 8, 0)),
        quantized(mixed(), random_spikes(mixed(), 1, 8, 0), ASKED % 4),
        late(storm(5, 3), {"a": 2}),
        spikec.compile(spikec.load("digits"), "zcu102"),
    ):
        check(plan(program))


@given(graph=graphs(Style(on_grid=False, value_sources=True)))
@settings(examples(4, 200), phases=[Phase.generate])  # shrinking takes minutes
def test_generated(graph: spikec.Graph) -> None:
    data = spikes_for(graph, 1, 6, 1)
    check(plan(spikec.compile(graph, pipeline="discretize,quantize", calibration=data)))


def test_a_chain_of_twenty_engines() -> None:
    """It is as wide as one box, and a name may hold anything that a name may."""
    nodes: list[spikec.Input | spikec.Population | spikec.Output] = [spikec.Input("in.a_b-c", (6,))]
    projections: list[spikec.Projection] = []
    weights = spikec.Dense(spikec.Tensor.floats([[0.5] * 6] * 6))
    before = nodes[0].name
    for k in range(20):
        name = f"layer{k}_with_a_name_that_is_far_longer_than_anybody_wants_to_read"
        nodes.append(spikec.Population(name, (6,), spikec.LIF(decay=0.5)))
        projections.append(spikec.Projection(before, name, weights))
        before = name
    graph = spikec.Graph("chain", (*nodes, spikec.Output("out", before)), tuple(projections), 1e-3)
    text = diagram(plan(quantized(graph, random_spikes(graph, 1, 6, 0))))
    rects, lines, words = read(text)
    assert len(lines) == 21
    assert "in.a_b-c" in words
    assert max(r[2] for r in rects) < 500


def test_a_build_has_one() -> None:
    """That of the README is the one of the bundled network."""
    program = spikec.compile(spikec.load("digits"), "zcu102")
    made = texts(plan(program))["diagram.svg"]
    assert made == diagram(plan(program))
    assert made == (Path(__file__).parents[1] / "docs/images/digits_fpga.svg").read_text()
