"""div: the quotient of two inputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flownet.op import ElementwiseOp, Sample

__all__ = ["Div"]


@dataclass(frozen=True)
class Div(ElementwiseOp):
    """The quotient of two inputs, element by element: y = a / b.

    Shapes: they broadcast by NumPy's rules: counted from the last axis, sizes are equal or 1.
    Gradient: da = dy / b, db = −dy · y / b, each summed over the axes along which that input was stretched.
    Numerical care: division by zero gives ±inf, and 0 / 0 gives NaN, as IEEE 754 says.
    """

    name = "div"
    category = "arithmetic"
    operands = ("a", "b")
    expression = "a / b"
    derivative = {"a": "dy / b", "b": "-dy * y / b"}

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(
            cls(), {"a": [[1.0, 2.0], [3.0, -4.0]], "b": [[2.0, 0.5], [4.0, 8.0]]}, {"y": [[0.5, 4.0], [0.75, -0.5]]}
        )
        yield Sample(
            cls(), {"a": [1.0, 2.0], "b": [[4.0], [-2.0]]}, {"y": [[0.25, 0.5], [-0.5, -1.0]]}, note="both stretch"
        )
