"""gelu: the Gaussian error linear unit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from flownet.op import ElementwiseOp, Sample
from flownet.ops.requirements import bad_attribute

__all__ = ["Gelu"]

_HALF_ROOT, _DENSITY = 0.7071067811865476, 0.3989422804014327  # 1/√2, 1/√(2π)
_ROOT = 0.7978845608028654  # √(2/π)

_TANH = f"tanh({_ROOT} * x * (1 + 0.044715 * x * x))"
_EXPRESSION = {"none": f"0.5 * x * (1 + erf(x * {_HALF_ROOT}))", "tanh": f"0.5 * x * (1 + {_TANH})"}
_DERIVATIVE = {
    "none": f"dy * (0.5 * (1 + erf(x * {_HALF_ROOT})) + x * {_DENSITY} * exp(-0.5 * x * x))",
    "tanh": f"dy * 0.5 * (1 + {_TANH} + x * (1 - {_TANH} * {_TANH}) * {_ROOT} * (1 + 0.134145 * x * x))",
}


@dataclass(frozen=True)
class Gelu(ElementwiseOp):
    """x times the probability that a standard normal variable is below it: y = x · Φ(x) = x · ½(1 + erf(x/√2)).

    approximate: `none` for the exact function; `tanh` for ½x(1 + tanh(√(2/π)(x + 0.044715x³))), off by at most 5e-4

    Shapes: float32[…] -> the same.
    Gradient: dx = dy · (Φ(x) + x·φ(x)) with the normal density φ; for `tanh` that of the formula.
    Source: Hendrycks, Gimpel 2016, "Gaussian error linear units". The names of the variants are PyTorch's and ONNX's.
    """

    approximate: Literal["none", "tanh"] = "none"

    name = "gelu"
    category = "activation"

    @property
    def expression(self) -> str:  # type: ignore[override]
        return _EXPRESSION[self.approximate]

    @property
    def derivative(self) -> dict[str, str]:  # type: ignore[override]
        return {"x": _DERIVATIVE[self.approximate]}

    def checked(self) -> None:
        if self.approximate not in _EXPRESSION:
            raise bad_attribute(self.name, "approximate", "`none` or `tanh`", f"`{self.approximate}`")

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        # Φ(1) = 0.84134474606854…, Φ(2) = 0.97724986805182… from tables of the normal distribution
        yield Sample(
            cls(),
            {"x": [[0.0, 1.0], [-1.0, 2.0]]},
            {"y": [[0.0, 0.8413447460685429], [-0.15865525393145707, 1.9544997361036416]]},
        )
        yield Sample(cls("tanh"), {"x": [0.0, 1.0, -1.0]}, {"y": [0.0, 0.8411919906082768, -0.15880800939172324]})
        yield Sample(cls(), {"x": [-1e4, 1e4]}, {"y": [0.0, 1e4]}, note="no overflow far out")
