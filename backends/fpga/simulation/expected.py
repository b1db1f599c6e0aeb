"""What the counters of the engines must say, from the events of a run alone.

Busy cycles are exact whatever the order and the pauses of events: a word of weights takes one, and
the end of a step ``step_cycles``. The other cycles of an engine are stalls.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from spikec.backends.fpga.plan import Channel, Engine, Plan
from spikec.compiler.types import Array

DRAIN = 2


def counters(
    plan: Plan,
    inputs: Mapping[str, Array],
    sent: Mapping[str, Array],
    hits: Mapping[str, Array],
    clocked: bool = True,
) -> list[dict[str, int]]:
    """Return the exact counters of every engine; stalls are not among them.

    Args:
        plan: The engines.
        inputs: By input name, (samples, steps, size), steps of the warm-up included.
        sent: By population, the same.
        hits: By population, saturations, the same.
        clocked: Whether engines run by themselves, as RTL, or one step for each call, as HLS, where
            there are no busy cycles, and nothing of the step after the last.
    """
    events = {name: a != 0 for name, a in {**inputs, **sent}.items()}
    return [_engine(e, events, hits[e.population.name], clocked) for e in plan.engines]


def step_cycles(engine: Engine) -> int:
    """Return the cycles from the last word of a step to the first of the next.

    Two until the last word is added, one for each group, and one more than the latency of a lane
    until the last group is stored.
    """
    return DRAIN + engine.groups + engine.lane.latency + 1


def free_cycles(engine: Engine, events: Sequence[Array], steps: int) -> int:
    """Return the cycles of an engine that waits for nobody.

    To the busy cycles of a step come two, to take its first and to see its last event, and one for
    every event that has no words. Waiting for events, or until its own are sent, comes on top.

    Args:
        engine: The engine.
        events: By channel, how many events of each source neuron arrive.
        steps: Steps with an update.
    """
    total = steps * (step_cycles(engine) + 2)
    for channel, arrived in zip(engine.channels, events, strict=True):
        if channel.rows is not None:
            total += int(arrived @ np.maximum(channel.rows.walked, 1))
    return total


def _engine(
    engine: Engine, events: Mapping[str, Array], hits: Array, clocked: bool
) -> dict[str, int]:
    samples, steps, size = events[engine.population.name].shape
    start = engine.population.start
    arrived = words = synops = 0
    for channel in engine.channels:
        if channel.source is None or channel.rows is None:
            continue
        at = events[channel.source.name]
        arrived += int(_arrivals(channel, at, 0, clocked).sum())
        walked = _arrivals(channel, at, start, clocked)
        words += int(walked @ channel.rows.walked)
        synops += int(walked @ channel.rows.used)
    updates, skipped = samples * (steps - start), samples * start
    found = {
        "events_in": arrived,
        "words": words,
        "synops": synops,
        "updates": samples * (steps - start) * size,
        "events_out": int(events[engine.population.name].sum()),
        "saturations": int(hits.sum()),
        "steps": samples * steps,
    }
    if clocked:
        found["cycles_busy"] = words + updates * step_cycles(engine) + skipped * DRAIN
    return found


def _arrivals(channel: Channel, events: Array, start: int, clocked: bool) -> Array:
    """Return how many events of each source neuron arrive in step ``start`` or later.

    At the end of a sample an engine in RTL has begun a further step, with what arrives in it by a
    delay.
    """
    end = events.shape[1] + (min(channel.delay, 1) if clocked else 0)
    first = max(start - channel.delay, 0)
    return np.asarray(events[:, first : max(end - channel.delay, 0)].sum(axis=(0, 1)))
