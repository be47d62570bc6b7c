"""global_avg_pool: the mean of each channel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flownet.op import Op, Sample
from flownet.ops.reduction.mean import Mean
from flownet.ops.windows import require_image
from flownet.types import Dim, TensorType

if TYPE_CHECKING:
    from flownet.graph import Builder, Value

__all__ = ["GlobalAvgPool"]


@dataclass(frozen=True)
class GlobalAvgPool(Op):
    """The mean of each channel over the whole image: what stands between the convolutions of a residual net and its classifier.

    keepdims: whether height and width stay, with size 1

    Shapes: x float32[n, c, h, w] -> float32[n, c], with `keepdims` float32[n, c, 1, 1].
    Gradient: each pixel gets dy / (h·w). It expands into `mean`.
    Source: Lin, Chen, Yan 2014, "Network in network".
    """

    keepdims: bool = False

    name = "global_avg_pool"
    category = "layer"

    def infer(self, x: TensorType) -> TensorType:
        require_image(self.name, x)
        return x.with_shape(*x.shape[:2], 1, 1) if self.keepdims else x.with_shape(*x.shape[:2])

    def expand(self, g: Builder, x: Value) -> Value:
        return g.add(Mean((2, 3), self.keepdims), x)

    def flops(self, x: TensorType) -> Dim:
        return x.size

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        x = [[[[1.0, 2.0], [3.0, 6.0]], [[0.0, 0.0], [0.0, -4.0]]]]
        yield Sample(cls(), {"x": x}, {"y": [[3.0, -1.0]]})
        yield Sample(cls(keepdims=True), {"x": x}, {"y": [[[[3.0]], [[-1.0]]]]})
