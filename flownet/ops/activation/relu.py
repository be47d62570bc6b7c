"""relu: the rectifier."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flownet.op import ElementwiseOp, Sample

__all__ = ["Relu"]


@dataclass(frozen=True)
class Relu(ElementwiseOp):
    """The positive part: y = max(x, 0).

    Shapes: float32[…] -> the same.
    Gradient: dx = dy where y > 0, else 0; at the kink 0, as in PyTorch. Only y is kept.
    Source: Nair, Hinton 2010, "Rectified linear units improve restricted Boltzmann machines".
    """

    name = "relu"
    category = "activation"
    expression = "maximum(x, 0)"
    derivative = {"x": "where(y > 0, dy, 0)"}

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), {"x": [[-1.5, 2.0, 0.5], [3.0, -0.25, -4.0]]}, {"y": [[0.0, 2.0, 0.5], [3.0, 0.0, 0.0]]})
        yield Sample(cls(), {"x": [0.0]}, {"y": [0.0]}, note="at the kink", grad=False)
