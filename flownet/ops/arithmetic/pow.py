"""pow: a power with a fixed exponent."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from flownet.op import ElementwiseOp, Sample
from flownet.ops.requirements import bad_attribute

__all__ = ["Pow"]


@dataclass(frozen=True)
class Pow(ElementwiseOp):
    """A power with a fixed exponent: y = x^exponent.

    exponent: any finite number; one that is no whole number needs x ≥ 0

    Shapes: float32[…] -> the same.
    Gradient: dx = dy · exponent · x^(exponent − 1), and 0 for the exponent 0.
    Numerical care: NaN where x < 0 and the exponent is no whole number, inf where x = 0 and it is negative.
    """

    exponent: float

    name = "pow"
    category = "arithmetic"
    expression = "x ** exponent"

    @property
    def derivative(self) -> dict[str, str]:  # type: ignore[override]
        # the exponent less 1 is worked out here: between numbers, NumPy would work it out as a float64 that x would
        # follow
        return {"x": f"dy * {self.exponent} * x ** {self.exponent - 1.0}"} if self.exponent != 0 else {}

    def checked(self) -> None:
        if not math.isfinite(self.exponent):
            raise bad_attribute(self.name, "exponent", "a finite number", self.exponent)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(2.0), {"x": [[-3.0, 2.0], [0.5, 1.0]]}, {"y": [[9.0, 4.0], [0.25, 1.0]]})
        yield Sample(cls(-0.5), {"x": [4.0, 0.25]}, {"y": [0.5, 2.0]})
