"""Training: from the `train` section of a graph file to weights, a log and a curve, with nothing lost on the way."""
