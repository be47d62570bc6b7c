"""What the models of a kernel's time have in common. Times are cycles of one core, one multiply-add of whole vectors each.

Fitted on a Zen 4 and on a Sapphire Rapids (`target.rates`); `benchmarks/kernels.py --all` shows how the order of candidates
compares with their times.
"""

from __future__ import annotations

from flownet.devices.opencl.target import Target

__all__ = ["balanced", "multiply_cycles", "reading_cycles"]


def multiply_cycles(multiply_adds: float, target: Target) -> float:
    """Multiply-adds of whole vectors at 90% of the peak: one a cycle, two of 8 floats."""
    return multiply_adds / (0.9 * 16 / target.vector)


def reading_cycles(weights: int, times: int, target: Target) -> float:
    """The reading of weights (bytes) `times` times, where they do not stay in the second cache: first from memory, then from
    the last cache if that holds them."""
    if weights <= target.l2 // 2:
        return 0.0
    from_cache, from_memory = target.rates
    again = from_cache if weights <= target.l3 else from_memory
    return weights / from_memory + (times - 1) * weights / again


def balanced(groups: int, target: Target) -> int:
    """Work-groups counted so that every core has as many as the busiest: few of them leave cores without work at the end."""
    return groups if groups >= 8 * target.units else -(-groups // target.units) * target.units
