"""Simulation: RTL and HLS beside the reference."""
