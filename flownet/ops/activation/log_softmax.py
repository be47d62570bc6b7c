"""Logarithms of softmax's probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flownet.op import Op, Sample
from flownet.ops.activation.softmax import check_axis
from flownet.types import Dim, TensorType

__all__ = ["LogSoftmax"]


@dataclass(frozen=True)
class LogSoftmax(Op):
    """Logarithms of probabilities, y_i = x_i − log Σ_j e^x_j.

    axis: along which the probabilities sum to 1.

    Shapes: any with that axis. Gradient: dx = dy − e^y·Σ_j dy_j.
    Care: the largest score is subtracted first; no logarithm of a probability that was rounded to 0.
    """

    name = "log_softmax"
    category = "activation"

    axis: int = -1

    def infer(self, x: TensorType) -> TensorType:
        check_axis(self.name, self.axis, x)
        return x

    def forward(self, x: np.ndarray) -> np.ndarray:
        shifted = x - x.max(self.axis, keepdims=True, initial=-np.inf)
        return shifted - np.log(np.exp(shifted).sum(self.axis, keepdims=True))

    def backward(self, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
        return dy - np.exp(y) * dy.sum(self.axis, keepdims=True)

    def flops(self, x: TensorType) -> Dim:
        return 4 * x.size

    @classmethod
    def samples(cls):
        return [Sample(cls(), {"x": [[0.0, 0.6931471805599453], [1e4, -1e4]]}, {"y": [[-1.0986122886681098, -0.4054651081081645], [0.0, -2e4]]})]
