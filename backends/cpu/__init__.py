"""The fast engine: compiled event-driven simulation on the CPU, exact in integers."""

from spikec.backends.cpu.engine import Engine

backend = Engine()
