"""Lanes: the equation of a neuron as one pipelined SystemVerilog module."""
