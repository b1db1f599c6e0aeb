"""Resistive-memory crossbars: programs on tiles, and the circuit of an array with its wires."""

from spikec.backends.crossbar.backend import Crossbar
from spikec.backends.crossbar.circuit import Circuit, Solution
from spikec.backends.crossbar.lines import Reading, read

backend = Crossbar()

__all__ = ["Circuit", "Crossbar", "Reading", "Solution", "backend", "read"]
