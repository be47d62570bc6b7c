"""max_pool: the maximum of each window."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from flownet.op import Op, Sample
from flownet.ops.pooling.windows import PoolWindows, check_pooling, pooled_type, windows_of
from flownet.ops.windows import pair
from flownet.types import Dim, DType, TensorType

__all__ = ["MaxPool"]


@dataclass(frozen=True)
class MaxPool(Op):
    """The maximum of each window of the image, and where it stands.

    kernel:    height and width of the window, one number for both or [height, width]; so for all that follow
    stride:    how far the window moves; absent: `kernel`
    padding:   a border that never wins (−∞); `valid` is none, `same` as much as gives ⌈size / stride⌉
    ceil_mode: whether a last window that hangs over the end counts, if it begins inside the image or its padding

    Shapes: x float32[n, c, h, w] -> y float32[n, c, h', w'] with h' = ⌊(h + 2·padding − kernel) / stride⌋ + 1, and `indices`
    int32[n, c, h', w'], the place of each maximum, row·w + column, as PyTorch gives it: the switches that `max_unpool` takes.
    Of equal maxima the first one counts, row by row. NaN wins.
    Gradient: dx gets dy where the maximum stands, summed where windows overlap. Kept: `indices`.
    Source: Riesenhuber, Poggio 1999; Scherer, Müller, Behnke 2010. Switches: Zeiler, Fergus 2014.
    """

    kernel: int | tuple[int, int] = 2
    stride: int | tuple[int, int] | None = None
    padding: int | tuple[int, int] | Literal["same", "valid"] = 0
    ceil_mode: bool = False

    name = "max_pool"
    category = "layer"
    outputs = ("y", "indices")

    def checked(self) -> None:
        check_pooling(self.name, self.kernel, self.stride, self.padding)

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:
        y = pooled_type(self.name, x, self.kernel, self.stride, self.padding, self.ceil_mode)
        return y, y.with_dtype(DType.int32)

    def forward(
        self, x: np.ndarray, *, out: tuple[np.ndarray, np.ndarray] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        windows = _windows(self, x.shape[2:])
        shape = (*x.shape[:2], *windows.output)
        y, indices = out or (np.empty(shape, x.dtype), np.empty(shape, np.int32))
        taps = windows.taps(windows.padded(x, -np.inf))
        seen, place = next(taps)
        np.copyto(y, seen)
        np.copyto(indices, place)
        greater = np.empty(shape, bool)
        for seen, place in taps:
            np.greater(seen, y, out=greater)
            np.maximum(y, seen, out=y)  # rather than a copy where it is greater: NaN must come through
            np.copyto(indices, place, where=greater)
        if any(map(any, windows.border)):  # a window of −∞ alone has no place that is greater than its first one's
            np.clip(indices, 0, x.shape[2] * x.shape[3] - 1, out=indices)
        return y, indices

    def backward(self, x: np.ndarray, indices: np.ndarray, dy: np.ndarray) -> np.ndarray:
        windows = _windows(self, x.shape[2:])
        dx = windows.zeros(x.shape, dy.dtype)
        chosen, part = np.empty(dy.shape, bool), np.empty_like(dy)
        for seen, place in windows.taps(dx):
            np.equal(indices, place, out=chosen)
            np.multiply(dy, chosen, out=part)
            seen += part
        return windows.inside(dx)

    def flops(self, y: TensorType) -> Dim:
        high, wide = pair(self.kernel)
        return y.size * (high * wide)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        x = [[[[1.0, 5.0, 2.0, 0.0], [3.0, 4.0, 6.0, 1.0], [0.0, 1.0, 9.0, 8.0], [2.0, 0.5, 7.0, 7.5]]]]
        yield Sample(cls(), {"x": x}, {"y": [[[[5.0, 6.0], [2.0, 9.0]]]], "indices": [[[[1, 6], [12, 10]]]]})
        yield Sample(cls(3, 1), {"x": x}, {"y": [[[[9.0, 9.0], [9.0, 9.0]]]], "indices": [[[[10, 10], [10, 10]]]]},
                     note="windows that overlap")  # fmt: skip
        yield Sample(cls(3, 2, padding=1), {"x": [[[[-1.0, -2.0], [-3.0, -4.0]]]]}, {"y": [[[[-1.0]]]], "indices": [[[[0]]]]},
                     note="the padding never wins")  # fmt: skip
        yield Sample(cls(2, ceil_mode=True), {"x": [[[[1.0, 2.0, 3.0]]], [[[6.0, 5.0, 4.0]]]]},
                     {"y": [[[[2.0, 3.0]]], [[[6.0, 4.0]]]], "indices": [[[[1, 2]]], [[[0, 2]]]]},
                     note="the last window hangs over")  # fmt: skip


@lru_cache(maxsize=1024)
def _windows(op: MaxPool, size: tuple[int, int]) -> PoolWindows:
    output = op.infer(TensorType(DType.float32, (1, 1, *size)))[0].shape[2:]
    return windows_of(size, output, op.kernel, op.stride, op.padding)  # type: ignore[arg-type]
