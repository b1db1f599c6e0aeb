"""The same network as Vitis HLS C++."""
