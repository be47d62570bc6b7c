"""abs: the absolute value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flownet.op import ElementwiseOp, Sample

__all__ = ["Abs"]


@dataclass(frozen=True)
class Abs(ElementwiseOp):
    """The absolute value: y = |x|.

    Shapes: float32[…] -> the same.
    Gradient: dx = dy · sign(x), 0 at 0.
    """

    name = "abs"
    category = "arithmetic"
    expression = "abs(x)"
    derivative = {"x": "dy * sign(x)"}

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), {"x": [[-1.5, 2.0], [0.25, -4.0]]}, {"y": [[1.5, 2.0], [0.25, 4.0]]})
