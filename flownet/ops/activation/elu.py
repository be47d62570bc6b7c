"""elu: the exponential linear unit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from flownet.op import ElementwiseOp, Sample
from flownet.ops.requirements import bad_attribute

__all__ = ["Elu"]


@dataclass(frozen=True)
class Elu(ElementwiseOp):
    """x above zero, an exponential that levels off at −alpha below: y = x for x > 0, else alpha · (exp(x) − 1).

    alpha: what it saturates at, positive

    Shapes: float32[…] -> the same.
    Gradient: dx = dy for x > 0, else dy · (y + alpha).
    Numerical care: exp(x) − 1 by `expm1`, which is exact near 0, and of min(x, 0), which cannot overflow.
    Source: Clevert, Unterthiner, Hochreiter 2016, "Fast and accurate deep network learning by exponential linear
    units".
    """

    alpha: float = 1.0

    name = "elu"
    category = "activation"
    expression = "where(x > 0, x, alpha * expm1(minimum(x, 0)))"
    derivative = {"x": "where(x > 0, dy, dy * (y + alpha))"}

    def checked(self) -> None:
        if not 0 < self.alpha < math.inf:
            raise bad_attribute(self.name, "alpha", "a positive number", self.alpha)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        # exp(−log 2) = 1/2
        yield Sample(
            cls(), {"x": [[-0.6931471805599453, 2.0], [-1.0, 0.5]]}, {"y": [[-0.5, 2.0], [-0.6321205588285577, 0.5]]}
        )
        yield Sample(cls(alpha=0.5), {"x": [-0.6931471805599453, -1e4, 1e4]}, {"y": [-0.25, -0.5, 1e4]})
