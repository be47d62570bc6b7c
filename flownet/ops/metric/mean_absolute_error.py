"""mean_absolute_error: how far predictions are off."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet.op import Sample
from flownet.op.metric import Metric
from flownet.ops.requirements import mismatch, require_float
from flownet.types import Dim, DType, TensorType

__all__ = ["MeanAbsoluteError", "check_pairs"]


def check_pairs(op: str, x: TensorType, target: TensorType) -> None:
    """Raise FlownetError unless prediction and target are numbers of one shape and type."""
    require_float(op, x=x, target=target)
    if x.shape != target.shape:
        raise mismatch(op, "x and target of one shape", f"{x} and {target}")


@dataclass(frozen=True)
class MeanAbsoluteError(Metric):
    """The mean absolute distance of prediction and target, over all elements, in the target's units.

    Shapes: x and target float32[…], the same -> float64[2]: Σ |x − target|, and how many elements there are. The figure is their
    quotient.
    """

    name = "mean_absolute_error"

    def infer(self, x: TensorType, target: TensorType) -> TensorType:
        check_pairs(self.name, x, target)
        return TensorType(DType.float64, (2,))

    def forward(self, x: np.ndarray, target: np.ndarray) -> np.ndarray:
        return np.array([np.abs(x - target).sum(dtype=np.float64), x.size])

    def summarise(self, total: np.ndarray) -> float:
        return float(total[0] / total[1]) if total[1] else float("nan")

    def flops(self, x: TensorType) -> Dim:
        return 3 * x.size

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), {"x": [[1.0, 2.0], [3.0, 4.0]], "target": [[0.0, 2.5], [6.0, 2.0]]}, {"y": [6.5, 4.0]})
