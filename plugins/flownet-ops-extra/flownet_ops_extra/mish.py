"""mish: a smooth rectifier that lets a little of the negative side through."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flownet import ElementwiseOp, Sample

__all__ = ["Mish"]

# t = tanh(log(1 + eˣ)) and 1 − t as quotients of polynomials in e = e^−|x|: one exponential, and no 1 − 1 far out
_E = "exp(-abs(x))"
_BELOW = f"where(x >= 0, 1 + 2 * {_E} + 2 * {_E} * {_E}, {_E} * {_E} + 2 * {_E} + 2)"
_T = f"(where(x >= 0, 1 + 2 * {_E}, {_E} * {_E} + 2 * {_E}) / {_BELOW})"
_REST = f"(where(x >= 0, 2 * {_E} * {_E}, 2) / {_BELOW})"
_SIGMOID = f"(where(x >= 0, 1, {_E}) / (1 + {_E}))"


@dataclass(frozen=True)
class Mish(ElementwiseOp):
    """x times the hyperbolic tangent of its softplus: y = x · tanh(log(1 + eˣ)).

    Shapes: float32[…] -> the same.
    Gradient: dx = dy · (t + x · (1 − t²) · σ(x)), where t = tanh(log(1 + eˣ)).
    Numerical care: t and 1 − t are computed from e^−|x|, so that nothing overflows and x · (1 − t²) stays 0 far out.
    Source: Misra 2019, "Mish: a self regularized non-monotonic activation function".
    """

    name = "mish"
    category = "activation"
    expression = f"x * {_T}"
    derivative = {"x": f"dy * ({_T} + x * {_REST} * (1 + {_T}) * {_SIGMOID})"}

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        # with eˣ = 2: tanh(log 3) = (9 − 1)/(9 + 1) = 0.8, so y = 0.8 · log 2
        yield Sample(cls(), {"x": [[0.0, 0.6931471805599453], [-1.5, 3.0]]}, note="tanh(log 3) = 0.8")
        yield Sample(cls(), {"x": [0.6931471805599453]}, {"y": [0.5545177444479562]})
        yield Sample(cls(), {"x": [-1e4, 0.0, 1e4]}, {"y": [0.0, 0.0, 1e4]}, note="no overflow far out")
