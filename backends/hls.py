"""The HLS C++ of a build for an FPGA, compiled by g++ and run: something to compare with."""

from spikec.backends.fpga.backend import Fpga

backend = Fpga("hls")
