"""sum: the sum along axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flownet.op import Op, Sample
from flownet.ops.reduction.axes import Axes, kept_shape, numpy_axes, reduced_type
from flownet.ops.requirements import require_number
from flownet.ops.shape.broadcast_to import BroadcastTo
from flownet.ops.shape.reshape import Reshape
from flownet.types import Dim, TensorType

if TYPE_CHECKING:
    from flownet.graph import Builder, Value

__all__ = ["Sum"]


@dataclass(frozen=True)
class Sum(Op):
    """The sum along axes: y = Σ x.

    axes:     the axes to sum over, one, a list, or `all`; negative counts from the end
    keepdims: whether these axes stay with size 1

    Shapes: float32[n, c, h, w] with axes [2, 3] -> float32[n, c], with keepdims float32[n, c, 1, 1]. The element
    type stays.
    Gradient: dx = dy, stretched along the axes. Neither x nor y is kept.
    """

    axes: Axes = "all"
    keepdims: bool = False

    name = "sum"
    category = "reduction"

    def infer(self, x: TensorType) -> TensorType:
        require_number(self.name, x)
        return reduced_type(self.name, self.axes, self.keepdims, x)

    def forward(self, x: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
        return np.sum(x, axis=numpy_axes(self.axes), keepdims=self.keepdims, dtype=x.dtype, out=out)

    def gradient(
        self,
        g: Builder,
        inputs: Mapping[str, Value],
        outputs: Mapping[str, Value],
        douts: Mapping[str, Value],
        wrt: Sequence[str],
    ) -> dict[str, Value]:
        return {"x": spread(g, self.axes, douts["y"], inputs["x"].type)}

    def flops(self, x: TensorType) -> Dim:
        return x.size

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        x = [[[1.0, 2.0], [3.0, 4.0]], [[10.0, 20.0], [30.0, -40.0]], [[0.5, 0.0], [0.0, 0.25]]]
        yield Sample(cls(), {"x": x}, {"y": 30.75})
        yield Sample(cls(axes=(0, -1)), {"x": x}, {"y": [33.5, -2.75]})
        yield Sample(cls(axes=1, keepdims=True), {"x": x}, {"y": [[[4.0, 6.0]], [[40.0, -20.0]], [[0.5, 0.25]]]})


def spread(g: Builder, axes: Axes, dy: Value, x: TensorType) -> Value:
    """`dy`, stretched along the axes that were reduced."""
    kept = kept_shape("sum", axes, x)
    if dy.type.shape != kept:
        dy = g.add(Reshape(kept), dy)
    return dy if kept == x.shape else g.add(BroadcastTo(x.shape), dy)
