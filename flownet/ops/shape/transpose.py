"""transpose: axes in another order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flownet.op import Op, Sample
from flownet.ops.requirements import mismatch, resolve_axes
from flownet.types import Dim, TensorType

if TYPE_CHECKING:
    from flownet.graph import Builder, Value

__all__ = ["Transpose"]


@dataclass(frozen=True)
class Transpose(Op):
    """The axes in another order: axis i of y is axis axes[i] of x.

    axes: every axis once, negative counts from the end; absent: the reverse order, which transposes a matrix

    Shapes: float32[n, h, w, c] with axes [0, 3, 1, 2] -> float32[n, c, h, w].
    Gradient: dx is dy, transposed back.
    """

    axes: tuple[int, ...] | None = None

    name = "transpose"
    category = "shape"

    def infer(self, x: TensorType) -> TensorType:
        if self.axes is None:
            return x.with_shape(*reversed(x.shape))
        if len(resolve_axes(self.name, self.axes, x)) != x.rank:
            raise mismatch(self.name, f"{len(self.axes)} axes for `axes` {list(self.axes)}", x)
        return x.with_shape(*(x.shape[axis] for axis in self.axes))

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x.transpose(self.axes)

    def gradient(
        self,
        g: Builder,
        inputs: Mapping[str, Value],
        outputs: Mapping[str, Value],
        douts: Mapping[str, Value],
        wrt: Sequence[str],
    ) -> dict[str, Value]:
        if self.axes is None:
            return {"x": g.add(self, douts["y"])}
        axes = [axis % len(self.axes) for axis in self.axes]
        return {"x": g.add(Transpose(tuple(axes.index(axis) for axis in range(len(axes)))), douts["y"])}

    def flops(self) -> Dim:
        return 0

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), {"x": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]}, {"y": [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]})
        yield Sample(
            cls((1, 2, 0)), {"x": [[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]]]}, {"y": [[[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]]}
        )
