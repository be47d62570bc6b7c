"""Pooling, and its inverse."""
