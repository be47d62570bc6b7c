"""leaky_relu: a rectifier that lets a little through."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from flownet.op import ElementwiseOp, Sample
from flownet.ops.requirements import bad_attribute

__all__ = ["LeakyRelu"]


@dataclass(frozen=True)
class LeakyRelu(ElementwiseOp):
    """x above zero, a small multiple of it below: y = x for x > 0, else slope · x.

    slope: the factor below zero

    Shapes: float32[…] -> the same.
    Gradient: dx = dy for x > 0, else slope · dy.
    Source: Maas, Hannun, Ng 2013, "Rectifier nonlinearities improve neural network acoustic models".
    """

    slope: float = 0.01

    name = "leaky_relu"
    category = "activation"
    expression = "where(x > 0, x, slope * x)"
    derivative = {"x": "where(x > 0, dy, slope * dy)"}

    def checked(self) -> None:
        if not math.isfinite(self.slope):
            raise bad_attribute(self.name, "slope", "a finite number", self.slope)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(), {"x": [[-2.0, 3.0], [-0.5, 1.0]]}, {"y": [[-0.02, 3.0], [-0.005, 1.0]]})
        yield Sample(cls(slope=0.25), {"x": [-2.0, 3.0]}, {"y": [-0.5, 3.0]})
