"""softplus: a smooth rectifier."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flownet.op import ElementwiseOp, Sample

__all__ = ["Softplus"]


@dataclass(frozen=True)
class Softplus(ElementwiseOp):
    """A smooth approximation of the rectifier, everywhere positive: y = log(1 + exp(x)).

    Shapes: float32[…] -> the same.
    Gradient: dx = dy · σ(x) = dy · (1 − exp(−y)); only y is kept.
    Numerical care: max(x, 0) + log1p(exp(−|x|)), which neither overflows nor loses what is far below zero;
    1 − exp(−y) by `expm1`.
    Source: Dugas, Bengio, Bélisle, Nadeau, Garcia 2001.
    """

    name = "softplus"
    category = "activation"
    expression = "maximum(x, 0) + log1p(exp(-abs(x)))"
    derivative = {"x": "-dy * expm1(-y)"}

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        # log(1 + exp(log 3)) = log 4; log(1 + 1/3) = log 4 − log 3
        yield Sample(
            cls(),
            {"x": [[0.0, 1.0986122886681098], [-1.0986122886681098, 1.0]]},
            {"y": [[0.6931471805599453, 1.3862943611198906], [0.28768207245178085, 1.3132616875182228]]},
        )
        yield Sample(cls(), {"x": [-1e4, 1e4]}, {"y": [0.0, 1e4]}, note="no overflow far out")
