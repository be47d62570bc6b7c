"""neg: the negative."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flownet.op import ElementwiseOp, Sample

__all__ = ["Neg"]


@dataclass(frozen=True)
class Neg(ElementwiseOp):
    """The negative: y = −x.

    Shapes: float32[…] -> the same.
    Gradient: dx = −dy.
    """

    name = "neg"
    category = "arithmetic"
    expression = "-x"
    derivative = {"x": "-dy"}

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), {"x": [[-1.5, 2.0], [0.25, -4.0]]}, {"y": [[1.5, -2.0], [-0.25, 4.0]]})
