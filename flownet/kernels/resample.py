"""Lines of a tensor, each of whose elements is a weighted sum of a few of another line's: borders, enlarging, their gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flownet.op import Op
from flownet.types import TensorType

__all__ = ["Resample"]


@dataclass(frozen=True)
class Resample(Op):
    """`y[…, o, …] = Σ weight[t] · x[…, index[t], …]` over t from `starts[o]` up to `starts[o + 1]`, o along `axis`.

    each: how many t every element has, where that is one number; 0 where it is not

    Shapes: x float32[…, s, …], starts int32[o + 1], index int32[t], weight float32[t] -> float32[…, o, …].
    What an element is not made of does not touch it, were it NaN: a matrix with zeros in it would spread that along the line.

    >>> x, starts = np.array([[1.0, 2.0, 4.0]], np.float32), np.array([0, 1, 3], np.int32)
    >>> Resample(1).forward(x, starts, np.array([2, 0, 1]), np.array([1.0, 0.5, 0.5], np.float32))
    array([[4. , 1.5]], dtype=float32)
    """

    axis: int
    each: int = 0

    name = "resample"
    category = "kernel"

    def infer(self, x: TensorType, starts: TensorType, index: TensorType, weight: TensorType) -> TensorType:
        return x.with_shape(*x.shape[: self.axis], starts.shape[0] - 1, *x.shape[self.axis + 1 :])

    def forward(self, x: np.ndarray, starts: np.ndarray, index: np.ndarray, weight: np.ndarray) -> np.ndarray:
        lines = np.moveaxis(x, self.axis, 0)
        y = np.zeros((len(starts) - 1, *lines.shape[1:]), x.dtype)
        at = np.repeat(np.arange(len(y)), np.diff(starts))
        np.add.at(y, at, lines[index] * weight.reshape(-1, *(1,) * (x.ndim - 1)))
        return np.moveaxis(y, 0, self.axis)

    def flops(self, x: TensorType, weight: TensorType) -> int:
        return int(2 * x.size // max(x.shape[self.axis], 1) * weight.size)  # type: ignore[type-var]
