"""upsample: images enlarged by a whole factor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from flownet.op import Op, Sample
from flownet.ops.requirements import bad_attribute, mismatch, require_float
from flownet.types import Dim, TensorType

__all__ = ["Upsample"]


@dataclass(frozen=True)
class Upsample(Op):
    """Images enlarged by a whole factor along height and width.

    factor: one for both, or [of the height, of the width]
    mode:   `nearest` repeats every pixel; `bilinear` interpolates between the centres of pixels, and repeats the border
            beyond the outermost centres (PyTorch's `align_corners=False`, ONNX's `half_pixel`)

    Shapes: float32[n, c, h, w] with factor f -> float32[n, c, f·h, f·w].
    Gradient: the transposed map: each pixel gets dy from wherever it went, with the same weights. Only dy is needed.
    """

    factor: int | tuple[int, int] = 2
    mode: Literal["nearest", "bilinear"] = "nearest"

    name = "upsample"
    category = "shape"

    @property
    def factors(self) -> tuple[int, int]:
        """(of the height, of the width)"""
        return (self.factor, self.factor) if isinstance(self.factor, int) else self.factor

    def checked(self) -> None:
        if min(self.factors) < 1:
            raise bad_attribute(self.name, "factor", "at least 1", self.factor)
        if self.mode not in ("nearest", "bilinear"):
            raise bad_attribute(self.name, "mode", "`nearest` or `bilinear`", f"`{self.mode}`")

    def infer(self, x: TensorType) -> TensorType:
        require_float(self.name, x=x)
        if x.rank != 4:
            raise mismatch(self.name, f"{x.dtype}[n, c, h, w]", x)
        n, c, h, w = x.shape
        return x.with_shape(n, c, h * self.factors[0], w * self.factors[1])

    def forward(self, x: np.ndarray) -> np.ndarray:
        for axis, factor in zip((2, 3), self.factors, strict=True):
            x = x.repeat(factor, axis=axis) if self.mode == "nearest" else _stretched(x, axis, factor)
        return x

    def backward(self, dy: np.ndarray) -> np.ndarray:
        for axis, factor in zip((2, 3), self.factors, strict=True):
            split = (*dy.shape[:axis], dy.shape[axis] // factor, factor, *dy.shape[axis + 1 :])
            parts = np.moveaxis(dy.reshape(split), axis + 1, 0)  # one for each of the places between two centres
            if self.mode == "nearest":
                dy = parts.sum(axis=0)
            else:
                dy = sum(
                    (_gathered(part, axis, *_place(k, factor)) for k, part in enumerate(parts)), np.zeros_like(parts[0])
                )
        return dy

    def flops(self, y: TensorType) -> Dim:
        return 0 if self.mode == "nearest" else 6 * y.size  # two weights and a sum along each axis

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        x = [[[[1.0, 2.0], [3.0, 5.0]]]]
        yield Sample(
            cls(),
            {"x": x},
            {"y": [[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0], [3.0, 3.0, 5.0, 5.0], [3.0, 3.0, 5.0, 5.0]]]]},
        )
        # one row: centres at ¼, ¾, 1¼, 1¾ of the old ones, whose own are at ½ and 1½
        yield Sample(cls((1, 2), "bilinear"), {"x": [[[[0.0, 4.0]]]]}, {"y": [[[[0.0, 1.0, 3.0, 4.0]]]]})
        yield Sample(cls(3, "bilinear"), {"x": x}, note="no expectation by hand; PyTorch's in the tests")


def _place(k: int, factor: int) -> tuple[int, float]:
    """The neighbour (-1 or 1) of pixel i that new pixel i·factor + k lies towards, and the neighbour's weight."""
    offset = (k + 0.5) / factor - 0.5
    return (1 if offset > 0 else -1), abs(offset)


def _shifted(x: np.ndarray, axis: int, by: int) -> np.ndarray:
    """Pixel i + by at place i, the border repeated."""
    index = np.clip(np.arange(x.shape[axis]) + by, 0, max(x.shape[axis] - 1, 0))
    return x.take(index, axis=axis)


def _stretched(x: np.ndarray, axis: int, factor: int) -> np.ndarray:
    parts = []
    for k in range(factor):
        neighbour, weight = _place(k, factor)
        weight = x.dtype.type(weight)
        parts.append(x * (1 - weight) + _shifted(x, axis, neighbour) * weight if weight else x)
    shape = (*x.shape[:axis], x.shape[axis] * factor, *x.shape[axis + 1 :])
    return np.stack(parts, axis=axis + 1).reshape(shape)


def _gathered(dy: np.ndarray, axis: int, neighbour: int, weight: float) -> np.ndarray:
    """The transpose of `x * (1 - weight) + _shifted(x) * weight`."""
    if not weight:  # nothing goes to the neighbour, nor does NaN
        return dy
    dx = dy * dy.dtype.type(1 - weight)
    share = np.moveaxis(dy * dy.dtype.type(weight), axis, 0)
    target = np.moveaxis(dx, axis, 0)
    if not len(share):
        return dx
    if neighbour > 0:
        target[1:] += share[:-1]
        target[-1] += share[-1]
    else:
        target[:-1] += share[1:]
        target[0] += share[0]
    return dx
