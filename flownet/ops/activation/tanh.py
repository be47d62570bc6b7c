"""tanh: the hyperbolic tangent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flownet.op import ElementwiseOp, Sample

__all__ = ["Tanh"]


@dataclass(frozen=True)
class Tanh(ElementwiseOp):
    """The hyperbolic tangent, which maps the real line to (−1, 1): y = (exp(x) − exp(−x)) / (exp(x) + exp(−x)).

    Shapes: float32[…] -> the same.
    Gradient: dx = dy · (1 − y²); only y is kept.
    Source: LeCun, Bottou, Orr, Müller 1998, "Efficient BackProp", recommends it for being odd.
    """

    name = "tanh"
    category = "activation"
    expression = "tanh(x)"
    derivative = {"x": "dy * (1 - y * y)"}

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        # with exp(2x) = 3: (3 − 1) / (3 + 1)
        yield Sample(
            cls(),
            {"x": [[0.0, 0.5493061443340549], [-0.5493061443340549, 1.0]]},
            {"y": [[0.0, 0.5], [-0.5, 0.7615941559557649]]},
        )
        yield Sample(cls(), {"x": [-1e4, 1e4]}, {"y": [-1.0, 1.0]}, note="no overflow far out")
