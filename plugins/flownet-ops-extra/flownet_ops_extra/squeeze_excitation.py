"""squeeze_excitation: channels weighted by what the whole image holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from flownet import FlownetError, Initial, Op, Sample
from flownet.ops.activation.relu import Relu
from flownet.ops.activation.sigmoid import Sigmoid
from flownet.ops.arithmetic.mul import Mul
from flownet.ops.linear.dense import Dense
from flownet.ops.reduction.mean import Mean
from flownet.ops.shape.reshape import Reshape
from flownet.types import Dim, TensorType

__all__ = ["SqueezeExcitation"]


@dataclass(frozen=True)
class SqueezeExcitation(Op):
    """Channels times their weights: y = x · σ(W₂ · relu(W₁ · mean(x) + b₁) + b₂), the mean over each channel's pixels.

    reduction: the inner layer has c / reduction units, at least one

    Shapes: float32[n, c, h, w] -> the same.
    Parameters: weight1 float32[c / reduction, c], bias1, weight2 float32[c, c / reduction], bias2; weights start by `he_normal`
    and `xavier_uniform`.
    Gradient: of the ops that it is built of. Source: Hu, Shen, Sun 2018, "Squeeze-and-excitation networks".
    """

    name = "squeeze_excitation"
    category = "layer"

    reduction: int = 16

    def checked(self) -> None:
        if self.reduction < 1:
            raise FlownetError.of(
                "bad-attribute", f"`reduction` of `{self.name}` must be at least 1, got {self.reduction}"
            )

    def infer(self, x: TensorType) -> TensorType:
        if x.rank != 4 or not x.dtype.is_float or not isinstance(x.shape[1], int) or x.shape[1] < 1:
            raise FlownetError.of(
                "shape-mismatch", f"`{self.name}` takes float32[n, c, h, w] with a number for c, got {x}"
            )
        return x

    def parameters(self, x: TensorType) -> Mapping[str, Initial]:
        self.infer(x)
        c, inner = x.shape[1], self._inner(x)
        return {
            "weight1": Initial(x.with_shape(inner, c), "he_normal", fan_in=c, fan_out=inner),
            "bias1": Initial(x.with_shape(inner)),
            "weight2": Initial(x.with_shape(c, inner), "xavier_uniform", fan_in=inner, fan_out=c),
            "bias2": Initial(x.with_shape(c)),
        }

    def expand(self, g, x, weight1, bias1, weight2, bias2):
        n, c = x.type.shape[:2]
        squeezed = g.add(Mean((2, 3)), x)
        inner = g.add(Relu(), g.add(Dense(self._inner(x.type)), squeezed, weight1, bias1))
        weights = g.add(Sigmoid(), g.add(Dense(c), inner, weight2, bias2))
        return g.add(Mul(), x, g.add(Reshape((n, c, 1, 1)), weights))

    def multiply_adds(self, x: TensorType) -> Dim:
        return x.shape[0] * (2 * x.shape[1] * self._inner(x))

    def flops(self, x: TensorType) -> Dim:
        return 2 * self.multiply_adds(x) + 2 * x.size

    def _inner(self, x: TensorType) -> int:
        return max(1, x.shape[1] // self.reduction)  # type: ignore[operator]

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        # means 2 and −1; inner relu(2 − (−1)·… ) worked out: relu(1·2 + 1·(−1)) = 1; gates σ(1·log 3) and σ(0)
        x = [[[[1.0, 3.0]], [[-2.0, 0.0]]]]
        weights = {
            "weight1": [[1.0, 1.0]],
            "bias1": [0.0],
            "weight2": [[1.0986122886681098], [0.0]],
            "bias2": [0.0, 0.0],
        }
        yield Sample(cls(2), {"x": x, **weights}, {"y": [[[[0.75, 2.25]], [[-1.0, 0.0]]]]})
        yield Sample(
            cls(1), {"x": np.linspace(-1, 2, 2 * 3 * 2 * 2).reshape(2, 3, 2, 2)}, note="as many inner units as channels"
        )
