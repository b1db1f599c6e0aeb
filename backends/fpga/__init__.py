"""The FPGA backend: SystemVerilog engines, and their simulation."""

from spikec.backends.fpga.backend import Fpga

backend = Fpga()
