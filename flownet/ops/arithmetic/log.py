"""log: the natural logarithm."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flownet.op import ElementwiseOp, Sample

__all__ = ["Log"]


@dataclass(frozen=True)
class Log(ElementwiseOp):
    """The natural logarithm: y = log(x).

    Shapes: float32[…] -> the same.
    Gradient: dx = dy / x.
    Numerical care: log(0) = −inf, below zero NaN. For log of probabilities use `log_softmax` or the losses on scores.
    """

    name = "log"
    category = "arithmetic"
    expression = "log(x)"
    derivative = {"x": "dy / x"}

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(
            cls(),
            {"x": [[1.0, 2.0], [0.5, 2.718281828459045]]},
            {"y": [[0.0, 0.6931471805599453], [-0.6931471805599453, 1.0]]},
        )
