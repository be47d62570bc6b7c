"""matmul: the matrix product."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet.op import Op, Sample, SumTo, broadcast
from flownet.ops.requirements import mismatch, require_float
from flownet.types import Dim, TensorType

__all__ = ["Matmul"]


@dataclass(frozen=True)
class Matmul(Op):
    """The matrix product of the last two axes: y = a b; the axes before them are a batch, and broadcast.

    Shapes: float32[..., n, k], float32[..., k, m] -> float32[..., n, m].
    Gradient: da = dy bᵀ, db = aᵀ dy, summed over the axes along which an input was stretched.
    """

    name = "matmul"
    category = "layer"

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        require_float(self.name, a=a, b=b)
        got = f"{a} and {b}"
        if a.rank < 2 or b.rank < 2:
            raise mismatch(self.name, "matrices", got, help="`reshape` makes a row or a column of a vector")
        if a.shape[-1] != b.shape[-2]:
            raise mismatch(
                self.name, "[..., n, k] and [..., k, m]", got, f"{a.shape[-1]} columns do not meet {b.shape[-2]} rows"
            )
        return a.with_shape(*broadcast(self.name, [a.shape[:-2], b.shape[:-2]]), a.shape[-2], b.shape[-1])

    def forward(self, a: np.ndarray, b: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
        return np.matmul(a, b, out=out)

    def backward_a(self, a: np.ndarray, b: np.ndarray, dy: np.ndarray) -> np.ndarray:
        return _summed(np.matmul(dy, b.swapaxes(-1, -2)), a.shape)

    def backward_b(self, a: np.ndarray, b: np.ndarray, dy: np.ndarray) -> np.ndarray:
        return _summed(np.matmul(a.swapaxes(-1, -2), dy), b.shape)

    def multiply_adds(self, a: TensorType, y: TensorType) -> Dim:
        return y.size * a.shape[-1]

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        a, b = [[1.0, 2.0, 0.0], [0.0, -1.0, 3.0]], [[1.0, 0.0], [2.0, 1.0], [0.5, 4.0]]
        yield Sample(cls(), {"a": a, "b": b}, {"y": [[5.0, 2.0], [-0.5, 11.0]]})
        yield Sample(
            cls(),
            {"a": [a, [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]], "b": b},
            {"y": [[[5.0, 2.0], [-0.5, 11.0]], [[1.0, 0.0], [0.5, 4.0]]]},
            note="a batch against one matrix",
        )


def _summed(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return gradient if gradient.shape == shape else SumTo(shape).forward(gradient)
