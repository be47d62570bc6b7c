"""flatten: several axes as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flownet.errors import FlownetError
from flownet.op import Op, Sample
from flownet.ops.shape.reshape import Reshape
from flownet.types import Dim, TensorType

if TYPE_CHECKING:
    from flownet.graph import Builder, Value

__all__ = ["Flatten"]


@dataclass(frozen=True)
class Flatten(Op):
    """The axes from `axis` to the last as one: what stands between the feature maps of convolutions and `dense`.

    axis: the first of the axes that become one; the axes before it stay

    Shapes: float32[N, 16, 5, 5] -> float32[N, 400]. The output is the input's memory, nothing runs.
    Gradient: dx is dy under the input's shape.
    """

    axis: int = 1

    name = "flatten"
    category = "shape"
    is_view = True

    def infer(self, x: TensorType) -> TensorType:
        if not -x.rank <= self.axis <= x.rank:
            raise FlownetError.of(
                "shape-mismatch", f"`flatten` works from axis {self.axis} on, got {x}", f"it has {x.rank} axes"
            )
        start = self.axis + x.rank if self.axis < 0 else self.axis
        return x.with_shape(*x.shape[:start], x.with_shape(*x.shape[start:]).size)

    def forward(self, x: np.ndarray) -> np.ndarray:
        start = self.axis + x.ndim if self.axis < 0 else self.axis
        return x.reshape(*x.shape[:start], int(np.prod(x.shape[start:])))

    def gradient(
        self,
        g: Builder,
        inputs: Mapping[str, Value],
        outputs: Mapping[str, Value],
        douts: Mapping[str, Value],
        wrt: Sequence[str],
    ) -> dict[str, Value]:
        return {"x": g.add(Reshape(inputs["x"].type.shape), douts["y"])}

    def flops(self) -> Dim:
        return 0

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        x = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]], [[9.0, 10.0], [11.0, 12.0]]]
        rows = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [9.0, 10.0, 11.0, 12.0]]
        yield Sample(cls(), {"x": x}, {"y": rows})
        yield Sample(cls(axis=0), {"x": rows}, {"y": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0]})
