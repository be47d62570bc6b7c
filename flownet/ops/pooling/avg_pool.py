"""avg_pool: the mean of each window."""

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

__all__ = ["AvgPool"]


@dataclass(frozen=True)
class AvgPool(Op):
    """The mean of each window of the image.

    kernel:            height and width of the window, one number for both or [height, width]; so for all that follow
    stride:            how far the window moves; absent: `kernel`
    padding:           zeros around the image; `valid` is none, `same` as many as give ⌈size / stride⌉
    count_include_pad: whether the zeros of the padding count as elements of a window, as PyTorch has it; if not, a window at the
                       border is the mean of what it sees of the image
    ceil_mode:         whether a last window that hangs over the end counts, if it begins inside the image or its padding; what
                       hangs over is never an element

    Shapes: x float32[n, c, h, w] -> float32[n, c, h', w'] with h' = ⌊(h + 2·padding − kernel) / stride⌋ + 1.
    Gradient: each element of a window gets the same share of its dy; shares add up where windows overlap.
    Source: LeCun et al. 1989 (as sub-sampling); LeCun, Bottou, Bengio, Haffner 1998.
    """

    kernel: int | tuple[int, int] = 2
    stride: int | tuple[int, int] | None = None
    padding: int | tuple[int, int] | Literal["same", "valid"] = 0
    count_include_pad: bool = True
    ceil_mode: bool = False

    name = "avg_pool"
    category = "layer"

    def checked(self) -> None:
        check_pooling(self.name, self.kernel, self.stride, self.padding)

    def infer(self, x: TensorType) -> TensorType:
        return pooled_type(self.name, x, self.kernel, self.stride, self.padding, self.ceil_mode)

    def forward(self, x: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
        windows = _windows(self, x.shape[2:])
        y = np.empty((*x.shape[:2], *windows.output), x.dtype) if out is None else out
        taps = windows.taps(windows.padded(x, 0.0))
        np.copyto(y, next(taps)[0])
        for seen, _ in taps:
            y += seen
        y *= self._shares(windows, x.dtype)
        return y

    def backward(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        windows = _windows(self, x.shape[2:])
        dx = windows.zeros(x.shape, dy.dtype)
        share = dy * self._shares(windows, dy.dtype)
        overlaps = any(k > s for k, s in zip(windows.kernel, windows.stride, strict=True))
        for seen, _ in windows.taps(dx):
            if overlaps:
                seen += share
            else:
                np.copyto(seen, share)
        return windows.inside(dx)

    def flops(self, y: TensorType) -> Dim:
        high, wide = pair(self.kernel)
        return y.size * (high * wide)

    def _shares(self, windows: PoolWindows, dtype: np.dtype) -> np.ndarray:
        """What an element of each window counts: [h', w'], or [1, 1] when it is the same for all."""
        counts = windows.counts(self.count_include_pad)
        return (1 / (counts[:1, :1] if (counts == counts[0, 0]).all() else counts)).astype(dtype)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        x = [[[[1.0, 5.0, 2.0, 0.0], [3.0, 4.0, 6.0, 1.0], [0.0, 1.0, 9.0, 8.0], [2.0, 0.5, 7.0, 7.5]]]]
        yield Sample(cls(), {"x": x}, {"y": [[[[3.25, 2.25], [0.875, 7.875]]]]})
        yield Sample(
            cls((1, 2), (2, 1)), {"x": x}, {"y": [[[[3.0, 3.5, 1.0], [0.5, 5.0, 8.5]]]]}, note="windows that overlap"
        )
        corner = [[[[4.0, 8.0], [12.0, 16.0]]]]
        yield Sample(cls(2, padding=1), {"x": corner}, {"y": [[[[1.0, 2.0], [3.0, 4.0]]]]}, note="the padding counts")
        yield Sample(cls(2, padding=1, count_include_pad=False), {"x": corner}, {"y": corner}, note="it does not")
        yield Sample(
            cls((1, 2), ceil_mode=True),
            {"x": [[[[1.0, 3.0, 7.0]]]]},
            {"y": [[[[2.0, 7.0]]]]},
            note="the last window hangs over",
        )
        yield Sample(
            cls(3, 2, padding=1, ceil_mode=True),
            {"x": corner},
            {"y": [[[[40 / 9, 4.0], [28 / 6, 4.0]]]]},
            note="the padding counts, what hangs over it does not",
        )


@lru_cache(maxsize=1024)
def _windows(op: AvgPool, size: tuple[int, int]) -> PoolWindows:
    output = op.infer(TensorType(DType.float32, (1, 1, *size))).shape[2:]
    return windows_of(size, output, op.kernel, op.stride, op.padding)  # type: ignore[arg-type]
