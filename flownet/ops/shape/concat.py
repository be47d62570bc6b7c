"""concat: tensors joined along an axis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flownet.errors import FlownetError
from flownet.op import Op, Sample
from flownet.ops.requirements import mismatch, resolve_axis
from flownet.ops.shape.slice import Slice
from flownet.types import Dim, TensorType

if TYPE_CHECKING:
    from flownet.graph import Builder, Value

__all__ = ["Concat"]


@dataclass(frozen=True)
class Concat(Op):
    """The inputs, one behind the other along an axis.

    axis: 1 joins channels, as U-Net and DenseNet do; negative counts from the end

    Shapes: float32[n, a, h, w], float32[n, b, h, w] with axis 1 -> float32[n, a + b, h, w].
    Gradient: each input's is its part of dy. No input is kept.
    """

    axis: int = 1

    name = "concat"
    category = "shape"

    def infer(self, *x: TensorType) -> TensorType:
        if not x:
            raise FlownetError.of(
                "missing-input", "`concat` takes one or more inputs, got none", help="list them: `in: [a, b]`"
            )
        axis = resolve_axis(self.name, self.axis, x[0])
        joined: Dim = 0
        for type_ in x:
            same_rest = [d for i, d in enumerate(type_.shape) if i != axis] == [
                d for i, d in enumerate(x[0].shape) if i != axis
            ]
            if type_.rank != x[0].rank or not same_rest:
                raise mismatch(self.name, f"inputs that differ along axis {self.axis} alone", " and ".join(map(str, x)))
            if type_.dtype is not x[0].dtype:
                raise FlownetError.of(
                    "dtype-mismatch", f"`concat` takes inputs of one element type, got {' and '.join(map(str, x))}"
                )
            joined = joined + type_.shape[axis]
        return x[0].with_shape(*x[0].shape[:axis], joined, *x[0].shape[axis + 1 :])

    def forward(self, *x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        return np.concatenate(x, axis=self.axis, out=out)

    def gradient(
        self,
        g: Builder,
        inputs: Mapping[str, Value],
        outputs: Mapping[str, Value],
        douts: Mapping[str, Value],
        wrt: Sequence[str],
    ) -> dict[str, Value]:
        gradients = {}
        start: Dim = 0
        for name, value in inputs.items():
            end = start + value.type.shape[self.axis]
            if name in wrt:
                gradients[name] = g.add(Slice((start,), (end,), (self.axis,)), douts["y"])
            start = end
        return gradients

    def flops(self) -> Dim:
        return 0

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        a, b = [[1.0, 2.0], [3.0, 4.0]], [[5.0], [6.0]]
        yield Sample(cls(), {"x0": a, "x1": b}, {"y": [[1.0, 2.0, 5.0], [3.0, 4.0, 6.0]]})
        yield Sample(
            cls(axis=0),
            {"x0": a, "x1": [[7.0, 8.0]], "x2": a},
            {"y": [[1.0, 2.0], [3.0, 4.0], [7.0, 8.0], [1.0, 2.0], [3.0, 4.0]]},
        )
