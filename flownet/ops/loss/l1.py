"""l1: the absolute distance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flownet.op import Sample
from flownet.ops.loss.distance import DistanceLoss

__all__ = ["L1"]


@dataclass(frozen=True)
class L1(DistanceLoss):
    """The absolute distance of prediction and target: ℓ = |x − target|, averaged over all elements. Outliers weigh less than squared.

    reduction: `mean` divides the sum by the number of elements, `sum` does not, `none` gives each

    Shapes: x and target float32[…], the same -> float32[], with `none` float32[…].
    Gradient: dx = sign(x − target) · dy / (number of elements) for `mean`, 0 where they are equal, and dtarget = −dx.
    Source: Boscovich 1757; Laplace 1789. It is PyTorch's `L1Loss`.
    """

    name = "l1"
    distance = "abs(x - target)"
    slope = "sign(x - target) * dy"

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        given = {"x": [[1.0, 2.0], [3.0, 4.0]], "target": [[0.0, 2.5], [6.0, 2.0]]}
        yield Sample(cls(), given, {"y": 1.625})
        yield Sample(cls("sum"), given, {"y": 6.5})
        yield Sample(cls("none"), given, {"y": [[1.0, 0.5], [3.0, 2.0]]})
