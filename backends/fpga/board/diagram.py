"""A block diagram of a design, as SVG: host streams, queues, engines and memories.

Boxes stand in layers from top to bottom, an engine below all from which it hears without a delay.
Every line has a track of its own between two layers, so that none lie on each other; a line that
passes a layer has a place in it; lines that go back up run at the right.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from xml.sax.saxutils import escape

from spikec.backends.fpga.engines.controls import memories
from spikec.backends.fpga.plan import Channel, Engine, Plan, Stream

# Pixels.
MARGIN, SPACE, TRACK, LINE = 24, 28, 12, 16
CHIP = 38
NEAR = 7  # less between two lines would look like one
LETTER = 6.3  # of a text of 11 pixels, rather too wide
LONGEST = 40  # letters of a name
COLOURS = {"line": "#2f5d8a", "late": "#b3541e"}
STYLE = """\
text { font: 11px Helvetica, Arial, sans-serif; fill: #1b1f24; text-anchor: middle; }
.name { font-weight: bold; font-size: 12px; }
.engine { fill: #eef4fb; stroke: #2f5d8a; }
.host { fill: #f2f2f2; stroke: #6b6b6b; }
.queue { fill: #ffffff; stroke: #2f5d8a; }
path { fill: none; stroke: #2f5d8a; stroke-width: 1.3; }
.late { stroke: #b3541e; stroke-dasharray: 5 3; }
"""


@dataclass(slots=True, eq=False)
class Chip:
    """A queue on top of a box, and what its events meet.

    Attributes:
        source: Name of what sends; None where no line ends.
        lines: Text.
        late: Whether the queue holds steps of a delay.
    """

    source: str | None
    lines: tuple[str, str]
    late: bool
    x: float = 0.0

    @property
    def width(self) -> float:
        """Pixels."""
        return max(map(len, self.lines)) * LETTER + 12


@dataclass(slots=True, eq=False)
class Box:
    """A box, or the place of a line that passes a layer.

    Attributes:
        name: Of what sends; empty for a place.
        kind: engine or host; empty for a place.
        lines: Text, the name first.
        chips: Queues on top.
    """

    name: str = ""
    kind: str = ""
    lines: tuple[str, ...] = ()
    chips: list[Chip] = field(default_factory=list[Chip])
    x: float = 0.0
    bottom: float = 0.0
    sent: int = 0  # lines that leave it
    left: int = 0  # of those, how many have a place already

    @property
    def width(self) -> float:
        """Pixels."""
        if not self.kind:
            return float(TRACK)
        texts = max(len(text) for text in self.lines) * LETTER * 1.1 + 20
        return max(texts, sum(c.width + 8 for c in self.chips) + 8)

    @property
    def height(self) -> float:
        """Pixels, with the queues on top."""
        return (CHIP if self.chips else 0) + len(self.lines) * LINE + 14 if self.kind else 0.0


@dataclass(slots=True, eq=False)
class Line:
    """A line from a box to a chip, through places of the layers between them."""

    source: Box
    chip: Chip
    first: int  # the gap below the source, by its layer
    last: int  # the gap above the target
    places: list[Box] = field(default_factory=list[Box])
    back: float = 0.0  # where it goes up at the right

    @property
    def next_x(self) -> float:
        """Where it goes to first."""
        if self.last < self.first:
            return self.back
        if self.places:
            return self.places[0].x + self.places[0].width / 2
        return self.chip.x + self.chip.width / 2


def diagram(plan: Plan) -> str:
    """Return the SVG of a design."""
    layers = _layers(plan)
    lines = _lines(layers)
    _order(layers, lines)
    width = _place(layers)
    backs = [line for line in lines if line.last < line.first]
    for k, line in enumerate(backs):
        line.back = width - MARGIN + SPACE + TRACK * k
    total = width + (SPACE + TRACK * len(backs) if backs else 0)
    return _draw(plan, layers, lines, total)


# ---------------------------------------------------------------- boxes and lines


def _layers(plan: Plan) -> list[list[Box]]:
    inward, outward = Stream(plan.inputs), Stream(plan.outputs)
    depth = {s.name: 0 for s in plan.inputs}
    layers = [
        [
            Box(s.name, "host", (_short(s.name), f"{s.size:,} channels, {_sends(s.value_bits)}"))
            for s in plan.inputs
        ]
    ]
    for engine in plan.engines:
        prompt = [c.source.name for c in engine.channels if c.source and c.delay == 0]
        name = engine.population.name
        depth[name] = 1 + max((depth[n] for n in prompt), default=0)
        while len(layers) <= depth[name]:
            layers.append([])
        layers[depth[name]].append(_engine(engine))
    taken = [Chip(s.name, (_short(s.name), "queue 4"), False) for s in plan.outputs]
    stream = f"AXI4-Stream, words of {outward.bits} bits"
    layers.append([Box("", "host", ("events out", stream), taken)])
    for box in layers[0]:
        box.lines = (*box.lines, f"AXI4-Stream, words of {inward.bits} bits")
    return layers


def _engine(engine: Engine) -> Box:
    population = engine.population
    groups = "group" if engine.groups == 1 else "groups"
    sent = _sends(engine.source.value_bits)
    lines = [
        _short(population.name),
        f"{population.model().kind}, {population.size:,} neurons, {sent}",
        f"{engine.lanes} lanes (P), {engine.groups:,} {groups} (G), latency {engine.lane.latency}",
    ]
    bits = sum(bits for _, bits in engine.states) * engine.lanes
    if bits:
        lines.append(f"states {engine.groups:,} x {bits:,} bits")
    constants = engine.memories().get(f"{engine.label}_neurons")
    if constants is not None:
        lines.append(f"numbers of neurons {constants.depth:,} x {constants.width:,} bits")
    kinds = dict.fromkeys(m.name if m.kind == "parameter" else m.kind for m in memories(engine))
    if kinds:
        lines.append(f"at run time: {', '.join(kinds)}")
    return Box(population.name, "engine", tuple(lines), [_chip(c) for c in engine.channels])


def _chip(channel: Channel) -> Chip:
    queue = f"queue {channel.depth:,}"
    if channel.source is None or channel.rows is None:
        return Chip(None, ("steps of the host", queue), False)
    words = channel.rows.words
    port = "" if channel.port == "input" else f"{channel.port}: "
    what = f"{port}{channel.rows.form} {words.depth:,} x {words.width:,} bits"
    late = f", delay {channel.delay}" if channel.delay else ""
    return Chip(channel.source.name, (what, queue + late), channel.delay > 0)


def _sends(bits: int) -> str:
    return f"values of {bits} bits" if bits else "spikes"


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."


def _lines(layers: list[list[Box]]) -> list[Line]:
    """Return all lines; those that pass a layer get a place in it."""
    at = {box.name: (k, box) for k, layer in enumerate(layers) for box in layer if box.name}
    lines: list[Line] = []
    for target, layer in enumerate([list(layer) for layer in layers]):
        for chip in (chip for box in layer for chip in box.chips):
            if chip.source is None:
                continue
            k, source = at[chip.source]
            line = Line(source, chip, k, target - 1)
            for between in range(k + 1, target):
                place = Box()
                layers[between].append(place)
                line.places.append(place)
            source.sent += 1
            lines.append(line)
    return lines


def _order(layers: list[list[Box]], lines: Sequence[Line]) -> None:
    """Sort each layer by where what it hears from stands."""
    heard: dict[int, list[Box]] = {}
    owner = {id(c): box for layer in layers for box in layer for c in box.chips}
    for line in lines:
        if line.last < line.first:
            continue
        chain = [line.source, *line.places, owner[id(line.chip)]]
        for sender, after in pairwise(chain):
            heard.setdefault(id(after), []).append(sender)
    for above, layer in pairwise(layers):
        where = {id(box): k for k, box in enumerate(above)}
        keys = {
            id(box): sum(where[id(b)] for b in found) / len(found)
            for box in layer
            if (found := heard.get(id(box), []))
        }
        layer.sort(key=lambda box: keys.get(id(box), 0.0))


def _place(layers: list[list[Box]]) -> float:
    """Set where boxes and chips stand across; return the width."""
    widths = [sum(b.width for b in layer) + SPACE * (len(layer) - 1) for layer in layers]
    total = max(widths) + 2 * MARGIN
    for layer, wide in zip(layers, widths, strict=True):
        x = (total - wide) / 2
        for box in layer:
            box.x = x
            at = x + (box.width - sum(c.width + 8 for c in box.chips) + 8) / 2
            for chip in box.chips:
                chip.x = at
                at += chip.width + 8
            x += box.width + SPACE
    return total


# ---------------------------------------------------------------- drawing


@dataclass(slots=True, eq=False)
class Gap:
    """The space below a layer, with a track for every line in it.

    Attributes:
        top: Its upper end.
        count: Tracks.
        used: Where lines leave or enter, and which, so that no two are upon each other.
    """

    top: float = 0.0
    count: int = 0
    next: int = 0
    used: list[tuple[float, "Line"]] = field(default_factory=list[tuple[float, "Line"]])

    @property
    def height(self) -> float:
        """Pixels."""
        return TRACK * (self.count + 1) + 8

    def track(self) -> float:
        """Return the height of the next free track."""
        self.next += 1
        return self.top + TRACK * self.next

    def free(self, x: float, line: "Line") -> bool:
        """Return whether no other line is near ``x``."""
        return all(other is line or abs(x - taken) >= NEAR for taken, other in self.used)


def _gaps(layers: list[list[Box]], lines: Sequence[Line]) -> list[Gap]:
    gaps = [Gap() for _ in layers]
    for line in lines:
        gaps[line.last].used.append((line.chip.x + line.chip.width / 2, line))
        passed = (
            {line.first, line.last} if line.last < line.first else range(line.first, line.last + 1)
        )
        for k in passed:
            gaps[k].count += 1
    for line in lines:
        for k, place in enumerate(line.places):
            around = gaps[line.first + k], gaps[line.first + k + 1]
            x = place.x + place.width / 2
            # A place has room on both sides.
            tried = [x + d * NEAR for d in (0, 1, -1, 2, -2) if abs(d) * NEAR <= SPACE / 2]
            free = (t for t in tried if all(gap.free(t, line) for gap in around))
            place.x = next(free, x) - place.width / 2
            for gap in around:
                gap.used.append((place.x + place.width / 2, line))
    y = MARGIN + LINE * 2.0
    for layer, gap in zip(layers, gaps, strict=True):
        gap.top = y + max(box.height for box in layer)
        y = gap.top + gap.height
    return gaps


def _draw(plan: Plan, layers: list[list[Box]], lines: Sequence[Line], width: float) -> str:
    gaps = _gaps(layers, lines)
    tops = [MARGIN + LINE * 2.0] + [gap.top + gap.height for gap in gaps[:-1]]
    for layer, top in zip(layers, tops, strict=True):
        for box in layer:
            box.bottom = top + box.height
    paths = [_path(line, gaps) for line in sorted(lines, key=lambda line: line.next_x)]
    boxes = [
        text
        for layer, top in zip(layers, tops, strict=True)
        for box in layer
        if box.kind
        for text in _box(box, top)
    ]
    program = plan.program
    title = f"{program.graph.name} on {program.target}: {len(plan.engines)} engines"
    foot = gaps[-1].top + LINE * 1.5
    width = max(width, len(title) * LETTER * 1.2 + 2 * MARGIN)
    middle = f"{width / 2:.0f}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{foot + 20:.0f}" '
            f'viewBox="0 0 {width:.0f} {foot + 20:.0f}">',
            f"<style>\n{STYLE}</style>",
            "<defs>",
            *(_arrow(name, colour) for name, colour in COLOURS.items()),
            "</defs>",
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            f'<text class="name" x="{middle}" y="{MARGIN + 4}">{escape(title)}</text>',
            *boxes,
            *paths,
            f'<text x="{middle}" y="{foot:.0f}">registers and counters: AXI4-Lite</text>',
            "</svg>",
            "",
        ]
    )


def _path(line: Line, gaps: Sequence[Gap]) -> str:
    """Return a line: down, along a track of every gap that it passes, and into its chip."""
    source, first = line.source, gaps[line.first]
    source.left += 1
    x = source.x + source.width * source.left / (source.sent + 1)
    # Straight down where that is nearly so anyway.
    if abs(x - line.next_x) < 2 * TRACK:
        x = line.next_x
    while not first.free(x, line):
        x += NEAR
    first.used.append((x, line))
    points = [(x, source.bottom)]
    end = line.chip.x + line.chip.width / 2
    if line.last < line.first:
        stops = [(line.first, line.back), (line.last, end)]
    else:
        stops = [(line.first + k, p.x + p.width / 2) for k, p in enumerate(line.places)]
        stops.append((line.last, end))
    for gap, to in stops:
        if abs(to - points[-1][0]) > 0.5:
            y = gaps[gap].track()
            points += [(points[-1][0], y), (to, y)]
    bottom = gaps[line.last].top + gaps[line.last].height
    points.append((end, bottom))
    text = " L".join(f"{a:.1f} {b:.1f}" for a, b in points)
    kind = "late" if line.chip.late else "line"
    return f'<path class="{kind}" d="M{text}" marker-end="url(#{kind})"/>'


def _box(box: Box, top: float) -> list[str]:
    """Return a box with its queues on top."""
    body = top + (CHIP if box.chips else 0)
    high = box.height - (body - top)
    made = [_rect(box.kind, box.x, body, box.width, high)]
    for chip in box.chips:
        made.append(_rect("queue", chip.x, top, chip.width, CHIP))
        for k, text in enumerate(chip.lines):
            made.append(_text("", chip.x + chip.width / 2, top + 15 + k * 15, text))
    for k, text in enumerate(box.lines):
        kind = "" if k else "name"
        made.append(_text(kind, box.x + box.width / 2, body + 18 + k * LINE, text))
    return made


def _arrow(name: str, colour: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" '
        f'style="fill: {colour}; stroke: none"/></marker>'
    )


def _rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="{kind}" {where} rx="4"/>'


def _text(kind: str, x: float, y: float, text: str) -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
