"""What connects the engines in HLS C++: streams within a step, queues between steps."""

from spikec.backends.fpga.plan import Channel, Engine, Plan, Source


def event_type(source: Source) -> str:
    """Return the type of the events of a source."""
    return f"spikec::Event<{source.id_bits}, {source.value_bits}>"


def stream_type(source: Source) -> str:
    """Return the type of a stream of such events."""
    return f"hls::stream<{event_type(source)} >"


class Links:
    """The connections of a plan.

    A channel from an input or an earlier engine is a stream, which holds a whole step, so that no
    order of reading waits for ever. Its delay is a queue of its receiver. A channel from the engine
    itself or a later one is that queue alone, and the sender writes into it.
    """

    def __init__(self, plan: Plan) -> None:
        """Number the senders."""
        self.plan = plan
        self._place = {e.population.name: k for k, e in enumerate(plan.engines)}

    def weighted(self, engine: Engine) -> list[tuple[int, Channel]]:
        """Return the channels with weights; a step token of the host is a call here."""
        return [(k, c) for k, c in enumerate(engine.channels) if c.rows is not None]

    def loops(self, engine: Engine, k: int) -> bool:
        """Return whether a channel comes from the engine itself or a later one."""
        source = engine.channels[k].source
        here = self._place[engine.population.name]
        return source is not None and self._place.get(source.name, -1) >= here

    def heard(self, engine: Engine) -> list[tuple[int, Channel]]:
        """Return the channels that are streams."""
        return [(k, c) for k, c in self.weighted(engine) if not self.loops(engine, k)]

    def queue(self, engine: Engine, k: int) -> str:
        """Return the name of the queue of a channel with a delay."""
        return f"queue_{engine.label}_ch{k}"

    def queues_of(self, engine: Engine) -> list[str]:
        """Return the queues that an engine reads."""
        return [self.queue(engine, k) for k, c in self.weighted(engine) if c.delay]

    def declared_queues(self) -> list[str]:
        """Return the declarations of all queues."""
        return [
            f"static spikec::Queue<{event_type(c.source)}, {c.source.size}, {c.delay}> "
            f"{self.queue(e, k)};"
            for e in self.plan.engines
            for k, c in self.weighted(e)
            if c.delay and c.source
        ]

    def loop_queues(self, source: str) -> list[str]:
        """Return the queues that a sender writes into."""
        return [
            self.queue(e, k)
            for e in self.plan.engines
            for k, c in self.weighted(e)
            if c.source and c.source.name == source and self.loops(e, k)
        ]

    def streams(self, source: str) -> list[str]:
        """Return the streams that a sender writes into, that to the host last."""
        found = [
            self.stream(e, k)
            for e in self.plan.engines
            for k, c in self.heard(e)
            if c.source and c.source.name == source
        ]
        found += [self.to_host(s) for s in self.plan.outputs if s.name == source]
        return found

    def stream(self, engine: Engine, k: int) -> str:
        """Return the name of the stream of a channel."""
        return f"events_{engine.label}_ch{k}"

    def to_host(self, source: Source) -> str:
        """Return the name of the stream of an output."""
        return f"events_{source.label}_out"

    @property
    def feedback(self) -> bool:
        """Whether an engine hears of a later one: then they cannot work at the same time."""
        return any(
            c.source is not None and self._place.get(c.source.name, -1) > k
            for k, e in enumerate(self.plan.engines)
            for c in e.channels
        )
