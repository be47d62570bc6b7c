"""softmax: scores to probabilities."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet.op import Op, Sample
from flownet.ops.requirements import require_float, resolve_axis
from flownet.types import Dim, TensorType

__all__ = ["Softmax"]


@dataclass(frozen=True)
class Softmax(Op):
    """Probabilities along an axis, from scores: y_i = exp(x_i) / Σ_j exp(x_j).

    axis: the axis that sums to 1, negative counts from the end; 1 gives a probability map of images [n, c, h, w]

    Shapes: float32[…] -> the same.
    Gradient: dx = y · (dy − Σ_j y_j dy_j), the sum along the axis; only y is kept.
    Numerical care: the maximum along the axis is subtracted first, which changes nothing but keeps exp at most 1, so
    that scores of ±1e4 are as good as others. For the logarithm take `log_softmax`, for training `cross_entropy` on
    the scores.
    Source: Bridle 1990.
    """

    axis: int = -1

    name = "softmax"
    category = "activation"

    def infer(self, x: TensorType) -> TensorType:
        require_float(self.name, x=x)
        resolve_axis(self.name, self.axis, x)
        return x

    def forward(self, x: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
        out = np.subtract(x, x.max(axis=self.axis, keepdims=True, initial=-np.inf), out=out)
        np.exp(out, out=out)
        out /= out.sum(axis=self.axis, keepdims=True)
        return out

    def backward(self, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
        return y * (dy - (y * dy).sum(axis=self.axis, keepdims=True))

    def flops(self, x: TensorType) -> Dim:
        return 5 * x.size  # maximum, difference, exp, sum, quotient

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        # exp of 0, log 2, log 5 is 1, 2, 5: eighths
        scores = [[0.0, 0.6931471805599453, 1.6094379124341003], [2.0, 2.0, 2.0]]
        yield Sample(cls(), {"x": scores}, {"y": [[0.125, 0.25, 0.625], [1 / 3, 1 / 3, 1 / 3]]})
        yield Sample(cls(axis=0), {"x": [[0.0, 1.0], [1.0986122886681098, 1.0]]}, {"y": [[0.25, 0.5], [0.75, 0.5]]})
        yield Sample(cls(), {"x": [[1e4, -1e4, 1e4]]}, {"y": [[0.5, 0.0, 0.5]]}, note="no overflow far out")
