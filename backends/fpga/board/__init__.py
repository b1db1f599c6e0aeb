"""The board: constraints, scripts of Vivado and Vitis, the host driver, the diagram."""
