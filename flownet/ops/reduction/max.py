"""max: the largest element along axes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet.errors import FlownetError
from flownet.op import Op, Sample
from flownet.ops.reduction.axes import Axes, numpy_axes, reduced_axes, reduced_type
from flownet.ops.requirements import require_number
from flownet.types import Dim, TensorType

__all__ = ["Max"]


@dataclass(frozen=True)
class Max(Op):
    """The largest element along axes: y = max x. Of two inputs it is `maximum`; over windows, `max_pool`.

    axes:     the axes to search, one, a list, or `all`; negative counts from the end
    keepdims: whether these axes stay with size 1

    Shapes: float32[n, c, h, w] with axes [2, 3] -> float32[n, c], with keepdims float32[n, c, 1, 1].
    Gradient: dy to the largest element, in equal parts where several are, as PyTorch's `amax`.
    """

    axes: Axes = "all"
    keepdims: bool = False

    name = "max"
    category = "reduction"

    def infer(self, x: TensorType) -> TensorType:
        require_number(self.name, x)
        if any(x.shape[axis] == 0 for axis in reduced_axes(self.name, self.axes, x)):
            raise FlownetError.of("shape-mismatch", f"`max` of no elements: got {x}")
        return reduced_type(self.name, self.axes, self.keepdims, x)

    def forward(self, x: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
        return np.max(x, axis=numpy_axes(self.axes), keepdims=self.keepdims, out=out)

    def backward(self, x: np.ndarray, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
        axes = numpy_axes(self.axes)
        gone = range(x.ndim) if axes is None else np.atleast_1d(axes) % x.ndim
        kept = [1 if axis in gone else size for axis, size in enumerate(x.shape)]
        largest = x == y.reshape(kept)
        return np.where(
            largest, dy.reshape(kept) / largest.sum(axis=axes, keepdims=True).astype(dy.dtype), dy.dtype.type(0)
        )

    def flops(self, x: TensorType) -> Dim:
        return x.size

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        x = [[[1.0, 2.0], [3.0, 4.0]], [[10.0, 20.0], [30.0, -40.0]], [[0.5, 0.0], [-1.0, 0.25]]]
        yield Sample(cls(), {"x": x}, {"y": 30.0})
        yield Sample(cls(axes=(0, 2)), {"x": x}, {"y": [20.0, 30.0]})
        yield Sample(cls(axes=-1, keepdims=True), {"x": x}, {"y": [[[2.0], [4.0]], [[20.0], [30.0]], [[0.5], [0.25]]]})
