"""silu: the sigmoid linear unit, also called swish."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flownet.op import ElementwiseOp, Sample

__all__ = ["Silu"]

_SIGMOID = "(where(x >= 0, 1, exp(-abs(x))) / (1 + exp(-abs(x))))"
_REST = "(where(x >= 0, exp(-abs(x)), 1) / (1 + exp(-abs(x))))"  # 1 − σ(x), without cancelling where σ is near 1


@dataclass(frozen=True)
class Silu(ElementwiseOp):
    """x times its logistic function: y = x · σ(x) = x / (1 + exp(−x)).

    Shapes: float32[…] -> the same.
    Gradient: dx = dy · σ(x) · (1 + x · (1 − σ(x))).
    Numerical care: σ as `sigmoid` computes it, without overflow, and 1 − σ(x) as σ(−x): a division's last bit would count x times.
    Source: Elfwing, Uchibe, Doya 2018, "Sigmoid-weighted linear units"; Ramachandran, Zoph, Le 2017 ("swish").
    """

    name = "silu"
    category = "activation"
    expression = f"x * {_SIGMOID}"
    derivative = {"x": f"dy * {_SIGMOID} * (1 + x * {_REST})"}

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        # σ(±log 3) = ¾, ¼
        yield Sample(
            cls(),
            {"x": [[0.0, 1.0986122886681098], [-1.0986122886681098, 1.0]]},
            {"y": [[0.0, 0.8239592165010824], [-0.27465307216702745, 0.7310585786300049]]},
        )
        yield Sample(cls(), {"x": [-1e4, 1e4]}, {"y": [0.0, 1e4]}, note="no overflow far out")
