"""Normalisation over batches and layers."""
