"""squared_error: half the squared distance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flownet.op import Sample
from flownet.ops.loss.distance import DistanceLoss

__all__ = ["SquaredError"]


@dataclass(frozen=True)
class SquaredError(DistanceLoss):
    """Half the squared distance of prediction and target: ℓ = ½(x − target)², averaged over all elements.

    The half is the course's: it makes the gradient the plain distance. PyTorch's `MSELoss` is twice as large.

    reduction: `mean` divides the sum by the number of elements (examples times components), `sum` does not, `none` gives each

    Shapes: x and target float32[…], the same -> float32[], with `none` float32[…].
    Gradient: dx = (x − target) · dy / (number of elements) for `mean`, and dtarget = −dx.
    Source: Legendre 1805; Gauss 1809.
    """

    name = "squared_error"
    distance = "0.5 * (x - target) * (x - target)"
    slope = "(x - target) * dy"

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        given = {"x": [[1.0, 2.0], [3.0, 4.0]], "target": [[0.0, 2.0], [6.0, 2.0]]}
        yield Sample(cls(), given, {"y": 1.75})
        yield Sample(cls("sum"), given, {"y": 7.0})
        yield Sample(cls("none"), given, {"y": [[0.5, 0.0], [4.5, 2.0]]})
