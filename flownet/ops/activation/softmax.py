"""Scores to probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flownet.errors import FlownetError
from flownet.op import Op, Sample
from flownet.types import Dim, TensorType

__all__ = ["Softmax", "check_axis"]


def check_axis(op: str, axis: int, x: TensorType) -> None:
    """Raise FlownetError unless x has the axis, which may count from the end."""
    if not -x.rank <= axis < x.rank:
        raise FlownetError.of("bad-axis", f"`{op}` along axis {axis}, but its input is {x}", help=f"take an axis from {-x.rank} to {x.rank - 1}")


@dataclass(frozen=True)
class Softmax(Op):
    """Probabilities along an axis, y_i = e^x_i / Σ_j e^x_j.

    axis: along which they sum to 1; -1 for classes in [n, classes], 1 for classes of pixels in [n, classes, h, w].

    Shapes: any with that axis. Gradient: dx = y·(dy − Σ_j dy_j·y_j): only y is kept.
    Care: the largest score is subtracted first, so that nothing overflows. Source: Bridle 1990.
    """

    name = "softmax"
    category = "activation"

    axis: int = -1

    def infer(self, x: TensorType) -> TensorType:
        check_axis(self.name, self.axis, x)
        return x

    def forward(self, x: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
        y = np.subtract(x, x.max(self.axis, keepdims=True, initial=-np.inf), out=out)
        np.exp(y, out=y)
        y /= y.sum(self.axis, keepdims=True)
        return y

    def backward(self, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
        return y * (dy - (dy * y).sum(self.axis, keepdims=True))

    def flops(self, x: TensorType) -> Dim:
        return 4 * x.size

    @classmethod
    def samples(cls):
        return [
            Sample(cls(), {"x": [[0.0, 0.6931471805599453], [1e4, -1e4]]}, {"y": [[1 / 3, 2 / 3], [1.0, 0.0]]}, "1e4 does not overflow"),
            Sample(cls(axis=1), {"x": np.log([[[1.0, 2.0], [3.0, 2.0]]])}, {"y": [[[0.25, 0.5], [0.75, 0.5]]]}, "per pixel"),
        ]  # fmt: skip
