"""The windows of a pooling, seen tap by tap: all first elements of windows are one strided view of the image, and so on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flownet.errors import FlownetError
from flownet.ops.windows import (
    Padding,
    Pads,
    Pair,
    check_at_least,
    check_padding,
    padding_of,
    pair,
    require_image,
    steps,
)
from flownet.types import TensorType

__all__ = ["PoolWindows", "check_pooling", "pooled_type", "windows_of"]


@dataclass(frozen=True)
class PoolWindows:
    """Windows of `kernel` on images of `size`; `padding` is what is declared, `border` what the windows reach over."""

    size: Pair
    output: Pair
    kernel: Pair
    stride: Pair
    padding: Pads

    @cached_property
    def border(self) -> Pads:
        (top, _), (left, _) = self.padding
        high, wide = ((self.output[i] - 1) * self.stride[i] + self.kernel[i] for i in (0, 1))
        return (top, max(0, high - top - self.size[0])), (left, max(0, wide - left - self.size[1]))

    def padded(self, x: np.ndarray, fill: float) -> np.ndarray:
        """The image with its border, or itself if it has none."""
        if not any(map(any, self.border)):
            return x
        return np.pad(x, ((0, 0), (0, 0), *self.border), constant_values=fill)

    def taps(self, padded: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(what the tap sees of each window [n, c, *output], where in the image that is [*output]), row by row."""
        for r in range(self.kernel[0]):
            for s in range(self.kernel[1]):
                rows, columns = (
                    slice(first, first + (self.output[i] - 1) * self.stride[i] + 1, self.stride[i])
                    for i, first in enumerate((r, s))
                )
                yield padded[:, :, rows, columns], self._positions(r, s)

    def inside(self, padded: np.ndarray) -> np.ndarray:
        """The image without its border."""
        (top, _), (left, _) = self.border
        return padded[:, :, top : top + self.size[0], left : left + self.size[1]]

    def zeros(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Zeros for images with their border."""
        (top, bottom), (left, right) = self.border
        return np.zeros((*shape[:2], self.size[0] + top + bottom, self.size[1] + left + right), dtype)

    def counts(self, include_padding: bool) -> np.ndarray:
        """How many elements of each window lie in the image, or in it and its declared padding: int64[*output]."""
        rows, columns = (self._count(axis, include_padding) for axis in (0, 1))
        return rows[:, None] * columns

    def _count(self, axis: int, include_padding: bool) -> np.ndarray:
        before, after = self.padding[axis] if include_padding else (0, 0)
        start = np.arange(self.output[axis]) * self.stride[axis] - self.padding[axis][0]
        return np.minimum(start + self.kernel[axis], self.size[axis] + after) - np.maximum(start, -before)

    def _positions(self, r: int, s: int) -> np.ndarray:
        rows = np.arange(self.output[0], dtype=np.int32) * self.stride[0] + (r - self.padding[0][0])
        columns = np.arange(self.output[1], dtype=np.int32) * self.stride[1] + (s - self.padding[1][0])
        return rows[:, None] * np.int32(self.size[1]) + columns


def check_pooling(op: str, kernel: int | Pair, stride: int | Pair | None, padding: Padding) -> None:
    """Raise FlownetError (`bad-attribute`) for values that no pooling has."""
    check_at_least(op, 1, {"kernel": kernel, "stride": stride})
    check_padding(op, padding)
    if not isinstance(padding, str):
        for size, before in zip(pair(kernel), pair(padding), strict=True):
            if before >= size:
                raise FlownetError.of(
                    "bad-attribute", f"`padding` of `{op}` must be smaller than `kernel`, got {before} and {size}",
                    "a window would see nothing but padding",
                )  # fmt: skip


def pooled_type(
    op: str, x: TensorType, kernel: int | Pair, stride: int | Pair | None, padding: Padding, ceil: bool
) -> TensorType:
    """The type of the pooled image."""
    require_image(op, x)
    k, s = pair(kernel), pair(kernel if stride is None else stride)
    return x.with_shape(*x.shape[:2], *(steps(op, x, axis, padding, k[axis], s[axis], ceil=ceil) for axis in (0, 1)))


def windows_of(
    size: Pair, output: Pair, kernel: int | Pair, stride: int | Pair | None, padding: Padding
) -> PoolWindows:
    """The windows on images of that size; `output` is how many there are."""
    k, s = pair(kernel), pair(kernel if stride is None else stride)
    pads = tuple(padding_of(padding, size[axis], k[axis], s[axis], 1, axis) for axis in (0, 1))
    return PoolWindows(size, output, k, s, pads)  # type: ignore[arg-type]
