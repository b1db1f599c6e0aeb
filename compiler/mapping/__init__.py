"""Neurons to cores, and cores to places on chips, on plain arrays."""
