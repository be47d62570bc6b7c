"""sqrt: the square root."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flownet.op import ElementwiseOp, Sample

__all__ = ["Sqrt"]


@dataclass(frozen=True)
class Sqrt(ElementwiseOp):
    """The square root: y = √x.

    Shapes: float32[…] -> the same.
    Gradient: dx = dy / (2y), which is inf at 0; only y is kept.
    Numerical care: NaN below zero.
    """

    name = "sqrt"
    category = "arithmetic"
    expression = "sqrt(x)"
    derivative = {"x": "0.5 * dy / y"}

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), {"x": [[4.0, 2.25], [0.25, 2.0]]}, {"y": [[2.0, 1.5], [0.5, 1.4142135623730951]]})
