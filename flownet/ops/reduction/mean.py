"""mean: the mean along axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flownet.expression import parse
from flownet.op import Elementwise, Op, Sample
from flownet.ops.reduction.axes import Axes, numpy_axes, reduced_axes, reduced_type
from flownet.ops.reduction.sum import spread
from flownet.ops.requirements import require_float
from flownet.types import Dim, TensorType

if TYPE_CHECKING:
    from flownet.graph import Builder, Value

__all__ = ["Mean"]


@dataclass(frozen=True)
class Mean(Op):
    """The mean along axes: y = Σ x / m, where m elements are summed.

    axes:     the axes to average over, one, a list, or `all`; negative counts from the end
    keepdims: whether these axes stay with size 1

    Shapes: float32[n, c, h, w] with axes [2, 3] -> float32[n, c], with keepdims float32[n, c, 1, 1].
    Gradient: dx = dy / m, stretched along the axes.
    Numerical care: the mean of no elements is NaN.
    """

    axes: Axes = "all"
    keepdims: bool = False

    name = "mean"
    category = "reduction"

    def infer(self, x: TensorType) -> TensorType:
        require_float(self.name, x=x)
        return reduced_type(self.name, self.axes, self.keepdims, x)

    def forward(self, x: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
        y = np.sum(x, axis=numpy_axes(self.axes), keepdims=self.keepdims, dtype=x.dtype, out=out)
        count = x.size // y.size if y.size else 1
        with np.errstate(invalid="ignore"):
            return np.divide(y, x.dtype.type(count), out=out)

    def backward(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """For sizes that are symbols still; of numbers `gradient` makes nodes that keep nothing."""
        gone = range(x.ndim) if self.axes == "all" else np.atleast_1d(self.axes) % x.ndim
        kept = [1 if axis in gone else size for axis, size in enumerate(x.shape)]
        count = max(x.size // max(dy.size, 1), 1)
        return np.broadcast_to(dy.reshape(kept) / x.dtype.type(count), x.shape)

    def gradient(
        self,
        g: Builder,
        inputs: Mapping[str, Value],
        outputs: Mapping[str, Value],
        douts: Mapping[str, Value],
        wrt: Sequence[str],
    ) -> dict[str, Value]:
        x = inputs["x"].type
        count: Dim = 1
        for axis in reduced_axes(self.name, self.axes, x):
            count = count * x.shape[axis]
        if not isinstance(count, int):
            return super().gradient(g, inputs, outputs, douts, wrt)
        scaled = g.add(Elementwise((("y", parse(f"dy * {1 / max(count, 1)}")),), ("dy",)), dy=douts["y"])
        return {"x": spread(g, self.axes, scaled, x)}

    def flops(self, x: TensorType) -> Dim:
        return x.size

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        x = [[[1.0, 2.0], [3.0, 4.0]], [[10.0, 20.0], [30.0, -40.0]], [[0.5, 0.0], [0.0, 0.25]]]
        yield Sample(cls(), {"x": x}, {"y": 2.5625})
        yield Sample(cls(axes=(1, 2)), {"x": x}, {"y": [2.5, 5.0, 0.1875]})
        yield Sample(
            cls(axes=-1, keepdims=True), {"x": x}, {"y": [[[1.5], [3.5]], [[15.0], [-5.0]], [[0.25], [0.125]]]}
        )
