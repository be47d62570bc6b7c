"""maximum: the larger of two inputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flownet.op import ElementwiseOp, Sample

__all__ = ["Maximum"]


@dataclass(frozen=True)
class Maximum(ElementwiseOp):
    """The larger of two inputs at every element: y = max(a, b). Along an axis of one input it is `max`.

    Shapes: they broadcast by NumPy's rules: counted from the last axis, sizes are equal or 1.
    Gradient: dy goes to the larger one, half of it to each where they are equal; summed over the axes along which
    that input was stretched.
    """

    name = "maximum"
    category = "arithmetic"
    operands = ("a", "b")
    expression = "maximum(a, b)"
    derivative = {
        "a": "where(a > b, dy, where(a == b, 0.5 * dy, 0))",
        "b": "where(b > a, dy, where(a == b, 0.5 * dy, 0))",
    }

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(
            cls(), {"a": [[1.0, 5.0], [-3.0, 4.0]], "b": [[2.0, 0.5], [-4.0, 8.0]]}, {"y": [[2.0, 5.0], [-3.0, 8.0]]}
        )
        yield Sample(
            cls(), {"a": [1.0, 6.0], "b": [[4.0], [-2.0]]}, {"y": [[4.0, 6.0], [1.0, 6.0]]}, note="both stretch"
        )
