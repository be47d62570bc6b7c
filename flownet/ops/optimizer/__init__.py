"""Optimisers: the next value of a parameter, as an elementwise op."""
