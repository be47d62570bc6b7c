"""mean_absolute_error: how far predictions are off."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet.op import Metric, Sample
from flownet.ops.requirements import mismatch, require_float
from flownet.types import Dim, TensorType

__all__ = ["MeanAbsoluteError"]


@dataclass(frozen=True)
class MeanAbsoluteError(Metric):
    """The mean of |x − target|, in the target's unit.

    Shapes: x and target alike -> float32[2]: the sum, and how many elements it is of. Gradient: none.
    """

    name = "mean_absolute_error"

    def infer(self, x: TensorType, target: TensorType) -> TensorType:
        require_float(self.name, x=x, target=target)
        if x.shape != target.shape:
            raise mismatch(self.name, "two values of one shape", f"{x} and {target}")
        return x.with_shape(2)

    def forward(self, x: np.ndarray, target: np.ndarray) -> np.ndarray:
        return np.array([np.abs(x - target).sum(), x.size], x.dtype)

    def summarise(self, total: np.ndarray) -> float:
        return float(total[0] / total[1]) if total[1] else float("nan")

    def flops(self, x: TensorType) -> Dim:
        return 3 * x.size

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), {"x": [[1.0], [4.0]], "target": [[2.0], [1.0]]}, {"y": [4.0, 2.0]})
