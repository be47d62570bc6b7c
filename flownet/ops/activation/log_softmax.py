"""log_softmax: the logarithm of softmax."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet.op import Op, Sample
from flownet.ops.requirements import require_float, resolve_axis
from flownet.types import Dim, TensorType

__all__ = ["LogSoftmax"]


@dataclass(frozen=True)
class LogSoftmax(Op):
    """Logarithms of probabilities along an axis, from scores: y_i = x_i − log Σ_j exp(x_j).

    axis: the axis whose probabilities sum to 1, negative counts from the end

    Shapes: float32[…] -> the same.
    Gradient: dx = dy − exp(y) · Σ_j dy_j, the sum along the axis; only y is kept.
    Numerical care: the maximum along the axis is subtracted first; never log(softmax(x)), which is −inf as soon as a
    probability underflows.
    """

    axis: int = -1

    name = "log_softmax"
    category = "activation"

    def infer(self, x: TensorType) -> TensorType:
        require_float(self.name, x=x)
        resolve_axis(self.name, self.axis, x)
        return x

    def forward(self, x: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
        out = np.subtract(x, x.max(axis=self.axis, keepdims=True, initial=-np.inf), out=out)
        out -= np.log(np.exp(out).sum(axis=self.axis, keepdims=True))
        return out

    def backward(self, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
        return dy - np.exp(y) * dy.sum(axis=self.axis, keepdims=True)

    def flops(self, x: TensorType) -> Dim:
        return 5 * x.size  # maximum, difference, exp, sum, difference

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        # the probabilities are 1/8, 2/8, 5/8
        scores = [[0.0, 0.6931471805599453, 1.6094379124341003], [2.0, 2.0, 2.0]]
        third = -1.0986122886681098
        expected = [[-2.0794415416798357, -1.3862943611198906, -0.4700036292457356], [third, third, third]]
        yield Sample(cls(), {"x": scores}, {"y": expected})
        yield Sample(cls(axis=0), {"x": [[0.0], [0.0]]}, {"y": [[-0.6931471805599453], [-0.6931471805599453]]})
        yield Sample(cls(), {"x": [[1e4, -1e4]]}, {"y": [[0.0, -2e4]]}, note="no overflow far out")
