"""minimum: the smaller of two inputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flownet.op import ElementwiseOp, Sample

__all__ = ["Minimum"]


@dataclass(frozen=True)
class Minimum(ElementwiseOp):
    """The smaller of two inputs at every element: y = min(a, b).

    Shapes: they broadcast by NumPy's rules: counted from the last axis, sizes are equal or 1.
    Gradient: dy goes to the smaller one, half of it to each where they are equal; summed over the axes along which
    that input was stretched.
    """

    name = "minimum"
    category = "arithmetic"
    operands = ("a", "b")
    expression = "minimum(a, b)"
    derivative = {
        "a": "where(a < b, dy, where(a == b, 0.5 * dy, 0))",
        "b": "where(b < a, dy, where(a == b, 0.5 * dy, 0))",
    }

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(
            cls(), {"a": [[1.0, 5.0], [-3.0, 4.0]], "b": [[2.0, 0.5], [-4.0, 8.0]]}, {"y": [[1.0, 0.5], [-4.0, 4.0]]}
        )
        yield Sample(
            cls(), {"a": [1.0, 6.0], "b": [[4.0], [-2.0]]}, {"y": [[1.0, 4.0], [-2.0, -2.0]]}, note="both stretch"
        )
