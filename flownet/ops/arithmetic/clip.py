"""clip: values limited from below and above."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from flownet.errors import FlownetError
from flownet.op import ElementwiseOp, Sample
from flownet.ops.requirements import bad_attribute

__all__ = ["Clip"]


@dataclass(frozen=True)
class Clip(ElementwiseOp):
    """The input, limited: y = min(max(x, low), high). `{low: 0, high: 6}` is the relu6 of MobileNet.

    low, high: the limits; one of them may be left out

    Shapes: float32[…] -> the same.
    Gradient: dx = dy where low < x < high, else 0.
    """

    low: float | None = None
    high: float | None = None

    name = "clip"
    category = "arithmetic"

    @property
    def expression(self) -> str:  # type: ignore[override]
        text = "x" if self.low is None else f"maximum(x, {float(self.low)})"
        return text if self.high is None else f"minimum({text}, {float(self.high)})"

    @property
    def derivative(self) -> dict[str, str]:  # type: ignore[override]
        # the limits are compared with y, which is at them where it was cut: only y is kept
        text = "dy" if self.low is None else f"where(y > {float(self.low)}, dy, 0)"
        return {"x": text if self.high is None else f"where(y < {float(self.high)}, {text}, 0)"}

    def checked(self) -> None:
        for attribute, value in (("low", self.low), ("high", self.high)):
            if value is not None and not math.isfinite(value):
                raise bad_attribute(self.name, attribute, "a finite number, or absent", value)
        if self.low is None and self.high is None:
            raise FlownetError.of(
                "bad-attribute", "`clip` has neither `low` nor `high`", help="write `- clip: {low: 0, high: 6}`"
            )
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise bad_attribute(self.name, "low", f"below `high`, which is {self.high}", self.low)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        yield Sample(cls(low=0.0, high=6.0), {"x": [[-1.0, 2.5], [7.0, 5.5]]}, {"y": [[0.0, 2.5], [6.0, 5.5]]})
        yield Sample(cls(high=1.0), {"x": [-1.0, 2.5]}, {"y": [-1.0, 1.0]})
