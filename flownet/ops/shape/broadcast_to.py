"""broadcast_to: a tensor stretched to a shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from flownet.op import Op, Sample, SumTo
from flownet.ops.requirements import mismatch, shape_text
from flownet.ops.shape.sizes import bad_size, bound
from flownet.types import Dim, Symbolic, TensorType

if TYPE_CHECKING:
    from flownet.graph import Builder, Value

__all__ = ["BroadcastTo"]


@dataclass(frozen=True)
class BroadcastTo(Op):
    """The input, repeated along new axes in front and along axes of size 1, until it has `shape`.

    shape: numbers or symbols

    Shapes: float32[c, 1] with shape [n, c, w] -> float32[n, c, w].
    Gradient: dx is dy, summed over the axes that were stretched.
    """

    shape: tuple[int | Symbolic, ...]

    name = "broadcast_to"
    category = "shape"

    def infer(self, x: TensorType) -> TensorType:
        lead = len(self.shape) - x.rank
        fits = lead >= 0 and all(
            dim in (1, size) for dim, size in zip(x.shape, self.shape[max(lead, 0) :], strict=False)
        )
        if not fits:
            raise mismatch(
                self.name,
                f"what stretches to {shape_text(self.shape)}",
                x,
                help="counted from the last axis, sizes are equal or 1",
            )
        return x.with_shape(*self.shape)

    def forward(self, x: np.ndarray) -> np.ndarray:
        return np.broadcast_to(x, self.shape)  # type: ignore[arg-type]  # bound by now

    def gradient(
        self,
        g: Builder,
        inputs: Mapping[str, Value],
        outputs: Mapping[str, Value],
        douts: Mapping[str, Value],
        wrt: Sequence[str],
    ) -> dict[str, Value]:
        return {"x": g.add(SumTo(inputs["x"].type.shape), douts["y"])}

    def bind(self, sizes: Mapping[str, int]) -> BroadcastTo:
        return replace(self, shape=bound(self.shape, sizes))

    def checked(self) -> None:
        bad_size(self.name, self.shape, at_least=0)

    def flops(self) -> Dim:
        return 0

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls((2, 2, 3)), {"x": [[1.0], [2.0]]}, {"y": [[[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]] * 2})
        yield Sample(cls((2,)), {"x": 5.0}, {"y": [5.0, 5.0]}, note="a scalar")
