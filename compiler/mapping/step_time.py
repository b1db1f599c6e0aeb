"""How long a step takes on cores that wait for each other.

A core is busy with its neurons (update, fire, send) and with the messages that come in (take in,
add synapses). Whether the two overlap is not public, nor how much of a way is hidden. So there are
two times, and neither knows of congestion:

    overlapped   max over cores of the longer of the two, or the longest way, + barrier
    serial       max over cores of their sum + the longest way + barrier

A barrier for a number of tiles that the book does not list lies between its neighbours: overlapped
takes the shorter, serial the longer one. What happens and has no time is named; then overlapped is
a lower bound, and serial is unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.mapping.routes import Routes
from spikec.compiler.prices import PAID_BY, TIMED, Duration
from spikec.compiler.types import Array

# What is counted per core; idle and synop follow from it.
WORK = (
    "access",
    "update",
    "spike",
    "message",
    "message_in",
    "synop_dense",
    "synop_sparse",
    "synop_conv",
)
SYNOPS = WORK[5:]
Part = Literal["neurons", "messages", "hops", "barrier"]


@dataclass(frozen=True, slots=True)
class StepTime:
    """The mean time of a step, in seconds.

    Attributes:
        overlapped: Neurons, messages and ways at the same time.
        serial: One after the other, or None where a time is unknown.
        parts: What is known of it: the busiest core with its neurons, the busiest one with its
            messages, the longest way, the shorter barrier.
        slowest: Core that is busy longest in most steps.
        bottleneck: The longest part of what is known.
        unknown: What happens and has no time.
    """

    overlapped: float
    serial: float | None
    parts: Mapping[Part, float]
    slowest: int
    bottleneck: Part
    unknown: tuple[str, ...]

    @property
    def lower_bound(self) -> bool:
        """Whether something that happens has no time."""
        return bool(self.unknown)


def step_time(
    work: Mapping[str, Array], ways: Routes, tiles: int, times: tuple[Duration, ...]
) -> StepTime:
    """Return the mean time of a step.

    The maximum over cores is taken in every step. With mean counts, of shape (1, cores), it is the
    maximum of means, which is less.

    Args:
        work: Counts by event, (steps, cores); names are those of ``WORK``.
        ways: Of the messages.
        tiles: How many are in use, over all chips.
        times: Of a price book.

    Raises:
        SpikecError: SPK1759 on counts of another name or shape.
    """
    counts = _counts(work)
    held = {t.event: t.seconds for t in times if t.event != "barrier"}
    neurons, messages = (_busy(counts, held, kind) for kind in ("neurons", "messages"))
    way, unknown = _longest_way(ways, held)
    short, long = _barrier(tiles, times)
    unknown = [*_untimed(counts, held), *unknown, *["barrier"] * (short is None or long is None)]
    both: Array = neurons + messages
    longest: Array = np.maximum(neurons, messages).max(axis=1)
    serial = float(both.max(axis=1).mean()) + way + (long or 0.0)
    parts: dict[Part, float] = {
        "neurons": float(neurons.max(axis=1).mean()),
        "messages": float(messages.max(axis=1).mean()),
        "hops": way,
        "barrier": short or 0.0,
    }
    return StepTime(
        overlapped=float(np.maximum(longest, way).mean()) + parts["barrier"],
        serial=None if unknown else serial,
        parts=parts,
        slowest=int(np.bincount(both.argmax(axis=1)).argmax()),
        bottleneck=max(parts, key=lambda part: parts[part]),
        unknown=tuple(unknown),
    )


def _busy(counts: Mapping[str, Array], held: Mapping[str, float], kind: str) -> Array:
    """Return how long every core is busy with its neurons, or its messages, (steps, cores)."""
    made = np.zeros(next(iter(counts.values())).shape)
    for event, n in counts.items():
        if TIMED[event] == kind and event in held:
            made += n * held[event]
    return made


def _untimed(counts: Mapping[str, Array], held: Mapping[str, float]) -> list[str]:
    """Return the events that happen and have no time."""
    return [
        event
        for event, ways in _NEEDED.items()
        if event in counts and counts[event].any() and not set(ways) & set(held)
    ]


_NEEDED: Mapping[str, tuple[str, ...]] = {
    **{e: PAID_BY[e] for e in ("update", "idle", "spike", "message", *SYNOPS)},
    "message_in": ("message_in",),
}


def _counts(work: Mapping[str, Array]) -> dict[str, Array]:
    """Return the counts of every event, (steps, cores), with what follows from others."""
    shapes = {a.shape for a in work.values()}
    wrong = [name for name in work if name not in WORK]
    if wrong or len(shapes) != 1 or len(next(iter(shapes))) != 2 or 0 in next(iter(shapes)):
        raise SpikecError(
            "SPK1759",
            "work",
            f"counts of {', '.join(work) or 'nothing'} have the shapes {sorted(shapes)}",
            f"Give arrays (steps, cores) of {', '.join(WORK)}",
        )
    made = dict(work)
    nothing = np.zeros_like(next(iter(work.values())))
    made["idle"] = made.get("access", nothing) - made.get("update", nothing)
    made["synop"] = sum((made[e] for e in SYNOPS if e in made), start=nothing)
    return made


def _longest_way(ways: Routes, held: Mapping[str, float]) -> tuple[float, list[str]]:
    """Return the time of the longest way, as far as it is known, and what is not."""
    names = ("hop_x", "hop_y", "crossing")
    each = np.array([held.get(name, 0.0) for name in names])
    gone = [name for k, name in enumerate(names) if name not in held and ways.ways[:, k].any()]
    return float((ways.ways @ each).max(initial=0.0)), gone


def _barrier(tiles: int, times: tuple[Duration, ...]) -> tuple[float | None, float | None]:
    """Return the shorter and the longer barrier for so many tiles, each None if not listed."""
    listed = sorted((t.tiles or 0, t.seconds) for t in times if t.event == "barrier")
    fewer = [s for n, s in listed if n <= tiles]
    more = [s for n, s in listed if n >= tiles]
    return fewer[-1] if fewer else None, more[0] if more else None
