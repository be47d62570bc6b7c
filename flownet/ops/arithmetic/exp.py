"""exp: the exponential."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flownet.op import ElementwiseOp, Sample

__all__ = ["Exp"]


@dataclass(frozen=True)
class Exp(ElementwiseOp):
    """The exponential: y = exp(x).

    Shapes: float32[…] -> the same.
    Gradient: dx = dy · y; only y is kept.
    Numerical care: above 88.7 the result is inf in float32. Where exponentials are normalised or their logarithm is
    taken, use `softmax`, `log_softmax` or `softplus`, which do not overflow.
    """

    name = "exp"
    category = "arithmetic"
    expression = "exp(x)"
    derivative = {"x": "dy * y"}

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(
            cls(),
            {"x": [[0.0, 0.6931471805599453], [-0.6931471805599453, 1.0]]},
            {"y": [[1.0, 2.0], [0.5, 2.718281828459045]]},
        )
