"""Sizes: estimates, Yosys, and the number of lanes."""
