"""Running means of gradients, as expressions.

Constants are put in as numbers: an expression of numbers alone would be a float64 to NumPy, and all that it meets with it.
"""

from __future__ import annotations

import math

__all__ = ["correction", "running_mean"]


def running_mean(state: str, share: float, of: str) -> str:
    """share · state + (1 − share) · of"""
    return f"({share!r} * {state} + {1 - share!r} * {of})"


def correction(share: float) -> str:
    """1 − share^step, by which a running mean that started at zero is too small.

    It is written −expm1(step · log share), since 1 − pow(0.999, 1) keeps four digits in float32.
    """
    return f"(-expm1(step * {math.log(share)!r}))" if share else "(step / step)"
