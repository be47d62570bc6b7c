"""Activations: nonlinear functions of one input, most of them elementwise."""
