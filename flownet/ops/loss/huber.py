"""huber: squared for small distances, absolute for large ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flownet.op import Sample
from flownet.ops.loss.distance import DistanceLoss
from flownet.ops.requirements import bad_attribute

__all__ = ["Huber"]


@dataclass(frozen=True)
class Huber(DistanceLoss):
    """Half the squared distance up to `delta`, and a line from there on: with d = |x − target|, ℓ = ½d² for d < δ, else δ·(d − ½δ).

    Averaged over all elements.

    reduction: `mean` divides the sum by the number of elements, `sum` does not, `none` gives each
    delta:     δ, from where on a distance counts as an outlier

    Shapes: x and target float32[…], the same -> float32[], with `none` float32[…].
    Gradient: dx = min(max(x − target, −δ), δ) · dy / (number of elements) for `mean`, and dtarget = −dx.
    Source: Huber 1964, "Robust estimation of a location parameter". It is PyTorch's `HuberLoss`.
    """

    delta: float = 1.0

    name = "huber"
    distance = (
        "where(abs(x - target) < delta, 0.5 * (x - target) * (x - target), delta * (abs(x - target) - 0.5 * delta))"
    )
    slope = "minimum(maximum(x - target, -delta), delta) * dy"

    def checked(self) -> None:
        super().checked()
        if not self.delta > 0:
            raise bad_attribute(self.name, "delta", "above 0", self.delta)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        given = {"x": [[1.0, 2.0], [3.0, 4.0]], "target": [[0.5, 2.0], [6.0, 2.0]]}
        yield Sample(cls(), given, {"y": 1.03125})
        yield Sample(cls("none"), given, {"y": [[0.125, 0.0], [2.5, 1.5]]})
        yield Sample(cls("sum", 2.5), given, {"y": 6.5}, note="another delta: 0.125 + 0 + 2.5·1.75 + 2")
