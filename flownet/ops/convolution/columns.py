"""Convolutions as matrix products in NumPy, on as many images at a time as leave their columns in the cache.

`columns` has a row for each weight of a filter (channel c, tap t) and a column for each pixel of the output. Then
y = W·columns, dW = dy·columnsᵀ, and dx is Wᵀ·dy, added up where the columns were taken from (`flownet.ops.convolution.taps`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from flownet.ops.convolution.taps import Taps

__all__ = ["Columns"]

# Of 128 KiB to 4 MiB the largest was the fastest for nine of ten layers of LeNet-5 and of ResNets (2 cores, 32 MiB of
# third-level cache): matrix products with few columns do not pay for their threads.
BLOCK_BYTES = 4 << 20


@dataclass(frozen=True)
class Columns:
    """A convolution of images [n, channels, *taps.size] by filters [filters, channels / groups, *taps.kernel]."""

    taps: Taps
    channels: int
    filters: int
    groups: int

    def convolve(self, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, y: np.ndarray) -> None:
        """y = W ∗ x + b"""
        if self._is_pointwise:
            np.matmul(weight.reshape(self.filters, -1), _planes(x), out=_planes(y))
            if bias is not None:
                y += bias[:, None, None]
            return
        matrix = self._matrix(weight)
        for images, rows, columns, runs in self._blocks(x):
            np.matmul(matrix, columns, out=self._grouped(runs))
            pixels = self.taps.pixels(runs, rows.stop - rows.start)
            target = y[images, :, rows].transpose(1, 0, 2, 3)
            if bias is None:
                np.copyto(target, pixels)
            else:
                np.add(pixels, bias[:, None, None, None], out=target)

    def weight_gradient(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """dW"""
        total = np.zeros((self.groups, self.filters // self.groups, self._depth), x.dtype)
        for images, rows, columns, runs in self._blocks(x):
            self.taps.spread(dy[images, :, rows].transpose(1, 0, 2, 3), runs)
            total += np.matmul(self._grouped(runs), columns.transpose(0, 2, 1))
        return total.reshape(self.filters, self.channels // self.groups, *self.taps.kernel)

    def input_gradient(self, dy: np.ndarray, weight: np.ndarray, dx: np.ndarray) -> None:
        """dx"""
        if self._is_pointwise:
            np.matmul(weight.reshape(self.filters, -1).T, _planes(dy), out=_planes(dx))
            return
        matrix = self._matrix(weight).transpose(0, 2, 1)
        memory = None
        for images, rows, columns, runs in self._blocks(dy, fill=False):
            self.taps.spread(dy[images, :, rows].transpose(1, 0, 2, 3), runs)
            np.matmul(matrix, self._grouped(runs), out=columns)
            count = images.stop - images.start
            if memory is None:
                memory = self.taps.memory(count, self.channels, dy.dtype)
            elif rows.start == 0:
                memory[...] = 0
            phases = memory[:count]
            parts = columns.reshape(self.channels, len(self.taps.offsets), count, -1)
            for tap, (phase, offset) in enumerate(self.taps.offsets):
                offset += rows.start * self.taps.plane[1]
                seen = phases[:, :, phase, offset : offset + parts.shape[-1]]
                seen += parts[:, tap].transpose(1, 0, 2)
            if rows.stop == self.taps.output[0]:
                self.taps.join(phases, dx[images])

    # -- blocks ----------------------------------------------------------------------------------------------------------

    @property
    def _depth(self) -> int:
        """The number of weights of a filter."""
        return self.channels // self.groups * len(self.taps.offsets)

    @property
    def _is_pointwise(self) -> bool:
        """Whether images are their own columns, and large enough for a matrix product each."""
        high, wide = self.taps.size
        return self.taps.kernel == (1, 1) and self.taps.is_plain and self.groups == 1 and high * wide >= 64

    def _matrix(self, weight: np.ndarray) -> np.ndarray:
        return weight.reshape(self.groups, self.filters // self.groups, self._depth)

    def _grouped(self, runs: np.ndarray) -> np.ndarray:
        return runs.reshape(self.groups, self.filters // self.groups, -1)

    def _blocks(self, x: np.ndarray, fill: bool = True) -> Iterator[tuple[slice, slice, np.ndarray, np.ndarray]]:
        """(images, rows of the output, columns [groups, depth, pixels], memory for runs [filters, images, pixels]).

        Several whole images make a block, or some rows of one image. `fill` says that the columns are those of x.
        """
        taps, (high, _), n = self.taps, self.taps.output, len(x)
        a_row = self.channels * len(taps.offsets) * taps.plane[1] * x.itemsize
        at_once = max(1, min(n, BLOCK_BYTES // (a_row * high)))
        rows_at_once = high if at_once > 1 else max(1, min(high, BLOCK_BYTES // a_row))
        room = at_once * taps.run(rows_at_once)
        columns = np.empty(self.channels * len(taps.offsets) * room, x.dtype)
        runs = np.empty(self.filters * room, x.dtype)
        memory = taps.memory(at_once, self.channels, x.dtype) if fill and not taps.is_plain else columns
        for start in range(0, n, at_once):
            images = slice(start, min(n, start + at_once))
            count = images.stop - start
            phases = taps.split(x[images], memory) if fill else None
            for top in range(0, high, rows_at_once):
                rows = slice(top, min(high, top + rows_at_once))
                run = taps.run(rows.stop - top)
                used = columns[: self.channels * len(taps.offsets) * count * run]
                if phases is not None:
                    parts = used.reshape(self.channels, len(taps.offsets), count, run)
                    for tap, (phase, offset) in enumerate(taps.offsets):
                        offset += top * taps.plane[1]
                        np.copyto(parts[:, tap], phases[:, :, phase, offset : offset + run].transpose(1, 0, 2))
                yield (
                    images, rows, used.reshape(self.groups, self._depth, count * run),
                    runs[: self.filters * count * run].reshape(self.filters, count, run),
                )  # fmt: skip


def _planes(x: np.ndarray) -> np.ndarray:
    return x.reshape(*x.shape[:2], -1)
