"""pad: a border around a tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from flownet.op import Op, Sample
from flownet.ops.requirements import bad_attribute, mismatch
from flownet.types import Dim, TensorType

__all__ = ["Pad"]


@dataclass(frozen=True)
class Pad(Op):
    """The input with a border.

    pads:  (before, after) for each axis; a list shorter than the axes is about the last ones:
           `[[1, 1], [2, 2]]` pads an image [n, c, h, w] by one row above and below and two columns left and right
    mode:  `constant` puts `value` there, `edge` repeats the border, `reflect` mirrors at it without repeating it
    value: what `constant` puts

    Shapes: float32[n, c, h, w] with pads [[1, 1], [2, 2]] -> float32[n, c, h + 2, w + 4].
    Gradient: dx is dy without the border; for `edge` and `reflect`, what the border got is added to where it was
    taken from.
    """

    pads: tuple[tuple[int, int], ...]
    mode: Literal["constant", "edge", "reflect"] = "constant"
    value: float = 0.0

    name = "pad"
    category = "shape"

    def checked(self) -> None:
        if any(size < 0 for pair in self.pads for size in pair):
            raise bad_attribute(self.name, "pads", "at least 0; `slice` cuts", [list(pair) for pair in self.pads])
        if self.mode not in ("constant", "edge", "reflect"):
            raise bad_attribute(self.name, "mode", "`constant`, `edge` or `reflect`", f"`{self.mode}`")
        if math.isnan(self.value):
            raise bad_attribute(self.name, "value", "a number", self.value)

    def infer(self, x: TensorType) -> TensorType:
        if len(self.pads) > x.rank:
            raise mismatch(self.name, f"at least {len(self.pads)} axes for as many pairs in `pads`", x)
        pads = self._of_all_axes(x.rank)
        for (before, after), dim in zip(pads, x.shape, strict=True):
            least = {"constant": 0, "edge": 1, "reflect": max(before, after) + 1}[self.mode]
            if max(before, after) and isinstance(dim, int) and dim < least:
                raise mismatch(
                    self.name, f"axes of at least {least} for `mode: {self.mode}` and pads [{before}, {after}]", x
                )
        return x.with_shape(*(before + dim + after for (before, after), dim in zip(pads, x.shape, strict=True)))

    def forward(self, x: np.ndarray) -> np.ndarray:
        pads = self._of_all_axes(x.ndim)
        if self.mode != "constant":
            return np.pad(x, pads, mode=self.mode)
        return np.pad(x, pads, constant_values=self.value)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        pads = self._of_all_axes(dy.ndim)
        if self.mode != "constant":
            for axis, (before, after) in enumerate(pads):
                if before or after:
                    dy = self._folded(dy, axis, before, after)
            return dy
        return dy[tuple(slice(before, size - after) for (before, after), size in zip(pads, dy.shape, strict=True))]

    def _folded(self, dy: np.ndarray, axis: int, before: int, after: int) -> np.ndarray:
        """The border along one axis, added to where it came from."""
        size = dy.shape[axis] - before - after
        source = np.pad(np.arange(size), (before, after), mode=self.mode)  # type: ignore[call-overload]
        dx = np.zeros((size, *np.delete(dy.shape, axis)), dy.dtype)
        np.add.at(dx, source, np.moveaxis(dy, axis, 0))
        return np.moveaxis(dx, 0, axis)

    def _of_all_axes(self, rank: int) -> list[tuple[int, int]]:
        return [(0, 0)] * (rank - len(self.pads)) + [(before, after) for before, after in self.pads]

    def flops(self) -> Dim:
        return 0

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        x = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
        yield Sample(
            cls(((1, 0), (0, 2)), value=9.0),
            {"x": x},
            {"y": [[9.0, 9.0, 9.0, 9.0, 9.0], [1.0, 2.0, 3.0, 9.0, 9.0], [4.0, 5.0, 6.0, 9.0, 9.0]]},
        )
        yield Sample(
            cls(((2, 1),), mode="reflect"),
            {"x": x},
            {"y": [[3.0, 2.0, 1.0, 2.0, 3.0, 2.0], [6.0, 5.0, 4.0, 5.0, 6.0, 5.0]]},
        )
        yield Sample(
            cls(((0, 1), (1, 0)), mode="edge"),
            {"x": x},
            {"y": [[1.0, 1.0, 2.0, 3.0], [4.0, 4.0, 5.0, 6.0], [4.0, 4.0, 5.0, 6.0]]},
        )
