"""sigmoid: the logistic function."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flownet.op import ElementwiseOp, Sample

__all__ = ["Sigmoid"]


@dataclass(frozen=True)
class Sigmoid(ElementwiseOp):
    """The logistic function, which maps the real line to (0, 1): y = 1 / (1 + exp(−x)).

    Shapes: float32[…] -> the same.
    Gradient: dx = dy · y · (1 − y); only y is kept.
    Numerical care: the exponent is −|x|, so that nothing overflows; for x < 0 it is computed as e / (1 + e) with
    e = exp(x), which keeps its relative precision where 1 − 1/(1 + e) would lose it.
    Source: Verhulst 1845; as a neuron's output, Rumelhart, Hinton, Williams 1986.
    """

    name = "sigmoid"
    category = "activation"
    expression = "where(x >= 0, 1, exp(-abs(x))) / (1 + exp(-abs(x)))"
    derivative = {"x": "dy * y * (1 - y)"}

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        # log 3 has the odds 3 : 1
        inputs = {"x": [[0.0, 1.0986122886681098], [-1.0986122886681098, 0.5]]}
        yield Sample(cls(), inputs, {"y": [[0.5, 0.75], [0.25, 0.6224593312018546]]})
        yield Sample(cls(), {"x": [-1e4, 1e4]}, {"y": [0.0, 1.0]}, note="no overflow far out")
