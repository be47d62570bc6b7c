"""spatial_pyramid_pool: as many numbers for an image of any size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from flownet import FlownetError, Op, Sample
from flownet.types import Dim, TensorType

__all__ = ["SpatialPyramidPool"]


@dataclass(frozen=True)
class SpatialPyramidPool(Op):
    """The maxima of l × l bins for every level l, one behind the other: a layer of fixed size on top of images of any size.

    levels: bins along each side, level by level; [1, 2, 4] gives 1 + 4 + 16 numbers a channel

    Bin i of l covers the rows from ⌊i·h/l⌋ to ⌈(i+1)·h/l⌉, as in PyTorch's adaptive pooling; small images' bins overlap.
    Shapes: float32[n, c, h, w] -> float32[n, c · Σ l²], level by level, each ordered [c, row, column].
    Gradient: dy goes to the bin's largest element, the first one of equals.
    Source: He, Zhang, Ren, Sun 2014, "Spatial pyramid pooling in deep convolutional networks for visual recognition".
    """

    name = "spatial_pyramid_pool"
    category = "layer"

    levels: tuple[int, ...] = (1, 2, 4)

    def checked(self) -> None:
        if not self.levels or any(level < 1 for level in self.levels):
            raise FlownetError.of(
                "bad-attribute", f"`levels` of `{self.name}` must be numbers of at least 1, got {list(self.levels)}"
            )

    def infer(self, x: TensorType) -> TensorType:
        if x.rank != 4 or not x.dtype.is_float:
            raise FlownetError.of("shape-mismatch", f"`{self.name}` takes float32[n, c, h, w], got {x}")
        if any(size == 0 for size in x.shape[2:]):
            raise FlownetError.of("shape-mismatch", f"`{self.name}` has no maximum of an image without pixels, got {x}")
        return x.with_shape(x.shape[0], x.shape[1] * sum(level**2 for level in self.levels))

    def forward(self, x: np.ndarray) -> np.ndarray:
        n, c, h, w = x.shape
        levels = []
        for level in self.levels:
            bins = np.empty((n, c, level, level), x.dtype)
            for i, j, rows, columns in _bins(level, h, w):
                bins[:, :, i, j] = x[:, :, rows, columns].max(axis=(2, 3))
            levels.append(bins.reshape(n, c * level**2))
        return np.concatenate(levels, axis=1)

    def backward(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        n, c, h, w = x.shape
        dx = np.zeros_like(x)
        start = 0
        for level in self.levels:
            bins = dy[:, start : start + c * level**2].reshape(n, c, level, level)
            start += c * level**2
            for i, j, rows, columns in _bins(level, h, w):
                window = x[:, :, rows, columns]
                largest = window.reshape(n, c, window.shape[2] * window.shape[3]).argmax(axis=2)
                r, s = np.divmod(largest, window.shape[3])
                batch, channel = np.ogrid[:n, :c]
                dx[batch, channel, rows.start + r, columns.start + s] += bins[:, :, i, j]
        return dx

    def flops(self, x: TensorType) -> Dim:
        return x.size * len(self.levels)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        image = [[[[1.0, 5.0, 2.0, 0.0], [3.0, 4.0, 8.0, 7.0], [-1.0, -2.0, 6.0, 9.0]]]]
        # rows 0-1 and 1-2 (they overlap: 3 rows in 2 bins), columns 0-1 and 2-3
        yield Sample(cls((1, 2)), {"x": image}, {"y": [[9.0, 5.0, 8.0, 4.0, 9.0]]})
        yield Sample(cls((1,)), {"x": image}, {"y": [[9.0]]}, note="one level of one bin is the global maximum")
        two = [[[[1.0, 2.0]], [[4.0, 3.0]]]]
        yield Sample(
            cls((2,)),
            {"x": two},
            {"y": [[1.0, 2.0, 1.0, 2.0, 4.0, 3.0, 4.0, 3.0]]},
            note="an image lower than the bins are many",
        )


def _bins(level: int, height: int, width: int) -> Iterator[tuple[int, int, slice, slice]]:
    for i in range(level):
        rows = slice(i * height // level, -(-(i + 1) * height // level))
        for j in range(level):
            yield i, j, rows, slice(j * width // level, -(-(j + 1) * width // level))
