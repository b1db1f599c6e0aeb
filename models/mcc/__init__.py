"""The multisensory cooperative network: two streams of two-point cells, and point-neuron rivals."""
