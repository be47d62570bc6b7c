"""mul: the product of two or more inputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flownet.op import Op, Sample
from flownet.ops.arithmetic.nary import combined_type, product
from flownet.types import Dim, TensorType

if TYPE_CHECKING:
    from flownet.graph import Builder, Value

__all__ = ["Mul"]


@dataclass(frozen=True)
class Mul(Op):
    """The product of two or more inputs, element by element: y = x0 · x1 · … Gates are made of it. The matrix
    product is `matmul`.

    Shapes: they broadcast by NumPy's rules: counted from the last axis, sizes are equal or 1.
    Gradient: for each input dy times the other inputs, summed over the axes along which that input was stretched.
    It expands into one elementwise node, and so is fused with what stands around it.
    """

    name = "mul"
    category = "arithmetic"

    def infer(self, *x: TensorType) -> TensorType:
        return combined_type(self.name, x)

    def expand(self, g: Builder, *x: Value) -> Value:
        return g.add(product(len(x)), *x)

    def flops(self, *x: TensorType) -> Dim:
        return (len(x) - 1) * combined_type(self.name, x).size

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(
            cls(),
            {"x0": [[1.0, 2.0], [3.0, 4.0]], "x1": [[10.0, 20.0], [30.0, -40.0]]},
            {"y": [[10.0, 40.0], [90.0, -160.0]]},
        )
        yield Sample(
            cls(),
            {"x0": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "x1": [0.5, 0.0, -1.0], "x2": [[2.0], [10.0]]},
            {"y": [[1.0, 0.0, -6.0], [20.0, 0.0, -60.0]]},
            note="three inputs that broadcast",
        )
