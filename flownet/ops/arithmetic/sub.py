"""sub: the difference of two inputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flownet.op import ElementwiseOp, Sample

__all__ = ["Sub"]


@dataclass(frozen=True)
class Sub(ElementwiseOp):
    """The difference of two inputs: y = a − b.

    Shapes: they broadcast by NumPy's rules: counted from the last axis, sizes are equal or 1.
    Gradient: da = dy, db = −dy, each summed over the axes along which that input was stretched.
    """

    name = "sub"
    category = "arithmetic"
    operands = ("a", "b")
    expression = "a - b"
    derivative = {"a": "dy", "b": "-dy"}

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(
            cls(), {"a": [[1.0, 2.0], [3.0, 4.0]], "b": [[10.0, 20.0], [0.5, -4.0]]}, {"y": [[-9.0, -18.0], [2.5, 8.0]]}
        )
        yield Sample(
            cls(), {"a": [1.0, 2.0], "b": [[10.0], [20.0]]}, {"y": [[-9.0, -8.0], [-19.0, -18.0]]}, note="both stretch"
        )
