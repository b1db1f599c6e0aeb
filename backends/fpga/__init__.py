"""The FPGA backend: a program as SystemVerilog and HLS C++.

plan       what every population needs: formats, memories, windows, channels
lanes      the equation of a neuron as one pipelined module
engines    event-driven populations, their channels, controls and registers, the top
hls        the same network as Vitis HLS C++
board      constraints, scripts of Vivado and Vitis, the host driver, the diagram
build      all files of a project
simulation RTL and HLS beside the reference
proofs     lanes op by op, modules that carry events by induction
sizes      estimates, Yosys, the number of lanes
"""

from spikec.backends.fpga.backend import Fpga

backend = Fpga()
