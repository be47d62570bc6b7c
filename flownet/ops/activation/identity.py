"""The input, unchanged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flownet.op import Op, Sample
from flownet.types import TensorType

__all__ = ["Identity"]


@dataclass(frozen=True)
class Identity(Op):
    """The input, unchanged: a name for a value. Nothing runs.

    Shapes: any. Gradient: dx = dy.
    """

    name = "identity"
    category = "activation"
    is_view = True

    def infer(self, x: TensorType) -> TensorType:
        return x

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy

    @classmethod
    def samples(cls):
        return [Sample(cls(), {"x": [[1.0, -2.0]]}, {"y": [[1.0, -2.0]]})]
