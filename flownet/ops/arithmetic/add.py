"""add: the sum of two or more inputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flownet.op import Op, Sample
from flownet.ops.arithmetic.nary import combined_type, total
from flownet.types import Dim, TensorType

if TYPE_CHECKING:
    from flownet.graph import Builder, Value

__all__ = ["Add"]


@dataclass(frozen=True)
class Add(Op):
    """The sum of two or more inputs: y = x0 + x1 + … Residual connections are made of it (He et al. 2015).

    Shapes: they broadcast by NumPy's rules: counted from the last axis, sizes are equal or 1.
    Gradient: dy for each input, summed over the axes along which that input was stretched.
    It expands into one elementwise node, and so is fused with what stands around it.
    """

    name = "add"
    category = "arithmetic"

    def infer(self, *x: TensorType) -> TensorType:
        return combined_type(self.name, x)

    def expand(self, g: Builder, *x: Value) -> Value:
        return g.add(total(len(x)), *x)

    def flops(self, *x: TensorType) -> Dim:
        return (len(x) - 1) * combined_type(self.name, x).size

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(
            cls(),
            {"x0": [[1.0, 2.0], [3.0, 4.0]], "x1": [[10.0, 20.0], [30.0, 40.0]]},
            {"y": [[11.0, 22.0], [33.0, 44.0]]},
        )
        yield Sample(
            cls(),
            {"x0": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "x1": [0.5, 0.0, -0.5], "x2": [[100.0], [200.0]]},
            {"y": [[101.5, 102.0, 102.5], [204.5, 205.0, 205.5]]},
            note="three inputs that broadcast",
        )
