"""squash: vectors whose length is a probability."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet import FlownetError, Op, Sample
from flownet.expression import parse
from flownet.kernels import Reduce
from flownet.op import Elementwise
from flownet.types import Dim, TensorType

__all__ = ["Squash"]


@dataclass(frozen=True)
class Squash(Op):
    """Vectors along an axis pressed to a length below 1: y = q / (1 + q) · x / √q, q = Σ x² + epsilon.

    axis:    along which the capsules lie
    epsilon: keeps the direction of a vector of zeros finite

    Shapes: float32[…] with that axis -> the same.
    Gradient: with the factor f(q) = √q / (1 + q): dx = f · dy + x · (1 − q) / (√q · (1 + q)²) · Σ x·dy.
    Source: Sabour, Frosst, Hinton 2017, "Dynamic routing between capsules", equation 1.
    """

    name = "squash"
    category = "activation"

    axis: int = -1
    epsilon: float = 1e-7

    def checked(self) -> None:
        if not 0 < self.epsilon < math.inf:
            raise FlownetError.of(
                "bad-attribute", f"`epsilon` of `{self.name}` must be finite and above 0, got {self.epsilon}"
            )

    def infer(self, x: TensorType) -> TensorType:
        if not x.dtype.is_float or not -x.rank <= self.axis < x.rank:
            raise FlownetError.of(
                "shape-mismatch", f"`{self.name}` works along axis {self.axis} of floating-point numbers, got {x}"
            )
        return x

    def forward(self, x: np.ndarray) -> np.ndarray:
        q = self._energy(x)
        return x * (np.sqrt(q) / (1 + q))

    def backward(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        q = self._energy(x)
        along = (x * dy).sum(axis=self.axis, keepdims=True)
        return np.sqrt(q) / (1 + q) * dy + x * ((1 - q) / (np.sqrt(q) * (1 + q) ** 2) * along)

    def flops(self, x: TensorType) -> Dim:
        return 3 * x.size

    def _energy(self, x: np.ndarray) -> np.ndarray:
        return (x * x).sum(axis=self.axis, keepdims=True) + x.dtype.type(self.epsilon)

    # -- OpenCL: a reduction and an expression, which the device fuses with what stands around them ------------------

    def opencl(self, g, x):
        q = self._sum(g, "x * x", x=x)
        return _each(g, f"x * sqrt(q + {self.epsilon}) / (1 + q + {self.epsilon})", x=x, q=q)

    def opencl_backward(self, g, x, dy):
        q, along = self._sum(g, "x * x", x=x), self._sum(g, "x * dy", x=x, dy=dy)
        e = f"(q + {self.epsilon})"
        text = f"sqrt({e}) / (1 + {e}) * dy + x * ((1 - {e}) / (sqrt({e}) * (1 + {e}) * (1 + {e})) * along)"
        return _each(g, text, x=x, dy=dy, q=q, along=along)

    def _sum(self, g, text, **operands):
        axis = self.axis % operands["x"].type.rank
        return g.add(Reduce((("y", "sum", parse(text)),), tuple(operands), (axis,), keepdims=True), **operands)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        # length 5 becomes 25/26, length 1 becomes ½
        yield Sample(cls(epsilon=1e-12), {"x": [[3.0, 4.0], [0.6, -0.8]]}, {"y": [[15 / 26, 20 / 26], [0.3, -0.4]]})
        yield Sample(
            cls(axis=1, epsilon=1e-12), {"x": [[[3.0, 0.6], [4.0, -0.8]]]}, {"y": [[[15 / 26, 0.3], [20 / 26, -0.4]]]}
        )
        yield Sample(cls(), {"x": [[0.0, 0.0]]}, {"y": [[0.0, 0.0]]}, note="no direction, no length", grad=False)


def _each(g, text, **operands):
    return g.add(Elementwise((("y", parse(text)),), tuple(operands)), **operands)
