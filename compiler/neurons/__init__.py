"""The neuron models: one file each, each an equation. The file name is the name in text."""
