"""Several losses as one: a·first + b·second."""

from __future__ import annotations

from dataclasses import dataclass

from flownet.op import ElementwiseOp

__all__ = ["WeightedSum"]


@dataclass(frozen=True)
class WeightedSum(ElementwiseOp):
    """y = a·first + b·second, the sum of losses with weights."""

    name = "weighted_sum"
    category = "kernel"
    operands = ("first", "second")  # type: ignore[misc]
    expression = "a * first + b * second"
    derivative = {"first": "a * dy", "second": "b * dy"}

    a: float = 1.0
    b: float = 1.0
