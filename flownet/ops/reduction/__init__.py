"""Sums, means and extremes along axes."""
