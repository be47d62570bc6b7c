"""reshape: the same elements under another shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from flownet.errors import FlownetError
from flownet.op import Op, Sample
from flownet.ops.requirements import bad_attribute, shape_text
from flownet.ops.shape.sizes import bad_size, bound
from flownet.types import Dim, Symbolic, TensorType

if TYPE_CHECKING:
    from flownet.graph import Builder, Value

__all__ = ["Reshape"]


@dataclass(frozen=True)
class Reshape(Op):
    """The same elements in the same order (the last axis runs fastest) under another shape.

    shape: numbers or symbols (`[N, 16, 5, 5]`); one of them may be -1, which stands for what is left

    Shapes: float32[N, 400] with shape [-1, 16, 5, 5] -> float32[N, 16, 5, 5]. The output is the input's memory,
    nothing runs.
    Gradient: dx is dy under the input's shape.
    """

    shape: tuple[int | Symbolic, ...]

    name = "reshape"
    category = "shape"
    is_view = True

    def infer(self, x: TensorType) -> TensorType:
        known: Dim = 1
        for dim in self.shape:
            known = known if dim == -1 else known * dim
        fits = FlownetError.of(
            "shape-mismatch",
            f"`reshape` cannot give {x} the shape {shape_text(self.shape)}",
            f"{x.size} elements are not {known}" + (" times a whole number" if -1 in self.shape else ""),
        )
        if -1 not in self.shape:
            if known != x.size:
                raise fits
            return x.with_shape(*self.shape)
        try:
            left = x.size // known if known != 0 else 0  # type: ignore[operator]
        except (ValueError, TypeError):  # a symbol that does not cancel
            raise fits from None
        if left * known != x.size:
            raise fits
        return x.with_shape(*(left if dim == -1 else dim for dim in self.shape))

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(self.shape)  # type: ignore[arg-type]  # bound by now

    def gradient(
        self,
        g: Builder,
        inputs: Mapping[str, Value],
        outputs: Mapping[str, Value],
        douts: Mapping[str, Value],
        wrt: Sequence[str],
    ) -> dict[str, Value]:
        return {"x": g.add(Reshape(inputs["x"].type.shape), douts["y"])}

    def bind(self, sizes: Mapping[str, int]) -> Reshape:
        return replace(self, shape=bound(self.shape, sizes))

    def checked(self) -> None:
        bad_size(self.name, self.shape, at_least=-1)
        if self.shape.count(-1) > 1:
            raise bad_attribute(self.name, "shape", "known but for one -1", shape_text(self.shape))

    def flops(self) -> Dim:
        return 0

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        x = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]
        yield Sample(cls((-1, 2, 2)), {"x": x}, {"y": [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]})
        yield Sample(cls((8,)), {"x": x}, {"y": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]})
