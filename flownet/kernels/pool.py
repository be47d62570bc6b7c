"""Maxima and means of windows, their gradient, and the way back from indices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flownet.kernels.layout import block, unblock
from flownet.op import Op
from flownet.types import TensorType

__all__ = ["Pool", "PoolGradient", "Unpool"]

Pair = tuple[int, int]


@dataclass(frozen=True)
class _Pool(Op):
    """kind: "max" or "mean"; `include_padding`: the mean divides by the whole window, else by what of it is inside."""

    kind: str
    kernel: Pair
    stride: Pair
    padding: tuple[Pair, Pair]
    size: Pair
    include_padding: bool = False
    blocked: int = 0
    channels: int = 0

    category = "kernel"

    @property
    def output(self) -> Pair:
        """(height, width) of y."""
        axes = zip(self.size, self.kernel, self.stride, self.padding, strict=True)
        high, wide = ((n + sum(pad) - k) // s + 1 for n, k, s, pad in axes)
        return high, wide

    def _resized(self, type: TensorType, size: Pair) -> TensorType:
        if self.blocked:
            return type.with_shape(type.shape[0], type.shape[1], *size, type.shape[4])
        return type.with_shape(type.shape[0], type.shape[1], *size)

    def _windows(self, x: np.ndarray, fill: float) -> np.ndarray:
        """[n, c, oh, ow, kernel[0] * kernel[1]], a copy."""
        padded = np.pad(x, ((0, 0), (0, 0), *self.padding), constant_values=fill)
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.kernel, (2, 3))
        windows = windows[:, :, :: self.stride[0], :: self.stride[1]][:, :, : self.output[0], : self.output[1]]
        return windows.reshape(*windows.shape[:4], -1)

    def _counts(self) -> np.ndarray:
        if self.include_padding:
            return np.full(self.output, self.kernel[0] * self.kernel[1], np.float32)
        return self._windows(np.ones((1, 1, *self.size), np.float32), 0.0).sum(-1)[0, 0]

    def _positions(self, x: np.ndarray) -> np.ndarray:
        """Index into the image, row by row, of each window's first maximum: int64[n, c, oh, ow]."""
        at = self._windows(x, -np.inf).argmax(-1)
        rows = at // self.kernel[1] + (np.arange(self.output[0]) * self.stride[0])[:, None] - self.padding[0][0]
        columns = at % self.kernel[1] + np.arange(self.output[1]) * self.stride[1] - self.padding[1][0]
        return rows * self.size[1] + columns

    def _plain(self, x: np.ndarray) -> np.ndarray:
        return unblock(x, self.channels) if self.blocked else x

    def _laid_out(self, x: np.ndarray) -> np.ndarray:
        return block(x, self.blocked) if self.blocked else x


@dataclass(frozen=True)
class Pool(_Pool):
    """The maximum or mean of each window of x.

    Shapes: x [n, c, *size] -> [n, c, *output]; with `indices` a second output, where each maximum stands: h · width + w (the
    first one of equals), as float32, which is exact up to 2^24.
    """

    indices: bool = False

    name = "pool"

    @property
    def outputs(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("y", "indices") if self.indices else ("y",)

    def infer(self, x: TensorType) -> TensorType | tuple[TensorType, ...]:
        y = self._resized(x, self.output)
        return (y, y) if self.indices else y

    def forward(self, x: np.ndarray) -> np.ndarray | tuple[np.ndarray, ...]:
        x = self._plain(x)
        if self.kind == "max":
            y = self._windows(x, -np.inf).max(-1)
        else:
            y = (self._windows(x, 0.0).sum(-1, dtype=x.dtype) / self._counts()).astype(x.dtype)
        if self.indices:
            return self._laid_out(y), self._laid_out(self._positions(x).astype(x.dtype))
        return self._laid_out(y)

    def flops(self, y: TensorType) -> object:
        return y.size * self.kernel[0] * self.kernel[1]


@dataclass(frozen=True)
class PoolGradient(_Pool):
    """The gradient of x: of a mean from dy alone, of a maximum from x and dy, to the first one of equals."""

    name = "pool_dx"

    def infer(self, dy: TensorType) -> TensorType:
        return self._resized(dy, self.size)

    def forward(self, dy: np.ndarray, x: np.ndarray | None = None) -> np.ndarray:
        dy = self._plain(dy)
        n, c, high, wide = dy.shape
        if self.kind == "max":
            dx = np.zeros((n * c, self.size[0] * self.size[1]), dy.dtype)
            planes = np.arange(n * c)[:, None]
            np.add.at(dx, (planes, self._positions(self._plain(x)).reshape(n * c, -1)), dy.reshape(n * c, -1))
            return self._laid_out(dx.reshape(n, c, *self.size))
        (top, bottom), (left, right) = self.padding
        dy = dy / self._counts().astype(dy.dtype)
        padded = np.zeros((n, c, self.size[0] + top + bottom, self.size[1] + left + right), dy.dtype)
        for r in range(self.kernel[0]):
            for s in range(self.kernel[1]):
                rows = slice(r, r + (high - 1) * self.stride[0] + 1, self.stride[0])
                padded[:, :, rows, s : s + (wide - 1) * self.stride[1] + 1 : self.stride[1]] += dy
        return self._laid_out(padded[:, :, top : top + self.size[0], left : left + self.size[1]])


@dataclass(frozen=True)
class Unpool(Op):
    """x at the places `indices` (h · width + w, as `Pool` gives them) of an image of zeros; `back` takes from there instead.

    Shapes: x, indices [n, c, h, w] -> [n, c, *size]; `back`: x [n, c, *size], indices [n, c, h, w] -> [n, c, h, w]. Where two
    windows name one place, the last one's value stands.
    """

    size: Pair
    back: bool = False
    blocked: int = 0
    channels: int = 0

    name = "unpool"
    category = "kernel"

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        if self.back:
            return x.with_shape(*indices.shape)
        return x.with_shape(*x.shape[:2], *self.size, *x.shape[4:])

    def forward(self, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
        if self.blocked:
            x, indices = unblock(x, self.channels), unblock(indices, self.channels)
        n, c, high, wide = indices.shape
        at = indices.astype(np.int64).reshape(n, c, -1)
        if self.back:
            y = np.take_along_axis(x.reshape(n, c, -1), at, -1).reshape(n, c, high, wide)
        else:
            y = np.zeros((n, c, self.size[0] * self.size[1]), x.dtype)
            np.put_along_axis(y, at, x.reshape(n, c, -1), -1)
            y = y.reshape(n, c, *self.size)
        return block(y, self.blocked) if self.blocked else y
