"""Arithmetic at every element, under NumPy's broadcasting."""
