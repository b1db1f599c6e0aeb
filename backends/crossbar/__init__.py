"""Resistive-memory crossbars: so far the circuit of one array with the resistance of its wires."""

from spikec.backends.crossbar.circuit import Circuit, Solution
from spikec.backends.crossbar.lines import Reading, read

__all__ = ["Circuit", "Reading", "Solution", "read"]
