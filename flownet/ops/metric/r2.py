"""r2: how much of the variance is explained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet.op import Sample
from flownet.op.metric import Metric
from flownet.ops.metric.mean_absolute_error import check_pairs
from flownet.types import Dim, DType, TensorType

__all__ = ["R2"]


@dataclass(frozen=True)
class R2(Metric):
    """The coefficient of determination, R² = 1 − Σ(x − t)² / Σ(t − mean of t)², over all elements: 1 is perfect, 0 as good as the mean.

    Shapes: x and target float32[…], the same -> float64[4]: Σ (x − t)², Σ t², Σ t, and how many elements there are.
    Numerical care: the sums are of float64; the variance is the difference of two of them, and so good to about 16 digits less
    those of (mean / standard deviation)².
    Source: Wright 1921.
    """

    name = "r2"

    def infer(self, x: TensorType, target: TensorType) -> TensorType:
        check_pairs(self.name, x, target)
        return TensorType(DType.float64, (4,))

    def forward(self, x: np.ndarray, target: np.ndarray) -> np.ndarray:
        t = target.astype(np.float64)
        return np.array([np.square(x - t).sum(), np.square(t).sum(), t.sum(), t.size])

    def summarise(self, total: np.ndarray) -> float:
        errors, squares, sum_of_targets, count = total
        spread = squares - sum_of_targets**2 / count if count else 0.0
        return float(1 - errors / spread) if spread > 0 else float("nan")

    def flops(self, x: TensorType) -> Dim:
        return 6 * x.size

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), {"x": [1.0, 2.0, 4.0], "target": [1.0, 3.0, 5.0]}, {"y": [2.0, 35.0, 9.0, 3.0]})
