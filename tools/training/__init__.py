"""Training of the networks that are measured: data, networks, training and comparison."""
